//! Arguments and history of the commands on keys of any type.

use super::{Docs, block, integer, key, one_of, pattern, string, token, unix_time};

pub static DOCS: &[Docs] = &[
    Docs::of("copy").arguments(&[
        key("source", 0),
        key("destination", 1),
        integer("destination-db").after("DB").optional(),
        token("replace", "REPLACE").optional(),
    ]),
    Docs::of("del").arguments(&[key("key", 0).multiple()]),
    Docs::of("dump").arguments(&[key("key", 0)]),
    Docs::of("exists")
        .history(&[("3.0.3", "Accepts multiple `key` arguments.")])
        .arguments(&[key("key", 0).multiple()]),
    Docs::of("expire").history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]).arguments(&[
        key("key", 0),
        integer("seconds"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")])
            .since("7.0.0")
            .optional(),
    ]),
    Docs::of("expireat").history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]).arguments(&[
        key("key", 0),
        unix_time("unix-time-seconds"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")])
            .since("7.0.0")
            .optional(),
    ]),
    Docs::of("expiretime").arguments(&[key("key", 0)]),
    Docs::of("keys").arguments(&[pattern("pattern")]),
    Docs::of("migrate")
        .history(&[
            ("3.0.0", "Added the `COPY` and `REPLACE` options."),
            ("3.0.6", "Added the `KEYS` option."),
            ("4.0.7", "Added the `AUTH` option."),
            ("6.0.0", "Added the `AUTH2` option."),
        ])
        .arguments(&[
            string("host"),
            integer("port"),
            one_of("key_or_empty_string", &[key("key", 0), token("empty_string", "")]),
            integer("destination-db"),
            integer("timeout"),
            token("copy", "COPY").since("3.0.0").optional(),
            token("replace", "REPLACE").since("3.0.0").optional(),
            one_of(
                "authentication",
                &[
                    string("password").after("AUTH").since("4.0.7").optional(),
                    block("username_password", &[string("username"), string("password")])
                        .after("AUTH2")
                        .since("6.0.0")
                        .optional(),
                ],
            )
            .optional(),
            key("key", 1).after("KEYS").since("3.0.6").optional().multiple(),
        ]),
    Docs::of("move").arguments(&[key("key", 0), integer("db")]),
    Docs::of("object|encoding").arguments(&[key("key", 0)]),
    Docs::of("object|freq").arguments(&[key("key", 0)]),
    Docs::of("object|idletime").arguments(&[key("key", 0)]),
    Docs::of("object|refcount").arguments(&[key("key", 0)]),
    Docs::of("persist").arguments(&[key("key", 0)]),
    Docs::of("pexpire").history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]).arguments(&[
        key("key", 0),
        integer("milliseconds"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")])
            .since("7.0.0")
            .optional(),
    ]),
    Docs::of("pexpireat").history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]).arguments(&[
        key("key", 0),
        unix_time("unix-time-milliseconds"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")])
            .since("7.0.0")
            .optional(),
    ]),
    Docs::of("pexpiretime").arguments(&[key("key", 0)]),
    Docs::of("pttl").history(&[("2.8.0", "Added the -2 reply.")]).arguments(&[key("key", 0)]),
    Docs::of("rename").arguments(&[key("key", 0), key("newkey", 1)]),
    Docs::of("renamenx")
        .history(&[("3.2.0", "The command no longer returns an error when source and destination names are the same.")])
        .arguments(&[key("key", 0), key("newkey", 1)]),
    Docs::of("restore")
        .history(&[
            ("3.0.0", "Added the `REPLACE` modifier."),
            ("5.0.0", "Added the `ABSTTL` modifier."),
            ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
        ])
        .arguments(&[
            key("key", 0),
            integer("ttl"),
            string("serialized-value"),
            token("replace", "REPLACE").since("3.0.0").optional(),
            token("absttl", "ABSTTL").since("5.0.0").optional(),
            integer("seconds").after("IDLETIME").since("5.0.0").optional(),
            integer("frequency").after("FREQ").since("5.0.0").optional(),
        ]),
    Docs::of("scan").history(&[("6.0.0", "Added the `TYPE` subcommand.")]).arguments(&[
        integer("cursor"),
        pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
        string("type").after("TYPE").since("6.0.0").optional(),
    ]),
    Docs::of("sort").arguments(&[
        key("key", 0),
        pattern("pattern").key_spec(1).after("BY").optional(),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
        pattern("pattern").key_spec(1).after("GET").optional().multiple().multiple_token(),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        token("sorting", "ALPHA").optional(),
        key("destination", 2).after("STORE").optional(),
    ]),
    Docs::of("sort_ro").arguments(&[
        key("key", 0),
        pattern("pattern").key_spec(1).after("BY").optional(),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
        pattern("pattern").key_spec(1).after("GET").optional().multiple().multiple_token(),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        token("sorting", "ALPHA").optional(),
    ]),
    Docs::of("touch").arguments(&[key("key", 0).multiple()]),
    Docs::of("ttl").history(&[("2.8.0", "Added the -2 reply.")]).arguments(&[key("key", 0)]),
    Docs::of("type").arguments(&[key("key", 0)]),
    Docs::of("unlink").arguments(&[key("key", 0).multiple()]),
    Docs::of("wait").arguments(&[integer("numreplicas"), integer("timeout")]),
    Docs::of("waitaof").arguments(&[integer("numlocal"), integer("numreplicas"), integer("timeout")]),
];
