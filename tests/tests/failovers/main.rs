//! Failovers of real processes under writers: with synchronous replicas and our Sentinels nothing that was acknowledged is lost, whatever becomes of
//! the master. `RIVULET_FAILOVERS=N` says how many (8).

mod cuts;
mod gate;

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rivulet_tests::process::{TempDir, free_port, rivulet, run};
use rivulet_tests::{Client, Kind, Server, wait};

const WRITERS: usize = 4;
/// The show takes the ports after the one that it is given: nobody else may look for free ones meanwhile.
static PORTS: Mutex<()> = Mutex::new(());
/// Commands that a writer sends at once.
const DEPTH: u64 = 8;
/// Who gives no sign for so long is given up by its writers.
const PATIENCE: Duration = Duration::from_millis(700);

/// Three Sentinels that watch one set.
struct Group {
    members: Vec<(Child, u16, TempDir)>,
}

impl Group {
    /// `master`: the port that it is told to them by.
    fn start(master: u16) -> Group {
        let one = |_| {
            let (dir, port) = (TempDir::new(), free_port());
            let path = dir.path().join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nlogfile {}/log\nsentinel monitor m 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds m 700\nsentinel failover-timeout m 6000\n",
                dir.path().display(),
                dir.path().display(),
                master
            );
            std::fs::write(&path, text).expect("a configuration file");
            (spawn(&dir), port, dir)
        };
        Group { members: (0..3).map(one).collect() }
    }

    /// All end at once; whoever starts again knows what it has written down.
    fn kill(&mut self) {
        for (child, _, _) in &mut self.members {
            child.kill().expect("it is killed");
            child.wait().expect("it ends");
        }
    }

    fn launch(&mut self) {
        self.members.iter_mut().for_each(|(child, _, dir)| *child = spawn(dir));
    }

    fn ports(&self) -> Vec<u16> {
        self.members.iter().map(|(_, port, _)| *port).collect()
    }
}

fn spawn(dir: &TempDir) -> Child {
    let mut command = Command::new(rivulet("rivulet-server"));
    command.arg(dir.path().join("sentinel.conf")).arg("--sentinel");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
}

impl Drop for Group {
    fn drop(&mut self) {
        for (child, _, dir) in &mut self.members {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                eprintln!(
                    "---- log of Sentinel\n{}\n----",
                    std::fs::read_to_string(dir.path().join("log")).unwrap_or_default()
                );
            }
        }
    }
}

/// Where one of the Sentinels says that the master is.
fn master_port(sentinels: &[u16]) -> Option<u16> {
    sentinels.iter().find_map(|port| {
        let mut client = Client::connect(*port).ok()?;
        let address = client.try_call("SENTINEL GET-MASTER-ADDR-BY-NAME m").ok()?;
        if address.is_error() { None } else { address.items().get(1)?.text().parse().ok() }
    })
}

fn field(info: &str, name: &str) -> String {
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().trim().to_string()
}

fn replication_of(port: u16) -> Option<String> {
    let mut client = Client::connect(port).ok()?;
    client.socket().set_read_timeout(Some(PATIENCE)).expect("it can be set");
    client.try_call("INFO replication").ok().map(|info| info.text())
}

/// The master that the Sentinels tell of has its replicas and its members, and these have what it had when it was asked: who was started again counts for nothing
/// before that.
fn is_whole(sentinels: &[u16]) -> bool {
    let Some(info) = master_port(sentinels).and_then(replication_of) else { return false };
    let online = info.lines().filter(|line| line.contains("state=online"));
    let ports = online.filter_map(|line| line.split(',').find_map(|part| part.strip_prefix("port=")?.parse().ok()));
    let had: u64 = field(&info, "master_repl_offset").parse().unwrap_or(u64::MAX);
    let has_all = |info: &str| field(info, "master_repl_offset").parse().is_ok_and(|offset: u64| offset >= had);
    let is_up =
        |port| replication_of(port).is_some_and(|info| field(&info, "master_link_status") == "up" && has_all(&info));
    field(&info, "role") == "master"
        && field(&info, "stale_master") == "0"
        && ports.filter(|port| is_up(*port)).count() == 2
        && field(&info, "members").split(',').count() == 3
}

/// Writes numbered keys wherever the master is; answers which were acknowledged.
fn write(number: usize, sentinels: Vec<u16>, ends: Arc<AtomicBool>, count: Arc<AtomicU64>) -> Vec<u64> {
    let (mut next, mut acknowledged) = (0, Vec::new());
    while !ends.load(Ordering::Relaxed) {
        let client = master_port(&sentinels).and_then(|port| Client::connect(port).ok());
        let Some(mut client) = client else {
            wait::pause(Duration::from_millis(20));
            continue;
        };
        client.socket().set_read_timeout(Some(PATIENCE)).expect("it can be set");
        while !ends.load(Ordering::Relaxed) {
            let keys: Vec<u64> = (next..next + DEPTH).collect();
            next += DEPTH;
            keys.iter().for_each(|key| client.add(&format!("SET w{number}:{key} 1")));
            if client.flush().is_err() {
                break;
            }
            let told: Vec<bool> = keys.iter().map_while(|_| Some(client.read().ok()?.is_ok())).collect();
            let well = keys.iter().zip(&told).filter(|(_, is_ok)| **is_ok).map(|(key, _)| *key);
            acknowledged.extend(well);
            count.fetch_add(told.iter().filter(|is_ok| **is_ok).count() as u64, Ordering::Relaxed);
            if told.len() < keys.len() || told.contains(&false) {
                break;
            }
        }
        wait::pause(Duration::from_millis(10));
    }
    acknowledged
}

