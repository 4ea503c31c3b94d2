//! What the configuration says about a link.

use crate::Millis;
use crate::messages::command;
use crate::position::ReplId;
use crate::promises::Term;

/// What the configuration says; it may change at any time.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    pub host: String,
    pub port: u16,
    /// `repl-timeout`.
    pub timeout: Millis,
    pub login: Login,
    pub shown: Shown,
    pub run_id: ReplId,
    /// Who this node is, also after a restart, if masters are to know it.
    pub node_id: Option<ReplId>,
    /// It was started again, and may lack what it acknowledged before: that it goes on where it stands proves nothing.
    pub is_uncertain: bool,
    /// The terms that this node's data went through.
    pub terms: Vec<Term>,
    /// The driver tells the end of each turn (`ReplicaLink::turn_ended`): so this replica can acknowledge by itself, and says so.
    pub acks_by_itself: bool,
    /// A secret that only those above this node learn, one for as long as the link is: if it comes back from below, there is a loop.
    pub probe: ReplId,
    pub load: LoadMode,
    /// `dual-channel-replication-enabled` and `repl-rdb-channel`: ask for full syncs over two channels.
    pub dual_channel: bool,
    pub rdb_channel: bool,
    /// So much of the stream is kept while a snapshot comes or loads; then the driver shall stop to read.
    pub early_bytes_max: usize,
}

/// `masteruser` and `masterauth`.
#[derive(Debug, Clone, Default)]
pub struct Login {
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
}

/// What the master is told, to show it.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    pub port: u16,
    pub ip: Option<String>,
    /// Told with `REPLCONF version`, if at all.
    pub version: Option<String>,
}

impl LinkConfig {
    /// `AUTH`, if there is a password.
    pub(crate) fn auth_command(&self) -> Option<Vec<u8>> {
        let password = self.login.password.as_deref()?;
        let words = [Some(&b"AUTH"[..]), self.login.user.as_deref(), Some(password)];
        Some(command(&words.into_iter().flatten().collect::<Vec<_>>()))
    }
}

/// When a snapshot that arrives takes the place of the data (`repl-diskless-load`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// `disabled`: it is stored, and loaded when it is whole.
    AfterTransfer,
    /// `on-empty-db`: it is loaded while it comes.
    InPlace,
    /// `swapdb`: it is loaded beside the data, which it replaces when it is whole. A driver that refuses to be emptied by
    /// a master without data (rule 30) uses this, and reports such a load as failed.
    Beside,
}
