//! A clock that costs little to read: the processor's counter, set by the machine's clock again and again.
//!
//! A read of the system's monotonic clock takes some 30 ns, which is much beside a command of 300. Where the system itself keeps time by the
//! processor's time-stamp counter, that counter runs evenly, on all cores alike; read directly it takes a third of the time. Elsewhere, and until its
//! rate is known, the machine's clock is read.

use crate::time::machine_us;

/// The rate is measured over no less.
const MEASURED_US: u64 = 100_000;
/// How far the counter is believed without a look at the machine's clock: a virtual machine that is moved may have another one.
const BELIEVED_US: u64 = 100_000;
/// Two measurements of an even rate differ by no more than a part of so many.
const EVEN: u64 = 1024;
/// A look at the clock and the counter within so many counts is one moment.
const ONE_MOMENT: u64 = 20_000;

/// A moment on both.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    us: u64,
    count: u64,
}

/// The machine's clock as one thread reads it.
#[derive(Clone, Debug, Default)]
pub struct Cycles {
    set: Moment,
    /// Us a count, times 2^32; 0 where the counter can't be used.
    rate: u64,
    /// Counts in which it is believed.
    believed: u64,
    /// Where the measurement under way began, and what the one before came to.
    began: Moment,
    measured: u64,
}

impl Cycles {
    /// Us of [`machine_us`], within a few.
    #[inline]
    pub fn read(&self) -> u64 {
        let passed = counter().wrapping_sub(self.set.count);
        // Nothing is believed while there is no rate.
        if passed < self.believed { self.set.us + ((passed * self.rate) >> 32) } else { machine_us() }
    }

    /// The counter is read, and not the machine's clock.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.rate != 0
    }

    /// Reads the machine's clock, and goes by it from now on.
    pub fn set(&mut self) -> u64 {
        let before = counter();
        let now = Moment { us: machine_us(), count: counter() };
        if is_trusted() && now.count.wrapping_sub(before) < ONE_MOMENT {
            self.measure(now);
            self.set = now;
        }
        now.us
    }

    fn measure(&mut self, now: Moment) {
        if self.began.us == 0 {
            self.began = now;
        }
        let us = now.us - self.began.us;
        if us < MEASURED_US {
            return;
        }
        let counts = now.count.wrapping_sub(self.began.count);
        let measured = ((u128::from(us) << 32) / u128::from(counts.max(1))) as u64;
        self.rate = if measured.abs_diff(self.measured) <= measured / EVEN { measured } else { 0 };
        self.believed = (BELIEVED_US << 32).checked_div(self.rate).unwrap_or(0);
        self.measured = measured;
        self.began = now;
    }
}

/// The system keeps its own time by the counter.
#[cfg(target_arch = "x86_64")]
fn is_trusted() -> bool {
    static TRUSTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let ask = || {
        let source = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        source.is_ok_and(|name| name.trim() == "tsc")
    };
    !crate::world::is_simulated() && *TRUSTED.get_or_init(ask)
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn counter() -> u64 {
    // SAFETY: every processor of this architecture has the counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn is_trusted() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn counter() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_known_when_two_measurements_agree() {
        let mut cycles = Cycles::default();
        let at = |cycles: &mut Cycles, us: u64, count: u64| cycles.measure(Moment { us, count });
        at(&mut cycles, 1_000_000, 5_000);
        at(&mut cycles, 1_100_000, 5_000 + 300_000_000);
        assert_eq!(cycles.rate, 0, "one is none");
        at(&mut cycles, 1_200_000, 5_000 + 600_010_000);
        assert!(cycles.rate.abs_diff((1 << 32) / 3000) < 1000, "{}", cycles.rate);
        assert!(cycles.believed.abs_diff(300_000_000) < 100_000, "{}", cycles.believed);
        at(&mut cycles, 1_300_000, 5_000 + 750_000_000);
        assert_eq!((cycles.rate, cycles.believed), (0, 0), "it is slower all at once");
    }

    #[test]
    fn it_tells_the_machines_time() {
        let mut cycles = Cycles::default();
        let begin_us = machine_us();
        // On a busy machine other threads may have the core for most of the time.
        let is_early = |cycles: &Cycles, now_us| {
            let wanted_us = if is_trusted() && !cycles.is_set() { 20_000_000 } else { 400_000 };
            now_us < begin_us + wanted_us
        };
        let mut last = 0;
        while is_early(&cycles, machine_us()) {
            let (before, read, after) = (machine_us(), cycles.read(), machine_us());
            assert!(read + 1000 >= before && read <= after + 1000, "{before} {read} {after}");
            assert!(read + 1000 >= last);
            last = cycles.set();
        }
        assert!(cycles.is_set() || !is_trusted());
    }
}
