//! What ACL answers, wherever it is asked: on a server and on a Sentinel.

use rivulet_commands::Command;
use rivulet_commands::fail::{Fail, NOT_INTEGER};
use rivulet_commands::spec::acl;
use rivulet_commands::table::Table;
use rivulet_resp::{Args, Reply};

use crate::log::{Entry, Log};
use crate::selector::Selector;
use crate::user::User;
use crate::users::Users;

/// The lines of ACL HELP.
pub const HELP: &[&str] = &[
    "CAT [<category>]",
    "    The categories of commands, or the commands of one.",
    "DELUSER <username> [<username> ...]",
    "    Delete users and close their connections.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Whether a user may run a command. It is not run.",
    "GENPASS [<bits>]",
    "    A random password of 256 bits, or of so many.",
    "GETUSER <username>",
    "    What a user is and may do.",
    "LIST",
    "    All users, as lines for a file.",
    "LOAD",
    "    Read the users from their file again.",
    "LOG [<count> | RESET]",
    "    The latest entries of what was denied, or forget them.",
    "SAVE",
    "    Write the users to their file.",
    "SETUSER <username> [<rule> ...]",
    "    Make or change a user.",
    "USERS",
    "    The names of all users.",
    "WHOAMI",
    "    The name of this connection's user.",
];

/// ACL LOAD and SAVE without `aclfile`.
pub const NO_FILE: Fail = Fail::new(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
);

/// Bits of a password that ACL GENPASS makes.
const GENPASS_BITS: i64 = 256;
const GENPASS_BITS_MAX: i64 = 4096;
/// Entries that ACL LOG shows.
const LOG_SHOWN: i64 = 10;

/// An error reply is one line, whatever a client has put into it.
pub fn one_line(text: String) -> Fail {
    Fail::text(text.replace(['\r', '\n'], " "))
}

/// ACL GETUSER.
pub fn write_user(reply: &mut Reply<'_>, user: &User) {
    reply.map(6);
    reply.bulk(b"flags");
    let words = user.flag_words();
    reply.set(words.len());
    words.iter().for_each(|word| reply.bulk(word.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords.len());
    user.passwords.iter().for_each(|password| reply.bulk(password.to_string().as_bytes()));
    write_selector(reply, &user.root);
    reply.bulk(b"selectors");
    reply.array(user.others.len());
    for selector in &user.others {
        reply.map(3);
        write_selector(reply, selector);
    }
}

fn write_selector(reply: &mut Reply<'_>, selector: &Selector) {
    for (name, rules) in
        [("commands", selector.command_rules()), ("keys", selector.key_rules()), ("channels", selector.channel_rules())]
    {
        reply.bulk(name.as_bytes());
        reply.bulk(&rules);
    }
}

/// ACL LOG with its arguments, but for RESET.
///
/// # Errors
/// The count is no number.
pub fn write_log(reply: &mut Reply<'_>, log: &Log, args: Args<'_>, now_ms: u64) -> Result<(), Fail> {
    let wanted = args.get(2).map_or(Ok(LOG_SHOWN), |n| rivulet_commands::parse::int(n).map_err(|_| NOT_INTEGER))?;
    let shown = usize::try_from(wanted).unwrap_or(0).min(log.iter().len());
    reply.array(shown);
    log.iter().take(shown).for_each(|entry| write_entry(reply, entry, now_ms));
    Ok(())
}

/// An entry of ACL LOG, in the form of Redis 7.2.
fn write_entry(reply: &mut Reply<'_>, entry: &Entry, now_ms: u64) {
    let event = &entry.event;
    reply.map(10);
    reply.bulk(b"count");
    reply.int(entry.count as i64);
    for (name, text) in [
        ("reason", event.reason.name().as_bytes()),
        ("context", event.context.name().as_bytes()),
        ("object", &event.object),
        ("username", &event.user),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(text);
    }
    reply.bulk(b"age-seconds");
    reply.double(now_ms.saturating_sub(entry.updated_ms) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(event.client.as_bytes());
    for (name, number) in
        [("entry-id", entry.id), ("timestamp-created", entry.created_ms), ("timestamp-last-updated", entry.updated_ms)]
    {
        reply.bulk(name.as_bytes());
        reply.int(number as i64);
    }
}

/// ACL CAT.
///
/// # Errors
/// There is no such category.
pub fn write_categories(reply: &mut Reply<'_>, table: &Table, args: Args<'_>) -> Result<(), Fail> {
    let Some(wanted) = args.get(2) else {
        reply.array(acl::NAMES.len());
        acl::NAMES.iter().for_each(|(_, name)| reply.bulk(name.as_bytes()));
        return Ok(());
    };
    let named = acl::NAMES.iter().find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(wanted));
    let Some((category, _)) = named else {
        let shown = String::from_utf8_lossy(&wanted[..wanted.len().min(128)]);
        return Err(one_line(format!("ERR Unknown category '{shown}'")));
    };
    let all = table.commands().flat_map(|command| std::iter::once(command).chain(command.subcommands));
    let found: Vec<&Command> = all.filter(|command| command.acl & category != 0).collect();
    reply.array(found.len());
    found.iter().for_each(|command| reply.bulk(command.full_name.as_bytes()));
    Ok(())
}

/// How many random bytes [`password_of`] needs for ACL GENPASS with these arguments.
///
/// # Errors
/// It is no number of bits.
pub fn password_len(args: Args<'_>) -> Result<usize, Fail> {
    let bits = args.get(2).map_or(Ok(GENPASS_BITS), |n| rivulet_commands::parse::int(n).map_err(|_| NOT_INTEGER))?;
    if !(1..=GENPASS_BITS_MAX).contains(&bits) {
        return Err(Fail::text(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {GENPASS_BITS_MAX}"
        )));
    }
    Ok((bits as usize).div_ceil(4))
}

