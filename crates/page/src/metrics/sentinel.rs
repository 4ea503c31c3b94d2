//! A Sentinel's figures: its masters, who of their replicas and of the other Sentinels is up, and what stands between a master and its replacement.
//!
//! Databases, of which redis_exporter tells of every server that there are sixteen, are left out: a Sentinel has none.

use std::collections::{BTreeMap, BTreeSet};

use rivulet_topology::info::{part, part_count};
use rivulet_topology::{Ask, AskError, Info};

use super::exposition::{Exposition, Kind::Gauge};
use super::{Sources, instance, table};
use crate::own::{Own, PATIENCE};
use crate::sentinel::{Watched, watched};

type Fields = BTreeMap<String, String>;

/// What is asked of one master.
#[derive(Default)]
struct Master {
    /// SENTINEL MASTERS' fields.
    fields: Fields,
    /// SENTINEL CKQUORUM: whether it can be reached, and in words.
    can_agree: bool,
    agreement: String,
    replicas: Vec<Fields>,
    /// The other ones.
    sentinels: Vec<Fields>,
}

/// Asks the own Sentinel all that is shown, and writes it.
///
/// # Errors
/// The Sentinel does not answer.
pub fn gather(own: &mut Own, unix_ms: u64) -> Result<String, String> {
    let info = own.text(&["INFO", "everything"]).map_err(|error| error.to_string())?;
    let all = own.maps(&["SENTINEL", "MASTERS"]).map_err(|error| error.to_string())?;
    let mut masters = Vec::new();
    for fields in all {
        match ask(own, fields) {
            Ok(master) => masters.push(master),
            // It was removed in between.
            Err(AskError::Refused(_)) => {}
            Err(AskError::Lost(why)) => return Err(why),
        }
    }
    Ok(write(Sources { info: Info::parse(&info), unix_ms, ..Sources::default() }, &masters))
}

fn ask(own: &mut Own, fields: Fields) -> Result<Master, AskError> {
    let name = fields.get("name").cloned().unwrap_or_default();
    let agreement = own.ask(&[b"SENTINEL", b"CKQUORUM", name.as_bytes()], PATIENCE).map_err(AskError::Lost)?;
    Ok(Master {
        fields,
        can_agree: !agreement.is_error(),
        agreement: agreement.text().into_owned(),
        replicas: own.maps(&["SENTINEL", "REPLICAS", &name])?,
        sentinels: own.maps(&["SENTINEL", "SENTINELS", &name])?,
    })
}

fn write(sources: Sources, masters: &[Master]) -> String {
    let mut out = Exposition::default();
    out.add("redis_up", Gauge, "Whether the server answers.", &[], 1.0);
    table::add(&mut out, &sources.info);
    instance(&mut out, &sources);
    whole(&mut out, &sources.info);
    for (_, line) in sources.info.numbered("master") {
        status(&mut out, line);
    }
    for master in masters {
        one(&mut out, master);
    }
    // INFO ends a name at a line break, where it may be that of another master: no series is written twice.
    let mut told = BTreeSet::new();
    for master in watched(&sources.info).into_iter().filter(|master| told.insert(master.name.clone())) {
        replacement(&mut out, &master);
    }
    out.text()
}

/// What holds for all masters.
fn whole(out: &mut Exposition, info: &Info) {
    for (field, name, help) in [
        ("sentinel_masters", "redis_sentinel_masters", "Masters that are watched."),
        ("sentinel_tilt", "redis_sentinel_tilt", "Whether it was not run for a while, and does not act yet."),
        ("sentinel_running_scripts", "redis_sentinel_running_scripts", "Scripts that run."),
        ("sentinel_scripts_queue_length", "redis_sentinel_scripts_queue_length", "Scripts that run or wait for it."),
        (
            "sentinel_simulate_failure_flags",
            "redis_sentinel_simulate_failure_flags",
            "Where it is to fail on purpose: 1 after an election, 2 after a promotion.",
        ),
        ("sentinel_current_epoch", "rivulet_sentinel_epoch", "The newest term that it knows of."),
    ] {
        if let Some(value) = info.float(field) {
            out.add(name, Gauge, help, &[], value);
        }
    }
}

/// INFO's line of a master: `name=mymaster,status=ok,address=127.0.0.1:6379,slaves=2,sentinels=3`. The name may be any text.
fn status(out: &mut Exposition, line: &str) {
    let Some((name, rest)) = line.strip_prefix("name=").and_then(|line| line.rsplit_once(",status=")) else { return };
    let status = rest.split(',').next().unwrap_or_default();
    let address = part(rest, "address").unwrap_or_default();
    let labels = [("master_name", name.to_string()), ("master_address", address.to_string())];
    let [named, at] = labels.clone();
    let is_ok = f64::from(u8::from(status == "ok"));
    let help = "Whether a master is believed to be up.";
    out.add("redis_sentinel_master_status", Gauge, help, &[named, at, ("master_status", status.to_string())], is_ok);
    for (field, name, help) in [
        ("slaves", "redis_sentinel_master_slaves", "Replicas of a master that are known."),
        ("sentinels", "redis_sentinel_master_sentinels", "Sentinels that watch a master, with this one."),
    ] {
        if let Some(count) = part_count(rest, field) {
            out.add(name, Gauge, help, &labels, count as f64);
        }
    }
}

