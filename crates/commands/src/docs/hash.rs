//! Arguments and history of the commands on hashes.

use super::{Argument, Docs, block, double, integer, key, one_of, pattern, string, token, unix_time};

/// When a deadline takes the place of the present one.
const CONDITION: Argument =
    one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")]).optional();
const FIELDS: Argument = block("fields", &[integer("numfields"), string("field").multiple()]).after("FIELDS");

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
    Docs::of("hexpire").arguments(&[key("key", 0), integer("seconds"), CONDITION, FIELDS]),
    Docs::of("hpexpire").arguments(&[key("key", 0), integer("milliseconds"), CONDITION, FIELDS]),
    Docs::of("hexpireat").arguments(&[key("key", 0), unix_time("unix-time-seconds"), CONDITION, FIELDS]),
    Docs::of("hpexpireat").arguments(&[key("key", 0), unix_time("unix-time-milliseconds"), CONDITION, FIELDS]),
    Docs::of("hpersist").arguments(&[key("key", 0), FIELDS]),
    Docs::of("httl").arguments(&[key("key", 0), FIELDS]),
    Docs::of("hpttl").arguments(&[key("key", 0), FIELDS]),
    Docs::of("hexpiretime").arguments(&[key("key", 0), FIELDS]),
    Docs::of("hpexpiretime").arguments(&[key("key", 0), FIELDS]),
    Docs::of("hgetdel").arguments(&[key("key", 0), FIELDS]),
    Docs::of("hgetex").arguments(&[
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
        FIELDS,
    ]),
    Docs::of("hsetex").arguments(&[
        key("key", 0),
        one_of("condition", &[token("fnx", "FNX"), token("fxx", "FXX")]).optional(),
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
        block("fields", &[integer("numfields"), block("data", &[string("field"), string("value")]).multiple()])
            .after("FIELDS"),
    ]),
];
