//! Sorts as much of a list as is asked for, by the quicksort of Bentley and McIlroy ("Engineering a sort function", 1993).
//!
//! The standard library's would do but for one thing: it leaves what is equal in another order. Members at the same place are that, and which
//! of them are among the first few must be the same as in Redis.

use std::cmp::Ordering;
use std::ops::Range;

/// Lists below this length are sorted by insertion.
const SHORT: usize = 7;
/// From this length on the pivot is the median of three medians.
const LONG: usize = 41;

/// Sorts so that the first `count` are in their places; the rest is in any order.
pub(super) fn sort_first<T>(items: &mut [T], count: usize, compare: &impl Fn(&T, &T) -> Ordering) {
    let divisions = 4 * (usize::BITS - items.len().leading_zeros());
    sort_within(items, count, compare, divisions);
}

/// Divides at most so many times; lists that were made to be divided badly are then sorted in another way.
fn sort_within<T>(items: &mut [T], count: usize, compare: &impl Fn(&T, &T) -> Ordering, mut divisions: u32) {
    let mut part = 0..items.len();
    while part.len() >= SHORT && part.start < count {
        if divisions == 0 {
            items[part].sort_by(compare);
            return;
        }
        divisions -= 1;
        let (below, above) = divide(items, part, compare);
        // What is below begins before `count`, as its part did.
        if below.len() > 1 {
            sort_within(&mut items[below.clone()], count - below.start, compare, divisions);
        }
        part = above;
    }
    if part.start < count {
        insert_each(&mut items[part], compare);
    }
}

fn insert_each<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Divides a part by a pivot; answers what is below the pivot and what is above it. What equals it is between them.
fn divide<T>(
    items: &mut [T],
    part: Range<usize>,
    compare: &impl Fn(&T, &T) -> Ordering,
) -> (Range<usize>, Range<usize>) {
    let Range { start, end } = part;
    let pivot = pivot(items, part, compare);
    items.swap(start, pivot);
    // Equal ones gather at both ends: start..low_equal and high_equal + 1..end.
    let (mut low_equal, mut low) = (start + 1, start + 1);
    let (mut high, mut high_equal) = (end - 1, end - 1);
    loop {
        while low <= high && compare(&items[low], &items[start]).is_le() {
            if compare(&items[low], &items[start]).is_eq() {
                items.swap(low_equal, low);
                low_equal += 1;
            }
            low += 1;
        }
        while low <= high && compare(&items[high], &items[start]).is_ge() {
            if compare(&items[high], &items[start]).is_eq() {
                items.swap(high, high_equal);
                high_equal -= 1;
            }
            high -= 1;
        }
        if low > high {
            break;
        }
        items.swap(low, high);
        low += 1;
        high -= 1;
    }
    let (below, above) = (low - low_equal, high_equal - high);
    swap_blocks(items, start, low, below.min(low_equal - start));
    swap_blocks(items, low, end, above.min(end - high_equal - 1));
    (start..start + below, end - above..end)
}

/// Swaps the first `len` items from `start` on with the last `len` before `end`.
fn swap_blocks<T>(items: &mut [T], start: usize, end: usize, len: usize) {
    for i in 0..len {
        items.swap(start + i, end - len + i);
    }
}

fn pivot<T>(items: &[T], part: Range<usize>, compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let Range { start, end } = part;
    let len = end - start;
    let median = |a: usize, b: usize, c: usize| median(items, [a, b, c], compare);
    let (mut low, mut middle, mut high) = (start, start + len / 2, end - 1);
    if len == SHORT {
        return middle;
    }
    if len >= LONG {
        let step = len / 8;
        low = median(low, low + step, low + 2 * step);
        middle = median(middle - step, middle, middle + step);
        high = median(high - 2 * step, high - step, high);
    }
    median(low, middle, high)
}

/// The place of the middle one of three items.
fn median<T>(items: &[T], [a, b, c]: [usize; 3], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let order = |x: usize, y: usize| compare(&items[x], &items[y]);
    if order(a, b).is_lt() {
        match () {
            () if order(b, c).is_lt() => b,
            () if order(a, c).is_lt() => c,
            () => a,
        }
    } else {
        match () {
            () if order(b, c).is_gt() => b,
            () if order(a, c).is_lt() => a,
            () => c,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_the_lowest_in_order() {
        let mut rng = fastrand::Rng::with_seed(9);
        for _ in 0..3000 {
            let (len, values) = (rng.usize(0..200), rng.u32(1..300));
            let mut items: Vec<u32> = (0..len).map(|_| rng.u32(..values)).collect();
            let count = rng.usize(0..=len);
            let mut sorted = items.clone();
            sorted.sort_unstable();
            sort_first(&mut items, count, &u32::cmp);
            assert_eq!(items[..count], sorted[..count]);
            items.sort_unstable();
            assert_eq!(items, sorted, "nothing is lost");
        }
    }
}
