//! Whose replies wait is marked as commands run, and released as offsets are.

use rivulet_commands::Command;
use rivulet_commands::spec::{Handler, Node as Run, flag};
use rivulet_config::AppendFsync;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::Kind;

use super::Before;
use crate::front::clients::Client;
use crate::front::hold::{Mark, Released, Waits};
use crate::log;
use crate::node::Node;

/// A reply that waits for a disk that refuses waits no longer.
const DISK_MS_MAX: u64 = 1_000;

/// Whether a command may tell what is in the keys.
fn looks_at_keys(client: &Client, command: &Command) -> bool {
    let tells = |command: &Command| {
        command.is(flag::READONLY)
            || command.is(flag::WRITE)
            || matches!(command.handler, Handler::Node(Run::Eval | Run::Fcall))
    };
    match &client.session.multi {
        Some(multi) if matches!(command.handler, Handler::Node(Run::Exec)) => {
            multi.queued.iter().any(|(command, _)| tells(command))
        }
        // It is queued, or refused.
        Some(_) => false,
        None => tells(command) || command.subcommands.iter().any(tells),
    }
}

impl Node {
    /// Up to where what replies tell of is as safe as it must be.
    fn released(&self) -> Released {
        let synchronous = &self.replication.synchronous;
        Released { disk: self.persist.log.safe, replicas: synchronous.quorum(), confirmed: synchronous.confirmed() }
    }

    // ---- marks ----

    /// To be called before a command whose reply may have to wait for replicas.
    pub fn before_reply(&mut self, id: ClientId, command: Option<&Command>) -> Option<Before> {
        let client = self.clients.get_mut(id)?;
        client.connection.outbox.hold.forget_pushes();
        Some(Before {
            start: client.connection.outbox.output.end(),
            written: client.session.written_offset,
            reads: self.config.synchronous_reads && command.is_some_and(|command| looks_at_keys(client, command)),
        })
    }

    /// A command has ended: what it has answered waits for what it wrote, or saw.
    pub fn mark_reply(&mut self, id: ClientId, before: Option<Before>) {
        let Some(before) = before else { return };
        let (content, now_ms) = (self.replication.log.content_end(), self.now_ms());
        let answers_at_end = self.answers_at_end_of_log();
        let Some(client) = self.clients.get_mut(id) else { return };
        let (waits, offset) = match client.session.written_offset {
            written if written > before.written => (Waits::Write, written),
            _ if before.reads => (Waits::Read, content),
            _ if answers_at_end => (Waits::Disk, content),
            _ => return,
        };
        self.mark(id, before.start, waits, offset, now_ms);
    }

    /// A client that waited for a key was served: it tells of a write of somebody.
    pub fn mark_served(&mut self, id: ClientId, start: u64) {
        let (content, now_ms) = (self.replication.log.content_end(), self.now_ms());
        self.mark(id, start, Waits::Write, content, now_ms);
    }

    fn mark(&mut self, id: ClientId, start: u64, waits: Waits, offset: u64, since_ms: u64) {
        let (content, log_end) = (self.replication.log.content_end(), self.replication.log.end_offset());
        let Some(client) = self.clients.get_mut(id) else { return };
        let outbox = &mut client.connection.outbox;
        let end = outbox.output.end();
        // The command itself may have ended that replies wait.
        if end <= start || !self.front.held.marks || matches!(client.session.kind, Kind::Replica | Kind::Master) {
            return;
        }
        // Another one may be the master by now, and have newer data.
        let confirm = if waits == Waits::Read { self.replication.synchronous.confirm_beyond(log_end) } else { 0 };
        let from = outbox.hold.marked_to(&outbox.output);
        let start = outbox.hold.pushed_to.take().map_or(start, |to| to.clamp(start, end));
        if std::mem::take(&mut outbox.hold.tells_of_writes) && from < start {
            let waits = Waits::Message;
            outbox.hold.add(Mark { start: from, end: start, offset: content, confirm: 0, since_ms, replies: 0, waits });
        }
        let (start, reply_end) =
            (start.max(from), outbox.hold.pushed_from.take().map_or(end, |from| from.clamp(start, end)));
        if start < reply_end {
            outbox.hold.add(Mark { start, end: reply_end, offset, confirm, since_ms, replies: 1, waits });
        }
        // What was pushed to it meanwhile is nobody's reply: it waits as long, and is not replaced.
        if start.max(reply_end) < end {
            let waits = if waits == Waits::Disk { waits } else { Waits::Message };
            let start = start.max(reply_end);
            outbox.hold.add(Mark { start, end, offset, confirm: 0, since_ms, replies: 0, waits });
        }
    }

