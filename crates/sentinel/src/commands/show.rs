//! The replies that show masters, replicas, other Sentinels and scripts.

use rivulet_resp::Reply;

use super::{Call, Done, Outcome};
use crate::info::Role;
use crate::link::{At, Who};
use crate::replica::Reconfiguration;
use crate::scripts::JobState;
use crate::sentinel::Sentinel;

/// A map that is being written.
type Fields = Vec<(&'static str, String)>;

fn write(fields: &Fields, reply: &mut Reply<'_>) {
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

impl Sentinel {
    fn flags(&self, at: &At) -> String {
        let (Some(master), Some(instance)) = (self.masters.get(&at.master), self.instance(at)) else {
            return String::new();
        };
        let is_master = at.who == Who::Master;
        let mut flags = vec![
            (instance.down_since_ms.is_some(), "s_down"),
            (is_master && master.agreed_down_since_ms.is_some(), "o_down"),
            (is_master, "master"),
            (matches!(at.who, Who::Replica(_)), "slave"),
            (matches!(at.who, Who::Peer(_)), "sentinel"),
            (self.is_disconnected(at), "disconnected"),
        ];
        let attempt = master.failover.as_ref();
        match &at.who {
            Who::Master => {
                flags.push((attempt.is_some(), "failover_in_progress"));
                let is_forced = attempt.is_some_and(|a| a.request.is_users());
                flags.push((is_forced, "force_failover"));
                flags.push((
                    attempt.is_some_and(|a| a.request == crate::failover::Request::Coordinated),
                    "coord_failover",
                ));
            }
            Who::Replica(label) => {
                let way = master.replicas.get(label).map(|replica| replica.reconfiguration).unwrap_or_default();
                flags.push((attempt.and_then(|a| a.chosen()) == Some(label.as_str()), "promoted"));
                flags.push((matches!(way, Reconfiguration::Sent { .. }), "reconf_sent"));
                flags.push((way == Reconfiguration::InProgress, "reconf_inprog"));
                flags.push((way == Reconfiguration::Done, "reconf_done"));
            }
            Who::Peer(id) => flags.push((master.peers.get(id).is_some_and(|peer| peer.says_down), "master_down")),
            Who::Forgotten(_) => {}
        }
        flags.push((instance.is_script_kill_sent, "script_kill_sent"));
        flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect::<Vec<_>>().join(",")
    }

    fn fields(&self, at: &At) -> Fields {
        let mut fields = self.common_fields(at);
        match &at.who {
            Who::Master => self.master_fields(at, &mut fields),
            Who::Replica(label) => self.replica_fields(&at.master, label, &mut fields),
            Who::Peer(id) => self.peer_fields(&at.master, id, &mut fields),
            Who::Forgotten(_) => {}
        }
        fields
    }

    fn common_fields(&self, at: &At) -> Fields {
        let (Some(master), Some(instance), Some(link)) =
            (self.masters.get(&at.master), self.instance(at), self.link(at))
        else {
            return Fields::new();
        };
        let now_ms = self.now_ms;
        let age = |since: u64| now_ms.saturating_sub(since).to_string();
        let name = match &at.who {
            Who::Master => &at.master,
            Who::Replica(label) | Who::Forgotten(label) => label,
            Who::Peer(id) => id,
        };
        let mut fields: Fields = vec![
            ("name", name.clone()),
            ("ip", instance.address.announced(self.globals.announce_hostnames)),
            ("port", instance.address.port.to_string()),
            ("runid", instance.run_id.clone().unwrap_or_default()),
            ("flags", self.flags(at)),
            ("link-pending-commands", link.pending().to_string()),
            ("link-refcount", link.users.to_string()),
        ];
        if let Some(attempt) = master.failover.as_ref().filter(|_| at.who == Who::Master) {
            fields.push(("failover-state", attempt.word().to_string()));
        }
        fields.extend([
            ("last-ping-sent", link.ping_since_ms.map_or("0".to_string(), age)),
            ("last-ok-ping-reply", age(link.last_ok_ms)),
            ("last-ping-reply", age(link.last_pong_ms)),
        ]);
        fields.extend(instance.down_since_ms.map(|since| ("s-down-time", age(since))));
        let agreed = master.agreed_down_since_ms.filter(|_| at.who == Who::Master);
        fields.extend(agreed.map(|since| ("o-down-time", age(since))));
        fields.push(("down-after-milliseconds", master.settings.down_after_ms.to_string()));
        if !matches!(at.who, Who::Peer(_)) {
            fields.extend([
                ("info-refresh", instance.info_age_ms(now_ms).unwrap_or(0).to_string()),
                ("role-reported", if instance.role == Role::Master { "master".into() } else { "slave".into() }),
                ("role-reported-time", age(instance.role_since_ms)),
            ]);
        }
        fields
    }

    fn master_fields(&self, at: &At, fields: &mut Fields) {
        let Some(master) = self.masters.get(&at.master) else { return };
        fields.extend([
            ("config-epoch", master.config_epoch.to_string()),
            ("num-slaves", master.replicas.len().to_string()),
            ("num-other-sentinels", master.peers.len().to_string()),
            ("quorum", master.settings.quorum.to_string()),
            ("failover-timeout", master.settings.failover_timeout_ms.to_string()),
            ("parallel-syncs", master.settings.parallel_syncs.to_string()),
        ]);
        fields.extend(master.settings.notification_script.clone().map(|path| ("notification-script", path)));
        fields.extend(master.settings.reconfig_script.clone().map(|path| ("client-reconfig-script", path)));
    }

    fn replica_fields(&self, name: &str, label: &str, fields: &mut Fields) {
        let Some(replica) = self.masters.get(name).and_then(|master| master.replicas.get(label)) else { return };
        fields.extend([
            ("master-link-down-time", replica.link_down_ms.to_string()),
            ("master-link-status", if replica.is_link_up { "ok".into() } else { "err".into() }),
            ("master-host", replica.master_host.clone().unwrap_or_else(|| "?".into())),
            ("master-port", replica.master_port.to_string()),
            ("slave-priority", replica.priority.to_string()),
            ("slave-repl-offset", replica.offset.to_string()),
            ("replica-announced", u8::from(replica.is_announced).to_string()),
        ]);
    }

    fn peer_fields(&self, name: &str, id: &str, fields: &mut Fields) {
        let Some(peer) = self.masters.get(name).and_then(|master| master.peers.get(id)) else { return };
        fields.extend([
            ("last-hello-message", self.now_ms.saturating_sub(peer.last_hello_ms).to_string()),
            ("voted-leader", peer.vote.leader.clone().unwrap_or_else(|| "?".into())),
            ("voted-leader-epoch", peer.vote.epoch.to_string()),
        ]);
    }

    fn write_all(&self, all: &[At], reply: &mut Reply<'_>) {
        reply.array(all.len());
        for at in all {
            write(&self.fields(at), reply);
        }
    }
}

pub fn master(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let name = call.text(2);
    sentinel.named(&name)?;
    write(&sentinel.fields(&At::master(&name)), call.reply);
    Ok(Done::Replied)
}

pub fn masters(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let all: Vec<At> = sentinel.masters.keys().map(|name| At::master(name)).collect();
    sentinel.write_all(&all, call.reply);
    Ok(Done::Replied)
}

pub fn replicas(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let name = call.text(2);
    let announced = sentinel.named(&name)?.replicas.iter().filter(|(_, replica)| replica.is_announced);
    let all: Vec<At> = announced.map(|(label, _)| At::replica(&name, label)).collect();
    sentinel.write_all(&all, call.reply);
    Ok(Done::Replied)
}

pub fn sentinels(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let name = call.text(2);
    let all: Vec<At> = sentinel.named(&name)?.peers.keys().map(|id| At::peer(&name, id)).collect();
    sentinel.write_all(&all, call.reply);
    Ok(Done::Replied)
}

pub fn info_cache(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    let mut names: Vec<String> = (2..call.args.len()).map(|i| call.text(i)).collect();
    names.sort();
    names.dedup();
    names.retain(|name| sentinel.masters.contains_key(name));
    call.reply.array(names.len() * 2);
    for name in names {
        let Some(master) = sentinel.masters.get(&name) else { continue };
        call.reply.bulk(name.as_bytes());
        call.reply.array(master.replicas.len() + 1);
        let replicas = master.replicas.values().map(|replica| &replica.instance);
        for instance in std::iter::once(&master.instance).chain(replicas) {
            call.reply.array(2);
            call.reply.int(instance.info_age_ms(sentinel.now_ms).unwrap_or(0) as i64);
            match &instance.info {
                Some(info) => call.reply.bulk(info),
                None => call.reply.null(),
            }
        }
    }
    Ok(Done::Replied)
}

pub fn pending_scripts(sentinel: &mut Sentinel, call: Call<'_, '_, '_>) -> Outcome {
    call.reply.array(sentinel.scripts.jobs.len());
    for job in &sentinel.scripts.jobs {
        call.reply.map(5);
        call.reply.bulk(b"argv");
        call.reply.array(job.words.len());
        job.words.iter().for_each(|word| call.reply.bulk(word.as_bytes()));
        let (flags, pid, name, ms) = match job.state {
            JobState::Running { since_ms, pid, .. } => {
                ("running", pid, "run-time", sentinel.now_ms.saturating_sub(since_ms))
            }
            JobState::Waiting { until_ms } => ("scheduled", 0, "run-delay", until_ms.saturating_sub(sentinel.now_ms)),
        };
        let fields = [
            ("flags", flags.to_string()),
            ("pid", pid.to_string()),
            (name, ms.to_string()),
            ("retry-num", job.runs.to_string()),
        ];
        for (name, value) in fields {
            call.reply.bulk(name.as_bytes());
            call.reply.bulk(value.as_bytes());
        }
    }
    Ok(Done::Replied)
}
