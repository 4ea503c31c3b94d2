//! Hundreds of masters with two replicas each, as much of them as a Sentinel sees, in one thread. Each has an address of its own on this machine.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rivulet_net::{Interest, Listener, Poll, Stream, bind_tcp};

/// What all of the fleet's threads see.
#[derive(Default)]
pub struct Shared {
    /// Whom each instance follows; nobody if it is a master.
    pub follows: Mutex<Vec<Option<usize>>>,
    /// Instances that are to go.
    leaving: Mutex<Vec<usize>>,
    pub pings: AtomicU64,
    pub infos: AtomicU64,
    pub connections: AtomicU64,
    ends: AtomicBool,
}

/// The instances; they end with the value.
pub struct Fleet {
    pub shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Connection {
    stream: Stream,
    instance: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    watches_writes: bool,
}

struct Fleets {
    shared: Arc<Shared>,
    port: u16,
    poll: Poll,
    listeners: BTreeMap<u64, Listener>,
    connections: BTreeMap<u64, Connection>,
    last: u64,
}

/// The address of an instance.
pub fn address(instance: usize) -> IpAddr {
    IpAddr::from([127, 9, (instance / 250) as u8, (instance % 250) as u8 + 1])
}

impl Fleet {
    /// So many masters, all at this port; the replicas of each follow it in the order of their numbers.
    pub fn start(masters: usize, port: u16) -> Fleet {
        let shared = Arc::new(Shared::default());
        let follows = (0..masters * 3).map(|i| (i % 3 != 0).then_some(i / 3 * 3));
        *shared.follows.lock().expect("nobody panicked") = follows.collect();
        let own = shared.clone();
        let thread = std::thread::spawn(move || Fleets::new(own, masters * 3, port).run());
        Fleet { shared, thread: Some(thread) }
    }

    /// These instances are gone, with their connections.
    pub fn kill(&self, instances: impl Iterator<Item = usize>) {
        self.shared.leaving.lock().expect("nobody panicked").extend(instances);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Fleets {
    fn new(shared: Arc<Shared>, count: usize, port: u16) -> Fleets {
        let mut poll = Poll::new().expect("a poll");
        let mut listeners = BTreeMap::new();
        for i in 0..count {
            let listener = bind_tcp(address(i), port, 16).expect("an address");
            poll.add(&listener, i as u64, Interest::READ).expect("it is watched");
            listeners.insert(i as u64, listener);
        }
        Fleets { shared, port, poll, listeners, connections: BTreeMap::new(), last: 1 << 20 }
    }

    fn run(&mut self) {
        let mut ready = Vec::new();
        while !self.shared.ends.load(Ordering::Relaxed) {
            self.poll.wait(Some(Duration::from_millis(50)), &mut ready).expect("a poll");
            for event in &ready {
                match self.listeners.get(&event.token) {
                    Some(_) => self.accept(event.token),
                    None => self.serve(event.token),
                }
            }
            let leaving = std::mem::take(&mut *self.shared.leaving.lock().expect("nobody panicked"));
            for instance in leaving {
                self.listeners.remove(&(instance as u64));
                self.connections.retain(|_, connection| connection.instance != instance);
            }
        }
    }

    fn accept(&mut self, listener: u64) {
        while let Some(stream) = self.listeners[&listener].accept().ok().flatten() {
            self.last += 1;
            self.poll.add(&stream, self.last, Interest::READ).expect("it is watched");
            let (input, output) = (Vec::new(), Vec::new());
            let connection = Connection { stream, instance: listener as usize, input, output, watches_writes: false };
            self.connections.insert(self.last, connection);
            self.shared.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn serve(&mut self, token: u64) {
        let Some(mut connection) = self.connections.remove(&token) else { return };
        if connection.stream.read_into(&mut connection.input, 1 << 16).is_err() {
            return;
        }
        while let Some((words, used)) = command(&connection.input) {
            connection.input.drain(..used);
            let reply = self.answer(connection.instance, &words);
            connection.output.extend(reply);
        }
        let Ok(sent) = connection.stream.write(&connection.output) else { return };
        connection.output.drain(..sent);
        let wants = !connection.output.is_empty();
        if std::mem::replace(&mut connection.watches_writes, wants) != wants {
            let interest = if wants { Interest::BOTH } else { Interest::READ };
            self.poll.change(&connection.stream, token, interest).expect("it is watched");
        }
        self.connections.insert(token, connection);
    }

    fn answer(&self, instance: usize, words: &[Vec<u8>]) -> Vec<u8> {
        let word = words[0].to_ascii_lowercase();
        match word.as_slice() {
            b"ping" => {
                self.shared.pings.fetch_add(1, Ordering::Relaxed);
                b"+PONG\r\n".to_vec()
            }
            b"info" => {
                self.shared.infos.fetch_add(1, Ordering::Relaxed);
                let text = self.info(instance);
                format!("${}\r\n{text}\r\n", text.len()).into_bytes()
            }
            b"publish" => b":1\r\n".to_vec(),
            b"subscribe" => [b"*3\r\n$9\r\nsubscribe\r\n$18\r\n", words[1].as_slice(), b"\r\n:1\r\n"].concat(),
            b"slaveof" | b"replicaof" => {
                let host = String::from_utf8_lossy(&words[1]).into_owned();
                let master = host.parse::<IpAddr>().ok().and_then(|ip| (0..self.count()).find(|i| address(*i) == ip));
                self.shared.follows.lock().expect("nobody panicked")[instance] = master;
                b"+QUEUED\r\n".to_vec()
            }
            b"exec" => b"*0\r\n".to_vec(),
            _ => b"+OK\r\n".to_vec(),
        }
    }

    fn count(&self) -> usize {
        self.shared.follows.lock().expect("nobody panicked").len()
    }

    fn info(&self, instance: usize) -> String {
        let follows = self.shared.follows.lock().expect("nobody panicked");
        let set = instance / 3 * 3;
        let common = format!(
            "# Server\r\nrun_id:{instance:040}\r\n# Replication\r\nmaster_replid:{set:040}\r\nmaster_repl_offset:1000\r\nsecond_repl_offset:-1\r\n"
        );
        let own = match follows[instance] {
            Some(master) => format!(
                "role:slave\r\nmaster_host:{}\r\nmaster_port:{}\r\nmaster_link_status:up\r\nslave_repl_offset:1000\r\nslave_priority:100\r\n",
                address(master),
                self.port
            ),
            None => {
                let replicas = (set..set + 3).filter(|i| follows[*i] == Some(instance)).enumerate();
                let line = |(n, i): (usize, usize)| {
                    format!("slave{n}:ip={},port={},state=online,offset=1000,lag=0\r\n", address(i), self.port)
                };
                format!("role:master\r\n{}", replicas.map(line).collect::<String>())
            }
        };
        format!("{common}{own}# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n")
    }
}

/// The first command of what has arrived, and how many bytes it has.
fn command(input: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut at = 0;
    let number = |at: &mut usize| -> Option<usize> {
        let end = input[*at..].windows(2).position(|pair| pair == b"\r\n")? + *at;
        let number = std::str::from_utf8(&input[*at + 1..end]).ok()?.parse().ok()?;
        *at = end + 2;
        Some(number)
    };
    let count = number(&mut at)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let len = number(&mut at)?;
        words.push(input.get(at..at + len)?.to_vec());
        at += len + 2;
    }
    (at <= input.len()).then_some((words, at))
}
