//! Commands after which the server goes on speaking: MONITOR, and those that subscribe.

use std::sync::atomic::Ordering;

use rivulet_client::{ClientError, Failure, Reply};

use super::{Last, Lost, Session};
use crate::format::Output;
use crate::out::{Fatal, say, words};

impl Session {
    /// Shows what is published, until Ctrl-C or an error.
    pub(super) fn watch_channels(&mut self, is_verbatim: bool) -> Result<(), Lost> {
        if self.output != Output::Raw {
            say!("Reading messages... (press Ctrl-C to quit)\n");
        }
        self.watch(is_verbatim)
    }

    /// Shows whatever comes. Ctrl-C ends it in an interactive program, which connects anew; another program ends by itself.
    pub(super) fn watch(&mut self, is_verbatim: bool) -> Result<(), Lost> {
        self.interrupted.store(false, Ordering::Relaxed);
        loop {
            let reply = match self.receive_any() {
                Ok(reply) => reply,
                Err(ClientError { failure: Failure::TimedOut, .. }) if self.is_interactive => {
                    self.interrupted.store(false, Ordering::Relaxed);
                    return self.reconnect(false).map_err(|_| Lost::Link);
                }
                Err(error) => return Err(Lost::Program(Fatal(format!("Error: {}", words(&error))))),
            };
            self.last = Last { is_error: reply.is_error(), is_null: matches!(reply, Reply::Null) };
            if !self.is_interactive && self.options.fails_on_error && self.last.is_error {
                return Err(Lost::Program(Fatal(reply.text().into_owned())));
            }
            self.show(&reply, is_verbatim);
            if self.last.is_error {
                return Ok(());
            }
        }
    }
}
