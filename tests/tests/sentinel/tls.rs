//! A Sentinel whose links, and whose clients, come by TLS.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rivulet_tests::process::{TempDir, free_port, rivulet, run, tool};
use rivulet_tests::tls::{Authority, Use};
use rivulet_tests::{Client, Kind, Server, data, wait};

use crate::{Watcher, field, master_port, wait_for_set};

/// An authority with certificates for `server` and `client`.
fn authority() -> Authority {
    let authority = Authority::new("An authority");
    authority.sign_for("server", Use::Any);
    authority.sign_for("client", Use::Client);
    authority
}

/// A server that replicates by TLS; its port for TLS.
fn start_server(authority: &Authority) -> (Server, u16) {
    let port = free_port();
    let mut args = authority.server_args("server", port);
    args.extend(["--tls-replication".to_string(), "yes".to_string()]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    (Server::start(Kind::Rivulet, &args), port)
}

/// A master and two replicas, with their ports for TLS.
fn start_set(authority: &Authority) -> Vec<(Server, u16)> {
    let mut set: Vec<_> = (0..3).map(|_| start_server(authority)).collect();
    let master = set[0].1;
    for (replica, _) in &mut set[1..] {
        replica.must(&format!("REPLICAOF 127.0.0.1 {master}"));
        replica.wait_for_link();
    }
    set
}

/// A Sentinel that listens by TLS alone, and speaks it to everybody.
struct Guard {
    child: Option<Child>,
    watcher: Watcher,
    port: u16,
    dir: TempDir,
}

impl Guard {
    /// `None` if it is not installed.
    fn start(watcher: Watcher, authority: &Authority, master: u16, quorum: u32, more: &str) -> Option<Self> {
        let mut guard = Self { child: None, watcher, port: free_port(), dir: TempDir::new() };
        let dir = guard.dir.path().display().to_string();
        let text = format!(
            "port 0\ntls-port {}\nbind 127.0.0.1\ndir {dir}\nlogfile {dir}/log\n\
             tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-replication yes\n{more}\
             sentinel monitor mymaster 127.0.0.1 {master} {quorum}\n\
             sentinel down-after-milliseconds mymaster 2000\nsentinel failover-timeout mymaster 10000\n",
            guard.port,
            authority.text("server", "crt"),
            authority.text("server", "key"),
            authority.text("ca", "crt"),
        );
        std::fs::write(guard.path(), text).expect("a configuration file");
        guard.launch().then_some(guard)
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("sentinel.conf")
    }

    fn launch(&mut self) -> bool {
        let program = match self.watcher {
            Watcher::Ours => Some(rivulet("rivulet-server")),
            Watcher::Redis => tool("redis-sentinel"),
        };
        let Some(program) = program else {
            println!("skipped: redis-sentinel is not installed");
            return false;
        };
        let mut command = Command::new(program);
        command.arg(self.path()).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("Sentinel starts"));
        true
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn client(&self, authority: &Authority) -> Client {
        let config = authority.client(Some("client"));
        let connect = || Client::connect_tls(self.port, &config);
        wait::until("Sentinel answers", || connect().is_ok_and(|mut c| c.try_call("PING").is_ok()));
        connect().expect("it just did")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("---- log of {:?} on port {}\n{}\n----", self.watcher, self.port, self.log());
        }
    }
}

/// The master dies: the group replaces it, the others follow, and so does the old one when it is back. All of it by TLS.
fn a_group_fails_over(watchers: [Watcher; 3]) {
    let authority = authority();
    let mut set = start_set(&authority);
    data::fill(set[0].0.main(), 500);
    let first = set[0].1;
    let group: Option<Vec<Guard>> =
        watchers.iter().map(|watcher| Guard::start(*watcher, &authority, first, 2, "")).collect();
    let Some(group) = group else { return };
    let mut clients: Vec<Client> = group.iter().map(|guard| guard.client(&authority)).collect();
    clients.iter_mut().for_each(|client| wait_for_set(client, 2, 2));
    let peers = clients[0].must("SENTINEL SENTINELS mymaster");
    let ports: Vec<String> = peers.items().iter().map(|peer| field(peer, "port")).collect();
    assert!(group[1..].iter().all(|guard| ports.contains(&guard.port.to_string())), "{ports:?}");
    set[0].0.kill();
    wait::until("all know the new master", || {
        let ports: Vec<u16> = clients.iter_mut().map(master_port).collect();
        ports.iter().all(|port| *port != first && *port == ports[0])
    });
    let new = master_port(&mut clients[0]).to_string();
    set[0].0.launch();
    for (server, port) in &mut set {
        if port.to_string() != new {
            wait::until("all follow the new one", || {
                server.info("master_port") == new && server.info("master_link_status") == "up"
            });
        }
    }
}

#[test]
fn three_of_ours_fail_over_by_tls() {
    a_group_fails_over([Watcher::Ours; 3]);
}

#[test]
fn a_mixed_group_fails_over_by_tls() {
    a_group_fails_over([Watcher::Ours, Watcher::Redis, Watcher::Ours]);
}

