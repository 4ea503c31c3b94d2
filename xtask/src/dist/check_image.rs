//! The container's image, as far as it can be made without a registry: its last stage, on a clean Debian, with the programs of the packages. `check-image.sh`
//! says what is done in it. Its first stage is a build as any other.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};

use super::check::{Ran, workplace};
use super::{NOTICES, PROGRAMS, check_archive, notices, root};
use crate::apt;
use crate::chore::{self, Outcome};

const DOCKERFILE: &str = "packaging/docker/Dockerfile";
const ENTRYPOINT: &str = "packaging/docker/entrypoint.sh";
/// What the last stage begins with, and is made on here.
const BASE: &str = "debian:bookworm-slim";
/// What the check calls the image.
const IMAGE: &str = "rivulet-check";

pub fn run(folder: &Path) -> Outcome<Ran> {
    if let Err(reason) = root::can_be().and_then(|()| apt::need("buildah", "buildah")) {
        return Ok(Ran::Not(reason));
    }
    let place = workplace("image")?;
    let buildah = Buildah { store: place.join("store") };
    buildah.import(&root::base(&["adduser"])?)?;
    let context = context(folder, &place)?;
    chore::run(buildah.command("bud").args(["--quiet", "--pull-never", "-t", IMAGE]).arg(&context))?;
    let container = buildah.ask("from", &[IMAGE])?;
    let files = buildah.ask("mount", &[&container])?;
    let command = buildah.ask("inspect", &["--format", "{{range .OCIv1.Config.Cmd}}{{.}} {{end}}", &container])?;
    let entry = buildah.ask("inspect", &["--format", "{{range .OCIv1.Config.Entrypoint}}{{.}} {{end}}", &container])?;
    if entry != "/usr/local/bin/entrypoint.sh" {
        return Err(format!("the image begins with {entry}"));
    }
    // Where it is the name of a socket in it would be too long.
    let root = workplace("container")?;
    chore::run(chore::command("cp").arg("-a").arg(format!("{files}/.")).arg(&root))?;
    let check = root.join("check");
    std::fs::create_dir(&check).map_err(|e| format!("{}: {e}", check.display()))?;
    std::fs::write(check.join("command"), command).map_err(|e| format!("{}: {e}", check.display()))?;
    root::run(&root, include_str!("check-image.sh"))?;
    [place, root].iter().for_each(|place| _ = std::fs::remove_dir_all(place));
    Ok(Ran::All)
}

/// What the last stage copies, where the first one would have it, and a Dockerfile that takes it from there.
fn context(folder: &Path, place: &Path) -> Outcome<PathBuf> {
    let context = place.join("context");
    let bin = check_archive::unpacked(&check_archive::own(folder)?)?.join("bin");
    for program in PROGRAMS {
        copy(&bin.join(program), &context.join("target/release").join(program))?;
    }
    for name in ["LICENSE", ENTRYPOINT] {
        copy(&chore::root().join(name), &context.join(name))?;
    }
    notices::make(&context.join("target").join(NOTICES), &format!("{ARCH}-unknown-linux-gnu"))?;
    let text = std::fs::read_to_string(chore::root().join(DOCKERFILE)).map_err(|e| format!("{DOCKERFILE}: {e}"))?;
    let last = text.find(&format!("FROM {BASE}\n")).ok_or_else(|| format!("{DOCKERFILE} is not made on {BASE}"))?;
    let path = context.join("Dockerfile");
    std::fs::write(&path, format!("FROM scratch AS build\nCOPY . /src/\n{}", &text[last..]))
        .map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(context)
}

fn copy(from: &Path, to: &Path) -> Outcome {
    let failed = |e: std::io::Error| format!("can't copy {} to {}: {e}", from.display(), to.display());
    std::fs::create_dir_all(to.parent().unwrap_or(to)).map_err(failed)?;
    std::fs::copy(from, to).map(|_| ()).map_err(failed)
}

/// Builds images in a folder of its own, in a root that it shares with nobody.
struct Buildah {
    store: PathBuf,
}

impl Buildah {
    fn command(&self, what: &str) -> std::process::Command {
        let mut command = chore::command("buildah");
        command.env("BUILDAH_ISOLATION", "chroot").arg("--storage-driver").arg("vfs");
        command.arg("--root").arg(self.store.join("root")).arg("--runroot").arg(self.store.join("run")).arg(what);
        command
    }

    fn ask(&self, what: &str, args: &[&str]) -> Outcome<String> {
        Ok(chore::output(self.command(what).args(args))?.trim().to_string())
    }

    /// An archive becomes the image that the last stage is made on.
    fn import(&self, archive: &Path) -> Outcome {
        let container = self.ask("from", &["scratch"])?;
        let archive = archive.display().to_string();
        self.ask("add", &["--quiet", &container, &archive, "/"])?;
        self.ask("commit", &["--quiet", "--rm", &container, &format!("docker.io/library/{BASE}")]).map(drop)
    }
}
