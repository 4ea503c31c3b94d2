//! The interactive program on a terminal: tmux plays the person, and the screen is compared with the text that is kept beside this file.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rivulet_tests::process::{TempDir, rivulet, tool};
use rivulet_tests::{Kind, Server, wait};

/// A terminal with our program in it; closed at the end.
pub struct Terminal {
    name: String,
}

impl Terminal {
    fn open(server: &Server, home: &Path) -> Option<Terminal> {
        Terminal::open_with(server, home, "")
    }

    pub fn open_with(server: &Server, home: &Path, options: &str) -> Option<Terminal> {
        if tool("tmux").is_none() {
            println!("skipped: tmux is not installed");
            return None;
        }
        let terminal = Terminal { name: format!("rivulet-{}-{}", std::process::id(), server.port) };
        let program = rivulet("rivulet-cli");
        let line = format!("HOME={} exec {} -p {} {options}", home.display(), program.display(), server.port);
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "100", &line]);
        Some(terminal)
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.name]).args(args).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        let output = command.output().expect("tmux runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).trim_end().to_string()
    }

    /// Presses keys, as tmux names them; text is typed as it is.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types a line and waits until the screen ends as it must.
    #[track_caller]
    fn line(&self, line: &str, end: &str) {
        self.press(&["-l", line]);
        wait::until("the line is there", || self.screen().contains(line));
        self.press(&["Enter"]);
        self.wait_for_end(end);
    }

    #[track_caller]
    fn wait_for_end(&self, end: &str) {
        let is_there = wait::within(Duration::from_secs(10), || self.screen().ends_with(end.trim_end()));
        assert!(is_there, "{end:?} does not come:\n{}", self.screen());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// What differs from run to run is named.
fn neutral(screen: &str, port: u16) -> String {
    let screen = screen.replace(&port.to_string(), "PORT");
    let mut out = String::new();
    for line in screen.lines() {
        match line.strip_prefix("^C(").and_then(|rest| rest.strip_suffix("s)")) {
            Some(seconds) if seconds.parse::<f64>().is_ok() => out += "^C(TIME)",
            _ => out += line.trim_end(),
        }
        out.push('\n');
    }
    out
}

#[test]
fn a_session_looks_as_it_must() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let home = TempDir::new();
    let Some(terminal) = Terminal::open(&server, home.path()) else { return };
    let prompt = format!("127.0.0.1:{}> ", server.port);
    let in_transaction = format!("127.0.0.1:{}(TX)> ", server.port);
    terminal.wait_for_end(&prompt);
    for line in ["set greeting \"hello world\"", "get greeting", "rpush list x y", "lrange list 0 -1", "nosuch"] {
        terminal.line(line, &prompt);
    }
    // The hint is there while the line is, and in grey.
    terminal.press(&["-l", "mset a "]);
    terminal.wait_for_end("mset a value [key value ...]");
    assert!(terminal.tmux(&["capture-pane", "-p", "-e"]).contains("\u{1b}[90m"), "the hint is grey");
    terminal.press(&["C-u"]);
    terminal.press(&["-l", "getr"]);
    terminal.press(&["Tab"]);
    terminal.wait_for_end("GETRANGE key start end");
    terminal.press(&["-l", " greeting 0 4"]);
    terminal.press(&["Enter"]);
    terminal.wait_for_end(&prompt);
    terminal.line("multi", &in_transaction);
    terminal.line("incr n", &in_transaction);
    terminal.line("exec", &prompt);
    terminal.line("3 incr n", &prompt);
    terminal.press(&["Up", "Enter"]);
    terminal.wait_for_end(&prompt);
    terminal.line("auth secret", &prompt);
    terminal.line("select 2", &format!("127.0.0.1:{}[2]> ", server.port));
    terminal.line("select 0", &prompt);
    terminal.line("help nosuch", &prompt);
    terminal.line("help incr", &prompt);
    terminal.line(":set nohints", &prompt);
    terminal.line("get \"open", &prompt);
    terminal.line("subscribe channel", "3) (integer) 1");
    // On a busy machine it may take a while, and a second is shown with two digits.
    server.must("PUBLISH channel news");
    terminal.wait_for_end("3) \"news\"");
    wait::pause(Duration::from_millis(600));
    terminal.press(&["C-c"]);
    terminal.wait_for_end(&prompt);
    let screen = neutral(&terminal.screen(), server.port);
    assert_eq!(screen, include_str!("session.txt"), "the screen:\n{screen}");

    terminal.line("monitor", "OK");
    server.must("SET seen yes");
    terminal.wait_for_end("\"SET\" \"seen\" \"yes\"");
    terminal.press(&["C-c"]);
    terminal.wait_for_end(&prompt);
    terminal.line("client kill type normal skipme no", &prompt);
    terminal.line("ping", "not connected>");
    terminal.line("ping", &prompt);
    terminal.press(&["-l", "exit"]);
    terminal.wait_for_end("exit");
    terminal.press(&["Enter"]);
    wait::until("the program ends", || terminal.screen().is_empty());
    let history = std::fs::read_to_string(home.path().join(".rediscli_history")).expect("a history");
    assert!(history.starts_with("set greeting \"hello world\"\nget greeting\n") && history.ends_with("ping\nexit\n"));
    assert!(!history.contains("secret"), "{history}");
}

#[test]
fn a_password_is_not_shown() {
    let server = Server::start(Kind::Rivulet, &["--requirepass", "secret"]);
    let home = TempDir::new();
    let Some(terminal) = Terminal::open_with(&server, home.path(), "--askpass") else { return };
    terminal.wait_for_end("Please input password:");
    terminal.press(&["-l", "secret"]);
    terminal.wait_for_end("Please input password: ******");
    terminal.press(&["Enter"]);
    // What is typed before the line editor has the terminal is thrown away.
    terminal.wait_for_end(&format!("127.0.0.1:{}>", server.port));
    terminal.line("ping", &format!("PONG\n127.0.0.1:{}>", server.port));
    assert!(!terminal.screen().contains("secret"));
}
