//! Crash reports (`crash-log-enabled`): what is told when the process gets a signal that ends it, or panics where it can't go on.
//!
//! ```text
//! a signal, or a panic ─► header, stack, registers ─► the executor's part ─► end ─► the signal's own action: a core file, and what the parent sees
//!                          needs no memory and no lock     may need both        ▲
//!                                    └── another fault, or ten seconds ─────────┘
//! ```
//!
//! What may hang stands last, and a timer ends it. Nothing of the data is touched, so what is on disk is what a kill at this moment leaves.

use std::ffi::{CString, c_int, c_void};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rivulet_config::Config;
use rivulet_host::world;

use crate::process::report::Report;
use crate::process::{alternate_stack, stack, watchdog};
use crate::{REDIS_VERSION, log};

/// Signals that end the process with a report.
const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];
/// Asks the executor for its part when another thread has crashed.
const ASKS_EXECUTOR: c_int = libc::SIGUSR2;
/// A report that is not done after so many seconds ends where it is.
const SECONDS_MAX: u32 = 10;
const LAST_WORDS_SECONDS_MAX: u32 = 2;
/// So long, in milliseconds, another thread waits for the executor's part.
const EXECUTOR_MS_MAX: u32 = 3000;

const END: &str = "\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n\n       Please report the crash to Rivulet's maintainers.\n\n";

/// Writes what the executor knows: INFO, clients, the command at hand.
pub type Tell = fn(&mut Report);

static ENABLED: AtomicBool = AtomicBool::new(false);
static EXITS_ON_PANIC: AtomicBool = AtomicBool::new(false);
/// The thread that runs commands.
static EXECUTOR: AtomicI32 = AtomicI32::new(0);
/// The thread that writes the report; 0 while there is none.
static REPORTER: AtomicI32 = AtomicI32::new(0);
/// The signal that the report is about, and the process ends with.
static CAUSE: AtomicI32 = AtomicI32::new(libc::SIGABRT);
/// The report is being ended where it is.
static IS_CUT: AtomicBool = AtomicBool::new(false);
static EXECUTOR_TOLD: AtomicBool = AtomicBool::new(false);
static TELL: OnceLock<Tell> = OnceLock::new();
/// This is a child by fork, whose end is not the server's.
static IS_CHILD: AtomicBool = AtomicBool::new(false);
/// To be removed at the end: nobody else does.
static PID_FILE: OnceLock<CString> = OnceLock::new();

/// Installs the handlers. The calling thread is the executor's; whoever else starts a thread gives it an [`alternate_stack`]. With `is_background` the
/// pid file is removed after a crash.
pub fn begin(config: &Config, is_background: bool) {
    if world::is_simulated() {
        return;
    }
    set(config);
    EXECUTOR.store(this_thread(), Ordering::Relaxed);
    if is_background && let Ok(path) = CString::new(config.pidfile.as_str()) {
        let _ = PID_FILE.set(path);
    }
    alternate_stack::keep_for_executor();
    stack::prepare();
    for signal in SIGNALS {
        handle(signal, on_crash);
    }
    handle(ASKS_EXECUTOR, on_asked);
    handle(libc::SIGALRM, on_alarm);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        on_panic(info);
    }));
}

/// In a child by fork: what goes wrong ends it, and is no crash of the server.
pub fn begin_child() {
    IS_CHILD.store(true, Ordering::Relaxed);
}

/// Takes from the configuration whether there are reports.
pub fn set(config: &Config) {
    ENABLED.store(config.crash_log_enabled, Ordering::Relaxed);
    EXITS_ON_PANIC.store(config.use_exit_on_panic, Ordering::Relaxed);
}