fn signal(server: &Server, name: &str) {
    let (text, ok) = run("kill", &[&format!("-{name}"), &server.pid().to_string()]);
    assert!(ok, "{text}");
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let failovers = std::env::var("RIVULET_FAILOVERS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let mut servers: Vec<Server> =
        (0..3).map(|_| Server::start(Kind::Rivulet, &["--synchronous-replicas", "1", "--save", ""])).collect();
    let (first, replicas) = servers.split_first_mut().expect("there are three");
    replicas.iter_mut().for_each(|replica| replica.follow(first));
    let mut group = Group::start(first.port);
    let sentinels = group.ports();
    wait::until("the set is whole", || is_whole(&sentinels));
    let (ends, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (sentinels, ends, count) = (sentinels.clone(), ends.clone(), count.clone());
            std::thread::spawn(move || write(number, sentinels, ends, count))
        })
        .collect();
    for n in 0..failovers {
        let before = count.load(Ordering::Relaxed);
        wait::until("they write", || count.load(Ordering::Relaxed) > before + 2000);
        let port = master_port(&sentinels).expect("there is a master");
        let old = servers.iter_mut().find(|server| server.port == port).expect("it is one of the three");
        match n % 4 {
            0 => old.kill(),
            1 => signal(old, "STOP"),
            // It is there again before anybody has missed it, without anything in it.
            2 => {
                old.kill();
                old.launch();
            }
            // Nobody who saw it alive is there any more.
            _ => {
                group.kill();
                old.kill();
                group.launch();
            }
        }
        wait::until("another one is the master", || master_port(&sentinels).is_some_and(|now| now != port));
        let before = count.load(Ordering::Relaxed);
        wait::until("it takes writes", || count.load(Ordering::Relaxed) > before + 100);
        match n % 4 {
            1 => signal(old, "CONT"),
            2 => {}
            _ => old.launch(),
        }
        wait::until("the set is whole again", || is_whole(&sentinels));
    }
    ends.store(true, Ordering::Relaxed);
    let acknowledged: Vec<Vec<u64>> = writers.into_iter().map(|w| w.join().expect("a writer ends well")).collect();
    wait::until("the set is whole in the end", || is_whole(&sentinels));
    let port = master_port(&sentinels).expect("there is a master");
    let mut client = Client::connect(port).expect("it is up");
    let mut lost = 0;
    for (number, keys) in acknowledged.iter().enumerate() {
        for keys in keys.chunks(500) {
            let words: Vec<String> = keys.iter().map(|key| format!("w{number}:{key}")).collect();
            let there = client.must(&format!("EXISTS {}", words.join(" "))).int();
            lost += keys.len() as i64 - there;
        }
    }
    let all: usize = acknowledged.iter().map(Vec::len).sum();
    println!("{failovers} failovers, {all} acknowledged writes, {lost} lost");
    assert_eq!(lost, 0, "of {all} acknowledged writes");
}

/// What a newcomer is shown: each step in its order, nothing lost, and an end by itself.
#[test]
fn the_show_of_a_failover_tells_each_step_and_loses_nothing() {
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let port = free_port().to_string();
    let show = Command::new(rivulet("rivulet-server"))
        .args(["quickstart", "--failover", "--port", &port])
        .output()
        .expect("the server can be run");
    let text = String::from_utf8_lossy(&show.stdout);
    assert!(show.status.success(), "{text}{}", String::from_utf8_lossy(&show.stderr));
    let mut rest = &*text;
    for step in [
        "writes acknowledged",
        "the master is killed",
        "suspicion: ",
        "agreement: ",
        "vote: ",
        "is elected",
        "fence: ",
        "is chosen: offset ",
        "promotion: ",
        "the failover is done",
        "the first write was acknowledged again",
        "the old master is started again",
        "becomes a replica of",
    ] {
        rest = rest.split_once(step).unwrap_or_else(|| panic!("no '{step}' where it should be in\n{text}")).1;
    }
    let number = |label: &str| {
        let after = rest.split_once(label).unwrap_or_else(|| panic!("no '{label}' in\n{text}")).1;
        after.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_else(|| panic!("{text}"))
    };
    assert!(number("  acknowledged writes") > 0, "{text}");
    assert_eq!(number("lost acknowledged writes"), 0, "{text}");
    assert!(number("milliseconds without a master") >= 900, "{text}");
}
