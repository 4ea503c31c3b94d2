//! Arguments and history of the commands on lists.

use super::{Docs, block, double, integer, key, one_of, string, token};

pub static DOCS: &[Docs] = &[
    Docs::of("lpush")
        .history(&[("2.4.0", "Accepts multiple `element` arguments.")])
        .arguments(&[key("key", 0), string("element").multiple()]),
    Docs::of("rpush")
        .history(&[("2.4.0", "Accepts multiple `element` arguments.")])
        .arguments(&[key("key", 0), string("element").multiple()]),
    Docs::of("lpushx")
        .history(&[("4.0.0", "Accepts multiple `element` arguments.")])
        .arguments(&[key("key", 0), string("element").multiple()]),
    Docs::of("rpushx")
        .history(&[("4.0.0", "Accepts multiple `element` arguments.")])
        .arguments(&[key("key", 0), string("element").multiple()]),
    Docs::of("lpop")
        .history(&[("6.2.0", "Added the `count` argument.")])
        .arguments(&[key("key", 0), integer("count").since("6.2.0").optional()]),
    Docs::of("rpop")
        .history(&[("6.2.0", "Added the `count` argument.")])
        .arguments(&[key("key", 0), integer("count").since("6.2.0").optional()]),
    Docs::of("lmpop").arguments(&[
        integer("numkeys"),
        key("key", 0).multiple(),
        one_of("where", &[token("left", "LEFT"), token("right", "RIGHT")]),
        integer("count").after("COUNT").optional(),
    ]),
    Docs::of("blpop")
        .history(&[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")])
        .arguments(&[key("key", 0).multiple(), double("timeout")]),
    Docs::of("brpop")
        .history(&[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")])
        .arguments(&[key("key", 0).multiple(), double("timeout")]),
    Docs::of("blmpop").arguments(&[
        double("timeout"),
        integer("numkeys"),
        key("key", 0).multiple(),
        one_of("where", &[token("left", "LEFT"), token("right", "RIGHT")]),
        integer("count").after("COUNT").optional(),
    ]),
    Docs::of("lmove").arguments(&[
        key("source", 0),
        key("destination", 1),
        one_of("wherefrom", &[token("left", "LEFT"), token("right", "RIGHT")]),
        one_of("whereto", &[token("left", "LEFT"), token("right", "RIGHT")]),
    ]),
    Docs::of("lmovem").arguments(&[
        key("source", 0),
        key("destination", 1),
        one_of("wherefrom", &[token("left", "LEFT"), token("right", "RIGHT")]),
        one_of("whereto", &[token("left", "LEFT"), token("right", "RIGHT")]),
        block(
            "how-many",
            &[
                one_of("selector", &[integer("count").after("COUNT"), integer("exactly").after("EXACTLY")]),
                one_of("ordering", &[token("obo", "OBO"), token("bulk", "BULK")]),
            ],
        )
        .optional(),
    ]),
    Docs::of("rpoplpush")
        .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")
        .arguments(&[key("source", 0), key("destination", 1)]),
    Docs::of("blmove").arguments(&[
        key("source", 0),
        key("destination", 1),
        one_of("wherefrom", &[token("left", "LEFT"), token("right", "RIGHT")]),
        one_of("whereto", &[token("left", "LEFT"), token("right", "RIGHT")]),
        double("timeout"),
    ]),
    Docs::of("blmovem").arguments(&[
        key("source", 0),
        key("destination", 1),
        one_of("wherefrom", &[token("left", "LEFT"), token("right", "RIGHT")]),
        one_of("whereto", &[token("left", "LEFT"), token("right", "RIGHT")]),
        double("timeout"),
        block(
            "how-many",
            &[
                one_of("selector", &[integer("count").after("COUNT"), integer("exactly").after("EXACTLY")]),
                one_of("ordering", &[token("obo", "OBO"), token("bulk", "BULK")]),
            ],
        )
        .optional(),
    ]),
    Docs::of("brpoplpush")
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")
        .history(&[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")])
        .arguments(&[key("source", 0), key("destination", 1), double("timeout")]),
    Docs::of("llen").arguments(&[key("key", 0)]),
    Docs::of("lindex").arguments(&[key("key", 0), integer("index")]),
    Docs::of("lrange").arguments(&[key("key", 0), integer("start"), integer("stop")]),
    Docs::of("lpos").arguments(&[
        key("key", 0),
        string("element"),
        integer("rank").after("RANK").optional(),
        integer("num-matches").after("COUNT").optional(),
        integer("len").after("MAXLEN").optional(),
    ]),
    Docs::of("lset").arguments(&[key("key", 0), integer("index"), string("element")]),
    Docs::of("linsert").arguments(&[
        key("key", 0),
        one_of("where", &[token("before", "BEFORE"), token("after", "AFTER")]),
        string("pivot"),
        string("element"),
    ]),
    Docs::of("lrem").arguments(&[key("key", 0), integer("count"), string("element")]),
    Docs::of("ltrim").arguments(&[key("key", 0), integer("start"), integer("stop")]),
];
