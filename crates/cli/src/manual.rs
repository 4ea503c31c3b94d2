//! The manual of the client, and what shells complete for it: made of the table of options and of the commands' table.

use std::collections::BTreeSet;

use clap::builder::PossibleValuesParser;
use clap::{Command, ValueHint};
use rivulet_commands::table;
use rivulet_manual::Text::{Meant, Plain, Typed};
use rivulet_manual::{Page, keep_completions};

use crate::program::{self, RDB_USAGE, TOP_USAGE};
use crate::usage::{self, OPTIONS, Row, Takes};

const PAGES: [(&str, u8); 3] = [("rivulet-server", 1), ("rivulet-check-rdb", 1), ("rivulet-check-aof", 1)];

fn option(page: &mut Page, row: &Row) {
    let mut term = Vec::new();
    for (i, name) in row.names.iter().enumerate() {
        term.extend((i > 0).then_some(Plain(", ")));
        term.push(Typed(name));
    }
    match row.takes {
        Takes::Nothing => {}
        Takes::One(value) => term.extend([Plain(" "), Meant(value)]),
        Takes::Words(value) => term.extend([Plain(" "), Meant(value), Plain(" [args...]")]),
    }
    page.term(&term, row.help);
}

/// The examples of the usage: the lines up to the next empty one.
fn examples() -> String {
    let usage = usage::usage();
    let (_, examples) = usage.split_once("\nExamples:\n").expect("the usage has examples");
    examples.lines().take_while(|line| !line.is_empty()).map(|line| line.trim_start().to_string() + "\n").collect()
}

#[test]
fn the_page() {
    let mut page = Page::new("rivulet-cli", 1, "a terminal's client of Rivulet, Redis and Valkey");
    page.head("SYNOPSIS");
    page.call(&[
        Typed("rivulet-cli"),
        Plain(" [options] ["),
        Meant("command"),
        Plain(" ["),
        Meant("arg"),
        Plain("...]]"),
    ]);
    page.call(&[Typed("rivulet-cli"), Plain(" [options] "), Typed("top"), Plain(" [--once] [--json]")]);
    page.call(&[Typed("rivulet-cli rdb "), Meant("file"), Plain(" [--depth n] [--separator s] [--top n] [--json]")]);
    page.head("DESCRIPTION");
    page.paragraph(
        "Sends a command to a server and shows the reply. Without a command it is interactive, with a history, hints and completion. It has \
         the options, the output and the modes of redis-cli.",
    );
    page.head("OPTIONS");
    OPTIONS.iter().for_each(|row| option(&mut page, row));
    page.head("PROGRAMS");
    page.paragraph("A first word in small letters names one of these, and not behind --.");
    for (name, usage) in [("top", TOP_USAGE), ("rdb", RDB_USAGE)] {
        page.subhead(name).lines(usage.trim_end());
    }
    page.head("ENVIRONMENT");
    page.term(&[Typed("REDISCLI_AUTH")], "The password, if -a does not give one.");
    page.term(
        &[Typed("REDISCLI_HISTFILE")],
        "The file of the history instead of ~/.rediscli_history; /dev/null keeps none.",
    );
    page.term(
        &[Typed("REDISCLI_RCFILE")],
        "What is read at the start of the interactive program instead of ~/.redisclirc.",
    );
    page.term(&[Typed("NO_COLOR")], "If it is not empty, top shows no colours.");
    page.head("EXIT STATUS");
    page.paragraph("0, or 1 if the server can't be reached, an option is wrong, or, with -e, the reply is an error.");
    page.head("EXAMPLES").lines(&examples());
    page.see_also(&PAGES);
    page.keep();
}

/// The command line as shells are to complete it: with the programs, the commands and what is a file.
fn command() -> Command {
    let mut command = usage::command();
    for row in OPTIONS {
        let hint = match row.takes {
            Takes::One("file" | "socket") => ValueHint::FilePath,
            Takes::One("dir") => ValueHint::DirPath,
            Takes::One("hostname" | "host") => ValueHint::Hostname,
            _ => continue,
        };
        command = command.mut_arg(row.id, |arg| arg.value_hint(hint));
    }
    // clap wants names that last; they are few, and the test ends.
    let names: BTreeSet<&str> = table::commands().map(|c| &*c.name.to_lowercase().leak()).collect();
    command = command.mut_arg("words", |arg| arg.value_parser(PossibleValuesParser::new(names)));
    for (program, about) in [
        (program::top(), "The replication around the server, as it changes."),
        (program::rdb().mut_arg("file", |arg| arg.value_hint(ValueHint::FilePath)), "What a snapshot holds."),
    ] {
        command = command.subcommand(program.no_binary_name(false).about(about));
    }
    command
}

#[test]
fn completions_know_options_commands_and_programs() {
    keep_completions(command(), usage::NAME);
}
