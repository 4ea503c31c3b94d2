//! Where a command's keys and channels are among its arguments, and what is done to each key: the one source for ACL, COMMAND GETKEYS and
//! GETKEYSANDFLAGS, and for everything else that asks for keys without running the command.
//!
//! The rules are those of Redis 7.0. The specifications of a command's row are gone by first. Where they can't say it (SORT, MIGRATE), where flags depend on
//! options (SET, BITFIELD), and where the first word that they look for need not be the one that the command goes by (GEORADIUS, XREADGROUP: Redis looks at
//! another key there than it uses), the row's own finder answers. Where a number of keys makes no sense there are none. Nothing is allocated.

use rivulet_resp::Args;

use crate::spec::{Begin, Command, Find, KeySpec, key};

/// Keys that lie at equal distances, with the flags ([`key`]) that hold for each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    first: usize,
    /// Not before `first`, and an argument that there is.
    last: usize,
    /// At least 1.
    step: usize,
    flags: u32,
}

impl KeyRange {
    /// One key.
    pub const fn one(at: usize, flags: u32) -> KeyRange {
        KeyRange { first: at, last: at, step: 1, flags }
    }

    /// The keys from `first` to `last`, both included.
    pub const fn run(first: usize, last: usize, flags: u32) -> KeyRange {
        KeyRange { first, last, step: 1, flags }
    }
}

/// No command has more runs of keys than this.
const RANGES_MAX: usize = 4;

/// The keys of a command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    ranges: [KeyRange; RANGES_MAX],
    len: usize,
}

impl Keys {
    pub const NONE: Keys = Keys { ranges: [KeyRange { first: 0, last: 0, step: 1, flags: 0 }; RANGES_MAX], len: 0 };

    pub fn of(range: KeyRange) -> Keys {
        Keys::NONE.and(range)
    }

    /// These and those of a further run.
    pub fn and(mut self, range: KeyRange) -> Keys {
        self.ranges[self.len] = range;
        self.len += 1;
        self
    }

    /// Those runs that end before argument `count`.
    fn within(self, count: usize) -> Keys {
        let fits = |range: &&KeyRange| range.last < count;
        self.ranges[..self.len].iter().filter(fits).fold(Keys::NONE, |keys, range| keys.and(*range))
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place of each key among the arguments, with its flags.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.ranges[..self.len].iter().flat_map(|r| (r.first..=r.last).step_by(r.step.max(1)).map(|at| (at, r.flags)))
    }
}

/// Whether a command can have keys at all.
pub fn has_keys(command: &Command) -> bool {
    command.get_keys.is_some() || command.keys.iter().any(|spec| spec.flags & key::NOT_KEY == 0)
}

/// The keys of a command line, all of which are on it; a line that is too short for the command may have fewer than it would.
pub fn keys_of(command: &Command, args: Args<'_>) -> Keys {
    // Flags depend on options, or a word need not be the one that the command goes by.
    let says_little =
        |spec: &KeySpec| spec.flags & key::VARIABLE_FLAGS != 0 || matches!(spec.begin, Begin::Keyword(_, 1..));
    if !(command.get_keys.is_some() && command.keys.iter().any(says_little))
        && let Some(keys) = by_specs(command, args)
    {
        return keys;
    }
    match command.get_keys {
        Some(find) => find(args).within(args.len()),
        None => counted(command, args).unwrap_or(Keys::NONE),
    }
}

/// The keys that the specifications find; `None` where they can't, or where the line makes no sense.
fn by_specs(command: &Command, args: Args<'_>) -> Option<Keys> {
    let mut keys = Keys::NONE;
    for spec in command.keys.iter().filter(|spec| spec.flags & key::NOT_KEY == 0) {
        let Some(first) = begin(spec.begin, args)? else { continue };
        // The rest of the line, of which there is nothing: what was found before is there (PFMERGE with a destination alone).
        if first == args.len() && !keys.is_empty() && matches!(spec.find, Find::Range { last: ..0, .. }) {
            continue;
        }
        keys = keys.and(range(spec, first, args)?);
        if spec.flags & key::INCOMPLETE != 0 {
            return None;
        }
    }
    Some(keys)
}

