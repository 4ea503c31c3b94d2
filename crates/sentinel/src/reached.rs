//! How the masters and replicas that are watched are reached, with the passwords: for nobody but this process itself.

use std::fmt;

use crate::address::Address;
use crate::sentinel::Sentinel;

/// An instance, and how this Sentinel logs in there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reached<'a> {
    pub address: &'a Address,
    /// Absent: as the default user.
    pub user: Option<&'a [u8]>,
    pub password: &'a [u8],
}

/// What is shown has no password.
impl fmt::Debug for Reached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reached").field("address", self.address).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Sentinel {
    /// The masters and replicas at which this Sentinel shows a password.
    pub fn reached(&self) -> impl Iterator<Item = Reached<'_>> {
        self.masters.values().flat_map(|master| {
            let replicas = master.replicas.values().map(|replica| &replica.instance);
            let settings = &master.settings;
            let reached = |password| {
                let at = move |address| Reached { address, user: settings.auth_user.as_deref(), password };
                std::iter::once(&master.instance).chain(replicas).map(move |instance| at(&instance.address))
            };
            settings.auth_pass.as_deref().map(reached).into_iter().flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinel(lines: &[&str]) -> Sentinel {
        let mut sentinel = Sentinel::new(1000, 1_000_000, 1);
        for line in lines {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            sentinel.configure(&words).expect("a good line");
        }
        sentinel
    }

    #[test]
    fn a_password_is_for_the_masters_own_set() {
        let sentinel = sentinel(&[
            "monitor a 10.0.0.1 1 2",
            "monitor b 10.0.0.2 2 2",
            "auth-pass a secret",
            "auth-user a ann",
            "known-replica a 10.0.0.3 3",
            "known-replica b 10.0.0.4 4",
        ]);
        let all: Vec<_> = sentinel.reached().collect();
        let shown = |r: &Reached<'_>| (r.address.to_string(), r.user == Some(b"ann"), r.password == b"secret");
        assert_eq!(
            all.iter().map(shown).collect::<Vec<_>>(),
            [("10.0.0.1:1".into(), true, true), ("10.0.0.3:3".into(), true, true)]
        );
        assert!(!format!("{all:?}").contains("secret"));
    }
}
