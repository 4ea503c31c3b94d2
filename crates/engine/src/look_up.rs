//! A batch's commands and keys are looked up together, so that the misses of the memory overlap.

use rivulet_commands::Command;
use rivulet_commands::places::keys_of;
use rivulet_commands::spec::Begin;
use rivulet_keyspace::KEY_LEN_MAX;
use rivulet_resp::{Args, Batch};

use crate::engine::Engine;

/// Commands whose memory is asked for together.
pub const BATCH_COMMANDS: usize = 16;

/// The commands of a batch, and of each the place and the hash of its first key.
pub struct LookedUp {
    pub commands: [Option<&'static Command>; BATCH_COMMANDS],
    pub hints: [Option<(usize, u64)>; BATCH_COMMANDS],
}

/// The place and the text of a command's first key, where that is the same for all its forms.
#[inline]
pub fn first_key<'a>(command: &Command, args: Args<'a>) -> Option<(usize, &'a [u8])> {
    let Begin::Index(at) = command.keys.first()?.begin else { return None };
    Some((at as usize, args.get(at as usize)?))
}

impl LookedUp {
    /// Whether a command has a key that is longer than entries can have. Only with a `proto-max-bulk-len` that was raised far can it come here.
    #[cold]
    pub fn has_long_key(&self, batch: &Batch, buffer: &[u8]) -> bool {
        let is_long = |key: &[u8]| key.len() > KEY_LEN_MAX;
        (0..batch.len()).any(|i| {
            let args = batch.args(i, buffer);
            let has_long = |command| keys_of(command, args).iter().any(|(at, _)| args.get(at).is_some_and(is_long));
            self.commands[i].is_some_and(has_long)
        })
    }
}

impl Engine {
    /// Finds the commands of a batch, and asks the memory for the entries of their first keys.
    pub fn look_up(&self, db: usize, batch: &Batch, buffer: &[u8]) -> LookedUp {
        let mut commands = [None; BATCH_COMMANDS];
        let mut hints = [None; BATCH_COMMANDS];
        let db = self.keyspace.db(db);
        for i in 0..batch.len() {
            let args = batch.args(i, buffer);
            commands[i] = self.renames.find(args.at(0));
            if let Some(command) = commands[i]
                && let Some((at, key)) = first_key(command, args)
            {
                let hash = db.key(key).hash;
                db.prefetch_bucket(hash);
                hints[i] = Some((at, hash));
            }
        }
        if batch.len() > 1 {
            for (_, hash) in hints[..batch.len()].iter().flatten() {
                db.prefetch_entry(*hash);
            }
        }
        LookedUp { commands, hints }
    }
}
