//! A client as applications have them: it asks a Sentinel who the master is, makes sure that it is one, and goes on there until something goes wrong.

use std::collections::VecDeque;

use fastrand::Rng;

use super::history::{History, NONE, Operation};
use super::{KEYS, NAME, Values};
use crate::client::{Client, Reply};
use crate::network::{HostId, host_at};
use crate::schedule::Schedule;

/// Operations that may be under way.
const PIPELINE_MAX: usize = 4;
/// Who has no reply for so long looks for another master.
const PATIENCE_US: u64 = 4_000_000;

/// Errors after which an operation has certainly not been done.
const NOT_DONE: [&str; 5] = ["READONLY", "STALEMASTER", "LOADING", "NOREPLICAS", "MISCONF"];

/// What it does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing until then.
    Rests {
        until_us: u64,
    },
    /// It has asked a Sentinel.
    AsksWho,
    /// It has asked a server for its role.
    AsksRole,
    Works,
}

struct Call {
    key: usize,
    operation: Operation,
}

pub struct Caller {
    number: usize,
    to_sentinel: Client,
    to_master: Client,
    state: State,
    asked_us: u64,
    calls: VecDeque<Call>,
    next_us: u64,
    /// Writes that were acknowledged, and of which nobody knows; reads that were answered.
    pub acked: u64,
    pub unknown: u64,
    pub reads: u64,
    /// It begins nothing.
    pub rests: bool,
}

impl Caller {
    pub fn new(number: usize, host: HostId) -> Caller {
        Caller {
            number,
            to_sentinel: Client::new(host, 0),
            to_master: Client::new(host, 0),
            state: State::Rests { until_us: 0 },
            asked_us: 0,
            calls: VecDeque::new(),
            next_us: 0,
            acked: 0,
            unknown: 0,
            reads: 0,
            rests: false,
        }
    }

    /// Nothing of it is under way.
    pub fn is_done(&self) -> bool {
        self.calls.is_empty()
    }

    pub fn tick(
        &mut self,
        sentinels: std::ops::Range<HostId>,
        histories: &mut [History],
        values: &mut Values,
        schedule: &Schedule,
        rng: &mut Rng,
    ) {
        let now_us = schedule.now_us();
        match self.state {
            State::Rests { until_us } if now_us < until_us => {}
            State::Rests { .. } => {
                self.to_sentinel.go_to(rng.usize(sentinels), &schedule.shared);
                self.to_sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME], &schedule.shared);
                (self.state, self.asked_us) = (State::AsksWho, now_us);
            }
            State::AsksWho => self.hear_who(schedule, rng),
            State::AsksRole => self.hear_role(schedule, rng),
            State::Works => self.work(histories, values, schedule, rng),
        }
        let waits = matches!(self.state, State::AsksWho | State::AsksRole);
        if waits && now_us > self.asked_us + PATIENCE_US / 8 {
            self.rest(schedule, rng);
        }
    }

    fn rest(&mut self, schedule: &Schedule, rng: &mut Rng) {
        self.to_sentinel.hang_up(&schedule.shared);
        self.to_master.hang_up(&schedule.shared);
        self.state = State::Rests { until_us: schedule.now_us() + rng.u64(10_000..300_000) };
    }

    fn hear_who(&mut self, schedule: &Schedule, rng: &mut Rng) {
        let replies = self.to_sentinel.poll(&schedule.shared);
        let server = match replies.as_deref() {
            Ok([]) => return,
            Ok([Reply::Array(address), ..]) => host_at(&address[0].text()),
            _ => None,
        };
        let Some(server) = server else { return self.rest(schedule, rng) };
        self.to_sentinel.hang_up(&schedule.shared);
        self.to_master.go_to(server, &schedule.shared);
        self.to_master.ask(&["ROLE"], &schedule.shared);
        (self.state, self.asked_us) = (State::AsksRole, schedule.now_us());
    }

    fn hear_role(&mut self, schedule: &Schedule, rng: &mut Rng) {
        match self.to_master.poll(&schedule.shared).as_deref() {
            Ok([]) => {}
            Ok([Reply::Array(role), ..]) if role[0].text() == "master" => self.state = State::Works,
            _ => self.rest(schedule, rng),
        }
    }

    fn work(&mut self, histories: &mut [History], values: &mut Values, schedule: &Schedule, rng: &mut Rng) {
        let now_us = schedule.now_us();
        // What was told before the connection ended counts.
        let (replies, end) = self.to_master.poll_to_the_end(&schedule.shared);
        let mut gone = end.is_some();
        for reply in &replies {
            gone |= self.returned(reply, histories, values.reads, now_us);
        }
        let is_late = self.calls.front().is_some_and(|call| now_us > call.operation.called_us + PATIENCE_US);
        if gone || is_late {
            self.give_up(histories);
            return self.rest(schedule, rng);
        }
        if self.rests || now_us < self.next_us || self.calls.len() >= PIPELINE_MAX {
            return;
        }
        self.next_us = now_us + rng.u64(500..8_000);
        self.call(rng.usize(..KEYS), rng.u8(..3) > 0, values, schedule);
    }

    fn call(&mut self, key: usize, is_write: bool, values: &mut Values, schedule: &Schedule) {
        let name = format!("k{key}");
        let mut value = NONE;
        if is_write {
            value = values.next();
            self.to_master.ask(&["SET", &name, &value.to_string()], &schedule.shared);
        } else {
            self.to_master.ask(&["GET", &name], &schedule.shared);
        }
        let operation = Operation { is_write, value, called_us: schedule.now_us(), returned_us: None };
        self.calls.push_back(Call { key, operation });
    }

    /// Takes a reply. Answers whether it says that this is no place to go on.
    fn returned(&mut self, reply: &Reply, histories: &mut [History], notes_reads: bool, now_us: u64) -> bool {
        let Some(Call { key, mut operation }) = self.calls.pop_front() else { return false };
        operation.returned_us = Some(now_us);
        match (reply, operation.is_write) {
            (Reply::Simple(_), true) => self.acked += 1,
            (Reply::Bulk(_) | Reply::Nil, false) => {
                self.reads += 1;
                if !notes_reads {
                    return false;
                }
                operation.value = reply.text().parse().unwrap_or(NONE);
            }
            (Reply::Error(text), is_write) => {
                let is_not_done = NOT_DONE.iter().any(|word| text.starts_with(word));
                if is_write && !is_not_done {
                    self.unknown += 1;
                    histories[key].add(Operation { returned_us: None, ..operation });
                }
                return !text.starts_with("UNSYNCED");
            }
            other => panic!("client {} is told {other:?}", self.number),
        }
        histories[key].add(operation);
        false
    }

    /// Nobody knows what becomes of what is under way.
    pub fn give_up(&mut self, histories: &mut [History]) {
        for Call { key, operation } in self.calls.drain(..).filter(|call| call.operation.is_write) {
            self.unknown += 1;
            histories[key].add(operation);
        }
    }
}
