//! `cargo xtask asan`: the Lua engine and what the crate around it does with Lua's memory, under AddressSanitizer, which finds what is read or written
//! where nothing is, or is no more. Miri can't run C.
//!
//! Both languages are checked: rustc and the C compiler are told to, and rustc brings the sanitizer's library, also a stable one. Lua's memory
//! comes from the system's allocator in these builds, block by block, so that the sanitizer knows each.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::chore::{self, Outcome};

/// Tests that make faults on purpose: each must be reported, or the others prove nothing.
const FAULTS: [&str; 2] = ["lua::faults::lua_reads_what_was_freed", "lua::faults::rust_reads_what_was_freed"];

/// What of the fuzzing runs scripts.
const FUZZED: [&str; 2] = ["scripts", "script_inputs"];

/// Calls are deeper under the sanitizer than the threads of tests have room for.
const STACK_BYTES: &str = "268435456";

pub fn run(args: &[String]) -> Outcome {
    let target = host_target()?;
    if !has_library(&target)? {
        println!("The compiler for {target} comes without AddressSanitizer: the Lua engine was NOT checked by it.");
        return Ok(());
    }
    let (seconds, words) = fuzz_seconds(args)?;
    if let Some(seconds) = seconds {
        return fuzz(&target, &seconds, &words);
    }
    for fault in FAULTS {
        must_be_reported(&target, fault)?;
    }
    chore::run(sanitized(&target, "test").args(ENGINE_TESTS).args(words))
}

const ENGINE_TESTS: [&str; 5] = ["-p", "rivulet-scripting", "--features=faults", "--lib", "--"];

/// The seconds of `--fuzz`, and the other words.
fn fuzz_seconds(args: &[String]) -> Outcome<(Option<String>, Vec<String>)> {
    let mut words = args.to_vec();
    let Some(at) = words.iter().position(|word| word == "--fuzz") else { return Ok((None, words)) };
    let seconds = words.get(at + 1).filter(|n| n.parse::<u32>().is_ok()).cloned();
    let seconds = seconds.ok_or("--fuzz needs a number of seconds")?;
    words.drain(at..at + 2);
    Ok((Some(seconds), words))
}

fn fuzz(target: &str, seconds: &str, words: &[String]) -> Outcome {
    let mut runner = sanitized(target, "run");
    runner.args(["--quiet", "-p", "fuzz-targets", "--bin", "fuzz-smoke", "--"]);
    match words {
        [] => runner.args(FUZZED),
        words => runner.args(words),
    };
    chore::run(runner.args(["--noted", "--seconds", seconds]))
}

/// Runs a test that makes a fault. It fails unless the sanitizer ends the test with the right words.
fn must_be_reported(target: &str, fault: &str) -> Outcome {
    let mut test = sanitized(target, "test");
    test.args(ENGINE_TESTS).args(["--ignored", "--exact", fault]);
    println!("> {fault}, which must be reported");
    let output = test.stdin(Stdio::null()).output().map_err(|e| format!("can't run cargo: {e}"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    match text.contains("AddressSanitizer: heap-use-after-free") && !output.status.success() {
        true => Ok(()),
        false => Err(format!("AddressSanitizer does not report {fault}:\n{text}")),
    }
}

/// Cargo, for what is built for the sanitizer, in a folder of its own. The flags are for the target alone: programs that cargo runs to
/// build others are as always.
fn sanitized(target: &str, chore: &str) -> Command {
    let mut cargo = chore::cargo();
    cargo.args([chore, "--target", target, "--target-dir", "target/asan"]);
    // A stable compiler takes the flag only so. It changes nothing else here.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    cargo.env(format!("CFLAGS_{}", target.replace('-', "_")), "-fsanitize=address -fno-omit-frame-pointer -g");
    cargo.env("RUST_MIN_STACK", STACK_BYTES).env("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1");
    cargo
}

fn rustc(args: &[&str]) -> Outcome<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = chore::command(program).args(args).output().map_err(|e| format!("can't run rustc: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn host_target() -> Outcome<String> {
    let version = rustc(&["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_string).ok_or_else(|| "rustc does not say what it runs on".into())
}

/// Whether the compiler brings the sanitizer's library.
fn has_library(target: &str) -> Outcome<bool> {
    let folder = PathBuf::from(rustc(&["--print", "sysroot"])?).join("lib/rustlib").join(target).join("lib");
    let files = std::fs::read_dir(&folder).map_err(|e| format!("can't read {}: {e}", folder.display()))?;
    Ok(files.flatten().any(|file| file.file_name().to_string_lossy().ends_with("_rt.asan.a")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_taken_out_of_the_words() {
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(fuzz_seconds(&words("faults")), Ok((None, words("faults"))));
        assert_eq!(fuzz_seconds(&words("--fuzz 5 scripts")), Ok((Some("5".into()), words("scripts"))));
        for bad in ["--fuzz", "--fuzz x", "scripts --fuzz"] {
            assert!(fuzz_seconds(&words(bad)).is_err(), "{bad}");
        }
    }
}
