//! Loops of nodes: who is below is told upwards, and a probe that comes back proves that the master is below.

use super::{ACK_PERIOD, Action, Actions, PROBE_VALID, PROBES_MAX, RETRY_PERIOD, ReplicaLink, State, log};
use crate::Millis;
use crate::messages::command;
use crate::position::ReplId;
use crate::report::Report;

impl ReplicaLink {
    /// The run ids of the nodes that say to be below this one, for the detection of loops (rule 28). Told on to a master that
    /// understands; if the master itself is among them, a probe goes up.
    pub fn set_below(&mut self, now: Millis, below: Vec<ReplId>, out: Actions<'_, '_>) {
        if self.below == below {
            return;
        }
        self.below = below;
        if !matches!(self.state, State::Waiting { .. } | State::Connecting { .. }) {
            self.tell_below(out);
            self.probe_if_suspicious(now, out);
        }
    }

    /// A probe came from below. The own one proves that the master is below this node, and others may be told so by theirs.
    pub fn probe_came(&mut self, now: Millis, probe: ReplId, out: Actions<'_, '_>) {
        if probe != self.config.probe {
            self.probes.retain(|(at, other)| *other != probe && now < at + PROBE_VALID);
            if self.probes.len() < PROBES_MAX {
                self.probes.push((now, probe));
                if !matches!(self.state, State::Waiting { .. } | State::Connecting { .. }) {
                    self.send_probe(probe, out);
                }
            }
            return;
        }
        self.loop_seen_at = Some(now);
        if !self.failover && matches!(self.state, State::Greeting { .. } | State::Streaming { .. }) {
            self.refuse_loop(now, out);
        }
    }

    pub(super) fn tell_below(&mut self, out: Actions<'_, '_>) {
        if self.peer.is_some() {
            let ids: Vec<&str> = self.below.iter().map(ReplId::as_str).collect();
            out.push(Action::Send(command(&["REPLCONF", "rivulet-below", &ids.join(",")])));
        }
    }

    /// The master is said to be below this node, and is not being made the master right now.
    pub(super) fn suspects_loop(&self) -> bool {
        let through = |id: &ReplId| *id == self.config.run_id || Some(*id) == self.peer;
        !self.failover && self.peer.is_some() && self.below.iter().any(through)
    }

    /// The own probe goes up while somebody says that it would come back.
    pub(super) fn probe_if_suspicious(&mut self, now: Millis, out: Actions<'_, '_>) {
        if self.suspects_loop() && now >= self.probed_at + ACK_PERIOD / 2 {
            self.probed_at = now;
            self.send_probe(self.config.probe, out);
        }
    }

    /// The own probe, and those that came from below.
    pub(super) fn send_probes(&mut self, now: Millis, out: Actions<'_, '_>) {
        self.probed_at = now;
        self.probes.retain(|(at, _)| now < at + PROBE_VALID);
        self.send_probe(self.config.probe, out);
        for at in 0..self.probes.len() {
            self.send_probe(self.probes[at].1, out);
        }
    }

    pub(super) fn send_probe(&self, probe: ReplId, out: Actions<'_, '_>) {
        if self.peer.is_some() {
            out.push(Action::Send(command(&["REPLCONF", "rivulet-probe", probe.as_str()])));
        }
    }

    pub(super) fn refuse_loop(&mut self, now: Millis, out: Actions<'_, '_>) {
        let text = format!(
            "The master {} replicates from this node, directly or through others: a loop is refused",
            self.address()
        );
        if self.is_up() {
            log(out, Report::warning(text));
            self.end_stream(now, true, out);
            self.state = State::Waiting { retry_at: now + RETRY_PERIOD };
        } else {
            self.refuse(now, text, out);
        }
    }
}
