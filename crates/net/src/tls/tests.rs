//! Both ends against each other, over sockets that take and give as the case wants it, and against bytes that are wrong.

use std::io::Write;
use std::net::TcpListener;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;

/// A context that is its own authority.
fn context() -> TlsContext {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
    let certificate = own.signed_by(&key, &issuer).expect("a certificate").pem();
    TlsContext::new(&settings(certificate.as_bytes(), key.serialize_pem().as_bytes(), issuer.pem().as_bytes()))
        .expect("it is complete")
}

fn settings<'a>(certificates: &'a [u8], key: &'a [u8], authority: &[u8]) -> TlsSettings<'a> {
    TlsSettings {
        server: Credentials { certificates, key, password: None },
        client: None,
        authorities: vec![authority.to_vec()],
        protocols: "",
        ciphers: "",
        ciphersuites: "",
        prefers_own_ciphers: false,
        sessions: Some((10, 10)),
    }
}

/// Two ends of a connection.
fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (far, _) = listener.accept().expect("there is one");
    for socket in [&near, &far] {
        socket.set_nonblocking(true).expect("it can be set");
        socket.set_nodelay(true).expect("it can be set");
    }
    (near, far)
}

fn pair(context: &TlsContext) -> (TlsStream, TlsStream) {
    let (near, far) = sockets();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = TlsStream::client(near, context.client.clone(), name).expect("it is complete");
    let server = TlsStream::server(far, context.server(ClientAuth::Yes)).expect("it is complete");
    (client, server)
}

fn shake_hands(client: &mut TlsStream, server: &mut TlsStream) {
    for _ in 0..10_000 {
        let done = [client.handshake().expect("it goes on"), server.handshake().expect("it goes on")];
        if done == [true, true] {
            return;
        }
    }
    panic!("no end of the handshake");
}

/// Everything that has come.
fn read_all(stream: &mut TlsStream, into: &mut Vec<u8>) -> io::Result<()> {
    while stream.read_into(into, 1 << 16)?.is_some() {}
    Ok(())
}

