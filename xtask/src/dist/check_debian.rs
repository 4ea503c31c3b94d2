//! The Debian packages in a clean Debian: `check-debian.sh` says what is done there. Its network and its processes are its own, so that no server of
//! this machine is disturbed, and nothing is left when it ends.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::check::{Ran, only, workplace};
use super::target;
use crate::apt::is_root;
use crate::chore::{self, Outcome};

const SCRIPT: &str = include_str!("check-debian.sh");
const RELEASE: &str = "bookworm";
/// What starts the script, given the root: namespaces and mounts end with it.
const ENTER: &str = "ip link set lo up && mount -t proc proc \"$1/proc\" && exec chroot \"$1\" /bin/sh /check/run.sh";

pub fn run(folder: &Path) -> Outcome<Ran> {
    if !is_root() {
        return Ok(Ran::Not("not root, so there can be no clean Debian to install them in".into()));
    }
    for program in ["debootstrap", "unshare", "chroot", "ip"] {
        if chore::on_path(program).is_none() {
            return Ok(Ran::Not(format!("there is no {program}")));
        }
    }
    let root = workplace("debian")?;
    chore::run(chore::command("tar").arg("-xf").arg(base()?).arg("-C").arg(&root))?;
    let place = root.join("check");
    let failed = |e: std::io::Error| format!("{}: {e}", place.display());
    std::fs::create_dir(&place).map_err(failed)?;
    std::fs::write(place.join("run.sh"), SCRIPT).map_err(failed)?;
    for package in ["rivulet-server", "rivulet-tools", "rivulet-redis-compat"] {
        let made = only(folder, &format!("{package}_"), ".deb")?;
        std::fs::copy(made, place.join(format!("{package}.deb"))).map_err(failed)?;
    }
    hear(&place).map_err(failed)?;
    let mut script = chore::command("unshare");
    script.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]).arg(&root);
    chore::run(&mut script)?;
    let _ = std::fs::remove_dir_all(&root);
    Ok(Ran::All)
}

/// The archive of a clean Debian, which is made once.
fn base() -> Outcome<PathBuf> {
    let archive = target().join(format!("dist-root-{RELEASE}.tar"));
    if !archive.is_file() {
        let place = workplace(RELEASE)?;
        let mut debootstrap = chore::command("debootstrap");
        chore::run(debootstrap.args(["--variant=minbase", "--include=adduser", RELEASE]).arg(&place))?;
        let whole = archive.with_extension("part");
        chore::run(chore::command("tar").arg("-cf").arg(&whole).arg("-C").arg(&place).arg("."))?;
        std::fs::rename(&whole, &archive).map_err(|e| format!("{}: {e}", archive.display()))?;
        let _ = std::fs::remove_dir_all(&place);
    }
    Ok(archive)
}

/// Listens as systemd does, and writes each message as a line of `notified`, where the script looks.
fn hear(place: &Path) -> std::io::Result<()> {
    let path = place.join("notify");
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
