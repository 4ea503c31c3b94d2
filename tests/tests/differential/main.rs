//! The same random commands for Redis 7.0 and for Rivulet: every reply, every key's state, and what replicas make of it must agree.
//!
//! `RIVULET_SEED` plays a run again, `RIVULET_COMMANDS` sets its length, `RIVULET_MISMATCHES` how many differences are collected
//! before it ends. A difference is shown with the shortest list of commands that leads to it.

mod command_table;
mod compare;
mod fields;
mod scripts;
mod shown;
mod tracking;
mod users;

use std::collections::BTreeSet;

use compare::Comparer;
use rivulet_tests::client::shown_command;
use rivulet_tests::random::{self, Rng};
use rivulet_tests::{Client, Kind, Reply, Server, Words, data, wait};

type Command = Vec<Vec<u8>>;

const BATCH: usize = 250;
/// After so many commands all data are dropped, so that a difference has a short past.
const CHAPTER: usize = 5_000;

/// Redis and Rivulet side by side, as one client sees them.
struct Pair {
    theirs: Client,
    ours: Client,
    protocol: &'static str,
    past: Vec<Command>,
    comparer: Comparer,
}

struct Mismatch {
    index: usize,
    command: Command,
    theirs: Reply,
    ours: Reply,
}

impl Pair {
    fn new(theirs: &Server, ours: &Server, protocol: &'static str) -> Self {
        let mut pair = Self::beside(theirs, ours, protocol);
        pair.reset();
        pair
    }

    /// With the data that they have.
    fn beside(theirs: &Server, ours: &Server, protocol: &'static str) -> Self {
        let (theirs, ours) = (theirs.client(), ours.client());
        Self { theirs, ours, protocol, past: Vec::new(), comparer: Comparer::default() }
    }

    /// No data, no transaction, database 0.
    fn reset(&mut self) {
        for client in [&mut self.theirs, &mut self.ours] {
            client.must("RESET");
            client.must(&["HELLO", self.protocol]);
            client.must("FLUSHALL");
        }
        self.past.clear();
        self.comparer = Comparer::default();
    }

    /// Sends the commands to both; answers the first difference.
    fn step(&mut self, commands: &[Command]) -> Option<Mismatch> {
        let (theirs, ours) = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| self.theirs.pipeline(commands));
            let ours = self.ours.pipeline(commands);
            (theirs.join().expect("Redis answers"), ours)
        });
        for (index, ((command, theirs), ours)) in commands.iter().zip(theirs).zip(ours).enumerate() {
            if !self.comparer.same(command, &theirs, &ours) {
                self.past.extend_from_slice(&commands[..=index]);
                return Some(Mismatch { index, command: command.clone(), theirs, ours });
            }
        }
        self.past.extend_from_slice(commands);
        None
    }

    /// Whether these commands, from nothing, end in a difference (of the last reply, or of the data).
    fn differs(&mut self, commands: &[Command]) -> bool {
        self.reset();
        let found = self.step(commands).is_some_and(|m| m.index + 1 == commands.len());
        self.reset();
        found
    }

    /// Leaves out what is not needed for the difference.
    fn shortest(&mut self) -> Vec<Command> {
        let mut commands = std::mem::take(&mut self.past);
        if !self.differs(&commands) {
            return commands;
        }
        let mut size = commands.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at + size < commands.len() {
                let mut shorter = commands.clone();
                shorter.drain(at..at + size);
                if self.differs(&shorter) { commands = shorter } else { at += size }
            }
            size /= 2;
        }
        commands
    }
}

/// The commands that show the state of all keys.
fn inspection() -> Vec<Command> {
    let mut commands = vec!["DISCARD".to_string(), "UNWATCH".into()];
    for db in [1, 0] {
        commands.push(format!("SELECT {db}"));
        commands.push("DBSIZE".into());
        for key in "snlhtzxepg".chars().flat_map(|t| (0..4).map(move |i| format!("{t}{i}"))) {
            for command in ["TYPE", "OBJECT ENCODING", "PTTL", "DUMP", "DEBUG DIGEST-VALUE"] {
                commands.push(format!("{command} {key}"));
            }
        }
    }
    commands.push("DEBUG DIGEST".into());
    commands.iter().map(|c| c.split(' ').map(|w| w.as_bytes().to_vec()).collect()).collect()
}

fn report(pair: &mut Pair, found: &Mismatch) -> String {
    let shortest = pair.shortest();
    let lines: Vec<String> =
        shortest.iter().rev().take(20).rev().map(|c| format!("    {}", shown_command(c))).collect();
    let command = shown_command(&found.command);
    let Mismatch { theirs, ours, .. } = found;
    format!("{command}\n  Redis:   {theirs:?}\n  Rivulet: {ours:?}\n  after\n{}", lines.join("\n"))
}

