//! Replies that wait for replicas: which, until when, and what ends a wait. Fences, members and stale masters.

use std::io::Read;
use std::time::Duration;

use rivulet_tests::process::run;
use rivulet_tests::{Client, Kind, Reply, Server, wait};

use crate::everyone;

/// So long a reply must not come that is to wait.
const SILENCE: Duration = Duration::from_millis(150);
const SENTINEL: &str = "5555555555555555555555555555555555555555";

fn signal(server: &Server, name: &str) {
    let (text, ok) = run("kill", &[&format!("-{name}"), &server.pid().to_string()]);
    assert!(ok, "{text}");
}

fn send(client: &mut Client, commands: &[&str]) {
    commands.iter().for_each(|command| client.add(*command));
    client.flush().expect("it is sent");
}

#[track_caller]
fn assert_silent(client: &mut Client) {
    let socket = client.socket();
    socket.set_read_timeout(Some(SILENCE)).expect("it can be set");
    let peeked = socket.peek(&mut [0; 1]);
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("it can be set");
    assert!(peeked.is_err(), "a reply came that should wait");
}

#[track_caller]
fn assert_reads(client: &mut Client, replies: &[&str]) {
    for wanted in replies {
        let reply = client.read().expect("a reply comes");
        let text = if let Reply::Int(n) = reply { n.to_string() } else { reply.text() };
        assert!(text.starts_with(wanted), "{text:?} instead of {wanted:?}");
    }
}

fn fence(server: &mut Server, epoch: u64) -> Reply {
    server.call(&format!("REPLICATION FENCE {epoch} {SENTINEL}"))
}

fn is_closed(client: &mut Client) -> bool {
    client.read().is_err()
}

/// A master whose replies wait for one replica, and that replica.
fn pair(kind: Kind, more: &[&str]) -> (Server, Server) {
    let mut args = vec!["--synchronous-replicas", "1"];
    args.extend(more);
    let master = Server::start(Kind::Rivulet, &args);
    let mut replica = Server::start(kind, &[]);
    replica.follow(&master);
    replica.wait_for_link();
    (master, replica)
}

#[test]
fn a_write_is_answered_when_a_replica_has_it() {
    for kind in everyone() {
        let mut master = Server::start(Kind::Rivulet, &["--synchronous-replicas", "1"]);
        let mut writer = master.client();
        send(&mut writer, &["SET a 1", "PING", "GET a"]);
        assert_silent(&mut writer);
        assert_eq!(master.must("GET a").text(), "1", "others are not held up");
        assert_eq!(master.info("synchronous_held_clients"), "1");
        assert!(master.must("CLIENT LIST").text().contains(" flags=h "));
        assert!(master.must("REPLICATION DOCTOR").text().contains("synchronous-replicas is 1"));
        let mut replica = Server::start(kind, &[]);
        replica.follow(&master);
        assert_reads(&mut writer, &["OK", "PONG", "1"]);
        let (_, ms) = wait::timed(|| (0..200).for_each(|i| _ = writer.must(&format!("SET key:{i} v"))));
        assert!(ms < 2000, "{kind:?}: 200 round trips took {ms} ms");
        assert_eq!(replica.must("GET key:199").text(), "v", "it has what was acknowledged");
        signal(&replica, "STOP");
        send(&mut writer, &["SET b 1"]);
        assert_silent(&mut writer);
        signal(&replica, "CONT");
        assert_reads(&mut writer, &["OK"]);
        assert_eq!(master.info("synchronous_lag_bytes"), "0");
    }
}

#[test]
fn a_rivulet_acknowledges_without_being_asked() {
    let (mut master, _replica) = pair(Kind::Rivulet, &[]);
    master.must("SET a 1");
    let before = master.count("master_repl_offset");
    (0..50).for_each(|_| _ = master.must("SET a 1"));
    let each = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n".len() as i64;
    let grown = master.count("master_repl_offset") - before;
    // A heartbeat may come between.
    assert!((50 * each..50 * each + 20).contains(&grown), "{grown} bytes for 50 writes of {each}");
}

#[test]
fn late_replies_are_errors_and_no_others() {
    let (mut master, replica) = pair(Kind::Rivulet, &["--synchronous-timeout", "200"]);
    let mut writer = master.client();
    signal(&replica, "STOP");
    let commands = ["SET a 1", "PING", "INCR n", "GET n", "SETNX a 2", "MULTI", "INCR n", "EXEC", "PING"];
    let (_, ms) = wait::timed(|| {
        send(&mut writer, &commands);
        let unsynced = "UNSYNCED The write is applied here, but not acknowledged by 1 of the replicas within 200 ms.";
        assert_reads(&mut writer, &[unsynced, "PONG", unsynced, "1", "0", "OK", "QUEUED", unsynced, "PONG"]);
    });
    assert!((190..1000).contains(&ms), "{ms} ms");
    assert_eq!(master.info("synchronous_timeouts"), "3");
    assert!(master.info("errorstat_UNSYNCED").contains("count=3"));
    master.must("CONFIG SET synchronous-reads yes");
    let mut reader = master.client();
    assert!(reader.call("GET n").text().starts_with("UNSYNCED What was read here"));
    assert_eq!(reader.call("PING").text(), "PONG", "who watches the server must see it");
    assert!(!reader.call("INFO replication").is_error());
    signal(&replica, "CONT");
    wait::until("all is acknowledged", || reader.call("GET n").text() == "2");
}

