//! How far a replica has applied the stream that it receives.
//!
//! The applied offset is what a replica acknowledges, resumes from and puts into its own log: it moves only over
//! whole commands that were executed, and over a transaction only when its EXEC was. Bytes beyond it are forgotten
//! when the link breaks. Parsing and executing are the driver's.

/// The offsets of a received stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    applied: u64,
    /// Commands that were taken since, inside a transaction that is still open.
    open_bytes: u64,
    read: u64,
}

impl Applied {
    /// The stream starts, or goes on, after `offset`.
    pub fn from(offset: u64) -> Applied {
        Applied { applied: offset, open_bytes: 0, read: offset }
    }

    /// The offset to acknowledge and to resume from (`slave_repl_offset`).
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// What has been read from the socket so far (`slave_read_repl_offset`).
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Bytes of the stream came.
    pub fn received(&mut self, bytes: usize) {
        self.read += bytes as u64;
    }

    /// A command of so many bytes was processed; `in_multi` says whether a transaction is open after it. Returns how
    /// many bytes became applied: as many of the oldest bytes not yet in the log go there now, exactly as they came.
    pub fn command(&mut self, bytes: usize, in_multi: bool) -> usize {
        self.open_bytes += bytes as u64;
        if in_multi {
            return 0;
        }
        self.applied += self.open_bytes;
        std::mem::take(&mut self.open_bytes) as usize
    }

    /// The link broke: what was not applied will come again.
    pub fn discard(&mut self) {
        *self = Applied::from(self.applied);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_counts_when_it_is_executed() {
        let mut stream = Applied::from(100);
        stream.received(60);
        assert_eq!(stream.command(10, false), 10);
        assert_eq!(stream.command(5, true), 0); // MULTI
        assert_eq!(stream.command(20, true), 0);
        assert_eq!((stream.applied(), stream.read()), (110, 160));
        assert_eq!(stream.command(4, false), 29); // EXEC
        assert_eq!(stream.applied(), 139);
    }

    #[test]
    fn a_cut_inside_a_transaction_goes_back_before_it() {
        let mut stream = Applied::from(100);
        stream.received(15);
        stream.command(5, true);
        stream.discard();
        assert_eq!(stream, Applied::from(100));
        assert_eq!(stream.command(7, false), 7);
    }
}
