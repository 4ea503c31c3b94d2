//! A model: clients that cache whatever they read while others write, keys expire and are evicted, servers change their roles. Whenever all has been
//! said that was due, no cache may have anything that its server would not answer now.

use std::collections::BTreeMap;
use std::time::Duration;

use rivulet_tests::client::shown_command;
use rivulet_tests::random::{self, Rng};
use rivulet_tests::{Client, Kind, Reply, Server, wait};

type Command = Vec<Vec<u8>>;

const KEYS: usize = 14;
const STEPS: usize = 6_000;
/// Steps between two looks at the caches.
const LOOK: usize = 12;

fn words(line: &str) -> Command {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// How a client tracks, and with that what it may keep.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    All,
    OptIn,
    OptOut,
    Broadcast,
    /// Only keys that begin with `k1`.
    Prefix,
    /// What it is told comes on another connection, in RESP2.
    Redirected,
}

const MODES: &[Mode] =
    &[Mode::All, Mode::All, Mode::OptIn, Mode::OptOut, Mode::Broadcast, Mode::Prefix, Mode::Redirected];

/// A client with a cache: what it read of a key, by the command.
struct Cacher {
    at: usize,
    mode: Mode,
    no_loop: bool,
    client: Client,
    /// The other connection.
    ear: Option<Client>,
    cache: BTreeMap<String, BTreeMap<String, Reply>>,
    hits: usize,
    told: usize,
}

impl Cacher {
    fn new(servers: &[Server], at: usize, rng: &mut Rng) -> Cacher {
        let mode = MODES[rng.usize(..MODES.len())];
        let no_loop = rng.usize(..3) == 0;
        let mut client = servers[at].client();
        let mut ear = None;
        let options = match mode {
            Mode::All => String::new(),
            Mode::OptIn => "OPTIN".to_string(),
            Mode::OptOut => "OPTOUT".to_string(),
            Mode::Broadcast => "BCAST".to_string(),
            Mode::Prefix => "BCAST PREFIX k1".to_string(),
            Mode::Redirected => {
                let ear = ear.insert(servers[at].client());
                let id = ear.must("CLIENT ID").int();
                ear.must("SUBSCRIBE __redis__:invalidate");
                format!("REDIRECT {id}")
            }
        };
        client.must("HELLO 3");
        client.must(&format!("CLIENT TRACKING ON {options}{}", if no_loop { " NOLOOP" } else { "" }));
        Cacher { at, mode, no_loop, client, ear, cache: BTreeMap::new(), hits: 0, told: 0 }
    }

    /// It is told that a key has changed, or everything.
    fn forget(&mut self, keys: &Reply) {
        self.told += 1;
        match keys {
            Reply::Nil(_) => self.cache.clear(),
            keys => keys.items().iter().for_each(|key| _ = self.cache.remove(&key.text())),
        }
    }

    /// The next reply, and before it what it is told.
    fn read(&mut self) -> Reply {
        loop {
            match self.client.read().expect("the server answers") {
                Reply::Many(b'>', push) => self.forget(&push[1]),
                reply => return reply,
            }
        }
    }

    fn run(&mut self, commands: &[String]) -> Vec<Reply> {
        commands.iter().for_each(|command| self.client.add(command));
        self.client.flush().expect("the server reads");
        commands.iter().map(|_| self.read()).collect()
    }

    /// All that was due is heard.
    fn hear(&mut self) {
        self.run(&["PING".to_string()]);
        let Some(mut ear) = self.ear.take() else { return };
        ear.add("PING");
        ear.flush().expect("the server reads");
        while let [_, _, keys] = ear.read().expect("the server answers").items() {
            self.forget(keys);
        }
        self.ear = Some(ear);
    }

    /// Reads a key, from the cache if it is there.
    fn look_up(&mut self, rng: &mut Rng, key: String) {
        let read = [
            format!("GET {key}"),
            format!("LRANGE {key} 0 -1"),
            format!("TYPE {key}"),
            format!("EVAL return(redis.call('get',KEYS[1])) 1 {key}"),
            format!("EVAL return(redis.call('type','{key}')) 0"),
        ];
        let read = &read[rng.usize(..read.len())];
        if self.cache.get(&key).is_some_and(|of_key| of_key.contains_key(read)) {
            self.hits += 1;
            return;
        }
        let said = rng.bool();
        let (reply, is_kept) = match self.mode {
            Mode::OptIn | Mode::OptOut => {
                let word = if self.mode == Mode::OptIn { "YES" } else { "NO" };
                let mut commands = vec![read.clone()];
                if said {
                    commands.insert(0, format!("CLIENT CACHING {word}"));
                }
                (self.run(&commands).pop(), said == (self.mode == Mode::OptIn))
            }
            Mode::Prefix => (self.run(std::slice::from_ref(read)).pop(), key.starts_with("k1")),
            _ if rng.usize(..4) == 0 => {
                let reply = self.run(&["MULTI".to_string(), read.clone(), "EXEC".to_string()]).pop();
                (reply.filter(|reply| !reply.is_error()).map(|reply| reply.items()[0].clone()), true)
            }
            _ => (self.run(std::slice::from_ref(read)).pop(), true),
        };
        let Some(reply) = reply.filter(|_| is_kept) else { return };
        // What a server has that loads or follows is not said to be anything.
        if !matches!(&reply, Reply::Line(b'-', text) if !text.starts_with(b"WRONGTYPE") && !text.starts_with(b"ERR WRONGTYPE"))
        {
            self.cache.entry(key).or_default().insert(read.clone(), reply);
        }
    }

