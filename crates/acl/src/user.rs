//! A user: how it proves itself, and what it may do.

use rivulet_commands::Command;
use rivulet_commands::places::Keys;
use rivulet_commands::spec::{Begin, key};
use rivulet_commands::table::{self, Table};
use rivulet_resp::Args;
use rivulet_resp::inline::split_words;

use crate::check::Denied;
use crate::password::PasswordHash;
use crate::pattern::Access;
use crate::rule::{RuleError, c_text};
use crate::selector::{Selector, matches_channel};

/// Whether what a user restores is checked to the last byte. A user that was just made has not been asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sanitize {
    #[default]
    Unsaid,
    Yes,
    Skip,
}

impl Sanitize {
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Sanitize::Unsaid => None,
            Sanitize::Yes => Some("sanitize-payload"),
            Sanitize::Skip => Some("skip-sanitize-payload"),
        }
    }
}

/// A user. It does not change: who changes one makes another of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Without blanks.
    pub name: Box<[u8]>,
    /// It can log in.
    pub enabled: bool,
    /// Any password will do. There are none then.
    pub nopass: bool,
    pub sanitize: Sanitize,
    pub passwords: Vec<PasswordHash>,
    /// What rules outside of parentheses say.
    pub root: Selector,
    pub others: Vec<Selector>,
}

impl User {
    /// A user that can't log in and may do nothing; `all_channels` is what the configuration says of new users.
    pub fn new(name: &[u8], all_channels: bool) -> User {
        User::of(table::server(), name, all_channels)
    }

    /// The same where there are other commands than a server's.
    pub fn of(table: &'static Table, name: &[u8], all_channels: bool) -> User {
        User {
            name: name.into(),
            enabled: false,
            nopass: false,
            sanitize: Sanitize::Unsaid,
            passwords: Vec::new(),
            root: Selector::of(table, all_channels),
            others: Vec::new(),
        }
    }

    /// The user that clients are without a login, as long as nobody has changed it: it may do all.
    pub fn first(name: &[u8]) -> User {
        User::first_of(table::server(), name)
    }

    /// The same where there are other commands than a server's.
    pub fn first_of(table: &'static Table, name: &[u8]) -> User {
        let mut user = User::of(table, name, false);
        for rule in ["+@all", "~*", "&*", "on", "nopass"] {
            user.apply(rule.as_bytes(), false).expect("these are rules");
        }
        user
    }

    /// Whether there is nothing that it may not do.
    pub fn allows_all(&self) -> bool {
        self.selectors().any(Selector::allows_all)
    }

