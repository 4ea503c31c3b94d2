//! The node: everything that the executor thread owns. Other files of this crate give it its behaviour, one concern each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use rivulet_commands::{Command, Effects, Settings};
use rivulet_host::world;
use rivulet_keyspace::{KeyHasher, Keyspace, Trash};
use rivulet_net::{Interest, Listener, Poll, Waker, bind_tcp, bind_unix};
use rivulet_resp::{Batch, OwnedArgs, Reply};

use crate::blocking::Blocking;
use crate::client_set::ClientSet;
use crate::clients::{ClientId, Clients};
use crate::persistence::Persistence;
use crate::pubsub::PubSub;
use crate::renames::Renames;
use crate::replication::Replication;
use crate::slowlog::Slowlog;
use crate::stats::Stats;
use crate::{clock, log};
use rivulet_config::Config;

/// A server's whole state. One thread owns it.
pub struct Node {
    pub config: Config,
    /// What commands on data see of the configuration.
    pub settings: Settings,
    pub keyspace: Keyspace,
    pub effects: Effects,
    pub clients: Clients,
    pub poll: Poll,
    pub waker: Waker,
    pub listeners: Vec<Listener>,
    pub accepting: crate::accept::Accepting,
    pub replication: Replication,
    pub persistence: Persistence,
    pub log_on_disk: crate::log_on_disk::LogOnDisk,
    pub aof: crate::aof::Aof,
    pub pubsub: PubSub,
    pub blocking: Blocking,
    /// Who watches a key: (database, key).
    pub watched: BTreeMap<(usize, Arc<[u8]>), ClientSet>,
    pub renames: Renames,
    pub monitors: BTreeSet<ClientId>,
    /// The client whose batch runs, 0 for none; and what it has caused itself to be told, which follows its reply.
    pub executing: ClientId,
    pub own_pushes: Vec<u8>,
    /// When the log was told last of somebody who speaks HTTP.
    pub attack_told_ms: Option<u64>,
    pub stats: Stats,
    pub slowlog: Slowlog,
    pub latency: crate::latency::Latency,
    pub rng: fastrand::Rng,
    /// Us of [`clock::machine_us`], read before and after each command: what the server's own affairs go by.
    pub now_us: u64,
    /// How far the wall clock is ahead of that, looked at once a turn: keys and people go by the sum.
    wall_ahead_us: i64,
    pub started_ms: u64,
    /// Bytes in use before there was data.
    pub startup_memory: usize,
    pub run_id: String,
    pub cron_runs: u64,
    pub next_cron_ms: u64,
    /// What this unit of execution has to propagate: (database, command).
    pub unit: Vec<(usize, OwnedArgs)>,
    /// The unit's writes go out one by one, not in MULTI.
    pub unit_no_multi: bool,
    /// How deep in EXEC we are: the unit is propagated at 0.
    pub depth: u32,
    pub pauses: crate::pause::Pauses,
    pub shutdown: Option<crate::shutdown::Shutdown>,
    pub exit: Option<i32>,
    pub debug: DebugSwitches,
    pub reaper: crate::reaper::Reaper,
    /// Keys that were given a deadline on this replica by its own clients.
    pub own_expiring: crate::expire::OwnExpiring,
    pub expiry: crate::expire::Expiry,
    pub eviction: crate::evict::Eviction,
    /// Taken out while a batch runs, to be used again.
    pub batch: Batch,
    pub spare_input: Vec<u8>,
    pub signals: crate::signals::Signals,
}

/// What DEBUG switches.
pub struct DebugSwitches {
    pub active_expire: bool,
    pub pause_cron: bool,
    pub skip_checksum: bool,
    pub reply_buffer_resizing: bool,
    pub repl_pause: Option<ReplPause>,
}

/// Where in a full sync the process stops itself (DEBUG REPL-PAUSE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplPause {
    /// A snapshot for replicas has begun.
    AfterFork,
    BeforeRdbChannel,
    OnStreamingReplBuf,
}

