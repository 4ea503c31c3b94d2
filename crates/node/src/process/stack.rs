//! Where a thread is: its stack with the names of functions, and the processor's registers.

use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::process::report::Report;
use crate::process::symbols::Symbols;

/// Frames that are shown at most.
const FRAMES: usize = 100;

/// Where the program's file lies in memory.
static BASE: AtomicU64 = AtomicU64::new(0);

/// Prepares what a handler of a signal must not do for the first time: the unwinder is loaded when it is first used.
pub fn prepare() {
    program_base();
    let mut frames = [0; FRAMES];
    walk(&mut frames, Place::default());
}

/// Where the program's file lies in memory.
pub fn program_base() -> u64 {
    if BASE.load(Ordering::Relaxed) == 0 {
        let mut base = 0_u64;
        // SAFETY: the function that is called writes one number, to a place that lives as long as the call.
        unsafe { libc::dl_iterate_phdr(Some(keep_base), (&raw mut base).cast()) };
        BASE.store(base, Ordering::Relaxed);
    }
    BASE.load(Ordering::Relaxed)
}

/// Is called for each file in memory; the first one is the program's.
unsafe extern "C" fn keep_base(object: *mut libc::dl_phdr_info, _: usize, base: *mut c_void) -> c_int {
    // SAFETY: the linker gives a whole structure, and `program_base` the place of a number.
    unsafe { *base.cast::<u64>() = (*object).dlpi_addr };
    1
}

/// Where a thread was interrupted.
#[derive(Clone, Copy, Default)]
pub struct Place {
    /// The address of the instruction; 0 if the thread was not interrupted.
    pub at: usize,
    /// The frame pointer, which is needed where there is no `backtrace`.
    #[cfg_attr(target_env = "gnu", allow(dead_code))]
    frame: usize,
}

/// Writes the stack of the present thread, from where it was interrupted, if it was.
pub fn write(report: &mut Report, place: Place) {
    report.section("STACK TRACE");
    let symbols = Symbols::of_program();
    if place.at != 0 {
        report.text(format_args!("EIP:\n"));
        write_frame(report, &symbols, place.at);
        report.text(format_args!("\nBacktrace:\n"));
    }
    let mut frames = [0; FRAMES];
    let count = walk(&mut frames, place);
    let frames = &frames[..count];
    // What lies above is the handler.
    let from = frames.iter().position(|frame| *frame == place.at).unwrap_or(0);
    for frame in &frames[from..] {
        write_frame(report, &symbols, *frame);
    }
    report.flush();
}

/// Fills in the addresses of the present thread's frames; answers how many.
#[cfg(target_env = "gnu")]
fn walk(frames: &mut [usize; FRAMES], _: Place) -> usize {
    // SAFETY: the array has room for as many pointers as are asked for.
    let count = unsafe { libc::backtrace(frames.as_mut_ptr().cast::<*mut c_void>(), FRAMES as c_int) };
    usize::try_from(count).unwrap_or(0).min(frames.len())
}

/// The same where the C library has no `backtrace`, and no unwinder finds its way out of a handler: the frame pointers are followed, which programs
/// for such a library keep (`.cargo/config.toml`).
#[cfg(not(target_env = "gnu"))]
fn walk(frames: &mut [usize; FRAMES], place: Place) -> usize {
    match place.at {
        0 => follow(frame_pointer(), frames),
        at => {
            frames[0] = at;
            1 + follow(place.frame, &mut frames[1..])
        }
    }
}

#[cfg(not(target_env = "gnu"))]
#[inline(always)]
fn frame_pointer() -> usize {
    let frame: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a register is read.
    unsafe {
        std::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags))
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a register is read.
    unsafe {
        std::arch::asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags))
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        frame = 0;
    }
    frame
}

/// Follows frame pointers: each leads to the next, beside the address that is returned to. Answers how many there are.
#[cfg(any(test, not(target_env = "gnu")))]
fn follow(mut frame: usize, frames: &mut [usize]) -> usize {
    let mut pipe = [0; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
        return 0;
    }
    let mut count = 0;
    while let (Some(slot), Some([next, returns_to])) = (frames.get_mut(count), peek(frame, pipe)) {
        if returns_to == 0 {
            break;
        }
        *slot = returns_to;
        count += 1;
        // The stack grows downwards: what does not lead up is no frame.
        if next <= frame {
            break;
        }
        frame = next;
    }
    // SAFETY: both are this function's.
    unsafe { (libc::close(pipe[0]), libc::close(pipe[1])) };
    count
}

/// Two words of memory. The system reads them, over a pipe: an address where nothing is does no harm.
#[cfg(any(test, not(target_env = "gnu")))]
fn peek(at: usize, [reader, writer]: [c_int; 2]) -> Option<[usize; 2]> {
    let mut words = [0; 2];
    let len = size_of_val(&words);
    // SAFETY: the system refuses what can't be read.
    let written = unsafe { libc::write(writer, at as *const c_void, len) };
    if usize::try_from(written) != Ok(len) {
        return None;
    }
    // SAFETY: there is room for two words.
    let read = unsafe { libc::read(reader, words.as_mut_ptr().cast(), len) };
    (usize::try_from(read) == Ok(len)).then_some(words)
}

