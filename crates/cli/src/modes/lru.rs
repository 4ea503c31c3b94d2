//! `--lru-test`: a cache's load, and how often it finds what it asks for.

use std::time::Duration;

use fastrand::Rng;
use rivulet_client::Reply;

use super::keys::ask_all;
use crate::clock;
use crate::out::{Fatal, say};
use crate::session::Session;

const CYCLE: Duration = Duration::from_secs(1);
/// Commands that are sent at once.
const AT_ONCE: usize = 250;
/// A fifth of the keys has four fifths of the load.
const ALPHA: f64 = 6.2;

/// Writes and reads without end, and shows a line a second.
///
/// # Errors
/// The link is lost.
pub fn run(session: &mut Session, keys: i64) -> Result<(), Fatal> {
    let mut rng = Rng::with_seed(clock::seed());
    loop {
        let begun = clock::now();
        let (mut hits, mut misses) = (0u64, 0u64);
        while clock::now().duration_since(begun) < CYCLE {
            let writes: Vec<[String; 3]> =
                (0..AT_ONCE).map(|_| ["SET".into(), key(&mut rng, keys), value(&mut rng)]).collect();
            ask_all(session, &writes).map_err(|_| Fatal::from("I/O error during LRU test"))?;
            let reads: Vec<[String; 2]> = (0..AT_ONCE).map(|_| ["GET".into(), key(&mut rng, keys)]).collect();
            for reply in ask_all(session, &reads).map_err(|_| Fatal::from("I/O error during LRU test"))? {
                match reply {
                    Reply::Error(text) => eprintln!("{}", String::from_utf8_lossy(&text)),
                    Reply::Null => misses += 1,
                    _ => hits += 1,
                }
            }
        }
        let all = hits + misses;
        let share = |part| 100.0 * part as f64 / all.max(1) as f64;
        say!("{all} Gets/sec | Hits: {hits} ({:.2}%) | Misses: {misses} ({:.2}%)\n", share(hits), share(misses));
    }
}

fn value(rng: &mut Rng) -> String {
    (0..5).map(|_| rng.alphabetic()).collect()
}

fn key(rng: &mut Rng, keys: i64) -> String {
    format!("lru:{}", power_law(rng.f64(), keys.max(1)))
}

/// One of 1 to `max`, the lower ones more often; `share` is from 0 to 1.
fn power_law(share: f64, max: i64) -> i64 {
    let end = (max as f64 + 1.0).powf(ALPHA + 1.0);
    let drawn = ((end - 1.0) * share + 1.0).powf(1.0 / (ALPHA + 1.0));
    (max - drawn as i64 + 1).clamp(1, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_keys_has_most_of_the_load() {
        let mut rng = Rng::with_seed(7);
        let drawn: Vec<i64> = (0..10_000).map(|_| power_law(rng.f64(), 1000)).collect();
        assert!(drawn.iter().all(|key| (1..=1000).contains(key)));
        let hot = drawn.iter().filter(|key| **key <= 200).count();
        assert!((7_500..8_500).contains(&hot), "{hot}");
        assert_eq!((power_law(0.0, 5), power_law(1.0, 5)), (5, 1));
    }
}
