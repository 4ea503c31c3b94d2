//! What a server sends to the tools: replies in any pieces.

use rivulet_client::{Reply, ReplyDecoder};

pub fn run(bytes: &[u8]) {
    let whole = decode(bytes, bytes.len().max(1));
    for step in [1, 3, 64] {
        assert_eq!(decode(bytes, step), whole, "replies in pieces of {step}");
    }
    // What is asked of a reply is asked of a strange one, too.
    for reply in &whole.0 {
        let _ = (reply.text(), reply.as_i64(), reply.as_f64(), reply.pairs(), reply.field("name"));
    }
}

/// The replies, and whether they ended in an error.
fn decode(bytes: &[u8], step: usize) -> (Vec<Reply>, bool) {
    let (mut decoder, mut replies) = (ReplyDecoder::default(), Vec::new());
    for piece in bytes.chunks(step) {
        decoder.feed(piece);
        loop {
            match decoder.decode() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(_) => return (replies, true),
            }
        }
    }
    (replies, false)
}

pub fn seeds() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 6] = [
        b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\nabc\r\n$-1\r\n*-1\r\n_\r\n",
        b",1.5\r\n#t\r\n(12345678901234567890\r\n=7\r\ntxt:abc\r\n!3\r\nbad\r\n",
        b"*2\r\n$0\r\n\r\n*1\r\n:1\r\n~1\r\n+x\r\n%1\r\n+k\r\n*0\r\n",
        b">2\r\n+message\r\n+m\r\n|1\r\n+a\r\n:1\r\n:2\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        b"*9223372036854775807\r\n$1000000000000\r\nabc",
    ];
    texts.iter().map(|text| text.to_vec()).collect()
}
