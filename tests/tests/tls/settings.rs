//! Directives of TLS, at the start and while the server runs.

use std::fs;
use std::process::{Command, Stdio};

use rivulet_tests::process::{TempDir, free_port, run, tool};
use rivulet_tests::tls::{Authority, Use, client_config};
use rivulet_tests::{Client, Kind, Server, wait};
use rustls::version::{TLS12, TLS13};

use crate::{authority, start};

const FAILED: &str = "Unable to update TLS configuration. Check server logs.";

/// The certificate that the server shows to who comes now.
fn shown(port: u16, authority: &Authority) -> Vec<u8> {
    let mut client = Client::connect_tls(port, &authority.client(Some("client"))).expect("it is served");
    client.must("PING");
    client.tls().peer_certificates().expect("it shows one")[0].to_vec()
}

fn sets(server: &mut Server, pairs: &[&str]) -> String {
    let words: Vec<Vec<u8>> = ["CONFIG", "SET"].iter().chain(pairs).map(|word| word.as_bytes().to_vec()).collect();
    server.call(&words).text()
}

#[test]
fn certificates_change_without_cutting_anybody() {
    let authority = authority();
    authority.sign_for("new", Use::Any);
    let (mut server, port) = start(Kind::Rivulet, &authority, &[]);
    let mut old = Client::connect_tls(port, &authority.client(Some("client"))).expect("it is served");
    let first = shown(port, &authority);
    let (certificate, key) = (authority.text("new", "crt"), authority.text("new", "key"));
    // One of the two alone fits nothing.
    let refused = sets(&mut server, &["tls-cert-file", &certificate]);
    assert!(refused.contains("tls-cert-file") && refused.contains(FAILED), "{refused}");
    assert_eq!(server.must("CONFIG GET tls-cert-file").items()[1].text(), authority.text("server", "crt"));
    assert_eq!(sets(&mut server, &["tls-cert-file", &certificate, "tls-key-file", &key]), "OK");
    let second = shown(port, &authority);
    assert_ne!(first, second);
    // The same files with other contents: they are read again, and only if they are good.
    fs::write(authority.path("new", "crt"), "nothing").expect("a file");
    assert!(sets(&mut server, &["tls-cert-file", &certificate]).contains(FAILED));
    assert!(server.log().contains(&format!("Failed to load certificate: {certificate}: ")), "{}", server.log());
    assert_eq!(shown(port, &authority), second, "the old one is shown");
    authority.sign_for("new", Use::Any);
    assert_eq!(sets(&mut server, &["tls-cert-file", &certificate]), "OK");
    assert_ne!(shown(port, &authority), second);
    for (name, value) in [
        ("tls-key-file", "/nonexistent"),
        ("tls-ca-cert-file", "/nonexistent"),
        ("tls-protocols", "TLSv1.4"),
        ("tls-protocols", "TLSv1 TLSv1.1"),
        ("tls-ciphers", "nonsense"),
        ("tls-ciphersuites", "TLS_NONSENSE"),
        ("tls-cert-file", ""),
        ("tls-client-cert-file", ""),
    ] {
        let answer = sets(&mut server, &[name, value]);
        assert_eq!(answer.contains(FAILED), name != "tls-client-cert-file", "{name} {value}: {answer}");
    }
    old.must("PING");
    assert_eq!(server.must("CONFIG GET tls-protocols").items()[1].text(), "");
}

