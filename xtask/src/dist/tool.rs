//! The programs that make packages: a pinned version, from the search path or installed into `target/tools`.

use std::path::{Path, PathBuf};

use super::target;
use crate::chore::{self, Outcome};

pub struct Tool {
    /// Of the crate, and of its program.
    name: &'static str,
    /// What is not this version is not used: packages are to be the same wherever they are made.
    version: &'static str,
}

pub const CARGO_DEB: Tool = Tool { name: "cargo-deb", version: "3.8.0" };
pub const CARGO_GENERATE_RPM: Tool = Tool { name: "cargo-generate-rpm", version: "0.21.1" };

impl Tool {
    /// Where it is. It is installed if it is missing.
    pub fn get(&self) -> Outcome<PathBuf> {
        let own = target().join("tools");
        let installed = own.join("bin").join(self.name);
        let mut known = chore::on_path(self.name).into_iter().chain([installed.clone()]);
        if let Some(path) = known.find(|path| self.is_at(path)) {
            return Ok(path);
        }
        println!("{} {} is missing: it is installed into {}", self.name, self.version, own.display());
        let mut install = chore::cargo();
        install.args(["install", "--locked", "--quiet", self.name, "--version", self.version, "--root"]).arg(own);
        chore::run(&mut install)?;
        Ok(installed)
    }

    fn is_at(&self, path: &Path) -> bool {
        let said = chore::command(path).arg("--version").output();
        said.is_ok_and(|said| says_version(&String::from_utf8_lossy(&said.stdout), self.version))
    }
}

/// Some say their name before it.
fn says_version(said: &str, version: &str) -> bool {
    said.split_whitespace().next_back() == Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert!(says_version("cargo-generate-rpm 0.21.1\n", "0.21.1"));
        assert!(says_version("3.8.0\n", "3.8.0"));
        assert!(!says_version("13.8.0\n", "3.8.0"));
        assert!(!says_version("", "3.8.0"));
    }
}
