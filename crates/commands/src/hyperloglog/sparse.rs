//! Registers as runs of equal ones, for values of few elements.
//!
//! ```text
//! 00nnnnnn            n + 1 registers that are 0      (up to 64)
//! 01nnnnnn nnnnnnnn   n + 1 registers that are 0      (up to 16384)
//! 1vvvvvnn            n + 1 registers that are v + 1  (up to 4, of ranks up to 32)
//! ```
//!
//! Which runs stand for given registers depends on the order in which they were set. Others store the same bytes after the same commands, so
//! that how runs are cut and joined is part of the format. Runs that don't cover all registers just once are refused as corrupt.

use super::dense;
use super::estimate::Histogram;
use super::header::{CORRUPT, Encoding, HEADER_LEN, REGISTERS, copy_header, note_changed, zeroed};
use crate::fail::Fail;

const SHORT_ZEROS_MAX: usize = 64;
const RANK_MAX: u8 = 32;
const RANKED_MAX: usize = 4;
/// Runs that are looked at for two to join, once one was cut.
const JOINED_WITHIN: usize = 5;

/// A value of no element.
pub(super) fn empty() -> Vec<u8> {
    let mut bytes = zeroed(Encoding::Sparse, HEADER_LEN);
    let mut runs = Runs::default();
    runs.push_zeros(REGISTERS);
    bytes.extend_from_slice(runs.as_bytes());
    bytes
}

/// Registers of the same rank that follow each other.
#[derive(Clone, Copy)]
struct Run {
    /// Where it stands in the value, and in how many bytes.
    at: usize,
    width: usize,
    /// Its first register.
    first: usize,
    len: usize,
    /// 0 is no element.
    rank: u8,
}

/// The run at a place.
#[inline]
fn run_at(bytes: &[u8], at: usize, first: usize) -> Result<Run, Fail> {
    let op = *bytes.get(at).ok_or(CORRUPT)?;
    let (width, len, rank) = match op >> 6 {
        0 => (1, usize::from(op & 63) + 1, 0),
        1 => {
            let low = *bytes.get(at + 1).ok_or(CORRUPT)?;
            (2, (usize::from(op & 63) << 8 | usize::from(low)) + 1, 0)
        }
        _ => (1, usize::from(op & 3) + 1, (op >> 2 & 31) + 1),
    };
    Ok(Run { at, width, first, len, rank })
}

/// Calls `f` with each run; the runs are those of all registers, or it is an error.
fn for_each(bytes: &[u8], mut f: impl FnMut(Run)) -> Result<(), Fail> {
    let (mut at, mut first) = (HEADER_LEN, 0);
    while at < bytes.len() {
        let run = run_at(bytes, at, first)?;
        (at, first) = (at + run.width, first + run.len);
        if first > REGISTERS {
            return Err(CORRUPT);
        }
        f(run);
    }
    if first == REGISTERS { Ok(()) } else { Err(CORRUPT) }
}

pub(super) fn count(bytes: &[u8], histogram: &mut Histogram) -> Result<(), Fail> {
    for_each(bytes, |run| histogram[usize::from(run.rank)] += run.len as u32)
}

/// Raises ranks to those of this value.
pub(super) fn merge_into(ranks: &mut [u8; REGISTERS], bytes: &[u8]) -> Result<(), Fail> {
    for_each(bytes, |run| {
        if run.rank > 0 {
            ranks[run.first..run.first + run.len].iter_mut().for_each(|rank| *rank = (*rank).max(run.rank));
        }
    })
}

/// The same registers, six bits each; the header is kept.
pub(super) fn to_dense(bytes: &[u8]) -> Result<Vec<u8>, Fail> {
    let mut ranks = [0; REGISTERS];
    merge_into(&mut ranks, bytes)?;
    let mut dense = dense::empty();
    copy_header(bytes, &mut dense);
    dense::fill(&mut dense, &ranks);
    Ok(dense)
}

/// The runs as PFDEBUG DECODE shows them, also when they are corrupt.
pub(super) fn decoded(bytes: &[u8]) -> String {
    let mut words = Vec::new();
    let mut at = HEADER_LEN;
    while let Ok(run) = run_at(bytes, at, 0) {
        words.push(match (run.rank, run.width) {
            (0, 1) => format!("z:{}", run.len),
            (0, _) => format!("Z:{}", run.len),
            (rank, _) => format!("v:{rank},{}", run.len),
        });
        at += run.width;
    }
    words.join(" ")
}

