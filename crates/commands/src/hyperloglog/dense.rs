//! Registers of six bits each, packed from the low bits of each byte on.

use super::estimate::Histogram;
use super::header::{DENSE_LEN, Encoding, HEADER_LEN, REGISTERS, zeroed};

const MASK: u32 = 63;

/// Where a register begins: its byte in the value, and its lowest bit there.
fn place(register: usize) -> (usize, u32) {
    let bit = register * 6;
    (HEADER_LEN + bit / 8, (bit % 8) as u32)
}

/// The two bytes that a register may lie in; behind the last is 0.
fn window(bytes: &[u8], at: usize) -> u32 {
    u32::from(bytes[at]) | u32::from(bytes.get(at + 1).copied().unwrap_or(0)) << 8
}

#[inline]
pub(super) fn get(bytes: &[u8], register: usize) -> u8 {
    let (at, shift) = place(register);
    (window(bytes, at) >> shift & MASK) as u8
}

#[inline]
pub(super) fn set(bytes: &mut [u8], register: usize, rank: u8) {
    let (at, shift) = place(register);
    let word = window(bytes, at) & !(MASK << shift) | u32::from(rank) << shift;
    bytes[at] = word as u8;
    if let Some(high) = bytes.get_mut(at + 1) {
        *high = (word >> 8) as u8;
    }
}

/// Calls `f` with the ranks of four registers at a time, in order.
fn for_each_four(bytes: &[u8], mut f: impl FnMut([u8; 4])) {
    let (groups, _) = bytes[HEADER_LEN..].as_chunks::<3>();
    for &[low, middle, high] in groups {
        let word = u32::from_le_bytes([low, middle, high, 0]);
        f([0, 6, 12, 18].map(|shift| (word >> shift & MASK) as u8));
    }
}

pub(super) fn count(bytes: &[u8], histogram: &mut Histogram) {
    // One table for each place in a group: equal ranks in a row would wait for each other.
    let mut tables = [[0u32; 64]; 4];
    for_each_four(bytes, |ranks| {
        for (table, rank) in tables.iter_mut().zip(ranks) {
            table[usize::from(rank)] += 1;
        }
    });
    for (rank, sum) in histogram.iter_mut().enumerate() {
        *sum += tables.iter().map(|table| table[rank]).sum::<u32>();
    }
}

/// Raises ranks to those of this value.
pub(super) fn merge_into(ranks: &mut [u8; REGISTERS], bytes: &[u8]) {
    let (groups, _) = ranks.as_chunks_mut::<4>();
    let mut groups = groups.iter_mut();
    for_each_four(bytes, |others| {
        if let Some(group) = groups.next() {
            group.iter_mut().zip(others).for_each(|(rank, other)| *rank = (*rank).max(other));
        }
    });
}

/// Makes all registers these.
pub(super) fn fill(bytes: &mut [u8], ranks: &[u8; REGISTERS]) {
    let (groups, _) = bytes[HEADER_LEN..].as_chunks_mut::<3>();
    for (group, ranks) in groups.iter_mut().zip(ranks.as_chunks::<4>().0) {
        let word = ranks.iter().rev().fold(0, |word, &rank| word << 6 | u32::from(rank) & MASK);
        group.copy_from_slice(&word.to_le_bytes()[..3]);
    }
}

/// A value of no element.
pub(super) fn empty() -> Vec<u8> {
    zeroed(Encoding::Dense, DENSE_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_keeps_to_its_six_bits() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut bytes, mut ranks) = (empty(), [0; REGISTERS]);
        for i in 0..100_000 {
            // Each once for certain, the last above all, then any.
            let register = if i < REGISTERS { REGISTERS - 1 - i } else { rng.usize(..REGISTERS) };
            let rank = rng.u8(..64);
            set(&mut bytes, register, rank);
            ranks[register] = rank;
        }
        assert!((0..REGISTERS).all(|register| get(&bytes, register) == ranks[register]));
        let mut filled = empty();
        fill(&mut filled, &ranks);
        assert!(filled == bytes);
        let mut merged = [7; REGISTERS];
        merge_into(&mut merged, &bytes);
        assert!(merged.iter().zip(ranks).all(|(&m, rank)| m == rank.max(7)));
        let mut histogram = [0; 64];
        count(&bytes, &mut histogram);
        let times = |rank: usize| ranks.iter().filter(|&&r| usize::from(r) == rank).count() as u32;
        assert!((0..64).all(|rank| histogram[rank] == times(rank)));
    }
}
