//! A link through this process that can be cut one way or both ways: what is said then arrives when it is mended, and neither end notices anything before.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rivulet_tests::wait;

/// Passes connections on to the port of a server until it is dropped.
pub struct Gate {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    to: u16,
    ended: AtomicBool,
    is_deaf: AtomicBool,
    is_mute: AtomicBool,
}

impl Gate {
    pub fn to(to: u16) -> Gate {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let off = || AtomicBool::new(false);
        let shared = Arc::new(Shared { to, ended: off(), is_deaf: off(), is_mute: off() });
        let passed = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if passed.ended.load(Ordering::Relaxed) {
                    return;
                }
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", passed.to))) {
                    passed.join(client, server);
                }
            }
        });
        Gate { port, shared }
    }

    /// From now on the server hears nothing (`is_deaf`), is not heard (`is_mute`), both, or all is well again.
    pub fn set(&self, is_deaf: bool, is_mute: bool) {
        self.shared.is_deaf.store(is_deaf, Ordering::Relaxed);
        self.shared.is_mute.store(is_mute, Ordering::Relaxed);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let (Ok(client_2), Ok(server_2)) = (client.try_clone(), server.try_clone()) else { return };
        let (inward, outward) = (self.clone(), self.clone());
        std::thread::spawn(move || inward.pass(client, server, &inward.is_deaf));
        std::thread::spawn(move || outward.pass(server_2, client_2, &outward.is_mute));
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
        let mut buffer = [0; 16 << 10];
        loop {
            let len = from.read(&mut buffer).unwrap_or(0);
            // An end is not heard of either.
            while is_cut.load(Ordering::Relaxed) && !self.ended.load(Ordering::Relaxed) {
                wait::pause(Duration::from_millis(5));
            }
            if len == 0 || self.ended.load(Ordering::Relaxed) || to.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
