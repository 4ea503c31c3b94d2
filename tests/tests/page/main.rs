//! The page: what it shows of a replication and how soon, who may do what, and that it costs the server's clients nothing.

mod browser;
mod metrics;
mod sentinel;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rivulet_tests::http::{self, Http};
use rivulet_tests::process::free_port;
use rivulet_tests::tls::{Authority, Use};
use rivulet_tests::{Kind, Server, wait};
use serde_json::Value;

/// What happens is on the page within this time, on a machine that has something else to do as well.
const SOON: Duration = Duration::from_secs(1);

/// A server with a page.
pub struct Shown {
    pub server: Server,
    pub page: u16,
}

impl Shown {
    #[track_caller]
    pub fn start(args: &[&str]) -> Shown {
        let page = free_port();
        let port = page.to_string();
        let args = [&["--http-port", &port, "--repl-diskless-sync-delay", "0"], args].concat();
        Shown { server: Server::start(Kind::Rivulet, &args), page }
    }

    #[track_caller]
    pub fn below(master: &Server, args: &[&str]) -> Shown {
        let port = master.port.to_string();
        let mut shown = Shown::start(&[&["--replicaof", "127.0.0.1", &port], args].concat());
        shown.server.wait_for_link();
        shown
    }
}

/// A master, two replicas, and a replica of the first.
pub fn chain() -> [Shown; 4] {
    let master = Shown::start(&[]);
    let (first, second) = (Shown::below(&master.server, &[]), Shown::below(&master.server, &[]));
    let leaf = Shown::below(&first.server, &[]);
    [master, first, second, leaf]
}

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port)
}

/// Links as (port above, port below, state), by their ports.
fn links(topology: &Value) -> Vec<(u16, u16, String)> {
    let nodes = topology["nodes"].as_array().expect("nodes");
    let port = |id: &Value| {
        let node = nodes.iter().find(|node| node["id"] == *id)?;
        node["addresses"][0].as_str()?.rsplit(':').next()?.parse().ok()
    };
    let links = topology["links"].as_array().expect("links").iter();
    let state = |link: &Value| link["state"].as_str().unwrap_or_default().to_string();
    let mut links: Vec<_> =
        links.filter_map(|link| Some((port(&link["master"])?, port(&link["replica"])?, state(link)))).collect();
    links.sort();
    links
}

/// Reads events until one fits; answers how long that took. Panics if none does.
#[track_caller]
fn seen(events: &mut Http, what: &str, fits: impl Fn(&Value) -> bool) -> Duration {
    let mut last = Value::Null;
    let (found, ms) = wait::timed(|| {
        wait::within(Duration::from_secs(15), || match events.event() {
            Ok(event) => {
                last = event;
                fits(&last)
            }
            Err(_) => false,
        })
    });
    assert!(found, "never seen: {what}; last was {last:#}");
    Duration::from_millis(ms as u64)
}

/// Whether the timeline has a sync of this kind and reason that began since then.
fn has_sync(topology: &Value, kind: &str, reason: &str, since_ms: u64) -> bool {
    topology["events"].as_array().is_some_and(|events| {
        events.iter().any(|event| {
            event["sync"]["kind"] == kind
                && event["sync"]["reason"] == reason
                && event["time_ms"].as_u64().is_some_and(|ms| ms + 50 >= since_ms)
        })
    })
}

fn has_event(topology: &Value, kind: &str) -> bool {
    topology["events"].as_array().is_some_and(|events| events.iter().any(|event| event["kind"] == kind))
}

#[test]
fn every_node_shows_the_whole_chain() {
    let nodes = chain();
    let [master, first, second, leaf] = [0, 1, 2, 3].map(|i: usize| nodes[i].server.port);
    let mut expected =
        [(master, first, "online".into()), (master, second, "online".into()), (first, leaf, "online".into())];
    expected.sort();
    for node in &nodes {
        let mut last = Value::Null;
        wait::until("the page shows all", || {
            last = http::get(node.page, "/topology").json();
            links(&last) == expected
        });
        let own: Vec<&Value> =
            last["nodes"].as_array().expect("nodes").iter().filter(|n| n["is_own"] == true).collect();
        assert_eq!((own.len(), own[0]["addresses"][0].as_str()), (1, Some(address(&node.server).as_str())));
        assert_eq!(last["nodes"].as_array().map(Vec::len), Some(4), "{last:#}");
        assert!(own[0]["doctor"]["findings"].is_array(), "{last:#}");
    }
}

