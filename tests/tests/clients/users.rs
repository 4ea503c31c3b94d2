//! Users of whole servers: what becomes of clients when their user changes, files of users over restarts, links and files that nobody checks.

use std::os::unix::fs::PermissionsExt;

use rivulet_tests::process::TempDir;
use rivulet_tests::{Client, Kind, Reply, Server, wait};

/// A connection that is this user.
fn log_in(server: &Server, user: &str) -> Client {
    let mut client = server.client();
    client.must(&format!("AUTH {user} p"));
    client
}

#[track_caller]
fn assert_denied(reply: &Reply) {
    assert!(reply.is_error() && reply.text().starts_with("NOPERM"), "{reply:?}");
}

fn is_cut(client: &mut Client) -> bool {
    client.try_call("PING").is_err()
}

/// A command that waited is checked again before it runs, as in Redis 7.2.
#[test]
fn who_waited_may_not_have_what_it_may_not_have_any_more() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    server.must("ACL SETUSER u on >p ~q* +blpop +blmove +xread +ping");
    let waits = |server: &Server, line: &str| {
        let mut client = log_in(server, "u");
        client.add(line);
        client.flush().expect("the server reads");
        client
    };
    let mut waiting = ["BLPOP q 0", "BLMOVE q q2 LEFT RIGHT 0"].map(|line| waits(&server, line));
    wait::until("both wait", || server.count("blocked_clients") == 2);
    server.must("ACL SETUSER u resetkeys ~other");
    server.must("RPUSH q x");
    for client in &mut waiting {
        assert_denied(&client.read().expect("an answer"));
        client.must("PING");
    }
    assert_eq!(server.must("LRANGE q 0 -1").items().len(), 1);
    assert_eq!(server.count("blocked_clients"), 0);
    let entry = &server.must("ACL LOG").items()[0].clone();
    assert_eq!(entry.field("reason").map(Reply::text), Some("key".into()));
    assert_eq!(entry.field("object").map(Reply::text), Some("q".into()));
}

#[test]
fn a_file_of_users_is_taken_as_a_whole_and_its_users_clients_stay() {
    let mut server = Server::prepare(Kind::Rivulet, &["--aclfile", "users.acl"]);
    let first =
        "user default on nopass ~* &* +@all\nuser a on >p ~* +@all\nuser b on >p ~* +@all\nuser c on >p &* +@all\n";
    let path = server.write_file("users.acl", first);
    server.launch();
    let [mut a, mut b, mut c] = ["a", "b", "c"].map(|name| log_in(&server, name));
    c.must("SUBSCRIBE news");
    // One wrong line, and nothing changes.
    std::fs::write(&path, "user a off\nuser b +nonsense\n").expect("a file");
    let error = server.call("ACL LOAD").text();
    assert!(error.contains("users.acl:2") && error.contains("no change to the previously active ACL rules"), "{error}");
    a.must("SET k v");
    let entries = server.must("ACL LIST").items().len();
    assert_eq!(entries, 4);
    // One as before, one that may less, one that is gone.
    std::fs::write(&path, "user a on >p ~* +@all\nuser b on >p ~* +get +ping\n").expect("a file");
    server.must("ACL LOAD");
    a.must("SET k v");
    b.must("GET k");
    assert_denied(&b.call("SET k v"));
    assert!(is_cut(&mut c));
    // Who listens to what it may not listen to any more is cut, and others are not.
    std::fs::write(&path, "user a on >p &* +@all\nuser b on >p &old &new +@all\n").expect("a file");
    server.must("ACL LOAD");
    a.must("SUBSCRIBE x");
    b.must("SUBSCRIBE old");
    std::fs::write(&path, "user a on >p &old +@all\nuser b on >p &old +@all\n").expect("a file");
    server.must("ACL LOAD");
    assert!(is_cut(&mut a) && !is_cut(&mut b));
}

