//! The proof that replicas equal their master at exactly one offset, while writes go on.
//!
//! The master puts a marker into the stream: a PING with an argument, which replicas of every kind execute harmlessly.
//! At the marker each Rivulet node begins a digest of its data as they are just there, and reports it up the link. The
//! digest is a table of [`BUCKETS`] sums, so that where two differ a second marker asks for the keys of the buckets that
//! differ only, and the answer names them.
//!
//! [`Verification`] is the master's end: it is told what was found, and says when to put the next marker. Digests are
//! computed by the driver; what an entry's digest is made of is its business, too.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::Millis;
use crate::messages::command;
use crate::position::ReplId;

/// Entries are summed up in so many buckets.
pub const BUCKETS: usize = 4096;
/// Keys that are named of one replica.
pub const NAMED_MAX: usize = 100;
/// The second marker asks for buckets that hold about so many keys here, at least for one bucket.
const LISTED_KEYS_MAX: u64 = 100_000;
/// A replica that could not begin is asked again after this.
const BUSY_PERIOD: Millis = 250;
const PREFIX: &str = "rivulet:verify:";

/// Names one marker. The time is the master's: what has expired by then counts on no node, whether or not it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub id: u64,
    pub unix_ms: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.id, self.unix_ms)
    }
}

impl Token {
    fn parse(text: &str) -> Option<Token> {
        let (id, time) = text.split_once('-')?;
        Some(Token { id: u64::from_str_radix(id, 16).ok()?, unix_ms: time.parse().ok()? })
    }
}

/// What stands in the stream: `PING rivulet:verify:<token>[:<buckets>]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    pub token: Token,
    /// The buckets whose keys are wanted one by one; `None` asks for the sums of all.
    pub keys_of: Option<Vec<RangeInclusive<u16>>>,
}

impl Marker {
    /// The argument of a PING, if it is a marker.
    pub fn parse(argument: &[u8]) -> Option<Marker> {
        let text = str::from_utf8(argument).ok()?.strip_prefix(PREFIX)?;
        let Some((token, ranges)) = text.split_once(':') else {
            return Some(Marker { token: Token::parse(text)?, keys_of: None });
        };
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last && usize::from(last) < BUCKETS).then_some(first..=last)
        };
        let ranges = ranges.split(',').map(range).collect::<Option<_>>()?;
        Some(Marker { token: Token::parse(token)?, keys_of: Some(ranges) })
    }

    /// The bytes for the stream.
    pub fn command(&self) -> Vec<u8> {
        let mut text = format!("{PREFIX}{}", self.token);
        for (i, range) in self.keys_of.iter().flatten().enumerate() {
            text.push(if i == 0 { ':' } else { ',' });
            text += &match range.start() == range.end() {
                true => range.start().to_string(),
                false => format!("{}-{}", range.start(), range.end()),
            };
        }
        command(&["PING", &text])
    }
}

/// The bucket of a key: the same on every node, so the hash has no seed (FNV-1a, mixed once more).
pub fn bucket_of(db: u32, key: &[u8]) -> usize {
    let bytes = db.to_le_bytes();
    let hash = bytes
        .iter()
        .chain(key)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 52) as usize
}

/// What a node found in its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Findings {
    /// One sum for each bucket.
    Sums(Box<[Sum]>),
    /// The keys of the buckets that were asked for.
    Keys(Vec<KeyDigest>),
}

/// A bucket: the digests of its entries added up, and how many they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub digest: u128,
    /// Only known of the own data.
    pub entries: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDigest {
    pub db: u32,
    pub key: Box<[u8]>,
    pub digest: u128,
}

impl Findings {
    /// Nothing found so far of what a marker asks for.
    pub fn of(marker: &Marker) -> Findings {
        match marker.keys_of {
            None => Findings::Sums(vec![Sum::default(); BUCKETS].into()),
            Some(_) => Findings::Keys(Vec::new()),
        }
    }
}

/// What a node sends to its master, and what that passes on: `REPLCONF rivulet-verify <report>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub token: Token,
    pub offset: u64,
    /// Who found it; `None` of one that can't be asked.
    pub run_id: Option<ReplId>,
    /// Empty at first: its master fills in how it calls the replica.
    pub address: String,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Found(Findings),
    /// Another snapshot runs there, or data is being loaded.
    Busy,
    /// A replica of the one that reports, and not Rivulet.
    Unverifiable,
}