/// The master does not know that another one may take its place: who reads there is told nothing, as there may be newer data elsewhere.
#[test]
fn reads_wait_for_a_replica_that_still_follows() {
    for kind in [Kind::Rivulet, Kind::Redis7] {
        if !kind.is_there() {
            continue;
        }
        let (mut master, mut replica) = pair(kind, &["--synchronous-reads", "yes"]);
        master.must("SET a 1");
        let (_, ms) = wait::timed(|| (0..200).for_each(|_| assert_eq!(master.must("GET a").text(), "1")));
        assert!(ms < 2000, "{kind:?}: 200 reads took {ms} ms");
        if kind == Kind::Redis7 {
            continue;
        }
        // Applied is enough to know who the master is: what is durable may come a second later.
        replica.must("CONFIG SET appendonly yes");
        master.must("CONFIG SET synchronous-commit fsynced");
        master.must("GET a");
        let (_, ms) = wait::timed(|| (0..20).for_each(|_| _ = master.must("GET a")));
        assert!(ms < 2000, "20 reads of what is durable took {ms} ms");
        let mut reader = master.client();
        assert!(!fence(&mut replica, 5).is_error());
        for read in [&["GET a"][..], &["SETNX a 2"], &["BLPOP none 0.05"], &["MULTI", "GET a", "EXEC"]] {
            send(&mut reader, read);
            let waits = usize::from(read.len() > 1) * 2;
            (0..waits).for_each(|_| _ = reader.read());
            assert_silent(&mut reader);
            reader = master.client();
        }
        assert_eq!(reader.must("PING").text(), "PONG");
    }
}

/// Sentinels tell it so in a transaction.
#[test]
fn a_replaced_master_that_hides_its_data_can_be_told_whom_to_follow() {
    let (mut master, replica) = pair(Kind::Rivulet, &["--synchronous-reads", "yes"]);
    let mut early = master.client();
    assert!(!fence(&mut master, 5).is_error());
    assert!(is_closed(&mut early));
    let mut sentinel = master.client();
    let order = format!("SLAVEOF 127.0.0.1 {}", replica.port);
    send(&mut sentinel, &["MULTI", &order, "CLIENT KILL TYPE normal", "EXEC"]);
    let replies: Vec<_> = (0..4).map(|_| sentinel.read().expect("it is answered")).collect();
    assert!(!replies[3].is_error(), "{replies:?}");
    assert_eq!(master.info("role"), "slave");
}

#[test]
fn reads_show_nothing_that_may_be_lost() {
    let (mut master, replica) = pair(Kind::Rivulet, &["--synchronous-reads", "yes"]);
    let (mut writer, mut reader) = (master.client(), master.client());
    writer.must("SET a old");
    signal(&replica, "STOP");
    send(&mut writer, &["SET a new"]);
    assert_silent(&mut writer);
    for read in ["GET a", "EXISTS a", "SETNX a x", "KEYS *", "DBSIZE"] {
        send(&mut reader, &[read]);
        assert_silent(&mut reader);
        reader = master.client();
    }
    reader.add_words(&["EVAL", "return redis.call('get', 'a')", "0"].map(|word| word.as_bytes().to_vec()));
    send(&mut reader, &[]);
    assert_silent(&mut reader);
    let mut other = master.client();
    send(&mut other, &["MULTI", "GET a", "EXEC"]);
    assert_reads(&mut other, &["OK", "QUEUED"]);
    assert_silent(&mut other);
    // Heartbeats in the stream are not waited for.
    assert_eq!(master.call("PING").text(), "PONG");
    signal(&replica, "CONT");
    assert_reads(&mut writer, &["OK"]);
    assert_reads(&mut reader, &["new"]);
    let (_, ms) = wait::timed(|| (0..100).for_each(|_| _ = reader.must("GET a")));
    assert!(ms < 900, "{ms} ms: a read waits for what is acknowledged already");
}

#[test]
fn who_hears_of_a_write_hears_of_it_when_it_is_acknowledged() {
    let (master, replica) = pair(Kind::Rivulet, &["--notify-keyspace-events", "KA"]);
    let (mut writer, mut blocked, mut listener) = (master.client(), master.client(), master.client());
    send(&mut blocked, &["BLPOP list 0"]);
    listener.must("PSUBSCRIBE *");
    wait::pause(Duration::from_millis(100));
    signal(&replica, "STOP");
    send(&mut writer, &["RPUSH list x"]);
    assert_silent(&mut writer);
    assert_silent(&mut blocked);
    assert_silent(&mut listener);
    signal(&replica, "CONT");
    assert_reads(&mut writer, &["1"]);
    assert_eq!(blocked.read().expect("it is served").items()[1].text(), "x");
    assert_eq!(listener.read().expect("an event").items()[3].text(), "rpush");
    // What somebody publishes nobody takes back.
    let mut other = master.client();
    other.must("PSUBSCRIBE *");
    signal(&replica, "STOP");
    assert_eq!(writer.must("PUBLISH channel hello").int(), 2);
    assert_eq!(other.read().expect("a message").items()[3].text(), "hello");
    signal(&replica, "CONT");
}

