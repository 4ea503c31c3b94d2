//! Arguments and history of the commands on the server itself.

use super::{Argument, Docs, block, integer, key, one_of, pattern, string, token};

/// Which log COMMANDLOG looks at.
const COMMANDLOG_TYPE: Argument = one_of(
    "type",
    &[token("slow", "SLOW"), token("large-request", "LARGE-REQUEST"), token("large-reply", "LARGE-REPLY")],
);

pub static DOCS: &[Docs] = &[
    Docs::of("acl|cat").arguments(&[string("categoryname").optional()]),
    Docs::of("acl|deluser").arguments(&[string("username").multiple()]),
    Docs::of("acl|dryrun").arguments(&[string("username"), string("command"), string("arg").optional().multiple()]),
    Docs::of("acl|genpass").arguments(&[integer("bits").optional()]),
    Docs::of("acl|getuser")
        .history(&[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            ("7.0.0", "Added selectors and changed the format of key and channel patterns from a list to their rule representation."),
        ])
        .arguments(&[string("username")]),
    Docs::of("acl|log").arguments(&[one_of("operation", &[integer("count"), token("reset", "RESET")]).optional()]),
    Docs::of("acl|setuser")
        .history(&[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            ("7.0.0", "Added selectors and key based permissions."),
        ])
        .arguments(&[string("username"), string("rule").optional().multiple()]),
    Docs::of("restore-asking")
        .system()
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
    Docs::of("bgsave").history(&[("3.2.2", "Added the `SCHEDULE` option.")]).arguments(&[token(
        "schedule", "SCHEDULE",
    )
    .since("3.2.2")
    .optional()]),
    Docs::of("command|docs").arguments(&[string("command-name").optional().multiple()]),
    Docs::of("command|info")
        .history(&[("7.0.0", "Allowed to be called with no argument to get info on all commands.")])
        .arguments(&[string("command-name").optional().multiple()]),
    Docs::of("command|list").arguments(&[one_of(
        "filterby",
        &[
            string("module-name").after("MODULE"),
            string("category").after("ACLCAT"),
            pattern("pattern").after("PATTERN"),
        ],
    )
    .after("FILTERBY")
    .optional()]),
    Docs::of("commandlog|get").arguments(&[integer("count"), COMMANDLOG_TYPE]),
    Docs::of("commandlog|len").arguments(&[COMMANDLOG_TYPE]),
    Docs::of("commandlog|reset").arguments(&[COMMANDLOG_TYPE]),
    Docs::of("config|get")
        .history(&[("7.0.0", "Added the ability to pass multiple pattern parameters in one call")])
        .arguments(&[block("parameter", &[string("parameter")]).multiple()]),
    Docs::of("config|set")
        .history(&[("7.0.0", "Added the ability to set multiple parameters in one call.")])
        .arguments(&[block("parameter_value", &[string("parameter"), string("value")]).multiple()]),
    Docs::of("debug").system(),
    Docs::of("failover").arguments(&[
        block("target", &[string("host"), integer("port"), token("force", "FORCE").optional()]).after("TO").optional(),
        token("abort", "ABORT").optional(),
        integer("milliseconds").after("TIMEOUT").optional(),
    ]),
    Docs::of("flushall")
        .history(&[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ])
        .arguments(&[
            one_of("async", &[token("async", "ASYNC").since("4.0.0"), token("sync", "SYNC").since("6.2.0")]).optional()
        ]),
    Docs::of("flushdb")
        .history(&[
            ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
            ("6.2.0", "Added the `SYNC` flushing mode modifier."),
        ])
        .arguments(&[
            one_of("async", &[token("async", "ASYNC").since("4.0.0"), token("sync", "SYNC").since("6.2.0")]).optional()
        ]),
    Docs::of("info")
        .history(&[("7.0.0", "Added support for taking multiple section arguments.")])
        .arguments(&[string("section").optional().multiple()]),
    Docs::of("latency|graph").arguments(&[string("event")]),
    Docs::of("latency|histogram").arguments(&[string("command").optional().multiple()]),
    Docs::of("latency|history").arguments(&[string("event")]),
    Docs::of("latency|reset").arguments(&[string("event").optional().multiple()]),
    Docs::of("lolwut").arguments(&[integer("version").after("VERSION").optional()]),
    Docs::of("memory|usage").arguments(&[key("key", 0), integer("count").after("SAMPLES").optional()]),
    Docs::of("psync").arguments(&[string("replicationid"), integer("offset")]),
    Docs::of("replconf").system(),
    Docs::of("replicaof").arguments(&[one_of(
        "args",
        &[
            block("host-port", &[string("host"), integer("port")]),
            block("no-one", &[token("no", "NO"), token("one", "ONE")]),
        ],
    )]),
    Docs::of("shutdown").history(&[("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers.")]).arguments(&[
        one_of("nosave_save", &[token("nosave", "NOSAVE"), token("save", "SAVE")]).optional(),
        token("now", "NOW").since("7.0.0").optional(),
        token("force", "FORCE").since("7.0.0").optional(),
        token("abort", "ABORT").since("7.0.0").optional(),
    ]),
    Docs::of("slaveof").deprecated("5.0.0", "`REPLICAOF`").arguments(&[one_of(
        "args",
        &[
            block("host-port", &[string("host"), integer("port")]),
            block("no-one", &[token("no", "NO"), token("one", "ONE")]),
        ],
    )]),
    Docs::of("slowlog|get")
        .history(&[("4.0.0", "Added client IP address, port and name to the reply.")])
        .arguments(&[integer("count").optional()]),
    Docs::of("swapdb").arguments(&[integer("index1"), integer("index2")]),
];
