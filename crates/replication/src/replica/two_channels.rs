//! A full sync over two channels, as the replica's link goes through it: the second connection's events, and what the main
//! connection says meanwhile.
//!
//! The second connection's own states are in [`crate::rdb_channel`]; what a snapshot leads to is the link's, however it came.

use std::collections::VecDeque;

use super::{ACK_PERIOD, Action, Actions, Expected, ReplicaLink, State, log};
use crate::Millis;
use crate::messages::{LineBuffer, PsyncReply, TwoChannels, command, psync_command};
use crate::position::Position;
use crate::rdb_channel::{Event, RdbChannel};
use crate::report::Report;

/// The main connection while a snapshot comes over another one, or loads.
#[derive(Debug)]
pub(super) enum Main {
    /// It is lost, while a snapshot that is whole loads: a partial resync will bring the rest.
    Gone,
    /// What follows the snapshot is asked for when it is known where that stands (Valkey's way).
    Asking { lines: LineBuffer, expected: VecDeque<Expected> },
    /// The stream that came.
    Keeping(Vec<u8>),
}

impl ReplicaLink {
    /// The second connection is open.
    pub fn channel_connected(&mut self, now: Millis, out: Actions<'_, '_>) {
        if let State::Parallel { channel, deadline, .. } = &mut self.state {
            *deadline = now + self.config.timeout;
            out.push(Action::SendChannel(channel.connected(&self.config)));
        }
    }

    /// The second connection could not be opened, or it ended.
    pub fn channel_disconnected(&mut self, now: Millis, reason: &str, out: Actions<'_, '_>) {
        self.channel_failed(now, format!("I/O error on the RDB channel: {reason}"), out);
    }

    /// Bytes came on the second connection.
    pub fn channel_received<'b>(&mut self, now: Millis, bytes: &'b [u8], out: Actions<'_, 'b>) {
        self.last_io = now;
        let mut input = bytes;
        while let State::Parallel { channel, deadline, .. } = &mut self.state {
            *deadline = now + self.config.timeout;
            match channel.next(&mut input) {
                Ok(None) => return,
                Ok(Some(Event::Ask(bytes))) => out.push(Action::SendChannel(bytes)),
                Ok(Some(Event::Target { position, .. })) if self.would_lose(Some(position)) => {
                    return self.refuse_to_lose(now, out);
                }
                Ok(Some(Event::Target { position, rdb_client })) => self.snapshot_stands_at(position, rdb_client, out),
                Ok(Some(Event::Item(item))) => self.payload_item(now, item, out),
                Err(error) => return self.channel_failed(now, error, out),
            }
        }
    }

    /// The master has a full sync for us, whose snapshot is to be fetched over a second connection.
    pub(super) fn receive_beside(&mut self, now: Millis, how: TwoChannels, out: Actions<'_, '_>) {
        self.kept_peak = 0;
        self.state = State::Parallel {
            deadline: now + self.config.timeout,
            channel: RdbChannel::new(how),
            target: None,
            main: match how {
                TwoChannels::DualChannel => Main::Asking { lines: LineBuffer::default(), expected: VecDeque::new() },
                TwoChannels::RdbChannel { .. } => Main::Keeping(Vec::new()),
            },
            load: self.config.load,
            len: None,
            read: 0,
            newline_at: now + ACK_PERIOD,
        };
        out.push(Action::OpenChannel);
    }

    /// The master has said where the snapshot stands that it sends over the second connection.
    fn snapshot_stands_at(&mut self, position: Position, rdb_client: Option<u64>, out: Actions<'_, '_>) {
        let State::Parallel { target, main, .. } = &mut self.state else { return };
        *target = Some(position);
        log(out, Report::notice(format!("Full resync from master over two channels: {position}")));
        if let (Main::Asking { expected, .. }, Some(rdb_client)) = (main, rdb_client) {
            expected.push_back(Expected::Replconf("set-rdb-client-id"));
            out.push(Action::Send(command(&["REPLCONF", "set-rdb-client-id", &rdb_client.to_string()])));
        }
        log(out, Report::notice("Starting to receive RDB and replication stream in parallel."));
    }

    /// Bytes came on the main connection, while a snapshot comes over the second one or loads.
    pub(super) fn main_received(&mut self, now: Millis, mut input: &[u8], out: Actions<'_, '_>) {
        let (State::Parallel { target, main, .. } | State::Loading { target, main, .. }) = &mut self.state else {
            return;
        };
        while let Main::Asking { lines, expected } = main {
            let (line, reply) = match lines.next(&mut input) {
                Ok(None) => return,
                Ok(Some(line)) if line.is_empty() => continue,
                Ok(Some(line)) => (String::from_utf8_lossy(&line).into_owned(), PsyncReply::parse(&line)),
                Err(_) => return self.refuse(now, "The master sent a line without an end".to_string(), out),
            };
            match (expected.pop_front(), reply, *target) {
                (Some(Expected::Replconf(_)), _, Some(_)) if !line.starts_with('-') => {
                    expected.push_back(Expected::Psync);
                    out.push(Action::Send(psync_command(*target, false)));
                }
                (Some(Expected::Psync), PsyncReply::Continue { id, .. }, Some(at))
                    if id.is_none_or(|id| id == at.id) =>
                {
                    *main = Main::Keeping(Vec::new());
                }
                _ => {
                    let text = format!("The master does not send what follows its snapshot: '{line}'");
                    return self.refuse(now, text, out);
                }
            }
        }
        if let Main::Keeping(kept) = main {
            let before = kept.len();
            kept.extend_from_slice(input);
            self.kept_peak = self.kept_peak.max(kept.len());
            if before < self.config.early_bytes_max && kept.len() >= self.config.early_bytes_max {
                let text = format!(
                    "Replication buffer limit has been reached ({} bytes), stopped buffering replication stream. Further \
                     accumulation may occur on master side.",
                    self.config.early_bytes_max
                );
                log(out, Report::notice(text));
            }
        }
    }

    fn channel_failed(&mut self, now: Millis, text: String, out: Actions<'_, '_>) {
        let State::Parallel { channel, .. } = &self.state else { return };
        if channel.is_receiving() {
            log(out, Report::warning(text));
            return self.abort(now, out);
        }
        self.one_channel = true;
        self.refuse(now, format!("{text}. The next attempt goes over one channel."), out);
    }
}
