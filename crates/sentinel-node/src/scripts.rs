//! The processes of scripts.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

/// Running scripts by their job. What they read is empty; where they write is where the Sentinel does.
#[derive(Default)]
pub struct Processes(BTreeMap<u64, Child>);

impl Processes {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Starts a script; answers its process id.
    pub fn start(&mut self, job: u64, words: &[String]) -> std::io::Result<u32> {
        let (program, arguments) = words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn()?;
        let pid = child.id();
        self.0.insert(job, child);
        Ok(pid)
    }

    pub fn kill(&mut self, job: u64) {
        if let Some(child) = self.0.get_mut(&job) {
            // It may have ended by itself.
            let _ = child.kill();
        }
    }

    /// Those that have ended: job, status, signal (0 for none).
    pub fn ended(&mut self) -> Vec<(u64, i32, i32)> {
        let mut ended = Vec::new();
        self.0.retain(|job, child| match child.try_wait() {
            Ok(Some(status)) => {
                ended.push((*job, status.code().unwrap_or(0), status.signal().unwrap_or(0)));
                false
            }
            Ok(None) => true,
            Err(_) => {
                ended.push((*job, 2, 0));
                false
            }
        });
        ended
    }
}
