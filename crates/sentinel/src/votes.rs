//! Votes: in a term a Sentinel votes for one leader for a master, and for none in a term before that.
//!
//! The rule holds for each master by itself. That the present term of this Sentinel may be newer, as another master's election has begun one, is
//! no reason to refuse: where it is one (as in Redis), elections of many masters at a time take each other's votes away.
//! A vote, and the term, are on the disk before anybody hears of them: what is said to others waits for the end of the turn, when all is saved.

/// The largest term that is taken from others: there is always one after it.
pub const EPOCH_MAX: u64 = 1 << 62;

/// A vote for a leader in a term.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vote {
    /// Nothing when nobody was voted for, or when a restart has forgotten whom.
    pub leader: Option<String>,
    pub epoch: u64,
}

impl Vote {
    /// Votes for a candidate, if there is a vote left for that term; answers whether it was given now.
    pub fn give(&mut self, candidate: &str, epoch: u64) -> bool {
        if epoch <= self.epoch {
            return false;
        }
        *self = Vote { leader: Some(candidate.to_string()), epoch };
        true
    }

    /// Whom the vote of this term is for.
    pub fn of(&self, epoch: u64) -> Option<&str> {
        self.leader.as_deref().filter(|_| self.epoch == epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_vote_a_term_and_never_back() {
        let mut vote = Vote::default();
        assert!(!vote.give("a", 0), "there is no term 0");
        assert!(vote.give("a", 5));
        assert!(!vote.give("b", 5) && !vote.give("a", 5) && !vote.give("b", 4));
        assert_eq!((vote.of(5), vote.of(4)), (Some("a"), None));
        assert!(vote.give("b", 6));
        // What a restart leaves: the term is used up.
        let mut restarted = Vote { leader: None, epoch: 6 };
        assert!(!restarted.give("c", 6) && restarted.of(6).is_none());
    }
}
