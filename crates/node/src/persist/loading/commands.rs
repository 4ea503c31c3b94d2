//! Commands of an append-only file, prepared on the loader's thread so that the executor only has to run them.

use rivulet_commands::Command;
use rivulet_engine::look_up::first_key;
use rivulet_engine::renames::Renames;
use rivulet_keyspace::{HashKeys, KeyHasher};
use rivulet_resp::Args;
use rivulet_resp::args::Span;

/// Whole commands in their order.
#[derive(Default)]
pub struct Commands {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    list: Vec<Prepared>,
}

struct Prepared {
    command: Option<&'static Command>,
    /// Where its bytes and its spans end.
    bytes_end: usize,
    spans_end: usize,
    key_hash: u64,
    /// Which argument has that hash; 0 is the command's name, so none.
    key_at: usize,
    canonical: bool,
}

impl Commands {
    pub fn with_room(bytes: usize) -> Commands {
        let commands = bytes / 48;
        Commands {
            bytes: Vec::with_capacity(bytes + bytes / 4),
            spans: Vec::with_capacity(3 * commands),
            list: Vec::with_capacity(commands),
        }
    }

    pub fn push(&mut self, args: Args<'_>, renames: &Renames, hasher: &KeyHasher) {
        let command = renames.find(args.at(0));
        let key = command.and_then(|command| first_key(command, args));
        self.bytes.extend_from_slice(args.bytes());
        self.spans.extend_from_slice(args.spans());
        self.list.push(Prepared {
            command,
            bytes_end: self.bytes.len(),
            spans_end: self.spans.len(),
            key_hash: key.map_or(0, |(_, key)| hasher.hash(key)),
            key_at: key.map_or(0, |(at, _)| at),
            canonical: args.wire().is_some(),
        });
    }

    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Command `i`, nothing if there is none of that name.
    #[inline]
    pub fn command(&self, i: usize) -> Option<&'static Command> {
        self.list[i].command
    }

    #[inline]
    pub fn args(&self, i: usize) -> Args<'_> {
        let (bytes, spans) = i.checked_sub(1).map_or((0, 0), |i| (self.list[i].bytes_end, self.list[i].spans_end));
        let this = &self.list[i];
        Args::new(&self.bytes[bytes..this.bytes_end], &self.spans[spans..this.spans_end], this.canonical)
    }

    /// The place and the hash of the first key of command `i`, if there is such a command with such a key.
    #[inline]
    pub fn key(&self, i: usize) -> Option<(usize, u64)> {
        let this = self.list.get(i)?;
        (this.key_at > 0).then_some((this.key_at, this.key_hash))
    }
}

#[cfg(test)]
mod tests {
    use rivulet_aof::scan::{ItemKind, Items, Place};

    use super::*;

    #[test]
    fn commands_are_as_in_the_file() {
        let file = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*01\r\n$4\r\nPING\r\n*2\r\n$3\r\nold\r\n$1\r\nk\r\n*2\r\n$3\r\nnew\r\n$1\r\nk\r\n";
        let hasher = KeyHasher::new([1, 2]);
        let renames =
            Renames([(b"old".to_vec(), None), (b"new".to_vec(), rivulet_commands::table::find(b"get"))].into());
        let mut items = Items::new(&file[..], Place::default());
        let mut commands = Commands::with_room(100);
        while let Some(item) = items.next().expect("the file is whole") {
            let ItemKind::Command { args, .. } = item.kind else { panic!("there are commands only") };
            commands.push(args, &renames, &hasher);
        }
        let found: Vec<_> = (0..commands.len())
            .map(|i| {
                let args = commands.args(i);
                let words: Vec<_> = args.iter().map(String::from_utf8_lossy).collect();
                let name = commands.command(i).map_or("none", |c| c.name);
                (name, words.join(" "), commands.key(i).map(|(at, _)| at), args.wire().is_some())
            })
            .collect();
        let expected = [
            ("set", "SET k v", Some(1), true),
            ("ping", "PING", None, false),
            ("none", "old k", None, true),
            ("get", "new k", Some(1), true),
        ];
        assert_eq!(found, expected.map(|(name, words, key, wire)| (name, words.to_string(), key, wire)));
        assert_eq!(commands.key(0), Some((1, hasher.hash(b"k"))));
        assert_eq!(commands.key(4), None);
    }
}