/// The run in which a register is, and where the one before it begins.
struct Found {
    run: Run,
    before: Option<(usize, usize)>,
}

/// Looks for a register's run from one that begins not behind it (place in the value, first register) on.
#[inline]
fn locate(bytes: &[u8], register: usize, (mut at, mut first): (usize, usize)) -> Result<Found, Fail> {
    let mut before = None;
    loop {
        let run = run_at(bytes, at, first)?;
        if register < first + run.len {
            return Ok(Found { run, before });
        }
        before = Some((at, first));
        (at, first) = (at + run.width, first + run.len);
    }
}

const START: (usize, usize) = (HEADER_LEN, 0);

#[inline]
pub(super) fn get(bytes: &[u8], register: usize) -> Result<u8, Fail> {
    locate(bytes, register, START).map(|found| found.run.rank)
}

/// What became of a register.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It was as high already.
    Not,
    Yes,
    /// The value would become longer than allowed, or has no word for the rank; nothing was changed.
    TooLarge,
}

/// Raises registers in ascending order, which need not be looked for from the start each time.
pub(super) struct Raiser {
    from: (usize, usize),
}

impl Raiser {
    pub fn new() -> Raiser {
        Raiser { from: START }
    }

    /// Raises a register, not below that of the last call, to a rank; the value has at most `len_max` bytes if it grows.
    pub fn raise(&mut self, bytes: &mut Vec<u8>, register: usize, rank: u8, len_max: u64) -> Result<Raised, Fail> {
        if rank > RANK_MAX {
            return Ok(Raised::TooLarge);
        }
        let mut found = locate(bytes, register, self.from)?;
        if found.before.is_none() && self.from != START {
            // The run before is needed, too, as two may be joined.
            found = locate(bytes, register, START)?;
        }
        let run = found.run;
        if run.rank >= rank {
            return Ok(Raised::Not);
        }
        let runs = cut(run, register, rank);
        let more = runs.as_bytes().len() as isize - run.width as isize;
        if more > 0 && (bytes.len() + more as usize) as u64 > len_max {
            return Ok(Raised::TooLarge);
        }
        replace(bytes, run.at, run.width, runs.as_bytes());
        let (from, first) = found.before.unwrap_or(START);
        join(bytes, from);
        note_changed(bytes);
        self.from = (from, first);
        Ok(Raised::Yes)
    }
}

/// Raises one register; see [`Raiser::raise`].
pub(super) fn raise(bytes: &mut Vec<u8>, register: usize, rank: u8, len_max: u64) -> Result<Raised, Fail> {
    Raiser::new().raise(bytes, register, rank, len_max)
}

/// Up to three runs.
#[derive(Default)]
struct Runs {
    bytes: [u8; 5],
    len: usize,
}

impl Runs {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn push_zeros(&mut self, len: usize) {
        let n = len - 1;
        if len > SHORT_ZEROS_MAX {
            self.push(0x40 | (n >> 8) as u8);
        }
        self.push(n as u8);
    }

    fn push_ranked(&mut self, rank: u8, len: usize) {
        self.push(0x80 | (rank - 1) << 2 | (len - 1) as u8);
    }

    fn push_as(&mut self, run: Run, len: usize) {
        match (run.rank, len) {
            (_, 0) => {}
            (0, _) => self.push_zeros(len),
            (rank, _) => self.push_ranked(rank, len),
        }
    }
}

/// The runs in place of one within which a register gets another rank.
fn cut(run: Run, register: usize, rank: u8) -> Runs {
    let mut runs = Runs::default();
    runs.push_as(run, register - run.first);
    runs.push_ranked(rank, 1);
    runs.push_as(run, run.first + run.len - 1 - register);
    runs
}