#[test]
fn a_master_that_is_demoted_acknowledges_nothing_more() {
    let (mut master, mut replica) = pair(Kind::Rivulet, &[]);
    let (mut writer, mut idle) = (master.client(), master.client());
    idle.must("PING");
    signal(&replica, "STOP");
    send(&mut writer, &["SET a 1"]);
    assert_silent(&mut writer);
    master.must("REPLICAOF 127.0.0.1 1");
    assert!(is_closed(&mut writer), "a reply would be a lie");
    assert_eq!(idle.must("GET a").text(), "1", "a replica's own clients wait for nothing");
    replica.kill();
    master.must("REPLICAOF NO ONE");
    send(&mut idle, &["SET b 1"]);
    assert_silent(&mut idle);
    master.must("CONFIG SET synchronous-replicas 0");
    assert_reads(&mut idle, &["OK"]);
    assert_eq!(idle.must("SET b 2").text(), "OK");
}

#[test]
fn durable_there_and_durable_here() {
    let args = ["--synchronous-commit", "fsynced", "--appendonly", "yes", "--appendfsync", "always"];
    let mut master = Server::start(Kind::Rivulet, &[&args[..], &["--synchronous-replicas", "1"]].concat());
    let mut replica = Server::start(Kind::Rivulet, &[]);
    replica.follow(&master);
    replica.wait_for_link();
    let mut writer = master.client();
    send(&mut writer, &["SET a 1"]);
    assert_silent(&mut writer);
    assert!(master.must("REPLICATION DOCTOR").text().contains("appendonly"));
    replica.must("CONFIG SET appendfsync always");
    replica.must("CONFIG SET appendonly yes");
    assert_reads(&mut writer, &["OK"]);
    let (_, ms) = wait::timed(|| (0..20).for_each(|i| _ = writer.must(&format!("SET key:{i} v"))));
    assert!(ms < 1500, "{ms} ms: what is durable is told at once");
    replica.kill();
    replica.launch_with(&["--appendonly", "yes"]);
    assert_eq!(replica.must("GET key:19").text(), "v");
}

#[test]
fn a_fenced_replica_and_a_stale_master_acknowledge_nothing() {
    let (mut master, mut replica) = pair(Kind::Rivulet, &[]);
    let mut other = Server::start(Kind::Rivulet, &[]);
    other.must("CONFIG SET synchronous-replicas 1");
    replica.must("CONFIG SET synchronous-replicas 1");
    let mut writer = master.client();
    writer.must("SET a 1");
    let told = fence(&mut replica, 5);
    assert_eq!(told.field("node_id").expect("it is told").text(), replica.info("node_id"));
    assert_eq!(told.field("offset").expect("it is told").int(), master.count("master_repl_offset"));
    assert_eq!(fence(&mut replica, 4).text(), "STALEEPOCH 5 is known here");
    assert_eq!(replica.call(&format!("REPLICATION FENCE 5 {}", "6".repeat(40))).text(), "STALEEPOCH 5 is known here");
    send(&mut writer, &["SET a 2"]);
    assert_silent(&mut writer);
    wait::until("it goes on to apply", || replica.must("GET a").text() == "2");
    // A restart does not lift it, and neither does the link.
    replica.kill();
    replica.launch_with(&["--replicaof", "127.0.0.1", &master.port.to_string(), "--synchronous-replicas", "1"]);
    replica.wait_for_link();
    assert_silent(&mut writer);
    // The old master learns it.
    assert!(!fence(&mut master, 5).is_error());
    assert!(is_closed(&mut writer));
    let mut late = master.client();
    assert_eq!(late.call("SET a 3").text(), "STALEMASTER This node was replaced as a master in epoch 5.");
    assert_eq!(late.must("GET a").text(), "2");
    assert_eq!(master.info("stale_master"), "1");
    master.kill();
    master.launch();
    assert!(master.call("SET a 3").text().starts_with("STALEMASTER"), "it knows that after a restart");
    // The fenced one is promoted by that leader alone: it is the master of that epoch, and so are its replicas'.
    let promote =
        |server: &mut Server, epoch: u64, by: &str| server.call(&format!("REPLICATION PROMOTE {epoch} {by}")).text();
    assert_eq!(promote(&mut replica, 4, SENTINEL), "STALEEPOCH 5 is known here", "a leader that comes late");
    for (epoch, by) in [(5, "6".repeat(40)), (6, SENTINEL.to_string())] {
        assert_eq!(promote(&mut replica, epoch, &by), "ERR this epoch was not promised to that leader");
    }
    assert!(promote(&mut replica, u64::MAX / 2, SENTINEL).starts_with("ERR epoch is out of range"));
    assert_eq!(replica.info("role"), "slave");
    // It was started again since its fence: it tells anew what it has.
    assert!(promote(&mut replica, 5, SENTINEL).starts_with("STALEFENCE"));
    assert!(!fence(&mut replica, 5).is_error());
    assert_eq!(promote(&mut replica, 5, SENTINEL), "OK");
    assert_eq!(promote(&mut replica, 5, SENTINEL), "OK", "an answer that was lost is given again");
    assert_eq!(replica.info("failover_epoch"), "5");
    let mut writer = replica.client();
    send(&mut writer, &["SET a 4"]);
    assert_silent(&mut writer);
    master.follow(&replica);
    assert_reads(&mut writer, &["OK"]);
    assert_eq!((master.info("stale_master"), master.must("GET a").text()), ("0".to_string(), "4".to_string()));
}