/// What the executor has to tell. It is called on its thread, whatever that was doing.
pub fn add_executors_part(tell: Tell) {
    let _ = TELL.set(tell);
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

fn handle(signal: c_int, handler: Handler) {
    // SAFETY: zeros are an empty mask. Handlers may interrupt each other, so a fault within a report is noticed; each does only what it may, or stands
    // under the timer.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

fn this_thread() -> c_int {
    rustix::thread::gettid().as_raw_nonzero().get()
}

fn is_executor() -> bool {
    this_thread() == EXECUTOR.load(Ordering::Relaxed)
}

extern "C" fn on_crash(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if IS_CHILD.load(Ordering::Relaxed) || !ENABLED.load(Ordering::Relaxed) {
        end(signal);
    }
    claim(signal);
    // SAFETY: the system gives a handler of this kind a whole `siginfo_t` and the interrupted context.
    let (info, context) = unsafe { (&*info, &*context.cast::<libc::ucontext_t>()) };
    let place = stack::interrupted_at(context);
    let mut report = Report::begin();
    write_start(&mut report);
    report.line(format_args!("Redis {REDIS_VERSION} crashed by signal: {signal}, si_code: {}", info.si_code));
    if info.si_code <= 0 {
        // SAFETY: a signal that somebody sent says who did.
        report.line(format_args!("Killed by PID: {}, UID: {}", unsafe { info.si_pid() }, unsafe { info.si_uid() }));
    } else if signal != libc::SIGABRT {
        // SAFETY: a fault says where it was.
        report.line(format_args!("Accessing address: {:p}", unsafe { info.si_addr() }));
    }
    report.line(format_args!("Crashed running the instruction at: 0x{:x}", place.at));
    stack::write(&mut report, place);
    stack::write_registers(&mut report, context);
    finish(report);
    end(signal)
}

/// Makes this thread the one that reports. Another one that crashes as well waits for the end; a fault within the report ends it.
fn claim(signal: c_int) {
    let here = this_thread();
    match REPORTER.compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => {
            CAUSE.store(signal, Ordering::Relaxed);
            // SAFETY: it sets a timer of the process, which nothing else uses by now.
            unsafe { libc::alarm(SECONDS_MAX) };
        }
        Err(reporter) if reporter == here || is_executor() && EXECUTOR_TOLD.load(Ordering::Relaxed) => {
            cut(format_args!("Crashed again while running the crash report: signal {signal}"))
        }
        Err(_) => wait_for_end(),
    }
}

/// Ends a report that can't go on. The log may be what holds it up, so its last words have a time of their own.
fn cut(why: std::fmt::Arguments<'_>) -> ! {
    if IS_CUT.swap(true, Ordering::Relaxed) {
        end(CAUSE.load(Ordering::Relaxed));
    }
    // SAFETY: as for the first timer, which this one replaces.
    unsafe { libc::alarm(LAST_WORDS_SECONDS_MAX) };
    let mut report = Report::begin();
    report.text(format_args!("\n"));
    report.line(why);
    report.text(format_args!("{END}"));
    drop(report);
    end(CAUSE.load(Ordering::Relaxed))
}

fn write_start(report: &mut Report) {
    report.text(format_args!("\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n"));
}

/// The executor's part, and the end.
fn finish(mut report: Report) {
    report.flush();
    if is_executor() {
        tell(&mut report);
    } else {
        ask_executor();
    }
    report.text(format_args!("{END}"));
}

fn tell(report: &mut Report) {
    if let Some(tell) = TELL.get() {
        tell(report);
    }
}

/// The executor stops where it is and writes its part; one that does not come to it is waited for no longer than a moment.
fn ask_executor() {
    send(EXECUTOR.load(Ordering::Relaxed), ASKS_EXECUTOR);
    for _ in 0..EXECUTOR_MS_MAX {
        if EXECUTOR_TOLD.load(Ordering::Acquire) {
            break;
        }
        let moment = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // SAFETY: it reads a whole value, and writes nothing.
        unsafe { libc::nanosleep(&moment, std::ptr::null_mut()) };
    }
}

extern "C" fn on_asked(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // Anybody may send this signal: without a crash it means nothing.
    if REPORTER.load(Ordering::Relaxed) == 0 || !is_executor() {
        return;
    }
    // SAFETY: the system gives a handler of this kind the interrupted context.
    let place = stack::interrupted_at(unsafe { &*context.cast::<libc::ucontext_t>() });
    let mut report = Report::begin();
    report.text(format_args!("\nThe thread that runs commands:\n"));
    stack::write(&mut report, place);
    tell(&mut report);
    drop(report);
    EXECUTOR_TOLD.store(true, Ordering::Release);
    wait_for_end()
}

/// The report takes too long, or a turn does. What was interrupted may be about to look at its last error.
extern "C" fn on_alarm(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: each thread has its own, for as long as it lives.
    let last_error = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *last_error };
    alarmed(signal, context);
    // SAFETY: as above.
    unsafe { *last_error = kept };
}

