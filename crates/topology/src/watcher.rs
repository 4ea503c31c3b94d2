//! What asks the nodes: a thread each, so that one that is slow or dead delays nobody, and only while somebody wants to know.
//!
//! It has no sockets of its own: whoever starts it says how to connect ([`Connect`]) and how to ask ([`Ask`]), which must not wait without an end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use crate::address::Address;
use crate::doctor::Doctor;
use crate::info::Info;
use crate::survey::{Now, Survey, Topology};
use crate::sync::SyncRecord;

/// Syncs that a node is asked for.
const SYNCS: &str = "12";
/// Between two looks at what changes while a sync runs, and at the doctor, whose sentences nobody reads twice a second.
const HISTORY_MS: u64 = 1000;
const DOCTOR_MS: u64 = 4000;
/// A node that fails is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);
/// Connections are kept so long after nobody wanted to know any more.
const KEEP: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// An error reply: the connection goes on.
    Refused(String),
    /// The connection has ended, or answers too late.
    Lost(String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (AskError::Refused(why) | AskError::Lost(why)) = self;
        f.write_str(why)
    }
}

/// No answer is larger: of INFO, which is the largest by far, more is not read.
pub const REPLY_BYTES_MAX: usize = crate::info::TEXT_LEN_MAX;

/// A connection to a node. What comes is bounded in bytes ([`REPLY_BYTES_MAX`]) and in the time that the whole of it may take: nobody knows who that is.
pub trait Ask: Send {
    /// A command's reply as text.
    ///
    /// # Errors
    /// An error reply, or none.
    fn text(&mut self, words: &[&str]) -> Result<String, AskError>;

    /// A command's reply as a list of maps, their values as texts.
    ///
    /// # Errors
    /// An error reply, or none.
    fn maps(&mut self, words: &[&str]) -> Result<Vec<BTreeMap<String, String>>, AskError>;
}

/// Makes connections.
pub trait Connect: Send + Sync {
    /// Connects and logs in, in a bounded time.
    ///
    /// # Errors
    /// A sentence that says why not.
    fn connect(&self, to: &Address) -> Result<Box<dyn Ask>, String>;
}

/// What a thread does.
pub type Work = Box<dyn FnOnce() + Send>;

/// What a watcher is made of.
pub struct Plan {
    /// Where it begins; whether that is the node that asks.
    pub first: Address,
    pub is_own: bool,
    /// Nodes that are asked at once, at most.
    pub nodes_max: usize,
    pub connect: Box<dyn Connect>,
    /// Starts a thread, of which there are as many as nodes: its stack is to be small.
    pub spawn: fn(Work) -> io::Result<()>,
    /// Between two questions to a node.
    pub period: Duration,
    pub now: fn() -> Now,
    /// Called after each answer, on any thread.
    pub changed: Box<dyn Fn() + Send + Sync>,
}

struct State {
    survey: Survey,
    /// Somebody wants to know, until then.
    wanted_until_ms: u64,
    /// Addresses that have a thread.
    asked: BTreeSet<Address>,
    has_ended: bool,
}

struct Shared {
    state: Mutex<State>,
    turn: Condvar,
    plan: Plan,
}

/// Asks while it is wanted; ends its threads when it is dropped.
pub struct Watcher(Arc<Shared>);

impl Watcher {
    /// Nothing is asked before [`Watcher::want`].
    pub fn new(plan: Plan) -> Watcher {
        let survey = Survey::new(plan.first.clone(), plan.is_own, plan.nodes_max);
        let state = State { survey, wanted_until_ms: 0, asked: BTreeSet::new(), has_ended: false };
        Watcher(Arc::new(Shared { state: Mutex::new(state), turn: Condvar::new(), plan }))
    }

    /// Somebody wants to know for the next `for_ms`.
    pub fn want(&self, for_ms: u64) {
        let now_ms = (self.0.plan.now)().ms;
        let mut state = self.0.lock();
        let was_idle = state.wanted_until_ms <= now_ms;
        state.wanted_until_ms = state.wanted_until_ms.max(now_ms + for_ms);
        self.0.send_askers(&mut state);
        drop(state);
        if was_idle {
            self.0.turn.notify_all();
        }
    }

    pub fn topology(&self) -> Topology {
        let now = (self.0.plan.now)();
        self.0.lock().survey.topology(now)
    }

    /// Whether every node was asked since then.
    pub fn is_settled(&self, since_ms: u64) -> bool {
        self.0.lock().survey.is_settled(since_ms)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.turn.notify_all();
    }
}