/// The leader has chosen by what it told when it was fenced; that may be gone with its process, or be another master's.
#[test]
fn who_was_started_again_since_its_fence_is_not_promoted() {
    let (mut master, mut replica) = pair(Kind::Rivulet, &[]);
    replica.must("CONFIG SET synchronous-replicas 1");
    master.must("SET a 1");
    let promote = |server: &mut Server, epoch: u64| server.call(&format!("REPLICATION PROMOTE {epoch} {SENTINEL}"));
    let refusal =
        |epoch| format!("STALEFENCE since its fence in epoch {epoch} this node was started again, or got other data");
    assert!(!fence(&mut replica, 5).is_error());
    replica.kill();
    replica.launch_with(&["--replicaof", "127.0.0.1", &master.port.to_string(), "--synchronous-replicas", "1"]);
    replica.wait_for_link();
    assert_eq!(promote(&mut replica, 5).text(), refusal(5));
    assert_eq!(replica.info("role"), "slave");
    // Other data are here.
    let mut other = Server::start(Kind::Rivulet, &[]);
    other.must("SET b 1");
    assert!(!fence(&mut replica, 6).is_error());
    replica.follow(&other);
    replica.wait_for_link();
    wait::until("it has the other one's data", || replica.must("GET b").text() == "1");
    assert_eq!(promote(&mut replica, 6).text(), refusal(6));
    // A stale master that was started again has no word either.
    assert!(!fence(&mut master, 6).is_error());
    master.kill();
    master.launch();
    assert_eq!(master.info("stale_master"), "1");
    assert_eq!(promote(&mut master, 6).text(), refusal(6));
    assert_eq!(master.info("stale_master"), "1");
    // Who tells anew where it stands may be promoted.
    assert!(!fence(&mut replica, 6).is_error());
    assert_eq!(promote(&mut replica, 6).text(), "OK");
    assert_eq!(replica.info("role"), "master");
}

#[test]
fn only_members_count() {
    let (mut master, mut member) = pair(Kind::Rivulet, &[]);
    // From here on it has an id: it makes its link anew to tell that, and goes on where it stood.
    member.must("CONFIG SET synchronous-replicas 1");
    let mut writer = master.client();
    writer.must("SET a 1");
    let mut stranger = Server::start(Kind::Rivulet, &["--synchronous-replicas", "1"]);
    stranger.follow(&master);
    stranger.wait_for_link();
    let (a, b, c) = (master.info("node_id"), member.info("node_id"), stranger.info("node_id"));
    writer.must("SET a 2");
    // The master may not know yet that it is the member who has all.
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 3 {a} {b}")).is_error());
    assert_eq!(master.info("members").split(',').count(), 2);
    member.wait_for_link();
    writer.must("SET a 3");
    signal(&member, "STOP");
    send(&mut writer, &["SET a 4"]);
    assert_silent(&mut writer);
    assert_eq!(master.call(&format!("REPLICATION MEMBERS 2 {a} {b}")).text(), "STALEEPOCH 3 is known here");
    assert_eq!(master.call(&format!("REPLICATION MEMBERS 3 {a} {c}")).text(), "ERR members change by one at a time");
    assert!(master.call("REPLICATION MEMBERS 3 me").text().starts_with("ERR an id must be"));
    // The one that was not a member becomes one, and counts.
    stranger.wait_for_link();
    master.must(&format!("REPLICATION MEMBERS 3 {a} {b} {c}"));
    assert_reads(&mut writer, &["OK"]);
    writer.must("SET a 5");
    // What was released is on the new one: the other may go.
    master.must(&format!("REPLICATION MEMBERS 3 {a} {c}"));
    signal(&member, "CONT");
    // Lists have numbers: what is late changes nothing.
    assert_eq!(master.info("members_list"), "3.3");
    let other = master.call(&format!("REPLICATION MEMBERS 3 LIST 3.3,open {a} {b} {c}"));
    assert_eq!(other.text(), "TRYAGAIN the list of members is 3.3 here");
    for (list, ids, held, count) in [
        ("3.2,open", vec![&a, &b, &c], "3.2,open", 3),
        ("3.3", vec![&a, &c], "3.3", 2),
        ("3.2", vec![&a, &b, &c], "3.3", 2),
    ] {
        let ids: Vec<&str> = ids.into_iter().map(String::as_str).collect();
        stranger.must(&format!("REPLICATION MEMBERS 3 LIST {list} {}", ids.join(" ")));
        assert_eq!(
            (stranger.info("members_list").as_str(), stranger.info("members").split(',').count()),
            (held, count)
        );
    }
    assert!(stranger.call(&format!("REPLICATION MEMBERS 3 LIST x {a}")).text().starts_with("ERR a list is named by"));
    let members = master.info("members");
    master.kill();
    master.launch();
    assert_eq!(master.info("members"), members, "they outlive a restart");
}

