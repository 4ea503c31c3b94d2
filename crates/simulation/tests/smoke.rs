use rivulet_simulation::client::Client;
use rivulet_simulation::schedule::Schedule;

fn args(more: &[&str]) -> Vec<String> {
    ["--dir", "/data", "--save", "", "--enable-debug-command", "yes", "--protected-mode", "no", "--bind", "0.0.0.0"]
        .iter()
        .chain(more)
        .map(|s| s.to_string())
        .collect()
}

fn ask(s: &mut Schedule, c: &mut Client, words: &[&str]) -> String {
    c.ask(words, &s.shared);
    let end = s.now_us() + 20_000_000;
    loop {
        let replies = c.poll(&s.shared).expect("connected");
        if let Some(r) = replies.first() {
            return r.text();
        }
        let next = s.now_us() + 1000;
        assert!(s.now_us() < end, "no reply to {words:?}");
        while !s.advance(next) {}
    }
}

fn run(seed: u64) -> (u64, u64) {
    let mut s = Schedule::new(seed, 2, true);
    s.start(0, &args(&["--appendonly", "yes"]));
    s.start(1, &args(&["--replicaof", "10.0.0.1", "6379"]));
    let (mut a, mut b) = (Client::new(2, 0), Client::new(2, 1));
    let t = s.now_us() + 2_000_000;
    while !s.advance(t) {}
    for i in 0..50 {
        assert_eq!(ask(&mut s, &mut a, &["SET", &format!("k{i}"), "v"]), "OK");
    }
    let t = s.now_us() + 3_000_000;
    while !s.advance(t) {}
    let (x, y) = (ask(&mut s, &mut a, &["DEBUG", "DIGEST"]), ask(&mut s, &mut b, &["DEBUG", "DIGEST"]));
    println!("{x} {y} steps {}", s.steps_taken);
    assert_eq!(x, y);
    (s.shared.trace(), s.steps_taken)
}

#[test]
fn two_nodes() {
    let a = run(1);
    assert_eq!(a, run(1));
}
