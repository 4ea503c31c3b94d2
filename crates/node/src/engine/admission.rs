//! What may stand in the way of commands on this node, and what becomes of one that something stands in the way of.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::flag;
use rivulet_engine::admit::{Facts, Replaced, Standing, Verdict, admit, changes_data, is_plain_but_for_its_user};
use rivulet_resp::Args;

use crate::front::clients::Client;
use crate::node::Node;
use crate::scripts::permits::effective_flags;

impl Node {
    /// What may stand in the way of any client's commands now.
    fn facts(&self) -> Facts {
        let is_replica = self.is_replica();
        let pauses = &self.life.pauses;
        Facts {
            out_of_memory: false,
            disk: self.check_disk().err(),
            lacks_replicas: !is_replica && self.too_few_good_replicas(),
            is_read_only_replica: is_replica && self.config.replica_read_only,
            replaced: self.is_stale_master().then(|| Replaced {
                epoch: self.replication.kept.promises.known(),
                hides_data: self.config.synchronous_reads,
            }),
            hides_stale_data: self.replication.is_stale() && !self.config.replica_serve_stale_data,
            is_loading: self.is_loading(),
            is_async_loading: self.is_async_loading(),
            writes_are_paused: pauses.stops(true),
            all_is_paused: pauses.stops(false),
            keys_are_leaving: !self.migrate.leaving.is_empty(),
            touches_leaving_keys: false,
            allows_protected: false,
            busy: self.scripts.running.as_ref().filter(|running| running.busy.is_some()).map(|running| running.busy()),
            denied: None,
        }
    }

    /// Looks at what may stand in the way of commands: before a batch, and after each of the server's own commands.
    #[inline]
    pub fn look_at_standing(&mut self) {
        self.life.standing = Standing::of(&self.facts());
    }

    /// Where a replica sends a client that asked to be told, for a command that touches keys.
    fn redirection(&self, client: &Client, command: &Command, flags: u32) -> Option<Fail> {
        let (host, port) = self.config.replicaof.as_ref()?;
        let reads = flags & flag::READONLY != 0 && !client.session.wishes().reads_here;
        let touches_keys = flags & flag::WRITE != 0 || reads || changes_data(&client.session, command, flags);
        let is_known = client.session.login.authenticated;
        (touches_keys && is_known).then(|| Fail::text(format!("REDIRECT {host}:{port}")))
    }

    /// What becomes of a command that something may stand in the way of.
    #[cold]
    pub fn admit(&self, client: &Client, command: &'static Command, args: Args<'_>, out_of_memory: bool) -> Verdict {
        if client.is_master() {
            return admit(&Facts::default(), &client.session, command, effective_flags(self, command, args));
        }
        if client.session.wishes().redirect
            && let Some(fail) = self.redirection(client, command, effective_flags(self, command, args))
        {
            return Verdict::Refuse(fail);
        }
        let login = &client.session.login;
        let denied = if login.is_free { None } else { login.user.check(command, args).err() };
        if !out_of_memory && is_plain_but_for_its_user(&client.session) && self.life.standing.lets(command) {
            return denied.map_or(Verdict::Run, Verdict::Deny);
        }
        let flags = effective_flags(self, command, args);
        let allows_protected = rivulet_config::allows(&self.config.enable_debug_command, self.is_local(client.id));
        let touches_leaving_keys = self.touches_leaving_keys(client, command, args);
        let facts = Facts { out_of_memory, allows_protected, denied, touches_leaving_keys, ..self.facts() };
        admit(&facts, &client.session, command, flags)
    }
}
