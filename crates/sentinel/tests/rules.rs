//! The rules beyond Redis's, a test for each: with the rule switched off, or without what it stands on, the outcome is another one. Those about who is
//! chosen are rows of a table in `choice.rs`; those of elections and of total restarts are in `simulation.rs` and `election.rs`.

#[path = "rules/elections.rs"]
mod elections;
#[path = "rules/fencing.rs"]
mod fencing;
#[path = "rules/forgotten.rs"]
mod forgotten;
#[path = "rules/members.rs"]
mod members;
#[path = "rules/names.rs"]
mod names;
#[path = "rules/planned.rs"]
mod planned;
#[path = "rules/promotion.rs"]
mod promotion;
#[path = "rules/reappointment.rs"]
mod reappointment;
#[path = "rules/strangers.rs"]
mod strangers;
#[path = "rules/views.rs"]
mod views;

use std::collections::BTreeMap;
use std::net::IpAddr;

use rivulet_resp::{OwnedArgs, Reply};
use rivulet_sentinel::address::Address;
use rivulet_sentinel::link::{At, ConnId};
use rivulet_sentinel::{Action, Done, Sentinel};

const RUN: [&str; 2] = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"];

/// A Sentinel of the master `m` at port 1, whose connections a test answers by hand.
struct Bench {
    core: Sentinel,
    now_ms: u64,
    /// Connections that stand, by port; the first of each port is the one for commands.
    connections: Vec<(u16, ConnId)>,
    sent: Vec<(u16, String)>,
    logged: Vec<String>,
    /// What the server at a port tells whenever it is asked for INFO; such ones refuse transactions.
    answers: Vec<(u16, String)>,
    /// Replicas that tell more each time when they are asked for INFO.
    streams: BTreeMap<u16, Stream>,
    /// Ports at which nobody answers any more.
    silent: Vec<u16>,
    /// What the server at a port answers to FENCE, or the Sentinel there when it is asked for its vote.
    fences: BTreeMap<u16, String>,
    /// What those of `answers` answer to EXEC.
    exec: &'static str,
    /// What anybody answers who is to let its writers wait.
    pause: &'static str,
}

/// What a replica has executed, what it has received, and how much it executes between two INFOs.
#[derive(Clone, Copy)]
struct Stream {
    offset: u64,
    read_offset: u64,
    step: u64,
    /// As the replica says it.
    link: &'static str,
}

impl Bench {
    fn new(options: &[&str]) -> Bench {
        let mut core = Sentinel::new(1_000_000, 0, 7);
        let lines = ["monitor m 10.0.0.1 1 2", "down-after-milliseconds m 1000", "known-replica m 10.0.0.1 2"];
        for line in lines.iter().chain(options) {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            core.configure(&words).expect("a good line");
        }
        core.begin(&"f".repeat(40));
        // INFO is asked for at each tick.
        core.periods.info_ms = 20;
        let mut bench = Bench {
            core,
            now_ms: 1_000_000,
            connections: vec![],
            sent: vec![],
            logged: vec![],
            answers: vec![],
            streams: BTreeMap::new(),
            silent: vec![],
            fences: BTreeMap::new(),
            exec: "-EXECABORT it is not allowed\r\n",
            pause: "+OK\r\n",
        };
        bench.run_ms(1);
        bench
    }

    fn run_ms(&mut self, ms: u64) {
        let mut ticks_in_a_row = 0;
        for _ in 0..ms {
            self.now_ms += 1;
            self.core.set_time(self.now_ms, self.now_ms);
            ticks_in_a_row += 1;
            if self.core.wake_ms() <= self.now_ms {
                self.core.tick();
            } else {
                ticks_in_a_row = 0;
            }
            assert!(ticks_in_a_row < 20, "it does not sleep any more: {:?}", self.logged);
            self.end_turn();
        }
    }

    /// Names that are to be looked up are logged, too.
    fn end_turn(&mut self) {
        let actions = self.core.take_actions();
        if self.core.is_unsaved() {
            self.core.saved(Ok(()));
        }
        for action in actions {
            match action {
                Action::Connect { connection, port, .. } => {
                    self.connections.push((port, connection));
                    self.core.opened(connection, Some(IpAddr::from([10, 0, 0, 9])));
                }
                Action::Close { connection } => self.connections.retain(|(_, id)| *id != connection),
                Action::Send { connection, bytes, .. } => self.reply(connection, &bytes),
                Action::Log { text, .. } => self.logged.push(text),
                Action::Resolve { host } => self.logged.push(format!("resolve {host}")),
                _ => {}
            }
        }
    }

