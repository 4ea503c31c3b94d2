//! Users of a Sentinel, beside those of the peers' Sentinels.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rivulet_tests::process::{TempDir, free_port, peer, rivulet, tool};
use rivulet_tests::{Client, Reply, wait};

/// A Sentinel that watches nobody.
struct Alone {
    child: Option<Child>,
    program: std::path::PathBuf,
    port: u16,
    dir: TempDir,
}

impl Alone {
    fn start(program: std::path::PathBuf, lines: &str) -> Self {
        let mut alone = Self { child: None, program, port: free_port(), dir: TempDir::new() };
        let text = format!("port {}\nbind 127.0.0.1\ndir {}\n{lines}", alone.port, alone.dir.path().display());
        std::fs::write(alone.dir.path().join("sentinel.conf"), text).expect("a configuration file");
        alone.launch();
        alone
    }

    fn ours(lines: &str) -> Self {
        Self::start(rivulet("rivulet-server"), lines)
    }

    fn launch(&mut self) {
        self.end();
        let mut command = Command::new(&self.program);
        command.arg(self.dir.path().join("sentinel.conf")).arg("--sentinel");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("Sentinel starts"));
    }

    fn client(&self) -> Client {
        wait::until("Sentinel answers", || Client::connect(self.port).is_ok_and(|mut c| c.try_call("PING").is_ok()));
        Client::connect(self.port).expect("it just did")
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sentinels of the peers, with what their words are made of to be compared.
fn peers() -> Vec<(&'static str, Alone)> {
    let programs =
        [("redis 7", tool("redis-server")), ("redis 8", peer("redis8-server")), ("valkey 9", peer("valkey-server"))];
    let there = programs.into_iter().filter_map(|(name, program)| Some((name, program?)));
    there.map(|(name, program)| (name, Alone::start(program, ""))).collect()
}

/// A reply as it is compared: Redis 8 shows `sanitize-payload` of everybody, Valkey 9 databases, each says its own name, and both tell who may not.
fn plain(reply: &Reply) -> String {
    let mut text = format!("{reply:?}").replace("User u has", "this user has");
    for (own, common) in [
        (" sanitize-payload", ""),
        (" alldbs", ""),
        ("This Redis instance", "This instance"),
        (
            "No permissions to access a channel",
            "this user has no permissions to access one of the channels used as arguments",
        ),
    ] {
        text = text.replace(own, common);
    }
    match (text.find("User u"), text.find(" has no permissions")) {
        (Some(from), Some(to)) if from < to => format!("{}This user{}", &text[..from], &text[to..]),
        _ => text,
    }
}

/// Rules, and what they come to, are those of the peers' Sentinels.
#[test]
fn rules_are_those_of_the_peers() {
    let rules = [
        "on >secret +ping",
        "off nopass ~a* &news.* +@all -@admin",
        "on nopass +sentinel|masters +sentinel|get-master-addr-by-name",
        "-@all +@connection -auth +client -client|kill",
        "+@all -sentinel|failover",
        "allchannels resetchannels &x &y +subscribe",
        "+@all -@dangerous +acl|whoami",
        "+ping|a",
        "+sentinel|masters|x",
        "+sentinel|nonsense",
        "+get",
        "-flushall",
        "+@nonsense",
        "nonsense",
        "+",
        "#abc",
        "<never",
        "!never",
        "(+ping &x)",
        "(+ping",
        "(+get ~a)",
        "~a b",
        "%R~a %W~b",
        "reset",
        "clearselectors",
    ];
    let lines = [
        "ping",
        "sentinel masters",
        "sentinel failover x",
        "sentinel nonsense",
        "sentinel",
        "subscribe x",
        "subscribe news.a",
        "psubscribe news.*",
        "client kill 1.2.3.4:5",
        "client list",
        "acl whoami",
        "acl list",
        "get a",
        "ping a b c",
        "auth x",
    ];
    let ours = Alone::ours("");
    for (name, theirs) in peers() {
        let [mut own, mut known] = [ours.client(), theirs.client()];
        for (i, rules) in rules.iter().enumerate() {
            let set = format!("ACL SETUSER u{i} {rules}");
            let (mine, others) = (own.call(&set), known.call(&set));
            assert_eq!(plain(&mine), plain(&others), "{name}: {set}");
            if mine.is_error() {
                continue;
            }
            for line in lines {
                let run = format!("ACL DRYRUN u{i} {line}");
                assert_eq!(plain(&own.call(&run)), plain(&known.call(&run)), "{name}: {rules}: {run}");
            }
        }
        for command in [
            "ACL CAT",
            "ACL CAT nonsense",
            "ACL WHOAMI",
            "ACL SAVE",
            "ACL LOAD",
            "ACL DRYRUN nobody ping",
            "ACL DELUSER default",
        ] {
            assert_eq!(
                plain(&own.call(command)).to_lowercase().replace("redis ", ""),
                plain(&known.call(command)).to_lowercase().replace("redis ", ""),
                "{name}: {command}"
            );
        }
        // All that theirs have in a category, ours have there.
        for category in own.must("ACL CAT").items().iter().map(Reply::text) {
            let names = |client: &mut Client| -> Vec<String> {
                client.must(&format!("ACL CAT {category}")).items().iter().map(Reply::text).collect()
            };
            let (mine, others) = (names(&mut own), names(&mut known));
            let is_alias = |name: &&String| name.contains("primar");
            let missing: Vec<&String> = others.iter().filter(|name| !mine.contains(name) && !is_alias(name)).collect();
            assert!(missing.is_empty(), "{name}: {category}: {missing:?}");
        }
    }
}

/// What a user may not is refused, and ACL LOG says what and to whom, as in the peers.
#[test]
fn who_is_denied_is_remembered() {
    let ours = Alone::ours("");
    let mut story = Vec::new();
    for (name, mut client) in
        std::iter::once(("ours", ours.client())).chain(peers().iter().map(|(name, theirs)| (*name, theirs.client())))
    {
        client.must("ACL SETUSER u on >secret +sentinel|masters +subscribe +acl|whoami +acl|log &news.*");
        let mut told = vec![plain(&client.call("AUTH u wrong")), plain(&client.call("AUTH u secret"))];
        for command in
            ["ACL WHOAMI", "SENTINEL MASTERS", "SENTINEL RESET x", "SUBSCRIBE other", "PING", "ACL LIST", "ACL LIST"]
        {
            told.push(plain(&client.call(command)));
        }
        for entry in client.must("ACL LOG").items() {
            for field in ["count", "reason", "context", "object", "username"] {
                told.push(format!("{field}: {:?}", entry.field(field)));
            }
            let info = entry.field("client-info").expect("who it was").text();
            assert!(info.contains("addr=127.0.0.1:") && info.contains("cmd="), "{name}: {info}");
        }
        assert!(client.must("ACL LOG RESET").is_ok() && client.must("ACL LOG").items().is_empty(), "{name}");
        story.push((name, told));
    }
    for (name, told) in &story[1..] {
        assert_eq!(story[0].1, *told, "ours beside {name}");
    }
}

/// `aclfile`: read at the start and by ACL LOAD, written by ACL SAVE; `user` lines beside it are refused. Without it users are in the configuration.
#[test]
fn users_are_kept_in_their_file() {
    let mut ours = Alone::ours("aclfile users.acl\n");
    let path = ours.dir.path().join("users.acl");
    ours.end();
    std::fs::write(&path, "user default on nopass ~* &* +@all\nuser a on >x +ping (+sentinel|primaries)\n")
        .expect("a file");
    ours.launch();
    let mut client = ours.client();
    assert_eq!(client.must("ACL DRYRUN a sentinel masters").text(), "OK");
    let mut other = ours.client();
    other.must("AUTH a x");
    client.must("ACL SETUSER b on nopass +@all");
    client.must("ACL SAVE");
    let saved = std::fs::read_to_string(&path).expect("the file");
    assert!(saved.contains("user b on nopass") && !saved.contains(">x"), "{saved}");
    let configuration = std::fs::read_to_string(ours.dir.path().join("sentinel.conf")).expect("a file");
    assert!(!configuration.contains("user "), "{configuration}");
    std::fs::write(&path, "user a on nonsense\n").expect("a file");
    assert!(client.call("ACL LOAD").text().contains("WARNING: ACL errors detected"));
    assert_eq!(client.must("ACL USERS").items().len(), 3, "nothing was changed");
    std::fs::write(&path, saved.lines().filter(|line| !line.starts_with("user a ")).collect::<Vec<_>>().join("\n"))
        .expect("a file");
    client.must("ACL LOAD");
    assert_eq!(client.must("ACL USERS").items().len(), 2);
    wait::until("who is no user any more is gone", || other.try_call("PING").is_err());
    ours.launch();
    assert_eq!(ours.client().must("ACL USERS").items().len(), 2);
}

/// A connection of somebody who has shown nothing yet.
fn connect(sentinel: &Alone) -> TcpStream {
    TcpStream::connect(("127.0.0.1", sentinel.port)).expect("it accepts")
}

/// Bytes of memory that a Sentinel has had at most.
fn peak(sentinel: &Alone) -> usize {
    let pid = sentinel.child.as_ref().expect("it runs").id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("it has memory");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).expect("a number") * 1024
}

