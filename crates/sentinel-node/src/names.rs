//! Names are looked up on a thread, one after the other: the loop never waits for a name server (redis#12184).

use std::net::{IpAddr, ToSocketAddrs};

use rivulet_host::sync::{Receiver, Sender, channel};
use rivulet_host::thread;
use rivulet_net::Waker;

/// The thread's two ends.
pub struct Resolver {
    questions: Sender<String>,
    answers: Receiver<(String, Option<IpAddr>)>,
}

impl Resolver {
    /// Starts the thread; it wakes the loop for each answer.
    pub fn start(waker: &Waker) -> std::io::Result<Resolver> {
        let (questions, asked) = channel::<String>();
        let (answer, answers) = channel();
        let waker = waker.clone();
        let work = move || {
            while let Ok(host) = asked.recv() {
                // IPv4 first, as most sets have it; the order of the others is the system's.
                let found: Vec<IpAddr> =
                    (host.as_str(), 0).to_socket_addrs().into_iter().flatten().map(|address| address.ip()).collect();
                let ip = found.iter().find(|ip| ip.is_ipv4()).or(found.first()).copied();
                if answer.send((host, ip)).is_err() {
                    return;
                }
                waker.wake();
            }
        };
        thread::spawn("resolver", Box::new(work))?;
        Ok(Resolver { questions, answers })
    }

    /// Asks for a name.
    pub fn ask(&self, host: String) {
        // The thread ends only with the process.
        let _ = self.questions.send(host);
    }

    /// What has been answered since.
    pub fn answers(&self) -> Vec<(String, Option<IpAddr>)> {
        self.answers.try_iter().collect()
    }
}
