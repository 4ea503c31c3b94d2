//! The types of directives' values: each is read from words and written as text.

use rivulet_commands::effects::class;
use rivulet_keyspace::value::elem::parse_int;
use rivulet_resp::double;

use super::directive::Kind;
use crate::Level;

/// Save points when none is given.
pub(super) const SAVE_DEFAULT: [(u64, u64); 3] = [(3600, 1), (300, 100), (60, 10000)];

/// Hard limit, soft limit, seconds; for normal clients, replicas and subscribers.
pub(super) const OUTPUT_LIMITS_DEFAULT: [(u64, u64, u64); 3] =
    [(0, 0, 0), (256 << 20, 64 << 20, 60), (32 << 20, 8 << 20, 60)];

/// Addresses that `bind` may name.
const BIND_MAX: usize = 16;

/// A value in the configuration.
pub(super) trait Field {
    /// Takes the value that the words say, or leaves it and gives the reason.
    fn set(&mut self, kind: &Kind, words: &[Vec<u8>]) -> Result<(), String>;
    fn text(&self, kind: &Kind) -> Vec<u8>;
}

/// An enum whose values have words. A value may have a second word, which is read but not written.
trait Choice: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

macro_rules! choices {
    ($($(#[$doc:meta])* enum $name:ident { $($word:literal => $variant:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($variant,)* }

        impl Choice for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $name::$variant),)*];
        }
    )*};
}

choices! {
    /// The form of the log's lines.
    enum LogFormat {
        "legacy" => Legacy,
        "logfmt" => Logfmt,
        "json" => Json,
    }
    /// The form of the time in the log's lines.
    enum LogTime {
        "legacy" => Legacy,
        "iso8601" => Iso8601,
        "milliseconds" => Milliseconds,
    }
    /// How a replica loads a snapshot that arrives.
    enum DisklessLoad {
        "disabled" => Disabled,
        "on-empty-db" => OnEmptyDb,
        "swapdb" => Swapdb,
    }
    /// What is evicted.
    enum MaxmemoryPolicy {
        "volatile-lru" => VolatileLru,
        "volatile-lfu" => VolatileLfu,
        "volatile-random" => VolatileRandom,
        "volatile-ttl" => VolatileTtl,
        "allkeys-lru" => AllkeysLru,
        "allkeys-lfu" => AllkeysLfu,
        "allkeys-random" => AllkeysRandom,
        "noeviction" => NoEviction,
    }
    /// What a command from the master that fails does.
    enum PropagationError {
        "resync" => Resync,
        "ignore" => Ignore,
        "panic" => Panic,
        "panic-on-replicas" => PanicOnReplicas,
    }
    /// What an acknowledgement of a replica must say before it counts (`synchronous-commit`).
    enum SynchronousCommit {
        "received" => Received,
        "applied" => Applied,
        "fsynced" => Fsynced,
    }
    /// When the append-only file is synced.
    enum AppendFsync {
        "everysec" => EverySec,
        "always" => Always,
        "no" => No,
    }
}

impl MaxmemoryPolicy {
    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        word_of(self)
    }

    pub fn is_lru(self) -> bool {
        matches!(self, MaxmemoryPolicy::VolatileLru | MaxmemoryPolicy::AllkeysLru)
    }

    pub fn is_lfu(self) -> bool {
        matches!(self, MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllkeysLfu)
    }

    /// Whether only keys with a deadline are evicted.
    pub fn is_volatile(self) -> bool {
        use MaxmemoryPolicy::*;
        matches!(self, VolatileLru | VolatileLfu | VolatileRandom | VolatileTtl)
    }
}

/// Whether scores are given to the kernel: none, relative to the one at start, or as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomScoreAdj {
    No,
    Relative,
    Absolute,
}

impl Choice for OomScoreAdj {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("no", OomScoreAdj::No),
        ("yes", OomScoreAdj::Relative),
        ("relative", OomScoreAdj::Relative),
        ("absolute", OomScoreAdj::Absolute),
    ];
}

impl Choice for Level {
    const WORDS: &'static [(&'static str, Self)] =
        &[("debug", Level::Debug), ("verbose", Level::Verbose), ("notice", Level::Notice), ("warning", Level::Warning)];
}

fn word_of<T: Choice>(value: T) -> &'static str {
    T::WORDS.iter().find(|(_, v)| *v == value).map_or("unknown", |(word, _)| word)
}

