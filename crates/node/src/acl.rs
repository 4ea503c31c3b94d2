//! Users: who a client is, what it may do, and what becomes of it when its user changes. Rules and checks are in the crate `rivulet_acl`.
//!
//! A session has its user (`Login`) as long as nobody changes that one; who changes users calls [`Node::renew_logins`]. A session whose user may do all
//! is free: its commands are not looked at. All others go by [`admit`](crate::engine::admit), and a second time where they run later than they were
//! sent: in EXEC, after a wait, and when a script calls them.

mod command;
mod failures;
mod file;
mod login;
pub mod start;

use std::sync::Arc;

use rivulet_acl::{Context, Denied, Event, Log, Reason, User, Users, reads_unnamed_keys};
use rivulet_commands::Command;
use rivulet_config::Config;
use rivulet_resp::Args;

use crate::acl::failures::Failures;
use crate::engine::session::Login;
use crate::front::client_id::ClientId;
use crate::front::clients::Client;
use crate::node::Node;

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

impl Node {
    /// Who a new connection is.
    pub fn login_of_newcomers(&self) -> Login {
        let user = self.acl.users.default_user();
        Login::of(user.clone(), user.is_open(), user.is_open())
    }

    /// Whether a client's user may do this. Who is free may, and the master is.
    ///
    /// # Errors
    /// Why it may not.
    #[inline]
    pub fn check_user(&mut self, id: ClientId, command: &'static Command, args: Args<'_>) -> Result<(), Denied> {
        match self.clients.get(id) {
            Some(client) if !client.session.login.is_free => {
                client.session.login.user.check(command, args)?;
                self.find_reach(id, command, args);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Finds out whether a command that was let through may read keys that it does not name.
    pub fn find_reach(&mut self, id: ClientId, command: &'static Command, args: Args<'_>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let login = &mut client.session.login;
        if !login.is_free && reads_unnamed_keys(command) {
            login.reads_any_key = login.user.check_reads_any_key(command, args);
        }
    }

    /// Counts and logs what was denied to a client. Within a transaction it is said so, wherever it comes from.
    #[cold]
    pub fn note_denied(&mut self, id: ClientId, denied: Denied, command: &Command, args: Args<'_>, context: Context) {
        let counts = &mut self.ops.stats.denied;
        let (reason, count) = match denied {
            Denied::Command => (Reason::Command, &mut counts.commands),
            Denied::Key(_) => (Reason::Key, &mut counts.keys),
            Denied::Channel(_) => (Reason::Channel, &mut counts.channels),
        };
        *count += 1;
        let Some(client) = self.clients.get(id) else { return };
        let user = client.session.login.user.name.to_vec();
        let context = match context {
            Context::TopLevel if client.session.multi.is_some() => Context::Multi,
            context => context,
        };
        let object = denied.object(command, args).to_vec();
        self.log_denied(id, Event { reason, context, object, user, client: String::new() });
    }

    fn log_denied(&mut self, id: ClientId, event: Event) {
        let client = self.client_line(id);
        let len_max = usize::try_from(self.config.acllog_max_len).unwrap_or(usize::MAX);
        self.acl.log.add(Event { client, ..event }, self.unix_ms(), len_max);
    }

    /// Users have changed: each session gets its user as it is now. A client whose user is gone is closed, and so is one that listens to what it
    /// may not any more. `by` is the client that caused it, which is closed after its reply.
    pub fn renew_logins(&mut self, by: ClientId) {
        let is_open = self.acl.users.default_user().is_open();
        let mut gone = Vec::new();
        let mut listening = Vec::new();
        let users = &self.acl.users;
        for client in self.clients.iter_mut().filter(|client| !client.is_master()) {
            let login = &client.session.login;
            match users.get(&login.user.name) {
                None => gone.push(client.id),
                Some(now) if Arc::ptr_eq(now, &login.user) && login.authenticated == (login.proven || is_open) => {}
                Some(now) => {
                    if listens_too_far(client, now) {
                        listening.push(client.id);
                    }
                    client.session.log_in(Login::of(now.clone(), client.session.login.proven, is_open));
                }
            }
        }
        for id in gone {
            // Until it is closed it may do what anybody may.
            let login = Login::of(self.acl.users.default_user().clone(), false, is_open);
            self.clients.set_login(id, login);
            if id == by {
                self.clients.at(id).connection.close_after_reply = true;
            } else {
                self.clients.close_soon(id);
            }
        }
        for id in listening {
            if id == by {
                self.clients.at(id).connection.close_after_reply = true;
            } else {
                self.free_client(id);
            }
        }
    }
}

/// Whether a client listens to something that its user, as it is now, may not listen to.
fn listens_too_far(client: &Client, now: &User) -> bool {
    let listens = &client.session.subscriptions;
    if listens.len() == 0 || now.keeps_channels_of(&client.session.login.user) {
        return false;
    }
    let channels = listens.channels.iter().chain(&listens.shard_channels).map(|name| (name, false));
    let patterns = listens.patterns.iter().map(|name| (name, true));
    channels.chain(patterns).any(|(name, is_pattern)| !now.lets_listen(name, is_pattern))
}
