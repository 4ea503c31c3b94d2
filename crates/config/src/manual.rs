//! The manual of the server, the Sentinel and their configuration, and what shells complete for them: made of the directives' table.

use clap::{Arg, ArgAction, Command, ValueHint};
use rivulet_manual::Text::{Meant, Plain, Typed};
use rivulet_manual::{Page, keep_completions};

use super::directive::{Directive, HIDDEN, IMMUTABLE, Kind, NO_MEANING, PROTECTED};
use super::tests::values_of;
use super::{Config, DIRECTIVES, USAGE};

const PAGES: [(&str, u8); 6] = [
    ("rivulet-server", 1),
    ("rivulet-sentinel", 1),
    ("rivulet-cli", 1),
    ("rivulet-check-rdb", 1),
    ("rivulet-check-aof", 1),
    ("rivulet.conf", 5),
];

/// The ways to call the server, as its usage has them: without what is said in brackets.
fn calls() -> Vec<&'static str> {
    let lines = USAGE.lines().take_while(|line| !line.is_empty());
    let calls = lines.map(|line| line.trim_start_matches("Usage: ").trim());
    calls.map(|call| call.split(" (").next().unwrap_or(call)).collect()
}

/// The examples of the usage.
fn examples() -> String {
    let (_, examples) = USAGE.split_once("Examples:\n").expect("the usage has examples");
    examples.lines().map(|line| line.trim_start().to_string() + "\n").collect()
}

fn options(page: &mut Page, file: &'static str) {
    page.head("OPTIONS");
    page.term(&[Meant(file)], "The configuration, as rivulet.conf(5) describes it. It must come first.");
    page.term(&[Typed("-")], "Read the configuration from standard input, after the file; first or last.");
    page.term(
        &[Typed("--directive "), Meant("value")],
        "Any directive of rivulet.conf(5), after those of the file and of standard input. A later one wins; save adds up.",
    );
    page.term(&[Typed("-v"), Plain(", "), Typed("--version")], "Show the version.");
    page.term(&[Typed("-h"), Plain(", "), Typed("--help")], "Show how the program is called.");
}

fn ending(page: &mut Page) {
    page.head("EXIT STATUS");
    page.paragraph("0 after a shutdown that was asked for; 1 if the configuration is wrong or it can't start or go on: standard error or the log says why.");
    page.see_also(&PAGES);
}

#[test]
fn the_page_of_the_server() {
    let mut page = Page::new("rivulet-server", 1, "an in-memory data server that speaks the protocol of Redis");
    page.head("SYNOPSIS");
    for call in calls() {
        page.lines(call);
    }
    page.head("DESCRIPTION");
    page.paragraph(
        "Keeps data in memory and serves them to clients of Redis 7.2, sends what changes to replicas or follows a master, and writes snapshots \
         and append-only files. It takes the command line and the configuration of Redis.",
    );
    page.paragraph(
        "With quickstart it starts a master, a replica and a replica of the replica on this machine, shows how they connect, and removes \
         everything at the end; quickstart --help tells more.",
    );
    page.paragraph(
        "Called with --sentinel, or under a name that ends with -sentinel, it is a Sentinel: see rivulet-sentinel(1).",
    );
    options(&mut page, "file");
    page.head("SIGNALS");
    page.term(
        &[Typed("SIGTERM"), Plain(", "), Typed("SIGINT")],
        "Shut down as shutdown-on-sigterm and shutdown-on-sigint say. A second SIGINT ends the process at once.",
    );
    page.head("FILES");
    page.term(&[Typed("/etc/rivulet/rivulet.conf")], "The configuration that packages install.");
    page.term(&[Typed("/var/lib/rivulet")], "The data of the packages' server.");
    page.term(&[Typed("/var/log/rivulet/rivulet.log")], "Its log.");
    page.head("EXAMPLES").lines(&examples());
    ending(&mut page);
    page.keep();
}

#[test]
fn the_page_of_the_sentinel() {
    let mut page =
        Page::new("rivulet-sentinel", 1, "watches masters and their replicas, and replaces a master that is down");
    page.head("SYNOPSIS");
    page.call(&[Typed("rivulet-sentinel "), Meant("file"), Plain(" [options]")]);
    page.call(&[Typed("rivulet-server "), Meant("file"), Typed(" --sentinel"), Plain(" [options]")]);
    page.head("DESCRIPTION");
    page.paragraph(
        "Watches the masters that its configuration names, finds their replicas and the other Sentinels by itself, and, when enough \
         Sentinels agree that a master is down, has one of its replicas promoted and the others follow that. Clients ask it for the \
         master's address. It works in one group with Sentinels of Redis 7.0.",
    );
    page.paragraph(
        "It keeps its state in its configuration file and replaces the file as a whole: both the file and its directory must belong to its \
         user. It listens on port 26379.",
    );
    options(&mut page, "file");
    page.head("FILES");
    page.term(
        &[Typed("/etc/rivulet/sentinel.conf")],
        "The configuration that packages install, with its directives explained.",
    );
    ending(&mut page);
    page.keep();
}

