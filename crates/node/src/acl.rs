//! Users: who a client is, what it may do, and what becomes of it when its user changes. Rules and checks are in the crate `rivulet_acl`.
//!
//! A session has its user (`Login`) as long as nobody changes that one; who changes users calls `Node::renew_logins`. A session whose user may do all
//! is free: its commands are not looked at. All others go by [`admit`](rivulet_engine::admit), and a second time where they run later than they were
//! sent: in EXEC, after a wait, and when a script calls them.

mod command;
mod driver;
mod failures;
mod file;
mod login;
pub mod start;

use rivulet_acl::{Log, Users};
use rivulet_config::Config;

use crate::acl::failures::Failures;

/// The users, and what was denied to them.
pub struct Acl {
    pub users: Users,
    pub log: Log,
    failures: Failures,
}

impl Acl {
    /// The default user, with the password that the configuration gives it.
    pub fn new(config: &Config) -> Acl {
        let mut users = Users::new(all_channels(config));
        users.set_default_password(&config.requirepass);
        Acl { users, log: Log::default(), failures: Failures::default() }
    }
}

/// What new users may do with channels.
fn all_channels(config: &Config) -> bool {
    config.acl_pubsub_default == "allchannels"
}
