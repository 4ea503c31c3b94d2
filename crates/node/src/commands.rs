//! Commands that the server itself runs: from the table's word to the function.

pub mod client;
pub mod client_filter;
pub mod command;
pub mod commandlog;
pub mod config;
pub mod connection;
pub mod data;
pub mod latency;
pub mod lolwut;

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::Node as Run;
use rivulet_engine::asker::Asker;
use rivulet_engine::channel::ChannelKind;
use rivulet_resp::Args;

use crate::node::Node;

impl Node {
    /// Runs one of the server's own commands. A failure's text becomes the reply.
    pub fn run_node(
        &mut self,
        by: &mut Asker<'_>,
        which: Run,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        match which {
            Run::Acl => self.acl_command(by, command, args),
            Run::Auth => self.auth(by, args),
            Run::Echo => {
                by.reply.bulk(args.at(1));
                Ok(())
            }
            Run::Hello => self.hello(by, args),
            Run::Ping => self.ping(by, args),
            Run::Quit => {
                by.reply.ok();
                self.clients.at(by.id).connection.close_after_reply = true;
                Ok(())
            }
            Run::Reset => self.reset_client(by),
            Run::Select => self.select(by, args),
            Run::Client => self.client_command(by, command, args),

            Run::Eval => self.eval(by, command, args),
            Run::Fcall => self.fcall(by, command, args),
            Run::Function => self.function_command(by, args),
            Run::Script => self.script_command(by, args),

            Run::Multi => self.multi(by),
            Run::Exec => self.exec(by),
            Run::Discard => self.discard(by),
            Run::Watch => self.watch(by, args),
            Run::Unwatch => self.unwatch(by),

            Run::Subscribe => self.subscribe(by, ChannelKind::Plain, args),
            Run::Psubscribe => self.subscribe(by, ChannelKind::Pattern, args),
            Run::Ssubscribe => self.subscribe(by, ChannelKind::Shard, args),
            Run::Unsubscribe => self.unsubscribe(by, ChannelKind::Plain, args),
            Run::Punsubscribe => self.unsubscribe(by, ChannelKind::Pattern, args),
            Run::Sunsubscribe => self.unsubscribe(by, ChannelKind::Shard, args),
            Run::Publish => self.publish(by, ChannelKind::Plain, args),
            Run::Spublish => self.publish(by, ChannelKind::Shard, args),
            Run::Pubsub => self.pubsub_command(by, command, args),

            Run::Replicaof => self.replicaof(by, args),
            Run::Role => self.role(by),
            Run::Wait => self.wait(by, args),
            Run::Waitaof => self.waitaof(by, args),
            Run::Replconf => self.replconf(by, args),
            Run::Psync | Run::Sync => self.with_whole_outbox(by, |node, id| node.sync(id, args)),
            Run::Replication => self.replication_command(by, command, args),
            Run::Failover => self.failover(by, args),

            Run::Flushall => self.flushall(by, args),
            Run::Flushdb => self.flushdb(by, args),
            Run::Swapdb => self.swapdb(by, args),
            Run::Save => self.save(by),
            Run::Bgsave => self.bgsave(by, args),
            Run::Bgrewriteaof => self.bgrewriteaof(by),
            Run::Lastsave => {
                let seconds = self.clock.shown_ms(self.persist.saving.last.at_ms) / 1000;
                by.reply.int(seconds as i64);
                Ok(())
            }
            Run::Time => self.time(by),
            Run::Shutdown => self.shutdown_command(by, args),
            Run::Monitor => self.monitor(by),

            Run::Info => self.info_command(by, args),
            Run::Config => self.config_command(by, command, args),
            Run::Command => self.command_command(by, command, args),
            Run::Debug => self.debug_command(by, args),
            Run::Latency => self.latency_command(by, command, args),
            Run::Lolwut => self.lolwut(by, args),
            Run::ReadsHere => self.reads_here(by, args),
            Run::Memory => self.memory_command(by, command, args),
            Run::Commandlog => self.commandlog_command(by, command, args),
            Run::Slowlog => self.slowlog_command(by, command, args),
            Run::Migrate => self.migrate(by, command, args),
        }
    }
}
