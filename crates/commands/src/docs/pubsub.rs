//! Arguments and history of the commands on messages.

use super::{Docs, block, pattern, string};

pub static DOCS: &[Docs] = &[
    Docs::of("psubscribe").arguments(&[block("pattern", &[pattern("pattern")]).multiple()]),
    Docs::of("publish").arguments(&[string("channel"), string("message")]),
    Docs::of("pubsub|channels").arguments(&[pattern("pattern").optional()]),
    Docs::of("pubsub|numsub").arguments(&[string("channel").optional().multiple()]),
    Docs::of("pubsub|shardchannels").arguments(&[pattern("pattern").optional()]),
    Docs::of("pubsub|shardnumsub").arguments(&[string("shardchannel").optional().multiple()]),
    Docs::of("punsubscribe").arguments(&[pattern("pattern").optional().multiple()]),
    Docs::of("spublish").arguments(&[string("shardchannel"), string("message")]),
    Docs::of("ssubscribe").arguments(&[string("shardchannel").multiple()]),
    Docs::of("subscribe").arguments(&[string("channel").multiple()]),
    Docs::of("sunsubscribe").arguments(&[string("shardchannel").optional().multiple()]),
    Docs::of("unsubscribe").arguments(&[string("channel").optional().multiple()]),
];
