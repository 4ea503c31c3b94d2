//! `cargo xtask suite` runs the test suite of Redis 7.0 against our server; `cargo xtask bench` measures it beside its peers.

use std::path::PathBuf;

use crate::chore::{self, Outcome};
use crate::peers;

/// What the suite is run on when no file is named.
const SUITE_FILES: &str = "unit/type/string,unit/type/list,unit/type/hash,unit/type/set,unit/type/zset,unit/expire,unit/scan,unit/multi,\
                           integration/replication,integration/replication-psync,integration/psync2";

/// `suite [FILES]`.
pub fn suite(files: &[String]) -> Outcome {
    let Some(program) = std::env::var_os("RIVULET_SUITE_RUNNER") else {
        return Err("RIVULET_SUITE_RUNNER must name a program that takes --suite redis7 --server PATH --only FILES --out FOLDER and runs the \
                    Tcl suite of Redis 7.0. By hand: link rivulet-server as src/redis-server in a tree of Redis 7.0 and call ./runtest."
            .into());
    };
    let server = chore::build_server()?;
    let files = if files.is_empty() { SUITE_FILES.to_string() } else { files.join(",") };
    let out = server.with_file_name("suite");
    let mut run = chore::command("python3");
    run.arg(program).args(["--suite", "redis7", "--durable", "--only", &files]);
    chore::run(run.arg("--server").arg(&server).arg("--out").arg(&out))?;
    println!("Results: {}", out.display());
    Ok(())
}

/// `bench [WHAT] [ARGS]`.
pub fn bench(args: &[String]) -> Outcome {
    let program = chore::root().join("bench/peerbench.py");
    chore::run(chore::cargo().args(["build", "--release", "-p", "rivulet-server"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let ours = chore::root().join(target).join("release/rivulet-server");
    let bin = peers::folder().join("bin");
    let others = [
        ("redis7", chore::on_path("redis-server")),
        ("redis8", Some(bin.join("redis8-server")).filter(|path| path.is_file())),
        ("valkey9", Some(bin.join("valkey-server")).filter(|path| path.is_file())),
    ];
    let mut servers = format!("ours={}", ours.display());
    for (name, path) in others {
        match path {
            Some(path) => servers.push_str(&format!(",{name}={}", path.display())),
            None => println!("{name} is not there (`cargo xtask peers` fetches it)"),
        }
    }
    let (what, rest) = args.split_first().map_or(("ops", &[][..]), |(what, rest)| (what.as_str(), rest));
    chore::run(chore::command("python3").arg(program).args([what, "--servers", &servers]).args(rest))
}
