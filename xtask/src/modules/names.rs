//! What a module's code names: other modules, and methods of `Node`. It is read as words, not as Rust: enough for code that `rustfmt` has been over.

use std::collections::BTreeSet;

/// Code without comments, strings' contents and tests.
pub fn code(text: &str) -> String {
    let mut lines = Vec::new();
    let mut in_test = false;
    for line in text.lines() {
        // Tests are items of a file: they begin with this line and end with the next brace that stands at its edge.
        in_test |= line == "#[cfg(test)]";
        if !in_test {
            lines.push(without_comment(line));
        } else if line == "}" || line.starts_with("mod ") && line.ends_with(';') {
            in_test = false;
        }
    }
    lines.join("\n")
}

/// A line up to its comment. What stands in quotes is taken out.
fn without_comment(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['"', '/']) {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with("//") {
            return kept;
        }
        if rest.starts_with('/') || kept.ends_with('\'') {
            kept.push_str(&rest[..1]);
            rest = &rest[1..];
            continue;
        }
        rest = &rest[1..];
        while let Some(at) = rest.find(['"', '\\']) {
            let is_end = rest[at..].starts_with('"');
            rest = rest[at..].get(if is_end { 1 } else { 2 }..).unwrap_or("");
            if is_end {
                break;
            }
        }
    }
    kept + rest
}

/// The modules that there are.
pub struct Names(BTreeSet<String>);

impl Names {
    pub fn new(modules: impl Iterator<Item = String>) -> Names {
        Names(modules.collect())
    }

    /// The modules that another one's code names.
    pub fn named_in(&self, module: &str, code: &str) -> BTreeSet<String> {
        let paths = paths(code);
        let named = paths.iter().filter_map(|path| self.module_of(module, path));
        // Who says which modules are below it does not know them by that.
        named.filter(|other| other != module).collect()
    }

    /// The module that a path leads to, or into.
    fn module_of(&self, within: &str, path: &str) -> Option<String> {
        let (first, rest) = path.split_once("::")?;
        let mut whole = match first {
            "crate" => rest.to_string(),
            "super" => {
                let (mut within, mut rest) = (parent(within), rest);
                while let Some(further) = rest.strip_prefix("super::") {
                    (within, rest) = (parent(within), further);
                }
                join(within, rest)
            }
            "self" => join(within, rest),
            _ if self.0.contains(&join(within, first)) => join(within, path),
            _ => return None,
        };
        loop {
            if self.0.contains(&whole) {
                return Some(whole);
            }
            whole.truncate(whole.rfind("::")?);
        }
    }
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(parent, _)| parent)
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_string() } else { format!("{parent}::{name}") }
}

/// All paths of the code, those of `use` with their braces taken apart.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("::") {
        let begin = rest[..at].rfind(|c: char| !is_word(c)).map_or(0, |before| before + 1);
        let len = path_len(&rest[begin..]);
        expand(&rest[begin..begin + len], "", &mut found);
        rest = &rest[(begin + len).max(at + 2)..];
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How long the path at the text's beginning is; braces belong to it.
fn path_len(text: &str) -> usize {
    let (mut depth, mut last) = (0, ' ');
    for (at, c) in text.char_indices() {
        match c {
            '{' if depth > 0 || last == ':' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            _ if depth > 0 || is_word(c) || c == ':' => {}
            _ => return at,
        }
        last = c;
        if c == '}' && depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn expand(tree: &str, before: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, body)) = tree.split_once('{') else {
        let name = tree.split_whitespace().next().unwrap_or("");
        let path = if name == "self" { before.to_string() } else { join(before, name) };
        return found.push(path);
    };
    let before = join(before, head.trim_end_matches("::"));
    let (mut depth, mut start) = (0, 0);
    let body = body.strip_suffix('}').unwrap_or(body);
    for (at, c) in body.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&body[start..at], &before, found);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !body[start..].trim().is_empty() {
        expand(&body[start..], &before, found);
    }
}

/// The methods of `Node` that are written here.
pub fn methods_of_node(code: &str) -> impl Iterator<Item = &str> {
    let blocks = code.split("\nimpl Node {").skip(1).map(|block| block.split("\n}").next().unwrap_or(block));
    blocks.flat_map(|block| block.lines()).filter_map(|line| {
        let declared = line.strip_prefix("    ")?;
        let at = declared.find("fn ").filter(|at| *at == 0 || declared.starts_with("pub"))?;
        declared[at + 3..].split(|c| !is_word(c)).next()
    })
}

/// The methods that are called on what is most often a node.
pub fn calls_on_node(code: &str) -> impl Iterator<Item = &str> {
    ["self.", "node."].into_iter().flat_map(|owner| code.split(owner).skip(1)).filter_map(|rest| {
        let name = rest.split(|c| !is_word(c)).next()?;
        rest[name.len()..].starts_with('(').then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(module: &str, text: &str) -> Vec<String> {
        let modules = ["node", "front", "front::held", "front::held::mark", "engine", "turn"].map(String::from);
        Names::new(modules.into_iter()).named_in(module, &code(text)).into_iter().collect()
    }

    #[test]
    fn modules_are_named_in_many_ways() {
        for (text, wanted) in [
            ("use crate::node::Node;", &["node"][..]),
            ("use crate::{node::Node, front::{self, held::Held as Kept}};", &["front", "front::held", "node"]),
            ("use crate::{\n    node::Node,\n    engine,\n};", &["engine", "node"]),
            ("fn f() { crate::front::held::mark::Mark::new(crate::engine::X) }", &["engine", "front::held::mark"]),
            ("// crate::node\nfn f() { \"crate::node \\\" // \"; crate::engine::x() } // crate::front", &["engine"]),
            ("use std::fmt;\nuse crate::other::X;", &[]),
            ("#[cfg(test)]\nmod tests {\n    use crate::node::Node;\n}\nuse crate::front::X;", &["front"]),
        ] {
            assert_eq!(named("turn", text), wanted, "{text}");
        }
        assert_eq!(named("front::held", "use super::X; use self::mark::Y;"), ["front", "front::held::mark"]);
        assert_eq!(named("front::held::mark", "use super::super::X; use super::Held;"), ["front", "front::held"]);
        assert_eq!(named("front", "mod held;\nuse held::mark::Mark;\nuse turn::X;"), ["front::held::mark"]);
        assert!(named("front", "mod held;").is_empty());
    }

    #[test]
    fn methods_and_calls_are_found() {
        let text = "impl Node {\n    pub fn a(&self) {\n        fn inner() {}\n    }\n    #[inline]\n    fn b() {}\n}\nimpl Other {\n    fn c() {}\n}";
        assert_eq!(methods_of_node(&format!("\n{text}")).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(calls_on_node("self.a(1); node.b (2); node.c(self.d, 3).e()").collect::<Vec<_>>(), ["a", "c"]);
    }
}