/// A password of random bytes: each gives one digit of four bits.
pub fn password_of(random: &[u8]) -> Vec<u8> {
    random.iter().map(|byte| b"0123456789abcdef"[usize::from(byte & 15)]).collect()
}

/// ACL DRYRUN; `find` tells the command of a line.
///
/// # Errors
/// There is no such user or command, or its number of arguments is wrong.
pub fn write_dry_run(
    reply: &mut Reply<'_>,
    users: &Users,
    args: Args<'_>,
    find: impl FnOnce(Args<'_>) -> Option<&'static Command>,
) -> Result<(), Fail> {
    let shown = |at: usize| String::from_utf8_lossy(args.at(at)).into_owned();
    let Some(user) = users.get(args.at(2)) else {
        return Err(one_line(format!("ERR User '{}' not found", shown(2))));
    };
    let line = args.from(3);
    let Some(command) = find(line) else {
        return Err(one_line(format!("ERR Command '{}' not found", shown(3))));
    };
    if !command.arity_fits(line.len()) {
        return Err(Fail::arity(command.full_name));
    }
    match user.check(command, line) {
        Ok(()) => reply.ok(),
        Err(denied) => reply.bulk(&denied.in_dry_run(command, line)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rivulet_commands::table;
    use rivulet_resp::OwnedArgs;

    use super::*;

    fn told(write: impl FnOnce(&mut Reply<'_>) -> Result<(), Fail>) -> String {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, false);
        if let Err(fail) = write(&mut reply) {
            return String::from_utf8_lossy(&fail.0).into_owned();
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_dry_run_says_why() {
        let mut users = Users::new(false);
        users.set(b"u", &[b"+get", b"~a*"]).expect("rules");
        for (line, want) in [
            ("u get a", "+OK\r\n"),
            ("u get b", "$53\r\nThis user has no permissions to access the 'b' key\r\n"),
            ("u set a", "ERR wrong number of arguments for 'set' command"),
            ("u nonsense", "ERR Command 'nonsense' not found"),
            ("nobody get a", "ERR User 'nobody' not found"),
        ] {
            let words: Vec<&str> = ["ACL", "DRYRUN"].into_iter().chain(line.split(' ')).collect();
            let args = OwnedArgs::from_slices(&words);
            let find = |line: Args<'_>| table::find(line.at(0));
            let reply = told(|reply| write_dry_run(reply, &users, args.as_args(), find));
            let lengths_aside = |text: &str| text.split_once("\r\n").map_or(text.to_string(), |(_, rest)| rest.into());
            assert_eq!(lengths_aside(&reply), lengths_aside(want), "{line}");
        }
    }

    #[test]
    fn passwords_have_the_bits_that_were_asked_for() {
        let len = |words: &[&str]| password_len(OwnedArgs::from_slices(words).as_args());
        for (words, want) in
            [(&["ACL", "GENPASS"][..], 64), (&["ACL", "GENPASS", "5"], 2), (&["ACL", "GENPASS", "4096"], 1024)]
        {
            assert_eq!(len(words), Ok(want));
        }
        assert!(len(&["ACL", "GENPASS", "0"]).is_err() && len(&["ACL", "GENPASS", "4097"]).is_err());
        assert_eq!(len(&["ACL", "GENPASS", "x"]), Err(NOT_INTEGER));
        assert_eq!(password_of(&[0x00, 0x1f, 0xfa]), b"0fa");
    }
}
