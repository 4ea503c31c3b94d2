//! `/metrics`: the own server's figures for Prometheus, or a Sentinel's.
//!
//! Names that begin with `redis_` are those of redis_exporter, with the same values and labels, so that boards made for it go on; a test compares them with its
//! output. Left out are those that `promtool check metrics` finds fault with by their names (`…_duration_sec`); the same figures are there with a `rivulet_` name.
//! `rivulet_` is what only this server has.

mod commands;
mod exposition;
mod replication;
mod sentinel;
mod table;

use std::collections::BTreeMap;

use rivulet_client::Reply;
use rivulet_topology::{Ask, Info, Link};
use serde_json::Value;

use crate::own::{Own, PATIENCE};
use exposition::{Exposition, Kind};

pub use sentinel::gather as gather_of_sentinel;

/// Where Sentinels tell each other of themselves: each listens there at every server that it watches, with one connection for it. A server is told nothing
/// else of them, above all not where they are.
const HELLOS: &[u8] = b"__sentinel__:hello";

/// What everything is made of.
#[derive(Default)]
struct Sources {
    info: Info,
    config: BTreeMap<String, String>,
    slowlog: Slowlog,
    /// Names of LATENCY LATEST, with the last and the worst in ms.
    latency: Vec<(String, u64, u64)>,
    /// The own link to its master.
    link: Option<Link>,
    verified: Option<Verified>,
    /// Sentinels that listen here.
    sentinels: Option<u64>,
    unix_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slowlog {
    len: u64,
    last_id: u64,
    last_us: u64,
}

/// The last proof that was made from the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub unix_ms: u64,
    /// How many replicas were `yes`, `no`, `unverifiable`, `timeout`.
    pub replicas: BTreeMap<String, u64>,
}

impl Verified {
    /// From the reply as JSON.
    pub fn of(answer: &Value, unix_ms: u64) -> Verified {
        let mut replicas: BTreeMap<String, u64> = BTreeMap::new();
        for replica in answer["reply"]["replicas"].as_array().into_iter().flatten() {
            *replicas.entry(replica["equal"].as_str().unwrap_or("unknown").to_string()).or_default() += 1;
        }
        Verified { unix_ms, replicas }
    }
}

/// Asks the own server all that is shown, and writes it.
///
/// # Errors
/// The server does not answer.
pub fn gather(own: &mut Own, link: Option<Link>, verified: Option<Verified>, unix_ms: u64) -> Result<String, String> {
    let info = own.text(&["INFO", "everything"]).map_err(|error| error.to_string())?;
    let names: [&[u8]; 5] = [b"CONFIG", b"GET", b"maxclients", b"maxmemory", b"io-threads"];
    let config = own.ask(&names, PATIENCE)?;
    let databases = own.ask(&[b"CONFIG", b"GET", b"databases"], PATIENCE)?;
    let pairs = config.pairs().into_iter().chain(databases.pairs()).flatten();
    let sources = Sources {
        info: Info::parse(&info),
        config: pairs.map(|(name, value)| (name.text().into_owned(), value.text().into_owned())).collect(),
        slowlog: slowlog(own)?,
        latency: latency(&own.ask(&[b"LATENCY", b"LATEST"], PATIENCE)?),
        link,
        verified,
        sentinels: sentinels(&own.ask(&[b"PUBSUB", b"NUMSUB", HELLOS], PATIENCE)?),
        unix_ms,
    };
    Ok(write(&sources))
}

/// What is shown of a server that does not answer.
pub fn of_silence(why: &str) -> String {
    let mut out = Exposition::default();
    out.add("redis_up", Kind::Gauge, "Whether the server answers.", &[], 0.0);
    let labels = [("error", why.to_string())];
    out.add("rivulet_scrape_failed", Kind::Gauge, "Why the server did not answer.", &labels, 1.0);
    out.text()
}

