//! `cargo xtask record`: the quickstart as a picture that moves, `docs/images/quickstart.svg`, from what it wrote to a terminal and when.

mod svg;
mod terminal;

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::chore::{self, Outcome, on_path};
use svg::Scene;
use terminal::Terminal;

/// The READMEs show it.
const BYTES_MAX: usize = 100 * 1000;
/// Those that the quickstart takes by itself, and that readers know.
const PORTS: [u16; 4] = [6379, 6380, 6381, 8080];
const SECONDS: u64 = 12;
/// When the link in the middle is cut.
const CUT_AFTER: Duration = Duration::from_secs(6);
const CUT: [&str; 6] = ["-p", "6380", "CLIENT", "KILL", "TYPE", "master"];
/// Writes that are closer to each other are one for the eye.
const TOGETHER_MS: u64 = 15;
/// How long the end is looked at.
const REST_MS: u64 = 4000;

/// What came out of the terminal, and when.
struct Written {
    at_ms: u64,
    bytes: Vec<u8>,
}

pub fn run() -> Outcome {
    for port in PORTS {
        TcpListener::bind(("127.0.0.1", port)).map_err(|e| format!("port {port}, which the picture shows: {e}"))?;
    }
    if on_path("script").is_none() {
        return Err("there is no `script` (on Debian and Ubuntu: the package bsdutils)".into());
    }
    let server = chore::build_server()?;
    let mut show = start(&server)?;
    let began = now();
    let cut = cut(&server.with_file_name("rivulet-cli"), began);
    let written = watch(&mut show, began)?;
    let status = show.wait().map_err(|e| format!("can't wait for the quickstart: {e}"))?;
    if !status.success() {
        return Err(format!("the quickstart: {status}"));
    }
    let (cut_ms, reply) = cut.join().map_err(|_| "the cut has failed")??;
    let mut terminal = Terminal::new(svg::ROWS);
    for Written { at_ms, bytes } in &written {
        terminal.feed(*at_ms, bytes)?;
    }
    let end_ms = written.last().map_or(0, |last| last.at_ms) + REST_MS;
    let aside = [format!("$ rivulet-cli {}", CUT.join(" ")), reply];
    let text = svg::picture(&Scene { terminal: &terminal, aside: &aside, aside_ms: cut_ms, end_ms });
    if text.len() > BYTES_MAX {
        return Err(format!("the picture has {} bytes, more than {BYTES_MAX}", text.len()));
    }
    let path = chore::root().join("docs/images/quickstart.svg");
    std::fs::write(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("{} {} bytes, {:.1} s", path.display(), text.len(), end_ms as f64 / 1000.0);
    Ok(())
}

/// Starts the quickstart on a terminal.
fn start(server: &Path) -> Outcome<Child> {
    let call = format!(
        "stty cols {} rows {}; exec '{}' quickstart --seconds {SECONDS}",
        svg::COLUMNS,
        svg::ROWS,
        server.display()
    );
    let mut script = chore::command("script");
    script.args(["--quiet", "--return", "--flush", "--command", &call, "/dev/null"]).env("TERM", "xterm");
    script.stdin(Stdio::null()).stdout(Stdio::piped());
    script.spawn().map_err(|e| format!("can't run script: {e}"))
}

/// Cuts the link when it is time; answers when that was, and what the server said.
fn cut(cli: &Path, began: Instant) -> std::thread::JoinHandle<Outcome<(u64, String)>> {
    let mut call = chore::command(cli);
    call.arg("--no-raw").args(CUT);
    std::thread::spawn(move || {
        #[expect(clippy::disallowed_methods, reason = "the scene has a time for it")]
        std::thread::sleep(CUT_AFTER);
        let at_ms = since(began);
        let said = call.output().map_err(|e| format!("can't run rivulet-cli: {e}"))?;
        let reply = String::from_utf8_lossy(&said.stdout).trim().to_string();
        if reply != "(integer) 1" {
            return Err(format!("the link could not be cut: {reply}{}", String::from_utf8_lossy(&said.stderr)));
        }
        Ok((at_ms, reply))
    })
}

/// Everything that is written until the end.
fn watch(show: &mut Child, began: Instant) -> Outcome<Vec<Written>> {
    let mut out = show.stdout.take().ok_or("the quickstart has no output")?;
    let mut written: Vec<Written> = Vec::new();
    let mut buffer = [0; 1 << 16];
    loop {
        let len = out.read(&mut buffer).map_err(|e| format!("can't read what the quickstart says: {e}"))?;
        if len == 0 {
            return Ok(written);
        }
        let at_ms = since(began);
        match written.last_mut() {
            Some(last) if at_ms < last.at_ms + TOGETHER_MS => last.bytes.extend(&buffer[..len]),
            _ => written.push(Written { at_ms, bytes: buffer[..len].to_vec() }),
        }
    }
}

fn since(began: Instant) -> u64 {
    u64::try_from(now().duration_since(began).as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a recording says when something happened")]
fn now() -> Instant {
    Instant::now()
}
