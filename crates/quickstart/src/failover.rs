//! `quickstart --failover`: a master is killed under writes, and nothing that was acknowledged is gone.
//!
//! Three servers with `synchronous-replicas 1`, three Sentinels, and writers that remember what was acknowledged. Each step of the failover is told
//! with its time since the kill; the old master comes back as a replica; then each acknowledged write is looked for.

use std::io::Write;

use super::clock;
use super::judges::{self, Names};
use super::node::{Node, Place};
use super::story;
use super::writers::{self, Writers};
use super::{Options, START_TIMEOUT_MS, Show, Stop, TICK, check};

const SERVERS: usize = 3;
/// What the servers have beyond a plain quickstart: an old master comes back with what it had.
const DIRECTIVES: &[&str] = &["--synchronous-replicas", "1", "--appendonly", "yes"];
/// The Sentinels' ports begin so far from the master's, or at the next that is free.
const SENTINEL_DISTANCE: u16 = 20_000;
/// A server that does not answer for so long is suspected.
const DOWN_AFTER_MS: u64 = 1000;
/// How long is written before the kill, and after all is well again.
const WRITING_MS: u64 = 2000;
/// A failover, or a return, that takes longer has failed.
const PATIENCE_MS: u64 = 60_000;
/// All time zones differ by multiples of this, which is longer than the show: so the clocks of a log and of this process can be compared.
const ZONE_STEP_MS: u64 = 15 * 60 * 1000;

/// The moment of the kill.
#[derive(Clone, Copy)]
struct Kill {
    monotonic_ms: u64,
    unix_ms: u64,
}

impl Kill {
    /// How long after it something happened that a log has at `day_ms`, milliseconds of its day.
    fn since(self, day_ms: u64) -> u64 {
        (day_ms % ZONE_STEP_MS + ZONE_STEP_MS - self.unix_ms % ZONE_STEP_MS) % ZONE_STEP_MS
    }
}

/// Runs it; answers the exit status: 1 if anything was lost.
pub fn run(show: &mut Show, options: &Options) -> Result<i32, Stop> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "Rivulet {} quickstart: a master is killed under writes, and three Sentinels see to it.",
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(out, "Logs and data, until it ends: {}\n", show.folder.path().display())?;
    let sentinels = start_all(show, options.port)?;
    let names = names(show)?;
    await_readiness(show)?;
    writeln!(out, "\nAll know each other; a write is acknowledged when it is on a replica, too.")?;
    for node in &mut show.nodes {
        // What the start has told is not news.
        node.new_log_lines();
    }

    let writers = Writers::start(&sentinels);
    narrate_for(show, &names, WRITING_MS)?;
    if writers.acknowledged() == 0 {
        return Err(Stop::Failed("no write was acknowledged before the kill".into()));
    }
    writeln!(
        out,
        "[writers]    {} writes acknowledged, wherever the Sentinels say the master is",
        writers.acknowledged()
    )?;
    let kill = kill_master(show, &writers)?;
    let mut is_done = false;
    narrate_until(show, &names, Some(kill), "no failover", |_, told| {
        is_done |= told == Some(judges::DONE);
        is_done && writers.back_ms().is_some()
    })?;
    let back_ms = writers.back_ms().unwrap_or_default();
    let without_ms = back_ms.saturating_sub(kill.monotonic_ms);
    writeln!(out, "[writers]    the first write was acknowledged again {without_ms} ms after the kill\n")?;

    let server = &mut show.nodes[0];
    server.start_again().map_err(|e| Stop::Failed(format!("can't start the old master again: {e}")))?;
    writeln!(out, "[server-1]   the old master is started again, with what it had (process {})", server.pid())?;
    narrate_until(show, &names, Some(kill), "the old master does not follow", |show, _| {
        show.nodes[0].sample().is_ok_and(|state| !state.is_master && state.link_up)
    })?;
    narrate_for(show, &names, WRITING_MS)?;
    let unanswered = writers.unanswered();
    let status = summarize(&sentinels, &writers.end(), unanswered, without_ms)?;
    if options.stay {
        stay(show, &names, &sentinels)?;
    }
    Ok(status)
}

