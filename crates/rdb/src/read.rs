//! A pull reader of RDB files: give it a `Read`, take one event after the other.
//!
//! It reads versions 1 to 12 of Redis and version 80 of Valkey. A file that is cut or damaged gives an [`Error`] with the place and the key, never
//! a panic, a hang or a reservation on the word of a length. It decides nothing: what has expired, which database numbers exist and which
//! auxiliary fields matter is the caller's business.

use std::io::Read;

use rivulet_keyspace::KEY_LEN_MAX;
use rivulet_keyspace::value::{Limits, Value};

use crate::error::{Doing, Error, Problem};
use crate::format::{self, REDIS_VERSION_MAX, VALKEY_VERSION, module_opcodes, opcodes};
use crate::frame::{self, ShortString};
use crate::input::Input;
use crate::measure::{self, MeasuredEntry};
use crate::skip;
use crate::value::{self, Scratch};

/// How to read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where values change from packed to chunked.
    pub limits: Limits,
    /// Compute the checksum and compare it with the file's.
    pub verify_checksum: bool,
    pub unsupported: Unsupported,
}

impl Default for Options {
    fn default() -> Options {
        Options { limits: Limits::default(), verify_checksum: true, unsupported: Unsupported::Fail }
    }
}

/// What to do with a value that this server doesn't have, such as a module's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// End with [`Problem::Unsupported`].
    Fail,
    /// Pass over it and report [`Event::Skipped`].
    Skip,
}

/// A key with its value and what was said of it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Vec<u8>,
    pub value: Value,
    /// When it expires, in Unix milliseconds.
    pub deadline_ms: Option<u64>,
    /// Seconds since it was last used (LRU).
    pub idle_s: Option<u64>,
    /// How often it is used (LFU).
    pub freq: Option<u8>,
    /// The type byte that the value had in the file.
    pub value_type: u8,
}

/// What a file says next.
#[derive(Debug, Clone)]
pub enum Event {
    Aux(Vec<u8>, Vec<u8>),
    /// The entries that follow belong to this database.
    SelectDb(u64),
    /// How many entries this database has, and how many of them expire. A hint, not to be trusted.
    ResizeDb {
        keys: u64,
        expires: u64,
    },
    /// The same hint for one slot of a cluster.
    SlotInfo {
        slot: u64,
        keys: u64,
        expires: u64,
    },
    /// Valkey 9 was importing these slots; has no meaning here.
    SlotImport,
    Entry(Entry),
    /// A key whose value has no elements, which old bugs left behind: Redis passes over it, too.
    EmptyKey(Vec<u8>),
    /// A key whose value this server doesn't have; only with [`Unsupported::Skip`].
    Skipped {
        key: Vec<u8>,
        value_type: u8,
        deadline_ms: Option<u64>,
    },
    /// The code of a function library.
    Function(Vec<u8>),
    /// Auxiliary data of a module, passed over.
    ModuleAux {
        module: String,
        when: u64,
    },
    Eof(Checksum),
}

/// What a file says next, of entries only how large they are.
#[derive(Debug, Clone)]
pub enum Measured {
    Entry(MeasuredEntry),
    /// Anything but an entry.
    Other(Event),
}

/// What the end of a file says of its integrity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It is there and right.
    Ok,
    /// The file says that none was computed.
    Off,
    /// Versions before 5 have none.
    None,
    /// It is there, but comparing was not asked for.
    Unchecked,
}

/// What comes next: an entry of which type and attributes are read, or something else that is read whole.
enum Step {
    Entry(u8, Attributes),
    Other(Event),
}

enum State {
    Header,
    Body,
    Done(Checksum),
    Failed(Box<Error>),
}

/// Reads a file. After the end or an error, [`next`](Reader::next) repeats that.
pub struct Reader<R> {
    input: Input<R>,
    options: Options,
    state: State,
    version: u32,
    doing: Doing,
    key: Option<Vec<u8>>,
    value_type: Option<u8>,
    scratch: Scratch,
    empty_keys: u64,
}

/// Whole entries cut out of a file, to be decoded by a reader [of blocks](Reader::of_blocks).
pub struct Block {
    bytes: Vec<u8>,
    /// Where in the file they begin.
    base: u64,
    version: u32,
    pub entries: usize,
}

/// What was said of the next entry before its type.
#[derive(Default)]
struct Attributes {
    deadline_ms: Option<u64>,
    idle_s: Option<u64>,
    freq: Option<u8>,
}