/// Whether it was closed; nothing is read of what it was sent, but for the end.
fn is_cut(socket: &mut TcpStream, bytes: &[u8]) -> bool {
    socket.set_nonblocking(true).expect("it can be set");
    socket.write_all(bytes).is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
}

/// What waits for somebody without the password is little.
#[test]
fn strangers_are_kept_little() {
    let sentinel = Alone::ours("requirepass secret\n");
    let mut friend = sentinel.client();
    friend.must("AUTH secret");
    let before = peak(&sentinel);
    let errors = b"x\r\n".repeat(20_000);
    let mut strangers: Vec<TcpStream> = (0..20).map(|_| connect(&sentinel)).collect();
    for stranger in &mut strangers {
        // It reads nothing.
        wait::until("it is closed", || is_cut(stranger, &errors));
    }
    let grown = peak(&sentinel).saturating_sub(before);
    assert!(grown < 16 << 20, "{grown}");
    // Who is known may have more waiting.
    (0..20_000).for_each(|_| friend.add("x"));
    friend.flush().expect("it reads");
    (0..20_000).for_each(|_| assert!(friend.read().expect("a reply").is_error()));
}

/// Many together may not have much more than one.
#[test]
fn all_strangers_are_bounded_together() {
    let sentinel = Alone::ours("requirepass secret\n");
    let mut friend = sentinel.client();
    friend.must("AUTH secret");
    let mut command = b"*10\r\n".to_vec();
    (0..9).for_each(|_| command.extend([b"$16000\r\n".as_slice(), &[b'a'; 16000], b"\r\n"].concat()));
    // Half a command each.
    let mut strangers: Vec<TcpStream> = (0..200).map(|_| connect(&sentinel)).collect();
    for stranger in &mut strangers {
        let _ = stranger.write_all(&command);
    }
    friend.must("PING");
    // What is not the whole of a line leads to nothing.
    let mut count_cut = || strangers.iter_mut().map(|stranger| is_cut(stranger, b"a")).filter(|is_cut| *is_cut).count();
    wait::until("most are closed", || count_cut() >= 150);
    assert!(count_cut() < 200, "those with half of what may be stay");
    friend.must("PING");
}

