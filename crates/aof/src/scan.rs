//! Takes the bytes of a file apart into commands and annotations, whatever the pieces in which they come.
//!
//! A file may end anywhere. What counts then is the end of the last whole *unit*: a command, a MULTI with all up to its EXEC, or an
//! [`Annotation::Own`] line with all the bytes that it names. The scanner knows that place, in the file and in the stream. It takes what the loader
//! of Redis takes of files that a server wrote, and of each command what [`rivulet_resp::Decoder`] takes, so that a range that it has passed can be
//! given to that (but for numbers with leading zeros, which no server writes). It executes nothing and doesn't know commands, but for MULTI and EXEC.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use rivulet_resp::args::{Args, Span};

use crate::annotation::{self, Annotation};

/// A longer argument has no place in a [`Span`].
const ARGUMENT_LEN_MAX: i64 = u32::MAX as i64 / 2 - 1;
/// More digits are as too great a number.
const DIGITS_MAX: usize = 18;
/// How much [`Items`] reads at once.
const READ_LEN: usize = 256 * 1024;

/// A place: bytes before it in the file, and those of them that are the stream's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub file: u64,
    pub stream: u64,
}

/// One thing of a file.
pub struct Item<'a> {
    /// Its bytes in the buffer.
    pub range: Range<usize>,
    pub kind: ItemKind<'a>,
}

pub enum ItemKind<'a> {
    Command {
        args: Args<'a>,
        of: Of,
    },
    /// A line that isn't executed, and what it says.
    Annotation {
        line: &'a [u8],
        annotation: Annotation,
    },
}

/// Whose a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Stream,
    /// Not of the stream: an [`Annotation::Own`] line stands before it.
    Own,
    /// Of the stream, and never executed here: an [`Annotation::Passed`] line stands before it.
    Passed,
}

/// Where scanning stands. The caller owns the buffer: as with [`rivulet_resp::Decoder`], it drops the first [`Scanner::consumed`] bytes at times and
/// says so with [`Scanner::rebase`].
pub struct Scanner {
    /// Where in the file the buffer begins.
    base: u64,
    /// Where in the buffer the present item begins.
    start: usize,
    /// The next byte to look at.
    at: usize,
    /// Where in the file the line or argument begins that was looked at last.
    piece: u64,
    /// Arguments that the present command still lacks.
    missing: usize,
    /// Length of the argument that is being read.
    bulk_len: Option<usize>,
    /// The arguments of the present command, from its start.
    spans: Vec<Span>,
    canonical: bool,
    /// The item that was found last.
    found: Range<usize>,
    annotation: Option<Annotation>,
    /// Whose the command is that was found last.
    of: Of,
    /// MULTI has been seen, but not its EXEC.
    in_multi: bool,
    /// Bytes that an [`Annotation::Own`] or [`Annotation::Passed`] line still covers, and whose these are.
    covered: u64,
    covered_of: Of,
    place: Place,
    unit_end: Place,
    lines: u64,
}

impl Scanner {
    /// Begins at `place`, which is where the buffer's first byte lies.
    pub fn new(place: Place) -> Scanner {
        Scanner {
            base: place.file,
            start: 0,
            at: 0,
            piece: place.file,
            missing: 0,
            bulk_len: None,
            spans: Vec::new(),
            canonical: true,
            found: 0..0,
            annotation: None,
            of: Of::Stream,
            in_multi: false,
            covered: 0,
            covered_of: Of::Stream,
            place,
            unit_end: place,
            lines: 0,
        }
    }

    /// The next item of `buffer`, or nothing if it isn't there to its end.
    pub fn next<'a>(&'a mut self, buffer: &'a [u8]) -> Result<Option<Item<'a>>, ScanError> {
        Ok(if self.advance(buffer)? { Some(self.item(buffer)) } else { None })
    }