impl<R: Read> Reader<R> {
    pub fn new(source: R, options: Options) -> Reader<R> {
        Reader {
            input: Input::new(source, options.verify_checksum),
            options,
            state: State::Header,
            version: 0,
            doing: Doing::Start,
            key: None,
            value_type: None,
            scratch: Scratch::default(),
            empty_keys: 0,
        }
    }

    /// The file's version; 0 before the first event.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// How many bytes of the file have been taken.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Buffers of an entry that nobody needs any more: the next one's key, and its value if it is a string, are read into them.
    pub fn give_back(&mut self, key: Vec<u8>, string: Vec<u8>) {
        (self.scratch.key, self.scratch.string) = (key, string);
    }

    /// How many keys without elements were passed over.
    pub fn empty_keys(&self) -> u64 {
        self.empty_keys
    }

    /// The source, and the bytes that were read from it ahead of the last event. After [`Event::Eof`] these are what follows the file.
    pub fn into_rest(self) -> (R, Vec<u8>) {
        self.input.into_rest()
    }

    /// Cuts out the whole entries that come next, up to so many of them and about so many bytes. Nothing, if something else comes next or the
    /// entry is too large for that: [`next`](Reader::next) reads it, and finds what is wrong with it. Entries are read one way only: what comes
    /// of a block is what `next` would have given, with the same errors.
    pub fn block(&mut self, entries_max: usize, bytes_max: usize) -> Option<Block> {
        let (entries, len) = self.frame_block(entries_max, bytes_max)?;
        let base = self.input.offset();
        let mut bytes = Vec::with_capacity(len);
        self.input.take_present(len, &mut bytes);
        Some(Block { bytes, base, version: self.version, entries })
    }

    /// Passes over what [`block`](Reader::block) would cut out; answers how many entries that were.
    pub fn skip_block(&mut self, entries_max: usize, bytes_max: usize) -> usize {
        let Some((entries, len)) = self.frame_block(entries_max, bytes_max) else { return 0 };
        self.input.skip_present(len);
        entries
    }

    fn frame_block(&mut self, entries_max: usize, bytes_max: usize) -> Option<(usize, usize)> {
        if !matches!(self.state, State::Body) {
            return None;
        }
        let mut framed = self.framed(entries_max, bytes_max);
        if framed.0 == 0 {
            let present = self.input.present();
            // What is no entry needs no more bytes to be told from one, and there may be none.
            let is_other = present.first().is_some_and(|byte| *byte >= opcodes::SLOT_IMPORT && !is_attribute(*byte));
            if is_other || present.len() >= bytes_max || !self.input.top_up() {
                return None;
            }
            framed = self.framed(entries_max, bytes_max);
        }
        (framed.0 > 0).then_some(framed)
    }

    /// How many entries can be cut out, and their bytes.
    fn framed(&self, entries_max: usize, bytes_max: usize) -> (usize, usize) {
        let present = self.input.present();
        let (mut entries, mut len) = (0, 0);
        while entries < entries_max
            && len < bytes_max
            && let Some(more) = frame::entry_len(&present[len..])
        {
            entries += 1;
            len += more;
        }
        (entries, len)
    }

    /// The next event.
    #[expect(clippy::should_implement_trait, reason = "an iterator would have to end, and could not tell how")]
    pub fn next(&mut self) -> Result<Event, Error> {
        if let Some(ended) = self.ended() {
            return ended;
        }
        let event = match self.advance() {
            Ok(Step::Entry(value_type, attributes)) => self.entry(value_type, attributes),
            Ok(Step::Other(event)) => Ok(event),
            Err(problem) => Err(problem),
        };
        event.inspect(|event| self.note_end(event)).map_err(|problem| self.failed(problem))
    }

    /// The next event, with the sizes of a value instead of it. Values that this server doesn't have are measured, too, and what is inside
    /// of values is not checked.
    ///
    /// # Errors
    /// As [`next`](Reader::next).
    pub fn next_measured(&mut self) -> Result<Measured, Error> {
        if let Some(ended) = self.ended() {
            return ended.map(Measured::Other);
        }
        let begin = self.input.offset();
        let measured = match self.advance() {
            Ok(Step::Entry(value_type, attributes)) => self.measured(value_type, attributes, begin),
            Ok(Step::Other(event)) => {
                self.note_end(&event);
                Ok(Measured::Other(event))
            }
            Err(problem) => Err(problem),
        };
        measured.map_err(|problem| self.failed(problem))
    }