    /// Writes; what it writes it need not be told.
    fn write(&mut self, command: &Command) {
        if self.no_loop {
            self.cache.retain(|key, _| {
                !command.iter().any(|word| word.windows(key.len()).any(|part| part == key.as_bytes()))
            });
        }
        self.run(&[shown_command(command)]);
    }
}

fn any_key(rng: &mut Rng) -> String {
    format!("k{}", rng.usize(..KEYS))
}

/// A command that changes something, for whoever sends it.
fn change(rng: &mut Rng) -> Command {
    let (key, other, n) = (any_key(rng), any_key(rng), rng.usize(..1000));
    let line = match rng.usize(..20) {
        0..5 => format!("SET {key} {n}"),
        5..8 => format!("SET {key} {n} PX {}", rng.usize(1..60)),
        8 => format!("DEL {key} {other}"),
        9 => format!("MSET {key} {n} {other} {n}"),
        10 => format!("APPEND {key} {n}"),
        11 => format!("RPUSH {key} {n}"),
        12 => format!("RENAME {key} {other}"),
        13 => format!("COPY {key} {other} REPLACE"),
        14 => format!("PEXPIRE {key} {}", rng.usize(1..40)),
        15 => format!("EVAL redis.call('set',KEYS[1],'{n}')return(redis.call('rpush',KEYS[2],{n})) 2 {key} {other}"),
        16 => format!("LMOVE {key} {other} LEFT RIGHT"),
        17 => format!("GETDEL {key}"),
        18 => format!("UNLINK {key}"),
        _ => format!("SORT {key} STORE {other}"),
    };
    words(&line)
}

struct World {
    servers: Vec<Server>,
    writers: Vec<Client>,
    cachers: Vec<Cacher>,
    follows: bool,
    past: Vec<String>,
    rng: Rng,
    seed: u64,
    checked: usize,
    hits: usize,
    told: usize,
}

impl World {
    fn new(seed: u64) -> World {
        let settings: &[&str] = &["--maxmemory-policy", "allkeys-random", "--repl-diskless-sync-delay", "0"];
        let mut servers: Vec<Server> = (0..2).map(|_| Server::start(Kind::Rivulet, settings)).collect();
        let [master, replica] = &mut servers[..] else { panic!("there are two") };
        replica.follow(master);
        let writers = servers.iter().map(Server::client).collect();
        let rng = Rng::with_seed(seed);
        let mut world = World {
            servers,
            writers,
            cachers: Vec::new(),
            follows: true,
            past: Vec::new(),
            rng,
            seed,
            checked: 0,
            hits: 0,
            told: 0,
        };
        for i in 0..8 {
            let cacher = Cacher::new(&world.servers, usize::from(i % 3 == 2), &mut world.rng);
            world.cachers.push(cacher);
        }
        world
    }

    fn on(&mut self, at: usize, command: &Command) {
        self.past.push(format!("server {at}: {}", shown_command(command)));
        self.writers[at].call(command);
    }

