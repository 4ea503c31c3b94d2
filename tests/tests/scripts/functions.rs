//! Libraries of functions: they are part of the data.

use rivulet_tests::fake_master::FakeMaster;
use rivulet_tests::process::{Kind, Server};
use rivulet_tests::wait;

const LIBRARY: &str = "#!lua name=counters
redis.register_function('add', function(keys, args) return redis.call('incrby', keys[1], args[1]) end)
redis.register_function{function_name='show', callback=function(keys) return redis.call('get', keys[1]) end, flags={'no-writes'}}";

fn libraries(server: &mut Server) -> usize {
    server.must("FUNCTION LIST").items().len()
}

#[test]
fn they_come_back_with_every_kind_of_file() {
    for args in [
        &["--appendonly", "no", "--save", "3600 1"][..],
        &["--appendonly", "yes"],
        &["--appendonly", "yes", "--aof-use-rdb-preamble", "no"],
    ] {
        let mut server = Server::start(Kind::Rivulet, args);
        server.must(&["FUNCTION", "LOAD", LIBRARY]);
        assert_eq!(server.must("FCALL add 1 n 5").int(), 5);
        server.shutdown("SAVE");
        server.launch();
        assert_eq!((libraries(&mut server), server.must("FCALL_RO show 1 n").text()), (1, "5".into()), "{args:?}");
        if args[1] == "yes" {
            server.must("BGREWRITEAOF");
            wait::until("it is rewritten", || server.info("aof_rewrites") == "1");
            server.kill();
            server.launch();
            assert_eq!(libraries(&mut server), 1, "{args:?}");
        }
    }
}

#[test]
fn they_go_with_full_syncs_and_the_stream_to_and_from_others() {
    for (above, below) in [(Kind::Rivulet, Kind::Redis7), (Kind::Redis7, Kind::Rivulet), (Kind::Rivulet, Kind::Rivulet)]
    {
        for load in ["disabled", "swapdb"] {
            let mut master = Server::start(above, &[]);
            let mut replica = Server::start(below, &["--repl-diskless-load", load]);
            replica.must(&[
                "FUNCTION",
                "LOAD",
                "#!lua name=old\nredis.register_function('old', function() return 1 end)",
            ]);
            master.must(&["FUNCTION", "LOAD", LIBRARY]);
            master.must("SET n 1");
            replica.follow(&master);
            wait::until("the full sync", || replica.call("FCALL_RO show 1 n").text() == "1");
            assert_eq!(libraries(&mut replica), 1, "what it had is gone: {above:?} {below:?} {load}");
            master.must(&[
                "FUNCTION",
                "LOAD",
                "#!lua name=more\nredis.register_function('more', function() return 1 end)",
            ]);
            master.must("FUNCTION DELETE counters");
            wait::until("the stream", || replica.call("FCALL_RO show 1 n").is_error() && libraries(&mut replica) == 1);
        }
    }
}

#[test]
fn they_are_verified() {
    let mut master = Server::start(Kind::Rivulet, &[]);
    let mut replica = Server::start(Kind::Rivulet, &["--replica-read-only", "no"]);
    replica.follow(&master);
    master.must(&["FUNCTION", "LOAD", LIBRARY]);
    wait::until("the library is there", || libraries(&mut replica) == 1);
    let said = |master: &mut Server| format!("{:?}", master.must("REPLICATION VERIFY"));
    let equal = said(&mut master);
    replica.must("FUNCTION FLUSH");
    let different = said(&mut master);
    assert!(equal.contains("\"yes\"") && different.contains("\"no\""), "{equal} {different}");
}

/// It takes longer to register its function than a client's library may.
const SLOW: &str = "#!lua name=slow
local n = 0 for i = 1, 150000000 do n = n + i end
redis.register_function('slow', function() return 1 end)";

/// A snapshot that has this library, with a checksum that says that there is none.
fn snapshot_with(code: &str) -> Vec<u8> {
    let len = [0x40 | (code.len() >> 8) as u8, code.len() as u8];
    [b"REDIS0010\xf5", len.as_slice(), code.as_bytes(), b"\xff\0\0\0\0\0\0\0\0"].concat()
}

#[test]
fn only_those_of_clients_have_to_be_quick() {
    let told = SLOW.replace("slow", "told");
    let master = FakeMaster::new();
    let port = master.port.to_string();
    let mut replica = Server::start(Kind::Rivulet, &["--appendonly", "yes"]);
    let refused = replica.call(&["FUNCTION", "LOAD", SLOW]);
    assert!(refused.is_error() && refused.text().contains("FUNCTION LOAD timeout"), "{refused:?}");
    replica.must(&["REPLICAOF", "127.0.0.1", &port]);
    let mut link = master.greet();
    link.full_sync(&"a".repeat(40), 0, &snapshot_with(SLOW));
    let knows = |server: &mut Server, count: usize| {
        let list = server.call("FUNCTION LIST");
        !list.is_error() && list.items().len() == count
    };
    wait::until("the full sync", || knows(&mut replica, 1));
    link.send_command(&["FUNCTION", "LOAD", &told]);
    wait::until("the stream", || knows(&mut replica, 2));
    wait::until("they are in the files", || {
        replica.info("aof_rewrites") != "0"
            && replica.info("aof_rewrite_in_progress") == "0"
            && replica.info("aof_buffer_length") == "0"
    });
    replica.shutdown("SAVE");
    replica.launch();
    wait::until("they are there again", || knows(&mut replica, 2));
}
