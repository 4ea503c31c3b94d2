//! What the program can do beside speaking to a server in commands: `rivulet-cli top` and `rivulet-cli rdb FILE`.
//!
//! Only a first word in small letters names one, and not behind `--`: a server may have a command of that name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::format::Output;
use crate::options::Options;
use crate::usage::NAME;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    Top(Top),
    Rdb(Rdb),
    /// How one of them is called.
    Usage(&'static str),
}

/// `top`: the replication around a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    /// One picture, as text.
    pub is_once: bool,
    /// One picture, as JSON.
    pub is_json: bool,
}

/// `rdb`: what a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rdb {
    pub file: PathBuf,
    /// Parts of keys that make a prefix; from 0 to 64.
    pub depth: usize,
    pub separator: Vec<u8>,
    /// Prefixes and keys that are shown; from 0 to 10,000.
    pub rows: usize,
    pub is_json: bool,
}

/// What `top --help` shows.
pub const TOP_USAGE: &str = "\
Usage: rivulet-cli [OPTIONS] top [--once] [--json]

Shows all nodes that replicate with the server, as they change; `?` there tells the keys.

  --once   Print one picture as text, and end.
  --json   Print one picture as JSON, and end.

`rivulet-cli -- top` sends a command of that name.
";

/// What `rdb --help` shows.
pub const RDB_USAGE: &str = "\
Usage: rivulet-cli rdb FILE [--depth N] [--separator S] [--top N] [--json]

Shows what a snapshot holds: by type, prefix, size and expiry, and the biggest keys.

  --depth N       So many parts of a key are its prefix (default: 1).
  --separator S   What stands between the parts (default: ':').
  --top N         So many prefixes and keys are shown (default: 20).
  --json          Print it as JSON.

`rivulet-cli -- rdb FILE` sends a command of that name.
";

const DEPTH_MAX: u64 = 64;
const ROWS_MAX: u64 = 10_000;
const ROWS: &str = "20";

impl Program {
    /// What the words of this command line ask for, if it is no command for a server.
    ///
    /// # Errors
    /// Its own options are wrong; said in words.
    pub fn of(line: &[OsString], options: &Options) -> Option<Result<Program, String>> {
        let (name, rest) = options.words.split_first()?;
        // The words are the line's last.
        let before = line.len().checked_sub(options.words.len() + 1)?;
        if line[before] == "--" || options.mode.is_some() || options.eval.is_some() {
            return None;
        }
        let rest: Vec<OsString> = rest.iter().map(|word| std::ffi::OsStr::from_bytes(word).to_owned()).collect();
        let is_json = matches!(options.output, Output::Json | Output::QuotedJson);
        match name.as_slice() {
            b"top" => Some(parsed(top(), TOP_USAGE, rest, |matches| {
                Program::Top(Top { is_once: matches.get_flag("once"), is_json: is_json || matches.get_flag("json") })
            })),
            b"rdb" => Some(parsed(rdb(), RDB_USAGE, rest, |matches| {
                let count = |id| matches.get_one::<u64>(id).copied().unwrap_or_default() as usize;
                let text = |id| matches.get_one::<OsString>(id).cloned().unwrap_or_default();
                Program::Rdb(Rdb {
                    file: text("file").into(),
                    depth: count("depth"),
                    separator: text("separator").as_bytes().to_vec(),
                    rows: count("top"),
                    is_json: is_json || matches.get_flag("json"),
                })
            })),
            _ => None,
        }
    }
}

fn parsed(
    command: Command,
    usage: &'static str,
    words: Vec<OsString>,
    made: impl FnOnce(&ArgMatches) -> Program,
) -> Result<Program, String> {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(Program::Usage(usage));
    }
    match command.try_get_matches_from(words) {
        Ok(matches) => Ok(made(&matches)),
        Err(error) => Err(format!("{NAME}: {}\n\n{usage}", error.to_string().trim())),
    }
}

fn program(name: &'static str) -> Command {
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
    Command::new(name).no_binary_name(true).disable_help_flag(true).disable_version_flag(true).arg(json)
}

/// The options of `top`.
pub fn top() -> Command {
    program("top").arg(Arg::new("once").long("once").action(ArgAction::SetTrue))
}

/// The options of `rdb`.
pub fn rdb() -> Command {
    let one = |id| Arg::new(id).long(id).num_args(1);
    let count = |id, default, most| one(id).default_value(default).value_parser(value_parser!(u64).range(0..=most));
    let some = ValueParser::new(|text: &str| match text {
        "" => Err("a separator has a character at least".to_string()),
        _ => Ok(OsString::from(text)),
    });
    program("rdb")
        .arg(Arg::new("file").required(true).value_parser(ValueParser::os_string()))
        .arg(count("depth", "1", DEPTH_MAX))
        .arg(count("top", ROWS, ROWS_MAX))
        .arg(one("separator").default_value(":").value_parser(some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Asked, Surroundings};

    fn of(line: &str) -> Option<Result<Program, String>> {
        let line: Vec<OsString> = std::iter::once("rivulet-cli").chain(line.split(' ')).map(OsString::from).collect();
        let Ok(Asked::Run(options)) = Options::parse(&line, &Surroundings::default()) else { panic!("{line:?}") };
        Program::of(&line, &options)
    }

    fn rdb() -> Rdb {
        let separator = b":".to_vec();
        Rdb { file: "dump.rdb".into(), depth: 1, separator, rows: 20, is_json: false }
    }

    #[test]
    fn only_a_first_word_in_small_letters_is_a_program() {
        assert_eq!(of("top"), Some(Ok(Program::Top(Top { is_once: false, is_json: false }))));
        assert_eq!(of("-p 7000 top --once"), Some(Ok(Program::Top(Top { is_once: true, is_json: false }))));
        assert_eq!(of("--json top"), Some(Ok(Program::Top(Top { is_once: false, is_json: true }))));
        for command in ["TOP", "-- top", "-p 7000 -- top", "get top", "--scan top", "-- rdb dump.rdb", "RDB x"] {
            assert_eq!(of(command), None, "{command}");
        }
    }

    #[test]
    fn options_of_rdb() {
        assert_eq!(of("rdb dump.rdb"), Some(Ok(Program::Rdb(rdb()))));
        let all = Rdb { depth: 2, separator: b"--".to_vec(), rows: 5, is_json: true, ..rdb() };
        assert_eq!(of("rdb --depth 2 --separator=-- --top 5 dump.rdb --json"), Some(Ok(Program::Rdb(all))));
        assert_eq!(of("rdb --help"), Some(Ok(Program::Usage(RDB_USAGE))));
        for wrong in
            ["rdb", "rdb a b", "rdb a --depth 65", "rdb a --depth -1", "rdb a --separator=", "top x", "top --on"]
        {
            assert!(matches!(of(wrong), Some(Err(_))), "{wrong}");
        }
    }
}