    fn step(&mut self) {
        let i = self.rng.usize(..self.cachers.len());
        match self.rng.usize(..400) {
            0..300 => {
                let key = any_key(&mut self.rng);
                let cacher = &mut self.cachers[i];
                self.past.push(format!("client {i} looks up {key}"));
                cacher.look_up(&mut self.rng, key);
            }
            300..330 => {
                let command = change(&mut self.rng);
                self.past.push(format!("client {i}: {}", shown_command(&command)));
                // On a replica it is refused.
                self.cachers[i].write(&command);
            }
            330..370 => {
                let at = self.rng.usize(..2);
                let command = change(&mut self.rng);
                self.on(at, &command);
            }
            370..376 => {
                self.on(0, &words("MULTI"));
                (0..3).for_each(|_| {
                    let command = change(&mut self.rng);
                    self.on(0, &command);
                });
                self.on(0, &words("EXEC"));
            }
            376..378 => {
                let line = ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC", "SWAPDB 0 1"][self.rng.usize(..4)];
                self.on(0, &words(line));
            }
            378..384 => wait::pause(Duration::from_millis(self.rng.u64(1..8))),
            384..387 => self.evict(),
            387..389 => {
                let keys = [2, 10, 1_000_000][self.rng.usize(..3)];
                let at = self.rng.usize(..2);
                self.on(at, &words(&format!("CONFIG SET tracking-table-max-keys {keys}")));
            }
            389..392 => {
                let expires = self.rng.usize(..2);
                self.on(0, &words(&format!("DEBUG SET-ACTIVE-EXPIRE {expires}")));
            }
            392..396 => {
                self.retire(i);
                self.past.push(format!("client {i} is another one"));
                self.cachers[i] = Cacher::new(&self.servers, self.cachers[i].at, &mut self.rng);
            }
            396 => self.change_roles(),
            _ => self.on(1, &words("PING")),
        }
    }

    fn retire(&mut self, i: usize) {
        self.hits += self.cachers[i].hits;
        self.told += self.cachers[i].told;
    }

    /// The first server makes room for nothing, for as long as a few commands take.
    fn evict(&mut self) {
        self.on(0, &words("CONFIG SET maxmemory 1"));
        let i = self.rng.usize(..self.cachers.len());
        let key = any_key(&mut self.rng);
        self.cachers[i].look_up(&mut self.rng, key);
        self.on(0, &words("CONFIG SET maxmemory 0"));
    }

    /// The second server becomes a master, or a replica again.
    fn change_roles(&mut self) {
        self.follows = !self.follows;
        self.past.push(format!("the second server {}", if self.follows { "follows" } else { "is a master" }));
        let [first, second] = &mut self.servers[..] else { panic!("there are two") };
        match self.follows {
            true => second.follow(first),
            false => _ = second.must("REPLICAOF NO ONE"),
        }
    }

    /// What a cache has is what its server answers, once all has been heard that was due by then. A key of a replica may end its time while this looks:
    /// then its master has to be asked again before it goes.
    fn look_at_caches(&mut self) {
        let mut stale = self.stale_values();
        for _ in 0..3 {
            if stale.is_empty() {
                return;
            }
            stale = self.stale_values();
        }
        let past = self.past[self.past.len().saturating_sub(60)..].join("\n");
        panic!("RIVULET_SEED={}\n{}\nafter\n{past}", self.seed, stale.join("\n"));
    }

    fn stale_values(&mut self) -> Vec<String> {
        let mut stale = Vec::new();
        let keys: Vec<Command> = (0..KEYS).map(|i| words(&format!("TYPE k{i}"))).collect();
        // A replica's keys go when its master has found them out.
        self.writers[0].pipeline(&keys);
        if self.follows {
            let [first, second] = &mut self.servers[..] else { panic!("there are two") };
            let end = first.count("master_repl_offset");
            wait::until("the replica has all", || second.count("slave_repl_offset") >= end);
        }
        for i in 0..self.cachers.len() {
            let cacher = &mut self.cachers[i];
            let kept =
                cacher.cache.iter().flat_map(|(key, of_key)| of_key.keys().map(|read| (key.clone(), read.clone())));
            let kept: Vec<(String, String)> = kept.collect();
            // Those who see the data in RESP2 see the same here.
            let truth: Vec<Reply> = kept.iter().map(|(_, read)| self.writers[cacher.at].call(read)).collect();
            cacher.hear();
            for ((key, read), truth) in kept.iter().zip(truth) {
                let Some(kept) = cacher.cache.get(key).and_then(|of_key| of_key.get(read)) else { continue };
                self.checked += 1;
                if *kept != truth {
                    let (at, mode, no_loop) = (cacher.at, cacher.mode, cacher.no_loop);
                    stale.push(format!(
                        "client {i} of server {at} ({mode:?}, noloop: {no_loop}) keeps {kept:?} for '{read}', and there is {truth:?}"
                    ));
                }
            }
        }
        stale
    }
}

#[test]
fn a_cache_never_keeps_what_is_no_longer_true() {
    let mut world = World::new(random::seed("caches"));
    world.writers.iter_mut().for_each(|writer| _ = writer.must("HELLO 3"));
    for step in 0..STEPS {
        world.step();
        if step % LOOK == LOOK - 1 {
            world.look_at_caches();
        }
    }
    (0..world.cachers.len()).for_each(|i| world.retire(i));
    let (checked, hits, told) = (world.checked, world.hits, world.told);
    println!("{checked} values were compared, {hits} reads needed no server, {told} messages");
    assert!(checked > STEPS / 2 && hits > STEPS / 60 && told > STEPS / 10, "it was a test of something");
}
