//! The Python that `cargo xtask test` makes, with the packages of `tests/applications/python/requirements.txt`.

use std::path::{Path, PathBuf};

/// Its program, if it is there; says so if not.
pub fn program() -> Option<PathBuf> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace").join("target/python");
    // What is installed last.
    let is_whole = folder.join("requirements.txt").is_file();
    let program = Some(folder.join("bin/python3")).filter(|program| is_whole && program.is_file());
    if program.is_none() {
        println!(
            "skipped: target/python is not there (`cargo xtask test` makes it, where Python and its packages can be had)"
        );
    }
    program
}
