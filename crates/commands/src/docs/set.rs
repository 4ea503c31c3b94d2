//! Arguments and history of the commands on sets.

use super::{Docs, integer, key, pattern, string, token};

pub static DOCS: &[Docs] = &[
    Docs::of("sadd")
        .history(&[("2.4.0", "Accepts multiple `member` arguments.")])
        .arguments(&[key("key", 0), string("member").multiple()]),
    Docs::of("srem")
        .history(&[("2.4.0", "Accepts multiple `member` arguments.")])
        .arguments(&[key("key", 0), string("member").multiple()]),
    Docs::of("smove").arguments(&[key("source", 0), key("destination", 1), string("member")]),
    Docs::of("scard").arguments(&[key("key", 0)]),
    Docs::of("sismember").arguments(&[key("key", 0), string("member")]),
    Docs::of("smismember").arguments(&[key("key", 0), string("member").multiple()]),
    Docs::of("smembers").arguments(&[key("key", 0)]),
    Docs::of("sscan").arguments(&[
        key("key", 0),
        integer("cursor"),
        pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
    ]),
    Docs::of("spop")
        .history(&[("3.2.0", "Added the `count` argument.")])
        .arguments(&[key("key", 0), integer("count").since("3.2.0").optional()]),
    Docs::of("srandmember")
        .history(&[("2.6.0", "Added the optional `count` argument.")])
        .arguments(&[key("key", 0), integer("count").since("2.6.0").optional()]),
    Docs::of("sinter").arguments(&[key("key", 0).multiple()]),
    Docs::of("sinterstore").arguments(&[key("destination", 0), key("key", 1).multiple()]),
    Docs::of("sdiffcard").arguments(&[
        integer("numkeys"),
        key("key", 0).multiple(),
        integer("limit").after("LIMIT").optional(),
    ]),
    Docs::of("sunioncard").arguments(&[
        integer("numkeys"),
        key("key", 0).multiple(),
        token("approx", "APPROX").optional(),
        integer("limit").after("LIMIT").optional(),
    ]),
    Docs::of("sintercard").arguments(&[
        integer("numkeys"),
        key("key", 0).multiple(),
        integer("limit").after("LIMIT").optional(),
    ]),
    Docs::of("sunion").arguments(&[key("key", 0).multiple()]),
    Docs::of("sunionstore").arguments(&[key("destination", 0), key("key", 1).multiple()]),
    Docs::of("sdiff").arguments(&[key("key", 0).multiple()]),
    Docs::of("sdiffstore").arguments(&[key("destination", 0), key("key", 1).multiple()]),
];
