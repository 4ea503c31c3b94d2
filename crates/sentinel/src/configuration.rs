//! `sentinel` lines of the configuration file: read as Redis reads them, with its errors, and written with the state that must outlive a restart.

use std::net::IpAddr;

use crate::address::Address;
use crate::commands::MS_MAX;
use crate::info::Role;
use crate::link::At;
use crate::master::{FORGET_AFTER_MS, Instance, Master, Settings, Synchronous};
use crate::sentinel::Sentinel;
use crate::votes::EPOCH_MAX;

/// The lines that one option has in the file; whether each is written also if the file had none.
pub type Lines = (&'static str, Vec<(Vec<u8>, bool)>);

/// Options that must be known before any master is.
const BEFORE_MASTERS: [&str; 9] = [
    "announce-ip",
    "announce-port",
    "deny-scripts-reconfig",
    "sentinel-user",
    "sentinel-pass",
    "current-epoch",
    "myid",
    "resolve-hostnames",
    "announce-hostnames",
];

/// When a line is read: those before masters, the masters, the rest. So their order in the file does not matter.
pub fn stage(option: &[u8]) -> u8 {
    if option.eq_ignore_ascii_case(b"monitor") {
        1
    } else if BEFORE_MASTERS.iter().any(|name| option.eq_ignore_ascii_case(name.as_bytes())) {
        0
    } else {
        2
    }
}

/// A number as C reads it: what stands before anything else.
fn number(text: &str) -> i64 {
    let text = text.trim_start();
    let end = text.char_indices().find(|(i, c)| !(c.is_ascii_digit() || (*i == 0 && matches!(c, '-' | '+'))));
    text[..end.map_or(text.len(), |(i, _)| i)].trim_start_matches('+').parse().unwrap_or(0)
}

fn epoch(text: &str) -> u64 {
    text.parse::<u64>().unwrap_or(0).min(EPOCH_MAX)
}

fn port(text: &str) -> Result<u16, String> {
    u16::try_from(number(text)).map_err(|_| "Invalid port number.".to_string())
}

fn yes_or_no(text: &str, error: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(error.to_string()),
    }
}

fn optional(word: &[u8]) -> Option<Vec<u8>> {
    (!word.is_empty()).then(|| word.to_vec())
}

impl Sentinel {
    /// Takes one line, without its first word. Lines go by [`stage`].
    ///
    /// # Errors
    /// The line means nothing; the text is for who has written it.
    pub fn configure(&mut self, words: &[Vec<u8>]) -> Result<(), String> {
        let texts: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let Some((option, arguments)) = texts.split_first() else { return Ok(()) };
        let option = option.to_ascii_lowercase();
        match (option.as_str(), arguments) {
            ("monitor", [name, host, port_text, quorum]) => {
                let quorum = u32::try_from(number(quorum)).ok().filter(|quorum| *quorum > 0);
                let quorum = quorum.ok_or("Quorum must be 1 or greater.")?;
                let address = self.known_address(host, port(port_text)?)?;
                self.monitor(name, address, quorum).map(|_| ())
            }
            ("known-slave" | "known-replica", [name, host, port_text]) => {
                self.find_master(name)?;
                let address = self.known_address(host, port(port_text)?)?;
                self.add_replica(name, address).map(|_| ()).ok_or("Duplicate hostname and port for replica.".into())
            }
            ("forgotten-replica", [name, host, port_text, node_id, replid]) => {
                self.find_master(name)?;
                let address = self.known_address(host, port(port_text)?)?;
                let known = |id: &str| (id != "-").then(|| id.to_string());
                self.remember(name, address, known(node_id), known(replid));
                Ok(())
            }
            // The old form has no id, and is passed over.
            ("known-sentinel", [_, _, _]) => Ok(()),
            ("known-sentinel", [name, host, port_text, id]) => {
                if self.find_master(name)?.peers.contains_key(*id) {
                    return Err("Duplicate runid for sentinel.".into());
                }
                let address = self.known_address(host, port(port_text)?)?;
                self.add_peer(name, id, address);
                Ok(())
            }
            (_, [_]) => self.configure_global(&option, arguments[0], &words[1]),
            (_, [name, value]) => self.configure_master(&option, name, value, &words[2]),
            ("synchronous-replicas", [name, replicas, node_id]) => {
                let told = Synchronous {
                    replicas: u32::try_from(number(replicas)).unwrap_or(0),
                    node_id: Some(node_id.to_string()),
                };
                self.find_master(name)?.synchronous = told;
                Ok(())
            }
            ("rename-command", [name, old, new]) => {
                let renamed = &mut self.find_master(name)?.settings.renamed;
                match renamed.insert(old.to_ascii_lowercase(), new.to_string()) {
                    None => Ok(()),
                    Some(_) => Err("Same command renamed multiple times with rename-command.".into()),
                }
            }
            _ => Err(UNKNOWN.into()),
        }
    }