    /// Pings are answered, INFO by [`Bench::tell`], the rest with OK.
    fn reply(&mut self, connection: ConnId, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let Some((port, _)) = self.connections.iter().find(|(_, id)| *id == connection).copied() else { return };
        if self.silent.contains(&port) {
            return;
        }
        if let Some(stream) = self.streams.get_mut(&port).filter(|_| text.contains("INFO")) {
            let info = stream_info(port, *stream);
            stream.offset = stream.read_offset.min(stream.offset + stream.step);
            self.core.received(connection, format!("${}\r\n{info}\r\n", info.len()).as_bytes());
            return;
        }
        let told = self.answers.iter().find(|(own, _)| *own == port).map(|(_, info)| info);
        if text.contains("INFO") {
            match told {
                Some(error) if error.starts_with('-') => {
                    self.core.received(connection, error.to_string().as_bytes());
                    self.sent.push((port, text));
                }
                Some(info) => self.core.received(connection, format!("${}\r\n{info}\r\n", info.len()).as_bytes()),
                None => {}
            }
            return;
        }
        let fence = self.fences.get(&port).filter(|_| text.contains("FENCE") || text.contains("is-master-down"));
        let answer = match told {
            _ if text.contains("PING") => "+PONG\r\n",
            Some(_) if text.contains("EXEC") => self.exec,
            _ if text.contains("\r\nPAUSE\r\n") => self.pause,
            _ => fence.map_or("+OK\r\n", String::as_str),
        };
        // A fence is answered with its own epoch.
        let epoch = text.split("\r\n").skip_while(|word| *word != "FENCE").nth(2);
        let answer = answer.replace("@epoch", epoch.unwrap_or_default());
        self.sent.push((port, text));
        self.core.received(connection, answer.as_bytes());
    }

    /// The server at a port tells its state.
    fn tell(&mut self, port: u16, info: &str) {
        let id = self.connections.iter().find(|(own, _)| *own == port).expect("it is connected").1;
        self.core.received(id, format!("${}\r\n{info}\r\n", info.len()).as_bytes());
        self.end_turn();
    }

    /// The server at a port was away, and is there again.
    fn come_back(&mut self, port: u16) {
        self.silent.retain(|silent| *silent != port);
        let gone: Vec<_> = self.connections.extract_if(.., |(own, _)| *own == port).collect();
        gone.into_iter().for_each(|(_, id)| self.core.closed(id));
    }

    fn hello(&mut self, message: &str) {
        self.core.hear(message.as_bytes());
        self.end_turn();
    }

    fn call(&mut self, words: &[&str]) -> (Result<Done, String>, String) {
        let mut out = Vec::new();
        let args = OwnedArgs::from_slices(words);
        let done = self.core.command(args.as_args(), &mut Reply::new(&mut out, false), false);
        self.end_turn();
        (done, String::from_utf8_lossy(&out).into_owned())
    }

    /// How often something with this in it was sent to a port.
    fn count_sent(&self, port: u16, what: &str) -> usize {
        self.sent.iter().filter(|(to, text)| *to == port && text.contains(what)).count()
    }

    fn has_logged(&self, text: &str) -> bool {
        self.logged.iter().any(|line| line.contains(text))
    }

    fn master_port(&self) -> u16 {
        self.core.masters["m"].instance.address.port
    }
}

fn master_info(run: &str, replid: &str, offset: u64, keys: &str) -> String {
    format!(
        "run_id:{run}\r\nrole:master\r\nmaster_replid:{replid}\r\nmaster_repl_offset:{offset}\r\nsecond_repl_offset:-1\r\n# Keyspace\r\n{keys}"
    )
}

fn replica_info(replid: &str, offset: u64) -> String {
    format!(
        "run_id:{}\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:1\r\nmaster_link_status:up\r\nslave_repl_offset:{offset}\r\nmaster_replid:{replid}\r\nsecond_repl_offset:-1\r\n",
        "c".repeat(40)
    )
}

fn stream_info(port: u16, stream: Stream) -> String {
    let own = format!("run_id:{port:040}");
    let received = format!("slave_read_repl_offset:{}\r\n", stream.read_offset);
    let info = replica_info("old", stream.offset).replace(&format!("run_id:{}", "c".repeat(40)), &own) + &received;
    info.replace("master_link_status:up", &format!("master_link_status:{}", stream.link))
}

/// redis#1297, valkey#579: not resumed, not even within down-after.
#[test]
fn an_empty_reborn_master_is_not_taken_back() {
    let rows = [
        ("empty", "", vec![], true),
        ("with data of its own", "db0:keys=5\r\n", vec![], false),
        ("empty, but the rule is off", "", vec!["strict-failover m no"], false),
    ];
    for (name, keys, options, expected) in rows {
        let mut bench = Bench::new(&options);
        bench.tell(1, &master_info(RUN[0], "old", 500, "db0:keys=5\r\n"));
        bench.tell(2, &replica_info("old", 500));
        bench.run_ms(150);
        bench.tell(1, &master_info(RUN[1], "new", 0, keys));
        bench.run_ms(5);
        assert_eq!(bench.core.masters["m"].is_down(), expected, "{name}");
        assert_eq!(bench.has_logged("+sdown master"), expected, "{name}");
    }
}

#[test]
fn a_master_that_was_empty_before_may_come_back_empty() {
    let mut bench = Bench::new(&[]);
    bench.tell(1, &master_info(RUN[0], "old", 500, ""));
    bench.tell(2, &replica_info("old", 500));
    bench.run_ms(150);
    bench.tell(1, &master_info(RUN[1], "new", 0, ""));
    bench.run_ms(5);
    assert!(!bench.core.masters["m"].is_down());
}