#[test]
fn a_member_that_has_what_the_others_lack_may_not_go() {
    let (mut master, mut ahead) = pair(Kind::Rivulet, &[]);
    ahead.must("CONFIG SET synchronous-replicas 1");
    let mut behind = Server::start(Kind::Rivulet, &["--synchronous-replicas", "1"]);
    behind.follow(&master);
    behind.wait_for_link();
    let (a, b, c) = (master.info("node_id"), ahead.info("node_id"), behind.info("node_id"));
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 3 {a} {b} {c}")).is_error());
    ahead.wait_for_link();
    behind.wait_for_link();
    master.must("SET a 1");
    signal(&behind, "STOP");
    master.must("SET a 2");
    let refused = master.call(&format!("REPLICATION MEMBERS 3 {a} {c}")).text();
    assert!(refused.starts_with("TRYAGAIN ") && refused.ends_with(" is not on 1 of these members yet"), "{refused}");
    signal(&behind, "CONT");
    wait::until("it has caught up", || !master.call(&format!("REPLICATION MEMBERS 3 {a} {c}")).is_error());
}

#[test]
fn damaged_promises_end_the_start() {
    let mut server = Server::start(Kind::Rivulet, &["--synchronous-replicas", "1"]);
    let id = server.info("node_id");
    server.must(&format!("REPLICATION FENCE 2 {SENTINEL}"));
    server.kill();
    server.launch();
    assert_eq!(server.info("node_id"), id, "it is the same node");
    server.kill();
    let path = server.dir.path().join(format!("failover-{}.state", server.port));
    let mut bytes = std::fs::read(&path).expect("the promises are there");
    bytes[30] ^= 1;
    std::fs::write(&path, bytes).expect("it can be written");
    server.spawn(&[]);
    wait::until("it says why", || server.log().contains("is damaged: what this node promised"));
}

/// The classic loss: a master without persistence is started again at once, empty, and its replicas follow it there.
#[test]
fn a_master_that_lost_its_data_does_not_take_them_from_its_members() {
    let (mut master, mut member) = pair(Kind::Rivulet, &[]);
    member.must("CONFIG SET synchronous-replicas 1");
    let (a, b) = (master.info("node_id"), member.info("node_id"));
    member.must(&format!("REPLICATION MEMBERS 0 {a} {b}"));
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 0 {a} {b}")).is_error());
    master.must("SET a 1");
    master.kill();
    master.launch();
    let mut writer = master.client();
    send(&mut writer, &["SET b 1"]);
    wait::until("it is refused", || member.info("master_lacks_data") == "1");
    assert_eq!(member.must("GET a").text(), "1");
    assert!(member.must("REPLICATION DOCTOR").text().contains("lacks"), "{}", member.must("REPLICATION DOCTOR").text());
    assert_silent(&mut writer);
    assert!(master.must("REPLICATION DOCTOR").text().contains("acknowledges no writes"));
    // The user may want it so: who has it gives it up, and the master is told that nothing else is to come.
    member.must("REPLICAOF NO ONE");
    member.follow(&master);
    member.wait_for_link();
    assert_silent(&mut writer);
    master.must("REPLICAOF NO ONE");
    assert_reads(&mut writer, &["OK"]);
    assert_eq!((member.must("EXISTS a").int(), member.info("master_lacks_data").as_str()), (0, "0"));
    // One that comes again with all that it had is followed as ever.
    wait::until("it is acknowledged", || master.count("synchronous_lag_bytes") == 0);
    master.must("SET c 1");
    master.shutdown("SAVE");
    master.launch();
    member.wait_for_link();
    master.must("SET d 1");
    assert_eq!(member.info("master_lacks_data"), "0");
}

/// With its directory the master has lost whose master it was, too.
#[test]
fn a_master_that_lost_its_directory_does_not_take_the_data_from_its_members() {
    let (mut master, mut member) = pair(Kind::Rivulet, &[]);
    member.must("CONFIG SET synchronous-replicas 1");
    let (a, b) = (master.info("node_id"), member.info("node_id"));
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 0 {a} {b}")).is_error());
    wait::until("they are passed on", || member.info("master_link_status") == "up");
    master.must("SET a 1");
    master.kill();
    std::fs::remove_file(master.dir.path().join(format!("failover-{}.state", master.port))).expect("it was there");
    master.launch();
    assert_ne!(master.info("node_id"), a, "it takes itself for another node");
    let mut writer = master.client();
    send(&mut writer, &["SET b 1"]);
    wait::until("it is refused", || member.info("master_lacks_data") == "1");
    assert_eq!(member.must("GET a").text(), "1");
    assert_silent(&mut writer);
    // A user may want it so.
    member.must("REPLICAOF NO ONE");
    member.follow(&master);
    assert_reads(&mut writer, &["OK"]);
    assert_eq!(member.must("EXISTS a").int(), 0);
}

