//! The latency monitor: slow events by kind, as `latency-monitor-threshold` asks.

use std::collections::{BTreeMap, VecDeque};

/// Samples kept of each kind.
const SAMPLES_MAX: usize = 160;

/// Events of one kind.
#[derive(Default)]
pub struct Series {
    /// (Unix seconds, ms), oldest first; one a second.
    pub samples: VecDeque<(u64, u64)>,
    pub max_ms: u64,
}

/// Slow events by kind.
#[derive(Default)]
pub struct Latency {
    pub events: BTreeMap<&'static str, Series>,
}

impl Latency {
    /// Notes an event that took `ms` at `unix_s`.
    pub fn add(&mut self, event: &'static str, ms: u64, unix_s: u64) {
        let series = self.events.entry(event).or_default();
        series.max_ms = series.max_ms.max(ms);
        match series.samples.back_mut() {
            Some((second, worst)) if *second == unix_s => *worst = ms.max(*worst),
            _ => {
                if series.samples.len() == SAMPLES_MAX {
                    series.samples.pop_front();
                }
                series.samples.push_back((unix_s, ms));
            }
        }
    }
}