/// What it rewrites has what it was told, and it starts from that.
#[test]
fn the_directives_outlive_a_restart() {
    let authority = authority();
    let (_master, port) = start_server(&authority);
    let more = "tls-auth-clients optional\ntls-protocols \"TLSv1.2 TLSv1.3\"\n";
    let mut guard = Guard::start(Watcher::Ours, &authority, port, 1, more).expect("it is built");
    guard.client(&authority).must("SENTINEL SET mymaster quorum 3");
    guard.end();
    let text = std::fs::read_to_string(guard.path()).expect("its configuration");
    let own = format!("tls-port {}", guard.port);
    for line in ["port 0", &own, "tls-replication yes", "tls-auth-clients optional", "sentinel myid"] {
        assert!(text.lines().any(|known| known.starts_with(line)), "{line} in {text}");
    }
    assert!(text.contains("tls-cert-file") && text.contains("tls-key-file") && text.contains("tls-ca-cert-file"));
    guard.launch();
    let mut client = guard.client(&authority);
    wait::until("its link stands", || field(&client.must("SENTINEL MASTER mymaster"), "flags") == "master");
    assert_eq!(field(&client.must("SENTINEL MASTER mymaster"), "quorum"), "3");
    let info = client.must("INFO server").text();
    assert!(info.contains(&format!("tcp_port:{}", guard.port)), "{info}");
}

#[test]
fn redis_cli_reaches_it() {
    let Some(cli) = tool("redis-cli") else { return println!("skipped: redis-cli is not installed") };
    let authority = authority();
    let (_master, port) = start_server(&authority);
    let guard = Guard::start(Watcher::Ours, &authority, port, 1, "").expect("it is built");
    guard.client(&authority).must("PING");
    let [ca, own, key] =
        [("ca", "crt"), ("client", "crt"), ("client", "key")].map(|(name, end)| authority.text(name, end));
    let at = guard.port.to_string();
    let base = ["-p", &at, "--tls", "--cacert", &ca];
    let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"];
    let shown = [&base[..], &["--cert", &own, "--key", &key], &ask].concat();
    let (text, _) = run(&cli, &shown);
    assert_eq!(text, format!("127.0.0.1\n{port}\n"));
    let (text, _) = run(&cli, &[&base[..], &ask].concat());
    assert!(!text.contains("127.0.0.1\n"), "{text}");
    wait::until("the log says who was refused", || guard.log().contains("Error accepting a client connection: "));
}

/// A master, and a client, of another authority: neither is trusted, and the log says so.
#[test]
fn who_is_not_trusted_is_refused_and_logged() {
    let (ours, theirs) = (authority(), authority());
    let (_master, port) = start_server(&theirs);
    let guard = Guard::start(Watcher::Ours, &ours, port, 1, "").expect("it is built");
    let mut client = guard.client(&ours);
    wait::until("the master counts as down", || {
        field(&client.must("SENTINEL MASTER mymaster"), "flags").contains("s_down")
    });
    let told = format!("TLS to 127.0.0.1:{port} failed: ");
    let count = guard.log().matches(&told).count();
    assert!((1..=2).contains(&count), "it is told once for each reason, not at each try\n{}", guard.log());
    let stranger = theirs.client(Some("client"));
    let served = Client::connect_tls(guard.port, &stranger).and_then(|mut client| client.try_call("PING"));
    assert!(served.is_err(), "{served:?}");
    wait::until("it is counted", || client.must("INFO stats").text().contains("tls_handshakes_failed:1\r\n"));
    assert!(guard.log().contains("Error accepting a client connection: "), "{}", guard.log());
    // Who speaks no TLS at all gets nothing, either.
    let plain = Client::connect(guard.port).and_then(|mut client| client.try_call("PING"));
    assert!(plain.is_err(), "{plain:?}");
}

/// Handshakes that go nowhere, on both sides, keep nobody from his turn, and end.
#[test]
fn handshakes_that_go_nowhere_end() {
    let authority = authority();
    let (_master, port) = start_server(&authority);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("it is bound").port();
    let more =
        format!("sentinel monitor silent 127.0.0.1 {silent_port} 1\nsentinel down-after-milliseconds silent 60000\n");
    let guard = Guard::start(Watcher::Ours, &authority, port, 1, &more).expect("it is built");
    let mut client = guard.client(&authority);
    let held: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect(("127.0.0.1", guard.port)).expect("a connection")).collect();
    wait::until("its other link stands", || field(&client.must("SENTINEL MASTER mymaster"), "flags") == "master");
    let (_, slowest_ms) = wait::timed(|| (0..50).for_each(|_| _ = client.must("PING")));
    assert!(slowest_ms < 5_000, "{slowest_ms} ms for 50 commands");
    wait::until("they are given up", || client.must("INFO stats").text().contains("tls_handshakes_given_up:50\r\n"));
    wait::until("so is the link", || {
        guard.log().contains(&format!("TLS to 127.0.0.1:{silent_port} failed: no handshake"))
    });
    assert_eq!(field(&client.must("SENTINEL MASTER mymaster"), "flags"), "master");
    assert_eq!(client.must("SENTINEL DEBUG").items().len() % 2, 0);
    wait::pause(Duration::from_millis(100));
    assert!(client.must("INFO sentinel").text().contains("sentinel_tilt:0"));
    drop(held);
}

/// Who asks for TLS and gives no certificate is told so, and not served in plain text.
#[test]
fn it_does_not_start_without_a_certificate() {
    let dir = TempDir::new();
    let path = dir.path().join("sentinel.conf");
    for (lines, want) in [
        ("tls-port 1\n", "No tls-cert-file configured!"),
        ("tls-replication yes\ntls-cert-file /nowhere\ntls-key-file /nowhere\n", "Either tls-ca-cert-file or"),
        ("tls-port 1\ntls-cert-file /nowhere\ntls-key-file /n\ntls-auth-clients no\n", "Failed to load certificate"),
    ] {
        std::fs::write(&path, format!("port 0\n{lines}")).expect("a file");
        let (text, is_well) = run(rivulet("rivulet-server"), &[&path.display().to_string(), "--sentinel"]);
        assert!(!is_well && text.contains(want), "{lines}: {text}");
        assert!(text.contains("Failed to configure TLS. Check logs for more info."), "{text}");
    }
}
