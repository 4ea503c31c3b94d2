//! Scripts that tell somebody, or reconfigure clients. They run as processes of their own, one after the other is begun, and again when they ask
//! for it by their exit status 1 or were killed.

use std::collections::VecDeque;

use crate::events::Level;
use crate::sentinel::{Action, Sentinel};

/// Waiting and running scripts; the oldest that waits goes when there are more.
const QUEUE_MAX: usize = 256;
const RUNNING_MAX: usize = 16;
const RUNS_MAX: u32 = 10;

/// A script to be run, or that runs.
#[derive(Debug)]
pub struct Job {
    pub id: u64,
    /// The program, and its arguments.
    pub words: Vec<String>,
    pub state: JobState,
    /// How often it was run.
    pub runs: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Not before this moment.
    Waiting { until_ms: u64 },
    /// `pid` is 0 until the driver has said it.
    Running { since_ms: u64, pid: u32, is_killed: bool },
}

/// The queue.
#[derive(Debug, Default)]
pub struct Scripts {
    pub jobs: VecDeque<Job>,
    next_id: u64,
}

impl Scripts {
    pub fn running(&self) -> usize {
        self.jobs.iter().filter(|job| matches!(job.state, JobState::Running { .. })).count()
    }

    fn find(&mut self, id: u64) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }
}

impl Sentinel {
    pub(crate) fn schedule_script(&mut self, words: Vec<String>) {
        let scripts = &mut self.scripts;
        scripts.next_id += 1;
        let state = JobState::Waiting { until_ms: 0 };
        scripts.jobs.push_back(Job { id: scripts.next_id, words, state, runs: 0 });
        if scripts.jobs.len() > QUEUE_MAX
            && let Some(oldest) = scripts.jobs.iter().position(|job| matches!(job.state, JobState::Waiting { .. }))
        {
            scripts.jobs.remove(oldest);
        }
    }

    /// Begins what is due, and ends what has run for too long.
    pub(crate) fn run_scripts(&mut self) {
        let now_ms = self.now_ms;
        let mut room = RUNNING_MAX.saturating_sub(self.scripts.running());
        let (mut begun, mut late) = (Vec::new(), Vec::new());
        for job in &mut self.scripts.jobs {
            match &mut job.state {
                JobState::Waiting { until_ms } if *until_ms <= now_ms && room > 0 => {
                    room -= 1;
                    job.runs += 1;
                    job.state = JobState::Running { since_ms: now_ms, pid: 0, is_killed: false };
                    begun.push(Action::RunScript { job: job.id, words: job.words.clone() });
                }
                JobState::Running { since_ms, pid, is_killed }
                    if !*is_killed && now_ms.saturating_sub(*since_ms) > self.periods.script_max_ms =>
                {
                    *is_killed = true;
                    late.push((job.id, format!("{} {pid}", job.words[0])));
                }
                _ => {}
            }
        }
        self.actions.extend(begun);
        for (job, text) in late {
            self.event_text(Level::Warning, "-script-timeout", None, &text);
            self.actions.push(Action::KillScript { job });
        }
    }

    /// A script's process has begun.
    pub fn script_began(&mut self, id: u64, process: u32) {
        if let Some(JobState::Running { pid, .. }) = self.scripts.find(id).map(|job| &mut job.state) {
            *pid = process;
            self.event_text(Level::Debug, "+script-child", None, &process.to_string());
        }
    }

    /// A script could not be begun: that counts as if it were ended by a signal 99, and it is not tried again.
    pub fn script_failed(&mut self, id: u64) {
        let Some(at) = self.scripts.jobs.iter().position(|job| job.id == id) else { return };
        if let Some(job) = self.scripts.jobs.remove(at) {
            self.event_text(Level::Warning, "-script-error", None, &format!("{} 99 0", job.words[0]));
        }
    }

    /// A script's process has ended, with a status, or by a signal (0 for none).
    pub fn script_ended(&mut self, id: u64, status: i32, signal: i32) {
        let (now_ms, delay_ms) = (self.now_ms, self.periods.script_retry_ms);
        let Some(at) = self.scripts.jobs.iter().position(|job| job.id == id) else { return };
        let job = &mut self.scripts.jobs[at];
        let pid = if let JobState::Running { pid, .. } = job.state { pid } else { 0 };
        let name = job.words[0].clone();
        if (signal != 0 || status == 1) && job.runs < RUNS_MAX {
            let factor = 1u64 << job.runs.saturating_sub(1).min(20);
            job.state = JobState::Waiting { until_ms: now_ms + delay_ms.saturating_mul(factor) };
        } else {
            self.scripts.jobs.remove(at);
            if signal != 0 || status != 0 {
                self.event_text(Level::Warning, "-script-error", None, &format!("{name} {signal} {status}"));
            }
        }
        self.event_text(Level::Debug, "-script-child", None, &format!("{pid} {status} {signal}"));
    }

    /// Tells clients of a new master by the script that the user gave, if any.
    pub(crate) fn call_reconfig_script(&mut self, name: &str, role: &str, from: (String, u16), to: (String, u16)) {
        let script = self.masters.get(name).and_then(|master| master.settings.reconfig_script.clone());
        if let Some(script) = script {
            let words = [script, name.into(), role.into(), "start".into()];
            let addresses = [from.0, from.1.to_string(), to.0, to.1.to_string()];
            self.schedule_script(words.into_iter().chain(addresses).collect());
        }
    }
}
