//! Arguments of the commands on HyperLogLogs.

use super::{Docs, key, string};

pub static DOCS: &[Docs] = &[
    Docs::of("pfadd").arguments(&[key("key", 0), string("element").optional().multiple()]),
    Docs::of("pfcount").arguments(&[key("key", 0).multiple()]),
    Docs::of("pfdebug").system().arguments(&[string("subcommand"), key("key", 0)]),
    Docs::of("pfmerge").arguments(&[key("destkey", 0), key("sourcekey", 1).multiple()]),
    Docs::of("pfselftest").system(),
];
