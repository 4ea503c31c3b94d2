//! `cargo xtask`: the project's chores. One word is one chore; each says what it does and ends with a status that scripts can use.

mod apt;
mod asan;
mod chore;
mod dist;
mod fuzz;
mod links;
mod measure;
mod miri;
mod modules;
mod mutate;
mod pauses;
mod peers;
mod python;
mod record;
mod screenshot;
mod simulate;
mod soak;
mod test;

use std::process::ExitCode;

use chore::Outcome;

const USAGE: &str = "\
Usage: cargo xtask <chore>

  test [ARGS]                 install what the tests need, build the server, run all tests;
                              ARGS go to `cargo test` (a name, -p CRATE, -- --nocapture)
  peers                       fetch the servers that Rivulet is compared with, and print where they are
  suite [FILES]               Redis's own test suite against this server (unit/expire, integration/psync2, ...)
  bench [WHAT] [ARGS]         measurements beside the peers: ops, mem, fullsync, steady, resume
  fuzz [TARGET] [--seconds N] [--case C] [--smoke]
                              fuzz with cargo-fuzz if it is installed, else with the runner on stable Rust
  miri [WORDS]                the keyspace's tests under Miri, if a nightly compiler with it is installed
  asan [WORDS] [--fuzz SECONDS]
                              the Lua engine's tests under AddressSanitizer; or the fuzzing of scripts, for so long each
  simulate [--minutes N] [--seed S] [--first S]
                              real nodes on simulated machines, in trouble of all kinds; a seed shows what its servers log
  mutate [WORDS]              break the rules of the node one by one in a copy of the sources:
                              the simulation must notice each
  soak [--minutes N] [--seed S]
                              whole servers under writes, killed, ended, stopped and cut at random
  pauses [--items N] [--max-ms N]
                              how long the event loop and clients pause while big values are copied
  dist [--check | --only-check | --only-notices] [--arm64] [--profile NAME]
                              packages for Debian and RPM, and a static archive, into target/dist;
                              --check installs, starts and removes what was made, in a clean root;
                              --only-notices writes the licenses of all that is linked into target/notices;
                              --arm64 makes an archive for ARM64, too
  links                       whether all links of the documents lead to what is there
  modules                     which modules of the node know each other, and how many are in a circle
  screenshot                  make the pictures of the page in docs/images anew, with Chromium and Node.js
  record                      make the moving picture of the quickstart in docs/images anew
  ci                          everything that must pass before a change is merged (.ci/run)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (chore, args) = match args.split_first() {
        Some((chore, args)) => (chore.as_str(), args),
        None => ("help", &[][..]),
    };
    let outcome: Outcome = match chore {
        "test" => test::run(args),
        "peers" => peers::run(),
        "suite" => measure::suite(args),
        "bench" => measure::bench(args),
        "fuzz" => fuzz::run(args),
        "miri" => miri::run(args),
        "mutate" => mutate::run(args),
        "pauses" => pauses::run(args),
        "asan" => asan::run(args),
        "simulate" => simulate::run(args),
        "soak" => soak::run(args),
        "dist" => dist::run(args),
        "links" => links::run(),
        "modules" => modules::run(),
        "record" => record::run(),
        "screenshot" => screenshot::run(),
        "ci" => chore::run(chore::command(chore::root().join(".ci/run")).args(args)),
        "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(format!("no chore '{other}'\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("xtask: {text}");
            ExitCode::FAILURE
        }
    }
}
