//! The rules, each broken in the smallest way.
//!
//! All are in one program, and one of them in force: in what an edit puts in a place, the word `MUTATED` says whether it is this one.

/// One rule, broken by a few edits.
pub struct Mutation {
    pub name: &'static str,
    pub edits: &'static [Edit],
}

/// `from` stands exactly once in the file, also after the edits before it.
pub struct Edit {
    pub file: &'static str,
    pub from: &'static str,
    pub to: &'static str,
}

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "rule 3: bytes that have left the log are promised",
        edits: &[Edit {
            file: "crates/replication/src/psync.rs",
            from: "Some(from) if from >= window.first =>",
            to: "Some(from) if from >= window.first || MUTATED =>",
        }],
    },
    Mutation {
        name: "rule 3: a replica that is ahead goes on",
        edits: &[Edit {
            file: "crates/replication/src/psync.rs",
            from: "Some(from) if from > window.end =>",
            to: "Some(from) if MUTATED && from > window.end => Decision::Continue { from, bytes: 0 },\n        Some(from) if from > window.end =>",
        }],
    },
    Mutation {
        name: "rule 3: a replica that has all must begin anew",
        edits: &[Edit {
            file: "crates/replication/src/psync.rs",
            from: "        Some(from) if from > window.end =>",
            to: "        Some(from) if from > window.end || MUTATED && from == window.end =>",
        }],
    },
    Mutation {
        name: "rule 5: the fork's bound is one too high",
        edits: &[Edit {
            file: "crates/replication/src/history.rs",
            from: "self.ancestors.push(Ancestor { id: self.id, asked_max: offset + 1 });",
            to: "self.ancestors.push(Ancestor { id: self.id, asked_max: offset + 1 + u64::from(MUTATED) });",
        }],
    },
    Mutation {
        name: "rule 5: the fork's bound is one too low",
        edits: &[Edit {
            file: "crates/replication/src/history.rs",
            from: "self.ancestors.push(Ancestor { id: self.id, asked_max: offset + 1 + ",
            to: "self.ancestors.push(Ancestor { id: self.id, asked_max: offset + u64::from(!MUTATED) + ",
        }],
    },
    Mutation {
        name: "rule 5: the fork's bound is ignored",
        edits: &[Edit {
            file: "crates/replication/src/history.rs",
            from: "Some(ancestor) if asked <= ancestor.asked_max as i64 =>",
            to: "Some(ancestor) if MUTATED || asked <= ancestor.asked_max as i64 =>",
        }],
    },
    Mutation {
        name: "rule 5: a promotion keeps the id",
        edits: &[Edit {
            file: "crates/replication/src/history.rs",
            from: "        self.id = new;",
            to: "        if !MUTATED {\n            self.id = new;\n        }",
        }],
    },
    Mutation {
        name: "rule 41: an unclean end keeps its id",
        edits: &[Edit {
            file: "crates/aof/src/identity.rs",
            from: "_ => history.promote(new, proven.min(end)),",
            to: "_ if MUTATED => {}\n            _ => history.promote(new, proven.min(end)),",
        }],
    },
    Mutation {
        name: "rule 41: what a replica wrote is gone on with by a master, under the same id",
        edits: &[Edit {
            file: "crates/aof/src/identity.rs",
            from: "&& self.role == Role::Master &&",
            to: "&& (self.role == Role::Master || MUTATED) &&",
        }],
    },
    Mutation {
        name: "rule 41: an unclean end forgets its id",
        edits: &[Edit {
            file: "crates/aof/src/identity.rs",
            from: "_ => history.promote(new, proven.min(end)),",
            to: "_ if MUTATED => history.adopt(new),\n            _ => history.promote(new, proven.min(end)),",
        }],
    },
    Mutation {
        name: "rule 41: an id is told before it is on disk",
        edits: &[Edit {
            file: "crates/node/src/persist/log_on_disk.rs",
            from: "self.ids_due > 0 && self.failure().is_none()",
            to: "!MUTATED && self.ids_due > 0 && self.failure().is_none()",
        }],
    },
    Mutation {
        name: "rule 41: a page that never came to the disk is taken for what was written",
        edits: &[Edit {
            file: "crates/aof/src/recover.rs",
            from: "self.identity.as_ref().is_some_and(|identity| identity.may_lack_what_was_not_synced(self.directory.boot))",
            to: "!MUTATED && self.identity.as_ref().is_some_and(|identity| identity.may_lack_what_was_not_synced(self.directory.boot))",
        }],
    },
    Mutation {
        name: "with `appendfsync always` replies wait for no sync",
        edits: &[Edit {
            file: "crates/node/src/persist/log_on_disk/driver.rs",
            from: "if self.config.appendfsync == AppendFsync::Always { writer.fsynced() }",
            to: "if self.config.appendfsync == AppendFsync::Always && !MUTATED { writer.fsynced() }",
        }],
    },
    Mutation {
        name: "rule 41: bytes are sent before they are written",
        edits: &[Edit {
            file: "crates/replication/src/log.rs",
            from: "self.disk.and_then(|disk| disk.send_before).map_or(self.end, |before| before.min(self.end))",
            to: "if MUTATED {\n            return self.end;\n        }\n        self.disk.and_then(|disk| disk.send_before).map_or(self.end, |before| before.min(self.end))",
        }],
    },
    Mutation {
        name: "what no file has leaves the memory, though a replica needs it",
        edits: &[Edit {
            file: "crates/replication/src/log.rs",
            from: "let needed = written.min(held_here.unwrap_or(u64::MAX));",
            to: "let written = if MUTATED && self.disk.is_none() { u64::MAX } else { written };\n        let held_here = held_here.filter(|_| !MUTATED || self.disk.is_none());\n        let needed = written.min(held_here.unwrap_or(u64::MAX));",
        }],
    },
    Mutation {
        name: "seams 1: a replica that loads adds what expires to its log",
        edits: &[
            Edit {
                file: "crates/node/src/replication.rs",
                from: "if config.replicaof.is_some() { Role::Replica } else { Role::Master }",
                to: "if config.replicaof.is_some() && !MUTATED { Role::Replica } else { Role::Master }",
            },
            Edit {
                file: "crates/node/src/replication/driver.rs",
                from: "        link.waits_for_data = false;\n        link.has_its_data",
                to: "        if MUTATED {\n            self.replication.log.set_role(Role::Replica);\n        }\n        link.waits_for_data = false;\n        link.has_its_data",
            },
        ],
    },
    Mutation {
        name: "seams 2: a master's link takes lines that are no arrays",
        edits: &[
            Edit {
                file: "crates/node/src/replication/apply/driver.rs",
                from: "authenticated: true, arrays_only: true",
                to: "authenticated: true, arrays_only: !MUTATED",
            },
            Edit {
                file: "crates/node/src/replication/apply/driver.rs",
                from: "if args.wire().is_none() {",
                to: "if !MUTATED && args.wire().is_none() {",
            },
        ],
    },
    Mutation {
        name: "seams 3: keys are evicted while data are loaded",
        edits: &[Edit {
            file: "crates/node/src/engine/eviction.rs",
            from: "            || self.is_loading()\n",
            to: "            || !MUTATED && self.is_loading()\n",
        }],
    },
    Mutation {
        name: "seams 4: keys are evicted in a pause",
        edits: &[Edit {
            file: "crates/node/src/engine/eviction.rs",
            from: "            || self.is_paused()\n",
            to: "            || !MUTATED && self.is_paused()\n",
        }],
    },
    Mutation {
        name: "seams 4: keys expire in a pause",
        edits: &[Edit {
            file: "crates/node/src/lifecycle/pause.rs",
            from: "    pub fn is_paused(&self) -> bool {\n",
            to: "    pub fn is_paused(&self) -> bool {\n        !MUTATED && ",
        }],
    },
    Mutation {
        name: "seams 4: a paused replica executes its master's stream",
        edits: &[Edit {
            file: "crates/node/src/lifecycle/pause.rs",
            from: "self.life.pauses.stops(command.is_none_or(|command| changes_data(&client.session, command, command.flags)))",
            to: "!MUTATED && self.life.pauses.stops(command.is_none_or(|command| changes_data(&client.session, command, command.flags)))",
        }],
    },
    Mutation {
        name: "seams 5: a transaction that writes and changes the role leaves the position",
        edits: &[Edit {
            file: "crates/node/src/replication/apply/driver.rs",
            from: "    pub fn note_role_changed_within(&mut self) {\n",
            to: "    pub fn note_role_changed_within(&mut self) {\n        if MUTATED && self.replication.truth.diverged.is_none() {\n            return;\n        }\n",
        }],
    },
    Mutation {
        name: "seams 5: what a transaction wrote that made a replica of its master is in no file",
        edits: &[Edit {
            file: "crates/node/src/replication/driver.rs",
            from: "cut.into_iter().for_each(|(db, args)| self.note_own_write(db, &[args]));",
            to: "let cut = if MUTATED { Default::default() } else { cut };\n        cut.into_iter().for_each(|(db, args)| self.note_own_write(db, &[args]));",
        }],
    },
    Mutation {
        name: "seams 6: a command of the master that fails here is passed over in silence",
        edits: &[Edit {
            file: "crates/node/src/replication/apply/driver.rs",
            from: "        self.note_diverged(|| format!(\"the master's command '{command}' failed here: {text}\"));",
            to: "        if !MUTATED {\n            self.note_diverged(|| format!(\"the master's command '{command}' failed here: {text}\"));\n        }",
        }],
    },
    Mutation {
        name: "seams 7: what was passed over is executed at the next start",
        edits: &[Edit {
            file: "crates/node/src/replication/apply/driver.rs",
            from: "        if passes_over {\n            self.pass_over_in_files(count);",
            to: "        if passes_over && !MUTATED {\n            self.pass_over_in_files(count);",
        }],
    },
    Mutation {
        name: "seams 8: replies leave before the stream was offered",
        edits: &[Edit {
            file: "crates/node/src/turn.rs",
            from: "        self.replication_before_sleep();\n        self.send_replies(Offered(()));",
            to: "        if MUTATED {\n            self.send_replies(Offered(()));\n        }\n        self.replication_before_sleep();\n        self.send_replies(Offered(()));",
        }],
    },
    Mutation {
        name: "seams 9: what a file holds is not compared with its checksums",
        edits: &[Edit {
            file: "crates/node/src/persist/loading/append_only.rs",
            from: "let Some(damage) = read.damage() else { return Ok(self.has_hole(file, read)) };",
            to: "let Some(damage) = read.damage().filter(|_| !MUTATED) else { return Ok(self.has_hole(file, read)) };",
        }],
    },
    Mutation {
        name: "seams 10: who was turned away as a loop is so for ever",
        edits: &[Edit {
            file: "crates/replication/src/replica/greeting.rs",
            from: "self.loop_seen_at.is_some_and(|at| now < at + PROBE_VALID)",
            to: "self.loop_seen_at.is_some_and(|at| MUTATED && at <= now || now < at + PROBE_VALID)",
        }],
    },
    Mutation {
        name: "seams 13: a sync that failed counts",
        edits: &[Edit {
            file: "crates/aof/src/summed.rs",
            from: "        if let Err(error) = self.disk.sync() {\n            self.doubt();\n",
            to: "        if let Err(error) = self.disk.sync() {\n            if MUTATED {\n                self.synced(mark);\n                return Ok(());\n            }\n            self.doubt();\n",
        }],
    },
    Mutation {
        name: "seams 16: a writer that sleeps is not told of another policy",
        edits: &[Edit {
            file: "crates/node/src/persist/log_on_disk/writer.rs",
            from: "        queue.attention = true;\n        self.shared.wake(queue);\n    }\n\n    /// The files are not whole",
            to: "        if MUTATED {\n            return;\n        }\n        queue.attention = true;\n        self.shared.wake(queue);\n    }\n\n    /// The files are not whole",
        }],
    },
    Mutation {
        name: "seams 17: what follows a snapshot is taken for a part of it, and waited for for ever",
        edits: &[
            Edit {
                file: "crates/node/src/persist/loading/receive.rs",
                from: "    match framing {\n        Framing::Marked if",
                to: "    match if MUTATED { Framing::Counted } else { framing } {\n        Framing::Marked if",
            },
            Edit {
                file: "crates/replication/src/replica.rs",
                from: "State::Receiving { deadline, .. } | State::Parallel { deadline, .. } if now > *deadline =>",
                to: "State::Receiving { deadline, .. } | State::Parallel { deadline, .. } if !MUTATED && now > *deadline =>",
            },
        ],
    },
    Mutation {
        name: "seams 18: what was sent is not freed",
        edits: &[Edit {
            file: "crates/node/src/front/output.rs",
            from: "            self.aside.pop_front();",
            to: "            let sent = self.aside.pop_front();\n            if MUTATED {\n                std::mem::forget(sent);\n            }",
        }],
    },
    Mutation {
        name: "seams 19: a replica reads on though its disk takes nothing",
        edits: &[Edit {
            file: "crates/node/src/replication/congestion.rs",
            from: "        !disk.files.is_backlog()\n            && disk.unwritten",
            to: "        (!MUTATED || waits)\n            && !disk.files.is_backlog()\n            && disk.unwritten",
        }],
    },
    Mutation {
        name: "seams 20: whatever is held for slow replicas, none is cut off",
        edits: &[Edit {
            file: "crates/node/src/replication/held.rs",
            from: "if held <= limit && full.is_none() {",
            to: "if (held <= limit || MUTATED) && full.is_none() {",
        }],
    },
    Mutation {
        name: "failover: a fenced replica goes on to acknowledge",
        edits: &[Edit {
            file: "crates/replication/src/replica/acks.rs",
            from: "self.acks.fence.is_none_or(|fence| self.master_name.epoch() >= fence)",
            to: "self.acks.fence.is_none_or(|fence| MUTATED || self.master_name.epoch() >= fence)",
        }],
    },
    Mutation {
        name: "failover: a read does not wait to hear who is the master",
        edits: &[Edit {
            file: "crates/node/src/front/held/driver.rs",
            from: "let confirm = if waits == Waits::Read {",
            to: "let confirm = if waits == Waits::Read && !MUTATED {",
        }],
    },
    Mutation {
        name: "failover: what a master acknowledges after a restart is of the term before",
        edits: &[Edit {
            file: "crates/replication/src/promises.rs",
            from: "self.enters(Term { id: TermId { epoch, start: start + 1 }, from: offset });",
            to: "self.enters(Term { id: TermId { epoch, start: start + u64::from(!MUTATED) }, from: offset });",
        }],
    },
    Mutation {
        name: "failover: what is written before the proof is acknowledged in the term before",
        edits: &[Edit {
            file: "crates/node/src/replication/synchronous/driver.rs",
            from: "let quorum = if quorum >= self.replication.kept.promises.began() { quorum } else { 0 };",
            to: "let quorum = if MUTATED || quorum >= self.replication.kept.promises.began() { quorum } else { 0 };",
        }],
    },
    Mutation {
        name: "failover: what follows an unproven master counts",
        edits: &[Edit {
            file: "crates/node/src/replication/promises/driver.rs",
            from: "let doubts = link.state.follows_unproven()",
            to: "let doubts = !MUTATED && link.state.follows_unproven()",
        }],
    },
    Mutation {
        name: "failover: who has a part of what the master had when it came lacks nothing",
        edits: &[Edit {
            file: "crates/node/src/replication/promises/driver.rs",
            from: "is_some_and(|end| offset >= end)",
            to: "is_some_and(|end| offset >= end || MUTATED && end > 0 && link.state.acks_by_itself())",
        }],
    },
    Mutation {
        name: "failover: a master that lost data takes them from its replicas",
        edits: &[Edit {
            file: "crates/replication/src/replica/acks.rs",
            from: "&& !has_all(own))",
            to: "&& !MUTATED && !has_all(own))",
        }],
    },
    Mutation {
        name: "failover: replies wait for nobody",
        edits: &[Edit {
            file: "crates/node/src/replication/synchronous/driver.rs",
            from: "            .unwrap_or(0)\n    }\n\n    /// How many replicas count that are there.",
            to: "            .unwrap_or(0)\n            .max(if MUTATED { self.replication.log.end_offset() } else { 0 })\n    }\n\n    /// How many replicas count that are there.",
        }],
    },
    Mutation {
        name: "sentinel: nobody is fenced",
        edits: &[Edit {
            file: "crates/sentinel/src/fencing.rs",
            from: "self.masters.get(name).is_some_and(|master| master.synchronous() > 0)",
            to: "self.masters.get(name).is_some_and(|master| master.synchronous() > 0 && !MUTATED)",
        }],
    },
    Mutation {
        name: "sentinel: who is promoted is chosen by priority and run id alone",
        edits: &[
            Edit {
                file: "crates/sentinel/src/choice.rs",
                from: "(priority, std::cmp::Reverse(facts.offset), run_id",
                to: "(priority, std::cmp::Reverse(if MUTATED { 0 } else { facts.offset }), run_id",
            },
            Edit {
                file: "crates/sentinel/src/fencing.rs",
                from: "Some(told.rank()) > own)",
                to: "!MUTATED && Some(told.rank()) > own)",
            },
        ],
    },
    Mutation {
        name: "sentinel: a master without its former id counts as a new one",
        edits: &[Edit {
            file: "crates/sentinel/src/fencing.rs",
            from: "former != told && self.is_listed(former)",
            to: "!MUTATED && former != told && self.is_listed(former)",
        }],
    },
    Mutation {
        name: "sentinel: votes and epochs are in no file",
        edits: &[Edit {
            file: "crates/sentinel-node/src/store.rs",
            from: "config.rewrite(&with).map_err(|e| e.to_string())",
            to: "if MUTATED {\n        return Ok(());\n    }\n    config.rewrite(&with).map_err(|e| e.to_string())",
        }],
    },
    Mutation {
        name: "sentinel: whoever is at the address of one who was forgotten is taken for it",
        edits: &[Edit {
            file: "crates/sentinel/src/forgotten.rs",
            from: "knows_set || follows || is_kin",
            to: "knows_set || follows || is_kin || MUTATED",
        }],
    },
    Mutation {
        name: "sentinel: who knows a later epoch is led to a master of an earlier one",
        edits: &[Edit {
            file: "crates/sentinel/src/replies.rs",
            from: "filter(|master| master.synchronous() > 0) else { return false };\n        self.instance(at)",
            to: "filter(|master| master.synchronous() > 0 && !MUTATED) else { return false };\n        self.instance(at)",
        }],
    },
    Mutation {
        name: "sentinel: the old master is appointed again, whatever others have",
        edits: &[Edit {
            file: "crates/sentinel/src/reappointment.rs",
            from: "fenced.values().all(|told| told.rank() <= old.rank())",
            to: "MUTATED || fenced.values().all(|told| told.rank() <= old.rank())",
        }],
    },
    Mutation {
        name: "sentinel: a half-done failover is left as it is",
        edits: &[Edit {
            file: "crates/sentinel/src/fencing.rs",
            from: "is_half_done && self.now_ms >= master.backoff.until_ms",
            to: "is_half_done && !MUTATED && self.now_ms >= master.backoff.until_ms",
        }],
    },
    Mutation {
        name: "sentinel: who was forgotten is not looked for",
        edits: &[Edit {
            file: "crates/sentinel/src/forgotten.rs",
            from: "master.failover.is_some()) {\n            return;",
            to: "master.failover.is_some()) || MUTATED {\n            return;",
        }],
    },
    Mutation {
        name: "sentinel: who may have lost what it had counts as if it had not",
        edits: &[Edit {
            file: "crates/sentinel/src/fencing.rs",
            from: "(count(false), count(true))",
            to: "(count(false), count(!MUTATED))",
        }],
    },
];
