//! Descriptors that the system grants: each client needs one, and so does each file.

use rivulet_config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::log;

/// Descriptors that are not clients': files, sockets that listen, the poll, standard streams (`CONFIG_MIN_RESERVED_FDS` of Redis).
const RESERVED: u64 = 32;
/// The last of them are for files only: no client gets one, whatever else has taken the others.
const RESERVED_FOR_FILES: u64 = 16;

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
pub fn make_room(maxclients: u64) -> Result<(), u64> {
    let wanted = maxclients + RESERVED;
    match ask_for(wanted).0 {
        granted if granted >= wanted => Ok(()),
        granted => Err(granted.saturating_sub(RESERVED)),
    }
}

/// The first descriptor that no client gets.
pub fn reserved_from() -> u64 {
    getrlimit(Resource::Nofile).current.map_or(0, |limit| limit.saturating_sub(RESERVED_FOR_FILES))
}

/// Descriptors that are left when those are taken off that are not clients'.
pub fn for_clients() -> u64 {
    getrlimit(Resource::Nofile).current.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED))
}

/// At the start `maxclients` is lowered to what the system grants. Fails when that is too few to serve at all.
pub fn fit_maxclients(config: &mut Config) -> Result<(), String> {
    let wanted = config.maxclients + RESERVED;
    let (granted, error) = ask_for(wanted);
    if granted >= wanted {
        return Ok(());
    }
    if granted <= RESERVED {
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
    config.maxclients = granted - RESERVED;
    log::warning!(
        "Current maximum open files is {granted}. maxclients has been reduced to {} to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'.",
        config.maxclients
    );
    Ok(())
}