/// The name of the option of REPLCONF.
pub const REPORT_OPTION: &[u8] = b"rivulet-verify";

impl Report {
    /// The command that carries it.
    pub fn command(&self) -> Vec<u8> {
        command(&[b"REPLCONF".as_slice(), REPORT_OPTION, &self.encode()])
    }

    /// A line of words, then the digests.
    pub fn encode(&self) -> Vec<u8> {
        let word = match &self.content {
            Content::Found(Findings::Sums(_)) => "sums",
            Content::Found(Findings::Keys(_)) => "keys",
            Content::Busy => "busy",
            Content::Unverifiable => "unverifiable",
        };
        let who = self.run_id.map_or("-".to_string(), |id| id.to_string());
        let mut out = format!("{} {} {who} {word} {}\n", self.token, self.offset, self.address).into_bytes();
        match &self.content {
            Content::Found(Findings::Sums(sums)) => {
                sums.iter().for_each(|sum| out.extend_from_slice(&sum.digest.to_le_bytes()));
            }
            Content::Found(Findings::Keys(keys)) => {
                for key in keys {
                    out.extend_from_slice(&key.db.to_le_bytes());
                    out.extend_from_slice(&key.digest.to_le_bytes());
                    out.extend_from_slice(&(key.key.len() as u32).to_le_bytes());
                    out.extend_from_slice(&key.key);
                }
            }
            Content::Busy | Content::Unverifiable => {}
        }
        out
    }

    /// What came from a replica; `None` if it is nothing of the kind.
    pub fn decode(bytes: &[u8]) -> Option<Report> {
        let line = bytes.split(|byte| *byte == b'\n').next()?;
        let mut rest = bytes.get(line.len() + 1..)?;
        let mut words = str::from_utf8(line).ok()?.splitn(5, ' ');
        let token = Token::parse(words.next()?)?;
        let offset = words.next()?.parse().ok()?;
        let run_id = match words.next()? {
            "-" => None,
            id => Some(ReplId::parse(id.as_bytes())?),
        };
        let word = words.next()?;
        let address = words.next()?.to_string();
        let content = match word {
            "sums" => {
                if rest.len() != BUCKETS * 16 {
                    return None;
                }
                let sums = std::iter::from_fn(|| take_digest(&mut rest)).map(|digest| Sum { digest, entries: 0 });
                Content::Found(Findings::Sums(sums.collect()))
            }
            "keys" => {
                let mut keys = Vec::new();
                while !rest.is_empty() {
                    keys.push(take_key(&mut rest)?);
                }
                Content::Found(Findings::Keys(keys))
            }
            "busy" => Content::Busy,
            "unverifiable" => Content::Unverifiable,
            _ => return None,
        };
        Some(Report { token, offset, run_id, address, content })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

fn take_digest(rest: &mut &[u8]) -> Option<u128> {
    take(rest).map(u128::from_le_bytes)
}

fn take_key(rest: &mut &[u8]) -> Option<KeyDigest> {
    let db = u32::from_le_bytes(take(rest)?);
    let digest = take_digest(rest)?;
    let len = u32::from_le_bytes(take(rest)?) as usize;
    let key = rest.get(..len)?;
    *rest = &rest[len..];
    Some(KeyDigest { db, key: key.into(), digest })
}

/// A verification on the master, from the first marker to the verdicts.
#[derive(Debug)]
pub struct Verification {
    nodes: Vec<Examined>,
    deadline: Millis,
    /// Only the replicas named at the begin count.
    only_named: bool,
    stage: Stage,
    /// The marker that reports are awaited for.
    round: Option<Round>,
    not_before: Millis,
}

/// A replica under examination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    pub run_id: Option<ReplId>,
    /// Empty until a node of a chain has reported.
    pub address: String,
    /// Where it was compared; `None` if it was not.
    pub offset: Option<u64>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Awaited,
    /// It answered that it can't begin now.
    Busy,
    Equal,
    Differs(Difference),
    Unverifiable,
}

/// How a replica differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub buckets: Vec<u16>,
    /// All keys found to differ; `None` until they were asked for.
    pub keys: Option<u64>,
    /// Some of their names, in order: (database, key, how).
    pub named: Vec<(u32, Box<[u8]>, How)>,
    /// Keys of all buckets that differ were compared, not only of some.
    pub complete: bool,
}