impl<T: Choice> Field for T {
    fn set(&mut self, _: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        let [word] = words else { return Err(one_of(T::WORDS.iter().map(|(w, _)| *w))) };
        let known = T::WORDS.iter().find(|(w, _)| word.eq_ignore_ascii_case(w.as_bytes()));
        *self = known.map(|(_, value)| *value).ok_or_else(|| one_of(T::WORDS.iter().map(|(w, _)| *w)))?;
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        word_of(*self).into()
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    format!("argument(s) must be one of the following: {}", words.collect::<Vec<_>>().join(", "))
}

/// The only word of a directive that takes one.
fn single(words: &[Vec<u8>]) -> Result<&[u8], String> {
    match words {
        [word] => Ok(word),
        _ => Err("wrong number of arguments".into()),
    }
}

impl Field for bool {
    fn set(&mut self, kind: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        let word = single(words)?;
        let value = match () {
            () if word.eq_ignore_ascii_case(b"yes") => true,
            () if word.eq_ignore_ascii_case(b"no") => false,
            () => return Err("argument must be 'yes' or 'no'".into()),
        };
        if let (true, Kind::BoolIf(check)) = (value, kind) {
            check()?;
        }
        *self = value;
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        if *self { "yes".into() } else { "no".into() }
    }
}

/// The number that a word is, within the kind's bounds.
fn number(kind: &Kind, word: &[u8]) -> Result<i128, String> {
    let (value, min, max) = match kind {
        Kind::Memory(min, max) | Kind::MemoryOrAuto(min, max) => {
            (memory(word).ok_or("argument must be a memory value")?.into(), *min, *max)
        }
        Kind::Octal(max) => {
            let value = octal(word).ok_or("argument couldn't be parsed as an octal number")?;
            if !(0..=*max).contains(&value) {
                return Err(format!("argument must be between 0 and {max:o} inclusive"));
            }
            (value, 0, *max)
        }
        Kind::Integer(min, max) => {
            (parse_int(word).ok_or("argument couldn't be parsed into an integer")?.into(), *min, *max)
        }
        _ => return Err("argument couldn't be parsed into an integer".into()),
    };
    within(value, min, max)
}

fn within(value: i128, min: i128, max: i128) -> Result<i128, String> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(format!("argument must be between {min} and {max} inclusive"))
    }
}

/// Bytes with an optional unit. As in C, no digits are 0 and too many are the largest number.
pub(super) fn memory(word: &[u8]) -> Option<u64> {
    let digits = word.iter().take_while(|c| c.is_ascii_digit()).count();
    let (number, unit) = word.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number = number.iter().fold(0u64, |n, c| n.saturating_mul(10).saturating_add(u64::from(c - b'0')));
    Some(number.saturating_mul(factor))
}

fn octal(word: &[u8]) -> Option<i128> {
    if word.is_empty() {
        return Some(0);
    }
    i64::from_str_radix(std::str::from_utf8(word).ok()?, 8).ok().map(i128::from)
}

/// A decimal number as C reads it: white space and a plus sign in front are fine, nothing is 0.
fn c_integer(word: &[u8]) -> Option<i64> {
    if word.is_empty() {
        return Some(0);
    }
    std::str::from_utf8(word).ok()?.trim_start().parse().ok()
}

macro_rules! number_fields {
    ($($type:ty)*) => {$(
        impl Field for $type {
            fn set(&mut self, kind: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
                if let Kind::Events = kind {
                    let classes = events_of(single(words)?);
                    let classes = classes.ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
                    *self = <$type>::try_from(classes).map_err(|e| e.to_string())?;
                    return Ok(());
                }
                *self = <$type>::try_from(number(kind, single(words)?)?).map_err(|e| e.to_string())?;
                Ok(())
            }

            fn text(&self, kind: &Kind) -> Vec<u8> {
                match kind {
                    Kind::Events => events_text(*self as u32).into(),
                    Kind::Octal(_) => format!("{self:o}").into(),
                    _ => self.to_string().into(),
                }
            }
        }
    )*};
}

number_fields!(u16 u32 u64 i64);

/// The classes of events, in the order in which they are written; the last three come after `A`.
const EVENT_CLASSES: [(char, u32); 14] = [
    ('g', class::GENERIC),
    ('$', class::STRING),
    ('l', class::LIST),
    ('s', class::SET),
    ('h', class::HASH),
    ('z', class::ZSET),
    ('x', class::EXPIRED),
    ('e', class::EVICTED),
    ('t', class::STREAM),
    ('d', class::MODULE),
    ('n', class::NEW),
    ('K', class::KEYSPACE),
    ('E', class::KEYEVENT),
    ('m', class::KEY_MISS),
];

fn events_of(letters: &[u8]) -> Option<u32> {
    letters.iter().try_fold(0, |classes, &letter| match letter {
        b'A' => Some(classes | class::ALL),
        _ => EVENT_CLASSES.iter().find(|(l, _)| *l == letter as char).map(|(_, bit)| classes | bit),
    })
}

