//! A Sentinel, without IO: it watches masters, agrees with others on what is down, elects who acts, and replaces what has failed.
//!
//! A [`Sentinel`] is told the time, what its connections bring, and what its clients want; it hands out [`Action`]s. It opens no socket and no file,
//! and reads no clock. In reading order: [`sentinel`] (the whole), [`master`], [`replica`], [`peer`], [`link`]; [`down`], [`votes`], [`election`],
//! [`choice`], [`failover`], `fencing`, [`reappointment`], [`forgotten`]; [`hello`], [`info`]; [`configuration`], [`commands`],
//! [`reached`].

pub mod address;
pub mod answer;
pub mod choice;
pub mod commands;
pub mod configuration;
mod doctor;
pub mod down;
pub mod election;
pub mod events;
pub mod failover;
mod fencing;
pub mod forgotten;
pub mod hello;
pub mod info;
mod info_reply;
pub mod link;
pub mod master;
pub mod names;
pub mod peer;
pub mod periods;
pub mod reached;
pub mod reappointment;
pub mod replica;
mod replies;
pub mod scripts;
pub mod sentinel;
pub mod strangers;
pub mod tilt;
pub mod votes;

pub use commands::{Done, NOT_SAVED, Outcome};
pub use events::Level;
pub use link::ConnId;
pub use reached::Reached;
pub use sentinel::{Action, Sentinel};
