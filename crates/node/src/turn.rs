//! The order of a turn: wait, read and execute, what becomes due, then the disk, the replicas and the clients, in this order.

use std::time::Duration;

use rivulet_net::Ready;

use crate::front::tokens::{TOKEN_LISTENER_LAST, TOKEN_MASTER, TOKEN_RDB_CHANNEL, TOKEN_WAKER};
use crate::lifecycle::scheduling::{self, Rests, Turns};
use crate::log;
use crate::node::Node;

/// The stream of this turn was given to the disk and offered to the replicas: what clients are told of reaches those though this process is killed then.
/// Only [`Node::send_out`] makes one.
pub struct Offered(());

impl Node {
    /// Runs until the server is to end; answers its exit status.
    pub fn run(&mut self) -> i32 {
        self.stand_in_reports();
        let status = self.run_turns();
        self.leave_reports();
        status
    }

    fn run_turns(&mut self) -> i32 {
        scheduling::be_prompt();
        let mut ready = Vec::new();
        let mut rests = Rests::default();
        let mut turns = Turns::default();
        let mut turn_us = self.clock.now_us;
        loop {
            self.before_sleep();
            if let Some(status) = self.life.exit {
                // Nothing is executed any more: what others wrote in the turn of a SHUTDOWN is in the log by now.
                self.end_log_files();
                if status == 0 {
                    self.keep_end();
                }
                return status;
            }
            let ended_us = self.clock.read_us();
            self.ops.stats.turn_ended(ended_us.saturating_sub(turn_us));
            let timeout = if turns.helpers_wait() { Duration::ZERO } else { self.sleep_time() };
            if self.persist.saving.running.is_some() {
                rests.rest_if_due(ended_us);
            }
            if let Err(error) = self.front.poll.wait(Some(timeout), &mut ready) {
                log::warning!("Waiting for sockets failed: {error}");
                return 1;
            }
            self.clock.look();
            turn_us = self.clock.now_us;
            rests.polled(ended_us, turn_us);
            let commands = self.ops.stats.commands;
            // The replies to what came before are sent by now.
            self.read_unread();
            for event in &ready {
                self.dispatch(*event);
                // The disk works while the next clients are served.
                self.hand_over_if_much();
                if self.life.exit.is_some() {
                    break;
                }
            }
            if self.life.exit.is_some() {
                continue;
            }
            self.process_waiting_input();
            if self.has_helpers() {
                // What clients asked for in this turn does not wait for the helpers' work.
                self.send_out();
                if turns.is_for_helpers(self.ops.stats.commands != commands, turn_us) {
                    self.run_helpers();
                }
            } else {
                turns = Turns::default();
            }
            if self.now_ms() >= self.life.next_cron_ms {
                self.cron();
            }
        }
    }

    /// How long nothing has to be done.
    fn sleep_time(&self) -> Duration {
        if self.has_background_work() || !self.clients.to_process.is_empty() || !self.front.unread.is_empty() {
            return Duration::ZERO;
        }
        let mut until = self.life.next_cron_ms;
        if let Some(deadline) = self.engine.blocking.next_deadline_ms() {
            until = until.min(deadline);
        }
        until = until.min(self.front.held.next_end_ms());
        if let Some(end) = self.life.pauses.next_end_ms() {
            until = until.min(end);
        }
        if let Some(at_us) = self.data_work_at_us() {
            if at_us <= self.clock.now_us {
                return Duration::ZERO;
            }
            until = until.min(at_us / 1000);
        }
        // A deadline of the same millisecond has not passed yet: do not spin on it.
        Duration::from_millis(until.saturating_sub(self.now_ms()).max(1))
    }

    pub fn dispatch(&mut self, event: Ready) {
        match event.token {
            TOKEN_WAKER => {
                self.front.waker.clear();
                self.handle_signals();
                self.admit_visitors();
            }
            TOKEN_MASTER => self.master_link_ready(event),
            TOKEN_RDB_CHANNEL => self.rdb_channel_ready(event),
            token if token > TOKEN_LISTENER_LAST - 64 => self.accept((TOKEN_LISTENER_LAST - token) as usize),
            id => {
                if event.read {
                    self.read_client(id);
                }
                match self.clients.get(id) {
                    Some(client) if !event.write || !client.connection.watching.write => {}
                    Some(client) if client.is_replica() => self.flush_replica(id),
                    _ => self.clients.queue_write(id),
                }
            }
        }
    }

    /// What was done goes out: to the disk, to the replicas, and then to the clients.
    pub fn send_out(&mut self) {
        self.look_after_tracking();
        self.save_if_emptied();
        self.log_before_sleep();
        self.replication_before_sleep();
        self.send_replies(Offered(()));
        self.engine.tracking.sent();
    }

    /// What must be done before the loop waits. Replies are sent after everything that may write some.
    fn before_sleep(&mut self) {
        if self.life.exit.is_none() {
            self.end_pauses_if_due();
            self.expire_due_keys();
            self.evict_in_background();
            self.after_unit();
            self.time_out_blocked();
            self.time_out_held();
            self.look_after_migrations();
        }
        self.send_out();
        self.close_clients();
        self.evict_clients(None);
    }
}
