//! The page in headless Chromium, driven by `tests/browser/page.mjs` through the browser's own protocol. What is missing is named, and the rest is tested.

use std::path::{Path, PathBuf};
use std::process::Command;

use rivulet_tests::process::tool;

use super::{Shown, chain};

/// The browser, by whatever name it has here.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("RIVULET_BROWSER").map(PathBuf::from);
    named.or_else(|| ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| tool(name)))
}

#[test]
fn each_event_is_on_the_page_within_a_second() {
    let (Some(browser), Some(node)) = (browser(), tool("node")) else {
        println!("skipped: Chromium or Node.js is not installed");
        return;
    };
    let mut nodes = chain();
    for command in ["SET a 1", "RPUSH l 1 2 3", "HSET h f v"] {
        nodes[0].server.must(command);
    }
    let empty = Shown::start(&[]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let axe = std::env::var_os("RIVULET_AXE").map(PathBuf::from);
    let axe = axe.unwrap_or_else(|| folder.join("node_modules/axe-core/axe.min.js"));
    let mut command = Command::new(node);
    // Before Node.js 22 its WebSocket has to be asked for; since then the option is known and means nothing.
    command.args(["--no-warnings", "--experimental-websocket"]).arg(folder.join("page.mjs")).arg(browser);
    command.arg(format!("http://127.0.0.1:{}/", nodes[0].page));
    command.args(nodes.iter().chain([&empty]).map(|shown| shown.server.port.to_string())).arg(axe);
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    println!("{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn sentences_of_servers_are_found_in_the_other_language() {
    let Some(node) = tool("node") else {
        println!("skipped: Node.js is not installed");
        return;
    };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = tests.join("browser/sentences.mjs");
    let output = Command::new(node).arg(script).arg(tests.join("../crates/page/document")).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}