fn slowlog(own: &mut Own) -> Result<Slowlog, String> {
    let len = own.ask(&[b"SLOWLOG", b"LEN"], PATIENCE)?.as_i64().unwrap_or(0);
    let last = own.ask(&[b"SLOWLOG", b"GET", b"1"], PATIENCE)?;
    let entry = last.items().and_then(|items| items.first()).and_then(Reply::items).unwrap_or_default();
    let count = |at: usize| entry.get(at).and_then(Reply::as_i64).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Ok(Slowlog { len: u64::try_from(len).unwrap_or(0), last_id: count(0), last_us: count(2) })
}

/// The listeners of [`HELLOS`].
fn sentinels(reply: &Reply) -> Option<u64> {
    reply.items()?.get(1)?.as_i64().and_then(|n| u64::try_from(n).ok())
}

fn latency(reply: &Reply) -> Vec<(String, u64, u64)> {
    let entries = reply.items().unwrap_or_default().iter().filter_map(Reply::items);
    let count = |n: &Reply| n.as_i64().and_then(|n| u64::try_from(n).ok());
    entries.filter_map(|e| Some((e.first()?.text().into_owned(), count(e.get(1)?)?, count(e.get(2)?)?))).collect()
}

fn write(sources: &Sources) -> String {
    let mut out = Exposition::default();
    out.add("redis_up", Kind::Gauge, "Whether the server answers.", &[], 1.0);
    table::add(&mut out, &sources.info);
    instance(&mut out, sources);
    databases(&mut out, sources);
    commands::add(&mut out, &sources.info);
    replication::add(&mut out, sources);
    slow(&mut out, sources);
    out.text()
}

fn instance(out: &mut Exposition, sources: &Sources) {
    let info = &sources.info;
    let names = [
        "role",
        "redis_version",
        "redis_build_id",
        "redis_mode",
        "os",
        "maxmemory_policy",
        "tcp_port",
        "run_id",
        "process_id",
    ];
    let labels = names.map(|name| (name, info.text(name).unwrap_or_default().to_string()));
    out.add("redis_instance_info", Kind::Gauge, "Which server it is; always 1.", &labels, 1.0);
    let version = [("version", info.text("rivulet_version").unwrap_or_default().to_string())];
    out.add("rivulet_build_info", Kind::Gauge, "Which Rivulet it is; always 1.", &version, 1.0);
    let uptime = info.count("uptime_in_seconds").unwrap_or(0);
    let started = (sources.unix_ms / 1000).saturating_sub(uptime);
    out.add("redis_start_time_seconds", Kind::Gauge, "Unix time at which it was started.", &[], started as f64);
    for (name, directive) in [
        ("redis_config_maxclients", "maxclients"),
        ("redis_config_maxmemory", "maxmemory"),
        ("redis_config_io_threads", "io-threads"),
    ] {
        if let Some(value) = sources.config.get(directive).and_then(|value| value.parse().ok()) {
            out.add(name, Kind::Gauge, "The directive's value.", &[], value);
        }
    }
}

fn databases(out: &mut Exposition, sources: &Sources) {
    // As many as there can be, so that one that becomes empty is seen to; a configuration with very many is not a page of zeros.
    let count = sources.config.get("databases").and_then(|n| n.parse().ok()).unwrap_or(16).min(64);
    let lines: BTreeMap<u64, &str> = sources.info.numbered("db").into_iter().collect();
    let numbers: Vec<u64> = (0..count).chain(lines.keys().copied().filter(|n| *n >= count)).collect();
    for n in numbers {
        let labels = [("db", format!("db{n}"))];
        let part = |name| lines.get(&n).and_then(|line| rivulet_topology::info::part_count(line, name));
        out.add("redis_db_keys", Kind::Gauge, "Keys of a database.", &labels, part("keys").unwrap_or(0) as f64);
        let expiring = part("expires").unwrap_or(0) as f64;
        out.add("redis_db_keys_expiring", Kind::Gauge, "Keys that have a deadline.", &labels, expiring);
        if let Some(ttl) = part("avg_ttl") {
            let help = "Mean time that keys with a deadline have left.";
            out.add("redis_db_avg_ttl_seconds", Kind::Gauge, help, &labels, ttl as f64 / 1000.0);
        }
    }
}