    /// What is said again and again after the end.
    fn ended(&self) -> Option<Result<Event, Error>> {
        match &self.state {
            State::Done(checksum) => Some(Ok(Event::Eof(*checksum))),
            State::Failed(error) => Some(Err((**error).clone())),
            State::Header | State::Body => None,
        }
    }

    fn note_end(&mut self, event: &Event) {
        if let Event::Eof(checksum) = event {
            self.state = State::Done(*checksum);
        }
    }

    fn failed(&mut self, problem: Problem) -> Error {
        let error = Error {
            offset: self.input.offset(),
            doing: self.doing,
            key: self.key.take(),
            value_type: self.value_type,
            problem,
        };
        self.state = State::Failed(Box::new(error.clone()));
        error
    }

    #[inline]
    fn advance(&mut self) -> Result<Step, Problem> {
        if let State::Header = self.state {
            self.header()?;
            self.state = State::Body;
        }
        let mut attributes = Attributes::default();
        loop {
            self.doing = Doing::ReadType;
            let byte = self.input.byte()?;
            match byte {
                opcodes::EXPIRE_MS => {
                    self.doing = Doing::ReadExpire;
                    attributes.deadline_ms = format::deadline(i64::from_le_bytes(self.input.array()?));
                }
                opcodes::EXPIRE_S => {
                    self.doing = Doing::ReadExpire;
                    let seconds = i32::from_le_bytes(self.input.array()?);
                    attributes.deadline_ms = u64::try_from(seconds).ok().map(|s| s * 1000);
                }
                opcodes::IDLE => attributes.idle_s = Some(self.input.len()?),
                opcodes::FREQ => attributes.freq = Some(self.input.byte()?),
                byte if byte >= opcodes::SLOT_IMPORT => return self.opcode(byte).map(Step::Other),
                byte if format::is_value_type(byte) => return Ok(Step::Entry(byte, attributes)),
                byte => return Err(Problem::UnknownType(byte)),
            }
        }
    }

    fn header(&mut self) -> Result<(), Problem> {
        let magic: [u8; 9] = self.input.array()?;
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let known;
        (self.version, known) = if let Some(digits) = magic.strip_prefix(b"VALKEY") {
            (number(digits), VALKEY_VERSION..=VALKEY_VERSION)
        } else if let Some(digits) = magic.strip_prefix(b"REDIS") {
            (number(digits), 1..=REDIS_VERSION_MAX)
        } else {
            return Err(Problem::Signature);
        };
        if known.contains(&self.version) { Ok(()) } else { Err(Problem::Version(self.version)) }
    }

    fn is_valkey(&self) -> bool {
        self.version >= VALKEY_VERSION
    }

    fn opcode(&mut self, byte: u8) -> Result<Event, Problem> {
        let input = &mut self.input;
        let mut string = |doing: Doing| {
            self.doing = doing;
            let mut bytes = Vec::new();
            input.string(&mut bytes)?;
            Ok(bytes)
        };
        Ok(match byte {
            opcodes::AUX => Event::Aux(string(Doing::ReadAux)?, string(Doing::ReadAux)?),
            opcodes::SELECT_DB => {
                self.doing = Doing::ReadLen;
                Event::SelectDb(self.input.len()?)
            }
            opcodes::RESIZE_DB => {
                self.doing = Doing::ReadLen;
                Event::ResizeDb { keys: self.input.len()?, expires: self.input.len()? }
            }
            opcodes::SLOT_INFO => {
                self.doing = Doing::ReadLen;
                Event::SlotInfo { slot: self.input.len()?, keys: self.input.len()?, expires: self.input.len()? }
            }
            opcodes::SLOT_IMPORT if self.version >= VALKEY_VERSION => {
                self.doing = Doing::ReadLen;
                self.input.skip_string()?;
                for _ in 0..self.input.len()? {
                    self.input.len()?;
                    self.input.len()?;
                }
                Event::SlotImport
            }
            opcodes::FUNCTION_2 => Event::Function(string(Doing::ReadFunctions)?),
            opcodes::FUNCTION_PRE_GA => {
                let name = string(Doing::ReadFunctions)?;
                let engine = string(Doing::ReadFunctions)?;
                if self.input.len()? != 0 {
                    self.input.skip_string()?; // the description, which the later form doesn't have
                }
                let mut code = Vec::new();
                self.input.string(&mut code)?;
                Event::Function([b"#!".as_slice(), &engine, b" name=", &name, b"\n", &code].concat())
            }
            opcodes::MODULE_AUX => {
                self.doing = Doing::ReadModuleAux;
                let id = self.input.len()?;
                if self.input.len()? != module_opcodes::UINT {
                    return Err(Problem::Corrupt("bad when_opcode"));
                }
                let when = self.input.len()?;
                skip::module_items(&mut self.input)?;
                Event::ModuleAux { module: skip::module_name(id), when }
            }
            opcodes::EOF => Event::Eof(self.checksum()?),
            byte => return Err(Problem::UnknownType(byte)),
        })
    }

