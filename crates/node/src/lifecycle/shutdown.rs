//! Ending the server: SHUTDOWN and signals, the wait for replicas (rule 39), the save at the end.

mod driver;

use rivulet_commands::fail::{Fail, SYNTAX};
use rivulet_config::ShutdownOn;
use rivulet_resp::Args;

/// How to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub save: bool,
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// End though the save fails.
    pub force: bool,
}

impl Request {
    /// The words of SHUTDOWN, and whether they abort one that waits.
    fn parse(args: Args<'_>) -> Result<(Request, bool), Fail> {
        let mut request = Request::default();
        let mut abort = false;
        for word in args.iter().skip(1) {
            match word.to_ascii_lowercase().as_slice() {
                b"save" if !request.nosave => request.save = true,
                b"nosave" if !request.save => request.nosave = true,
                b"now" => request.now = true,
                b"force" => request.force = true,
                b"abort" => abort = true,
                _ => return Err(SYNTAX),
            }
        }
        if abort && request != Request::default() {
            return Err(SYNTAX);
        }
        Ok((request, abort))
    }

    /// From `shutdown-on-sigterm` or `shutdown-on-sigint`.
    pub fn from_directive(on: &ShutdownOn) -> Request {
        Request { save: on.save, nosave: on.nosave, now: on.now, force: on.force }
    }
}

/// A shutdown that waits for replicas.
pub struct Shutdown {
    request: Request,
    pub deadline_ms: u64,
}
