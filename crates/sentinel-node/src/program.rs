//! The loop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rivulet_acl::{Log, Users};
use rivulet_config::{Config, Level};
use rivulet_host::time;
use rivulet_net::{Interest, Poll, Ready, TlsContext, Visitors, Waker};
use rivulet_node::process::pid_file;
use rivulet_node::process::supervisor::{self, Supervisor};
use rivulet_node::{log, signals::Signals};
use rivulet_sentinel::{ConnId, Sentinel};

use crate::clients::{self, Client};
use crate::handshakes::{Budget, Handshakes};
use crate::info::Stats;
use crate::listeners::Listening;
use crate::names::Resolver;
use crate::outgoing::{self, Maker, Outgoing};
use crate::scripts::Processes;
use crate::turn::Promise;

/// Everything that the loop owns.
pub struct Program {
    pub core: Sentinel,
    pub config: Config,
    pub users: Users,
    pub poll: Poll,
    pub listeners: Vec<Listening>,
    pub clients: BTreeMap<u64, Client>,
    /// How many of them are the page's own.
    pub internal_clients: usize,
    /// Connections of the page that wait to be taken in, if there is a page.
    pub visitors: Option<Visitors>,
    pub outgoing: BTreeMap<ConnId, Outgoing>,
    /// Connections to instances that were given something to send, or are to be watched otherwise.
    pub to_flush: BTreeSet<ConnId>,
    pub maker: Maker,
    /// What clients that come by TLS begin with.
    pub tls: Option<TlsContext>,
    pub handshakes: Handshakes,
    link_budget: Budget,
    /// Whose streams have something to tell though their sockets may be silent, by their tokens.
    pub unread: BTreeSet<u64>,
    pub processes: Processes,
    pub resolver: Resolver,
    pub stats: Stats,
    pub run_id: String,
    pub started_ms: u64,
    pub now_ms: u64,
    pub unix_ms: u64,
    pub last_client: u64,
    /// Replies of this turn that hold only if the configuration is saved.
    pub promises: Vec<Promise>,
    /// Who was turned away.
    pub denials: Log,
    /// Saving failed: not before this moment again.
    pub save_again_ms: u64,
    /// Nobody is accepted before.
    pub accepts_again_ms: Option<u64>,
    pub supervisor: Supervisor,
    /// The status to end with.
    pub exit: Option<i32>,
    pub waker: Waker,
    signals: Signals,
}

const WAKER: u64 = 0;
/// Listeners have even tokens from here.
const LISTENER: u64 = 2;
const LISTENERS_MAX: usize = 64;
/// While scripts run, somebody looks whether they have ended.
const LOOK_MS: u64 = 50;
/// Idle clients are looked for so often.
const CRON_MS: u64 = 1000;

impl Program {
    pub fn new(
        config: Config,
        core: Sentinel,
        users: Users,
        mut listeners: Vec<Listening>,
        tls: Option<TlsContext>,
        supervisor: Supervisor,
        random: &[u8; 28],
    ) -> std::io::Result<Program> {
        let mut poll = Poll::new()?;
        let waker = Waker::new()?;
        poll.add(&waker, WAKER, Interest::READ)?;
        listeners.truncate(LISTENERS_MAX);
        for (i, listener) in listeners.iter().enumerate() {
            poll.add(&listener.socket, LISTENER + 2 * i as u64, Interest::READ)?;
        }
        let signals = Signals::install(&waker)?;
        let resolver = Resolver::start(&waker)?;
        let now_ms = time::monotonic_ms();
        let maker =
            Maker { source: config.bind_source_addr.parse().ok(), tls: tls.clone().filter(|_| config.tls_replication) };
        Ok(Program {
            core,
            config,
            users,
            poll,
            listeners,
            clients: BTreeMap::new(),
            internal_clients: 0,
            visitors: None,
            outgoing: BTreeMap::new(),
            to_flush: BTreeSet::new(),
            maker,
            tls,
            handshakes: Handshakes::default(),
            link_budget: Budget::default(),
            unread: BTreeSet::new(),
            processes: Processes::default(),
            resolver,
            stats: Stats::default(),
            run_id: random.iter().rev().chain(random).take(20).map(|byte| format!("{byte:02x}")).collect(),
            started_ms: now_ms,
            now_ms,
            unix_ms: time::unix_ms(),
            last_client: 0,
            promises: Vec::new(),
            denials: Log::default(),
            save_again_ms: 0,
            accepts_again_ms: None,
            supervisor,
            exit: None,
            waker,
            signals,
        })
    }

