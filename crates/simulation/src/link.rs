//! One link, from its first byte on, that is cut with any one of them: a master and a replica that come to be the same all the same.

use fastrand::Rng;

use crate::client::{Client, PORT};
use crate::invariants::Broken;
use crate::invariants::position::Positions;
use crate::network::{Pinch, ip};
use crate::observer::{Observer, Sight};
use crate::schedule::Schedule;

const MASTER: usize = 0;
const REPLICA: usize = 1;
const CLIENTS: usize = 2;

/// Ways of a full sync.
pub const WAYS: usize = 5;
/// What both servers are told for each.
const HOW: [&[&str]; WAYS] = [
    &["--repl-diskless-sync", "no", "--repl-diskless-load", "disabled"],
    &["--repl-diskless-sync", "yes", "--repl-diskless-load", "swapdb"],
    &["--repl-diskless-sync", "yes", "--repl-diskless-load", "disabled", "--appendonly", "yes"],
    &["--dual-channel-replication-enabled", "yes"],
    &["--repl-rdb-channel", "yes"],
];
/// What a master sends until a replica has its data, and in one run, is a little less than this.
const BYTES_UP: u64 = 1_000;
const BYTES_MAX: u64 = 3_500;
/// Bytes that go at once, at most.
const PIECES: [usize; 3] = [1, 7, 4096];

const TICK_US: u64 = 2_000;
const OBSERVED_US: u64 = 100_000;
const WRITES: usize = 10;
const WRITE_US: u64 = 150_000;
/// Both must be the same within this time.
const PEACE_US: u64 = 60_000_000;

#[derive(Debug, PartialEq)]
pub struct Report {
    pub trace: u64,
    /// Which of the ways.
    pub way: usize,
    pub was_cut: bool,
    /// The replica had its data when it was.
    pub was_up: bool,
}

struct Pair {
    schedule: Schedule,
    observers: [Observer; 2],
    sights: [Option<Sight>; 2],
    positions: Positions,
    client: Client,
    /// When the link was last seen whole, and whether the replica was up by then.
    whole_us: u64,
    was_up: bool,
}

/// Runs a seed.
///
/// # Errors
/// What was broken. What the servers log goes to standard output if `shows_logs` is set.
pub fn run(seed: u64, shows_logs: bool) -> Result<Report, Broken> {
    let mut rng = Rng::with_seed(seed);
    let (way, piece) = (rng.usize(..WAYS), *rng.choice(PIECES.iter()).unwrap_or(&1));
    let most = if rng.bool() { BYTES_UP } else { BYTES_MAX };
    let cut_after = rng.u64(..most);
    let schedule = Schedule::new(seed, CLIENTS, shows_logs);
    let pinch = Pinch { from: MASTER, to: REPLICA, piece, cut_after: Some(cut_after) };
    schedule.shared.network.borrow_mut().pinch = Some(pinch);
    schedule.shared.say(|| format!("* {:?}, in pieces of {piece}, cut after {cut_after}", HOW[way]));
    let mut pair = Pair {
        schedule,
        observers: [MASTER, REPLICA].map(|server| Observer::new(CLIENTS, server)),
        sights: [None, None],
        positions: Positions::default(),
        client: Client::new(CLIENTS, MASTER),
        whole_us: 0,
        was_up: false,
    };
    pair.run(way)
}

impl Pair {
    fn run(&mut self, way: usize) -> Result<Report, Broken> {
        self.start(MASTER, way, &[]);
        self.until("the master answers", |pair| pair.sights[MASTER].is_some())?;
        self.write(0);
        self.start(REPLICA, way, &["--replicaof".into(), ip(MASTER).to_string(), PORT.to_string()]);
        for number in 1..=WRITES {
            self.pass(WRITE_US)?;
            self.write(number);
        }
        self.until("both are the same", Pair::are_the_same)?;
        let was_cut = !self.is_whole();
        let last_sync = self.sights[REPLICA].as_ref().map_or("", |sight| sight.last_sync.as_str());
        // Who had all loses no more by a cut than the connection.
        if self.was_up && was_cut && !last_sync.contains("kind=partial") {
            return Err(format!("a cut of a link that stood ended with {last_sync}"));
        }
        Ok(Report { trace: self.schedule.shared.trace(), way, was_cut, was_up: self.was_up })
    }

    fn start(&mut self, host: usize, way: usize, more: &[String]) {
        let common = [
            ["--dir", "/data"],
            ["--bind", "0.0.0.0"],
            ["--protected-mode", "no"],
            ["--enable-debug-command", "yes"],
            ["--save", ""],
            ["--repl-diskless-sync-delay", "0"],
            ["--repl-ping-replica-period", "3"],
            ["--repl-timeout", "6"],
        ];
        let words = common.as_flattened().iter().chain(HOW[way]).map(|word| word.to_string());
        self.schedule.start(host, &words.chain(more.iter().cloned()).collect::<Vec<_>>());
    }

    /// A transaction of which no half may be seen, and a value with what could be taken for a command.
    fn write(&mut self, number: usize) {
        let shared = self.schedule.shared.clone();
        let number = number.to_string();
        for words in [
            &["MULTI"][..],
            &["INCR", "counter"],
            &["RPUSH", "list", &number, "*1\r\n$7\r\nFLUSHDB\r\n"],
            &["SETEX", "key", "1000", &number],
            &["EXEC"],
        ] {
            self.client.ask(words, &shared);
        }
    }

    /// The link has not been cut yet.
    fn is_whole(&self) -> bool {
        self.schedule.shared.network.borrow().pinch.is_some_and(|pinch| pinch.cut_after.is_some())
    }

    fn are_the_same(&self) -> bool {
        let [Some(master), Some(replica)] = &self.sights else { return false };
        let now_us = self.schedule.now_us();
        let is_new = |sight: &Sight| {
            sight.at_us + 2 * OBSERVED_US > now_us && (self.is_whole() || sight.asked_us > self.whole_us + TICK_US)
        };
        self.client.outstanding == 0
            && [master, replica].into_iter().all(is_new)
            && replica.link_up
            && (&replica.id, replica.offset, &replica.digest) == (&master.id, master.offset, &master.digest)
    }

    fn tick(&mut self) -> Result<(), Broken> {
        let until_us = self.schedule.now_us() + TICK_US;
        while !self.schedule.advance(until_us) {}
        let shared = self.schedule.shared.clone();
        if let Some(error) = self.client.poll(&shared)?.iter().find(|reply| reply.is_error()) {
            return Err(format!("a write is answered by {error:?}"));
        }
        let is_whole = self.is_whole();
        if is_whole {
            self.whole_us = self.schedule.now_us();
        }
        for (observer, seen) in self.observers.iter_mut().zip(&mut self.sights) {
            if let Some(sight) = observer.tick(&shared, OBSERVED_US) {
                self.positions.saw(&sight)?;
                self.was_up |= is_whole && sight.server == REPLICA && sight.link_up;
                *seen = Some(sight);
            }
        }
        self.schedule.broken.take().map_or(Ok(()), Err)
    }

    fn pass(&mut self, us: u64) -> Result<(), Broken> {
        let until_us = self.schedule.now_us() + us;
        while self.schedule.now_us() < until_us {
            self.tick()?;
        }
        Ok(())
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Pair) -> bool) -> Result<(), Broken> {
        let end_us = self.schedule.now_us() + PEACE_US;
        while !is_so(self) {
            if self.schedule.now_us() > end_us {
                return Err(format!("not after {} s: {what}: {:#?}", PEACE_US / 1_000_000, self.sights));
            }
            self.tick()?;
        }
        Ok(())
    }
}
