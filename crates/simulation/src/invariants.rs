//! What must hold, whatever happens. Each has a file.

pub mod ahead;
pub mod answers;
pub mod disk;
pub mod durable;
pub mod garbled;
pub mod histories;
pub mod limits;
pub mod memory;
pub mod offered;
pub mod position;
pub mod resumes;
pub mod still;
pub mod told;

/// What was broken, in words.
pub type Broken = String;