#[test]
fn a_cut_a_sync_and_a_failover_are_seen_within_a_second() {
    let [mut master, mut first, second, _leaf] = chain();
    let mut events = http::events(master.page);
    seen(&mut events, "all of the chain", |t| links(t).iter().filter(|l| l.2 == "online").count() == 3);

    // A cut that costs nothing but what was missed.
    let now = wait::unix_ms();
    first.server.must("CLIENT KILL TYPE master");
    let took = seen(&mut events, "the partial sync", |t| has_sync(t, "partial", "continued", now));
    assert!(took <= SOON, "the partial sync was seen after {took:?}");

    // A link that goes down and stays so.
    let nowhere = free_port();
    first.server.must(&format!("REPLICAOF 127.0.0.1 {nowhere}"));
    let took = seen(&mut events, "the link is down", |t| has_event(t, "link_down") || has_event(t, "moved"));
    assert!(took <= SOON, "the cut was seen after {took:?}");
    first.server.must(&format!("REPLICAOF 127.0.0.1 {}", master.server.port));
    seen(&mut events, "the link is up", |t| links(t).iter().filter(|l| l.2 == "online").count() == 3);

    // Somebody new copies everything.
    let now = wait::unix_ms();
    let _new = Shown::below(&master.server, &[]);
    let took = seen(&mut events, "the full sync", |t| has_sync(t, "full", "requested", now) && links(t).len() == 4);
    assert!(took <= SOON, "the full sync was seen after {took:?}");

    // The master hands over.
    master.server.must(&format!("FAILOVER TO 127.0.0.1 {}", second.server.port));
    let (old, new) = (master.server.port, second.server.port);
    wait::until("the roles have changed", || master.server.info("role") == "slave");
    let took = seen(&mut events, "the failover", |t| {
        has_event(t, "promoted") && links(t).iter().any(|(above, below, _)| (*above, *below) == (new, old))
    });
    assert!(took <= SOON, "the failover was seen after {took:?}");
}

#[test]
fn a_node_that_hangs_or_is_gone_delays_nobody() {
    let [master, mut first, second, _leaf] = chain();
    let mut events = http::events(master.page);
    seen(&mut events, "all of the chain", |t| links(t).len() == 3);
    // It is stopped, not ended: its sockets stay open and say nothing.
    let stopped = second.server.pid().to_string();
    rivulet_tests::process::run("kill", &["-STOP", &stopped]);
    let now = wait::unix_ms();
    first.server.must("CLIENT KILL TYPE master");
    let took = seen(&mut events, "a sync beside it", |t| has_sync(t, "partial", "continued", now));
    assert!(took <= SOON, "a hung node has delayed the others' news for {took:?}");
    let silent = |port: u16| {
        move |t: &Value| {
            let name = format!("127.0.0.1:{port}");
            let nodes = t["nodes"].as_array().expect("nodes");
            nodes.iter().any(|n| n["addresses"][0] == name.as_str() && n["silent"].is_string())
        }
    };
    seen(&mut events, "that it is silent", silent(second.server.port));
    rivulet_tests::process::run("kill", &["-CONT", &stopped]);
    let port = second.server.port;
    seen(&mut events, "that it is back", move |t| !silent(port)(t));
    drop(first);
    seen(&mut events, "that one is gone", |t| has_event(t, "silent"));
}

#[test]
fn passwords_are_those_of_the_link() {
    let login = ["--requirepass", "secret", "--masterauth", "secret"];
    let master = {
        let page = free_port();
        let port = page.to_string();
        let mut server = Server::prepare(Kind::Rivulet, &[&["--http-port", &port], &login[..]].concat());
        server.launch();
        Shown { server, page }
    };
    let port = master.server.port.to_string();
    let page = free_port();
    let own = page.to_string();
    let args = [&["--http-port", &own, "--replicaof", "127.0.0.1", &port], &login[..]].concat();
    let _replica = Server::start(Kind::Rivulet, &args);
    wait::until("each sees the other", || {
        [master.page, page].iter().all(|p| links(&http::get(*p, "/topology").json()).iter().any(|l| l.2 == "online"))
    });
}

