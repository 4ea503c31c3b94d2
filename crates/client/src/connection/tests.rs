//! A connection beside a listener that says what a test wants.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use super::*;

const SHORT: Duration = Duration::from_millis(50);

/// Who takes one connection, sends these pieces one after the other, and gives back what it was sent until the other end closed.
fn server(pieces: Vec<Vec<u8>>) -> (Address, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        for piece in pieces {
            socket.write_all(&piece).expect("sent");
        }
        socket.shutdown(std::net::Shutdown::Write).expect("closed");
        let mut got = Vec::new();
        let _ = socket.read_to_end(&mut got);
        got
    });
    (Address::tcp("127.0.0.1", port), thread)
}

fn connect(address: &Address) -> Connection {
    Connection::connect(address, None, &Timeouts::all(Duration::from_secs(5))).expect("connected")
}

#[test]
fn commands_and_replies() {
    let (address, thread) = server(vec![b"+OK\r\n>1\r\n+push\r\n".to_vec(), b":5\r\n-ERR no\r\n".to_vec()]);
    let mut connection = connect(&address);
    let replies = connection.ask_all(&[vec!["SET", "a", "b"], vec!["INCR", "n"]]).expect("replies");
    assert_eq!(replies, [Reply::Status(b"OK".to_vec()), Reply::Integer(5)]);
    assert_eq!(connection.take_push(), Some(Reply::Push(vec![Reply::Status(b"push".to_vec())])));
    assert_eq!(connection.take_push(), None);
    assert!(connection.ask(&["X"]).expect("a reply").is_error());
    let error = connection.ask(&["Y"]).expect_err("closed");
    assert_eq!(error.to_string(), format!("{address} closed the connection"));
    drop(connection);
    let sent = thread.join().expect("no panic");
    assert_eq!(
        String::from_utf8(sent).expect("text"),
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$1\r\nX\r\n*1\r\n$1\r\nY\r\n"
    );
}

#[test]
fn who_is_refused_hears_why() {
    let (address, thread) = server(vec![b"+OK\r\n-NOPROTO unsupported protocol version\r\n".to_vec()]);
    let login = Login { password: Some(b"pw".to_vec()), protocol: Protocol::Resp3, database: 3, ..Login::default() };
    let error = connect(&address).log_in(&login).expect_err("refused");
    assert_eq!(error.to_string(), format!("{address} refused HELLO: NOPROTO unsupported protocol version"));
    assert_eq!(thread.join().expect("no panic"), b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
}

#[test]
fn a_silent_server_is_waited_for_so_long_and_asked_again() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let address = Address::tcp("127.0.0.1", listener.local_addr().expect("an address").port());
    let mut connection = Connection::connect(&address, None, &Timeouts::all(SHORT)).expect("connected");
    let (mut socket, _) = listener.accept().expect("a client");
    let error = connection.ask(&["PING"]).expect_err("silence");
    assert!(matches!(error.failure, Failure::TimedOut), "{error}");
    socket.write_all(b"+PO").expect("sent");
    assert!(connection.reply().is_err(), "half a reply");
    socket.write_all(b"NG\r\n").expect("sent");
    assert_eq!(connection.reply().expect("a reply"), Reply::Status(b"PONG".to_vec()));
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let address = Address::tcp("127.0.0.1", listener.local_addr().expect("an address").port());
    drop(listener);
    let error = Connection::connect(&address, None, &Timeouts::all(SHORT)).err().expect("nobody");
    assert_eq!(error.to_string(), format!("cannot connect to {address}: Connection refused"));
}

fn payload_of(pieces: Vec<Vec<u8>>) -> Result<(Option<u64>, Vec<u8>), ClientError> {
    let (address, thread) = server(pieces);
    let mut connection = connect(&address);
    let mut read = || {
        let mut payload = connection.payload()?;
        let (len, mut bytes) = (payload.len(), Vec::new());
        while let Some(piece) = payload.next_piece()? {
            bytes.extend_from_slice(&piece);
        }
        Ok((len, bytes))
    };
    let result = read();
    drop(connection);
    thread.join().expect("no panic");
    result
}

