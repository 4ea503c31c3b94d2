//! CONFIG.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_resp::Args;

use crate::clients::ClientId;
use crate::config::{Config, RewriteWith, SetBy, SetError};
use crate::log;
use crate::node::Node;

impl Node {
    pub fn config_command(&mut self, id: ClientId, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        match command.name {
            "get" => {
                let patterns: Vec<&[u8]> = args.iter().skip(2).collect();
                let found = self.config.get(&patterns);
                let mut reply = self.reply(id);
                reply.map(found.len());
                for (name, value) in found {
                    reply.bulk(name.as_bytes());
                    reply.bulk(&value);
                }
            }
            "set" => {
                if args.len() < 4 || !args.len().is_multiple_of(2) {
                    return Err(Fail::arity("config|set"));
                }
                let pairs: Vec<(&[u8], &[u8])> =
                    (2..args.len()).step_by(2).map(|i| (args.at(i), args.at(i + 1))).collect();
                self.set_config(id, &pairs)?;
                self.reply(id).ok();
            }
            "resetstat" => {
                self.stats.reset();
                self.replication.master.reset_counters();
                self.replication.syncs.reset_counters();
                self.replication.replicas_cut_off = 0;
                self.replication.slowest_cut_off = 0;
                self.reaper.reset_freed();
                crate::memory::reset_peak();
                self.reply(id).ok();
            }
            "rewrite" => {
                self.rewrite_config(false)?;
                self.reply(id).ok();
            }
            _ => self.help(
                id,
                "CONFIG",
                &[
                    "GET <pattern>",
                    "    Directives whose names match, with their values.",
                    "SET <directive> <value>",
                    "    Set directives.",
                    "RESETSTAT",
                    "    Set the statistics that INFO shows to zero.",
                    "REWRITE",
                    "    Write the configuration back to its file.",
                ],
            ),
        }
        Ok(())
    }

    /// CONFIG REWRITE.
    pub fn rewrite_config(&mut self, all: bool) -> Result<(), Fail> {
        match self.config.rewrite(&RewriteWith { users: None, all }) {
            Ok(()) => {
                log::notice!("CONFIG REWRITE executed with success.");
                Ok(())
            }
            Err(error) => {
                log::warning!("CONFIG REWRITE failed: {error}");
                Err(Fail::text(error.to_string()))
            }
        }
    }

    /// Sets directives and makes them take effect; if that fails nothing is changed.
    fn set_config(&mut self, id: ClientId, pairs: &[(&[u8], &[u8])]) -> Result<(), Fail> {
        let by = SetBy { local: self.is_local(id), loading: self.is_loading() || self.is_async_loading() };
        let change = self.config.set(pairs, by).map_err(|e| Fail::text(e.to_string()))?;
        change.warnings.iter().for_each(|w| log::warning!("{w}"));
        let before = change.before().clone();
        let failed =
            change.names.iter().find_map(|name| self.apply_directive(name, &before).err().map(|text| (*name, text)));
        if let Some((name, text)) = failed {
            log::warning!(
                "Failed applying new configuration. Possibly related to new {name} setting. Restoring previous settings."
            );
            let names = change.names.clone();
            self.config.rollback(change);
            for name in names {
                // What could be applied before can be applied again.
                let _ = self.apply_directive(name, &before);
            }
            self.take_settings();
            return Err(Fail::text(SetError::failed(name, text).to_string()));
        }
        self.take_settings();
        Ok(())
    }

    /// What commands on data look at follows the configuration, and DEBUG.
    pub fn take_settings(&mut self) {
        self.settings = self.config.settings();
        self.settings.skips_checksums = self.debug.skip_checksum;
    }

    /// Makes one changed directive take effect.
    fn apply_directive(&mut self, name: &str, before: &Config) -> Result<(), String> {
        match name {
            "port" | "bind" | "unixsocket" | "unixsocketperm" | "tcp-backlog" => {
                self.config.bind_is_default &= name != "bind";
                self.listen_again().map_err(|reason| {
                    log::warning!("{reason}");
                    if name == "bind" {
                        "Failed to bind to specified addresses."
                    } else {
                        "Unable to listen on this port. Check server logs."
                    }
                    .to_string()
                })
            }
            "dir" => std::env::set_current_dir(&self.config.dir).map_err(|e| crate::node::os_error(&e)),
            "loglevel" => {
                log::set_level(self.config.loglevel);
                Ok(())
            }
            "maxclients" => {
                let made = crate::descriptors::make_room(self.config.maxclients);
                self.accepting.reserved_from = crate::descriptors::reserved_from();
                made.map_err(|possible| {
                    format!("The operating system is not able to handle the specified number of clients, try with {possible}")
                })
            }
            "maxmemory-clients" => {
                self.count_all_client_memory();
                Ok(())
            }
            "maxmemory" => {
                if self.config.maxmemory > 0 && (crate::memory::used() as u64) > self.config.maxmemory {
                    log::warning!(
                        "WARNING: the new maxmemory value set via CONFIG SET ({}) is smaller than the current memory usage ({}). This will result in key eviction and/or the inability to accept new write commands depending on the maxmemory-policy.",
                        self.config.maxmemory,
                        crate::memory::used()
                    );
                }
                if self.depth == 0 {
                    self.make_room();
                }
                Ok(())
            }
            "requirepass" => {
                // Clients that are in stay in, as in Redis.
                Ok(())
            }
            "rdb-key-save-delay" | "key-load-delay" => {
                self.apply_delays();
                Ok(())
            }
            "appendonly" => self.apply_appendonly(),
            "appendfsync" => {
                if let Some(writer) = &mut self.log_on_disk.writer {
                    writer.set_policy(self.config.appendfsync);
                }
                Ok(())
            }
            "slowlog-max-len" | "save" => Ok(()),
            "latency-tracking" => {
                if !self.config.latency_tracking && before.latency_tracking {
                    self.stats.commands_by_name.values_mut().for_each(|(_, s)| s.histogram = None);
                }
                Ok(())
            }
            _ if name.starts_with("repl")
                || name.starts_with("min-")
                || name.starts_with("master")
                || name.starts_with("slave")
                || matches!(name, "dual-channel-replication-enabled" | "client-output-buffer-limit") =>
            {
                self.apply_replication_config();
                self.warn_about_timeout();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The time-out must be five to ten times the ping period, or links break for nothing.
    pub fn warn_about_timeout(&self) {
        let (timeout, ping) = (self.config.repl_timeout, self.config.repl_ping_replica_period);
        if timeout < ping * 5 {
            log::warning!(
                "repl-timeout ({timeout} s) is less than five times repl-ping-replica-period ({ping} s): links may be cut though both ends work. Set repl-timeout to {} or more.",
                ping * 5
            );
        }
    }
}
