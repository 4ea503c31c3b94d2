//! What the stories about whole servers share: processes, a client, random words, and pictures of data.
//!
//! Every server runs as its own process with its own directory and port, and ends with the value that started it. Nothing here
//! knows the server's code: it is seen as a client, a replica or a user sees it.

pub mod client;
pub mod clock_step;
pub mod data;
pub mod fake_master;
pub mod family;
mod grammar;
pub mod http;
pub mod lua;
pub mod process;
pub mod python;
pub mod random;
pub mod tls;
pub mod wait;
pub mod words;

pub use client::{Client, Reply};
pub use process::{Kind, Server};
pub use words::Words;
