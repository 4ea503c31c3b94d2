//! A Sentinel watches over Rivulet: Redis's, ours, and both in one group.

mod fleet;
mod many;
mod tls;
mod users;

use std::process::{Child, Command, Stdio};

use rivulet_tests::process::{TempDir, free_port, rivulet, tool};
use rivulet_tests::{Client, Kind, Reply, Server, data, wait};

/// A Sentinel that ends with its value.
struct Sentinel {
    child: Child,
    port: u16,
    dir: TempDir,
}

/// Whose Sentinel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watcher {
    Ours,
    Redis,
}

impl Sentinel {
    /// Watches `master` under the name `mymaster`; `quorum` must agree that it is down. `None` if Sentinel is not installed.
    fn start(watcher: Watcher, master: &Server, quorum: u32) -> Option<Self> {
        Self::start_with(watcher, master, quorum, None)
    }

    /// The same with a bound on its descriptors (`ulimit -n`).
    fn start_with(watcher: Watcher, master: &Server, quorum: u32, descriptors: Option<u32>) -> Option<Self> {
        let program = match watcher {
            Watcher::Ours => rivulet("rivulet-server"),
            Watcher::Redis => match tool("redis-sentinel") {
                Some(program) => program,
                None => {
                    println!("skipped: redis-sentinel is not installed");
                    return None;
                }
            },
        };
        let (dir, port) = (TempDir::new(), free_port());
        let path = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile {}/log\nsentinel monitor mymaster 127.0.0.1 {} {quorum}\n\
             sentinel down-after-milliseconds mymaster 3000\nsentinel failover-timeout mymaster 10000\n\
             sentinel parallel-syncs mymaster 1\n",
            dir.path().display(),
            dir.path().display(),
            master.port
        );
        std::fs::write(&path, text).expect("a configuration file");
        let mut command = match descriptors {
            None => Command::new(program),
            Some(count) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {count}; exec \"$0\" \"$@\"")).arg(program);
                shell
            }
        };
        command.arg(&path).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("Sentinel starts");
        Some(Self { child, port, dir })
    }

    fn client(&self) -> Client {
        wait::until("Sentinel answers", || Client::connect(self.port).is_ok_and(|mut c| c.try_call("PING").is_ok()));
        Client::connect(self.port).expect("it just did")
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("---- log of Sentinel\n{log}\n----");
        }
    }
}

/// The port of the master that Sentinel tells clients of.
fn master_port(sentinel: &mut Client) -> u16 {
    let address = sentinel.must("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster");
    address.items()[1].text().parse().expect("a port")
}

