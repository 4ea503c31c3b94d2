//! Fields that expire, beside Redis 8: random commands on few hashes, whose deadlines are far away or over.

use rivulet_tests::{Kind, Words};

use super::{Command, Run, SMALL, play};

/// All hashes with their fields' deadlines.
fn inspection() -> Vec<Command> {
    let fields: Vec<String> = (0..12u8).flat_map(|i| [i.to_string(), char::from(b'a' + i).to_string()]).collect();
    let fields = format!("FIELDS {} {}", fields.len(), fields.join(" "));
    let mut commands = vec!["DISCARD".to_string(), "SELECT 0".into(), "DBSIZE".into()];
    for key in (0..4).map(|i| format!("h{i}")) {
        let of_key = ["HGETALL", "HLEN", "OBJECT ENCODING", "PEXPIRETIME"].map(|command| format!("{command} {key}"));
        commands.extend(of_key);
        commands.push(format!("HPEXPIRETIME {key} {fields}"));
    }
    commands.iter().map(|c| c.split(' ').map(|w| w.as_bytes().to_vec()).collect()).collect()
}

fn run(test: &str, settings: &[&str], protocol: &'static str) {
    let mut words = Words::fields();
    let run = Run { test, peer: Kind::Redis8, settings, protocol, count: 50_000, inspection };
    play(&run, |rng| words.command(rng));
}

#[test]
fn fields_with_deadlines_are_those_of_redis_8() {
    run("fields, RESP2", &[], "2");
}

#[test]
fn fields_with_deadlines_are_those_of_redis_8_when_hashes_are_large_early() {
    run("fields, small sizes, RESP3", SMALL, "3");
}