/// `file(function+0x12)[0x55d0c0ffee12]`.
fn write_frame(report: &mut Report, symbols: &Symbols, at: usize) {
    let base = program_base();
    let object = object_of(at);
    let file = object.as_ref().map_or(c"", |object| text(object.dli_fname));
    // In a static program there is nothing but the program, and the linker knows of nobody.
    let start = object.as_ref().map_or(base as usize, |object| object.dli_fbase as usize);
    let is_ours = start as u64 == base;
    report.text(format_args!("{}(", Lossy(file)));
    // A frame's address is that of the next instruction, which may belong to the next function.
    match symbols.find((at as u64).wrapping_sub(base).wrapping_sub(1)).filter(|_| is_ours) {
        Some((name, behind)) => report.text(format_args!("{:#}+0x{:x}", rustc_demangle::demangle(name), behind + 1)),
        None => match object.filter(|object| !object.dli_sname.is_null()) {
            Some(object) => {
                let behind = at.wrapping_sub(object.dli_saddr as usize);
                report.text(format_args!("{}+0x{behind:x}", Lossy(text(object.dli_sname))));
            }
            None => report.text(format_args!("+0x{:x}", at.wrapping_sub(start))),
        },
    }
    report.text(format_args!(")[0x{at:x}]\n"));
}

/// The file that was mapped at an address, and the exported symbol there.
fn object_of(at: usize) -> Option<libc::Dl_info> {
    // SAFETY: the structure is pointers, for which zeros are good.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; the answer is written to a whole structure.
    (unsafe { libc::dladdr(at as *const c_void, &mut info) } != 0).then_some(info)
}

fn text(pointer: *const std::ffi::c_char) -> &'static CStr {
    match pointer.is_null() {
        true => c"",
        // SAFETY: the linker's names end with a NUL, and belong to objects that are never unloaded here.
        false => unsafe { CStr::from_ptr(pointer) },
    }
}

/// A C string without memory of its own.
struct Lossy<'a>(&'a CStr);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_bytes().utf8_chunks().try_for_each(|chunk| f.write_str(chunk.valid()))
    }
}

/// Where the thread was interrupted; nowhere on a processor whose registers are not known here.
pub fn interrupted_at(context: &libc::ucontext_t) -> Place {
    let machine = &context.uc_mcontext;
    #[cfg(target_arch = "x86_64")]
    return Place {
        at: machine.gregs[libc::REG_RIP as usize] as usize,
        frame: machine.gregs[libc::REG_RBP as usize] as usize,
    };
    #[cfg(target_arch = "aarch64")]
    return Place { at: machine.pc as usize, frame: machine.regs[29] as usize };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return {
        let _ = machine;
        Place::default()
    };
}

/// Writes the registers as they were when the thread was interrupted.
pub fn write_registers(report: &mut Report, context: &libc::ucontext_t) {
    report.section("REGISTERS");
    report.line(format_args!(""));
    #[cfg(target_arch = "x86_64")]
    {
        let value = |register: c_int| context.uc_mcontext.gregs[register as usize];
        for row in REGISTERS {
            for (i, (name, register)) in row.iter().enumerate() {
                report.text(format_args!("{}{name}:{:016x}", if i == 0 { "" } else { " " }, value(*register)));
            }
            report.text(format_args!("\n"));
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let machine = &context.uc_mcontext;
        for (i, value) in machine.regs.iter().enumerate() {
            report.text(format_args!("X{i}:{value:016x}\n"));
        }
        report.text(format_args!("pc:{:016x} sp:{:016x} pstate:{:016x}\n", machine.pc, machine.sp, machine.pstate));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = context;
        report.text(format_args!("Dumping of registers is not supported for this processor\n"));
    }
    report.flush();
}

#[cfg(target_arch = "x86_64")]
const REGISTERS: &[&[(&str, c_int)]] = &[
    &[("RAX", libc::REG_RAX), ("RBX", libc::REG_RBX)],
    &[("RCX", libc::REG_RCX), ("RDX", libc::REG_RDX)],
    &[("RDI", libc::REG_RDI), ("RSI", libc::REG_RSI)],
    &[("RBP", libc::REG_RBP), ("RSP", libc::REG_RSP)],
    &[("R8 ", libc::REG_R8), ("R9 ", libc::REG_R9)],
    &[("R10", libc::REG_R10), ("R11", libc::REG_R11)],
    &[("R12", libc::REG_R12), ("R13", libc::REG_R13)],
    &[("R14", libc::REG_R14), ("R15", libc::REG_R15)],
    &[("RIP", libc::REG_RIP), ("EFL", libc::REG_EFL)],
    &[("CSGSFS", libc::REG_CSGSFS)],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_pointers_are_followed_to_the_end() {
        // Each frame: the place of the next one, and the address that is returned to.
        let mut stack = [0_usize; 6];
        let place = |stack: &[usize; 6], index: usize| &raw const stack[index] as usize;
        let (first, second, third) = (place(&stack, 0), place(&stack, 2), place(&stack, 4));
        stack = [second, 11, third, 12, 0, 13];
        let addresses = |stack: &[usize; 6], room: usize| {
            let mut frames = vec![0; room];
            let count = follow(std::hint::black_box(place(stack, 0)), &mut frames);
            frames.truncate(count);
            frames
        };
        assert_eq!(place(&stack, 0), first);
        assert_eq!(addresses(&stack, 9), [11, 12, 13]);
        assert_eq!(addresses(&stack, 2), [11, 12]);
        // A pointer to nowhere, one that leads back, and an address that is none.
        stack[2] = 16;
        assert_eq!(addresses(&stack, 9), [11, 12]);
        stack[2] = usize::MAX - 7;
        assert_eq!(addresses(&stack, 9), [11, 12]);
        stack[2] = first;
        assert_eq!(addresses(&stack, 9), [11, 12]);
        stack[3] = 0;
        assert_eq!(addresses(&stack, 9), [11]);
        assert_eq!(follow(0, &mut [0; 9]), 0);
    }
}
