//! A link through a process in between, so that it can be cut after any byte while both ends live on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

const OPEN: i64 = i64::MAX / 2;

/// Passes connections on to one port of this machine until it is dropped.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    to: u16,
    ended: AtomicBool,
    /// So many bytes go on, in both directions together, before the connection is cut.
    left: AtomicI64,
}

impl Proxy {
    pub fn to(to: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared { to, ended: AtomicBool::new(false), left: AtomicI64::new(OPEN) });
        let passed = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if passed.ended.load(Ordering::Relaxed) {
                    return;
                }
                // Where nobody listens, the connection ends at once.
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", passed.to))) {
                    passed.clone().join(client, server);
                }
            }
        });
        Proxy { port, shared }
    }

    /// Cuts the connection when so many more bytes went through; what is under way then is lost.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.left.store(bytes as i64, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.left.store(0, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn join(self: Arc<Self>, client: TcpStream, server: TcpStream) {
        let (Ok(client_2), Ok(server_2)) = (client.try_clone(), server.try_clone()) else { return };
        let other = self.clone();
        std::thread::spawn(move || self.pass(client, server));
        std::thread::spawn(move || other.pass(server_2, client_2));
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            let left = self.left.fetch_sub(len as i64, Ordering::Relaxed);
            let cut = left < len as i64;
            let len = if cut { left.max(0) as usize } else { len };
            if to.write_all(&buffer[..len]).is_err() || cut {
                // The next connection is whole again.
                self.left.store(OPEN, Ordering::Relaxed);
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
