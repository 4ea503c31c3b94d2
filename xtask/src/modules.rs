//! `cargo xtask modules`: which modules of the node know which others, and where that goes round in a circle.
//!
//! A module is a file. It knows another one if it names it: in a `use`, or by a path in its code; tests do not count. What is not named is not seen here:
//! behaviour of one room that is called on `Node` from another one's. Such calls are counted apart, by the names of the methods.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::chore::{self, Outcome};

mod circles;
mod names;

use circles::components;
use names::Names;

/// Crates whose modules are looked at.
const CRATES: [&str; 3] = ["engine", "node", "server"];
/// The module with the whole state.
const NODE: &str = "node";

/// Who knows whom, by the names of the modules.
type Graph = BTreeMap<String, BTreeSet<String>>;

pub fn run() -> Outcome {
    for name in CRATES {
        let sources = sources(name)?;
        let graph = known(&sources);
        let by_names = components(&graph);
        let by_calls = components(&known_by_calls(&sources));
        println!("{name}: {} modules", sources.len());
        for circle in by_names.iter().filter(|circle| circle.len() > 1) {
            println!("  {} know each other: {}", circle.len(), circle.join(" "));
        }
        println!("  {} do if calls on a node count", largest(&by_calls));
        if graph.contains_key(NODE) {
            let rooms = components(&rooms(&graph));
            println!("  rooms, by their state: {}, of which {} know each other", rooms.len(), largest(&rooms));
        }
    }
    Ok(())
}

fn largest(components: &[Vec<String>]) -> usize {
    components.iter().map(Vec::len).max().unwrap_or(0)
}

/// The code of a crate by module, without comments and tests.
fn sources(name: &str) -> Outcome<BTreeMap<String, String>> {
    let root = chore::root().join("crates").join(name).join("src");
    let mut sources = BTreeMap::new();
    read_folder(&root, "", &mut sources)?;
    Ok(sources)
}

fn read_folder(folder: &Path, within: &str, sources: &mut BTreeMap<String, String>) -> Outcome {
    let told = |e| format!("{}: {e}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        let module = if within.is_empty() { name.to_string() } else { format!("{within}::{name}") };
        if path.is_dir() {
            read_folder(&path, &module, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") && module != "lib" {
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            sources.insert(module, names::code(&text));
        }
    }
    Ok(())
}

/// Who names whom.
fn known(sources: &BTreeMap<String, String>) -> Graph {
    let names = Names::new(sources.keys().cloned());
    sources.iter().map(|(module, code)| (module.clone(), names.named_in(module, code))).collect()
}

/// Who names whom, or calls a method of `Node` that is written there.
fn known_by_calls(sources: &BTreeMap<String, String>) -> Graph {
    let mut written: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for (module, code) in sources {
        names::methods_of_node(code).for_each(|method| _ = written.entry(method).or_default().insert(module));
    }
    let mut graph = known(sources);
    for (module, code) in sources {
        let called = names::calls_on_node(code).filter_map(|method| written.get(method)).flatten();
        let others = called.filter(|other| **other != module).map(|other| (*other).clone());
        graph.entry(module.clone()).or_default().extend(others);
    }
    graph
}

/// What the node's state is made of, room by room: which room's state knows which other's.
fn rooms(graph: &Graph) -> Graph {
    let room = |module: &str| module.split("::").next().unwrap_or(module).to_string();
    let state = circles::reachable(graph, NODE);
    let mut rooms = Graph::new();
    for module in &state {
        let known = rooms.entry(room(module)).or_default();
        known.extend(graph[*module].iter().map(|other| room(other)).filter(|other| *other != room(module)));
    }
    rooms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many modules may know each other.
    const CIRCLE_MAX: usize = 3;
    /// So many are there in one circle if methods of `Node` count as well.
    const CIRCLE_BY_CALLS_MAX: usize = 90;
    /// So many lines has a file at most.
    const LINES_MAX: usize = 1_000;
    /// So many rooms know each other by their state: the log, and the process, which has the system's log.
    const ROOMS_CIRCLE_MAX: usize = 2;

    #[test]
    fn no_more_modules_than_allowed_know_each_other() {
        for name in CRATES {
            let sources = sources(name).expect("the crate's sources are there");
            for circle in components(&known(&sources)) {
                assert!(circle.len() <= CIRCLE_MAX, "{name}: {} know each other: {circle:?}", circle.len());
            }
            let by_calls = largest(&components(&known_by_calls(&sources)));
            assert!(by_calls <= CIRCLE_BY_CALLS_MAX, "{name}: {by_calls} modules, calls on a node counted");
        }
    }

    /// Lines of the longest file.
    fn longest(folder: &Path) -> (usize, String) {
        let entries =
            std::fs::read_dir(folder).expect("the sources are there").map(|entry| entry.expect("an entry").path());
        let lines = |path: &Path| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
        let of_one = |path: std::path::PathBuf| match path.is_dir() {
            true if path.ends_with("target") => Default::default(),
            true => longest(&path),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                (lines(&path), path.display().to_string())
            }
            false => Default::default(),
        };
        entries.map(of_one).max().unwrap_or_default()
    }

    #[test]
    fn no_file_is_too_long_to_be_read() {
        for folder in ["crates", "tests", "xtask", "fuzz"] {
            let (lines, path) = longest(&chore::root().join(folder));
            assert!((1..=LINES_MAX).contains(&lines), "{path} has {lines} lines");
        }
    }

    #[test]
    fn state_does_not_know_the_node() {
        let graph = known(&sources("node").expect("the crate's sources are there"));
        assert!(circles::reachable(&graph, NODE).iter().all(|module| *module != NODE));
        let rooms = components(&rooms(&graph));
        assert!(rooms.len() > 8 && largest(&rooms) <= ROOMS_CIRCLE_MAX, "{rooms:?}");
    }

    #[test]
    fn what_is_looked_at_is_not_nothing() {
        let graph = known(&sources("node").expect("the crate's sources are there"));
        assert!(graph.len() > 100 && graph["turn"].contains("node") && graph["node"].contains("clock"), "{graph:?}");
        assert!(!graph["clock"].contains("node"));
    }
}
