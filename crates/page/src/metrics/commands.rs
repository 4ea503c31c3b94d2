//! Commands and errors: how often, and how long they took.

use rivulet_topology::Info;
use rivulet_topology::info::part;

use super::exposition::{Exposition, Kind};

/// A column of INFO's commandstats: its name, that of the metric, what it is divided by, and what it tells.
const COLUMNS: &[(&str, &str, f64, &str)] = &[
    ("calls", "redis_commands_total", 1.0, "Calls of a command."),
    ("usec", "redis_commands_duration_seconds_total", 1e6, "Time that a command has taken in all calls."),
    ("rejected_calls", "redis_commands_rejected_calls_total", 1.0, "Calls that were refused."),
    ("failed_calls", "redis_commands_failed_calls_total", 1.0, "Calls that have failed."),
];

const LATENCY: &str = "redis_latency_percentiles_usec";
const LATENCY_HELP: &str = "How long a command takes, in microseconds.";

/// Adds what INFO has in commandstats, latencystats and errorstats.
pub fn add(out: &mut Exposition, info: &Info) {
    for (command, line) in info.with_prefix("cmdstat_") {
        let labels = [("cmd", command.to_string())];
        for (column, name, divisor, help) in COLUMNS {
            if let Some(value) = float(line, column) {
                out.add(name, Kind::Counter, help, &labels, value / divisor);
            }
        }
    }
    for (command, line) in info.with_prefix("latency_percentiles_usec_") {
        latency(out, info, command, line);
    }
    for (error, line) in info.with_prefix("errorstat_") {
        if let Some(count) = float(line, "count") {
            let labels = [("err", error.to_string())];
            out.add("redis_errors_total", Kind::Counter, "Errors replied, by their first word.", &labels, count);
        }
    }
}

fn latency(out: &mut Exposition, info: &Info, command: &str, line: &str) {
    let of_command = ("cmd", command.to_string());
    for pair in line.split(',') {
        let Some((percentile, value)) = pair.split_once('=') else { continue };
        let (Some(percentile), Ok(value)) = (percentile.strip_prefix('p'), value.parse()) else { continue };
        let labels = [of_command.clone(), ("quantile", percentile.to_string())];
        out.add(LATENCY, Kind::Summary, LATENCY_HELP, &labels, value);
    }
    let stats = info.text(&format!("cmdstat_{command}")).unwrap_or_default().to_string();
    for (ending, column) in [("_sum", "usec"), ("_count", "calls")] {
        let value = float(&stats, column).unwrap_or(0.0);
        out.add_part(LATENCY, ending, Kind::Summary, LATENCY_HELP, std::slice::from_ref(&of_command), value);
    }
}

fn float(line: &str, name: &str) -> Option<f64> {
    part(line, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_their_times_and_errors() {
        let text = "cmdstat_config|get:calls=3,usec=199,usec_per_call=66.33,rejected_calls=1,failed_calls=0\nlatency_percentiles_usec_config|get:p50=18.431,p99.9=172.031\nerrorstat_ERR:count=2\ncmdstat_x:calls=y";
        let mut out = Exposition::default();
        add(&mut out, &Info::parse(text));
        let out = out.text();
        for line in [
            "redis_commands_total{cmd=\"config|get\"} 3\n",
            "redis_commands_duration_seconds_total{cmd=\"config|get\"} 0.000199\n",
            "redis_commands_rejected_calls_total{cmd=\"config|get\"} 1\n",
            "redis_latency_percentiles_usec{cmd=\"config|get\",quantile=\"99.9\"} 172.031\n",
            "redis_latency_percentiles_usec_sum{cmd=\"config|get\"} 199\n",
            "redis_latency_percentiles_usec_count{cmd=\"config|get\"} 3\n",
            "redis_errors_total{err=\"ERR\"} 2\n",
        ] {
            assert!(out.contains(line), "{line} of\n{out}");
        }
        assert!(!out.contains("cmd=\"x\""));
    }
}
