//! Arguments and history of the commands on bitmaps.

use super::{Docs, block, integer, key, one_of, string, token};

pub static DOCS: &[Docs] = &[
    Docs::of("bitcount").history(&[("7.0.0", "Added the `BYTE|BIT` option.")]).arguments(&[
        key("key", 0),
        block(
            "index",
            &[
                integer("start"),
                integer("end"),
                one_of("index_unit", &[token("byte", "BYTE"), token("bit", "BIT")]).since("7.0.0").optional(),
            ],
        )
        .optional(),
    ]),
    Docs::of("bitfield").arguments(&[
        key("key", 0),
        one_of(
            "operation",
            &[
                block("encoding_offset", &[string("encoding"), integer("offset")]).after("GET"),
                block(
                    "write",
                    &[
                        one_of("wrap_sat_fail", &[token("wrap", "WRAP"), token("sat", "SAT"), token("fail", "FAIL")])
                            .after("OVERFLOW")
                            .optional(),
                        one_of(
                            "write_operation",
                            &[
                                block(
                                    "encoding_offset_value",
                                    &[string("encoding"), integer("offset"), integer("value")],
                                )
                                .after("SET"),
                                block(
                                    "encoding_offset_increment",
                                    &[string("encoding"), integer("offset"), integer("increment")],
                                )
                                .after("INCRBY"),
                            ],
                        ),
                    ],
                ),
            ],
        )
        .optional()
        .multiple(),
    ]),
    Docs::of("bitfield_ro").arguments(&[
        key("key", 0),
        block("encoding_offset", &[string("encoding"), integer("offset")])
            .after("GET")
            .optional()
            .multiple()
            .multiple_token(),
    ]),
    Docs::of("bitop").arguments(&[string("operation"), key("destkey", 0), key("key", 1).multiple()]),
    Docs::of("bitpos").history(&[("7.0.0", "Added the `BYTE|BIT` option.")]).arguments(&[
        key("key", 0),
        integer("bit"),
        block(
            "index",
            &[
                integer("start"),
                block(
                    "end_index",
                    &[
                        integer("end"),
                        one_of("index_unit", &[token("byte", "BYTE"), token("bit", "BIT")]).since("7.0.0").optional(),
                    ],
                )
                .optional(),
            ],
        )
        .optional(),
    ]),
    Docs::of("getbit").arguments(&[key("key", 0), integer("offset")]),
    Docs::of("setbit").arguments(&[key("key", 0), integer("offset"), integer("value")]),
];
