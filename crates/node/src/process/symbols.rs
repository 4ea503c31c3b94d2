//! Names of the functions of this program, from the symbol table of its own file (ELF, 64 bits, in the machine's byte order).
//!
//! It is read where it lies, in a handler of a signal: nothing is allocated, and a file that is not as it should be has no names.

use std::ffi::c_void;

/// A symbol's type in the low bits of its `st_info`.
const FUNCTION: u8 = 2;
/// A section's type.
const SYMBOL_TABLE: u32 = 2;
const SYMBOL_BYTES: usize = 24;

/// The program's file, mapped.
pub struct Symbols {
    file: &'static [u8],
}

impl Symbols {
    /// Maps the file of the running program; it stays mapped. Nothing if that fails.
    pub fn of_program() -> Symbols {
        Symbols { file: map_program().unwrap_or_default() }
    }

    /// The name, as the compiler mangled it, of the function at an address of the file, and how far behind its begin that is.
    pub fn find(&self, address: u64) -> Option<(&'static str, u64)> {
        find(self.file, address)
    }
}

fn map_program() -> Option<&'static [u8]> {
    let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
    // SAFETY: both paths end with a NUL, that of the system lives as long as the process; the descriptor is this function's. The mapping has the file's length and is never given back. A program's file
    // does not change while it runs: the system refuses that.
    unsafe {
        let flags_of_open = libc::O_RDONLY | libc::O_CLOEXEC;
        let mut file = libc::open(c"/proc/self/exe".as_ptr(), flags_of_open);
        if file < 0 {
            // Where there is no /proc, the system has told how the program was named. A relative name may mean another file by now.
            let name = libc::getauxval(libc::AT_EXECFN) as *const libc::c_char;
            if name.is_null() || *name.cast::<u8>() != b'/' {
                return None;
            }
            file = libc::open(name, flags_of_open);
        }
        if file < 0 {
            return None;
        }
        let len = usize::try_from(libc::lseek(file, 0, libc::SEEK_END)).ok().filter(|len| *len > 0);
        let start = len.map(|len| libc::mmap(std::ptr::null_mut::<c_void>(), len, protection, flags, file, 0));
        libc::close(file);
        let start = start.filter(|start| *start != libc::MAP_FAILED)?;
        Some(std::slice::from_raw_parts(start.cast::<u8>(), len?))
    }
}

fn find(file: &[u8], address: u64) -> Option<(&str, u64)> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (sections, size, count) = (word(file, 0x28)?, half(file, 0x3a)?, half(file, 0x3c)?);
    let section = |index: u64| -> Option<&[u8]> {
        let at = usize::try_from(sections.checked_add(index.checked_mul(size)?)?).ok()?;
        file.get(at..)?.get(..0x40)
    };
    let table = (0..count).filter_map(section).find(|s| four(s, 4) == Some(SYMBOL_TABLE))?;
    let names = content(file, section(u64::from(four(table, 0x28)?))?)?;
    let inside = |symbol: &&[u8]| {
        let (start, len) = (word(symbol, 8).unwrap_or(0), word(symbol, 16).unwrap_or(0));
        symbol[4] & 0xf == FUNCTION && address >= start && address - start < len
    };
    let symbol = content(file, table)?.chunks_exact(SYMBOL_BYTES).find(inside)?;
    let name = names.get(four(symbol, 0)? as usize..)?;
    let end = name.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&name[..end]).ok()?, address - word(symbol, 8)?))
}

/// The bytes of a section, by its header.
fn content<'a>(file: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    let (at, len) = (usize::try_from(word(header, 0x18)?).ok()?, usize::try_from(word(header, 0x20)?).ok()?);
    file.get(at..at.checked_add(len)?)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn four(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::stack;

    #[inline(never)]
    fn a_function_to_be_found() -> usize {
        std::hint::black_box(7)
    }

    #[test]
    fn functions_of_this_program_have_their_names() {
        let address = a_function_to_be_found as *const () as u64 - stack::program_base();
        let (name, behind) = Symbols::of_program().find(address + 1).expect("it is in the table");
        assert!(name.contains("a_function_to_be_found"), "{name}");
        assert_eq!(behind, 1);
        assert_eq!(Symbols::of_program().find(u64::MAX), None);
    }

    #[test]
    fn files_that_are_cut_or_changed_have_no_names_but_do_no_harm() {
        let program = std::fs::read("/proc/self/exe").expect("the program");
        let head = &program[..program.len().min(4096)];
        for len in 0..head.len().min(200) {
            assert_eq!(find(&head[..len], 0x1000), None);
        }
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let mut odd = head[..256].to_vec();
            for _ in 0..4 {
                let at = rng.usize(6..64);
                odd[at] = rng.u8(..);
            }
            let _ = find(&odd, rng.u64(..));
        }
    }
}