fn alarmed(signal: c_int, context: *mut c_void) {
    if REPORTER.load(Ordering::Relaxed) != 0 {
        cut(format_args!("The crash report took too long"));
    }
    if !is_executor() {
        return send(EXECUTOR.load(Ordering::Relaxed), signal);
    }
    // SAFETY: the system gives a handler of this kind the interrupted context.
    watchdog::write_report(stack::interrupted_at(unsafe { &*context.cast::<libc::ucontext_t>() }));
}

fn send(thread: c_int, signal: c_int) {
    // SAFETY: numbers only; a thread that is not there is an error that changes nothing.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
}

fn wait_for_end() -> ! {
    loop {
        // SAFETY: it waits for a signal, and changes nothing.
        unsafe { libc::pause() };
    }
}

/// Ends the process as the signal does when nobody handles it.
fn end(signal: c_int) -> ! {
    if IS_CHILD.load(Ordering::Relaxed) {
        // SAFETY: it ends the process.
        unsafe { libc::_exit(1) };
    }
    remove_pid_file();
    // SAFETY: the action is the system's own; then the signal comes to this thread, which does not block it.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut only = std::mem::zeroed();
        libc::sigemptyset(&mut only);
        libc::sigaddset(&mut only, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &only, std::ptr::null_mut());
        libc::raise(signal);
        libc::_exit(128 + signal)
    }
}

fn remove_pid_file() {
    if let Some(path) = PID_FILE.get() {
        // SAFETY: the path ends with a NUL.
        unsafe { libc::unlink(path.as_ptr()) };
    }
}

/// Of a panic nobody recovers: not the executor, which may have done half of a command, and nobody where panics end the process anyway.
fn on_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("");
    let place = info.location().map_or_else(String::new, |place| format!("{}:{}", place.file(), place.line()));
    if IS_CHILD.load(Ordering::Relaxed) {
        log::warning!("A debugging session panicked: {message} #{place}");
        end(libc::SIGABRT);
    }
    if !is_executor() && cfg!(panic = "unwind") {
        log::warning!("A helper thread panicked: {message} #{place}");
        return;
    }
    if ENABLED.load(Ordering::Relaxed) {
        claim(libc::SIGABRT);
    }
    let mut report = Report::begin();
    write_start(&mut report);
    if message.starts_with("assertion") {
        report.line(format_args!("=== ASSERTION FAILED ==="));
        report.line(format_args!("==> {place} '{message}' is not true"));
    } else {
        report.line(format_args!("------------------------------------------------"));
        report.line(format_args!("!!! Software Failure. Press left mouse button to continue"));
        report.line(format_args!("Guru Meditation: {message} #{place}"));
    }
    match ENABLED.load(Ordering::Relaxed) {
        true => {
            stack::write(&mut report, stack::Place::default());
            finish(report);
        }
        false => report.text(format_args!("{END}")),
    }
    if EXITS_ON_PANIC.load(Ordering::Relaxed) {
        remove_pid_file();
        // SAFETY: it ends the process.
        unsafe { libc::_exit(1) };
    }
    end(libc::SIGABRT)
}

/// Writes to memory that may not be written (DEBUG SEGFAULT).
pub fn fault() {
    // SAFETY: the memory is new and nobody else's; that the write is refused, and ends the process, is what is wanted.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, flags, -1, 0);
        page.cast::<u8>().write_volatile(1);
    }
}
