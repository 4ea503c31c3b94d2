//! `rivulet-server quickstart`: a master, a replica and a replica of the replica on this machine, to look at and to play with.
//!
//! The servers are children of this process, made of its own executable, each in a temporary directory of its own. Each step of their links is
//! told as it happens, in plain words made of their logs (`story`). Then a small load runs on the master (`load`) and a table shows where
//! everybody stands (`table`). At the end, whatever the reason, the children and their directories are gone. Nothing here touches a
//! server's state but over its port, as any client does.
//!
//! `--failover` is another show (`failover`): three servers and three Sentinels (`judges`), a master that is killed under writes (`writers`), and
//! the count of what was acknowledged and is gone.

mod client;
mod clock;
mod failover;
mod judges;
mod load;
mod node;
mod story;
mod table;
mod writers;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use load::Load;
use node::{Folder, Node, Place};
use table::Screen;

const USAGE: &str = "\
Usage: rivulet-server quickstart [--replicas N] [--port P] [--seconds S]
       rivulet-server quickstart --failover [--stay] [--port P]

Starts a master, a replica and a replica of the replica on 127.0.0.1, shows
how they connect and how data flows, and removes everything at the end (Ctrl-C).

  --replicas N   N more replicas of the master (at most 16)
  --port P       the master's port, or the next that is free (6379)
  --seconds S    end after S seconds
  --failover     three servers and three Sentinels: the master is killed under
                 writes, and what was acknowledged and is gone then is counted.
                 Ends by itself; the status is 1 if anything was lost
  --stay         go on running after that
";

const REPLICAS_MAX: u16 = 16;
/// The page's port is so far from the master's, or the next that is free.
const PAGE_DISTANCE: u16 = 1701;
/// How long a server may take to answer, and a link to come up.
const START_TIMEOUT_MS: u64 = 30_000;
/// The pace of everything: a write of the load, a look at signals.
const TICK: Duration = Duration::from_millis(20);

/// Why quickstart can't go on.
enum Stop {
    /// A signal came.
    Asked,
    /// Nobody reads the output any more.
    NoOutput,
    Failed(String),
}

impl From<std::io::Error> for Stop {
    /// Only writing to standard output is turned into a stop in this way.
    fn from(_: std::io::Error) -> Stop {
        Stop::NoOutput
    }
}

struct Options {
    /// The show of a failover instead of the tour.
    failover: bool,
    stay: bool,
    replicas: u16,
    port: u16,
    seconds: Option<u64>,
}

/// Runs it; answers the exit status.
pub fn main(args: &[OsString]) -> i32 {
    if args.first().is_some_and(|a| a == node::CHILD_WORD) {
        return node::become_server(&args[1..]);
    }
    let options = match Options::parse(args) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let _ = std::io::stdout().write_all(USAGE.as_bytes());
            return 0;
        }
        Err(text) => {
            eprint!("rivulet-server quickstart: {text}\n\n{USAGE}");
            return 1;
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if let Err(e) = signal_hook::flag::register(signal, stop.clone()) {
            eprintln!("rivulet-server quickstart: can't watch for signals: {e}");
            return 1;
        }
    }
    let mut show = match Show::new(stop) {
        Ok(show) => show,
        Err(e) => {
            eprintln!("rivulet-server quickstart: can't make a temporary directory: {e}");
            return 1;
        }
    };
    let ended = if options.failover { failover::run(&mut show, &options) } else { show.run(&options).map(|()| 0) };
    let count = show.nodes.len();
    drop(show);
    match ended {
        Ok(_) | Err(Stop::Asked) => {
            let _ = writeln!(std::io::stdout(), "\nEnded {count} servers and removed their files.");
            ended.unwrap_or(0)
        }
        Err(Stop::NoOutput) => 0,
        Err(Stop::Failed(text)) => {
            eprintln!("\nrivulet-server quickstart: {text}");
            1
        }
    }
}