impl Shared {
    /// A thread that panicked has left nothing half done that matters: each answer replaces the last.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a thread to each address that has none.
    fn send_askers(self: &Arc<Self>, state: &mut State) {
        let new: Vec<Address> = state.survey.targets().filter(|a| !state.asked.contains(*a)).cloned().collect();
        for address in new {
            let (shared, to) = (self.clone(), address.clone());
            match (self.plan.spawn)(Box::new(move || Asker::new(shared, to).run())) {
                Ok(()) => _ = state.asked.insert(address),
                Err(error) => {
                    let why = format!("no thread to ask it: {error}");
                    state.survey.failed(&address, &why, (self.plan.now)());
                }
            }
        }
    }

    /// Waits for `pause`, then until somebody wants to know; answers whether to go on. `idle` is called once when nobody has for a while.
    fn wait_until_wanted(&self, address: &Address, pause: Duration, idle: impl FnOnce()) -> bool {
        let goes_on = |state: &State| !state.has_ended && state.survey.is_target(address);
        let sleeps = |state: &mut State| goes_on(state);
        let state = self.lock();
        let (state, _) = self.turn.wait_timeout_while(state, pause, sleeps).unwrap_or_else(PoisonError::into_inner);
        let is_unwanted = |state: &mut State| goes_on(state) && state.wanted_until_ms <= (self.plan.now)().ms;
        let (state, timeout) =
            self.turn.wait_timeout_while(state, KEEP, is_unwanted).unwrap_or_else(PoisonError::into_inner);
        if !timeout.timed_out() {
            return goes_on(&state);
        }
        drop(state);
        idle();
        let state = self.turn.wait_while(self.lock(), is_unwanted).unwrap_or_else(PoisonError::into_inner);
        goes_on(&state)
    }
}

/// Asks one address.
struct Asker {
    shared: Arc<Shared>,
    address: Address,
    connection: Option<Box<dyn Ask>>,
    /// What INFO told of syncs when they were asked for last, and when that was.
    syncs_told: String,
    syncs_ms: u64,
    doctor_ms: Option<u64>,
}

impl Asker {
    fn new(shared: Arc<Shared>, address: Address) -> Asker {
        Asker { shared, address, connection: None, syncs_told: String::new(), syncs_ms: 0, doctor_ms: None }
    }

    fn run(mut self) {
        let mut pause = Duration::ZERO;
        loop {
            let connection = &mut self.connection;
            if !self.shared.wait_until_wanted(&self.address, pause, || *connection = None) {
                break;
            }
            pause = match self.ask() {
                Ok(()) => self.shared.plan.period,
                Err(why) => {
                    self.connection = None;
                    let now = (self.shared.plan.now)();
                    self.shared.lock().survey.failed(&self.address, &why, now);
                    RETRY
                }
            };
            (self.shared.plan.changed)();
        }
        self.shared.lock().asked.remove(&self.address);
    }

    /// Asks all that is due.
    fn ask(&mut self) -> Result<(), String> {
        let before = (self.shared.plan.now)();
        let info = match self.text(&["INFO"]) {
            Ok(text) => Info::parse(&text),
            Err(AskError::Refused(why) | AskError::Lost(why)) => return Err(why),
        };
        // It said so in between.
        let now = (self.shared.plan.now)();
        let said = Now { ms: before.ms + (now.ms - before.ms) / 2, unix_ms: now.unix_ms };
        {
            let mut state = self.shared.lock();
            state.survey.answered(&self.address, &info, said);
            self.shared.send_askers(&mut state);
            if !state.survey.is_target(&self.address) {
                return Ok(());
            }
        }
        let is_sentinel = info.text("redis_mode") == Some("sentinel");
        if info.text("rivulet_version").is_some() && !info.is_on("loading") && !is_sentinel {
            self.ask_for_syncs(&info, now.ms)?;
            self.ask_doctor(now.ms)?;
        }
        Ok(())
    }

    fn text(&mut self, words: &[&str]) -> Result<String, AskError> {
        self.connection()?.text(words)
    }

    fn connection(&mut self) -> Result<&mut Box<dyn Ask>, AskError> {
        if self.connection.is_none() {
            self.connection = Some(self.shared.plan.connect.connect(&self.address).map_err(AskError::Lost)?);
            self.syncs_told.clear();
        }
        self.connection.as_mut().ok_or_else(|| AskError::Lost("no connection".into()))
    }

