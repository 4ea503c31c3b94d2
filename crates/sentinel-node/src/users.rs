//! Users of a Sentinel: who may connect, and what each may call. The rules are those of servers, over the commands that a Sentinel has.

use std::borrow::Cow;
use std::path::PathBuf;

use rivulet_acl::reply::{self as answers, NO_FILE, one_line};
use rivulet_acl::{Context, DEFAULT, Denied, Event, Reason, SetError, User, Users, file, has_blanks};
use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_config::{Config, ConfigError, Level, Line};
use rivulet_host::fs;
use rivulet_node::{log, system::os_error, users};
use rivulet_resp::inline::quote_if_needed;
use rivulet_resp::{Args, Reply};

use crate::command_table::{self, text};
use crate::program::Program;
use crate::subscriptions::Subscriptions;

/// The default user alone, with the configuration's password.
fn first(config: &Config) -> Users {
    let mut users = Users::of(command_table::table(), all_channels(config));
    users.set_default_password(&config.requirepass);
    users
}

/// What new users may do with channels.
fn all_channels(config: &Config) -> bool {
    config.acl_pubsub_default == "allchannels"
}

/// What is wrong with `user` lines whatever commands there are.
///
/// # Errors
/// A user stands there twice, or a rule is none.
pub fn check_lines(config: &Config, lines: &[Line]) -> Result<(), ConfigError> {
    users::check_lines(lines, |name, rules| set_anew(&mut first(config), name, rules).map(|_| ()))
}

/// Makes the users that the Sentinel starts with: of `user` lines, or of a file of their own.
///
/// # Errors
/// What the log says at last.
pub fn begin(config: &Config, lines: &[Line]) -> Result<Users, String> {
    if users::are_in_file(config, lines)? {
        return load(config).map_err(|fail| users::file_failed(&fail.0));
    }
    let mut made = first(config);
    users::take_lines(lines, |name, rules| set_anew(&mut made, name, rules))?;
    Ok(made)
}

/// A user of the configuration begins with nothing: what was taken from the default user does not come back as `requirepass`. Answers whether it is enabled.
fn set_anew(users: &mut Users, name: &[u8], rules: &[&[u8]]) -> Result<bool, SetError> {
    let rules: Vec<Cow<'_, [u8]>> = rules.iter().map(|rule| canonical(rule)).collect();
    users.set_anew(name, &rules.iter().map(|rule| &**rule).collect::<Vec<_>>()).map(|user| user.enabled)
}

/// A rule, with `master` for `primary` where it is about commands; also within a selector.
fn canonical(rule: &[u8]) -> Cow<'_, [u8]> {
    match rule.starts_with(b"(") && rule.contains(&b' ') {
        true => Cow::Owned(rule.split(|&c| c == b' ').map(canonical_word).collect::<Vec<_>>().join(&b' ')),
        false => canonical_word(rule),
    }
}

fn canonical_word(rule: &[u8]) -> Cow<'_, [u8]> {
    let is_about_commands = matches!(rule.strip_prefix(b"(").unwrap_or(rule), [b'+' | b'-', ..]);
    let lower = rule.to_ascii_lowercase();
    match is_about_commands && lower.windows(9).any(|at| at == b"sentinel|") {
        true => Cow::Owned(command_table::without_alias(&lower)),
        false => Cow::Borrowed(rule),
    }
}

/// Reads the file of the users: all of them, or none.
fn load(config: &Config) -> Result<Users, Fail> {
    let name = &config.aclfile;
    let read = fs::read(name)
        .map_err(|e| Fail::text(format!("Error loading ACLs, opening file '{name}': {}", os_error(&e))))?;
    let of_line = |line: &[u8]| line.split(|&c| c == b' ').map(canonical).collect::<Vec<_>>().join(&b' ');
    let lines: Vec<Vec<u8>> = read.split(|&c| c == b'\n').map(of_line).collect();
    file::parse_of(command_table::table(), &lines.join(&b'\n'), name, all_channels(config))
}

