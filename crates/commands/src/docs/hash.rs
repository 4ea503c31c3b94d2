//! Arguments and history of the commands on hashes.

use super::{Docs, block, double, integer, key, pattern, string, token};

pub static DOCS: &[Docs] = &[
    Docs::of("hset")
        .history(&[("4.0.0", "Accepts multiple `field` and `value` arguments.")])
        .arguments(&[key("key", 0), block("field_value", &[string("field"), string("value")]).multiple()]),
    Docs::of("hsetnx").arguments(&[key("key", 0), string("field"), string("value")]),
    Docs::of("hmset")
        .deprecated("4.0.0", "`HSET` with multiple field-value pairs")
        .arguments(&[key("key", 0), block("field_value", &[string("field"), string("value")]).multiple()]),
    Docs::of("hget").arguments(&[key("key", 0), string("field")]),
    Docs::of("hmget").arguments(&[key("key", 0), string("field").multiple()]),
    Docs::of("hdel")
        .history(&[("2.4.0", "Accepts multiple `field` arguments.")])
        .arguments(&[key("key", 0), string("field").multiple()]),
    Docs::of("hexists").arguments(&[key("key", 0), string("field")]),
    Docs::of("hlen").arguments(&[key("key", 0)]),
    Docs::of("hstrlen").arguments(&[key("key", 0), string("field")]),
    Docs::of("hincrby").arguments(&[key("key", 0), string("field"), integer("increment")]),
    Docs::of("hincrbyfloat").arguments(&[key("key", 0), string("field"), double("increment")]),
    Docs::of("hgetall").arguments(&[key("key", 0)]),
    Docs::of("hkeys").arguments(&[key("key", 0)]),
    Docs::of("hvals").arguments(&[key("key", 0)]),
    Docs::of("hrandfield").arguments(&[
        key("key", 0),
        block("options", &[integer("count"), token("withvalues", "WITHVALUES").optional()]).optional(),
    ]),
    Docs::of("hscan").arguments(&[
        key("key", 0),
        integer("cursor"),
        pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
    ]),
];
