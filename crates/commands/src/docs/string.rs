//! Arguments and history of the commands on strings.

use super::{Docs, block, double, integer, key, one_of, string, token, unix_time};

pub static DOCS: &[Docs] = &[
    Docs::of("append").arguments(&[key("key", 0), string("value")]),
    Docs::of("decr").arguments(&[key("key", 0)]),
    Docs::of("decrby").arguments(&[key("key", 0), integer("decrement")]),
    Docs::of("get").arguments(&[key("key", 0)]),
    Docs::of("getdel").arguments(&[key("key", 0)]),
    Docs::of("delex").arguments(&[
        key("key", 0),
        one_of(
            "condition",
            &[
                string("ifeq-value").after("IFEQ"),
                string("ifne-value").after("IFNE"),
                string("ifdeq-digest").after("IFDEQ"),
                string("ifdne-digest").after("IFDNE"),
            ],
        )
        .optional(),
    ]),
    Docs::of("delifeq").arguments(&[key("key", 0), string("value")]),
    Docs::of("digest").arguments(&[key("key", 0)]),
    Docs::of("getex").arguments(&[
        key("key", 0),
        one_of(
            "expiration",
            &[
                integer("seconds").after("EX"),
                integer("milliseconds").after("PX"),
                unix_time("unix-time-seconds").after("EXAT"),
                unix_time("unix-time-milliseconds").after("PXAT"),
                token("persist", "PERSIST"),
            ],
        )
        .optional(),
    ]),
    Docs::of("getrange").arguments(&[key("key", 0), integer("start"), integer("end")]),
    Docs::of("getset")
        .deprecated("6.2.0", "`SET` with the `!GET` argument")
        .arguments(&[key("key", 0), string("value")]),
    Docs::of("incr").arguments(&[key("key", 0)]),
    Docs::of("incrby").arguments(&[key("key", 0), integer("increment")]),
    Docs::of("increx").arguments(&[
        key("key", 0),
        one_of("increment", &[double("float").after("BYFLOAT"), integer("integer").after("BYINT")]).optional(),
        token("saturate", "SATURATE").optional(),
        string("lowerbound").after("LBOUND").optional(),
        string("upperbound").after("UBOUND").optional(),
        one_of(
            "expiration",
            &[
                integer("seconds").after("EX"),
                integer("milliseconds").after("PX"),
                unix_time("unix-time-seconds").after("EXAT"),
                unix_time("unix-time-milliseconds").after("PXAT"),
                token("persist", "PERSIST"),
            ],
        )
        .optional(),
        token("enx", "ENX").optional(),
    ]),
    Docs::of("incrbyfloat").arguments(&[key("key", 0), double("increment")]),
    Docs::of("lcs").arguments(&[
        key("key1", 0),
        key("key2", 0),
        token("len", "LEN").optional(),
        token("idx", "IDX").optional(),
        integer("len").after("MINMATCHLEN").optional(),
        token("withmatchlen", "WITHMATCHLEN").optional(),
    ]),
    Docs::of("mget").arguments(&[key("key", 0).multiple()]),
    Docs::of("msetex").arguments(&[
        integer("numkeys"),
        block("data", &[key("key", 0), string("value")]).multiple(),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).optional(),
        one_of(
            "expiration",
            &[
                integer("seconds").after("EX"),
                integer("milliseconds").after("PX"),
                unix_time("unix-time-seconds").after("EXAT"),
                unix_time("unix-time-milliseconds").after("PXAT"),
                token("keepttl", "KEEPTTL"),
            ],
        )
        .optional(),
    ]),
    Docs::of("mset").arguments(&[block("key_value", &[key("key", 0), string("value")]).multiple()]),
    Docs::of("msetnx").arguments(&[block("key_value", &[key("key", 0), string("value")]).multiple()]),
    Docs::of("psetex").arguments(&[key("key", 0), integer("milliseconds"), string("value")]),
    Docs::of("set")
        .history(&[
            ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
            ("6.0.0", "Added the `KEEPTTL` option."),
            ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
            ("7.0.0", "Allowed the `NX` and `GET` options to be used together."),
            ("8.4.0", "Added the `IFEQ`, `IFNE`, `IFDEQ` and `IFDNE` options."),
        ])
        .arguments(&[
            key("key", 0),
            string("value"),
            one_of(
                "condition",
                &[
                    token("nx", "NX").since("2.6.12"),
                    token("xx", "XX").since("2.6.12"),
                    string("ifeq-value").after("IFEQ").since("8.4.0"),
                    string("ifne-value").after("IFNE").since("8.4.0"),
                    string("ifdeq-digest").after("IFDEQ").since("8.4.0"),
                    string("ifdne-digest").after("IFDNE").since("8.4.0"),
                ],
            )
            .optional(),
            token("get", "GET").since("6.2.0").optional(),
            one_of(
                "expiration",
                &[
                    integer("seconds").after("EX").since("2.6.12"),
                    integer("milliseconds").after("PX").since("2.6.12"),
                    unix_time("unix-time-seconds").after("EXAT").since("6.2.0"),
                    unix_time("unix-time-milliseconds").after("PXAT").since("6.2.0"),
                    token("keepttl", "KEEPTTL").since("6.0.0"),
                ],
            )
            .optional(),
        ]),
    Docs::of("setex").arguments(&[key("key", 0), integer("seconds"), string("value")]),
    Docs::of("setnx").arguments(&[key("key", 0), string("value")]),
    Docs::of("setrange").arguments(&[key("key", 0), integer("offset"), string("value")]),
    Docs::of("strlen").arguments(&[key("key", 0)]),
    Docs::of("substr").deprecated("2.0.0", "`GETRANGE`").arguments(&[key("key", 0), integer("start"), integer("end")]),
];