    fn key(&mut self, value_type: u8) -> Result<Vec<u8>, Problem> {
        self.doing = Doing::ReadKey;
        self.value_type = Some(value_type);
        let mut key = std::mem::take(&mut self.scratch.key);
        self.input.string(&mut key)?;
        if key.len() > KEY_LEN_MAX {
            return Err(Problem::Corrupt("a key of 4 GiB or more"));
        }
        Ok(key)
    }

    fn measured(&mut self, value_type: u8, attributes: Attributes, begin: u64) -> Result<Measured, Problem> {
        let key = self.key(value_type)?;
        self.doing = Doing::ReadValue;
        let measure = measure::measure(value_type, self.version, &mut self.input, &mut self.scratch.one);
        self.scratch.trim();
        let measured = match measure {
            Ok(measure) => Measured::Entry(MeasuredEntry {
                key,
                value_type,
                deadline_ms: attributes.deadline_ms,
                file_bytes: self.input.offset() - begin,
                measure,
            }),
            Err(Problem::EmptyValue) => {
                self.empty_keys += 1;
                Measured::Other(Event::EmptyKey(key))
            }
            Err(problem) => {
                self.key = Some(key);
                return Err(problem);
            }
        };
        self.value_type = None;
        Ok(measured)
    }

    fn entry(&mut self, value_type: u8, attributes: Attributes) -> Result<Event, Problem> {
        let key = self.key(value_type)?;
        self.doing = Doing::ReadValue;
        let loaded = value::load(value_type, self.version, &mut self.input, &mut self.scratch, &self.options.limits);
        self.scratch.trim();
        let Attributes { deadline_ms, idle_s, freq } = attributes;
        let event = match loaded {
            Ok(value) => Event::Entry(Entry { key, value, deadline_ms, idle_s, freq, value_type }),
            Err(Problem::EmptyValue) => {
                self.empty_keys += 1;
                Event::EmptyKey(key)
            }
            Err(Problem::Unsupported(byte)) if self.options.unsupported == Unsupported::Skip => {
                let valkey = self.is_valkey();
                if let Err(problem) = skip::skip(byte, valkey, &mut self.input) {
                    self.key = Some(key);
                    return Err(problem);
                }
                Event::Skipped { key, value_type, deadline_ms }
            }
            Err(problem) => {
                self.key = Some(key);
                return Err(problem);
            }
        };
        self.value_type = None;
        Ok(event)
    }

    fn checksum(&mut self) -> Result<Checksum, Problem> {
        if self.version < 5 {
            return Ok(Checksum::None);
        }
        self.doing = Doing::CheckSum;
        let expected = self.input.checksum();
        let found = u64::from_le_bytes(self.input.array()?);
        match expected {
            _ if found == 0 => Ok(Checksum::Off),
            None => Ok(Checksum::Unchecked),
            Some(expected) if expected == found => Ok(Checksum::Ok),
            Some(expected) => Err(Problem::Checksum { expected, found }),
        }
    }
}

/// It says something of the entry that follows it.
fn is_attribute(opcode: u8) -> bool {
    matches!(opcode, opcodes::EXPIRE_MS | opcodes::EXPIRE_S | opcodes::IDLE | opcodes::FREQ)
}

impl Reader<std::io::Empty> {
    /// A reader for blocks that another has cut out of a file, and checked in its sum.
    pub fn of_blocks(options: Options) -> Reader<std::io::Empty> {
        Reader {
            input: Input::of(&[]),
            state: State::Body,
            ..Reader::new(std::io::empty(), Options { verify_checksum: false, ..options })
        }
    }

    /// Goes on with this block. The one before has been read to its end.
    pub fn begin_block(&mut self, block: Block) {
        self.version = block.version;
        self.input.replace(block.bytes, block.base);
    }

    /// The next entry, if it is a short string; otherwise [`next`](Reader::next) reads it. What comes is what `next` would have given.
    #[inline]
    pub fn short_string(&mut self) -> Option<ShortString<'_>> {
        self.input.take_if(|present| frame::short_string(present).map(|string| (string.len, string)))
    }

    /// Whether all of the block is read.
    pub fn block_ended(&self) -> bool {
        self.input.present().is_empty()
    }
}