    fn find_master(&mut self, name: &str) -> Result<&mut Master, String> {
        self.masters.get_mut(name).ok_or_else(|| "No such master with specified name.".to_string())
    }

    fn known_address(&mut self, host: &str, port: u16) -> Result<Address, String> {
        let address = self.address(host, port).ok_or("Can't resolve instance hostname.")?;
        if address.ip.is_none() {
            self.names.ask(host);
        }
        Ok(address)
    }

    /// Watches a master from now on.
    ///
    /// # Errors
    /// There is one of that name.
    pub fn monitor(&mut self, name: &str, address: Address, quorum: u32) -> Result<At, String> {
        if self.masters.contains_key(name) {
            return Err("Duplicate master name.".into());
        }
        let link = self.new_link();
        let instance = Instance::new(address, link, Role::Master, self.now_ms);
        let settings = Settings::new(quorum, &self.periods);
        self.masters.insert(name.to_string(), Master::new(name, instance, settings));
        self.is_dirty = true;
        Ok(At::master(name))
    }

    fn configure_global(&mut self, option: &str, value: &str, bytes: &[u8]) -> Result<(), String> {
        let globals = &mut self.globals;
        match option {
            "current-epoch" => self.current_epoch = self.current_epoch.max(epoch(value)),
            "myid" if value.len() != 40 || !value.is_ascii() => {
                return Err("Malformed Sentinel id in myid option.".into());
            }
            "myid" => self.id = value.to_string(),
            "announce-ip" if value.is_empty() => {}
            "announce-ip" => globals.announce_ip = Some(value.to_string()),
            "announce-port" => globals.announce_port = port(value)?,
            "deny-scripts-reconfig" => {
                globals.denies_script_changes =
                    yes_or_no(value, "Please specify yes or no for the deny-scripts-reconfig options.")?;
            }
            "sentinel-user" => globals.sentinel_user = optional(bytes),
            "sentinel-pass" => globals.sentinel_pass = optional(bytes),
            "resolve-hostnames" => {
                globals.resolve_hostnames =
                    yes_or_no(value, "Please specify yes or no for the resolve-hostnames option.")?;
            }
            "announce-hostnames" => {
                globals.announce_hostnames =
                    yes_or_no(value, "Please specify yes or no for the announce-hostnames option.")?;
            }
            _ => return Err(UNKNOWN.into()),
        }
        Ok(())
    }

    fn configure_master(&mut self, option: &str, name: &str, value: &str, bytes: &[u8]) -> Result<(), String> {
        let positive = || {
            let ms = u64::try_from(number(value)).ok().filter(|ms| *ms > 0);
            ms.map(|ms| ms.min(MS_MAX)).ok_or_else(|| "negative or zero time parameter.".to_string())
        };
        let not_negative = || {
            let ms = u64::try_from(number(value)).map_err(|_| "negative time parameter.".to_string());
            ms.map(|ms| ms.min(MS_MAX))
        };
        if option == "config-epoch" {
            let epoch = epoch(value);
            self.find_master(name)?.config_epoch = epoch;
            self.current_epoch = self.current_epoch.max(epoch);
            return Ok(());
        }
        let can_run = self.can_run;
        let master = match MASTER_OPTIONS.contains(&option) {
            true => self.find_master(name)?,
            false => return Err(UNKNOWN.into()),
        };
        let settings = &mut master.settings;
        match option {
            "down-after-milliseconds" => settings.down_after_ms = positive()?,
            "failover-timeout" => settings.failover_timeout_ms = positive()?,
            "parallel-syncs" => settings.parallel_syncs = u32::try_from(number(value)).unwrap_or(0),
            "notification-script" => {
                check_script(can_run, value, "Notification script seems non existing or non executable.")?;
                settings.notification_script = Some(value.to_string());
            }
            "client-reconfig-script" => {
                check_script(can_run, value, "Client reconfiguration script seems non existing or non executable.")?;
                settings.reconfig_script = Some(value.to_string());
            }
            "auth-pass" => settings.auth_pass = Some(bytes.to_vec()),
            "auth-user" => settings.auth_user = Some(bytes.to_vec()),
            "leader-epoch" => master.vote.epoch = epoch(value),
            "master-reboot-down-after-period" => {
                settings.reboot_down_after_ms = not_negative()?;
            }
            "strict-failover" => {
                settings.is_strict = yes_or_no(value, "Please specify yes or no for the strict-failover option.")?;
            }
            "hello-secret" => settings.secret = optional(bytes),
            "forget-after" => {
                settings.forget_after_ms = not_negative()?;
            }
            _ => return Err(UNKNOWN.into()),
        }
        Ok(())
    }

