//! `--keystats`: the biggest keys by memory and by elements, and how sizes and lengths are distributed.

use std::collections::BTreeMap;

use rivulet_progress::{Progress, bytes};
use rivulet_resp::inline::quote;

use super::keys::{By, Sized, TypeOf, known_types, sizes_of, types_of};
use super::scan::{Pages, db_size};
use super::{Interrupt, percent};
use crate::clock;
use crate::out::{Fatal, say};
use crate::session::Session;

/// Sizes are told apart by so many bits: to 0.01 %.
const SIZE_BITS: u32 = 15;
/// Parts of the distribution of names: up to so many bytes.
const NAME_PARTS: [u64; 8] = [32, 256, 64 << 10, 1 << 20, 16 << 20, 128 << 20, 512 << 20, u64::MAX];

/// What all keys come to.
struct Stats {
    /// By memory, and by elements.
    memory: Vec<TypeOf>,
    elements: Vec<TypeOf>,
    /// The biggest keys, the biggest first.
    top: Vec<(u64, String, String)>,
    top_len: usize,
    sizes: BTreeMap<u64, u64>,
    names: BTreeMap<u64, u64>,
    name_len_max: u64,
    name_bytes: u64,
    sampled: u64,
    size_squares: f64,
}

/// Looks at all keys and sums up.
///
/// # Errors
/// The server refuses, or the link is lost.
pub fn run(session: &mut Session, samples: u64) -> Result<(), Fatal> {
    let interrupt = Interrupt::watch()?;
    let keys_in_all = db_size(session)?;
    say!(
        "\n# Scanning the entire keyspace to find the biggest keys and distribution information.\n\
         # Use -i 0.1 to sleep 0.1 sec per 100 SCAN commands (not usually needed).\n\
         # Use --cursor <n> to start the scan at the cursor <n> (usually after a Ctrl-C).\n\
         # Use --top <n> to display <n> top key sizes (default is 10).\n\
         # Ctrl-C to stop the scan.\n\n"
    );
    let mut stats = Stats::new(session.options.top);
    let mut pages = Pages::new(session);
    let mut progress = Progress::new("keys", Some(keys_in_all), clock::now());
    while !interrupt.has_come() {
        let Some(keys) = pages.next_page(session)? else { break };
        let found = types_of(session, &keys, &mut stats.memory)?;
        stats.know_types();
        let sized = sizes_of(session, keys.clone(), &found, &stats.memory, By::Memory { samples })?;
        let counted = sizes_of(session, keys, &found, &stats.elements, By::Elements)?;
        for (size, count) in sized.iter().zip(&counted) {
            stats.add(size, count.size);
        }
        progress.set(stats.sampled, clock::now());
        pages.rest(session);
    }
    drop(progress);
    let done = if interrupt.has_come() { percent(stats.sampled, keys_in_all) } else { 100.0 };
    say!("{done:.2}% keys scanned\n");
    say!("{}", stats.text());
    if interrupt.has_come() {
        say!(
            "\nScan interrupted:\nUse 'rivulet-cli --keystats --cursor {}' to restart from the last cursor.\n",
            pages.cursor()
        );
    }
    Ok(())
}

impl Stats {
    fn new(top_len: usize) -> Stats {
        Stats {
            memory: known_types(),
            elements: known_types(),
            top: Vec::new(),
            top_len,
            sizes: BTreeMap::new(),
            names: BTreeMap::new(),
            name_len_max: 0,
            name_bytes: 0,
            sampled: 0,
            size_squares: 0.0,
        }
    }

    /// A type that was found has a place in both lists.
    fn know_types(&mut self) {
        for of in &self.memory[self.elements.len()..] {
            self.elements.push(of.without_figures());
        }
    }

