//! What must hold, whatever happens. Each has a file.

pub mod answers;
pub mod durable;
pub mod offered;
pub mod position;
pub mod still;

/// What was broken, in words.
pub type Broken = String;
