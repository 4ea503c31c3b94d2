//! The scripts of EVAL, by the SHA-1 of their text.
//!
//! Those that SCRIPT LOAD brought stay. Those that EVAL brought are at most [`EVALUATED_MAX`]: the least recently used one goes.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rivulet_commands::fail::Fail;
use rivulet_resp::Reply;
use sha1::{Digest, Sha1};

use crate::api::hexadecimal;
use crate::context::Identity;
use crate::host::Host;
use crate::input::Input;
use crate::lua::Ref;
use crate::random::Random;
use crate::sandbox::Purpose;
use crate::shebang::{Flags, split_script};
use crate::vm::{Ended, Remains, Vm};

/// How many scripts are kept that only EVAL has brought.
pub const EVALUATED_MAX: usize = 500;

/// What one script takes beside its text, in bytes: its places here, and what the map holds.
const OVERHEAD_BYTES: usize = size_of::<Option<Script>>() + size_of::<([u8; 20], u32)>() + 24;

/// The SHA-1 of a script's text, by which EVALSHA knows it.
pub fn digits_of(text: &[u8]) -> Vec<u8> {
    let sha: [u8; 20] = Sha1::digest(text).into();
    hexadecimal(&sha)
}

/// All scripts, and the Lua state that they run in.
pub struct Scripts {
    vm: Vm,
    identity: Identity,
    limit_bytes: usize,
    by_sha: HashMap<[u8; 20], u32, BySha>,
    /// What EVALSHA's digits led to the last time: each command asks twice.
    last: Cell<Option<([u8; 40], u32)>>,
    slots: Vec<Option<Script>>,
    free: Vec<u32>,
    /// The scripts of EVAL, from the least recently used one on.
    oldest: Option<u32>,
    newest: Option<u32>,
    evaluated: usize,
    evicted: u64,
    text_bytes: usize,
}

/// A script that is there, until the next one is loaded or all are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptId(u32);

struct Script {
    sha: [u8; 20],
    text: Box<[u8]>,
    function: Ref,
    flags: Option<Flags>,
    place: Place,
}

/// A SHA-1 is its own hash. Whoever could make two with the same beginning could as well run what takes long.
type BySha = BuildHasherDefault<FirstBytes>;

#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(self.0, |first| u64::from_le_bytes(*first));
    }

    /// An array's length, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Where a script is in the order of use.
#[derive(Clone, Copy)]
enum Place {
    /// Nowhere: it stays.
    Kept,
    Evaluated {
        older: Option<u32>,
        newer: Option<u32>,
    },
}

impl Scripts {
    /// No scripts. Their code may hold `limit_bytes` of memory, at most 2 GiB; a run that wants more ends with an error.
    pub fn new(identity: Identity, limit_bytes: usize) -> Scripts {
        Scripts {
            vm: Vm::new(Purpose::Scripts, &identity, limit_bytes),
            identity,
            limit_bytes,
            by_sha: HashMap::default(),
            last: Cell::new(None),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: None,
            newest: None,
            evaluated: 0,
            evicted: 0,
            text_bytes: 0,
        }
    }

    /// The script of EVAL, compiled if it is new.
    ///
    /// # Errors
    /// It does not compile, or its first line is wrong.
    pub fn evaluated(&mut self, text: &[u8]) -> Result<ScriptId, Fail> {
        let sha = Sha1::digest(text).into();
        if let Some(&at) = self.by_sha.get(&sha) {
            self.touch(at);
            return Ok(ScriptId(at));
        }
        let compiled = self.compile(text)?;
        if self.evaluated >= EVALUATED_MAX {
            self.evict_oldest();
        }
        let at = self.add(sha, text, compiled);
        self.append(at);
        Ok(ScriptId(at))
    }

    /// The script of EVALSHA, by 40 hexadecimal digits of any case.
    ///
    /// # Errors
    /// There is none.
    pub fn by_sha(&mut self, digits: &[u8]) -> Result<ScriptId, Fail> {
        let at = self.find(digits).ok_or(Fail::new("NOSCRIPT No matching script. Please use EVAL."))?;
        self.touch(at);
        Ok(ScriptId(at))
    }

