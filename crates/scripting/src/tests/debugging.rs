//! Sessions of the debugger with a client that has its commands written down.

use std::collections::VecDeque;

use rivulet_resp::{Args, OwnedArgs, Reply};

use crate::testing::{MapHost, engine};
use crate::{Console, Ended, Host, Input, Interrupt, LogLevel, Received, Replication};

/// A host whose client sends its next command whenever it is asked, and goes when it has no more.
#[derive(Default)]
struct Debugged {
    host: MapHost,
    commands: VecDeque<Vec<u8>>,
    said: String,
    has_run_long: bool,
    end: Option<&'static str>,
}

impl Host for Debugged {
    fn call(&mut self, command: Args<'_>, resp3: bool, reply: &mut Vec<u8>) {
        self.host.call(command, resp3, reply);
    }

    fn may_run(&mut self, command: Args<'_>) -> Option<bool> {
        self.host.may_run(command)
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.host.log(level, text);
    }

    fn set_replication(&mut self, to: Replication) {
        self.host.set_replication(to);
    }

    fn interrupt(&mut self) -> Interrupt {
        self.host.interrupt()
    }

    fn cpu_seconds(&mut self) -> f64 {
        self.host.cpu_seconds()
    }

    fn console(&mut self) -> Option<&mut dyn Console> {
        Some(self)
    }
}

impl Console for Debugged {
    fn send(&mut self, bytes: &[u8]) {
        self.said += &String::from_utf8_lossy(bytes);
    }

    fn receive(&mut self, input: &mut Vec<u8>) -> Received {
        match self.commands.pop_front() {
            Some(bytes) => input.extend(bytes),
            None => return self.end.map_or(Received::Gone, Received::End),
        }
        Received::Bytes
    }

    fn has_run_long(&mut self) -> bool {
        self.has_run_long
    }

    fn resumed(&mut self) {}

    fn was_refused(&self) -> bool {
        false
    }
}

/// The words of a command as a client sends them.
fn wire(command: &str) -> Vec<u8> {
    let words: Vec<&str> = command.split(' ').collect();
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    words.iter().for_each(|word| bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes()));
    bytes
}

impl Debugged {
    fn with(commands: &[&str]) -> Debugged {
        Debugged { commands: commands.iter().map(|command| wire(command)).collect(), ..Debugged::default() }
    }

    /// Runs a script; answers what was said, line by line, the script's reply, and how it ended.
    fn run(&mut self, script: &str) -> (Vec<String>, String, Ended) {
        let mut engine = engine();
        let args = OwnedArgs::from_slices(&["EVAL", script, "1", "key", "argument"]);
        let input = Input::of_script(args.as_args()).expect("it is right");
        let id = engine.scripts().evaluated(script.as_bytes()).expect("it compiles");
        let mut out = Vec::new();
        let (ended, last) = engine.debug(id, &input, self, &mut Reply::new(&mut out, false));
        self.send(&last);
        let lines = self.said.split("\r\n").filter_map(|line| line.strip_prefix('+')).map(str::to_string);
        // Nobody debugs what runs next.
        let id = engine.scripts().evaluated(b"redis.breakpoint() return redis.breakpoint()").expect("it compiles");
        let mut next = Vec::new();
        engine.eval(id, &input, &mut MapHost::default(), &mut Reply::new(&mut next, false));
        assert_eq!(next, b"$-1\r\n");
        (lines.collect(), String::from_utf8_lossy(&out).into_owned(), ended)
    }
}

const SCRIPT: &str =
    "local a = 1\nredis.call('set', KEYS[1], a)\nredis.debug('seen', a)\nreturn redis.call('get', KEYS[1])";

#[test]
fn step_by_step() {
    let mut client = Debugged::with(&["s", "n", "step", "next", "c"]);
    let (lines, reply, ended) = client.run(SCRIPT);
    let expected = [
        "* Stopped at 1, stop reason = step over",
        "-> 1   local a = 1",
        "* Stopped at 2, stop reason = step over",
        "-> 2   redis.call('set', KEYS[1], a)",
        "<redis> set key 1",
        "<reply> \"+OK\"",
        "* Stopped at 3, stop reason = step over",
        "-> 3   redis.debug('seen', a)",
        "<debug> line 3: \"seen\", 1",
        "* Stopped at 4, stop reason = step over",
        "-> 4   return redis.call('get', KEYS[1])",
        "<redis> get key",
        "<reply> \"1\"",
        "<endsession>",
    ];
    assert_eq!(lines, expected);
    assert_eq!((reply.as_str(), ended), ("$1\r\n1\r\n", Ended::Returned));
    assert_eq!(client.commands.len(), 1, "the script had ended");
}