#[test]
fn users_come_back_after_a_restart() {
    let mut server = Server::prepare(Kind::Rivulet, &["--aclfile", "users.acl"]);
    let path = server.write_file("users.acl", "");
    server.launch();
    server.must("ACL SETUSER a on >p %R~r* ~w &c +@read (+set ~w)");
    server.must("ACL SETUSER default >secret");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    server.must("ACL SAVE");
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else may see it");
    let before = server.must("ACL LIST");
    let left: Vec<_> =
        std::fs::read_dir(server.dir.path()).expect("the directory").flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".tmp")), "{left:?}");
    server.kill();
    server.spawn(&[]);
    let mut client = wait_for(&server);
    assert!(client.call("PING").is_error());
    client.must("AUTH secret");
    assert_eq!(client.must("ACL LIST"), before);
    // What can't be written is said, and the file stays.
    std::fs::remove_file(&path).expect("it is there");
    std::fs::create_dir(&path).expect("a directory in its place");
    assert!(client.call("ACL SAVE").is_error());
    client.must("PING");
}

fn wait_for(server: &Server) -> Client {
    let mut client = None;
    wait::until("the server takes connections", || {
        client = server.client_if_up();
        client.is_some()
    });
    client.expect("it was taken")
}

#[test]
fn users_in_the_configuration_are_rewritten() {
    let mut server = Server::prepare(Kind::Rivulet, &[]);
    let path =
        server.write_file("rivulet.conf", "user default on nopass ~* &* +@all\nuser a on >p ~a +get\nmaxmemory 0\n");
    server.set_config_file(&path);
    server.launch();
    server.must("ACL SETUSER a ~b\"c +set");
    server.must("ACL SETUSER b on nopass (+get ~x)");
    server.must("CONFIG REWRITE");
    let before = server.must("ACL LIST");
    server.shutdown("NOSAVE");
    server.launch();
    assert_eq!(server.must("ACL LIST"), before);
    let text = std::fs::read_to_string(&path).expect("the file");
    assert_eq!(text.lines().filter(|line| line.starts_with("user ")).count(), 3, "{text}");
}

/// Users in two places are refused, and so is what is wrong in them.
#[test]
fn users_that_can_not_be_had_stop_the_start() {
    let refused = |files: &[(&str, &str)], args: &[&str], wanted: &str| {
        let mut server = Server::prepare(Kind::Rivulet, args);
        for (name, text) in files {
            let path = server.write_file(name, text);
            if name.ends_with(".conf") {
                server.set_config_file(&path);
            }
        }
        server.spawn(&[]);
        wait::until(wanted, || server.log().contains(wanted));
    };
    refused(
        &[("r.conf", "user a on\n"), ("u.acl", "")],
        &["--aclfile", "u.acl"],
        "define either an ACL file or declare users",
    );
    refused(&[], &["--aclfile", "none.acl"], "Error loading ACLs, opening file 'none.acl': No such file or directory");
    refused(
        &[("u.acl", "user a nonsense\n")],
        &["--aclfile", "u.acl"],
        "Aborting Redis startup because of ACL errors: u.acl:1: Syntax error.",
    );
    refused(&[("r.conf", "user a on\nuser a off\n")], &[], "Duplicate user found");
    refused(&[("r.conf", "user a ~a b\n")], &[], "Error in user declaration 'b': Syntax error");
    refused(&[("r.conf", "user a +nonsense\n")], &[], "Error loading ACL rule '+nonsense' for the user named 'a'");
}

/// A replica logs in as a user that may do nothing but that; what comes over the link, and from the files, is not checked.
/// What a command is called does not matter to what it hides.
#[test]
fn passwords_are_hidden_whatever_the_command_is_called() {
    let dir = TempDir::new();
    let file = dir.path().join("redis.conf");
    let names = [("AUTH", "login"), ("ACL", "rules"), ("HELLO", "greet"), ("CONFIG", "settings"), ("ECHO", "auth")];
    let lines: String = names.iter().map(|(name, new)| format!("rename-command {name} {new}\n")).collect();
    std::fs::write(&file, format!("{lines}slowlog-log-slower-than 0\n")).expect("a configuration file");
    let mut server = Server::prepare(Kind::Rivulet, &[]);
    server.set_config_file(&file);
    server.launch();
    let mut monitor = server.client();
    monitor.must("MONITOR");
    let mut client = server.client();
    client.must("rules setuser bob on >secret +@all");
    client.must("login bob secret");
    client.must("greet 3 auth bob secret");
    client.must("settings set masterauth secret");
    client.must("auth shown");
    client.must("PING");
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.contains("PING")) {
        lines.push(monitor.read().expect("a line").text());
    }
    let noted = format!("{:?}", client.must("SLOWLOG GET"));
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:?}");
    assert!(["greet", "shown"].iter().all(|word| lines.iter().any(|line| line.contains(word))), "{lines:?}");
    assert!(noted.contains("settings") && noted.contains("shown") && !noted.contains("secret"), "{noted}");
}

