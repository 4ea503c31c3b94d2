//! `rivulet-check-aof [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>`: is this append-only file sound? The logic is
//! `rivulet_aof::check`.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rivulet_aof::check::{Mode, check_watched};
use rivulet_progress::Progress;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let program = arguments.first().map_or("rivulet-check-aof".into(), |program| program.to_string_lossy());
    let usage = format!("Usage: {program} [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>");
    let (mode, path) = match arguments.get(1..).unwrap_or_default() {
        [flag] if flag == "-v" || flag == "--version" => {
            println!("rivulet-check-aof {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        [flag] if flag == "-h" || flag == "--help" => {
            println!("{usage}");
            return ExitCode::SUCCESS;
        }
        [path] => (Mode::Report, path),
        [flag, path] if flag == "--fix" => (Mode::Fix, path),
        [flag, time, path] if flag == "--truncate-to-timestamp" => match timestamp(time) {
            // As in Redis, no time at all.
            Some(0) => (Mode::Report, path),
            Some(seconds) => (Mode::TruncateTo(seconds), path),
            None => {
                println!("Invalid timestamp, aborting...");
                return ExitCode::FAILURE;
            }
        },
        _ => {
            println!("{usage}");
            return ExitCode::FAILURE;
        }
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut bar: Option<Progress> = None;
    let mut watch = |done: u64, total: u64| {
        // Of several files each has its own bar.
        if done < total {
            bar.get_or_insert_with(|| Progress::new("AOF", Some(total), now())).set(done, now());
        } else {
            bar = None;
        }
    };
    let result = check_watched(Path::new(path), mode, now_ms(), &mut io::stdin().lock(), &mut out, &mut watch);
    drop(bar);
    match result.and_then(|sound| out.flush().map(|()| sound)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("Cannot write the report: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a tool's main function is the edge where the clock is read")]
fn now() -> Instant {
    Instant::now()
}

fn timestamp(text: &OsString) -> Option<i64> {
    text.to_str()?.trim_start().parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "a tool's main function is the edge where the clock is read")]
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
