//! Arguments and history of the commands on places.

use super::{Argument, Docs, block, double, integer, key, one_of, string, token};

const UNIT: Argument = one_of("unit", &[token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI")]);
const ORDER: Argument = one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional();
const COUNT: Argument = block("count", &[integer("count").after("COUNT"), token("any", "ANY").optional()]).optional();
/// The same where the history of the word is told.
const COUNT_SINCE: Argument =
    block("count", &[integer("count").after("COUNT"), token("any", "ANY").since("6.2.0").optional()]).optional();
const WITH_COORD: Argument = token("withcoord", "WITHCOORD").optional();
const WITH_DIST: Argument = token("withdist", "WITHDIST").optional();
const WITH_HASH: Argument = token("withhash", "WITHHASH").optional();
const STORE: Argument = key("key", 1).after("STORE").optional();
const STORE_DIST: Argument = key("key", 2).after("STOREDIST").optional();
const FROM: Argument = one_of(
    "from",
    &[
        string("member").after("FROMMEMBER"),
        block("longitude_latitude", &[double("longitude"), double("latitude")]).after("FROMLONLAT"),
    ],
);
const BY: Argument = one_of(
    "by",
    &[
        block("circle", &[double("radius").after("BYRADIUS"), UNIT]),
        block("box", &[double("width").after("BYBOX"), double("height"), UNIT]),
    ],
);

const ANY_CAME: (&str, &str) = ("6.2.0", "Added the `ANY` option for `COUNT`.");
const UPPERCASE_CAME: (&str, &str) = ("7.0.0", "Added support for uppercase unit names.");

pub static DOCS: &[Docs] = &[
    Docs::of("geoadd").history(&[("6.2.0", "Added the `CH`, `NX` and `XX` options.")]).arguments(&[
        key("key", 0),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).since("6.2.0").optional(),
        token("change", "CH").since("6.2.0").optional(),
        block("longitude_latitude_member", &[double("longitude"), double("latitude"), string("member")]).multiple(),
    ]),
    Docs::of("geodist").arguments(&[key("key", 0), string("member1"), string("member2"), UNIT.optional()]),
    Docs::of("geohash").arguments(&[key("key", 0), string("member").multiple()]),
    Docs::of("geopos").arguments(&[key("key", 0), string("member").multiple()]),
    Docs::of("georadius")
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")
        .history(&[ANY_CAME, UPPERCASE_CAME])
        .arguments(&[
            key("key", 0),
            double("longitude"),
            double("latitude"),
            double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT_SINCE,
            ORDER,
            STORE,
            STORE_DIST,
        ]),
    Docs::of("georadius_ro")
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")
        .history(&[ANY_CAME])
        .arguments(&[
            key("key", 0),
            double("longitude"),
            double("latitude"),
            double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT_SINCE,
            ORDER,
        ]),
    Docs::of("georadiusbymember")
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments")
        .history(&[UPPERCASE_CAME])
        .arguments(&[
            key("key", 0),
            string("member"),
            double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT,
            ORDER,
            STORE,
            STORE_DIST,
        ]),
    Docs::of("georadiusbymember_ro")
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")
        .arguments(&[
            key("key", 0),
            string("member"),
            double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT,
            ORDER,
        ]),
    Docs::of("geosearch").history(&[UPPERCASE_CAME]).arguments(&[
        key("key", 0),
        FROM,
        BY,
        ORDER,
        COUNT,
        WITH_COORD,
        WITH_DIST,
        WITH_HASH,
    ]),
    Docs::of("geosearchstore").history(&[UPPERCASE_CAME]).arguments(&[
        key("destination", 0),
        key("source", 1),
        FROM,
        BY,
        ORDER,
        COUNT,
        token("storedist", "STOREDIST").optional(),
    ]),
];
