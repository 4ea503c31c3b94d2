//! `packaging/rivulet.conf`, the configuration that packages install: every directive with its meaning and default, made from the table.

use std::fmt::Write as _;

use super::directive::{HIDDEN, IMMUTABLE, NO_MEANING};
use super::{Config, DIRECTIVES, RewriteWith};

/// What a package sets. All else stands there as a comment.
const SET: [(&str, &str); 5] = [
    ("bind", "127.0.0.1 -::1"),
    ("dir", "/var/lib/rivulet"),
    ("logfile", "/var/log/rivulet/rivulet.log"),
    ("pidfile", "/run/rivulet/rivulet-server.pid"),
    ("syslog-ident", "rivulet"),
];

const HEAD: &str = "\
# The configuration of rivulet-server. A line that begins with # has no effect: the directives that are commented out stand here with their
# defaults. Sizes take units: 1k is 1000 bytes, 1kb is 1024, and so on with m and g. What needs a restart is marked; all else can be
# changed by CONFIG SET, and CONFIG REWRITE writes what is set back into this file.
#
# include /etc/rivulet/local.conf
";

/// The file's text.
fn text() -> String {
    let lines = Config::default().rewritten(b"", &RewriteWith { all: true, ..RewriteWith::default() });
    let lines = String::from_utf8(lines).expect("defaults are text");
    let mut text = HEAD.to_string();
    for directive in DIRECTIVES.iter().filter(|d| !d.has(HIDDEN | NO_MEANING)) {
        let restart = if directive.has(IMMUTABLE) { " Needs a restart." } else { "" };
        let _ = write!(text, "\n# {}{restart}\n", directive.doc);
        if let Some((name, value)) = SET.iter().find(|(name, _)| *name == directive.name) {
            let _ = writeln!(text, "{name} {value}");
            continue;
        }
        let is_own = |line: &&str| line.split(' ').next() == Some(directive.name);
        let own: Vec<&str> = lines.lines().filter(is_own).collect();
        for line in &own {
            let _ = writeln!(text, "# {line}");
        }
        if own.is_empty() {
            // It has no value by default.
            let _ = writeln!(text, "# {}", directive.name);
        }
    }
    text
}

/// `RIVULET_WRITE_DOCS=1` writes the file.
#[test]
fn the_packaged_configuration_tells_of_every_directive() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/rivulet.conf");
    let new = text();
    if std::env::var_os("RIVULET_WRITE_DOCS").is_some() {
        std::fs::write(path, &new).expect("the file can be written");
    }
    let old = std::fs::read_to_string(path).expect("the packaged configuration");
    assert!(new == old, "packaging/rivulet.conf is not up to date: run this test with RIVULET_WRITE_DOCS=1");
    // The paths are there only where the package is.
    let here = new.replace("/var/lib/rivulet", "/").replace("/var/log/rivulet/rivulet.log", "\"\"");
    let config = Config::from_text(here.as_bytes()).expect("it loads").config;
    assert_eq!(config.pidfile, "/run/rivulet/rivulet-server.pid");
}