    fn find(&self, digits: &[u8]) -> Option<u32> {
        if let Some((known, at)) = self.last.get()
            && known == digits
        {
            return Some(at);
        }
        let at = *self.by_sha.get(&parse_sha(digits)?)?;
        self.last.set(digits.try_into().ok().map(|digits| (digits, at)));
        Some(at)
    }

    /// Whether a script of these digits is there; it is not used by that.
    pub fn exists(&self, digits: &[u8]) -> bool {
        self.find(digits).is_some()
    }

    /// The text of a script, as SCRIPT SHOW gives it.
    ///
    /// # Errors
    /// There is none.
    pub fn text(&self, digits: &[u8]) -> Result<&[u8], Fail> {
        let script = self.find(digits).and_then(|at| self.slots[at as usize].as_ref());
        script.map(|s| &*s.text).ok_or(Fail::new("NOSCRIPT No matching script."))
    }

    /// SCRIPT LOAD: the script is there from now on, until all are flushed. Answers its digits.
    ///
    /// # Errors
    /// As [`Scripts::evaluated`].
    pub fn load(&mut self, text: &[u8]) -> Result<Vec<u8>, Fail> {
        let sha: [u8; 20] = Sha1::digest(text).into();
        match self.by_sha.get(&sha) {
            Some(&at) => self.keep(at),
            None => {
                let compiled = self.compile(text)?;
                self.add(sha, text, compiled);
            }
        }
        Ok(hexadecimal(&sha))
    }

    /// Forgets all scripts and their Lua state, which is given back: to drop it takes long when there are many.
    pub fn flush(&mut self) -> Remains {
        let mut fresh = Scripts::new(self.identity.clone(), self.limit_bytes);
        fresh.evicted = self.evicted;
        fresh.vm.set_random(self.vm.random());
        std::mem::replace(self, fresh).vm.into_remains()
    }

    /// What the script's first line says. `None`: it has no such line, and each of its commands decides.
    pub fn flags(&self, id: ScriptId) -> Option<Flags> {
        self.slots.get(id.0 as usize).and_then(|s| s.as_ref()).and_then(|s| s.flags)
    }

    /// The same for EVALSHA's digits.
    pub fn flags_of(&self, digits: &[u8]) -> Option<Flags> {
        self.flags(ScriptId(self.find(digits)?))
    }

    /// The same for a text that may not be loaded.
    pub fn flags_in(text: &[u8]) -> Option<Flags> {
        split_script(text).ok()?.0
    }

    /// Runs a script and writes its reply.
    pub fn run(&mut self, id: ScriptId, input: &Input<'_>, host: &mut dyn Host, reply: &mut Reply<'_>) -> Ended {
        let Scripts { vm, slots, .. } = self;
        let Some(script) = slots.get(id.0 as usize).and_then(|s| s.as_ref()) else {
            reply.error(b"NOSCRIPT No matching script. Please use EVAL.");
            return Ended::Failed { is_counted: false };
        };
        vm.run_script(&script.function, &script.sha, input, host, reply)
    }

    /// Runs a script as the client of [`Host::console`] lets it. Answers also what that is sent before the script's reply.
    pub fn debug(
        &mut self,
        id: ScriptId,
        input: &Input<'_>,
        host: &mut dyn Host,
        reply: &mut Reply<'_>,
    ) -> (Ended, Vec<u8>) {
        let text = self.slots.get(id.0 as usize).and_then(|s| s.as_ref()).map(|script| &*script.text);
        self.vm.begin_debugging(text.unwrap_or_default());
        let ended = self.run(id, input, host, reply);
        (ended, self.vm.end_debugging())
    }

    /// How many scripts there are.
    pub fn len(&self) -> usize {
        self.by_sha.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_sha.is_empty()
    }

    /// How many scripts of EVAL had to go.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Bytes that the Lua state holds.
    pub fn vm_bytes(&self) -> usize {
        self.vm.used_bytes()
    }

