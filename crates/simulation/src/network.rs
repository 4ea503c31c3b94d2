//! A network: connections whose bytes take time, and that can be cut, or be silent in one direction.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use fastrand::Rng;
use rivulet_host::world::Readiness;

/// A machine on the network, by number.
pub type HostId = usize;

/// The address of a machine.
pub fn ip(host: HostId) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, (host / 250) as u8, (host % 250) as u8 + 1)
}

fn host_of(address: &SocketAddr) -> Option<HostId> {
    let SocketAddr::V4(address) = address else { return None };
    machine_of(*address.ip())
}

fn machine_of(address: Ipv4Addr) -> Option<HostId> {
    let [10, 0, high, low] = address.octets() else { return None };
    Some(high as usize * 250 + (low as usize).checked_sub(1)?)
}

/// The machine of an address, as servers write it.
pub fn host_at(text: &str) -> Option<HostId> {
    machine_of(text.parse().ok()?)
}

/// How long bytes are on their way, in us.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    pub least: u64,
    pub most: u64,
    /// One in so many takes a hundred times as long; 0 for none.
    pub slow_one_in: u32,
}

/// What does not arrive is sent again after so long.
const SENT_AGAIN_US: u64 = 300_000;

/// The mark that ends a snapshot whose length is not known at its beginning, and what comes before the mark there.
const MARK_BYTES: usize = 40;
const MARK_HEADER: &[u8] = b"$EOF:";

/// Bytes that may be on their way or unread in one direction.
const WINDOW_BYTES: usize = 128 << 10;

struct End {
    host: HostId,
    peer: u64,
    address: SocketAddr,
    peer_address: SocketAddr,
    connected: bool,
    received: VecDeque<u8>,
    /// The other end sends no more.
    ended: bool,
    error: Option<io::ErrorKind>,
    /// Bytes that this end has sent and that have not arrived.
    under_way: usize,
    /// The last thing sent arrives then: what follows comes later.
    last_at_us: u64,
    /// The mark that ends the snapshot which this end sends.
    mark: Option<[u8; MARK_BYTES]>,
}

/// Ends of connections by socket. Sockets are numbered as they come to be, and looked up all the time.
#[derive(Default)]
struct Ends(Vec<Option<Box<End>>>);

impl Ends {
    fn get(&self, socket: u64) -> Option<&End> {
        self.0.get(socket as usize)?.as_deref()
    }

    fn get_mut(&mut self, socket: u64) -> Option<&mut End> {
        self.0.get_mut(socket as usize)?.as_deref_mut()
    }

    fn insert(&mut self, socket: u64, end: End) {
        let at = socket as usize;
        self.0.resize_with(self.0.len().max(at + 1), || None);
        self.0[at] = Some(Box::new(end));
    }

    fn remove(&mut self, socket: u64) -> Option<End> {
        self.0.get_mut(socket as usize)?.take().map(|end| *end)
    }

    fn iter(&self) -> impl Iterator<Item = (u64, &End)> {
        self.0.iter().enumerate().filter_map(|(at, end)| Some((at as u64, end.as_deref()?)))
    }

    fn remove_all_of(&mut self, host: HostId) {
        self.0.iter_mut().for_each(|end| drop(end.take_if(|end| end.host == host)));
    }
}

enum Event {
    Asks {
        from: u64,
        to: SocketAddr,
    },
    /// With the end that was made there, unless it is refused.
    Answers {
        to: u64,
        accepted: Option<u64>,
    },
    Bytes {
        to: u64,
        from: u64,
        bytes: Vec<u8>,
    },
    End {
        to: u64,
    },
    Reset {
        to: u64,
    },
}

struct Planned {
    from: HostId,
    to: HostId,
    event: Event,
}

/// Something that arrives then: of two at the same time first what was planned first.
struct Arrival {
    at_us: u64,
    plan: u64,
    planned: Planned,
}

