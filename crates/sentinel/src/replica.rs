//! A replica of a master that is watched.

use crate::info::{History, Info};
use crate::master::Instance;
use crate::strangers::Known;

/// How far a replica has come on its way to a new master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reconfiguration {
    #[default]
    None,
    /// It was told, then.
    Sent { at_ms: u64 },
    /// It says that it follows the new master.
    InProgress,
    /// Its link to it is up, or it was given up.
    Done,
}

#[derive(Debug)]
pub struct Replica {
    pub instance: Instance,
    pub priority: u32,
    pub is_announced: bool,
    /// Whom it says that it follows.
    pub master_host: Option<String>,
    pub master_port: u16,
    pub master_since_ms: u64,
    pub is_link_up: bool,
    pub link_down_ms: u64,
    pub offset: u64,
    pub read_offset: u64,
    pub history: Option<History>,
    pub reconfiguration: Reconfiguration,
    /// When the master last named it as its replica.
    pub named_ms: u64,
    /// Who is expected at its address.
    pub known: Known,
    /// It was the master before, and has not said yet that it is a replica.
    pub was_master: bool,
    /// It does not follow its master, which lacks what it has acknowledged.
    pub master_lacks_data: bool,
}

impl Replica {
    pub fn new(instance: Instance, now_ms: u64) -> Replica {
        Replica {
            instance,
            priority: 100,
            is_announced: true,
            master_host: None,
            master_port: 0,
            master_since_ms: now_ms,
            is_link_up: false,
            link_down_ms: 0,
            offset: 0,
            read_offset: 0,
            history: None,
            reconfiguration: Reconfiguration::None,
            named_ms: now_ms,
            known: Known::default(),
            was_master: false,
            master_lacks_data: false,
        }
    }

    /// Takes over what its INFO says as a replica.
    pub fn learn(&mut self, info: &Info, now_ms: u64) {
        if let Some(host) = &info.master_host
            && self.master_host.as_ref().is_none_or(|known| !known.eq_ignore_ascii_case(host))
        {
            self.master_host = Some(host.clone());
            self.master_since_ms = now_ms;
        }
        if let Some(port) = info.master_port
            && port != self.master_port
        {
            self.master_port = port;
            self.master_since_ms = now_ms;
        }
        self.is_link_up = info.is_link_up.unwrap_or(self.is_link_up);
        self.priority = info.priority.unwrap_or(self.priority);
        self.offset = info.offset.unwrap_or(self.offset);
        self.read_offset = info.read_offset.unwrap_or(self.offset);
        self.is_announced = info.is_announced.unwrap_or(self.is_announced);
        self.history = info.history.clone();
        self.master_lacks_data = info.master_lacks_data;
    }
}
