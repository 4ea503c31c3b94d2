//! MEMORY.

use rivulet_commands::Command;
use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_engine::asker::Asker;
use rivulet_engine::session::Kind;
use rivulet_memory as memory;
use rivulet_resp::Args;

use crate::node::Node;

/// Bytes of the buffers of clients.
#[derive(Clone, Copy, Default)]
pub struct ClientMemory {
    pub normal: usize,
    pub replicas: usize,
}

/// The lines of MEMORY HELP.
const HELP: &[&str] = &[
    "DOCTOR",
    "    An account of the use of memory in words.",
    "MALLOC-STATS",
    "    The allocator's statistics.",
    "PURGE",
    "    Give unused memory back to the system.",
    "STATS",
    "    Figures about the use of memory.",
    "USAGE <key> [SAMPLES <count>]",
    "    Bytes that a key takes.",
];

impl Node {
    pub fn memory_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        let id = by.id;
        match command.name {
            "usage" => {
                let mut at = 3;
                while at < args.len() {
                    if !args.is(at, "samples") || at + 1 >= args.len() {
                        return Err(SYNTAX);
                    }
                    if rivulet_commands::parse::int(args.at(at + 1))? < 0 {
                        return Err(SYNTAX);
                    }
                    at += 2;
                }
                let db = self.engine.keyspace.db(self.clients.at(id).session.db);
                // An entry, what it points to, and its share of the table.
                let bytes = db.find(db.key(args.at(2))).map(|e| e.entry_bytes() + e.heap_bytes() + 10);
                match bytes {
                    Some(bytes) => by.reply.int(bytes as i64),
                    None => by.reply.null(),
                }
            }
            "purge" => {
                memory::purge();
                by.reply.ok();
            }
            "malloc-stats" => {
                let stats = memory::allocator_stats();
                let text =
                    format!("allocated: {}\nactive: {}\nresident: {}\n", stats.allocated, stats.active, stats.resident);
                by.reply.verbatim("txt", text.as_bytes());
            }
            "stats" => self.memory_stats(by),
            "doctor" => {
                let text = self.memory_report();
                by.reply.verbatim("txt", text.as_bytes());
            }
            _ => self.help(by, "MEMORY", HELP),
        }
        Ok(())
    }

    /// Looks at all clients once.
    pub fn client_memory(&self) -> ClientMemory {
        let mut memory = ClientMemory::default();
        for client in self.clients.shown() {
            match client.session.kind {
                Kind::Normal | Kind::Pubsub => memory.normal += client.memory_bytes(),
                Kind::Replica => memory.replicas += client.memory_bytes(),
                Kind::Master => {}
            }
        }
        memory
    }

    /// Bytes that are no data: tables, logs, buffers.
    pub fn overhead_memory(&self, clients: ClientMemory) -> usize {
        self.engine.keyspace.iter().map(|db| db.overhead_bytes()).sum::<usize>()
            + self.replication.log.memory_bytes()
            + clients.normal
            + clients.replicas
    }

    fn memory_stats(&mut self, by: &mut Asker<'_>) {
        let stats = memory::allocator_stats();
        let used = memory::used();
        let clients = self.client_memory();
        let overhead = self.overhead_memory(clients);
        let keys = self.engine.keyspace.len();
        let dataset = used.saturating_sub(overhead);
        let rows: Vec<(&str, i64)> = vec![
            ("peak.allocated", memory::peak() as i64),
            ("total.allocated", used as i64),
            ("startup.allocated", self.ops.startup_memory as i64),
            ("replication.backlog", self.replication.log.memory_bytes() as i64),
            ("clients.slaves", clients.replicas as i64),
            ("clients.normal", clients.normal as i64),
            ("overhead.total", overhead as i64),
            ("keys.count", keys as i64),
            ("keys.bytes-per-key", used.saturating_sub(self.ops.startup_memory).checked_div(keys).unwrap_or(0) as i64),
            ("dataset.bytes", dataset as i64),
            ("allocator.allocated", stats.allocated as i64),
            ("allocator.active", stats.active as i64),
            ("allocator.resident", stats.resident as i64),
        ];
        let reply = &mut by.reply;
        reply.map(rows.len());
        for (name, value) in rows {
            reply.bulk(name.as_bytes());
            reply.int(value);
        }
    }

    fn memory_report(&self) -> String {
        let stats = memory::allocator_stats();
        let mut text = String::new();
        if stats.allocated > 5 << 20 && stats.active > stats.allocated * 14 / 10 {
            text += "Pages in use are much larger than what is allocated: memory is fragmented. MEMORY PURGE gives back what is free.\n";
        }
        if memory::peak() > memory::used() * 3 / 2 && memory::used() > 5 << 20 {
            text += "Memory in use was much higher at its peak than it is now: the process may keep pages that it no longer needs.\n";
        }
        if self.client_memory().normal > 200 << 10 << 10 {
            text +=
                "Buffers of clients are large: look for slow readers in CLIENT LIST (omem) and for long pipelines.\n";
        }
        if text.is_empty() { "Nothing about the use of memory looks wrong.\n".into() } else { text }
    }
}
