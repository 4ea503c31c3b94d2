//! The sockets that clients come to.

use std::net::{IpAddr, ToSocketAddrs};

use rivulet_config::{Config, Level};
use rivulet_net::{Listener, bind_tcp, bind_unix};
use rivulet_node::{log, system::os_error};

/// A socket that clients come to.
pub struct Listening {
    pub socket: Listener,
    /// They come with TLS.
    pub is_tls: bool,
}

/// Opens the sockets that the configuration names.
///
/// # Errors
/// Why there is none; a line for the log.
pub fn listen(config: &Config) -> Result<Vec<Listening>, String> {
    let mut listeners = Vec::new();
    for (port, is_tls) in [(config.port, false), (config.tls_port, true)] {
        let sockets = bind_port(config, port, if is_tls { "TLS" } else { "TCP" })?;
        listeners.extend(sockets.into_iter().map(|socket| Listening { socket, is_tls }));
    }
    if !config.unixsocket.is_empty() {
        let mode = (config.unixsocketperm != 0).then_some(config.unixsocketperm);
        let socket = bind_unix(config.unixsocket.as_ref(), mode, config.tcp_backlog)
            .map_err(|e| format!("Failed opening Unix socket: bind: {}", os_error(&e)))?;
        listeners.push(Listening { socket, is_tls: false });
    }
    Ok(listeners)
}

/// Binds a port, if it is one, of all that `bind` names.
fn bind_port(config: &Config, port: u16, kind: &str) -> Result<Vec<Listener>, String> {
    let mut sockets = Vec::new();
    let failed = || format!("Failed listening on port {port} ({kind}), aborting.");
    for word in config.bind.iter().filter(|_| port != 0) {
        sockets.extend(bind(word, port, config.tcp_backlog, &failed)?);
    }
    if port != 0 && sockets.is_empty() && !config.bind.is_empty() {
        return Err(failed());
    }
    Ok(sockets)
}

fn bind(word: &str, port: u16, backlog: u32, failed: &dyn Fn() -> String) -> Result<Option<Listener>, String> {
    let (is_optional, name) = word.strip_prefix('-').map_or((false, word), |name| (true, name));
    let address: Option<IpAddr> = match name {
        "*" => Some(IpAddr::from([0, 0, 0, 0])),
        "::*" => Some(IpAddr::from([0u16; 8])),
        name => name.parse().ok().or_else(|| Some((name, 0).to_socket_addrs().ok()?.next()?.ip())),
    };
    let Some(address) = address else { return if is_optional { Ok(None) } else { Err(failed()) } };
    let error = match bind_tcp(address, port, backlog) {
        Ok(listener) => return Ok(Some(listener)),
        Err(error) => error,
    };
    let text = format!("Warning: Could not create server TCP listening socket {name}:{port}: {}", os_error(&error));
    log::write(Level::Warning, format_args!("{text}"));
    // No such family or address on this machine.
    let is_missing = matches!(error.raw_os_error(), Some(92..=99)) && (is_optional || name == "::*");
    if is_missing { Ok(None) } else { Err(failed()) }
}
