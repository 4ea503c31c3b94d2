//! The smoke runner: drives a target with seeded random changes of its seeds. Every case follows from one number.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;

use crate::{Target, mutate};

/// A case that failed.
#[derive(Debug)]
pub struct Failure {
    /// What replays it; `None` if a seed itself failed.
    pub case: Option<u64>,
    pub input: Vec<u8>,
}

/// The input of a case.
pub fn input(seeds: &[Vec<u8>], case: u64) -> Vec<u8> {
    mutate::mutated(seeds, &mut Rng::with_seed(case))
}

/// Runs the seeds and then cases from `first` on, as long as `go_on` says so of their count. Answers how many cases ran.
pub fn run(target: &Target, first: u64, mut go_on: impl FnMut(u64) -> bool) -> Result<u64, Failure> {
    let seeds = (target.seeds)();
    for seed in &seeds {
        one(target, None, seed)?;
    }
    let mut count = 0;
    while go_on(count) {
        let case = first.wrapping_add(count);
        one(target, Some(case), &input(&seeds, case))?;
        count += 1;
    }
    Ok(count)
}

fn one(target: &Target, case: Option<u64>, input: &[u8]) -> Result<(), Failure> {
    // The targets keep nothing from one call to the next.
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|_| Failure { case, input: input.to_vec() })
}
