//! Arguments and history of the commands on sorted sets.

use super::{Docs, block, double, integer, key, one_of, pattern, string, token};

pub static DOCS: &[Docs] = &[
    Docs::of("zadd")
        .history(&[
            ("2.4.0", "Accepts multiple elements."),
            ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
            ("6.2.0", "Added the `GT` and `LT` options."),
        ])
        .arguments(&[
            key("key", 0),
            one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).since("3.0.2").optional(),
            one_of("comparison", &[token("gt", "GT"), token("lt", "LT")]).since("6.2.0").optional(),
            token("change", "CH").since("3.0.2").optional(),
            token("increment", "INCR").since("3.0.2").optional(),
            block("score_member", &[double("score"), string("member")]).multiple(),
        ]),
    Docs::of("zincrby").arguments(&[key("key", 0), integer("increment"), string("member")]),
    Docs::of("zrem")
        .history(&[("2.4.0", "Accepts multiple elements.")])
        .arguments(&[key("key", 0), string("member").multiple()]),
    Docs::of("zcard").arguments(&[key("key", 0)]),
    Docs::of("zscore").arguments(&[key("key", 0), string("member")]),
    Docs::of("zmscore").arguments(&[key("key", 0), string("member").multiple()]),
    Docs::of("zrank").arguments(&[key("key", 0), string("member")]),
    Docs::of("zrevrank").arguments(&[key("key", 0), string("member")]),
    Docs::of("zrandmember").arguments(&[
        key("key", 0),
        block("options", &[integer("count"), token("withscores", "WITHSCORES").optional()]).optional(),
    ]),
    Docs::of("zscan").arguments(&[
        key("key", 0),
        integer("cursor"),
        pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
    ]),
    Docs::of("zrange").history(&[("6.2.0", "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.")]).arguments(&[
        key("key", 0),
        string("start"),
        string("stop"),
        one_of("sortby", &[token("byscore", "BYSCORE"), token("bylex", "BYLEX")]).since("6.2.0").optional(),
        token("rev", "REV").since("6.2.0").optional(),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").since("6.2.0").optional(),
        token("withscores", "WITHSCORES").optional(),
    ]),
    Docs::of("zrangestore").arguments(&[
        key("dst", 0),
        key("src", 1),
        string("min"),
        string("max"),
        one_of("sortby", &[token("byscore", "BYSCORE"), token("bylex", "BYLEX")]).optional(),
        token("rev", "REV").optional(),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ]),
    Docs::of("zrangebyscore")
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument")
        .history(&[("2.0.0", "Added the `WITHSCORES` modifier.")])
        .arguments(&[
            key("key", 0),
            double("min"),
            double("max"),
            token("withscores", "WITHSCORES").since("2.0.0").optional(),
            block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
        ]),
    Docs::of("zrangebylex").deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument").arguments(&[
        key("key", 0),
        string("min"),
        string("max"),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ]),
    Docs::of("zrevrange").deprecated("6.2.0", "`ZRANGE` with the `REV` argument").arguments(&[
        key("key", 0),
        integer("start"),
        integer("stop"),
        token("withscores", "WITHSCORES").optional(),
    ]),
    Docs::of("zrevrangebyscore")
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")
        .history(&[("2.1.6", "`min` and `max` can be exclusive.")])
        .arguments(&[
            key("key", 0),
            double("max"),
            double("min"),
            token("withscores", "WITHSCORES").optional(),
            block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
        ]),
    Docs::of("zrevrangebylex").deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments").arguments(&[
        key("key", 0),
        string("max"),
        string("min"),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ]),
    Docs::of("zcount").arguments(&[key("key", 0), double("min"), double("max")]),
    Docs::of("zlexcount").arguments(&[key("key", 0), string("min"), string("max")]),
    Docs::of("zremrangebyrank").arguments(&[key("key", 0), integer("start"), integer("stop")]),
    Docs::of("zremrangebyscore").arguments(&[key("key", 0), double("min"), double("max")]),
    Docs::of("zremrangebylex").arguments(&[key("key", 0), string("min"), string("max")]),
    Docs::of("zunion").arguments(&[
        integer("numkeys"),
        key("key", 0).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")])
            .after("AGGREGATE")
            .optional(),
        token("withscores", "WITHSCORES").optional(),
    ]),
    Docs::of("zunionstore").arguments(&[
        key("destination", 0),
        integer("numkeys"),
        key("key", 1).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")])
            .after("AGGREGATE")
            .optional(),
    ]),
    Docs::of("zinter").arguments(&[
        integer("numkeys"),
        key("key", 0).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")])
            .after("AGGREGATE")
            .optional(),
        token("withscores", "WITHSCORES").optional(),
    ]),
    Docs::of("zinterstore").arguments(&[
        key("destination", 0),
        integer("numkeys"),
        key("key", 1).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")])
            .after("AGGREGATE")
            .optional(),
    ]),
    Docs::of("zintercard").arguments(&[
        integer("numkeys"),
        key("key", 0).multiple(),
        integer("limit").after("LIMIT").optional(),
    ]),
    Docs::of("zdiff").arguments(&[
        integer("numkeys"),
        key("key", 0).multiple(),
        token("withscores", "WITHSCORES").optional(),
    ]),
    Docs::of("zdiffstore").arguments(&[key("destination", 0), integer("numkeys"), key("key", 1).multiple()]),
    Docs::of("zpopmin").arguments(&[key("key", 0), integer("count").optional()]),
    Docs::of("zpopmax").arguments(&[key("key", 0), integer("count").optional()]),
    Docs::of("zmpop").arguments(&[
        integer("numkeys"),
        key("key", 0).multiple(),
        one_of("where", &[token("min", "MIN"), token("max", "MAX")]),
        integer("count").after("COUNT").optional(),
    ]),
    Docs::of("bzpopmin")
        .history(&[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")])
        .arguments(&[key("key", 0).multiple(), double("timeout")]),
    Docs::of("bzpopmax")
        .history(&[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")])
        .arguments(&[key("key", 0).multiple(), double("timeout")]),
    Docs::of("bzmpop").arguments(&[
        double("timeout"),
        integer("numkeys"),
        key("key", 0).multiple(),
        one_of("where", &[token("min", "MIN"), token("max", "MAX")]),
        integer("count").after("COUNT").optional(),
    ]),
];