/// As Redis writes it: `A` stands for all of its classes and hides `n`.
fn events_text(classes: u32) -> String {
    let all = classes & class::ALL == class::ALL;
    let outside = class::KEYSPACE | class::KEYEVENT | class::KEY_MISS;
    let letters = EVENT_CLASSES.iter().filter(|(_, bit)| classes & bit != 0 && (!all || bit & outside != 0));
    all.then_some('A').into_iter().chain(letters.map(|(letter, _)| *letter)).collect()
}

/// A size in bytes, or one that the server finds by measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesOrAuto {
    Bytes(u64),
    Auto,
}

impl BytesOrAuto {
    /// `None` when the server is to find it.
    pub fn bytes(self) -> Option<u64> {
        match self {
            BytesOrAuto::Bytes(bytes) => Some(bytes),
            BytesOrAuto::Auto => None,
        }
    }

    /// At least so many bytes.
    pub(super) fn at_least(self, min: u64) -> BytesOrAuto {
        match self {
            BytesOrAuto::Bytes(bytes) => BytesOrAuto::Bytes(bytes.max(min)),
            BytesOrAuto::Auto => BytesOrAuto::Auto,
        }
    }
}

impl Field for BytesOrAuto {
    fn set(&mut self, kind: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        let word = single(words)?;
        *self = match word.eq_ignore_ascii_case(b"auto") {
            true => BytesOrAuto::Auto,
            false => BytesOrAuto::Bytes(u64::try_from(number(kind, word)?).map_err(|e| e.to_string())?),
        };
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        match self {
            BytesOrAuto::Bytes(bytes) => bytes.to_string().into(),
            BytesOrAuto::Auto => "auto".into(),
        }
    }
}

/// A limit in bytes, or as a part of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesOrPercent {
    Bytes(u64),
    Percent(u8),
}

impl Field for BytesOrPercent {
    fn set(&mut self, kind: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        let word = single(words)?;
        let Kind::MemoryOrPercent(max) = kind else { return Err("argument must be a memory or percent value".into()) };
        if let Some(bytes) = memory(word) {
            let bytes = within(bytes.into(), 0, *max)?;
            *self = BytesOrPercent::Bytes(bytes as u64);
            return Ok(());
        }
        let percent = word.strip_suffix(b"%").and_then(parse_int).filter(|p| *p >= 0);
        let percent = percent.ok_or("argument must be a memory or percent value")?;
        if percent > 100 {
            return Err("percentage argument must be less or equal to 100".into());
        }
        // Nothing of the whole is no limit, as no bytes are.
        *self = if percent == 0 { BytesOrPercent::Bytes(0) } else { BytesOrPercent::Percent(percent as u8) };
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        match self {
            BytesOrPercent::Bytes(bytes) => bytes.to_string().into(),
            BytesOrPercent::Percent(percent) => format!("{percent}%").into(),
        }
    }
}