/// The fields of a reply that is a list of names and values.
fn fields(reply: &Reply) -> Vec<(String, String)> {
    let texts: Vec<String> = reply.items().iter().map(Reply::text).collect();
    texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn field(reply: &Reply, name: &str) -> String {
    fields(reply).into_iter().find(|(known, _)| known == name).map_or(String::new(), |(_, value)| value)
}

/// Waits until a Sentinel knows so many replicas, and that they are well, and so many other Sentinels.
fn wait_for_set(sentinel: &mut Client, replicas: usize, others: usize) {
    wait::until("the Sentinel knows its set", || {
        let all = sentinel.must("SENTINEL REPLICAS mymaster");
        let is_well = |r: &&Reply| field(r, "master-link-status") == "ok" && field(r, "flags") == "slave";
        let master = sentinel.must("SENTINEL MASTER mymaster");
        all.items().iter().filter(is_well).count() == replicas
            && field(&master, "num-other-sentinels") == others.to_string()
            && field(&master, "flags") == "master"
    });
}

#[test]
fn redis_sentinel_replaces_a_master_that_dies() {
    a_master_that_dies_is_replaced(Watcher::Redis);
}

#[test]
fn our_sentinel_replaces_a_master_that_dies() {
    a_master_that_dies_is_replaced(Watcher::Ours);
}

fn a_master_that_dies_is_replaced(watcher: Watcher) {
    let mut master = Server::start(Kind::Rivulet, &[]);
    data::fill(master.main(), 1000);
    let mut replicas = [Server::start(Kind::Rivulet, &[]), Server::start(Kind::Rivulet, &["--replica-priority", "10"])];
    for replica in &mut replicas {
        replica.follow(&master);
    }
    let Some(process) = Sentinel::start(watcher, &master, 1) else { return };
    let mut sentinel = process.client();
    wait_for_set(&mut sentinel, 2, 0);
    master.must("SET written-on-the-first 1");
    assert_eq!(master.must("WAIT 2 5000").int(), 2);
    let first = master.port;
    master.kill();
    wait::until("there is a new master", || master_port(&mut sentinel) != first);
    let [mut other, mut new] = replicas;
    assert_eq!(master_port(&mut sentinel), new.port, "the one with the lower priority number is preferred");
    wait::until("it takes writes", || new.call("SET written-on-the-second 1").is_ok());
    wait::until("the other follows it", || {
        other.info("master_port") == new.port.to_string() && other.info("master_link_status") == "up"
    });
    wait::until("the write arrives", || {
        other.must("GET written-on-the-second") == new.must("GET written-on-the-second")
    });
    assert_eq!(new.must("DEBUG DIGEST"), other.must("DEBUG DIGEST"));
    assert_eq!(new.count("sync_full"), 0, "the other resumed\n{}", new.log());

    // The old master comes back, and is told whom to follow.
    master.launch();
    wait::until("the old master is a replica", || master.info("master_port") == new.port.to_string());
    master.wait_for_link();
    wait::until("it has the new data", || master.must("EXISTS written-on-the-first written-on-the-second").int() == 2);

    // By hand, too.
    wait::until("Sentinel agrees to go on", || sentinel.call("SENTINEL FAILOVER mymaster").is_ok());
    wait::until("the master has changed again", || master_port(&mut sentinel) != new.port);
    wait::until("the former master is a replica", || new.info("role") == "slave");
}

/// Both kinds in one group: in majority and in minority.
#[test]
fn a_mixed_group_agrees() {
    use Watcher::{Ours, Redis};
    for watchers in [[Ours, Ours, Redis], [Redis, Redis, Ours]] {
        let mut master = Server::start(Kind::Rivulet, &[]);
        let mut replicas = [Server::start(Kind::Rivulet, &[]), Server::start(Kind::Rivulet, &[])];
        replicas.iter_mut().for_each(|replica| replica.follow(&master));
        let group: Option<Vec<Sentinel>> =
            watchers.iter().map(|watcher| Sentinel::start(*watcher, &master, 2)).collect();
        let Some(group) = group else { return };
        let mut clients: Vec<Client> = group.iter().map(Sentinel::client).collect();
        clients.iter_mut().for_each(|client| wait_for_set(client, 2, 2));
        let first = master.port;
        master.kill();
        wait::until("all know the new master", || {
            let ports: Vec<u16> = clients.iter_mut().map(master_port).collect();
            ports.iter().all(|port| *port != first && *port == ports[0])
        });
        let epochs = |clients: &mut Vec<Client>| -> Vec<String> {
            clients.iter_mut().map(|c| field(&c.must("SENTINEL MASTER mymaster"), "config-epoch")).collect()
        };
        wait::until("all are in one term", || epochs(&mut clients).windows(2).all(|pair| pair[0] == pair[1]));
        master.launch();
        wait::until("the old master is a replica", || master.info("role") == "slave");
    }
}

/// The names of the fields that tools read are Redis's, in its order.
#[test]
fn replies_have_the_fields_of_redis() {
    let master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    let ours = Sentinel::start(Watcher::Ours, &master, 2).expect("it is built");
    let Some(theirs) = Sentinel::start(Watcher::Redis, &master, 2) else { return };
    let [mut ours, mut theirs] = [ours, theirs].map(|sentinel| (sentinel.client(), sentinel));
    wait_for_set(&mut ours.0, 1, 1);
    wait_for_set(&mut theirs.0, 1, 1);
    let names = |reply: &Reply| fields(reply).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    for command in ["SENTINEL MASTER mymaster", "SENTINEL CONFIG GET *", "SENTINEL DEBUG"] {
        let known = names(&theirs.0.must(command));
        let mut own = names(&ours.0.must(command));
        // Redis 7.2 has it.
        own.retain(|name| name != "loglevel");
        assert_eq!(own, known, "{command}");
    }
    for command in ["SENTINEL REPLICAS mymaster", "SENTINEL SENTINELS mymaster", "SENTINEL MASTERS"] {
        let [own, known] = [&mut ours.0, &mut theirs.0].map(|client| names(&client.must(command).items()[0]));
        assert_eq!(own, known, "{command}");
    }
    for command in [
        "SENTINEL MASTER nobody",
        "SENTINEL MASTER",
        "SENTINEL nonsense",
        "SENTINEL SET mymaster nonsense 1",
        "SENTINEL SET mymaster quorum 0",
        "SENTINEL MONITOR mymaster 127.0.0.1 1 1",
        "SENTINEL MONITOR other nohost 1 1",
        "SENTINEL MONITOR other 127.0.0.1 1 0",
        "SENTINEL DEBUG nonsense 1",
        "SENTINEL DEBUG info-period 0",
        "SENTINEL SIMULATE-FAILURE nonsense",
        "SENTINEL GET-MASTER-ADDR-BY-NAME nobody",
        "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 1 *",
        "SENTINEL CKQUORUM nobody",
        "SENTINEL RESET nobody",
        "PUBLISH somewhere hello",
        "ROLE",
        "PING",
        "GET a",
        "COMMAND COUNT",
    ] {
        assert_eq!(ours.0.call(command), theirs.0.call(command), "{command}");
    }
}

/// Nothing that a client was told is written is missing after a planned switch.
#[test]
fn a_planned_switch_loses_nothing() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replicas = [Server::start(Kind::Rivulet, &[]), Server::start(Kind::Rivulet, &[])];
    replicas.iter_mut().for_each(|replica| replica.follow(&master));
    let process = Sentinel::start(Watcher::Ours, &master, 1).expect("it is built");
    let mut sentinel = process.client();
    wait_for_set(&mut sentinel, 2, 0);
    let port = master.port;
    let writer = std::thread::spawn(move || {
        let mut client = Client::connect(port).expect("it is up");
        let mut count = 0;
        while client.try_call(&format!("RPUSH list {count}")).is_ok_and(|reply| !reply.is_error()) {
            count += 1;
        }
        count
    });
    wait::until("something is written", || master.must("LLEN list").int() > 100);
    sentinel.must("SENTINEL FAILOVER mymaster COORDINATED");
    wait::until("the master has changed", || master_port(&mut sentinel) != port);
    let acknowledged = writer.join().expect("it ended when it was cut");
    let port = master_port(&mut sentinel);
    let mut client = Client::connect(port).expect("the new master is up");
    // A write that was cut may be there, but not one that was confirmed may be missing.
    assert!(client.must("LLEN list").int() >= acknowledged, "{acknowledged} were confirmed");
    wait::until("the old master is a replica", || master.info("role") == "slave");
}

