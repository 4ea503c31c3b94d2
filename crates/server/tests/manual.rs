//! The manual of the programs that check files, and what shells complete for them. How they are called they say themselves.

use std::process::Command;

use clap::{Arg, ArgAction, ValueHint};
use rivulet_manual::Text::{Meant, Plain, Typed};
use rivulet_manual::{Page, keep_completions};

const PAGES: [(&str, u8); 4] =
    [("rivulet-server", 1), ("rivulet-cli", 1), ("rivulet-check-rdb", 1), ("rivulet-check-aof", 1)];

/// The usage of a program, without its name.
fn usage(program: &str) -> String {
    let said = Command::new(program).arg("--help").output().expect("the program runs");
    let said = String::from_utf8(said.stdout).expect("text");
    let (_, usage) = said.split_once(program).expect("the usage begins with the program's name");
    usage.trim().to_string()
}

fn begin(name: &'static str, summary: &str, program: &str) -> Page {
    let mut page = Page::new(name, 1, summary);
    page.head("SYNOPSIS");
    page.call(&[Typed(name), Plain(" "), Plain(&usage(program))]);
    page
}

fn end(mut page: Page, status: &str) {
    page.term(&[Typed("-v"), Plain(", "), Typed("--version")], "Show the version.");
    page.term(&[Typed("-h"), Plain(", "), Typed("--help")], "Show how the program is called.");
    page.head("EXIT STATUS").paragraph(status);
    page.see_also(&PAGES);
    page.keep();
}

fn command(name: &'static str) -> clap::Command {
    let flag = |name| Arg::new(name).long(name).action(ArgAction::SetTrue);
    clap::Command::new(name)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(flag("help").short('h').help("Show how the program is called."))
        .arg(flag("version").short('v').help("Show the version."))
        .arg(Arg::new("file").value_hint(ValueHint::FilePath))
}

#[test]
fn the_check_of_snapshots() {
    let name = "rivulet-check-rdb";
    let mut page =
        begin(name, "whether an RDB file is sound, and what it holds", env!("CARGO_BIN_EXE_rivulet-check-rdb"));
    page.head("DESCRIPTION").paragraph(
        "Reads a snapshot to its end, the way the server does, and says what it finds: its fields, how many keys it has, and where and why it \
         can't be read. The file is not changed.",
    );
    page.head("OPTIONS");
    end(page, "0 if the file is sound, otherwise 1.");
    keep_completions(command(name), name);
}

#[test]
fn the_check_of_append_only_files() {
    let name = "rivulet-check-aof";
    let program = env!("CARGO_BIN_EXE_rivulet-check-aof");
    let mut page = begin(name, "whether an append-only file is sound, and its repair", program);
    page.head("DESCRIPTION").paragraph(
        "Reads an append-only file, or all files that a manifest names, and says up to where it is sound. A file that was cut in the middle \
         of a write can be repaired; what is behind the cut is lost then.",
    );
    page.head("OPTIONS");
    page.term(&[Typed("--fix")], "Cut the file where it is no longer sound, after a question.");
    page.term(
        &[Typed("--truncate-to-timestamp "), Meant("timestamp")],
        "Cut the file before the first note of a later time, in seconds since 1970; needs a file that was written with \
         aof-timestamp-enabled.",
    );
    for option in ["--fix", "--truncate-to-timestamp"] {
        assert!(usage(program).contains(option), "{option} is not in the usage");
    }
    end(page, "0 if the file is sound or was repaired, otherwise 1.");
    let fix = Arg::new("fix").long("fix").action(ArgAction::SetTrue).help("Cut the file where it is no longer sound.");
    let time = Arg::new("time").long("truncate-to-timestamp").num_args(1).value_name("timestamp");
    keep_completions(command(name).arg(fix).arg(time.help("Cut the file before a time.")), name);
}
