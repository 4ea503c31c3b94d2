//! The table of options: their names, what they take, and what `--help` says of them. `clap`'s command is made of it.

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// How the program is called, and its version.
pub const NAME: &str = "rivulet-cli";
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// One word, whatever it begins with.
    One(&'static str),
    /// Words up to the next option.
    Words(&'static str),
}

/// An option.
pub struct Row {
    /// Names are followed by their aliases.
    pub names: &'static [&'static str],
    pub id: &'static str,
    pub takes: Takes,
    pub help: &'static str,
}

use Takes::{Nothing, One, Words};

const fn row(names: &'static [&'static str], id: &'static str, takes: Takes, help: &'static str) -> Row {
    Row { names, id, takes, help }
}

#[rustfmt::skip]
pub const OPTIONS: &[Row] = &[
    row(&["-h"], "host", One("hostname"), "The server's host (default: 127.0.0.1)."),
    row(&["-p"], "port", One("port"), "The server's port (default: 6379)."),
    row(&["-t"], "timeout", One("seconds"), "How long connecting may take; parts of a second may be given."),
    row(&["-s"], "socket", One("socket"), "A socket of this machine, instead of host and port."),
    row(&["-a", "--pass"], "password", One("password"), "The password. It is safer in the environment, as REDISCLI_AUTH."),
    row(&["--user"], "user", One("username"), "The user, together with a password."),
    row(&["--askpass"], "askpass", Nothing, "Ask for the password; -a and REDISCLI_AUTH do not count then."),
    row(&["-u"], "uri", One("uri"), "The server as redis://user:password@host:port/db, rediss:// with TLS, or unix:///path?db=N."),
    row(&["-r"], "repeat", One("times"), "Run the command so many times; without end if negative."),
    row(&["-i"], "interval", One("seconds"), "Wait so long between runs (-r), between pages (--scan), lines (--stat), or every 100 pages (--bigkeys and the like)."),
    row(&["-n"], "database", One("db"), "The number of the database."),
    row(&["-2"], "resp2", Nothing, "Begin in RESP2."),
    row(&["-3"], "resp3", Nothing, "Begin in RESP3."),
    row(&["-x"], "stdin", Nothing, "The last argument is what standard input holds."),
    row(&["-X"], "stdin-tag", One("tag"), "The argument that is this word is what standard input holds."),
    row(&["-d"], "element-delimiter", One("delimiter"), "What stands between the elements of a raw reply (default: \\n)."),
    row(&["-D"], "reply-delimiter", One("delimiter"), "What follows a raw reply (default: \\n)."),
    row(&["-c"], "follows-cluster", Nothing, "Follow a cluster's redirections."),
    row(&["-e"], "fails-on-error", Nothing, "Fail when the reply is an error, and say it on standard error."),
    row(&["-4"], "ipv4", Nothing, "Of a host's addresses try those of IPv4 first."),
    row(&["-6"], "ipv6", Nothing, "Of a host's addresses try those of IPv6 first."),
    row(&["--tls"], "tls", Nothing, "Speak TLS."),
    row(&["--sni"], "tls-sni", One("host"), "The name of the host that the server is told."),
    row(&["--cacert"], "tls-cacert", One("file"), "A file with the certificates of authorities that are trusted."),
    row(&["--cacertdir"], "tls-cacertdir", One("dir"), "A directory of such files. Without either, the authorities of this machine count."),
    row(&["--insecure"], "tls-insecure", Nothing, "Take any certificate."),
    row(&["--cert"], "tls-cert", One("file"), "The certificate that is shown to the server."),
    row(&["--key"], "tls-key", One("file"), "The key of that certificate."),
    row(&["--tls-ciphers"], "tls-ciphers", One("list"), "Suites of TLS 1.2, in OpenSSL's language."),
    row(&["--tls-ciphersuites"], "tls-ciphersuites", One("list"), "Suites of TLS 1.3, between colons."),
    row(&["--raw"], "raw", Nothing, "Show replies as they are (the default unless standard output is a terminal)."),
    row(&["--no-raw"], "no-raw", Nothing, "Show replies for a reader, also where there is no terminal."),
    row(&["--quoted-input"], "quoted-input", Nothing, "Arguments are in quotes, with escapes."),
    row(&["--csv"], "csv", Nothing, "Show replies as CSV."),
    row(&["--json"], "json", Nothing, "Show replies as JSON; asks for RESP3, unless -2 is given."),
    row(&["--quoted-json"], "quoted-json", Nothing, "As --json, with escapes for all but ASCII."),
    row(&["--show-pushes"], "show-pushes", One("yn"), "Whether what the server says unasked is shown (default: on a terminal)."),
    row(&["--stat"], "stat", Nothing, "A line of figures every second: keys, memory, clients, requests."),
    row(&["--latency"], "latency", Nothing, "Measure how long a PING takes: without end on a terminal, otherwise for a second (-i)."),
    row(&["--latency-history"], "latency-history", Nothing, "As --latency, a line every 15 seconds (-i)."),
    row(&["--latency-dist"], "latency-dist", Nothing, "Latency as a spectrum in 256 colours, a line every second (-i)."),
    row(&["--mono"], "mono", Nothing, "Shades of grey for --latency-dist."),
    row(&["--lru-test"], "lru-test", One("keys"), "Run a cache's load of so many keys, of which a fifth has four fifths of it."),
    row(&["--replica", "--slave"], "replica", Nothing, "Show the stream that a replica is sent."),
    row(&["--rdb"], "rdb", One("file"), "Fetch a snapshot into a file; - is standard output."),
    row(&["--functions-rdb"], "functions-rdb", One("file"), "As --rdb, with the functions and without the keys."),
    row(&["--pipe"], "pipe", Nothing, "Send standard input as it is, and count the replies."),
    row(&["--pipe-timeout"], "pipe-timeout", One("seconds"), "How long --pipe waits for the last replies (default: 30); 0 is without end."),
    row(&["--bigkeys"], "bigkeys", Nothing, "Look for the keys with the most elements of each type."),
    row(&["--memkeys"], "memkeys", Nothing, "Look for the keys with the most memory of each type."),
    row(&["--memkeys-samples"], "memkeys-samples", One("n"), "As --memkeys, with so many elements of each value looked at."),
    row(&["--keystats"], "keystats", Nothing, "Both of them, with the distribution of sizes and lengths."),
    row(&["--keystats-samples"], "keystats-samples", One("n"), "As --keystats, with so many elements of each value looked at."),
    row(&["--cursor"], "cursor", One("n"), "Where --keystats goes on, after it was interrupted."),
    row(&["--top"], "top", One("n"), "So many keys --keystats shows (default: 10)."),
    row(&["--hotkeys"], "hotkeys", Nothing, "Look for the keys that are used most; needs a maxmemory-policy with LFU."),
    row(&["--scan"], "scan", Nothing, "List all keys."),
    row(&["--pattern"], "pattern", One("pattern"), "Which keys --scan, --bigkeys and the like look at (default: *)."),
    row(&["--count"], "count", One("n"), "How many keys a page has, about (default: 10)."),
    row(&["--quoted-pattern"], "quoted-pattern", One("pattern"), "As --pattern, in quotes, with escapes."),
    row(&["--intrinsic-latency"], "intrinsic-latency", One("seconds"), "Measure for so long how the system keeps this process waiting."),
    row(&["--eval"], "eval", One("file"), "Run the Lua script of a file: keys, a comma between spaces, and arguments follow."),
    row(&["--ldb"], "ldb", Nothing, "Debug the script of --eval, if the server has a debugger."),
    row(&["--ldb-sync-mode"], "ldb-sync-mode", Nothing, "As --ldb, with what the script writes kept."),
    row(&["--cluster"], "cluster", Words("command"), "Something about a cluster's nodes; `--cluster help` lists what."),
    row(&["--cluster-only-masters"], "cluster-only-masters", Nothing, "`--cluster call` asks masters alone."),
    row(&["--cluster-only-replicas"], "cluster-only-replicas", Nothing, "`--cluster call` asks replicas alone."),
    row(&["--verbose"], "verbose", Nothing, "Say more."),
    row(&["--no-auth-warning"], "no-auth-warning", Nothing, "Don't warn of a password in the command line."),
    row(&["--help"], "help", Nothing, "Show this."),
    row(&["-v", "--version"], "version", Nothing, "Show the version."),
];