#[test]
fn ready_is_who_has_its_data_and_is_near_enough() {
    let master = Shown::start(&[]);
    let mut replica = Shown::below(&master.server, &["--http-ready-max-lag-bytes", "1mb"]);
    let ready = |shown: &Shown, query: &str| {
        let answer = http::get(shown.page, &format!("/readyz{query}"));
        (answer.status, answer.body)
    };
    assert_eq!(ready(&master, ""), (200, "ready\n".into()));
    wait::until("the replica is ready", || ready(&replica, "?max-lag-bytes=100000&max-lag-seconds=30").0 == 200);
    assert_eq!(ready(&replica, "?max-lag=1").0, 400);
    // It executes nothing, and is asked all the same: what questions need is no part of a pause.
    replica.server.must("CLIENT PAUSE 100000 ALL");
    let value = "x".repeat(100_000);
    let mut client = master.server.client();
    (0..30).for_each(|i| _ = client.must(&vec![b"SET".to_vec(), format!("k{i}").into_bytes(), value.clone().into()]));
    wait::until("it is behind", || ready(&replica, "").0 == 503);
    let (_, why) = ready(&replica, "");
    assert!(why.contains("bytes behind, 1048576 allowed"), "{why}");
    assert_eq!(ready(&replica, "?max-lag-bytes=0").0, 200);
    replica.server.must("CLIENT UNPAUSE");
    wait::until("it has caught up", || ready(&replica, "").0 == 200);
    replica.server.must("CONFIG SET http-ready-max-lag-bytes 0");
    replica.server.must(&format!("REPLICAOF 127.0.0.1 {}", free_port()));
    wait::until("the link is down", || {
        ready(&replica, "") == (503, "not ready: the link to the master is down\n".into())
    });
    assert_eq!(http::get(replica.page, "/healthz").status, 200);
    replica.server.must("CONFIG SET replica-serve-stale-data no");
    assert_eq!(http::get(replica.page, "/healthz").status, 200, "it answers PING with an error");
}

#[test]
fn not_ready_while_it_loads() {
    let mut shown = Shown::start(&["--enable-debug-command", "yes"]);
    shown.server.must("DEBUG POPULATE 20000");
    shown.server.must("SAVE");
    shown.server.kill();
    shown.server.spawn(&["--key-load-delay", "100", "--loading-process-events-interval-bytes", "1024"]);
    let mut told = String::new();
    wait::until("it says that it loads", || {
        let asked = Http::connect(shown.page).and_then(|mut http| {
            http.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            http.answer()
        });
        told = asked.map(|answer| answer.body).unwrap_or_default();
        !told.is_empty()
    });
    assert_eq!(told, "not ready: the data are being loaded\n");
    // Whoever is killed for this never gets through a long load.
    assert_eq!(http::get(shown.page, "/healthz").status, 200);
    assert_eq!(http::get(shown.page, "/readyz").status, 503, "it loaded all the time");
    wait::until("it is ready", || http::get(shown.page, "/readyz").status == 200);
}

#[test]
fn the_pages_own_connection_is_no_client() {
    let mut shown = Shown::start(&["--maxclients", "32"]);
    let mut events = http::events(shown.page);
    seen(&mut events, "the server", |t| t["nodes"].as_array().is_some_and(|nodes| nodes.len() == 1));
    assert_eq!(shown.server.info("connected_clients"), "1");
    assert_eq!(shown.server.must("CLIENT LIST").text().lines().count(), 1);
    assert_eq!(shown.server.must("CLIENT KILL TYPE normal SKIPME yes").int(), 0);
    // All places are taken, and it is asked all the same.
    let mut others: Vec<_> = (0..31).map(|_| shown.server.client()).collect();
    others.iter_mut().for_each(|client| _ = client.must("PING"));
    assert_eq!(shown.server.info("connected_clients"), "32");
    assert_eq!(http::get(shown.page, "/healthz").status, 200);
    assert!(http::get(shown.page, "/metrics").body.contains("\nredis_connected_clients 32\n"));
    drop(others);
}

/// Logs in; answers the fields of a head that prove it.
#[track_caller]
fn log_in(page: u16, user: &str, password: &str) -> Result<String, (u16, String)> {
    let body = serde_json::json!({ "user": user, "password": password }).to_string();
    let answer = http::post(page, "/login", "", &body);
    if answer.status != 200 {
        return Err((answer.status, answer.body));
    }
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"), "{cookie}");
    let token = answer.json()["token"].as_str().expect("a token").to_string();
    let cookie = cookie.split(';').next().unwrap_or_default();
    Ok(format!("Cookie: {cookie}\r\nX-Rivulet-Token: {token}\r\n"))
}