fn one(out: &mut Exposition, master: &Master) {
    let text = |name: &str| master.fields.get(name).cloned().unwrap_or_default();
    let name = ("master_name", text("name"));
    let agreement = [name.clone(), ("message", master.agreement.clone())];
    let help = "Whether enough Sentinels are up to agree that a master is down and to elect who acts.";
    out.add("redis_sentinel_master_ckquorum_status", Gauge, help, &agreement, f64::from(u8::from(master.can_agree)));
    let labels = [name, ("master_address", format!("{}:{}", text("ip"), text("port")))];
    let help = "Replicas of a master that are not believed to be down.";
    out.add("redis_sentinel_master_ok_slaves", Gauge, help, &labels, count_up(&master.replicas));
    let help = "Sentinels that are not believed to be down, with this one.";
    out.add("redis_sentinel_master_ok_sentinels", Gauge, help, &labels, 1.0 + count_up(&master.sentinels));
    figures(out, &master.fields, &labels);
}

/// What SENTINEL MASTERS has in numbers.
fn figures(out: &mut Exposition, fields: &Fields, labels: &[(&str, String)]) {
    let figure = |name: &str| fields.get(name).and_then(|text| text.parse::<f64>().ok());
    for (field, name, help) in [
        ("quorum", "redis_sentinel_master_setting_ckquorum", "Sentinels that must agree that a master is down."),
        ("failover-timeout", "redis_sentinel_master_setting_failover_timeout", "The setting of this name, ms."),
        ("parallel-syncs", "redis_sentinel_master_setting_parallel_syncs", "The setting of this name."),
        ("config-epoch", "redis_sentinel_master_config_epoch", "The term of the failover that made this the master."),
    ] {
        if let Some(value) = figure(field) {
            out.add(name, Gauge, help, labels, value);
        }
    }
    if let Some(ms) = figure("last-ok-ping-reply") {
        let help = "Seconds since a master answered a ping well.";
        out.add("redis_sentinel_master_last_ok_ping_reply_seconds", Gauge, help, labels, ms / 1000.0);
    }
    if let Some(ms) = figure("down-after-milliseconds") {
        let help = "A master that does not answer for so long is believed to be down.";
        out.add("rivulet_sentinel_master_down_after_seconds", Gauge, help, &labels[..1], ms / 1000.0);
    }
}

fn count_up(instances: &[Fields]) -> f64 {
    let is_down = |flags: &String| flags.split(',').any(|flag| flag == "s_down" || flag == "o_down");
    instances.iter().filter(|fields| fields.get("flags").is_some_and(|flags| !is_down(flags))).count() as f64
}

