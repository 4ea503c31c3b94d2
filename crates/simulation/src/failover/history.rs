//! What clients have done to a register, and whether it could have been done in one order that keeps each operation between its call and its return.
//!
//! Each value is written once, so a read says which write it has seen, and the question is easy (Gibbons and Korach, "Testing Shared Memories", 1997). All
//! operations of a value make a *zone*, from the first return among them to the last call. Where the return comes first, the register had that value all the
//! while; where the call comes first, all of them could have happened at one moment in between.

use std::collections::BTreeMap;

/// The value before anything is written.
pub const NONE: u64 = 0;

/// A write or a read of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub is_write: bool,
    pub value: u64,
    pub called_us: u64,
    /// Nothing if nobody knows whether it has been done, or will be.
    pub returned_us: Option<u64>,
}

/// All that was done to a register.
#[derive(Clone, Debug, Default)]
pub struct History(Vec<Operation>);

struct Zone {
    value: u64,
    first_return_us: u64,
    last_call_us: u64,
}

impl Zone {
    /// It had the value all the while.
    fn is_forward(&self) -> bool {
        self.first_return_us < self.last_call_us
    }
}

impl History {
    pub fn add(&mut self, operation: Operation) {
        self.0.push(operation);
    }

    /// # Errors
    /// Why no order is possible.
    pub fn check(&self) -> Result<(), String> {
        let zones = self.zones()?;
        let (mut forward, backward): (Vec<Zone>, Vec<Zone>) = zones.into_iter().partition(Zone::is_forward);
        forward.sort_by_key(|zone| zone.first_return_us);
        for pair in forward.windows(2) {
            if pair[1].first_return_us < pair[0].last_call_us {
                return Err(told(&pair[0], &pair[1]));
            }
        }
        for zone in &backward {
            let after = forward.partition_point(|other| other.first_return_us < zone.last_call_us);
            if let Some(around) = forward[..after].last()
                && zone.first_return_us < around.last_call_us
            {
                return Err(told(around, zone));
            }
        }
        Ok(())
    }

    fn zones(&self) -> Result<Vec<Zone>, String> {
        let mut values: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
        let first = Operation { is_write: true, value: NONE, called_us: 0, returned_us: Some(0) };
        for operation in std::iter::once(&first).chain(&self.0) {
            values.entry(operation.value).or_default().push(*operation);
        }
        let mut zones = Vec::new();
        for (value, operations) in values {
            let Some(write) = operations.iter().find(|o| o.is_write) else {
                return Err(format!("{value} was read, and nobody wrote it"));
            };
            let early = |o: &&Operation| o.returned_us.is_some_and(|returned| returned < write.called_us);
            if let Some(read) = operations.iter().find(early) {
                return Err(format!(
                    "{value} was read at {:?}, before it was written at {}",
                    read.returned_us, write.called_us
                ));
            }
            // What nobody has seen and nobody was told of need not have been done.
            let Some(first_return_us) = operations.iter().filter_map(|o| o.returned_us).min() else { continue };
            let last_call_us = operations.iter().map(|o| o.called_us).max().unwrap_or(0);
            zones.push(Zone { value, first_return_us, last_call_us });
        }
        Ok(zones)
    }
}

fn told(held: &Zone, other: &Zone) -> String {
    format!(
        "it was {} from {} us to {} us, and {} in between, from {} us to {} us",
        held.value, held.first_return_us, held.last_call_us, other.value, other.first_return_us, other.last_call_us
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(operations: &[(char, u64, u64, u64)]) -> History {
        let mut history = History::default();
        for (kind, value, called_us, returned_us) in operations {
            let returned_us = (*returned_us > 0).then_some(*returned_us);
            history.add(Operation { is_write: *kind == 'w', value: *value, called_us: *called_us, returned_us });
        }
        history
    }

    #[test]
    fn what_happens_in_a_row_is_right() {
        history(&[('r', 0, 1, 2), ('w', 1, 3, 4), ('r', 1, 5, 6), ('w', 2, 7, 8), ('r', 2, 9, 10)]).check().unwrap();
    }

    #[test]
    fn at_one_time_either_may_be_first() {
        let both = [('w', 1, 10, 20), ('w', 2, 10, 20)];
        for last in [1, 2] {
            history(&[both[0], both[1], ('r', last, 30, 40)]).check().unwrap();
        }
        assert!(history(&[both[0], both[1], ('r', 1, 30, 40), ('r', 2, 50, 60)]).check().is_err());
    }

    #[test]
    fn an_old_value_is_noticed() {
        assert!(history(&[('w', 1, 1, 2), ('w', 2, 3, 4), ('r', 1, 5, 6)]).check().is_err());
        assert!(history(&[('w', 1, 1, 2), ('r', 0, 3, 4)]).check().is_err());
    }

    #[test]
    fn a_write_that_was_lost_is_noticed() {
        assert!(history(&[('w', 1, 1, 2), ('w', 2, 3, 4), ('r', 2, 5, 6), ('r', 1, 7, 8)]).check().is_err());
    }

    #[test]
    fn what_nobody_knows_of_may_come_later_or_never() {
        let unknown = ('w', 2, 3, 0);
        history(&[('w', 1, 1, 2), unknown, ('r', 1, 5, 6)]).check().unwrap();
        history(&[('w', 1, 1, 2), unknown, ('r', 1, 5, 6), ('r', 2, 7, 8)]).check().unwrap();
        assert!(history(&[('w', 1, 1, 2), unknown, ('r', 2, 5, 6), ('r', 1, 7, 8)]).check().is_err());
    }

    #[test]
    fn a_value_from_nowhere_is_noticed() {
        assert!(history(&[('r', 7, 1, 2)]).check().is_err());
        assert!(history(&[('r', 7, 1, 2), ('w', 7, 3, 4)]).check().is_err());
    }

    /// Beside a search through all orders.
    #[test]
    fn it_says_what_a_search_says() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut refused = 0;
        for _ in 0..3000 {
            let count = rng.u64(1..=3);
            let mut operations: Vec<(char, u64, u64, u64)> =
                (1..=count).map(|value| any('w', value, &mut rng)).collect();
            operations.extend((0..rng.usize(1..4)).map(|_| any('r', rng.u64(0..=count), &mut rng)));
            let said = history(&operations).check().is_ok();
            assert_eq!(said, search(&operations, &mut vec![false; operations.len()], NONE), "{operations:?}");
            refused += u32::from(!said);
        }
        assert!((300..2700).contains(&refused), "{refused}");
    }

    fn any(kind: char, value: u64, rng: &mut fastrand::Rng) -> (char, u64, u64, u64) {
        // No two moments are the same but by chance, which counts as at one time.
        let called = rng.u64(1..40);
        let is_unknown = kind == 'w' && rng.u8(..5) == 0;
        (kind, value, called, if is_unknown { 0 } else { called + rng.u64(1..12) })
    }

    /// Whether the operations that are left can be done in some order, with the register at a value.
    fn search(all: &[(char, u64, u64, u64)], done: &mut Vec<bool>, value: u64) -> bool {
        let is_left = |i: &usize| !done[*i];
        let left: Vec<usize> = (0..all.len()).filter(is_left).collect();
        if left.iter().all(|&i| all[i].3 == 0) {
            return true;
        }
        left.iter().any(|&i| {
            let (kind, of, called, _) = all[i];
            let is_first = left.iter().all(|&j| all[j].3 == 0 || all[j].3 >= called);
            if !is_first || kind == 'r' && of != value {
                return false;
            }
            done[i] = true;
            let found = search(all, done, of);
            done[i] = false;
            found
        })
    }
}
