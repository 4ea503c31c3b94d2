//! Redis's Sentinel watches over Rivulet.

use std::process::{Child, Command, Stdio};

use rivulet_tests::process::{TempDir, free_port, tool};
use rivulet_tests::{Client, Kind, Server, data, wait};

/// A Sentinel that ends with its value.
struct Sentinel {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Sentinel {
    /// Watches `master` under the name `mymaster`. `None` if Sentinel is not installed.
    fn start(master: &Server) -> Option<Self> {
        let Some(program) = tool("redis-sentinel") else {
            println!("skipped: redis-sentinel is not installed");
            return None;
        };
        let (dir, port) = (TempDir::new(), free_port());
        let path = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile {}/log\nsentinel monitor mymaster 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds mymaster 3000\nsentinel failover-timeout mymaster 10000\n\
             sentinel parallel-syncs mymaster 1\n",
            dir.path().display(),
            dir.path().display(),
            master.port
        );
        std::fs::write(&path, text).expect("a configuration file");
        let child =
            Command::new(program).arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("Sentinel starts");
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

#[test]
fn sentinel_replaces_a_master_that_dies() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    data::fill(master.main(), 1000);
    let mut replicas = [Server::start(Kind::Rivulet, &[]), Server::start(Kind::Rivulet, &["--replica-priority", "10"])];
    for replica in &mut replicas {
        replica.follow(&master);
    }
    let Some(process) = Sentinel::start(&master) else { return };
    let mut sentinel = process.client();
    wait::until("Sentinel knows both replicas", || {
        let replicas = sentinel.call("SENTINEL REPLICAS mymaster");
        let healthy = |r: &rivulet_tests::Reply| {
            let fields: Vec<String> = r.items().iter().map(rivulet_tests::Reply::text).collect();
            fields.chunks(2).any(|f| f[0] == "master-link-status" && f[1] == "ok")
        };
        !replicas.is_error() && replicas.items().iter().filter(|r| healthy(r)).count() == 2
    });
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