/// The command line as `clap` has it; completions are made of it, too.
pub fn command() -> Command {
    let words = Arg::new("words")
        .num_args(0..)
        .trailing_var_arg(true)
        .value_name("command")
        .help("The command and its arguments; without one the program is interactive.")
        .value_parser(ValueParser::os_string());
    Command::new(NAME)
        .version(VERSION)
        .about("A terminal's client of Rivulet, Redis and Valkey.")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(OPTIONS.iter().map(arg))
        .arg(words)
}

fn arg(row: &'static Row) -> Arg {
    let mut arg = Arg::new(row.id).action(ArgAction::Append).help(row.help).value_parser(ValueParser::os_string());
    let (mut has_short, mut has_long) = (false, false);
    for name in row.names {
        if let Some(long) = name.strip_prefix("--") {
            arg = if has_long { arg.visible_alias(long) } else { arg.long(long) };
            has_long = true;
        } else if let Some(short) = name.chars().nth(1) {
            arg = if has_short { arg.visible_short_alias(short) } else { arg.short(short) };
            has_short = true;
        }
    }
    match row.takes {
        Nothing => arg.num_args(0).default_missing_value(""),
        One(value) => arg.num_args(1).value_name(value).allow_hyphen_values(true),
        Words(value) => arg.num_args(1..).value_name(value),
    }
}

