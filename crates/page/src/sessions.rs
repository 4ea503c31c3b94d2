//! Who has logged in on the page: a cookie names a connection of its own to the server, which is that user's.
//!
//! The password is used once and not kept. What the user may do is the server's affair at each command, and a connection that the server closes, since its user
//! has gone or was changed, ends the session. All is in memory: a restart logs everybody out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rivulet_client::Reply;

use crate::own::{Own, PATIENCE};
use crate::{Door, Visitor};

const SESSIONS_MAX: usize = 32;
/// Of these are so many of people who needed no password, at most. They give way to others, the one that was used longest ago first.
const OPEN_SESSIONS_MAX: usize = 8;
/// A session that is not used for so long ends.
const IDLE_MS: u64 = 30 * 60 * 1000;
/// Between two attempts to log in from one address: passwords can't be tried out faster.
const ATTEMPT_MS: u64 = 200;
/// Addresses with an attempt within that time that are remembered.
const ATTEMPTS_MAX: usize = 1024;

/// Somebody's connection. Only one command runs on it at a time.
pub type Line = Arc<Mutex<Own>>;

struct Session {
    user: String,
    /// What the page itself must show with each action: other sites' pages can make a browser send the cookie, but can't read this.
    token: String,
    line: Line,
    used_ms: u64,
    /// Nobody had to know a password for it.
    is_open: bool,
}

/// What the page is told of who is logged in.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Who {
    pub user: String,
    pub token: String,
}

/// Who has just tried to log in: nobody's attempts keep others from theirs.
#[derive(Default)]
struct Attempts(HashMap<IpAddr, u64>);

impl Attempts {
    /// Whether an attempt may be made from this address now. If too many are remembered the oldest is forgotten, which was to be so soon in any case: who
    /// has so many addresses can try often, and can't keep anybody out.
    fn begin(&mut self, peer: IpAddr, now_ms: u64) -> bool {
        self.0.retain(|_, ms| now_ms.saturating_sub(*ms) < ATTEMPT_MS);
        let peer = network(peer);
        if self.0.contains_key(&peer) {
            return false;
        }
        if self.0.len() >= ATTEMPTS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, ms)| **ms).map(|(peer, _)| *peer);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(peer, now_ms);
        true
    }
}

/// What stands for all addresses that one peer may have: of IPv6 everybody has 64 bits.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[derive(Default)]
struct State {
    sessions: HashMap<String, Session>,
    attempts: Attempts,
}

impl State {
    fn insert(&mut self, cookie: String, session: Session) -> Result<(), LoginError> {
        let open = self.sessions.iter().filter(|(_, session)| session.is_open);
        if self.sessions.len() >= SESSIONS_MAX || session.is_open && open.clone().count() >= OPEN_SESSIONS_MAX {
            let oldest = open.min_by_key(|(_, session)| session.used_ms).map(|(cookie, _)| cookie.clone());
            self.sessions.remove(&oldest.ok_or(LoginError::TooMany)?);
        }
        self.sessions.insert(cookie, session);
        Ok(())
    }
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
    /// The user needs no password, and whoever asks may be anybody.
    NoPassword(String),
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

    /// Logs in as a user, for somebody at the address `peer`; without a name and a password as whom the server takes a new connection for. Answers the value of the cookie. It asks the server
    /// and waits for that. A user who needs no password is let in only if `is_from_here`: the request comes from this machine, and not from a page of
    /// somebody else's that a browser here shows. The server's own protected mode does not see who comes through the page.
    ///
    /// # Errors
    /// Why not.
    pub fn log_in(
        &self,
        user: &str,
        password: &str,
        peer: IpAddr,
        is_from_here: bool,
        now_ms: u64,
    ) -> Result<(String, Who), LoginError> {
        self.begin_attempt(peer, now_ms)?;
        let name = if user.is_empty() { "default" } else { user };
        let is_open = self.needs_no_password(name)?;
        if is_open && !is_from_here {
            let why = format!(
                "set a password first: user '{name}' needs none, and is let in only from the page's own machine, by an address or as localhost"
            );
            return Err(LoginError::NoPassword(why));
        }
        let mut own = (self.door)(Visitor::Person).and_then(Own::new).map_err(failed)?;
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
        let session = Session { user, token, line: Arc::new(Mutex::new(own)), used_ms: now_ms, is_open };
        self.lock().insert(cookie.clone(), session)?;
        Ok((cookie, who))
    }