/// What stands after `user` in the configuration; nothing where a file of their own has the users.
pub fn lines(config: &Config, users: &Users) -> Option<Vec<Vec<u8>>> {
    let of_user = |user: &User| {
        let line = [&*user.name, b" ", &user.rules()].concat();
        let words: Vec<_> = line.split(|&c| c == b' ').map(quote_if_needed).collect();
        words.join(&b' ')
    };
    config.aclfile.is_empty().then(|| users.iter().map(|user| of_user(user)).collect())
}

/// Whether who is this user may go on with what somebody listens to.
fn may_listen(user: &User, to: &Subscriptions) -> bool {
    to.channels.iter().all(|channel| user.lets_listen(channel, false))
        && to.patterns.iter().all(|pattern| user.lets_listen(pattern, true))
}

impl Program {
    /// ACL; whether the reply is a promise.
    ///
    /// # Errors
    /// The text of the error reply.
    pub fn acl(&mut self, id: u64, command: &Command, args: Args<'_>, reply: &mut Reply<'_>) -> Result<bool, String> {
        command_table::check_arity(command, args)?;
        let answered = match (command.name, args.len()) {
            ("setuser", _) => return self.acl_setuser(id, args, reply),
            ("deluser", _) => return self.acl_deluser(id, args, reply),
            ("load" | "save", _) if self.config.aclfile.is_empty() => Err(NO_FILE),
            ("load", _) => self.acl_load(id, reply),
            ("save", _) => self.acl_save(reply),
            ("log", 3) if args.is(2, "reset") => {
                self.denials.reset();
                reply.ok();
                Ok(())
            }
            ("log", 2 | 3) => answers::write_log(reply, &self.denials, args, self.unix_ms),
            ("dryrun", _) => answers::write_dry_run(reply, &self.users, args, command_table::find_whole),
            ("cat", 2 | 3) => answers::write_categories(reply, command_table::table(), args),
            ("genpass", 2 | 3) => acl_genpass(args, reply),
            ("getuser" | "list" | "users" | "whoami" | "help", _) => {
                self.acl_show(id, command.name, args, reply);
                Ok(())
            }
            _ => {
                let name: String = String::from_utf8_lossy(args.at(1)).chars().take(128).collect();
                Err(one_line(format!(
                    "ERR unknown subcommand or wrong number of arguments for '{name}'. Try ACL HELP."
                )))
            }
        };
        answered.map(|()| false).map_err(|fail| text(&fail))
    }