/// What is played, and beside whom.
struct Run<'a> {
    test: &'a str,
    peer: Kind,
    /// Those of both servers.
    settings: &'a [&'a str],
    protocol: &'static str,
    /// How many commands.
    count: u64,
    /// The commands that show the state of all keys.
    inspection: fn() -> Vec<Command>,
}

/// Plays a run of commands of all families beside Redis 7.0; `settings` are those of both servers.
fn compare(test: &str, settings: &[&str], protocol: &'static str) {
    let mut words = Words::new(settings == TABLES);
    compare_all(test, settings, protocol, 100_000, |rng| words.command(rng));
}

/// Plays a run of `count` commands, one of which comes from `next` each time.
fn compare_all(
    test: &str,
    settings: &[&str],
    protocol: &'static str,
    count: u64,
    next: impl FnMut(&mut Rng) -> Command,
) {
    play(&Run { test, peer: Kind::Redis7, settings, protocol, count, inspection }, next);
}

fn play(run: &Run<'_>, mut next: impl FnMut(&mut Rng) -> Command) {
    let &Run { test, peer, settings, protocol, count, inspection } = run;
    if !peer.is_there() {
        return;
    }
    let seed = random::seed(test);
    let total = random::number("RIVULET_COMMANDS").unwrap_or(count) as usize;
    let allowed = random::number("RIVULET_MISMATCHES").unwrap_or(1) as usize;
    let mut theirs = Server::start(peer, settings);
    let mut ours = Server::start(Kind::Rivulet, settings);
    let mut followers = [Server::start(peer, settings), Server::start(Kind::Rivulet, settings)];
    followers[0].follow(&ours);
    followers[1].follow(&theirs);
    let mut pair = Pair::new(&theirs, &ours, protocol);
    let mut rng = Rng::with_seed(seed);
    let mut reports: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut done = 0;
    while done < total {
        let batch: Vec<Command> = (0..BATCH).map(|_| next(&mut rng)).collect();
        let found =
            pair.step(&batch).or_else(|| pair.step(&if done % (2 * BATCH) == 0 { inspection() } else { Vec::new() }));
        if let Some(mut found) = found {
            found.index += done;
            if seen.insert(found.command[0].to_ascii_uppercase()) {
                reports.push(format!("command {}: {}", found.index, report(&mut pair, &found)));
                println!("{}\n", reports[reports.len() - 1]);
            }
            pair.reset();
            if reports.len() >= allowed {
                break;
            }
        }
        done += BATCH;
        if done % CHAPTER == 0 {
            if let Some(found) = pair.step(&inspection()) {
                reports.push(format!("before {done}: {}", report(&mut pair, &found)));
                println!("{}\n", reports[reports.len() - 1]);
            }
            if done < total {
                pair.reset();
            }
        }
    }
    assert!(reports.is_empty(), "RIVULET_SEED={seed}\n\n{}", reports.join("\n\n"));
    for (master, follower) in [(&mut ours, 0), (&mut theirs, 1)] {
        let follower = &mut followers[follower];
        let offset = master.count("master_repl_offset");
        wait::until("the replica has all", || follower.count("slave_repl_offset") >= offset);
        if peer != Kind::Redis7 {
            // Each peer has a digest of its own.
            let mut pair = Pair::beside(master, follower, protocol);
            if let Some(found) = pair.step(&inspection()) {
                panic!("{} RIVULET_SEED={seed}: {:?} {:?}", shown_command(&found.command), found.theirs, found.ours);
            }
            continue;
        }
        let digests = (master.must("DEBUG DIGEST"), follower.must("DEBUG DIGEST"));
        if digests.0 != digests.1 {
            data::assert_same_data(master, follower, 2);
            panic!("the digests differ, RIVULET_SEED={seed}: {digests:?}");
        }
    }
}

const SMALL: &[&str] = &[
    "--hash-max-listpack-entries",
    "6",
    "--hash-max-listpack-value",
    "40",
    "--set-max-intset-entries",
    "6",
    "--zset-max-listpack-entries",
    "6",
    "--zset-max-listpack-value",
    "40",
    "--list-max-listpack-size",
    "5",
];

const TABLES: &[&str] = &[
    "--hash-max-listpack-entries",
    "0",
    "--set-max-intset-entries",
    "0",
    "--zset-max-listpack-entries",
    "0",
    "--list-max-listpack-size",
    "1",
];

#[test]
fn random_commands_get_the_same_replies_when_nothing_is_packed() {
    compare("no packed values, RESP2", TABLES, "2");
}

#[test]
fn random_commands_get_the_same_replies() {
    compare("default sizes, RESP2", &[], "2");
}

#[test]
fn random_commands_get_the_same_replies_when_values_change_their_form_early() {
    compare("small sizes, RESP3", SMALL, "3");
}