    /// Whether any password is taken for this user's.
    fn needs_no_password(&self, name: &str) -> Result<bool, LoginError> {
        let mut own = (self.door)(Visitor::Page).and_then(Own::new).map_err(failed)?;
        let reply = must(&mut own, &[b"ACL", b"GETUSER", name.as_bytes()])?;
        let flags = reply.field("flags").and_then(Reply::items).unwrap_or_default();
        Ok(flags.iter().any(|flag| flag.text() == "nopass"))
    }

    fn begin_attempt(&self, peer: IpAddr, now_ms: u64) -> Result<(), LoginError> {
        let mut state = self.lock();
        state.sessions.retain(|_, session| now_ms.saturating_sub(session.used_ms) < IDLE_MS);
        if state.attempts.begin(peer, now_ms) { Ok(()) } else { Err(LoginError::TooSoon) }
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
    use std::net::Ipv4Addr;
    use std::os::unix::net::UnixStream;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A server that takes one password, and says who is there. Its default user needs none if `is_open`.
    fn sessions(is_open: bool) -> Sessions {
        Sessions::new(Arc::new(move |visitor| {
            let (ours, mut theirs) = UnixStream::pair()?;
            std::thread::spawn(move || {
                let (mut bytes, mut user) = ([0; 4096], if is_open { "default" } else { "nobody" });
                while let Ok(n @ 1..) = theirs.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                    let of_page = text.contains("GETUSER");
                    assert_eq!(visitor == Visitor::Page, of_page, "nobody logs in on the page's own connection");
                    let reply = match () {
                        () if of_page && !(text.contains("default") || text.contains("ann")) => "*-1\r\n".to_string(),
                        () if of_page && is_open && text.contains("default") => {
                            "*2\r\n$5\r\nflags\r\n*2\r\n$2\r\non\r\n$6\r\nnopass\r\n".into()
                        }
                        () if of_page => "*2\r\n$5\r\nflags\r\n*1\r\n$2\r\non\r\n".into(),
                        () if is_open && text.contains("AUTH") && text.contains("default") => "+OK\r\n".into(),
                        () if text.contains("secret") => {
                            user = "ann";
                            "+OK\r\n".into()
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
        let sessions = sessions(false);
        let (cookie, who) = sessions.log_in("ann", "secret", HERE, false, 0).expect("the password is right");
        assert_eq!(who.user, "ann");
        assert_eq!(sessions.who(&cookie, 1), Some(who.clone()));
        assert!(sessions.line(&cookie, &who.token, 1).is_some());
        assert!(sessions.line(&cookie, "", 1).is_none() && sessions.line(&cookie, &cookie, 1).is_none());
        assert!(sessions.line(&who.token, &who.token, 1).is_none());
        assert_eq!(sessions.who(&cookie, IDLE_MS + 1), None);
        let (cookie, _) = sessions.log_in("ann", "secret", HERE, false, ATTEMPT_MS).expect("again");
        sessions.log_out(&cookie);
        assert_eq!(sessions.who(&cookie, ATTEMPT_MS), None);
    }

    #[test]
    fn who_is_refused() {
        let sessions = sessions(false);
        let why =
            |user: &str, password: &str, ms: u64| sessions.log_in(user, password, HERE, true, ms).expect_err("refused");
        assert_eq!(why("ann", "wrong", 0), LoginError::Refused("WRONGPASS no".into()));
        assert_eq!(why("ann", "wrong", ATTEMPT_MS - 1), LoginError::TooSoon);
        assert_eq!(why("", "", ATTEMPT_MS), LoginError::Refused("NOAUTH Authentication required.".into()));
        for i in 0..SESSIONS_MAX as u64 {
            sessions.log_in("ann", "secret", HERE, true, (i + 2) * ATTEMPT_MS).expect("there is room");
        }
        assert_eq!(why("ann", "secret", 100 * ATTEMPT_MS), LoginError::TooMany);
        sessions.log_in("ann", "secret", HERE, true, 100 * ATTEMPT_MS + IDLE_MS).expect("the others have ended");
    }

    #[test]
    fn nobodys_attempts_keep_others_out() {
        let sessions = sessions(false);
        let peer = |text: &str| text.parse::<IpAddr>().expect("an address");
        let try_from = |from: &str, ms: u64| sessions.log_in("ann", "wrong", peer(from), false, ms).expect_err("wrong");
        let (refused, too_soon) = (LoginError::Refused("WRONGPASS no".into()), LoginError::TooSoon);
        assert_eq!(try_from("192.0.2.1", 0), refused);
        assert_eq!(try_from("::ffff:192.0.2.1", 1), too_soon);
        assert_eq!(try_from("192.0.2.2", 1), refused);
        assert_eq!(try_from("2001:db8::1", 1), refused);
        assert_eq!(try_from("2001:db8::2:0:0:1", 2), too_soon);
        assert_eq!(try_from("2001:db8:0:1::1", 2), refused);
        assert_eq!(try_from("192.0.2.1", ATTEMPT_MS), refused);
        sessions.log_in("ann", "secret", peer("192.0.2.3"), false, ATTEMPT_MS).expect("she has not tried yet");
    }

    #[test]
    fn attempts_of_many_are_few_and_let_others_in() {
        let mut attempts = Attempts::default();
        let all = |n: u32| (0..n).map(|i| IpAddr::from(i.to_be_bytes()));
        for (i, peer) in all(2 * ATTEMPTS_MAX as u32).enumerate() {
            assert!(attempts.begin(peer, i as u64 / 100));
            assert!(attempts.0.len() <= ATTEMPTS_MAX);
        }
        // The latest still wait.
        assert!(!attempts.begin(IpAddr::from([0, 0, 7, 255]), 25));
        assert!(attempts.begin(IpAddr::from([10, 0, 0, 1]), 25 + ATTEMPT_MS));
        assert_eq!(attempts.0.len(), 1);
    }

    #[test]
    fn who_needs_no_password_must_be_here() {
        let sessions = sessions(true);
        // Any password is right for such a user, whether or not the name is said.
        for (i, (user, password)) in [("", ""), ("default", "x"), ("", "x")].into_iter().enumerate() {
            let ms = 2 * i as u64 * ATTEMPT_MS;
            let refused = sessions.log_in(user, password, HERE, false, ms).expect_err("it may be anybody");
            assert!(
                matches!(&refused, LoginError::NoPassword(why) if why.starts_with("set a password first: user 'default'"))
            );
            let (_, who) = sessions.log_in(user, password, HERE, true, ms + ATTEMPT_MS).expect("it is somebody here");
            assert_eq!(who.user, "default");
        }
        sessions.log_in("ann", "secret", HERE, false, 10 * ATTEMPT_MS).expect("she knows her password");
    }

    #[test]
    fn who_needs_no_password_takes_no_others_place() {
        let sessions = sessions(true);
        let mut ms = 0;
        let mut log_in = |user: &str, password: &str| {
            ms += ATTEMPT_MS;
            sessions.log_in(user, password, HERE, true, ms).map(|(cookie, _)| cookie)
        };
        let (first, ann) = (log_in("", "").expect("open"), log_in("ann", "secret").expect("there is room"));
        (0..100).for_each(|_| _ = log_in("", "").expect("another one goes"));
        assert_eq!(sessions.lock().sessions.len(), OPEN_SESSIONS_MAX + 1);
        assert!(sessions.who(&ann, 0).is_some() && sessions.who(&first, 0).is_none());
        (0..SESSIONS_MAX - 1).for_each(|_| _ = log_in("ann", "secret").expect("the open ones give way"));
        assert_eq!(log_in("", ""), Err(LoginError::TooMany));
        assert_eq!(log_in("ann", "secret"), Err(LoginError::TooMany));
        assert!(sessions.who(&ann, 0).is_some());
    }
}
