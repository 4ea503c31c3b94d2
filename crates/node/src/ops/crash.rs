//! The executor's part of a crash report: the command at hand, the clients, INFO, and what the configuration has that others have not.
//!
//! It is written on the executor's thread in a handler of a signal, so the data stand still but may be half of what they should be. What it reads may fault,
//! and what it allocates may wait for a lock that this thread holds: the report's own guards end it then (`process/crash.rs`).

use std::fmt::Write;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use rivulet_commands::Command;
use rivulet_commands::spec::flag;
use rivulet_config::{Config, DIRECTIVES, is_sensitive};
use rivulet_resp::{Args, Batch};

use crate::commands::client;
use crate::commands::commandlog::shown_argument;
use crate::node::Node;
use crate::process::crash;
use crate::process::report::Report;

/// Arguments of the command at hand that are shown at most.
const ARGS_MAX: usize = 32;

/// The node of this process, while it runs.
static NODE: AtomicPtr<Node> = AtomicPtr::new(std::ptr::null_mut());

/// The batch that is executed. Whose command it is says the number of commands before: so nothing is noted for each.
struct AtHand {
    batch: AtomicPtr<Batch>,
    bytes: AtomicPtr<u8>,
    len: AtomicUsize,
    commands_before: AtomicU64,
}

static AT_HAND: AtHand = AtHand {
    batch: AtomicPtr::new(std::ptr::null_mut()),
    bytes: AtomicPtr::new(std::ptr::null_mut()),
    len: AtomicUsize::new(0),
    commands_before: AtomicU64::new(0),
};

/// A batch's execution begins; `commands` is how many were executed before.
#[inline]
pub fn note_batch(batch: &Batch, bytes: &[u8], commands: u64) {
    AT_HAND.bytes.store(bytes.as_ptr().cast_mut(), Ordering::Relaxed);
    AT_HAND.len.store(bytes.len(), Ordering::Relaxed);
    AT_HAND.commands_before.store(commands, Ordering::Relaxed);
    AT_HAND.batch.store(std::ptr::from_ref(batch).cast_mut(), Ordering::Relaxed);
}

/// Its execution has ended.
#[inline]
pub fn forget_batch() {
    AT_HAND.batch.store(std::ptr::null_mut(), Ordering::Relaxed);
}

impl Node {
    /// Reports of this process tell of this node from now on. It must not be moved while it runs.
    pub fn stand_in_reports(&mut self) {
        if !rivulet_host::world::is_simulated() {
            NODE.store(self, Ordering::Relaxed);
            crash::add_executors_part(tell);
        }
    }

    /// Nobody asks for it any more.
    pub fn leave_reports(&mut self) {
        let _ = NODE.compare_exchange(self, std::ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn tell(report: &mut Report) {
    // SAFETY: the node stays where it is until `leave_reports`, and this thread, which owns it, does nothing else until the process ends.
    let Some(node) = (unsafe { NODE.load(Ordering::Relaxed).as_ref() }) else { return };
    report.section("CURRENT CLIENT INFO");
    tell_command(report, node);
    report.section("INFO OUTPUT");
    report.text(format_args!("{}", node.info(&["all".into()])));
    report.section("CLIENT LIST OUTPUT");
    for client in node.clients.iter() {
        report.text(format_args!("{}\n", client::line(node, client)));
    }
    report.section("CONFIG DEBUG OUTPUT");
    tell_configuration(report, &node.config);
    report.flush();
}

/// The client whose command is executed, and that command.
fn tell_command(report: &mut Report, node: &Node) {
    // SAFETY: `run_batch` has both borrowed from `note_batch` to `forget_batch`, and this thread is in it.
    let Some(batch) = (unsafe { AT_HAND.batch.load(Ordering::Relaxed).as_ref() }) else { return };
    // SAFETY: as above, with the length of the same slice.
    let bytes = unsafe {
        std::slice::from_raw_parts(AT_HAND.bytes.load(Ordering::Relaxed), AT_HAND.len.load(Ordering::Relaxed))
    };
    if let Some(client) = node.clients.get(node.engine.speaker.executing) {
        report.text(format_args!("{}\n", client::line(node, client)));
    }
    let executed = node.ops.stats.commands.saturating_sub(AT_HAND.commands_before.load(Ordering::Relaxed));
    let Some(at) = usize::try_from(executed).ok().and_then(|count| count.checked_sub(1)) else { return };
    if at < batch.len() {
        let args = batch.args(at, bytes);
        tell_arguments(report, args, args.get(0).and_then(|name| node.find_command(name)));
    }
}

/// What clients keep secret is not shown: commands that the slow log leaves out are known for that.
fn tell_arguments(report: &mut Report, args: Args<'_>, command: Option<&Command>) {
    let is_secret = command.is_some_and(|command| command.is(flag::SKIP_SLOWLOG));
    let shown = if is_secret { 1 } else { args.len().min(ARGS_MAX) };
    for i in 0..shown {
        report.text(format_args!("argv[{i}]: '\"{}\"'\n", shown_argument(command, args, i).escape_ascii()));
    }
    if shown < args.len() {
        report.text(format_args!("... ({} more arguments)\n", args.len() - shown));
    }
}

/// Directives that have other values than by default, but for secrets.
fn tell_configuration(report: &mut Report, config: &Config) {
    let usual = Config::default();
    for directive in DIRECTIVES.iter().filter(|directive| !is_sensitive(directive.name.as_bytes())) {
        let value = directive.text(config);
        if value != directive.text(&usual) {
            // Writing to a report can't fail.
            let _ = writeln!(report, "{} {}", directive.name, value.escape_ascii());
        }
    }
}
