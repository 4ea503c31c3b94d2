//! Commands that the server itself runs: from the table's word to the function.

use rivulet_commands::Command;
use rivulet_commands::fail::Fail;
use rivulet_commands::spec::Node as Run;
use rivulet_resp::Args;

use crate::clients::ClientId;
use crate::node::Node;
use crate::pubsub::ChannelKind;

impl Node {
    /// Runs one of the server's own commands. A failure's text becomes the reply.
    pub fn run_node(
        &mut self,
        id: ClientId,
        which: Run,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        match which {
            Run::Auth => self.auth(id, args),
            Run::Echo => {
                self.reply(id).bulk(args.at(1));
                Ok(())
            }
            Run::Hello => self.hello(id, args),
            Run::Ping => self.ping(id, args),
            Run::Quit => {
                self.reply(id).ok();
                self.clients.at(id).connection.close_after_reply = true;
                Ok(())
            }
            Run::Reset => self.reset_client(id),
            Run::Select => self.select(id, args),
            Run::Client => self.client_command(id, command, args),

            Run::Multi => self.multi(id),
            Run::Exec => self.exec(id),
            Run::Discard => self.discard(id),
            Run::Watch => self.watch(id, args),
            Run::Unwatch => self.unwatch(id),

            Run::Subscribe => self.subscribe(id, ChannelKind::Plain, args),
            Run::Psubscribe => self.subscribe(id, ChannelKind::Pattern, args),
            Run::Ssubscribe => self.subscribe(id, ChannelKind::Shard, args),
            Run::Unsubscribe => self.unsubscribe(id, ChannelKind::Plain, args),
            Run::Punsubscribe => self.unsubscribe(id, ChannelKind::Pattern, args),
            Run::Sunsubscribe => self.unsubscribe(id, ChannelKind::Shard, args),
            Run::Publish => self.publish(id, ChannelKind::Plain, args),
            Run::Spublish => self.publish(id, ChannelKind::Shard, args),
            Run::Pubsub => self.pubsub_command(id, command, args),

            Run::Replicaof => self.replicaof(id, args),
            Run::Role => self.role(id),
            Run::Wait => self.wait(id, args),
            Run::Waitaof => self.waitaof(id, args),
            Run::Replconf => self.replconf(id, args),
            Run::Psync | Run::Sync => self.sync(id, args),
            Run::Replication => self.replication_command(id, command, args),
            Run::Failover => self.failover(id, args),

            Run::Flushall => self.flushall(id, args),
            Run::Flushdb => self.flushdb(id, args),
            Run::Swapdb => self.swapdb(id, args),
            Run::Save => self.save(id),
            Run::Bgsave => self.bgsave(id, args),
            Run::Bgrewriteaof => self.bgrewriteaof(id),
            Run::Lastsave => {
                let seconds = self.clock.shown_ms(self.persist.data.last_save_ms) / 1000;
                self.reply(id).int(seconds as i64);
                Ok(())
            }
            Run::Time => self.time(id),
            Run::Shutdown => self.shutdown_command(id, args),
            Run::Monitor => self.monitor(id),

            Run::Info => self.info_command(id, args),
            Run::Config => self.config_command(id, command, args),
            Run::Command => self.command_command(id, command, args),
            Run::Debug => self.debug_command(id, args),
            Run::Latency => self.latency_command(id, command, args),
            Run::Memory => self.memory_command(id, command, args),
            Run::Slowlog => self.slowlog_command(id, command, args),
            Run::Migrate => self.migrate(id, args),
        }
    }
}