    /// Runs until it is to end; answers the exit status.
    pub fn run(&mut self) -> i32 {
        let mut ready = Vec::new();
        let mut cron_ms = 0;
        self.end_turn();
        loop {
            if let Some(status) = self.exit {
                return status;
            }
            if let Err(error) = self.poll.wait(Some(self.patience()), &mut ready) {
                log::write(Level::Warning, format_args!("Waiting for sockets failed: {error}"));
                return 1;
            }
            self.now_ms = time::monotonic_ms();
            self.unix_ms = time::unix_ms();
            self.core.set_time(self.now_ms, self.unix_ms);
            self.handshakes.budget.renew();
            self.link_budget.renew();
            let unread = std::mem::take(&mut self.unread);
            let unread = unread.into_iter().map(|token| Ready { token, read: true, write: false });
            for ready in ready.iter().copied().chain(unread) {
                self.serve(ready);
            }
            self.accept_again_if_due();
            for (job, status, signal) in self.processes.ended() {
                self.core.script_ended(job, status, signal);
            }
            if self.now_ms >= self.core.wake_ms() {
                self.core.tick();
            }
            if self.now_ms >= cron_ms {
                cron_ms = self.now_ms + CRON_MS;
                self.close_idle();
                self.end_late_handshakes();
            }
            self.end_turn();
        }
    }

    /// How long nothing has to be done.
    fn patience(&self) -> Duration {
        if !self.unread.is_empty() {
            return Duration::ZERO;
        }
        let wake_ms = self.core.wake_ms().saturating_sub(time::monotonic_ms());
        let max_ms = if self.processes.is_empty() { CRON_MS } else { LOOK_MS };
        Duration::from_millis(wake_ms.min(max_ms))
    }

    pub fn watch_listeners(&mut self, interest: Interest) {
        for (i, listener) in self.listeners.iter().enumerate() {
            if let Err(error) = self.poll.change(&listener.socket, LISTENER + 2 * i as u64, interest) {
                log::write(Level::Warning, format_args!("Watching a listening socket failed: {error}"));
            }
        }
    }

    fn serve(&mut self, ready: Ready) {
        let Ready { token, read, write } = ready;
        if token == WAKER {
            self.waker.clear();
            self.heed_signal();
            self.admit_visitors();
            for (host, ip) in self.resolver.answers() {
                self.core.resolved(&host, ip);
                self.go_on_after_name(&host);
            }
        } else if token & 1 == 1 {
            self.serve_outgoing(ConnId(token >> 1), read, write);
        } else if token < LISTENER + 2 * LISTENERS_MAX as u64 {
            self.accept(((token - LISTENER) / 2) as usize);
        } else if read {
            // What waits to be written is written at the end of each turn.
            self.read_client(clients::of_token(token));
        }
    }

    fn heed_signal(&mut self) {
        if let Some(signal) = self.signals.take() {
            let name = if signal == 2 { "SIGINT" } else { "SIGTERM" };
            log::write(Level::Warning, format_args!("Received {name} scheduling shutdown..."));
            self.shut_down();
        }
    }

    /// Ends the process in good order.
    pub fn shut_down(&mut self) {
        log::write(Level::Warning, format_args!("User requested shutdown..."));
        self.supervisor.tell(supervisor::STOPPING);
        if pid_file::remove(&self.config) {
            log::write(Level::Notice, format_args!("Removing the pid file."));
        }
        log::write(Level::Warning, format_args!("Sentinel is now ready to exit, bye bye..."));
        self.exit = Some(0);
    }

    fn serve_outgoing(&mut self, id: ConnId, read: bool, write: bool) {
        let Some(connection) = self.outgoing.get_mut(&id) else { return };
        let result = connection.go_on(write, &mut self.link_budget, self.now_ms);
        let read = read || connection.has_more();
        let result = result.and_then(|()| if read { connection.read() } else { Ok(Vec::new()) });
        self.to_flush.insert(id);
        match result {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => self.core.received(id, &bytes),
            Err(error) => self.broken(id, &error),
        }
    }

    /// Sends what connections to instances have been given.
    pub fn flush_outgoing(&mut self) {
        for id in std::mem::take(&mut self.to_flush) {
            let Some(connection) = self.outgoing.get_mut(&id) else { continue };
            match connection.flush(&mut self.poll, id) {
                Ok(()) if connection.has_more() => _ = self.unread.insert(outgoing::token(id)),
                Ok(()) => {}
                Err(error) => self.broken(id, &error),
            }
        }
    }

    /// A connection to an instance has an error.
    fn broken(&mut self, id: ConnId, error: &std::io::Error) {
        if let Some(connection) = self.outgoing.get(&id) {
            self.handshakes.link_failed(connection.address, error, self.now_ms);
        }
        self.lose(id);
    }

    /// A connection to an instance is gone.
    pub fn lose(&mut self, id: ConnId) {
        self.outgoing.remove(&id);
        self.core.closed(id);
    }

    pub fn open(&mut self, id: ConnId, ip: IpAddr, port: u16) {
        match Outgoing::open(&mut self.poll, id, SocketAddr::new(ip, port), &self.maker) {
            Ok(connection) => {
                self.core.opened(id, connection.local_ip());
                self.outgoing.insert(id, connection);
            }
            Err(_) => self.core.closed(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_whose_they_are() {
        for id in [0, 1, 77, 1 << 40] {
            assert_eq!(outgoing::token(ConnId(id)) >> 1, id);
            assert_eq!(clients::of_token(clients::token(id)), id);
            assert!(clients::token(id) >= LISTENER + 2 * LISTENERS_MAX as u64);
            assert_eq!((outgoing::token(ConnId(id)) & 1, clients::token(id) & 1), (1, 0));
        }
    }
}
