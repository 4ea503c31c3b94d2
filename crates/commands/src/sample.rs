//! Random choice of elements by their ranks: the counts that SRANDMEMBER, HRANDFIELD and ZRANDMEMBER take, and distinct ranks.

use crate::ctx::Ctx;
use crate::fail::{Fail, SYNTAX};

/// How many random elements are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RandomCount {
    /// Each at most once.
    Distinct(usize),
    /// Each chosen anew; from a negative count.
    Repeating(usize),
}

impl RandomCount {
    /// Argument 2, and whether `with`, an optional word for what belongs to the elements, stands behind it.
    pub fn parse(ctx: &Ctx<'_>, with: &str) -> Result<(RandomCount, bool), Fail> {
        let count = RandomCount::from_int(ctx.int(2)?)?;
        let has_with = match ctx.args.len() {
            3 => false,
            4 if ctx.args.is(3, with) => true,
            _ => return Err(SYNTAX),
        };
        let (RandomCount::Distinct(n) | RandomCount::Repeating(n)) = count;
        if has_with && n > usize::MAX / 4 {
            return Err(Fail::new("ERR value is out of range"));
        }
        Ok((count, has_with))
    }

    pub fn from_int(count: i64) -> Result<RandomCount, Fail> {
        match count {
            i64::MIN => {
                Err(Fail::text(format!("ERR value is out of range, value must between {} and {}", -i64::MAX, i64::MAX)))
            }
            0.. => Ok(RandomCount::Distinct(count as usize)),
            _ => Ok(RandomCount::Repeating(count.unsigned_abs() as usize)),
        }
    }

    /// How many are answered of `len`.
    pub fn answered(self, len: usize) -> usize {
        match self {
            RandomCount::Distinct(count) => count.min(len),
            RandomCount::Repeating(count) => count,
        }
    }
}

/// `count` different ranks below `size`, each choice as likely as any other, in ascending order.
pub(crate) fn distinct_ranks(rng: &mut fastrand::Rng, size: usize, count: usize) -> Vec<usize> {
    debug_assert!(count <= size);
    if is_dense(size, count) {
        // Each rank is taken with the chance that the ones still needed have among those left.
        let mut needed = count;
        let take = |rank: &usize| {
            let taken = rng.usize(..size - rank) < needed;
            needed -= usize::from(taken);
            taken
        };
        return (0..size).filter(take).collect();
    }
    let mut ranks = Vec::with_capacity(count);
    while ranks.len() < count {
        ranks.extend((ranks.len()..count).map(|_| rng.usize(..size)));
        ranks.sort_unstable();
        ranks.dedup();
    }
    ranks
}

/// Whether going over all elements is cheaper than looking up each chosen one.
pub(crate) fn is_dense(size: usize, count: usize) -> bool {
    count.saturating_mul(3) > size
}

/// The items of `all` with these ascending ranks.
pub(crate) fn at_ranks<T>(all: impl Iterator<Item = T>, ranks: &[usize]) -> impl Iterator<Item = T> {
    let mut wanted = ranks.iter().peekable();
    all.enumerate().filter_map(move |(rank, item)| wanted.next_if(|&&w| w == rank).map(|_| item)).take(ranks.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_distinct_and_each_is_as_likely() {
        let mut rng = fastrand::Rng::with_seed(3);
        for (size, count) in [(1, 1), (10, 10), (10, 4), (100, 3), (5, 0)] {
            let mut seen = vec![0u32; size];
            for _ in 0..3000 {
                let ranks = distinct_ranks(&mut rng, size, count);
                assert_eq!(ranks.len(), count);
                assert!(ranks.windows(2).all(|w| w[0] < w[1]));
                ranks.iter().for_each(|&r| seen[r] += 1);
            }
            let expected = 3000 * count / size;
            assert!(seen.iter().all(|&n| (n as usize).abs_diff(expected) <= expected / 2), "{seen:?}");
        }
        assert_eq!(at_ranks(10..20, &[0, 3, 9]).collect::<Vec<_>>(), [10, 13, 19]);
    }
}
