//! What HSCAN, SSCAN and ZSCAN answer: a cursor, and the elements found on the way to it.

use rivulet_keyspace::value::Elem;
use rivulet_resp::{Args, Reply};

use crate::fail::Fail;
use crate::generic::scan::{ScanOptions, parse_scan_options};

/// Elements that wait for the cursor, which is known last.
pub(crate) struct ScanPage<'a> {
    pub options: ScanOptions<'a>,
    bytes: Vec<u8>,
    len: usize,
}

impl<'a> ScanPage<'a> {
    /// Parses the options, which begin behind the cursor.
    pub fn new(args: Args<'a>) -> Result<ScanPage<'a>, Fail> {
        Ok(ScanPage { options: parse_scan_options(args, 3, false)?, bytes: Vec::new(), len: 0 })
    }

    /// The answer for a key that is not there.
    pub fn reply_missing(reply: &mut Reply<'_>) {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
    }

    pub fn push(&mut self, elem: &[u8]) {
        Reply::new(&mut self.bytes, false).bulk(elem);
        self.len += 1;
    }

    /// Adds a field or member with what belongs to it, if it passes MATCH.
    pub fn push_pair(&mut self, name: Elem<'_>, with: impl FnOnce(&mut Self)) {
        let passes = name.with(|name| {
            let passes = self.options.matches(name);
            if passes {
                self.push(name);
            }
            passes
        });
        if passes {
            with(self);
        }
    }

    pub fn reply(self, reply: &mut Reply<'_>, next: u64) {
        reply.array(2);
        reply.bulk(itoa::Buffer::new().format(next).as_bytes());
        reply.array(self.len);
        reply.raw(&self.bytes);
    }
}
