//! The changelogs as Debian wants them beside a program: that of the project, and that of the package.

use std::path::Path;

use crate::chore::{self, Outcome};

/// Writes `changelog.gz`, which is the project's, and `changelog.Debian.gz` into a folder.
pub fn make(folder: &Path) -> Outcome {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::copy(chore::root().join("CHANGELOG.md"), folder.join("changelog")).map_err(failed)?;
    let date = chore::output(chore::command("git").args(["log", "-1", "--format=%cD"]))?;
    std::fs::write(folder.join("changelog.Debian"), of_package(env!("CARGO_PKG_VERSION"), date.trim()))
        .map_err(failed)?;
    let mut gzip = chore::command("gzip");
    chore::output(gzip.current_dir(folder).args(["-9", "-n", "-f", "changelog", "changelog.Debian"]))?;
    Ok(())
}

/// One entry: each release is packaged once.
fn of_package(version: &str, date: &str) -> String {
    format!(
        "rivulet ({version}-1) unstable; urgency=medium\n\n  * Release {version}: changelog.gz says what is new.\n\n \
         -- The Rivulet authors <authors@rivulet.invalid>  {date}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry() {
        let entry = of_package("1.2.3", "Mon, 2 Mar 2026 10:00:00 +0000");
        let lines: Vec<&str> = entry.lines().collect();
        assert_eq!(lines[0], "rivulet (1.2.3-1) unstable; urgency=medium");
        assert_eq!(lines[2], "  * Release 1.2.3: changelog.gz says what is new.");
        assert_eq!(lines[4], " -- The Rivulet authors <authors@rivulet.invalid>  Mon, 2 Mar 2026 10:00:00 +0000");
    }
}
