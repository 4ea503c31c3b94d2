//! `rivulet-cli`: a terminal's client, with redis-cli's options, output forms and modes.
//!
//! In order: `usage` and `options` (the command line), `session` (the conversation with a server), `format` (how replies look), `repl` with
//! `editor`, `help` and `history` (the interactive program), `modes` (everything that is no command),
//! `program` with `top` and `rdb` (what is no client's), and the edge: `out`, `clock`, `tls`.
//! It speaks to the server as any client does, and keeps nothing but the history of lines.

mod clock;
mod editor;
mod format;
mod help;
mod history;
#[cfg(test)]
mod manual;
mod modes;
mod options;
mod out;
mod program;
mod rdb;
mod repl;
mod session;
mod tls;
mod top;
mod usage;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;
use std::sync::Arc;

use options::{Asked, Mode, Options, Surroundings, unquoted};
use out::Fatal;
use program::Program;
use session::{Lost, Session, Words};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fatal(text)) => {
            if !text.is_empty() {
                eprintln!("{text}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Fatal> {
    let surroundings = Surroundings {
        has_terminal: io::stdout().is_terminal() || std::env::var_os("FAKETTY").is_some(),
        password: std::env::var_os("REDISCLI_AUTH"),
    };
    let line: Vec<OsString> = std::env::args_os().collect();
    let mut options = match Options::parse(&line, &surroundings)? {
        Asked::Help => {
            out::write(usage::usage().as_bytes());
            return Ok(());
        }
        Asked::Version => {
            out::write(format!("{} {}\n", usage::NAME, usage::VERSION).as_bytes());
            return Ok(());
        }
        Asked::Run(options) => *options,
    };
    let program = Program::of(&line, &options).transpose()?;
    match &program {
        Some(Program::Usage(usage)) => {
            out::write(usage.as_bytes());
            return Ok(());
        }
        Some(Program::Rdb(asked)) => return rdb::run(asked),
        Some(Program::Top(_)) | None => {}
    }
    if options.asks_password {
        options.password = Some(editor::ask_password("Please input password: ")?);
    }
    let tls = match options.has_tls {
        true => {
            let failed = |why| Fatal(format!("Could not negotiate a TLS connection: {why}"));
            Some(tls::context(&options.tls).map_err(failed)?)
        }
        false => None,
    };
    if let Some(Program::Top(asked)) = program {
        return top::run(&options, tls, asked);
    }
    let mut session = Session::new(options, tls);
    match session.options.mode.clone() {
        Some(mode) => run_mode(&mut session, &mode),
        None => match session.options.eval.clone() {
            Some(file) => {
                session.connect(false)?;
                modes::eval::run(&mut session, &file)
            }
            None if session.options.words.is_empty() => interact(&mut session),
            None => run_command(&mut session),
        },
    }
}

fn run_mode(session: &mut Session, mode: &Mode) -> Result<(), Fatal> {
    match mode {
        Mode::Cluster => return modes::cluster::run(session),
        Mode::IntrinsicLatency { seconds } => return modes::intrinsic::run(*seconds),
        _ => session.connect(false)?,
    }
    match mode {
        Mode::Cluster | Mode::IntrinsicLatency { .. } => Ok(()),
        Mode::Latency => modes::latency::run(session),
        Mode::LatencyDist => modes::latency_dist::run(session),
        Mode::Replica => {
            session.replconf("capa", "eof")?;
            session.replconf("rdb-filter-only", "")?;
            session.follow_stream()
        }
        Mode::Dump { to, only_functions } => modes::dump::run(session, to, *only_functions),
        Mode::Pipe => modes::pipe::run(session),
        Mode::BigKeys => modes::keys::run(session, modes::keys::By::Elements),
        Mode::MemKeys { samples } => modes::keys::run(session, modes::keys::By::Memory { samples: *samples }),
        Mode::KeyStats { samples } => modes::keystats::run(session, *samples),
        Mode::HotKeys => modes::hotkeys::run(session),
        Mode::Stat => modes::stat::run(session),
        Mode::Scan => modes::scan::run(session),
        Mode::LruTest { keys } => modes::lru::run(session, *keys),
    }
}

fn interact(session: &mut Session) -> Result<(), Fatal> {
    session.is_interactive = true;
    let (interrupted, is_deaf) = (Arc::clone(&session.interrupted), Arc::clone(&session.is_deaf));
    // The one that ends the program comes first.
    signal_hook::flag::register_conditional_default(signal_hook::consts::SIGINT, is_deaf)
        .and_then(|_| signal_hook::flag::register(signal_hook::consts::SIGINT, interrupted))
        .map_err(|error| Fatal(format!("Can't watch for Ctrl-C: {error}")))?;
    // Each command tries again.
    let _ = session.connect(false);
    repl::Repl::new(session)?.run().map(|_| ())
}

fn run_command(session: &mut Session) -> Result<(), Fatal> {
    let mut words = session.options.words.clone();
    if session.options.has_quoted_input {
        let plain: Option<Vec<Vec<u8>>> = words.iter().map(|word| unquoted(word)).collect();
        let Some(plain) = plain else {
            out::write(b"Invalid quoted string\n");
            return Err(Fatal::said());
        };
        words = plain;
    }
    // What the server says to the login is shown, and so is what it says then.
    let _ = session.connect(true);
    take_stdin(&session.options, &mut words)?;
    let asked = Words(&words);
    if asked.is(0, "help") || asked.is(0, "?") {
        let topic: Vec<String> = words[1..].iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        repl::show_help(session, &topic);
        return Ok(());
    }
    match session.run(&words, session.options.repeat) {
        Ok(()) => Ok(()),
        Err(Lost::Link) => Err(Fatal::said()),
        Err(Lost::Program(fatal)) => Err(fatal),
    }
}

/// The argument that standard input holds.
fn take_stdin(options: &Options, words: &mut Vec<Vec<u8>>) -> Result<(), Fatal> {
    let read = || {
        let mut bytes = Vec::new();
        match io::stdin().lock().read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(Fatal(format!("Reading from standard input: {}", out::system_words(&error)))),
        }
    };
    if options.takes_stdin {
        words.push(read()?);
    } else if let Some(tag) = &options.stdin_tag {
        let place = words.iter().position(|word| word == tag);
        words[place.ok_or("Using -X option but stdin tag not match.")?] = read()?;
    }
    Ok(())
}