    fn acl_show(&self, id: u64, name: &str, args: Args<'_>, reply: &mut Reply<'_>) {
        match name {
            "getuser" => match self.users.get(args.at(2)) {
                Some(user) => answers::write_user(reply, user),
                None => reply.null(),
            },
            "list" => {
                reply.array(self.users.len());
                self.users.iter().for_each(|user| reply.bulk(&user.line()));
            }
            "users" => {
                reply.array(self.users.len());
                self.users.iter().for_each(|user| reply.bulk(&user.name));
            }
            "whoami" => {
                let user = self.clients.get(&id).and_then(|client| client.user.as_deref());
                reply.bulk(user.unwrap_or_default());
            }
            _ => {
                reply.array(1 + answers::HELP.len());
                reply.simple("ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
                answers::HELP.iter().for_each(|line| reply.simple(line));
            }
        }
    }

    fn acl_setuser(&mut self, id: u64, args: Args<'_>, reply: &mut Reply<'_>) -> Result<bool, String> {
        let name = args.at(2);
        if has_blanks(name) {
            return Err("ERR Usernames can't contain spaces or null characters".into());
        }
        let rules: Vec<Cow<'_, [u8]>> = args.iter().skip(3).map(canonical).collect();
        let rules: Vec<&[u8]> = rules.iter().map(|rule| &**rule).collect();
        self.users.set(name, &rules).map_err(|error| text(&one_line(format!("ERR {error}"))))?;
        self.cut_who_may_not(id);
        reply.ok();
        Ok(self.users_changed())
    }

    fn acl_deluser(&mut self, id: u64, args: Args<'_>, reply: &mut Reply<'_>) -> Result<bool, String> {
        let rivulet_acl::Deleted::Some(count) = self.users.delete(args.iter().skip(2)) else {
            return Err("ERR The 'default' user cannot be removed".into());
        };
        self.cut_who_may_not(id);
        reply.int(count as i64);
        Ok(self.users_changed())
    }

    /// The configuration is to be written, unless a file of their own has the users; then nothing is promised.
    fn users_changed(&mut self) -> bool {
        let is_in_configuration = self.config.aclfile.is_empty();
        if is_in_configuration {
            self.core.mark_unsaved();
        }
        is_in_configuration
    }

    fn acl_load(&mut self, id: u64, reply: &mut Reply<'_>) -> Result<(), Fail> {
        self.users = load(&self.config).map_err(|fail| one_line(format!("ERR {}", text(&fail))))?;
        self.cut_who_may_not(id);
        reply.ok();
        Ok(())
    }

    fn acl_save(&self, reply: &mut Reply<'_>) -> Result<(), Fail> {
        // A link keeps pointing to the file.
        let path = fs::canonicalize(&self.config.aclfile).unwrap_or_else(|_| PathBuf::from(&self.config.aclfile));
        rivulet_config::replace_file(&path, &file::render(&self.users)).map_err(|error| {
            log::write(Level::Warning, format_args!("Writing ACL file for ACL SAVE: {}", os_error(&error)));
            Fail::new(
                "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
            )
        })?;
        reply.ok();
        Ok(())
    }

    /// Users have changed: whose user is gone goes, and so does who listens to what it may not any more; the one that has changed it (`by`) after its
    /// reply.
    fn cut_who_may_not(&mut self, by: u64) {
        for client in self.clients.values_mut() {
            let Some(name) = &client.user else { continue };
            if self.users.get(name).is_none_or(|user| !may_listen(user, &client.subscriptions)) {
                client.closes_after_reply |= client.id == by;
                client.is_closing |= client.id != by;
            }
        }
    }

    /// Whether a client may run a line.
    ///
    /// # Errors
    /// The text of the error reply. ACL LOG has it.
    pub fn check_user(&mut self, id: u64, command: &'static Command, args: Args<'_>) -> Result<(), String> {
        let Some(name) = self.clients.get(&id).and_then(|client| client.user.clone()) else {
            return Err("NOAUTH Authentication required.".into());
        };
        let Some(user) = self.users.get(&name) else { return Err("NOAUTH Authentication required.".into()) };
        let Err(denied) = user.check(command, args) else { return Ok(()) };
        let reason = match denied {
            Denied::Command => Reason::Command,
            Denied::Key(_) => Reason::Key,
            Denied::Channel(_) => Reason::Channel,
        };
        self.note_denial(id, reason, denied.object(command, args), &name);
        Err(text(&denied.to_client(command)))
    }

    /// Remembers that somebody was turned away, up to `acllog-max-len` such entries.
    pub fn note_denial(&mut self, id: u64, reason: Reason, object: &[u8], user: &[u8]) {
        let client = self.clients.get(&id).map(|client| client.line(self.now_ms)).unwrap_or_default();
        let (object, user, context) = (object.to_vec(), user.to_vec(), Context::TopLevel);
        let len_max = usize::try_from(self.config.acllog_max_len).unwrap_or(usize::MAX);
        self.denials.add(Event { reason, context, object, user, client }, self.unix_ms, len_max);
    }

    /// Whether whoever connects is the default user.
    pub fn default_is_open(&self) -> bool {
        self.users.default_user().is_open()
    }

    /// As whom a new client acts, before it has shown a password.
    pub fn newcomer(&self) -> Option<Vec<u8>> {
        self.default_is_open().then(|| DEFAULT.to_vec())
    }

    /// Makes a client the user that its certificate names (`tls-auth-clients-user`). Who has none, or one that names nobody who can log in, stays who
    /// it was.
    pub fn log_in_by_certificate(&mut self, id: u64) {
        if self.config.tls_auth_clients_user != "CN" {
            return;
        }
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Some(name) = client.stream.peer_name().map(<[u8]>::to_vec) else { return };
        match self.users.get(&name).is_some_and(|user| user.enabled) {
            true => client.user = Some(name),
            false => self.note_denial(id, Reason::Certificate, b"", &name),
        }
    }
}

fn acl_genpass(args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fail> {
    let mut bytes = vec![0; answers::password_len(args)?];
    rivulet_host::random::fill(&mut bytes).map_err(|e| Fail::text(format!("ERR no random bytes: {e}")))?;
    reply.bulk(&answers::password_of(&bytes));
    Ok(())
}

#[cfg(test)]
mod tests {
    use rivulet_resp::OwnedArgs;
    use rivulet_resp::inline::split_words;

    use super::*;

    fn none() -> Users {
        Users::of(command_table::table(), false)
    }

    fn may(users: &Users, user: &str, words: &[&str]) -> bool {
        let args = OwnedArgs::from_slices(words);
        let command = command_table::find(args.as_args()).expect("a command");
        users.get(user.as_bytes()).expect("a user").check(command, args.as_args()).is_ok()
    }

    fn with(rules: &str) -> Users {
        let mut users = none();
        set_anew(&mut users, b"u", &rules.split(' ').map(str::as_bytes).collect::<Vec<_>>()).expect("good rules");
        users
    }

    #[test]
    fn an_alias_is_allowed_and_denied_with_its_command() {
        let users = with("on +@all -sentinel|is-master-down-by-addr -sentinel|primaries");
        for (words, want) in [
            (["sentinel", "is-primary-down-by-addr"], false),
            (["sentinel", "masters"], false),
            (["sentinel", "primaries"], false),
            (["sentinel", "primary"], true),
        ] {
            assert_eq!(may(&users, "u", &words), want, "{words:?}");
        }
        let chosen = with("on -@all (+SENTINEL|primary +ping)");
        assert!(may(&chosen, "u", &["sentinel", "master"]) && !may(&chosen, "u", &["sentinel", "masters"]));
        assert_eq!(canonical(b">sentinel|primary"), b">sentinel|primary".as_slice(), "a password is left alone");
        assert_eq!(
            canonical(b"(+sentinel|PRIMARY &Events-Primary +sentinel|primaries)"),
            b"(+sentinel|master &Events-Primary +sentinel|masters)".as_slice(),
            "so are channels beside commands"
        );
    }

    #[test]
    fn only_commands_of_a_sentinel_can_be_named() {
        let mut users = none();
        for rule in ["+get", "+get|x", "-flushall", "+sentinel|nonsense", "+sentinel|"] {
            assert!(users.set(b"u", &[rule.as_bytes()]).is_err(), "{rule}");
        }
        users.set(b"u", &[b"+sentinel|doctor", b"+@read", b"+ping"]).expect("rules");
        assert!(may(&users, "u", &["sentinel", "doctor"]) && !may(&users, "u", &["sentinel", "masters"]));
    }

    #[test]
    fn lines_can_be_read_back() {
        let config = Config::default();
        let mut users = none();
        users.set(b"a\"b", &[b"on", b"&'", b"+ping", b">secret", b"(+sentinel|masters &x)"]).expect("rules");
        let shown = lines(&config, &users).expect("no file has them");
        let mut again = none();
        for line in &shown {
            let words = split_words(line).expect("balanced quotes");
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            set_anew(&mut again, words[0], &words[1..]).expect("its own line");
        }
        // The default user says from then on that it was reset.
        let others =
            |lines: Vec<Vec<u8>>| lines.into_iter().filter(|l| !l.starts_with(b"default ")).collect::<Vec<_>>();
        assert_eq!(others(lines(&config, &again).expect("the same")), others(shown));
        let elsewhere = Config { aclfile: "users".into(), ..Config::default() };
        assert_eq!(lines(&elsewhere, &users), None);
    }

    #[test]
    fn who_listens_may_lose_that() {
        let mut listens = Subscriptions::default();
        listens.channels.insert(b"news.x".to_vec());
        let user = |rules: &str| with(rules).get(b"u").expect("it was made").clone();
        assert!(may_listen(&user("on &news.*"), &listens) && !may_listen(&user("on &other"), &listens));
        listens.patterns.insert(b"news.*".to_vec());
        assert!(may_listen(&user("on &news.*"), &listens) && !may_listen(&user("on &news.x"), &listens));
    }
}