impl Options {
    /// `None` asks for help.
    fn parse(args: &[OsString]) -> Result<Option<Options>, String> {
        let mut options = Options { failover: false, stay: false, replicas: 0, port: 6379, seconds: None };
        let mut words = args.iter().map(|a| a.to_string_lossy());
        while let Some(word) = words.next() {
            if word == "-h" || word == "--help" {
                return Ok(None);
            }
            if let Some(flag) = options.flag(&word) {
                *flag = true;
                continue;
            }
            let known = ["--replicas", "--port", "--seconds"].contains(&word.as_ref());
            if !known {
                return Err(format!("unknown option '{word}'"));
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            let number: u64 = value.parse().map_err(|_| format!("{word}: '{value}' is not a number"))?;
            let small = |max: u16| {
                u16::try_from(number).ok().filter(|&n| n <= max).ok_or_else(|| format!("{word}: at most {max}"))
            };
            match word.as_ref() {
                "--replicas" => options.replicas = small(REPLICAS_MAX)?,
                "--port" => options.port = small(65_000)?.max(1),
                _ => options.seconds = Some(number),
            }
        }
        if options.stay && !options.failover {
            return Err("--stay goes with --failover".into());
        }
        if options.failover && (options.replicas != 0 || options.seconds.is_some()) {
            return Err("--failover has two replicas and ends by itself: no --replicas or --seconds beside it".into());
        }
        Ok(Some(options))
    }
}

impl Options {
    /// An option without a value.
    fn flag(&mut self, word: &str) -> Option<&mut bool> {
        match word {
            "--failover" => Some(&mut self.failover),
            "--stay" => Some(&mut self.stay),
            _ => None,
        }
    }
}

/// Everything that must be gone at the end: the nodes end before their folder is removed.
struct Show {
    nodes: Vec<Node>,
    folder: Folder,
    stop: Arc<AtomicBool>,
}

impl Show {
    fn new(stop: Arc<AtomicBool>) -> std::io::Result<Show> {
        Ok(Show { nodes: Vec::new(), folder: Folder::new()?, stop })
    }

    fn run(&mut self, options: &Options) -> Result<(), Stop> {
        let mut out = std::io::stdout();
        writeln!(
            out,
            "Rivulet {} quickstart: a master, a replica, and a replica of the replica.",
            env!("CARGO_PKG_VERSION")
        )?;
        writeln!(out, "Logs and data, until it ends: {}\n", self.folder.path().display())?;
        let mut port = self.free_port(options.port)?;
        if port != options.port {
            writeln!(out, "Port {} is taken: the master gets {port}.", options.port)?;
        }
        let page = self.free_port(port.saturating_add(PAGE_DISTANCE))?;
        self.start(Place { page: Some(page), ..Place::new("master", port, None, 0) })?;
        let master = port;
        let (keys, bytes) = load::fill(&mut self.nodes[0])
            .map_err(|e| Stop::Failed(format!("the master took no data: {e}{}", self.nodes[0].last_words())))?;
        writeln!(
            out,
            "[master]   {keys} keys written ({}), so that there is something to copy",
            table::bytes_text(bytes)
        )?;

        port = self.free_port(port.saturating_add(1))?;
        let middle = port;
        self.start(Place::new("replica", port, Some(master), 0))?;
        port = self.free_port(port.saturating_add(1))?;
        let leaf = port;
        self.start(Place::new("leaf", port, Some(middle), 1))?;
        for n in 1..=options.replicas {
            port = self.free_port(port.saturating_add(1))?;
            self.start(Place::new(&format!("extra-{n}"), port, Some(master), 0))?;
        }
        write!(out, "{}", commands_to_try(master, middle, leaf, page))?;
        self.watch(options.seconds)
    }

    /// Starts a server and tells what happens until it serves and, as a replica, its link is up.
    fn start(&mut self, place: Place) -> Result<(), Stop> {
        let name = place.name.clone();
        let node =
            Node::start(self.folder.path(), place).map_err(|e| Stop::Failed(format!("can't start [{name}]: {e}")))?;
        self.nodes.push(node);
        self.await_last()
    }

    /// Tells what happens until the node that was started last serves.
    fn await_last(&mut self) -> Result<(), Stop> {
        let mut out = std::io::stdout();
        let node = self.nodes.last_mut().expect("one was started");
        let name = format!("[{}]", node.place.name);
        let upstream = node.place.upstream;
        let deadline_ms = clock::monotonic_ms() + START_TIMEOUT_MS;
        let mut listens = false;
        let mut up = false;
        while !up {
            check(&self.stop)?;
            if let Some(status) = node.just_ended() {
                return Err(Stop::Failed(format!("{name} ended at its start: {status}{}", node.last_words())));
            }
            if clock::monotonic_ms() > deadline_ms {
                return Err(Stop::Failed(format!("{name} took too long to start{}", node.last_words())));
            }
            if !listens && node.sample().is_ok() {
                listens = true;
                let follows = upstream.map_or(String::new(), |port| format!(", to follow 127.0.0.1:{port}"));
                writeln!(out, "{name:<10} listens on 127.0.0.1:{} (process {}){follows}", node.place.port, node.pid())?;
            }
            if listens {
                for line in node.new_log_lines() {
                    if let Some(told) = story::step(&line, &mut node.sync) {
                        writeln!(out, "{name:<10} {told}")?;
                    }
                }
                let state = node.sample().ok();
                up = upstream.is_none() || state.is_some_and(|s| s.link_up);
            }
            if !up {
                clock::sleep(TICK);
            }
        }
        if upstream.is_some() {
            // What was logged between the last look at the log and the link's being up.
            for line in node.new_log_lines() {
                if let Some(told) = story::step(&line, &mut node.sync) {
                    writeln!(out, "{name:<10} {told}")?;
                }
            }
            let copied = node.state.map_or(0, |s| s.repl_input_bytes);
            let seconds = node.sync.seconds().map_or(String::new(), |s| format!(" in {s:.3} s"));
            writeln!(out, "{name:<10} full sync done: {} received{seconds}", table::bytes_text(copied))?;
            writeln!(out, "{name:<10} link up: from here on every write comes as it happens")?;
        }
        Ok(())
    }