/// redis#14970.
#[test]
fn messages_of_strangers_change_nothing() {
    let forged = format!("10.0.0.1,99,{},900,m,10.0.0.1,2,900", "d".repeat(40));
    let mut open = Bench::new(&[]);
    open.hello(&forged);
    assert_eq!((open.core.current_epoch, open.master_port()), (900, 2), "without a secret anybody is believed");
    let mut closed = Bench::new(&["hello-secret m s"]);
    closed.hello(&forged);
    closed.hello(&format!("{forged},{}", "0".repeat(64)));
    assert_eq!((closed.core.current_epoch, closed.master_port()), (0, 1));
    assert!(closed.core.masters["m"].peers.is_empty());
    let proof = rivulet_sentinel::hello::proof(b"s", forged.as_bytes());
    closed.hello(&format!("{forged},{proof}"));
    assert_eq!((closed.core.current_epoch, closed.master_port()), (900, 2));
}

#[test]
fn a_stranger_gets_no_vote_and_raises_no_term() {
    let id = "d".repeat(40);
    let ask = |bench: &mut Bench| bench.call(&["SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "10.0.0.1", "1", "50", &id]).1;
    let mut strict = Bench::new(&[]);
    assert_eq!(ask(&mut strict), "*3\r\n:0\r\n$1\r\n*\r\n:0\r\n");
    assert_eq!(strict.core.current_epoch, 0);
    let mut lax = Bench::new(&["strict-failover m no"]);
    assert!(ask(&mut lax).contains(&id));
    let mut known = Bench::new(&[&format!("known-sentinel m 10.0.0.1 99 {id}")]);
    assert!(ask(&mut known).contains(&id));
    assert_eq!(known.core.current_epoch, 50);
    // One vote a term, whoever asks next; and nobody is promised what is not on the disk.
    let other = known.call(&["SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "10.0.0.1", "1", "50", &"f".repeat(40)]);
    assert_eq!(other.0, Ok(Done::Promised));
    assert!(other.1.contains(&id));
}

/// redis#14422: two views of one term are settled by what the instances say.
#[test]
fn observers_end_with_the_same_view() {
    let id = "d".repeat(40);
    let rows = [
        ("ours is a replica, theirs a master", Some("slave"), vec![], 2),
        ("ours is a master", None, vec![], 1),
        ("as Redis does", Some("slave"), vec!["strict-failover m no"], 1),
    ];
    for (name, role, options, expected) in rows {
        let mut bench = Bench::new(&options);
        let info = master_info(RUN[0], "x", 5, "db0:keys=1\r\n");
        bench.tell(1, &role.map_or(info.clone(), |_| replica_info("x", 5)));
        bench.tell(2, &master_info(RUN[1], "x", 5, "db0:keys=1\r\n"));
        bench.hello(&format!("10.0.0.1,99,{id},0,m,10.0.0.1,2,0"));
        assert_eq!(bench.master_port(), expected, "{name}");
    }
}

/// redis#4123, #6194: the same server at another address is one member, and who is gone is forgotten.
#[test]
fn members_are_identities_and_the_dead_are_forgotten() {
    let mut bench = Bench::new(&["known-replica m 10.0.0.1 3", "forget-after m 60000"]);
    bench.tell(2, &replica_info("x", 5));
    bench.run_ms(10);
    let gone: Vec<ConnId> = bench.connections.iter().filter(|(port, _)| *port == 2).map(|(_, id)| *id).collect();
    bench.connections.retain(|(port, _)| *port != 2);
    gone.into_iter().for_each(|id| bench.core.closed(id));
    bench.tell(3, &replica_info("x", 5));
    let labels: Vec<&String> = bench.core.masters["m"].replicas.keys().collect();
    assert_eq!(labels, ["10.0.0.1:3"], "it has moved");

    let mut bench = Bench::new(&["forget-after m 60000"]);
    for i in 0..4 {
        bench.hello(&format!("10.0.0.1,9{i},{:040},0,m,10.0.0.1,1,0", i));
    }
    bench.run_ms(3000);
    assert_eq!(bench.core.masters["m"].peers.len(), 4);
    assert!(!bench.has_logged("-sentinel"));
}

/// Each answer to INFO would be followed by the next order, hundreds a second.
#[test]
fn who_refuses_a_role_is_not_told_in_a_circle() {
    let mut bench = Bench::new(&[]);
    bench.core.periods.info_ms = 500;
    bench.answers = vec![(1, master_info(RUN[0], "one", 500, "")), (2, master_info(RUN[1], "other", 400, ""))];
    bench.tell(1, &bench.answers[0].1.clone());
    bench.tell(2, &bench.answers[1].1.clone());
    bench.run_ms(10_000);
    bench.sent.clear();
    bench.run_ms(2_000);
    let orders = bench.sent.iter().filter(|(port, text)| *port == 2 && text.contains("SLAVEOF")).count();
    assert!((1..=5).contains(&orders), "{orders} orders in two seconds");
    assert!(bench.has_logged("10.0.0.1:2 of 'm' refuses its role: EXECABORT it is not allowed"), "{:?}", bench.logged);
}

/// redis#12184.
#[test]
fn a_name_server_is_not_waited_for() {
    let mut bench = Bench::new(&["resolve-hostnames yes"]);
    let words = ["SENTINEL", "MONITOR", "n", "db.example", "7", "1"];
    assert_eq!(bench.call(&words).0, Ok(Done::Waits("db.example".into())));
    assert!(!bench.core.masters.contains_key("n"));
    bench.core.resolved("db.example", Some(IpAddr::from([10, 0, 0, 7])));
    let args = OwnedArgs::from_slices(&words);
    let done = bench.core.command(args.as_args(), &mut Reply::new(&mut Vec::new(), false), true);
    assert_eq!(done, Ok(Done::Promised));
    let address = Address { host: "db.example".into(), ip: Some(IpAddr::from([10, 0, 0, 7])), port: 7 };
    assert_eq!(bench.core.masters["n"].instance.address, address);
    let mut numbers = Bench::new(&[]);
    assert!(numbers.call(&words).0.is_err(), "names are not taken unless the user says so");
}

/// redis#4334: another master's election, which has begun a newer term, takes no vote away.
#[test]
fn elections_of_many_masters_do_not_disturb_each_other() {
    let id = "d".repeat(40);
    let mut options: Vec<String> = (0..400).map(|i| format!("monitor m{i} 10.0.1.1 {} 2", 1000 + i)).collect();
    options.extend((0..400).map(|i| format!("known-sentinel m{i} 10.0.0.1 99 {id}")));
    let mut bench = Bench::new(&options.iter().map(String::as_str).collect::<Vec<_>>());
    for i in (0..400).rev() {
        let (port, epoch) = ((1000 + i).to_string(), (1 + i).to_string());
        let reply = bench.call(&["SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "10.0.1.1", &port, &epoch, &id]).1;
        assert_eq!(reply, format!("*3\r\n:0\r\n$40\r\n{id}\r\n:{epoch}\r\n"));
    }
    assert_eq!(bench.core.current_epoch, 400);
}

/// Who takes a master away from a Sentinel, or resets it, in the middle of a planned switch does not leave its writers waiting.
#[test]
fn writers_do_not_wait_for_a_switch_that_was_given_up() {
    for words in [["SENTINEL", "RESET", "m"], ["SENTINEL", "REMOVE", "m"]] {
        let mut bench = Bench::new(&[]);
        let info = master_info(RUN[0], "h", 100, "db0:keys=1\r\n") + "master_failover_state:no-failover\r\n";
        bench.tell(1, &info);
        bench.tell(2, &replica_info("h", 90));
        assert!(bench.call(&["SENTINEL", "FAILOVER", "m"]).0.is_ok());
        for _ in 0..10 {
            bench.run_ms(50);
            bench.tell(1, &info);
            bench.tell(2, &replica_info("h", 90));
        }
        let told = |bench: &Bench, what: &str| bench.sent.iter().any(|(port, text)| *port == 1 && text.contains(what));
        assert!(told(&bench, "PAUSE") && !told(&bench, "UNPAUSE"), "{:?}", bench.sent);
        assert!(bench.call(&words).0.is_ok());
        assert!(told(&bench, "UNPAUSE"), "{words:?}");
    }
}

/// A Sentinel alone, whose master goes silent. Shortly before that counts, its two replicas have told that they stand at `before`; whoever is asked
/// after that hears what `later` says. Answers what is logged of the choice within so many ms.
fn chosen_among(before: [u64; 2], later: [Stream; 2], options: &[&str], ms: u64) -> (Bench, Option<String>) {
    let mut bench = Bench::new(&[&["known-replica m 10.0.0.1 3"], options].concat());
    assert!(bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.is_ok());
    bench.tell(1, &master_info(RUN[0], "old", 1000, "db0:keys=5\r\n"));
    for (port, offset) in [2, 3].into_iter().zip(before) {
        let stream = Stream { link: later[0].link, ..at(offset) };
        bench.tell(port, &stream_info(port, stream));
        bench.streams.insert(port, stream);
    }
    bench.run_ms(200);
    bench.silent = vec![1];
    let silent_ms = |bench: &Bench| bench.core.link(&At::master("m")).map_or(0, |link| link.silent_ms(bench.now_ms));
    while silent_ms(&bench) < 900 {
        bench.run_ms(1);
        assert!(bench.now_ms < 1_003_000, "nobody pings");
    }
    bench.core.periods.info_ms = 10_000;
    bench.streams.extend([2, 3].into_iter().zip(later));
    bench.run_ms(101 + ms);
    let winner = bench.core.masters["m"].last_choice.as_ref().and_then(|choice| choice.winner.clone());
    (bench, winner)
}

fn at(offset: u64) -> Stream {
    Stream { offset, read_offset: offset, step: 0, link: "up" }
}

/// redis#13483, valkey#2587: offsets are fetched at the choice.
#[test]
fn who_has_most_when_it_is_chosen_wins() {
    let old = chosen_among([900, 800], [at(900), at(800)], &[], 400);
    assert_eq!(old.1.as_deref(), Some("10.0.0.1:2"));
    let fresh = chosen_among([900, 800], [at(900), at(1000)], &[], 400);
    assert_eq!(fresh.1.as_deref(), Some("10.0.0.1:3"), "{:?}", fresh.0.logged);
    let [first, second] = [900, 1000].map(|offset| Stream { link: "down", ..at(offset) });
    let cut = chosen_among([900, 800], [first, second], &[], 400);
    assert_eq!(cut.1.as_deref(), Some("10.0.0.1:3"), "nothing arrives any more: {:?}", cut.0.logged);
    let lax = chosen_among([900, 800], [at(900), at(1000)], &["strict-failover m no"], 400);
    assert_eq!(lax.1.as_deref(), Some("10.0.0.1:2"), "as Redis does");
}

/// The same: what a replica has received counts when it has executed it, but nobody waits for ever.
#[test]
fn a_stream_that_still_arrives_is_waited_for() {
    let arriving = Stream { offset: 700, read_offset: 1000, step: 50, link: "up" };
    let (bench, winner) = chosen_among([900, 700], [at(900), arriving], &[], 1000);
    assert_eq!(winner.as_deref(), Some("10.0.0.1:3"), "{:?}", bench.logged);
    assert!(bench.has_logged("10.0.0.1:3 lacks 0 bytes of the last known offset of 'm'"), "{:?}", bench.logged);
    let endless = Stream { offset: 700, read_offset: 1_000_000, step: 1, link: "up" };
    let (bench, winner) = chosen_among([900, 700], [at(900), endless], &[], 1000);
    assert_eq!(winner, None, "it may still come: {:?}", bench.logged);
    let (bench, winner) = chosen_among([900, 700], [at(900), endless], &[], 1400);
    assert_eq!(winner.as_deref(), Some("10.0.0.1:2"), "it was waited for long enough: {:?}", bench.logged);
}

/// A master that was started again and lacks what a replica has acknowledged counts as down at once.
#[test]
fn a_master_that_lacks_what_a_replica_has_is_not_followed() {
    for (options, lacks, expected) in
        [(&[][..], "1", true), (&[][..], "0", false), (&["strict-failover m no"][..], "1", false)]
    {
        let mut bench = Bench::new(options);
        bench.tell(1, &master_info(RUN[0], "old", 500, "db0:keys=5\r\n"));
        bench.tell(2, &format!("{}master_lacks_data:{lacks}\r\n", replica_info("old", 500)));
        bench.run_ms(150);
        assert_eq!(bench.core.masters["m"].is_down(), expected, "{options:?} {lacks}");
    }
}

/// redis#4123, #6194: nobody needs RESET. Of the Sentinels none is forgotten by who sees a minority.
#[test]
fn who_is_gone_for_long_is_forgotten() {
    for (silent, forgotten) in [(2, true), (3, false)] {
        let mut bench = Bench::new(&["forget-after m 60000"]);
        bench.core.periods.info_ms = 500;
        bench.answers = vec![(1, master_info(RUN[0], "one", 500, ""))];
        for i in 0..4 {
            bench.hello(&format!("10.0.0.1,9{i},{:040},0,m,10.0.0.1,1,0", i));
        }
        bench.run_ms(2000);
        bench.silent = std::iter::once(2).chain((0..silent).map(|i| 90 + i)).collect();
        bench.run_ms(50_000);
        assert_eq!(bench.core.masters["m"].peers.len(), 4);
        assert_eq!(bench.core.masters["m"].replicas.len(), 1, "not yet");
        bench.run_ms(20_000);
        assert!(bench.core.masters["m"].replicas.is_empty(), "{:?}", bench.logged);
        assert_eq!(bench.core.masters["m"].peers.len() == 4 - silent as usize, forgotten, "{:?}", bench.logged);
        assert!(bench.has_logged("-slave") && bench.has_logged("-sentinel") == forgotten);
    }
}

/// redis#6194: a server that tells a node id is that one under any address, though it was started again meanwhile and has another run id.
#[test]
fn a_node_id_outlives_a_restart() {
    let mut bench = Bench::new(&["known-replica m 10.0.0.1 3"]);
    let of =
        |run: &str| replica_info("x", 5).replace(&"c".repeat(40), run) + &format!("node_id:{}\r\n", "e".repeat(40));
    bench.tell(2, &of(RUN[0]));
    bench.run_ms(10);
    let gone: Vec<ConnId> = bench.connections.iter().filter(|(port, _)| *port == 2).map(|(_, id)| *id).collect();
    bench.connections.retain(|(port, _)| *port != 2);
    gone.into_iter().for_each(|id| bench.core.closed(id));
    bench.tell(3, &of(RUN[1]));
    let labels: Vec<&String> = bench.core.masters["m"].replicas.keys().collect();
    assert_eq!(labels, ["10.0.0.1:3"], "{:?}", bench.logged);
}

/// Who reaches, or knows, fewer members than must be fenced does not come forward: as a leader it would fail, again and again, and keep those from it who
/// reach more.
#[test]
fn who_cannot_fence_enough_leaves_it_to_others() {
    let id = |letter: &str| letter.repeat(40);
    let told = |letter: &str| {
        let own = replica_info("old", 500).replace(&"c".repeat(40), &id(letter));
        let members = [id("d"), id("e"), id("f")].join(",");
        format!("{own}node_id:{}\r\nmembers:{members}\r\nsynchronous_replicas:1\r\n", id(letter))
    };
    for (options, comes) in [(&[][..], false), (&["known-replica m 10.0.0.1 3"][..], true)] {
        let mut bench = Bench::new(options);
        bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
        bench.tell(1, &(master_info(RUN[0], "old", 500, "") + &format!("node_id:{}\r\n", id("d"))));
        bench.answers = vec![(2, told("e")), (3, told("f"))];
        // What was asked at the beginning has no answer yet.
        for (port, info) in bench.answers.clone().iter().take(1 + options.len()) {
            bench.tell(*port, info);
        }
        bench.run_ms(200);
        bench.silent = vec![1];
        bench.run_ms(5_000);
        assert!(bench.has_logged("+odown"), "{:?}", bench.logged);
        assert_eq!(bench.has_logged("+try-failover"), comes, "{:?}", bench.logged);
        assert_eq!(bench.has_logged("is left to others"), !comes, "{:?}", bench.logged);
    }
}

/// redis#4123: who is forgotten is no member any more, for the master first and then for all; who comes back is one again, and stays.
#[test]
fn who_is_gone_for_long_is_a_member_no_longer() {
    let id = |letter: &str| letter.repeat(40);
    let list = |text: &str, letters: &[&str]| {
        let ids: Vec<String> = letters.iter().map(|letter| id(letter)).collect();
        format!("members:{}\r\nmembers_list:{text}\r\nsynchronous_replicas:1\r\nfailover_epoch:1\r\n", ids.join(","))
    };
    let server = |letter: &str, list: &str| {
        let own = match letter {
            "d" => master_info(RUN[0], "old", 500, ""),
            _ => replica_info("old", 500).replace(&"c".repeat(40), &id(letter)),
        };
        format!("{own}node_id:{}\r\n{list}", id(letter))
    };
    let lists = |bench: &Bench, port: u16| -> Vec<(String, usize)> {
        let told = bench.sent.iter().filter(|(to, text)| *to == port && text.contains("MEMBERS"));
        let of = |text: &str| {
            let words: Vec<&str> = text.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
            let at = words.iter().position(|word| *word == "LIST").expect("it has a number");
            (words[at + 1].to_string(), words[at + 2..].iter().filter(|word| word.len() == 40).count())
        };
        told.map(|(_, text)| of(text)).collect()
    };
    let mut bench = Bench::new(&["known-replica m 10.0.0.1 3", "forget-after m 60000"]);
    bench.core.periods.info_ms = 500;
    let answers = |list: &str| vec![(1, server("d", list)), (2, server("e", list)), (3, server("f", list))];
    bench.answers = answers(&list("1.1", &["d", "e", "f"]));
    for (port, info) in bench.answers.clone() {
        bench.tell(port, &info);
    }
    bench.run_ms(5_000);
    assert_eq!((lists(&bench, 1), lists(&bench, 2)), (vec![], vec![]), "all know all");
    bench.silent = vec![3];
    bench.run_ms(50_000);
    assert_eq!(lists(&bench, 1), [], "it may come back");
    bench.run_ms(30_000);
    assert_eq!(lists(&bench, 1).first(), Some(&("1.2,open".to_string(), 2)), "{:?}", bench.logged);
    assert_eq!(lists(&bench, 2), [], "the master has not taken it yet");
    bench.answers[0].1 = server("d", &list("1.2", &["d", "e"]));
    bench.run_ms(2_000);
    assert_eq!(lists(&bench, 2).last(), Some(&("1.2".to_string(), 2)));
    bench.answers[1].1 = server("e", &list("1.2", &["d", "e"]));
    bench.run_ms(1_000);

    // It is there again, and the master names it.
    bench.sent.clear();
    bench.silent = vec![];
    bench.answers[0].1 += "slave0:ip=10.0.0.1,port=3,state=online,offset=500,lag=0\r\n";
    bench.run_ms(3_000);
    assert_eq!(lists(&bench, 2).last(), Some(&("1.3,open".to_string(), 3)));
    let both = list("1.3,open", &["d", "e", "f"]);
    (bench.answers[1].1, bench.answers[2].1) = (server("e", &both), server("f", &both));
    bench.run_ms(2_000);
    assert_eq!(lists(&bench, 1).last(), Some(&("1.3,open".to_string(), 3)));
    bench.answers = answers(&list("1.3", &["d", "e", "f"]));
    bench.answers[0].1 += "slave0:ip=10.0.0.1,port=3,state=online,offset=500,lag=0\r\n";
    bench.run_ms(2_000);
    bench.sent.clear();
    bench.run_ms(120_000);
    assert_eq!(lists(&bench, 1), [], "it was forgotten once, and is not now");
}

/// A server with members, as it tells of itself.
fn member_info(letter: &str, is_master: bool, list: &str, members: &[&str]) -> String {
    let id = |letter: &str| letter.repeat(40);
    let own = match is_master {
        true => master_info(RUN[0], "old", 500, ""),
        false => replica_info("old", 500).replace(&"c".repeat(40), &id(letter)),
    };
    let members: Vec<String> = members.iter().map(|letter| id(letter)).collect();
    format!(
        "{own}node_id:{}\r\nmembers:{}\r\nmembers_list:{list}\r\nsynchronous_replicas:1\r\nfailover_epoch:5\r\n",
        id(letter),
        members.join(",")
    )
}

/// It was a member elsewhere, and brings that list along.
#[test]
fn a_list_of_another_set_is_not_counted_by() {
    let mut bench = Bench::new(&["known-replica m 10.0.0.1 3"]);
    bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
    bench.answers = vec![
        (1, member_info("d", true, "5.2", &["d", "e", "f"])),
        (2, member_info("e", false, "5.2", &["d", "e", "f"])),
        (3, member_info("f", false, "9.3", &["f", "b", "c"])),
    ];
    for (port, info) in bench.answers.clone() {
        bench.tell(port, &info);
    }
    bench.run_ms(200);
    bench.silent = vec![1];
    bench.run_ms(5_000);
    assert!(bench.has_logged("+try-failover") && !bench.has_logged("is left to others"), "{:?}", bench.logged);
}

/// The replicas have told of an older, longer list, and know the present one meanwhile: another Sentinel counts by that.
#[test]
fn who_comes_is_counted_when_no_leader_can_miss_it() {
    let mut bench = Bench::new(&["known-replica m 10.0.0.1 3", "known-replica m 10.0.0.1 4"]);
    bench.core.periods.info_ms = 500;
    let old = ["d", "e", "f", "a"];
    bench.answers = vec![
        (1, member_info("d", true, "5.2", &["d", "e", "f"])),
        (2, member_info("e", false, "5.1", &old)),
        (3, member_info("f", false, "5.1", &old)),
        (4, member_info("b", false, "5.3,open", &["d", "e", "f", "b"])),
    ];
    for (port, info) in bench.answers.clone() {
        bench.tell(port, &info);
    }
    bench.run_ms(3_000);
    let told = |bench: &Bench, port: u16| bench.sent.iter().any(|(to, text)| *to == port && text.contains("5.3,open"));
    assert!(told(&bench, 2) && told(&bench, 3) && !told(&bench, 1), "two of two know only lists without it");
    bench.answers[1].1 = member_info("e", false, "5.3,open", &["d", "e", "f", "b"]);
    bench.run_ms(2_000);
    assert!(told(&bench, 1), "whoever fences two of the three others, one knows it");
}

/// What a node answers to FENCE.
struct Fenced<'a> {
    letter: &'a str,
    offset: u64,
    data_epoch: i64,
    is_certain: bool,
    list: &'a str,
    members: &'a [&'a str],
}

impl Fenced<'_> {
    fn reply(&self) -> String {
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let members: String = self.members.iter().map(|letter| bulk(&letter.repeat(40))).collect();
        let fields = [
            ("node_id", bulk(&self.letter.repeat(40))),
            ("epoch", ":@epoch\r\n".to_string()),
            ("offset", format!(":{}\r\n", self.offset)),
            ("synchronous_replicas", ":1\r\n".to_string()),
            ("data_epoch", format!(":{}\r\n", self.data_epoch)),
            ("data_start", ":0\r\n".to_string()),
            ("certain", format!(":{}\r\n", u8::from(self.is_certain))),
            ("members", format!("*{}\r\n{members}", self.members.len())),
            ("members_list", bulk(self.list)),
        ];
        let fields: String = fields.iter().map(|(name, value)| bulk(name) + value).collect();
        format!("*18\r\n{fields}")
    }
}

/// A set of `d`, `e` and `f` at ports 1, 2 and 3 with one synchronous replica, all of which are fenced at offset 500 if they are asked.
fn set_of_three(options: &[&str]) -> Bench {
    let mut bench = Bench::new(&[&["known-replica m 10.0.0.1 3"], options].concat());
    bench.call(&["SENTINEL", "SET", "m", "quorum", "1"]).0.expect("it is set");
    let (list, members) = ("5.2", ["d", "e", "f"]);
    for (port, letter) in (1..).zip(members) {
        bench.answers.push((port, member_info(letter, port == 1, list, &members)));
        let fenced = Fenced { letter, offset: 500, data_epoch: 5, is_certain: true, list, members: &members };
        bench.fences.insert(port, fenced.reply());
    }
    for (port, info) in bench.answers.clone() {
        bench.tell(port, &info);
    }
    bench.run_ms(200);
    bench
}

/// It was started again since, and what it told may be gone.
#[test]
fn who_refuses_its_promotion_is_fenced_anew() {
    let rows = [
        ("*1\r\n-STALEFENCE since then\r\n", true),
        ("-EXECABORT it is not allowed\r\n", true),
        // It may have been promoted: its INFO tells.
        ("-ERR EXEC without MULTI\r\n", false),
    ];
    for (exec, is_over) in rows {
        let mut bench = set_of_three(&[]);
        bench.exec = exec;
        bench.silent = vec![1];
        bench.run_ms(4_500);
        let promotions = bench.count_sent(2, "PROMOTE") + bench.count_sent(3, "PROMOTE");
        assert_eq!(promotions > 1, is_over, "{exec}: {promotions} {:?}", bench.logged);
        assert!(promotions > 0, "{:?}", bench.logged);
        assert_eq!(bench.has_logged("-failover-abort-not-fenced"), is_over, "{:?}", bench.logged);
        let epochs = bench.logged.iter().filter(|line| line.contains("+new-epoch")).count();
        assert_eq!(epochs, bench.count_sent(3, "FENCE"), "each attempt fences, in an epoch of its own");
    }
}

/// Two leaders of one term, of whom a majority has voted for one at most, fence somebody in common.
#[test]
fn a_users_failover_without_votes_asks_more() {
    let peer = format!("known-sentinel m 10.0.0.1 99 {}", "9".repeat(40));
    for (options, is_elected) in [(vec![], true), (vec![peer.as_str()], false)] {
        let mut bench = set_of_three(&options);
        for (_, info) in &mut bench.answers {
            *info = info.replace("synchronous_replicas:1", "synchronous_replicas:2");
        }
        bench
            .fences
            .values_mut()
            .for_each(|told| *told = told.replace("synchronous_replicas\r\n:1", "synchronous_replicas\r\n:2"));
        bench.core.periods.info_ms = 500;
        bench.answers[0].1 += "master_failover_state:no-failover\r\n";
        bench.silent = vec![99];
        bench.run_ms(2_000);
        bench.silent.push(3);
        bench.run_ms(6_000);
        assert_eq!(bench.call(&["SENTINEL", "FAILOVER", "m"]).0, Ok(Done::Promised), "one of two is enough");
        bench.run_ms(15_000);
        assert_eq!(bench.count_sent(2, "FENCE") > 0, is_elected, "{:?}", bench.logged);
        assert_eq!(bench.has_logged("-failover-abort-not-elected"), !is_elected, "{:?}", bench.logged);
    }
    // With one of two acknowledging, both members are fenced anyway.
    let mut bench = set_of_three(&[&peer]);
    bench.core.periods.info_ms = 500;
    bench.answers[0].1 += "master_failover_state:no-failover\r\n";
    bench.silent = vec![99];
    bench.run_ms(6_000);
    bench.call(&["SENTINEL", "FAILOVER", "m"]).0.expect("both answer");
    bench.run_ms(3_000);
    assert!(bench.count_sent(2, "FENCE") > 0 && bench.count_sent(3, "FENCE") > 0, "{:?}", bench.logged);
}

/// Whoever is fenced for a failover that comes to nothing acknowledges nothing from then on.
#[test]
fn a_switch_that_can_fence_too_few_is_not_begun() {
    for coordinated in [false, true] {
        let words = ["SENTINEL", "FAILOVER", "m", "COORDINATED"];
        let words = &words[..if coordinated { 4 } else { 3 }];
        let mut bench = set_of_three(&[]);
        bench.core.periods.info_ms = 500;
        bench.answers[0].1 += "master_failover_state:no-failover\r\n";
        bench.silent = vec![3];
        bench.run_ms(6_000);
        assert_eq!(bench.call(words).0, Err("NOGOODSLAVE Too few members answer to be fenced".into()));
        bench.run_ms(5_000);
        assert!(!bench.has_logged("+try-failover"), "{:?}", bench.logged);
        assert!(bench.count_sent(2, "FENCE") == 0 && bench.count_sent(1, "PAUSE") == 0, "{:?}", bench.sent);
        bench.silent = vec![];
        bench.run_ms(2_000);
        assert_eq!(bench.call(words).0, Ok(Done::Promised));
    }
}

/// The only member took its data over from a master that could not tell whether it has all: they are of no term. Who is no member any more was left behind, though what it has is of a term.
#[test]
fn who_is_no_member_is_not_promoted_for_a_member_without_a_term() {
    let mut bench = set_of_three(&[]);
    let members = ["d", "e"];
    let fenced = |letter, offset, data_epoch, is_certain, list, members| {
        Fenced { letter, offset, data_epoch, is_certain, list, members }.reply()
    };
    bench.fences.insert(2, fenced("e", 500, -1, false, "5.3", &members[..]));
    bench.fences.insert(3, fenced("f", 400, 4, true, "5.2", &["d", "e", "f"]));
    bench.answers = vec![
        (1, member_info("d", true, "5.3", &members)),
        (2, member_info("e", false, "5.3", &members)),
        (3, member_info("f", false, "5.2", &["d", "e", "f"])),
    ];
    for (port, info) in bench.answers.clone() {
        bench.tell(port, &info);
    }
    bench.silent = vec![1];
    bench.run_ms(5_000);
    assert!(bench.count_sent(3, "FENCE") > 0, "{:?}", bench.logged);
    let promoted = |bench: &Bench| (bench.count_sent(2, "PROMOTE") > 0, bench.count_sent(3, "PROMOTE"));
    assert_eq!(promoted(&bench), (false, 0), "the master may have more than either: {:?}", bench.logged);
    bench.silent.clear();
    bench.core.periods.info_ms = 500;
    bench.answers[0].1 += "synchronous_unproven:1\r\nmaster_failover_state:no-failover\r\n";
    bench.run_ms(30_000);
    assert_eq!(promoted(&bench), (false, 0), "{:?}", bench.logged);
    assert!(bench.count_sent(1, "PROMOTE") > 0, "it is there, and has most: {:?}", bench.logged);
}

/// It was no member when it was promoted.
#[test]
fn a_master_that_is_no_member_of_its_own_list_becomes_one() {
    let mut bench = Bench::new(&["known-replica m 10.0.0.1 3"]);
    bench.core.periods.info_ms = 500;
    let members = ["e", "f"];
    bench.answers =
        (1..).zip(["d", "e", "f"]).map(|(port, l)| (port, member_info(l, port == 1, "5.2", &members))).collect();
    for (port, info) in bench.answers.clone() {
        bench.tell(port, &info);
    }
    bench.run_ms(3_000);
    let told = |port: u16| {
        bench.sent.iter().any(|(to, text)| *to == port && text.contains("5.3") && text.contains(&"d".repeat(40)))
    };
    assert!(told(2) && told(3), "{:?}", bench.sent);
}
