//! The sockets that the configuration names are opened.

use std::net::IpAddr;

use rivulet_net::{Interest, Listener, bind_tcp, bind_unix};

use super::Listening;
use crate::front::tokens::listener_token;
use crate::log;
use crate::node::Node;
use crate::system::{os_error, resolve};

const LISTENERS_MAX: u64 = 64;

impl Node {
    /// Opens the sockets that the configuration names. An address with a leading `-` may be missing on this machine.
    pub fn listen(&mut self) -> Result<(), String> {
        self.front.listeners = self.open_listeners()?;
        for (i, listener) in self.front.listeners.iter().enumerate() {
            self.front
                .poll
                .add(&listener.socket, listener_token(i), Interest::READ)
                .map_err(|e| format!("can't watch a listening socket: {e}"))?;
        }
        Ok(())
    }

    fn open_listeners(&self) -> Result<Vec<Listening>, String> {
        let mut listeners = Vec::new();
        for (port, is_tls) in [(self.config.port, false), (self.config.tls_port, true)] {
            if port != 0 {
                let sockets = self.bind_words(port, if is_tls { "TLS" } else { "TCP" })?;
                listeners.extend(sockets.into_iter().map(|socket| Listening { socket, is_tls }));
            }
        }
        if !self.config.unixsocket.is_empty() {
            let mode = (self.config.unixsocketperm != 0).then_some(self.config.unixsocketperm);
            let listener = bind_unix(self.config.unixsocket.as_ref(), mode, self.config.tcp_backlog)
                .map_err(|e| format!("Failed opening Unix socket: bind: {}", os_error(&e)))?;
            listeners.push(Listening { socket: listener, is_tls: false });
        }
        listeners.truncate(LISTENERS_MAX as usize);
        Ok(listeners)
    }

    /// Binds a port of all that `bind` names.
    fn bind_words(&self, port: u16, kind: &str) -> Result<Vec<Listener>, String> {
        let mut sockets = Vec::new();
        for word in &self.config.bind {
            sockets.extend(self.bind_word(word, port, kind)?);
        }
        match sockets.is_empty() && !self.config.bind.is_empty() {
            true => Err(format!("Failed listening on port {port} ({kind}), aborting.")),
            false => Ok(sockets),
        }
    }

    /// Binds what one word of `bind` names; nothing, if it need not be there and is not.
    fn bind_word(&self, word: &str, port: u16, kind: &str) -> Result<Option<Listener>, String> {
        let (optional, name) = match word.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, word),
        };
        let address = match name {
            "*" => IpAddr::from([0, 0, 0, 0]),
            "::*" => IpAddr::from([0u16; 8]),
            name => match resolve(name) {
                Some(address) => address,
                None if optional => return Ok(None),
                None => {
                    return Err(format!(
                        "Could not create server TCP listening socket {name}:{port}: Name or service not known"
                    ));
                }
            },
        };
        let error = match bind_tcp(address, port, self.config.tcp_backlog) {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) => error,
        };
        log::warning!("Warning: Could not create server TCP listening socket {name}:{port}: {}", os_error(&error));
        let unsupported = matches!(error.raw_os_error(), Some(92..=99));
        let expected = unsupported && (optional || name == "::*");
        if expected { Ok(None) } else { Err(format!("Failed listening on port {port} ({kind}), aborting.")) }
    }

    /// Listens where the changed configuration says. When that fails nothing listens any more, until the caller has put the configuration back and calls again.
    pub fn listen_again(&mut self) -> Result<(), String> {
        let old = std::mem::take(&mut self.front.listeners);
        for listener in &old {
            // A socket that is about to be closed leaves the poll in any case.
            let _ = self.front.poll.remove(&listener.socket);
        }
        // Old sockets may hold an address that is wanted again: Unix sockets and TCP with SO_REUSEADDR can't be bound twice.
        drop(old);
        self.listen()
    }
}
