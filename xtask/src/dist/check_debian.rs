//! The Debian packages in a clean Debian: `check-debian.sh` says what is done there. Lintian reads them before.

use std::path::Path;

use super::check::{Ran, only};
use super::root;
use crate::apt;
use crate::chore::{self, Outcome};

const PACKAGES: [&str; 3] = ["rivulet-server", "rivulet-tools", "rivulet-redis-compat"];

pub fn run(folder: &Path) -> Outcome<Ran> {
    if let Err(reason) = root::can_be() {
        return Ok(Ran::Not(reason));
    }
    let root = root::make("debian", &["adduser"])?;
    for package in PACKAGES {
        let made = only(folder, &format!("{package}_"), ".deb")?;
        let place = root.join("check").join(format!("{package}.deb"));
        std::fs::copy(made, &place).map_err(|e| format!("{}: {e}", place.display()))?;
    }
    root::run(&root, include_str!("check-debian.sh"))?;
    let _ = std::fs::remove_dir_all(&root);
    Ok(Ran::All)
}

/// What Debian's own check of packages has to say: its errors are faults, its warnings are shown.
pub fn lint(folder: &Path) -> Outcome<Ran> {
    if let Err(reason) = apt::need("lintian", "lintian") {
        return Ok(Ran::Not(reason));
    }
    for package in PACKAGES {
        let made = only(folder, &format!("{package}_"), ".deb")?;
        chore::run(chore::command("lintian").args(["--allow-root", "--fail-on", "error"]).arg(made))?;
    }
    Ok(Ran::All)
}