    /// The history, when INFO shows that there is something new, and while a sync runs.
    fn ask_for_syncs(&mut self, info: &Info, now_ms: u64) -> Result<(), String> {
        let counts = ["sync_full", "sync_partial_ok", "last_sync"].map(|name| info.text(name).unwrap_or_default());
        let told = counts.join(" ");
        let is_running = told.contains("outcome=running") && now_ms.saturating_sub(self.syncs_ms) >= HISTORY_MS;
        if told == self.syncs_told && !is_running {
            return Ok(());
        }
        let maps = self.connection().map(|c| c.maps(&["REPLICATION", "HISTORY", SYNCS]));
        match maps.and_then(|reply| reply) {
            Ok(maps) => {
                let syncs = maps.iter().map(SyncRecord::from_fields).collect();
                self.shared.lock().survey.remembered(&self.address, syncs);
            }
            // A user who may not ask.
            Err(AskError::Refused(_)) => {}
            Err(AskError::Lost(why)) => return Err(why),
        }
        (self.syncs_told, self.syncs_ms) = (told, now_ms);
        Ok(())
    }

    fn ask_doctor(&mut self, now_ms: u64) -> Result<(), String> {
        if self.doctor_ms.is_some_and(|ms| now_ms.saturating_sub(ms) < DOCTOR_MS) {
            return Ok(());
        }
        self.doctor_ms = Some(now_ms);
        match self.text(&["REPLICATION", "DOCTOR"]) {
            Ok(text) => self.shared.lock().survey.examined(&self.address, Doctor::parse(&text)),
            Err(AskError::Refused(_)) => {}
            Err(AskError::Lost(why)) => return Err(why),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    static MS: AtomicU64 = AtomicU64::new(0);

    /// Each look is a millisecond later.
    fn now() -> Now {
        let ms = MS.fetch_add(1, Ordering::Relaxed);
        Now { ms, unix_ms: ms }
    }

    struct Net(Arc<AtomicU64>);

    struct Node(u16, Arc<AtomicU64>);

    impl Connect for Net {
        fn connect(&self, to: &Address) -> Result<Box<dyn Ask>, String> {
            match to.port {
                9 => Err("refused".into()),
                port => Ok(Box::new(Node(port, self.0.clone()))),
            }
        }
    }

    impl Ask for Node {
        fn text(&mut self, words: &[&str]) -> Result<String, AskError> {
            match (words[0], self.0) {
                ("INFO", 1) => {
                    self.1.fetch_add(1, Ordering::Relaxed);
                    Ok("rivulet_version:1\nrun_id:a\nrole:master\nslave0:ip=h,port=2,state=online\nslave1:ip=h,port=9,state=online\nsync_full:1".into())
                }
                ("INFO", _) => {
                    // It hangs, until the test has ended.
                    std::thread::park();
                    Err(AskError::Lost("late".into()))
                }
                _ => Ok("1 finding of replication:\n1. Slow.\nMeasured: all.".into()),
            }
        }

        fn maps(&mut self, _: &[&str]) -> Result<Vec<BTreeMap<String, String>>, AskError> {
            Ok(vec![BTreeMap::from([("kind".into(), "full".into()), ("bytes".into(), "7".into())])])
        }
    }

    fn wait_until(holds: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if holds() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("it did not come about");
    }

    #[test]
    fn a_slow_and_a_dead_node_delay_nobody_and_an_idle_watcher_asks_nobody() {
        let questions = Arc::new(AtomicU64::new(0));
        let watcher = Watcher::new(Plan {
            first: Address::new("h", 1).expect("an address"),
            is_own: true,
            nodes_max: 10,
            connect: Box::new(Net(questions.clone())),
            spawn: |work| std::thread::Builder::new().spawn(work).map(|_| ()),
            period: Duration::from_millis(1),
            now,
            changed: Box::new(|| {}),
        });
        std::thread::park_timeout(Duration::from_millis(20));
        assert_eq!(questions.load(Ordering::Relaxed), 0, "nobody wanted to know");
        watcher.want(1_000_000);
        wait_until(|| questions.load(Ordering::Relaxed) > 5);
        wait_until(|| watcher.topology().nodes.iter().any(|n| n.silent.as_deref() == Some("refused")));
        let topology = watcher.topology();
        let own = topology.own().expect("it is shown");
        assert_eq!((own.syncs.len(), own.syncs[0].bytes), (1, 7));
        wait_until(|| watcher.topology().own().is_some_and(|own| own.doctor.is_some()));
        assert_eq!(topology.nodes.len(), 3);
        assert!(!watcher.is_settled(0), "one has not answered");
        // Time passes, and nobody wants to know any more.
        MS.fetch_add(2_000_000, Ordering::Relaxed);
        std::thread::park_timeout(Duration::from_millis(20));
        let asked = questions.load(Ordering::Relaxed);
        std::thread::park_timeout(Duration::from_millis(50));
        assert!(questions.load(Ordering::Relaxed) <= asked + 1);
    }
}
