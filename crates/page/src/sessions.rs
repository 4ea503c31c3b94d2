//! Who has logged in on the page: a cookie names a connection of its own to the server, which is that user's.
//!
//! The password is used once and not kept. What the user may do is the server's affair at each command, and a connection that the server closes, since its user
//! has gone or was changed, ends the session. All is in memory: a restart logs everybody out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rivulet_client::Reply;

use crate::own::{Own, PATIENCE};
use crate::{Door, Visitor};

const SESSIONS_MAX: usize = 32;
/// A session that is not used for so long ends.
const IDLE_MS: u64 = 30 * 60 * 1000;
/// Between two attempts to log in, whoever makes them: passwords can't be tried out faster.
const ATTEMPT_MS: u64 = 200;

/// Somebody's connection. Only one command runs on it at a time.
pub type Line = Arc<Mutex<Own>>;

struct Session {
    user: String,
    /// What the page itself must show with each action: other sites' pages can make a browser send the cookie, but can't read this.
    token: String,
    line: Line,
    used_ms: u64,
}

/// What the page is told of who is logged in.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Who {
    pub user: String,
    pub token: String,
}

#[derive(Default)]
struct State {
    sessions: HashMap<String, Session>,
    attempted_ms: Option<u64>,
}

/// All sessions.
pub struct Sessions {
    door: Door,
    state: Mutex<State>,
}

/// Why nobody was logged in.
#[derive(Debug, PartialEq, Eq)]
pub enum LoginError {
    TooSoon,
    TooMany,
    Refused(String),
    Failed(String),
}

impl Sessions {
    pub fn new(door: Door) -> Sessions {
        Sessions { door, state: Mutex::default() }
    }

    /// Each change is whole before the lock is given back.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs in as a user; without a name and a password as whom the server takes a new connection for. Answers the value of the cookie. It asks the server
    /// and waits for that.
    ///
    /// # Errors
    /// Why not.
    pub fn log_in(&self, user: &str, password: &str, now_ms: u64) -> Result<(String, Who), LoginError> {
        self.begin_attempt(now_ms)?;
        let mut own = (self.door)(Visitor::Person).and_then(Own::new).map_err(failed)?;
        let name = if user.is_empty() { "default" } else { user };
        if !user.is_empty() || !password.is_empty() {
            must(&mut own, &[b"AUTH", name.as_bytes(), password.as_bytes()])?;
        }
        let user = match must(&mut own, &[b"ACL", b"WHOAMI"]) {
            Ok(reply) => reply.text().into_owned(),
            // A user need not be allowed to ask that.
            Err(LoginError::Refused(why)) if why.starts_with("NOPERM") => name.to_string(),
            Err(error) => return Err(error),
        };
        let (cookie, token) = (random_word().map_err(failed)?, random_word().map_err(failed)?);
        let who = Who { user: user.clone(), token: token.clone() };
        let session = Session { user, token, line: Arc::new(Mutex::new(own)), used_ms: now_ms };
        self.lock().sessions.insert(cookie.clone(), session);
        Ok((cookie, who))
    }

    fn begin_attempt(&self, now_ms: u64) -> Result<(), LoginError> {
        let mut state = self.lock();
        state.sessions.retain(|_, session| now_ms.saturating_sub(session.used_ms) < IDLE_MS);
        if state.sessions.len() >= SESSIONS_MAX {
            return Err(LoginError::TooMany);
        }
        if state.attempted_ms.is_some_and(|ms| now_ms.saturating_sub(ms) < ATTEMPT_MS) {
            return Err(LoginError::TooSoon);
        }
        state.attempted_ms = Some(now_ms);
        Ok(())
    }

    /// Whose cookie this is.
    pub fn who(&self, cookie: &str, now_ms: u64) -> Option<Who> {
        let mut state = self.lock();
        let session = state.sessions.get_mut(cookie)?;
        if now_ms.saturating_sub(session.used_ms) >= IDLE_MS {
            state.sessions.remove(cookie);
            return None;
        }
        session.used_ms = now_ms;
        Some(Who { user: session.user.clone(), token: session.token.clone() })
    }

