//! Users of a Sentinel: who may connect, and what each may call. A Sentinel has no keys, so only commands and channels matter.

use std::collections::{BTreeMap, BTreeSet};

use rivulet_commands::glob;
use rivulet_commands::spec::acl;
use rivulet_resp::inline::quote_if_needed;
use rivulet_resp::{Args, Reply};
use sha2::{Digest, Sha256};

use crate::command_table::{self, Row};
use crate::program::Program;
use crate::subscriptions::Subscriptions;

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Category(String, u32),
    /// A command, or `command|subcommand`.
    Command(String),
}

impl Scope {
    fn fits(&self, row: &Row, full_name: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Category(_, bit) => row.categories & bit != 0,
            Scope::Command(name) => *name == row.name || *name == full_name,
        }
    }

    fn text(&self) -> String {
        match self {
            Scope::All => "@all".into(),
            Scope::Category(name, _) => format!("@{name}"),
            Scope::Command(name) => name.clone(),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct User {
    is_on: bool,
    needs_no_password: bool,
    /// SHA-256, in hexadecimal digits.
    passwords: BTreeSet<String>,
    /// The last one that is about a command counts.
    rules: Vec<(bool, Scope)>,
    /// Patterns; nothing stands for all of them when `all_*` is set.
    keys: Vec<String>,
    channels: Vec<String>,
}

/// Somebody was turned away.
pub struct Denial {
    count: i64,
    /// `auth`, `command` or `channel`.
    reason: &'static str,
    object: String,
    user: String,
    client: String,
    last_ms: u64,
}

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the configuration.";

/// All users, by name.
pub struct Users(BTreeMap<String, User>);

/// Rules of one user, and users; strangers don't make any, but mistakes do.
const RULES_MAX: usize = 10_000;

fn digest(password: &[u8]) -> String {
    Sha256::digest(password).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes as long for any two of the same length.
fn is_equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

impl User {
    /// Applies one rule.
    fn apply(&mut self, rule: &str) -> Result<(), &'static str> {
        const UNKNOWN: &str = "Syntax error";
        match rule.to_ascii_lowercase().as_str() {
            "on" => self.is_on = true,
            "off" => self.is_on = false,
            "nopass" => {
                self.needs_no_password = true;
                self.passwords.clear();
            }
            "resetpass" => {
                self.needs_no_password = false;
                self.passwords.clear();
            }
            "allkeys" | "~*" => self.keys = vec!["*".into()],
            "resetkeys" => self.keys.clear(),
            "allchannels" | "&*" => self.channels = vec!["*".into()],
            "resetchannels" => self.channels.clear(),
            "allcommands" | "+@all" => self.rules = vec![(true, Scope::All)],
            "nocommands" | "-@all" => self.rules.clear(),
            "sanitize-payload" | "skip-sanitize-payload" => {}
            "reset" => *self = User::default(),
            _ => return self.apply_prefixed(rule),
        }
        if rule.is_empty() { Err(UNKNOWN) } else { Ok(()) }
    }

    fn apply_prefixed(&mut self, rule: &str) -> Result<(), &'static str> {
        let mut chars = rule.chars();
        if rule.starts_with(['~', '&']) && has_blanks(rule) {
            return Err("Syntax error");
        }
        let (kind, rest) = (chars.next(), chars.as_str());
        match kind {
            Some('>') => _ = self.add_password(digest(rest.as_bytes())),
            Some('#') if is_digest(rest) => _ = self.add_password(rest.to_string()),
            Some('#' | '!') if !is_digest(rest) => {
                return Err(
                    "The provided password hash must be exactly 64 characters and contain only lowercase hexadecimal characters",
                );
            }
            Some('<') if self.passwords.remove(&digest(rest.as_bytes())) => {}
            Some('!') if self.passwords.remove(rest) => {}
            Some('<' | '!') => return Err("The password you are trying to remove from the user does not exist"),
            Some('~') => push_pattern(&mut self.keys, rest),
            Some('&') => push_pattern(&mut self.channels, rest),
            Some(sign @ ('+' | '-')) if self.rules.len() < RULES_MAX => {
                self.rules.push((sign == '+', scope(rest)?));
            }
            _ => return Err("Syntax error"),
        }
        Ok(())
    }

    fn add_password(&mut self, password: String) -> bool {
        self.needs_no_password = false;
        self.passwords.insert(password)
    }

    fn may_call(&self, row: &Row, full_name: &str) -> bool {
        self.rules.iter().rev().find(|(_, scope)| scope.fits(row, full_name)).is_some_and(|(is_allowed, _)| *is_allowed)
    }

    /// A pattern must be allowed as it is.
    fn may_use(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.channels.iter().any(|allowed| match is_pattern {
            _ if allowed == "*" => true,
            true => allowed.as_bytes() == channel,
            false => glob::matches(allowed.as_bytes(), channel),
        })
    }

    /// Whether it may go on with what somebody listens to who is this user.
    fn may_listen(&self, to: &Subscriptions) -> bool {
        to.channels.iter().all(|channel| self.may_use(channel, false))
            && to.patterns.iter().all(|pattern| self.may_use(pattern, true))
    }

    fn commands(&self) -> String {
        let rules = self.rules.iter().map(|(is_allowed, scope)| {
            let sign = if *is_allowed { '+' } else { '-' };
            format!("{sign}{}", scope.text())
        });
        let starts_whole = matches!(self.rules.first(), Some((_, Scope::All)));
        (!starts_whole).then(|| "-@all".to_string()).into_iter().chain(rules).collect::<Vec<_>>().join(" ")
    }

    fn patterns(patterns: &[String], sign: char) -> String {
        patterns.iter().map(|pattern| format!("{sign}{pattern}")).collect::<Vec<_>>().join(" ")
    }

    /// The rules that make this user anew.
    fn line(&self) -> String {
        let mut words = vec![if self.is_on { "on".to_string() } else { "off".to_string() }];
        words.extend(self.needs_no_password.then(|| "nopass".to_string()));
        words.extend(self.passwords.iter().map(|password| format!("#{password}")));
        words.extend([User::patterns(&self.keys, '~')].into_iter().filter(|text| !text.is_empty()));
        let channels = User::patterns(&self.channels, '&');
        words.push(if channels.is_empty() { "resetchannels".into() } else { channels });
        words.push(self.commands());
        words.join(" ")
    }
}

/// Names and patterns have no blanks: they could not be read back.
fn has_blanks(text: &str) -> bool {
    text.bytes().any(|c| matches!(c, b' ' | 9..=13 | 0))
}

fn push_pattern(patterns: &mut Vec<String>, pattern: &str) {
    if !patterns.iter().any(|known| known == pattern || known == "*") {
        patterns.push(pattern.to_string());
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

fn scope(text: &str) -> Result<Scope, &'static str> {
    let text = text.to_ascii_lowercase();
    if let Some(name) = text.strip_prefix('@') {
        if name == "all" {
            return Ok(Scope::All);
        }
        let bit = command_table::category(name.as_bytes()).ok_or("Unknown command or category name in ACL")?;
        return Ok(Scope::Category(name.to_string(), bit));
    }
    let (command, sub) = text.split_once('|').map_or((text.as_str(), None), |(command, sub)| (command, Some(sub)));
    // Rules may speak of commands that only servers have.
    let is_known =
        command_table::find(command).is_some() || rivulet_commands::table::find(command.as_bytes()).is_some();
    if !is_known || sub == Some("") {
        return Err("Unknown command or category name in ACL");
    }
    Ok(Scope::Command(without_alias(&text)))
}

/// `sentinel|primary` is `sentinel|master` by another name: who may not call the one may not call the other.
fn without_alias(full_name: &str) -> String {
    match full_name.strip_prefix("sentinel|") {
        Some(sub) => format!("sentinel|{}", sub.replace("primaries", "masters").replace("primary", "master")),
        None => full_name.to_string(),
    }
}

impl Users {
    /// The default user alone, with this password if it is not empty.
    pub fn new(password: &[u8]) -> Users {
        let mut user = User { is_on: true, needs_no_password: true, ..User::default() };
        user.keys.push("*".into());
        user.channels.push("*".into());
        user.rules.push((true, Scope::All));
        if !password.is_empty() {
            user.add_password(digest(password));
        }
        Users(BTreeMap::from([("default".into(), user)]))
    }

    /// A `user` line of the configuration: the name and its rules.
    pub fn configure(&mut self, words: &[Vec<u8>]) -> Result<(), String> {
        let texts: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let Some((name, rules)) = texts.split_first() else { return Ok(()) };
        if has_blanks(name) {
            return Err("Spaces not allowed in ACL usernames".into());
        }
        // A line says all there is: a password that was taken from the default user does not come back as `requirepass`.
        let mut user = User::default();
        for rule in rules {
            user.apply(rule).map_err(|reason| format!("Error in user declaration '{rule}': {reason}"))?;
        }
        self.0.insert(name.clone(), user);
        Ok(())
    }

    /// What stands after `user` in the configuration.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        let of_user = |(name, user): (&String, &User)| {
            let text = format!("{name} {}", user.line());
            let words: Vec<Vec<u8>> = text.split(' ').map(|word| quote_if_needed(word.as_bytes())).collect();
            words.join(&b' ')
        };
        self.0.iter().map(of_user).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whoever connects is the default user.
    pub fn default_is_open(&self) -> bool {
        self.0.get("default").is_some_and(|user| user.is_on && user.needs_no_password)
    }

    pub fn default_has_no_password(&self) -> bool {
        self.0.get("default").is_some_and(|user| user.needs_no_password)
    }

    /// The user's name, if the pair lets it in.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<String> {
        let name = std::str::from_utf8(name).ok()?;
        let user = self.0.get(name).filter(|user| user.is_on)?;
        let given = digest(password);
        let is_right = user.passwords.iter().fold(false, |right, known| right | is_equal(known, &given));
        (user.needs_no_password || is_right).then(|| name.to_string())
    }

    /// Whether a user may call this.
    pub fn check(&self, name: &str, row: &Row, args: Args<'_>) -> Result<(), String> {
        let full_name = match args.get(1) {
            Some(sub) if row.has_subcommands() => {
                format!("{}|{}", row.name, String::from_utf8_lossy(sub).to_ascii_lowercase())
            }
            _ => row.name.clone(),
        };
        let user = self.0.get(name).ok_or("NOAUTH Authentication required.")?;
        if !user.may_call(row, &without_alias(&full_name)) {
            return Err(format!("NOPERM this user has no permissions to run the '{full_name}' command"));
        }
        let is_pattern = row.name == "psubscribe";
        let channels: Vec<&[u8]> = match row.name.as_str() {
            "subscribe" | "psubscribe" => args.iter().skip(1).collect(),
            "publish" => args.iter().skip(1).take(1).collect(),
            _ => return Ok(()),
        };
        if channels.into_iter().all(|channel| user.may_use(channel, is_pattern)) {
            Ok(())
        } else {
            Err("NOPERM this user has no permissions to access one of the channels used as arguments".into())
        }
    }
}

