//! Random scripts for Redis 7.0 and for Rivulet: what they return, what they leave, and what replicas make of their effects.

use rivulet_tests::Words;
use rivulet_tests::lua::Scripts;

use super::compare;

/// Not what ends a script for both in its own way, and not what depends on when or where it is executed.
fn fits(command: &[Vec<u8>]) -> bool {
    const OTHER: &[&str] =
        &["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "OBJECT", "MEMORY", "TIME", "DEBUG", "SORT", "SORT_RO"];
    /// What scripts may not do before Redis 7.2, and what answers doubles, which have fewer digits since then.
    const CHANGED: &[&str] = &[
        "BLPOP",
        "BRPOP",
        "BLMOVE",
        "BRPOPLPUSH",
        "BZPOPMIN",
        "BZPOPMAX",
        "BZMPOP",
        "WAIT",
        "ZINCRBY",
        "ZMPOP",
        "ZMSCORE",
        "ZPOPMAX",
        "ZPOPMIN",
        "ZSCAN",
        "ZSCORE",
    ];
    let name = String::from_utf8_lossy(&command[0]).to_ascii_uppercase();
    let answers_doubles =
        command.iter().any(|word| word.eq_ignore_ascii_case(b"withscores") || word.eq_ignore_ascii_case(b"incr"));
    let is_other = OTHER.contains(&name.as_str()) || CHANGED.contains(&name.as_str());
    compare::is_exact(command) && !is_other && !answers_doubles
}

#[test]
fn random_scripts_return_the_same() {
    let mut scripts = Scripts::new(Words::new(false), fits);
    super::compare_all("scripts, RESP2", &[], "2", 10_000, |rng| scripts.command(rng));
}

#[test]
fn random_scripts_return_the_same_in_resp3() {
    let mut scripts = Scripts::new(Words::new(false), fits);
    super::compare_all("scripts, RESP3", super::SMALL, "3", 10_000, |rng| scripts.command(rng));
}
