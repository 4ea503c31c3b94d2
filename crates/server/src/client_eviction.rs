//! Keeping within `maxmemory-clients`: the connections that use most memory are closed first.
//!
//! Each client's memory is counted where it may have changed: after its input was read or executed, and after output was sent. Nothing is
//! counted while there is no limit. Replicas and the master's link are not counted: their buffers belong to replication.

use crate::clients::ClientId;
use crate::config::BytesOrPercent;
use crate::log;
use crate::node::Node;

/// A lower limit would leave no room to talk to the server at all.
const LIMIT_BYTES_MIN: u64 = 128 * 1024;

impl Node {
    /// What all clients may use together; `None` when there is no limit.
    pub fn client_memory_limit(&self) -> Option<usize> {
        let bytes = match self.config.maxmemory_clients {
            BytesOrPercent::Bytes(bytes) => bytes,
            BytesOrPercent::Percent(percent) => (self.config.maxmemory as f64 * f64::from(percent) / 100.0) as u64,
        };
        (bytes > 0).then(|| bytes.max(LIMIT_BYTES_MIN) as usize)
    }

    pub fn limits_client_memory(&self) -> bool {
        self.config.maxmemory_clients != BytesOrPercent::Bytes(0)
    }

    /// A client's memory may have changed.
    #[inline]
    pub fn count_client_memory(&mut self, id: ClientId) {
        if self.limits_client_memory() {
            self.clients.count_memory(id);
        }
    }

    /// Counts anew what all clients use: after the limit was set, and now and then.
    pub fn count_all_client_memory(&mut self) {
        if self.limits_client_memory() {
            for id in self.clients.ids() {
                self.clients.count_memory(id);
            }
        }
    }

    /// Closes clients until the others are below the limit. The one that is executing a command is closed after it.
    pub fn evict_clients(&mut self, executing: Option<ClientId>) {
        let Some(limit) = self.client_memory_limit() else { return };
        if self.clients.counted_memory() < limit {
            return;
        }
        self.close_condemned(executing);
        if self.clients.counted_memory() < limit {
            return;
        }
        for id in self.evictable_clients() {
            log::notice!("Evicting client: {}", self.client_line(id));
            self.stats.evicted_clients += 1;
            if executing == Some(id) {
                self.clients.close_soon(id);
                self.clients.count_memory(id);
            } else {
                self.free_client(id);
            }
            if self.clients.counted_memory() < limit {
                return;
            }
        }
        log::warning!("Over client maxmemory after evicting all evictable clients");
    }

    /// Those that go anyway make room first, so that no other goes for them.
    fn close_condemned(&mut self, executing: Option<ClientId>) {
        self.check_output_limits();
        for id in self.clients.to_close.clone() {
            if executing == Some(id) {
                self.clients.count_memory(id);
            } else {
                self.free_client(id);
            }
        }
    }

    /// The largest first.
    fn evictable_clients(&self) -> Vec<ClientId> {
        let mut sizes: Vec<(usize, ClientId)> = self
            .clients
            .iter()
            .filter(|c| c.counted_memory > 0 && !c.no_evict && !c.closing)
            .map(|c| (c.counted_memory, c.id))
            .collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes.into_iter().map(|(_, id)| id).collect()
    }
}
