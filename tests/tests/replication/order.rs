//! The order in which sockets are written to: what a client is told of was offered to the replicas before.

use std::io::{ErrorKind, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rivulet_tests::process::tool;
use rivulet_tests::{Client, Kind, Server, wait};

use crate::wait_in_step;

/// A trace of the writes that a server makes.
struct Trace {
    tracer: Child,
    path: std::path::PathBuf,
}

impl Trace {
    /// Begins; nothing where processes can't be traced.
    fn begin(server: &Server) -> Option<Trace> {
        let Some(program) = tool("strace") else {
            println!("skipped: strace is not installed");
            return None;
        };
        let path = server.dir.path().join("trace");
        let calls = "trace=write,writev,sendto,sendmsg";
        let mut tracer = Command::new(program)
            .args(["-f", "-q", "-s", "1000000", "-e", calls, "-o", &path.display().to_string()])
            .args(["-p", &server.pid().to_string()])
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut client = server.client();
        let begun = wait::within(Duration::from_secs(10), || {
            client.must("ECHO begun");
            std::fs::read_to_string(&path).is_ok_and(|text| text.contains("begun"))
        });
        if !begun {
            println!("skipped: processes can't be traced here");
            let _ = tracer.kill();
            return None;
        }
        Some(Trace { tracer, path })
    }

    /// Ends, and answers the lines.
    fn end(mut self) -> Vec<String> {
        let _ = Command::new("kill").args(["-INT", &self.tracer.id().to_string()]).status();
        let _ = self.tracer.wait();
        let text = std::fs::read_to_string(&self.path).expect("a trace");
        text.lines().map(str::to_string).collect()
    }
}

/// At no time were more replies to INCR sent than INCRs to the replica. Answers how many replies there were.
#[track_caller]
fn assert_offered_first(lines: &[String]) -> usize {
    let (mut offered, mut told) = (0, 0);
    for line in lines {
        // Sockets are written to with other calls than files are.
        let is_socket = !line.contains(" write(");
        if is_socket && line.contains("INCR") {
            offered += line.matches("INCR").count();
        } else if is_socket && (line.contains("\":") || line.contains("\\n:")) {
            told += line.matches(":").count().min(line.matches("\\r\\n").count());
            assert!(told <= offered, "{told} replies, and {offered} commands offered: {line:.200}");
        }
    }
    told
}

fn with_replica(args: &[&str]) -> (Server, Server) {
    let mut master = Server::start(Kind::Rivulet, &[args, &["--repl-ping-replica-period", "3600"]].concat());
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    wait_in_step(&mut master, &mut replica);
    (master, replica)
}

#[test]
fn replies_that_waited_for_the_disk_leave_after_the_stream() {
    for policy in ["everysec", "always"] {
        let (master, _replica) = with_replica(&["--appendonly", "yes", "--appendfsync", policy]);
        let Some(trace) = Trace::begin(&master) else { return };
        let mut client = master.client();
        for _ in 0..30 {
            client.must("INCR counter");
        }
        assert_eq!(assert_offered_first(&trace.end()), 30, "{policy}");
    }
}

/// A client whose socket becomes free in the very moment in which its next command comes.
#[test]
fn replies_of_a_client_that_reads_slowly_leave_after_the_stream() {
    let (mut master, _replica) = with_replica(&["--client-output-buffer-limit", "normal 0 0 0"]);
    master.must(&["SET", "large", &"x".repeat(100_000)]);
    let stop = |name: &str| {
        assert!(Command::new("kill").args([name, &master.pid().to_string()]).status().is_ok());
    };
    let Some(trace) = Trace::begin(&master) else { return };
    let mut slow = Client::connect(master.port).expect("it connects");
    slow.must("CLIENT SETNAME slow");
    let mut seen = master.client();
    let mut waits = || {
        let list = seen.must("CLIENT LIST").text();
        let line = list.lines().find(|line| line.contains("name=slow")).expect("it is there").to_string();
        let omem = line.split("omem=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a field");
        omem.parse::<u64>().expect("a number") > 0
    };
    for _ in 0..5 {
        let mut asked = 0;
        while !waits() {
            slow.add("GET large");
            slow.flush().expect("it is sent");
            asked += 1;
            wait::pause(Duration::from_millis(5));
        }
        stop("-STOP");
        slow.add("INCR counter");
        slow.flush().expect("it is sent");
        let at_once = drain(&mut slow);
        stop("-CONT");
        read_to_counter(&mut slow, at_once, asked);
    }
    let told = assert_offered_first(&trace.end());
    assert_eq!(told, 5);
}

/// What has come so far.
fn drain(client: &mut Client) -> Vec<u8> {
    let socket = client.socket();
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => panic!("the connection is closed"),
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return all,
            Err(e) => panic!("{e}"),
        }
    }
}

/// Reads on until the reply of INCR is there.
fn read_to_counter(client: &mut Client, mut have: Vec<u8>, values: usize) {
    wait::until("all replies are there", || {
        have.extend(drain(client));
        have.len() > values * 100_000 && have.ends_with(b"\r\n") && have[have.len() - 12..].contains(&b':')
    });
}
