//! The node: everything that the executor thread owns. Other files of this crate give it its behaviour, one concern each.

use std::net::IpAddr;

use rivulet_commands::Command;
use rivulet_config::Config;
use rivulet_host::world;
use rivulet_keyspace::Trash;
use rivulet_net::{Interest, Listener, Poll, Waker, bind_tcp, bind_unix};
use rivulet_resp::Reply;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::front::Front;
use crate::front::clients::{ClientId, Clients};
use crate::lifecycle::Lifecycle;
use crate::ops::Ops;
use crate::persist::Persist;
use crate::replication::Replication;
use crate::scripts::Scripts;
use crate::{clock, log};

/// A server's whole state, room by room. One thread owns it.
pub struct Node {
    pub config: Config,
    pub clock: Clock,
    /// The data, and what executing commands on them needs.
    pub engine: Engine,
    /// Sessions and connections.
    pub clients: Clients,
    /// Sockets that are not clients', and what serves all of those.
    pub front: Front,
    pub scripts: Scripts,
    pub replication: Replication,
    /// What is on disk, and what brings it there and back.
    pub persist: Persist,
    /// What is counted and told.
    pub ops: Ops,
    pub life: Lifecycle,
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
        let replication = Replication::new(&config, &run_id, &mut rng, now_us / 1000);
        let persist = Persist::new(&config, &replication, now_us / 1000);
        Ok(Node {
            clock: Clock::new(now_us),
            engine: Engine::new(&config, [word(2), word(3)], rng),
            clients: Clients::default(),
            front: Front::new(poll, waker)?,
            scripts: Scripts::default(),
            replication,
            persist,
            ops: Ops::default(),
            life: Lifecycle::new(run_id, now_us / 1000),
            config,
        })
    }

    /// Ms on the machine's own clock, which nobody sets: for deadlines and intervals of the server's affairs.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Unix us on the wall clock, which may leap: for what keys and people know as the time.
    #[inline]
    pub fn unix_us(&self) -> u64 {
        self.clock.unix_us()
    }

    /// Unix ms on the wall clock.
    #[inline]
    pub fn unix_ms(&self) -> u64 {
        self.clock.unix_us() / 1000
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
            self.persist.reaper.free(item);
        }
    }

    /// The command that clients know by this name.
    #[inline]
    pub fn find_command(&self, name: &[u8]) -> Option<&'static Command> {
        self.engine.renames.find(name)
    }

    // ---- listening ----

    /// Opens the sockets that the configuration names. An address with a leading `-` may be missing on this machine.
    pub fn listen(&mut self) -> Result<(), String> {
        self.front.listeners = self.open_listeners(self.config.port)?;
        for (i, listener) in self.front.listeners.iter().enumerate() {
            self.front
                .poll
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
        let old = std::mem::take(&mut self.front.listeners);
        for listener in &old {
            // A socket that is about to be closed leaves the poll in any case.
            let _ = self.front.poll.remove(listener);
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
