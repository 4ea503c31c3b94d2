//! Counters: what INFO's stats, commandstats, errorstats and latencystats show.

use std::collections::BTreeMap;

use rivulet_commands::{Command, table};

/// What one command has cost.
#[derive(Default, Clone)]
pub struct CommandStats {
    pub calls: u64,
    pub usec: u64,
    pub rejected: u64,
    pub failed: u64,
    /// Durations, when `latency-tracking` is on.
    pub histogram: Option<Box<Histogram>>,
}

/// Durations by powers of two of nanoseconds, each divided in 16: within 7 % of the truth.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; 64 * 16], total: 0 }
    }
}

impl Histogram {
    fn bucket(ns: u64) -> usize {
        let ns = ns.max(1024);
        let top = 63 - ns.leading_zeros() as usize;
        top * 16 + ((ns >> (top - 4)) & 15) as usize
    }

    fn highest(bucket: usize) -> u64 {
        let (top, part) = (bucket / 16, bucket as u64 % 16);
        (1 << top) + ((part + 1) << (top - 4)) - 1
    }

    pub fn record(&mut self, ns: u64) {
        self.counts[Self::bucket(ns)] += 1;
        self.total += 1;
    }

    /// The duration in us below which `percent` of the calls lie.
    pub fn percentile_us(&self, percent: f64) -> f64 {
        let wanted = ((percent / 100.0 * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Self::highest(i) as f64 / 1000.0;
            }
        }
        0.0
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    /// (upper bound in us, calls at or below it) at each power of two that has calls.
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        let mut seen = 0;
        for top in 10..64 {
            let here: u64 = self.counts[top * 16..top * 16 + 16].iter().sum();
            seen += here;
            if here > 0 {
                out.push(((1u64 << (top + 1)) / 1000, seen));
            }
        }
        out
    }
}

/// What users were not allowed to do.
#[derive(Default)]
pub struct Denials {
    /// Logins that failed.
    pub logins: u64,
    /// Certificates that name nobody who can log in.
    pub certificates: u64,
    pub commands: u64,
    pub keys: u64,
    pub channels: u64,
}

/// A rate over the last 16 samples.
#[derive(Default)]
pub struct Rate {
    samples: [u64; 16],
    at: usize,
    last_value: u64,
    last_ms: u64,
}

impl Rate {
    /// To be called every 100 ms or so with the counter's value.
    pub fn sample(&mut self, value: u64, now_ms: u64) {
        let elapsed = now_ms.saturating_sub(self.last_ms);
        if elapsed == 0 {
            return;
        }
        self.samples[self.at] = value.saturating_sub(self.last_value) * 1000 / elapsed;
        self.at = (self.at + 1) % self.samples.len();
        (self.last_value, self.last_ms) = (value, now_ms);
    }

    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / self.samples.len() as u64
    }
}

