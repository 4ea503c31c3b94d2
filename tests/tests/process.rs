//! The process as those see it who operate it: in the background, supervised, in the list of processes, when it crashes, when it is stuck.

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rivulet_tests::process::{TempDir, free_port, run};
use rivulet_tests::{Client, Kind, Server, wait};

const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;

fn log_of(server: &Server) -> String {
    String::from_utf8_lossy(&std::fs::read(server.dir.path().join("log")).unwrap_or_default()).into_owned()
}

/// What the list of processes shows.
fn title(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // What lies behind is of no meaning.
    String::from_utf8_lossy(&bytes).split('\0').next().unwrap_or_default().to_string()
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().is_ok_and(|status| status.success()));
}

/// A process that nobody waits for, killed when the test ends.
struct Background(u32);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-9", &self.0.to_string()]).stderr(std::process::Stdio::null()).status();
    }
}

#[test]
fn a_daemon_goes_on_in_the_background() {
    for kind in [Kind::Rivulet, Kind::Redis7].into_iter().filter(|kind| kind.is_there()) {
        let (dir, port) = (TempDir::new(), free_port());
        let program = kind.program().expect("it is there");
        let (pid_file, port_text) = (dir.path().join("pid"), port.to_string());
        let words = |path: &Path| path.display().to_string();
        let args = ["--port", &port_text, "--daemonize", "yes", "--save", "", "--dir", &words(dir.path())];
        let files = ["--pidfile", &words(&pid_file), "--logfile", "log"];
        let (output, went_well) = run(&program, &[&args[..], &files[..]].concat());
        assert!(went_well && output.is_empty(), "{kind:?}: {output}");
        wait::until("it serves", || Client::connect(port).is_ok_and(|mut client| client.try_call("PING").is_ok()));
        let text = std::fs::read_to_string(&pid_file).expect("the pid file");
        let pid: u32 = text.trim_end().parse().expect("a number and the end of a line");
        let _background = Background(pid);
        let mut client = Client::connect(port).expect("it serves");
        assert!(client.call("INFO server").text().contains(&format!("process_id:{pid}\r\n")));
        for stream in 0..3 {
            let target = std::fs::read_link(format!("/proc/{pid}/fd/{stream}")).expect("it is open");
            assert_eq!(target, Path::new("/dev/null"), "{kind:?}: {stream}");
        }
        assert_eq!(title(pid), format!("{} *:{port}", program.display()));
        let set = client.call(&["CONFIG", "SET", "proc-title-template", "{port} and more"]);
        assert!(!set.is_error(), "{set:?}");
        assert_eq!(title(pid), format!("{port} and more"));
        let _ = client.try_call("SHUTDOWN NOSAVE");
        wait::until("it has ended", || !Path::new(&format!("/proc/{pid}")).exists());
        assert!(!pid_file.exists(), "{kind:?}");
        // What is wrong with the configuration is told at the terminal.
        let (output, went_well) = run(&program, &["--daemonize", "yes", "--logfile", "/nowhere/log"]);
        assert!(!went_well && output.contains("Can't open the log file"), "{kind:?}: {output}");
    }
}

#[test]
fn systemd_is_told_what_redis_tells_it() {
    let mut told = Vec::new();
    for kind in [Kind::Rivulet, Kind::Redis7].into_iter().filter(|kind| kind.is_there()) {
        let mut server = Server::prepare(kind, &["--supervised", "auto", "--daemonize", "yes"]);
        let path = server.dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).expect("a socket");
        listener.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
        server.set_env("NOTIFY_SOCKET", &path.display().to_string());
        server.launch();
        assert_eq!(server.info("process_supervised"), "systemd");
        let mut master = Server::start(kind, &[]);
        master.must("SET key value");
        server.follow(&master);
        server.shutdown("SAVE");
        let mut lines = Vec::new();
        let mut bytes = [0; 256];
        listener.set_nonblocking(true).expect("it can be set");
        while let Ok(len) = listener.recv(&mut bytes) {
            lines.push(String::from_utf8_lossy(&bytes[..len]).into_owned());
        }
        told.push(lines);
    }
    assert!(told[0].contains(&"READY=1\n".to_string()), "{told:?}");
    assert!(told.iter().all(|lines| *lines == told[0]), "{told:?}");
}