/// How a key differs, seen from the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    Changed,
    Missing,
    Extra,
}

impl How {
    pub fn word(self) -> &'static str {
        match self {
            How::Changed => "changed",
            How::Missing => "missing",
            How::Extra => "extra",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Sums,
    Keys(Vec<RangeInclusive<u16>>),
}

#[derive(Debug)]
struct Round {
    token: Token,
    offset: u64,
    local: Option<Findings>,
    reports: HashMap<ReplId, Report>,
}

/// What the driver has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Wait,
    /// Begin a digest of the own data, append the marker, and call `began`. As soon as no other snapshot runs.
    Mark(Option<Vec<RangeInclusive<u16>>>),
    /// Answer with `nodes`.
    Done,
}

impl Verification {
    /// Of these replicas; with `only_named` of no others, else also of those below them that report.
    pub fn new(replicas: Vec<(Option<ReplId>, String)>, only_named: bool, deadline: Millis) -> Verification {
        let examined = |(run_id, address): (Option<ReplId>, String)| {
            let verdict = if run_id.is_some() { Verdict::Awaited } else { Verdict::Unverifiable };
            Examined { run_id, address, offset: None, verdict }
        };
        let nodes = replicas.into_iter().map(examined).collect();
        Verification { nodes, deadline, only_named, stage: Stage::Sums, round: None, not_before: 0 }
    }

    /// A marker stands in the stream after `offset`.
    pub fn began(&mut self, token: Token, offset: u64) {
        self.round = Some(Round { token, offset, local: None, reports: HashMap::new() });
    }

    /// The digest of the own data is made; without findings it failed, and is tried again.
    pub fn found(&mut self, token: Token, findings: Option<Findings>, now: Millis) {
        let Some(round) = self.round.as_mut().filter(|round| round.token == token) else { return };
        match findings {
            Some(findings) => round.local = Some(findings),
            None => {
                self.round = None;
                self.not_before = now + BUSY_PERIOD;
            }
        }
    }

    /// A report came up.
    pub fn reported(&mut self, report: Report) {
        let Some(round) = self.round.as_mut().filter(|round| round.token == report.token) else { return };
        let known = self.nodes.iter().position(|node| match report.run_id {
            Some(id) => node.run_id == Some(id),
            None => node.address == report.address,
        });
        let node = match known {
            Some(at) => &mut self.nodes[at],
            None if self.only_named => return,
            None => {
                let verdict = if report.run_id.is_some() { Verdict::Awaited } else { Verdict::Unverifiable };
                let address = report.address.clone();
                self.nodes.push(Examined { run_id: report.run_id, address, offset: None, verdict });
                self.nodes.last_mut().expect("one was pushed just now")
            }
        };
        if node.address.is_empty() {
            node.address = report.address.clone();
        }
        if let Some(id) = report.run_id {
            round.reports.insert(id, report);
        }
    }

    /// What is next.
    pub fn next(&mut self, now: Millis) -> Step {
        if now >= self.deadline || self.nodes.iter().all(Examined::is_settled) {
            return Step::Done;
        }
        if self.round.is_none() {
            return match (now >= self.not_before, &self.stage) {
                (false, _) => Step::Wait,
                (true, Stage::Sums) => Step::Mark(None),
                (true, Stage::Keys(ranges)) => Step::Mark(Some(ranges.clone())),
            };
        }
        let Some(round) = self.round.take_if(|round| {
            let answered = |id: &ReplId| round.reports.contains_key(id);
            round.local.is_some() && self.nodes.iter().all(|node| node.is_settled() || node.run_id.iter().all(answered))
        }) else {
            return Step::Wait;
        };
        self.judge(round, now);
        self.next(now)
    }