/// What only our Sentinels tell.
fn replacement(out: &mut Exposition, master: &Watched) {
    let labels = [("master_name", master.name.clone())];
    let is = |whether: bool| u64::from(whether);
    for (name, help, value) in [
        (
            "failover_in_progress",
            "Whether a failover is under way, as this Sentinel sees it.",
            is(master.is_failing_over),
        ),
        ("sentinels_up", "Sentinels that are up, with this one.", master.sentinels_up),
        ("majority", "Sentinels that must elect who acts.", master.majority),
        ("quorum_reached", "Whether enough are up to agree that a master is down.", is(master.has_quorum())),
        ("majority_reached", "Whether enough are up to elect who acts.", is(master.has_majority())),
        ("members", "Members of a synchronous set without the master; 0 where nothing is synchronous.", master.members),
        ("members_answering", "Those of them that answer this Sentinel.", master.members_answering),
        ("members_to_fence", "Those of them that must be fenced before another is promoted.", master.members_to_fence),
        (
            "forgotten_replicas",
            "Replicas that were gone for long: they count no more, and are asked whether they are back.",
            master.forgotten_replicas,
        ),
    ] {
        out.add(&format!("rivulet_sentinel_master_{name}"), Gauge, help, &labels, value as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Sentinel of two masters said, the second of which is down.
    const INFO: &str = "redis_version:7.2.4\r\nrivulet_version:0.1.0\r\nredis_mode:sentinel\r\nrun_id:r\r\ntcp_port:26379\r\nuptime_in_seconds:10\r\n\
        connected_clients:3\r\nmaxclients:10000\r\n# Sentinel\r\nsentinel_masters:2\r\nsentinel_tilt:0\r\nsentinel_tilt_since_seconds:-1\r\n\
        sentinel_running_scripts:0\r\nsentinel_scripts_queue_length:1\r\nsentinel_simulate_failure_flags:0\r\n\
        master0:name=a,b,status=ok,address=127.0.0.1:6379,slaves=2,sentinels=2\r\n\
        master1:name=down,status=odown,address=10.0.0.9:6379,slaves=0,sentinels=1\r\n\r\n# Failover\r\nsentinel_current_epoch:7\r\n\
        failover0:epoch=7,state=none,sentinels_up=1,quorum=2,majority=2,members=2,members_answering=1,members_to_fence=2,forgotten_replicas=1,name=a,b\r\n\
        failover1:epoch=0,state=select_slave,sentinels_up=1,quorum=1,majority=1,members=0,members_answering=0,members_to_fence=0,forgotten_replicas=0,name=down\r\n";

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn lines(masters: &[Master]) -> Vec<String> {
        let sources = Sources { info: Info::parse(INFO), unix_ms: 2_000_000, ..Sources::default() };
        write(sources, masters).lines().map(str::to_string).collect()
    }

    fn master() -> Master {
        let flags = |flags| fields(&[("flags", flags)]);
        Master {
            fields: fields(&[
                ("name", "a,b"),
                ("ip", "127.0.0.1"),
                ("port", "6379"),
                ("quorum", "2"),
                ("config-epoch", "7"),
                ("failover-timeout", "180000"),
                ("parallel-syncs", "1"),
                ("down-after-milliseconds", "2500"),
                ("last-ok-ping-reply", "350"),
            ]),
            can_agree: false,
            agreement: "NOQUORUM 1 usable Sentinels. \"Too few\"".into(),
            replicas: vec![flags("slave"), flags("s_down,slave,disconnected"), flags("slave,reconf_done")],
            sentinels: vec![flags("s_down,sentinel"), Fields::new()],
        }
    }

    #[test]
    fn recorded_replies_are_written() {
        let lines = lines(&[master()]);
        for line in [
            "redis_up 1",
            "redis_connected_clients 3",
            "redis_start_time_seconds 1990",
            "redis_sentinel_masters 2",
            "redis_sentinel_scripts_queue_length 1",
            "rivulet_sentinel_epoch 7",
            "redis_sentinel_master_status{master_name=\"a,b\",master_address=\"127.0.0.1:6379\",master_status=\"ok\"} 1",
            "redis_sentinel_master_status{master_name=\"down\",master_address=\"10.0.0.9:6379\",master_status=\"odown\"} 0",
            "redis_sentinel_master_slaves{master_name=\"a,b\",master_address=\"127.0.0.1:6379\"} 2",
            "redis_sentinel_master_ok_slaves{master_name=\"a,b\",master_address=\"127.0.0.1:6379\"} 2",
            "redis_sentinel_master_ok_sentinels{master_name=\"a,b\",master_address=\"127.0.0.1:6379\"} 1",
            "redis_sentinel_master_ckquorum_status{master_name=\"a,b\",message=\"NOQUORUM 1 usable Sentinels. \\\"Too few\\\"\"} 0",
            "redis_sentinel_master_config_epoch{master_name=\"a,b\",master_address=\"127.0.0.1:6379\"} 7",
            "redis_sentinel_master_last_ok_ping_reply_seconds{master_name=\"a,b\",master_address=\"127.0.0.1:6379\"} 0.35",
            "rivulet_sentinel_master_down_after_seconds{master_name=\"a,b\"} 2.5",
            "rivulet_sentinel_master_quorum_reached{master_name=\"a,b\"} 0",
            "rivulet_sentinel_master_majority_reached{master_name=\"down\"} 1",
            "rivulet_sentinel_master_failover_in_progress{master_name=\"down\"} 1",
            "rivulet_sentinel_master_members_answering{master_name=\"a,b\"} 1",
            "rivulet_sentinel_master_members_to_fence{master_name=\"a,b\"} 2",
            "rivulet_sentinel_master_forgotten_replicas{master_name=\"a,b\"} 1",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line}\n{lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("redis_db_")), "a Sentinel has no databases");
    }

    #[test]
    fn names_that_are_alike_give_no_series_twice() {
        let line = |i: u32, name: &str| {
            format!("failover{i}:epoch=0,state=none,sentinels_up={i},quorum=1,majority=1,name={name}\r\n")
        };
        let text = [line(1, "a"), line(2, "a "), line(3, "a\nb"), line(4, "a\t")].concat();
        let written = write(Sources { info: Info::parse(&text), ..Sources::default() }, &[]);
        let of = |line: &&str| line.starts_with("rivulet_sentinel_master_sentinels_up{");
        let up: Vec<&str> = written.lines().filter(of).map(|line| line.split_once('{').expect("labels").1).collect();
        assert_eq!(up, ["master_name=\"a\"} 1", "master_name=\"a \"} 2", "master_name=\"a\t\"} 4"]);
    }

    #[test]
    fn what_was_not_said_is_left_out() {
        let lines = lines(&[Master { fields: fields(&[("name", "x")]), ..Master::default() }]);
        for name in ["redis_sentinel_master_config_epoch", "rivulet_sentinel_master_down_after_seconds"] {
            assert!(!lines.iter().any(|line| line.contains(name)), "{name}");
        }
    }
}
