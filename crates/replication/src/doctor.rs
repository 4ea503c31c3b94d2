//! The doctor: from measured figures to sentences on what was wrong, and which directive to set to what.
//!
//! One pure function, [`diagnose`]. It measures nothing and changes nothing.

use std::collections::VecDeque;

use crate::Millis;
use crate::measure::{Lag, Measure};
use crate::syncs::{End, Kind, Outcome, SyncHistory};

/// What the doctor looks at.
#[derive(Debug)]
pub struct Figures<'a> {
    pub measure: &'a Measure,
    pub syncs: &'a SyncHistory,
    /// A replica: how long its link has been down.
    pub link_down_seconds: Option<u64>,
    /// The data are not what their position says: from which offset on, and why.
    pub diverged: Option<(u64, &'a str)>,
    /// A master that was started again, and has not heard yet from enough members that it lacks nothing.
    pub is_unproven: bool,
    /// A replica: its master was started again and lacks what was acknowledged to it.
    pub master_lacks_data: bool,
    /// A replica: its last full syncs could not be loaded.
    pub unloadable: Option<FailedLoads<'a>>,
    pub replicas: usize,
    /// Why the disk does not take what is written, in a server with append-only files.
    pub disk_error: Option<&'a str>,
    pub backlog: Backlog,
    /// `repl-timeout` and `repl-ping-replica-period`.
    pub timeout: Millis,
    pub ping_period: Millis,
    /// The slowest command, if any was slow.
    pub slowest: Option<Slowest<'a>>,
    pub cut_off: CutOff,
    /// `min-replicas-to-write`, `min-replicas-max-lag` and how many replicas are good; `None` when the check is off.
    pub good_replicas: Option<GoodReplicas>,
    /// `synchronous-replicas` and how many replicas count; `None` on a replica, and when it is 0.
    pub synchronous: Option<Synchronous>,
}

/// How much of the stream is kept for replicas that come again.
#[derive(Debug, Clone, Copy)]
pub struct Backlog {
    /// Bytes of `repl-backlog-size`.
    pub size: u64,
    /// The size is `auto`.
    pub auto: bool,
    /// Bytes of `repl-backlog-disk-size`.
    pub disk_size: u64,
    /// What leaves the memory is on disk in fact.
    pub on_disk: bool,
}

/// Replicas that were cut off because they were slow, and the limits that said so, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct CutOff {
    /// So many, because of `client-output-buffer-limit replica`.
    pub by_output_limits: u64,
    /// Its hard and soft limit.
    pub output_limits: (u64, u64),
    /// So many, the slowest ones, because of `repl-hold-limit` or of a full disk.
    pub by_hold_limit: u64,
    pub hold_limit: u64,
}

/// A slow command.
#[derive(Debug, Clone, Copy)]
pub struct Slowest<'a> {
    pub name: &'a str,
    pub took: Millis,
}

/// Full syncs that could not be loaded, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct FailedLoads<'a> {
    pub count: u32,
    pub why: &'a str,
    pub retry_in: Millis,
    pub keeps_old_data: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct GoodReplicas {
    pub wanted: usize,
    pub lag_seconds_max: u64,
    pub there: usize,
}

/// Replicas that replies wait for.
#[derive(Debug, Clone, Copy)]
pub struct Synchronous {
    pub wanted: u64,
    /// Those that are online and count.
    pub there: usize,
    /// `synchronous-timeout`; 0 is none.
    pub timeout: Millis,
    /// Replies that were errors, as the time was over.
    pub timed_out: u64,
    /// A replica counts with what is durable there, and none has said anything of that.
    pub lacks_fsyncs: bool,
}

/// A time-out is safe at so many ping periods.
const PINGS_PER_TIMEOUT: u64 = 5;
/// So many samples are needed to say that a lag grows.
const LAG_SAMPLES_MIN: usize = 6;
/// A lag below these is not worth a word, nor is one below what is written in so many seconds.
const LAG_BYTES_MIN: u64 = 64 << 10;
const LAG_RATE_SECONDS: u64 = 3;
const LAG_SECONDS_MIN: u64 = 3;
/// A command that blocks for longer than this part of the time-out endangers the link.
const BLOCKED_PART_OF_TIMEOUT: u64 = 4;