    /// What has come to a client since the last mark, and no command of its own has marked.
    fn mark_rest(&mut self, id: ClientId) {
        let (says, content, now_ms) = (self.reply_says(id), self.replication.log.content_end(), self.now_ms());
        let disk = self.persist.log.safe;
        let Some(client) = self.clients.get_mut(id) else { return };
        let outbox = &mut client.connection.outbox;
        let (start, end) = (outbox.hold.marked_to(&outbox.output), outbox.output.end());
        let tells = std::mem::take(&mut outbox.hold.tells_of_writes);
        let (waits, offset) = if tells { (Waits::Message, content) } else { (Waits::Disk, says) };
        if start < end && (tells || says > disk) {
            outbox.hold.add(Mark { start, end, offset, confirm: 0, since_ms: now_ms, replies: 0, waits });
        }
    }

    /// The offset that must be safe on this disk before a client's reply may leave.
    fn reply_says(&self, id: ClientId) -> u64 {
        let Some(client) = self.clients.get(id) else { return 0 };
        match client.session.kind {
            Kind::Replica | Kind::Master => 0,
            _ if self.answers_at_end_of_log() => self.replication.offset(),
            _ => client.session.written_offset,
        }
    }

    /// With `appendfsync always` every reply waits for all that was executed before it. While the files are not whole nothing is executed that they would
    /// lack, and only who had written before waits.
    fn answers_at_end_of_log(&self) -> bool {
        let is_always = self.persist.log.safe != u64::MAX && self.config.appendfsync == AppendFsync::Always;
        is_always && self.persist.aof.not_whole().is_none()
    }

    // ---- letting go ----

    /// The clients with replies that waited, and of which some may leave now.
    pub fn release_replies(&mut self) -> Vec<ClientId> {
        self.look_how_safe_the_log_is();
        if self.front.held.marks {
            self.look_at_quorum();
        }
        let released = self.released();
        self.front.held.lets_all = released == Released::ALL;
        if self.front.held.is_empty() {
            return Vec::new();
        }
        let mut freed = Vec::new();
        for id in std::mem::take(&mut self.front.held.clients) {
            // What has come since tells of later writes, and must not leave with what was waited for.
            self.mark_rest(id);
            let Some(client) = self.clients.get_mut(id) else { continue };
            let outbox = &mut client.connection.outbox;
            if outbox.hold.release(released, &outbox.output) {
                freed.push(id);
            }
            outbox.hold.is_listed = !outbox.hold.is_empty();
            if outbox.hold.is_listed {
                self.front.held.clients.push(id);
            }
        }
        self.watch_log_for_held();
        freed
    }

    /// Holds back what of a client's output must wait. Answers whether nothing of it may leave now.
    #[inline]
    pub fn hold_reply(&mut self, id: ClientId) -> bool {
        !self.front.held.lets_all && self.hold_what_waits(id)
    }

    fn hold_what_waits(&mut self, id: ClientId) -> bool {
        self.mark_rest(id);
        let (released, timeout_ms) = (self.released(), self.config.synchronous_timeout);
        let Some(client) = self.clients.get_mut(id) else { return false };
        let outbox = &mut client.connection.outbox;
        outbox.hold.release(released, &outbox.output);
        if outbox.hold.is_empty() {
            return false;
        }
        if timeout_ms > 0
            && let Some(end_ms) = outbox.hold.deadline_ms(timeout_ms, released)
        {
            self.front.held.next_end_ms = self.front.held.next_end_ms.min(end_ms);
        }
        let leaves_nothing = outbox.hold.sendable <= outbox.output.sent_to();
        outbox.queued &= !leaves_nothing;
        if !std::mem::replace(&mut outbox.hold.is_listed, true) {
            self.front.held.clients.push(id);
            self.watch_log_for_held();
        }
        leaves_nothing
    }

    fn watch_log_for_held(&self) {
        if let Some(writer) = &self.persist.log.writer
            && !self.front.held.is_empty()
        {
            writer.watch();
        }
    }

