//! `--eval`: the script of a file, with keys and arguments; or a session of the server's debugger with it.

use std::fs;
use std::path::Path;

use crate::out::{Fatal, say, system_words};
use crate::repl::{Left, Repl};
use crate::session::{Debugger, Lost, Session};

/// Runs the script, as often as `-r` says.
///
/// # Errors
/// The file can't be read, the link is lost, or the server has no debugger.
pub fn run(session: &mut Session, file: &Path) -> Result<(), Fatal> {
    loop {
        let script = fs::read(file)
            .map_err(|error| Fatal(format!("Can't open file '{}': {}", file.display(), system_words(&error))))?;
        let command = command(script, &session.options.words);
        if !session.options.debugs_script {
            return match session.run(&command, session.options.repeat) {
                Ok(()) => Ok(()),
                Err(Lost::Link) => Err(Fatal::said()),
                Err(Lost::Program(fatal)) => Err(fatal),
            };
        }
        if !debug(session, &command)? {
            return Ok(());
        }
    }
}

/// One session of the debugger; answers whether another is wanted.
fn debug(session: &mut Session, command: &[Vec<u8>]) -> Result<bool, Fatal> {
    let kind = if session.options.debugs_in_sync { "sync" } else { "yes" };
    let reply = session.ask(&["SCRIPT", "DEBUG", kind])?;
    if reply.is_error() {
        return Err(Fatal(format!("The server does not debug scripts: {}", reply.text())));
    }
    say!(
        "Lua debugging session started, please use:\n\
         quit    -- End the session.\n\
         restart -- Restart the script in debug mode again.\n\
         help    -- Show Lua script debugging commands.\n\n"
    );
    session.debugger = Debugger::Armed;
    match session.run(command, 1) {
        Ok(()) => {}
        Err(Lost::Link) => return Err(Fatal::said()),
        Err(Lost::Program(fatal)) => return Err(fatal),
    }
    if session.debugger != Debugger::On {
        say!("Eval debugging session can't start:\n");
        session.debugger = Debugger::Off;
        return match session.read_last() {
            Err(Lost::Program(fatal)) => Err(fatal),
            _ => Ok(false),
        };
    }
    let left = Repl::new(session)?.run()?;
    if left == Left::Restart {
        session.debugger = Debugger::Off;
        session.reconnect(false)?;
        say!("\n");
    }
    Ok(left == Left::Restart)
}

/// EVAL with the script; a comma that stands alone ends the keys.
fn command(script: Vec<u8>, words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let comma = words.iter().position(|word| word == b",");
    let keys = comma.unwrap_or(words.len());
    let arguments = words.get(keys + 1..).unwrap_or_default();
    let mut command = vec![b"EVAL".to_vec(), script, keys.to_string().into_bytes()];
    command.extend_from_slice(&words[..keys]);
    command.extend_from_slice(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_ends_the_keys() {
        for (words, expected) in [
            ("", "EVAL s 0"),
            ("a b", "EVAL s 2 a b"),
            ("a b , c", "EVAL s 2 a b c"),
            (", c d", "EVAL s 0 c d"),
            ("a ,", "EVAL s 1 a"),
            ("a, b", "EVAL s 2 a, b"),
            ("a , b , c", "EVAL s 1 a b , c"),
        ] {
            let words: Vec<Vec<u8>> = words.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
            let shown = command(b"s".to_vec(), &words).join(&b' ');
            assert_eq!(String::from_utf8_lossy(&shown), expected);
        }
    }
}