    /// Everybody has reported.
    fn judge(&mut self, round: Round, now: Millis) {
        let Some(local) = round.local else { return };
        for node in self.nodes.iter_mut().filter(|node| !node.is_settled()) {
            let Some(report) = node.run_id.and_then(|id| round.reports.get(&id)) else { continue };
            match (&local, &report.content, &mut node.verdict) {
                (Findings::Sums(ours), Content::Found(Findings::Sums(theirs)), verdict) => {
                    let differs = |&i: &usize| ours[i].digest != theirs[i].digest;
                    let buckets: Vec<u16> = (0..BUCKETS).filter(differs).map(|i| i as u16).collect();
                    *verdict = match buckets.is_empty() {
                        // The same sums at another offset would prove nothing.
                        true if report.offset == round.offset => Verdict::Equal,
                        true => Verdict::Awaited,
                        false => Verdict::Differs(Difference { buckets, ..Difference::default() }),
                    };
                    node.offset = Some(report.offset);
                }
                (Findings::Keys(ours), Content::Found(Findings::Keys(theirs)), Verdict::Differs(difference)) => {
                    compare(ours, theirs, difference);
                }
                (_, _, Verdict::Differs(_)) => {}
                (_, Content::Busy, verdict) => *verdict = Verdict::Busy,
                (_, _, _) => {}
            }
        }
        self.not_before = now + BUSY_PERIOD;
        let waits = |node: &Examined| matches!(node.verdict, Verdict::Awaited | Verdict::Busy);
        if let Findings::Sums(sums) = &local
            && !self.nodes.iter().any(waits)
        {
            self.not_before = now;
            self.stage = Stage::Keys(self.ranges_to_list(sums));
        }
    }

