//! Streams in a file: entries in listpacks, each with the id that its entries' ids are told from, then what the stream and its groups know.
//!
//! ```text
//! stream:    count | id: string of 16 bytes, listpack: string ...
//!            | length | last id | first id | greatest deleted id | entries ever added     (three of them from type 19 on)
//!            | count | group ...
//! group:     name | last id | entries read (from type 19 on)
//!            | count | id: 16 bytes, time: 8 bytes, deliveries ...     | count | consumer ...
//! consumer:  name | seen: 8 bytes | active: 8 bytes (from type 21 on)  | count | id: 16 bytes ...
//!
//! listpack:  entries | deleted ones | names | name ... | 0 | entry ...
//! entry:     flags | ms | seq | value ... | number of these elements, or
//!            flags | ms | seq | fields | name value ... | number of these elements
//! ```

mod node;
mod read;
mod write;

pub use read::load;
pub use write::{stream as write, value_type};
