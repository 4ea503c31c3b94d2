//! Publish and subscribe: the commands, and the messages that go out.

use std::sync::Arc;

use rivulet_commands::Command;
use rivulet_commands::effects::{Event, class};
use rivulet_commands::fail::Fail;
use rivulet_commands::glob;
use rivulet_engine::asker::Asker;
use rivulet_engine::channel::ChannelKind;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::{Kind, ReplyMode};
use rivulet_engine::unit::Speaker;
use rivulet_resp::{Args, Reply};

use crate::commands::connection::wrong_subcommand;
use crate::front::output::UNCOUNTED_BYTES;
use crate::node::Node;

/// The lines of PUBSUB HELP.
const PUBSUB_HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    Channels that somebody listens to, all or those that match <pattern>.",
    "NUMPAT",
    "    How many patterns are listened to.",
    "NUMSUB [<channel> ...]",
    "    How many listen to each channel.",
    "SHARDCHANNELS [<pattern>]",
    "    Shard channels that somebody listens to.",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    How many listen to each shard channel.",
];

impl Node {
    /// Runs `f` while what was answered so far stands where it will be sent from: for what looks at a client's outbox, or sends from it at once.
    pub fn with_whole_outbox<R>(&mut self, by: &mut Asker<'_>, f: impl FnOnce(&mut Node, ClientId) -> R) -> R {
        let exchange = |node: &mut Node, by: &mut Asker<'_>| {
            if let Some(client) = node.clients.get_mut(by.id) {
                by.reply.swap(&mut client.connection.outbox.output.bytes);
            }
        };
        exchange(self, by);
        let result = f(self, by.id);
        exchange(self, by);
        result
    }

    pub fn subscribe(&mut self, by: &mut Asker<'_>, kind: ChannelKind, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        // As in Redis: the other two may stand in a transaction, in either protocol.
        if self.engine.unit.is_open && kind == ChannelKind::Shard {
            return Err(Fail::new("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
        }
        for name in args.iter().skip(1) {
            self.engine.pubsub.subscribe((id, &mut self.clients.at(id).session), kind, name);
            self.tell_subscription(by, kind.subscribe_word(), kind, Some(name));
        }
        Ok(())
    }

    pub fn unsubscribe(&mut self, by: &mut Asker<'_>, kind: ChannelKind, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        let names: Vec<Arc<[u8]>> = if args.len() > 1 {
            args.iter().skip(1).map(Arc::from).collect()
        } else {
            self.clients.at(id).session.subscriptions.of(kind).iter().cloned().collect()
        };
        if names.is_empty() {
            self.tell_subscription(by, kind.unsubscribe_word(), kind, None);
        }
        for name in names {
            self.engine.pubsub.unsubscribe((id, &mut self.clients.at(id).session), kind, &name);
            self.tell_subscription(by, kind.unsubscribe_word(), kind, Some(&name));
        }
        let client = self.clients.at(id);
        if client.session.subscriptions.is_empty() && client.session.kind == Kind::Pubsub {
            client.session.kind = Kind::Normal;
        }
        Ok(())
    }

    fn tell_subscription(&mut self, by: &mut Asker<'_>, word: &str, kind: ChannelKind, name: Option<&[u8]>) {
        let session = &mut self.clients.at(by.id).session;
        let count = session.subscriptions.shown_len(kind);
        // In either protocol it comes though replies are off.
        session.replies.pushed = true;
        let reply = &mut by.reply;
        reply.push(3);
        reply.bulk(word.as_bytes());
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.int(count as i64);
    }

    /// The client listens to nothing any more, without being told.
    pub fn unsubscribe_all(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            self.engine.pubsub.unsubscribe_all(id, &mut client.session);
        }
    }

    /// PUBLISH and SPUBLISH: also for those who listen at replicas.
    pub fn publish(&mut self, by: &mut Asker<'_>, kind: ChannelKind, args: Args<'_>) -> Result<(), Fail> {
        let id = by.id;
        let (channel, message) = (args.at(1), args.at(2));
        let count = self.deliver(kind, channel, message);
        if self.wants_stream() {
            let db = self.clients.at(id).session.db;
            if !self.engine.unit.is_open && self.engine.unit.commands.is_empty() {
                self.propagate_now(db, args);
            } else {
                self.engine.unit.commands.push((db, args.to_owned()));
            }
        }
        by.reply.int(count as i64);
        self.release_pushes();
        Ok(())
    }

    /// Sends a message to all who listen here; answers how many.
    pub fn deliver(&mut self, kind: ChannelKind, channel: &[u8], message: &[u8]) -> usize {
        let mut count = 0;
        let word: &[u8] = if kind == ChannelKind::Shard { b"smessage" } else { b"message" };
        let listeners: Vec<ClientId> =
            self.engine.pubsub.listeners(kind, channel).into_iter().flat_map(|listeners| listeners.iter()).collect();
        for listener in listeners {
            count += usize::from(self.push_message(listener, &[word, channel, message]));
        }
        if kind == ChannelKind::Shard || self.engine.pubsub.pattern_count() == 0 {
            return count;
        }
        for (pattern, listener) in self.engine.pubsub.matching(channel) {
            count += usize::from(self.push_message(listener, &[b"pmessage", &pattern, channel, message]));
        }
        count
    }

    /// Writes a message to a listener; answers whether it is there.
    fn push_message(&mut self, listener: ClientId, words: &[&[u8]]) -> bool {
        self.push_to(listener, |push| {
            push.push(words.len());
            words.iter().for_each(|word| push.bulk(word));
        })
    }

    /// Writes to a client what it did not ask for; answers whether it is there. What its own command causes waits for [`Node::release_pushes`].
    pub fn push_to(&mut self, id: ClientId, write: impl FnOnce(&mut Reply<'_>)) -> bool {
        let is_own = id == self.engine.speaker.executing;
        let Some(client) = self.clients.get_mut(id).filter(|c| !c.connection.closing) else { return false };
        let out = if is_own { &mut self.engine.speaker.own_pushes } else { &mut client.connection.outbox.output.bytes };
        write(&mut Reply::new(out, client.session.resp3));
        let is_much = out.len() > UNCOUNTED_BYTES;
        if !is_own {
            client.connection.outbox.hold.tells_of_writes |= self.front.held.announces;
            self.clients.queue_write(id);
        }
        if is_much {
            self.bound_pushes(id);
        }
        true
    }

    /// A transaction or a script may push any number of messages: who has more waiting than it may is closed as soon as that is so, and takes nothing more.
    #[cold]
    pub fn bound_pushes(&mut self, id: ClientId) {
        let is_own = id == self.engine.speaker.executing;
        let own = if is_own { self.engine.speaker.own_pushes.len() } else { 0 };
        if self.close_if_over_limit(id, own) && is_own {
            self.engine.speaker.own_pushes = Vec::new();
        }
    }

    /// What a client has caused itself to be told follows the reply of its command, or of its EXEC, and never stands within (as since Redis 7.2).
    /// While replies are off it goes out after they were thrown away, see `finish_reply`.
    pub fn release_pushes(&mut self) {
        if self.engine.speaker.own_pushes.is_empty() || self.engine.unit.is_open {
            return;
        }
        let Some(client) = self.clients.get_mut(self.engine.speaker.executing) else { return };
        if client.session.replies.mode == ReplyMode::On {
            let outbox = &mut client.connection.outbox;
            // While a command has the buffer, that is noted when it has ended.
            if outbox.hold.pushed_from.is_none() {
                outbox.note_pushes_behind(outbox.output.bytes.len());
            }
            outbox.output.bytes.append(&mut self.engine.speaker.own_pushes);
            self.clients.queue_write(self.engine.speaker.executing);
        }
    }

    /// No command runs any more that what is left could stand within.
    #[inline]
    pub fn release_rest_of_pushes(&mut self) {
        if self.engine.speaker.own_pushes.is_empty() {
            return;
        }
        let Speaker { executing, own_pushes } = &mut self.engine.speaker;
        if let Some(client) = self.clients.get_mut(*executing) {
            client.connection.outbox.output.bytes.append(own_pushes);
            self.clients.queue_write(*executing);
        }
        own_pushes.clear();
    }

    /// Publishes keyspace events.
    pub fn publish_events(&mut self, events: Vec<Event>) {
        if self.engine.pubsub.is_empty() {
            return;
        }
        let classes = self.engine.settings.notify;
        self.front.held.announces = self.front.held.marks;
        for Event { db, name, key, .. } in events {
            if classes & class::KEYSPACE != 0 {
                let mut channel = format!("__keyspace@{db}__:").into_bytes();
                channel.extend_from_slice(&key);
                self.deliver(ChannelKind::Plain, &channel, name.as_bytes());
            }
            if classes & class::KEYEVENT != 0 {
                self.deliver(ChannelKind::Plain, format!("__keyevent@{db}__:{name}").as_bytes(), &key);
            }
        }
        self.front.held.announces = false;
        self.release_pushes();
    }

    pub fn pubsub_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        let pattern = args.get(2).map(<[u8]>::to_vec);
        match command.name {
            name @ ("channels" | "shardchannels") => {
                if args.len() > 3 {
                    return Err(wrong_subcommand(args));
                }
                let kind = if name == "channels" { ChannelKind::Plain } else { ChannelKind::Shard };
                let names: Vec<Arc<[u8]>> = self
                    .engine
                    .pubsub
                    .names(kind)
                    .into_iter()
                    .filter(|n| pattern.as_ref().is_none_or(|p| glob::matches(p, n)))
                    .cloned()
                    .collect();
                let reply = &mut by.reply;
                reply.array(names.len());
                names.iter().for_each(|n| reply.bulk(n));
            }
            name @ ("numsub" | "shardnumsub") => {
                let kind = if name == "numsub" { ChannelKind::Plain } else { ChannelKind::Shard };
                let counts: Vec<(&[u8], usize)> = args
                    .iter()
                    .skip(2)
                    .map(|channel| (channel, self.engine.pubsub.listeners(kind, channel).map_or(0, |l| l.count())))
                    .collect();
                let reply = &mut by.reply;
                reply.array(counts.len() * 2);
                for (channel, count) in counts {
                    reply.bulk(channel);
                    reply.int(count as i64);
                }
            }
            "numpat" => {
                let count = self.engine.pubsub.pattern_count();
                by.reply.int(count as i64);
            }
            _ => self.help(by, "PUBSUB", PUBSUB_HELP),
        }
        Ok(())
    }

    /// The reply of a HELP subcommand.
    pub fn help(&mut self, by: &mut Asker<'_>, container: &str, lines: &[&str]) {
        let reply = &mut by.reply;
        reply.array(lines.len() + 3);
        reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
        lines.iter().for_each(|line| reply.simple(line));
        reply.simple("HELP");
        reply.simple("    Print this help.");
    }
}