/// Sentinels show themselves to each other by `sentinel sentinel-user` and `sentinel-pass`, and a stranger gets nothing.
#[test]
fn sentinels_log_in_to_each_other() {
    let master = rivulet_tests::Server::start(rivulet_tests::Kind::Rivulet, &[]);
    let lines = format!(
        "user default off\nuser guard on >g +@all &*\nuser reader on >r -@all +sentinel|get-master-addr-by-name +client|setname\n\
         sentinel sentinel-user guard\nsentinel sentinel-pass g\nsentinel monitor mymaster 127.0.0.1 {} 2\n\
         sentinel down-after-milliseconds mymaster 2000\n",
        master.port
    );
    let pair = [Alone::ours(&lines), Alone::ours(&lines)];
    let mut clients = pair.each_ref().map(|alone| {
        let mut client = alone.client();
        client.must("AUTH guard g");
        client
    });
    for client in &mut clients {
        wait::until("they know each other", || {
            let peers = client.must("SENTINEL SENTINELS mymaster");
            peers.items().len() == 1 && crate::field(&peers.items()[0], "flags") == "sentinel"
        });
        assert!(client.must("SENTINEL CKQUORUM mymaster").text().starts_with("OK 2 usable Sentinels"));
    }
    let mut stranger = pair[0].client();
    assert!(stranger.call("SENTINEL MASTERS").text().starts_with("NOAUTH"));
    stranger.must("AUTH reader r");
    assert_eq!(stranger.must("SENTINEL GET-PRIMARY-ADDR-BY-NAME mymaster").items().len(), 2);
    assert!(stranger.call("SENTINEL RESET mymaster").text().starts_with("NOPERM"));
}
