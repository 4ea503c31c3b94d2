//! ACL.

use rivulet_acl::{Deleted, Entry, Selector, User, has_blanks};
use rivulet_commands::fail::{Fail, NOT_INTEGER};
use rivulet_commands::spec::acl;
use rivulet_commands::{Command, table};
use rivulet_resp::{Args, Reply};

use crate::acl::all_channels;
use crate::commands::connection::wrong_subcommand;
use crate::engine::asker::Asker;
use crate::front::client_id::ClientId;
use crate::node::Node;

/// The lines of ACL HELP.
const HELP: &[&str] = &[
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

const NO_FILE: Fail = Fail::new(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
);

/// Bits of a password that ACL GENPASS makes.
const GENPASS_BITS: i64 = 256;
const GENPASS_BITS_MAX: i64 = 4096;
/// Entries that ACL LOG shows.
const LOG_SHOWN: i64 = 10;

impl Node {
    pub fn acl_command(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        match (command.name, args.len()) {
            ("setuser", _) => self.acl_setuser(by, args),
            ("deluser", _) => self.acl_deluser(by, args),
            ("getuser", _) => {
                match self.acl.users.get(args.at(2)) {
                    Some(user) => write_user(&mut by.reply, user),
                    None => by.reply.null(),
                }
                Ok(())
            }
            ("list", _) => {
                by.reply.array(self.acl.users.len());
                self.acl.users.iter().for_each(|user| by.reply.bulk(&user.line()));
                Ok(())
            }
            ("users", _) => {
                by.reply.array(self.acl.users.len());
                self.acl.users.iter().for_each(|user| by.reply.bulk(&user.name));
                Ok(())
            }
            ("whoami", _) => {
                by.reply.bulk(&self.clients.at(by.id).session.login.user.name);
                Ok(())
            }
            ("load" | "save", _) if self.config.aclfile.is_empty() => Err(NO_FILE),
            ("load", _) => self.acl_load(by),
            ("save", _) => self.acl_save(by),
            ("cat", 2 | 3) => acl_cat(by, args),
            ("genpass", 2 | 3) => acl_genpass(by, args),
            ("log", 2 | 3) => self.acl_log(by, args),
            ("dryrun", _) => self.acl_dryrun(by, args),
            ("help", _) => {
                self.help(by, "ACL", HELP);
                Ok(())
            }
            _ => Err(wrong_subcommand(args)),
        }
    }

    fn acl_setuser(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let name = args.at(2);
        if has_blanks(name) {
            return Err(Fail::new("ERR Usernames can't contain spaces or null characters"));
        }
        let rules: Vec<&[u8]> = args.iter().skip(3).collect();
        self.acl.users.all_channels = all_channels(&self.config);
        self.acl.users.set(name, &rules).map_err(|error| one_line(format!("ERR {error}")))?;
        self.renew_logins(by.id);
        by.reply.ok();
        Ok(())
    }

    fn acl_deluser(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        match self.acl.users.delete(args.iter().skip(2)) {
            Deleted::RefusedDefault => Err(Fail::new("ERR The 'default' user cannot be removed")),
            Deleted::Some(count) => {
                self.renew_logins(by.id);
                by.reply.int(count as i64);
                Ok(())
            }
        }
    }

    /// Clients of users that stay are kept, with what those may do now.
    fn acl_load(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        let before = self.acl.users.clone();
        self.load_users().map_err(|fail| one_line(format!("ERR {}", String::from_utf8_lossy(&fail.0))))?;
        // Who is as before stays the same, so that sessions need no look.
        self.acl.users.keep_unchanged(&before);
        self.renew_logins(by.id);
        by.reply.ok();
        Ok(())
    }

    fn acl_save(&mut self, by: &mut Asker<'_>) -> Result<(), Fail> {
        self.save_users().map_err(|_| {
            Fail::new(
                "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
            )
        })?;
        by.reply.ok();
        Ok(())
    }

    fn acl_log(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        if args.is(2, "reset") {
            self.acl.log.reset();
            by.reply.ok();
            return Ok(());
        }
        let wanted = args.get(2).map_or(Ok(LOG_SHOWN), |n| rivulet_commands::parse::int(n).map_err(|_| NOT_INTEGER))?;
        let entries = self.acl.log.iter();
        let shown = usize::try_from(wanted).unwrap_or(0).min(entries.len());
        by.reply.array(shown);
        let now_ms = self.unix_ms();
        self.acl.log.iter().take(shown).for_each(|entry| write_entry(&mut by.reply, entry, now_ms));
        Ok(())
    }

    fn acl_dryrun(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let shown = |at: usize| String::from_utf8_lossy(args.at(at)).into_owned();
        let Some(user) = self.acl.users.get(args.at(2)) else {
            return Err(one_line(format!("ERR User '{}' not found", shown(2))));
        };
        let line = args.from(3);
        let Some(command) = self.find_with_subcommand(line) else {
            return Err(one_line(format!("ERR Command '{}' not found", shown(3))));
        };
        if !command.arity_fits(line.len()) {
            return Err(Fail::arity(command.full_name));
        }
        match user.check(command, line) {
            Ok(()) => by.reply.ok(),
            Err(denied) => by.reply.bulk(&denied.in_dry_run(command, line)),
        }
        Ok(())
    }

    /// The users' directives have changed; `by` is the client that changed them.
    pub fn default_password_changed(&mut self, by: ClientId) {
        self.acl.users.set_default_password(&self.config.requirepass);
        self.renew_logins(by);
    }
}

/// An error reply is one line, whatever a client has put into it.
fn one_line(text: String) -> Fail {
    Fail::text(text.replace(['\r', '\n'], " "))
}

fn acl_cat(by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
    let reply = &mut by.reply;
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
    let all = table::commands().flat_map(|command| std::iter::once(command).chain(command.subcommands));
    let found: Vec<&Command> = all.filter(|command| command.acl & category != 0).collect();
    reply.array(found.len());
    found.iter().for_each(|command| reply.bulk(command.full_name.as_bytes()));
    Ok(())
}

fn acl_genpass(by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
    let bits = args.get(2).map_or(Ok(GENPASS_BITS), |n| rivulet_commands::parse::int(n).map_err(|_| NOT_INTEGER))?;
    if !(1..=GENPASS_BITS_MAX).contains(&bits) {
        return Err(Fail::text(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to {GENPASS_BITS_MAX}"
        )));
    }
    // Each byte gives one digit of four bits.
    let mut bytes = vec![0; (bits as usize).div_ceil(4)];
    rivulet_host::random::fill(&mut bytes).map_err(|e| Fail::text(format!("ERR no random bytes: {e}")))?;
    let digits: Vec<u8> = bytes.iter().map(|byte| b"0123456789abcdef"[usize::from(byte & 15)]).collect();
    by.reply.bulk(&digits);
    Ok(())
}

/// ACL GETUSER's reply.
fn write_user(reply: &mut Reply<'_>, user: &User) {
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
