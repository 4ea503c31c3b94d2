//! Tools of others that come by TLS: redis-cli, redis-py and redis-sentinel.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rivulet_tests::process::{TempDir, free_port, run, tool};
use rivulet_tests::tls::Authority;
use rivulet_tests::{Client, Kind, data, python, wait};

use crate::{authority, start};

/// What redis-cli takes to come to a port by TLS, with the client's certificate.
fn cli_args(authority: &Authority, port: u16) -> Vec<String> {
    let (ca, certificate, key) =
        (authority.text("ca", "crt"), authority.text("client", "crt"), authority.text("client", "key"));
    let args = ["--tls", "--sni", "localhost", "--cacert", &ca, "--cert", &certificate, "--key", &key, "-p"];
    args.iter().map(ToString::to_string).chain([port.to_string()]).collect()
}

/// Runs a tool with those words and more of them, and what it reads from its standard input.
#[track_caller]
fn run_with(program: &Path, args: &[String], more: &[&str], input: &Path) -> String {
    let input = std::fs::File::open(input).expect("the file is there");
    let output = Command::new(program).args(args).args(more).stdin(input).output().expect("it runs");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{more:?}: {text}");
    text
}

#[test]
fn redis_cli_comes_by_tls() {
    let Some(program) = tool("redis-cli") else {
        println!("skipped: redis-cli is not installed");
        return;
    };
    let authority = authority();
    let (server, port) = start(Kind::Rivulet, &authority, &[]);
    let args = cli_args(&authority, port);
    let call = |more: &[&str]| run_with(&program, &args, more, Path::new("/dev/null")).trim().to_string();
    assert_eq!(call(&["ECHO", "hello"]), "hello");
    // Many commands at once, and one whose reply is more than a record.
    let commands: String = (0..20_000).map(|i| format!("SET key:{i} {i}\r\n")).collect();
    let text = run_with(&program, &args, &["--pipe"], &server.write_file("commands", commands));
    assert!(text.contains("errors: 0, replies: 20000"), "{text}");
    assert_eq!(call(&["DBSIZE"]), "20000");
    assert_eq!(call(&["KEYS", "*"]).lines().count(), 20_000);
    // As a replica it is sent a snapshot.
    let dir = TempDir::new();
    let file = dir.path().join("dump.rdb").display().to_string();
    call(&["--rdb", &file]);
    let checker = rivulet_tests::process::rivulet("rivulet-check-rdb");
    let (text, went_well) = run(&checker, &[&file]);
    assert!(went_well, "{text}");
    // Who shows no certificate hears nothing.
    let bare: Vec<&str> = args.iter().map(String::as_str).filter(|word| !word.contains("client.")).collect();
    let bare: Vec<&str> = bare.into_iter().filter(|word| !["--cert", "--key"].contains(word)).collect();
    let (text, _) = run(&program, &[&bare[..], &["ECHO", "hello"]].concat());
    assert!(!text.contains("hello"), "{text}");
}

/// What redis-py does: commands, a pipeline, large values both ways, a transaction, a subscription, a blocked client,
/// many connections, and the server's certificate.
const PYTHON: &str = r#"
import ssl, sys, threading, redis
port, ca, cert, key = int(sys.argv[1]), *sys.argv[2:5]
settings = dict(host="localhost", port=port, ssl=True, ssl_ca_certs=ca, ssl_certfile=cert, ssl_keyfile=key, socket_timeout=20)
for protocol in (2, 3):
    r = redis.Redis(protocol=protocol, **settings)
    assert r.ping()
    r.flushall()
    with r.pipeline(transaction=False) as pipe:
        for i in range(2000):
            pipe.set(f"key:{i}", i)
        assert all(pipe.execute())
    assert r.dbsize() == 2000
    large = bytes(range(256)) * 20000
    assert r.set("large", large) and r.get("large") == large
    with r.pipeline() as pipe:
        pipe.watch("count")
        pipe.multi()
        pipe.incr("count").incr("count")
        assert pipe.execute() == [1, 2]
    listener = r.pubsub()
    listener.subscribe("news")
    assert listener.get_message(timeout=20)["type"] == "subscribe"
    assert r.publish("news", "hello") == 1
    assert listener.get_message(timeout=20)["data"] == b"hello"
    listener.close()
    popped = []
    waiter = threading.Thread(target=lambda: popped.append(r.blpop("queue", 20)))
    waiter.start()
    while r.info("clients")["blocked_clients"] != 1:
        pass
    r.rpush("queue", "item")
    waiter.join()
    assert list(popped[0]) == [b"queue", b"item"], popped
    many = [redis.Redis(**settings) for _ in range(8)]
    assert all(one.ping() for one in many)
    [one.close() for one in many]
    r.close()
