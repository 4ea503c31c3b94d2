//! Requests: however the bytes arrive, the same commands come out, and what is written again reads the same.

use rivulet_resp::decode::Limits;
use rivulet_resp::{Batch, Decoder, ProtocolError};

const LIMITS: Limits = Limits { bulk_len_max: 512 << 20, authenticated: true, arrays_only: false };

pub fn run(bytes: &[u8]) {
    let (whole, whole_error) = decode(bytes, bytes.len().max(1));
    for step in [1, 2, 3, 7, 64] {
        let (pieces, error) = decode(bytes, step);
        assert_eq!(pieces, whole, "in pieces of {step}");
        assert_eq!(error, whole_error, "in pieces of {step}");
    }
    let mut written = Vec::new();
    for args in &whole {
        rivulet_resp::append_command(&mut written, args.iter().map(Vec::as_slice));
    }
    assert_eq!(decode(&written, written.len().max(1)), (whole, None), "written again");
    // A stranger's limits only make more errors.
    let mut batch = Batch::default();
    let _ = Decoder::default().decode(
        bytes,
        &mut batch,
        usize::MAX,
        Limits { bulk_len_max: 1024, authenticated: false, arrays_only: true },
    );
}

type Commands = Vec<Vec<Vec<u8>>>;

fn decode(bytes: &[u8], step: usize) -> (Commands, Option<ProtocolError>) {
    let mut decoder = Decoder::default();
    let (mut buffer, mut commands) = (Vec::new(), Vec::new());
    for chunk in bytes.chunks(step) {
        buffer.extend_from_slice(chunk);
        loop {
            let mut batch = Batch::default();
            let decoded = decoder.decode(&buffer, &mut batch, 16, LIMITS);
            for i in 0..batch.len() {
                commands.push(batch.args(i, &buffer).iter().map(<[u8]>::to_vec).collect());
            }
            if let Err(error) = decoded {
                return (commands, Some(error));
            }
            assert!(decoder.consumed() <= buffer.len());
            buffer.drain(..decoder.consumed());
            decoder.rebase();
            if batch.is_empty() {
                break;
            }
        }
    }
    (commands, None)
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        &b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\na\r\nb!\r\n*1\r\n$4\r\nPING\r\n"[..],
        b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING 'x y'\r\n\r\n*0\r\n*-1\r\nECHO \"\\x41\\n\"\n",
        b"SET a \"b c\" 'd\\'e'\r\nQUIT\r\n",
        b"*1\r\n$4\rxPING\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}
