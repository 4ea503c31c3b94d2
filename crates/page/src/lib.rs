//! The page (docs/page.md): the replication that this server or Sentinel is part of as a picture in a browser, and what monitoring asks for.
//!
//! It is a client of its own server: [`Settings::door`] gives it connections to that, and through nothing else does it touch the server. [`Page::open`]
//! binds the port, so that a port that is taken is told at the start; [`Page::run`] serves until the process ends, on the thread that calls it.
//!
//! In order: `http` (connections and their bounds), `guard` (whose requests are answered, and what each answer says to the browser), `routes`; `own` and
//! `peers` (who is asked), `shared` (how often), `feed` (events), `readiness`, `sentinel`, `metrics`; `sessions` and `actions`; `document`
//! and `sentences` (what servers say, in Chinese).

mod actions;
mod document;
mod feed;
mod guard;
mod http;
mod metrics;
mod own;
mod peers;
mod readiness;
mod routes;
mod sentences;
mod sentinel;
mod sessions;
mod shared;
mod stall;
mod threads;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rivulet_topology::Address;

/// Which program the page is of. What follows speaks of the own server for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Server,
    Sentinel,
}

/// For whom a connection to the own server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// The page: it may do all, and is not counted.
    Page,
    /// Somebody who is to log in.
    Person,
}

/// Gives connections to the own server.
pub type Door = Arc<dyn Fn(Visitor) -> io::Result<UnixStream> + Send + Sync>;

/// What a page is made of.
#[derive(Clone)]
pub struct Settings {
    pub port: u16,
    pub addresses: Vec<IpAddr>,
    pub program: Program,
    /// Where clients reach the own server.
    pub own: Address,
    pub door: Door,
    /// Connections of browsers and others at once, at most.
    pub connections_max: usize,
    /// Nodes that are asked at once, each over a connection, at most.
    pub nodes_max: usize,
}

/// A page whose port is bound.
pub struct Page {
    settings: Settings,
    listeners: Vec<TcpListener>,
}

impl Page {
    /// Binds the port on all addresses.
    ///
    /// # Errors
    /// A sentence that names the address that can't be bound.
    pub fn open(settings: Settings) -> Result<Page, String> {
        let bind = |ip: &IpAddr| {
            let address = SocketAddr::new(*ip, settings.port);
            let listener = TcpListener::bind(address).and_then(|l| l.set_nonblocking(true).map(|()| l));
            listener.map_err(|e| format!("Could not create the page's listening socket {address}: {e}"))
        };
        let listeners = settings.addresses.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Page { settings, listeners })
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// What it stands on can't be had from the system.
    pub fn run(self) -> io::Result<()> {
        http::run(self.settings, self.listeners)
    }
}
