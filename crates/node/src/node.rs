//! The node: everything that the executor thread owns. Other files of this crate give it its behaviour, one concern each.

use rivulet_commands::Command;
use rivulet_config::Config;
use rivulet_engine::Engine;
use rivulet_engine::client_id::ClientId;
use rivulet_host::world;
use rivulet_keyspace::Trash;
use rivulet_net::{Interest, Poll, Waker};
use rivulet_resp::{Args, Reply};

use crate::acl::Acl;
use crate::clock;
use crate::clock::Clock;
use crate::front::Front;
use crate::front::clients::Clients;
use crate::front::tokens::TOKEN_WAKER;
use crate::lifecycle::Lifecycle;
use crate::migrate::Migrate;
use crate::ops::Ops;
use crate::persist::Persist;
use crate::replication::Replication;
use crate::scripts::Scripts;

/// A server's whole state, room by room. One thread owns it.
pub struct Node {
    pub config: Config,
    pub clock: Clock,
    /// Users, and what was denied to them.
    pub acl: Acl,
    /// The data, and what executing commands on them needs.
    pub engine: Engine,
    /// Sessions and connections.
    pub clients: Clients,
    /// Sockets that are not clients', and what serves all of those.
    pub front: Front,
    /// Keys on their way to other servers.
    pub migrate: Migrate,
    pub scripts: Scripts,
    pub replication: Replication,
    /// What is on disk, and what brings it there and back.
    pub persist: Persist,
    /// What is counted and told.
    pub ops: Ops,
    pub life: Lifecycle,
}

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
            acl: Acl::new(&config),
            engine: Engine::new(config.databases as usize, config.settings(), [word(2), word(3)], rng),
            clients: Clients::default(),
            front: Front::new(poll, waker)?,
            migrate: Migrate::default(),
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

    /// The command, or the subcommand, that a line begins with. A container without a word behind it is found as it is.
    pub fn find_with_subcommand(&self, args: Args<'_>) -> Option<&'static Command> {
        let command = self.find_command(args.get(0)?)?;
        match args.get(1).filter(|_| !command.subcommands.is_empty()) {
            None => Some(command),
            Some(word) => command.subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(word)),
        }
    }
}

/// 40 random hex characters, for run ids.
pub fn random_hex(rng: &mut fastrand::Rng) -> String {
    (0..40).map(|_| char::from(b"0123456789abcdef"[rng.usize(..16)])).collect()
}