/// Where a specification's keys begin; `Some(None)` where the line has no word that they follow.
fn begin(begin: Begin, args: Args<'_>) -> Option<Option<usize>> {
    match begin {
        Begin::Index(at) => Some(Some(usize::try_from(at).ok()?)),
        // Keys follow the word, so it is not the last.
        Begin::Keyword(word, from @ 1..) => {
            let mut places = from as usize..args.len().saturating_sub(1);
            Some(places.find(|&i| args.is(i, word)).map(|at| at + 1))
        }
        Begin::Keyword(word, from) => {
            let last = args.len().checked_sub(from.unsigned_abs() as usize);
            let mut places = (2..=last.unwrap_or(0)).rev();
            Some(places.find(|&i| args.is(i, word)).map(|at| at + 1))
        }
        Begin::Unknown => None,
    }
}

/// The keys that begin there; `None` if they are not all on the line.
fn range(spec: &KeySpec, first: usize, args: Args<'_>) -> Option<KeyRange> {
    let count = args.len() as i64;
    let start = first as i64;
    let (first, last, step) = match spec.find {
        Find::Range { last: last @ 0.., step, .. } => (start, start + i64::from(last), step),
        Find::Range { last, step, limit: 0 } => (start, count + i64::from(last), step),
        Find::Range { last, step, limit } => {
            (start, start + (count - start) / i64::from(limit) + i64::from(last), step)
        }
        Find::Count { at, first, step } => {
            let keys = crate::parse::int(args.get((start + i64::from(at)) as usize)?).ok()?;
            let first = start + i64::from(first);
            let last = keys.checked_sub(1)?.checked_mul(i64::from(step))?.checked_add(first)?;
            (first, last, step)
        }
        Find::Unknown => return None,
    };
    let is_on_line = 0 <= first && first <= last && last < count;
    is_on_line.then_some(KeyRange {
        first: first as usize,
        last: last as usize,
        step: step.max(1) as usize,
        flags: spec.flags,
    })
}

/// A number of keys that is none to the last digit is taken for what it begins with, and nothing is said of what is done to them, as in Redis: the
/// command itself will refuse the line.
fn counted(command: &Command, args: Args<'_>) -> Option<Keys> {
    let is_counted = |spec: &&KeySpec| matches!(spec.find, Find::Count { .. });
    let spec = command.keys.iter().find(is_counted)?;
    let (Begin::Index(begin), Find::Count { at, first, step }) = (spec.begin, spec.find) else { return None };
    let wanted = leading_number(args.get((begin + at) as usize)?);
    let first = (begin + first) as usize;
    let step = step.max(1) as usize;
    let room = args.len().checked_sub(first)? / step;
    let count = usize::try_from(wanted).ok().filter(|&n| 0 < n && n <= room)?;
    // There is a key behind it, so the destination is on the line.
    let keys = Keys::of(KeyRange { first, last: first + (count - 1) * step, step, flags: 0 });
    let destination = command.keys.iter().find_map(|spec| match (spec.begin, spec.find) {
        (Begin::Index(at), Find::Range { last: 0, .. }) => usize::try_from(at).ok(),
        _ => None,
    });
    Some(destination.map_or(keys, |at| keys.and(KeyRange::one(at, 0))))
}

/// What a text begins with, as C's `atoi` reads it.
fn leading_number(text: &[u8]) -> i64 {
    let is_blank = |c: &u8| matches!(c, b' ' | 9..=13);
    let text = &text[text.iter().take_while(|c| is_blank(c)).count()..];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|c| c.is_ascii_digit());
    let number = digits.fold(0i64, |n, c| n.saturating_mul(10).saturating_add(i64::from(c - b'0')));
    if negative { -number } else { number }
}