    /// Whether a client needs no login to be this user.
    pub fn is_open(&self) -> bool {
        self.enabled && self.nopass
    }

    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.others)
    }

    /// Whether the user can log in with a password of this hash. All its passwords are compared, so the time says nothing.
    pub fn accepts(&self, password: PasswordHash) -> bool {
        let is_known = self.passwords.iter().fold(false, |known, own| known | (*own == password));
        self.enabled && (self.nopass || is_known)
    }

    /// Changes the user as a rule says. `all_channels` is what the configuration says of new users.
    ///
    /// # Errors
    /// The rule is none, or it makes no sense here; nothing was changed.
    pub fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        match c_text(rule).to_ascii_lowercase().as_slice() {
            _ if rule.is_empty() => {}
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"skip-sanitize-payload" => self.sanitize = Sanitize::Skip,
            b"sanitize-payload" => self.sanitize = Sanitize::Yes,
            b"nopass" => (self.nopass, self.passwords) = (true, Vec::new()),
            b"resetpass" => (self.nopass, self.passwords) = (false, Vec::new()),
            [b'>', ..] => self.add_password(PasswordHash::of(&rule[1..])),
            [b'#', ..] => self.add_password(PasswordHash::parse(&rule[1..]).ok_or(RuleError::BadHash)?),
            [b'<', ..] => self.remove_password(PasswordHash::of(&rule[1..]))?,
            [b'!', ..] => self.remove_password(PasswordHash::parse(&rule[1..]).ok_or(RuleError::BadHash)?)?,
            [b'(', ..] if rule.last() == Some(&b')') => self.add_selector(&rule[1..rule.len() - 1], all_channels)?,
            b"clearselectors" => self.others.clear(),
            b"reset" => self.reset(all_channels),
            _ => self.root.apply(rule)?,
        }
        Ok(())
    }

    fn add_password(&mut self, password: PasswordHash) {
        if !self.passwords.contains(&password) {
            self.passwords.push(password);
        }
        self.nopass = false;
    }

    fn remove_password(&mut self, password: PasswordHash) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|own| *own == password).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(at);
        Ok(())
    }

    fn add_selector(&mut self, rules: &[u8], all_channels: bool) -> Result<(), RuleError> {
        let mut selector = Selector::of(self.root.table(), all_channels);
        // With a quote that is not closed there are no rules, as in Redis.
        for rule in split_words(rules).unwrap_or_default() {
            // Within parentheses it could not be read back from a file, or as another rule outside of them.
            if rule.last() == Some(&b')') || rule.iter().any(|c| matches!(c, b'"' | b'\'')) {
                return Err(RuleError::Syntax);
            }
            selector.apply(&rule)?;
        }
        self.others.push(selector);
        Ok(())
    }

    fn reset(&mut self, all_channels: bool) {
        *self = User { sanitize: Sanitize::Yes, ..User::of(self.root.table(), &self.name, all_channels) };
    }

    /// Whether a command line may run, which has the arguments that the command must have.
    ///
    /// # Errors
    /// No selector lets it: the reason that is told.
    pub fn check(&self, command: &Command, args: Args<'_>) -> Result<(), Denied> {
        let mut keys: Option<Keys> = None;
        let mut worst = Denied::Command;
        for selector in self.selectors() {
            match selector.check(command, args, &mut keys) {
                Ok(()) => return Ok(()),
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    /// Whether a selector that lets the command line also lets all keys be read.
    pub fn check_reads_any_key(&self, command: &Command, args: Args<'_>) -> bool {
        let mut keys: Option<Keys> = None;
        self.selectors().any(|s| s.lets_any_key(Access::READ) && s.check(command, args, &mut keys).is_ok())
    }

    /// The channel patterns of all selectors; `None` for all channels.
    fn channels(&self) -> Option<Vec<&[u8]>> {
        if self.selectors().any(|selector| selector.all_channels) {
            return None;
        }
        Some(self.selectors().flat_map(|selector| selector.channels.iter().map(|glob| &**glob)).collect())
    }

    /// Whether who was allowed to listen as `before` is allowed the same now, as far as can be told from the patterns alone.
    pub fn keeps_channels_of(&self, before: &User) -> bool {
        match (self.channels(), before.channels()) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(now), Some(before)) => before.iter().all(|glob| now.contains(glob)),
        }
    }

    /// Whether a client of this user may go on listening to a channel, or to a pattern of channels.
    pub fn lets_listen(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.channels().is_none_or(|all| all.iter().any(|known| matches_channel(known, channel, is_pattern)))
    }
}

/// Whether a command reads keys that its line does not name.
pub fn reads_unnamed_keys(command: &Command) -> bool {
    command.keys.iter().any(|spec| spec.begin == Begin::Unknown && spec.flags & key::ACCESS != 0)
}

#[cfg(test)]
mod tests {
    use rivulet_commands::table;
    use rivulet_resp::OwnedArgs;

    use super::*;

    fn user(rules: &str) -> User {
        let mut user = User::new(b"u", false);
        let words: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
        for rule in crate::merge_selectors(&words).expect("closed") {
            user.apply(&rule, false).unwrap_or_else(|e| panic!("{rules}: {e}"));
        }
        user
    }

    fn checked(user: &User, line: &str) -> Result<(), Denied> {
        let words: Vec<&str> = line.split(' ').collect();
        let args = OwnedArgs::from_slices(&words);
        let name = [words[0], *words.get(1).unwrap_or(&"")].join("|");
        let command =
            table::find_full(name.as_bytes()).or_else(|| table::find(words[0].as_bytes())).expect("a command");
        user.check(command, args.as_args())
    }

