//! `rivulet-cli top`: the replication that a server is part of, as it changes. All that is known of it is [`rivulet_topology`]'s.
//!
//! In order: `net` (how nodes are reached), `words` and `line` (figures and pieces of text), `tree` and `draw` (a picture becomes lines, without a
//! terminal), `view` (what keys do), `act` (what can be done), `terminal`.

mod act;
mod draw;
mod line;
mod net;
mod terminal;
mod tree;
mod view;
mod words;

use std::io;
use std::time::{Duration, Instant};

use rivulet_client::ClientTls;
use rivulet_topology::survey::NODES_MAX;
use rivulet_topology::watcher::{Plan, Work};
use rivulet_topology::{Address, Topology, Watcher};

use act::Running;
use draw::Canvas;
use net::Net;
use terminal::Terminal;
use tree::Branches;
use view::{Key, Order, View};

use crate::clock;
use crate::options::Options;
use crate::out::{self, Fatal, system_words, words};
use crate::program::Top;

/// Between two questions to a node, and between two pictures.
const PERIOD: Duration = Duration::from_millis(250);
/// Nodes are asked on for so long after the last picture.
const WANT_MS: u64 = 5000;
/// One picture is drawn when all nodes have said something twice, as rates need; or after so long.
const PATIENCE_MS: u64 = 6000;
const ROUND_MS: u64 = 600;
/// Of a thread that asks a node, with a handshake of TLS in it.
const STACK_BYTES: usize = 512 << 10;

/// Shows the topology, until somebody ends it or once.
///
/// # Errors
/// The server that was named does not answer, or the terminal fails.
pub fn run(options: &Options, tls: Option<ClientTls>, asked: Top) -> Result<(), Fatal> {
    let net = net(options, tls)?;
    let watcher = Watcher::new(Plan {
        first: net.first.clone(),
        is_own: false,
        nodes_max: NODES_MAX,
        connect: Box::new(net.clone()),
        spawn,
        period: PERIOD,
        now: clock::both,
        changed: Box::new(|| ()),
    });
    let branches = if has_unicode() { tree::LINES } else { tree::ASCII };
    if !asked.is_once && !asked.is_json && terminal::is_there() {
        return live(&watcher, &net, branches);
    }
    let topology = settled(&watcher);
    if asked.is_json {
        let json = serde_json::to_string_pretty(&topology).map_err(|error| Fatal(error.to_string()))?;
        out::write(format!("{json}\n").as_bytes());
    } else {
        out::write(draw::plain(&topology, branches).as_bytes());
    }
    Ok(())
}

/// A thread for each node; there may be many, so none has much of a stack.
fn spawn(work: Work) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("topology".into()).stack_size(STACK_BYTES);
    thread.spawn(work).map(|_| ())
}

/// Asks the named server for its port if it was named by a socket, and whether it answers at all.
fn net(options: &Options, tls: Option<ClientTls>) -> Result<Net, Fatal> {
    let door = options.address();
    let mut net = Net {
        first: Address { host: options.host.clone(), port: options.port },
        door: door.clone(),
        user: options.user.clone(),
        password: options.password.clone(),
        tls,
        prefers_ipv6: options.prefers_ipv6,
    };
    let failed = |error| Fatal(format!("Could not connect to Redis at {door}: {}", words(&error)));
    let mut connection = net.open(&net.first, Duration::from_millis(PATIENCE_MS)).map_err(failed)?;
    let reply = connection.ask(&["INFO", "server"]).map_err(failed)?;
    if reply.is_error() {
        return Err(Fatal(format!("INFO failed: {}", reply.text())));
    }
    if options.socket.is_some() {
        let port = rivulet_topology::Info::parse(&reply.text()).count("tcp_port");
        let address = port.and_then(|port| Address::new("127.0.0.1", u16::try_from(port).ok()?));
        net.first = address.ok_or("The server listens on no port, so nothing can follow it.")?;
    }
    Ok(net)
}

/// A terminal that has lines of its own for trees.
fn has_unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    set.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// A picture of which all nodes that answer have said how fast they are.
fn settled(watcher: &Watcher) -> Topology {
    let begun_ms = clock::both().ms;
    watcher.want(PATIENCE_MS);
    loop {
        let now_ms = clock::both().ms;
        let has_round = now_ms >= begun_ms + ROUND_MS && watcher.is_settled(begun_ms + ROUND_MS / 2);
        if has_round || now_ms >= begun_ms + PATIENCE_MS {
            return watcher.topology();
        }
        clock::sleep(PERIOD / 5);
    }
}

fn live(watcher: &Watcher, net: &Net, branches: Branches) -> Result<(), Fatal> {
    let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut terminal = Terminal::open(has_colour)?;
    let ended = follow(watcher, net, branches, &mut terminal);
    let signal = terminal.ended_by();
    drop(terminal);
    if let Some(signal) = signal {
        terminal::die_of(signal);
    }
    ended.map_err(|error| Fatal(format!("The terminal has gone: {}", system_words(&error))))
}

/// Draws and takes keys until one ends it, or a signal does.
fn follow(watcher: &Watcher, net: &Net, branches: Branches, terminal: &mut Terminal) -> io::Result<()> {
    let mut view = View::default();
    let mut running: Option<Running> = None;
    while terminal.ended_by().is_none() {
        watcher.want(WANT_MS);
        let topology = watcher.topology();
        if let Some(lines) = running.as_ref().and_then(Running::ended) {
            running.take().into_iter().for_each(|ended| view.answer(&ended.action, lines.clone()));
        }
        let (width, height) = terminal.size();
        let busy = running.as_ref().map(|running| (running.action.what.as_str(), taken(running, clock::now())));
        terminal.draw(&draw::screen(&topology, &view, busy, Canvas { width, height, branches }))?;
        let mut keys = terminal.keys(PERIOD)?;
        if terminal.is_stopped() {
            keys.push(Key::Suspend);
        }
        for key in keys {
            match view.press(key, &topology) {
                Some(Order::Quit) => return Ok(()),
                Some(Order::Suspend) => terminal.stop()?,
                Some(Order::Start(action)) => running = Some(Running::start(action, net, clock::now())),
                None => {}
            }
        }
    }
    Ok(())
}

fn taken(running: &Running, now: Instant) -> f64 {
    now.duration_since(running.begun).as_secs_f64()
}
