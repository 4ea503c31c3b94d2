//! The Python of the tests of applications: Celery, RQ and others in a folder of their own, in the versions that `requirements.txt` says.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::apt;
use crate::chore::{self, Outcome};

const REQUIREMENTS: &str = "tests/tests/applications/python/requirements.txt";

/// Makes the environment in `target/python`, if it is not there as it should be. Tests that need it skip themselves if that can't be.
pub fn install_needed() {
    match prepare() {
        Ok(program) => println!("  {:<15} {}", "Python packages", program.display()),
        Err(reason) => println!("  {:<15} MISSING: tests of applications are SKIPPED ({reason})", "Python packages"),
    }
}

fn prepare() -> Outcome<PathBuf> {
    let folder = chore::root().join("target/python");
    let program = folder.join("bin/python3");
    let wanted =
        std::fs::read(chore::root().join(REQUIREMENTS)).map_err(|e| format!("can't read {REQUIREMENTS}: {e}"))?;
    // Written last: an environment without it was never finished.
    let mark = folder.join("requirements.txt");
    if std::fs::read(&mark).is_ok_and(|had| had == wanted) && program.is_file() {
        return Ok(program);
    }
    make(&folder)?;
    let pip = [
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--only-binary",
        ":all:",
        "-r",
        REQUIREMENTS,
    ];
    chore::run(chore::command(&program).args(pip))?;
    std::fs::write(&mark, &wanted).map_err(|e| format!("can't write {}: {e}", mark.display()))?;
    Ok(program)
}

/// An environment with nothing but pip. On Debian that needs a package.
fn make(folder: &Path) -> Outcome {
    if chore::on_path("python3").is_none() {
        apt::install(&["python3", "python3-venv"])?;
    }
    let is_complete = chore::command("python3")
        .args(["-c", "import ensurepip, venv"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !is_complete {
        apt::install(&["python3-venv"])?;
    }
    chore::run(chore::command("python3").args(["-m", "venv", "--clear"]).arg(folder))
}
