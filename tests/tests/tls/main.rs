//! TLS: clients, replication with the peers, and what handshakes that go nowhere cost others.

mod clients;
mod handshakes;
mod replication;
mod settings;
mod tools;

use rivulet_tests::process::free_port;
use rivulet_tests::tls::{Authority, Use};
use rivulet_tests::{Kind, Server};

/// An authority with certificates for `server` and `client`.
fn authority() -> Authority {
    let authority = Authority::new("An authority");
    authority.sign_for("server", Use::Any);
    authority.sign_for("client", Use::Client);
    authority
}

/// A server that listens on a port with TLS beside its own; answers that port.
#[track_caller]
fn start(kind: Kind, authority: &Authority, more: &[&str]) -> (Server, u16) {
    let port = free_port();
    let args = authority.server_args("server", port);
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    (Server::start(kind, &args), port)
}
