//! A position proves data: who stands at the same offset of the same history holds the same.

use std::collections::HashMap;

use super::Broken;
use crate::observer::Sight;

#[derive(Default)]
pub struct Positions(HashMap<(String, u64), Sight>);

impl Positions {
    pub fn saw(&mut self, sight: &Sight) -> Result<(), Broken> {
        if sight.loads || sight.diverged {
            return Ok(());
        }
        let first = self.0.entry((sight.id.clone(), sight.offset)).or_insert_with(|| sight.clone());
        if first.digest == sight.digest {
            return Ok(());
        }
        Err(format!(
            "at offset {} of {} server {} held {} and server {} holds {} (at {} and {} us)",
            sight.offset, sight.id, first.server, first.digest, sight.server, sight.digest, first.at_us, sight.at_us
        ))
    }

    /// Positions that were seen.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
