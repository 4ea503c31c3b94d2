//! Arguments and history of the commands on a cluster.

use super::{Docs, block, integer, one_of, string, token};

pub static DOCS: &[Docs] = &[
    Docs::of("cluster|addslots").arguments(&[integer("slot").multiple()]),
    Docs::of("cluster|addslotsrange").arguments(&[block(
        "start-slot_end-slot",
        &[integer("start-slot"), integer("end-slot")],
    )
    .multiple()]),
    Docs::of("cluster|count-failure-reports").arguments(&[string("node-id")]),
    Docs::of("cluster|countkeysinslot").arguments(&[integer("slot")]),
    Docs::of("cluster|delslots").arguments(&[integer("slot").multiple()]),
    Docs::of("cluster|delslotsrange").arguments(&[block(
        "start-slot_end-slot",
        &[integer("start-slot"), integer("end-slot")],
    )
    .multiple()]),
    Docs::of("cluster|failover").arguments(&[one_of(
        "options",
        &[token("force", "FORCE"), token("takeover", "TAKEOVER")],
    )
    .optional()]),
    Docs::of("cluster|forget").arguments(&[string("node-id")]),
    Docs::of("cluster|getkeysinslot").arguments(&[integer("slot"), integer("count")]),
    Docs::of("cluster|keyslot").arguments(&[string("key")]),
    Docs::of("cluster|meet").history(&[("4.0.0", "Added the optional `cluster_bus_port` argument.")]).arguments(&[
        string("ip"),
        integer("port"),
        integer("cluster_bus_port").since("4.0.0").optional(),
    ]),
    Docs::of("cluster|replicas").arguments(&[string("node-id")]),
    Docs::of("cluster|replicate").arguments(&[string("node-id")]),
    Docs::of("cluster|reset")
        .arguments(&[one_of("hard_soft", &[token("hard", "HARD"), token("soft", "SOFT")]).optional()]),
    Docs::of("cluster|set-config-epoch").arguments(&[integer("config-epoch")]),
    Docs::of("cluster|setslot").arguments(&[
        integer("slot"),
        one_of(
            "subcommand",
            &[
                string("node-id").after("IMPORTING"),
                string("node-id").after("MIGRATING"),
                string("node-id").after("NODE"),
                token("stable", "STABLE"),
            ],
        ),
    ]),
    Docs::of("cluster|slaves").deprecated("5.0.0", "`CLUSTER REPLICAS`").arguments(&[string("node-id")]),
    Docs::of("cluster|slots")
        .deprecated("7.0.0", "`CLUSTER SHARDS`")
        .history(&[("4.0.0", "Added node IDs."), ("7.0.0", "Added additional networking metadata field.")]),
];