/// What a command does to the channels that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// It names none, or only ends subscriptions.
    None,
    /// Argument 1 is a channel that it publishes to.
    Publish,
    /// All its arguments are channels that it listens to.
    Subscribe,
    /// All its arguments are patterns of channels that it listens to.
    SubscribePatterns,
}

impl Channels {
    /// The places of the channels, or patterns, among the arguments.
    pub fn places(self, args: Args<'_>) -> std::ops::Range<usize> {
        match self {
            Channels::None => 0..0,
            Channels::Publish => 1..2.min(args.len()),
            Channels::Subscribe | Channels::SubscribePatterns => 1..args.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rivulet_resp::OwnedArgs;

    use super::*;
    use crate::table;

    fn shown(line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let args = OwnedArgs::from_slices(&words);
        let command = table::find(words[0].as_bytes()).expect("a command");
        let names = |flags: u32| {
            let set = key::NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
            set.collect::<Vec<_>>().join(",")
        };
        let keys = keys_of(command, args.as_args());
        keys.iter().map(|(at, flags)| format!("{at}:{}", names(flags))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn keys_follow_from_the_rules() {
        for (line, want) in [
            ("GET a", "1:RO,access"),
            ("MSET a 1 b 2", "1:OW,update 3:OW,update"),
            ("MSETEX 1 a 1", "2:OW,update"),
            ("MSETEX 3 a 1 b 2 c 3 EX 10", "2:OW,update 4:OW,update 6:OW,update"),
            ("DELEX a", "1:RM,delete"),
            ("PFMERGE to", "1:RW,access,insert"),
            ("PFMERGE to a", "1:RW,access,insert 2:RO,access"),
            ("DEL a b c", "1:RM,delete 2:RM,delete 3:RM,delete"),
            ("ZUNIONSTORE to 2 a b WEIGHTS 1 2", "1:OW,update 3:RO,access 4:RO,access"),
            ("BLPOP a b 0", "1:RW,access,delete 2:RW,access,delete"),
            ("LMPOP 2 a b LEFT", "2:RW,access,delete 3:RW,access,delete"),
            ("XREAD COUNT 2 STREAMS a b 0 0", "4:RO,access 5:RO,access"),
            ("PING", ""),
            ("PUBLISH c m", ""),
            ("SPUBLISH c m", ""),
        ] {
            assert_eq!(shown(line), want, "{line}");
        }
    }

    #[test]
    fn flags_follow_from_options() {
        for (line, want) in [
            ("SET k v", "1:OW,update"),
            ("SET k v EX 10 geT", "1:RW,access,update"),
            ("SET k get", "1:OW,update"),
            ("BITFIELD k GET u8 0", "1:RO,access"),
            ("BITFIELD k GET u8 0 OVERFLOW sat", "1:RO,access"),
            ("BITFIELD k GET u8 0 SET u8 0 1", "1:RW,access,update"),
            ("BITFIELD k INCRBY u8 0 1", "1:RW,access,update"),
            ("BITFIELD k nonsense", "1:RW,access,update"),
            ("BITFIELD k GET u8", "1:RW,access,update"),
            ("DELEX k IFEQ v", "1:RW,access,delete"),
        ] {
            assert_eq!(shown(line), want, "{line}");
        }
    }

    #[test]
    fn keys_that_no_rule_says_are_found_by_the_commands_own_finder() {
        for (line, want) in [
            ("SORT k BY store GET store", "1:RO,access"),
            ("SORT k STORE a LIMIT 0 1 STORE b", "1:RO,access 8:OW,update"),
            ("SORT k STORE", "1:RO,access"),
            ("SORT_RO k STORE a", "1:RO,access"),
            ("GEORADIUS k 0 0 1 km STORE a STORE b", "1:RO,access 9:OW,update"),
            ("GEORADIUS k 0 0 1 km STORE STORE COUNT 1", "1:RO,access 7:OW,update"),
            ("GEORADIUS k 0 0 1 km STORE a STOREDIST b", "1:RO,access 9:OW,update"),
            ("GEORADIUS k 0 0 1 km COUNT 1 ANY ASC STOREDIST b", "1:RO,access 11:OW,update"),
            ("GEORADIUS k 0 0 1 km nonsense STORE b", "1:RO,access 8:OW,update"),
            ("GEORADIUS k 0 0 1 km", "1:RO,access"),
            ("GEORADIUSBYMEMBER k m 1 km STORE a STORE b", "1:RO,access 8:OW,update"),
            ("XREAD STREAMS streams 0", "2:RO,access"),
            ("XREAD COUNT streams STREAMS a 0", "4:RO,access"),
            ("XREAD STREAMS a", ""),
            ("XREADGROUP GROUP g streams STREAMS a >", "5:RO,access"),
            ("XREADGROUP COUNT 1 GROUP g streams STREAMS a >", "7:RO,access"),
            ("XREADGROUP BLOCK 0 NOACK GROUP streams streams STREAMS a b > >", "8:RO,access 9:RO,access"),
            ("MIGRATE h 1 k 0 5", "3:RW,access,delete"),
            ("MIGRATE h 1 \"\" 0 5 AUTH keys", "3:RW,access,delete"),
            ("MIGRATE h 1 k 0 5 AUTH keys x KEYS y", ""),
        ] {
            assert_eq!(shown(line), want, "{line}");
        }
    }

    #[test]
    fn a_number_of_keys_that_makes_no_sense() {
        for (line, want) in [
            ("EVAL s 0 a", ""),
            ("EVAL s -1 a", ""),
            ("EVAL s 2 a", ""),
            ("EVAL s x a", ""),
            ("EVAL s 1x a", "3:"),
            ("ZUNIONSTORE to 9 a", ""),
            ("ZUNIONSTORE to 1y a", "3: 1:"),
            ("LMPOP 99999999999999999999 a LEFT", ""),
            ("LMPOP 9223372036854775807 a LEFT", ""),
        ] {
            assert_eq!(shown(line), want, "{line}");
        }
    }

    /// Nobody is let near a key unseen.
    #[test]
    fn no_command_has_a_key_that_nobody_finds() {
        for command in table::by_id().iter().filter(|command| has_keys(command)) {
            let first = command.keys.iter().find_map(|spec| match (spec.begin, spec.find) {
                (Begin::Index(at), Find::Range { .. }) if spec.flags & key::NOT_KEY == 0 => usize::try_from(at).ok(),
                _ => None,
            });
            let Some(first) = first else { continue };
            let length = command.arity.unsigned_abs().max(first as u32 + 1) as usize;
            let line: Vec<&str> = std::iter::once(command.name).chain(std::iter::repeat_n("1", length - 1)).collect();
            let args = OwnedArgs::from_slices(&line);
            let keys = keys_of(command, args.as_args());
            assert!(keys.iter().any(|(at, _)| at == first), "{line:?}");
        }
    }

    #[test]
    fn no_line_makes_a_place_beyond_its_end() {
        let words = ["1", "2", "-1", "KEYS", "STORE", "STREAMS", "GET", "k", ""];
        let mut rng = fastrand::Rng::with_seed(3);
        for command in table::by_id() {
            for _ in 0..200 {
                let line: Vec<&str> = std::iter::once(command.name)
                    .chain((0..rng.usize(..6)).map(|_| words[rng.usize(..words.len())]))
                    .collect();
                let args = OwnedArgs::from_slices(&line);
                let keys = keys_of(command, args.as_args());
                assert!(keys.iter().all(|(at, _)| 0 < at && at < line.len()), "{line:?}");
                assert!(command.channels.places(args.as_args()).all(|at| at < line.len()), "{line:?}");
            }
        }
    }
}
