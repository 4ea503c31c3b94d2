//! SCRIPT with its subcommands. SCRIPT KILL and SCRIPT DEBUG are the server's.

use rivulet_commands::fail::Fail;
use rivulet_resp::{Args, Reply};

use crate::function_command::{Answer, unknown, write_help};
use crate::scripts::Scripts;

/// Runs the command. The arity of each subcommand was checked.
pub fn run(scripts: &mut Scripts, args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
    let subcommand = args.get(1).unwrap_or_default().to_ascii_lowercase();
    let result = match subcommand.as_slice() {
        b"load" => load(scripts, args, reply),
        b"exists" => {
            let digits = args.from(2);
            reply.array(digits.len());
            digits.iter().for_each(|d| reply.int(i64::from(scripts.exists(d))));
            Ok(Answer::Replied)
        }
        b"show" => scripts.text(args.get(2).unwrap_or_default()).map(|text| {
            reply.bulk(text);
            Answer::Replied
        }),
        b"flush" => flush(scripts, args, reply),
        b"kill" => Ok(Answer::Kill),
        b"help" => {
            write_help(HELP, reply);
            Ok(Answer::Replied)
        }
        _ => Err(unknown(args, "unknown subcommand", "SCRIPT")),
    };
    result.unwrap_or_else(|fail| {
        reply.error(&fail.0);
        Answer::Replied
    })
}

/// What the third argument of a FLUSH says: whether the old is dropped on another thread. `None`: the server's setting decides.
///
/// # Errors
/// It is another word, or there are more.
pub(crate) fn flush_mode(args: Args<'_>, error: &'static str) -> Result<Option<bool>, Fail> {
    match args.len() {
        2 => Ok(None),
        3 if args.is(2, "async") => Ok(Some(true)),
        3 if args.is(2, "sync") => Ok(Some(false)),
        _ => Err(Fail::new(error)),
    }
}

fn load(scripts: &mut Scripts, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Answer, Fail> {
    let sha = scripts.load(args.get(2).unwrap_or_default())?;
    reply.bulk(&sha);
    Ok(Answer::Replied)
}

fn flush(scripts: &mut Scripts, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Answer, Fail> {
    let asynchronous = flush_mode(args, "ERR SCRIPT FLUSH only support SYNC|ASYNC option")?;
    let remains = scripts.flush();
    reply.ok();
    Ok(Answer::Flushed { remains, asynchronous })
}

const HELP: &[&str] = &[
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DEBUG (YES|SYNC|NO)",
    "    Say whether the scripts of this connection are debugged: YES without effect on the data, SYNC with.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Say which scripts are there.",
    "FLUSH [ASYNC|SYNC]",
    "    Forget all scripts.",
    "KILL",
    "    End the script that runs, unless it has written.",
    "LOAD <script>",
    "    Keep a script without running it.",
    "SHOW <sha1>",
    "    Show the text of a script.",
    "HELP",
    "    Print this help.",
];
