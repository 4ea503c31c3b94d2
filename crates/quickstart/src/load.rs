//! The data of the show and its live load: a few keys on the master, written at a steady, slow pace.

use std::io;

use super::node::Node;
use crate::clock;

const KEYS: usize = 2000;
const VALUE_LEN: usize = 1024;
/// After a failure, as when the master is gone, the next write is tried so much later.
const RETRY_MS: u64 = 1000;

/// Gives the master something that a full sync must copy; answers the number of keys and their bytes.
pub fn fill(master: &mut Node) -> io::Result<(usize, u64)> {
    // Random letters: they don't shrink to nothing when a snapshot compresses them. Always the same ones.
    let mut random = fastrand::Rng::with_seed(1);
    let mut bytes = 0;
    for first in (0..KEYS).step_by(100) {
        let commands: Vec<[String; 3]> = (first..(first + 100).min(KEYS))
            .map(|i| {
                let value: String = (0..VALUE_LEN).map(|_| random.alphanumeric()).collect();
                ["SET".to_string(), format!("quickstart:data:{i:04}"), value]
            })
            .collect();
        bytes += commands.iter().map(|[_, key, value]| (key.len() + value.len()) as u64).sum::<u64>();
        master.client()?.ask_all(&commands)?;
    }
    Ok((KEYS, bytes))
}

/// A write each tick, to keys that are always the same.
pub struct Load {
    written: u64,
    next_ms: u64,
}

impl Load {
    pub fn new() -> Load {
        Load { written: 0, next_ms: 0 }
    }

    pub fn tick(&mut self, master: &mut Node, now_ms: u64) {
        if now_ms < self.next_ms || master.is_gone() {
            return;
        }
        let n = self.written.to_string();
        let time = clock::unix_ms().to_string();
        let key = format!("quickstart:recent:{}", self.written % 8);
        let commands: [&[&str]; 3] = [
            &["INCR", "quickstart:writes"],
            &["SET", &key, &time],
            &["HSET", "quickstart:last", "write", &n, "time", &time],
        ];
        let asked = master.client().and_then(|c| c.ask(commands[(self.written % 3) as usize]));
        match asked {
            Ok(_) => self.written += 1,
            Err(_) => {
                // Somebody plays with the master: wait, and go on when it takes writes again.
                master.hang_up();
                self.next_ms = now_ms + RETRY_MS;
            }
        }
    }
}