    /// The file ends with the buffer; an error if it may not end there.
    pub fn finish(&mut self, buffer: &[u8]) -> Result<(), ScanError> {
        let rest = &buffer[self.at..];
        if let Some(len) = self.bulk_len {
            return Err(self.error(Problem::Short { wanted: len as u64 + 2, got: rest.len() as u64 }));
        }
        if !rest.is_empty() {
            self.mark(self.at);
            let digits = rest[1..].iter().take_while(|c| c.is_ascii_digit() || **c == b'-').count();
            let end = if rest[0] == b'#' { &[] } else { &rest[1 + digits..] };
            return Err(self.error(Problem::CutLine(two_bytes(end))));
        }
        if self.missing > 0 {
            self.mark(self.at);
            return Err(self.error(if self.in_multi { Problem::OpenMulti } else { Problem::CutCommand }));
        }
        if self.covered > 0 {
            return Err(self.error(Problem::CutOwn));
        }
        if self.in_multi { Err(self.error(Problem::OpenMulti)) } else { Ok(()) }
    }

    /// Bytes of the buffer that belong to items that were given.
    pub fn consumed(&self) -> usize {
        self.start
    }

    /// The first [`Scanner::consumed`] bytes were dropped.
    pub fn rebase(&mut self) {
        self.base += self.start as u64;
        self.at -= self.start;
        self.found = 0..0;
        self.start = 0;
    }

    /// After the item that was given last.
    pub fn place(&self) -> Place {
        self.place
    }

    /// After the last whole unit.
    pub fn unit_end(&self) -> Place {
        self.unit_end
    }

    /// How many of the format's lines have ended; annotations don't count.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Goes on to the end of the next item; answers whether it is there.
    fn advance(&mut self, buffer: &[u8]) -> Result<bool, ScanError> {
        if self.missing == 0 {
            match buffer.get(self.at) {
                None => return Ok(false),
                Some(b'#') => return self.line(buffer),
                Some(b'*') => {
                    if !self.count(buffer)? {
                        return Ok(false);
                    }
                }
                Some(&other) => {
                    self.mark(self.at);
                    return Err(self.error(Problem::NoItem(other)));
                }
            }
        }
        if !self.arguments(buffer)? {
            return Ok(false);
        }
        self.command_ended(buffer)?;
        Ok(true)
    }

    fn item<'a>(&'a self, buffer: &'a [u8]) -> Item<'a> {
        let bytes = &buffer[self.found.clone()];
        let kind = match self.annotation {
            Some(annotation) => ItemKind::Annotation { line: bytes, annotation },
            None => ItemKind::Command { args: Args::new(bytes, &self.spans, self.canonical), of: self.of },
        };
        Item { range: self.found.clone(), kind }
    }

    fn line(&mut self, buffer: &[u8]) -> Result<bool, ScanError> {
        let rest = &buffer[self.at..];
        self.mark(self.at);
        let window = &rest[..rest.len().min(annotation::LINE_LEN_MAX)];
        let Some(newline) = memchr::memchr(b'\n', window) else {
            let long = window.len() == annotation::LINE_LEN_MAX;
            return if long { Err(self.error(Problem::LongLine)) } else { Ok(false) };
        };
        let annotation = Annotation::parse(&rest[..=newline]).map_err(|_| self.error(Problem::Own))?;
        self.at += newline + 1;
        self.annotation = Some(annotation);
        let len = self.take_item()?;
        let covers = match annotation {
            Annotation::Own(bytes) => Some((bytes, Of::Own)),
            Annotation::Passed(bytes) => Some((bytes, Of::Passed)),
            Annotation::Timestamp(_) | Annotation::Other => None,
        };
        if let Some((bytes, of)) = covers {
            if self.covered > 0 || self.in_multi {
                return Err(self.error(Problem::Own));
            }
            // Its end must be a place in the file.
            if self.place.file.checked_add(len).and_then(|place| place.checked_add(bytes)).is_none() {
                return Err(self.error(Problem::Own));
            }
            (self.covered, self.covered_of) = (bytes, of);
        }
        self.place.file += len;
        self.end_unit();
        Ok(true)
    }

    fn count(&mut self, buffer: &[u8]) -> Result<bool, ScanError> {
        self.spans.clear();
        self.annotation = None;
        self.canonical = true;
        let Some(count) = self.number(buffer)? else {
            return Ok(false);
        };
        if !(1..=i64::from(i32::MAX)).contains(&count) {
            return Err(self.error(Problem::Count(count)));
        }
        self.missing = count as usize;
        Ok(true)
    }

