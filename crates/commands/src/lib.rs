//! The command table and the commands that touch only data.