for wrong in (dict(ssl_certfile=None, ssl_keyfile=None), dict(host="127.0.0.1", ssl_check_hostname=True)):
    try:
        redis.Redis(**{**settings, **wrong}).ping()
    except (redis.ConnectionError, ssl.SSLError, OSError):
        continue
    raise AssertionError(f"{wrong} was served")
print("all is well")
"#;

#[test]
fn redis_py_comes_by_tls() {
    let Some(python) = python::program() else { return };
    let authority = authority();
    let (server, port) = start(Kind::Rivulet, &authority, &[]);
    let (certificate, key) = (authority.text("client", "crt"), authority.text("client", "key"));
    let (port, ca) = (port.to_string(), authority.text("ca", "crt"));
    let (text, went_well) = run(&python, &["-c", PYTHON, &port, &ca, &certificate, &key]);
    assert!(went_well && text.contains("all is well"), "{text}\n{}", server.log());
}

/// Redis's Sentinel, all of whose links are by TLS.
struct Sentinel {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Sentinel {
    fn start(program: &Path, authority: &Authority, master_port: u16) -> Sentinel {
        let (dir, port) = (TempDir::new(), free_port());
        let shown = dir.path().display();
        let tls: String = authority
            .server_args("server", port)
            .chunks(2)
            .map(|pair| format!("{} {}\n", &pair[0][2..], pair[1]))
            .collect();
        let text = format!(
            "port 0\nbind 127.0.0.1\ndir {shown}\nlogfile {shown}/log\n{tls}tls-replication yes\n\
             sentinel monitor mymaster 127.0.0.1 {master_port} 1\nsentinel down-after-milliseconds mymaster 2000\n\
             sentinel failover-timeout mymaster 10000\n"
        );
        let path = dir.path().join("sentinel.conf");
        std::fs::write(&path, text).expect("a configuration file");
        let child =
            Command::new(program).arg(&path).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Sentinel { child: child.expect("Sentinel starts"), port, dir }
    }

    fn client(&self, authority: &Authority) -> Client {
        let connect = || Client::connect_tls(self.port, &authority.client(Some("client")));
        wait::until("Sentinel answers", || connect().is_ok_and(|mut client| client.try_call("PING").is_ok()));
        connect().expect("it just did")
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

#[test]
fn redis_sentinel_replaces_a_master_by_tls() {
    let Some(program) = tool("redis-sentinel") else {
        println!("skipped: redis-sentinel is not installed");
        return;
    };
    let authority = authority();
    let more = ["--tls-replication", "yes"];
    // Sentinel and the replica know of no other ports than those.
    let (mut master, port) = start(Kind::Rivulet, &authority, &more);
    let (mut replica, replica_port) = start(Kind::Rivulet, &authority, &more);
    data::fill(master.main(), 500);
    replica.must(&format!("REPLICAOF 127.0.0.1 {port}"));
    replica.wait_for_link();
    let process = Sentinel::start(&program, &authority, port);
    let mut sentinel = process.client(&authority);
    let field = |reply: &rivulet_tests::Reply, name: &str| {
        let at = reply.items().iter().position(|item| item.text() == name);
        at.map_or(String::new(), |at| reply.items()[at + 1].text())
    };
    wait::until("Sentinel knows the replica", || {
        let all = sentinel.must("SENTINEL REPLICAS mymaster");
        all.items().iter().any(|one| {
            field(one, "port") == replica_port.to_string()
                && field(one, "master-link-status") == "ok"
                && field(one, "flags") == "slave"
        })
    });
    master.must("SET written-on-the-first 1");
    assert_eq!(master.must("WAIT 1 5000").int(), 1);
    master.kill();
    wait::until("the replica is the master", || replica.info("role") == "master");
    wait::until("Sentinel says so", || {
        let address = sentinel.must("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster");
        address.items()[1].text() == replica_port.to_string()
    });
    assert_eq!(replica.must("GET written-on-the-first").text(), "1");
}
