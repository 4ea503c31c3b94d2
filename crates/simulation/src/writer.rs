//! A client that writes, and remembers what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use crate::client::{Client, Reply};
use crate::machine::Shared;
use crate::network::HostId;

/// A key of a writer's own that holds numbers, each larger than the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register {
    /// The largest that was sent.
    pub sent: u64,
    /// The largest that was acknowledged.
    pub acked: u64,
    /// Who acknowledged that.
    pub acked_by: HostId,
}

/// A set of a writer's own, each of whose members is added once: of what is lost before something else is written nothing is covered up.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The last that was sent.
    pub sent: u64,
    pub acked: BTreeSet<u64>,
}

/// What the reply to a command tells.
enum Awaited {
    /// The register holds this.
    Set {
        key: usize,
        value: u64,
    },
    /// This is in the ledger.
    Added(u64),
    Other,
}

pub struct Writer {
    pub client: Client,
    number: usize,
    pub registers: BTreeMap<usize, Register>,
    pub ledger: Ledger,
    awaited: std::collections::VecDeque<Awaited>,
    /// Replies, by their first word: what a run has exercised.
    pub replies: BTreeMap<String, u64>,
    next_us: u64,
    pub rests: bool,
}

/// Commands whose effect depends on chance, on time and on what is there, with an error after writes.
const SCRIPT: &str = "
    redis.call('sadd', KEYS[1] .. ':set', ARGV[1], ARGV[2])
    redis.call('spop', KEYS[1] .. ':set')
    redis.call('set', KEYS[2], redis.call('time')[1], 'px', 40 + ARGV[2] * 100)
    redis.pcall('incr', KEYS[1] .. ':list')
    if ARGV[2] == '3' then return redis.call('lpush', KEYS[2], 'wrong') end
    return redis.call('incr', KEYS[1] .. ':count')";

const LIBRARY: &str = "#!lua name=library\nredis.register_function('add', function(keys)";

const REGISTERS: usize = 6;
const KEYS: usize = 20;
/// In ms: soon, or in a while, which is soon for a server whose clock is ahead.
fn deadline(rng: &mut Rng) -> String {
    if rng.bool() { rng.u32(1..3_000) } else { rng.u32(60_000..2_000_000) }.to_string()
}

/// Writes of a burst, and how large each is.
pub const BURST: usize = 100;
pub const BURST_BYTES: usize = 8 << 10;

/// Commands that may be under way.
const PIPELINE_MAX: usize = 8;

impl Writer {
    pub fn new(number: usize, host: HostId, server: HostId) -> Writer {
        Writer {
            client: Client::new(host, server),
            number,
            registers: BTreeMap::new(),
            ledger: Ledger::default(),
            awaited: Default::default(),
            replies: BTreeMap::new(),
            next_us: 0,
            rests: false,
        }
    }

    /// The name of a register.
    pub fn register(number: usize, key: usize) -> String {
        format!("w{number}:r{key}")
    }

    /// The name of its ledger.
    pub fn ledger_name(number: usize) -> String {
        format!("w{number}:ledger")
    }

    /// What it was told nothing of may or may not have been done.
    pub fn go_to(&mut self, server: HostId, shared: &Shared) {
        self.awaited.clear();
        self.client.go_to(server, shared);
    }

    /// Reads what came, and writes.
    pub fn tick(&mut self, shared: &Shared, rng: &mut Rng) {
        match self.client.poll(shared) {
            Ok(replies) => replies.iter().for_each(|reply| self.told(reply)),
            Err(_) => {
                self.go_to(self.client.server, shared);
                self.next_us = shared.now_us.get() + 100_000;
            }
        }
        if self.rests || shared.now_us.get() < self.next_us || self.client.outstanding >= PIPELINE_MAX {
            return;
        }
        self.next_us = shared.now_us.get() + rng.u64(200..8_000);
        for _ in 0..rng.usize(1..4) {
            self.write(shared, rng);
        }
    }

    /// What it has asked for and has no reply to is at most so much.
    pub fn asked_bytes_max(&self) -> u64 {
        self.client.outstanding as u64 * BURST_BYTES as u64
    }

    /// Writes a lot at once.
    pub fn burst(&mut self, count: usize, shared: &Shared) {
        for i in 0..count {
            let words = ["SET".into(), format!("w{}:big{}", self.number, i % 3), "x".repeat(BURST_BYTES)];
            self.ask(&words, Awaited::Other, shared);
        }
    }

