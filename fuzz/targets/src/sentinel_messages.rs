//! What reaches a Sentinel: hello messages, replies of instances, commands of clients, and lines of its configuration. The first byte says which.

use rivulet_resp::inline::split_words;
use rivulet_resp::{OwnedArgs, Reply};
use rivulet_sentinel::Sentinel;
use rivulet_sentinel::answer::AnswerReader;
use rivulet_sentinel::hello::Hello;
use rivulet_sentinel::info::Info;

pub fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => hello(rest),
        1 => answers(rest),
        2 => _ = Info::parse(rest),
        3 => command(rest),
        _ => configuration(rest),
    }
}

fn sentinel() -> Sentinel {
    let mut sentinel = Sentinel::new(1000, 1000, 1);
    let lines = ["monitor m 10.0.0.1 1 2", "known-replica m 10.0.0.1 2", "known-sentinel m 10.0.0.1 3 other"];
    for line in lines {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        sentinel.configure(&words).expect("a good line");
    }
    sentinel.begin(&"f".repeat(40));
    sentinel
}

fn settle(sentinel: &mut Sentinel) {
    for now_ms in [2000, 3000, 40_000] {
        sentinel.set_time(now_ms, now_ms);
        sentinel.tick();
        sentinel.saved(Ok(()));
        sentinel.take_actions();
    }
}

fn hello(bytes: &[u8]) {
    if let Some((hello, proof)) = Hello::decode(bytes)
        && proof.is_none()
    {
        assert_eq!(Hello::decode(hello.encode(None).as_bytes()), Some((hello, None)));
    }
    let mut sentinel = sentinel();
    sentinel.hear(bytes);
    settle(&mut sentinel);
}

/// However the bytes are cut, the replies are the same.
fn answers(bytes: &[u8]) {
    let read = |pieces: [&[u8]; 2]| {
        let mut reader = AnswerReader::default();
        let mut all = Vec::new();
        for piece in pieces {
            reader.push(piece);
            loop {
                match reader.take() {
                    Ok(Some(answer)) => all.push(answer),
                    Ok(None) => break,
                    Err(_) => return (all, true),
                }
            }
        }
        (all, false)
    };
    let middle = bytes.len() / 2;
    assert_eq!(read([bytes, b""]), read([&bytes[..middle], &bytes[middle..]]));
}

fn command(bytes: &[u8]) {
    let Some(mut words) = split_words(bytes) else { return };
    words.insert(0, b"SENTINEL".to_vec());
    let mut sentinel = sentinel();
    let args = OwnedArgs::from_slices(&words);
    let mut out = Vec::new();
    // Any error is fine.
    let _ = sentinel.command(args.as_args(), &mut Reply::new(&mut out, false), false);
    settle(&mut sentinel);
}

/// What was taken is written so that it is taken again.
fn configuration(bytes: &[u8]) {
    let mut sentinel = sentinel();
    for line in bytes.split(|c| *c == b'\n') {
        let Some(words) = split_words(line).filter(|words| !words.is_empty()) else { continue };
        // Lines that mean nothing are refused.
        let _ = sentinel.configure(&words);
    }
    settle(&mut sentinel);
    let lines: Vec<Vec<Vec<u8>>> = sentinel
        .lines()
        .iter()
        .flat_map(|(_, lines)| lines)
        .map(|(line, _)| split_words(line).expect("balanced quotes").split_off(1))
        .collect();
    let mut again = Sentinel::new(1000, 1000, 1);
    let mut sorted: Vec<&Vec<Vec<u8>>> = lines.iter().collect();
    sorted.sort_by_key(|words| rivulet_sentinel::configuration::stage(&words[0]));
    for words in sorted {
        again.configure(words).expect("its own line");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let id = "d".repeat(40);
    let seed = |kind: u8, text: &str| [&[kind], text.as_bytes()].concat();
    vec![
        seed(0, &format!("10.0.0.1,26379,{id},1,m,10.0.0.1,2,1")),
        seed(1, "+PONG\r\n*3\r\n:1\r\n$1\r\n*\r\n:7\r\n$-1\r\n-ERR no\r\n"),
        seed(
            2,
            "run_id:x\r\nrole:slave\r\nmaster_host:h\r\nmaster_port:6\r\nslave0:ip=1.1.1.1,port=2,state=online\r\n",
        ),
        seed(3, &format!("IS-MASTER-DOWN-BY-ADDR 10.0.0.1 1 5 {id}")),
        seed(3, "SET m quorum 3 down-after-milliseconds 5"),
        seed(3, "SET m failover-timeout 9223372036854775807 down-after-milliseconds 9223372036854775807"),
        seed(3, "DEBUG info-period 9223372036854775807 ping-period 9223372036854775807"),
        seed(3, "MONITOR n 10.0.0.5 7 1"),
        seed(4, "auth-pass m \"a b\"\nparallel-syncs m 2\nmonitor n 1.1.1.1 5 1\nrename-command n config x\n"),
    ]
}
