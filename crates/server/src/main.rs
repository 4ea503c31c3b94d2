//! `rivulet-server`: takes Redis's arguments and configuration files as they are.

use std::ffi::OsString;
use std::io::Write;

use rivulet_config::{Config, Start, USAGE};
use rivulet_node::REDIS_VERSION;

mod page;

fn main() {
    std::process::exit(run());
}

/// Runs what the command line asks for; answers the exit status.
fn run() -> i32 {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|a| a == "quickstart") {
        return rivulet_quickstart::main(&args[2..]);
    }
    match Config::from_args(args) {
        Ok(Start::Version) => {
            println!(
                "Redis server v={REDIS_VERSION} sha=00000000:0 malloc=jemalloc-5.3.1 bits=64 build=rivulet-{}",
                env!("CARGO_PKG_VERSION")
            );
            0
        }
        Ok(Start::Help) => {
            eprint!("{USAGE}");
            1
        }
        Ok(Start::Server(startup)) => {
            let counted = rivulet_memory::Counted::register();
            let status = rivulet_node::start::serve(*startup, page::open);
            drop(counted);
            status
        }
        Ok(Start::Sentinel(startup)) => rivulet_sentinel_node::serve(*startup, page::open_of_sentinel),
        Ok(_) => {
            eprintln!("rivulet-server: this mode is not supported yet");
            1
        }
        Err(error) => {
            // The text stands alone on standard error, where tools look for it.
            let _ = writeln!(std::io::stderr(), "{error}");
            1
        }
    }
}
