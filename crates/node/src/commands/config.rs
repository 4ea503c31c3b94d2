//! CONFIG.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_config::{Apply, Config, Directive, RewriteWith, SetBy, SetError};
use rivulet_engine::asker::Asker;
use rivulet_engine::client_id::ClientId;
use rivulet_resp::Args;

use crate::log;
use crate::node::Node;
use crate::ops::commandlog::Notable;
use crate::process::{crash, title, watchdog};
use crate::replication::CutOff;

/// The lines of CONFIG HELP.
const HELP: &[&str] = &[
    "GET <pattern>",
    "    Directives whose names match, with their values.",
    "SET <directive> <value>",
    "    Set directives.",
    "RESETSTAT",
    "    Set the statistics that INFO shows to zero.",
    "REWRITE",
    "    Write the configuration back to its file.",
];

const CANT_LISTEN: &str = "Unable to listen on this port. Check server logs.";

/// Directives whose changes are carried out: what is done for all of TLS is done once.
fn to_apply(changed: &[&'static Directive]) -> impl Iterator<Item = &'static Directive> {
    let first = changed.iter().position(|directive| directive.apply == Apply::Tls);
    let is_due = move |(i, directive): &(usize, &Directive)| directive.apply != Apply::Tls || Some(*i) == first;
    changed.iter().copied().enumerate().filter(is_due).map(|(_, directive)| directive)
}

impl Node {
    pub fn config_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        match command.name {
            "get" => self.config_get(by, args),
            "set" => {
                if args.len() < 4 || !args.len().is_multiple_of(2) {
                    return Err(Fail::arity("config|set"));
                }
                let pairs: Vec<(&[u8], &[u8])> =
                    (2..args.len()).step_by(2).map(|i| (args.at(i), args.at(i + 1))).collect();
                self.set_config(by.id, &pairs)?;
                // What follows in this batch is looked at by the new limits.
                self.ops.commandlog.notable = Notable::default();
                by.reply.ok();
            }
            "resetstat" => {
                self.reset_stats();
                by.reply.ok();
            }
            "rewrite" => {
                self.rewrite_config(false)?;
                by.reply.ok();
            }
            _ => self.help(by, "CONFIG", HELP),
        }
        Ok(())
    }

    fn config_get(&self, by: &mut Asker<'_>, args: Args<'_>) {
        let patterns: Vec<&[u8]> = args.iter().skip(2).collect();
        let found = self.config.get(&patterns);
        let reply = &mut by.reply;
        reply.map(found.len());
        for (name, value) in found {
            reply.bulk(name.as_bytes());
            reply.bulk(&value);
        }
    }

    fn reset_stats(&mut self) {
        self.ops.stats.reset();
        self.replication.master.reset_counters();
        self.replication.observed.syncs.reset_counters();
        self.replication.cut_off = CutOff::default();
        self.replication.synchronous.timeouts = 0;
        self.persist.reaper.reset_freed();
        rivulet_memory::reset_peak();
    }

    /// CONFIG REWRITE.
    pub fn rewrite_config(&mut self, all: bool) -> Result<(), Fail> {
        match self.config.rewrite(&RewriteWith { users: self.user_lines(), all, ..RewriteWith::default() }) {
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
        let failed = to_apply(&change.directives)
            .find_map(|d| self.apply_directive(id, d, &before).err().map(|text| (d.name, text)));
        if let Some((name, text)) = failed {
            log::warning!(
                "Failed applying new configuration. Possibly related to new {name} setting. Restoring previous settings."
            );
            let directives = change.directives.clone();
            self.config.rollback(change);
            for directive in to_apply(&directives) {
                // What could be applied before can be applied again.
                let _ = self.apply_directive(id, directive, &before);
            }
            self.take_settings();
            return Err(Fail::text(SetError::failed(name, text).to_string()));
        }
        self.take_settings();
        Ok(())
    }

    /// What commands on data look at follows the configuration, and DEBUG.
    pub fn take_settings(&mut self) {
        self.engine.settings = self.config.settings();
        self.engine.settings.skips_checksums = self.ops.debug.skip_checksum;
    }

    /// Makes one changed directive take effect.
    fn apply_directive(&mut self, by: ClientId, directive: &Directive, before: &Config) -> Result<(), String> {
        match directive.apply {
            Apply::Nothing => {}
            Apply::Bind => {
                self.config.bind_is_default &= self.config.bind == before.bind;
                return self.listen_as_changed("Failed to bind to specified addresses.");
            }
            Apply::Listen => {
                self.listen_as_changed(CANT_LISTEN)?;
                self.take_promises_along()?;
                self.take_backlog_along();
            }
            Apply::ListenTls => {
                self.need_tls()?;
                self.apply_replication_config();
                self.listen_as_changed(CANT_LISTEN)?;
                self.take_promises_along()?;
                self.take_backlog_along();
            }
            Apply::Tls => {
                self.apply_replication_config();
                return self.tls_changed();
            }
            Apply::Directory => {
                rivulet_host::fs::set_current_dir(&self.config.dir).map_err(|e| crate::system::os_error(&e))?;
                self.take_promises_along()?;
                self.take_backlog_along();
            }
            Apply::LogLevel => log::set_level(self.config.loglevel),
            Apply::LogFormat => log::set_format(&self.config),
            Apply::ProcTitle => title::show(&self.config),
            Apply::CrashLog => crash::set(&self.config),
            Apply::Watchdog => self.wind_watchdog_as_changed(),
            Apply::OomScore => return self.adjust_oom_score(),
            Apply::AllocatorThread => {
                rivulet_memory::set_background_thread(self.config.jemalloc_bg_thread);
            }
            Apply::MaxClients => return self.make_room_for_clients(),
            Apply::ClientMemory => self.count_all_client_memory(),
            Apply::Maxmemory => self.maxmemory_changed(),
            Apply::DefaultPassword => self.default_password_changed(by),
            Apply::Delays => self.apply_delays(),
            Apply::AppendOnly => return self.apply_appendonly(),
            Apply::AppendFsync => {
                if let Some(writer) = &mut self.persist.log.writer {
                    writer.set_policy(self.config.appendfsync);
                }
            }
            Apply::AppendOnlyHistory => self.apply_auto_gc(),
            Apply::LatencyTracking => {
                if !self.config.latency_tracking && before.latency_tracking {
                    self.ops.stats.by_command.iter_mut().for_each(|s| s.histogram = None);
                }
            }
            Apply::Replication => {
                self.apply_replication_config();
                self.warn_about_timeout();
            }
        }
        Ok(())
    }

    fn listen_as_changed(&mut self, refusal: &str) -> Result<(), String> {
        self.listen_again().map_err(|reason| {
            log::warning!("{reason}");
            refusal.to_string()
        })
    }

    /// A period that is too short for the periodic tasks becomes the shortest that is not.
    pub fn wind_watchdog_as_changed(&mut self) {
        let period = &mut self.config.watchdog_period;
        if *period > 0 {
            *period = (*period).max(watchdog::period_ms_min(self.config.hz));
        }
        watchdog::wind(*period);
    }

    fn make_room_for_clients(&mut self) -> Result<(), String> {
        let made = crate::front::descriptors::make_room(self.config.maxclients, self.config.http_port != 0);
        self.front.accepting.reserved_from = crate::front::descriptors::reserved_from();
        made.map_err(|possible| {
            format!("The operating system is not able to handle the specified number of clients, try with {possible}")
        })
    }

    fn maxmemory_changed(&mut self) {
        let (limit, used) = (self.config.maxmemory, rivulet_memory::used() as u64);
        if limit > 0 && used > limit {
            log::warning!(
                "WARNING: the new maxmemory value set via CONFIG SET ({limit}) is smaller than the current memory usage ({used}). This will result in key eviction and/or the inability to accept new write commands depending on the maxmemory-policy."
            );
        }
        if !self.engine.unit.is_open {
            self.make_room();
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