/// Bytes and calls of sockets.
#[derive(Default)]
pub struct Traffic {
    pub input_bytes: u64,
    pub output_bytes: u64,
    /// Those of them that are of replication: from a master, and to replicas.
    pub repl_input_bytes: u64,
    pub repl_output_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// Connections that came, and those that had to go.
#[derive(Default)]
pub struct ConnectionCounters {
    pub accepted: u64,
    pub rejected: u64,
    pub evicted: u64,
    /// Handshakes of TLS that failed, and those that took too long or made room for others.
    pub handshakes_failed: u64,
    pub handshakes_given_up: u64,
    /// Closed for what they sent, or for what waited for them.
    pub query_limit: u64,
    pub output_limit: u64,
}

/// Turns of the event loop.
#[derive(Default)]
pub struct Turns {
    pub count: u64,
    /// The time that they took, and the longest, in us.
    pub total_us: u64,
    pub longest_us: u64,
}

/// What became of keys.
#[derive(Default)]
pub struct KeyCounters {
    pub hits: u64,
    pub misses: u64,
    pub expired: u64,
    /// Fields of hashes.
    pub expired_fields: u64,
    pub evicted: u64,
}

/// The most bytes that waited somewhere.
#[derive(Default)]
pub struct Peaks {
    /// Of a snapshot, to be written or sent.
    pub snapshot: u64,
    /// Of the log, to be written.
    pub log_queue: u64,
    /// Of full syncs, for slow replicas: in memory and on disk.
    pub sync_window: u64,
    pub sync_spill: u64,
}

/// Rates of what is counted, sampled every 100 ms.
#[derive(Default)]
pub struct Rates {
    pub commands: Rate,
    pub input: Rate,
    pub output: Rate,
    pub repl_input: Rate,
    pub repl_output: Rate,
    /// Turns of the event loop, and the us that they took.
    pub turns: Rate,
    pub turn_us: Rate,
}

/// Error replies.
#[derive(Default)]
pub struct ErrorCounters {
    pub replies: u64,
    /// Commands of the master that failed here.
    pub unexpected: u64,
    pub by_code: BTreeMap<String, u64>,
}

/// Counters of a server.
#[derive(Default)]
pub struct Stats {
    pub commands: u64,
    pub traffic: Traffic,
    pub connections: ConnectionCounters,
    pub turns: Turns,
    pub keys: KeyCounters,
    pub peaks: Peaks,
    pub rates: Rates,
    pub errors: ErrorCounters,
    pub denied: Denials,
    pub dump_payload_sanitizations: u64,
    pub snapshots: u64,
    /// Sessions of the debugger in children, and what the last fork took.
    pub sessions: u64,
    pub latest_fork_us: u64,
    /// By id.
    pub by_command: Vec<CommandStats>,
}

impl Stats {
    /// The time that commands took, in us; that of a transaction is its commands'.
    pub fn commands_us(&self) -> u64 {
        let exec = table::find(b"exec").and_then(|exec| self.by_command.get(usize::from(exec.id)));
        let all: u64 = self.by_command.iter().map(|command| command.usec).sum();
        all.saturating_sub(exec.map_or(0, |exec| exec.usec))
    }

    /// What is counted of a command.
    #[inline]
    pub fn of(&mut self, command: &'static Command) -> &mut CommandStats {
        let at = usize::from(command.id);
        if at >= self.by_command.len() {
            self.by_command.resize_with(table::by_id().len(), CommandStats::default);
        }
        &mut self.by_command[at]
    }

    /// All commands of which something is counted, by name.
    pub fn by_name(&self) -> BTreeMap<&'static str, &CommandStats> {
        let counted = |s: &CommandStats| s.calls + s.rejected + s.failed > 0;
        let rows = table::by_id().iter().zip(&self.by_command).filter(|(_, s)| counted(s));
        rows.map(|(command, s)| (command.full_name, s)).collect()
    }

    /// Counts an error reply by its code.
    pub fn error(&mut self, text: &[u8]) {
        self.errors.replies += 1;
        let code = text.split(|&c| c == b' ').next().unwrap_or(text);
        let code = if code.len() < text.len() { code } else { b"ERR" };
        *self.errors.by_code.entry(String::from_utf8_lossy(code).into_owned()).or_default() += 1;
    }

    /// The event loop has done what there was to do; it took so long.
    #[inline]
    pub fn turn_ended(&mut self, us: u64) {
        self.turns.count += 1;
        self.turns.total_us += us;
        self.turns.longest_us = self.turns.longest_us.max(us);
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Stats::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_close() {
        let mut h = Histogram::default();
        for us in 1..=1000u64 {
            h.record(us * 1000);
        }
        for (percent, us) in [(50.0, 500.0), (99.0, 990.0), (100.0, 1000.0)] {
            let got = h.percentile_us(percent);
            assert!((got / us - 1.0f64).abs() < 0.08, "{percent}: {got}");
        }
    }
}
