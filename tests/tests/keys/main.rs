//! Keys that go by themselves: by their time, and for want of memory.

mod eviction;
mod expiry;

use rivulet_tests::client::Words;
use rivulet_tests::{Client, Server};

/// Sets keys `prefix:0` and so on to values of so many bytes, with what follows the value in SET.
fn fill(server: &Server, prefix: &str, count: usize, bytes: usize, options: impl Fn(usize) -> String) {
    let value = "v".repeat(bytes);
    let mut client = server.client();
    for first in (0..count).step_by(1000) {
        let line = |i: usize| format!("SET {prefix}:{i} {value} {}", options(i)).words();
        let commands: Vec<_> = (first..count.min(first + 1000)).map(line).collect();
        assert!(client.pipeline(&commands).iter().all(|reply| reply.is_ok()));
    }
}

/// The same over a connection that is there.
fn fill_by(client: &mut Client, prefix: &str, count: usize, options: &str) {
    let commands: Vec<_> = (0..count).map(|i| format!("SET {prefix}:{i} v {options}").words()).collect();
    assert!(client.pipeline(&commands).iter().all(|reply| reply.is_ok()));
}
