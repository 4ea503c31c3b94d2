//! The page of a Sentinel: what it shows of the sets that it watches, what monitoring asks of it, and who may have it replace a master.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rivulet_tests::http;
use rivulet_tests::process::{TempDir, free_port, rivulet, run};
use rivulet_tests::tls::{Authority, Use};
use rivulet_tests::{Client, Kind, Server, wait};
use serde_json::Value;

use super::metrics::{Exporter, check_with_promtool, exporters, is_one_of, samples};
use super::{address, crowd, links, log_in, log_in_at, own_ip};

/// A Sentinel with a page, which ends with the value.
struct Sentinel {
    child: Child,
    port: u16,
    page: u16,
    dir: TempDir,
}

impl Sentinel {
    /// With these lines in its configuration.
    fn start(lines: &[String]) -> Sentinel {
        let page = free_port();
        let sentinel = Sentinel::spawn(page, lines);
        wait::until("the Sentinel answers", || {
            Client::connect(sentinel.port).is_ok_and(|mut client| client.try_call("PING").is_ok())
        });
        sentinel
    }

    /// The same with a page of its own choice, which need not come up.
    fn spawn(page: u16, lines: &[String]) -> Sentinel {
        Sentinel::spawn_after("true", page, lines)
    }

    /// The same after a line of a shell: `ulimit` for example.
    fn spawn_after(line: &str, page: u16, lines: &[String]) -> Sentinel {
        let (dir, port) = (TempDir::new(), free_port());
        let (shown, path) = (dir.path().display(), dir.path().join("sentinel.conf"));
        let head = format!("port {port}\nbind 127.0.0.1\ndir {shown}\nlogfile {shown}/log\n");
        std::fs::write(&path, format!("{head}{}\n", lines.join("\n"))).expect("a configuration file");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{line}; exec \"$0\" \"$@\"")).arg(rivulet("rivulet-server"));
        command.arg(&path).args(["--sentinel", "--http-port", &page.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Sentinel { child: child.expect("it starts"), port, page, dir }
    }

    fn client(&self) -> Client {
        Client::connect(self.port).expect("it listens")
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn ready(&self, query: &str) -> (u16, String) {
        let answer = http::get(self.page, &format!("/readyz{query}"));
        (answer.status, answer.body)
    }

    fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        wait::until("it ends", || {
            status = self.child.try_wait().expect("it is a child");
            status.is_some()
        });
        status.expect("it has just ended")
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- log of Sentinel\n{}\n----", self.file("log"));
        }
    }
}

/// Lines by which a master is watched.
fn monitor(name: &str, port: u16, quorum: u32) -> Vec<String> {
    vec![
        format!("sentinel monitor {name} 127.0.0.1 {port} {quorum}"),
        format!("sentinel down-after-milliseconds {name} 1500"),
    ]
}

/// A master and a replica that have the same password, if there is one.
fn pair(password: Option<&str>) -> [Server; 2] {
    let words: Vec<&str> = password.map_or(Vec::new(), |p| vec!["--requirepass", p, "--masterauth", p]);
    let start = |more: &[&str]| {
        let mut server = Server::prepare(Kind::Rivulet, &[&words[..], more].concat());
        server.launch();
        server
    };
    let master = start(&[]);
    let port = master.port.to_string();
    [master, start(&["--replicaof", "127.0.0.1", &port])]
}