/// What is wrong, each finding one paragraph; nothing if all is well.
pub fn diagnose(f: &Figures<'_>) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(diverged(f));
    out.extend(f.is_unproven.then(unproven_master));
    out.extend(f.master_lacks_data.then(lacking_master));
    out.extend(f.disk_error.map(refusing_disk));
    out.extend(backlog_for_reconnects(f));
    out.extend(avoidable_full_syncs(f));
    out.extend(match f.unloadable {
        Some(loads) => Some(failed_loads(&loads)),
        None => failed_syncs(f),
    });
    out.extend(ping_and_timeout(f));
    out.extend(f.measure.lags().filter_map(|(replica, samples)| growing_lag(replica, samples, f)));
    out.extend(blocking_command(f));
    out.extend(output_limit(f));
    out.extend(hold_limit(f));
    out.extend(too_few_good_replicas(f));
    out.extend(too_few_synchronous(f));
    out.extend(no_backlog_on_disk(f));
    out.extend(link_down(f));
    out
}

/// The figures that the findings rest on.
pub fn measured(f: &Figures<'_>) -> String {
    let reconnect = match (f.measure.mean_reconnect_ms(), f.measure.longest_reconnect_ms()) {
        (Some(mean), Some(_)) if f.measure.reconnects() == 1 => {
            format!("a replica came back once, after {}", seconds(mean))
        }
        (Some(mean), Some(longest)) => format!(
            "replicas came back {} times, after {} on average and {} at most",
            f.measure.reconnects(),
            seconds(mean),
            seconds(longest)
        ),
        _ => "no replica has gone and come back".to_string(),
    };
    let auto = if f.backlog.auto { " (auto)" } else { "" };
    let disk = if f.backlog.on_disk {
        format!(", with {} behind it on disk", bytes(f.backlog.disk_size))
    } else {
        String::new()
    };
    format!(
        "Measured: {reconnect}; the stream grows by {} per second; the backlog holds {}{auto}{disk}.",
        bytes(f.measure.bytes_per_second()),
        bytes(f.backlog.size)
    )
}

fn backlog_for_reconnects(f: &Figures<'_>) -> Option<String> {
    let mean = f.measure.mean_reconnect_ms()?;
    let held = f.backlog.size + if f.backlog.on_disk { f.backlog.disk_size } else { 0 };
    let (rate, wanted) = (f.measure.bytes_per_second(), f.measure.backlog_bytes_wanted());
    (wanted > held).then(|| {
        let reach = held.saturating_mul(1000).checked_div(rate).unwrap_or(0);
        format!(
            "The backlog is too small. Replicas need {} on average to come back, and {} are written per second: the \
             backlog of {} reaches back only {}. {}",
            seconds(mean),
            bytes(rate),
            bytes(held),
            seconds(reach),
            set_backlog(wanted)
        )
    })
}

fn avoidable_full_syncs(f: &Figures<'_>) -> Option<String> {
    let missed = f.syncs.newest().filter(|sync| sync.end == End::Master).filter_map(|sync| sync.why.bytes_missing);
    let (count, most) = missed.fold((0, 0), |(n, most), bytes| (n + 1, bytes.max(most)));
    let enough = most > 0 && f.backlog.size + if f.backlog.on_disk { f.backlog.disk_size } else { 0 } >= most;
    (count > 0).then(|| {
        let (syncs, them) = if count == 1 { ("full sync was", "it") } else { ("full syncs were", "them") };
        let now = match enough {
            true => "The backlog that is set now would have been enough.".to_string(),
            false => set_backlog(most + most / 4),
        };
        format!(
            "{count} {syncs} made only because the backlog did not reach back: a backlog of {} would have made a \
             partial sync of each of {them}. {now}",
            bytes(most)
        )
    })
}

fn failed_loads(loads: &FailedLoads<'_>) -> String {
    let times = if loads.count == 1 { "once".to_string() } else { format!("{} times in a row", loads.count) };
    let old = if loads.keeps_old_data { "The old data are kept" } else { "There are no old data any more" };
    format!(
        "The master's snapshot could not be loaded, {times}: {}. {old}, and the next attempt is in {}. Remove what this \
         server can't load from the master, or follow another one; REPLICAOF tries at once.",
        loads.why,
        seconds(loads.retry_in)
    )
}

fn failed_syncs(f: &Figures<'_>) -> Option<String> {
    let failed = |kind| {
        let failures = f.syncs.newest().filter(move |sync| sync.kind == kind);
        failures.filter_map(|sync| match &sync.outcome {
            Outcome::Failed(why) => Some((sync.at.peer.as_str(), why.as_str(), sync.took)),
            _ => None,
        })
    };
    let count = failed(Kind::Full).count();
    let (peer, why, took) = failed(Kind::Full).next()?;
    (count > 1).then(|| {
        format!(
            "{count} full syncs have failed, the last one with {peer} after {}: {why}. REPLICATION HISTORY lists them.",
            seconds(took)
        )
    })
}