/// Whatever ends it, the log says where, and the parent sees by what; what was written before is there.
#[test]
fn a_crash_is_reported_and_loses_nothing() {
    let mut server = Server::start(Kind::Rivulet, &["--appendonly", "yes", "--appendfsync", "no"]);
    let ways: [(&str, i32, &str); 4] = [
        ("DEBUG SEGFAULT", SIGSEGV, "crashed by signal: 11"),
        ("DEBUG PANIC", SIGABRT, "Guru Meditation: Panic called"),
        ("DEBUG ASSERT", SIGABRT, "=== ASSERTION FAILED ==="),
        ("", SIGABRT, "crashed by signal: 6"),
    ];
    for (i, (command, by, told)) in ways.into_iter().enumerate() {
        server.must(&format!("SET key:{i} {i}"));
        let from = log_of(&server).len();
        match command {
            "" => signal(server.pid(), "-ABRT"),
            command => assert!(server.client().try_call(command).is_err()),
        }
        assert_eq!(server.wait_for_end().signal(), Some(by), "{command}");
        let log = log_of(&server)[from..].to_string();
        let mut rest = log.as_str();
        for part in
            ["=== REDIS BUG REPORT START", told, "STACK TRACE", "INFO OUTPUT", "keys=", "CLIENT LIST", "REPORT END"]
        {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("{command}: no {part} in\n{log}")).1;
        }
        assert_eq!(log.matches("REPORT START").count(), 1, "{log}");
        if let Some(word) = command.strip_prefix("DEBUG ") {
            assert!(log.contains(&format!("argv[1]: '\"{word}\"'")), "{log}");
            assert!(log.contains("debug_command"), "{log}");
        }
        server.launch();
        assert_eq!(server.must("DBSIZE").int(), i as i64 + 1);
    }
}

/// A log that takes nothing more, as who reads it is stuck, holds the end up for some seconds only.
#[test]
fn a_report_that_nobody_reads_does_not_keep_the_process() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let (dir, port) = (TempDir::new(), free_port());
    let dir_text = dir.path().display().to_string();
    let args = ["--port", &port.to_string(), "--save", "", "--dir", &dir_text, "--enable-debug-command", "yes"];
    let program = Kind::Rivulet.program().expect("it is built");
    let mut child = Command::new(program).args(args).stdout(writer).spawn().expect("it starts");
    wait::until("it serves", || Client::connect(port).is_ok_and(|mut client| client.try_call("PING").is_ok()));
    // Now a pipe of 64 KiB is nearly full.
    Client::connect(port).expect("it serves").must(&["DEBUG", "LOG", &"x".repeat(60_000)]);
    signal(child.id(), "-SEGV");
    let mut status = None;
    wait::until("it has ended", || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.signal()), Some(SIGSEGV));
    drop(reader);
}

#[test]
fn who_wants_no_report_gets_none() {
    let mut server = Server::start(Kind::Rivulet, &["--crash-log-enabled", "no"]);
    signal(server.pid(), "-SEGV");
    assert_eq!(server.wait_for_end().signal(), Some(SIGSEGV));
    assert!(!log_of(&server).contains("BUG REPORT"));
    let mut server = Server::start(Kind::Rivulet, &["--use-exit-on-panic", "yes"]);
    assert!(server.client().try_call("DEBUG PANIC").is_err());
    assert_eq!(server.wait_for_end().code(), Some(1));
    // A signal that the report uses inside means nothing otherwise.
    let mut server = Server::start(Kind::Rivulet, &[]);
    signal(server.pid(), "-USR2");
    server.must("PING");
}

/// Secrets are not in a report: passwords of the configuration and of commands.
#[test]
fn a_report_has_no_passwords() {
    let mut server = Server::start(Kind::Rivulet, &["--requirepass", "sesame", "--masterauth", "sesame"]);
    let mut client = server.client();
    // The crash comes within a batch that has more than the command at hand.
    let _ = client.send_raw(b"AUTH sesame\r\nDEBUG SEGFAULT\r\nAUTH sesame\r\n");
    assert_eq!(server.wait_for_end().signal(), Some(SIGSEGV));
    let log = log_of(&server);
    assert!(log.contains("argv[1]: '\"SEGFAULT\"'") && log.contains("REPORT END"), "{log}");
    assert!(!log.contains("sesame"), "{log}");
}