    /// The buckets that differ anywhere, as far as they hold few enough keys to be listed.
    fn ranges_to_list(&mut self, sums: &[Sum]) -> Vec<RangeInclusive<u16>> {
        let mut wanted: Vec<u16> = self.differences().flat_map(|difference| difference.buckets.clone()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let (mut keys, mut ranges) = (0, Vec::<RangeInclusive<u16>>::new());
        let mut last = None;
        for bucket in wanted {
            keys += sums[usize::from(bucket)].entries;
            if keys > LISTED_KEYS_MAX && last.is_some() {
                break;
            }
            last = Some(bucket);
            match ranges.last_mut().filter(|range| range.end() + 1 == bucket) {
                Some(range) => *range = *range.start()..=bucket,
                None => ranges.push(bucket..=bucket),
            }
        }
        for difference in self.differences() {
            difference.complete = difference.buckets.last().is_none_or(|bucket| last >= Some(*bucket));
        }
        ranges
    }

    fn differences(&mut self) -> impl Iterator<Item = &mut Difference> {
        self.nodes.iter_mut().filter_map(|node| match &mut node.verdict {
            Verdict::Differs(difference) => Some(difference),
            _ => None,
        })
    }

    pub fn nodes(&self) -> &[Examined] {
        &self.nodes
    }
}

impl Examined {
    /// Nothing more is to be asked of it.
    fn is_settled(&self) -> bool {
        match &self.verdict {
            Verdict::Awaited | Verdict::Busy => false,
            Verdict::Differs(difference) => difference.keys.is_some(),
            Verdict::Equal | Verdict::Unverifiable => true,
        }
    }
}

/// The keys that differ between the master's and a replica's.
fn compare(ours: &[KeyDigest], theirs: &[KeyDigest], difference: &mut Difference) {
    let asked: Vec<bool> = {
        let mut asked = vec![false; BUCKETS];
        difference.buckets.iter().for_each(|bucket| asked[usize::from(*bucket)] = true);
        asked
    };
    let concerned = |key: &&KeyDigest| asked[bucket_of(key.db, &key.key)];
    let mut left: HashMap<(u32, &[u8]), u128> = HashMap::new();
    for key in theirs.iter().filter(concerned) {
        left.insert((key.db, &key.key), key.digest);
    }
    let mut differing: Vec<(u32, &[u8], How)> = Vec::new();
    for key in ours.iter().filter(concerned) {
        match left.remove(&(key.db, &*key.key)) {
            Some(digest) if digest == key.digest => {}
            Some(_) => differing.push((key.db, &key.key, How::Changed)),
            None => differing.push((key.db, &key.key, How::Missing)),
        }
    }
    differing.extend(left.keys().map(|(db, key)| (*db, *key, How::Extra)));
    differing.sort_unstable();
    difference.keys = Some(differing.len() as u64);
    difference.named = differing.into_iter().take(NAMED_MAX).map(|(db, key, how)| (db, key.into(), how)).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ReplId {
        ReplId::from_random(&[n; 20])
    }

    fn token(n: u64) -> Token {
        Token { id: n, unix_ms: 1_700_000_000_000 }
    }

    fn digests(entries: &[(&str, u128)]) -> Vec<KeyDigest> {
        entries.iter().map(|(key, digest)| KeyDigest { db: 0, key: key.as_bytes().into(), digest: *digest }).collect()
    }

    fn sums(entries: &[(&str, u128)]) -> Findings {
        let mut sums = vec![Sum::default(); BUCKETS];
        for (key, digest) in entries {
            let sum = &mut sums[bucket_of(0, key.as_bytes())];
            *sum = Sum { digest: sum.digest.wrapping_add(*digest), entries: sum.entries + 1 };
        }
        Findings::Sums(sums.into())
    }

    fn report(n: u64, from: u8, content: Content) -> Report {
        Report { token: token(n), offset: 50 + n, run_id: Some(id(from)), address: format!("h:{from}"), content }
    }

    #[test]
    fn markers_on_the_wire() {
        let plain = Marker { token: token(0xab), keys_of: None };
        let text = "rivulet:verify:00000000000000ab-1700000000000";
        assert_eq!(plain.command(), format!("*2\r\n$4\r\nPING\r\n${}\r\n{text}\r\n", text.len()).into_bytes());
        assert_eq!(Marker::parse(text.as_bytes()), Some(plain));
        let some = Marker { token: token(1), keys_of: Some(vec![0..=0, 7..=9, 4095..=4095]) };
        let text = "rivulet:verify:0000000000000001-1700000000000:0,7-9,4095";
        assert!(String::from_utf8(some.command()).unwrap().contains(text));
        assert_eq!(Marker::parse(text.as_bytes()), Some(some));
        for bad in
            ["", "hello", "rivulet:verify:", "rivulet:verify:1-2:", "rivulet:verify:1-2:4096", "rivulet:verify:1-2:5-4"]
        {
            assert_eq!(Marker::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn reports_on_the_wire() {
        let keys = Content::Found(Findings::Keys(digests(&[("a", 7), ("with\nline", u128::MAX)])));
        let theirs = match sums(&[("a", 7), ("b", 9)]) {
            Findings::Sums(sums) => sums.iter().map(|sum| Sum { entries: 0, ..*sum }).collect(),
            other => panic!("{other:?}"),
        };
        for content in [keys, Content::Found(Findings::Sums(theirs)), Content::Busy, Content::Unverifiable] {
            let said = Report { address: String::new(), ..report(3, 1, content) };
            assert_eq!(Report::decode(&said.encode()), Some(said.clone()));
            let bytes = said.encode();
            for cut in 0..bytes.len().min(200) {
                if let Some(other) = Report::decode(&bytes[..cut]) {
                    assert_ne!(other, said, "cut at {cut}");
                }
            }
        }
        assert_eq!(Report::decode(b""), None);
        assert_eq!(Report::decode(b"x\ny"), None);
    }

    #[test]
    fn buckets_are_used_evenly_and_alike() {
        assert_eq!((bucket_of(0, b"a"), bucket_of(1, b"a"), bucket_of(0, b"")), (2539, 1398, 1485));
        let mut filled = vec![0; BUCKETS];
        (0..BUCKETS * 8).for_each(|i| filled[bucket_of(0, format!("key:{i}").as_bytes())] += 1);
        assert!(filled.iter().max() < Some(&30) && filled.iter().filter(|n| **n == 0).count() < 20);
    }

    #[test]
    fn equal_replicas_need_one_marker() {
        let mut verification = Verification::new(vec![(Some(id(1)), "h:1".into()), (None, "h:2".into())], false, 1000);
        assert_eq!(verification.next(0), Step::Mark(None));
        verification.began(token(1), 51);
        let data = sums(&[("a", 1)]);
        verification.reported(report(1, 1, Content::Found(data.clone())));
        verification.reported(report(9, 1, Content::Busy));
        assert_eq!(verification.next(1), Step::Wait);
        // One further down, which nobody had named, and which is in no hurry to say so.
        verification.reported(report(1, 3, Content::Found(data.clone())));
        verification.found(token(1), Some(data), 2);
        assert_eq!(verification.next(2), Step::Done);
        let verdicts: Vec<_> = verification.nodes().iter().map(|n| (n.address.as_str(), n.verdict.clone())).collect();
        assert_eq!(verdicts, [("h:1", Verdict::Equal), ("h:2", Verdict::Unverifiable), ("h:3", Verdict::Equal)]);
        assert_eq!(verification.nodes()[0].offset, Some(51));
    }

    #[test]
    fn a_difference_is_named_by_a_second_marker() {
        let mut verification =
            Verification::new(vec![(Some(id(1)), "h:1".into()), (Some(id(2)), "h:2".into())], true, 9);
        let ours = [("a", 1), ("b", 2), ("c", 3)];
        let theirs = [("a", 1), ("b", 22), ("d", 4)];
        verification.began(token(1), 51);
        verification.found(token(1), Some(sums(&ours)), 0);
        verification.reported(report(1, 1, Content::Found(sums(&ours))));
        verification.reported(report(1, 2, Content::Found(sums(&theirs))));
        let Step::Mark(Some(ranges)) = verification.next(0) else { panic!("a second marker") };
        let mut wanted: Vec<u16> = ["b", "c", "d"].map(|key| bucket_of(0, key.as_bytes()) as u16).to_vec();
        wanted.sort_unstable();
        assert_eq!(ranges, wanted.iter().map(|b| *b..=*b).collect::<Vec<_>>());
        verification.began(token(2), 52);
        verification.found(token(2), Some(Findings::Keys(digests(&ours[1..]))), 1);
        verification.reported(report(2, 2, Content::Found(Findings::Keys(digests(&theirs[1..])))));
        assert_eq!(verification.next(1), Step::Done, "the equal one is not waited for");
        let Verdict::Differs(difference) = &verification.nodes()[1].verdict else { panic!("it differs") };
        assert_eq!((difference.keys, difference.complete), (Some(3), true));
        let named: Vec<_> = difference.named.iter().map(|(_, key, how)| (&key[..], *how)).collect();
        assert_eq!(named, [(&b"b"[..], How::Changed), (b"c", How::Missing), (b"d", How::Extra)]);
    }

    #[test]
    fn a_busy_replica_is_asked_again_and_a_silent_one_is_not_waited_for_for_ever() {
        let mut verification = Verification::new(vec![(Some(id(1)), "h:1".into())], false, 1000);
        verification.began(token(1), 51);
        verification.found(token(1), Some(sums(&[])), 0);
        verification.reported(report(1, 1, Content::Busy));
        assert_eq!(verification.next(0), Step::Wait);
        assert_eq!(verification.next(BUSY_PERIOD), Step::Mark(None));
        verification.began(token(2), 52);
        verification.found(token(2), Some(sums(&[])), 300);
        assert_eq!(verification.next(999), Step::Wait);
        assert_eq!(verification.next(1000), Step::Done);
        assert_eq!(verification.nodes()[0].verdict, Verdict::Busy);
    }

    #[test]
    fn a_digest_that_failed_is_made_again() {
        let mut verification = Verification::new(vec![(Some(id(1)), "h:1".into())], false, 1000);
        verification.began(token(1), 51);
        verification.found(token(1), None, 10);
        assert_eq!(verification.next(10), Step::Wait);
        assert_eq!(verification.next(10 + BUSY_PERIOD), Step::Mark(None));
    }

    #[test]
    fn nobody_to_examine() {
        assert_eq!(Verification::new(Vec::new(), false, 10).next(0), Step::Done);
    }

    #[test]
    fn only_so_many_keys_are_listed() {
        let mut verification = Verification::new(vec![(Some(id(1)), "h:1".into())], false, 1000);
        let full = |digest| Findings::Sums(vec![Sum { digest, entries: LISTED_KEYS_MAX / 3 }; BUCKETS].into());
        verification.began(token(1), 51);
        verification.found(token(1), Some(full(1)), 0);
        verification.reported(report(1, 1, Content::Found(full(2))));
        assert_eq!(verification.next(0), Step::Mark(Some(vec![0..=2])));
        verification.began(token(2), 52);
        verification.found(token(2), Some(Findings::Keys(Vec::new())), 1);
        verification.reported(report(2, 1, Content::Found(Findings::Keys(Vec::new()))));
        assert_eq!(verification.next(1), Step::Done);
        let Verdict::Differs(difference) = &verification.nodes()[0].verdict else { panic!("it differs") };
        assert_eq!((difference.buckets.len(), difference.keys, difference.complete), (BUCKETS, Some(0), false));
    }
}