#[test]
fn breakpoints_and_values() {
    let mut client = Debugged::with(&["b 4 9 x", "c", "p", "p ARGV", "p b", "e a + 1", "e nonsense", "r get key", "c"]);
    let (lines, ..) = client.run(SCRIPT);
    let expected = [
        "   3   redis.debug('seen', a)",
        "  #4   return redis.call('get', KEYS[1])",
        "Wrong line number.",
        "Invalid argument:'x'",
        "<debug> line 3: \"seen\", 1",
        "* Stopped at 4, stop reason = break point",
        "->#4   return redis.call('get', KEYS[1])",
        "<value> a = 1",
        "<value> {\"argument\"}",
        "No such variable.",
        "<error> ldb_eval:1: Script attempted to access nonexistent global variable 'a'",
        "<error> ldb_eval:1: Script attempted to access nonexistent global variable 'nonsense'",
        "<redis> get key",
        "<reply> \"1\"",
        "<endsession>",
    ];
    assert_eq!(lines[2..], expected);
}

#[test]
fn who_goes_lets_the_script_run_on() {
    let (lines, reply, ended) = Debugged::with(&["b 4"]).run(SCRIPT);
    assert_eq!((reply.as_str(), ended), ("$1\r\n1\r\n", Ended::Returned));
    assert_eq!(lines.last().map(String::as_str), Some("<endsession>"));
    assert!(!lines.iter().any(|line| line.starts_with("<redis>")), "{lines:?}");
}

#[test]
fn ways_to_the_end() {
    let caught = "local ok = pcall(function()\n local x = 1\n return x end)\nreturn ok";
    for (commands, end, script, text) in [
        (vec!["a"], None, SCRIPT, "ERR script aborted for user request"),
        (vec!["s", "s", "abort"], None, caught, "ERR script aborted for user request"),
        (vec![], Some(crate::KILLED), SCRIPT, "ERR Script killed by user with SCRIPT KILL..."),
    ] {
        let mut client = Debugged { end, ..Debugged::with(&commands) };
        let (_, reply, ended) = client.run(script);
        assert!(reply.starts_with(&format!("-{text} script: ")), "{reply}");
        assert_eq!(ended, Ended::Killed);
    }
    let mut client = Debugged { commands: [b"*1\r\nx".to_vec()].into(), ..Debugged::default() };
    assert!(client.run(SCRIPT).1.starts_with("-ERR protocol error script: "));
    let long = [b"*1\r\n$9\r\n".to_vec(), vec![b'x'; 1 << 20]].concat();
    let mut client = Debugged { commands: [long].into(), ..Debugged::default() };
    assert!(client.run(SCRIPT).1.starts_with("-ERR protocol error script: "));
    let endless = [b"*1\r\n$1000".to_vec(), vec![b'0'; 1 << 20]].concat();
    let mut client = Debugged { commands: [endless].into(), ..Debugged::default() };
    assert!(client.run(SCRIPT).1.starts_with("-ERR max client buffer reached script: "));
}

#[test]
fn what_runs_for_long_is_stopped() {
    let script = "local x = 0\nwhile true do x = x + 1 end";
    let mut client = Debugged { has_run_long: true, ..Debugged::with(&["c", "a"]) };
    let (lines, reply, _) = client.run(script);
    assert_eq!(lines[2], "* Stopped at 2, stop reason = timeout reached, infinite loop?");
    assert!(reply.starts_with("-ERR script aborted"), "{reply}");
    let mut client = Debugged { has_run_long: true, ..Debugged::with(&["c"]) };
    let (_, reply, ended) = client.run(script);
    assert!(reply.starts_with("-ERR timeout during Lua debugging with client closing connection"), "{reply}");
    assert_eq!(ended, Ended::Killed);
}

/// No hook runs while the script stands still, but what is run then asks the host as a script does.
#[test]
fn a_piece_of_lua_can_be_ended() {
    let mut client = Debugged::with(&["e while true do end", "c"]);
    client.host.ends_after = Some(3);
    let (_, reply, ended) = client.run(SCRIPT);
    assert_eq!((client.host.interrupts, ended), (3, Ended::Killed));
    assert!(reply.starts_with("-ERR"), "{reply}");
}

#[test]
fn commands_that_come_in_pieces_or_together() {
    let commands = wire("s").iter().map(|byte| vec![*byte]).collect();
    let mut client = Debugged { commands, ..Debugged::default() };
    client.commands.push_back([wire("p"), wire("t"), wire("c")].concat());
    let (lines, ..) = client.run(SCRIPT);
    assert_eq!(lines[4..7], ["<value> a = 1", "In top level:", "-> 2   redis.call('set', KEYS[1], a)"]);
}

#[test]
fn values_have_an_end() {
    let script = "local t = {}\nfor _ = 1, 9 do t = {t, t, t, t, t, t, t, t} end\nreturn 1";
    let mut client = Debugged::with(&["m 0", "b 3", "c", "p t", "c"]);
    let (lines, ..) = client.run(script);
    let shown = lines.iter().find(|line| line.starts_with("<value> {")).expect("it is shown");
    assert!(shown.len() < 64 << 20, "{}", shown.len());
}