    /// Bytes that the scripts take outside of it.
    pub fn cache_bytes(&self) -> usize {
        self.text_bytes + self.len() * OVERHEAD_BYTES
    }

    /// Changes how many bytes the state may hold.
    pub fn set_limit(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
        self.vm.set_limit(limit_bytes);
    }

    pub(crate) fn random(&self) -> Random {
        self.vm.random()
    }

    pub(crate) fn set_random(&mut self, random: Random) {
        self.vm.set_random(random);
    }

    fn compile(&mut self, text: &[u8]) -> Result<(Ref, Option<Flags>), Fail> {
        let (flags, body) = split_script(text)?;
        match self.vm.compile(body, c"@user_script") {
            Ok(function) => {
                self.vm.find_globals_directly(&function);
                Ok((function, flags))
            }
            Err(why) => Err(Fail::bytes([b"ERR Error compiling script (new function): ", why.as_slice()].concat())),
        }
    }

    fn add(&mut self, sha: [u8; 20], text: &[u8], (function, flags): (Ref, Option<Flags>)) -> u32 {
        let script = Script { sha, text: text.into(), function, flags, place: Place::Kept };
        self.text_bytes += text.len();
        let at = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(at as usize) {
            Some(slot) => *slot = Some(script),
            None => self.slots.push(Some(script)),
        }
        self.by_sha.insert(sha, at);
        at
    }

    fn evict_oldest(&mut self) {
        let Some(at) = self.oldest else { return };
        self.keep(at);
        if let Some(script) = self.slots[at as usize].take() {
            self.by_sha.remove(&script.sha);
            self.last.set(None);
            self.text_bytes -= script.text.len();
            self.vm.release(script.function);
            self.free.push(at);
            self.evicted += 1;
        }
    }

    fn place(&mut self, at: u32) -> Option<&mut Place> {
        self.slots.get_mut(at as usize)?.as_mut().map(|s| &mut s.place)
    }

    /// Makes a script of EVAL the last one to go.
    fn touch(&mut self, at: u32) {
        if self.newest != Some(at) && matches!(self.place(at), Some(Place::Evaluated { .. })) {
            self.keep(at);
            self.append(at);
        }
    }

    fn append(&mut self, at: u32) {
        let older = self.newest.replace(at);
        if let Some(place) = self.place(at) {
            *place = Place::Evaluated { older, newer: None };
        }
        match older.and_then(|o| self.place(o)) {
            Some(Place::Evaluated { newer, .. }) => *newer = Some(at),
            _ => self.oldest = Some(at),
        }
        self.evaluated += 1;
    }

    /// Takes a script out of the order of use, so that it stays.
    fn keep(&mut self, at: u32) {
        let Some(place) = self.place(at) else { return };
        let Place::Evaluated { older, newer } = std::mem::replace(place, Place::Kept) else { return };
        match older.and_then(|o| self.place(o)) {
            Some(Place::Evaluated { newer: link, .. }) => *link = newer,
            _ => self.oldest = newer,
        }
        match newer.and_then(|n| self.place(n)) {
            Some(Place::Evaluated { older: link, .. }) => *link = older,
            _ => self.newest = older,
        }
        self.evaluated -= 1;
    }
}

/// What is no hexadecimal digit.
const NO_DIGIT: u8 = 0x10;

/// The value of each character as a hexadecimal digit.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut at = 0;
    while at < 16 {
        digits[b"0123456789abcdef"[at] as usize] = at as u8;
        digits[b"0123456789ABCDEF"[at] as usize] = at as u8;
        at += 1;
    }
    digits
};

fn parse_sha(digits: &[u8]) -> Option<[u8; 20]> {
    let digits: &[u8; 40] = digits.try_into().ok()?;
    let (mut sha, mut wrong) = ([0; 20], 0);
    for (byte, pair) in sha.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        *byte = high << 4 | low & 15;
        wrong |= high | low;
    }
    (wrong < NO_DIGIT).then_some(sha)
}
