//! The types that keys have for those who use them.

use rivulet_rdb::format::types;

/// In the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    String,
    List,
    Set,
    ZSet,
    Hash,
    Stream,
    /// Modules' values.
    Other,
}

impl Kind {
    pub const ALL: [Kind; 7] = [Kind::String, Kind::List, Kind::Set, Kind::ZSet, Kind::Hash, Kind::Stream, Kind::Other];

    /// Of the byte that stands before a value in a file.
    pub fn of(value_type: u8) -> Kind {
        match value_type {
            types::STRING => Kind::String,
            types::LIST | types::LIST_ZIPLIST | types::LIST_QUICKLIST | types::LIST_QUICKLIST_2 => Kind::List,
            types::SET | types::SET_INTSET | types::SET_LISTPACK => Kind::Set,
            types::ZSET | types::ZSET_2 | types::ZSET_ZIPLIST | types::ZSET_LISTPACK => Kind::ZSet,
            types::STREAM_LISTPACKS | types::STREAM_LISTPACKS_2 | types::STREAM_LISTPACKS_3 => Kind::Stream,
            types::MODULE | types::MODULE_2 => Kind::Other,
            _ => Kind::Hash,
        }
    }

    /// As TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::ZSet => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
            Kind::Other => "module",
        }
    }

    /// What its elements are called.
    pub fn unit(self) -> &'static str {
        match self {
            Kind::String | Kind::Other => "values",
            Kind::List => "items",
            Kind::Set | Kind::ZSet => "members",
            Kind::Hash => "fields",
            Kind::Stream => "entries",
        }
    }
}
