//! SENTINEL DOCTOR: in sentences, what is wrong with a master's set, who would take the master's place, and why.

use crate::commands::{Call, Done, Outcome};
use crate::link::At;
use crate::master::Master;
use crate::sentinel::Sentinel;

pub(crate) fn doctor(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let names: Vec<String> = match call.args.len() {
        2 => sentinel.masters.keys().cloned().collect(),
        3 => vec![String::from_utf8_lossy(call.args.at(2)).into_owned()],
        _ => return Err("ERR wrong number of arguments for 'sentinel|doctor' command".into()),
    };
    let mut sentences = Vec::new();
    for name in names {
        sentences.extend(sentinel.findings(sentinel.named(&name)?));
    }
    if sentences.is_empty() {
        sentences.push("No master is watched: name one with SENTINEL MONITOR or in the configuration.".into());
    }
    call.reply.verbatim("txt", (sentences.join("\n") + "\n").as_bytes());
    Ok(Done::Replied)
}

impl Sentinel {
    fn findings(&self, master: &Master) -> Vec<String> {
        let mut findings = vec![self.state_of(master)];
        findings.extend(self.agreement_of(master));
        findings.extend(self.settings_of(master));
        let choice = self.choice_for(master);
        match (&choice.winner, choice.lacks_bytes) {
            (Some(winner), Some(lacks)) => {
                findings.push(format!(
                    "If it failed now, {winner} would take its place, {lacks} bytes behind what the master last told."
                ));
            }
            (Some(winner), None) => findings.push(format!("If it failed now, {winner} would take its place.")),
            (None, _) if master.replicas.is_empty() => {
                findings.push("If it failed now, nobody could take its place: no replica is known.".into());
            }
            (None, _) => findings.push("If it failed now, nobody could take its place: no replica is fit.".into()),
        }
        if !self.can_fence(master) {
            findings.push(format!(
                "But this Sentinel would leave it to others: {} members answer here, {} must be fenced.",
                self.members_that_answer(master),
                master.fences_needed()
            ));
        }
        findings.extend(self.never_promoted(master));
        findings.extend(choice.remarks.iter().map(|(label, remark)| format!("  {label}: {remark}.")));
        if let Some(last) = master.last_choice.as_ref().filter(|last| **last != choice) {
            findings.push("At the last failover that this Sentinel led:".into());
            findings.extend(last.remarks.iter().map(|(label, remark)| format!("  {label}: {remark}.")));
        }
        findings
    }

    /// Whose acknowledgements count, though they may never be the master.
    fn never_promoted(&self, master: &Master) -> Vec<String> {
        let never = master.replicas.iter().filter(|(_, replica)| replica.priority == 0);
        let tell = |label: &str| {
            format!(
                "{label} has priority 0, and acknowledges writes: if it has more than all others when the master fails, nobody is promoted until it has another \
                 one (CONFIG SET replica-priority)."
            )
        };
        never.filter(|_| master.synchronous() > 0).map(|(label, _)| tell(label)).collect()
    }

    fn state_of(&self, master: &Master) -> String {
        let address = master.current_address();
        let name = format!("Master '{}' at {address}, term {}", master.name, master.config_epoch);
        let offset = master.history.as_ref().map_or(String::new(), |history| format!(", offset {}", history.offset));
        let ago = |since: u64| self.now_ms.saturating_sub(since);
        if let Some(attempt) = &master.failover {
            return format!("{name}: a failover is under way for {} ms ({}).", ago(attempt.began_ms), attempt.word());
        }
        if let Some(replica) = self.outlived_by(master) {
            return format!("{name}: it was started again and lacks what it had acknowledged; {replica} has that.");
        }
        match (master.instance.down_since_ms, master.agreed_down_since_ms, &master.reborn) {
            (_, _, Some(reason)) => format!("{name}: {reason}."),
            (Some(_), Some(since), _) => format!("{name}: enough Sentinels have seen it down for {} ms.", ago(since)),
            (Some(since), None, _) => format!("{name}: only this Sentinel has seen it down, for {} ms.", ago(since)),
            _ if self.is_disconnected(&At::master(&master.name)) => format!("{name}: it is not connected."),
            _ => format!("{name}: it is well{offset}."),
        }
    }

    fn agreement_of(&self, master: &Master) -> Vec<String> {
        let (up, no_quorum, no_majority) = self.reachable(master);
        let (voters, quorum) = (master.voters(), master.settings.quorum);
        let mut findings =
            vec![format!("{up} of {voters} Sentinels are up; {quorum} must agree, {} must elect.", master.majority())];
        if no_quorum {
            findings.push("These are too few to agree that it is down.".into());
        }
        if no_majority {
            findings.push("These are too few to elect a leader: nothing will be done if it fails.".into());
        }
        if voters < 3 {
            findings.push("With fewer than three Sentinels the loss of one leaves no majority.".into());
        }
        if self.tilt.is_on() {
            findings.push("This Sentinel was not run for a while and does not act yet (TILT).".into());
        }
        findings
    }

    fn settings_of(&self, master: &Master) -> Vec<String> {
        let mut findings = Vec::new();
        if !master.settings.is_strict {
            findings.push("strict-failover is off: a replica with other data may take its place, as in Redis.".into());
        }
        if master.settings.secret.is_none() && master.voters() > 1 {
            findings.push(
                "No hello-secret is set: whoever reaches an instance can tell the Sentinels of another master.".into(),
            );
        }
        findings
    }
}
