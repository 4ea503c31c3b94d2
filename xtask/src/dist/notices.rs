//! What the programs hold of others: the names, licenses and license texts of all crates that are linked into them, of the C sources in those, of
//! Rust's library, and in static programs of the C library.
//!
//! The list comes from Cargo, the texts from the sources that Cargo has fetched and from the compiler's folder. Of several licenses to choose from,
//! the first of `PREFERRED` is taken. A crate without a known license, or with C code that is not known here, ends the chore: packages must not go
//! out without.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files;
use crate::chore::{self, Outcome};

/// Licenses in the order in which they are chosen.
const PREFERRED: [&str; 6] = ["MIT", "ISC", "BSD-3-Clause", "BSD-2-Clause", "Zlib", "Apache-2.0"];

/// Crates whose sources of other origin are compiled into the programs, and where the license texts of those lie.
const INSIDE: [(&str, &[&str]); 3] = [
    ("lua-src", &[]),
    ("ring", &["third_party/fiat/LICENSE", "src/polyfill/once_cell/LICENSE-MIT"]),
    ("tikv-jemalloc-sys", &["jemalloc/COPYING"]),
];

/// Crates that link what is not Rust: the sources are those of `INSIDE`.
const LINKS: [&str; 3] = ["mlua-sys", "ring", "tikv-jemalloc-sys"];

/// Where Debian's C library for static programs has its notice.
const MUSL: &str = "/usr/share/doc/musl-dev/copyright";

/// Where Debian has the text of the Apache license, which its packages don't repeat.
const DEBIAN_APACHE: &str = "                       [/usr/share/common-licenses/Apache-2.0]\n";

#[derive(Clone)]
struct Crate {
    name: String,
    version: String,
    license: String,
    authors: Vec<String>,
    folder: PathBuf,
    links: bool,
}

/// Text by text, the works that are under it.
type Texts = BTreeMap<String, BTreeSet<String>>;

/// Writes the notices for programs of that target into a folder: `copyright` for Debian, `THIRD-PARTY.txt` for others, and what the compiler says
/// of its library, `rust-library.html.gz`.
///
/// # Errors
/// A crate whose license or text is not known.
pub fn make(folder: &Path, triple: &str) -> Outcome {
    let crates = linked(triple)?;
    let mut texts = Texts::new();
    for one in &crates {
        for text in texts_of(one)? {
            texts.entry(text).or_default().insert(format!("{} {}", one.name, one.version));
        }
    }
    if triple.ends_with("musl") {
        let licenses = compiler_doc()?.join("licenses");
        let llvm = read(&licenses.join("Apache-2.0.txt"))? + &read(&licenses.join("LLVM-exception.txt"))?;
        texts.entry(llvm).or_default().insert("libunwind of LLVM".into());
        texts.entry(read(Path::new(MUSL))?).or_default().insert("musl, the C library".into());
    }
    let notices = written(&crates, &texts);
    let ours = read(&chore::root().join("LICENSE"))?;
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    write(&folder.join("THIRD-PARTY.txt"), &notices)?;
    write(&folder.join("copyright"), &format!("Rivulet\n\n{ours}\n{}", without_apache(&notices)))?;
    library(folder)?;
    println!("  licenses of {} crates, {} texts: {}", crates.len(), texts.len(), folder.display());
    Ok(())
}

/// The crates of others that are linked, by name.
fn linked(triple: &str) -> Outcome<Vec<Crate>> {
    let mut tree = chore::cargo();
    tree.args(["tree", "--locked", "-p", "rivulet-server", "-p", "rivulet-cli", "--edges", "normal,no-proc-macro"]);
    tree.args(["--target", triple, "--prefix", "none", "--format", "{p}"]);
    let tree = chore::output(&mut tree)?;
    let named: BTreeSet<(&str, &str)> = tree.lines().filter_map(name_and_version).collect();
    let mut crates = known()?;
    crates.retain(|one| {
        // What a build script compiles is not linked in Cargo's eyes.
        named.contains(&(one.name.as_str(), one.version.as_str())) || INSIDE.iter().any(|(name, _)| *name == one.name)
    });
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    if let Some(unknown) = crates.iter().find(|one| one.links && !LINKS.contains(&one.name.as_str())) {
        return Err(format!(
            "{} links what is not Rust: what is that? INSIDE and LINKS (notices.rs) must know",
            unknown.name
        ));
    }
    match named.iter().chain(&INSIDE.map(|(name, _)| (name, ""))).find(|named| !is_among(named, &crates)) {
        Some((name, version)) => Err(format!("cargo metadata does not know {name} {version}")),
        None => Ok(crates),
    }
}