#[test]
fn links_and_files_are_not_checked() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    master.must("ACL SETUSER link on >p +psync +replconf +ping");
    let options = ["--masteruser", "link", "--masterauth", "p", "--appendonly", "yes"];
    let mut replica = Server::start(Kind::Rivulet, &options);
    replica.follow(&master);
    // On the replica nobody may do anything but look.
    replica.must("ACL SETUSER default resetkeys nocommands +get +info +shutdown +ping %R~*");
    master.must("SET k v");
    master.must("RPUSH l a b");
    master.must("EVAL return(redis.call('sort','l','by','nosort','get','#','store','l2')) 0");
    wait::until("it is there", || replica.call("GET k") == master.call("GET k"));
    wait::until("all is acknowledged", || master.must("WAIT 1 1000").int() == 1);
    assert_denied(&replica.call("SET k w"));
    // The link is cut when its user goes.
    master.must("ACL DELUSER link");
    wait::until("the replica is gone", || master.count("connected_slaves") == 0);
    wait::until("it is told why", || replica.log().contains("WRONGPASS"));
    // With a user that may do nothing the files are loaded all the same.
    replica.shutdown("NOSAVE");
    let file = replica.write_file("users.acl", "user default on nopass resetkeys -@all +get %R~* +ping +info\n");
    replica.launch_with(&["--aclfile", &file.display().to_string(), "--replicaof", "no", "one"]);
    assert_eq!(replica.call("GET k").text(), "v");
}

#[test]
fn logins_that_fail_are_counted_and_some_are_told() {
    let mut server = Server::start(Kind::Rivulet, &[]);
    let mut client = server.client();
    for i in 0..200 {
        assert!(client.call(&format!("AUTH nobody{} x", i % 3)).text().starts_with("WRONGPASS"));
    }
    assert!(client.call("HELLO 3 AUTH no\"body\n x").is_error());
    assert_eq!(server.count("acl_access_denied_auth"), 201);
    let log = server.log();
    let told = log.lines().filter(|line| line.contains("A login as user \"nobody")).count();
    assert!((5..50).contains(&told), "{log}");
    assert!(log.contains("from 127.0.0.1:"), "{log}");
    let entries = server.must("ACL LOG 100");
    assert_eq!(entries.items().len(), 4);
    let is_first = |entry: &&Reply| entry.field("username").is_some_and(|name| name.text() == "nobody0");
    let first = entries.items().iter().find(is_first).expect("it failed first");
    assert_eq!(first.field("count").map(Reply::int), Some(67));
    assert_eq!(first.field("entry-id").map(Reply::int), Some(0));
    let time = |name: &str| first.field(name).expect("a field of Redis 7.2").int();
    assert!(time("timestamp-created") <= time("timestamp-last-updated"));
}

#[test]
fn what_is_denied_is_counted_and_passwords_are_not_shown() {
    let mut server = Server::start(Kind::Rivulet, &["--slowlog-log-slower-than", "0"]);
    server.must("ACL SETUSER u on >p ~k +get +publish");
    let mut client = log_in(&server, "u");
    for line in ["SET k v", "GET x", "PUBLISH c m"] {
        assert_denied(&client.call(line));
    }
    for (field, count) in [("cmd", 1), ("key", 1), ("channel", 1), ("auth", 0)] {
        assert_eq!(server.count(&format!("acl_access_denied_{field}")), count, "{field}");
    }
    let slow = format!("{:?}", server.must("SLOWLOG GET -1"));
    assert!(slow.contains("SETUSER") && !slow.contains(">p"), "{slow}");
    assert!(server.must("CLIENT LIST").text().contains(" user=u "));
    assert_eq!(server.must("CLIENT KILL USER u").int(), 1);
    assert!(is_cut(&mut client));
    // A user that goes takes its clients along, also one that is in the middle of a transaction of its own.
    server.must("ACL SETUSER v on >p ~* +@all");
    let mut client = log_in(&server, "v");
    client.must("MULTI");
    client.must("ACL DELUSER v");
    client.must("SET k v");
    let replies = client.call("EXEC");
    assert_eq!(replies.items()[0], Reply::Int(1));
    assert!(is_cut(&mut client));
}
