//! Handshakes that are slow, that break, and that never end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rivulet_tests::tls::session;
use rivulet_tests::{Client, Kind, wait};
use rustls::ClientConfig;

use crate::{authority, start};

/// The first message of a handshake.
fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut records = Vec::new();
    session(config).write_tls(&mut records).expect("it speaks first");
    records
}

/// The slowest of so many commands, in microseconds, without the slowest hundredth.
fn slowest_us(client: &mut Client, count: usize) -> u128 {
    let mut times: Vec<u128> = (0..count).map(|_| wait::timed_us(|| client.must("PING")).1).collect();
    times.sort_unstable();
    times[count - 1 - count / 100]
}

#[test]
fn two_hundred_slow_or_broken_ones_leave_others_alone() {
    let authority = authority();
    let (mut server, port) = start(Kind::Rivulet, &authority, &["--tls-auth-clients", "no"]);
    let config = authority.client(None);
    let mut plain = server.client();
    let mut secure = Client::connect_tls(port, &config).expect("it is served");
    let before = [slowest_us(&mut plain, 1000), slowest_us(&mut secure, 1000)];
    let hello = hello(&config);
    let connect = || TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    // Some stop in the middle of the first message, some after it, some say nothing.
    let mut slow: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
    for (i, socket) in slow.iter_mut().enumerate() {
        let sent = [0, 1, hello.len() / 2, hello.len()][i % 4];
        socket.write_all(&hello[..sent]).expect("it is taken");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let broken = Arc::new(AtomicUsize::new(0));
    let (stopped, bytes, counter) = (stop.clone(), hello.clone(), broken.clone());
    let breaker = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
            let mut changed = bytes.clone();
            changed[counter.load(Ordering::Relaxed) % bytes.len()] ^= 0x55;
            let _ = socket.write_all(&changed).and_then(|()| socket.write_all(b"\x16\x03\x01\xff\xff\x00\x00"));
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    wait::until("some are broken", || broken.load(Ordering::Relaxed) > 20);
    let during = [slowest_us(&mut plain, 2000), slowest_us(&mut secure, 2000)];
    wait::until("many are broken", || broken.load(Ordering::Relaxed) > 100);
    stop.store(true, Ordering::Relaxed);
    breaker.join().expect("it goes well");
    println!("slowest us before {before:?}, during {during:?}; {} were broken", broken.load(Ordering::Relaxed));
    assert!(during.iter().all(|us| *us < 20_000), "{before:?} became {during:?}");
    // Those that never go on are given up after ten seconds.
    wait::until("all are gone", || server.must("CLIENT LIST").text().lines().count() == 3);
    assert!(server.count("tls_handshakes_given_up") >= 200);
    for socket in &mut slow {
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
        let mut rest = Vec::new();
        // Closed, or reset: but not left open.
        let read = socket.read_to_end(&mut rest);
        assert!(!matches!(&read, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "{read:?}");
    }
    Client::connect_tls(port, &config).expect("there is room").must("PING");
}

#[test]
fn the_oldest_make_room_when_there_are_too_many() {
    let authority = authority();
    let (mut server, port) = start(Kind::Rivulet, &authority, &["--tls-auth-clients", "no"]);
    let many: Vec<TcpStream> =
        (0..1050).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("it listens")).collect();
    wait::until("some have made room", || server.count("tls_handshakes_given_up") >= 50);
    let mut client = Client::connect_tls(port, &authority.client(None)).expect("who comes now is served");
    client.must("PING");
    assert!(server.must("CLIENT LIST").text().lines().count() <= 1003);
    drop(many);
    wait::until("all are gone", || server.must("CLIENT LIST").text().lines().count() == 2);
}