fn ping_and_timeout(f: &Figures<'_>) -> Option<String> {
    let wanted = PINGS_PER_TIMEOUT * f.ping_period;
    (f.timeout < wanted).then(|| {
        format!(
            "The time-out is too short. repl-timeout is {} s and a ping is sent each {} s, so that a few late pings end \
             a link: it should be five to ten times the period. Set repl-timeout to {} or more, or \
             repl-ping-replica-period to {}.",
            f.timeout / 1000,
            f.ping_period / 1000,
            wanted / 1000,
            (f.timeout / PINGS_PER_TIMEOUT / 1000).max(1)
        )
    })
}

fn unproven_master() -> String {
    "This master was started again, and can't tell yet whether it has all that it had acknowledged: until all but synchronous-replicas - 1 of its members \
     have come with nothing that it lacks, it acknowledges no writes. Bring them back; or say that what it has is all, with REPLICAOF NO ONE here."
        .to_string()
}

fn refusing_disk(error: &str) -> String {
    format!(
        "The disk does not take what is written ({error}). Until it does, writes are refused, and replicas are sent nothing that is not on it. Make \
         room there, or mend it: this server tries again by itself."
    )
}

fn lacking_master() -> String {
    "The master was started again, or another node is in its place, and it lacks what this replica has acknowledged to it, so it is not followed: a full sync would take that from here, \
     too. Make this node, or another that has all, the master (SENTINEL FAILOVER, or REPLICAOF NO ONE here and REPLICAOF there); to give the data up, \
     use REPLICAOF NO ONE here and REPLICAOF again."
        .to_string()
}

fn growing_lag(replica: &str, samples: &VecDeque<Lag>, f: &Figures<'_>) -> Option<String> {
    if samples.len() < LAG_SAMPLES_MIN {
        return None;
    }
    // Thirds, not single samples: a lag goes up and down with each acknowledgement.
    let third = samples.len() / 3;
    let mean = |at: usize, of: fn(&Lag) -> u64| samples.range(at..at + third).map(of).sum::<u64>() / third as u64;
    let last = samples.len() - third;
    let (before, middle, now) = (mean(0, |l| l.bytes), mean(third, |l| l.bytes), mean(last, |l| l.bytes));
    let silence = mean(last, |l| l.seconds);
    let rate = f.measure.bytes_per_second();
    // Between two acknowledgements, a second apart, a replica in step seems to be behind by what was written then, and more is written at times.
    let is_much = now > LAG_BYTES_MIN.max(rate.saturating_mul(LAG_RATE_SECONDS));
    if is_much && before < middle && middle < now && now > before + before / 2 {
        return Some(format!(
            "Replica {replica} falls behind: its lag grew from {} to {} in {} seconds, while {} are written per second. \
             It or the way to it is too slow: look there for slow commands (SLOWLOG GET), for a full disk or processor, \
             and let it serve fewer reads or fewer replicas of its own.",
            bytes(before),
            bytes(now),
            samples.len(),
            bytes(rate)
        ));
    }
    (silence >= LAG_SECONDS_MIN).then(|| {
        format!(
            "Replica {replica} has not acknowledged anything for {silence} s, though it should each second: something \
             blocks it. SLOWLOG GET there may say what; after repl-timeout ({} s) it is disconnected.",
            f.timeout / 1000
        )
    })
}

fn blocking_command(f: &Figures<'_>) -> Option<String> {
    let slowest = f.slowest?;
    (slowest.took * BLOCKED_PART_OF_TIMEOUT > f.timeout).then(|| {
        format!(
            "The command {} blocked this server for {}, and with it the heartbeats of all links; repl-timeout is {} s. \
             Use a form of it that works in parts (SCAN for KEYS, HSCAN for HGETALL), or set repl-timeout to {} or more.",
            slowest.name.to_uppercase(),
            seconds(slowest.took),
            f.timeout / 1000,
            (slowest.took * BLOCKED_PART_OF_TIMEOUT).div_ceil(1000)
        )
    })
}