    /// The live part: load, events, table, until it is time to end.
    fn watch(&mut self, seconds: Option<u64>) -> Result<(), Stop> {
        let is_terminal = std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        let mut screen = Screen::new(is_terminal);
        let mut load = Load::new();
        for node in &mut self.nodes {
            // What the start has told is not news.
            node.new_log_lines();
        }
        let started_ms = clock::monotonic_ms();
        let end_ms = seconds.map_or(u64::MAX, |s| started_ms.saturating_add(s.saturating_mul(1000)));
        let mut draw_ms = started_ms;
        loop {
            check(&self.stop)?;
            let now_ms = clock::monotonic_ms();
            load.tick(&mut self.nodes[0], now_ms);
            let mut events = Vec::new();
            for node in &mut self.nodes {
                if let Some(status) = node.just_ended() {
                    let words = node.last_words();
                    let last = words.lines().last().map_or("nothing", str::trim);
                    let text = format!("the server has ended ({status}); its last line: {last}");
                    screen.event(&node.place.name, &text)?;
                }
                for line in node.new_log_lines() {
                    if let Some((ms, told)) = story::event(&line, &mut node.sync) {
                        events.push((ms, node.place.name.clone(), told));
                    }
                }
            }
            // What happened between two looks comes in its own order, not in that of the nodes.
            events.sort_by_key(|(ms, ..)| *ms);
            for (_, name, told) in events {
                screen.event(&name, &told)?;
            }
            if self.nodes.iter().all(Node::is_gone) {
                return Err(Stop::Failed("all servers have ended".into()));
            }
            if now_ms >= draw_ms {
                for node in &mut self.nodes {
                    // What doesn't answer is shown so.
                    let _ = node.sample();
                }
                screen.draw(&self.nodes, (now_ms - started_ms) / 1000)?;
                draw_ms = now_ms + if is_terminal { 500 } else { 2000 };
            }
            if now_ms >= end_ms {
                return Ok(());
            }
            clock::sleep(TICK);
        }
    }

    /// The first free port from `from` on.
    fn free_port(&self, from: u16) -> Result<u16, Stop> {
        (from..=u16::MAX)
            .take(1000)
            .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
            .ok_or_else(|| Stop::Failed(format!("no free port from {from} on")))
    }
}

fn check(stop: &AtomicBool) -> Result<(), Stop> {
    if stop.load(Ordering::Relaxed) { Err(Stop::Asked) } else { Ok(()) }
}

fn commands_to_try(master: u16, middle: u16, leaf: u16, page: u16) -> String {
    format!(
        "
See it in a browser, live:
      http://127.0.0.1:{page}/
Try, in another terminal:
  write at the master, read at the leaf
      redis-cli -p {master} SET hello world && redis-cli -p {leaf} GET hello
  cut the link in the middle: it comes back with a partial resync, no copy
      redis-cli -p {middle} CLIENT KILL TYPE master
  make the leaf a master of its own, then a replica again
      redis-cli -p {leaf} REPLICAOF NO ONE
      redis-cli -p {leaf} REPLICAOF 127.0.0.1 {middle}
  see what a server knows of its links
      redis-cli -p {master} INFO replication
Ctrl-C ends all servers and removes their files.

"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Option<Options>, String> {
        Options::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options() {
        let options = parse(&["--replicas", "3", "--seconds", "15"]).expect("valid").expect("no help");
        assert_eq!((options.replicas, options.port, options.seconds), (3, 6379, Some(15)));
        assert!(parse(&["--help"]).expect("valid").is_none());
        for (words, text) in [
            (&["--replicas", "17"][..], "--replicas: at most 16"),
            (&["--replicas"], "--replicas needs a number"),
            (&["--seconds", "x"], "--seconds: 'x' is not a number"),
            (&["--stay"], "--stay goes with --failover"),
            (
                &["--failover", "--replicas", "1"],
                "--failover has two replicas and ends by itself: no --replicas or --seconds beside it",
            ),
            (&["--what"], "unknown option '--what'"),
        ] {
            assert_eq!(parse(words).err().as_deref(), Some(text));
        }
    }
}
