//! The loop.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use rivulet_config::{Config, Level};
use rivulet_host::time;
use rivulet_net::{Interest, Listener, Poll, Ready, Waker};
use rivulet_node::process::pid_file;
use rivulet_node::process::supervisor::{self, Supervisor};
use rivulet_node::{log, signals::Signals};
use rivulet_sentinel::{ConnId, Sentinel};

use crate::clients::{self, Client};
use crate::info::Stats;
use crate::names::Resolver;
use crate::outgoing::Outgoing;
use crate::scripts::Processes;
use crate::turn::Promise;
use crate::users::{Denial, Users};

/// Everything that the loop owns.
pub struct Program {
    pub core: Sentinel,
    pub config: Config,
    pub users: Users,
    pub poll: Poll,
    pub listeners: Vec<Listener>,
    pub clients: BTreeMap<u64, Client>,
    pub outgoing: BTreeMap<ConnId, Outgoing>,
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
    /// Who was turned away, the last first.
    pub denials: std::collections::VecDeque<Denial>,
    /// Saving failed: not before this moment again.
    pub save_again_ms: u64,
    /// Nobody is accepted before.
    pub accepts_again_ms: Option<u64>,
    pub source: Option<IpAddr>,
    pub supervisor: Supervisor,
    /// The status to end with.
    pub exit: Option<i32>,
    waker: Waker,
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
        mut listeners: Vec<Listener>,
        supervisor: Supervisor,
        random: &[u8; 28],
    ) -> std::io::Result<Program> {
        let mut poll = Poll::new()?;
        let waker = Waker::new()?;
        poll.add(&waker, WAKER, Interest::READ)?;
        listeners.truncate(LISTENERS_MAX);
        for (i, listener) in listeners.iter().enumerate() {
            poll.add(listener, LISTENER + 2 * i as u64, Interest::READ)?;
        }
        let signals = Signals::install(&waker)?;
        let resolver = Resolver::start(&waker)?;
        let now_ms = time::monotonic_ms();
        let source = config.bind_source_addr.parse().ok();
        Ok(Program {
            core,
            config,
            users,
            poll,
            listeners,
            clients: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            processes: Processes::default(),
            resolver,
            stats: Stats::default(),
            run_id: random.iter().rev().chain(random).take(20).map(|byte| format!("{byte:02x}")).collect(),
            started_ms: now_ms,
            now_ms,
            unix_ms: time::unix_ms(),
            last_client: 0,
            promises: Vec::new(),
            denials: std::collections::VecDeque::new(),
            save_again_ms: 0,
            accepts_again_ms: None,
            source,
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
            for ready in &ready {
                self.serve(*ready);
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
            }
            self.end_turn();
        }
    }

    /// How long nothing has to be done.
    fn patience(&self) -> Duration {
        let wake_ms = self.core.wake_ms().saturating_sub(time::monotonic_ms());
        let max_ms = if self.processes.is_empty() { CRON_MS } else { LOOK_MS };
        Duration::from_millis(wake_ms.min(max_ms))
    }

    pub fn watch_listeners(&mut self, interest: Interest) {
        for (i, listener) in self.listeners.iter().enumerate() {
            if let Err(error) = self.poll.change(listener, LISTENER + 2 * i as u64, interest) {
                log::write(Level::Warning, format_args!("Watching a listening socket failed: {error}"));
            }
        }
    }

    fn serve(&mut self, ready: Ready) {
        let Ready { token, read, write } = ready;
        if token == WAKER {
            self.waker.clear();
            self.heed_signal();
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
        let result = connection.flush(&mut self.poll, id, write);
        let result = result.and_then(|()| if read { connection.read() } else { Ok(Vec::new()) });
        match result {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => self.core.received(id, &bytes),
            Err(_) => self.lose(id),
        }
    }

    /// A connection to an instance is gone.
    pub fn lose(&mut self, id: ConnId) {
        self.outgoing.remove(&id);
        self.core.closed(id);
    }

    pub fn open(&mut self, id: ConnId, ip: IpAddr, port: u16) {
        match Outgoing::open(&mut self.poll, id, ip, port, self.source) {
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
    use crate::outgoing;

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
