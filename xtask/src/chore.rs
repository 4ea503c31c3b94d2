//! What all chores use: the place of the project, and running other programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The text says what failed.
pub type Outcome<T = ()> = Result<T, String>;

/// The workspace's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// A program that is to run in the workspace's folder.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs it, shown before.
pub fn run(command: &mut Command) -> Outcome {
    let shown = shown(command);
    println!("> {shown}");
    let status = command.status().map_err(|e| format!("can't run {shown}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Its output; a status that is not 0 is a fault, told with all that it said.
pub fn output(command: &mut Command) -> Outcome<String> {
    let shown = shown(command);
    let output = command.output().map_err(|e| format!("can't run {shown}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(format!("{shown}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Whether `cargo NAME` is installed.
pub fn has_cargo_command(name: &str) -> bool {
    let status = cargo().args([name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|s| s.success())
}

/// A program of the search path.
pub fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// How everything is built that tests: one profile, so that nothing is built twice.
pub const QUICK: [&str; 2] = ["--profile", "quick"];

/// Packages that between them turn on the features of what all depend on. Whoever builds one package beside these shares what a build of the whole
/// workspace has made; alone it has features of its own, and builds much of that again.
pub const BESIDE: [&str; 6] = ["-p", "rivulet-server", "-p", "rivulet-cli", "-p", "rivulet-tests"];

/// Everything but the simulation, which turns on a feature that servers don't have.
pub const ALL_BUT_SIMULATION: [&str; 3] = ["--workspace", "--exclude", "rivulet-simulation"];

/// Builds the server and the tools beside it as the tests use them; answers where it is.
pub fn build_server() -> Outcome<PathBuf> {
    build_program(&["-p", "rivulet-server", "-p", "rivulet-cli"], "rivulet-server")
}

/// Builds programs in the profile of the tests; answers where the one of that name is.
pub fn build_program(what: &[&str], name: &str) -> Outcome<PathBuf> {
    let mut build = cargo();
    build.arg("build").args(QUICK).args(what);
    println!("> {}", shown(&build));
    build.arg("--message-format=json-render-diagnostics");
    let built = build.stderr(Stdio::inherit()).output().map_err(|e| format!("can't run cargo: {e}"))?;
    if !built.status.success() {
        return Err(format!("{name} can't be built"));
    }
    // One JSON object a line; paths with quotes or backslashes in them are not expected here.
    String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| line.split_once("\"executable\":\"")?.1.split_once('"').map(|(path, _)| PathBuf::from(path)))
        .find(|path| path.file_name().is_some_and(|file| file == name))
        .ok_or_else(|| format!("cargo does not say where it has put {name}"))
}
