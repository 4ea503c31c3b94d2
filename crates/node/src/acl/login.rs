//! Logging in: AUTH, HELLO with AUTH, and what is said of logins that fail.

use rivulet_acl::{Context, DEFAULT, Event, Reason};
use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_engine::asker::{Asker, Origin};
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::Login;
use rivulet_net::Stream;
use rivulet_resp::Args;
use rivulet_resp::inline::quote;

use crate::log;
use crate::node::Node;

const WRONG_PASSWORD: Fail = Fail::new("WRONGPASS invalid username-password pair or user is disabled.");

/// Bytes of a name that the log shows.
const SHOWN_NAME_MAX: usize = 64;

impl Node {
    pub fn auth(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let (user, password): (&[u8], &[u8]) = match args.len() {
            2 if self.acl.users.default_user().nopass => {
                return Err(Fail::new(
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
                ));
            }
            2 => (DEFAULT, args.at(1)),
            3 => (args.at(1), args.at(2)),
            _ => return Err(SYNTAX),
        };
        self.log_in(by, args, user, password)?;
        by.reply.ok();
        Ok(())
    }

    /// Makes the client a user, if the password is right.
    ///
    /// # Errors
    /// It is wrong, or the user can't log in. Nothing says which.
    pub fn log_in(&mut self, by: &Asker<'_>, args: Args<'_>, user: &[u8], password: &[u8]) -> Result<(), Fail> {
        let Some(known) = self.acl.users.log_in(user, password) else {
            self.login_failed(by, args, user);
            return Err(WRONG_PASSWORD);
        };
        let login = Login::of(known.clone(), true, false);
        self.clients.set_login(by.id, login);
        Ok(())
    }

    fn login_failed(&mut self, by: &Asker<'_>, args: Args<'_>, user: &[u8]) {
        self.ops.stats.denied.logins += 1;
        self.tell_of_failure(by.id, user);
        let context = if by.origin == Origin::Exec { Context::Multi } else { Context::TopLevel };
        let (object, user) = (args.at(0).to_vec(), user.to_vec());
        self.log_denied(by.id, Event { reason: Reason::Auth, context, object, user, client: String::new() });
    }

    /// Makes a client the user that its certificate names (`tls-auth-clients-user`). Who has none, or one that names nobody who can log in, stays who it
    /// was.
    pub fn log_in_by_certificate(&mut self, id: ClientId) {
        if self.config.tls_auth_clients_user != "CN" {
            return;
        }
        let stream = self.clients.get(id).and_then(|client| client.connection.stream.as_ref());
        let Some(name) = stream.and_then(Stream::peer_name).map(<[u8]>::to_vec) else { return };
        match self.acl.users.get(&name).filter(|user| user.enabled) {
            Some(user) => {
                let login = Login::of(user.clone(), true, false);
                self.clients.set_login(id, login);
            }
            None => {
                self.ops.stats.denied.certificates += 1;
                let (reason, context) = (Reason::Certificate, Context::TopLevel);
                self.log_denied(id, Event { reason, context, object: Vec::new(), user: name, client: String::new() });
            }
        }
    }

    fn tell_of_failure(&mut self, id: ClientId, user: &[u8]) {
        let Some(untold) = self.acl.failures.note(self.now_ms()) else { return };
        let before = if untold > 0 { format!(" (and {untold} others before)") } else { String::new() };
        let address = self.clients.get(id).map_or("", |client| &client.connection.peer.address);
        let shown = quote(&user[..user.len().min(SHOWN_NAME_MAX)]);
        log::warning!("A login as user {} from {address} failed{before}", String::from_utf8_lossy(&shown));
    }
}
