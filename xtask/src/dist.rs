//! `cargo xtask dist`: Debian packages, RPM packages and an archive of static programs, with their checksums, in `target/dist`.
//!
//! What is in a package stands in the manifests of `crates/server` and `crates/cli`; the files are those of `packaging/`. `--check` installs and
//! starts what was made (`dist/check.rs`).

mod archive;
mod changelog;
mod check;
mod check_archive;
mod check_debian;
mod check_image;
mod check_rpm;
mod musl;
mod notices;
mod root;
mod tool;

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::chore::{self, Outcome};
use musl::Musl;

const USAGE: &str = "dist [--check | --only-check | --only-notices] [--arm64] [--profile NAME]";

/// The programs of a release.
const PROGRAMS: [&str; 4] = ["rivulet-server", "rivulet-cli", "rivulet-check-rdb", "rivulet-check-aof"];

/// What a build for packages is optimized like.
const PROFILE: &str = "distribution";

/// What is made for a package and is no program, in a folder beside the programs.
const DOCUMENTS: &str = "package-doc";

/// Where the notices alone go, for an image that is made of the programs.
const NOTICES: &str = "notices";

struct Options {
    profile: String,
    makes: bool,
    checks: bool,
    /// No packages, but the licenses of what is linked into the programs.
    notices: bool,
    /// Whether there is an archive for ARM64, too.
    arm64: bool,
}

impl Options {
    fn parse(args: &[String]) -> Outcome<Options> {
        let mut options = Options { profile: PROFILE.into(), makes: true, checks: false, notices: false, arm64: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--check" => options.checks = true,
                "--only-check" => (options.makes, options.checks) = (false, true),
                "--only-notices" => (options.makes, options.notices) = (false, true),
                "--arm64" => options.arm64 = true,
                "--profile" => options.profile = args.next().ok_or("--profile needs a name")?.clone(),
                other => return Err(format!("no option '{other}'; usage: cargo xtask {USAGE}")),
            }
        }
        Ok(options)
    }
}

pub fn run(args: &[String]) -> Outcome {
    let options = Options::parse(args)?;
    let begun = now();
    if options.notices {
        notices::make(&target().join(NOTICES), &format!("{ARCH}-unknown-linux-gnu"))?;
    }
    if options.makes {
        make(&options)?;
        println!("== Made in {} s", begun.elapsed().as_secs());
    }
    let begun = now();
    if options.checks {
        check::run()?;
        println!("== Checked in {} s", begun.elapsed().as_secs());
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "it says how long it took")]
fn now() -> Instant {
    Instant::now()
}

fn make(options: &Options) -> Outcome {
    let (profile, folder) = (options.profile.as_str(), folder());
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    println!("== Programs");
    let programs = build(profile, None)?;
    println!("== Licenses of what is linked, and changelogs");
    let documents = programs.join(DOCUMENTS);
    notices::make(&documents, &format!("{ARCH}-unknown-linux-gnu"))?;
    changelog::make(&documents)?;
    println!("== Debian packages");
    debian(profile, &folder)?;
    println!("== RPM packages");
    rpm(profile, &folder)?;
    println!("== Archive");
    archive::make(profile, &folder)?;
    if options.arm64 && ARCH != "aarch64" {
        println!("== Archive for ARM64");
        archive::make_static(profile, &folder, &musl::arm64()?)?;
    }
    sums(&folder)
}

/// Where everything that is made goes.
fn folder() -> PathBuf {
    target().join("dist")
}

/// Cargo's folder.
fn target() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty());
    set.map_or_else(|| chore::root().join("target"), |set| chore::root().join(set))
}

/// Builds the programs, for this system or static; answers where they are.
fn build(profile: &str, musl: Option<&Musl>) -> Outcome<PathBuf> {
    let mut build = chore::cargo();
    build.args(["build", "--locked", "--profile", profile, "-p", "rivulet-server", "-p", "rivulet-cli"]);
    let mut programs = target();
    if let Some(musl) = musl {
        build.args(["--target", &musl.triple]);
        musl.tell(&mut build);
        programs.push(&musl.triple);
    }
    chore::run(&mut build)?;
    Ok(programs.join(if profile == "dev" { "debug" } else { profile }))
}

fn debian(profile: &str, folder: &Path) -> Outcome {
    let tool = tool::CARGO_DEB.get()?;
    let package = |args: &[&str]| {
        let mut command = chore::command(&tool);
        command.args(["deb", "--no-build", "--profile", profile, "--output"]).arg(folder).args(args);
        if profile != PROFILE {
            // Nobody keeps these: making them should not take longer than the build.
            command.arg("--fast");
        }
        chore::run(&mut command)
    };
    package(&["-p", "rivulet-server"])?;
    package(&["-p", "rivulet-cli"])?;
    package(&["-p", "rivulet-cli", "--variant", "redis-compat"])
}

fn rpm(profile: &str, folder: &Path) -> Outcome {
    let tool = tool::CARGO_GENERATE_RPM.get()?;
    for package in ["crates/server", "crates/cli"] {
        let mut command = chore::command(&tool);
        command.args(["generate-rpm", "-p", package, "--profile", profile, "--output"]).arg(folder);
        chore::run(&mut command)?;
    }
    Ok(())
}

/// Writes `SHA256SUMS` of all other files.
fn sums(folder: &Path) -> Outcome {
    let mut names = files(folder)?;
    names.retain(|name| name != "SHA256SUMS");
    let mut command = chore::command("sha256sum");
    let sums = command.current_dir(folder).args(&names).output().map_err(|e| format!("can't run sha256sum: {e}"))?;
    if !sums.status.success() {
        return Err(format!("sha256sum: {}", String::from_utf8_lossy(&sums.stderr)));
    }
    std::fs::write(folder.join("SHA256SUMS"), &sums.stdout).map_err(|e| format!("SHA256SUMS: {e}"))?;
    println!("== In {}", folder.display());
    for name in names {
        let bytes = std::fs::metadata(folder.join(&name)).map_or(0, |metadata| metadata.len());
        println!("  {:>6.1} MB  {name}", bytes as f64 / 1e6);
    }
    Ok(())
}

/// The names of the files in a folder, sorted.
fn files(folder: &Path) -> Outcome<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let files = entries.flatten().filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Outcome<(String, bool, bool, bool)> {
        let args: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        Options::parse(&args).map(|options| (options.profile, options.makes, options.checks, options.arm64))
    }

    #[test]
    fn options() {
        assert_eq!(parsed(""), Ok((PROFILE.into(), true, false, false)));
        assert_eq!(parsed("--check --profile quick"), Ok(("quick".into(), true, true, false)));
        assert_eq!(parsed("--only-check"), Ok((PROFILE.into(), false, true, false)));
        assert_eq!(parsed("--arm64 --check"), Ok((PROFILE.into(), true, true, true)));
        assert!(parsed("--profile").is_err());
        assert!(parsed("--chek").is_err_and(|text| text.contains("--chek")));
    }
}
