//! Keeping within `maxmemory-clients`: the connections that use most memory are closed first, as far as powers of two tell them apart.
//!
//! Each client's memory is counted where it may have changed: after its input was read or executed, and after output was sent. Nothing is
//! counted while there is no limit. Replicas and the master's link are not counted: their buffers belong to replication.

use rivulet_config::BytesOrPercent;
use rivulet_engine::client_id::ClientId;

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

    /// Counts anew what all clients use, when the limit was set.
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
            self.clients.told_of_limit = false;
            return;
        }
        // Who may not be evicted is over the limit for long: nothing is to be looked at anew for each batch.
        if self.clients.largest().is_none() && self.clients.to_close.is_empty() {
            return self.tell_of_client_limit();
        }
        self.close_condemned(executing);
        while self.clients.counted_memory() >= limit {
            let Some(id) = self.clients.largest() else { return self.tell_of_client_limit() };
            log::notice!("Evicting client: {}", self.client_line(id));
            self.ops.stats.connections.evicted += 1;
            if executing == Some(id) || self.runs_script_of(id) {
                self.clients.close_soon(id);
                self.clients.count_memory(id);
            } else {
                self.free_client(id);
            }
        }
    }

    /// Said once, until the others are below the limit again.
    fn tell_of_client_limit(&mut self) {
        if !std::mem::replace(&mut self.clients.told_of_limit, true) {
            log::warning!("Over client maxmemory after evicting all evictable clients");
        }
    }

    /// Those that go anyway make room first, so that no other goes for them.
    fn close_condemned(&mut self, executing: Option<ClientId>) {
        self.check_output_limits();
        for id in std::mem::take(&mut self.clients.to_close) {
            if executing == Some(id) || self.runs_script_of(id) {
                self.clients.count_memory(id);
                self.clients.to_close.push(id);
            } else {
                self.free_client(id);
            }
        }
    }
}
