//! Clients that come by TLS: until the handshake is done they can't say anything, and they may take their time about it.
//!
//! A handshake costs as much as hundreds of commands, so few are worked at in a turn; those that are left are told of again by the poll. So many
//! may be under way, and each for so long. When there are more, the one that has taken longest makes room, not who comes.

mod driver;

use std::collections::VecDeque;

use rivulet_engine::client_id::ClientId;

/// How long one turn works at them.
const TURN_US_MAX: u64 = 200;

/// Failures that the log is told of within a second.
const TOLD_MAX: u32 = 10;

#[derive(Default)]
pub struct Handshakes {
    /// Who began one, and when it is given up; those that are done or gone are passed over.
    begun: VecDeque<(u64, ClientId)>,
    under_way: usize,
    /// How long the turn that began at this time has worked at them.
    spent_us: u64,
    turn_us: u64,
    /// Failures that were told since this time.
    told: u32,
    told_since_ms: u64,
}

impl Handshakes {
    /// Whether there is time for another in the turn that began at `turn_us`.
    pub fn has_time(&mut self, turn_us: u64) -> bool {
        if self.turn_us != turn_us {
            (self.turn_us, self.spent_us) = (turn_us, 0);
        }
        self.spent_us < TURN_US_MAX
    }

    /// A client whose handshake was under way has gone.
    pub fn gone(&mut self) {
        self.under_way -= 1;
    }

    /// Whether the log is to be told of a failure.
    fn tells(&mut self, now_ms: u64) -> bool {
        if now_ms >= self.told_since_ms + 1000 {
            (self.told_since_ms, self.told) = (now_ms, 0);
        }
        self.told += 1;
        self.told <= TOLD_MAX
    }
}