/// Who was ended in order need not ask members that are gone for good; who was killed must, also when it was ended in order before that.
#[test]
fn a_master_that_was_ended_in_order_lacks_nothing() {
    let (mut master, mut member) = pair(Kind::Rivulet, &["--appendonly", "yes"]);
    member.must("CONFIG SET synchronous-replicas 1");
    let (a, b) = (master.info("node_id"), member.info("node_id"));
    let gone = "6".repeat(40);
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 0 {a} {b} {gone}")).is_error());
    member.wait_for_link();
    master.must("SET a 1");
    for round in 0..2 {
        master.shutdown("");
        master.launch();
        member.wait_for_link();
        assert_eq!(master.info("synchronous_unproven"), "0", "round {round}");
        master.must("SET b 1");
    }
    master.kill();
    master.launch();
    member.wait_for_link();
    assert_eq!(master.info("synchronous_unproven"), "1");
    let mut writer = master.client();
    send(&mut writer, &["SET c 1"]);
    assert_silent(&mut writer);
    // Nothing is missing as yet, but nobody has said so.
    master.shutdown("NOW");
    master.launch();
    assert_eq!(master.info("synchronous_unproven"), "1");
    // What was there at the end is not there any more.
    master.must("REPLICAOF NO ONE");
    master.shutdown("");
    std::fs::remove_dir_all(master.dir.path().join("appendonlydir")).expect("it is there");
    master.launch();
    assert_eq!(master.info("synchronous_unproven"), "1");
    // A backup tells of an end before it.
    master.must("REPLICAOF NO ONE");
    master.shutdown("");
    let promises = master.dir.path().join(format!("failover-{}.state", master.port));
    let backup = promises.with_extension("backup");
    std::fs::copy(&promises, &backup).expect("it can be copied");
    std::fs::rename(&backup, &promises).expect("it can be restored");
    master.launch();
    assert_eq!(master.info("synchronous_unproven"), "1");
}

/// A master and a member in the third term, with a first write; a third member is gone for good.
fn pair_of_three() -> (Server, Server) {
    let (mut master, mut member) = pair(Kind::Rivulet, &["--appendonly", "yes", "--appendfsync", "always"]);
    member.must("CONFIG SET synchronous-replicas 1");
    let (a, b, gone) = (master.info("node_id"), member.info("node_id"), "6".repeat(40));
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 3 {a} {b} {gone}")).is_error());
    member.wait_for_link();
    master.must("SET a 1");
    (master, member)
}

/// Others may have acknowledged what it has lost, and it writes something else there: what it had when it came back is what a choice goes by, in the term of that.
#[test]
fn what_an_unproven_master_writes_does_not_count() {
    let (mut master, mut member) = pair_of_three();
    member.shutdown("NOSAVE");
    master.kill();
    master.launch();
    let had = master.count("master_repl_offset");
    for round in 0..2 {
        assert_eq!(master.info("synchronous_unproven"), "1", "round {round}");
        let mut writer = master.client();
        send(&mut writer, &["SET b 1"]);
        assert_silent(&mut writer);
        assert!(master.count("master_repl_offset") > had);
        master.kill();
        master.launch();
    }
    assert_eq!(standing(&fence(&mut master, 9), &["data_epoch", "offset", "certain"]), [3, had, 0]);
}

/// The disk refuses what a replica would write down of an unproven master, and is well again only when the link has gone.
#[test]
fn what_could_not_be_written_down_is_when_the_link_is_back() {
    let (mut master, mut member) = pair_of_three();
    let promises = member.dir.path().join(format!("failover-{}.state", member.port));
    let in_the_way = promises.with_extension("state.tmp");
    std::fs::create_dir(&in_the_way).expect("a directory");
    master.kill();
    master.launch();
    wait::until("it is refused", || member.log().contains("Nothing is acknowledged, as it is not kept"));
    master.kill();
    wait::until("the link is gone", || member.info("master_link_status") == "down");
    // It is tried again each second.
    wait::pause(std::time::Duration::from_millis(1500));
    std::fs::remove_dir(&in_the_way).expect("it is empty");
    master.launch();
    member.wait_for_link();
    let has_doubts = || std::fs::read_to_string(&promises).is_ok_and(|text| text.contains("\ndoubtful "));
    wait::until("it is written down", has_doubts);
}

/// Numbers of what a node has answered to FENCE.
fn standing(told: &Reply, names: &[&str]) -> Vec<i64> {
    let of = |name: &&str| {
        let at = told.items().iter().position(|item| matches!(item, Reply::Bulk(..)) && item.text() == *name);
        told.items()[at.expect("it is told") + 1].int()
    };
    names.iter().map(of).collect()
}

#[test]
fn a_master_that_loads_says_that_it_is_unproven() {
    let (mut master, mut member) = pair(Kind::Rivulet, &["--save", "3600 1"]);
    member.must("CONFIG SET synchronous-replicas 1");
    let (a, b) = (master.info("node_id"), member.info("node_id"));
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 3 {a} {b}")).is_error());
    member.wait_for_link();
    for n in 0..100 {
        master.must(&format!("SET key:{n} 1"));
    }
    master.must("SAVE");
    master.kill();
    master.spawn(&["--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024"]);
    wait::until("it loads", || master.client_if_up().is_some());
    assert_eq!(master.info("loading"), "1");
    assert_eq!(master.info("synchronous_unproven"), "1");
}