impl Program {
    /// ACL; whether the reply is a promise.
    pub fn acl(&mut self, id: u64, args: Args<'_>, reply: &mut Reply<'_>) -> Result<bool, String> {
        let sub = String::from_utf8_lossy(args.at(1)).to_ascii_lowercase();
        let Some((_, arity)) = command_table::ACL.iter().find(|(name, _)| *name == sub) else {
            let name: String = String::from_utf8_lossy(args.at(1)).chars().take(128).collect();
            return Err(format!("ERR unknown subcommand '{name}'. Try ACL HELP."));
        };
        let count = args.len() as i32;
        if (*arity > 0 && count != *arity) || count < -arity {
            return Err(format!("ERR wrong number of arguments for 'acl|{sub}' command"));
        }
        let text = |i: usize| String::from_utf8_lossy(args.get(i).unwrap_or_default()).into_owned();
        match sub.as_str() {
            "whoami" => {
                reply.bulk(self.clients.get(&id).and_then(|client| client.user.as_deref()).unwrap_or("").as_bytes())
            }
            "users" => {
                reply.array(self.users.0.len());
                self.users.0.keys().for_each(|name| reply.bulk(name.as_bytes()));
            }
            "list" => {
                reply.array(self.users.0.len());
                self.users
                    .0
                    .iter()
                    .for_each(|(name, user)| reply.bulk(format!("user {name} {}", user.line()).as_bytes()));
            }
            "getuser" => self.acl_getuser(&text(2), reply),
            "setuser" => {
                let name = text(2);
                if has_blanks(&name) {
                    return Err("ERR Usernames can't contain spaces or null characters".into());
                }
                let mut user = self.users.0.get(&name).cloned().unwrap_or_default();
                for i in 3..args.len() {
                    let rule = text(i);
                    user.apply(&rule)
                        .map_err(|reason| format!("ERR Error in ACL SETUSER modifier '{rule}': {reason}"))?;
                }
                self.cut_listeners(id, &name, &user);
                self.users.0.insert(name, user);
                self.core.mark_unsaved();
                reply.ok();
                return Ok(true);
            }
            "deluser" => return self.acl_deluser(args, reply),
            "dryrun" => self.acl_dryrun(&text(2), args.from(3), reply)?,
            "log" => self.acl_log(args, reply)?,
            "save" | "load" => return Err(NO_FILE.into()),
            "cat" => acl_cat(args, reply)?,
            "genpass" => self.acl_genpass(args, reply)?,
            _ => {
                let lines = [
                    "CAT [<category>]",
                    "DELUSER <username> [<username> ...]",
                    "GENPASS [<bits>]",
                    "GETUSER <username>",
                    "HELP",
                    "LIST",
                    "SETUSER <username> <attribute> [<attribute> ...]",
                    "USERS",
                    "WHOAMI",
                ];
                reply.array(1 + lines.len());
                reply.simple("ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
                lines.iter().for_each(|line| reply.simple(line));
            }
        }
        Ok(false)
    }

    fn acl_dryrun(&self, name: &str, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), String> {
        if !self.users.has(name) {
            return Err(format!("ERR User '{name}' not found"));
        }
        let command = String::from_utf8_lossy(args.at(0)).to_ascii_lowercase();
        let row = command_table::find(&command).ok_or_else(|| format!("ERR Command '{command}' not found"))?;
        command_table::check_arity(&row, args)?;
        match self.users.check(name, &row, args) {
            Ok(()) => reply.ok(),
            Err(reason) => reply.bulk(reason.trim_start_matches("NOPERM ").as_bytes()),
        }
        Ok(())
    }

    /// Remembers that somebody was turned away, up to `acllog-max-len` such entries.
    pub fn note_denial(&mut self, id: u64, reason: &'static str, object: &str, user: &str) {
        let now_ms = self.now_ms;
        let is_same = |denial: &&mut Denial| {
            denial.reason == reason
                && denial.object == object
                && denial.user == user
                && now_ms < denial.last_ms + 60_000
        };
        if let Some(denial) = self.denials.iter_mut().find(is_same) {
            denial.count += 1;
            denial.last_ms = now_ms;
            return;
        }
        let client = self.clients.get(&id).map(|client| client.address.clone()).unwrap_or_default();
        let denial = Denial {
            count: 1,
            reason,
            object: object.chars().take(128).collect(),
            user: user.chars().take(128).collect(),
            client,
            last_ms: now_ms,
        };
        self.denials.push_front(denial);
        self.denials.truncate(self.config.acllog_max_len as usize);
    }

    fn acl_log(&mut self, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), String> {
        if args.is(2, "reset") {
            self.denials.clear();
            reply.ok();
            return Ok(());
        }
        let count = match args.get(2) {
            Some(count) => rivulet_commands::parse::int(count).ok().and_then(|count| usize::try_from(count).ok()),
            None => Some(10),
        };
        let count = count.ok_or("ERR value is out of range, must be positive")?.min(self.denials.len());
        reply.array(count);
        for denial in self.denials.iter().take(count) {
            let age = self.now_ms.saturating_sub(denial.last_ms) as f64 / 1000.0;
            reply.map(7);
            reply.bulk(b"count");
            reply.int(denial.count);
            for (field, value) in [
                ("reason", denial.reason),
                ("context", "toplevel"),
                ("object", &denial.object),
                ("username", &denial.user),
                ("age-seconds", &format!("{age:.3}")),
                ("client-info", &format!("addr={}", denial.client)),
            ] {
                reply.bulk(field.as_bytes());
                reply.bulk(value.as_bytes());
            }
        }
        Ok(())
    }

    fn acl_getuser(&self, name: &str, reply: &mut Reply<'_>) {
        let Some(user) = self.users.0.get(name) else { return reply.null_array() };
        let flags: Vec<&str> = [if user.is_on { "on" } else { "off" }]
            .into_iter()
            .chain(user.needs_no_password.then_some("nopass"))
            .chain(["sanitize-payload"])
            .collect();
        reply.map(6);
        reply.bulk(b"flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
        reply.bulk(b"passwords");
        reply.array(user.passwords.len());
        user.passwords.iter().for_each(|password| reply.bulk(password.as_bytes()));
        for (field, value) in [
            ("commands", user.commands()),
            ("keys", User::patterns(&user.keys, '~')),
            ("channels", User::patterns(&user.channels, '&')),
        ] {
            reply.bulk(field.as_bytes());
            reply.bulk(value.as_bytes());
        }
        reply.bulk(b"selectors");
        reply.array(0);
    }

    /// A user has changed: its clients who listen to what it may not any more go, the one that has changed it (`by`) after its reply.
    fn cut_listeners(&mut self, by: u64, name: &str, user: &User) {
        for client in self.clients.values_mut().filter(|client| client.user.as_deref() == Some(name)) {
            if !user.may_listen(&client.subscriptions) {
                client.closes_after_reply |= client.id == by;
                client.is_closing |= client.id != by;
            }
        }
    }

    fn acl_deluser(&mut self, args: Args<'_>, reply: &mut Reply<'_>) -> Result<bool, String> {
        let names: Vec<String> = args.iter().skip(2).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        if names.iter().any(|name| name == "default") {
            return Err("ERR The 'default' user cannot be removed".into());
        }
        let deleted: Vec<String> = names.into_iter().filter(|name| self.users.0.remove(name).is_some()).collect();
        for client in self.clients.values_mut() {
            client.closes_after_reply |= client.user.as_ref().is_some_and(|user| deleted.contains(user));
        }
        reply.int(deleted.len() as i64);
        self.core.mark_unsaved();
        Ok(true)
    }

    fn acl_genpass(&mut self, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), String> {
        let bits = match args.get(2) {
            Some(bits) => rivulet_commands::parse::int(bits).ok().filter(|bits| (1..=4096).contains(bits)),
            None => Some(256),
        };
        let bits = bits.ok_or(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        )?;
        let digits = (bits as usize).div_ceil(4);
        let mut bytes = vec![0; digits.div_ceil(2)];
        rivulet_host::random::fill(&mut bytes).map_err(|e| format!("ERR no random numbers: {e}"))?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        reply.bulk(&text.as_bytes()[..digits]);
        Ok(())
    }
}

fn acl_cat(args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), String> {
    let Some(name) = args.get(2) else {
        reply.array(acl::NAMES.len());
        acl::NAMES.iter().for_each(|(_, name)| reply.bulk(name.as_bytes()));
        return Ok(());
    };
    let bit = command_table::category(name);
    let bit = bit.ok_or_else(|| format!("ERR Unknown category '{}'", String::from_utf8_lossy(name)))?;
    let names = command_table::names_in(bit);
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivulet_resp::OwnedArgs;
    use rivulet_resp::inline::split_words;

    fn may(users: &Users, user: &str, words: &[&str]) -> bool {
        let args = OwnedArgs::from_slices(words);
        let row = command_table::find(words[0]).expect("a command");
        users.check(user, &row, args.as_args()).is_ok()
    }

    fn with(rules: &str) -> Users {
        let mut users = Users::new(b"");
        let words: Vec<Vec<u8>> =
            std::iter::once("u").chain(rules.split(' ')).map(|word| word.as_bytes().to_vec()).collect();
        users.configure(&words).expect("good rules");
        users
    }

    #[test]
    fn the_last_rule_about_a_command_counts() {
        let users = with("on >secret +@all -@admin +sentinel|myid &news.*");
        assert!(may(&users, "u", &["ping"]) && may(&users, "u", &["sentinel", "myid"]));
        let alias = with("on +@all -sentinel|is-master-down-by-addr -sentinel|primaries");
        assert!(
            !may(&alias, "u", &["sentinel", "is-primary-down-by-addr"]) && !may(&alias, "u", &["sentinel", "masters"])
        );
        assert!(may(&alias, "u", &["sentinel", "primary"]));
        assert!(!may(&users, "u", &["sentinel", "masters"]) && !may(&users, "u", &["acl", "list"]));
        assert!(may(&users, "u", &["subscribe", "news.x"]) && !may(&users, "u", &["subscribe", "news.x", "x"]));
        assert!(!may(&users, "u", &["psubscribe", "*"]) && may(&users, "u", &["psubscribe", "news.*"]));
        assert!(may(&users, "default", &["sentinel", "masters"]) && !may(&users, "nobody", &["ping"]));
    }

    #[test]
    fn who_is_let_in() {
        let users = with("on >secret +ping");
        assert_eq!(users.authenticate(b"u", b"secret").as_deref(), Some("u"));
        for (name, password) in [("u", "Secret"), ("u", ""), ("v", "secret")] {
            assert_eq!(users.authenticate(name.as_bytes(), password.as_bytes()), None);
        }
        assert_eq!(with("off nopass +ping").authenticate(b"u", b""), None);
        assert!(!Users::new(b"x").default_is_open() && Users::new(b"").default_is_open());
    }

    #[test]
    fn a_line_says_all_there_is() {
        let mut users = Users::new(b"old");
        let new = format!("#{}", digest(b"new"));
        users
            .configure(&["default", "on", &new, "~*", "&*", "+@all"].map(|word| word.as_bytes().to_vec()))
            .expect("rules");
        assert!(users.authenticate(b"default", b"new").is_some());
        assert_eq!(users.authenticate(b"default", b"old"), None, "`requirepass` does not bring back what was taken");
    }

    #[test]
    fn lines_can_be_read_back() {
        let mut users = Users::new(b"");
        users.configure(&["a\"b", "on", "&'", "+ping"].map(|word| word.as_bytes().to_vec())).expect("rules");
        let mut again = Users::new(b"");
        for line in users.lines() {
            again.configure(&split_words(&line).expect("balanced quotes")).expect("its own line");
        }
        assert_eq!(again.lines(), users.lines());
        assert!(again.has("a\"b"));
        assert!(users.configure(&["a b", "on"].map(|word| word.as_bytes().to_vec())).is_err());
        for bad in ["&a b", "~a\n", "&a\0"] {
            assert!(User::default().apply(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn who_listens_may_lose_that() {
        let mut listens = Subscriptions::default();
        listens.channels.insert(b"news.x".to_vec());
        let user = |rules: &str| with(rules).0.remove("u").expect("it was made");
        assert!(user("on &news.*").may_listen(&listens) && !user("on &other").may_listen(&listens));
        listens.patterns.insert(b"news.*".to_vec());
        assert!(user("on &news.*").may_listen(&listens) && !user("on &news.x").may_listen(&listens));
    }

    #[test]
    fn lines_make_the_same_users() {
        let users = with("on >secret ~a* &news.* +@pubsub -publish +sentinel|masters");
        let mut again = Users::new(b"");
        for line in users.lines() {
            let words: Vec<Vec<u8>> = line.split(|c| *c == b' ').map(<[u8]>::to_vec).collect();
            again.configure(&words).expect("its own line");
        }
        assert_eq!(again.lines(), users.lines());
        assert!(users.lines()[0].starts_with(b"default on nopass ~* &* +@all"));
        for bad in ["+nonsense", "-@nonsense", "#abc", "<never", "x", "+sentinel|"] {
            assert!(User::default().apply(bad).is_err(), "{bad}");
        }
    }
}
