//! What is known of commands: from the server that is spoken to, or from our own table when there is none.
//!
//! Help, hints and completion are made of it.

use rivulet_client::Reply;
use rivulet_commands::docs::{self, Argument};
use rivulet_commands::spec::Command;
use rivulet_commands::table;
use rivulet_resp::inline::split_words;

/// A command, or a subcommand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In capitals, between spaces.
    pub name: String,
    pub params: String,
    pub summary: String,
    pub since: Option<String>,
    pub group: String,
}

/// Everything that is known, by name.
#[derive(Clone, Debug, Default)]
pub struct Help {
    entries: Vec<Entry>,
}

/// An argument, as far as its text needs it.
struct Param {
    name: String,
    token: Option<String>,
    kind: String,
    is_optional: bool,
    is_multiple: bool,
    repeats_token: bool,
    inner: Vec<Param>,
}

impl Help {
    /// Of the reply to COMMAND DOCS. What is not as it should be is left out.
    pub fn of_docs(reply: &Reply) -> Option<Help> {
        let mut entries = Vec::new();
        for (name, docs) in reply.pairs()? {
            push_docs(&mut entries, &name.text(), docs);
        }
        Some(Help::sorted(entries))
    }

    /// Of our own table.
    pub fn own() -> Help {
        let mut entries = Vec::new();
        for command in table::commands() {
            push_command(&mut entries, command);
        }
        Help::sorted(entries)
    }

    /// Adds what the reply to COMMAND has beside: a server that is too old for COMMAND DOCS.
    pub fn with_commands(mut self, reply: &Reply) -> Help {
        for row in reply.items().unwrap_or_default() {
            let Some([name, arity, _, first_key, ..]) = row.items() else { continue };
            let name = name.text().to_uppercase();
            if self.entries.iter().any(|entry| entry.name == name) {
                continue;
            }
            let arity = arity.as_i64().unwrap_or(0);
            let has_key = first_key.as_i64() == Some(1);
            let words = usize::try_from(arity.unsigned_abs()).unwrap_or(0).saturating_sub(1 + usize::from(has_key));
            let mut params = if has_key { "key " } else { "" }.to_string();
            // A server says what it likes; a line holds no more than this.
            params += &"arg ".repeat(words.min(64));
            if arity < 0 {
                params += "...options...";
            }
            self.entries.push(Entry {
                name,
                params,
                summary: "Help not available".into(),
                since: Some("Not known".into()),
                group: "generic".into(),
            });
        }
        Help::sorted(self.entries)
    }

    fn sorted(mut entries: Vec<Entry>) -> Help {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Help { entries }
    }

    /// What `help` with these words shows.
    pub fn text(&self, words: &[String]) -> String {
        let mut out = String::new();
        match words.first().and_then(|first| first.strip_prefix('@')) {
            Some(group) => {
                for entry in self.entries.iter().filter(|entry| entry.group.eq_ignore_ascii_case(group)) {
                    out += &entry.text(false);
                }
            }
            None => {
                let asked = words.join(" ");
                for entry in self.entries.iter().filter(|entry| entry.begins_with(&asked)) {
                    out += &entry.text(true);
                }
            }
        }
        out + "\r\n"
    }

    /// What a line could be completed to.
    pub fn completions(&self, line: &str) -> Vec<String> {
        let (head, typed, has_groups) = match line.get(..5) {
            Some(help) if help.eq_ignore_ascii_case("help ") => {
                let typed = line[5..].trim_start();
                (&line[..line.len() - typed.len()], typed, true)
            }
            _ => ("", line, false),
        };
        let begins = |name: &str| name.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed));
        let mut found = Vec::new();
        if has_groups {
            let mut groups: Vec<String> = self.entries.iter().map(|entry| format!("@{}", entry.group)).collect();
            groups.sort();
            groups.dedup();
            found.extend(groups.iter().filter(|group| begins(group)).map(|group| format!("{head}{group}")));
        }
        let names = self.entries.iter().map(|entry| &entry.name).filter(|name| begins(name));
        found.extend(names.map(|name| format!("{head}{name}")));
        found
    }

    /// The arguments that a line still lacks.
    pub fn hint(&self, line: &str) -> Option<String> {
        let words = split_words(line.as_bytes())?;
        let words: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let (entry, known) = self
            .entries
            .iter()
            .filter_map(|entry| Some((entry, entry.matched_words(&words)?)))
            .max_by_key(|(_, known)| *known)?;
        let mut params = entry.params.as_str();
        let mut typed = words.len() - known;
        // An option stays: it is not known whether what was typed is one.
        while typed > 0 && !params.is_empty() && !params.starts_with('[') {
            params = params.split_once(' ').map_or("", |(_, rest)| rest);
            typed -= 1;
        }
        let is_apart = line.ends_with(|c: char| c.is_ascii_whitespace());
        Some(if is_apart { params.to_string() } else { format!(" {params}") })
    }
}

