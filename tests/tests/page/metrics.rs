//! `/metrics` beside redis_exporter, asked at the same time for the same server. Where that or promtool is missing, the test says so.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use rivulet_tests::http;
use rivulet_tests::process::{TempDir, free_port, rivulet, tool};
use rivulet_tests::wait;

use super::Shown;

/// What differs by its nature: the exporter's questions are commands and connections, and time passes between the two.
const MOVES: &[&str] = &[
    "redis_commands_",
    "redis_connect",
    "redis_cpu_",
    "redis_latency_percentiles_usec",
    "redis_mem_",
    "redis_memory_",
    "redis_net_",
    "redis_slowlog_",
    "redis_start_time_seconds",
    "redis_total_reads_processed",
    "redis_total_writes_processed",
    "redis_uptime_in_seconds",
    "redis_client_recent_max_",
    "redis_master_last_io_seconds_ago",
    "redis_last_slow_",
    "redis_db_avg_ttl_seconds",
];
/// What the exporter tells of itself, or has by a name that promtool finds fault with.
const NOT_OURS: &[&str] = &["redis_exporter_", "redis_target_", "redis_last_key_groups_", "_duration_sec"];

/// The exporter, and where it shows what it has asked.
pub struct Exporter(Child, pub u16);

impl Exporter {
    pub fn start(server: u16) -> Option<Exporter> {
        let program =
            std::env::var_os("RIVULET_EXPORTER").map(Into::into).or_else(|| tool("prometheus-redis-exporter"));
        let Some(program) = program else {
            println!("skipped: prometheus-redis-exporter is not installed");
            return None;
        };
        let port = free_port();
        let mut command = Command::new(program);
        command.arg(format!("-redis.addr=redis://127.0.0.1:{server}"));
        command.arg(format!("-web.listen-address=127.0.0.1:{port}"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        Some(Exporter(child, port))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Samples by name and labels, the labels in their order.
pub fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let Some((name, labels)) = name.split_once('{') else { return Some((name.to_string(), value)) };
        let mut labels: Vec<&str> =
            labels.trim_end_matches('}').split("\",").map(|l| l.trim_end_matches('"')).collect();
        labels.sort_unstable();
        Some((format!("{name}{{{}}}", labels.join(",")), value))
    };
    lines.filter_map(sample).collect()
}

pub fn is_one_of(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name.starts_with(part) || part.starts_with('_') && name.contains(part))
}

fn compare(page: u16, exporter: u16, what: &str) {
    let mut theirs = String::new();
    wait::until("the exporter answers", || {
        theirs = exporters(exporter);
        theirs.contains("redis_up 1")
    });
    let ours = samples(&http::get(page, "/metrics").body);
    let theirs = samples(&theirs);
    let mut compared = 0;
    for (name, value) in theirs.iter().filter(|(name, _)| name.starts_with("redis_") && !is_one_of(name, NOT_OURS)) {
        let Some(own) = ours.get(name) else {
            // Commands that only the exporter's own questions have brought about by then.
            assert!(is_one_of(name, MOVES), "{what}: {name} is missing");
            continue;
        };
        if !is_one_of(name, MOVES) {
            assert!((own - value).abs() <= value.abs() * 1e-6, "{what}: {name} is {own} here, {value} there");
            compared += 1;
        }
    }
    println!("{what}: {} names and labels are the exporter's, {compared} of them have its values", theirs.len());
    assert!(compared > 90, "{what}: only {compared} could be compared");
}

/// The exporter's page, which may come in pieces: it closes the connection at the end.
pub fn exporters(port: u16) -> String {
    let mut text = String::new();
    let Ok(mut socket) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return text };
    let _ = socket.write_all(b"GET /metrics HTTP/1.0\r\n\r\n");
    let _ = std::io::Read::read_to_string(&mut socket, &mut text);
    text
}

#[test]
fn names_labels_and_values_are_the_exporters() {
    let mut master = Shown::start(&[]);
    let mut replica = Shown::below(&master.server, &["--appendonly", "yes"]);
    wait::until("its files are rewritten", || replica.server.info("aof_rewrite_in_progress") == "0");
    for command in ["SET a 1", "SET b 2 EX 1000", "SELECT 3", "SET c 3", "SELECT 0", "GET a", "GET nothing", "SAVE"] {
        master.server.must(command);
    }
    assert!(master.server.call("NOSUCHCOMMAND").is_error());
    for (shown, what) in [(&master, "master"), (&replica, "replica")] {
        let Some(exporter) = Exporter::start(shown.server.port) else { return };
        compare(shown.page, exporter.1, what);
    }
}

#[test]
fn promtool_finds_no_fault() {
    let mut master = Shown::start(&[]);
    let replica = Shown::below(&master.server, &["--appendonly", "yes"]);
    master.server.must("SET a 1");
    for shown in [&master, &replica] {
        check_with_promtool(&http::get(shown.page, "/metrics").body);
    }
}

/// Where promtool is there, it must have nothing to say of a page.
#[track_caller]
pub fn check_with_promtool(text: &str) {
    let Some(program) = std::env::var_os("RIVULET_PROMTOOL").map(Into::into).or_else(|| tool("promtool")) else {
        println!("skipped: promtool is not installed");
        return;
    };
    let mut command = Command::new(program);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// A process that is ended with the test.
struct Sentinel {
    child: Child,
    /// Where it keeps its state.
    _dir: TempDir,
}

impl Sentinel {
    fn start(mut command: Command, master: u16) -> Sentinel {
        let dir = TempDir::new();
        let path = dir.path().join("sentinel.conf");
        let text = format!(
            "port {}\nbind 127.0.0.1\ndir {}\nsentinel monitor mymaster 127.0.0.1 {master} 2\n",
            free_port(),
            dir.path().display()
        );
        std::fs::write(&path, text).expect("a configuration file");
        command.arg(&path).arg("--sentinel").stdout(Stdio::null()).stderr(Stdio::null());
        Sentinel { child: command.spawn().expect("it starts"), _dir: dir }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sentinels_that_watch_are_counted_at_each_server() {
    let master = Shown::start(&[]);
    let replica = Shown::below(&master.server, &[]);
    let counts = |wanted: f64, what: &str| {
        for shown in [&master, &replica] {
            wait::until(what, || {
                samples(&http::get(shown.page, "/metrics").body).get("rivulet_sentinels") == Some(&wanted)
            });
        }
    };
    counts(0.0, "there is none");
    let ours = Sentinel::start(Command::new(rivulet("rivulet-server")), master.server.port);
    counts(1.0, "ours is there");
    match tool("redis-sentinel") {
        Some(program) => {
            let _redis = Sentinel::start(Command::new(program), master.server.port);
            counts(2.0, "Redis's is there, too");
        }
        None => println!("left out: redis-sentinel is not installed"),
    }
    drop(ours);
    counts(0.0, "they are gone");
}