    #[test]
    fn who_may_run_what() {
        use Denied::*;
        for (rules, line, want) in [
            ("", "GET k", Err(Command)),
            ("", "AUTH p", Ok(())),
            ("+get", "GET k", Err(Key(1))),
            ("+get ~k*", "GET kk", Ok(())),
            ("+get ~k*", "SET kk v", Err(Command)),
            ("+@all ~*", "PUBLISH c m", Err(Channel(1))),
            ("+@all &c*", "PUBLISH cc m", Ok(())),
            ("+@all &c*", "PSUBSCRIBE cc", Err(Channel(1))),
            ("+@all &c*", "PSUBSCRIBE c*", Ok(())),
            ("+@all &c*", "SUBSCRIBE cc x", Err(Channel(2))),
            ("+@all", "UNSUBSCRIBE x", Ok(())),
            ("+@all -config", "CONFIG GET x", Err(Command)),
            ("+@all -config +config|get", "CONFIG GET x", Ok(())),
            ("+@all -config +config|get", "CONFIG SET x y", Err(Command)),
            ("+@all -config|set", "CONFIG GET x", Ok(())),
            ("+@all -select +select|0", "SELECT 0", Ok(())),
            ("+@all -select +select|0", "SELECT 1", Err(Command)),
            ("+@all %R~r %W~w", "COPY r w", Ok(())),
            ("+@all %R~r %W~w", "COPY w r", Err(Key(1))),
            ("+@all %R~r %W~w", "EXISTS r w", Ok(())),
            ("+@all %R~r %W~w", "EXISTS x", Err(Key(1))),
            ("+@all %W~w", "SET w v", Ok(())),
            ("+@all %W~w", "SET w v GET", Err(Key(1))),
            ("+@all ~a ~to", "SORT a STORE to", Ok(())),
            ("+@all ~a", "SORT a STORE to", Err(Key(3))),
            ("(+get ~a) (+set ~b)", "GET a", Ok(())),
            ("(+get ~a) (+set ~b)", "SET a v", Err(Key(1))),
            ("(+get ~a) (+set ~b)", "MSET b v", Err(Command)),
            ("+mget ~a (+mget ~a ~b)", "MGET a b c", Err(Key(3))),
        ] {
            assert_eq!(checked(&user(rules), line), want, "{rules}: {line}");
        }
    }

    #[test]
    fn rules_are_shown_as_redis_shows_them() {
        for (rules, want) in [
            ("", "off resetchannels -@all"),
            ("on nopass +@all ~* &*", "on nopass ~* &* +@all"),
            ("reset", "off sanitize-payload resetchannels -@all"),
            ("+@all -@admin", "off resetchannels +@all -@admin"),
            ("+get +set ~a %R~b %RW~c &x", "off ~a %R~b ~c resetchannels &x -@all +get +set"),
            ("+@all -select +select|0 +select|1", "off resetchannels +@all -select +select|0 +select|1"),
            (
                "on (%R~a &* +get) skip-sanitize-payload",
                "on skip-sanitize-payload resetchannels -@all (%R~a &* -@all +get)",
            ),
            ("%R~a %RW~* %W~b", "off %R~a %RW~* %W~b resetchannels -@all"),
            ("%RW~*", "off ~* resetchannels -@all"),
            ("+config -config|set", "off resetchannels -@all +config -config|set"),
            ("+CONFIG|Get +config|set", "off resetchannels -@all +config|get +config|set"),
            ("+@all -config|get +config|get", "off resetchannels +@all +config|get"),
            ("+@all -config|get -config", "off resetchannels +@all -config"),
            ("+select|0 +select|1 -select", "off resetchannels -@all -select"),
            ("+get +set -get", "off resetchannels -@all +set -get"),
            ("+@read -@read +@read +get|X", "off resetchannels -@all +@read +get|x"),
            ("+@all -flushall -@dangerous +flushall", "off resetchannels +@all -@dangerous +flushall"),
            ("+@read +@all", "off resetchannels +@all"),
            ("-get nocommands", "off resetchannels -@all"),
            (">p", "off #148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940 resetchannels -@all"),
        ] {
            assert_eq!(String::from_utf8_lossy(&user(rules).rules()), want, "{rules}");
        }
    }