impl Entry {
    fn text(&self, has_group: bool) -> String {
        let mut out = format!("\r\n  \x1b[1m{}\x1b[0m \x1b[90m{}\x1b[0m\r\n", self.name, self.params);
        out += &format!("  \x1b[33msummary:\x1b[0m {}\r\n", self.summary);
        if let Some(since) = &self.since {
            out += &format!("  \x1b[33msince:\x1b[0m {since}\r\n");
        }
        if has_group {
            out += &format!("  \x1b[33mgroup:\x1b[0m {}\r\n", self.group);
        }
        out
    }

    /// Whether the name begins with these whole words.
    fn begins_with(&self, asked: &str) -> bool {
        let start = self.name.get(..asked.len()).is_some_and(|start| start.eq_ignore_ascii_case(asked));
        start && (self.name.len() == asked.len() || self.name.as_bytes()[asked.len()] == b' ')
    }

    /// How many words of a line are this entry's name, if all of the name stands there.
    fn matched_words(&self, words: &[String]) -> Option<usize> {
        let mut count = 0;
        for own in self.name.split(' ') {
            if !words.get(count)?.eq_ignore_ascii_case(own) {
                return None;
            }
            count += 1;
        }
        Some(count)
    }
}

fn push_docs(entries: &mut Vec<Entry>, name: &str, docs: &Reply) {
    let text = |field: &str| docs.field(field).map(|reply| reply.text().into_owned());
    let arguments = docs.field("arguments").and_then(Reply::items).unwrap_or_default();
    let params: Vec<Param> = arguments.iter().filter_map(|argument| param_of(argument, 0)).collect();
    entries.push(Entry {
        name: name.replace('|', " ").to_uppercase(),
        params: joined(&params, " "),
        summary: text("summary").unwrap_or_default(),
        since: text("since"),
        group: text("group").unwrap_or_default(),
    });
    for (sub, docs) in docs.field("subcommands").and_then(Reply::pairs).unwrap_or_default() {
        push_docs(entries, &sub.text(), docs);
    }
}

fn push_command(entries: &mut Vec<Entry>, command: &'static Command) {
    let params: Vec<Param> = docs::of(command).arguments.iter().map(param_of_own).collect();
    entries.push(Entry {
        name: command.full_name.replace('|', " ").to_uppercase(),
        params: joined(&params, " "),
        summary: command.summary.into(),
        since: Some(command.since.into()),
        group: command.group.name().into(),
    });
    for sub in command.subcommands {
        push_command(entries, sub);
    }
}

/// Arguments within arguments, at most: deeper ones are a server's mistake.
const PARAM_DEPTH_MAX: usize = 16;

fn param_of(argument: &Reply, depth: usize) -> Option<Param> {
    let text = |field: &str| argument.field(field).map(|reply| reply.text().into_owned());
    let flags = argument.field("flags").and_then(Reply::items).unwrap_or_default();
    let has = |name: &str| flags.iter().any(|flag| flag.as_bytes() == Some(name.as_bytes()));
    let inner = match argument.field("arguments").and_then(Reply::items) {
        Some(inner) if depth < PARAM_DEPTH_MAX => inner,
        _ => &[],
    };
    Some(Param {
        name: text("display_text").or_else(|| text("name"))?,
        token: text("token"),
        kind: text("type")?,
        is_optional: has("optional"),
        is_multiple: has("multiple"),
        repeats_token: has("multiple_token"),
        inner: inner.iter().filter_map(|argument| param_of(argument, depth + 1)).collect(),
    })
}

fn param_of_own(argument: &Argument) -> Param {
    let has = |name: &str| argument.flag_names().any(|flag| flag == name);
    Param {
        name: argument.name.into(),
        token: argument.token.map(str::to_string),
        kind: argument.kind.name().into(),
        is_optional: has("optional"),
        is_multiple: has("multiple"),
        repeats_token: has("multiple_token"),
        inner: argument.arguments.iter().map(param_of_own).collect(),
    }
}

