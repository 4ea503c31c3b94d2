//! What is said on a new link until the master has answered PSYNC.

use super::{Action, Actions, Expected, MasterName, PROBE_PERIOD, PROBE_VALID, ReplicaLink, State, log};
use crate::Millis;
use crate::messages::{PsyncReply, asked_words, command, psync_command};
use crate::position::{Position, ReplId};
use crate::report::Report;
use crate::session::UNPROVEN;

impl ReplicaLink {
    /// A line of the handshake.
    pub(super) fn reply(&mut self, now: Millis, line: &[u8], out: Actions<'_, '_>) {
        let State::Greeting { expected, .. } = &mut self.state else { return };
        let text = String::from_utf8_lossy(line);
        let is_error = line.starts_with(b"-");
        match expected.pop_front() {
            Some(Expected::Pong) => {
                // Who can't save can be followed all the same.
                let allowed = ["+", "-NOAUTH", "-NOPERM", "-ERR operation not permitted", "-MISCONF"];
                if !allowed.iter().any(|start| text.starts_with(start)) {
                    return self.refuse(now, format!("Error reply to PING from master: '{text}'"), out);
                }
                log(out, Report::notice("Master replied to PING, replication can continue..."));
                self.introduce(out);
            }
            Some(Expected::Auth) if is_error => self.refuse(now, format!("Unable to AUTH to MASTER: {text}"), out),
            Some(Expected::Auth) => {}
            Some(Expected::Replconf(option)) => {
                if is_error {
                    let text = format!("(Non critical) Master does not understand REPLCONF {option}: {text}");
                    log(out, Report::notice(text));
                }
            }
            Some(Expected::RunId) => {
                // Only a Rivulet names itself; to others the option is unknown.
                self.peer = line.strip_prefix(b"+OK ").and_then(ReplId::parse);
                if self.peer == Some(self.config.run_id) {
                    return self.refuse_loop(now, out);
                }
                self.tell_below(out);
                self.send_probes(now, out);
                if !self.failover && self.loop_seen_at.is_some_and(|at| now < at + PROBE_VALID) {
                    return self.refuse_loop(now, out);
                }
                let suspects = self.suspects_loop();
                if let State::Greeting { suspects_until, .. } = &mut self.state {
                    *suspects_until = suspects.then_some(now + PROBE_PERIOD);
                }
            }
            Some(Expected::NodeId) => {
                // Others than a Rivulet know no such option, and are no masters by a leader's word.
                self.master_name = MasterName::parse(line).unwrap_or_default();
                self.master_name.is_foreign = line.starts_with(b"-");
            }
            Some(Expected::Psync) => return self.psync_reply(now, line, out),
            None => return self.refuse(now, format!("Unexpected line from master in the handshake: '{text}'"), out),
        }
        self.ask_when_greeted(out);
    }

    /// Asks for the data when all replies of the greeting are there and nothing speaks against it.
    pub(super) fn ask_when_greeted(&mut self, out: Actions<'_, '_>) {
        if let State::Greeting { expected, suspects_until: None, .. } = &mut self.state
            && expected.is_empty()
        {
            expected.push_back(Expected::Psync);
            self.ask(out);
        }
    }

    /// Who we are: everything between PING and PSYNC, sent at once.
    pub(super) fn introduce(&mut self, out: Actions<'_, '_>) {
        let config = &self.config;
        let port = config.shown.port.to_string();
        let mut batch: Vec<(Expected, Vec<u8>)> = Vec::new();
        batch.extend(config.auth_command().map(|auth| (Expected::Auth, auth)));
        batch.push((Expected::Replconf("listening-port"), command(&["REPLCONF", "listening-port", &port])));
        if let Some(ip) = &config.shown.ip {
            batch.push((Expected::Replconf("ip-address"), command(&["REPLCONF", "ip-address", ip])));
        }
        let mut capa = vec!["REPLCONF", "capa", "eof", "capa", "psync2"];
        capa.extend(["capa", "rivulet-acks"].iter().filter(|_| config.acks_by_itself));
        capa.extend(["capa", "rivulet-uncertain"].iter().filter(|_| config.is_uncertain));
        capa.extend(["capa", "dual-channel"].iter().filter(|_| config.dual_channel && !self.one_channel));
        capa.extend(["capa", "rdb-channel-repl"].iter().filter(|_| config.rdb_channel && !self.one_channel));
        batch.push((Expected::Replconf("capa"), command(&capa)));
        if let Some(version) = &config.shown.version {
            batch.push((Expected::Replconf("version"), command(&["REPLCONF", "version", version])));
        }
        batch.push((Expected::RunId, command(&["REPLCONF", "rivulet-runid", config.run_id.as_str()])));
        self.master_name = MasterName::default();
        if let Some(id) = &config.node_id {
            batch.push((Expected::NodeId, command(&["REPLCONF", "node-id", id.as_str()])));
        }
        if let State::Greeting { expected, .. } = &mut self.state {
            expected.extend(batch.iter().map(|(reply, _)| *reply));
        }
        out.push(Action::Send(batch.into_iter().flat_map(|(_, bytes)| bytes).collect()));
    }

