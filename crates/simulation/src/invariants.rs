//! What must hold, whatever happens. Each has a file.

pub mod answers;
pub mod durable;
pub mod position;

/// What was broken, in words.
pub type Broken = String;
