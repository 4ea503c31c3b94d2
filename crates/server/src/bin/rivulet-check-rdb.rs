//! `rivulet-check-rdb <rdb-file-name>`: is this RDB file sound, and what does it hold? The logic is `rivulet_rdb::check`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rivulet_progress::ProgressReader;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let [program, name] = arguments.as_slice() else {
        let program = arguments.first().map_or("rivulet-check-rdb".into(), |program| program.to_string_lossy());
        eprintln!("Usage: {program} <rdb-file-name>");
        return ExitCode::FAILURE;
    };
    if name == "-v" || name == "--version" {
        println!("rivulet-check-rdb {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if name == "-h" || name == "--help" {
        println!("Usage: {} <rdb-file-name>", program.to_string_lossy());
        return ExitCode::SUCCESS;
    }
    let name_shown = name.to_string_lossy();
    let file = match File::open(name) {
        Ok(file) => file,
        Err(error) => {
            println!("[offset 0] Checking RDB file {name_shown}");
            eprintln!("Cannot open {name_shown}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let file = ProgressReader::new(file, "RDB", size, now);
    let mut out = BufWriter::new(io::stdout().lock());
    match rivulet_rdb::check::check(&name_shown, file, now_ms(), &mut out).and_then(|end| out.flush().map(|()| end)) {
        Ok(Some(_)) => ExitCode::SUCCESS,
        Ok(None) => ExitCode::FAILURE,
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

#[expect(clippy::disallowed_methods, reason = "a tool's main function is the edge where the clock is read")]
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
