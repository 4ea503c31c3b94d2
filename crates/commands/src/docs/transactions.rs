//! Arguments and history of the commands on transactions.

use super::{Docs, key};

pub static DOCS: &[Docs] = &[Docs::of("watch").arguments(&[key("key", 0).multiple()])];