/// What the manual says of a directive.
fn notes(directive: &Directive, default: &Config) -> String {
    let value = if directive.name == "dir" { b".".to_vec() } else { directive.text(default) };
    let value = match String::from_utf8_lossy(&value) {
        text if text.is_empty() => "none".to_string(),
        text => text.into_owned(),
    };
    let mut notes = format!("{} Values: {}. Default: {value}.", directive.doc, values_of(&directive.kind));
    for alias in directive.aliases {
        notes += &format!(" Old name: {alias}.");
    }
    for (flag, note) in [
        (IMMUTABLE, " Needs a restart."),
        (PROTECTED, " CONFIG SET needs enable-protected-configs."),
        (NO_MEANING, " Has no effect yet."),
    ] {
        notes += if directive.has(flag) { note } else { "" };
    }
    notes.replace('`', "")
}

#[test]
fn the_page_of_the_configuration() {
    let mut page = Page::new("rivulet.conf", 5, "the configuration of rivulet-server");
    page.head("DESCRIPTION");
    page.paragraph(
        "A line is a directive's name and its values, between blanks. A value with blanks stands in quotes; in double quotes \\n, \\r, \\t, \\b, \
         \\a and \\xHH mean what they mean in C. A line that begins with # is a comment. A later line wins; lines of save add up.",
    );
    page.paragraph(
        "Sizes take units: 1k is 1000 bytes, 1kb is 1024, and so on with m and g. What needs no restart can be changed by CONFIG SET, and \
         CONFIG REWRITE writes what is set into the file.",
    );
    page.head("LINES OF FILES");
    page.term(&[Typed("include "), Meant("file")], "Reads another file here; *, ? and [...] name several.");
    page.term(&[Typed("rename-command "), Meant("old new")], "Gives a command another name; \"\" removes it.");
    page.term(&[Typed("user "), Meant("name rules...")], "Defines a user, as ACL SETUSER does.");
    page.head("DIRECTIVES");
    let default = Config::default();
    for directive in DIRECTIVES.iter().filter(|d| !d.has(HIDDEN)) {
        page.term(&[Typed(directive.name)], &notes(directive, &default));
    }
    page.see_also(&PAGES);
    page.keep();
}

/// The command line, with an option for each directive.
fn command(name: &'static str) -> Command {
    let mut command = Command::new(name).disable_help_flag(true).disable_version_flag(true);
    let flag = |id, short, help| Arg::new(id).short(short).long(id).action(ArgAction::SetTrue).help(help);
    command = command.arg(flag("help", 'h', "Show how the program is called.")).arg(flag(
        "version",
        'v',
        "Show the version.",
    ));
    if name == "rivulet-server" {
        command = command.arg(Arg::new("sentinel").long("sentinel").action(ArgAction::SetTrue).help("Be a Sentinel."));
        command = command.subcommand(
            Command::new("quickstart")
                .about("A master, a replica and a replica of the replica, shown live.")
                .disable_help_flag(true),
        );
    }
    for directive in DIRECTIVES.iter().filter(|d| !d.has(HIDDEN | NO_MEANING)) {
        let arg = Arg::new(directive.name).long(directive.name).num_args(1).value_name("value");
        let arg = match directive.kind {
            Kind::Bool => arg.value_parser(["yes", "no"]),
            Kind::Word(words) => arg.value_parser(words.to_vec()),
            Kind::Dir => arg.value_hint(ValueHint::DirPath),
            _ if directive.name.ends_with("file") => arg.value_hint(ValueHint::FilePath),
            _ => arg,
        };
        command = command.arg(arg.help(directive.doc.replace('`', "")));
    }
    command.arg(Arg::new("file").value_hint(ValueHint::FilePath).help("The configuration."))
}

#[test]
fn completions_know_every_directive() {
    for name in ["rivulet-server", "rivulet-sentinel"] {
        command(name).debug_assert();
        keep_completions(command(name), name);
    }
}
