//! Streams with groups, between every pair: in a full sync, in the stream behind it, and after a restart.

use rivulet_tests::client::Reply;
use rivulet_tests::random::Rng;
use rivulet_tests::{Kind, Server, random, wait};

use crate::peers;

const KEYS: [&str; 3] = ["e0", "e1", "e2"];

/// Adds, deletes, trims, reads, claims and acknowledges at random.
fn change(server: &mut Server, rng: &mut Rng, count: usize) {
    let commands: Vec<Vec<Vec<u8>>> = (0..count).map(|_| command(rng)).collect();
    server.main().pipeline(&commands);
}

fn command(rng: &mut Rng) -> Vec<Vec<u8>> {
    let key = KEYS[rng.usize(..KEYS.len())];
    let (group, consumer, count) = (rng.u8(..2), rng.u8(..3), rng.u8(1..9));
    let line = match rng.u8(..24) {
        0..9 => format!("XADD {key} * a {count} b text{}", rng.u32(..)),
        9 => format!("XADD {key} MAXLEN ~ 300 * other {count}"),
        10 => format!("XTRIM {key} MAXLEN = {}", 100 + u32::from(count)),
        11 => format!("XGROUP CREATE {key} g{group} 0 MKSTREAM"),
        12..16 => format!("XREADGROUP GROUP g{group} c{consumer} COUNT {count} STREAMS {key} >"),
        16 => format!("XREADGROUP GROUP g{group} c{consumer} NOACK COUNT 1 STREAMS {key} >"),
        17 => format!("XAUTOCLAIM {key} g{group} c{consumer} 0 - COUNT {count}"),
        18 => format!("XGROUP SETID {key} g{group} $"),
        19 => format!("XGROUP DELCONSUMER {key} g{group} c{consumer}"),
        20 => format!("COPY {key} {} REPLACE", KEYS[rng.usize(..KEYS.len())]),
        21 if rng.u8(..8) == 0 => format!("DEL {key}"),
        _ => format!("XDEL {key} {}-0", wait::unix_ms() - u64::from(count)),
    };
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// What a server has, but for what differs between makes by design: when consumers were seen, and consumers that got nothing. Redis 7.0 does not tell
/// how many entries a group has read: `counts` leaves that out.
fn picture(server: &mut Server, counts: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for key in KEYS {
        lines.push(format!("{key} {:?}", server.must(&format!("XRANGE {key} - +"))));
        let Reply::Many(_, groups) = server.call(&format!("XINFO GROUPS {key}")) else { continue };
        for group in &groups {
            let fields = group.items();
            let name = fields[1].text();
            let read = if counts { format!("{:?} lag {:?}", fields[9], fields[11]) } else { String::new() };
            lines.push(format!("{key} {name} last {:?} read {read}", fields[7]));
            for pending in server.must(&format!("XPENDING {key} {name} - + 100000")).items() {
                let parts = pending.items();
                lines.push(format!("{key} {name} {:?} {:?} {:?}", parts[0], parts[1], parts[3]));
            }
        }
    }
    lines
}

fn assert_same(master: &mut Server, replica: &mut Server) {
    let offset = master.count("master_repl_offset");
    wait::until("the replica has all", || replica.count("slave_repl_offset") >= offset);
    let counts = master.kind != Kind::Redis7;
    let (ours, theirs) = (picture(master, counts), picture(replica, counts));
    for (a, b) in ours.iter().zip(&theirs) {
        assert_eq!(a, b, "{:?} to {:?}", master.kind, replica.kind);
    }
    assert_eq!(ours.len(), theirs.len());
    assert_eq!(master.must("DEBUG DIGEST"), replica.must("DEBUG DIGEST"));
}

fn pair(master: Kind, replica: Kind) {
    let mut rng = Rng::with_seed(random::seed(&format!("streams, {master:?} to {replica:?}")));
    let (mut master, mut replica) = (Server::start(master, &[]), Server::start(replica, &[]));
    master.must("CONFIG SET stream-node-max-entries 7");
    change(&mut master, &mut rng, 3000);
    replica.follow(&master);
    assert_same(&mut master, &mut replica);
    change(&mut master, &mut rng, 5000);
    assert_same(&mut master, &mut replica);
}

#[test]
fn others_follow_us() {
    peers().for_each(|kind| pair(Kind::Rivulet, kind));
}

#[test]
fn we_follow_others() {
    peers().for_each(|kind| pair(kind, Kind::Rivulet));
}

#[test]
fn ours_are_proven_equal_and_come_back() {
    let mut rng = Rng::with_seed(random::seed("streams of ours"));
    for preamble in ["yes", "no"] {
        let settings = ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
        let (mut master, mut replica) = (Server::start(Kind::Rivulet, &settings), Server::start(Kind::Rivulet, &[]));
        replica.follow(&master);
        change(&mut master, &mut rng, 3000);
        assert_same(&mut master, &mut replica);
        master.must("BGREWRITEAOF");
        wait::until("the rewrite ends", || master.count("aof_rewrite_in_progress") == 0);
        change(&mut master, &mut rng, 1000);
        let before = picture(&mut master, true);
        master.must("DEBUG RELOAD");
        assert_eq!(picture(&mut master, true), before);
        master.shutdown("NOSAVE");
        master.launch();
        assert_eq!(picture(&mut master, true), before, "preamble {preamble}");
    }
}

/// What is pending of entries that were deleted is pending of nothing, and yet no rewrite forgets it.
#[test]
fn what_is_pending_of_deleted_entries_outlives_rewrites() {
    for preamble in ["yes", "no"] {
        let settings = ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
        let mut server = Server::start(Kind::Rivulet, &settings);
        for id in 1..=3 {
            server.must(&format!("XADD e0 {id}-0 name text"));
        }
        server.must("XGROUP CREATE e0 g 0");
        server.must("XREADGROUP GROUP g c STREAMS e0 >");
        server.must("XDEL e0 2-0");
        server.must("EXPIRE e0 100000");
        let before = (picture(&mut server, true), server.must("DEBUG DIGEST"));
        server.must("BGREWRITEAOF");
        let manifest = server.dir.path().join("appendonlydir/appendonly.aof.manifest");
        wait::until("the rewrite ends", || {
            std::fs::read_to_string(&manifest).is_ok_and(|text| text.contains(".2.base."))
        });
        server.shutdown("NOSAVE");
        server.launch();
        assert_eq!((picture(&mut server, true), server.must("DEBUG DIGEST")), before, "preamble {preamble}");
        assert_eq!(server.must("XPENDING e0 g").items()[0].int(), 3, "preamble {preamble}");
    }
}