    /// Reads arguments until none is missing; answers whether all are there.
    fn arguments(&mut self, buffer: &[u8]) -> Result<bool, ScanError> {
        while self.missing > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => match self.argument_len(buffer)? {
                    Some(len) => len,
                    None => return Ok(false),
                },
            };
            let Some(bytes) = buffer.get(self.at..self.at + len + 2) else {
                self.bulk_len = Some(len);
                return Ok(false);
            };
            self.bulk_len = None;
            if &bytes[len..] != b"\r\n" {
                return Err(self.error(Problem::Newline([bytes[len], bytes[len + 1]])));
            }
            let end = self.at - self.start + len;
            if u32::try_from(end).is_err() {
                return Err(self.error(Problem::LongCommand));
            }
            self.spans.push(Span { start: (end - len) as u32, len: len as u32 });
            self.at += len + 2;
            self.lines += 1;
            self.missing -= 1;
        }
        Ok(true)
    }

    fn argument_len(&mut self, buffer: &[u8]) -> Result<Option<usize>, ScanError> {
        self.mark(self.at);
        match buffer.get(self.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&got) => return Err(self.error(Problem::Prefix(got))),
        }
        let Some(len) = self.number(buffer)? else {
            return Ok(None);
        };
        if !(0..=ARGUMENT_LEN_MAX).contains(&len) {
            return Err(self.error(Problem::Len(len)));
        }
        self.mark(self.at);
        Ok(Some(len as usize))
    }

    /// The number of the line at the present place, after its first byte; nothing if the line isn't there to its end.
    fn number(&mut self, buffer: &[u8]) -> Result<Option<i64>, ScanError> {
        self.mark(self.at);
        let text = &buffer[self.at + 1..];
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let mut n = 0i64;
        let mut count = 0;
        for c in digits.iter().take_while(|c| c.is_ascii_digit()) {
            n = n.saturating_mul(10).saturating_add(i64::from(c - b'0'));
            count += 1;
        }
        if count > DIGITS_MAX {
            return Ok(Some(i64::MAX));
        }
        match &digits[count..] {
            [b'\r', b'\n', ..] if count > 0 => {
                self.canonical &= !negative && (digits[0] != b'0' || count == 1);
                self.at += 1 + usize::from(negative) + count + 2;
                self.lines += 1;
                Ok(Some(if negative { -n } else { n }))
            }
            [] | [b'\r'] => Ok(None),
            // The error names two bytes: wait for the second.
            [c] if *c != b'\n' => Ok(None),
            end => Err(self.error(Problem::Newline(two_bytes(end)))),
        }
    }

    fn command_ended(&mut self, buffer: &[u8]) -> Result<(), ScanError> {
        let first = self.spans[0];
        let name = self.start + first.start as usize;
        let name = name..name + first.len as usize;
        let multi = buffer[name.clone()].eq_ignore_ascii_case(b"multi");
        let exec = !multi && buffer[name.clone()].eq_ignore_ascii_case(b"exec");
        if multi && self.in_multi || exec && !self.in_multi {
            self.mark(name.start);
            return Err(self.error(if multi { Problem::UnexpectedMulti } else { Problem::UnexpectedExec }));
        }
        self.of = if self.covered > 0 { self.covered_of } else { Of::Stream };
        let len = self.take_item()?;
        self.place.file += len;
        if self.of != Of::Own {
            self.place.stream += len;
        }
        self.in_multi = (self.in_multi || multi) && !exec;
        if self.in_multi && self.of != Of::Stream && self.covered == 0 {
            return Err(self.error(Problem::Own));
        }
        self.end_unit();
        Ok(())
    }

    /// The bytes from the start on are an item; answers how many these are.
    fn take_item(&mut self) -> Result<u64, ScanError> {
        let len = (self.at - self.start) as u64;
        if self.covered > 0 {
            self.covered = self.covered.checked_sub(len).ok_or_else(|| self.error(Problem::Own))?;
        }
        self.found = self.start..self.at;
        self.start = self.at;
        Ok(len)
    }

    fn mark(&mut self, at: usize) {
        self.piece = self.base + at as u64;
    }

    fn end_unit(&mut self) {
        if !self.in_multi && self.covered == 0 {
            self.unit_end = self.place;
        }
    }

    fn error(&self, problem: Problem) -> ScanError {
        ScanError { at: self.piece, unit_end: self.unit_end, problem }
    }
}

