use super::*;
use crate::testing::Bench;

fn bench() -> Bench {
    let mut b = Bench::new(&[COMMANDS, crate::zset::COMMANDS, crate::generic::COMMANDS, crate::string::COMMANDS]);
    b.run("GEOADD sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
    b
}

/// The reply without its lengths.
fn words(reply: &str) -> Vec<&str> {
    reply.split("\r\n").filter(|word| !word.is_empty() && !word.starts_with(['*', '$'])).collect()
}

#[test]
fn adding_is_adding_to_a_sorted_set() {
    let mut b = bench();
    let done = b.effects();
    assert_eq!(done.dirty, 2);
    assert_eq!(done.propagated, ["zadd sicily 3479099956230698 Palermo 3479447370796909 Catania"]);
    assert_eq!(done.events, ["zadd sicily"]);
    assert_eq!(b.run("GEOADD sicily NX CH 1 1 Palermo"), ":0\r\n");
    assert_eq!(b.effects(), Default::default());
    assert_eq!(b.run("GEOADD sicily XX CH 1 1 Palermo 2 2 Nowhere"), ":1\r\n");
    assert_eq!(b.effects().propagated, ["zadd sicily XX CH 3377822707026402 Palermo 3378191666521995 Nowhere"]);
    for (line, want) in [
        ("GEOADD k NX XX 1 1 a", "-ERR syntax error\r\n"),
        ("GEOADD k 1 1 a 2", "-ERR syntax error\r\n"),
        ("GEOADD k ch ch ch", "-ERR syntax error\r\n"),
        ("GEOADD k x 1 a", "-ERR value is not a valid float\r\n"),
        ("GEOADD k 181 1 a", "-ERR invalid longitude,latitude pair 181.000000,1.000000\r\n"),
        ("GEOADD k 1 -85.06 a", "-ERR invalid longitude,latitude pair 1.000000,-85.060000\r\n"),
        ("GEOADD k 180 85.05112878 a", ":1\r\n"),
    ] {
        assert_eq!(b.run(line), want, "{line}");
    }
}

#[test]
fn places_and_distances() {
    let mut b = bench();
    for (line, want) in [
        ("GEODIST sicily Palermo Catania", "$11\r\n166274.1516\r\n"),
        ("GEODIST sicily Palermo Catania km", "$8\r\n166.2742\r\n"),
        ("GEODIST sicily Palermo Palermo FT", "$6\r\n0.0000\r\n"),
        ("GEODIST sicily Palermo none", "$-1\r\n"),
        ("GEODIST none Palermo Catania", "$-1\r\n"),
        ("GEODIST sicily Palermo Catania yd", "-ERR unsupported unit provided. please use M, KM, FT, MI\r\n"),
        ("GEODIST sicily Palermo Catania m m", "-ERR syntax error\r\n"),
        ("GEOHASH sicily Palermo none", "*2\r\n$11\r\nsqc8b49rny0\r\n$-1\r\n"),
        ("GEOPOS none a", "*1\r\n*-1\r\n"),
        (
            "GEOPOS sicily Catania none",
            "*2\r\n*2\r\n$20\r\n15.08726745843887329\r\n$20\r\n37.50266842333162032\r\n*-1\r\n",
        ),
    ] {
        assert_eq!(b.run(line), want, "{line}");
    }
    b.resp3 = true;
    assert_eq!(b.run("GEOPOS sicily Catania"), "*1\r\n*2\r\n,15.08726745843887329\r\n,37.50266842333162032\r\n");
}

#[test]
fn searching_around_a_place() {
    let mut b = bench();
    b.run("GEOADD sicily 12.758489 38.788135 edge1 17.241510 38.788135 edge2");
    for (line, want) in [
        ("GEORADIUS sicily 15 37 200 km", &["Palermo", "Catania"][..]),
        ("GEORADIUS sicily 15 37 200 km ASC WITHDIST", &["Catania", "56.4413", "Palermo", "190.4424"]),
        ("GEORADIUSBYMEMBER_RO sicily Palermo 0 m", &["Palermo"]),
        ("GEOSEARCH sicily FROMLONLAT 15 37 BYBOX 400 400 km ASC", &["Catania", "Palermo", "edge2", "edge1"]),
        ("GEOSEARCH sicily FROMLONLAT 15 37 BYBOX 400 400 km COUNT 2 DESC", &["edge1", "edge2"]),
        ("GEOSEARCH sicily FROMMEMBER Catania BYRADIUS 1 km WITHHASH", &["Catania", ":3479447370796909"]),
        ("GEOSEARCH none FROMMEMBER Catania BYRADIUS 1 km", &[]),
        ("GEORADIUSBYMEMBER none x 1 km COUNT 1 ANY", &[]),
    ] {
        assert_eq!(words(&b.run(line)), want, "{line}");
    }
    assert_eq!(words(&b.run("GEOSEARCH sicily FROMLONLAT 15 37 BYRADIUS 5000 km COUNT 3 ANY")).len(), 3);
}

#[test]
fn storing_what_was_found() {
    let mut b = bench();
    assert_eq!(b.run("GEORADIUS sicily 15 37 200 km STORE to"), ":2\r\n");
    let done = b.effects();
    assert_eq!((done.dirty, done.events), (2, vec!["georadiusstore to".into()]));
    assert_eq!(b.run("ZSCORE to Palermo"), "$16\r\n3479099956230698\r\n");
    assert_eq!(b.run("GEOSEARCHSTORE to sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC COUNT 1 STOREDIST"), ":1\r\n");
    assert!(b.run("ZRANGE to 0 -1 WITHSCORES").contains("56.441257"));
    assert_eq!(b.run("GEOSEARCHSTORE to none FROMLONLAT 15 37 BYRADIUS 200 km"), ":0\r\n");
    assert_eq!(b.effects().events, ["del to"]);
    assert_eq!(b.run("GEORADIUSBYMEMBER none x 5 km STORE to"), ":0\r\n");
    assert_eq!(b.effects().dirty, 0);
}

#[test]
fn refusals() {
    let mut b = bench();
    b.run("SET text a");
    for (line, want) in [
        ("GEORADIUS text 1 1 1 km", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("GEORADIUS sicily 1 1 x km", "-ERR need numeric radius\r\n"),
        ("GEORADIUS sicily 1 1 -1 km", "-ERR radius cannot be negative\r\n"),
        ("GEORADIUS sicily 1 1 1 km COUNT 0", "-ERR COUNT must be > 0\r\n"),
        ("GEORADIUS sicily 1 1 1 km ANY", "-ERR the ANY argument requires COUNT argument\r\n"),
        ("GEORADIUS_RO sicily 1 1 1 km STORE to", "-ERR syntax error\r\n"),
        ("GEORADIUS sicily 1 1 1 km FROMLONLAT 1 1", "-ERR syntax error\r\n"),
        (
            "GEORADIUS sicily 1 1 1 km STORE to WITHDIST",
            "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options\r\n",
        ),
        ("GEORADIUSBYMEMBER sicily none 1 km", "-ERR could not decode requested zset member\r\n"),
        ("GEOSEARCH sicily FROMMEMBER none BYRADIUS 1 km", "-ERR could not decode requested zset member\r\n"),
        ("GEOSEARCH sicily FROMLONLAT 1 1 FROMMEMBER Palermo BYRADIUS 1 km", "-ERR syntax error\r\n"),
        ("GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS 1 km BYBOX 1 1 km", "-ERR syntax error\r\n"),
        ("GEOSEARCH sicily FROMLONLAT 1 1 BYBOX 1 x km", "-ERR need numeric height\r\n"),
        ("GEOSEARCH sicily FROMLONLAT 1 1 BYBOX 1 -1 km", "-ERR height or width cannot be negative\r\n"),
        ("GEOSEARCH sicily FROMLONLAT 1 1 BYRADIUS 1 km STOREDIST", "-ERR syntax error\r\n"),
        (
            "geoSearch sicily BYRADIUS 1 km ASC ASC ASC",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geoSearch\r\n",
        ),
        (
            "GEOSEARCH sicily FROMLONLAT 1 1 ASC ASC ASC",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH\r\n",
        ),
        (
            "GEOSEARCHSTORE to sicily FROMLONLAT 1 1 BYRADIUS 1 km WITHDIST",
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options\r\n",
        ),
    ] {
        assert_eq!(b.run(line), want, "{line}");
    }
}