/// Puts bytes in place of `width` others.
fn replace(bytes: &mut Vec<u8>, at: usize, width: usize, new: &[u8]) {
    let (end, old_len) = (at + width, bytes.len());
    if new.len() > width {
        bytes.resize(old_len + new.len() - width, 0);
    }
    bytes.copy_within(end..old_len, at + new.len());
    if new.len() < width {
        bytes.truncate(old_len + new.len() - width);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// Joins runs of the same rank among the few from here on, as far as one may be long.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_WITHIN {
        let Ok(run) = run_at(bytes, at, 0) else { return };
        if let Ok(next) = run_at(bytes, at + run.width, 0)
            && run.rank > 0
            && run.rank == next.rank
            && run.len + next.len <= RANKED_MAX
        {
            let mut joined = Runs::default();
            joined.push_ranked(run.rank, run.len + next.len);
            replace(bytes, at, 2, joined.as_bytes());
        } else {
            at += run.width;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_cut_and_joined() {
        let mut bytes = empty();
        assert_eq!(decoded(&bytes), "Z:16384");
        for (register, rank, want) in [
            (100, 3, "Z:100 v:3,1 Z:16283"),
            (101, 3, "Z:100 v:3,2 Z:16282"),
            (40, 1, "z:40 v:1,1 z:59 v:3,2 Z:16282"),
            (103, 3, "z:40 v:1,1 z:59 v:3,2 z:1 v:3,1 Z:16280"),
            (102, 3, "z:40 v:1,1 z:59 v:3,4 Z:16280"),
            (104, 3, "z:40 v:1,1 z:59 v:3,4 v:3,1 Z:16279"),
            (101, 32, "z:40 v:1,1 z:59 v:3,1 v:32,1 v:3,3 Z:16279"),
            (0, 2, "v:2,1 z:39 v:1,1 z:59 v:3,1 v:32,1 v:3,3 Z:16279"),
            (16383, 9, "v:2,1 z:39 v:1,1 z:59 v:3,1 v:32,1 v:3,3 Z:16278 v:9,1"),
        ] {
            assert_eq!(raise(&mut bytes, register, rank, 3000), Ok(Raised::Yes), "{want}");
            assert_eq!(decoded(&bytes), want);
            assert_eq!(get(&bytes, register), Ok(rank));
        }
        let before = bytes.clone();
        assert_eq!(raise(&mut bytes, 101, 31, 3000), Ok(Raised::Not));
        assert_eq!(raise(&mut bytes, 101, 33, 3000), Ok(Raised::TooLarge));
        assert_eq!(raise(&mut bytes, 5000, 1, before.len() as u64 + 2), Ok(Raised::TooLarge));
        assert!(bytes == before);
        assert_eq!(raise(&mut bytes, 5000, 1, before.len() as u64 + 3), Ok(Raised::Yes));
    }

    #[test]
    fn ascending_or_one_by_one_is_the_same() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..200 {
            let mut registers: Vec<(usize, u8)> =
                (0..rng.usize(1..400)).map(|_| (rng.usize(..rng.clone().usize(1..=REGISTERS)), rng.u8(1..4))).collect();
            let mut base = empty();
            for &(register, rank) in &registers[..registers.len() / 2] {
                raise(&mut base, register, rank, 10_000).expect("valid");
            }
            registers.sort_unstable();
            let (mut one_by_one, mut ascending, mut raiser) = (base.clone(), base, Raiser::new());
            for &(register, rank) in &registers {
                let want = raise(&mut one_by_one, register, rank, 10_000);
                assert_eq!(raiser.raise(&mut ascending, register, rank, 10_000), want);
            }
            assert_eq!(decoded(&ascending), decoded(&one_by_one));
            let dense = to_dense(&ascending).expect("valid");
            assert!(registers.iter().all(|&(register, rank)| dense::get(&dense, register) >= rank));
            assert!((0..REGISTERS).all(|register| get(&ascending, register) == Ok(dense::get(&dense, register))));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_taken() {
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..5_000 {
            let mut bytes = empty();
            bytes.truncate(HEADER_LEN);
            bytes.extend((0..rng.usize(..12)).map(|_| rng.u8(..)));
            let valid = to_dense(&bytes).is_ok();
            assert_eq!(count(&bytes, &mut [0; 64]).is_ok(), valid);
            for _ in 0..20 {
                // May be refused, as the register's run may lack.
                let _ = raise(&mut bytes, rng.usize(..REGISTERS), rng.u8(1..52), 64);
            }
            assert_eq!(to_dense(&bytes).is_ok(), valid);
        }
    }
}
