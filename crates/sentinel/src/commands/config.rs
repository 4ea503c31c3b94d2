//! SENTINEL CONFIG and SENTINEL DEBUG: what holds for all masters, and the intervals.

use rivulet_commands::glob;

use super::{Call, Done, MS_MAX, Outcome, integer};
use crate::sentinel::Sentinel;

const NAMES: [&str; 7] = [
    "resolve-hostnames",
    "announce-hostnames",
    "announce-ip",
    "announce-port",
    "sentinel-user",
    "sentinel-pass",
    "loglevel",
];

const LEVELS: [&str; 5] = ["debug", "verbose", "notice", "warning", "nothing"];

pub fn config(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let count = call.args.len();
    if call.args.is(2, "set") && count >= 5 {
        set(sentinel, call)
    } else if call.args.is(2, "get") && count >= 4 {
        get(sentinel, call)
    } else {
        Err("ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...] / SET <param> <value> [<param> <value> ...] are supported.".into())
    }
}

fn get(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let is_wanted = |name: &&str| (3..call.args.len()).any(|i| glob::matches_nocase(call.args.at(i), name.as_bytes()));
    let names: Vec<&str> = NAMES.into_iter().filter(is_wanted).collect();
    call.reply.map(names.len());
    for name in names {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(&sentinel.global(name));
    }
    Ok(Done::Replied)
}

/// All or nothing.
fn set(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let mut names: Vec<String> = Vec::new();
    for i in (3..call.args.len()).step_by(2) {
        let (as_given, name) = (call.text(i), call.text(i).to_ascii_lowercase());
        if !NAMES.contains(&name.as_str()) {
            return Err(format!("ERR Invalid argument '{as_given}' to SENTINEL CONFIG SET"));
        }
        let Some(value) = call.args.get(i + 1) else {
            return Err(format!("ERR Missing argument '{as_given}' value"));
        };
        if names.contains(&name) {
            return Err(format!("ERR Duplicate argument '{as_given}' to SENTINEL CONFIG SET"));
        }
        let value = String::from_utf8_lossy(value).to_ascii_lowercase();
        let is_good = match name.as_str() {
            "resolve-hostnames" | "announce-hostnames" => value == "yes" || value == "no",
            "announce-port" => integer(value.as_bytes()).is_some_and(|port| u16::try_from(port).is_ok()),
            "loglevel" => LEVELS.contains(&value.as_str()),
            _ => true,
        };
        if !is_good {
            return Err(format!("ERR Invalid value '{}' to SENTINEL CONFIG SET '{as_given}'", call.text(i + 1)));
        }
        names.push(name);
    }
    for (name, i) in names.iter().zip((3..).step_by(2)) {
        sentinel.set_global(name, call.args.at(i + 1));
    }
    sentinel.is_dirty = true;
    if names.iter().any(|name| name.starts_with("sentinel-")) {
        sentinel.disconnect_peers();
    }
    call.reply.ok();
    Ok(Done::Promised)
}

impl Sentinel {
    fn global(&self, name: &str) -> Vec<u8> {
        let globals = &self.globals;
        let switch = |is_on: bool| if is_on { b"yes".to_vec() } else { b"no".to_vec() };
        match name {
            "resolve-hostnames" => switch(globals.resolve_hostnames),
            "announce-hostnames" => switch(globals.announce_hostnames),
            "announce-ip" => globals.announce_ip.clone().unwrap_or_default().into_bytes(),
            "announce-port" => globals.announce_port.to_string().into_bytes(),
            "sentinel-user" => globals.sentinel_user.clone().unwrap_or_default(),
            "sentinel-pass" => globals.sentinel_pass.clone().unwrap_or_default(),
            _ => globals.log_level.clone().into_bytes(),
        }
    }

    fn set_global(&mut self, name: &str, value: &[u8]) {
        let text = String::from_utf8_lossy(value).into_owned();
        let globals = &mut self.globals;
        let bytes = (!value.is_empty()).then(|| value.to_vec());
        match name {
            "resolve-hostnames" => globals.resolve_hostnames = text.eq_ignore_ascii_case("yes"),
            "announce-hostnames" => globals.announce_hostnames = text.eq_ignore_ascii_case("yes"),
            "announce-ip" => globals.announce_ip = (!text.is_empty()).then_some(text),
            "announce-port" => globals.announce_port = text.parse().unwrap_or(0),
            "sentinel-user" => globals.sentinel_user = bytes,
            "sentinel-pass" => globals.sentinel_pass = bytes,
            _ => globals.log_level = text.to_ascii_lowercase(),
        }
    }

    fn disconnect_peers(&mut self) {
        let peers = self.masters.values().flat_map(|master| master.peers.values());
        let links: Vec<_> = peers.map(|peer| peer.instance.link).collect();
        links.into_iter().for_each(|link| self.disconnect(link));
    }
}

pub fn debug(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    if call.args.len() == 2 {
        let all = sentinel.periods.all();
        call.reply.map(all.len());
        for (name, ms) in all {
            call.reply.bulk(name.as_bytes());
            call.reply.bulk(ms.to_string().as_bytes());
        }
        return Ok(Done::Replied);
    }
    for i in (2..call.args.len()).step_by(2) {
        let name = call.text(i);
        let period = sentinel.periods.find_mut(call.args.at(i));
        let (Some(period), Some(value)) = (period, call.args.get(i + 1)) else {
            return Err(format!("ERR Unknown option or number of arguments for SENTINEL DEBUG '{name}'"));
        };
        let ms = integer(value).filter(|ms| *ms > 0).and_then(|ms| u64::try_from(ms).ok());
        *period = ms.map(|ms| ms.min(MS_MAX)).ok_or_else(|| {
            format!("ERR Invalid argument '{}' for SENTINEL DEBUG '{name}'", String::from_utf8_lossy(value))
        })?;
    }
    sentinel.wake_ms = sentinel.now_ms;
    call.reply.ok();
    Ok(Done::Replied)
}