    /// What the file is to say. The order is Redis's.
    pub fn lines(&self) -> Vec<Lines> {
        let globals = &self.globals;
        let mut page = Page::default();
        page.put("sentinel myid", &[self.id.as_bytes()], true);
        page.switch("sentinel deny-scripts-reconfig", globals.denies_script_changes, true);
        page.switch("sentinel resolve-hostnames", globals.resolve_hostnames, false);
        page.switch("sentinel announce-hostnames", globals.announce_hostnames, false);
        // All of these are named, so that lines of masters that are gone go, too.
        PER_MASTER.iter().for_each(|option| page.name(option));
        for master in self.masters.values() {
            self.put_master(&mut page, master);
        }
        page.put("sentinel current-epoch", &[self.current_epoch.to_string().as_bytes()], true);
        page.optional("sentinel announce-ip", globals.announce_ip.as_deref().map(str::as_bytes));
        let port = (globals.announce_port != 0).then(|| globals.announce_port.to_string());
        page.optional("sentinel announce-port", port.as_deref().map(str::as_bytes));
        page.optional("sentinel sentinel-user", globals.sentinel_user.as_deref());
        page.optional("sentinel sentinel-pass", globals.sentinel_pass.as_deref());
        page.0
    }

    fn put_master(&self, page: &mut Page, master: &Master) {
        let (names, settings) = (self.globals.announce_hostnames, &master.settings);
        let name = master.name.as_bytes();
        let mut put = |option, values: &[&[u8]]| {
            page.put(option, &std::iter::once(name).chain(values.iter().copied()).collect::<Vec<_>>(), true);
        };
        let place = |address: &Address| (address.announced(names), address.port.to_string());
        let address = master.current_address();
        let (host, port) = place(address);
        put("sentinel monitor", &[host.as_bytes(), port.as_bytes(), settings.quorum.to_string().as_bytes()]);
        let default = Settings::new(settings.quorum, &self.periods);
        for (option, value, default) in [
            ("sentinel down-after-milliseconds", settings.down_after_ms, default.down_after_ms),
            ("sentinel failover-timeout", settings.failover_timeout_ms, default.failover_timeout_ms),
            ("sentinel parallel-syncs", u64::from(settings.parallel_syncs), 1),
            ("sentinel master-reboot-down-after-period", settings.reboot_down_after_ms, 0),
            ("sentinel forget-after", settings.forget_after_ms, FORGET_AFTER_MS),
        ] {
            if value != default {
                put(option, &[value.to_string().as_bytes()]);
            }
        }
        for (option, value) in [
            ("sentinel notification-script", settings.notification_script.as_ref().map(|path| path.as_bytes())),
            ("sentinel client-reconfig-script", settings.reconfig_script.as_ref().map(|path| path.as_bytes())),
            ("sentinel auth-pass", settings.auth_pass.as_deref()),
            ("sentinel auth-user", settings.auth_user.as_deref()),
            ("sentinel hello-secret", settings.secret.as_deref()),
            ("sentinel strict-failover", (!settings.is_strict).then_some(b"no".as_slice())),
        ] {
            if let Some(value) = value {
                put(option, &[value]);
            }
        }
        put("sentinel config-epoch", &[master.config_epoch.to_string().as_bytes()]);
        put("sentinel leader-epoch", &[master.vote.epoch.to_string().as_bytes()]);
        if let Some(node_id) = master.current_node_id().filter(|_| master.synchronous.replicas > 0) {
            put(
                "sentinel synchronous-replicas",
                &[master.synchronous.replicas.to_string().as_bytes(), node_id.as_bytes()],
            );
        }
        for replica in master.replicas.values() {
            // The promoted one is the master already: in its place stands the old one.
            let own = &replica.instance.address;
            let (host, port) = place(if own.is_same(address) { &master.instance.address } else { own });
            put("sentinel known-replica", &[host.as_bytes(), port.as_bytes()]);
        }
        // In the order in which they were forgotten.
        let mut forgotten: Vec<_> = master.forgotten.values().collect();
        forgotten.sort_by_key(|forgotten| forgotten.order);
        for forgotten in forgotten {
            let (host, port) = place(&forgotten.instance.address);
            let ids = [&forgotten.instance.node_id, &forgotten.replid].map(|id| id.as_deref().unwrap_or("-"));
            put(
                "sentinel forgotten-replica",
                &[host.as_bytes(), port.as_bytes(), ids[0].as_bytes(), ids[1].as_bytes()],
            );
        }
        for (id, peer) in &master.peers {
            let (host, port) = place(&peer.instance.address);
            put("sentinel known-sentinel", &[host.as_bytes(), port.as_bytes(), id.as_bytes()]);
        }
        for (old, new) in &settings.renamed {
            put("sentinel rename-command", &[old.as_bytes(), new.as_bytes()]);
        }
    }
}

