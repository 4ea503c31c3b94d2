//! `cargo xtask dist --check`: what was made is unpacked, installed, started, used and removed. What can't be run here is said at the end.

use std::path::{Path, PathBuf};

use super::{PROGRAMS, check_debian, files, folder, target};
use crate::apt::is_root;
use crate::chore::{self, Outcome};

/// How a check went that found no fault.
pub enum Ran {
    All,
    /// What could not be run, and why.
    Not(String),
}

type Check = fn(&Path) -> Outcome<Ran>;

const CHECKS: [(&str, Check); 5] = [
    ("Checksums", checksums),
    ("Archive", archive),
    ("Units", units),
    ("Debian packages", check_debian::run),
    ("RPM packages", rpm),
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

/// The program's output; a status that is not 0 is a fault.
pub fn output(command: &mut std::process::Command) -> Outcome<String> {
    let output = command.output().map_err(|e| format!("can't run {command:?}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(format!("{command:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}

fn checksums(folder: &Path) -> Outcome<Ran> {
    chore::run(chore::command("sha256sum").current_dir(folder).args(["--quiet", "--check", "SHA256SUMS"]))?;
    Ok(Ran::All)
}

/// Unpacks the archive; answers its folder.
fn unpacked(folder: &Path) -> Outcome<PathBuf> {
    let archive = only(folder, "rivulet-", ".tar.gz")?;
    let place = workplace("archive")?;
    chore::run(chore::command("tar").arg("-xzf").arg(&archive).arg("-C").arg(&place))?;
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(place.join(name.trim_end_matches(".tar.gz")))
}

fn archive(folder: &Path) -> Outcome<Ran> {
    let root = unpacked(folder)?;
    for program in PROGRAMS.iter().chain(&["rivulet-sentinel"]) {
        println!("  {}", output(chore::command(root.join("bin").join(program)).arg("--version"))?.trim());
    }
    if !root.display().to_string().ends_with("-musl") {
        return Ok(Ran::Not("the archive is not static, as no C compiler for musl is here".into()));
    }
    if !is_root() {
        return Ok(Ran::Not("its programs where there is nothing else: that needs root".into()));
    }
    // A folder without a C library.
    for program in PROGRAMS {
        output(chore::command("chroot").arg(&root).arg(format!("/bin/{program}")).arg("--version"))?;
    }
    println!("  static: each starts in a root where there is nothing else");
    Ok(Ran::All)
}

/// Looks for what systemd does not understand in the units.
fn units(folder: &Path) -> Outcome<Ran> {
    if chore::on_path("systemd-analyze").is_none() {
        return Ok(Ran::Not("there is no systemd-analyze".into()));
    }
    let bin = unpacked(folder)?.join("bin");
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

fn rpm(folder: &Path) -> Outcome<Ran> {
    if chore::on_path("rpm").is_none() {
        return Ok(Ran::Not("there is no rpm".into()));
    }
    let root = workplace("rpm")?;
    let server = only(folder, "rivulet-server-", ".rpm")?;
    let tools = only(folder, "rivulet-tools-", ".rpm")?;
    let rpm = |args: &[&str], package: &Path| output(chore::command("rpm").args(args).arg(package));
    for package in [&server, &tools] {
        print!("{}", rpm(&["-qpl"], package)?);
    }
    // A script whose file is not found becomes its own name, which no tool complains about.
    let scripts = rpm(&["-qp", "--scripts"], &server)?;
    for word in ["useradd", "install -d", "daemon-reload", "disable --now", "try-restart"] {
        if !scripts.contains(word) {
            return Err(format!("the scripts of {} do not hold '{word}'", server.display()));
        }
    }
    for package in [&server, &tools] {
        let mut install = chore::command("rpm");
        install.arg("--root").arg(&root).args(["--nodeps", "--noscripts", "--nosignature", "-i"]).arg(package);
        output(&mut install)?;
    }
    for program in PROGRAMS {
        println!("  {}", output(chore::command(root.join("usr/bin").join(program)).arg("--version"))?.trim());
    }
    Ok(Ran::Not("the scripts of the RPM packages, and their user: there is no root of a system with RPM".into()))
}