/// Tokens of the poll that are no client ids.
pub const TOKEN_WAKER: u64 = u64::MAX;
pub const TOKEN_MASTER: u64 = u64::MAX - 1;
pub const TOKEN_RDB_CHANNEL: u64 = u64::MAX - 2;
pub const TOKEN_LISTENER_LAST: u64 = u64::MAX - 16;
const LISTENERS_MAX: u64 = 64;

impl Node {
    pub fn new(config: Config) -> std::io::Result<Node> {
        let mut seed = [0u8; 48];
        rivulet_host::random::fill(&mut seed)?;
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|b| seed[i * 8 + b]));
        // Nodes that are simulated share what is global in a process.
        if !world::is_simulated() {
            rivulet_keyspace::value::set_hash_seed(u128::from(word(0)) << 64 | u128::from(word(1)));
        }
        let mut rng = fastrand::Rng::with_seed(word(4));
        let waker = Waker::new()?;
        let mut poll = Poll::new()?;
        poll.add(&waker, TOKEN_WAKER, Interest::READ)?;
        let now_us = clock::machine_us();
        let run_id = random_hex(&mut rng);
        let databases = config.databases as usize;
        let replication = Replication::new(&config, &run_id, &mut rng, now_us / 1000);
        Ok(Node {
            settings: config.settings(),
            keyspace: Keyspace::new(databases, KeyHasher::new([word(2), word(3)])),
            effects: Effects::default(),
            clients: Clients::default(),
            log_on_disk: crate::log_on_disk::LogOnDisk::new(&config, replication.history.clone()),
            replication,
            aof: Default::default(),
            persistence: Persistence::new(now_us / 1000),
            pubsub: PubSub::default(),
            blocking: Blocking::default(),
            watched: BTreeMap::new(),
            renames: Renames::default(),
            monitors: BTreeSet::new(),
            executing: 0,
            own_pushes: Vec::new(),
            attack_told_ms: None,
            stats: Stats::default(),
            slowlog: Slowlog::default(),
            latency: Default::default(),
            listeners: Vec::new(),
            accepting: Default::default(),
            now_us,
            wall_ahead_us: 0,
            started_ms: now_us / 1000,
            startup_memory: 0,
            run_id,
            cron_runs: 0,
            next_cron_ms: 0,
            unit: Vec::new(),
            unit_no_multi: false,
            depth: 0,
            pauses: Default::default(),
            shutdown: None,
            exit: None,
            debug: DebugSwitches {
                active_expire: true,
                pause_cron: false,
                skip_checksum: false,
                reply_buffer_resizing: true,
                repl_pause: None,
            },
            reaper: crate::reaper::Reaper::start(),
            own_expiring: Default::default(),
            expiry: Default::default(),
            eviction: Default::default(),
            batch: Batch::default(),
            spare_input: Vec::new(),
            signals: crate::signals::Signals::install(&waker)?,
            config,
            poll,
            waker,
            rng,
        })
    }

    /// Ms on the machine's own clock, which nobody sets: for deadlines and intervals of the server's affairs.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// Unix us on the wall clock, which may leap: for what keys and people know as the time.
    #[inline]
    pub fn unix_us(&self) -> u64 {
        self.now_us.saturating_add_signed(self.wall_ahead_us)
    }

    /// Unix ms on the wall clock.
    #[inline]
    pub fn unix_ms(&self) -> u64 {
        self.unix_us() / 1000
    }

    /// What the wall clock says now for a moment of the machine's clock.
    pub fn shown_ms(&self, machine_ms: u64) -> u64 {
        machine_ms.saturating_add_signed(self.wall_ahead_us / 1000)
    }

    /// A turn begins: both clocks are looked at.
    pub fn look_at_clocks(&mut self) {
        self.now_us = clock::machine_us();
        self.wall_ahead_us = clock::unix_us() as i64 - self.now_us as i64;
    }

    /// Whether this server follows a master.
    pub fn is_replica(&self) -> bool {
        self.replication.is_replica()
    }

    /// Where a client's reply goes.
    #[inline]
    pub fn reply(&mut self, id: ClientId) -> Reply<'_> {
        let client = self.clients.at(id);
        Reply::new(&mut client.connection.outbox.output.bytes, client.session.resp3)
    }

    /// Frees what was removed on the reaper's thread.
    pub fn free_later(&mut self, trash: impl IntoIterator<Item = Trash>) {
        for item in trash {
            self.reaper.free(item);
        }
    }

    /// The command that clients know by this name.
    #[inline]
    pub fn find_command(&self, name: &[u8]) -> Option<&'static Command> {
        self.renames.find(name)
    }

    // ---- listening ----

    /// Opens the sockets that the configuration names. An address with a leading `-` may be missing on this machine.
    pub fn listen(&mut self) -> Result<(), String> {
        self.listeners = self.open_listeners(self.config.port)?;
        for (i, listener) in self.listeners.iter().enumerate() {
            self.poll
                .add(listener, listener_token(i), Interest::READ)
                .map_err(|e| format!("can't watch a listening socket: {e}"))?;
        }
        Ok(())
    }

    fn open_listeners(&self, port: u16) -> Result<Vec<Listener>, String> {
        let mut listeners = Vec::new();
        if port != 0 {
            let mut bound = 0;
            for word in &self.config.bind {
                let (optional, name) = match word.strip_prefix('-') {
                    Some(name) => (true, name),
                    None => (false, word.as_str()),
                };
                let address: IpAddr = match name {
                    "*" => IpAddr::from([0, 0, 0, 0]),
                    "::*" => IpAddr::from([0u16; 8]),
                    name => match resolve(name) {
                        Some(address) => address,
                        None if optional => continue,
                        None => {
                            return Err(format!(
                                "Could not create server TCP listening socket {name}:{port}: Name or service not known"
                            ));
                        }
                    },
                };
                match bind_tcp(address, port, self.config.tcp_backlog) {
                    Ok(listener) => {
                        bound += 1;
                        listeners.push(listener);
                    }
                    Err(e) => {
                        log::warning!(
                            "Warning: Could not create server TCP listening socket {name}:{port}: {}",
                            os_error(&e)
                        );
                        let unsupported = matches!(e.raw_os_error(), Some(92..=99));
                        let expected = unsupported && (optional || name == "::*");
                        if !expected {
                            return Err(format!("Failed listening on port {port} (TCP), aborting."));
                        }
                    }
                }
            }
            if bound == 0 && !self.config.bind.is_empty() {
                return Err(format!("Failed listening on port {port} (TCP), aborting."));
            }
        }
        if !self.config.unixsocket.is_empty() {
            let mode = (self.config.unixsocketperm != 0).then_some(self.config.unixsocketperm);
            let listener = bind_unix(self.config.unixsocket.as_ref(), mode, self.config.tcp_backlog)
                .map_err(|e| format!("Failed opening Unix socket: bind: {}", os_error(&e)))?;
            listeners.push(listener);
        }
        listeners.truncate(LISTENERS_MAX as usize);
        Ok(listeners)
    }

    /// Listens where the changed configuration says. When that fails nothing listens any more, until the caller has put the configuration back and calls again.
    pub fn listen_again(&mut self) -> Result<(), String> {
        let old = std::mem::take(&mut self.listeners);
        for listener in &old {
            // A socket that is about to be closed leaves the poll in any case.
            let _ = self.poll.remove(listener);
        }
        // Old sockets may hold an address that is wanted again: Unix sockets and TCP with SO_REUSEADDR can't be bound twice.
        drop(old);
        self.listen()
    }
}

/// The token of the poll for a listening socket.
pub fn listener_token(index: usize) -> u64 {
    TOKEN_LISTENER_LAST - index as u64
}

/// The first address of a name.
pub fn resolve(name: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    name.parse().ok().or_else(|| (name, 0).to_socket_addrs().ok()?.next().map(|a| a.ip()))
}

/// What the system calls an error, without Rust's suffix.
pub fn os_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

/// 40 random hex characters, for run ids.
pub fn random_hex(rng: &mut fastrand::Rng) -> String {
    (0..40).map(|_| char::from(b"0123456789abcdef"[rng.usize(..16)])).collect()
}