    fn add(&mut self, sized: &Sized, elements: u64) {
        self.sampled += 1;
        let (size, len) = (sized.size, sized.key.len() as u64);
        *self.sizes.entry(size_class(size)).or_default() += 1;
        self.size_squares += (size as f64).powi(2);
        self.name_bytes += len;
        self.name_len_max = self.name_len_max.max(len);
        *self.names.entry(NAME_PARTS[NAME_PARTS.partition_point(|part| *part < len)]).or_default() += 1;
        self.memory[sized.of].take(size, &sized.key);
        self.elements[sized.of].take(elements, &sized.key);
        if self.top.len() < self.top_len || self.top.last().is_some_and(|(least, ..)| *least < size) {
            let place = self.top.partition_point(|(other, ..)| *other >= size);
            let shown = String::from_utf8_lossy(&quote(&sized.key)).into_owned();
            self.top.insert(place, (size, self.memory[sized.of].name.clone(), shown));
            self.top.truncate(self.top_len);
        }
    }

    fn text(&self) -> String {
        let in_all = self.memory.iter().fold(0u64, |sum, of| sum.saturating_add(of.total));
        let mut out = format!("Keys sampled: {}\nKeys size:    {}\n", self.sampled, bytes(in_all));
        out += &format!("\n--- Top {} key sizes ---\n", self.top_len);
        for (i, (size, name, key)) in self.top.iter().enumerate() {
            out += &format!("{:3} {:>8} {name:<10} {key}\n", i + 1, bytes(*size));
        }
        out += "\n--- Top size per type ---\n";
        for of in &self.memory {
            if let Some(key) = &of.biggest_key {
                out += &format!("{:<10} {key} is {}\n", of.name, bytes(of.biggest));
            }
        }
        out += "\n--- Top length and cardinality per type ---\n";
        for of in self.elements.iter().filter(|of| of.size_command.is_some()) {
            if let Some(key) = &of.biggest_key {
                out += &format!("{:<10} {key} has {}\n", of.name, amount(of, of.biggest));
            }
        }
        out + &self.size_rows(in_all) + &self.name_rows() + &self.type_rows()
    }

    fn size_rows(&self, in_all: u64) -> String {
        let mut out = String::from("\nKey size Percentile Total keys\n-------- ---------- -----------\n");
        for (size, percentile, keys) in percentiles(&self.sizes) {
            out += &format!("{:>8} {percentile:9.4}% {keys:11}\n", bytes(size));
        }
        let count = self.sampled.max(1) as f64;
        let mean = in_all as f64 / count;
        let deviation = (self.size_squares / count - mean * mean).max(0.0).sqrt();
        out + &format!(
            "Note: 0.01% size precision, Mean: {}, StdDeviation: {}\n",
            bytes(mean as u64),
            bytes(deviation as u64)
        )
    }

    fn name_rows(&self) -> String {
        let mut out = String::from("\nKey name length Percentile Total keys\n--------------- ---------- -----------\n");
        let mut keys = 0;
        for (part, count) in &self.names {
            keys += count;
            let len = bytes((*part).min(self.name_len_max));
            out += &format!("{len:>15} {:9.4}% {keys:11}\n", percent(keys, self.sampled));
        }
        let average = self.name_bytes / self.sampled.max(1);
        out + &format!("Total key length is {} ({} avg)\n", bytes(self.name_bytes), bytes(average))
    }

    fn type_rows(&self) -> String {
        let mut out = String::from(
            "\nType        Total keys  Keys % Tot size Avg size  Total length/card Avg ln/card\n\
             --------- ------------ ------- -------- -------- ------------------ -----------\n",
        );
        for (of, counted) in self.memory.iter().zip(&self.elements).filter(|(of, _)| of.count > 0) {
            let share = percent(of.count, self.sampled);
            let (size, average) = (bytes(of.total), bytes(of.total / of.count));
            let (total, each) = match (counted.size_command, counted.unit) {
                (None, _) => ("- ".into(), "- ".into()),
                (_, "bytes") => (amount(counted, counted.total), bytes(counted.total / of.count)),
                _ => (amount(counted, counted.total), format!("{:.2}", counted.total as f64 / of.count as f64)),
            };
            out +=
                &format!("{:<9} {:12} {share:6.2}% {size:>8} {average:>8} {total:>18} {each:>11}\n", of.name, of.count);
        }
        out
    }
}

