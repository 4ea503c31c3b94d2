//! The configuration: its directives, how they are read from the command line and from files, changed at run time, and written back.
//!
//! One table, [`DIRECTIVES`], says what each directive is; [`Config`] holds the values. Reading ([`Config::from_args`]), CONFIG GET and SET,
//! CONFIG REWRITE and the documentation all go by the table. Nothing here acts on a value: a row says what its change asks of the server
//! ([`Apply`]), which does that for what [`Config::set`] says has changed, and runs in `dir`. What both of our servers need of the directives for TLS
//! is here too ([`Config::tls_context`]).

mod change;
mod check;
pub mod directive;
mod level;
mod load;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod packaged;
mod rewrite;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod values;

use std::path::Path;

use rivulet_commands::settings::{ClockUse, Settings};
use rivulet_host::fs;
use rivulet_keyspace::Limits;

pub use change::{Change, SetBy, SetError, allows, is_sensitive};
pub use directive::{Apply, Directive};
pub use level::Level;
pub use load::{ConfigError, Line, Start, Startup, USAGE};
pub use rewrite::{RewriteWith, replace_file};
pub use table::{Config, DIRECTIVES};
pub use values::{
    AppendFsync, BytesOrPercent, DisklessLoad, LogFormat, LogTime, MaxmemoryPolicy, OomScoreAdj, PropagationError,
    ShutdownOn, SynchronousCommit,
};

/// The pid file of a server in the background that isn't told one.
pub const PIDFILE_DEFAULT: &str = "/var/run/redis.pid";

impl Config {
    /// The port by which this server is known among others: that of TLS, if it listens on no other.
    pub fn main_port(&self) -> u16 {
        if self.port != 0 { self.port } else { self.tls_port }
    }

    /// What commands on data look at.
    pub fn settings(&self) -> Settings {
        let policy = self.maxmemory_policy;
        Settings {
            limits: Limits {
                list_max_listpack_size: self.list_max_listpack_size,
                hash_max_listpack_entries: size(self.hash_max_listpack_entries),
                hash_max_listpack_value: size(self.hash_max_listpack_value),
                set_max_intset_entries: size(self.set_max_intset_entries),
                set_max_listpack_entries: size(self.set_max_listpack_entries),
                set_max_listpack_value: size(self.set_max_listpack_value),
                zset_max_listpack_entries: size(self.zset_max_listpack_entries),
                zset_max_listpack_value: size(self.zset_max_listpack_value),
                stream_node_max_bytes: size(self.stream_node_max_bytes),
                stream_node_max_entries: size(self.stream_node_max_entries),
            },
            hll_sparse_max_bytes: self.hll_sparse_max_bytes,
            bulk_len_max: self.proto_max_bulk_len,
            lazyfree_lazy_expire: self.lazyfree_lazy_expire,
            lazyfree_lazy_server_del: self.lazyfree_lazy_server_del,
            lazyfree_lazy_user_del: self.lazyfree_lazy_user_del,
            clock: match policy.is_lfu() {
                true => ClockUse::Lfu { log_factor: self.lfu_log_factor, decay_minutes: self.lfu_decay_time },
                false => ClockUse::Lru,
            },
            notify: self.notify_keyspace_events,
            policy_uses_clock: self.maxmemory != 0 && (policy.is_lru() || policy.is_lfu()),
            sanitize_dump: self.sanitize_dump_payload != "no",
            // No directive: DEBUG sets it.
            skips_checksums: false,
        }
    }

    /// Brings what follows from other values up to date.
    fn derive(&mut self) {
        self.bind_is_default = self.bind == table::BIND_DEFAULT;
        self.hz = self.hz.clamp(1, 500);
    }
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Where the process runs; `/` if that is gone.
fn current_dir() -> String {
    std::env::current_dir().map_or_else(|_| "/".into(), |dir| dir.to_string_lossy().into_owned())
}

/// The directory that `to` means in `from`, if a process can go there.
fn change_dir(from: &str, to: &str) -> Result<String, String> {
    let reason = |e: std::io::Error| os_reason(&e);
    if to.is_empty() {
        return Err(os_reason(&std::io::Error::from_raw_os_error(2)));
    }
    let path = Path::new(from).join(to);
    // To look at the directory's own `.` needs the same right as to go there.
    fs::metadata(path.join(".")).map_err(reason)?;
    let path = fs::canonicalize(&path).map_err(reason)?;
    path.into_os_string().into_string().map_err(|_| "argument must be UTF-8".to_string())
}

/// The system's words for an error, without its number.
fn os_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

/// A title for the list of processes: `{name}` stands for a value, `{{` for a brace. Nothing if a name is unknown or a brace open.
pub fn expand_proc_title(template: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut title = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        title.push_str(before);
        if let Some(after) = after.strip_prefix('{') {
            title.push('{');
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}')?;
        title.push_str(&value(name)?);
        rest = after;
    }
    title.push_str(rest);
    Some(title.trim_matches(' ').to_string())
}
