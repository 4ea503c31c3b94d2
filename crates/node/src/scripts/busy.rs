//! A script that runs for long: the loop goes on in a small way, so that no link is lost and the script can be ended.
//!
//! Connections are accepted and read, and whoever asks for something is answered with BUSY, but for the few commands that may run (SCRIPT KILL,
//! SHUTDOWN NOSAVE, REPLCONF ACK …). Heartbeats go to both sides. What the master sends is kept. Nothing else of the unit is seen by anybody: its
//! effects wait in the unit, and the time of its commands stands.

use std::time::Duration;

use rivulet_engine::client_id::ClientId;
use rivulet_net::Interest;
use rivulet_scripting::{Interrupt, KILLED};

use super::Task;
use super::debug::LONG_MS;
use crate::front::tokens::{TOKEN_MASTER, TOKEN_RDB_CHANNEL};
use crate::node::Node;
use crate::{clock, log};

/// Heartbeats and time-outs are looked at this often.
const TICK_MS: u64 = 100;
pub(super) const TICK: Duration = Duration::from_millis(TICK_MS);
/// Why a piece of Lua ends that a client of the debugger waits for no longer.
const CLIENT_GONE: &str = "The debugging client has closed the connection";
/// Why a script ends that a shutdown does not wait for.
pub(super) const SHUT_DOWN: &str = "The server is shutting down";

impl Node {
    /// Whether a script has run for so long that others are answered with BUSY.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.scripts.running.as_ref().is_some_and(|running| running.busy.is_some())
    }

    /// Whether this client's script runs: it can't be freed yet.
    pub fn runs_script_of(&self, id: ClientId) -> bool {
        self.scripts.running.as_ref().is_some_and(|running| running.client == id)
    }

    /// Asked every so many instructions of a script.
    pub(super) fn interrupt_script(&mut self, task: &Task<'_>) -> Interrupt {
        let is_apart = self.is_session_apart();
        let Some(running) = &mut self.scripts.running else { return Interrupt::Continue };
        let elapsed_ms = clock::machine_us().saturating_sub(running.started_us) / 1000;
        let threshold_ms = match self.config.busy_reply_threshold {
            0 if is_apart => LONG_MS,
            limit_ms => limit_ms,
        };
        if threshold_ms == 0 || elapsed_ms < threshold_ms {
            return Interrupt::Continue;
        }
        let client = running.client;
        if is_apart {
            // A child's only affair is its client.
            let goes_on = self.hears_client_of_session(client);
            return if goes_on { Interrupt::Continue } else { Interrupt::End(CLIENT_GONE) };
        }
        if !self.is_busy() {
            let (kill, name) = (if task.is_function { "FUNCTION KILL" } else { "SCRIPT KILL" }, task.shown().name);
            log::warning!(
                "Slow script detected: still in execution after {elapsed_ms} milliseconds. You can try killing the script using the {kill} command. Script name is: {}.",
                String::from_utf8_lossy(&name)
            );
            self.listen_to_running(client, false);
            self.begin_busy(task);
        }
        self.small_turn(Duration::ZERO);
        if self.life.exit.is_some() {
            return Interrupt::End(SHUT_DOWN);
        }
        match &self.scripts.running {
            Some(running) if running.is_killed => {
                log::notice!("Lua script killed by user with SCRIPT KILL.");
                Interrupt::End(KILLED)
            }
            _ => Interrupt::Continue,
        }
    }

    /// Others are answered with BUSY from now on.
    pub(super) fn begin_busy(&mut self, task: &Task<'_>) {
        if let Some(running) = self.scripts.running.as_mut().filter(|running| running.busy.is_none()) {
            running.busy = Some(Box::new(task.shown()));
            self.read_master_again();
        }
    }

    /// The run has ended.
    pub(super) fn end_busy(&mut self) {
        if !self.is_busy() {
            return;
        }
        if let Some(running) = &mut self.scripts.running {
            running.busy = None;
            let client = running.client;
            self.listen_to_running(client, true);
        }
        if self.life.exit.is_some() {
            // Half of a unit goes to nobody, and nothing is done on top of it.
            self.engine.unit.commands.clear();
            self.persist.saving.saves_emptied = false;
            if let Some(running) = &self.scripts.running {
                self.clients.close_soon(running.client);
            }
        }
        self.clock.look();
        self.look_at_standing();
        self.read_master_again();
    }

    /// What the client of the script sends meanwhile stays in its socket.
    fn listen_to_running(&mut self, id: ClientId, on: bool) {
        let Some(client) = self.clients.get(id) else { return };
        self.watch_running(id, Interest { read: on, ..client.connection.watching });
    }

    /// What the poll is to tell of the client of the script: a session of the debugger wants to know.
    pub(super) fn watch_running(&mut self, id: ClientId, interest: Interest) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if std::mem::replace(&mut client.connection.watching, interest) == interest {
            return;
        }
        let Some(stream) = &client.connection.stream else { return };
        if let Err(e) = self.front.poll.change(stream, id, interest) {
            log::warning!("Watching a client failed: {e}");
        }
    }

    /// Looks at the sockets, in the middle of a unit of execution, which stands still and is seen by nobody. Waits so long for them.
    pub(super) fn small_turn(&mut self, wait: Duration) {
        let unit = std::mem::take(&mut self.engine.unit);
        let speaker = std::mem::take(&mut self.engine.speaker);
        let ready_keys = std::mem::take(&mut self.engine.blocking.ready);
        let time = self.clock.clone();
        let mut ready = Vec::new();
        if let Err(error) = self.front.poll.wait(Some(wait), &mut ready) {
            log::warning!("Waiting for sockets failed: {error}");
        }
        self.clock.look();
        self.look_at_standing();
        let running = self.scripts.running.as_ref().map(|running| running.client);
        let link = self.replication.link.as_ref();
        // A full sync replaces the data, which a script is at work on.
        let link_is_up = link.is_some_and(|link| link.state.is_up());
        // A command of the stream runs: the link is in the middle of it.
        let is_masters = link.is_some_and(|link| Some(link.incoming.client) == running);
        let is_for_later = |token: u64| {
            Some(token) == running || token == TOKEN_RDB_CHANNEL || token == TOKEN_MASTER && (!link_is_up || is_masters)
        };
        // Whom the script waits for is heard first: who has gone is not to cost the next one a BUSY.
        let is_awaited = !wait.is_zero() && ready.iter().any(|event| Some(event.token) == running);
        if !is_awaited {
            self.read_unread();
        }
        for event in ready.into_iter().filter(|event| !is_awaited && !is_for_later(event.token)) {
            self.dispatch(event);
        }
        if self.now_ms() >= self.life.next_cron_ms {
            self.life.next_cron_ms = self.now_ms() + TICK_MS;
            if link_is_up {
                self.follow_tick();
            }
            self.replication_tick();
        }
        self.send_out();
        self.close_clients();
        self.clock = time;
        self.engine.blocking.ready = ready_keys;
        self.engine.speaker = speaker;
        self.engine.unit = unit;
    }
}
