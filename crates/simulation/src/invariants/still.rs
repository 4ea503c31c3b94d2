//! What is paused is still: it does not change what it holds.

use super::Broken;
use crate::network::HostId;
use crate::observer::Sight;

/// A pause of clients, as it was asked for and confirmed.
#[derive(Debug)]
struct Pause {
    server: HostId,
    from_us: u64,
    until_us: u64,
    /// What it stood at when it was seen first.
    held: Option<Sight>,
}

/// Looks that began before the pause may end in it.
const MARGIN_US: u64 = 200_000;

#[derive(Debug, Default)]
pub struct Pauses(Vec<Pause>);

impl Pauses {
    /// A server has confirmed that it pauses, as it was asked to at a time, for so long.
    pub fn begun(&mut self, server: HostId, asked_us: u64, now_us: u64, ms: u64) {
        // Of two pauses the one that ends later counts, and it has begun with the first.
        self.ended(server);
        self.0.push(Pause { server, from_us: now_us, until_us: asked_us + ms * 1000, held: None });
    }

    /// A server has another process, another role or other data: a pause that it may have confirmed is no more.
    pub fn ended(&mut self, server: HostId) {
        self.0.retain(|pause| pause.server != server);
    }

    pub fn saw(&mut self, sight: &Sight) -> Result<(), Broken> {
        let is_in = |pause: &&mut Pause| {
            pause.server == sight.server && sight.at_us > pause.from_us + MARGIN_US && sight.at_us < pause.until_us
        };
        let Some(pause) = self.0.iter_mut().find(is_in) else { return Ok(()) };
        if sight.loads {
            self.ended(sight.server);
            return Ok(());
        }
        let held = pause.held.get_or_insert_with(|| sight.clone());
        if held.digest == sight.digest {
            return Ok(());
        }
        if (&held.id, &held.last_sync) != (&sight.id, &sight.last_sync) {
            // The data were replaced by a full sync.
            self.ended(sight.server);
            return Ok(());
        }
        Err(format!("server {} changed while it was paused: {} became {}", sight.server, held.digest, sight.digest))
    }
}
