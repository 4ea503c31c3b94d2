//! Programs that are missing, from Debian's packages.

use std::os::unix::fs::MetadataExt;

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

/// Whether this process is root's, as the owner of its entry in /proc says.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}