fn output_limit(f: &Figures<'_>) -> Option<String> {
    (f.cut_off.by_output_limits > 0).then(|| {
        let (hard, soft) = f.cut_off.output_limits;
        let disk = match f.backlog.on_disk {
            false => "With repl-backlog-disk-size above 0 what waits for a replica is on disk and counts no more. ",
            true => "",
        };
        format!(
            "{} times a replica was cut off because more waited for it than client-output-buffer-limit allows. {disk}Set \
             client-output-buffer-limit to \"replica {} {} 60\", or to \"replica 0 0 0\" for no limit.",
            f.cut_off.by_output_limits,
            hard.saturating_mul(2),
            soft.saturating_mul(2)
        )
    })
}

fn hold_limit(f: &Figures<'_>) -> Option<String> {
    (f.cut_off.by_hold_limit > 0).then(|| {
        format!(
            "{} times the slowest replica was cut off, because more was held for replicas than repl-hold-limit ({}) or the \
             disk allows. Make the way to it faster, or set repl-hold-limit to {}mb if the disk has room for that.",
            f.cut_off.by_hold_limit,
            bytes(f.cut_off.hold_limit),
            (f.cut_off.hold_limit.saturating_mul(2) >> 20).max(1)
        )
    })
}

fn too_few_good_replicas(f: &Figures<'_>) -> Option<String> {
    let good = f.good_replicas.filter(|good| good.there < good.wanted)?;
    Some(format!(
        "Writes are refused: {} replicas are connected and not more than {} s behind, and min-replicas-to-write is {}. \
         Bring replicas back, or set min-replicas-to-write to {}{}.",
        good.there,
        good.lag_seconds_max,
        good.wanted,
        good.there,
        if f.replicas > good.there { " or min-replicas-max-lag higher" } else { "" }
    ))
}

fn too_few_synchronous(f: &Figures<'_>) -> Option<String> {
    let s = f.synchronous?;
    let fate = match s.timeout {
        0 => "wait, for as long as that is so".to_string(),
        ms => format!("are errors after {ms} ms"),
    };
    if (s.there as u64) < s.wanted {
        return Some(format!(
            "Replies to writes {fate}: {} replicas are online that count, and synchronous-replicas is {}. Bring replicas back, or \
             set synchronous-replicas to {}.",
            s.there, s.wanted, s.there
        ));
    }
    if s.lacks_fsyncs {
        return Some(format!(
            "Replies to writes {fate}: synchronous-commit is fsynced, and too few replicas say what is durable there. Set appendonly \
             to yes on them, or synchronous-commit to applied."
        ));
    }
    (s.timed_out > 0).then(|| {
        format!(
            "{} replies were -UNSYNCED, as {} replicas did not acknowledge within {} ms. Find out what slows them down, or set \
             synchronous-timeout higher.",
            s.timed_out, s.wanted, s.timeout
        )
    })
}

fn no_backlog_on_disk(f: &Figures<'_>) -> Option<String> {
    let used = f.replicas > 0 || f.measure.reconnects() > 0;
    (used && f.backlog.disk_size == 0).then(|| {
        "The backlog on disk is off: a replica that is away for longer than the memory reaches back costs a full sync. \
         Set repl-backlog-disk-size to 1gb, or to what the disk allows."
            .to_string()
    })
}

fn diverged(f: &Figures<'_>) -> Option<String> {
    let (offset, why) = f.diverged?;
    Some(format!(
        "The data differ from the master's since offset {offset}: {why}. REPLICATION VERIFY on the master names the keys. \
         A full sync makes them equal again (REPLICAOF NO ONE, then REPLICAOF), unless this version does not know the command; \
         then use one that does. If this node is promoted, its replicas fetch all data."
    ))
}

fn link_down(f: &Figures<'_>) -> Option<String> {
    let down = f.link_down_seconds?;
    Some(format!(
        "The link to the master has been down for {down} s. The log says why each attempt failed, and REPLICATION \
         HISTORY how the syncs ended."
    ))
}

fn set_backlog(wanted: u64) -> String {
    // In whole MiB, as people write it.
    let mib = wanted.div_ceil(1 << 20).max(1);
    format!("Set repl-backlog-size to {mib}mb, or to auto.")
}

fn seconds(ms: Millis) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