#[test]
fn a_turn_that_takes_too_long_is_reported() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("CONFIG SET watchdog-period 1");
    assert_eq!(server.must("CONFIG GET watchdog-period").items()[1].text(), "200");
    server.must("DEBUG SLEEP 0.05");
    assert!(!log_of(&server).contains("WATCHDOG"));
    server.must("DEBUG SLEEP 0.5");
    let log = log_of(&server);
    assert!(log.contains("--- WATCHDOG TIMER EXPIRED ---") && log.contains("debug_command"), "{log}");
    server.must("CONFIG SET watchdog-period 0");
    server.must("DEBUG SLEEP 0.5");
    assert_eq!(log_of(&server).matches("WATCHDOG").count(), 1);
}

#[test]
fn the_kernel_is_told_the_score_of_the_role() {
    for kind in [Kind::Rivulet, Kind::Redis7].into_iter().filter(|kind| kind.is_there()) {
        let mut server = Server::start(kind, &[]);
        let score = |server: &Server| -> i32 {
            let text = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", server.pid())).expect("it runs");
            text.trim().parse().expect("a number")
        };
        let base = score(&server);
        for (command, expected) in [
            ("CONFIG SET oom-score-adj-values \"10 20 30\"", base),
            ("CONFIG SET oom-score-adj yes", base + 10),
            ("REPLICAOF 127.0.0.1 1", base + 20),
            ("REPLICAOF NO ONE", base + 10),
            ("CONFIG SET oom-score-adj-values \"500 20 30\" oom-score-adj absolute", 500),
            ("CONFIG SET oom-score-adj no", base),
        ] {
            let words: Vec<&str> = command.split('"').map(str::trim).collect();
            let mut args: Vec<&[u8]> = words[0].split(' ').map(str::as_bytes).collect();
            args.extend(words.get(1).map(|value| value.as_bytes()));
            args.extend(words.get(2).into_iter().flat_map(|rest| rest.split_whitespace()).map(str::as_bytes));
            server.must(args.as_slice());
            assert_eq!(score(&server), expected, "{kind:?}: {command}");
        }
    }
}

/// The same line in Valkey's forms, but for the id of the process and the time.
#[test]
fn lines_of_the_log_have_the_forms_of_valkey() {
    let mut lines = Vec::new();
    for kind in [Kind::Rivulet, Kind::Valkey9].into_iter().filter(|kind| kind.is_there()) {
        let mut server = Server::start(kind, &["--log-format", "logfmt"]);
        let forms =
            ["logfmt", "json"].iter().flat_map(|form| ["legacy", "iso8601", "milliseconds"].map(|time| (form, time)));
        for (form, time) in forms {
            server.must(&["CONFIG", "SET", "log-format", form, "log-timestamp-format", time]);
            server.must(&["DEBUG", "LOG", "a \"b\" \\ /\r\nc\td\x01\x1b\x7f\x08\x0cü"]);
        }
        server.must("CONFIG SET log-format legacy");
        server.must("DEBUG LOG plain");
        let log = log_of(&server);
        let objects = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let levels: Vec<_> = objects.map(|object| object["level"].clone()).collect();
        assert_eq!(levels, ["warning"; 3], "{kind:?}: three lines are objects");
        let pid = server.pid().to_string();
        let shape = |line: &str| line.replace(&pid, "P").replace(|c: char| c.is_ascii_digit(), "0");
        lines.push(log.lines().filter(|line| line.contains("DEBUG LOG")).map(shape).collect::<Vec<_>>());
    }
    assert_eq!(lines[0].len(), 7, "{lines:?}");
    assert_eq!(lines[0][0].split("timestamp=").next(), Some("pid=P role=primary "), "{lines:?}");
    assert!(lines.iter().all(|shown| *shown == lines[0]), "{lines:?}");
}