/// Starts servers and Sentinels; answers the ports of the latter.
fn start_all(show: &mut Show, first: u16) -> Result<Vec<u16>, Stop> {
    let master = show.free_port(first)?;
    let mut port = master;
    for n in 1..=SERVERS {
        let upstream = (n > 1).then_some(master);
        show.start(Place { directives: DIRECTIVES, ..Place::new(&format!("server-{n}"), port, upstream, 0) })?;
        port = show.free_port(port.saturating_add(1))?;
    }
    let set = writers::SET;
    let text = format!(
        "sentinel monitor {set} 127.0.0.1 {master} 2\nsentinel down-after-milliseconds {set} {DOWN_AFTER_MS}\n\
         sentinel failover-timeout {set} 10000\n"
    );
    let mut ports = Vec::new();
    port = show.free_port(master.checked_add(SENTINEL_DISTANCE).unwrap_or(port))?;
    for n in 1..=SERVERS {
        let place = Place::new(&format!("sentinel-{n}"), port, None, 0);
        let node = Node::start_sentinel(show.folder.path(), place, &text)
            .map_err(|e| Stop::Failed(format!("can't start [sentinel-{n}]: {e}")))?;
        show.nodes.push(node);
        show.await_last()?;
        ports.push(port);
        port = show.free_port(port.saturating_add(1))?;
    }
    Ok(ports)
}

fn names(show: &mut Show) -> Result<Names, Stop> {
    let mut names = Names::default();
    for (i, node) in show.nodes.iter_mut().enumerate() {
        let name = node.place.name.clone();
        if i < SERVERS {
            names.servers.push((node.place.port, name));
            continue;
        }
        let id = node.client().and_then(|client| client.ask(&["SENTINEL", "MYID"]));
        names.sentinels.push((id.map_err(|e| Stop::Failed(format!("[{name}] does not tell its id: {e}")))?, name));
    }
    Ok(names)
}

/// Until the master counts with all members and each Sentinel knows everybody.
fn await_readiness(show: &mut Show) -> Result<(), Stop> {
    let deadline_ms = clock::monotonic_ms() + START_TIMEOUT_MS;
    loop {
        check(&show.stop)?;
        let is_ready = show.nodes.iter_mut().enumerate().all(|(i, node)| {
            let section = if i < SERVERS { "replication" } else { "sentinel" };
            let info = node.client().and_then(|client| client.ask(&["INFO", section]));
            info.is_ok_and(|info| match i {
                0 => has_members(&info),
                i if i < SERVERS => true,
                _ => info.contains("status=ok") && info.contains("slaves=2,sentinels=3"),
            })
        });
        if is_ready {
            return Ok(());
        }
        if clock::monotonic_ms() > deadline_ms {
            return Err(Stop::Failed("the Sentinels and servers did not find each other".into()));
        }
        clock::sleep(TICK);
    }
}

/// The master's INFO tells of all members, and of two replicas that count.
fn has_members(info: &str) -> bool {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    field("members").is_some_and(|members| members.split(',').count() == SERVERS)
        && field("synchronous_replicas_there") == Some("2")
}

fn kill_master(show: &mut Show, writers: &Writers) -> Result<Kill, Stop> {
    let node = &mut show.nodes[0];
    writers.note_killed(node.place.port);
    let kill = Kill { monotonic_ms: clock::monotonic_ms(), unix_ms: clock::unix_ms() };
    let pid = node.pid();
    node.kill().map_err(|e| Stop::Failed(format!("can't kill the master: {e}")))?;
    writeln!(std::io::stdout(), "\n[server-1]   the master is killed (kill -9 {pid})")?;
    Ok(kill)
}

fn narrate_for(show: &mut Show, names: &Names, ms: u64) -> Result<(), Stop> {
    let end_ms = clock::monotonic_ms() + ms;
    while clock::monotonic_ms() < end_ms {
        check(&show.stop)?;
        tell(show, names, None, &mut |_, _| {})?;
        clock::sleep(TICK);
    }
    Ok(())
}

/// Tells what happens until `is_over` says so: it is asked at each event, and at each look.
fn narrate_until(
    show: &mut Show,
    names: &Names,
    kill: Option<Kill>,
    failure: &str,
    mut is_over: impl FnMut(&mut Show, Option<&str>) -> bool,
) -> Result<(), Stop> {
    let deadline_ms = clock::monotonic_ms() + PATIENCE_MS;
    let mut over = false;
    while !over {
        check(&show.stop)?;
        if clock::monotonic_ms() > deadline_ms {
            return Err(Stop::Failed(format!("{failure} within {} s", PATIENCE_MS / 1000)));
        }
        tell(show, names, kill, &mut |show, told| over |= is_over(show, Some(told)))?;
        over |= is_over(show, None);
        if !over {
            clock::sleep(TICK);
        }
    }
    Ok(())
}

