//! `--hotkeys`: the keys that are used most, as the server's LFU has counted.

use rivulet_client::Reply;
use rivulet_resp::inline::quote;

use super::keys::ask_all;
use super::scan::{Pages, db_size};
use super::{Interrupt, padded, percent};
use crate::out::{Fatal, say};
use crate::session::Session;

/// So many are kept.
const KEPT: usize = 16;

/// The hottest keys so far, the coldest of them first.
#[derive(Default)]
struct Hottest(Vec<(u64, String)>);

impl Hottest {
    /// Takes a key that is hotter than one of those that are kept.
    fn offer(&mut self, count: u64, key: &[u8]) -> Option<&str> {
        if count == 0 || (self.0.len() == KEPT && self.0[0].0 >= count) {
            return None;
        }
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        let place = self.0.partition_point(|(other, _)| *other < count);
        self.0.insert(place, (count, String::from_utf8_lossy(&quote(key)).into_owned()));
        Some(&self.0[place].1)
    }
}

/// Looks at all keys and shows the hottest.
///
/// # Errors
/// The server counts nothing, or the link is lost.
pub fn run(session: &mut Session) -> Result<(), Fatal> {
    let interrupt = Interrupt::watch()?;
    let keys_in_all = db_size(session)?;
    say!(
        "\n# Scanning the entire keyspace to find hot keys as well as\n\
         # average sizes per key type.  You can use -i 0.1 to sleep 0.1 sec\n\
         # per 100 SCAN commands (not usually needed).\n\n"
    );
    let (mut sampled, mut hottest, mut pages) = (0, Hottest::default(), Pages::new(session));
    let mut done = 0.0;
    while !interrupt.has_come() {
        done = percent(sampled, keys_in_all);
        let Some(keys) = pages.next_page(session)? else { break };
        let commands: Vec<[&[u8]; 3]> = keys.iter().map(|key| [b"OBJECT".as_slice(), b"FREQ", key]).collect();
        for (reply, key) in ask_all(session, &commands)?.into_iter().zip(&keys) {
            sampled += 1;
            if sampled.is_multiple_of(1_000_000) {
                say!("[{}%] Sampled {sampled} keys so far\n", padded(done));
            }
            let count = count_of(&reply, key)?;
            if let Some(shown) = hottest.offer(count, key) {
                say!("[{}%] Hot key '{shown}' found so far with counter {count}\n", padded(done));
            }
        }
        pages.rest(session);
    }
    say!("\n-------- summary -------\n\n");
    if interrupt.has_come() {
        say!("[{}%] ", padded(done));
    }
    say!("Sampled {sampled} keys in the keyspace!\n");
    for (count, key) in hottest.0.iter().rev() {
        say!("hot key found with counter: {count}\tkeyname: {key}\n");
    }
    Ok(())
}

fn count_of(reply: &Reply, key: &[u8]) -> Result<u64, Fatal> {
    match reply {
        Reply::Integer(count) => Ok(u64::try_from(*count).unwrap_or(0)),
        Reply::Error(text) => Err(Fatal(format!("Error: {}", String::from_utf8_lossy(text)))),
        _ => {
            let shown = String::from_utf8_lossy(&quote(key)).into_owned();
            eprintln!("Warning: OBJECT freq on '{shown}' failed (may have been deleted)");
            Ok(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_are_kept() {
        let mut hottest = Hottest::default();
        assert_eq!(hottest.offer(0, b"cold"), None);
        for count in 1..=40 {
            assert!(hottest.offer(count, count.to_string().as_bytes()).is_some());
        }
        assert_eq!(hottest.offer(25, b"late"), None, "not hotter than the coldest");
        assert_eq!(hottest.offer(30, b"middle"), Some("\"middle\""));
        let counts: Vec<u64> = hottest.0.iter().map(|(count, _)| *count).collect();
        assert_eq!((counts.len(), counts[0], counts[15]), (16, 26, 40));
        assert!(counts.is_sorted());
    }
}