/// Strangers that connect in numbers don't make it spin, and leave its own links what they need.
#[test]
fn strangers_leave_a_sentinel_its_descriptors() {
    let master = Server::start(Kind::Rivulet, &[]);
    let Some(sentinel) = Sentinel::start_with(Watcher::Ours, &master, 1, Some(80)) else { return };
    let mut client = sentinel.client();
    let is_linked = |client: &mut Client| field(&client.must("SENTINEL MASTER mymaster"), "flags") == "master";
    wait::until("the Sentinel knows its master", || is_linked(&mut client));
    let strangers: Vec<_> =
        (0..100).map(|_| std::net::TcpStream::connect(("127.0.0.1", sentinel.port)).expect("a connection")).collect();
    wait::until("strangers are turned away", || {
        let info = client.must("INFO stats").text();
        info.lines().any(|line| line.strip_prefix("rejected_connections:").is_some_and(|n| n != "0"))
    });
    // Its links are made anew while the strangers are there.
    client.must("SENTINEL SET mymaster auth-user default auth-pass x");
    wait::until("the link stands", || {
        let reply = client.must("SENTINEL MASTER mymaster");
        is_linked(&mut client) && field(&reply, "link-pending-commands").parse::<u32>().is_ok_and(|n| n < 10)
    });
    let log = std::fs::read_to_string(sentinel.dir.path().join("log")).expect("a log");
    assert!(!log.contains("Too many open files"), "{log}");
    drop(strangers);
}

/// What a user is told outlives a restart: a password that was taken away does not come back, and no name makes the file unreadable.
#[test]
fn users_of_a_sentinel_outlive_a_restart() {
    let master = Server::start(Kind::Rivulet, &[]);
    let Some(sentinel) = Sentinel::start(Watcher::Ours, &master, 1) else { return };
    let mut client = sentinel.client();
    client.must("ACL SETUSER default resetpass >new");
    client.must("ACL SETUSER a\"b on &'");
    assert!(client.call(&["ACL", "SETUSER", "a b", "on"]).text().contains("can't contain spaces"));
    let mut other = sentinel.client();
    assert!(other.call(&["CLIENT", "x\nid=9"]).is_error());
    assert_eq!(client.must("CLIENT LIST").text().lines().filter(|line| line.starts_with("id=")).count(), 2);
    drop(other);
    let path = sentinel.dir.path().join("sentinel.conf");
    let text = std::fs::read_to_string(&path).expect("its configuration");
    std::fs::write(&path, format!("requirepass old\n{text}")).expect("the same with a password");
    let mut again = Command::new(rivulet("rivulet-server"));
    let port = free_port().to_string();
    again.arg(&path).args(["--sentinel", "--port", &port]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = again.spawn().expect("Sentinel starts");
    wait::until("it answers", || Client::connect(port.parse().expect("a port")).is_ok());
    let mut client = Client::connect(port.parse().expect("a port")).expect("it just did");
    let replies = ["old", "new"].map(|password| client.call(&["AUTH", password]).text());
    let users = client.call(&["ACL", "USERS"]);
    let _ = child.kill();
    let _ = child.wait();
    assert!(replies[0].contains("WRONGPASS") && replies[1] == "OK", "{replies:?}");
    assert_eq!(users.items().len(), 2);
}
