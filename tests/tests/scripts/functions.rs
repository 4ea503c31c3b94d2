//! Libraries of functions: they are part of the data.

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
