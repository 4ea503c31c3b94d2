//! Elections: who has the votes of a term, when a candidate comes forward, and when it gives up.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// What the votes of a term say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// This Sentinel leads.
    Won,
    /// Another one does.
    Lost,
    /// Nobody can get enough votes any more.
    Split,
    /// Votes are missing.
    Open,
}

/// Counts the votes. `mine` is whom this Sentinel voted for in the term, `others` whom each of the others did, as far as they have said.
/// A leader needs `needed` votes: a majority of all that are known, and the quorum.
pub fn tally(me: &str, mine: Option<&str>, others: &[Option<&str>], needed: u32) -> Tally {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for leader in others.iter().flatten().chain(mine.iter()) {
        *counts.entry(leader).or_default() += 1;
    }
    let open = others.iter().filter(|vote| vote.is_none()).count() as u32;
    match counts.iter().find(|(_, count)| **count >= needed) {
        Some((leader, _)) if *leader == me => Tally::Won,
        Some(_) => Tally::Lost,
        None if counts.values().all(|count| count + open < needed) => Tally::Split,
        None => Tally::Open,
    }
}

/// Between two candidates of one election: a question and its answer, and a vote on the disk, take less.
const STEP_MS: u64 = 60;

/// How long a candidate waits once enough agree that the master is down. The Sentinels stand in an order that differs from master to master, so
/// that one goes first and gets all votes, and each one leads some elections when many masters fail at once. `live` are the others that are up;
/// `round` counts the elections that were split. `random` makes chance decide where the order is seen differently.
pub fn delay_ms(master: &str, me: &str, live: &[&str], round: u32, random: u64) -> u64 {
    let mine = place(master, me);
    let rank = live.iter().filter(|id| place(master, id) < mine).count() as u64;
    let spread_ms = STEP_MS / 4 + if round == 0 { 0 } else { STEP_MS << round.min(5) };
    rank * STEP_MS + random % spread_ms
}

fn place(master: &str, id: &str) -> [u8; 32] {
    Sha256::new().chain_update(master).chain_update([0]).chain_update(id).finalize().into()
}

/// The pause before a candidate whom nobody elected tries again: the term goes up each time, so it is longer each time.
pub fn retry_ms(splits: u32, failover_timeout_ms: u64) -> u64 {
    (1000u64 << splits.min(16)).min(failover_timeout_ms.saturating_mul(2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads() {
        let a = Some("a");
        let b = Some("b");
        let rows = [
            (a, vec![a, None], 2, Tally::Won),
            (a, vec![None, None], 2, Tally::Open),
            (a, vec![b, b], 2, Tally::Lost),
            (a, vec![b, Some("c")], 2, Tally::Split),
            (a, vec![b, None], 2, Tally::Open),
            (None, vec![a, a], 2, Tally::Won),
            (a, vec![], 1, Tally::Won),
            // The quorum may ask for more than a majority.
            (a, vec![a, b], 3, Tally::Split),
            (a, vec![a, a], 3, Tally::Won),
            (a, vec![b, None, None, None], 3, Tally::Open),
            (a, vec![a, b, b, None], 3, Tally::Open),
            (a, vec![a, b, b, Some("c")], 3, Tally::Split),
        ];
        for (mine, others, needed, expected) in rows {
            assert_eq!(tally("a", mine, &others, needed), expected, "{mine:?} {others:?} {needed}");
        }
    }

    #[test]
    fn one_goes_first_and_not_always_the_same() {
        let ids: Vec<String> = (0..5).map(|i| format!("sentinel-{i}")).collect();
        let mut first = BTreeMap::new();
        for master in 0..400 {
            let name = format!("master-{master}");
            let delay = |i: usize| {
                let live: Vec<&str> = ids.iter().filter(|id| **id != ids[i]).map(String::as_str).collect();
                delay_ms(&name, &ids[i], &live, 0, 7)
            };
            let mut delays: Vec<(u64, usize)> = (0..5).map(|i| (delay(i), i)).collect();
            delays.sort_unstable();
            assert!(delays.windows(2).all(|pair| pair[1].0 - pair[0].0 >= STEP_MS), "{delays:?}");
            *first.entry(delays[0].1).or_insert(0) += 1;
        }
        assert!(first.values().all(|count| *count > 40), "{first:?}");
    }

    #[test]
    fn later_tries_come_later_but_not_without_bound() {
        assert!(retry_ms(0, 180_000) < retry_ms(3, 180_000));
        assert_eq!(retry_ms(40, 180_000), 360_000);
        assert_eq!(retry_ms(5, 100), 200);
        assert_eq!(retry_ms(0, 0), 1);
    }
}
