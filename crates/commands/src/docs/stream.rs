//! Arguments and history of the commands on streams.

use super::{Argument, Docs, block, integer, key, one_of, string, token, unix_time};

/// What becomes of the references of groups to an entry.
const REFERENCES: &[Argument] = &[token("keepref", "KEEPREF"), token("delref", "DELREF"), token("acked", "ACKED")];

const TRIM: &[Argument] = &[
    one_of("strategy", &[token("maxlen", "MAXLEN"), token("minid", "MINID").since("6.2.0")]),
    one_of("operator", &[token("equal", "="), token("approximately", "~")]).optional(),
    string("threshold"),
    integer("count").after("LIMIT").since("6.2.0").optional(),
];

const IDS: &[Argument] = &[integer("numids"), string("id").multiple()];

const GROUP_ID: &[Argument] = &[string("id"), token("new_id", "$")];

pub static DOCS: &[Docs] = &[
    Docs::of("xadd")
        .history(&[
            ("6.2.0", "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option."),
            ("7.0.0", "Added support for the `<ms>-*` explicit ID form."),
        ])
        .arguments(&[
            key("key", 0),
            token("nomkstream", "NOMKSTREAM").since("6.2.0").optional(),
            block("trim", TRIM).optional(),
            one_of("id_or_auto", &[token("auto_id", "*"), string("id")]),
            block("field_value", &[string("field"), string("value")]).multiple(),
        ]),
    Docs::of("xrange").history(&[("6.2.0", "Added exclusive ranges.")]).arguments(&[
        key("key", 0),
        string("start"),
        string("end"),
        integer("count").after("COUNT").optional(),
    ]),
    Docs::of("xrevrange").history(&[("6.2.0", "Added exclusive ranges.")]).arguments(&[
        key("key", 0),
        string("end"),
        string("start"),
        integer("count").after("COUNT").optional(),
    ]),
    Docs::of("xlen").arguments(&[key("key", 0)]),
    Docs::of("xread").arguments(&[
        integer("count").after("COUNT").optional(),
        integer("milliseconds").after("BLOCK").optional(),
        block("streams", &[key("key", 0).multiple(), string("id").multiple()]).after("STREAMS"),
    ]),
    Docs::of("xreadgroup").arguments(&[
        block("group_consumer", &[string("group"), string("consumer")]).after("GROUP"),
        integer("count").after("COUNT").optional(),
        integer("milliseconds").after("BLOCK").optional(),
        token("noack", "NOACK").optional(),
        block("streams", &[key("key", 0).multiple(), string("id").multiple()]).after("STREAMS"),
    ]),
    Docs::of("xack").arguments(&[key("key", 0), string("group"), string("id").multiple()]),
    Docs::of("xackdel").arguments(&[
        key("key", 0),
        string("group"),
        one_of("condition", REFERENCES).optional(),
        block("ids", IDS).after("IDS"),
    ]),
    Docs::of("xclaim").arguments(&[
        key("key", 0),
        string("group"),
        string("consumer"),
        string("min-idle-time"),
        string("id").multiple(),
        integer("ms").after("IDLE").optional(),
        unix_time("unix-time-milliseconds").after("TIME").optional(),
        integer("count").after("RETRYCOUNT").optional(),
        token("force", "FORCE").optional(),
        token("justid", "JUSTID").optional(),
        string("id").after("LASTID").optional(),
    ]),
    Docs::of("xautoclaim")
        .history(&[(
            "7.0.0",
            "Added an element to the reply array, containing deleted entries the command cleared from the PEL",
        )])
        .arguments(&[
            key("key", 0),
            string("group"),
            string("consumer"),
            string("min-idle-time"),
            string("start"),
            integer("count").after("COUNT").optional(),
            token("justid", "JUSTID").optional(),
        ]),
    Docs::of("xpending")
        .history(&[("6.2.0", "Added the `IDLE` option and exclusive range intervals.")])
        .arguments(&[
            key("key", 0),
            string("group"),
            block(
                "filters",
                &[
                    integer("min-idle-time").after("IDLE").since("6.2.0").optional(),
                    string("start"),
                    string("end"),
                    integer("count"),
                    string("consumer").optional(),
                ],
            )
            .optional(),
        ]),
    Docs::of("xdel").arguments(&[key("key", 0), string("id").multiple()]),
    Docs::of("xdelex").arguments(&[
        key("key", 0),
        one_of("condition", REFERENCES).optional(),
        block("ids", IDS).after("IDS"),
    ]),
    Docs::of("xtrim")
        .history(&[("6.2.0", "Added the `MINID` trimming strategy and the `LIMIT` option.")])
        .arguments(&[key("key", 0), block("trim", TRIM)]),
    Docs::of("xsetid")
        .history(&[("7.0.0", "Added the `entries_added` and `max_deleted_entry_id` arguments.")])
        .arguments(&[
            key("key", 0),
            string("last-id"),
            integer("entries_added").after("ENTRIESADDED").since("7.0.0").optional(),
            string("max_deleted_entry_id").after("MAXDELETEDID").since("7.0.0").optional(),
        ]),
    Docs::of("xgroup|create").history(&[("7.0.0", "Added the `entries_read` named argument.")]).arguments(&[
        key("key", 0),
        string("groupname"),
        one_of("id", GROUP_ID),
        token("mkstream", "MKSTREAM").optional(),
        integer("entries_read").after("ENTRIESREAD").optional(),
    ]),
    Docs::of("xgroup|createconsumer").arguments(&[key("key", 0), string("groupname"), string("consumername")]),
    Docs::of("xgroup|delconsumer").arguments(&[key("key", 0), string("groupname"), string("consumername")]),
    Docs::of("xgroup|destroy").arguments(&[key("key", 0), string("groupname")]),
    Docs::of("xgroup|setid").history(&[("7.0.0", "Added the optional `entries_read` argument.")]).arguments(&[
        key("key", 0),
        string("groupname"),
        one_of("id", GROUP_ID),
        integer("entries_read").after("ENTRIESREAD").optional(),
    ]),
    Docs::of("xinfo|consumers").arguments(&[key("key", 0), string("groupname")]),
    Docs::of("xinfo|groups").history(&[("7.0.0", "Added the `entries-read` and `lag` fields")]).arguments(&[
        key("key", 0),
    ]),
    Docs::of("xinfo|stream")
        .history(&[
            ("6.0.0", "Added the `FULL` modifier."),
            ("7.0.0", "Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag` fields"),
        ])
        .arguments(&[
            key("key", 0),
            block("full", &[integer("count").after("COUNT").optional()]).after("FULL").optional(),
        ]),
];