fn bytes(n: u64) -> String {
    match n {
        0..1024 => format!("{n} bytes"),
        1024..0x10_0000 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Window;
    use crate::measure::Peer;
    use crate::messages::{AskedId, PsyncRequest};
    use crate::position::ReplId;
    use crate::psync::{Decision, FullReason};
    use crate::syncs::Beginning;

    const BACKLOG: Backlog = Backlog { size: 1 << 20, auto: false, disk_size: 1 << 30, on_disk: false };
    const CUT_OFF: CutOff =
        CutOff { by_output_limits: 0, output_limits: (256 << 20, 64 << 20), by_hold_limit: 0, hold_limit: 64 << 20 };

    fn figures<'a>(measure: &'a Measure, syncs: &'a SyncHistory) -> Figures<'a> {
        Figures {
            disk_error: None,
            measure,
            syncs,
            link_down_seconds: None,
            diverged: None,
            is_unproven: false,
            master_lacks_data: false,
            unloadable: None,
            replicas: 1,
            backlog: BACKLOG,
            timeout: 60_000,
            ping_period: 10_000,
            slowest: None,
            cut_off: CUT_OFF,
            good_replicas: None,
            synchronous: None,
        }
    }

    fn peer() -> Peer {
        Peer { run_id: None, address: "h:1".to_string() }
    }

    /// Asserts that there is one finding, with these words in it.
    #[track_caller]
    fn assert_one(f: &Figures<'_>, words: &[&str]) {
        let found = diagnose(f);
        assert_eq!(found.len(), 1, "{found:?}");
        for word in words {
            assert!(found[0].contains(word), "{word}: {found:?}");
        }
    }

    #[test]
    fn all_is_well() {
        let (measure, syncs) = (Measure::default(), SyncHistory::default());
        assert_eq!(diagnose(&figures(&measure, &syncs)), Vec::<String>::new());
        assert!(measured(&figures(&measure, &syncs)).contains("no replica has gone"));
    }

    #[test]
    fn a_backlog_that_is_too_small() {
        let (mut measure, syncs) = (Measure::default(), SyncHistory::default());
        for second in 0..10 {
            measure.sample_stream(second << 20, second * 1000);
        }
        measure.detached(peer(), 0);
        measure.attached(&peer(), 4000);
        assert_one(&figures(&measure, &syncs), &["4.0 s", "1.0 MiB", "repl-backlog-size to 8mb"]);
        let enough = Figures { backlog: Backlog { size: 8 << 20, ..BACKLOG }, ..figures(&measure, &syncs) };
        assert_eq!(diagnose(&enough), Vec::<String>::new());
        let on_disk = Figures { backlog: Backlog { on_disk: true, ..BACKLOG }, ..figures(&measure, &syncs) };
        assert_eq!(diagnose(&on_disk), Vec::<String>::new());
    }

    #[test]
    fn full_syncs_that_a_backlog_would_have_spared() {
        let (measure, mut syncs) = (Measure::default(), SyncHistory::default());
        for has in [10, 20] {
            let window = Window { first: 3 << 20, end: 4 << 20 };
            let request = PsyncRequest { id: AskedId::Any, asked: has + 1, failover: false };
            let reason = Decision::Full(FullReason::Behind { asked: has + 1, window });
            let id = ReplId::ZERO;
            let at = Beginning { peer: "h:1".into(), id, second: id, window: Some(window), offset: 4 << 20 };
            syncs.granted(1, Some(&request), Some(&reason), at, 0);
        }
        assert_one(&figures(&measure, &syncs), &["2 full syncs", "4.0 MiB", "repl-backlog-size to 5mb"]);
        let larger = Figures { backlog: Backlog { size: 4 << 20, ..BACKLOG }, ..figures(&measure, &syncs) };
        assert_one(&larger, &["would have been enough"]);
    }

    #[test]
    fn a_time_out_of_few_pings() {
        let (measure, syncs) = (Measure::default(), SyncHistory::default());
        let short = Figures { timeout: 49_000, ..figures(&measure, &syncs) };
        assert_one(&short, &["repl-timeout to 50", "repl-ping-replica-period to 9"]);
        assert!(diagnose(&Figures { timeout: 50_000, ..figures(&measure, &syncs) }).is_empty());
    }

    #[test]
    fn a_lag_that_grows_and_one_that_does_not() {
        let syncs = SyncHistory::default();
        let with = |lag: fn(u64) -> Lag| {
            let mut measure = Measure::default();
            (0..12).for_each(|i| measure.sample_lag(peer(), lag(i)));
            diagnose(&figures(&measure, &syncs))
        };
        assert!(with(|i| Lag { bytes: i * 100_000, seconds: 0 })[0].contains("h:1 falls behind"));
        assert!(with(|i| Lag { bytes: i * 1000, seconds: 0 }).is_empty(), "too little");
        let mut busy = Measure::default();
        for i in 0..12 {
            busy.sample_stream(i * 1_000_000, i * 1000);
            busy.sample_lag(peer(), Lag { bytes: i * 100_000, seconds: 1 });
        }
        let findings = diagnose(&figures(&busy, &syncs));
        assert!(
            !findings.iter().any(|finding| finding.contains("falls behind")),
            "two seconds of writes: {findings:?}"
        );
        assert!(with(|i| Lag { bytes: 900_000 - i, seconds: 1 }).is_empty(), "it shrinks");
        assert!(with(|i| Lag { bytes: 0, seconds: i })[0].contains("not acknowledged anything"));
    }

    #[test]
    fn data_that_differ() {
        let (measure, syncs) = Default::default();
        let refused = Figures { disk_error: Some("No space left on device"), ..figures(&measure, &syncs) };
        assert_one(&refused, &["(No space left on device)", "writes are refused"]);
        let f = Figures { diverged: Some((23, "clients write to this replica")), ..figures(&measure, &syncs) };
        assert_one(&f, &["since offset 23", "clients write", "VERIFY"]);
    }

    #[test]
    fn the_other_findings() {
        let (measure, syncs) = (Measure::default(), SyncHistory::default());
        let plain = || figures(&measure, &syncs);
        let slow = |took| Some(Slowest { name: "keys", took });
        assert_one(&Figures { slowest: slow(20_000), ..plain() }, &["KEYS", "20.0 s", "repl-timeout to 80"]);
        assert!(diagnose(&Figures { slowest: slow(15_000), ..plain() }).is_empty());
        assert_one(
            &Figures { cut_off: CutOff { by_output_limits: 3, ..CUT_OFF }, ..plain() },
            &["3 times", "client-output-buffer-limit", "repl-backlog-disk-size"],
        );
        let good = |there| Some(GoodReplicas { wanted: 2, lag_seconds_max: 10, there });
        assert_one(&Figures { good_replicas: good(1), ..plain() }, &["min-replicas-to-write to 1"]);
        assert!(diagnose(&Figures { good_replicas: good(2), ..plain() }).is_empty());
        assert_one(
            &Figures { backlog: Backlog { disk_size: 0, ..BACKLOG }, ..plain() },
            &["repl-backlog-disk-size to 1gb"],
        );
        assert!(diagnose(&Figures { backlog: Backlog { disk_size: 0, ..BACKLOG }, replicas: 0, ..plain() }).is_empty());
        assert_one(&Figures { link_down_seconds: Some(9), ..plain() }, &["down for 9 s"]);
        assert_one(&Figures { is_unproven: true, ..plain() }, &["acknowledges no writes", "REPLICAOF NO ONE"]);
        assert_one(
            &Figures { master_lacks_data: true, ..plain() },
            &["lacks", "SENTINEL FAILOVER", "REPLICAOF NO ONE"],
        );
        assert_one(
            &Figures { cut_off: CutOff { by_hold_limit: 2, ..CUT_OFF }, ..plain() },
            &["2 times", "64.0 MiB", "repl-hold-limit to 128mb"],
        );
        let loads = FailedLoads { count: 3, why: "no such type", retry_in: 4000, keeps_old_data: true };
        assert_one(
            &Figures { unloadable: Some(loads), ..plain() },
            &["3 times in a row: no such type", "old data are kept", "4.0 s"],
        );
    }

    #[test]
    fn replies_that_wait_for_replicas_that_are_not_there() {
        let (measure, syncs) = (Measure::default(), SyncHistory::default());
        let plain = |synchronous| Figures { synchronous: Some(synchronous), ..figures(&measure, &syncs) };
        let well = Synchronous { wanted: 2, there: 2, timeout: 0, timed_out: 0, lacks_fsyncs: false };
        assert!(diagnose(&plain(well)).is_empty());
        assert_one(&plain(Synchronous { there: 1, ..well }), &["wait", "synchronous-replicas to 1"]);
        assert_one(&plain(Synchronous { there: 1, timeout: 50, ..well }), &["errors after 50 ms"]);
        assert_one(&plain(Synchronous { lacks_fsyncs: true, ..well }), &["appendonly"]);
        assert_one(&plain(Synchronous { timed_out: 7, timeout: 50, ..well }), &["7 replies", "synchronous-timeout"]);
    }
}