fn roles(topology: &Value) -> Vec<(String, String)> {
    let nodes = topology["nodes"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    nodes.iter().map(|node| (text(&node["addresses"][0]), text(&node["role"]))).collect()
}

#[test]
fn the_picture_is_of_the_sentinel_and_of_the_sets_that_it_watches() {
    let [master, replica] = pair(Some("hidden-word"));
    let other = Server::start(Kind::Rivulet, &[]);
    let mut lines = [monitor("mymaster", master.port, 1), monitor("other", other.port, 1)].concat();
    lines.push("sentinel auth-pass mymaster hidden-word".into());
    let sentinel = Sentinel::start(&lines);
    let own = format!("127.0.0.1:{}", sentinel.port);
    let mut expected: Vec<_> =
        [(address(&master), "master"), (address(&replica), "replica"), (address(&other), "master"), (own, "sentinel")]
            .map(|(address, role)| (address, role.to_string()))
            .into();
    expected.sort();
    let mut last = Value::Null;
    let is_whole = wait::within(Duration::from_secs(30), || {
        last = http::get(sentinel.page, "/topology").json();
        let mut found = roles(&last);
        found.sort();
        found == expected && links(&last) == [(master.port, replica.port, "online".to_string())]
    });
    assert!(is_whole, "{last:#}");
    let nodes = last["nodes"].as_array().expect("nodes");
    assert!(nodes.iter().all(|node| node["silent"].is_null()), "{last:#}");
    let own = nodes.iter().find(|node| node["is_own"] == true).expect("the Sentinel");
    assert_eq!((&own["role"], own["watches"].as_array().map(Vec::len)), (&"sentinel".into(), Some(2)));
    assert_eq!(own["watched_names"], serde_json::json!(["mymaster", "other"]));
    // What the page needs to log in with is in nothing that it shows, and for no client of the Sentinel.
    for path in ["/topology", "/metrics", "/"] {
        assert!(!http::get(sentinel.page, path).body.contains("hidden-word"), "{path}");
    }
    let mut client = sentinel.client();
    for command in ["LOGINS", "CONFIG GET *"] {
        assert!(client.call(command).text().starts_with("ERR unknown command"), "{command}");
    }
    assert_eq!(client.must("CLIENT LIST").text().lines().count(), 1);
    assert_eq!(client.must("CLIENT KILL TYPE normal SKIPME yes").int(), 0);
    assert!(client.must("INFO clients").text().contains("connected_clients:1\r\n"));
    let mut events = http::events(sentinel.page);
    assert_eq!(events.event().expect("a picture")["nodes"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_master_that_lets_nobody_in_is_shown_as_silent() {
    let [master, replica] = pair(Some("secret"));
    let mut lines = monitor("mymaster", master.port, 1);
    lines.push("sentinel auth-pass mymaster wrong".into());
    let sentinel = Sentinel::start(&lines);
    let mut last = Value::Null;
    let is_silent = wait::within(Duration::from_secs(30), || {
        last = http::get(sentinel.page, "/topology").json();
        let node = last["nodes"]
            .as_array()
            .and_then(|all| all.iter().find(|node| node["addresses"][0] == address(&master).as_str()).cloned());
        node.is_some_and(|node| node["silent"].as_str().is_some_and(|why| why.contains("WRONGPASS")))
    });
    assert!(is_silent, "{last:#}");
    assert!(!last.to_string().contains("wrong\""), "{last:#}");
    // The right word, which is told to the Sentinel while it runs, is the page's from then on.
    sentinel.client().must("SENTINEL SET mymaster auth-pass secret");
    let has_come = wait::within(Duration::from_secs(30), || {
        last = http::get(sentinel.page, "/topology").json();
        links(&last) == [(master.port, replica.port, "online".to_string())]
    });
    assert!(has_come, "{last:#}");
}

/// Who answers each INFO that a page asks with a text that has no end, and everything else as a master does.
fn endless() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = socket.read(&mut bytes) {
                    let asks = bytes[..n].windows(4).any(|word| word.eq_ignore_ascii_case(b"info"));
                    let sent = socket.write_all(if asks { b"$1000000000000\r\n" } else { b"+PONG\r\n" });
                    if asks && sent.is_ok() {
                        while socket.write_all(&[b'x'; 1 << 16]).is_ok() {}
                    }
                }
            });
        }
    });
    port
}

#[test]
fn a_node_whose_answer_has_no_end_fills_no_memory() {
    let port = endless();
    let sentinel = Sentinel::start(&monitor("mymaster", port, 2));
    let name = format!("127.0.0.1:{port}");
    let mut last = Value::Null;
    let is_told = wait::within(Duration::from_secs(20), || {
        last = http::get(sentinel.page, "/topology").json();
        let node = last["nodes"].as_array().and_then(|all| all.iter().find(|n| n["addresses"][0] == name.as_str()));
        let why = node.and_then(|node| node["silent"].as_str()).unwrap_or_default().to_string();
        why == format!("{name} sends a reply of more than 4194304 bytes")
    });
    assert!(is_told, "{last:#}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", sentinel.child.id())).expect("it runs");
    let peak_kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok())
        .expect("a figure");
    assert!(peak_kib < 200 << 10, "{peak_kib} KiB");
}

