//! LATENCY.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_engine::asker::Asker;
use rivulet_resp::Args;

use crate::node::Node;
use crate::ops::latency::Series;

/// The lines of LATENCY HELP.
const HELP: &[&str] = &[
    "DOCTOR",
    "    An account of slow events in words.",
    "GRAPH <event>",
    "    A graph of an event's samples.",
    "HISTOGRAM [COMMAND ...]",
    "    How long commands took.",
    "HISTORY <event>",
    "    An event's samples: time and milliseconds.",
    "LATEST",
    "    The last sample of each event.",
    "RESET [<event> ...]",
    "    Forget events, all or these.",
];

impl Node {
    /// Notes an event that is slow enough, if the monitor is on.
    pub fn note_latency(&mut self, event: &'static str, ms: u64) {
        let threshold = self.config.latency_monitor_threshold;
        if threshold > 0 && ms >= threshold {
            self.ops.latency.add(event, ms, self.unix_us() / 1_000_000);
        }
    }

    pub fn latency_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        match command.name {
            "latest" => self.latency_latest(by),
            "history" => self.latency_history(by, args.at(2)),
            "reset" => self.latency_reset(by, args),
            "histogram" => self.latency_histogram(by, args),
            "doctor" => by.reply.verbatim("txt", self.latency_report().as_bytes()),
            "graph" => {
                let name = String::from_utf8_lossy(args.at(2));
                let Some(series) = self.ops.latency.events.get(&*name) else {
                    return Err(Fail::text(format!("ERR No samples available for event '{name}'")));
                };
                let text = graph(&name, series, self.unix_us() / 1_000_000);
                by.reply.verbatim("txt", text.as_bytes());
            }
            _ => self.help(by, "LATENCY", HELP),
        }
        Ok(())
    }

    fn latency_latest(&self, by: &mut Asker<'_>) {
        let events = &self.ops.latency.events;
        let latest: Vec<_> =
            events.iter().filter_map(|(name, s)| s.samples.back().map(|&(t, ms)| (*name, t, ms, s.max_ms))).collect();
        let reply = &mut by.reply;
        reply.array(latest.len());
        for (name, at, ms, max) in latest {
            reply.array(4);
            reply.bulk(name.as_bytes());
            [at, ms, max].iter().for_each(|&n| reply.int(n as i64));
        }
    }

    fn latency_history(&self, by: &mut Asker<'_>, event: &[u8]) {
        let series = self.ops.latency.events.get(&*String::from_utf8_lossy(event));
        let reply = &mut by.reply;
        reply.array(series.map_or(0, |series| series.samples.len()));
        for &(at, ms) in series.iter().flat_map(|series| &series.samples) {
            reply.array(2);
            reply.int(at as i64);
            reply.int(ms as i64);
        }
    }

    fn latency_reset(&mut self, by: &mut Asker<'_>, args: Args<'_>) {
        let events = &mut self.ops.latency.events;
        let before = events.len();
        if args.len() == 2 {
            events.clear();
        } else {
            let names: Vec<&[u8]> = args.iter().skip(2).collect();
            events.retain(|name, _| !names.contains(&name.as_bytes()));
        }
        by.reply.int((before - events.len()) as i64);
    }

    fn latency_histogram(&mut self, by: &mut Asker<'_>, args: Args<'_>) {
        let wanted: Vec<String> = args.iter().skip(2).map(|a| String::from_utf8_lossy(a).to_lowercase()).collect();
        let is_wanted = |name: &str| {
            wanted.is_empty()
                || wanted
                    .iter()
                    .any(|w| w == name || name.strip_prefix(w.as_str()).is_some_and(|rest| rest.starts_with('|')))
        };
        let found: Vec<_> = self
            .ops
            .stats
            .by_name()
            .into_iter()
            .filter(|(name, stats)| stats.calls > 0 && is_wanted(name))
            .filter_map(|(name, stats)| stats.histogram.as_ref().map(|h| (name, h.total(), h.cumulative_us())))
            .collect();
        let reply = &mut by.reply;
        reply.map(found.len());
        for (name, calls, buckets) in found {
            reply.bulk(name.as_bytes());
            reply.map(2);
            reply.bulk(b"calls");
            reply.int(calls as i64);
            reply.bulk(b"histogram_usec");
            reply.map(buckets.len());
            for (us, count) in buckets {
                reply.int(us as i64);
                reply.int(count as i64);
            }
        }
    }

    fn latency_report(&self) -> String {
        if self.config.latency_monitor_threshold == 0 {
            return "The latency monitor is off. Turn it on with CONFIG SET latency-monitor-threshold <milliseconds>.\n".into();
        }
        if self.ops.latency.events.is_empty() {
            return "No event has been slower than the threshold.\n".into();
        }
        let mut text = String::from("Slow events since the last reset:\n");
        for (name, series) in &self.ops.latency.events {
            let sum: u64 = series.samples.iter().map(|(_, ms)| ms).sum();
            let mean = sum / series.samples.len().max(1) as u64;
            text += &format!(
                "- {name}: {} samples, {mean} ms on average, {} ms at most.\n",
                series.samples.len(),
                series.max_ms
            );
        }
        text + "SLOWLOG GET shows the commands; large ones on big values are the usual cause.\n"
    }
}

fn graph(name: &str, series: &Series, now_s: u64) -> String {
    let (low, high) = series.samples.iter().fold((u64::MAX, 0), |(l, h), &(_, ms)| (l.min(ms), h.max(ms)));
    let mut text = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", series.max_ms);
    text += &"-".repeat(80);
    text.push('\n');
    for (at, ms) in &series.samples {
        let width = if high == low { 40 } else { (1 + 59 * (ms - low) / (high - low)) as usize };
        text += &format!("{:>6}s ago |{} {ms}\n", now_s.saturating_sub(*at), "#".repeat(width));
    }
    text
}
