//! The end of a turn: the configuration goes to the disk, and only then what was decided is done, and what was answered leaves.

use std::ops::Range;

use rivulet_config::Level;
use rivulet_node::log;
use rivulet_resp::Reply;
use rivulet_sentinel::{Action, NOT_SAVED};

use crate::program::Program;
use crate::{store, subscriptions, users};

/// A reply in a client's output that holds only if the configuration is saved.
pub struct Promise {
    pub client: u64,
    pub at: Range<usize>,
}

/// What follows from what is done comes in the same turn, but not without end.
const ROUNDS_MAX: usize = 16;

impl Program {
    pub fn end_turn(&mut self) {
        self.follow_log_level();
        for _ in 0..ROUNDS_MAX {
            let actions = self.core.take_actions();
            let is_kept = self.save_if_needed(&actions);
            if !is_kept {
                self.take_promises_back();
            }
            self.promises.clear();
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.carry_out(action, is_kept);
            }
        }
        self.flush_outgoing();
        self.flush_clients();
    }

    /// Writes the configuration if it is to be; false if what was promised can't be kept.
    fn save_if_needed(&mut self, actions: &[Action]) -> bool {
        if !self.core.is_unsaved() {
            return true;
        }
        let is_promised = !self.promises.is_empty()
            || actions.iter().any(|action| matches!(action, Action::Send { is_promise: true, .. }));
        if !is_promised && self.now_ms < self.save_again_ms {
            return false;
        }
        let result = store::save(&self.config, &self.core, users::lines(&self.config, &self.users));
        let is_kept = result.is_ok();
        self.save_again_ms = if is_kept { 0 } else { self.now_ms + store::RETRY_MS };
        self.core.saved(result);
        is_kept
    }

    fn take_promises_back(&mut self) {
        // From the last to the first, so that places stay what they are.
        for promise in std::mem::take(&mut self.promises).into_iter().rev() {
            let Some(client) = self.clients.get_mut(&promise.client) else { continue };
            if promise.at.end <= client.output.len() {
                let mut error = Vec::new();
                Reply::new(&mut error, client.is_resp3).error(NOT_SAVED.as_bytes());
                client.output.splice(promise.at, error);
            }
        }
    }

    fn carry_out(&mut self, action: Action, is_kept: bool) {
        match action {
            Action::Connect { connection, ip, port } => self.open(connection, ip, port),
            Action::Send { connection, is_promise: true, .. } if !is_kept => self.lose(connection),
            Action::Send { connection, bytes, .. } => {
                self.to_flush.insert(connection);
                if self.outgoing.get_mut(&connection).is_some_and(|own| !own.push(&bytes)) {
                    self.lose(connection);
                }
            }
            Action::Close { connection } => {
                if let Some(own) = self.outgoing.remove(&connection) {
                    own.close();
                }
            }
            Action::Resolve { host } => self.resolver.ask(host),
            Action::Publish { channel, message } => {
                subscriptions::publish(&mut self.clients, channel.as_bytes(), message.as_bytes());
            }
            Action::Log { level, text } => log::write(level_of(level), format_args!("{text}")),
            Action::RunScript { job, words } => match self.processes.start(job, &words) {
                Ok(pid) => self.core.script_began(job, pid),
                Err(_) => self.core.script_failed(job),
            },
            Action::KillScript { job } => self.processes.kill(job),
            Action::Exit { status } => self.exit = Some(status),
        }
    }
}

fn level_of(level: rivulet_sentinel::Level) -> Level {
    match level {
        rivulet_sentinel::Level::Debug => Level::Debug,
        rivulet_sentinel::Level::Verbose => Level::Verbose,
        rivulet_sentinel::Level::Notice => Level::Notice,
        rivulet_sentinel::Level::Warning => Level::Warning,
    }
}
