//! The RPM packages in a root where rpm installs them: `check-rpm.sh` says what is done there. Its rpm is Debian's, which knows of no package that
//! they need; that these exist under their names in a system with RPM is not seen here.

use std::path::Path;

use super::check::{Ran, only};
use super::root;
use crate::chore::Outcome;

pub fn run(folder: &Path) -> Outcome<Ran> {
    if let Err(reason) = root::can_be() {
        return Ok(Ran::Not(reason));
    }
    let root = root::make("rpm", &["rpm"])?;
    for package in ["rivulet-server", "rivulet-tools"] {
        let made = only(folder, &format!("{package}-"), ".rpm")?;
        let place = root.join("check").join(format!("{package}.rpm"));
        std::fs::copy(made, &place).map_err(|e| format!("{}: {e}", place.display()))?;
    }
    root::run(&root, include_str!("check-rpm.sh"))?;
    let _ = std::fs::remove_dir_all(&root);
    Ok(Ran::All)
}
