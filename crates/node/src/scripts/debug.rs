//! Sessions of the debugger (SCRIPT DEBUG): whose client it is, and where its script runs.
//!
//! ```text
//!   SYNC   here, as a unit of execution like any script's. While it stands still the loop goes on in a small way (`busy`): links live, others hear BUSY.
//!   YES    in a child process, which has the data as they are, keeps of all descriptors only the client's, and is gone when the session ends. Here the client
//!          is forgotten, and nothing else changes.
//! ```
//!
//! What is said is the debugger's affair (`rivulet_scripting::debugger`).

mod driver;

use rivulet_engine::session::DebugMode;

/// A script runs so long, where the configuration gives no limit, until the debugger stops it by itself.
pub(super) const LONG_MS: u64 = 5000;

/// The session that runs in this process.
pub struct Debugging {
    mode: DebugMode,
    /// What the client was not sent yet.
    unsent: Vec<u8>,
    /// What it has sent that the debugger has not asked for.
    ahead: Vec<u8>,
    /// When the loop went on last, by the machine's clock.
    turned_us: u64,
    /// The script stands still, and the client's next command is awaited.
    pub waits: bool,
    /// The session is to end, and the script to run on without it.
    pub is_let_go: bool,
    /// The script has run: what the client is sent before its reply.
    pub(super) farewell: Option<Vec<u8>>,
}

impl Debugging {
    fn of(mode: DebugMode) -> Debugging {
        let (unsent, ahead) = (Vec::new(), Vec::new());
        Debugging { mode, unsent, ahead, turned_us: 0, waits: false, is_let_go: false, farewell: None }
    }
}
