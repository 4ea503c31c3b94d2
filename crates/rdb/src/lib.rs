//! The RDB file format: reading every version, writing the one that every peer loads.
//!
//! The formats are drawn in `docs/rdb.md`. The tour, in reading order: [`mod@format`] has the bytes' names and the codes of lengths and numbers,
//! [`mod@write`] encodes entries into a buffer, [`save`] makes a whole file of them, [`read`] pulls events out of one, [`mod@dump`] is the payload of
//! DUMP and RESTORE, [`check`] is what `rivulet-check-rdb` prints, and
//! [`Reader::next_measured`] pulls sizes instead of values. This crate opens no file, reads no clock and decides nothing about expiry.

pub mod check;
pub mod crc64;
pub mod dump;
mod error;
pub mod format;
mod frame;
mod input;
pub mod lzf;
mod measure;
pub mod read;
pub mod save;
mod skip;
mod stream;
mod value;
pub mod write;
mod ziplist;
mod zipmap;

pub use dump::{DumpError, dump, restore, restore_unsummed};
pub use error::{Doing, Error, Problem};
pub use frame::ShortString;
pub use measure::{Measure, MeasuredEntry};
pub use read::{Block, Event, Measured, Options, Reader, Unsupported};
pub use save::Saver;
pub use write::{Aux, Meta, Replication, Version, Writer};
