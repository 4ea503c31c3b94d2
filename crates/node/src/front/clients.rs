//! Clients: each is a session, a connection, and what it is sent as a replica; and where they are kept.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};

use rivulet_engine::client_id::ClientId;
use rivulet_engine::id_hash::IdMap;
use rivulet_engine::session::{Kind, Login, Session};
use rivulet_engine::sessions::Sessions;
use rivulet_net::Stream;
use rivulet_replication::session::Announced;

use crate::front::connection::Connection;
use crate::persist::payload::PayloadCursor;

/// Output that waits for one client that has not authenticated, where it is counted: as in Redis since 7.2.8 it may not wait for what it was not told to read.
const UNAUTHENTICATED_OUTPUT_MAX: usize = 1024;

/// A part of the stream that has left the memory.
pub struct LogPiece {
    pub offset: u64,
    pub bytes: Vec<u8>,
}

/// What a connection is sent as a replica.
#[derive(Default)]
pub struct Feed {
    /// What it said with REPLCONF. Its session, once it is a replica, is with `replication::master`.
    pub announced: Announced,
    /// What it still gets of a snapshot.
    pub payload: Option<PayloadCursor>,
    /// Bytes of the stream from disk, and whether such are being read.
    pub piece: Option<Box<LogPiece>>,
    pub piece_wanted: bool,
}

/// Who is served: a session, the connection that it speaks through, and what it is sent if it is a replica.
pub struct Client {
    pub id: ClientId,
    /// It is not closed to make room.
    pub no_evict: bool,
    pub session: Session,
    pub connection: Connection,
    pub feed: Box<Feed>,
    /// What `Clients::unauthenticated_bytes` has in it for this client.
    unauthenticated_bytes: usize,
    /// What `Clients::counted_memory` has in it for this client.
    counted_memory: usize,
    /// The power of two of it, while the client may be evicted for it.
    size_class: Option<u32>,
}

impl Client {
    pub fn new(id: ClientId, stream: Option<Stream>, now_ms: u64) -> Client {
        Client {
            id,
            no_evict: false,
            session: Session::default(),
            connection: Connection::new(stream, now_ms),
            feed: Box::default(),
            unauthenticated_bytes: 0,
            counted_memory: 0,
            size_class: None,
        }
    }

    #[inline]
    pub fn is_master(&self) -> bool {
        self.session.is_master()
    }

    #[inline]
    pub fn is_replica(&self) -> bool {
        self.session.is_replica()
    }

    /// Whether more waits for it than `client-output-buffer-limit` allows its class, or waits for too long. Replicas are asked elsewhere.
    pub fn is_over_limit(&mut self, limits: &[(u64, u64, u64); 3], now_ms: u64) -> bool {
        self.is_over_limit_with(0, limits, now_ms)
    }

    /// The same when `more` bytes come to what waits.
    pub fn is_over_limit_with(&mut self, more: usize, limits: &[(u64, u64, u64); 3], now_ms: u64) -> bool {
        let (hard, soft, seconds) = match self.session.kind {
            Kind::Normal => limits[0],
            Kind::Pubsub => limits[2],
            Kind::Replica | Kind::Master => return false,
        };
        if self.connection.closing {
            return false;
        }
        let outbox = &mut self.connection.outbox;
        let counted = (outbox.output.shape().2 + more) as u64;
        let is_too_long = outbox.is_over_soft_limit(counted, soft, now_ms).is_some_and(|ms| ms / 1000 > seconds);
        hard > 0 && counted > hard
            || is_too_long
            || !self.session.login.authenticated && counted > UNAUTHENTICATED_OUTPUT_MAX as u64
    }

    /// Gives memory back that a large command has left; a quiet connection keeps no buffers at all.
    pub fn give_back(&mut self, is_quiet: bool) {
        self.connection.input.decoder.give_back();
        if is_quiet {
            self.connection.outbox.output.give_back();
            self.connection.outbox.hold.give_back();
            self.connection.input.peak = 0;
        }
    }

    /// Bytes of its buffers, and of what it asked the server to keep. An argument counts as soon as its length is known.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Client>() + self.connection.memory_bytes() + self.session.memory_bytes()
    }
}

/// So many are looked at in a slice, if there are as many.
const SLICE_MIN: usize = 5;

/// All clients. An id is never used twice.
#[derive(Default)]
pub struct Clients {
    slots: Vec<Option<Box<Client>>>,
    free: Vec<u32>,
    /// Where the client with an id is.
    index: IdMap<ClientId, u32>,
    /// The client that was looked for last: commands come in runs.
    last: Cell<(ClientId, u32)>,
    next_id: ClientId,
    len: usize,
    /// Those of `len` that are internal.
    internal: usize,
    /// Sum of the clients' `counted_memory`.
    counted_memory: usize,
    /// Sum of the clients' own.
    unauthenticated_bytes: usize,
    /// Those that may be evicted, by the power of two of `counted_memory`.
    by_size: BTreeSet<(u32, ClientId)>,
    /// The slot that `next_slice` looked at last.
    slice_at: usize,
    /// The log knows that `maxmemory-clients` can't be kept to.
    pub told_of_limit: bool,
    /// Clients with output to send before the loop sleeps.
    pub to_write: Vec<ClientId>,
    pub to_close: Vec<ClientId>,
    /// Clients whose buffered input must be looked at again.
    pub to_process: VecDeque<ClientId>,
}

