//! Programs that are missing, from Debian's packages.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::chore::{self, Outcome};

/// Installs packages, if this is Debian or one like it, and root's process.
///
/// # Errors
/// Why that can't be, with what to type instead.
pub fn install(packages: &[&str]) -> Outcome {
    if chore::on_path("apt-get").is_none() {
        return Err("there is no apt-get".into());
    }
    if !is_root() {
        return Err(format!("not root; run: sudo apt-get install {}", packages.join(" ")));
    }
    // A service that starts by itself would take port 6379.
    let apt = |args: &[&str]| {
        let mut command = chore::command("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        chore::run(&mut command)
    };
    apt(&["-qq", "update"])?;
    apt(&[&["-qq", "install", "-y", "--no-install-recommends"], packages].concat())
}

/// Sees to it that a program is there, which may mean that its package is installed.
///
/// # Errors
/// Why it is missing.
pub fn need(program: &str, package: &str) -> Outcome {
    if chore::on_path(program).is_some() {
        return Ok(());
    }
    println!("{program} is missing: Debian's package {package} is installed");
    install(&[package]).map_err(|reason| format!("there is no {program}: {reason}"))
}

/// Unpacks a package of another architecture into a folder; nothing is installed, and what the system knows of packages stays as it is.
///
/// # Errors
/// Where there is no apt-get, or no such package.
pub fn unpack(package: &str, architecture: &str, folder: &Path) -> Outcome {
    if chore::on_path("apt-get").is_none() {
        return Err("there is no apt-get".into());
    }
    let own = folder.join("apt");
    for place in ["lists/partial", "cache/archives/partial", "fetched"] {
        let place = own.join(place);
        std::fs::create_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    }
    let apt = |args: &[&str]| {
        let mut command = chore::command("apt-get");
        command.current_dir(own.join("fetched")).arg("-qq").args([
            "-o",
            "Dir::State::status=/dev/null",
            "-o",
            "APT::Sandbox::User=",
        ]);
        command.arg("-o").arg(format!("Dir::State::Lists={}", own.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", own.join("cache").display()));
        command.arg("-o").arg(format!("APT::Architecture={architecture}"));
        command.arg("-o").arg(format!("APT::Architectures={architecture}"));
        chore::run(command.args(args))
    };
    apt(&["update"])?;
    apt(&["download", package])?;
    let fetched = std::fs::read_dir(own.join("fetched")).map_err(|e| format!("{}: {e}", own.display()))?;
    let fetched = fetched.flatten().next().ok_or_else(|| format!("{package} was not fetched"))?;
    chore::run(chore::command("dpkg-deb").arg("-x").arg(fetched.path()).arg(folder))?;
    std::fs::remove_dir_all(&own).map_err(|e| format!("{}: {e}", own.display()))
}

/// Whether this process is root's, as the owner of its entry in /proc says.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}
