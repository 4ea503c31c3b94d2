//! Arguments and history of the commands on scripts and functions.

use super::{Argument, Docs, integer, key, one_of, string, token};

const KEYS: Argument = key("key", 0).optional().multiple();
const ARGUMENTS: Argument = string("arg").optional().multiple();
const ASYNC: &[Argument] = &[token("async", "ASYNC"), token("sync", "SYNC")];

pub static DOCS: &[Docs] = &[
    Docs::of("eval").arguments(&[string("script"), integer("numkeys"), KEYS, ARGUMENTS]),
    Docs::of("eval_ro").arguments(&[string("script"), integer("numkeys"), KEYS, ARGUMENTS]),
    Docs::of("evalsha").arguments(&[string("sha1"), integer("numkeys"), KEYS, ARGUMENTS]),
    Docs::of("evalsha_ro").arguments(&[string("sha1"), integer("numkeys"), KEYS, ARGUMENTS]),
    Docs::of("fcall").arguments(&[string("function"), integer("numkeys"), KEYS, ARGUMENTS]),
    Docs::of("fcall_ro").arguments(&[string("function"), integer("numkeys"), KEYS, ARGUMENTS]),
    Docs::of("function|delete").arguments(&[string("library-name")]),
    Docs::of("function|flush").arguments(&[one_of("async", ASYNC).optional()]),
    Docs::of("function|list").arguments(&[
        string("library-name-pattern").after("LIBRARYNAME").optional(),
        token("withcode", "WITHCODE").optional(),
    ]),
    Docs::of("function|load").arguments(&[token("replace", "REPLACE").optional(), string("function-code")]),
    Docs::of("function|restore").arguments(&[
        string("serialized-value"),
        one_of("policy", &[token("flush", "FLUSH"), token("append", "APPEND"), token("replace", "REPLACE")]).optional(),
    ]),
    Docs::of("script|debug")
        .arguments(&[one_of("mode", &[token("yes", "YES"), token("sync", "SYNC"), token("no", "NO")])]),
    Docs::of("script|exists").arguments(&[string("sha1").multiple()]),
    Docs::of("script|flush")
        .history(&[("6.2.0", "Added the `ASYNC` and `SYNC` flushing mode modifiers.")])
        .arguments(&[one_of("async", ASYNC).since("6.2.0").optional()]),
    Docs::of("script|load").arguments(&[string("script")]),
    Docs::of("script|show").arguments(&[string("sha1")]),
];
