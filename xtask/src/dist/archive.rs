//! The archive for systems without packages: static programs if there is a C compiler for musl, with what else a package holds.

use std::env::consts::ARCH;
use std::path::Path;

use super::musl::{self, Musl};
use super::{DOCUMENTS, PROGRAMS, build, files, notices, target};
use crate::chore::{self, Outcome};

/// What lies beside the programs: its place in the workspace, and in the archive.
const FILES: [(&str, &str); 8] = [
    ("LICENSE", ""),
    ("README.md", ""),
    ("README.zh-CN.md", ""),
    ("docs/configuration.md", "doc"),
    ("packaging/rivulet.conf", "etc"),
    ("packaging/sentinel.conf", "etc"),
    ("packaging/systemd/rivulet-server.service", "systemd"),
    ("packaging/systemd/rivulet-sentinel.service", "systemd"),
];

/// Folders that go with it whole.
const FOLDERS: [(&str, &str); 4] = [
    ("packaging/man", "man"),
    ("packaging/completions/bash", "completions/bash"),
    ("packaging/completions/zsh", "completions/zsh"),
    ("packaging/completions/fish", "completions/fish"),
];

/// Makes `rivulet-VERSION-TRIPLE.tar.gz` for the processor of this machine.
pub fn make(profile: &str, folder: &Path) -> Outcome {
    match musl::native() {
        Ok(musl) => make_static(profile, folder, &musl),
        Err(reason) => {
            println!("NOT static: {reason}. The archive needs the C library of this system or a newer one.");
            pack(&build(profile, None)?, &format!("{ARCH}-unknown-linux-gnu"), folder)
        }
    }
}

/// The same of static programs.
pub fn make_static(profile: &str, folder: &Path, musl: &Musl) -> Outcome {
    pack(&build(profile, Some(musl))?, &musl.triple, folder)
}

fn pack(programs: &Path, triple: &str, folder: &Path) -> Outcome {
    let name = format!("rivulet-{}-{triple}", env!("CARGO_PKG_VERSION"));
    let stage = target().join("dist-stage");
    let _ = std::fs::remove_dir_all(&stage);
    let notices = programs.join(DOCUMENTS);
    notices::make(&notices, triple)?;
    fill(&stage.join(&name), programs)?;
    for notice in ["THIRD-PARTY.txt", "rust-library.html.gz"] {
        copy(&notices.join(notice), &stage.join(&name))?;
    }
    let mut tar = chore::command("tar");
    // The same bytes for the same files.
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+w,go-w"]);
    tar.arg(format!("--mtime=@{}", commit_time())).arg("-C").arg(&stage).arg("-czf");
    chore::run(tar.arg(folder.join(format!("{name}.tar.gz"))).arg(&name))
}

fn fill(root: &Path, programs: &Path) -> Outcome {
    let bin = root.join("bin");
    for program in PROGRAMS {
        copy(&programs.join(program), &bin)?;
    }
    std::os::unix::fs::symlink("rivulet-server", bin.join("rivulet-sentinel"))
        .map_err(|e| format!("{}: {e}", bin.display()))?;
    for (file, place) in FILES {
        copy(&chore::root().join(file), &root.join(place))?;
    }
    for (from, place) in FOLDERS {
        let from = chore::root().join(from);
        for name in files(&from)? {
            copy(&from.join(name), &root.join(place))?;
        }
    }
    Ok(())
}

/// Copies a file into a folder, which is made if it is not there.
fn copy(file: &Path, folder: &Path) -> Outcome {
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::copy(file, folder.join(file.file_name().unwrap_or_default())).map_err(failed)?;
    Ok(())
}

/// When the sources were committed, in seconds since 1970; 0 outside of a repository.
fn commit_time() -> u64 {
    let output = chore::command("git").args(["log", "-1", "--format=%ct"]).output();
    output.ok().and_then(|o| String::from_utf8_lossy(&o.stdout).trim().parse().ok()).unwrap_or_default()
}