impl Ord for Arrival {
    fn cmp(&self, other: &Arrival) -> Ordering {
        (other.at_us, other.plan).cmp(&(self.at_us, self.plan))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Arrival) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Arrival) -> bool {
        self.plan == other.plan
    }
}

impl Eq for Arrival {}

struct Listening {
    socket: u64,
    waiting: VecDeque<u64>,
}

/// What goes wrong with all that one machine sends to another.
#[derive(Clone, Copy, Debug)]
pub struct Pinch {
    pub from: HostId,
    pub to: HostId,
    /// So many bytes are taken at once.
    pub piece: usize,
    /// After so many more bytes the connection is cut, once.
    pub cut_after: Option<u64>,
}

/// All connections, and what is on its way.
pub struct Network {
    servers: usize,
    ends: Ends,
    /// Of ends that are gone: the last thing that each has sent arrives then.
    gone: BTreeMap<u64, u64>,
    listening: BTreeMap<(HostId, u16), Listening>,
    /// What is on its way; the greatest arrives first.
    queue: BinaryHeap<Arrival>,
    /// What waits for a direction to be open again.
    stuck: Vec<Planned>,
    blocked: BTreeSet<(HostId, HostId)>,
    /// Directions in which a KiB takes so long, in us, and when the last of what was sent that way arrives.
    slow: BTreeMap<(HostId, HostId), u64>,
    slow_until_us: BTreeMap<HostId, u64>,
    /// Machines that end the next snapshot which they send with a wrong mark.
    misends: BTreeSet<HostId>,
    pub pinch: Option<Pinch>,
    pub delays: Delays,
    rng: Rng,
    last_socket: u64,
    last_plan: u64,
    next_port: u16,
    /// Machines on which something has happened.
    pub touched: BTreeSet<HostId>,
    /// What masters have told replicas since this was last taken.
    pub ids_told: Vec<IdTold>,
}

/// A replication id that one machine has sent to another.
pub struct IdTold {
    pub from: HostId,
    pub to: HostId,
    pub id: String,
    /// With other data, of which it is the id.
    pub with_data: bool,
}

/// The ids in what a master says of where it goes on, and whether data follow.
fn ids_in(bytes: &[u8]) -> impl Iterator<Item = (String, bool)> {
    const ID: usize = 40;
    let after = |word: &'static [u8], with_data: bool| {
        let found = bytes.windows(word.len() + ID).filter(move |w| w.starts_with(word));
        found.map(move |w| (String::from_utf8_lossy(&w[word.len()..]).into_owned(), with_data))
    };
    after(b"+CONTINUE ", false).chain(after(b"+FULLRESYNC ", true)).chain(id_of_channel(bytes).map(|id| (id, true)))
}

/// The id with which a channel for data alone begins: `$ENDOFF:<offset> <id> <database> <client>`.
fn id_of_channel(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes.split(|&c| c == b'\r').next()?).ok()?;
    text.strip_prefix("$ENDOFF:")?.split(' ').nth(1).map(String::from)
}

impl Network {
    /// The first machines are servers, so many; clients are on others.
    pub fn new(seed: u64, servers: usize) -> Network {
        Network {
            servers,
            ends: Ends::default(),
            gone: BTreeMap::new(),
            listening: BTreeMap::new(),
            queue: BinaryHeap::new(),
            stuck: Vec::new(),
            blocked: BTreeSet::new(),
            slow: BTreeMap::new(),
            slow_until_us: BTreeMap::new(),
            misends: BTreeSet::new(),
            pinch: None,
            delays: Delays { least: 50, most: 500, slow_one_in: 200 },
            rng: Rng::with_seed(seed),
            last_socket: 0,
            last_plan: 0,
            next_port: 30_000,
            touched: BTreeSet::new(),
            ids_told: Vec::new(),
        }
    }

    // ---- for those who are on it ----

