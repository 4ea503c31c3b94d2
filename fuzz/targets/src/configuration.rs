//! Configuration files: any text is read or refused with a line, and CONFIG REWRITE keeps every value.

use std::ffi::OsString;

use rivulet_resp::inline::{quote, split_words};

use rivulet_config::{Config, DIRECTIVES, RewriteWith, Start, Startup};

pub fn run(bytes: &[u8]) {
    if let Some(words) = split_words(bytes) {
        for word in words {
            assert_eq!(split_words(&quote(&word)), Some(vec![word]), "quoted and split again");
        }
    }
    if bytes.split(|&b| b == b'\n').any(names_files) {
        return;
    }
    let Some(startup) = read(bytes) else { return };
    for all in [false, true] {
        let text = startup.config.rewritten(bytes, &RewriteWith { all, ..RewriteWith::default() });
        let again = read(&text).expect("what was rewritten is valid");
        for directive in DIRECTIVES {
            let (before, after) = (directive.text(&startup.config), directive.text(&again.config));
            let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
            assert_eq!(shown(&after), shown(&before), "{} after a rewrite", directive.name);
        }
    }
}

/// A fuzzer must not wander through the files of its machine.
fn names_files(line: &[u8]) -> bool {
    let first = split_words(line).and_then(|words| words.into_iter().next()).unwrap_or_default();
    ["include", "dir", "logfile"].iter().any(|name| first.eq_ignore_ascii_case(name.as_bytes()))
}

fn read(text: &[u8]) -> Option<Box<Startup>> {
    match Config::from_args_and(["rivulet-server", "-"].map(OsString::from), text) {
        Ok(Start::Server(startup)) => Some(startup),
        Ok(_) => None,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = [
        &b"port 6380\nbind 127.0.0.1 -::1\n# a comment\n\nsave 900 1 300 10\nsave \"\"\nreplicaof 127.0.0.1 6379\n"[..],
        b"maxmemory 700mb\nmaxmemory-policy allkeys-lru\nrequirepass \"a b\\x41\"\nslave-serve-stale-data no\n",
        b"client-output-buffer-limit replica 256mb 64mb 60\nmin-slaves-to-write 2\nmin-slaves-max-lag 8\n",
        b"rename-command FLUSHALL \"\"\nuser default on nopass ~* +@all\nnotify-keyspace-events KEA\nloglevel verbose\n",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    // Every directive at its default.
    let all = RewriteWith { all: true, ..RewriteWith::default() };
    let text = Config::default().rewritten(b"", &all);
    let lines: Vec<&[u8]> = text.split(|&b| b == b'\n').filter(|line| !line.starts_with(b"dir ")).collect();
    seeds.push(lines.join(&b'\n'));
    assert!(seeds.iter().all(|seed| read(seed).is_some()), "a seed is not valid");
    seeds
}
