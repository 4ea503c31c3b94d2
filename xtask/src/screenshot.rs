//! The pictures of the page in the documentation: `docs/images/page-*.png`, made anew from servers that run.

use std::net::TcpListener;
use std::path::Path;

use crate::chore::{self, Outcome, on_path};

/// The README shows them: they are not to be large.
const BYTES_MAX: u64 = 150 * 1000;
/// Ports that the servers take.
const PORTS: std::ops::Range<u16> = 0..11;

pub fn run() -> Outcome {
    let browser = ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| on_path(name));
    let browser = browser.ok_or("Chromium is not installed (on Debian and Ubuntu: the package chromium)")?;
    let node = on_path("node").ok_or("Node.js is not installed")?;
    let server = chore::build_server()?;
    let folder = chore::root().join("docs/images");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut scene = chore::command(node);
    scene.args(["--no-warnings", "--experimental-websocket", "tests/browser/screenshot.mjs"]);
    scene.arg(browser).arg(server).arg(&folder).arg(free_ports()?.to_string());
    chore::run(&mut scene)?;
    let pictures = pictures(&folder)?;
    if let Some(program) = on_path("pngquant") {
        // A page has few colours, and a palette of them is a third of the size.
        chore::run(chore::command(program).args(["--force", "--ext", ".png", "--speed", "1"]).args(&pictures))?;
    }
    for picture in pictures {
        let bytes = std::fs::metadata(&picture).map_err(|e| format!("{}: {e}", picture.display()))?.len();
        println!("{} {bytes} bytes", picture.display());
        if bytes > BYTES_MAX {
            return Err(format!("{} has more than {BYTES_MAX} bytes; pngquant makes them smaller", picture.display()));
        }
    }
    Ok(())
}

fn pictures(folder: &Path) -> Outcome<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let is_one = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("page-") && name.ends_with(".png")
    };
    let mut pictures: Vec<_> = paths.filter(is_one).collect();
    pictures.sort();
    Ok(pictures)
}

/// The first of a row of free ports, below those that the system gives to outgoing connections.
fn free_ports() -> Outcome<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut rows = (23_000..32_000).step_by(PORTS.len());
    rows.find(|first| PORTS.clone().all(|n| is_free(first + n))).ok_or_else(|| "no free ports".into())
}