impl Clients {
    pub fn add(&mut self, stream: Option<Stream>, now_ms: u64) -> &mut Client {
        self.next_id += 1;
        let id = self.next_id;
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.index.insert(id, slot);
        self.len += 1;
        self.slots[slot as usize].insert(Box::new(Client::new(id, stream, now_ms)))
    }

    pub fn remove(&mut self, id: ClientId) -> Option<Box<Client>> {
        let slot = self.index.remove(&id)?;
        self.last.set((0, 0));
        self.free.push(slot);
        self.len -= 1;
        let mut client = self.slots[slot as usize].take()?;
        self.internal -= usize::from(client.session.is_internal);
        self.set_counted(&mut client, 0);
        self.set_unauthenticated(&mut client, 0);
        Some(client)
    }

    #[inline]
    fn slot_of(&self, id: ClientId) -> Option<u32> {
        let (last, slot) = self.last.get();
        if last == id && id != 0 {
            return Some(slot);
        }
        let slot = *self.index.get(&id)?;
        self.last.set((id, slot));
        Some(slot)
    }

    #[inline]
    pub fn get(&self, id: ClientId) -> Option<&Client> {
        self.slots[self.slot_of(id)? as usize].as_deref()
    }

    #[inline]
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        let slot = self.slot_of(id)?;
        self.slots[slot as usize].as_deref_mut()
    }

    /// A client that is known to be there.
    #[inline]
    pub fn at(&mut self, id: ClientId) -> &mut Client {
        self.get_mut(id).expect("the client was not removed")
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many count against `maxclients`.
    pub fn served(&self) -> usize {
        self.len - self.internal
    }

    /// A client that has just come is the server's own.
    pub fn make_internal(&mut self, id: ClientId) {
        let Some(client) = self.get_mut(id) else { return };
        client.no_evict = true;
        self.internal += usize::from(!std::mem::replace(&mut client.session.is_internal, true));
    }

    /// All but those that are internal.
    pub fn shown(&self) -> impl Iterator<Item = &Client> {
        self.iter().filter(|client| !client.session.is_internal)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.slots.iter().flatten().map(|c| &**c)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.slots.iter_mut().flatten().map(|c| &mut **c)
    }

    /// The next clients to look at, so many that all have had their turn after a second.
    pub fn next_slice(&mut self, period_ms: u64) -> Vec<ClientId> {
        let count = (self.slots.len() * period_ms as usize).div_ceil(1000).max(SLICE_MIN).min(self.slots.len());
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            self.slice_at = (self.slice_at + 1) % self.slots.len();
            ids.extend(self.slots[self.slice_at].as_ref().map(|client| client.id));
        }
        ids
    }

    pub fn ids(&self) -> Vec<ClientId> {
        let mut ids: Vec<_> = self.index.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Bytes of all clients that count against `maxmemory-clients`, as of the last count of each.
    pub fn counted_memory(&self) -> usize {
        self.counted_memory
    }

    /// Counts a client's memory anew.
    pub fn count_memory(&mut self, id: ClientId) {
        let Some(slot) = self.slot_of(id) else { return };
        let Some(mut client) = self.slots[slot as usize].take() else { return };
        let counts = matches!(client.session.kind, Kind::Normal | Kind::Pubsub)
            && !client.connection.closing
            && !client.session.is_internal;
        let now = if counts { client.memory_bytes() } else { 0 };
        self.set_counted(&mut client, now);
        self.slots[slot as usize] = Some(client);
    }

    fn set_counted(&mut self, client: &mut Client, now: usize) {
        let before = std::mem::replace(&mut client.counted_memory, now);
        self.counted_memory = self.counted_memory - before + now;
        let class = if client.no_evict { None } else { now.checked_ilog2() };
        if client.size_class != class {
            if let Some(before) = std::mem::replace(&mut client.size_class, class) {
                self.by_size.remove(&(before, client.id));
            }
            self.by_size.extend(class.map(|class| (class, client.id)));
        }
    }

    /// One of those with most memory counted, within a factor of two, that may be evicted.
    pub fn largest(&self) -> Option<ClientId> {
        self.by_size.last().map(|(_, id)| *id)
    }

    /// Bytes kept for clients that have not authenticated, or a little more.
    pub fn unauthenticated_bytes(&self) -> usize {
        self.unauthenticated_bytes
    }

    /// Counts anew what is kept for a client that has not authenticated.
    pub fn count_unauthenticated(&mut self, id: ClientId) {
        let Some(slot) = self.slot_of(id) else { return };
        let Some(mut client) = self.slots[slot as usize].take() else { return };
        let keeps = !client.session.login.authenticated && !client.connection.closing;
        let now = if keeps {
            client.connection.input.bytes.capacity() + client.connection.outbox.output.memory_bytes()
        } else {
            0
        };
        self.set_unauthenticated(&mut client, now);
        self.slots[slot as usize] = Some(client);
    }

    fn set_unauthenticated(&mut self, client: &mut Client, now: usize) {
        let before = std::mem::replace(&mut client.unauthenticated_bytes, now);
        self.unauthenticated_bytes = self.unauthenticated_bytes - before + now;
    }

    /// Counts all anew that have not authenticated; answers those for which something is kept.
    pub fn recount_unauthenticated(&mut self) -> Vec<(usize, ClientId)> {
        let ids: Vec<ClientId> = self.iter().filter(|c| c.unauthenticated_bytes > 0).map(|c| c.id).collect();
        ids.iter().for_each(|id| self.count_unauthenticated(*id));
        let keep = |id: ClientId| self.get(id).map(|c| (c.unauthenticated_bytes, id));
        ids.into_iter().filter_map(keep).filter(|(bytes, _)| *bytes > 0).collect()
    }

    /// Who a client is has changed.
    pub fn set_login(&mut self, id: ClientId, login: Login) {
        let Some(client) = self.get_mut(id) else { return };
        client.session.log_in(login);
        self.count_unauthenticated(id);
    }

    /// Notes that a client has output.
    #[inline]
    pub fn queue_write(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id)
            && !client.connection.outbox.queued
        {
            client.connection.outbox.queued = true;
            self.to_write.push(id);
        }
    }

    /// The client is to be freed before the loop sleeps.
    pub fn close_soon(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id)
            && !client.connection.closing
        {
            client.connection.closing = true;
            self.to_close.push(id);
            self.count_unauthenticated(id);
        }
    }
}