/// It comes back with a part of what it had, and goes on with a master of before: that one's offsets say nothing of the later term.
#[test]
fn a_term_that_began_behind_what_is_left_is_forgotten() {
    let (mut master, mut replica) = pair(Kind::Rivulet, &[]);
    replica.must("CONFIG SET synchronous-replicas 1");
    let (a, b) = (master.info("node_id"), replica.info("node_id"));
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 3 {a} {b}")).is_error());
    replica.wait_for_link();
    master.must("SET a 1");
    wait::until("it has that", || replica.must("GET a").text() == "1");
    replica.must("SAVE");
    let dump = replica.dir.path().join("dump.rdb");
    let before = std::fs::read(&dump).expect("it is saved");
    master.must("SET b 1");
    assert!(!fence(&mut replica, 6).is_error());
    replica.must(&format!("REPLICATION PROMOTE 6 {SENTINEL}"));
    let began = replica.count("master_repl_offset");
    assert_eq!(standing(&fence(&mut replica, 7), &["data_epoch"]), [6]);
    replica.kill();
    std::fs::write(&dump, before).expect("it is put back");
    let mut writer = master.client();
    send(&mut writer, &["SET c 1", "SET d 1", "SET e 1"]);
    wait::until("it has gone on", || master.count("master_repl_offset") > began);
    replica.launch_with(&["--replicaof", "127.0.0.1", &master.port.to_string(), "--synchronous-replicas", "1"]);
    replica.wait_for_link();
    wait::until("it has that, too", || replica.must("GET e").text() == "1");
    assert!(replica.count("master_repl_offset") > began);
    assert_eq!(standing(&fence(&mut replica, 8), &["data_epoch", "certain"]), [3, 0]);
}

/// It has no byte of the term that began where it stands.
#[test]
fn a_term_of_which_nothing_is_here_is_forgotten_with_an_older_master() {
    let (mut master, mut replica) = pair(Kind::Rivulet, &[]);
    replica.must("CONFIG SET synchronous-replicas 1");
    let (a, b) = (master.info("node_id"), replica.info("node_id"));
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 3 {a} {b}")).is_error());
    replica.wait_for_link();
    master.must("SET a 1");
    wait::until("it has that", || replica.count("master_repl_offset") == master.count("master_repl_offset"));
    assert!(!fence(&mut replica, 6).is_error());
    replica.must(&format!("REPLICATION PROMOTE 6 {SENTINEL}"));
    let began = replica.count("master_repl_offset");
    let mut writer = master.client();
    send(&mut writer, &["SET c 1", "SET d 1"]);
    wait::until("it has gone on", || master.count("master_repl_offset") > began);
    replica.follow(&master);
    wait::until("it has that, too", || replica.must("GET d").text() == "1");
    let told = fence(&mut replica, 8);
    let epoch = standing(&told, &["data_epoch"])[0];
    assert!(epoch < 6, "what the older master sends is not of epoch {epoch}");
}

/// A master may count it from its first list on, of which it has not heard.
#[test]
fn who_followed_a_term_and_knows_no_list_is_not_certain_after_a_restart() {
    let (mut master, mut replica) = pair(Kind::Rivulet, &[]);
    replica.must("CONFIG SET synchronous-replicas 1");
    let (a, b) = (master.info("node_id"), replica.info("node_id"));
    wait::until("they are taken", || !master.call(&format!("REPLICATION MEMBERS 3 {a} {b}")).is_error());
    replica.wait_for_link();
    master.must("SET a 1");
    assert_eq!(replica.info("members"), "", "it was told of none");
    let port = master.port.to_string();
    master.kill();
    replica.kill();
    replica.launch_with(&["--replicaof", "127.0.0.1", &port, "--synchronous-replicas", "1"]);
    assert_eq!(standing(&fence(&mut replica, 8), &["certain"]), [0]);
}

/// What a client is told of keys that it caches is no reply: it is sent as it is, and only once its write is acknowledged or the time is over.
#[test]
fn a_late_reply_leaves_the_messages_around_it_alone() {
    let master = Server::start(Kind::Rivulet, &["--synchronous-replicas", "1", "--synchronous-timeout", "300"]);
    let mut client = master.client();
    client.must("HELLO 3");
    client.must("CLIENT TRACKING ON");
    client.must("GET a");
    send(&mut client, &["SET a 1", "PING"]);
    assert_silent(&mut client);
    assert_reads(&mut client, &["UNSYNCED"]);
    let push = client.read().expect("a message");
    assert_eq!(push.items()[0].text(), "invalidate");
    assert_reads(&mut client, &["PONG"]);
    client.must("GET a");
    send(&mut client, &["CLIENT REPLY OFF", "SET a 2", "CLIENT REPLY ON"]);
    let push = client.read().expect("a message");
    assert_eq!(push.items()[0].text(), "invalidate", "{push:?}");
    assert_reads(&mut client, &["OK"]);
}