impl Field for String {
    fn set(&mut self, kind: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        if let Kind::Word(known) = kind {
            let word = match words {
                [word] => known.iter().find(|k| word.eq_ignore_ascii_case(k.as_bytes())),
                _ => None,
            };
            *self = word.ok_or_else(|| one_of(known.iter().copied()))?.to_string();
            return Ok(());
        }
        let word = single(words)?;
        // As for Redis, a text ends at a NUL: no path and no name may hold one.
        let word = word.split(|c| *c == 0).next().unwrap_or(word);
        let word = std::str::from_utf8(word).map_err(|_| "argument must be UTF-8")?;
        match kind {
            Kind::Text(check) | Kind::OptionalText(check) => check(word)?,
            Kind::Dir => {
                *self = super::change_dir(self, word)?;
                return Ok(());
            }
            _ => {}
        }
        *self = word.into();
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

/// Secrets: any bytes.
impl Field for Vec<u8> {
    fn set(&mut self, _: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        *self = single(words)?.to_vec();
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        self.clone()
    }
}

/// How a signal shuts the server down; nothing set is the default way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOn {
    pub save: bool,
    pub nosave: bool,
    pub now: bool,
    pub force: bool,
}

impl Field for ShutdownOn {
    fn set(&mut self, _: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        let mut flags = ShutdownOn::default();
        let unknown = || one_of(["default", "save", "nosave", "now", "force"].into_iter());
        if words.is_empty() {
            return Err(unknown());
        }
        for word in words {
            match word.to_ascii_lowercase().as_slice() {
                b"default" => {}
                b"save" => flags.save = true,
                b"nosave" => flags.nosave = true,
                b"now" => flags.now = true,
                b"force" => flags.force = true,
                _ => return Err(unknown()),
            }
        }
        if flags.save && flags.nosave {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        *self = flags;
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        let flags = [("save", self.save), ("nosave", self.nosave), ("now", self.now), ("force", self.force)];
        let words: Vec<_> = flags.iter().filter(|(_, on)| *on).map(|(word, _)| *word).collect();
        if words.is_empty() { "default".into() } else { words.join(" ").into() }
    }
}

/// Save points. Those of several lines in files are added up by the reader of files.
impl Field for Vec<(u64, u64)> {
    fn set(&mut self, _: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        *self = save_points(words).ok_or("Invalid save parameters")?;
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        join(self.iter().map(|(seconds, changes)| format!("{seconds} {changes}")))
    }
}

fn save_points(words: &[Vec<u8>]) -> Option<Vec<(u64, u64)>> {
    if matches!(words, [word] if word.is_empty()) {
        return Some(Vec::new());
    }
    let (pairs, rest) = words.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let point = |[seconds, changes]: &[Vec<u8>; 2]| {
        let seconds = c_integer(seconds).filter(|s| *s >= 1)?;
        let changes = c_integer(changes).filter(|c| (0..=i64::from(i32::MAX)).contains(c))?;
        Some((seconds as u64, changes as u64))
    };
    pairs.iter().map(point).collect()
}

pub(super) const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

impl Field for [(u64, u64, u64); 3] {
    fn set(&mut self, _: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        let (groups, rest) = words.as_chunks::<4>();
        if !rest.is_empty() {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut limits = *self;
        for [class, hard, soft, seconds] in groups {
            let class = match class.to_ascii_lowercase().as_slice() {
                b"normal" => 0,
                b"slave" | b"replica" => 1,
                b"pubsub" => 2,
                _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
            };
            let seconds = c_integer(seconds).and_then(|s| u64::try_from(s).ok());
            let (Some(hard), Some(soft), Some(seconds)) = (memory(hard), memory(soft), seconds) else {
                return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into());
            };
            limits[class] = (hard, soft, seconds);
        }
        *self = limits;
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        join(
            self.iter()
                .zip(CLIENT_CLASSES)
                .map(|((hard, soft, seconds), class)| format!("{class} {hard} {soft} {seconds}")),
        )
    }
}

impl Field for [i32; 3] {
    fn set(&mut self, _: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        let words: &[Vec<u8>; 3] = words.try_into().map_err(|_| "wrong number of arguments")?;
        let mut values = [0; 3];
        for (value, word) in values.iter_mut().zip(words) {
            let number = c_integer(word).filter(|v| (-2000..=2000).contains(v));
            *value = number.ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")? as i32;
        }
        *self = values;
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        join(self.iter().map(i32::to_string))
    }
}

/// Addresses.
impl Field for Vec<String> {
    fn set(&mut self, _: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        if words.len() > BIND_MAX {
            return Err("Too many bind addresses specified.".into());
        }
        let words = if matches!(words, [word] if word.is_empty()) { &[] } else { words };
        // No address has blanks or quotes, and a file could not give them back.
        if words.iter().flatten().any(|c| !c.is_ascii_graphic() || b"\"'\\".contains(c)) {
            return Err("Failed to bind to specified addresses.".into());
        }
        let addresses: Result<_, _> = words.iter().map(|w| String::from_utf8(w.clone())).collect();
        *self = addresses.map_err(|_| "argument must be UTF-8")?;
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        self.join(" ").into()
    }
}

/// The master.
impl Field for Option<(String, u16)> {
    fn set(&mut self, _: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        let [host, port] = words else { return Err("wrong number of arguments".into()) };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            *self = None;
            return Ok(());
        }
        let port = c_integer(port).and_then(|p| u16::try_from(p).ok()).ok_or("Invalid master port")?;
        let host = String::from_utf8(host.clone()).map_err(|_| "argument must be UTF-8")?;
        *self = Some((host, port));
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        self.as_ref().map_or_else(Vec::new, |(host, port)| format!("{host} {port}").into())
    }
}

/// Percentiles.
impl Field for Vec<f64> {
    fn set(&mut self, _: &Kind, words: &[Vec<u8>]) -> Result<(), String> {
        let words = if matches!(words, [word] if word.is_empty()) { &[] } else { words };
        let mut percentiles = Vec::with_capacity(words.len());
        for word in words {
            let value = double::parse(word).filter(|v| !v.is_nan());
            let value = value.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
            if !(0.0..=100.0).contains(&value) {
                return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
            }
            percentiles.push(value);
        }
        *self = percentiles;
        Ok(())
    }

    fn text(&self, _: &Kind) -> Vec<u8> {
        join(self.iter().map(|value| {
            let text = format!("{value:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        }))
    }
}

fn join(words: impl Iterator<Item = String>) -> Vec<u8> {
    words.collect::<Vec<_>>().join(" ").into()
}
