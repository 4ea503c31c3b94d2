//! `cargo xtask dist --check`: what was made is unpacked, installed, started, used and removed. What can't be run here is said at the end.

use std::path::{Path, PathBuf};

use super::{check_archive, check_debian, check_image, check_rpm, files, folder, target};
use crate::apt;
use crate::chore::{self, Outcome};

/// How a check went that found no fault.
pub enum Ran {
    All,
    /// What could not be run, and why.
    Not(String),
}

type Check = fn(&Path) -> Outcome<Ran>;

const CHECKS: [(&str, Check); 8] = [
    ("Checksums", checksums),
    ("Archive", check_archive::run),
    ("Archive for ARM64", check_archive::run_arm64),
    ("Units", units),
    ("Debian packages, as Lintian sees them", check_debian::lint),
    ("Debian packages", check_debian::run),
    ("RPM packages", check_rpm::run),
    ("Container", check_image::run),
];

/// Runs all checks, also behind one that finds a fault.
pub fn run() -> Outcome {
    let folder = folder();
    let (mut faults, mut not_run) = (Vec::new(), Vec::new());
    for (name, check) in CHECKS {
        println!("== Check: {name}");
        match check(&folder) {
            Ok(Ran::All) => {}
            Ok(Ran::Not(reason)) => {
                println!("NOT RUN: {reason}");
                not_run.push(format!("{name}: {reason}"));
            }
            Err(fault) => {
                println!("FAULT: {fault}");
                faults.push(format!("{name}: {fault}"));
            }
        }
    }
    println!("== {} faults found", faults.len());
    for reason in not_run {
        println!("   NOT RUN: {reason}");
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// A new empty folder for a check.
pub fn workplace(name: &str) -> Outcome<PathBuf> {
    let place = target().join("dist-check").join(name);
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    Ok(place)
}

/// The only file with that beginning and end.
pub fn only(folder: &Path, begin: &str, end: &str) -> Outcome<PathBuf> {
    let mut names = files(folder)?;
    names.retain(|name| name.starts_with(begin) && name.ends_with(end));
    match names.as_slice() {
        [name] => Ok(folder.join(name)),
        _ => Err(format!("{} files {begin}*{end} in {}, not one", names.len(), folder.display())),
    }
}

fn checksums(folder: &Path) -> Outcome<Ran> {
    chore::run(chore::command("sha256sum").current_dir(folder).args(["--quiet", "--check", "SHA256SUMS"]))?;
    Ok(Ran::All)
}

/// Looks for what systemd does not understand in the units.
fn units(folder: &Path) -> Outcome<Ran> {
    if let Err(reason) = apt::need("systemd-analyze", "systemd") {
        return Ok(Ran::Not(reason));
    }
    let bin = check_archive::unpacked(&check_archive::own(folder)?)?.join("bin");
    let place = workplace("units")?;
    for unit in ["rivulet-server.service", "rivulet-sentinel.service"] {
        let failed = |e: std::io::Error| format!("{unit}: {e}");
        let text = std::fs::read_to_string(chore::root().join("packaging/systemd").join(unit)).map_err(failed)?;
        // It wants to see the program, which is not installed here.
        let here = text.replace("/usr/bin/", &format!("{}/", bin.display()));
        std::fs::write(place.join(unit), here).map_err(failed)?;
        let verify = chore::command("systemd-analyze").args(["verify", "--man=no"]).arg(place.join(unit)).output();
        let said = verify.map_err(|e| format!("can't run systemd-analyze: {e}"))?;
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        // It looks at what the unit names, too; faults of those are not ours.
        let faults: Vec<&str> = said.lines().filter(|line| line.contains("rivulet")).collect();
        if !faults.is_empty() {
            return Err(faults.join("\n"));
        }
        println!("  {unit}: systemd has nothing to say");
    }
    Ok(Ran::All)
}
