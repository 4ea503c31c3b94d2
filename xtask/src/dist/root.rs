//! A clean Debian in a folder, where packages are installed and their programs started. The network and the processes are its own, so that no server
//! of this machine is disturbed, and nothing is left when the script in it ends.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::check::workplace;
use super::target;
use crate::apt;
use crate::chore::{self, Outcome};

/// What scripts have in common.
const COMMON: &str = include_str!("check-common.sh");
const RELEASE: &str = "bookworm";
/// What starts the script, given the root: namespaces and mounts end with it.
const ENTER: &str = "ip link set lo up && mount -t proc proc \"$1/proc\" && exec chroot \"$1\" /bin/sh /check/run.sh";

/// What a clean Debian is made and entered with, and the packages of those programs.
const PROGRAMS: [(&str, &str); 4] =
    [("debootstrap", "debootstrap"), ("unshare", "util-linux"), ("chroot", "coreutils"), ("ip", "iproute2")];

/// Why there can be no clean Debian here. What is missing is installed if that is possible.
pub fn can_be() -> Outcome {
    if !apt::is_root() {
        return Err("not root, so there can be no clean Debian to install them in".into());
    }
    PROGRAMS.iter().try_for_each(|(program, package)| apt::need(program, package))
}

/// A new root for a check, with packages that are not in a small Debian, and an empty folder `/check`.
pub fn make(name: &str, packages: &[&str]) -> Outcome<PathBuf> {
    let base = base(packages)?;
    let root = workplace(name)?;
    chore::run(chore::command("tar").arg("-xf").arg(base).arg("-C").arg(&root))?;
    let place = root.join("check");
    std::fs::create_dir(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    Ok(root)
}

/// Runs a script in it, while somebody outside hears what servers would tell systemd.
pub fn run(root: &Path, script: &str) -> Outcome {
    let place = root.join("check");
    let failed = |e: std::io::Error| format!("{}: {e}", place.display());
    std::fs::write(place.join("run.sh"), format!("{COMMON}\n{script}")).map_err(failed)?;
    hear(&place).map_err(failed)?;
    let mut enter = chore::command("unshare");
    enter.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]).arg(root);
    chore::run(&mut enter)
}

/// The archive of a clean Debian, which is made once for the same packages.
pub fn base(packages: &[&str]) -> Outcome<PathBuf> {
    let name = [&[RELEASE], packages].concat().join("-");
    let archive = target().join(format!("dist-root-{name}.tar"));
    if !archive.is_file() {
        let place = workplace(&name)?;
        let mut debootstrap = chore::command("debootstrap");
        debootstrap.arg("--variant=minbase").arg(format!("--include={}", packages.join(",")));
        chore::run(debootstrap.arg(RELEASE).arg(&place))?;
        let whole = archive.with_extension("part");
        chore::run(chore::command("tar").arg("-cf").arg(&whole).arg("-C").arg(&place).arg("."))?;
        std::fs::rename(&whole, &archive).map_err(|e| format!("{}: {e}", archive.display()))?;
        let _ = std::fs::remove_dir_all(&place);
    }
    Ok(archive)
}

/// Listens as systemd does, and writes each message as a line of `notified`, where the script looks.
pub fn hear(place: &Path) -> std::io::Result<()> {
    // The name of a socket has 107 bytes at most, and that of the folder may have more.
    let folder = File::open(place)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/notify", folder.as_raw_fd()));
    let socket = UnixDatagram::bind(&path)?;
    // The servers write to it as their own user.
    std::fs::set_permissions(&path, Permissions::from_mode(0o777))?;
    let mut heard = File::create(place.join("notified"))?;
    std::thread::spawn(move || {
        let mut message = [0; 4096];
        while let Ok(len) = socket.recv(&mut message) {
            let words = String::from_utf8_lossy(&message[..len]).replace('\n', " ");
            if writeln!(heard, "{words}").is_err() {
                break;
            }
        }
    });
    Ok(())
}
