//! Fields that expire, beside Redis 8: random commands on few hashes, whose deadlines are far away or over.

use rivulet_tests::{Kind, Words};

use super::{Command, Run, SMALL, play};

/// All hashes with their fields' deadlines.
fn inspection() -> Vec<Command> {
    inspection_with(&["HGETALL", "HLEN", "OBJECT ENCODING", "PEXPIRETIME"])
}

/// The same but for their form: Valkey has a table where a field has a deadline.
fn inspection_without_form() -> Vec<Command> {
    inspection_with(&["HGETALL", "HLEN", "PEXPIRETIME"])
}

fn inspection_with(of_key: &[&str]) -> Vec<Command> {
    let fields: Vec<String> = (0..12u8).flat_map(|i| [i.to_string(), char::from(b'a' + i).to_string()]).collect();
    let fields = format!("FIELDS {} {}", fields.len(), fields.join(" "));
    let mut commands = vec!["DISCARD".to_string(), "SELECT 0".into(), "DBSIZE".into()];
    for key in (0..4).map(|i| format!("h{i}")) {
        commands.extend(of_key.iter().map(|command| format!("{command} {key}")));
        commands.push(format!("HPEXPIRETIME {key} {fields}"));
    }
    commands.iter().map(|c| c.split(' ').map(|w| w.as_bytes().to_vec()).collect()).collect()
}

fn run(test: &str, settings: &[&str], protocol: &'static str) {
    let mut words = Words::fields();
    let run = Run { test, peer: Kind::Redis8, settings, protocol, count: 50_000, inspection };
    play(&run, |rng| words.command(rng));
}

/// Where Redis and Valkey differ, Rivulet does as Redis, and `docs/differences.md` says so.
#[test]
fn fields_with_deadlines_are_those_of_valkey_9_where_it_agrees_with_redis() {
    for (peer, protocol) in [(Kind::Redis8, "2"), (Kind::Valkey9, "2"), (Kind::Valkey9, "3")] {
        let mut words = Words::agreed_fields();
        let test = format!("agreed fields, {peer:?}, RESP{protocol}");
        let run =
            Run { test: &test, peer, settings: &[], protocol, count: 50_000, inspection: inspection_without_form };
        play(&run, |rng| words.command(rng));
    }
}

#[test]
fn fields_with_deadlines_are_those_of_redis_8() {
    run("fields, RESP2", &[], "2");
}

#[test]
fn fields_with_deadlines_are_those_of_redis_8_when_hashes_are_large_early() {
    run("fields, small sizes, RESP3", SMALL, "3");
}