#[test]
fn actions_are_commands_of_who_has_logged_in() {
    let mut master = Shown::start(&[]);
    master.server.must("ACL SETUSER ann on >secret +replication +acl|whoami");
    master.server.must("ACL SETUSER bob on >secret +ping");
    let _replica = Shown::below(&master.server, &[]);
    let verify = r#"{"action":"verify"}"#;
    let act = |fields: &str, body: &str| http::post(master.page, "/action", fields, body);

    assert_eq!(act("", verify).status, 401);
    assert_eq!(log_in(master.page, "ann", "wrong").expect_err("refused").0, 403);
    wait::pause(Duration::from_millis(250));
    let ann = log_in(master.page, "ann", "secret").expect("ann may come in");
    let proof = act(&ann, verify);
    assert_eq!((proof.status, &proof.json()["reply"]["replicas"][0]["equal"]), (200, &"yes".into()), "{}", proof.body);
    assert!(http::get(master.page, "/metrics").body.contains("rivulet_verify_replicas{equal=\"yes\"} 1\n"));
    // What she may not do is the server's word.
    let refused = act(&ann, r#"{"action":"failover"}"#);
    assert_eq!(refused.status, 409);
    assert!(refused.json()["error"].as_str().is_some_and(|why| why.starts_with("NOPERM")), "{}", refused.body);
    assert_eq!(act(&ann, r#"{"action":"flushall"}"#).status, 400);
    // The cookie alone is not enough, and neither is another site's page.
    let cookie = ann.lines().next().map(|line| format!("{line}\r\n")).expect("a cookie");
    assert_eq!(act(&cookie, verify).status, 401);
    assert_eq!(act(&format!("{ann}Origin: http://evil.example\r\n"), verify).status, 403);
    assert_eq!(act(&format!("{ann}Sec-Fetch-Site: cross-site\r\n"), verify).status, 403);

    wait::pause(Duration::from_millis(250));
    let bob = log_in(master.page, "bob", "secret").expect("bob may come in");
    assert!(act(&bob, verify).json()["error"].as_str().is_some_and(|why| why.starts_with("NOPERM")));
    // A user who is gone takes his session along.
    master.server.must("ACL DELUSER bob");
    assert_eq!(act(&bob, verify).status, 409);
    wait::pause(Duration::from_millis(250));
    // Nobody's name is the default user's, who needs no password here.
    let open = log_in(master.page, "", "").expect("the server is open");
    assert_eq!(act(&open, verify).status, 200);
    let out = http::post(master.page, "/logout", &open, "{}");
    assert_eq!((out.status, act(&open, verify).status), (200, 401));
}

/// An address of this machine by which others know it, if it has one. Nothing is sent.
fn own_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// The status and the body of a login under this name of the page, over a connection to this address.
fn log_in_at(to: SocketAddr, host: &str, user: &str, password: &str) -> (u16, String) {
    let body = serde_json::json!({ "user": user, "password": password }).to_string();
    let head = format!("POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let answer = Http::at(to).and_then(|mut http| http.send(request.as_bytes()).and_then(|()| http.answer()));
    wait::pause(Duration::from_millis(250));
    answer.map(|answer| (answer.status, answer.body)).unwrap_or_else(|error| panic!("no answer at {to}: {error}"))
}

#[test]
fn who_needs_no_password_is_let_in_from_this_machine_only() {
    let mut shown = Shown::start(&["--http-bind", "0.0.0.0"]);
    shown.server.must("ACL SETUSER ann on >secret +@all");
    let here = SocketAddr::from(([127, 0, 0, 1], shown.page));
    let open = [("", ""), ("default", ""), ("default", "x")];
    for host in ["localhost", "127.0.0.1:1", "[::1]", "10.0.0.1"] {
        assert_eq!(log_in_at(here, host, "", "").0, 200, "{host}");
    }
    assert_eq!(log_in_at(here, "localhost", "default", "x").0, 200);
    // Somebody else's name was given this address, so it is a page of theirs that asks; to look at this one is everybody's right.
    let look = format!("GET /healthz HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n", shown.page);
    assert_eq!(http::request(shown.page, &look).status, 200);
    let refused = |answer: (u16, String)| answer.0 == 403 && answer.1.starts_with("set a password first");
    for (user, password) in open {
        assert!(refused(log_in_at(here, "evil.example", user, password)), "{user} {password}");
    }
    assert_eq!(log_in_at(here, "evil.example", "ann", "secret").0, 200, "she knows what nobody else does");
    let Some(ip) = own_ip() else {
        println!("skipped: this machine has no address but its own");
        return;
    };
    let there = SocketAddr::new(ip, shown.page);
    for (user, password) in open {
        assert!(refused(log_in_at(there, &there.to_string(), user, password)), "{user} {password}");
    }
    assert_eq!(log_in_at(there, &there.to_string(), "ann", "secret").0, 200);
    shown.server.must("CONFIG SET requirepass word");
    assert_eq!(log_in_at(there, &there.to_string(), "", "word").0, 200);
}

#[test]
fn pages_on_one_host_have_cookies_of_their_own() {
    let [one, other] = [Shown::start(&[]), Shown::start(&[])];
    let fields = [&one, &other].map(|shown| log_in(shown.page, "", "").expect("it is open"));
    let line = |i: usize, name: &str| fields[i].lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
    // A browser sends both, as it does not tell ports apart.
    let both = format!("Cookie: {}; {}\r\n", line(0, "Cookie: "), line(1, "Cookie: "));
    for (i, shown) in [&one, &other].into_iter().enumerate() {
        let token = line(i, "X-Rivulet-Token: ");
        let answer = http::post(shown.page, "/action", &format!("{both}X-Rivulet-Token: {token}\r\n"), "{}");
        assert_eq!(answer.status, 400, "it is known who asks: {}", answer.body);
    }
    assert_ne!(line(0, "Cookie: ").split('=').next(), line(1, "Cookie: ").split('=').next());
}

/// Opens connections to a page, each of which wants events, until it takes no more, at most so many.
pub fn crowd(page: u16, count: usize) -> Vec<TcpStream> {
    let to = SocketAddr::from(([127, 0, 0, 1], page));
    let connect = |_| {
        let mut socket = TcpStream::connect_timeout(&to, Duration::from_millis(200)).ok()?;
        socket.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
        Some(socket)
    };
    (0..count).map_while(connect).collect()
}

#[test]
fn a_crowd_at_the_page_leaves_clients_their_descriptors() {
    let page = free_port();
    let port = page.to_string();
    let mut server = Server::prepare(Kind::Rivulet, &["--http-port", &port, "--maxclients", "100"]);
    server.set_shell_line("ulimit -n 208");
    server.launch();
    let crowd = crowd(page, 250);
    assert!(crowd.len() > 26, "{}", crowd.len());
    wait::pause(Duration::from_millis(500));
    let mut clients: Vec<_> = (0..99).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| _ = client.must("PING"));
    assert!(server.must("SAVE").is_ok());
    // What the page may take is no client's.
    let refused = server.call("CONFIG SET maxclients 10000").text();
    assert!(refused.ends_with("the specified number of clients, try with 111"), "{refused}");
    drop(crowd);
}

#[test]
fn strange_requests_are_refused() {
    let shown = Shown::start(&[]);
    let status = |text: &str| http::request(shown.page, text).status;
    assert_eq!(status("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421);
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 421);
    assert_eq!(status("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"), 404);
    assert_eq!(status("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405);
    assert_eq!(status(&format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(20_000))), 431);
    let fields: String = (0..100).map(|i| format!("F{i}: x\r\n")).collect();
    assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")), 431);
    assert_eq!(status("hello\r\n\r\n"), 400);
    let large = "x".repeat(10_000);
    assert_eq!(http::post(shown.page, "/login", "", &large).status, 413);
    let page = http::get(shown.page, "/");
    assert!(page.body.contains("<title>Rivulet</title>"));
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    // Who says nothing is not waited for.
    let mut quiet = Http::connect(shown.page).expect("a connection");
    let (ended, ms) = wait::timed(|| quiet.line());
    assert!(ended.is_err() && ms < 15_000, "a silent connection was open for {ms} ms: {ended:?}");
}

#[test]
fn a_thousand_readers_and_a_hostile_one_do_not_move_clients() {
    let mut master = Shown::start(&[]);
    let _replica = Shown::below(&master.server, &[]);
    let mut client = master.server.client();
    let mut slowest = |count: usize| {
        let mut us: Vec<u128> = (0..count).map(|_| wait::timed_us(|| client.must("GET x")).1).collect();
        us.sort_unstable();
        us[count * 99 / 100]
    };
    let alone = slowest(3000);
    let mut readers: Vec<Http> = (0..1000).map(|_| http::events(master.page)).collect();
    // It asks for the largest answer again and again and reads nothing.
    let mut hostile = Http::connect(master.page).expect("a connection");
    hostile.socket().set_nonblocking(true).expect("a socket");
    let request = format!("GET / HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", master.page).repeat(200);
    let _ = hostile.send(request.as_bytes());
    seen(&mut readers[999], "the picture", |t| links(t).len() == 1);
    let before = master.server.count("total_commands_processed");
    wait::pause(Duration::from_secs(3));
    let asked = master.server.count("total_commands_processed") - before;
    // Four times a second INFO, the doctor now and then, a replica's acknowledgements: readers are in none of it.
    assert!(asked < 60, "{asked} commands in three seconds");
    let beside = slowest(3000);
    println!("99 of 100 GETs within {alone} us alone, {beside} us beside 1,000 readers");
    assert!(beside < alone * 10 + 20_000, "p99 was {alone} us and is {beside} us");
    // Each still gets what happens.
    master.server.must("CLIENT KILL TYPE replica");
    let now = wait::unix_ms() - 1000;
    for reader in readers.iter_mut().step_by(333) {
        seen(reader, "a sync", |t| has_sync(t, "partial", "continued", now));
    }
    drop(readers);
    // And an idle page asks nothing at all.
    wait::pause(Duration::from_secs(4));
    let before = master.server.count("total_commands_processed");
    wait::pause(Duration::from_secs(2));
    let asked = master.server.count("total_commands_processed") - before;
    assert!(asked <= 8, "{asked} commands in two seconds without a reader");
}

#[test]
fn others_servers_are_shown_too() {
    let master = Shown::start(&[]);
    let mut others = Vec::new();
    for kind in [Kind::Redis7, Kind::Redis8, Kind::Valkey9].into_iter().filter(|kind| kind.is_there()) {
        let mut other = Server::start(kind, &[]);
        other.follow(&master.server);
        others.push(other);
    }
    let expected: Vec<_> = others.iter().map(|other| (master.server.port, other.port, "online".to_string())).collect();
    wait::until("all are shown", || {
        let shown = links(&http::get(master.page, "/topology").json());
        expected.iter().all(|link| shown.contains(link)) && shown.len() == expected.len()
    });
}

#[test]
fn a_chain_over_tls_is_asked_over_tls() {
    let authority = Authority::new("An authority");
    authority.sign_for("server", Use::Any);
    let start = |more: &[&str]| {
        let (page, tls) = (free_port(), free_port());
        let mut args: Vec<String> = authority.server_args("server", tls);
        args.extend(["--tls-replication", "yes", "--http-port", &page.to_string()].map(String::from));
        args.extend(more.iter().map(|arg| arg.to_string()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        (Server::start(Kind::Rivulet, &args), tls, page)
    };
    let (_master, tls, page) = start(&[]);
    let (mut replica, _, other_page) = start(&["--replicaof", "127.0.0.1", &tls.to_string()]);
    replica.wait_for_link();
    for page in [page, other_page] {
        let mut last = Value::Null;
        let seen = wait::within(Duration::from_secs(20), || {
            last = http::get(page, "/topology").json();
            let nodes = last["nodes"].as_array().map_or(0, Vec::len);
            nodes == 2 && links(&last).len() == 1 && links(&last)[0].2 == "online"
        });
        assert!(seen, "{last:#}");
        // Neither stands for the other's silence.
        assert!(last["nodes"].as_array().is_some_and(|nodes| nodes.iter().all(|n| n["silent"].is_null())), "{last:#}");
    }
}

#[test]
fn what_the_page_uses_is_given_back() {
    let mut shown = Shown::start(&[]);
    let ask = |count: usize| (0..count).for_each(|_| assert!(http::get(shown.page, "/metrics").body.len() > 10_000));
    ask(5);
    let before = shown.server.count("used_memory");
    ask(60);
    let after = shown.server.count("used_memory");
    // Each answer is twenty kilobytes and more, made by one thread and freed by another.
    assert!((after - before).abs() < 600_000, "used_memory went from {before} to {after}");
}
