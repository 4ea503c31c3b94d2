//! Users on this node: who a client is, what it may do, and what becomes of it when its user changes.

use std::sync::Arc;

use rivulet_acl::{Context, Denied, Event, OBJECT_LEN_MAX, Reason, User, Users, reads_unnamed_keys};
use rivulet_commands::Command;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::Login;
use rivulet_resp::Args;

use crate::front::clients::Client;
use crate::node::Node;

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
        let object = denied.object(command, args);
        let object = object[..object.len().min(OBJECT_LEN_MAX)].to_vec();
        self.log_denied(id, Event { reason, context, object, user, client: String::new() });
    }

    pub(super) fn log_denied(&mut self, id: ClientId, event: Event) {
        let client = self.client_line(id);
        let len_max = usize::try_from(self.config.acllog_max_len).unwrap_or(usize::MAX);
        self.acl.log.add(Event { client, ..event }, self.unix_ms(), len_max);
    }

    /// Users have changed: each session gets its user as it is now. A client whose user is gone is closed, and so is one that listens to what it
    /// may not any more. `by` is the client that caused it, which is closed after its reply.
    pub fn renew_logins(&mut self, by: ClientId) {
        let default = self.acl.users.default_user().clone();
        let is_open = default.is_open();
        let changes = self.clients.iter().filter(|client| !client.is_master());
        let changes: Vec<(ClientId, Change)> =
            changes.filter_map(|client| Some((client.id, change_of(&self.acl.users, client, is_open)?))).collect();
        for (id, change) in changes {
            match change {
                Change::Renewed(login) => self.clients.set_login(id, login),
                Change::ListensTooFar(login) => {
                    self.clients.set_login(id, login);
                    self.cut(id, by);
                }
                // Until it is closed it may do what anybody may.
                Change::Gone => {
                    self.clients.set_login(id, Login::of(default.clone(), false, is_open));
                    self.cut(id, by);
                }
            }
        }
    }

    fn cut(&mut self, id: ClientId, by: ClientId) {
        if id == by {
            self.clients.at(id).connection.close_after_reply = true;
        } else {
            self.free_client(id);
        }
    }
}

/// What becomes of a client whose user has changed.
enum Change {
    Renewed(Login),
    ListensTooFar(Login),
    /// There is no such user any more.
    Gone,
}

/// What has changed for a client, if anything has; `is_open` says that the default user needs no password now.
fn change_of(users: &Users, client: &Client, is_open: bool) -> Option<Change> {
    let login = &client.session.login;
    let Some(now) = users.get(&login.user.name) else { return Some(Change::Gone) };
    if Arc::ptr_eq(now, &login.user) && login.authenticated == (login.proven || is_open) {
        return None;
    }
    let renewed = Login::of(now.clone(), login.proven, is_open);
    Some(if listens_too_far(client, now) { Change::ListensTooFar(renewed) } else { Change::Renewed(renewed) })
}

/// Whether a client listens to something that its user, as it is now, may not listen to.
fn listens_too_far(client: &Client, now: &User) -> bool {
    let listens = &client.session.subscriptions;
    if listens.is_empty() || now.keeps_channels_of(&client.session.login.user) {
        return false;
    }
    let channels = listens.channels.iter().chain(&listens.shard_channels).map(|name| (name, false));
    let patterns = listens.patterns.iter().map(|name| (name, true));
    channels.chain(patterns).any(|(name, is_pattern)| !now.lets_listen(name, is_pattern))
}