fn is_among((name, version): &(&str, &str), crates: &[Crate]) -> bool {
    crates.iter().any(|one| one.name == *name && (version.is_empty() || one.version == *version))
}

/// Of a line `name v1.2.3`; None for crates of this workspace, behind whose versions their places stand.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?);
    let is_ours = words.next().is_some_and(|place| place.starts_with("(/"));
    (!is_ours).then_some((name, version.strip_prefix('v')?))
}

/// All crates of the lock file.
fn known() -> Outcome<Vec<Crate>> {
    let mut metadata = chore::cargo();
    let text = chore::output(metadata.args(["metadata", "--locked", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let known = packages.iter().map(|package| Crate {
        name: text(&package["name"]),
        version: text(&package["version"]),
        license: text(&package["license"]),
        authors: package["authors"].as_array().into_iter().flatten().map(text).collect(),
        folder: Path::new(&text(&package["manifest_path"])).parent().unwrap_or(Path::new("")).into(),
        links: !package["links"].is_null(),
    });
    Ok(known.collect())
}

/// The license that is used of those that are offered: all of them where they hold together.
fn chosen(offered: &str) -> Outcome<&str> {
    let alternatives: Vec<&str> = offered.split(" OR ").flat_map(|word| word.split('/')).map(str::trim).collect();
    match alternatives.as_slice() {
        [""] => Err("it names none".into()),
        [only] => Ok(only),
        _ if offered.contains(" AND ") => Ok(offered),
        several => {
            let preferred = PREFERRED.iter().find(|license| several.contains(license));
            preferred.copied().ok_or_else(|| format!("none of '{offered}' is among those that are chosen"))
        }
    }
}

/// The texts that a crate wants to be shown.
fn texts_of(one: &Crate) -> Outcome<Vec<String>> {
    let failed = |reason: String| format!("the license of {} {}: {reason}", one.name, one.version);
    let chosen = chosen(&one.license).map_err(failed)?;
    let names = files(&one.folder)?;
    let inside = INSIDE.iter().filter(|(name, _)| *name == one.name).flat_map(|(_, files)| files.iter().copied());
    let texts = notice_files(&names, chosen).into_iter().chain(inside).map(|name| read(&one.folder.join(name)));
    let texts = texts.collect::<Outcome<Vec<String>>>()?;
    match (texts.is_empty(), chosen) {
        (false, _) => Ok(texts),
        // Its authors name the license, which has the same text everywhere but for their names.
        (true, "MIT") if !one.authors.is_empty() => {
            let text = read(&compiler_doc()?.join("licenses/MIT.txt"))?;
            Ok(vec![text.replace("<year> <copyright holders>", &one.authors.join(", "))])
        }
        (true, _) => Err(failed(format!("there is no text of {chosen} in {}", one.folder.display()))),
    }
}

/// Of the files of a crate: its notices, and the texts of the license if some are told apart by its name, or else all texts.
fn notice_files<'a>(names: &'a [String], license: &str) -> Vec<&'a str> {
    let own = format!("-{}", license.split('-').next().unwrap_or(license).to_ascii_uppercase());
    let with = |wanted: &dyn Fn(&str) -> bool| {
        names.iter().map(String::as_str).filter(|name| wanted(&name.to_ascii_uppercase())).collect::<Vec<&str>>()
    };
    let is_text = |name: &str| name.starts_with("LICEN") || name.starts_with("COPYING");
    let mut chosen = with(&|name| is_text(name) && name.contains(&own) && !license.contains(" AND "));
    if chosen.is_empty() {
        chosen = with(&is_text);
    }
    chosen.extend(with(&|name| name.starts_with("NOTICE") || name.contains("THIRD-PARTY")));
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// The list of the crates, and each text once with those that are under it.
fn written(crates: &[Crate], texts: &Texts) -> String {
    let mut out = String::from(
        "Rivulet's programs hold the works of others. Each is listed with the licenses that it is offered under;\n\
         where there are several, the first of the following that is among them is used: ",
    );
    let _ = writeln!(out, "{}.\nThe texts follow behind the list.\n", PREFERRED.join(", "));
    for one in crates {
        let _ = writeln!(out, "  {} {}: {}", one.name, one.version, one.license);
    }
    out.push_str(
        "  Rust's standard library: MIT OR Apache-2.0, The Rust Project Developers; rust-library.html.gz lists what it holds\n",
    );
    for (text, works) in texts {
        let works: Vec<&str> = works.iter().map(String::as_str).collect();
        let _ = write!(out, "\n{}\n{}\n\n{}\n", "-".repeat(78), works.join(", "), text.trim_end());
    }
    out
}

/// With the place where Debian has the text of the Apache license instead of that text.
fn without_apache(notices: &str) -> String {
    const BEGIN: &str = "Apache License\n";
    const END: &str = "END OF TERMS AND CONDITIONS\n";
    let (mut out, mut rest) = (String::new(), notices);
    while let Some(begin) = rest.find(BEGIN) {
        let Some(end) = rest[begin..].find(END) else { break };
        out.push_str(rest[..begin].trim_end_matches(' '));
        out.push_str(DEBIAN_APACHE);
        rest = &rest[begin + end + END.len()..];
    }
    out + rest
}

/// What the compiler says of its library and of all that is linked into that.
fn library(folder: &Path) -> Outcome {
    let text = read(&compiler_doc()?.join("COPYRIGHT-library.html"))?;
    let place = folder.join("rust-library.html");
    write(&place, &text)?;
    chore::output(chore::command("gzip").args(["-9", "-n", "-f"]).arg(place))?;
    Ok(())
}

/// The folder of the compiler's documents.
fn compiler_doc() -> Outcome<PathBuf> {
    let sysroot = chore::output(chore::command("rustc").args(["--print", "sysroot"]))?;
    Ok(Path::new(sysroot.trim()).join("share/doc/rust"))
}

fn read(file: &Path) -> Outcome<String> {
    std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}

fn write(file: &Path, text: &str) -> Outcome {
    std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_licenses_is_chosen() {
        assert_eq!(chosen("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"), Ok("MIT"));
        assert_eq!(chosen("Apache-2.0/ISC"), Ok("ISC"));
        assert_eq!(chosen("Apache-2.0 AND ISC"), Ok("Apache-2.0 AND ISC"));
        assert_eq!(chosen("Unicode-3.0"), Ok("Unicode-3.0"));
        assert!(chosen("GPL-2.0 OR Unlicense").is_err());
        assert!(chosen("").is_err());
    }

    fn files_for(names: &str, license: &str) -> Vec<String> {
        let names: Vec<String> = names.split_whitespace().map(str::to_string).collect();
        notice_files(&names, license).into_iter().map(str::to_string).collect()
    }

    #[test]
    fn texts_of_other_licenses_are_left_out() {
        assert_eq!(
            files_for("Cargo.toml LICENSE-APACHE LICENSE-MIT LICENSE-THIRD-PARTY", "MIT"),
            ["LICENSE-MIT", "LICENSE-THIRD-PARTY"]
        );
        assert_eq!(files_for("COPYING LICENSE-MIT UNLICENSE src", "MIT"), ["LICENSE-MIT"]);
        assert_eq!(files_for("LICENSE.txt NOTICE README.md", "MIT"), ["LICENSE.txt", "NOTICE"]);
        assert_eq!(
            files_for("LICENSE LICENSE-Apache LICENSE-ISC", "Apache-2.0 AND ISC"),
            ["LICENSE", "LICENSE-Apache", "LICENSE-ISC"]
        );
        assert!(files_for("Cargo.toml src", "MIT").is_empty());
    }

    #[test]
    fn crates_of_this_workspace_are_not_of_others() {
        assert_eq!(name_and_version("aes v0.8.4"), Some(("aes", "0.8.4")));
        assert_eq!(name_and_version("aes v0.8.4 (*)"), Some(("aes", "0.8.4")));
        assert_eq!(name_and_version("rivulet-acl v0.1.0 (/somewhere/crates/acl)"), None);
        assert_eq!(name_and_version(""), None);
    }

    #[test]
    fn debian_has_the_apache_license_elsewhere() {
        let text =
            "before\n\n     Apache License\n 1. Definitions\n END OF TERMS AND CONDITIONS\n\nbehind\n Apache License";
        assert_eq!(without_apache(text), format!("before\n\n{DEBIAN_APACHE}\nbehind\n Apache License"));
    }
}
