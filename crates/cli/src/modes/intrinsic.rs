//! `--intrinsic-latency`: how long the system keeps a process waiting that does nothing but compute. No server is asked.

use std::hint::black_box;
use std::time::Duration;

use super::Interrupt;
use crate::clock;
use crate::out::{Fatal, say};

/// Runs for so many seconds, or until Ctrl-C.
///
/// # Errors
/// Ctrl-C can't be watched for.
pub fn run(seconds: i64) -> Result<(), Fatal> {
    let interrupt = Interrupt::watch()?;
    let begun = clock::now();
    let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let (mut max, mut runs) = (0, 0u64);
    loop {
        let start = clock::now();
        black_box(compute());
        let end = clock::now();
        runs += 1;
        let taken = end.duration_since(start).as_micros();
        if taken > max {
            max = taken;
            say!("Max latency so far: {max} microseconds.\n");
        }
        if interrupt.has_come() || end.duration_since(begun) > time {
            let average = end.duration_since(begun).as_micros() as f64 / runs as f64;
            say!(
                "\n{runs} total runs (avg latency: {average:.4} microseconds / {:.2} nanoseconds per run).\n",
                average * 1000.0
            );
            say!("Worst run took {:.0}x longer than the average latency.\n", max as f64 / average);
            return Ok(());
        }
    }
}

/// Something that takes a few microseconds, and that no compiler does beforehand.
fn compute() -> u32 {
    (0..2_000u32).fold(black_box(1), |state, step| (state ^ step).wrapping_mul(0x9e37_79b1).rotate_left(13))
}