    pub(super) fn ask(&mut self, out: Actions<'_, '_>) {
        let line = match self.cached {
            Some(_) => {
                let (id, asked) = asked_words(self.cached);
                format!("Trying a partial resynchronization (request {id}:{asked}).")
            }
            None => "Partial resynchronization not possible (no cached master)".to_string(),
        };
        log(out, Report::notice(line));
        out.push(Action::Send(psync_command(self.cached, self.failover)));
    }

    pub(super) fn psync_reply(&mut self, now: Millis, line: &[u8], out: Actions<'_, '_>) {
        let text = String::from_utf8_lossy(line);
        let reply = PsyncReply::parse(line);
        if std::mem::take(&mut self.failover) {
            let accepted =
                matches!(reply, PsyncReply::FullResync(..) | PsyncReply::Continue { .. } | PsyncReply::TwoChannels(_));
            out.push(Action::FailoverAnswered(accepted));
            if !accepted {
                return self.retry_later(now, out);
            }
        }
        self.lacks_data = match &reply {
            PsyncReply::FullResync(target, _) => self.would_lose(Some(*target)),
            PsyncReply::NotSupported { .. } => self.would_lose(None),
            // Of two channels the target is told later.
            _ => false,
        };
        if self.lacks_data {
            return self.refuse_to_lose(now, out);
        }
        match (reply, self.cached) {
            (PsyncReply::FullResync(target, fork), cached) => {
                if let (Some(fork), Some(own)) = (fork, cached)
                    && fork < own.offset
                {
                    out.push(Action::GivesUp { from: fork });
                }
                log(out, Report::notice(format!("Full resync from master: {target}")));
                self.receive(now, Some(target));
            }
            (PsyncReply::TwoChannels(how), _) => {
                log(out, Report::notice("PSYNC is not possible, initialize RDB channel."));
                self.receive_beside(now, how, out);
            }
            (PsyncReply::Continue { id, forks }, Some(cached)) => {
                log(out, Report::notice("Successful partial resynchronization with master."));
                let position = Position { id: id.unwrap_or(cached.id), ..cached };
                if position.id != cached.id {
                    log(out, Report::warning(format!("Master replication ID changed to {}", position.id)));
                }
                out.push(Action::Continue(position, forks));
                self.stream(now, Some(position));
                self.before_change = (position.id != cached.id).then_some(cached);
                let text = "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.";
                log(out, Report::notice(text));
            }
            (PsyncReply::Continue { .. }, None) => {
                self.refuse(now, format!("The master goes on where nothing was: '{text}'"), out);
            }
            (PsyncReply::Malformed, _) => {
                self.refuse(now, format!("Master replied with wrong PSYNC syntax: '{text}'"), out);
            }
            (PsyncReply::Loop, _) => self.refuse_loop(now, out),
            (PsyncReply::TryLater, _) => {
                let text = format!("Master is currently unable to PSYNC but should be in the future: {text}");
                log(out, Report::notice(text));
                self.retry_later(now, out);
            }
            (PsyncReply::NotSupported { unexpected }, _) => {
                log(
                    out,
                    if unexpected {
                        Report::warning(format!("Unexpected reply to PSYNC from master: {text}"))
                    } else {
                        Report::notice(format!("Master does not support PSYNC or is in error state (reply: {text})"))
                    },
                );
                log(out, Report::notice("Retrying with SYNC..."));
                out.push(Action::Send(b"SYNC\r\n".to_vec()));
                self.receive(now, None);
            }
        }
    }
}

impl MasterName {
    /// `+OK <node id> <term or -> <where it began> <where the stream ends>`, and perhaps that it can't prove yet that it has all.
    fn parse(line: &[u8]) -> Option<MasterName> {
        let rest = str::from_utf8(line.strip_prefix(b"+OK ")?).ok()?;
        let (node, rest) = rest.split_once(' ')?;
        let (numbers, is_unproven) = match rest.strip_suffix(UNPROVEN) {
            Some(numbers) => (numbers, true),
            None => (rest, false),
        };
        let (term, numbers) = numbers.split_once(' ')?;
        let (began, end) = numbers.split_once(' ').map_or((numbers, None), |(began, end)| (began, Some(end)));
        let term = if term == "-" { None } else { Some(term.parse().ok()?) };
        let end = end.map(str::parse).transpose().ok()?;
        let node = Some(ReplId::parse(node.as_bytes())?);
        Some(MasterName { node, term, began: began.parse().ok()?, end, is_unproven, is_foreign: false })
    }
}