    pub fn listen(&mut self, host: HostId, port: u16) -> io::Result<u64> {
        if self.listening.contains_key(&(host, port)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.last_socket += 1;
        self.listening.insert((host, port), Listening { socket: self.last_socket, waiting: VecDeque::new() });
        Ok(self.last_socket)
    }

    pub fn stop_listening(&mut self, socket: u64) {
        let Some(key) = self.listening.iter().find(|(_, l)| l.socket == socket).map(|(key, _)| *key) else { return };
        let waiting = self.listening.remove(&key).map(|l| l.waiting).unwrap_or_default();
        waiting.into_iter().for_each(|socket| self.close(socket, 0));
    }

    pub fn accept(&mut self, listener: u64) -> Option<u64> {
        self.listening.values_mut().find(|l| l.socket == listener)?.waiting.pop_front()
    }

    pub fn connect(&mut self, host: HostId, to: SocketAddr, now_us: u64) -> u64 {
        self.next_port = self.next_port.checked_add(1).unwrap_or(30_000);
        let address = SocketAddr::from((ip(host), self.next_port));
        let socket = self.add_end(host, address, to);
        match host_of(&to) {
            Some(target) => self.plan(host, target, None, now_us, Event::Asks { from: socket, to }),
            None => self.fail(socket, io::ErrorKind::HostUnreachable),
        }
        socket
    }

    fn add_end(&mut self, host: HostId, address: SocketAddr, peer_address: SocketAddr) -> u64 {
        self.last_socket += 1;
        self.ends.insert(
            self.last_socket,
            End {
                host,
                peer: 0,
                address,
                peer_address,
                connected: false,
                received: VecDeque::new(),
                ended: false,
                error: None,
                under_way: 0,
                last_at_us: 0,
                mark: None,
            },
        );
        self.last_socket
    }

    pub fn addresses(&self, socket: u64) -> Option<(SocketAddr, SocketAddr)> {
        self.ends.get(socket).map(|end| (end.address, end.peer_address))
    }

    /// Nothing of a socket that is closed.
    pub fn readiness(&self, socket: u64) -> Option<Readiness> {
        let Some(end) = self.ends.get(socket) else {
            let listening = self.listening.values().find(|l| l.socket == socket)?;
            return Some(Readiness { read: !listening.waiting.is_empty(), ..Readiness::default() });
        };
        let read = end.ended || !end.received.is_empty();
        Some(Readiness { read, write: end.connected && self.room(end) > 0, broken: end.error.is_some() })
    }

    /// Whether a connection has come to be, or what went wrong.
    pub fn state(&self, socket: u64) -> Result<bool, io::ErrorKind> {
        match self.ends.get(socket) {
            Some(End { error: Some(error), .. }) => Err(*error),
            Some(end) => Ok(end.connected),
            None => Err(io::ErrorKind::ConnectionReset),
        }
    }

    fn room(&self, end: &End) -> usize {
        let unread = self.ends.get(end.peer).map_or(0, |peer| peer.received.len());
        WINDOW_BYTES.saturating_sub(end.under_way + unread)
    }

    pub fn unread(&self, socket: u64) -> usize {
        self.ends.get(socket).map_or(0, |end| end.received.len())
    }

    /// Bytes that were read, nothing if none are there, and 0 at the end.
    pub fn read(&mut self, socket: u64, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        let end = self.ends.get_mut(socket).ok_or(io::ErrorKind::ConnectionReset)?;
        // As with Linux: what came before the error can still be read.
        if end.received.is_empty() {
            return end.error.map_or(Ok(end.ended.then_some(0)), |error| Err(error.into()));
        }
        let count = bytes.len().min(end.received.len());
        let (first, second) = end.received.as_slices();
        let first = &first[..first.len().min(count)];
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..count].copy_from_slice(&second[..count - first.len()]);
        end.received.drain(..count);
        let peer = end.peer;
        // There is room for more now.
        if let Some(peer) = self.ends.get(peer) {
            self.touched.insert(peer.host);
        }
        Ok(Some(count))
    }

