//! Handshakes that are slow, that break, and that never end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rivulet_tests::tls::session;
use rivulet_tests::{Client, Kind, Server, wait};
use rustls::ClientConfig;

use crate::{authority, start};

/// The first message of a handshake.
fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut records = Vec::new();
    session(config).write_tls(&mut records).expect("it speaks first");
    records
}

/// Handshakes that begin and never end, fewer than may be under way.
const SLOW: usize = 940;
/// Those of them that send a byte a second.
const TRICKLES: usize = 40;
/// Handshakes that are broken off.
const BROKEN: usize = 200;

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).expect("it listens")
}

/// Connections that stop before the first message, in it or after it.
fn slow(port: u16, hello: &[u8]) -> Vec<TcpStream> {
    let begin = |i: usize| {
        let mut socket = connect(port);
        let sent = [0, 1, hello.len() / 2, hello.len()][i % 4];
        socket.write_all(&hello[..sent]).expect("it is taken");
        socket
    };
    (0..SLOW).map(begin).collect()
}

/// What a thread does again and again until it is told to stop.
struct Background {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

impl Background {
    fn start(mut round: impl FnMut(usize) + Send + 'static) -> Background {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counter) = (stop.clone(), rounds.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                round(counter.load(Ordering::Relaxed));
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Background { stop, rounds, thread }
    }

    fn wait_for(&self, rounds: usize) {
        wait::until("it goes on", || self.rounds.load(Ordering::Relaxed) >= rounds);
    }

    /// Answers how many rounds there were.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it goes well");
        self.rounds.load(Ordering::Relaxed)
    }
}

/// Connections to each of which the next byte of the first message is sent each second.
fn trickle(port: u16, hello: Vec<u8>) -> Background {
    let mut sockets: Vec<TcpStream> = (0..TRICKLES).map(|_| connect(port)).collect();
    Background::start(move |round| {
        for socket in &mut sockets {
            // It has been given up when this fails.
            let _ = socket.write_all(&hello[round..=round]);
        }
        wait::pause(Duration::from_secs(1));
    })
}

/// Handshakes that are damaged, no handshakes at all, or cut off: one after the other.
fn breaker(port: u16, hello: Vec<u8>) -> Background {
    Background::start(move |round| {
        let mut socket = connect(port);
        let mut damaged = hello.clone();
        damaged[round % hello.len()] ^= 0x55;
        damaged.extend_from_slice(b"\x16\x03\x01\xff\xff\x00\x00");
        let sent: &[u8] = match round % 4 {
            0 => &damaged,
            1 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            2 => &hello[..hello.len() / 2],
            _ => &hello,
        };
        // The next one begins when this one has ended, so that they take nobody's place.
        let _ = socket.write_all(sent).and_then(|()| socket.shutdown(Shutdown::Write));
        is_closed(&mut socket);
    })
}

/// What a client waits for a command without the slowest hundredth, in microseconds: least of some rounds, as others
/// may want the processors.
fn p99_us(client: &mut Client) -> u128 {
    const COUNT: usize = 2000;
    let mut round = || {
        let mut times: Vec<u128> = (0..COUNT).map(|_| wait::timed_us(|| client.must("PING")).1).collect();
        times.sort_unstable();
        times[COUNT - 1 - COUNT / 100]
    };
    (0..5).map(|_| round()).min().expect("there are rounds")
}

/// Nanoseconds that the server works for so many commands, least of some rounds.
fn work_ns(server: &Server, client: &mut Client) -> u64 {
    let round = |client: &mut Client| {
        let before = server.busy_ns();
        (0..2000).for_each(|_| assert_eq!(client.must("PING").text(), "PONG"));
        server.busy_ns() - before
    };
    (0..5).map(|_| round(client)).min().expect("there are rounds")
}

#[test]
fn a_thousand_slow_or_broken_ones_leave_others_alone() {
    let authority = authority();
    let (mut server, port) = start(Kind::Rivulet, &authority, &["--tls-auth-clients", "no"]);
    let config = authority.client(None);
    let mut clients = [server.client(), Client::connect_tls(port, &config).expect("it is served")];
    let p99_before = clients.each_mut().map(p99_us);
    let work_before = clients.each_mut().map(|client| work_ns(&server, client));
    let memory_before = server.count("used_memory");
    let hello = hello(&config);
    let mut slow = slow(port, &hello);
    let trickle = trickle(port, hello.clone());
    let under_way = SLOW + TRICKLES;
    wait::until("they wait", || server.must("CLIENT LIST").text().lines().count() == under_way + 3);
    let memory_during = server.count("used_memory");
    let work_during = clients.each_mut().map(|client| work_ns(&server, client));
    let breaker = breaker(port, hello);
    breaker.wait_for(20);
    let p99_during = clients.each_mut().map(p99_us);
    breaker.wait_for(BROKEN);
    let broken = breaker.end();
    println!(
        "p99 {p99_before:?} us became {p99_during:?} while {broken} were broken; work {work_before:?} ns became {work_during:?}"
    );
    for i in 0..2 {
        assert!(work_during[i] < 2 * work_before[i], "{work_before:?} ns became {work_during:?}");
        assert!(p99_during[i] < 20 * p99_before[i].max(500), "{p99_before:?} us became {p99_during:?}");
    }
    // Those that never go on are given up after ten seconds.
    wait::until("all are gone", || server.must("CLIENT LIST").text().lines().count() == 3);
    assert_eq!(server.count("tls_handshakes_given_up"), under_way as i64);
    assert_eq!(server.count("tls_handshakes_failed"), broken as i64);
    trickle.end();
    let memory_after = server.count("used_memory");
    println!("memory {memory_before}, {memory_during}, {memory_after} bytes");
    assert!(memory_during - memory_before < under_way as i64 * 16_384, "{memory_before} became {memory_during}");
    // The tables of clients stay as large as they were.
    assert!(
        memory_after - memory_before < (memory_during - memory_before) / 4,
        "{memory_before} became {memory_after}"
    );
    slow.iter_mut().for_each(is_closed);
    Client::connect_tls(port, &config).expect("there is room").must("PING");
}

/// A connection is closed or reset, but not left open.
fn is_closed(socket: &mut TcpStream) {
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
    let read = socket.read_to_end(&mut Vec::new());
    assert!(!matches!(&read, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "{read:?}");
}

#[test]
fn the_oldest_make_room_when_there_are_too_many() {
    let authority = authority();
    let (mut server, port) = start(Kind::Rivulet, &authority, &["--tls-auth-clients", "no"]);
    let many: Vec<TcpStream> = (0..1050).map(|_| connect(port)).collect();
    wait::until("some have made room", || server.count("tls_handshakes_given_up") >= 50);
    let mut client = Client::connect_tls(port, &authority.client(None)).expect("who comes now is served");
    client.must("PING");
    assert!(server.must("CLIENT LIST").text().lines().count() <= 1003);
    drop(many);
    wait::until("all are gone", || server.must("CLIENT LIST").text().lines().count() == 2);
}
