//! The lines that were typed, in a file that redis-cli reads too. What holds a password is kept out.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::session::Words;

/// So many lines are kept.
const LINES_MAX: usize = 100;
/// No more of a file is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The file of the home directory that a variable may name otherwise; `/dev/null` is none.
pub fn dotfile(named: Option<OsString>, home: Option<OsString>, name: &str) -> Option<PathBuf> {
    match named.filter(|path| !path.is_empty()) {
        Some(path) if path == "/dev/null" => None,
        Some(path) => Some(path.into()),
        None => Some(Path::new(&home.filter(|home| !home.is_empty())?).join(name)),
    }
}

pub struct History {
    lines: Vec<String>,
    file: Option<PathBuf>,
}

impl History {
    /// With what the file holds; one that can't be read is empty.
    pub fn load(file: Option<PathBuf>) -> History {
        let lines = file.as_deref().map(read_lines).unwrap_or_default();
        History { lines, file }
    }

    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Adds a line, unless it is the one before, and writes the file; answers whether it was added.
    pub fn add(&mut self, line: &str) -> bool {
        if self.lines.last().is_some_and(|last| last == line) {
            return false;
        }
        self.lines.push(line.to_string());
        let surplus = self.lines.len().saturating_sub(LINES_MAX);
        self.lines.drain(..surplus);
        // Who can't keep a history has none: that is no reason to disturb.
        let _ = self.save();
        true
    }

    fn save(&self) -> io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
        let mut text = self.lines.join("\n");
        text.push('\n');
        file.write_all(text.as_bytes())
    }
}

fn read_lines(path: &Path) -> Vec<String> {
    if fs::metadata(path).map_or(true, |metadata| !metadata.is_file() || metadata.len() > FILE_BYTES_MAX) {
        return Vec::new();
    }
    let Ok(bytes) = fs::read(path) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_string).collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].to_vec()
}

/// Whether a command may hold a password.
pub fn is_secret(args: &[Vec<u8>]) -> bool {
    const DIRECTIVES: &[&str] = &[
        "masterauth",
        "masteruser",
        "requirepass",
        "primaryauth",
        "primaryuser",
        "tls-key-file-pass",
        "tls-client-key-file-pass",
    ];
    let words = Words(args);
    let any_is = |from: usize, step: usize, names: &[&str]| {
        (from..args.len()).step_by(step).any(|at| names.iter().any(|name| words.is(at, name)))
    };
    if words.is(0, "auth") || (words.is(0, "acl") && words.is(1, "setuser")) {
        return true;
    }
    if words.is(0, "config") && words.is(1, "set") {
        return any_is(2, 2, DIRECTIVES);
    }
    if words.is(0, "sentinel") {
        return (words.is(1, "set") && any_is(3, 2, &["auth-pass", "auth-user"]))
            || (words.is(1, "config") && any_is(3, 2, &["sentinel-pass", "sentinel-user"]));
    }
    if words.is(0, "hello") {
        return args.len() > 4 && has_login_of_hello(&words);
    }
    words.is(0, "migrate") && args.len() > 7 && has_login_of_migrate(&words)
}

fn has_login_of_hello(words: &Words<'_>) -> bool {
    let mut at = 2;
    while words.is(at, "setname") {
        at += 2;
    }
    words.is(at, "auth") && words.0.len() > at + 2
}

/// Keys may be named as options are: what follows KEYS is no option.
fn has_login_of_migrate(words: &Words<'_>) -> bool {
    let options_end = (6..words.0.len()).find(|at| words.is(*at, "keys")).unwrap_or(words.0.len());
    (6..options_end).any(|at| words.is(at, "auth") || words.is(at, "auth2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_secret_line(line: &str) -> bool {
        is_secret(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn passwords_are_kept_out() {
        for line in [
            "AUTH x",
            "auth user x",
            "ACL SETUSER joe >x",
            "config set requirepass x",
            "config set maxmemory 1 masterauth x",
            "hello 3 auth u p",
            "hello 3 setname n auth u p",
            "migrate h 1 k 0 5 copy auth p",
            "migrate h 1 k 0 5 auth2 u p",
            "sentinel set m auth-pass x",
            "sentinel config set sentinel-pass x",
        ] {
            assert!(is_secret_line(line), "{line}");
        }
        for line in [
            "get auth",
            "acl list",
            "config get requirepass",
            "config set maxmemory 5",
            "hello 3",
            "hello 3 setname auth",
            "migrate h 1 k 0 5 copy keys auth b",
            "sentinel masters",
        ] {
            assert!(!is_secret_line(line), "{line}");
        }
    }

    #[test]
    fn a_file_is_named_by_the_variable_or_by_the_home() {
        let text = |text: &str| Some(OsString::from(text));
        assert_eq!(dotfile(text("/x"), text("/home"), ".f"), Some("/x".into()));
        assert_eq!(dotfile(text("/dev/null"), text("/home"), ".f"), None);
        assert_eq!(dotfile(text(""), text("/home"), ".f"), Some("/home/.f".into()));
        assert_eq!(dotfile(None, None, ".f"), None);
    }

    #[test]
    fn the_file_has_the_last_lines_and_is_private() {
        let path = std::env::temp_dir().join(format!("rivulet-history-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let mut history = History::load(Some(path.clone()));
        for n in 0..LINES_MAX + 5 {
            assert!(history.add(&format!("get {n}")));
        }
        assert!(!history.add(&format!("get {}", LINES_MAX + 4)), "the same again");
        let again = History::load(Some(path.clone()));
        assert_eq!((again.lines().len(), again.lines()[0].as_str()), (LINES_MAX, "get 5"));
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        fs::remove_file(&path).expect("removed");
    }
}
