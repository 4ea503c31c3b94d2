//! Whom the system kills first when memory runs out (`oom-score-adj`).

use rivulet_config::{Config, OomScoreAdj};
use rivulet_host::world;

use crate::log;
use crate::system::os_error;

const FILE: &str = "/proc/self/oom_score_adj";

/// What this process has made of its score.
#[derive(Default)]
pub struct OomScore {
    /// What it was before the server changed it; nothing while it is not changed.
    before: Option<i32>,
}

impl OomScore {
    /// Sets the score of the configuration for a master or a replica, or gives back the one that was there.
    ///
    /// # Errors
    /// The system does not let it; the reply's text. The log has the reason.
    pub fn apply(&mut self, config: &Config, is_replica: bool) -> Result<(), String> {
        if world::is_simulated() {
            return Ok(());
        }
        let adjusted = self.adjust(config.oom_score_adj, config.oom_score_adj_values[usize::from(is_replica)]);
        adjusted.map_err(|reason| {
            log::warning!("{reason}");
            "Failed to set current oom_score_adj. Check server logs.".to_string()
        })
    }

    fn adjust(&mut self, how: OomScoreAdj, value: i32) -> Result<(), String> {
        let score = match how {
            OomScoreAdj::No => match self.before.take() {
                Some(before) => before,
                None => return Ok(()),
            },
            OomScoreAdj::Relative => self.before()? + value,
            OomScoreAdj::Absolute => {
                self.before()?;
                value
            }
        };
        std::fs::write(FILE, format!("{}\n", score.clamp(-1000, 1000)))
            .map_err(|e| format!("Unable to write oom_score_adj: {}", os_error(&e)))
    }

    fn before(&mut self) -> Result<i32, String> {
        if let Some(before) = self.before {
            return Ok(before);
        }
        let text =
            std::fs::read_to_string(FILE).map_err(|e| format!("Unable to read oom_score_adj: {}", os_error(&e)))?;
        Ok(*self.before.insert(text.trim().parse().unwrap_or(0)))
    }
}