#[test]
fn a_crowd_at_the_page_leaves_the_links_their_descriptors() {
    let [master, replica] = pair(None);
    let page = free_port();
    let sentinel = Sentinel::spawn_after("ulimit -n 128", page, &[]);
    wait::until("it answers", || {
        Client::connect(sentinel.port).is_ok_and(|mut client| client.try_call("PING").is_ok())
    });
    let crowd = crowd(page, 160);
    assert!(crowd.len() > 16, "{}", crowd.len());
    wait::pause(Duration::from_millis(500));
    let mut client = sentinel.client();
    client.must(&format!("SENTINEL MONITOR mymaster 127.0.0.1 {} 1", master.port));
    wait::until("it sees the set", || {
        client.must("INFO sentinel").text().contains(",status=ok,")
            && client.must("SENTINEL REPLICAS mymaster").items().len() == 1
    });
    drop((crowd, replica));
}

#[test]
fn a_set_over_tls_is_asked_over_tls() {
    let authority = Authority::new("An authority");
    authority.sign_for("server", Use::Any);
    let start = |more: &[&str]| {
        let tls = free_port();
        let mut args: Vec<String> = authority.server_args("server", tls);
        args.extend(["--tls-replication", "yes"].map(String::from));
        args.extend(more.iter().map(|arg| arg.to_string()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        (Server::start(Kind::Rivulet, &args), tls)
    };
    let (_master, above) = start(&[]);
    let (mut replica, below) = start(&["--replicaof", "127.0.0.1", &above.to_string()]);
    replica.wait_for_link();
    let mut lines = monitor("mymaster", above, 1);
    lines.push("tls-replication yes".into());
    for (name, of, extension) in
        [("tls-cert-file", "server", "crt"), ("tls-key-file", "server", "key"), ("tls-ca-cert-file", "ca", "crt")]
    {
        lines.push(format!("{name} {}", authority.text(of, extension)));
    }
    let sentinel = Sentinel::start(&lines);
    let mut last = Value::Null;
    let is_shown = wait::within(Duration::from_secs(30), || {
        last = http::get(sentinel.page, "/topology").json();
        links(&last) == [(above, below, "online".to_string())]
    });
    assert!(is_shown && roles(&last).len() == 3, "{last:#}");
}

/// What differs by its nature: the exporter's questions are commands and connections, and time passes between the two.
const MOVES: &[&str] = &[
    "redis_client_recent_max_",
    "redis_commands_processed_total",
    "redis_connect",
    "redis_cpu_",
    "redis_net_",
    "redis_start_time_seconds",
    "redis_total_error_replies",
    "redis_uptime_in_seconds",
    "redis_sentinel_master_last_ok_ping_reply_seconds",
];
/// What the exporter tells of itself, or of databases, which a Sentinel has not.
const NOT_OURS: &[&str] = &["redis_exporter_", "redis_target_", "redis_last_key_groups_", "redis_db_"];

#[test]
fn names_labels_and_values_are_the_exporters() {
    let [master, _replica] = pair(None);
    let lines =
        [monitor("mymaster", master.port, 1), monitor("nobody", free_port(), 2), monitor("few", master.port, 2)];
    let sentinel = Sentinel::start(&lines.concat());
    let metrics = || http::get(sentinel.page, "/metrics").body;
    wait::until("it knows its sets", || {
        let text = metrics();
        let slaves = text.matches("redis_sentinel_master_slaves{").count() == 3
            && text.lines().filter(|l| l.starts_with("redis_sentinel_master_slaves{") && l.ends_with("} 1")).count()
                == 2;
        slaves && text.contains("master_name=\"nobody\",") && text.contains("master_status=\"sdown\"} 0")
    });
    let ours = samples(&metrics());
    for (name, value) in [
        ("redis_sentinel_masters", 3.0),
        ("rivulet_sentinel_master_quorum_reached{master_name=\"mymaster}", 1.0),
        ("rivulet_sentinel_master_quorum_reached{master_name=\"few}", 0.0),
        ("rivulet_sentinel_master_majority_reached{master_name=\"few}", 1.0),
        ("rivulet_sentinel_master_failover_in_progress{master_name=\"nobody}", 0.0),
    ] {
        assert_eq!(ours.get(name), Some(&value), "{name}: {ours:#?}");
    }
    check_with_promtool(&metrics());
    let Some(exporter) = Exporter::start(sentinel.port) else { return };
    let mut theirs = String::new();
    wait::until("the exporter answers", || {
        theirs = exporters(exporter.1);
        theirs.contains("redis_up 1")
    });
    let (ours, theirs) = (samples(&metrics()), samples(&theirs));
    let mut compared = 0;
    for (name, value) in theirs.iter().filter(|(name, _)| name.starts_with("redis_") && !is_one_of(name, NOT_OURS)) {
        let own = ours.get(name).unwrap_or_else(|| panic!("{name} is missing: {ours:#?}"));
        if !is_one_of(name, MOVES) {
            assert!((own - value).abs() <= value.abs() * 1e-6, "{name} is {own} here, {value} there");
            compared += 1;
        }
    }
    println!("{} names and labels are the exporter's, {compared} of them have its values", theirs.len());
    assert!(compared > 25, "only {compared} could be compared");
}

#[test]
fn ready_is_who_can_replace_its_masters() {
    let [master, _replica] = pair(None);
    let first = Sentinel::start(&[]);
    assert_eq!(
        (http::get(first.page, "/healthz").status, first.ready("")),
        (200, (503, "not ready: no master is watched\n".into()))
    );
    assert!(samples(&http::get(first.page, "/metrics").body).contains_key("redis_sentinel_masters"));
    let mut client = first.client();
    client.must(&format!("SENTINEL MONITOR mymaster 127.0.0.1 {} 1", master.port));
    wait::until("it is ready", || first.ready("") == (200, "ready\n".into()));
    assert_eq!(first.ready("?max-lag-bytes=1").0, 400);

    client.must("SENTINEL SET mymaster quorum 2");
    client.must("SENTINEL SET mymaster down-after-milliseconds 1500");
    let too_few = (
        503,
        "not ready: master 'mymaster': Sentinels that are up: 1; 2 must agree that it is down, 1 must elect who acts\n"
            .to_string(),
    );
    wait::until("it is not, alone", || first.ready("") == too_few);
    let second = Sentinel::start(&monitor("mymaster", master.port, 2));
    for sentinel in [&first, &second] {
        wait::until("both are", || sentinel.ready("").0 == 200);
    }
    drop(second);
    // That one is gone, and still counts among those of whom a majority must be up.
    wait::until("it is not any more", || {
        first.ready("").1.contains("up: 1; 2 must agree that it is down, 2 must elect")
    });
    assert_eq!(http::get(first.page, "/healthz").status, 200);

    client.must("SENTINEL RESET mymaster");
    client.must("SENTINEL SET mymaster quorum 1");
    wait::until("it is alone, and that is enough", || first.ready("").0 == 200);
    let stopped = first.child.id().to_string();
    run("kill", &["-STOP", &stopped]);
    wait::pause(Duration::from_millis(2500));
    run("kill", &["-CONT", &stopped]);
    wait::until("it does not trust what it sees", || first.ready("").1.contains("(TILT)"));
    assert!(samples(&http::get(first.page, "/metrics").body).get("redis_sentinel_tilt") == Some(&1.0));
}

#[test]
fn actions_are_commands_of_who_has_logged_in() {
    let [master, mut replica] = pair(None);
    let mut lines = monitor("mymaster", master.port, 1);
    lines.push("requirepass door".into());
    lines.push("user ann on >secret -@all +sentinel|failover +acl|whoami".into());
    lines.push("user bob on >secret -@all +ping".into());
    let sentinel = Sentinel::start(&lines);
    let replace = r#"{"action":"failover","master":"mymaster"}"#;
    let act = |fields: &str, body: &str| http::post(sentinel.page, "/action", fields, body);
    let pause = || wait::pause(Duration::from_millis(250));
    assert_eq!(act("", replace).status, 401);
    for (user, password) in [("ann", "wrong"), ("", "")] {
        assert_eq!(log_in(sentinel.page, user, password).expect_err("refused").0, 403);
        pause();
    }
    let bob = log_in(sentinel.page, "bob", "secret").expect("he may come in");
    let refused = act(&bob, replace);
    assert_eq!(refused.status, 409);
    assert!(refused.json()["error"].as_str().is_some_and(|why| why.starts_with("NOPERM")), "{}", refused.body);
    pause();
    let ann = log_in(sentinel.page, "ann", "secret").expect("she may come in");
    let mut client = sentinel.client();
    client.must("AUTH door");
    assert!(client.must("CLIENT LIST").text().contains("addr=page:0"), "a person is a client");
    assert!(
        act(&ann, r#"{"action":"verify"}"#).json()["error"].as_str().is_some_and(|why| why.contains("unknown command"))
    );
    assert_eq!(act(&ann, r#"{"action":"failover","master":"mymaster","to":"127.0.0.1:1"}"#).status, 409);
    wait::until("the Sentinel can replace it", || act(&ann, replace).status == 200);
    wait::until("the replica is the master", || replica.info("role") == "master");
    let (old, new) = (master.port, replica.port);
    wait::until("the page shows it", || {
        links(&http::get(sentinel.page, "/topology").json()) == [(new, old, "online".to_string())]
    });
    // A user who is gone takes her session along.
    client.must("ACL DELUSER ann");
    assert_eq!(act(&ann, replace).status, 409);
}

#[test]
fn who_needs_no_password_is_let_in_from_the_sentinels_machine_only() {
    let sentinel = Sentinel::start(&["http-bind 0.0.0.0".to_string(), "user ann on >secret +@all".to_string()]);
    let here = SocketAddr::from(([127, 0, 0, 1], sentinel.page));
    assert_eq!(log_in_at(here, "localhost", "", "").0, 200);
    let there = own_ip().map(|ip| SocketAddr::new(ip, sentinel.page));
    let strange = [(here, "evil.example".to_string())].into_iter().chain(there.map(|at| (at, at.to_string())));
    for (to, host) in strange {
        for (user, password) in [("", ""), ("default", "x")] {
            let (status, why) = log_in_at(to, &host, user, password);
            assert!(status == 403 && why.starts_with("set a password first"), "{host}: {status} {why}");
        }
        assert_eq!(log_in_at(to, &host, "ann", "secret").0, 200, "{host}");
    }
}

#[test]
fn a_port_that_is_taken_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it has one").port();
    let mut sentinel = Sentinel::spawn(port, &["pidfile pid".to_string()]);
    assert_eq!(sentinel.wait_for_end().code(), Some(1));
    let sentence = format!("Could not create the page's listening socket 127.0.0.1:{port}: ");
    assert!(sentinel.file("log").contains(&sentence), "{}", sentinel.file("log"));
    assert!(!sentinel.dir.path().join("pid").exists());
}

#[test]
fn directives_are_checked_and_kept() {
    let dir = TempDir::new();
    let path: PathBuf = dir.path().join("sentinel.conf");
    std::fs::write(&path, "port 1\n").expect("a file");
    for (name, value) in [("http-port", "70000"), ("http-port", "x"), ("http-bind", "nowhere")] {
        let mut command = Command::new(rivulet("rivulet-server"));
        let output = command.arg(&path).args(["--sentinel", &format!("--{name}"), value]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(name), "{said}");
    }
    let sentinel = Sentinel::start(&["http-bind \"127.0.0.1 127.0.0.2\"".to_string()]);
    sentinel.client().must("SENTINEL FLUSHCONFIG");
    let file = sentinel.file("sentinel.conf");
    assert!(file.contains(&format!("http-port {}\n", sentinel.page)), "{file}");
    assert!(file.contains("http-bind") && file.contains("127.0.0.2"), "{file}");
    assert_eq!(http::get(sentinel.page, "/healthz").status, 200);
}
