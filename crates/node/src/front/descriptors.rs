//! Descriptors that the system grants: each client needs one, and so does each file.

use rivulet_config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::log;

/// Descriptors that are not clients': files, sockets that listen, the poll, standard streams (`CONFIG_MIN_RESERVED_FDS` of Redis).
const RESERVED: u64 = 32;
/// The last of them are for files only: no client gets one, whatever else has taken the others.
const RESERVED_FOR_FILES: u64 = 16;

/// Connections of a page at once, and nodes that it asks, at most.
const PAGE_CONNECTIONS_MAX: u64 = 2048;
const PAGE_NODES_MAX: u64 = 256;
/// What else a page needs: its listeners and its own connections to this process, two descriptors each.
const PAGE_OWN_MAX: u64 = 64;

/// Descriptors that a page may take. They are not clients', who are as many fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageShare {
    pub connections: u64,
    pub nodes: u64,
    own: u64,
}

impl PageShare {
    /// Of a limit: a part of each kind, so that a page which is looked at by many leaves room for what this process is there for.
    fn of(limit: u64) -> PageShare {
        PageShare {
            connections: (limit / 8).min(PAGE_CONNECTIONS_MAX),
            nodes: (limit / 8).min(PAGE_NODES_MAX),
            own: (limit / 16).min(PAGE_OWN_MAX),
        }
    }

    fn total(self) -> u64 {
        self.connections + self.nodes + self.own
    }
}

/// What the page of this process may take, with the limit that there is now.
pub fn for_page() -> PageShare {
    PageShare::of(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

/// How many clients there is room for with a limit.
fn room(limit: u64, has_page: bool) -> u64 {
    let page = if has_page { PageShare::of(limit).total() } else { 0 };
    limit.saturating_sub(RESERVED + page)
}

/// The descriptors of so many clients and all else.
fn needed(clients: u64, has_page: bool) -> u64 {
    let page = if has_page { PAGE_CONNECTIONS_MAX + PAGE_NODES_MAX + PAGE_OWN_MAX } else { 0 };
    clients + RESERVED + page
}

/// How many descriptors the system grants, when asked for `wanted`, and why it grants no more.
fn ask_for(wanted: u64) -> (u64, Option<rustix::io::Errno>) {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return (current, None);
    }
    let set =
        |current: u64, maximum: Option<u64>| setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum });
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    // Who may raise the hard limit raises it.
    let Err(error) = set(wanted, Some(maximum.max(wanted))) else { return (wanted, None) };
    let granted = wanted.min(maximum);
    (if set(granted, limit.maximum).is_ok() { granted } else { current }, Some(error))
}

/// Asks for as many descriptors as `maxclients` needs. When the system does not grant them, answers how many clients it has room for.
pub fn make_room(maxclients: u64, has_page: bool) -> Result<(), u64> {
    let (granted, _) = ask_for(needed(maxclients, has_page));
    match room(granted, has_page) {
        room if room >= maxclients => Ok(()),
        room => Err(room),
    }
}

/// The first descriptor that no client gets.
pub fn reserved_from() -> u64 {
    getrlimit(Resource::Nofile).current.map_or(0, |limit| limit.saturating_sub(RESERVED_FOR_FILES))
}

/// Descriptors that are left when those are taken off that are not clients'.
pub fn for_clients(has_page: bool) -> u64 {
    getrlimit(Resource::Nofile).current.map_or(u64::MAX, |limit| room(limit, has_page))
}

/// At the start `maxclients` is lowered to what the system grants. Fails when that is too few to serve at all.
pub fn fit_maxclients(config: &mut Config) -> Result<(), String> {
    let has_page = config.http_port != 0;
    let wanted = needed(config.maxclients, has_page);
    let (granted, error) = ask_for(wanted);
    if room(granted, has_page) >= config.maxclients {
        return Ok(());
    }
    if room(granted, has_page) == 0 {
        return Err(format!(
            "Your current 'ulimit -n' of {granted} is not enough for the server to start. Please increase your open file limit to at least {wanted}. Exiting."
        ));
    }
    log::warning!(
        "You requested maxclients of {} requiring at least {wanted} max file descriptors.",
        config.maxclients
    );
    if let Some(error) = error {
        let error = crate::system::os_error(&error.into());
        log::warning!("Server can't set maximum open files to {wanted} because of OS error: {error}.");
    }
    config.maxclients = room(granted, has_page);
    log::warning!(
        "Current maximum open files is {granted}. maxclients has been reduced to {} to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'.",
        config.maxclients
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_a_share_and_clients_have_the_rest() {
        for limit in [33, 64, 100, 1024, 10_032, 1 << 20, u64::MAX] {
            let page = PageShare::of(limit);
            assert!(page.total() <= limit / 8 * 2 + limit / 16, "{limit}");
            assert_eq!(room(limit, false), limit.saturating_sub(RESERVED));
            assert_eq!(room(limit, true), limit.saturating_sub(RESERVED + page.total()));
            assert!(room(limit, true) > 0 || limit < 60, "{limit}");
        }
        let large = PageShare::of(1 << 20);
        assert_eq!((large.connections, large.nodes), (2048, 256));
        let small = PageShare::of(1024);
        assert_eq!((small.connections, small.nodes, room(1024, true)), (128, 128, 1024 - 32 - 128 - 128 - 64));
    }

    #[test]
    fn what_is_asked_for_is_enough() {
        for clients in [1, 100, 10_000, 1 << 20] {
            for has_page in [false, true] {
                assert!(room(needed(clients, has_page), has_page) >= clients, "{clients} {has_page}");
            }
        }
    }
}