    /// The connection of whoever has both cookie and token.
    pub fn line(&self, cookie: &str, token: &str, now_ms: u64) -> Option<Line> {
        self.who(cookie, now_ms).filter(|who| is_same(&who.token, token))?;
        self.lock().sessions.get(cookie).map(|session| session.line.clone())
    }

    pub fn log_out(&self, cookie: &str) {
        self.lock().sessions.remove(cookie);
    }
}

fn failed(error: std::io::Error) -> LoginError {
    LoginError::Failed(error.to_string())
}

fn must(own: &mut Own, words: &[&[u8]]) -> Result<Reply, LoginError> {
    let reply = own.ask(words, PATIENCE).map_err(LoginError::Failed)?;
    if reply.is_error() { Err(LoginError::Refused(reply.text().into_owned())) } else { Ok(reply) }
}

/// Compares in a time that tells nothing of where they differ.
fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// 256 bits that nobody can guess, in hexadecimal.
fn random_word() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    rivulet_host::random::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A server that takes one password, and says who is there.
    fn sessions() -> Sessions {
        Sessions::new(Arc::new(|visitor| {
            assert_eq!(visitor, Visitor::Person, "nobody logs in on the page's own connection");
            let (ours, mut theirs) = UnixStream::pair()?;
            std::thread::spawn(move || {
                let (mut bytes, mut user) = ([0; 4096], "nobody");
                while let Ok(n @ 1..) = theirs.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                    let reply = match () {
                        () if text.contains("secret") => {
                            user = "ann";
                            "+OK\r\n".to_string()
                        }
                        () if text.contains("AUTH") => "-WRONGPASS no\r\n".into(),
                        () if user == "nobody" => "-NOAUTH Authentication required.\r\n".into(),
                        () => format!("${}\r\n{user}\r\n", user.len()),
                    };
                    let _ = theirs.write_all(reply.as_bytes());
                }
            });
            Ok(ours)
        }))
    }

    #[test]
    fn a_login_needs_its_cookie_and_its_token() {
        let sessions = sessions();
        let (cookie, who) = sessions.log_in("ann", "secret", 0).expect("the password is right");
        assert_eq!(who.user, "ann");
        assert_eq!(sessions.who(&cookie, 1), Some(who.clone()));
        assert!(sessions.line(&cookie, &who.token, 1).is_some());
        assert!(sessions.line(&cookie, "", 1).is_none() && sessions.line(&cookie, &cookie, 1).is_none());
        assert!(sessions.line(&who.token, &who.token, 1).is_none());
        assert_eq!(sessions.who(&cookie, IDLE_MS + 1), None);
        let (cookie, _) = sessions.log_in("ann", "secret", ATTEMPT_MS).expect("again");
        sessions.log_out(&cookie);
        assert_eq!(sessions.who(&cookie, ATTEMPT_MS), None);
    }

    #[test]
    fn who_is_refused() {
        let sessions = sessions();
        let why = |user: &str, password: &str, ms: u64| sessions.log_in(user, password, ms).expect_err("refused");
        assert_eq!(why("ann", "wrong", 0), LoginError::Refused("WRONGPASS no".into()));
        assert_eq!(why("ann", "wrong", ATTEMPT_MS - 1), LoginError::TooSoon);
        assert_eq!(why("", "", ATTEMPT_MS), LoginError::Refused("NOAUTH Authentication required.".into()));
        for i in 0..SESSIONS_MAX as u64 {
            sessions.log_in("ann", "secret", (i + 2) * ATTEMPT_MS).expect("there is room");
        }
        assert_eq!(why("ann", "secret", 100 * ATTEMPT_MS), LoginError::TooMany);
        sessions.log_in("ann", "secret", 100 * ATTEMPT_MS + IDLE_MS).expect("the others have ended");
    }
}