const UNKNOWN: &str = "Unrecognized sentinel configuration statement.";

const MASTER_OPTIONS: [&str; 12] = [
    "down-after-milliseconds",
    "failover-timeout",
    "parallel-syncs",
    "notification-script",
    "client-reconfig-script",
    "auth-pass",
    "auth-user",
    "leader-epoch",
    "master-reboot-down-after-period",
    "strict-failover",
    "hello-secret",
    "forget-after",
];

/// Options with a line for each master, in the order in which they are written.
const PER_MASTER: [&str; 19] = [
    "sentinel monitor",
    "sentinel down-after-milliseconds",
    "sentinel failover-timeout",
    "sentinel parallel-syncs",
    "sentinel notification-script",
    "sentinel client-reconfig-script",
    "sentinel auth-pass",
    "sentinel auth-user",
    "sentinel master-reboot-down-after-period",
    "sentinel strict-failover",
    "sentinel hello-secret",
    "sentinel forget-after",
    "sentinel config-epoch",
    "sentinel leader-epoch",
    "sentinel synchronous-replicas",
    "sentinel known-replica",
    "sentinel forgotten-replica",
    "sentinel known-sentinel",
    "sentinel rename-command",
];

/// A script must be a file that can be run.
pub(crate) fn check_script(can_run: fn(&str) -> bool, path: &str, error: &str) -> Result<(), String> {
    if can_run(path) { Ok(()) } else { Err(error.to_string()) }
}

#[derive(Default)]
struct Page(Vec<Lines>);

impl Page {
    fn name(&mut self, option: &'static str) {
        if !self.0.iter().any(|(name, _)| *name == option) {
            self.0.push((option, Vec::new()));
        }
    }

    fn put(&mut self, option: &'static str, values: &[&[u8]], is_needed: bool) {
        self.name(option);
        let mut line = option.as_bytes().to_vec();
        for value in values {
            line.push(b' ');
            line.extend(word(value));
        }
        if let Some((_, lines)) = self.0.iter_mut().find(|(name, _)| *name == option) {
            lines.push((line, is_needed));
        }
    }

    fn switch(&mut self, option: &'static str, is_on: bool, default: bool) {
        self.put(option, &[if is_on { b"yes" } else { b"no" }], is_on != default);
    }

    fn optional(&mut self, option: &'static str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.put(option, &[value], true),
            None => self.name(option),
        }
    }
}

/// A value as one word of a line.
fn word(value: &[u8]) -> Vec<u8> {
    let is_plain =
        !value.is_empty() && value.iter().all(|c| c.is_ascii_graphic() && !matches!(c, b'"' | b'\'' | b'\\'));
    if is_plain { value.to_vec() } else { rivulet_resp::inline::quote(value) }
}

