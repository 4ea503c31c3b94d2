//! `top` on real servers: once as text and as JSON, and live on a terminal.

use std::path::Path;
use std::time::Duration;

use rivulet_tests::process::{TempDir, rivulet};
use rivulet_tests::{Kind, Server, wait};

use crate::terminal::Terminal;
use crate::{Call, said};

/// A master, its replica, and the replica of that.
fn chain(last: Kind) -> [Server; 3] {
    let mut master = Server::start(Kind::Rivulet, &[]);
    master.must("SET key value");
    let mut middle = Server::start(Kind::Rivulet, &[]);
    middle.follow(&master);
    middle.wait_for_link();
    let mut end = Server::start(last, &[]);
    end.follow(&middle);
    end.wait_for_link();
    [master, middle, end]
}

/// The words of each row of the tree: branches, address, state.
fn rows(shown: &str) -> Vec<Vec<String>> {
    let rows = shown.lines().skip(1).take_while(|line| !line.is_empty());
    rows.map(|row| row.split_whitespace().map(str::to_string).collect()).collect()
}

#[test]
fn one_picture_has_the_whole_chain_wherever_it_begins() {
    for last in [Kind::Rivulet, Kind::Redis7] {
        if !last.is_there() {
            println!("skipped: {last:?} is not installed");
            continue;
        }
        let servers = chain(last);
        let address = |at: usize| format!("127.0.0.1:{}", servers[at].port);
        for server in &servers {
            let call = Call { args: &["top", "--once"], env: &[("LC_ALL", "C")], ..Call::default() };
            let outcome = call.run(&rivulet("rivulet-cli"), server);
            assert_eq!(outcome.status, Some(0), "{}", outcome.err);
            let rows = rows(&outcome.out);
            assert_eq!(rows.len(), 3, "{}", outcome.out);
            assert_eq!(rows[0][..2], [address(0), "master".into()], "{}", outcome.out);
            assert_eq!(rows[1][..3], ["`-".into(), address(1), "online".into()], "{}", outcome.out);
            assert_eq!(rows[2][..3], ["`-".into(), address(2), "online".into()], "{}", outcome.out);
            assert!(outcome.out.contains(" full sync ("), "{}", outcome.out);
        }
        let json: serde_json::Value = serde_json::from_str(&said(&servers[2], &["top", "--json"])).expect("JSON");
        assert_eq!(json["nodes"].as_array().map(Vec::len), Some(3), "{json}");
        assert_eq!(json["links"][0]["state"], "online", "{json}");
    }
}

#[test]
fn who_does_not_answer_is_shown_with_the_reason() {
    let [master, middle, mut end] = chain(Kind::Rivulet);
    let gone = format!("127.0.0.1:{}", end.port);
    end.kill();
    wait::until("the master of it has seen it go", || {
        let shown = said(&master, &["top", "--once"]);
        rows(&shown).len() == 2 || shown.lines().any(|line| line.contains(&gone) && line.contains("silent"))
    });
    drop(middle);
    let nobody = Call { args: &["top", "--once"], ..Call::default() };
    let outcome = nobody.run_at(&rivulet("rivulet-cli"), &["-p", &end.port.to_string()]);
    assert_eq!(outcome.status, Some(1));
    assert_eq!(outcome.err, format!("Could not connect to Redis at {gone}: Connection refused\n"));
}

#[test]
fn a_command_of_that_name_can_be_sent() {
    let server = Server::start(Kind::Rivulet, &[]);
    for args in [&["--", "top"][..], &["TOP"], &["--", "rdb", "x"]] {
        let outcome = Call { args, ..Call::default() }.run(&rivulet("rivulet-cli"), &server);
        assert!(outcome.out.starts_with("ERR unknown command"), "{outcome:?}");
    }
    let outcome = Call { args: &["top", "--twice"], ..Call::default() }.run(&rivulet("rivulet-cli"), &server);
    assert_eq!(outcome.status, Some(1));
    assert!(outcome.err.contains("--twice"), "{}", outcome.err);
}

#[test]
fn a_login_and_a_socket_are_used() {
    let dir = TempDir::new();
    let socket = dir.path().join("socket").display().to_string();
    let master = Server::start(Kind::Rivulet, &["--requirepass", "secret", "--unixsocket", &socket]);
    let arguments = ["--requirepass", "secret", "--masterauth", "secret", "--replicaof"];
    let replica = Server::start(Kind::Rivulet, &[&arguments[..], &[&format!("127.0.0.1 {}", master.port)]].concat());
    let call = Call { args: &["top", "--once"], env: &[("REDISCLI_AUTH", "secret")], ..Call::default() };
    let port = replica.port.to_string();
    wait::until("both are shown from either end", || {
        [vec!["-p", port.as_str()], vec!["-s", socket.as_str()]].iter().all(|first| {
            let outcome = call.run_at(&rivulet("rivulet-cli"), first);
            rows(&outcome.out).len() == 2 && outcome.out.contains("online")
        })
    });
}

/// The screen without what changes: figures, and which port is which.
fn neutral(screen: &str, servers: &[Server]) -> String {
    let mut screen = screen.to_string();
    for (i, server) in servers.iter().enumerate() {
        screen = screen.replace(&server.port.to_string(), ["MASTR", "CHILD", "GRAND"][i]);
    }
    let tree = screen.lines().filter(|line| line.contains("127.0.0.1:") && line.contains("  "));
    let words = |line: &str| {
        let end = ["master", "online", "silent"].iter().find_map(|state| Some(line.find(state)? + state.len()));
        end.map(|end| line[..end].split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
    };
    tree.filter_map(words).collect()
}

#[test]
fn live_on_a_terminal() {
    let mut servers = chain(Kind::Rivulet);
    let Some(terminal) = Terminal::open_with(&servers[1], Path::new("/nonexistent"), "top") else { return };
    let tree = "> 127.0.0.1:MASTR master\n└─ 127.0.0.1:CHILD online\n└─ 127.0.0.1:GRAND online\n";
    let is_drawn = wait::within(Duration::from_secs(10), || neutral(&terminal.screen(), &servers) == tree);
    assert!(is_drawn, "{}\n{}", neutral(&terminal.screen(), &servers), terminal.screen());
    assert!(terminal.screen().starts_with("rivulet-cli top  3 nodes, 2 links"), "{}", terminal.screen());

    terminal.press(&["v"]);
    let equal = format!("127.0.0.1:{} equal:", servers[2].port);
    wait::until("the proof is shown", || terminal.screen().contains(&equal));
    terminal.press(&["q"]);
    wait::until("the tree is back", || terminal.screen().contains("Events"));

    // The replica takes over: it is chosen, and a yes is needed.
    terminal.press(&["Down", "f"]);
    wait::until("it asks", || terminal.screen().contains("? (y/n)"));
    terminal.press(&["n"]);
    wait::until("nothing is done", || terminal.screen().contains("nothing was done"));
    assert_eq!(servers[0].info("role"), "master");
    terminal.press(&["f", "y"]);
    wait::until("it is a master", || servers[1].info("role") == "master");
    let promoted = format!("127.0.0.1:{} is a master now", servers[1].port);
    wait::until("that is told", || terminal.screen().contains(&promoted));
    // It is still chosen, and its log has it, too.
    terminal.press(&["Enter"]);
    wait::until("the log is open", || terminal.screen().contains("newest first"));
    assert!(terminal.screen().contains(&promoted), "{}", terminal.screen());
    terminal.press(&["Escape"]);
    wait::until("the tree is back", || terminal.screen().contains("NODE"));
    terminal.press(&["q"]);
    wait::until("it ends", || terminal.screen().is_empty());
}