impl Sessions for Clients {
    fn session(&self, id: ClientId) -> Option<&Session> {
        self.get(id).map(|client| &client.session)
    }

    fn session_mut(&mut self, id: ClientId) -> Option<&mut Session> {
        self.get_mut(id).map(|client| &mut client.session)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn crowd(count: usize) -> Clients {
        let mut clients = Clients::default();
        (0..count).for_each(|_| _ = clients.add(None, 0).id);
        clients
    }

    #[test]
    fn each_client_is_looked_at_once_a_second_and_few_at_a_time() {
        for (count, period_ms, most) in [(3, 100, 3), (10, 100, 5), (1000, 100, 100), (1000, 2, 5), (10_000, 100, 1000)]
        {
            let mut clients = crowd(count);
            // Some have gone meanwhile.
            (1..=count as u64).filter(|id| id % 7 == 0).for_each(|id| _ = clients.remove(id));
            let mut seen = HashSet::new();
            for _ in 0..1000 / period_ms {
                let slice = clients.next_slice(period_ms);
                assert!(slice.len() <= most, "{count} clients, {period_ms} ms: {} at a time", slice.len());
                seen.extend(slice);
            }
            assert_eq!(seen.len(), clients.len(), "{count} clients, {period_ms} ms");
        }
        assert_eq!(Clients::default().next_slice(100), []);
    }

    #[test]
    fn the_largest_is_found_by_its_size() {
        let mut clients = crowd(50);
        let mut total = 0;
        for id in 1..=50 {
            let bytes = (id as usize * 37 % 50) * 10_000;
            clients.at(id).connection.outbox.output.bytes = Vec::with_capacity(bytes);
            clients.count_memory(id);
            total += clients.at(id).memory_bytes();
        }
        assert_eq!(clients.counted_memory(), total);
        // Who may stay does not count as the largest.
        let spared = clients.largest().expect("there are some");
        clients.at(spared).no_evict = true;
        clients.count_memory(spared);
        let mut last = usize::MAX;
        while let Some(id) = clients.largest() {
            let size = clients.at(id).memory_bytes();
            assert!(id != spared && size < last.saturating_mul(2), "{size} after {last}");
            last = size;
            if id % 2 == 0 {
                clients.remove(id);
            } else {
                clients.close_soon(id);
                clients.count_memory(id);
            }
        }
        assert_eq!(clients.counted_memory(), clients.at(spared).memory_bytes());
    }

    #[test]
    fn what_strangers_keep_is_counted_until_they_are_known_or_gone() {
        let mut clients = crowd(3);
        for id in 1..=3 {
            clients.at(id).connection.input.bytes = Vec::with_capacity(1000 * id as usize);
            clients.count_unauthenticated(id);
        }
        assert_eq!(clients.unauthenticated_bytes(), 6000);
        clients.set_login(3, Login::superuser());
        assert_eq!(clients.unauthenticated_bytes(), 3000);
        clients.at(2).connection.input.bytes = Vec::new();
        assert_eq!(clients.recount_unauthenticated(), [(1000, 1)]);
        assert_eq!(clients.unauthenticated_bytes(), 1000);
        clients.remove(1);
        assert_eq!(clients.unauthenticated_bytes(), 0);
    }
}
