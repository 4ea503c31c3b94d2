//! SHUTDOWN: who is waited for, what is written, and when the process ends.

use rivulet_commands::fail::Fail;
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::blocked::BlockedOn;
use rivulet_engine::client_id::ClientId;
use rivulet_resp::Args;

use super::{Request, Shutdown};
use crate::lifecycle::pauses::PauseWhy;
use crate::log;
use crate::node::Node;
use crate::process::{pid_file, supervisor};
use crate::replication::log_report;

impl Node {
    pub fn shutdown_command(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        let (mut request, abort) = Request::parse(args)?;
        if abort {
            self.shutdown_abort()?;
            by.reply.ok();
            return Ok(());
        }
        if self.is_busy() {
            // What the script has done is half of something: it is not saved, nor waited for.
            if let Some(running) = self.scripts.running.as_ref().filter(|_| !request.nosave) {
                return Err(running.busy());
            }
            // Nor is anything else, which could not come to its end while the script runs.
            (request.now, request.force) = (true, true);
        }
        if by.origin == Origin::Exec
            && !request.now
            && !self.replication.master.is_empty()
            && self.has_lagging_replicas()
        {
            return Err(Fail::new("ERR SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client"));
        }
        log::warning!("User requested shutdown...");
        self.shut_down(request, Some(id)).map_err(Fail::text)
    }

    fn shutdown_abort(&mut self) -> Result<(), Fail> {
        if self.front.signals.take().is_some() {
            log::warning!("Shutdown manually aborted.");
            self.front.signals.forget_interrupts();
        } else if self.life.shutdown.is_some() {
            self.abort_shutdown();
        } else {
            return Err(Fail::new("ERR No shutdown in progress."));
        }
        Ok(())
    }

    /// Ends the server now, or begins to wait for replicas. `client` is blocked meanwhile.
    pub fn shut_down(&mut self, request: Request, client: Option<ClientId>) -> Result<(), String> {
        if self.life.shutdown.is_none()
            && !request.now
            && self.config.shutdown_timeout > 0
            && !self.is_replica()
            && self.has_lagging_replicas()
        {
            let seconds = self.config.shutdown_timeout;
            log::notice!("Waiting for replicas before shutting down.");
            let deadline_ms = self.now_ms() + seconds * 1000;
            self.life.shutdown = Some(Shutdown { request, deadline_ms });
            self.life.pauses.begin(PauseWhy::Shutdown, u64::MAX, true);
            self.ask_for_acks();
        }
        if self.life.shutdown.is_some() {
            if let Some(id) = client {
                self.block(id, BlockedOn::Shutdown, None);
            }
            return Ok(());
        }
        self.finish_shutdown(request)
    }

    fn has_lagging_replicas(&self) -> bool {
        let end = self.replication.offset();
        self.replication.master.sessions().any(|(_, s)| s.is_online() && s.ack_offset() != end)
    }

    pub fn abort_shutdown(&mut self) {
        if self.life.shutdown.take().is_some() {
            log::warning!("Shutdown manually aborted.");
            self.end_of_shutdown_wait(b"ERR Errors trying to SHUTDOWN. Check logs.");
        }
    }

    fn end_of_shutdown_wait(&mut self, text: &[u8]) {
        self.end_pause(PauseWhy::Shutdown);
        for id in self.clients.ids() {
            let waits = self
                .clients
                .get(id)
                .and_then(|c| c.session.blocked.as_deref())
                .is_some_and(|b| matches!(b.reason, BlockedOn::Shutdown));
            if waits {
                self.unblock_with_error(id, text);
            }
        }
        self.front.signals.forget_interrupts();
    }

    /// A replica has acknowledged, or is gone.
    pub fn shutdown_progress(&mut self) {
        // What is saved in the middle of a script is half of a unit, and has no functions; the next tick looks again.
        if self.life.shutdown.is_some() && !self.is_within_unit() && !self.has_lagging_replicas() {
            self.end_waiting();
        }
    }

    pub fn shutdown_tick(&mut self) {
        if self.life.shutdown.as_ref().is_some_and(|s| self.now_ms() >= s.deadline_ms) {
            self.end_waiting();
        }
        self.shutdown_progress();
    }

    fn end_waiting(&mut self) {
        let Some(shutdown) = self.life.shutdown.take() else { return };
        let end = self.replication.offset();
        let all = self.replication.master.len();
        let lagging = self.replication.master.lagging(end, self.now_ms());
        lagging.iter().for_each(log_report);
        log::notice!("{} of {all} replicas are in sync when shutting down.", all - lagging.len());
        if self.finish_shutdown(shutdown.request).is_err() {
            self.end_of_shutdown_wait(b"ERR Errors trying to SHUTDOWN. Check logs.");
        }
    }

    fn finish_shutdown(&mut self, request: Request) -> Result<(), String> {
        let result = self.try_to_end(request);
        if result.is_err() {
            log::warning!("Errors trying to shut down the server. Check the logs for more information.");
        }
        result
    }

    fn try_to_end(&mut self, request: Request) -> Result<(), String> {
        self.life.supervisor.tell(supervisor::STOPPING);
        self.kill_sessions();
        if self.is_rewriting() {
            if self.persist.log.files.is_waiting_for_base() {
                if !request.force {
                    log::warning!("Writing initial AOF, can't exit");
                    return Err("ERR Errors trying to SHUTDOWN. Check logs.".into());
                }
                log::warning!("Writing initial AOF. Exit anyway.");
            }
            log::warning!("There is a child rewriting the AOF. Killing it!");
            self.cancel_rewrite();
        }
        if self.persist.aof.not_whole().is_some_and(|not_whole| not_whole.lacks_data) {
            log::warning!("What a failed fsync covered is in memory only, and the AOF files are not made anew yet.");
            if !request.force {
                log::warning!("That would be lost, can't exit.");
                return Err("ERR Errors trying to SHUTDOWN. Check logs.".into());
            }
            log::warning!("Exiting anyway because of FORCE.");
        }
        self.cancel_snapshot();
        // What is half loaded must not replace the file, whoever has asked for the end, and when.
        let wants_save = !self.is_loading() && (request.save || (!request.nosave && !self.config.save.is_empty()));
        if wants_save {
            log::notice!("Saving the final RDB snapshot before exiting.");
            self.life.supervisor.tell(supervisor::SAVES);
            if self.save_now().is_err() {
                log::warning!("Error trying to save the DB, can't exit.");
                if !request.force {
                    self.life.supervisor.tell(supervisor::SAVE_FAILED);
                    return Err("ERR Errors trying to SHUTDOWN. Check logs.".into());
                }
                log::warning!("Exiting anyway because of FORCE.");
            }
        }
        if pid_file::remove(&self.config) {
            log::notice!("Removing the pid file.");
        }
        // What waits to be sent gets a last chance: replicas should have all of the stream.
        if self.persist.log.files.is_aof() {
            log::notice!("Calling fsync() on the AOF file.");
        }
        self.flush_log_files();
        self.log_before_sleep();
        self.replication_before_sleep();
        self.front.listeners.clear();
        log::warning!("Redis is now ready to exit, bye bye...");
        self.life.exit = Some(0);
        Ok(())
    }
}
