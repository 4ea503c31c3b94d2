//! What the two ends of a link say to each other: handshake lines, options, and snapshots in any pieces.

use rivulet_replication::messages::{EndOffset, LineBuffer, PsyncReply, PsyncRequest, parse_integer, replconf_options};
use rivulet_replication::transfer::{Item, MARK_LEN, PayloadReader, counted_header, marked_header};

pub fn run(bytes: &[u8]) {
    let lines = lines(bytes, bytes.len().max(1));
    for step in [1, 3, 64] {
        assert_eq!(self::lines(bytes, step), lines, "lines in pieces of {step}");
    }
    for line in &lines {
        let _ = PsyncReply::parse(line);
        if let Some(end) = EndOffset::parse(line) {
            assert_eq!(
                EndOffset::parse(end.line().trim_ascii_end()),
                Some(end),
                "where a snapshot ends, in another form"
            );
        }
        let words: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
        let _ = PsyncRequest::parse(&words);
        let _ = replconf_options(&words).count();
        if let Some(n) = parse_integer(line) {
            assert_eq!(n.to_string().as_bytes(), line.as_slice(), "a number in another form");
        }
    }
    let whole = payload(bytes, bytes.len().max(1));
    for step in [1, 2, 39, 64] {
        assert_eq!(payload(bytes, step), whole, "a payload in pieces of {step}");
    }
}

fn lines(bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut buffer = LineBuffer::default();
    let mut lines = Vec::new();
    for mut piece in bytes.chunks(step) {
        loop {
            match buffer.next(&mut piece) {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => break,
                Err(_) => return lines,
            }
        }
    }
    lines
}

/// What a reader makes of the bytes: the steps, all data, whether it ended, and what follows the end.
#[derive(Debug, Default, PartialEq)]
struct Read {
    keep_alives: usize,
    len: Option<Option<u64>>,
    data: Vec<u8>,
    ended: bool,
    failed: bool,
    rest: Vec<u8>,
}

fn payload(bytes: &[u8], step: usize) -> Read {
    let mut reader = PayloadReader::default();
    let mut read = Read::default();
    for mut piece in bytes.chunks(step) {
        while !read.ended && !read.failed {
            match reader.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(Item::KeepAlive)) => read.keep_alives += 1,
                Ok(Some(Item::Begin { len })) => read.len = Some(len),
                Ok(Some(Item::Data(data))) => read.data.extend_from_slice(&data),
                Ok(Some(Item::End)) => read.ended = true,
                Err(_) => read.failed = true,
            }
        }
        if read.ended {
            read.rest.extend_from_slice(piece);
        }
    }
    read
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mark = [b'm'; MARK_LEN];
    let id = "0123456789abcdef0123456789abcdef01234567";
    vec![
        [&b"\n\n"[..], &counted_header(9), b"REDIS0010*1\r\n$4\r\nPING\r\n"].concat(),
        [&marked_header(&mark), &b"REDIS0010mmm data mmmm"[..], &mark, b"*1\r\n"].concat(),
        format!("+FULLRESYNC {id} 123\r\n+CONTINUE {id}\r\n+CONTINUE\r\n-NOMASTERLINK no\r\n-LOADING x\r\n")
            .into_bytes(),
        format!("{id} 17 FAILOVER\r\n? -1\r\nlistening-port 6380 capa eof capa psync2\r\nACK 123 FACK 7\r\n")
            .into_bytes(),
        format!("version 7.0.15\r\nip-address 10.0.0.1\r\nrdb-only 1 getack *\r\nrivulet-below {id},{id}\r\n")
            .into_bytes(),
        format!("$ENDOFF:123 {id} -1 5\r\n$ENDOFF:1 {id} 3 5 6\r\n+DUALCHANNELSYNC\r\n+RDBCHANNELSYNC 5\r\n")
            .into_bytes(),
        b"rdb-channel 1 main-ch-client-id 5 set-rdb-client-id 6 capa dual-channel capa rdb-channel-repl\r\n".to_vec(),
        b"-9223372036854775808\n0\n-0\n007\n".to_vec(),
    ]
}