#[test]
fn megabytes_cross_while_neither_end_can_send_all() {
    let (mut client, mut server) = pair(&context());
    shake_hands(&mut client, &mut server);
    let mut rng = fastrand::Rng::with_seed(1);
    let sent: Vec<u8> = (0..6_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut got = [Vec::new(), Vec::new()];
    let mut at = [0, 0];
    while got.iter().any(|got| got.len() < sent.len()) {
        for (i, stream) in [&mut client, &mut server].into_iter().enumerate() {
            // What was not taken comes again, with more or with less behind it.
            let end = sent.len().min(at[i] + rng.usize(1..400_000));
            at[i] += match rng.bool() {
                true => stream.write(&sent[at[i]..end]).expect("it is open"),
                false => {
                    let slices: Vec<IoSlice<'_>> =
                        sent[at[i]..end].chunks(1 + rng.usize(..90_000)).map(IoSlice::new).collect();
                    stream.write_vectored(&slices).expect("it is open")
                }
            };
            // A reader that is slow now and then, so that records are cut.
            if rng.u8(..) < 40 {
                let mut part = vec![0; rng.usize(1..100_000)];
                match rng.bool() {
                    true => _ = stream.read_into(&mut got[i], rng.usize(1..300_000)).expect("it is open"),
                    false => {
                        let n = stream.read(&mut part).expect("it is open").unwrap_or(0);
                        got[i].extend_from_slice(&part[..n]);
                    }
                }
            }
        }
    }
    assert!(got[0] == sent && got[1] == sent);
    assert!(!client.has_more() && !server.has_more());
}

#[test]
fn the_end_comes_after_what_was_sent_before_it() {
    let (mut client, mut server) = pair(&context());
    shake_hands(&mut client, &mut server);
    assert_eq!(client.write(b"last words").expect("it is open"), 10);
    drop(client);
    let mut got = Vec::new();
    let end = read_all(&mut server, &mut got).expect_err("it has gone");
    assert_eq!((got.as_slice(), end.kind()), (&b"last words"[..], io::ErrorKind::UnexpectedEof));
    assert!(server.has_more(), "that it has gone is told again");
}

#[test]
fn a_change_on_the_way_is_noticed() {
    let context = context();
    let (near, far) = sockets();
    let (middle, other) = sockets();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = TlsStream::client(near, context.client.clone(), name).expect("it is complete");
    let mut server = TlsStream::server(middle, context.server(ClientAuth::Yes)).expect("it is complete");
    let pass = |from: &TcpStream, to: &TcpStream, change: bool| {
        let mut buffer = vec![0; 1 << 16];
        if let Ok(n) = rustix::io::read(from, &mut buffer) {
            buffer[n - 1] ^= u8::from(change);
            (&mut &*to).write_all(&buffer[..n]).expect("it is taken");
        }
    };
    for _ in 0..100 {
        let _ = (client.handshake().expect("it goes on"), pass(&far, &other, false));
        let _ = (server.handshake().expect("it goes on"), pass(&other, &far, false));
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    client.write(b"SET key value").expect("it is open");
    pass(&far, &other, true);
    let mut got = Vec::new();
    let error = read_all(&mut server, &mut got).expect_err("it was changed");
    assert!(got.is_empty() && error.to_string().contains("decrypt"), "{error}");
    assert!(server.write(b"x").is_err(), "nothing is said to whoever that is");
    pass(&other, &far, false);
    let error = read_all(&mut client, &mut got).expect_err("it was told");
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
}

/// No bytes end a process, whatever pieces they come in. A change in a handshake that went well reaches further into it than random bytes.
#[test]
fn no_bytes_can_break_it() {
    let context = context();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut hello = Records::default();
    {
        let (near, _far) = sockets();
        let mut client = TlsStream::client(near, context.client.clone(), name).expect("it is complete");
        let _ = client.session.step(&mut [], Wish::Nothing, &mut Vec::new(), &mut hello);
    }
    let message = &hello.bytes()[5..];
    let seed = std::env::var("RIVULET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for case in seed..seed + 1500u64 {
        let mut rng = fastrand::Rng::with_seed(case);
        let mut message = message.to_vec();
        for _ in 0..rng.usize(..4) {
            let at = rng.usize(..message.len());
            message[at] = rng.u8(..);
        }
        // The message in records of its own choice, some of another type in between, and some rubbish.
        let mut bytes = Vec::new();
        for piece in message.chunks(1 + rng.usize(..300)) {
            let kind = if rng.u8(..) < 5 { rng.u8(20..25) } else { 22 };
            bytes.extend_from_slice(&[kind, 3, 1]);
            bytes.extend_from_slice(&(piece.len() as u16).to_be_bytes());
            bytes.extend_from_slice(piece);
        }
        let more = rng.usize(..40);
        bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(more));
        let (mut near, far) = sockets();
        let mut server = TlsStream::server(far, context.server(ClientAuth::Optional)).expect("it is complete");
        let mut is_over = false;
        for piece in bytes.chunks(1 + rng.usize(..bytes.len())) {
            near.write_all(piece).expect("it is taken");
            let mut got = Vec::new();
            is_over |= server.handshake().is_err() || server.read_into(&mut got, 100).is_err();
            assert!(server.incoming.len() <= INCOMING_BYTES_MAX && got.is_empty(), "RIVULET_SEED={case}");
            let _ = server.write(b"x");
        }
        drop(near);
        assert!(server.handshake().is_err() || is_over, "RIVULET_SEED={case}");
    }
}

#[test]
fn a_message_without_end_is_not_kept() {
    let context = context();
    let (mut near, far) = sockets();
    let mut server = TlsStream::server(far, context.server(ClientAuth::No)).expect("it is complete");
    // A first message that says that it has 16 MB.
    let mut error = None;
    for i in 0..100_000 {
        let record: &[u8] = if i == 0 { &[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff] } else { &[22, 3, 1, 0, 1, 0] };
        if near.write_all(record).is_err() {
            break;
        }
        if let Err(e) = server.handshake() {
            error = Some(e);
            break;
        }
    }
    assert!(error.is_some(), "it goes on and on");
    assert!(server.incoming.len() <= INCOMING_BYTES_MAX);
}

#[test]
fn settings_that_are_wrong_are_named() {
    let key = KeyPair::generate().expect("a key");
    let of_key =
        |key: &KeyPair| CertificateParams::default().self_signed(key).expect("a certificate").pem().into_bytes();
    let (certificate, pem) = (of_key(&key), key.serialize_pem().into_bytes());
    let other = of_key(&KeyPair::generate().expect("a key"));
    let new = |certificates: &[u8], key: &[u8]| TlsContext::new(&settings(certificates, key, &certificate)).err();
    assert_eq!(new(&certificate, &pem), None);
    assert!(matches!(new(b"", &pem), Some(TlsError::Certificate(_))));
    assert!(matches!(
        new(b"-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n", &pem),
        Some(TlsError::Certificate(_))
    ));
    assert!(matches!(new(&certificate, b""), Some(TlsError::Key(_))));
    assert!(matches!(
        new(&certificate, b"-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n"),
        Some(TlsError::Key(_))
    ));
    assert!(matches!(new(&other, &pem), Some(TlsError::Key(_))), "it is another's");
    let mut wrong = settings(&certificate, &pem, b"nothing");
    assert!(matches!(TlsContext::new(&wrong), Err(TlsError::Authorities(_))));
    wrong.authorities.clear();
    assert!(TlsContext::new(&wrong).is_ok(), "nobody is trusted");
    wrong.protocols = "TLSv1.2 nonsense";
    assert!(matches!(TlsContext::new(&wrong), Err(TlsError::Protocols(_))));
}