#[test]
fn protocols_and_ciphers_are_those_that_were_set() {
    let authority = authority();
    let (mut server, port) = start(Kind::Rivulet, &authority, &["--tls-auth-clients", "no"]);
    let suite = |versions: &[&'static rustls::SupportedProtocolVersion]| {
        let mut client = Client::connect_tls(port, &client_config(None, versions)).ok()?;
        client.must("PING");
        client.tls().negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()))
    };
    assert_eq!(suite(&[&TLS13, &TLS12]).as_deref(), Some("TLS13_AES_256_GCM_SHA384"));
    server.must("CONFIG SET tls-protocols TLSv1.2");
    assert_eq!(suite(&[&TLS13]), None);
    assert_eq!(suite(&[&TLS13, &TLS12]).as_deref(), Some("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"));
    server.must("CONFIG SET tls-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:CHACHA20");
    // The client would have the other first.
    assert_eq!(suite(&[&TLS12]).as_deref(), Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
    server.must("CONFIG SET tls-ciphers CHACHA20:ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_eq!(suite(&[&TLS12]).as_deref(), Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
    server.must("CONFIG SET tls-prefer-server-ciphers yes");
    assert_eq!(suite(&[&TLS12]).as_deref(), Some("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"));
    server.must(&["CONFIG", "SET", "tls-protocols", "tlsv1.3", "tls-ciphersuites", "TLS_AES_128_GCM_SHA256"]);
    assert_eq!(suite(&[&TLS13, &TLS12]).as_deref(), Some("TLS13_AES_128_GCM_SHA256"));
    assert_eq!(suite(&[&TLS12]), None);
}

#[test]
fn ports_are_swapped_while_it_runs() {
    let authority = authority();
    let (server, tls_port) = start(Kind::Rivulet, &authority, &["--tls-auth-clients", "no"]);
    let config = authority.client(None);
    let port = server.port;
    let mut client = Client::connect_tls(tls_port, &config).expect("it is served");
    client.must(&format!("CONFIG SET port {tls_port} tls-port {port}"));
    assert!(Client::connect_tls(tls_port, &config).is_err());
    let mut other = Client::connect_tls(port, &config).expect("it is served");
    other.must("PING");
    other.must("CONFIG SET port 0");
    assert!(Client::connect(tls_port).is_err());
    let text = other.must("INFO server").text();
    assert!(text.contains(&format!("tcp_port:{port}\r\n")), "{text}");
    client.must("PING");
}

#[test]
fn what_is_missing_at_the_start_is_told() {
    let authority = authority();
    let path = |name: &str| authority.text(name, "crt");
    for (args, line) in [
        (vec![], "No tls-cert-file configured!"),
        (vec!["--tls-cert-file".to_string(), path("server")], "No tls-key-file configured!"),
        (
            authority.server_args("server", 1)[2..6].to_vec(),
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified",
        ),
        (authority.server_args("missing", 1)[2..].to_vec(), "Failed to load certificate: "),
    ] {
        let port = free_port().to_string();
        let args: Vec<&str> = ["--tls-port", &port].into_iter().chain(args.iter().map(String::as_str)).collect();
        let mut server = Server::prepare(Kind::Rivulet, &args);
        server.spawn(&[]);
        wait::until("it ends", || server.log().contains("Failed to configure TLS. Check logs for more info."));
        assert!(server.log().contains(line), "{line}\n{}", server.log());
    }
    // The same when the port is opened later.
    let mut server = Server::start(Kind::Rivulet, &[]);
    assert!(sets(&mut server, &["tls-port", &free_port().to_string()]).contains(FAILED));
    assert!(server.log().contains("No tls-cert-file configured!"));
}

#[test]
fn authorities_may_lie_in_a_directory() {
    let authority = authority();
    let dir = TempDir::new();
    fs::copy(authority.path("ca", "crt"), dir.path().join("0a1b2c3d.0")).expect("a file");
    fs::write(dir.path().join("README"), "no certificate").expect("a file");
    let args = authority.server_args("server", free_port());
    let port = args[1].parse().expect("a port");
    let args: Vec<&str> = args[..6].iter().map(String::as_str).collect();
    let path = dir.path().display().to_string();
    let _server = Server::start(Kind::Rivulet, &[&args[..], &["--tls-ca-cert-dir", &path]].concat());
    Client::connect_tls(port, &authority.client(Some("client"))).expect("it is served").must("PING");
    let stranger = Authority::new("Another");
    stranger.sign_for("client", Use::Client);
    let refused = Client::connect_tls(port, &stranger.client(Some("client"))).and_then(|mut c| c.try_call("PING"));
    assert!(refused.is_err());
}

#[test]
fn keys_may_be_encrypted() {
    let Some(openssl) = tool("openssl") else { return println!("skipped: openssl is not installed") };
    let authority = authority();
    let (mut server, port) = start(Kind::Rivulet, &authority, &[]);
    let key = authority.text("server", "key");
    let encrypt = |name: &str, words: &[&str]| {
        let out = authority.text(name, "key");
        let (text, ok) = run(&openssl, &[words, &["-in", &key, "-out", &out, "-passout", "pass:secret"]].concat());
        assert!(ok, "{text}");
        out
    };
    let words = ["pkcs8", "-topk8", "-v2"];
    let files = [
        encrypt("a", &[&words[..], &["aes-256-cbc"]].concat()),
        encrypt("b", &[&words[..], &["aes-128-cbc", "-v2prf", "hmacWithSHA512"]].concat()),
        encrypt("c", &["pkcs8", "-topk8", "-scrypt"]),
    ];
    for file in &files {
        assert!(sets(&mut server, &["tls-key-file", file]).contains(FAILED));
        assert!(server.log().contains("there is no password for it"), "{}", server.log());
        let refused = sets(&mut server, &["tls-key-file", file, "tls-key-file-pass", "wrong"]);
        assert!(refused.contains(FAILED) && !refused.contains("secret"), "{refused}");
        assert_eq!(sets(&mut server, &["tls-key-file", file, "tls-key-file-pass", "secret"]), "OK");
        shown(port, &authority);
        assert_eq!(sets(&mut server, &["tls-key-file", &key, "tls-key-file-pass", ""]), "OK");
    }
    // What can't be read is named.
    let old = encrypt("old", &["ec", "-aes256"]);
    assert!(sets(&mut server, &["tls-key-file", &old, "tls-key-file-pass", "secret"]).contains(FAILED));
    assert!(server.log().contains("openssl pkcs8 -topk8"), "{}", server.log());
}

/// What Redis's instructions make with OpenSSL 3.0: a certificate of version 1, of RSA.
#[test]
fn certificates_of_version_1_are_taken() {
    let Some(openssl) = tool("openssl") else { return println!("skipped: openssl is not installed") };
    let dir = TempDir::new();
    let script = "set -e\n\
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=CA\n\
        for name in server client; do\n\
        openssl req -new -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name\n\
        openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out $name.crt\n\
        done\n\
        openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.ca -days 30 -subj /CN=CA\n\
        openssl x509 -req -in client.csr -CA other.ca -CAkey other.key -CAcreateserial -days 30 -out other.crt\n\
        cp client.key other.key";
    let mut made = Command::new("sh");
    made.args(["-c", script]).current_dir(dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(made.status().is_ok_and(|status| status.success()), "{} makes no certificates", openssl.display());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let port = free_port();
    let (certificate, key, ca) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let args = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let args = [&args[..], &["--tls-replication", "yes"]].concat();
    let tls_port = port.to_string();
    let master = Server::start(Kind::Rivulet, &[&args[..], &["--tls-port", &tls_port]].concat());
    let mut replica = Server::start(Kind::Rivulet, &args);
    let redis_cli = tool("redis-cli");
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let mut control = master.client();
        control.must(&["CONFIG", "SET", "tls-protocols", protocol]);
        replica.must(&format!("REPLICAOF 127.0.0.1 {port}"));
        replica.wait_for_link();
        replica.must("REPLICAOF NO ONE");
        let Some(program) = &redis_cli else { continue };
        for (name, key, is_good) in [("client", "client", true), ("other", "other", false)] {
            let (certificate, key) = (path(&format!("{name}.crt")), path(&format!("{key}.key")));
            let args = ["--tls", "--cacert", &ca, "-p", &tls_port, "--cert", &certificate, "--key", &key, "PING"];
            let (text, _) = run(program, &args);
            assert_eq!(text.trim() == "PONG", is_good, "{protocol} {name}: {text}");
        }
    }
}

/// What `openssl req -x509` makes: a certificate that is its own authority, and that both ends show and trust.
#[test]
fn an_authority_may_come_itself() {
    let Some(openssl) = tool("openssl") else { return println!("skipped: openssl is not installed") };
    let dir = TempDir::new();
    let script = "set -e\n\
        for name in own other; do\n\
        openssl req -x509 -newkey rsa:2048 -nodes -keyout $name.key -out $name.crt -days 30 -subj /CN=own\n\
        done";
    let mut made = Command::new("sh");
    made.args(["-c", script]).current_dir(dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(made.status().is_ok_and(|status| status.success()), "{} makes no certificates", openssl.display());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (certificate, key, tls_port) = (path("own.crt"), path("own.key"), free_port().to_string());
    let args = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &certificate];
    let args = [&args[..], &["--tls-replication", "yes"]].concat();
    let master = Server::start(Kind::Rivulet, &[&args[..], &["--tls-port", &tls_port]].concat());
    let mut replica = Server::start(Kind::Rivulet, &args);
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        master.client().must(&["CONFIG", "SET", "tls-protocols", protocol]);
        replica.must(&format!("REPLICAOF 127.0.0.1 {tls_port}"));
        replica.wait_for_link();
        replica.must("REPLICAOF NO ONE");
        let Some(program) = tool("redis-cli") else { continue };
        for name in ["own", "other"] {
            let (shown, key) = (path(&format!("{name}.crt")), path(&format!("{name}.key")));
            let args = ["--tls", "--cacert", &certificate, "-p", &tls_port, "--cert", &shown, "--key", &key, "PING"];
            let (text, _) = run(&program, &args);
            assert_eq!(text.trim() == "PONG", name == "own", "{protocol} {name}: {text}");
        }
    }
}

#[test]
fn keys_migrate_by_tls() {
    let authority = authority();
    let (target, port) = start(Kind::Rivulet, &authority, &[]);
    let (mut source, _) = start(Kind::Rivulet, &authority, &["--tls-cluster", "yes"]);
    source.must("SET key value");
    assert!(source.must(&format!("MIGRATE 127.0.0.1 {port} key 0 5000")).is_ok());
    assert_eq!(target.client().must("GET key").text(), "value");
    source.must("SET key value");
    assert!(source.call(&format!("MIGRATE 127.0.0.1 {} key 0 1000", target.port)).is_error(), "it speaks no TLS there");
    assert_eq!(source.must("GET key").text(), "value");
}
