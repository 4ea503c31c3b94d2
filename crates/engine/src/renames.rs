//! `rename-command`: which command a name means.

use std::collections::HashMap;

use rivulet_commands::{Command, table};

/// New names, and old ones that are gone.
#[derive(Clone, Default)]
pub struct Renames(pub HashMap<Vec<u8>, Option<&'static Command>>);

impl Renames {
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        if !self.0.is_empty()
            && let Some(renamed) = self.0.get(&name.to_ascii_lowercase())
        {
            return *renamed;
        }
        table::find(name)
    }
}