    pub fn write(&mut self, socket: u64, bytes: &[u8], now_us: u64) -> io::Result<usize> {
        let end = self.ends.get(socket).ok_or(io::ErrorKind::ConnectionReset)?;
        if let Some(error) = end.error {
            return Err(error.into());
        }
        if !end.connected {
            return Ok(0);
        }
        let count = bytes.len().min(self.room(end));
        if count == 0 {
            return Ok(0);
        }
        let (from, to) = (end.host, end.peer);
        let Some(target) = self.host_of_address(end.peer_address) else { return Ok(count) };
        let pinch = self.pinch.filter(|pinch| (pinch.from, pinch.to) == (from, target));
        let count = pinch.map_or(count, |pinch| pinch.piece.min(count));
        // Newlines tell a replica that waits that somebody is there.
        let said = bytes[..count].trim_ascii_start();
        if target < self.servers && matches!(said.first(), Some(b'+' | b'$')) {
            let told = ids_in(said).map(|(id, with_data)| IdTold { from, to: target, id, with_data });
            self.ids_told.extend(told);
        }
        if let Some(end) = self.ends.get_mut(socket) {
            end.under_way += count;
        }
        let mut bytes = bytes[..count].to_vec();
        if self.misends.contains(&from) {
            self.spoil_mark(socket, &mut bytes);
        }
        let event = Event::Bytes { to, from: socket, bytes };
        self.plan(from, target, Some(socket), now_us, event);
        Ok(count)
    }

    fn host_of_address(&self, address: SocketAddr) -> Option<HostId> {
        host_of(&address)
    }

    /// The end goes. With bytes that nobody has read the other one is reset.
    pub fn close(&mut self, socket: u64, now_us: u64) {
        let Some(end) = self.ends.remove(socket) else { return };
        self.gone.insert(socket, end.last_at_us);
        let Some(target) = host_of(&end.peer_address) else { return };
        if !end.connected || end.error.is_some() {
            return;
        }
        let event = if end.received.is_empty() { Event::End { to: end.peer } } else { Event::Reset { to: end.peer } };
        let at_us = now_us.max(end.last_at_us) + 1;
        self.plan_at(at_us, Planned { from: end.host, to: target, event });
    }

    // ---- for who makes it go wrong ----

    /// A connection breaks: both ends are told at once.
    pub fn cut(&mut self, socket: u64) {
        let peer = self.ends.get(socket).map(|end| end.peer);
        for socket in [Some(socket), peer].into_iter().flatten() {
            self.fail(socket, io::ErrorKind::ConnectionReset);
        }
    }

    /// Bytes that nobody has sent arrive at a machine, on a connection to another on which nothing has come for so long. Answers whether there was one.
    pub fn inject(&mut self, at: HostId, from: HostId, bytes: &[u8], idle_us: u64, now_us: u64) -> bool {
        let candidates: Vec<u64> = self.between(at, from);
        for socket in candidates {
            let Some(end) = self.ends.get(socket) else { continue };
            let is_idle = self.ends.get(end.peer).is_some_and(|p| p.under_way == 0 && p.last_at_us + idle_us < now_us);
            if is_idle
                && let Some(end) = self.ends.get_mut(socket)
                && end.received.is_empty()
            {
                end.received.extend(bytes);
                self.touched.insert(at);
                return true;
            }
        }
        false
    }

    /// Whether everything arrives everywhere, and soon.
    pub fn is_open(&self, now_us: u64) -> bool {
        self.blocked.is_empty() && self.slow.is_empty() && self.slow_until_us.values().all(|us| now_us > *us)
    }

    /// Whether all that one sends arrives soon.
    pub fn takes_from(&self, host: HostId, now_us: u64) -> bool {
        let is_slow = self.slow.keys().any(|(from, _)| *from == host);
        self.blocked.is_empty() && !is_slow && self.slow_until_us.get(&host).is_none_or(|us| now_us > *us)
    }

