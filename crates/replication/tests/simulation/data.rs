//! What the nodes hold: a digest of all writes, so that equal data means the same writes in the same order.

use crate::requests::next_command;

/// All writes in their order, and the database that the stream is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Data {
    pub writes: u64,
    pub digest: u64,
    pub db: u32,
}

impl Data {
    pub fn execute(&mut self, args: &[Vec<u8>]) {
        match args[0].as_slice() {
            b"SELECT" => self.db = str::from_utf8(&args[1]).unwrap().parse().unwrap(),
            b"SET" => {
                self.writes += 1;
                for byte in args.iter().flatten().chain(&self.db.to_le_bytes()) {
                    self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3).rotate_left(5);
                }
            }
            b"PING" | b"REPLCONF" => {}
            other => panic!("no such command: {:?}", String::from_utf8_lossy(other)),
        }
    }

    pub fn encode(self, padding: usize) -> Vec<u8> {
        let mut bytes = [self.writes.to_le_bytes(), self.digest.to_le_bytes()].concat();
        bytes.extend(self.db.to_le_bytes());
        bytes.resize(bytes.len() + padding, b'a');
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Data {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        Data { writes: number(0), digest: number(8), db: u32::from_le_bytes(bytes[16..20].try_into().unwrap()) }
    }

    /// The data after all whole units of the stream, and the length of those.
    pub fn replay(mut self, stream: &[u8]) -> (Data, usize) {
        let (mut whole, mut at, mut queued) = (0, 0, None::<Vec<Vec<Vec<u8>>>>);
        while let Some((args, len)) = next_command(&stream[at..]) {
            at += len;
            match (args[0].as_slice(), &mut queued) {
                (b"MULTI", None) => queued = Some(Vec::new()),
                (b"EXEC", Some(_)) => queued.take().into_iter().flatten().for_each(|args| self.execute(&args)),
                (_, Some(queued)) => queued.push(args),
                (_, None) => self.execute(&args),
            }
            if queued.is_none() {
                whole = at;
            }
        }
        (self, whole)
    }
}