    /// A wait for keys has ended with nothing, which was written from `start` on: who tells that has looked at them.
    pub fn mark_nothing_found(&mut self, id: ClientId, start: u64) {
        if self.front.held.marks && self.config.synchronous_reads {
            let content = self.replication.log.content_end();
            self.mark(id, start, Waits::Read, content, self.now_ms());
        }
    }

    // ---- what ends a wait ----

    /// Replies that have waited for replicas for `synchronous-timeout` become errors.
    pub fn time_out_held(&mut self) {
        let (now_ms, timeout_ms) = (self.now_ms(), self.config.synchronous_timeout);
        if now_ms < self.front.held.next_end_ms {
            return;
        }
        self.front.held.next_end_ms = u64::MAX;
        let Some(until_ms) = now_ms.checked_sub(timeout_ms).filter(|_| timeout_ms > 0) else { return };
        // What was acknowledged in this turn is not late.
        self.look_at_quorum();
        let released = self.released();
        let replicas = self.config.synchronous_replicas;
        let error = |waits| unsynced(waits, replicas, timeout_ms);
        for id in self.front.held.clients.clone() {
            // Who is to be closed is told nothing more, and what is marked may be thrown away.
            let Some(client) = self.clients.get_mut(id).filter(|client| !client.connection.closing) else { continue };
            let outbox = &mut client.connection.outbox;
            let replaced = outbox.hold.time_out(until_ms, released, &mut outbox.output, error);
            if let Some(end_ms) = outbox.hold.deadline_ms(timeout_ms, released) {
                self.front.held.next_end_ms = self.front.held.next_end_ms.min(end_ms.max(now_ms + 1));
            }
            if replaced > 0 {
                self.clients.queue_write(id);
            }
            (0..replaced).for_each(|_| self.ops.stats.error(b"UNSYNCED reply"));
            self.replication.synchronous.timeouts += replaced;
        }
    }

    /// `synchronous-timeout` has changed: the waits of now go by the new one.
    pub fn look_at_held_again(&mut self) {
        self.front.held.next_end_ms = if self.config.synchronous_timeout > 0 { 0 } else { u64::MAX };
    }

    /// This node is to acknowledge nothing any more: who waits for replicas is told by the end of the connection that nothing is certain.
    pub fn close_who_waits_for_replicas(&mut self) {
        let released = self.released();
        let waits = |client: &&Client| client.connection.outbox.hold.waits_for_replicas(released);
        let waiting: Vec<ClientId> = self.clients.iter().filter(waits).map(|client| client.id).collect();
        for id in waiting {
            log::notice!("Closing a client whose write is not acknowledged by replicas: {}", self.client_line(id));
            self.clients.close_soon(id);
        }
    }

    /// Replicas are not waited for any more.
    pub fn wait_for_the_disk_only(&mut self) {
        for client in self.clients.iter_mut() {
            let hold = &mut client.connection.outbox.hold;
            hold.forget_replicas();
            if !hold.is_empty() && !std::mem::replace(&mut hold.is_listed, true) {
                self.front.held.clients.push(client.id);
            }
        }
    }

    /// While the disk refuses, nobody can be told that a write is safe which was executed before. Who waits for that is not kept waiting: the connection
    /// ends, as with a server that is gone, and the write may or may not be there.
    pub fn end_held_if_disk_refuses(&mut self) {
        if self.front.held.is_empty() {
            return;
        }
        let Some(why) = self.persist.log.failure() else { return };
        let (now_ms, disk) = (self.now_ms(), self.persist.log.safe);
        let waits = |mark: &Mark| mark.offset > disk && now_ms.saturating_sub(mark.since_ms) >= DISK_MS_MAX;
        for id in self.front.held.clients.clone() {
            if self.clients.get(id).and_then(|client| client.connection.outbox.hold.first()).is_some_and(waits) {
                log::warning!("Closing a client whose write can't be kept ({why}): {}", self.client_line(id));
                self.clients.close_soon(id);
            }
        }
    }
}

/// The reply to who has waited for too long.
fn unsynced(waits: Waits, replicas: u64, timeout_ms: u64) -> Vec<u8> {
    let what = match waits {
        Waits::Read => "What was read here is not acknowledged",
        _ => "The write is applied here, but not acknowledged",
    };
    format!(
        "-UNSYNCED {what} by {replicas} of the replicas within {timeout_ms} ms. It may survive a failover or not.\r\n"
    )
    .into_bytes()
}