    /// From now on a KiB takes so many us in one direction.
    pub fn slow_down(&mut self, from: HostId, to: HostId, us_per_kib: u64) {
        self.slow.insert((from, to), us_per_kib);
    }

    pub fn speed_up_all(&mut self) {
        self.slow.clear();
    }

    /// The next snapshot that a machine sends will end with another mark than it was to.
    pub fn misend(&mut self, from: HostId, on: bool) {
        match on {
            true => self.misends.insert(from),
            false => self.misends.remove(&from),
        };
    }

    /// Changes the mark at the end of a snapshot, if it is in these bytes as a whole.
    fn spoil_mark(&mut self, socket: u64, bytes: &mut [u8]) {
        let Some(end) = self.ends.get_mut(socket) else { return };
        let mut from = 0;
        if let Some(header) = bytes.windows(MARK_HEADER.len()).position(|window| window == MARK_HEADER) {
            from = (header + MARK_HEADER.len() + MARK_BYTES).min(bytes.len());
            end.mark = bytes[..from].last_chunk().copied();
        }
        let Some(mark) = end.mark else { return };
        if let Some(at) = bytes[from..].windows(MARK_BYTES).position(|window| window == mark) {
            bytes[from + at] ^= 1;
            end.mark = None;
            self.misends.remove(&end.host);
        }
    }

    /// How many of the bytes that one machine has sent to another arrive.
    fn passed(&mut self, from: HostId, to: HostId, count: usize) -> usize {
        let Some(pinch) = self.pinch.as_mut().filter(|pinch| (pinch.from, pinch.to) == (from, to)) else {
            return count;
        };
        match pinch.cut_after {
            Some(left) if left < count as u64 => {
                pinch.cut_after = None;
                left as usize
            }
            left => {
                pinch.cut_after = left.map(|left| left - count as u64);
                count
            }
        }
    }

    /// Connections between two machines.
    pub fn between(&self, a: HostId, b: HostId) -> Vec<u64> {
        let is_between = |end: &End| end.host == a && host_of(&end.peer_address) == Some(b) && end.connected;
        self.ends.iter().filter(|(_, end)| is_between(end)).map(|(socket, _)| socket).collect()
    }

    /// Nothing arrives from one machine at another until that is taken back.
    pub fn block(&mut self, from: HostId, to: HostId) {
        self.blocked.insert((from, to));
    }

    pub fn unblock_all(&mut self, now_us: u64) {
        self.blocked.clear();
        for planned in std::mem::take(&mut self.stuck) {
            // Before whatever is still on its way.
            self.plan_at(now_us, planned);
        }
    }

    /// A machine is gone without a word: its connections are known to nobody there any more.
    pub fn vanish(&mut self, host: HostId) {
        self.ends.remove_all_of(host);
        self.listening.retain(|(of, _), _| *of != host);
    }

    fn fail(&mut self, socket: u64, why: io::ErrorKind) {
        if let Some(end) = self.ends.get_mut(socket) {
            end.error = Some(why);
            self.touched.insert(end.host);
        }
    }

    // ---- time ----

    fn plan(&mut self, from: HostId, to: HostId, sender: Option<u64>, now_us: u64, event: Event) {
        let Delays { least, most, slow_one_in } = self.delays;
        let mut delay = self.rng.u64(least..=most);
        if slow_one_in > 0 && self.rng.u32(..slow_one_in) == 0 {
            delay *= 100;
        }
        let mut at_us = now_us + delay;
        if let Some(end) = sender.and_then(|socket| self.ends.get_mut(socket)) {
            at_us = at_us.max(end.last_at_us + 1);
            if let (Some(us_per_kib), Event::Bytes { bytes, .. }) = (self.slow.get(&(from, to)), &event) {
                at_us += bytes.len() as u64 * us_per_kib / 1024;
                let until_us = self.slow_until_us.entry(from).or_default();
                *until_us = at_us.max(*until_us);
            }
            end.last_at_us = at_us;
        }
        self.plan_at(at_us, Planned { from, to, event });
    }