fn two_bytes(bytes: &[u8]) -> [u8; 2] {
    match bytes {
        [] => [0, 0],
        [a] | [a @ b'\n', ..] => [*a, 0],
        [a, b, ..] => [*a, *b],
    }
}

/// Why scanning ended, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanError {
    /// The position in the file of the line or argument that can't be read.
    pub at: u64,
    /// What can be kept.
    pub unit_end: Place,
    pub problem: Problem,
}

impl ScanError {
    /// Whether the file is only cut, as a crash leaves it; otherwise its bytes are damaged.
    pub fn is_cut(&self) -> bool {
        use Problem::*;
        matches!(self.problem, CutCommand | CutLine(_) | CutOwn | Short { .. } | OpenMulti)
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at position {}", self.problem, self.at)
    }
}

impl std::error::Error for ScanError {}

/// What is wrong. Its text is that of `redis-check-aof`, where that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Neither a command nor an annotation begins with this byte.
    NoItem(u8),
    /// Another byte where the length of an argument has to be.
    Prefix(u8),
    /// Other bytes at the end of a line or argument; what isn't there is 0.
    Newline([u8; 2]),
    Count(i64),
    Len(i64),
    /// A command of more than 4 GiB.
    LongCommand,
    /// An annotation longer than [`annotation::LINE_LEN_MAX`].
    LongLine,
    /// An [`Annotation::Own`] or [`Annotation::Passed`] line that can't be read, stands where none may, or ends within a unit.
    Own,
    UnexpectedMulti,
    UnexpectedExec,
    /// The end, where an argument has to begin, and no MULTI is open.
    CutCommand,
    /// The end within a line; the bytes where its newline has to be.
    CutLine([u8; 2]),
    /// The end within an argument; its newline counts.
    Short {
        wanted: u64,
        got: u64,
    },
    /// The end before all bytes of an [`Annotation::Own`] line.
    CutOwn,
    /// The end before EXEC.
    OpenMulti,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoItem(got) => write!(f, "Expected '*' or '#', got: '{}'", got.escape_ascii()),
            Problem::Prefix(got) => write!(f, "Expected prefix '$', got: '{}'", *got as char),
            Problem::Newline(got) | Problem::CutLine(got) => {
                // As C prints a `char`.
                let [a, b] = got.map(|c| c as i8 as i32);
                write!(f, "Expected \\r\\n, got: {a:02x}{b:02x}")
            }
            Problem::Count(n) => write!(f, "Expected to read {n} arguments, which is not in the suitable range"),
            Problem::Len(n) => write!(f, "Expected to read string of {n} bytes, which is not in the suitable range"),
            Problem::LongCommand => f.write_str("Expected a command of less than 4 GiB"),
            Problem::LongLine => write!(f, "Expected an annotation of at most {} bytes", annotation::LINE_LEN_MAX),
            Problem::Own => f.write_str("Expected a count of bytes that ends where a command does"),
            Problem::UnexpectedMulti => f.write_str("Unexpected MULTI"),
            Problem::UnexpectedExec => f.write_str("Unexpected EXEC"),
            Problem::CutCommand => f.write_str("Reached EOF within a command"),
            Problem::Short { wanted, got } => write!(f, "Expected to read {wanted} bytes, got {got} bytes"),
            Problem::CutOwn => f.write_str("Reached EOF before the end of the node's own bytes"),
            Problem::OpenMulti => f.write_str("Reached EOF before reading EXEC for MULTI"),
        }
    }
}

/// The items of a source, one after the other. Memory holds one piece of it, or one command if that is bigger.
pub struct Items<R> {
    source: R,
    buffer: Vec<u8>,
    scanner: Scanner,
}

/// The source failed, or what it gave is no append-only file.
#[derive(Debug)]
pub enum ItemsError {
    Io(io::Error),
    Scan(ScanError),
}