fn joined(params: &[Param], separator: &str) -> String {
    params.iter().map(Param::text).collect::<Vec<_>>().join(separator)
}

impl Param {
    fn text(&self) -> String {
        let or_quotes = |text: &str| if text.is_empty() { "\"\"".to_string() } else { text.to_string() };
        let value = match self.kind.as_str() {
            "pure-token" => String::new(),
            "oneof" => joined(&self.inner, "|"),
            "block" => joined(&self.inner, " "),
            _ => or_quotes(&self.name),
        };
        let mut token = self.token.as_deref().map(or_quotes).unwrap_or_default();
        if !token.is_empty() && self.kind != "pure-token" {
            token.push(' ');
        }
        let mut out = format!("{token}{value}");
        if self.is_multiple {
            let again = if self.repeats_token { token.as_str() } else { "" };
            out += &format!(" [{again}{value} ...]");
        }
        if self.is_optional { format!("[{out}]") } else { out }
    }
}

/// What `help` alone shows.
pub fn general() -> String {
    format!(
        "{} {}\n\
         Ask for help like this:\n      \
         \"help @<group>\" for the commands of a group\n      \
         \"help <command>\" for one command\n      \
         \"help <tab>\" for what there is help on\n      \
         \"quit\" to leave\n\n\
         Hints while you type:\n      \
         \":set hints\" shows them\n      \
         \":set nohints\" does not\n\
         Lines of ~/.redisclirc are read at the start.\n",
        crate::usage::NAME,
        crate::usage::VERSION
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str) -> Entry {
        Help::own().entries.into_iter().find(|entry| entry.name == name).expect(name)
    }

    #[test]
    fn arguments_are_written_as_in_redis() {
        assert_eq!(
            own("GETEX").params,
            "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]"
        );
        assert_eq!(own("MSET").params, "key value [key value ...]");
        assert_eq!(own("CONFIG GET").params, "parameter [parameter ...]");
        assert_eq!(
            own("SORT").params,
            "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA] [STORE destination]"
        );
    }

    #[test]
    fn hints_are_what_is_missing() {
        let help = Help::own();
        assert_eq!(help.hint("mset"), Some(" key value [key value ...]".into()));
        assert_eq!(help.hint("mset "), Some("key value [key value ...]".into()));
        assert_eq!(help.hint("mset a"), Some(" value [key value ...]".into()));
        assert_eq!(help.hint("mset a b "), Some("[key value ...]".into()));
        assert_eq!(help.hint("mset a b c"), Some(" [key value ...]".into()));
        assert_eq!(help.hint("config get "), Some("parameter [parameter ...]".into()));
        assert_eq!(help.hint("nothing"), None);
        assert_eq!(help.hint("get \"a"), None, "a quote is open");
    }

    #[test]
    fn completions() {
        let help = Help::own();
        assert_eq!(help.completions("getr"), ["GETRANGE"]);
        assert_eq!(help.completions("config g"), ["CONFIG GET"]);
        assert_eq!(help.completions("help @hy"), ["help @hyperloglog"]);
        assert_eq!(help.completions("help getr"), ["help GETRANGE"]);
        assert!(help.completions("é").is_empty());
    }

    #[test]
    fn help_of_a_word_is_help_of_its_subcommands() {
        let help = Help::own();
        let text = help.text(&["config".into()]);
        assert!(text.contains("CONFIG GET") && text.contains("CONFIG SET") && text.contains("group:"));
        assert_eq!(help.text(&["conf".into()]), "\r\n");
        assert!(help.text(&["@hyperloglog".into()]).contains("PFADD"));
    }

    #[test]
    fn a_strange_reply_is_no_trouble() {
        let bulk = |text: &str| Reply::Bulk(text.into());
        assert!(Help::of_docs(&Reply::Integer(1)).is_none());
        let docs =
            Reply::Array(vec![bulk("x"), Reply::Null, bulk("y"), Reply::Array(vec![bulk("arguments"), bulk("z")])]);
        let help = Help::of_docs(&docs).expect("a map");
        assert_eq!(help.completions(""), ["X", "Y"]);
        let rows = Reply::Array(vec![
            Reply::Null,
            Reply::Array(vec![bulk("new"), Reply::Integer(i64::MIN), Reply::Null, Reply::Integer(1)]),
        ]);
        assert!(help.with_commands(&rows).hint("new ").is_some_and(|hint| hint.starts_with("key arg arg")));
    }
}
