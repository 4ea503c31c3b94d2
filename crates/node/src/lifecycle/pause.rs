//! Pauses: while one lasts, no data change. Clients whose commands would change some wait; nothing expires and nothing is evicted; a replica keeps
//! the stream that it receives until the pause is over.

use rivulet_commands::Command;
use rivulet_engine::admit::changes_data;
use rivulet_engine::blocked::BlockedOn;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::ReplyMode;
use rivulet_resp::Args;

use crate::lifecycle::pauses::PauseWhy;
use crate::node::Node;

impl Node {
    /// Whether the data may change by themselves: keys that expire, keys that are evicted.
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.life.pauses.any()
    }

    /// Whether a pause keeps this command of the master's stream from being executed.
    pub fn must_pause_stream(&self, id: ClientId, command: Option<&'static Command>) -> bool {
        if self.is_busy() {
            return true;
        }
        if !self.life.pauses.any() {
            return false;
        }
        let Some(client) = self.clients.get(id) else { return false };
        self.life.pauses.stops(command.is_none_or(|command| changes_data(&client.session, command, command.flags)))
    }

    pub fn block_for_pause(&mut self, id: ClientId, args: Args<'_>) {
        let mode = &mut self.clients.at(id).session.replies.mode;
        // It comes again, and its reply is still the next one.
        if *mode == ReplyMode::Skip {
            *mode = ReplyMode::SkipNext;
        }
        self.block(id, BlockedOn::Pause { args: args.to_owned() }, None);
    }

    /// Lets those go on whose pause was ended, or is over by itself.
    pub fn end_pauses_if_due(&mut self) {
        let was_ended = std::mem::take(&mut self.life.pauses.ended);
        let is_over = self.life.pauses.any() && self.life.pauses.end_due(self.now_ms());
        if was_ended || is_over {
            self.go_on_after_pause();
        }
    }

    /// Ends a pause. What another one still stops goes on waiting.
    pub fn end_pause(&mut self, why: PauseWhy) {
        self.life.pauses.end(why);
    }

    fn go_on_after_pause(&mut self) {
        for id in std::mem::take(&mut self.engine.blocking.paused).into_values() {
            if self.life.exit.is_some() {
                return;
            }
            let Some(client) = self.clients.get_mut(id) else { continue };
            let Some(blocked) = client.session.blocked.take() else { continue };
            let BlockedOn::Pause { args } = &blocked.reason else {
                client.session.blocked = Some(blocked);
                continue;
            };
            let args = args.clone();
            self.forget_blocked(id, &blocked);
            self.execute_owned(id, &args);
        }
        self.apply_kept_stream();
    }
}
