use super::*;
use crate::testing::Bench;

fn bench() -> Bench {
    Bench::new(&[COMMANDS, crate::string::COMMANDS, crate::generic::COMMANDS])
}

fn add_many(b: &mut Bench, key: &str, range: std::ops::Range<u32>) {
    for i in range {
        b.run(&format!("PFADD {key} element:{i}"));
    }
}

#[test]
fn adding_changes_and_says_so() {
    let mut b = bench();
    assert_eq!(b.run("PFADD h"), ":1\r\n", "the key was made");
    let done = b.effects();
    assert_eq!((done.dirty, done.events), (1, vec!["pfadd h".into()]));
    assert_eq!(b.run("PFADD h"), ":0\r\n");
    assert_eq!(b.effects(), Default::default());
    assert_eq!(b.run("PFADD h a b c"), ":1\r\n");
    assert_eq!((b.effects().dirty, b.effects().propagated), (3, vec!["PFADD h a b c".into()]));
    assert_eq!(b.run("PFADD h a c"), ":0\r\n");
    assert_eq!(b.effects(), Default::default());
    assert_eq!(b.run("PFDEBUG ENCODING h"), "+sparse\r\n");
    assert_eq!(b.run("OBJECT ENCODING h"), "$3\r\nraw\r\n");
}

#[test]
fn a_count_is_kept_until_something_changes() {
    let mut b = bench();
    assert_eq!(b.run("PFCOUNT none"), ":0\r\n");
    b.run("PFADD h a b c d e f g");
    assert_eq!(b.run("PFCOUNT h"), ":7\r\n");
    let done = b.effects();
    assert_eq!((done.dirty, done.propagated, done.touched), (1, vec!["PFCOUNT h".into()], vec!["h".into()]));
    assert_eq!(b.run("PFCOUNT h"), ":7\r\n");
    assert_eq!(b.effects(), Default::default());
    b.run("PFADD h zap");
    b.call.is_replica = true;
    assert_eq!(b.run("PFCOUNT h"), ":8\r\n");
    assert_eq!(b.effects(), Default::default(), "a replica leaves the value as its master has it");
    b.call.from_master = true;
    assert_eq!(b.run("PFCOUNT h"), ":8\r\n");
    assert_eq!(b.effects().dirty, 1);
}

#[test]
fn a_value_becomes_dense_when_it_is_large() {
    let mut b = bench();
    b.settings.hll_sparse_max_bytes = 100;
    let mut was_sparse = true;
    for i in 0..5000 {
        b.run(&format!("PFADD h {i}"));
        let is_sparse = b.run("PFDEBUG ENCODING h") == "+sparse\r\n";
        let len = b.run("STRLEN h");
        assert!(!is_sparse || was_sparse);
        assert!(if is_sparse { len <= ":100\r\n".into() || len.len() < 6 } else { len == ":12304\r\n" }, "{len}");
        was_sparse = is_sparse;
    }
    assert!(!was_sparse);
    assert_eq!(b.run("PFDEBUG DECODE h"), "-ERR HLL encoding is not sparse\r\n");
    let count: f64 = b.run("PFCOUNT h")[1..].trim_end().parse().expect("a number");
    assert!((count - 5000.0).abs() < 5000.0 * 0.04, "{count}");
}

#[test]
fn merging_is_the_union() {
    let mut b = bench();
    add_many(&mut b, "a", 0..60);
    add_many(&mut b, "b", 30..100);
    let both = b.run("PFCOUNT a b none");
    assert_eq!(b.effects(), Default::default(), "of several keys nothing is kept");
    assert_eq!(b.run("PFMERGE to a b none"), "+OK\r\n");
    assert_eq!(b.effects().events, ["pfadd to"]);
    assert_eq!(b.run("PFCOUNT to"), both);
    assert_eq!(b.run("PFDEBUG ENCODING to"), "+sparse\r\n");
    b.run("PFDEBUG TODENSE a");
    b.run("PFMERGE b a");
    assert_eq!(b.run("PFDEBUG ENCODING b"), "+dense\r\n");
    assert_eq!(b.run("PFCOUNT b"), both);
    assert_eq!(b.run("PFMERGE fresh"), "+OK\r\n");
    assert_eq!(b.run("PFCOUNT fresh"), ":0\r\n");
    // What one alone makes dense stays within the limit as sparse, and beyond becomes dense.
    b.settings.hll_sparse_max_bytes = 70;
    add_many(&mut b, "c", 0..15);
    add_many(&mut b, "d", 100..115);
    assert_eq!(b.run("PFDEBUG ENCODING c"), "+sparse\r\n");
    let both = b.run("PFCOUNT c d");
    b.run("PFMERGE c d");
    assert_eq!(b.run("PFDEBUG ENCODING c"), "+dense\r\n");
    assert_eq!(b.run("PFCOUNT c"), both);
}

#[test]
fn what_is_none_is_refused() {
    let mut b = Bench::new(&[COMMANDS, crate::string::COMMANDS, crate::list::COMMANDS]);
    const NOT_VALID: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n";
    const NO_STRING: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    const CORRUPT: &str = "-INVALIDOBJ Corrupted HLL object detected\r\n";
    b.run("SET text hello");
    b.run("SET number 5");
    b.run("RPUSH list a");
    b.run("PFADD damaged a b c");
    b.run("APPEND damaged x");
    b.run("PFADD short a b c");
    b.run("PFDEBUG TODENSE short");
    b.run("APPEND short x");
    for (key, add, count) in [
        ("text", NOT_VALID, NOT_VALID),
        ("number", NOT_VALID, NOT_VALID),
        ("short", NOT_VALID, NOT_VALID),
        ("list", NO_STRING, NO_STRING),
        ("damaged", ":1\r\n", CORRUPT),
    ] {
        // The register of one element is found though others are not.
        assert_eq!(b.run(&format!("PFADD {key} x")), add, "{key}");
        assert_eq!(b.run(&format!("PFCOUNT {key}")), count, "{key}");
        assert_eq!(b.run(&format!("PFCOUNT none {key}")), count, "{key}");
        assert_eq!(b.run(&format!("PFMERGE to {key}")), count, "{key}");
        assert_eq!(b.run(&format!("PFDEBUG GETREG {key}")), count, "{key}");
    }
    // Of several elements all are added, or none.
    b.run("PFADD cut a b c");
    b.run("SET cut HYLL");
    b.run_args(&[b"SETRANGE", b"cut", b"4", b"\x01\0\0\0\0\0\0\0\0\0\0\x80\x60\0"]);
    let before = b.run("GET cut");
    assert_eq!(b.run("PFADD cut a b c d e f g h i j"), CORRUPT);
    assert_eq!(b.run("GET cut"), before);
    for (line, want) in [
        ("PFDEBUG GETREG none", "-ERR The specified key does not exist\r\n"),
        ("PFADD good x", ":1\r\n"),
        ("PFDEBUG SING good", "-ERR Unknown PFDEBUG subcommand 'SING'\r\n"),
        ("PFSELFTEST", "+OK\r\n"),
    ] {
        assert_eq!(b.run(line), want, "{line}");
    }
}
