//! Encoding of replies, for RESP2 and RESP3 clients alike, and of commands.

use crate::double;

/// Writes replies to a connection's output.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    resp3: bool,
}

/// Where the length of a collection goes once it is known.
#[must_use]
pub struct Mark(usize);

impl<'a> Reply<'a> {
    pub fn new(out: &'a mut Vec<u8>, resp3: bool) -> Reply<'a> {
        Reply { out, resp3 }
    }

    pub fn is_resp3(&self) -> bool {
        self.resp3
    }

    /// The client speaks this protocol from now on.
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// What was written since there were so many bytes.
    pub fn since(&self, mark: usize) -> &[u8] {
        self.out.get(mark..).unwrap_or_default()
    }

    /// Exchanges what was written for what is in another buffer.
    pub fn swap(&mut self, buffer: &mut Vec<u8>) {
        std::mem::swap(self.out, buffer);
    }

    /// The same output for another borrower.
    pub fn again(&mut self) -> Reply<'_> {
        Reply { out: self.out, resp3: self.resp3 }
    }

    /// Bytes written so far to this output.
    pub fn written(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written after `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    fn number_line(&mut self, kind: u8, n: i64) {
        self.out.push(kind);
        self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// An error; `text` begins with its code. Line breaks become spaces.
    pub fn error(&mut self, text: &[u8]) {
        self.out.push(b'-');
        self.out.extend(text.iter().map(|&c| if c == b'\r' || c == b'\n' { b' ' } else { c }));
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    pub fn int(&mut self, n: i64) {
        match n {
            0 => self.out.extend_from_slice(b":0\r\n"),
            1 => self.out.extend_from_slice(b":1\r\n"),
            _ => self.number_line(b':', n),
        }
    }

    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.bulk_len(bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// The head of a bulk string whose bytes, and a newline, the caller appends.
    #[inline]
    pub fn bulk_len(&mut self, len: usize) {
        self.number_line(b'$', len as i64);
    }

    /// An integer as a bulk string.
    pub fn bulk_int(&mut self, n: i64) {
        self.bulk(itoa::Buffer::new().format(n).as_bytes());
    }

    /// The absence of a value.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The absence of an array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    pub fn array(&mut self, len: usize) {
        self.number_line(b'*', len as i64);
    }

    /// A map of `len` pairs; RESP2 has an array of twice as many.
    pub fn map(&mut self, len: usize) {
        if self.resp3 { self.number_line(b'%', len as i64) } else { self.array(len * 2) }
    }

    pub fn set(&mut self, len: usize) {
        if self.resp3 { self.number_line(b'~', len as i64) } else { self.array(len) }
    }

    /// Data that the client did not ask for.
    pub fn push(&mut self, len: usize) {
        if self.resp3 { self.number_line(b'>', len as i64) } else { self.array(len) }
    }

    /// Attributes of the next reply; only RESP3 has them.
    pub fn attribute(&mut self, len: usize) {
        self.number_line(b'|', len as i64);
    }

    /// An array whose length is given later by [`Reply::end`].
    pub fn begin(&mut self) -> Mark {
        Mark(self.out.len())
    }

    /// Puts the header of an array before what was written since [`Reply::begin`].
    pub fn end(&mut self, mark: Mark, len: usize) {
        let end = self.out.len();
        self.array(len);
        self.move_header(mark, end);
    }

    /// The same for a map of `len` pairs in RESP3, or an array of `len` in RESP2.
    pub fn end_map_or_array(&mut self, mark: Mark, len: usize) {
        let end = self.out.len();
        if self.resp3 {
            self.map(len)
        } else {
            self.array(len)
        }
        self.move_header(mark, end);
    }

    fn move_header(&mut self, mark: Mark, from: usize) {
        let header = self.out.len() - from;
        self.out[mark.0..].rotate_right(header);
    }

    /// A double: a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        let text = double::format(value);
        if self.resp3 {
            self.out.push(b',');
            self.out.extend_from_slice(text.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// A boolean: 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        if self.resp3 {
            self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" });
        } else {
            self.int(i64::from(value));
        }
    }

    /// A large number: a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        if self.resp3 {
            self.out.push(b'(');
            self.out.extend_from_slice(digits.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(digits.as_bytes());
        }
    }

    /// Text with its format (`txt`, `mkd`): a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        if self.resp3 {
            self.number_line(b'=', text.len() as i64 + 4);
            self.out.extend_from_slice(format.as_bytes());
            self.out.push(b':');
            self.out.extend_from_slice(text);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// Bytes that are already encoded.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

/// Appends a command as an array of bulk strings.
pub fn append_command<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = &'a [u8]>) {
    let mut reply = Reply::new(out, false);
    reply.array(args.len());
    for arg in args {
        reply.bulk(arg);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(resp3: bool, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = b"before".to_vec();
        write(&mut Reply::new(&mut out, resp3));
        String::from_utf8(out.split_off(6)).expect("ascii")
    }

    #[test]
    fn both_protocols() {
        let all = |r: &mut Reply<'_>| {
            r.null();
            r.map(1);
            r.set(2);
            r.double(1.5);
            r.boolean(true);
            r.verbatim("txt", b"hi");
            r.error(b"ERR a\r\nb");
        };
        assert_eq!(written(false, all), "$-1\r\n*2\r\n*2\r\n$3\r\n1.5\r\n:1\r\n$2\r\nhi\r\n-ERR a  b\r\n");
        assert_eq!(written(true, all), "_\r\n%1\r\n~2\r\n,1.5\r\n#t\r\n=6\r\ntxt:hi\r\n-ERR a  b\r\n");
    }

    #[test]
    fn a_length_that_comes_later() {
        let text = written(false, |r| {
            let mark = r.begin();
            r.int(7);
            r.bulk(b"x");
            r.end(mark, 2);
            r.ok();
        });
        assert_eq!(text, "*2\r\n:7\r\n$1\r\nx\r\n+OK\r\n");
    }
}
