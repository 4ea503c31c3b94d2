//! Man pages and completions of shells, made of the programs' tables.
//!
//! They stand in `packaging/man` and `packaging/completions`, so that packages need no program to make them. A test beside each table makes them again
//! and compares ([`keep`]); with `RIVULET_WRITE_DOCS=1` it writes them.

mod completions;
mod page;

use std::path::Path;

pub use completions::{Completions, keep_completions};
pub use page::{Page, Text};

/// Compares a file of the workspace with what it is to be, or writes it if `RIVULET_WRITE_DOCS` is set.
///
/// # Panics
/// The file is not up to date, or can't be written.
pub fn keep(path: &str, text: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join(path);
    if std::env::var_os("RIVULET_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a file of the workspace is in a folder")).expect("its folder");
        std::fs::write(&file, text).expect("the file can be written");
    }
    let old = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(old == text, "{path} is not up to date: run this test with RIVULET_WRITE_DOCS=1");
}