/// The options of a line in its order, each with its values.
pub fn in_order(matches: &ArgMatches) -> Vec<(&'static str, Vec<OsString>)> {
    let mut given: Vec<(usize, &'static str, Vec<OsString>)> = Vec::new();
    for row in OPTIONS {
        let (Some(indices), Some(values)) = (matches.indices_of(row.id), matches.get_many::<OsString>(row.id)) else {
            continue;
        };
        if let Words(_) = row.takes {
            let first = indices.min().unwrap_or_default();
            given.push((first, row.id, values.cloned().collect()));
        } else {
            given.extend(indices.zip(values).map(|(index, value)| (index, row.id, vec![value.clone()])));
        }
    }
    given.sort_by_key(|(index, ..)| *index);
    given.into_iter().map(|(_, id, values)| (id, values)).collect()
}

/// What `--help` shows.
pub fn usage() -> String {
    const COLUMN: usize = 21;
    let mut out = format!("{NAME} {VERSION}\n\nUsage: {NAME} [OPTIONS] [cmd [arg [arg ...]]]\n");
    for row in OPTIONS {
        let mut head = format!("  {}", row.names.join(", "));
        match row.takes {
            Nothing => {}
            One(value) => head += &format!(" <{value}>"),
            Words(value) => head += &format!(" <{value}> [args...]"),
        }
        if head.len() >= COLUMN {
            out += &format!("{head}\n{:COLUMN$}", "");
        } else {
            out += &format!("{head:COLUMN$}");
        }
        out += &wrapped(row.help, COLUMN, 79);
        out.push('\n');
    }
    out += &format!(
        "\nInstead of a command:\n  {NAME} top           The replication around the server, as it changes.\n  \
         {NAME} rdb <file>    What a snapshot holds.\n  Each has a --help. Behind -- they are commands: {NAME} -- top\n"
    );
    out += &format!(
        "\nExamples:\n  {NAME} -x set mykey < file\n  {NAME} -D \"\" --raw dump key | {NAME} -X value restore copy 0 value replace\n  \
         {NAME} -r 100 lpush mylist x\n  {NAME} -r 60 -i 1 info memory\n  {NAME} --quoted-input set '\"with-\\x00-zero\"' value\n  \
         {NAME} --eval script.lua key1 key2 , arg1 arg2\n  {NAME} --scan --pattern 'user:*'\n\n\
         Without a command it is interactive: \"help\" there tells more.\n"
    );
    out
}

/// Words in lines of at most `width` characters, all but the first indented.
fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let (mut out, mut at) = (String::new(), indent);
    for word in text.split(' ') {
        if at > indent && at + 1 + word.len() > width {
            out += &format!("\n{:indent$}", "");
            at = indent;
        } else if at > indent {
            out.push(' ');
            at += 1;
        }
        out += word;
        at += word.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        command().debug_assert();
        for row in OPTIONS {
            assert!(row.help.ends_with('.'), "{}", row.id);
        }
        assert!(usage().lines().all(|line| line.len() <= 100));
    }
}