impl From<ScanError> for ItemsError {
    fn from(error: ScanError) -> ItemsError {
        ItemsError::Scan(error)
    }
}

impl<R: Read> Items<R> {
    /// `source` gives what follows `place`.
    pub fn new(source: R, place: Place) -> Items<R> {
        Items { source, buffer: Vec::new(), scanner: Scanner::new(place) }
    }

    /// The next item, or nothing at an end that is one.
    #[expect(clippy::should_implement_trait, reason = "an item borrows from this")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, ItemsError> {
        while !self.scanner.advance(&self.buffer)? {
            if self.read_more().map_err(ItemsError::Io)? == 0 {
                self.scanner.finish(&self.buffer)?;
                return Ok(None);
            }
        }
        Ok(Some(self.scanner.item(&self.buffer)))
    }

    pub fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    pub fn source(&mut self) -> &mut R {
        &mut self.source
    }

    fn read_more(&mut self) -> io::Result<u64> {
        self.buffer.drain(..self.scanner.consumed());
        self.scanner.rebase();
        (&mut self.source).take(READ_LEN as u64).read_to_end(&mut self.buffer).map(|read| read as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rivulet_resp::append_command;

    use super::*;

    /// What a scan gave: each item with the place after it, and how it ended.
    type Scan = (Vec<(String, Place, Place)>, Result<(), ScanError>);

    fn describe(item: &Item<'_>) -> String {
        match &item.kind {
            ItemKind::Command { args, of } => {
                let words: Vec<_> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
                {
                    let of = match of {
                        Of::Stream => "",
                        Of::Own => "own ",
                        Of::Passed => "passed ",
                    };
                    format!("{of}{}", words.join(" "))
                }
            }
            ItemKind::Annotation { line, annotation } => format!("{annotation:?} {}", line.escape_ascii()),
        }
    }

    /// Scans chunks, dropping what was consumed after each.
    fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Scan {
        let mut scanner = Scanner::new(Place::default());
        let (mut buffer, mut items) = (Vec::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            loop {
                let text = match scanner.next(&buffer) {
                    Ok(Some(item)) => describe(&item),
                    Ok(None) => break,
                    Err(error) => return (items, Err(error)),
                };
                items.push((text, scanner.place(), scanner.unit_end()));
            }
            buffer.drain(..scanner.consumed());
            scanner.rebase();
        }
        (items, scanner.finish(&buffer))
    }

    fn command(words: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        append_command(&mut out, words.iter().map(|w| w.as_bytes()));
        out
    }

    /// A file with all that there is, and the ends of its units.
    fn sample() -> (Vec<u8>, Vec<Place>) {
        let own = [command(&["SELECT", "3"]), b"#TS:5\r\n".to_vec(), command(&["SET", "own", ""])].concat();
        // Each unit with how many of its bytes are the stream's.
        let units = [
            (b"#TS:1700000000\r\n".to_vec(), 0),
            (command(&["SELECT", "0"]), 23),
            ([format!("#RIVULET:OWN {}\r\n", own.len()).into_bytes(), own].concat(), 0),
            (b"#RIVULET:OWN 0\r\n".to_vec(), 0),
            (
                [command(&["multi"]), b"# within\n".to_vec(), command(&["SET", "a\r\n", "b"]), command(&["EXEC"])]
                    .concat(),
                58,
            ),
            (command(&["PING"]), 14),
        ];
        let (mut bytes, mut ends) = (Vec::new(), vec![Place::default()]);
        for (unit, of_stream) in units {
            bytes.extend(unit);
            ends.push(Place { file: bytes.len() as u64, stream: ends[ends.len() - 1].stream + of_stream });
        }
        (bytes, ends)
    }

    #[test]
    fn items_of_all_kinds() {
        let (bytes, ends) = sample();
        let (items, end) = scan([bytes.as_slice()]);
        assert_eq!(end, Ok(()));
        let texts: Vec<_> = items.iter().map(|item| item.0.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Timestamp(1700000000) #TS:1700000000\\r\\n",
                "SELECT 0",
                "Own(58) #RIVULET:OWN 58\\r\\n",
                "own SELECT 3",
                "Timestamp(5) #TS:5\\r\\n",
                "own SET own ",
                "Own(0) #RIVULET:OWN 0\\r\\n",
                "multi",
                "Other # within\\n",
                "SET a\\r\\n b",
                "EXEC",
                "PING"
            ]
        );
        assert_eq!(items.last().map(|item| (item.1, item.2)), ends.last().map(|end| (*end, *end)));
    }

    #[test]
    fn what_was_passed_over_is_of_the_stream() {
        let unknown = command(&["NEWER", "k"]);
        let bytes =
            [format!("#RIVULET:PASSED {}\r\n", unknown.len()).as_bytes(), &unknown, &command(&["PING"])].concat();
        let (items, end) = scan([bytes.as_slice()]);
        assert_eq!(end, Ok(()));
        let texts: Vec<_> = items.iter().map(|item| item.0.as_str()).collect();
        assert_eq!(texts[1..], ["passed NEWER k", "PING"]);
        let stream = (unknown.len() + 14) as u64;
        assert_eq!(items.last().map(|item| item.2), Some(Place { file: bytes.len() as u64, stream }));
    }

    #[test]
    fn each_cut_keeps_the_whole_units() {
        let (bytes, ends) = sample();
        for cut in 0..bytes.len() {
            let (items, end) = scan([&bytes[..cut]]);
            let expected = *ends.iter().rev().find(|end| end.file <= cut as u64).expect("0 is one");
            match end {
                Ok(()) => {
                    assert_eq!(expected.file, cut as u64);
                    assert_eq!(items.last().map_or(Place::default(), |item| item.2), expected);
                }
                Err(error) => {
                    assert!(error.is_cut(), "{cut}: {error:?}");
                    assert_eq!(error.unit_end, expected, "{cut}");
                    assert_ne!(expected.file, cut as u64);
                }
            }
        }
    }

    #[test]
    fn damage() {
        let set = command(&["SET", "a", "b"]);
        for (tail, at, problem) in [
            (&b"SET a b\r\n"[..], 0, Problem::NoItem(b'S')),
            (b"\r\n", 0, Problem::NoItem(b'\r')),
            (b"*0\r\n", 0, Problem::Count(0)),
            (b"*-1\r\n", 0, Problem::Count(-1)),
            (b"*2147483648\r\n", 0, Problem::Count(1 << 31)),
            (b"*\r\n", 0, Problem::Newline(*b"\r\n")),
            (b"*1x\r\n", 0, Problem::Newline(*b"x\r")),
            (b"*1\n$4\n", 0, Problem::Newline([b'\n', 0])),
            (b"*1\r\n:4\r\n", 4, Problem::Prefix(b':')),
            (b"*1\r\n$-4\r\n", 4, Problem::Len(-4)),
            (b"*1\r\n$1\r\nxyz", 8, Problem::Newline(*b"yz")),
            (b"*1\r\n$9999999999999999999\r\n", 4, Problem::Len(i64::MAX)),
            (b"*1\r\n$4\r\nexec\r\n", 8, Problem::UnexpectedExec),
            (b"*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nMULTI\r\n", 23, Problem::UnexpectedMulti),
            (b"#RIVULET:OWN x\r\n", 0, Problem::Own),
            (b"#RIVULET:OWN 13\r\n*1\r\n$4\r\nPING\r\n", 25, Problem::Own),
            (b"#RIVULET:OWN 15\r\n*1\r\n$5\r\nMULTI\r\n", 25, Problem::Own),
            (b"#RIVULET:OWN 17\r\n#RIVULET:OWN 1\r\n", 17, Problem::Own),
            (b"#RIVULET:OWN 18446744073709551615\r\n", 0, Problem::Own),
            (b"#RIVULET:PASSED x\r\n", 0, Problem::Own),
            (b"#RIVULET:PASSED 15\r\n*1\r\n$5\r\nMULTI\r\n", 28, Problem::Own),
            (b"#RIVULET:OWN 20\r\n#RIVULET:PASSED 1\r\n", 17, Problem::Own),
        ] {
            let whole = [&set[..], tail].concat();
            let before = set.len() as u64;
            let error = scan([&whole[..]]).1.expect_err("damage");
            let expected = ScanError { at: before + at, unit_end: Place { file: before, stream: before }, problem };
            assert_eq!(error, expected, "{}", tail.escape_ascii());
            assert!(!error.is_cut());
        }
        assert_eq!(scan([&[b'#'; 1023][..]]).1.map_err(|e| e.problem), Err(Problem::LongLine));
    }

    #[test]
    fn the_end_within_a_line_is_told_as_redis_tells_it() {
        for (text, told) in [
            ("*1\r\n$4\r\nPI", "Expected to read 6 bytes, got 2 bytes"),
            ("*1\r\n$4\r", "Expected \\r\\n, got: 0d00"),
            ("*1\r\n$4", "Expected \\r\\n, got: 0000"),
            ("*1\r\n$4x", "Expected \\r\\n, got: 7800"),
            ("*1\r\n$4\u{e9}", "Expected \\r\\n, got: ffffffc3ffffffa9"),
            ("*1\r\n", "Reached EOF within a command"),
            ("*1\r\n$5\r\nMULTI\r\n*1\r\n", "Reached EOF before reading EXEC for MULTI"),
        ] {
            let error = scan([text.as_bytes()]).1.expect_err("cut");
            assert_eq!(error.problem.to_string(), told);
        }
    }

    #[test]
    fn a_source_is_read_to_its_end() {
        let mut bytes = Vec::new();
        for i in 0..5000 {
            append_command(&mut bytes, [b"SET".as_slice(), format!("key {i}").as_bytes(), &vec![b'x'; i]].into_iter());
        }
        let start = Place { file: 100, stream: 7 };
        let mut items = Items::new(bytes.as_slice(), start);
        let mut count = 0;
        while let Some(item) = items.next().expect("sound") {
            let ItemKind::Command { args, of: Of::Stream } = item.kind else { panic!("only commands were written") };
            assert_eq!(args.at(2).len(), count);
            assert!(args.wire().is_some());
            count += 1;
        }
        assert_eq!(count, 5000);
        let len = bytes.len() as u64;
        assert_eq!(items.scanner().place(), Place { file: 100 + len, stream: 7 + len });
        assert_eq!(items.scanner().lines(), 5000 * 7);
    }

    /// Files, sound or not.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => proptest::collection::vec("[a-c\r\n*$]{0,6}", 1..4).prop_map(|words| {
                command(&words.iter().map(String::as_str).collect::<Vec<_>>())
            }),
            1 => Just(command(&["MULTI"])),
            1 => Just(command(&["EXEC"])),
            1 => Just(b"#TS:12\r\n".to_vec()),
            1 => Just([b"#RIVULET:OWN 14\r\n".to_vec(), command(&["PING"])].concat()),
            1 => "[*$#0-2\r\n]{0,5}".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_chunks_give_the_same(bytes in bytes(), sizes in proptest::collection::vec(1usize..20, 1..10)) {
            let mut rest = bytes.as_slice();
            let mut chunks = Vec::new();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at(rest.len().min(*size));
                chunks.push(chunk);
                rest = after;
            }
            prop_assert_eq!(scan(chunks), scan([bytes.as_slice()]));
        }

        #[test]
        fn what_it_passes_the_decoder_takes(bytes in bytes()) {
            use rivulet_resp::{Batch, Decoder, decode::Limits};
            let mut scanner = Scanner::new(Place::default());
            while let Ok(Some(item)) = scanner.next(&bytes) {
                let ItemKind::Command { args, .. } = item.kind else { continue };
                let (wire, mut batch) = (&bytes[item.range], Batch::default());
                let limits = Limits { bulk_len_max: 512 << 20, authenticated: true, arrays_only: true };
                if args.wire().is_none() {
                    continue;
                }
                Decoder::default().decode(wire, &mut batch, 2, limits).expect("sound");
                prop_assert_eq!(batch.len(), 1);
                prop_assert!(batch.args(0, wire).iter().eq(args.iter()));
                prop_assert_eq!(batch.args(0, wire).wire(), args.wire());
            }
        }
    }
}