    fn plan_at(&mut self, at_us: u64, planned: Planned) {
        self.last_plan += 1;
        self.queue.push(Arrival { at_us, plan: self.last_plan, planned });
    }

    /// When something arrives next.
    pub fn next_us(&self) -> Option<u64> {
        self.queue.peek().map(|arrival| arrival.at_us)
    }

    /// Everything that is due arrives. `is_up` says whether a machine has power.
    pub fn advance(&mut self, now_us: u64, is_up: impl Fn(HostId) -> bool) {
        while self.next_us().is_some_and(|at_us| at_us <= now_us)
            && let Some(Arrival { planned, .. }) = self.queue.pop()
        {
            if self.blocked.contains(&(planned.from, planned.to)) {
                self.stuck.push(planned);
            } else {
                self.arrive(planned, now_us, &is_up);
            }
        }
    }

    fn arrive(&mut self, planned: Planned, now_us: u64, is_up: &impl Fn(HostId) -> bool) {
        if !is_up(planned.to) {
            // A machine without power: the other one sends again.
            return self.plan_at(now_us + SENT_AGAIN_US, planned);
        }
        let Planned { from: from_host, to: to_host, event } = planned;
        match event {
            Event::Asks { from, to } => {
                let Some(address) = self.ends.get(from).map(|end| end.address) else { return };
                let mut accepted = None;
                if self.listening.contains_key(&(to_host, to.port())) {
                    let socket = self.add_end(to_host, to, address);
                    if let Some(end) = self.ends.get_mut(socket) {
                        (end.peer, end.connected) = (from, true);
                    }
                    if let Some(end) = self.ends.get_mut(from) {
                        end.peer = socket;
                    }
                    if let Some(listening) = self.listening.get_mut(&(to_host, to.port())) {
                        listening.waiting.push_back(socket);
                    }
                    self.touched.insert(to_host);
                    accepted = Some(socket);
                }
                // What is sent on it, or that it is closed, does not overtake this.
                self.plan(to_host, from_host, accepted, now_us, Event::Answers { to: from, accepted });
            }
            Event::Answers { to, accepted: None } => self.fail(to, io::ErrorKind::ConnectionRefused),
            Event::Answers { to, accepted: Some(from) } => match self.ends.get_mut(to) {
                Some(end) => {
                    end.connected = true;
                    self.touched.insert(to_host);
                }
                // Nobody waits for it any more.
                None => {
                    let at_us = now_us + self.delays.least;
                    self.plan_at(at_us, Planned { from: to_host, to: from_host, event: Event::Reset { to: from } });
                }
            },
            Event::Bytes { to, from, bytes } => {
                if let Some(end) = self.ends.get_mut(from) {
                    end.under_way = end.under_way.saturating_sub(bytes.len());
                }
                let passed = self.passed(from_host, to_host, bytes.len());
                match self.ends.get_mut(to) {
                    // What comes after a cut is lost.
                    Some(end) if end.error.is_some() => {}
                    Some(end) => {
                        end.received.extend(&bytes[..passed]);
                        self.touched.insert(to_host);
                        if passed < bytes.len() {
                            self.cut(to);
                        }
                    }
                    // Nobody is there, and the machine says so.
                    None => {
                        // It does not overtake what was sent before.
                        let at_us = now_us.max(*self.gone.get(&to).unwrap_or(&0)) + self.delays.least;
                        self.plan_at(at_us, Planned { from: to_host, to: from_host, event: Event::Reset { to: from } });
                    }
                }
            }
            Event::End { to } => {
                if let Some(end) = self.ends.get_mut(to) {
                    end.ended = true;
                    self.touched.insert(to_host);
                }
            }
            Event::Reset { to } => self.fail(to, io::ErrorKind::ConnectionReset),
        }
    }
}