impl TypeOf {
    fn without_figures(&self) -> TypeOf {
        TypeOf {
            name: self.name.clone(),
            size_command: self.size_command,
            unit: self.unit,
            count: 0,
            total: 0,
            biggest: 0,
            biggest_key: None,
        }
    }

    fn take(&mut self, size: u64, key: &[u8]) {
        self.count += 1;
        self.total = self.total.saturating_add(size);
        if self.biggest < size {
            self.biggest = size;
            self.biggest_key = Some(String::from_utf8_lossy(key).into_owned());
        }
    }
}

/// So many elements; of strings, bytes.
fn amount(of: &TypeOf, n: u64) -> String {
    if of.unit == "bytes" { bytes(n) } else { format!("{n} {}", of.unit) }
}

/// The largest size that is not told apart from this one.
fn size_class(size: u64) -> u64 {
    let bits = u64::BITS - size.leading_zeros();
    let shift = bits.saturating_sub(SIZE_BITS);
    size | ((1 << shift) - 1)
}

/// Of each size that a percentile falls on: the size, the first percentile, and how many keys have no more. Percentiles halve what is left.
fn percentiles(sizes: &BTreeMap<u64, u64>) -> Vec<(u64, f64, u64)> {
    let total: u64 = sizes.values().sum();
    let (mut rows, mut keys, mut wanted) = (Vec::new(), 0, 0.0);
    for (size, count) in sizes {
        keys += count;
        let reached = percent(keys, total);
        if keys == total {
            rows.push((*size, 100.0, keys));
        } else if reached >= wanted {
            rows.push((*size, wanted, keys));
            while wanted <= reached {
                wanted += (100.0 - wanted) / 2.0;
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_redis() {
        let sizes = BTreeMap::from([(64, 100), (72, 900), (80, 1), (96, 2), (160, 1), (4728, 1)]);
        let shown: Vec<String> =
            percentiles(&sizes).iter().map(|(size, percent, keys)| format!("{size} {percent:.4} {keys}")).collect();
        assert_eq!(
            shown,
            ["64 0.0000 100", "72 50.0000 1000", "96 99.6094 1003", "160 99.8047 1004", "4728 100.0000 1005"]
        );
        assert!(percentiles(&BTreeMap::new()).is_empty());
        assert_eq!(percentiles(&BTreeMap::from([(5, 7)])), [(5, 100.0, 7)]);
    }

    #[test]
    fn classes_of_sizes() {
        for (size, class) in [(0, 0), (32767, 32767), (32768, 32769), (144_056, 144_063), (u64::MAX, u64::MAX)] {
            assert_eq!(size_class(size), class, "{size}");
        }
    }

    #[test]
    fn the_report() {
        let mut stats = Stats::new(2);
        for (key, of, size, elements) in [("l", 0, 160, 10), ("k1", 2, 72, 5), ("k2", 2, 80, 6)] {
            stats.add(&Sized { key: key.into(), of, size }, elements);
        }
        let text = stats.text();
        for line in [
            "Keys sampled: 3",
            "Keys size:    312B",
            "--- Top 2 key sizes ---",
            "  1     160B list       \"l\"",
            "  2      80B string     \"k2\"",
            "list       l is 160B",
            "string     k2 has 6B",
            "list       l has 10 items",
            "     72B    0.0000%           1",
            "Note: 0.01% size precision, Mean: 104B, StdDeviation: 39B",
            "             2B  100.0000%           3",
            "Total key length is 5B (1B avg)",
            "list                 1  33.33%     160B     160B           10 items       10.00",
            "string               2  66.67%     152B      76B                11B          5B",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}
