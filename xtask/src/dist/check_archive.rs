//! The archives: `check-archive.sh` says what is done with the programs in them, where there is nothing else: no C library, no other program. Those
//! for ARM64 run under an emulator on another machine.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};

use super::check::{Ran, only, workplace};
use super::{PROGRAMS, files, root};
use crate::apt;
use crate::chore::{self, Outcome};

/// Runs programs of ARM64.
const EMULATOR: &str = "qemu-aarch64-static";
/// What starts the script, given the unpacked archive and, in its folder, an emulator.
const ENTER: &str = "ip link set lo up && exec sh \"$1/check/run.sh\" \"$@\"";

/// What the check needs of the system, and the packages of those programs.
const NEEDS: [(&str, &str); 4] =
    [("unshare", "util-linux"), ("chroot", "coreutils"), ("ip", "iproute2"), ("openssl", "openssl")];

/// The archive for this machine.
pub fn run(folder: &Path) -> Outcome<Ran> {
    let archive = own(folder)?;
    let place = unpacked(&archive)?;
    for program in PROGRAMS.iter().chain(&["rivulet-sentinel"]) {
        println!("  {}", chore::output(chore::command(place.join("bin").join(program)).arg("--version"))?.trim());
    }
    match place.display().to_string().ends_with("-musl") {
        true => used(&place, None),
        false => Ok(Ran::Not("the archive is not static, as no C compiler for musl is here".into())),
    }
}

/// The archive for ARM64, if there is one beside that for this machine.
pub fn run_arm64(folder: &Path) -> Outcome<Ran> {
    let is_arm64 = |name: &String| name.ends_with("-aarch64-unknown-linux-musl.tar.gz");
    let Some(name) = files(folder)?.into_iter().find(is_arm64).filter(|_| ARCH != "aarch64") else {
        return Ok(Ran::Not("none was made; --arm64 makes it".into()));
    };
    if let Err(reason) = apt::need(EMULATOR, "qemu-user-static") {
        return Ok(Ran::Not(reason));
    }
    used(&unpacked(&folder.join(name))?, Some(EMULATOR))
}

/// That for the processor of this machine.
pub fn own(folder: &Path) -> Outcome<PathBuf> {
    only(folder, "rivulet-", &format!("-{ARCH}-unknown-linux-musl.tar.gz"))
        .or_else(|_| only(folder, "rivulet-", &format!("-{ARCH}-unknown-linux-gnu.tar.gz")))
}

/// Unpacks an archive; answers its folder.
pub fn unpacked(archive: &Path) -> Outcome<PathBuf> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy().trim_end_matches(".tar.gz").to_string();
    let place = workplace(&name)?;
    chore::run(chore::command("tar").arg("-xzf").arg(archive).arg("-C").arg(&place))?;
    Ok(place.join(name))
}

fn used(place: &Path, emulator: Option<&str>) -> Outcome<Ran> {
    if !apt::is_root() {
        return Ok(Ran::Not("its programs where there is nothing else: that needs root".into()));
    }
    if let Err(reason) = NEEDS.iter().try_for_each(|(program, package)| apt::need(program, package)) {
        return Ok(Ran::Not(reason));
    }
    let check = place.join("check");
    let failed = |e: std::io::Error| format!("{}: {e}", check.display());
    std::fs::create_dir(&check).map_err(failed)?;
    std::fs::write(check.join("run.sh"), include_str!("check-archive.sh")).map_err(failed)?;
    root::hear(&check).map_err(failed)?;
    let mut enter = chore::command("unshare");
    enter.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]).arg(place);
    if let Some(emulator) = emulator.and_then(chore::on_path) {
        std::fs::copy(&emulator, place.join("emulator")).map_err(failed)?;
        enter.arg("/emulator");
    }
    chore::run(&mut enter)?;
    Ok(Ran::All)
}
