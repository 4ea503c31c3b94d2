//! What Valkey 9 has beyond Redis: the command logs, and the filters of CLIENT LIST and CLIENT KILL. Each is asked of both.

use rivulet_tests::{Client, Kind, Reply, Server};

fn both() -> impl Iterator<Item = Kind> {
    [Kind::Rivulet, Kind::Valkey9].into_iter().filter(|kind| kind.is_there())
}

/// What a log has: values and arguments, the newest first.
fn noted(server: &mut Server, log: &str) -> Vec<(i64, String)> {
    let entries = server.must(&format!("COMMANDLOG GET -1 {log}"));
    let entry = |entry: &Reply| {
        let [_, _, value, args, ..] = entry.items() else { panic!("an entry has six parts: {entry:?}") };
        (value.int(), format!("{args:?}"))
    };
    entries.items().iter().map(entry).collect()
}

#[test]
fn large_requests_and_replies_are_noted() {
    for kind in both() {
        let mut server = Server::start(kind, &["--commandlog-request-larger-than", "100"]);
        server.must("CONFIG SET commandlog-reply-larger-than 100 commandlog-large-reply-max-len 2");
        // That was large itself.
        server.must("COMMANDLOG RESET large-request");
        let text = |len: usize| "x".repeat(len);
        // A request of 99 bytes, then of 100: `*3 $3 SET $1 k $.. ...`
        for len in [72, 73] {
            server.must(&format!("SET k {}", text(len)));
        }
        let requests = noted(&mut server, "large-request");
        assert_eq!(requests.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>(), [100], "{kind:?}");
        // Several commands at once: each is looked at for itself.
        let mut client = server.client();
        let set = |len: usize| ["SET".into(), "k".into(), text(len).into_bytes()].to_vec();
        client.pipeline(&[set(10), set(200), set(20), vec![b"GET".to_vec(), b"k".to_vec()], set(300)]);
        let requests = noted(&mut server, "LARGE-REQUEST");
        assert_eq!(requests.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>(), [328, 228, 100], "{kind:?}");
        for len in [92, 93, 94, 95] {
            server.must(&format!("SET k {}", text(len)));
            server.must("GET k");
        }
        let wanted = [(102, r#"*["GET", "k"]"#.to_string()), (101, r#"*["GET", "k"]"#.to_string())];
        assert_eq!(noted(&mut server, "large-reply"), wanted, "{kind:?}");
        server.must("COMMANDLOG RESET large-reply");
        assert_eq!(server.must("COMMANDLOG LEN large-reply").int(), 0, "{kind:?}");
        server.must("CONFIG SET commandlog-reply-larger-than -1");
        server.must("GET k");
        assert_eq!(server.must("COMMANDLOG LEN large-reply").int(), 0, "{kind:?}");
    }
}

#[test]
fn the_slow_log_is_one_of_them() {
    for kind in both() {
        let mut server = Server::start(kind, &["--slowlog-max-len", "7", "--commandlog-execution-slower-than", "0"]);
        server.must("PING");
        assert_eq!(
            server.must("COMMANDLOG GET 1 slow").items()[0].items()[0],
            server.must("SLOWLOG GET 3").items()[1].items()[0]
        );
        let shown = server.must("CONFIG GET commandlog-slow-execution-max-len");
        assert_eq!(shown.items()[1].text(), "7", "{kind:?}");
        server.must("COMMANDLOG RESET slow");
        assert_eq!(server.must("SLOWLOG LEN").int(), 1, "{kind:?}: the reset itself");
        for (command, wanted) in [
            ("COMMANDLOG GET x slow", "-ERR count should be greater than or equal to -1"),
            ("COMMANDLOG GET 1 x", "-ERR type should be one of the following: slow, large-request, large-reply"),
            ("COMMANDLOG LEN", "-ERR wrong number of arguments for 'commandlog|len' command"),
            ("COMMANDLOG X", "-ERR unknown subcommand 'X'. Try COMMANDLOG HELP."),
        ] {
            assert_eq!(format!("{:?}", server.call(command)), wanted, "{kind:?} {command}");
        }
    }
}

/// The names in the lines of CLIENT LIST, in the order of the alphabet.
fn names(client: &mut Client, filter: &str) -> String {
    let reply = client.call(&format!("CLIENT LIST {filter}"));
    let text = reply.text();
    if reply.is_error() {
        return text;
    }
    let name = |line: &str| line.split(" name=").nth(1)?.split(' ').next().map(String::from);
    let mut names: Vec<String> = text.lines().filter_map(name).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn clients_are_found_by_what_they_are() {
    for kind in both() {
        let server = Server::start(kind, &[]);
        let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
        for (client, name) in clients.iter_mut().zip(["me", "a", "b"]) {
            client.must(&format!("CLIENT SETNAME {name}"));
        }
        clients[0].must("ACL SETUSER joe on nopass ~* +@all");
        for command in ["AUTH joe x", "CLIENT SETINFO LIB-NAME lib", "CLIENT SETINFO LIB-VER 1.2"] {
            clients[1].must(command);
        }
        for command in ["SELECT 3", "CLIENT NO-EVICT on", "CLIENT CAPA redirect"] {
            clients[2].must(command);
        }
        let [a, b] = [1, 2].map(|i: usize| clients[i].must("CLIENT ID").int());
        let me = &mut clients[0];
        for (filter, wanted) in [
            (format!("ID {a} {b} 99999"), "a b"),
            (format!("ID {a} {b} NOT-ID {b}"), "a"),
            (format!("ID {a} NOT-NAME b"), "a"),
            ("SKIPME yes".into(), "a b"),
            ("TYPE normal NOT-USER joe".into(), "b me"),
            ("USER nobody".into(), "ERR No such user 'nobody'"),
            ("FLAGS e".into(), "b"),
            ("NOT-FLAGS e".into(), "a me"),
            ("FLAGS Nz".into(), "ERR Unknown flags found in the provided filter: Nz"),
            ("LIB-NAME lib LIB-VER 1.2".into(), "a"),
            ("NOT-LIB-NAME lib".into(), "b me"),
            ("DB 3".into(), "b"),
            ("DB 16".into(), "ERR DB number should be between 0 and 15"),
            ("CAPA r".into(), "b"),
            ("NOT-CAPA rx".into(), "ERR Unknown capa found in the NOT-CAPA filter: rx"),
            ("IP 127.0.0.1".into(), "a b me"),
            ("IDLE 1000".into(), ""),
            ("MAXAGE 0".into(), "ERR maxage should be greater than 0"),
            ("NOT-IDLE 1".into(), "ERR syntax error"),
            ("NAME".into(), "ERR syntax error"),
        ] {
            assert_eq!(names(me, &filter), wanted, "{kind:?} {filter}");
        }
        assert_eq!(me.must("CLIENT KILL MAXAGE 100000").int(), 0);
        assert_eq!(me.must("CLIENT KILL USER joe NOT-NAME a").int(), 0);
        assert_eq!(me.must(&format!("CLIENT KILL ID {a} {b} DB 3")).int(), 1);
        assert_eq!(names(me, "NOT-NAME none"), "a me", "{kind:?}");
    }
}

/// A client that goes where a replica sends it may say that it reads from this one all the same.
#[test]
fn a_redirected_client_may_read_from_a_replica() {
    for kind in both() {
        let mut master = Server::start(kind, &[]);
        master.must("SET a 1");
        let mut replica = Server::start(kind, &[]);
        replica.follow(&master);
        replica.wait_for_link();
        let mut client = replica.client();
        if kind == Kind::Rivulet {
            // As Redis; Valkey says OK to all.
            assert_eq!(client.call("READONLY").text(), "ERR This instance has cluster support disabled");
        }
        client.must("CLIENT CAPA redirect");
        let elsewhere = format!("REDIRECT 127.0.0.1:{}", master.port);
        assert_eq!(client.call("GET a").text(), elsewhere, "{kind:?}");
        client.must("READONLY");
        assert_eq!(
            (client.must("GET a").text(), client.call("SET a 2").text()),
            ("1".into(), elsewhere.clone()),
            "{kind:?}"
        );
        assert!(client.must("CLIENT LIST").text().contains(" flags=r "), "{kind:?}");
        client.must("READWRITE");
        assert_eq!(client.call("GET a").text(), elsewhere, "{kind:?}");
    }
}
