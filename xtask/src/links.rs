//! `cargo xtask links`: whether the documents' links lead to files and headings that are there. Addresses on the web are not asked for.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::chore::{self, Outcome};

/// Folders whose documents are checked, beside those in the root.
const FOLDERS: [&str; 2] = ["docs", "bench"];

pub fn run() -> Outcome {
    let mut documents = markdown(chore::root(), false)?;
    for folder in FOLDERS {
        documents.extend(markdown(&chore::root().join(folder), true)?);
    }
    let mut dead = Vec::new();
    for document in &documents {
        dead.extend(dead_links(document)?);
    }
    if dead.is_empty() { Ok(()) } else { Err(format!("links that lead nowhere:\n  {}", dead.join("\n  "))) }
}

/// The documents of a folder, and with `deep` of those in it.
fn markdown(folder: &Path, deep: bool) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && deep {
            found.extend(markdown(&path, deep)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn dead_links(document: &Path) -> Outcome<Vec<String>> {
    let folder = document.parent().unwrap_or(Path::new("."));
    let mut dead = Vec::new();
    for link in links(&without_code(&read(document)?)) {
        let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let target = if path.is_empty() { document.to_path_buf() } else { folder.join(path) };
        let is_there = target.exists() && (anchor.is_empty() || anchors(&read(&target)?).contains(anchor));
        if !is_there {
            dead.push(format!("{}: {link}", document.strip_prefix(chore::root()).unwrap_or(document).display()));
        }
    }
    Ok(dead)
}

/// The lines that are not code, and of those what is not in backquotes.
fn without_code(text: &str) -> String {
    let mut is_code = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            line.split('`').step_by(2).for_each(|piece| out.push_str(piece));
            out.push('\n');
        }
    }
    out
}

/// Where a text without code leads to within the project.
fn links(text: &str) -> Vec<String> {
    let marks = [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')];
    let of_mark = |(begin, end): (&str, char)| {
        let rests = text.split(begin).skip(1).map(move |rest| rest.split(end).next().unwrap_or(rest).to_string());
        rests.collect::<Vec<_>>()
    };
    let within = |link: &String| !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:");
    marks.into_iter().flat_map(of_mark).filter(within).collect()
}

/// The names by which a document's headings can be reached, made as GitHub makes them.
fn anchors(text: &str) -> HashSet<String> {
    let mut is_code = false;
    let mut found = HashSet::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if !is_code && line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            found.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_links_of_the_documents_lead_somewhere() {
        run().expect("no dead link");
    }

    #[test]
    fn links_are_found_where_they_are_links() {
        let text = "a [b](c.md#d) `[e](f)` <img src=\"g.png\"> [h](https://example.com)\n```\n[i](j)\n```\n[k](l)";
        assert_eq!(links(&without_code(text)), ["c.md#d", "l", "g.png"]);
    }

    #[test]
    fn headings_have_the_names_that_github_gives_them() {
        let text = "# The *one*\n```\n# no heading\n```\n## 3. Take `a-b`, out\n## 阶段一：建立连接";
        let expected = ["the-one", "3-take-a-b-out", "阶段一建立连接"];
        assert_eq!(anchors(text), expected.map(String::from).into());
    }

    #[test]
    fn a_link_to_nowhere_is_named() {
        let folder = std::env::temp_dir().join(format!("rivulet-links-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let document = folder.join("a.md");
        std::fs::write(&document, "# One\n[a](#one) [b](#two) [c](none.md) [d](a.md)").expect("a document");
        let dead = dead_links(&document).expect("it is read");
        std::fs::remove_dir_all(&folder).expect("it is removed");
        let names: Vec<_> = dead.iter().map(|line| line.rsplit(' ').next().unwrap_or(line)).collect();
        assert_eq!(names, ["#two", "none.md"]);
    }
}