fn slow(out: &mut Exposition, sources: &Sources) {
    let slowlog = sources.slowlog;
    out.add("redis_slowlog_length", Kind::Gauge, "Entries of the slow log.", &[], slowlog.len as f64);
    out.add("redis_slowlog_last_id", Kind::Gauge, "Number of its newest entry.", &[], slowlog.last_id as f64);
    let help = "How long the command of its newest entry took.";
    out.add("redis_last_slow_execution_duration_seconds", Kind::Gauge, help, &[], slowlog.last_us as f64 / 1e6);
    for (event, at, ms) in &sources.latency {
        let labels = [("event_name", event.clone())];
        out.add("redis_latency_spike_last", Kind::Gauge, "Unix time of the last latency event.", &labels, *at as f64);
        let help = "How long the last latency event took.";
        out.add("redis_latency_spike_duration_seconds", Kind::Gauge, help, &labels, *ms as f64 / 1e3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(name: &str) -> Info {
        let path = format!("{}/../topology/recorded/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        Info::parse(&std::fs::read_to_string(path).expect("it was recorded"))
    }

    fn lines(info: Info) -> Vec<String> {
        let config = BTreeMap::from([("maxclients".into(), "10000".into()), ("databases".into(), "2".into())]);
        let sources = Sources { info, config, unix_ms: 2_000_000, ..Sources::default() };
        write(&sources).lines().map(str::to_string).collect()
    }

    #[test]
    fn a_master() {
        let lines = lines(recorded("rivulet-master"));
        for line in [
            "redis_up 1",
            "redis_connected_slaves 2",
            "redis_config_maxclients 10000",
            "redis_db_keys{db=\"db0\"} 1",
            "redis_db_keys{db=\"db1\"} 0",
            "redis_connected_slave_offset_bytes{slave_ip=\"127.0.0.1\",slave_port=\"46003\",slave_state=\"online\"} 225023",
            "rivulet_replica_lag_bytes{replica_ip=\"127.0.0.1\",replica_port=\"46003\"} 0",
            "rivulet_sync_full_total{reason=\"stranger\"} 2",
            "# TYPE redis_commands_processed_total counter",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} is missing of\n{}", lines.join("\n"));
        }
        assert!(!lines.iter().any(|l| l.starts_with("redis_master_link_up")));
    }

    #[test]
    fn a_replica() {
        let lines = lines(recorded("rivulet-replica"));
        for line in [
            "redis_master_link_up{master_host=\"127.0.0.1\",master_port=\"46001\"} 1",
            "redis_slave_info{master_host=\"127.0.0.1\",master_port=\"46001\",read_only=\"1\"} 1",
            "redis_slave_priority 100",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} is missing of\n{}", lines.join("\n"));
        }
    }

    #[test]
    fn each_family_has_one_head_and_no_sample_comes_twice() {
        for name in ["rivulet-master", "rivulet-replica", "redis-master", "valkey-replica"] {
            let lines = lines(recorded(name));
            let mut samples: Vec<&str> = lines
                .iter()
                .filter(|l| !l.starts_with('#'))
                .filter_map(|l| l.rsplit_once(' '))
                .map(|(s, _)| s)
                .collect();
            let count = samples.len();
            samples.sort_unstable();
            samples.dedup();
            assert_eq!(samples.len(), count, "{name}");
            let mut heads: Vec<&String> = lines.iter().filter(|l| l.starts_with("# TYPE")).collect();
            let count = heads.len();
            heads.dedup();
            assert_eq!(heads.len(), count, "{name}");
        }
    }

    #[test]
    fn a_proof_is_counted() {
        let answer = serde_json::json!({"reply": {"offset": 1, "replicas": [{"equal": "yes"}, {"equal": "yes"}, {"equal": "no"}]}});
        let verified = Verified::of(&answer, 5);
        assert_eq!(verified.replicas, BTreeMap::from([("yes".into(), 2), ("no".into(), 1)]));
        assert_eq!(Verified::of(&Value::Null, 5).replicas, BTreeMap::new());
    }
}