#[test]
fn a_snapshot_of_known_length_and_one_up_to_a_mark() {
    let content: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    let mut sized = b"\n\n$200000\r\n".to_vec();
    sized.extend(&content);
    assert_eq!(payload_of(vec![sized.clone()]).expect("all of it"), (Some(200_000), content.clone()));
    sized.truncate(199_000);
    assert!(matches!(payload_of(vec![sized]).expect_err("cut off").failure, Failure::Closed));

    let mark = [b'm'; 40];
    let mut marked = b"$EOF:".to_vec();
    marked.extend(mark);
    marked.extend(b"\r\n");
    marked.extend(&content);
    // Most of a mark within the snapshot is none.
    marked.extend([b'm'; 39]);
    marked.push(b'x');
    marked.extend(mark);
    let (len, bytes) = payload_of(marked.chunks(7001).map(<[u8]>::to_vec).collect()).expect("all of it");
    assert_eq!((len, bytes.len()), (None, 200_040));
    assert!(bytes.starts_with(&content));
    marked.pop();
    assert!(payload_of(vec![marked]).is_err(), "the mark is cut off");
}

#[test]
fn what_is_no_snapshot_is_said() {
    for header in ["$EOF:short\r\n", "$-5\r\n", "$x\r\n"] {
        let error = payload_of(vec![header.into()]).expect_err("no snapshot");
        assert!(matches!(error.failure, Failure::Protocol(_)), "{error}");
    }
    let error = payload_of(vec![b"\n-LOADING no\r\n".to_vec()]).expect_err("refused");
    assert!(matches!(error.failure, Failure::Refused { .. }), "{error}");
}

/// Each look is a millisecond later, whatever the machine does meanwhile.
fn ticking_ms() -> u64 {
    static MS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    MS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn bounded(address: &Address, bytes_max: usize, patience: Duration) -> Connection {
    let mut connection = connect(address);
    connection.bound_replies(ReplyBounds { bytes_max, patience, now_ms: ticking_ms });
    connection
}

#[test]
fn a_reply_without_an_end_is_cut_off_at_its_bound() {
    // A text that is said to be large and is, and pushes before a reply that never comes.
    let text = [b"$100000000\r\n".as_slice(), &[b'x'; 300_000]].concat();
    for endless in [text, b">1\r\n+push\r\n".repeat(30_000)] {
        let (address, thread) = server(vec![endless]);
        let mut connection = bounded(&address, 100_000, Duration::from_secs(5));
        let error = connection.ask(&["INFO"]).expect_err("it is too large");
        assert_eq!(error.to_string(), format!("{address} sends a reply of more than 100000 bytes"));
        drop(connection);
        let _ = thread.join();
    }
    let (address, thread) = server(vec![b">1\r\n+push\r\n$5\r\nhello\r\n".to_vec()]);
    let mut connection = bounded(&address, 24, Duration::from_secs(5));
    assert_eq!(connection.ask(&["INFO"]).expect("a reply").text(), "hello");
    assert_eq!(connection.take_push(), None, "nothing bounds what is kept");
    drop(connection);
    thread.join().expect("no panic");
}

#[test]
fn a_reply_that_drips_ends_with_the_time_for_the_whole() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let address = Address::tcp("127.0.0.1", listener.local_addr().expect("an address").port());
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        // A byte each 5 ms, none of which is waited for in vain, until nobody takes them any more.
        let mut sent = socket.write_all(b"$400\r\n");
        for _ in 0..400 {
            std::thread::park_timeout(Duration::from_millis(5));
            sent = sent.and_then(|()| socket.write_all(b"x"));
        }
    });
    let mut connection = bounded(&address, 1 << 20, Duration::from_millis(50));
    let error = connection.ask(&["INFO"]).expect_err("too late");
    assert!(matches!(error.failure, Failure::TimedOut), "{error}");
    drop(connection);
    thread.join().expect("no panic");
}
