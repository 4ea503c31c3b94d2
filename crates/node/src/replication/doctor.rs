//! REPLICATION DOCTOR: gathers what the doctor looks at, and says what it finds.

use rivulet_config::SynchronousCommit;
use rivulet_replication::doctor::{
    Backlog, CutOff, FailedLoads, Figures, GoodReplicas, Slowest, Synchronous, diagnose, measured,
};

use crate::node::Node;

impl Node {
    fn synchronous_figures(&self) -> Synchronous {
        let (config, there) = (&self.config, self.synchronous_replicas_there());
        let told = self.replication.master.sessions().filter(|(_, session)| session.fsynced_offset().is_some()).count();
        Synchronous {
            wanted: config.synchronous_replicas,
            there,
            timeout: config.synchronous_timeout,
            timed_out: self.replication.synchronous.timeouts,
            lacks_fsyncs: config.synchronous_commit == SynchronousCommit::Fsynced
                && (told as u64) < config.synchronous_replicas,
        }
    }

    pub(super) fn replication_doctor(&self) -> String {
        let now = self.now_ms();
        let (config, r) = (&self.config, &self.replication);
        let good = r.master.good_replicas(now).filter(|_| !self.is_replica());
        let slowest = self.ops.commandlog.slowest().map(|(name, us)| (String::from_utf8_lossy(name), us / 1000));
        let (hard, soft, _) = config.client_output_buffer_limit[1];
        let disk_error = self.persist.log.failure().filter(|_| self.persist.log.files.is_aof());
        let figures = Figures {
            measure: &r.observed.measure,
            syncs: &r.observed.syncs,
            link_down_seconds: r
                .link
                .as_ref()
                .filter(|l| !l.state.is_up())
                .and_then(|l| l.state.down_since_seconds(now)),
            diverged: r.truth.diverged.as_ref().map(|diverged| (diverged.offset, diverged.why.as_str())),
            is_unproven: self.is_unproven(),
            master_lacks_data: r.link.as_ref().is_some_and(|l| l.state.master_lacks_data()),
            unloadable: r.link.as_ref().filter(|l| l.state.unloadable().failures() > 0).map(|l| FailedLoads {
                count: l.state.unloadable().failures(),
                why: l.state.unloadable().why(),
                retry_in: l.state.retry_in(now),
                keeps_old_data: l.state.has_whole_data(),
            }),
            replicas: r.master.len(),
            disk_error: disk_error.as_deref(),
            backlog: Backlog {
                size: r.log.size(),
                auto: config.repl_backlog_size.bytes().is_none(),
                disk_size: config.repl_backlog_disk_size,
                on_disk: r.log.is_on_disk(),
            },
            timeout: config.repl_timeout * 1000,
            ping_period: config.repl_ping_replica_period * 1000,
            slowest: slowest.as_ref().map(|(name, took)| Slowest { name, took: *took }),
            cut_off: CutOff {
                by_output_limits: r.cut_off.by_output_limit,
                output_limits: (hard, soft),
                by_hold_limit: r.cut_off.by_hold_limit,
                hold_limit: self.hold_limit(),
            },
            good_replicas: good.map(|there| GoodReplicas {
                wanted: config.min_replicas_to_write as usize,
                lag_seconds_max: config.min_replicas_max_lag,
                there,
            }),
            synchronous: self.front.held.marks.then(|| self.synchronous_figures()),
        };
        let findings = diagnose(&figures);
        let mut text = String::new();
        match findings.len() {
            0 => text += "Nothing is wrong with replication, as far as it was measured.\n",
            n => {
                text += &format!("{n} {} of replication:\n", if n == 1 { "finding" } else { "findings" });
                for (i, finding) in findings.iter().enumerate() {
                    text += &format!("{}. {finding}\n", i + 1);
                }
            }
        }
        text + &measured(&figures) + "\n"
    }
}
