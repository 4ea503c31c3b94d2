//! `--latency` and `--latency-history`: how long a PING takes, in milliseconds.

use std::time::Duration;

use super::ask_always;
use crate::clock;
use crate::format::Output;
use crate::out::{Fatal, say};
use crate::session::Session;

/// Between two samples.
pub const PAUSE: Duration = Duration::from_millis(10);
const RANGE: Duration = Duration::from_secs(15);
const ONCE: Duration = Duration::from_secs(1);

/// Samples of one range.
#[derive(Default)]
struct Samples {
    min: u64,
    max: u64,
    total: u64,
    count: u64,
}

impl Samples {
    fn add(&mut self, sample: u64) {
        self.min = if self.count == 0 { sample } else { self.min.min(sample) };
        self.max = self.max.max(sample);
        self.total += sample;
        self.count += 1;
    }

    fn text(&self, output: Output) -> String {
        let Samples { min, max, count, .. } = *self;
        let average = self.total as f64 / count.max(1) as f64;
        match output {
            Output::Standard => format!("min: {min}, max: {max}, avg: {average:.2} ({count} samples)"),
            Output::Csv => format!("{min},{max},{average:.2},{count}\n"),
            Output::Raw => format!("{min} {max} {average:.2} {count}\n"),
            Output::Json | Output::QuotedJson => {
                format!("{{\"min\": {min}, \"max\": {max}, \"avg\": {average:.2}, \"count\": {count}}}\n")
            }
        }
    }
}

/// Samples without end for a reader or a history, otherwise for a while.
///
/// # Errors
/// What came is no reply.
pub fn run(session: &mut Session) -> Result<(), Fatal> {
    let given = Some(session.options.interval).filter(|interval| !interval.is_zero());
    let (range, once) = (given.unwrap_or(RANGE), given.unwrap_or(ONCE));
    let has_history = session.options.has_latency_history;
    let (mut samples, mut begun) = (Samples::default(), clock::now());
    loop {
        let start = clock::now();
        ask_always(session, &["PING"])?;
        let now = clock::now();
        samples.add(now.duration_since(start).as_millis() as u64);
        let taken = now.duration_since(begun);
        if session.output == Output::Standard {
            say!("\x1b[0G\x1b[2K{}", samples.text(session.output));
        } else if has_history && taken > range || !has_history && taken > once {
            say!("{}", samples.text(session.output));
            if !has_history {
                return Ok(());
            }
        }
        if has_history && taken > range {
            say!(" -- {:.2} seconds range\n", taken.as_secs_f64());
            (samples, begun) = (Samples::default(), now);
        }
        clock::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_in_every_form() {
        let mut samples = Samples::default();
        [3, 1, 8].into_iter().for_each(|sample| samples.add(sample));
        assert_eq!(samples.text(Output::Standard), "min: 1, max: 8, avg: 4.00 (3 samples)");
        assert_eq!(samples.text(Output::Csv), "1,8,4.00,3\n");
        assert_eq!(samples.text(Output::Raw), "1 8 4.00 3\n");
        assert_eq!(samples.text(Output::Json), "{\"min\": 1, \"max\": 8, \"avg\": 4.00, \"count\": 3}\n");
    }
}
