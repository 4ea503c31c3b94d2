//! How writes become bytes of the replication stream: RESP arrays, with SELECT and MULTI where they are needed.
//!
//! What a command propagates *as* is decided where the command lives; here it is only encoded. The bytes are
//! appended to the log by the caller.

/// Encodes units of execution and remembers which database the stream is in.
#[derive(Debug, Default)]
pub struct StreamEncoder {
    /// The database of the last SELECT in the stream.
    db: Option<u32>,
    /// Those who read on from here may not know it: the next write is preceded by SELECT whatever its database.
    select_due: bool,
    /// Redis 7.0 writes the SELECT that a transaction needs before its MULTI, later versions write it inside.
    select_inside_multi: bool,
}

/// A heartbeat, which needs no SELECT.
pub const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// Asks every replica for its offset at once.
pub const GETACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
/// The same, and those that can (`capa rivulet-acks`) go on to acknowledge by themselves until a [`GETACK`] comes. Others look at the last word no more
/// than at that of a [`GETACK`].
pub const GETACK_ALWAYS: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$6\r\nALWAYS\r\n";
const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

impl StreamEncoder {
    /// As Redis 7.0: the first SELECT of a transaction stands before MULTI.
    pub fn new() -> StreamEncoder {
        StreamEncoder::default()
    }

    /// As Redis 7.2 and later: a SELECT stands inside the transaction, so that MULTI begins the unit.
    pub fn with_select_inside_multi() -> StreamEncoder {
        StreamEncoder { select_inside_multi: true, ..StreamEncoder::default() }
    }

    /// The next write is preceded by SELECT: a full sync was set up, or this node was promoted.
    pub fn force_select(&mut self) {
        self.select_due = true;
    }

    /// The stream is known to be in `db` (a restart restored `repl-stream-db`).
    pub fn resume_in(&mut self, db: u32) {
        (self.db, self.select_due) = (Some(db), false);
    }

    /// Whether a write to `db` needs no SELECT.
    #[inline]
    pub fn goes_on_in(&self, db: u32) -> bool {
        self.db == Some(db) && !self.select_due
    }

    /// The database that the stream is in at its end: for the snapshot's `repl-stream-db`, and for a node that follows another from here on.
    pub fn db(&self) -> Option<u32> {
        self.db
    }

    /// All writes of one unit of execution, each with its database: in MULTI and EXEC when there are several.
    pub fn unit<A: AsRef<[u8]>>(&mut self, writes: &[(u32, &[A])], out: &mut Vec<u8>) {
        match writes {
            [] => {}
            [(db, args)] => self.command(*db, args, out),
            [(first_db, _), ..] => {
                if !self.select_inside_multi {
                    self.select(*first_db, out);
                }
                out.extend_from_slice(MULTI);
                self.sequence(writes, out);
                out.extend_from_slice(EXEC);
            }
        }
    }

    /// Several writes that need not be atomic, such as the keys that a SCAN found expired.
    pub fn sequence<A: AsRef<[u8]>>(&mut self, writes: &[(u32, &[A])], out: &mut Vec<u8>) {
        for (db, args) in writes {
            self.command(*db, args, out);
        }
    }

    /// One write.
    pub fn command<A: AsRef<[u8]>>(&mut self, db: u32, args: &[A], out: &mut Vec<u8>) {
        self.select(db, out);
        encode_command(args, out);
    }

    /// One write whose bytes are at hand as a client sent them, in the canonical form.
    pub fn encoded(&mut self, db: u32, command: &[u8], out: &mut Vec<u8>) {
        self.select(db, out);
        out.extend_from_slice(command);
    }

    fn select(&mut self, db: u32, out: &mut Vec<u8>) {
        if !self.goes_on_in(db) {
            self.resume_in(db);
            encode_command(&[&b"SELECT"[..], itoa::Buffer::new().format(db).as_bytes()], out);
        }
    }
}

/// A command as a RESP array of bulk strings.
pub fn encode_command<A: AsRef<[u8]>>(args: &[A], out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let mut header = |mark: u8, n: usize, out: &mut Vec<u8>| {
        out.push(mark);
        out.extend_from_slice(digits.format(n).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    header(b'*', args.len(), out);
    for arg in args {
        let arg = arg.as_ref();
        header(b'$', arg.len(), out);
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(encode: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        encode(&mut out);
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    const SET: &[&str] = &["SET", "k", "v"];
    const DEL: &[&str] = &["DEL", "k"];
    const SET_TEXT: &str = "*3 $3 SET $1 k $1 v ";
    const DEL_TEXT: &str = "*2 $3 DEL $1 k ";

    fn select(db: u32) -> String {
        format!("*2 $6 SELECT ${} {db} ", db.to_string().len())
    }

    #[test]
    fn select_is_written_only_on_change() {
        let mut stream = StreamEncoder::new();
        assert_eq!(text(|out| stream.command(9, SET, out)), select(9) + SET_TEXT);
        assert_eq!(text(|out| stream.encoded(9, b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n", out)), DEL_TEXT);
        assert_eq!(text(|out| stream.command(12, DEL, out)), select(12) + DEL_TEXT);
        stream.force_select();
        assert_eq!(stream.db(), Some(12), "who follows from here on is in it");
        assert_eq!(text(|out| stream.command(12, DEL, out)), select(12) + DEL_TEXT);
        assert_eq!(text(|out| stream.command(12, DEL, out)), DEL_TEXT);
        stream.resume_in(3);
        assert_eq!(text(|out| stream.command(3, DEL, out)), DEL_TEXT);
    }

    #[test]
    fn one_write_stands_alone_and_several_are_wrapped() {
        let mut stream = StreamEncoder::new();
        assert_eq!(text(|out| stream.unit::<&str>(&[], out)), "");
        assert_eq!(text(|out| stream.unit(&[(0, SET)], out)), select(0) + SET_TEXT);
        assert_eq!(
            text(|out| stream.unit(&[(1, SET), (1, DEL), (2, SET)], out)),
            format!("{}*1 $5 MULTI {SET_TEXT}{DEL_TEXT}{}{SET_TEXT}*1 $4 EXEC ", select(1), select(2))
        );
        assert_eq!(text(|out| stream.sequence(&[(2, SET), (2, DEL)], out)), format!("{SET_TEXT}{DEL_TEXT}"));
    }

    #[test]
    fn the_later_form_selects_inside() {
        let mut stream = StreamEncoder::with_select_inside_multi();
        assert_eq!(
            text(|out| stream.unit(&[(1, SET), (1, DEL)], out)),
            format!("*1 $5 MULTI {}{SET_TEXT}{DEL_TEXT}*1 $4 EXEC ", select(1))
        );
    }
}