    fn told(&mut self, reply: &Reply) {
        let word = match reply {
            Reply::Error(text) => text.split(' ').next().unwrap_or_default().to_string(),
            Reply::Simple(text) => text.clone(),
            Reply::Int(_) => "int".into(),
            Reply::Bulk(_) => "bulk".into(),
            Reply::Nil => "nil".into(),
            Reply::Array(_) => "array".into(),
        };
        *self.replies.entry(word).or_default() += 1;
        match self.awaited.pop_front() {
            Some(Awaited::Set { key, value }) if !reply.is_error() => {
                let register = self.registers.entry(key).or_default();
                if value > register.acked {
                    (register.acked, register.acked_by) = (value, self.client.server);
                }
            }
            Some(Awaited::Added(member)) if !reply.is_error() => {
                self.ledger.acked.insert(member);
            }
            _ => {}
        }
    }

    fn ask(&mut self, words: &[String], awaited: Awaited, shared: &Shared) {
        self.awaited.push_back(awaited);
        self.client.ask(words, shared);
    }

    fn write(&mut self, shared: &Shared, rng: &mut Rng) {
        let key = format!("w{}:k{}", self.number, rng.usize(..KEYS));
        let other = format!("w{}:k{}", self.number, rng.usize(..KEYS));
        let (value, field) = (rng.u32(..).to_string(), rng.u8(..10).to_string());
        let words: Vec<String> = match rng.u8(..30) {
            0..=4 => return self.set_register(shared, rng),
            5 => return self.add_to_ledger(shared),
            6 => ["SET", &key, &value, "PX", &deadline(rng)].map(String::from).into(),
            7 => ["PEXPIRE", &key, &deadline(rng)].map(String::from).into(),
            8 => ["DEL", &key, &other].map(String::from).into(),
            9 | 10 => ["RPUSH", &format!("{key}:list"), &value, "x"].map(String::from).into(),
            11 => ["LPOP", &format!("{key}:list"), "1"].map(String::from).into(),
            12 => ["SADD", &format!("{key}:set"), &value, &field].map(String::from).into(),
            13 => ["SPOP", &format!("{key}:set")].map(String::from).into(),
            14 => ["HSET", &format!("{key}:hash"), &field, &value].map(String::from).into(),
            15 => ["HINCRBYFLOAT", &format!("{key}:hash"), &field, "0.1"].map(String::from).into(),
            16 => ["ZADD", &format!("{key}:zset"), &value, &field].map(String::from).into(),
            17 => ["INCR", &format!("{key}:count")].map(String::from).into(),
            18 => ["GETEX", &key, "PX", "700"].map(String::from).into(),
            19 => ["APPEND", &format!("{key}:text"), &value].map(String::from).into(),
            20 => ["GET", &key].map(String::from).into(),
            21 => return self.transaction(&key, &other, shared),
            22 => ["SETRANGE", &format!("{key}:text"), "100", &"y".repeat(rng.usize(1..400))].map(String::from).into(),
            23 | 24 => ["EVAL", SCRIPT, "2", &key, &other, &value, &field].map(String::from).into(),
            25 => {
                let library = format!("{LIBRARY} return redis.call('incrby', keys[1], {field}) end)");
                self.ask(&["FUNCTION", "LOAD", "REPLACE", &library].map(String::from), Awaited::Other, shared);
                ["FCALL", "add", "1", &format!("{key}:count")].map(String::from).into()
            }
            26 => {
                let ms = deadline(rng);
                ["HPEXPIRE", &format!("{key}:hash"), &ms, "FIELDS", "1", &field].map(String::from).into()
            }
            27 => ["HSETEX", &format!("{key}:hash"), "PX", &deadline(rng), "FIELDS", "1", &field, &value]
                .map(String::from)
                .into(),
            28 => ["HGETEX", &format!("{key}:hash"), "PERSIST", "FIELDS", "1", &field].map(String::from).into(),
            _ => ["RENAME", &key, &other].map(String::from).into(),
        };
        self.ask(&words, Awaited::Other, shared);
    }

    fn set_register(&mut self, shared: &Shared, rng: &mut Rng) {
        let key = rng.usize(..REGISTERS);
        let register = self.registers.entry(key).or_default();
        register.sent += 1;
        let value = register.sent;
        let words = ["SET".to_string(), Writer::register(self.number, key), value.to_string()];
        self.ask(&words, Awaited::Set { key, value }, shared);
    }

    fn add_to_ledger(&mut self, shared: &Shared) {
        self.ledger.sent += 1;
        let member = self.ledger.sent;
        let words = ["SADD".to_string(), Writer::ledger_name(self.number), member.to_string()];
        self.ask(&words, Awaited::Added(member), shared);
    }

    /// A transaction, with keys of which one soon expires.
    fn transaction(&mut self, key: &str, other: &str, shared: &Shared) {
        for words in [
            vec!["MULTI".to_string()],
            vec!["INCR".to_string(), format!("{key}:count")],
            vec!["SET".to_string(), other.to_string(), "t".to_string(), "PX".to_string(), "50".to_string()],
            vec!["INCR".to_string(), format!("w{}:twin", self.number)],
            vec!["EXEC".to_string()],
        ] {
            self.ask(&words, Awaited::Other, shared);
        }
    }
}
