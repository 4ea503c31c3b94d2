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
    walk(&mut frames);
}

/// Where the program's file lies in memory.
pub fn program_base() -> u64 {
    if BASE.load(Ordering::Relaxed) == 0
        && let Some(object) = object_of(program_base as *const () as usize)
    {
        BASE.store(object.dli_fbase as u64, Ordering::Relaxed);
    }
    BASE.load(Ordering::Relaxed)
}

/// Writes the stack of the present thread, from where it was interrupted; `at` is that address, or 0 for a thread that was not.
pub fn write(report: &mut Report, at: usize) {
    report.section("STACK TRACE");
    let symbols = Symbols::of_program();
    if at != 0 {
        report.text(format_args!("EIP:\n"));
        write_frame(report, &symbols, at);
        report.text(format_args!("\nBacktrace:\n"));
    }
    let mut frames = [0; FRAMES];
    let count = walk(&mut frames);
    let frames = &frames[..count];
    // What lies above is the handler.
    let from = frames.iter().position(|frame| *frame == at).unwrap_or(0);
    for frame in &frames[from..] {
        write_frame(report, &symbols, *frame);
    }
    report.flush();
}

/// Fills in the addresses of the present thread's frames; answers how many.
fn walk(frames: &mut [usize; FRAMES]) -> usize {
    #[cfg(target_env = "gnu")]
    // SAFETY: the array has room for as many pointers as are asked for.
    let count = unsafe { libc::backtrace(frames.as_mut_ptr().cast::<*mut c_void>(), FRAMES as c_int) };
    #[cfg(not(target_env = "gnu"))]
    let count = 0 as c_int;
    usize::try_from(count).unwrap_or(0).min(frames.len())
}

/// `file(function+0x12)[0x55d0c0ffee12]`.
fn write_frame(report: &mut Report, symbols: &Symbols, at: usize) {
    let base = program_base();
    let object = object_of(at);
    let file = object.as_ref().map_or(c"", |object| text(object.dli_fname));
    let start = object.as_ref().map_or(0, |object| object.dli_fbase as usize);
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

/// The address of the instruction that was interrupted; 0 where that is not known.
pub fn interrupted_at(context: &libc::ucontext_t) -> usize {
    #[cfg(target_arch = "x86_64")]
    return context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
    #[cfg(target_arch = "aarch64")]
    return context.uc_mcontext.pc as usize;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return {
        let _ = context;
        0
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