#[test]
fn promises_go_with_the_port_and_the_directory() {
    let args = ["--synchronous-replicas", "1", "--enable-protected-configs", "yes"];
    let mut node = Server::start(Kind::Rivulet, &args);
    let id = node.info("node_id");
    node.must(&format!("REPLICATION FENCE 7 {SENTINEL}"));
    let first = node.dir.path().join(format!("failover-{}.state", node.port));
    let port = rivulet_tests::process::free_port();
    node.must(&format!("CONFIG SET port {port}"));
    assert!(std::fs::read_to_string(&first).expect("it is marked").starts_with("rivulet-failover-moved"));
    node.kill();
    // With the configuration of before it would be a node that knows nothing of its promises.
    node.spawn(&[]);
    wait::until("it says where they are", || node.log().contains("went to"));
    node.port = port;
    node.launch();
    assert_eq!((node.info("node_id"), node.info("failover_epoch").as_str()), (id, "7"));
    let elsewhere = node.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("it can be made");
    node.must(&format!("CONFIG SET dir {}", elsewhere.display()));
    let name = format!("failover-{port}.state");
    let is_moved = |dir: &std::path::Path| {
        std::fs::read_to_string(dir.join(&name)).expect("it is there").starts_with("rivulet-failover-moved")
    };
    assert_eq!((is_moved(node.dir.path()), is_moved(&elsewhere)), (true, false));
    node.must(&format!("REPLICATION FENCE 8 {SENTINEL}"));
    assert_eq!((is_moved(node.dir.path()), is_moved(&elsewhere)), (true, false));
    node.must(&format!("CONFIG SET dir {}", node.dir.path().display()));
    assert!(!is_moved(node.dir.path()) && !elsewhere.join(&name).exists(), "it has come back");
    // What another node has promised stays.
    std::fs::write(elsewhere.join(&name), "another's").expect("it can be written");
    assert!(node.call(&format!("CONFIG SET dir {}", elsewhere.display())).is_error());
    assert_eq!(std::fs::read_to_string(elsewhere.join(&name)).expect("it is there"), "another's");
    assert!(!is_moved(node.dir.path()));
}

/// The rest of a long reply has to wait, as it is followed by news of a write, while the socket would take more of it.
#[test]
fn who_waits_with_a_socket_that_takes_more_keeps_no_processor_busy() {
    let limits = ["--client-output-buffer-limit", "pubsub", "0", "0", "0"];
    let mut server = Server::start(Kind::Rivulet, &[&limits[..], &["--notify-keyspace-events", "KEA"]].concat());
    server.must("SETRANGE long 40000000 x");
    let mut reader = server.client();
    reader.must("HELLO 3");
    reader.must("SUBSCRIBE __keyspace@0__:key");
    reader.add("GET long");
    reader.flush().expect("it is sent");
    wait::until("a part is sent", || server.must("CLIENT LIST TYPE PUBSUB").text().contains("events=rw"));
    server.must("CONFIG SET synchronous-replicas 1");
    let mut writer = server.client();
    writer.add("SET key 1");
    writer.flush().expect("it is sent");
    wait::until("it waits", || server.info("synchronous_held_clients") == "2");
    // There is room in the socket now.
    let mut bytes = [0; 1 << 16];
    let mut left = 1 << 20;
    while left > 0 {
        left -= reader.socket().read(&mut bytes).expect("a part of it").min(left);
    }
    let before = server.busy_ns();
    wait::pause(Duration::from_millis(500));
    let busy_ns = server.busy_ns() - before;
    assert!(busy_ns < 250_000_000, "{busy_ns} ns of half a second");
}

/// Nobody has acknowledged it, and somebody may miss it all the same.
#[test]
fn a_copy_is_kept_of_what_a_rejoining_master_gives_up() {
    let (mut old, mut new) = (Server::start(Kind::Rivulet, &[]), Server::start(Kind::Rivulet, &[]));
    new.follow(&old);
    new.wait_for_link();
    let mut in_3 = old.client();
    in_3.must("SELECT 3");
    in_3.must("SET shared 1");
    wait::until("it has that", || {
        new.must("DBSIZE").int() == 0 && new.info("slave_repl_offset") == old.info("master_repl_offset")
    });
    new.must("REPLICAOF NO ONE");
    in_3.must("SET lost 1");
    in_3.must("EVAL redis.call('INCR',KEYS[1])redis.call('RPUSH',KEYS[2],'x') 2 n list");
    old.follow(&new);
    old.wait_for_link();
    assert_eq!(old.must("DBSIZE").int(), 0);
    let path = old.dir.path().join("diverged-0.aof");
    wait::until("the copy is there", || old.log().contains("3 commands are kept in "));
    let (said, is_well) = run(rivulet_tests::process::rivulet("rivulet-check-aof"), &[path.to_str().expect("a path")]);
    assert!(is_well, "{said}");
    let mut other = Server::start(Kind::Rivulet, &[]);
    let mut client = other.client();
    client
        .send_raw(
            &std::fs::read(&path)
                .expect("it can be read")
                .split_inclusive(|c| *c == b'\n')
                .skip(1)
                .collect::<Vec<_>>()
                .concat(),
        )
        .expect("it is sent");
    wait::until("it is taken", || other.info("db3").starts_with("keys=3,"));
}