/// The events since the last look, in their own order.
fn tell(
    show: &mut Show,
    names: &Names,
    kill: Option<Kill>,
    heard: &mut dyn FnMut(&mut Show, &str),
) -> Result<(), Stop> {
    let mut events = Vec::new();
    for (i, node) in show.nodes.iter_mut().enumerate() {
        if let Some(status) = node.just_ended() {
            return Err(Stop::Failed(format!("[{}] has ended: {status}{}", node.place.name, node.last_words())));
        }
        for line in node.new_log_lines() {
            let event = if i < SERVERS {
                // The time of the day is told otherwise here.
                story::event(&line, &mut node.sync)
                    .map(|(ms, told)| (ms, told.split_once("  ").map_or(told.clone(), |(_, text)| text.to_string())))
            } else {
                judges::event(&line, names)
            };
            events.extend(event.map(|(ms, told)| (ms, node.place.name.clone(), told)));
        }
    }
    let since = |ms: u64| kill.map_or(ms, |kill| kill.since(ms));
    events.sort_by_key(|(ms, ..)| since(*ms));
    // What is said again at once is told once.
    events.dedup_by(|one, other| one.1 == other.1 && one.2 == other.2);
    for (ms, name, told) in events {
        let time = kill.map_or(String::new(), |_| format!("+{:>5} ms  ", since(ms)));
        writeln!(std::io::stdout(), "{:<12} {time}{told}", format!("[{name}]"))?;
        heard(show, &told);
    }
    Ok(())
}

/// Looks for each acknowledged write on the master; answers the exit status.
fn summarize(sentinels: &[u16], acknowledged: &[Vec<u64>], unanswered: u64, without_ms: u64) -> Result<i32, Stop> {
    let port = writers::master_port(sentinels).ok_or_else(|| Stop::Failed("no Sentinel tells a master".into()))?;
    let lost = writers::missing(port, acknowledged)
        .map_err(|e| Stop::Failed(format!("the master at port {port} does not tell what it has: {e}")))?;
    let count: usize = acknowledged.iter().map(Vec::len).sum();
    let mut out = std::io::stdout();
    writeln!(out, "\n  acknowledged writes            {count:>8}")?;
    writeln!(out, "  lost acknowledged writes       {lost:>8}")?;
    writeln!(out, "  writes without an answer       {unanswered:>8}   (nobody was told that they are kept)")?;
    writeln!(out, "  milliseconds without a master  {without_ms:>8}   (suspicion after {DOWN_AFTER_MS})")?;
    Ok(i32::from(lost > 0))
}

/// Goes on to tell what happens until a signal comes.
fn stay(show: &mut Show, names: &Names, sentinels: &[u16]) -> Result<(), Stop> {
    let mut out = std::io::stdout();
    let port = sentinels.first().copied().unwrap_or_default();
    writeln!(out, "\nTry, in another terminal:")?;
    writeln!(out, "      redis-cli -p {port} SENTINEL GET-MASTER-ADDR-BY-NAME {}", writers::SET)?;
    writeln!(out, "      redis-cli -p {port} SENTINEL FAILOVER {}", writers::SET)?;
    writeln!(out, "Ctrl-C ends all servers and removes their files.\n")?;
    loop {
        check(&show.stop)?;
        tell(show, names, None, &mut |_, _| {})?;
        clock::sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_since_the_kill_in_any_zone() {
        const DAY_MS: u64 = 24 * 3600 * 1000;
        let kill = Kill { monotonic_ms: 0, unix_ms: 1_795_000_000_000 };
        for zone_ms in [0, 3_600_000, 5 * 3_600_000 + 45 * 60_000] {
            assert_eq!(kill.since((kill.unix_ms + zone_ms + 1234) % DAY_MS), 1234);
        }
    }

    #[test]
    fn a_master_without_all_members_is_not_ready() {
        let info = |members: &str, there| {
            format!("role:master\r\nmembers:{members}\r\nsynchronous_replicas_there:{there}\r\n")
        };
        assert!(has_members(&info("a,b,c", 2)));
        assert!(!has_members(&info("a,b", 2)) && !has_members(&info("a,b,c", 1)) && !has_members("role:master\r\n"));
    }
}
