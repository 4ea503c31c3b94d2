//! Executes the stream of the master, and passes it on to the own log exactly as it came.
//!
//! A command of the stream was done by the master. What can't be done here, because nobody here knows the command or because it fails, makes the data
//! others than the position says. That is never silent: the log, INFO and the doctor say so, and `propagation-error-behavior` decides what follows.

mod driver;

/// Data that are not what their position says.
#[derive(Clone, Debug)]
pub struct Diverged {
    /// Where in the stream it began.
    pub offset: u64,
    /// What happened first.
    pub why: String,
    /// How often something happened since.
    pub times: u64,
}

/// A command of the master that failed here.
#[derive(Debug)]
pub struct ApplyError {
    command: String,
    text: String,
    /// Nobody here knows the command, so a snapshot of what it made would not be understood either.
    unknown: bool,
}
