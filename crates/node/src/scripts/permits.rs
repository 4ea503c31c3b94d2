//! What a script may do, by its flags and by the server's condition. The rules and texts are those of Redis 7.0 (`scriptPrepareForRun` and
//! `scriptCall` in script.c).

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::{Handler, Node as Run, flag};
use rivulet_engine::client_id::ClientId;
use rivulet_resp::Args;
use rivulet_scripting::{Flag, Flags, Scripts as Cache};

use super::Task;
use crate::front::clients::Client;
use crate::node::Node;

/// What the commands of a run may do.
#[derive(Clone, Copy, Debug)]
pub struct Permits {
    /// Nothing may be written.
    is_read_only: bool,
    allows_oom: bool,
    /// It comes from the master: nothing is refused for this server's condition.
    is_masters: bool,
    /// Memory was short when it began.
    is_out_of_memory: bool,
}

/// The flags of a command as they are for these arguments: a script that says what it does is looked at for that.
pub fn effective_flags(node: &Node, command: &Command, args: Args<'_>) -> u32 {
    let Some(flags) = node.script_flags(command, args) else { return command.flags };
    let mut all = command.flags & !(flag::STALE | flag::DENYOOM | flag::WRITE | flag::MAY_REPLICATE);
    if !flags.has(Flag::NoWrites) {
        all |= flag::WRITE;
        if !flags.has(Flag::AllowOom) {
            all |= flag::DENYOOM;
        }
    }
    if flags.has(Flag::AllowStale) {
        all |= flag::STALE;
    }
    all
}

impl Node {
    /// What the script or function of a command says of itself, if there is one and it does.
    fn script_flags(&self, command: &Command, args: Args<'_>) -> Option<Flags> {
        let engine = self.scripts.engine.as_ref();
        match command.handler {
            Handler::Node(Run::Eval) if command.name.starts_with("evalsha") => engine?.cached().flags_of(args.get(1)?),
            Handler::Node(Run::Eval) => Cache::flags_in(args.get(1)?),
            Handler::Node(Run::Fcall) => {
                let functions = engine?.loaded();
                let id = functions.find(args.get(1)?).ok()?;
                functions.function(id).map(|function| function.flags())
            }
            _ => None,
        }
    }

    /// What a run may do.
    ///
    /// # Errors
    /// It may not run now.
    pub(super) fn permits(&self, id: ClientId, task: &Task<'_>) -> Result<Permits, Fail> {
        let is_masters = self.clients.get(id).is_some_and(Client::is_master);
        let is_stale = self.replication.is_stale() && !self.config.replica_serve_stale_data;
        let is_out_of_memory = self.is_short_of_memory();
        match task.flags {
            Some(flags) => self.check_flagged(flags, task.is_read_only, is_masters, is_stale, is_out_of_memory)?,
            None if is_stale => {
                return Err(Fail::new(
                    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                ));
            }
            None => {}
        }
        Ok(Permits {
            is_read_only: task.is_read_only || task.flags.is_some_and(|flags| flags.has(Flag::NoWrites)),
            allows_oom: task.flags.is_some_and(|flags| flags.has(Flag::AllowOom)),
            is_masters,
            is_out_of_memory,
        })
    }

    fn check_flagged(
        &self,
        flags: Flags,
        is_read_only: bool,
        is_masters: bool,
        is_stale: bool,
        is_out_of_memory: bool,
    ) -> Result<(), Fail> {
        if is_stale && !flags.has(Flag::AllowStale) {
            return Err(Fail::new(
                "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' flag is not set on the script.",
            ));
        }
        if !flags.has(Flag::NoWrites) && !is_masters {
            self.check_writing_script(is_read_only)?;
        }
        if is_out_of_memory && !flags.has(Flag::AllowOom) && !flags.has(Flag::NoWrites) {
            return Err(Fail::new(
                "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
            ));
        }
        Ok(())
    }

    fn check_writing_script(&self, is_read_only: bool) -> Result<(), Fail> {
        if self.is_replica() && self.config.replica_read_only {
            return Err(Fail::new("READONLY Can not run script with write flag on readonly replica."));
        }
        if let Err(fail) = self.check_disk() {
            let mut text = b"MISCONF Redis is configured to ".to_vec();
            let what = match aof_error(&fail) {
                None => "save RDB snapshots",
                Some(_) => "persist data to AOF",
            };
            text.extend(what.as_bytes());
            text.extend(b", but it's currently unable to persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts.");
            if let Some(error) = aof_error(&fail) {
                text.extend(b" AOF error: ");
                text.extend(error);
            }
            return Err(Fail::bytes(text));
        }
        if is_read_only {
            return Err(Fail::new("ERR Can not execute a script with write flag using *_ro command."));
        }
        if !self.is_replica() && self.too_few_good_replicas() {
            return Err(Fail::new("NOREPLICAS Not enough good replicas to write."));
        }
        Ok(())
    }

    /// Whether a command may be called by scripts at all now.
    pub(super) fn check_called(&self, permits: Permits, command: &Command) -> Result<(), Fail> {
        if command.is(flag::NOSCRIPT) && !self.ops.debug.scripts_may_all {
            return Err(Fail::new("ERR This Redis command is not allowed from script"));
        }
        let is_stale = self.replication.is_stale() && !self.config.replica_serve_stale_data;
        if is_stale && !permits.is_masters && !command.is(flag::STALE) {
            return Err(Fail::new("ERR Can not execute the command on a stale replica"));
        }
        Ok(())
    }

    /// Whether a command that may be called may be by a run that has written or not.
    pub(super) fn check_within(&self, permits: Permits, has_written: bool, command: &Command) -> Result<(), Fail> {
        // What may go to replicas counts as a write, so that read-only scripts can run in a pause of writes.
        if permits.is_read_only && (command.is(flag::WRITE) || command.is(flag::MAY_REPLICATE)) {
            return Err(Fail::new("ERR Write commands are not allowed from read-only scripts."));
        }
        // What has begun to write is not stopped in the middle.
        if command.is(flag::WRITE) && !permits.is_masters && !has_written {
            self.check_write_within()?;
        }
        let may_use_memory = permits.allows_oom || permits.is_masters || has_written || !permits.is_out_of_memory;
        if command.is(flag::DENYOOM) && !may_use_memory {
            return Err(Fail::new("OOM command not allowed when used memory > 'maxmemory'."));
        }
        Ok(())
    }

    fn check_write_within(&self) -> Result<(), Fail> {
        if self.is_replica() && self.config.replica_read_only {
            return Err(Fail::new("READONLY You can't write against a read only replica."));
        }
        self.check_disk()?;
        if !self.is_replica() && self.too_few_good_replicas() {
            return Err(Fail::new("NOREPLICAS Not enough good replicas to write."));
        }
        Ok(())
    }
}

/// What is wrong with the append-only file, if that is why writes are refused.
fn aof_error(fail: &Fail) -> Option<&[u8]> {
    fail.0.strip_prefix(b"MISCONF Errors writing to the AOF file: ")
}
