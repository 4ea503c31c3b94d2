//! Periodic tasks, and what is done before each sleep: time-outs, limits, samples.

use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::Kind;

use crate::front::reading::READ_BYTES;
use crate::log;
use crate::node::Node;
use crate::persist::load::LoadWhy;
use crate::process::watchdog;

/// A connection that sent nothing for so long is quiet.
const QUIET_MS: u64 = 500;
/// The core of replication wants to be told the time this often.
const REPLICATION_TICK_MS: u64 = 100;

impl Node {
    /// Runs `hz` times a second.
    pub fn cron(&mut self) {
        let now_ms = self.now_ms();
        let period = (1000 / self.config.hz.clamp(1, 500)).min(REPLICATION_TICK_MS);
        self.life.next_cron_ms = now_ms + period;
        self.life.cron_runs += 1;
        if self.config.watchdog_period > 0 {
            watchdog::wind(self.config.watchdog_period);
        }
        if self.ops.debug.pause_cron {
            return;
        }
        if self.front.signals.is_pending() {
            self.handle_signals();
        }
        self.end_pauses_if_due();
        self.follow_tick();
        self.replication_tick();
        self.failover_tick();
        self.verify_tick();
        self.report_progress();
        self.save_if_due();
        self.aof_cron();
        self.shutdown_tick();
        self.look_at_clients(period);
        self.accept_again_if_due();
        self.end_late_handshakes();
        self.migrate.sockets.close_idle(now_ms);
        self.reap_sessions();
        self.replication.give_back();
        self.expire_own_keys();
        let stats = &mut self.ops.stats;
        stats.rates.commands.sample(stats.commands, now_ms);
        stats.rates.input.sample(stats.traffic.input_bytes, now_ms);
        stats.rates.output.sample(stats.traffic.output_bytes, now_ms);
        stats.rates.repl_input.sample(stats.traffic.repl_input_bytes, now_ms);
        stats.rates.repl_output.sample(stats.traffic.repl_output_bytes, now_ms);
        stats.rates.turns.sample(stats.turns.count, now_ms);
        stats.rates.turn_us.sample(stats.turns.total_us, now_ms);
        // Keeps the peak, and evicts while nobody writes.
        rivulet_memory::used();
        if self.config.maxmemory > 0 {
            self.make_room();
        }
    }

    fn failover_tick(&mut self) {
        let now = self.now_ms();
        let r = &mut self.replication;
        let end = r.log.end_offset();
        if let Some(action) = r.failover.tick(now, &r.master, end) {
            self.failover_action(action);
        }
    }

    // ---- clients ----

    /// Looks at some clients, so that each is looked at once a second however many there are: limits on its output, its time-out, buffers that it does
    /// not need.
    fn look_at_clients(&mut self, period_ms: u64) {
        let now_ms = self.now_ms();
        let timeout = self.config.timeout;
        let limits = self.config.client_output_buffer_limit;
        let counts_memory = self.limits_client_memory();
        let (mut idle, mut over) = (Vec::new(), Vec::new());
        for id in self.clients.next_slice(period_ms) {
            let Some(client) = self.clients.get_mut(id) else { continue };
            // Who takes nothing is over its limit for longer and longer though nothing more is written, and who has taken all is not.
            if client.is_over_limit(&limits, now_ms) {
                over.push(id);
            }
            let quiet_ms = now_ms.saturating_sub(client.connection.last_active_ms);
            if timeout > 0
                && client.session.kind == Kind::Normal
                && !client.session.is_internal
                && client.session.blocked.is_none()
                && quiet_ms / 1000 > timeout
            {
                idle.push(id);
            }
            client.give_back(quiet_ms > QUIET_MS);
            if counts_memory {
                self.clients.count_memory(id);
            }
        }
        // One large command does not make the buffers that all share large for ever.
        self.front.spare_input.shrink_to(READ_BYTES);
        self.front.batch.give_back();
        self.engine.speaker.own_pushes.shrink_to(READ_BYTES);
        self.close_over_limit(over);
        for id in idle {
            log::verbose!("Closing idle client");
            self.clients.close_soon(id);
        }
    }

    /// CLIENT LIST's line about a client.
    pub fn client_line(&self, id: ClientId) -> String {
        self.clients.get(id).map_or_else(String::new, |c| crate::commands::client::line(self, c))
    }

    // ---- signals ----

    pub fn handle_signals(&mut self) {
        // In the middle of a script the data are not what the position says: the signal waits for its end.
        if self.ops.debug.pause_cron || self.scripts.running.is_some() {
            return;
        }
        let Some(signal) = self.front.signals.take() else { return };
        let name = if signal == signal_hook::consts::SIGINT { "SIGINT" } else { "SIGTERM" };
        log::warning!("Received {name} scheduling shutdown...");
        let options = if signal == signal_hook::consts::SIGINT {
            &self.config.shutdown_on_sigint
        } else {
            &self.config.shutdown_on_sigterm
        };
        let request = crate::lifecycle::shutdown::Request::from_directive(options);
        if self.persist.loading.load.as_ref().is_some_and(|l| l.why == LoadWhy::Startup) {
            self.life.exit = Some(0);
            return;
        }
        if let Err(text) = self.shut_down(request, None) {
            log::warning!("{text}");
            self.front.signals.forget_interrupts();
        }
    }
}
