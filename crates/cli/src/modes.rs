//! What the program does beside commands: each mode is a file.

pub mod cluster;
pub mod dump;
pub mod eval;
pub mod hotkeys;
pub mod intrinsic;
pub mod keys;
pub mod keystats;
pub mod latency;
pub mod latency_dist;
pub mod lru;
pub mod pipe;
pub mod scan;
pub mod stat;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rivulet_client::Reply;

use crate::clock;
use crate::out::{Fatal, say};
use crate::session::Session;

/// Ctrl-C, as something that a loop looks at. Without it, it ends the program.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C is noted.
    ///
    /// # Errors
    /// The system refuses.
    pub fn watch() -> Result<Interrupt, Fatal> {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGINT, flag.clone())
            .map_err(|error| Fatal(format!("Can't watch for Ctrl-C: {error}")))?;
        Ok(Interrupt(flag))
    }

    pub fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Asks, and connects again and again where the link is lost.
///
/// # Errors
/// What came is no reply.
fn ask_always(session: &mut Session, args: &[&str]) -> Result<Reply, Fatal> {
    let mut tries = 0;
    loop {
        match session.ask(args) {
            Ok(reply) => {
                if tries > 0 {
                    say!("\r\x1b[0K");
                }
                return Ok(reply);
            }
            Err(error) if matches!(error.failure, rivulet_client::Failure::Protocol(_)) => return Err(error.into()),
            Err(_) => {
                tries += 1;
                say!("\r\x1b[0KReconnecting... {tries}\r");
                // Whether it has worked the next question tells.
                let _ = session.reconnect(true);
                clock::sleep(Duration::from_secs(1));
            }
        }
    }
}

/// Parts of a whole in percent; of nothing all is none.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// As `%05.2f`.
fn padded(percent: f64) -> String {
    format!("{percent:05.2}")
}