    #[test]
    fn what_is_shown_makes_the_same_user() {
        let words = [
            "+@all",
            "-@all",
            "+get",
            "-get",
            "+config",
            "-config|get",
            "+config|set",
            "+select|1",
            "~a*",
            "%R~b",
            "&c",
            "on",
        ];
        let categories = rivulet_commands::spec::acl::NAMES;
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..2_000 {
            let mut made = User::new(b"u", false);
            for _ in 0..rng.usize(..10) {
                let rule = match rng.usize(..3) {
                    0 => words[rng.usize(..words.len())].to_string(),
                    1 => format!("{}@{}", ["+", "-"][rng.usize(..2)], categories[rng.usize(..categories.len())].1),
                    _ => {
                        let all = table::by_id();
                        format!("{}{}", ["+", "-"][rng.usize(..2)], all[rng.usize(..all.len())].full_name)
                    }
                };
                made.apply(rule.as_bytes(), false).expect("a rule");
            }
            let shown = String::from_utf8(made.rules()).expect("text");
            let again = user(&shown);
            assert_eq!(again, made, "{shown}");
        }
    }

    #[test]
    fn what_can_not_be_read_back_is_refused() {
        for rule in ["(~a) +get)", "(+select|x))", "(\"~a'b\")", "(\"~a b\")"] {
            let mut user = user("on");
            assert_eq!(user.apply(rule.as_bytes(), false), Err(RuleError::Syntax), "{rule}");
        }
        // As in Redis an open quote leaves no rule at all.
        assert_eq!(user("(~a\"b)").rules(), b"off resetchannels -@all (resetchannels -@all)");
        // Outside of parentheses nothing is ambiguous.
        assert_eq!(user("~a) ~b\"c").root.keys.len(), 2);
        assert_eq!(user("(\"+get\" ~a)").rules(), b"off resetchannels -@all (~a resetchannels -@all +get)");
    }

    #[test]
    fn passwords() {
        let hash = PasswordHash::of(b"a");
        let mut user = user("on >a >b >a");
        assert_eq!(user.passwords.len(), 2);
        assert!(user.accepts(hash) && user.accepts(PasswordHash::of(b"b")) && !user.accepts(PasswordHash::of(b"c")));
        assert_eq!(user.apply(b"<c", false), Err(RuleError::NoSuchPassword));
        user.apply(b"<a", false).expect("it is there");
        assert!(!user.accepts(hash));
        user.apply(b"nopass", false).expect("a rule");
        assert!(user.accepts(hash) && user.passwords.is_empty() && user.is_open());
        user.apply(b"off", false).expect("a rule");
        assert!(!user.accepts(hash) && !user.is_open());
        assert_eq!(user.apply(b"#abc", false), Err(RuleError::BadHash));
    }

    #[test]
    fn sort_reads_keys_that_it_does_not_name() {
        let of = |name: &str| reads_unnamed_keys(table::find(name.as_bytes()).expect("a command"));
        assert!(of("sort") && of("sort_ro") && !of("get") && !of("migrate") && !of("eval"));
        let args = OwnedArgs::from_slices(&["SORT", "l", "BY", "w*"]);
        let sort = table::find(b"sort").expect("a command");
        for (rules, want) in [
            ("+sort ~*", true),
            ("+sort %RW~*", true),
            ("+sort %R~*", true),
            ("+sort %W~* ~l", false),
            ("~* (+sort ~l)", false),
        ] {
            assert_eq!(user(rules).check_reads_any_key(sort, args.as_args()), want, "{rules}");
        }
    }
}
