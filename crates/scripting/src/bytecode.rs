//! What compiled code does, read off its dump (Lua 5.1's `ldump.c` writes it, the same build reads it).
//!
//! ```text
//!   header: 12 bytes     function: source | line, last line: int | 4 bytes | code: int n, n × u32
//!                                  constants: int n, n × (type: u8, value) | functions within: int n | lines, local variables, upvalues
//! ```

/// The header of a build for 64 bits: version 5.1, format 0, little-endian; sizes of int, size_t, instruction and number; numbers are floating.
const HEADER: &[u8] = &[0x1b, b'L', b'u', b'a', 0x51, 0, 1, 4, 8, 4, 8, 0];
/// The instruction that assigns to a global variable.
const SET_GLOBAL: u32 = 7;
const OPCODE_MASK: u32 = 0x3f;

/// Whether the function, or one within it, assigns to a global variable. `None` where the dump is not understood.
pub(crate) fn assigns_globals(dump: &[u8]) -> Option<bool> {
    let mut code = Code(dump.strip_prefix(HEADER)?);
    let assigns = code.function()?;
    code.0.is_empty().then_some(assigns)
}

/// What is left to read.
struct Code<'a>(&'a [u8]);

impl<'a> Code<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn count(&mut self) -> Option<usize> {
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(i32::from_le_bytes(bytes)).ok()
    }

    fn string(&mut self) -> Option<()> {
        let len = u64::from_le_bytes(self.take(8)?.try_into().ok()?);
        self.take(usize::try_from(len).ok()?).map(|_| ())
    }

    /// Functions lie within each other no deeper than the compiler nests (200).
    fn function(&mut self) -> Option<bool> {
        self.string()?;
        self.take(4 + 4 + 4)?;
        let count = self.count()?;
        let code = self.take(count.checked_mul(4)?)?;
        let is_assignment = |word: &[u8]| u32::from(word[0]) & OPCODE_MASK == SET_GLOBAL;
        let mut assigns = code.chunks_exact(4).any(is_assignment);
        for _ in 0..self.count()? {
            self.constant()?;
        }
        for _ in 0..self.count()? {
            assigns |= self.function()?;
        }
        self.names()?;
        Some(assigns)
    }

    fn constant(&mut self) -> Option<()> {
        match self.take(1)?[0] {
            0 => Some(()),
            1 => self.take(1).map(|_| ()),
            3 => self.take(8).map(|_| ()),
            4 => self.string(),
            _ => None,
        }
    }

    /// What only messages need.
    fn names(&mut self) -> Option<()> {
        let lines = self.count()?;
        self.take(lines.checked_mul(4)?)?;
        for _ in 0..self.count()? {
            self.string()?;
            self.take(4 + 4)?;
        }
        (0..self.count()?).try_for_each(|_| self.string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::lua::State;

    fn assigns(text: &str) -> Option<bool> {
        let mut state = State::new(1 << 20, Context::new());
        state.enter(|lua| {
            lua.compile(text.as_bytes(), c"=text").expect("it is Lua");
            let dump = lua.dump(-1).expect("it is Lua's");
            assigns_globals(&dump)
        })
    }

    #[test]
    fn assignments_are_found_wherever_they_are() {
        for text in [
            "",
            "return 1",
            "local a = redis.call('GET', KEYS[1]) a = tonumber(a) return a",
            "local t = {} t.x = 1 t[1], t[2] = 2.5, nil return function(...) t.y = ... return true end",
            "for i = 1, 10 do local f = function() return i end f() end",
        ] {
            assert_eq!(assigns(text), Some(false), "{text}");
        }
        for text in [
            "x = 1",
            "function f() end",
            "local t = {} for i = 1, 2 do t[i] = function() return function() if i then x = i end end end end",
        ] {
            assert_eq!(assigns(text), Some(true), "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_is_not_understood() {
        let mut state = State::new(1 << 20, Context::new());
        let dump = state.enter(|lua| {
            lua.compile(b"local a = 'text' return function() return a, 1, true, nil end", c"=text").expect("it is Lua");
            lua.dump(-1).expect("it is Lua's")
        });
        assert_eq!(assigns_globals(&dump), Some(false));
        assert!((0..dump.len()).all(|len| assigns_globals(&dump[..len]).is_none()));
        assert_eq!(assigns_globals(&[dump.as_slice(), b"x"].concat()), None);
    }
}
