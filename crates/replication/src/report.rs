//! One line for the server's log, as data.
//!
//! The words follow Redis where its tests and the tools of its users look for them. Writing the line is the
//! driver's job.

use std::fmt;

/// A line and how loud it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub level: Level,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Notice,
    Warning,
}

impl Report {
    pub fn notice(text: impl Into<String>) -> Report {
        Report { level: Level::Notice, text: text.into() }
    }

    pub fn warning(text: impl Into<String>) -> Report {
        Report { level: Level::Warning, text: text.into() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