/// Whether a host is a number.
pub(crate) fn is_number(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivulet_resp::inline::split_words;

    fn words(line: &str) -> Vec<Vec<u8>> {
        split_words(line.as_bytes()).expect("balanced quotes").split_off(1)
    }

    fn configured(lines: &[&str]) -> Result<Sentinel, String> {
        let mut sentinel = Sentinel::new(0, 0, 1);
        let mut lines: Vec<_> = lines.iter().map(|line| words(line)).collect();
        lines.sort_by_key(|words| stage(&words[0]));
        lines.iter().try_for_each(|words| sentinel.configure(words))?;
        Ok(sentinel)
    }

    fn written(sentinel: &Sentinel) -> Vec<String> {
        let lines = sentinel.lines();
        let needed = lines.iter().flat_map(|(_, lines)| lines).filter(|(_, is_needed)| *is_needed);
        needed.map(|(line, _)| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let id = "a".repeat(40);
        let lines = [
            "sentinel down-after-milliseconds m 500",
            "sentinel failover-timeout m 2000",
            "sentinel parallel-syncs m 3",
            "sentinel auth-pass m \"a b\"",
            "sentinel auth-user m u",
            "sentinel master-reboot-down-after-period m 7",
            "sentinel strict-failover m no",
            "sentinel hello-secret m s",
            "sentinel forget-after m 0",
            "sentinel config-epoch m 4",
            "sentinel leader-epoch m 6",
            "sentinel known-replica m 10.0.0.2 2",
            "sentinel forgotten-replica m 10.0.0.7 9 - -",
            &format!("sentinel forgotten-replica m 10.0.0.6 6 {id} {}", "b".repeat(40)),
            "sentinel known-sentinel m 10.0.0.3 3 other",
            "sentinel rename-command m config guarded",
            "sentinel monitor m 10.0.0.1 1 2",
            "sentinel monitor n host.example 1 1",
            "sentinel current-epoch 5",
            "sentinel announce-ip 1.2.3.4",
            "sentinel announce-port 99",
            "sentinel deny-scripts-reconfig no",
            "sentinel resolve-hostnames yes",
            "sentinel announce-hostnames yes",
            "sentinel sentinel-user u",
            "sentinel sentinel-pass p",
            &format!("sentinel myid {id}"),
        ];
        let sentinel = configured(&lines).expect("good lines");
        assert_eq!((sentinel.current_epoch, sentinel.masters["m"].vote.epoch), (5, 6));
        let first = written(&sentinel);
        let mut expected: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        expected.extend(["sentinel config-epoch n 0".into(), "sentinel leader-epoch n 0".into()]);
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        assert_eq!(sorted(first.clone()), sorted(expected));
        let again = configured(&first.iter().map(String::as_str).collect::<Vec<_>>()).expect("its own lines");
        assert_eq!(written(&again), first);
    }

    #[test]
    fn errors_are_those_of_redis() {
        let monitor = "sentinel monitor m 10.0.0.1 1 2";
        let rows = [
            (vec!["sentinel monitor m 10.0.0.1 1 0"], "Quorum must be 1 or greater."),
            (vec!["sentinel monitor m host 1 1"], "Can't resolve instance hostname."),
            (vec!["sentinel monitor m 10.0.0.1 70000 1"], "Invalid port number."),
            (vec![monitor, monitor], "Duplicate master name."),
            (vec!["sentinel down-after-milliseconds m 1"], "No such master with specified name."),
            (vec![monitor, "sentinel down-after-milliseconds m 0"], "negative or zero time parameter."),
            (vec![monitor, "sentinel failover-timeout m -1"], "negative or zero time parameter."),
            (vec![monitor, "sentinel failover-timeout m x"], "negative or zero time parameter."),
            (vec![monitor, "sentinel master-reboot-down-after-period m -1"], "negative time parameter."),
            (
                vec![monitor, "sentinel notification-script m /none"],
                "Notification script seems non existing or non executable.",
            ),
            (
                vec![monitor, "sentinel known-replica m 10.0.0.2 1", "sentinel known-slave m 10.0.0.2 1"],
                "Duplicate hostname and port for replica.",
            ),
            (
                vec![monitor, "sentinel known-sentinel m 1.1.1.1 1 i", "sentinel known-sentinel m 1.1.1.2 1 i"],
                "Duplicate runid for sentinel.",
            ),
            (
                vec![monitor, "sentinel rename-command m a b", "sentinel rename-command m A c"],
                "Same command renamed multiple times with rename-command.",
            ),
            (vec!["sentinel myid short"], "Malformed Sentinel id in myid option."),
            (vec!["sentinel resolve-hostnames maybe"], "Please specify yes or no for the resolve-hostnames option."),
            (vec!["sentinel nonsense"], UNKNOWN),
            (vec!["sentinel nonsense a"], UNKNOWN),
            (vec![monitor, "sentinel nonsense m 1"], UNKNOWN),
            (vec!["sentinel monitor m"], UNKNOWN),
        ];
        for (lines, expected) in rows {
            assert_eq!(configured(&lines).err().as_deref(), Some(expected), "{lines:?}");
        }
        assert!(configured(&[monitor, "sentinel known-sentinel m 1.1.1.1 1"]).is_ok(), "the old form");
    }

    #[test]
    fn numbers_as_c_reads_them() {
        for (text, expected) in [("12", 12), ("12ms", 12), (" 7", 7), ("-3x", -3), ("+4", 4), ("x", 0), ("", 0)] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
