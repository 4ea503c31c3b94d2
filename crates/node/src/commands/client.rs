//! CLIENT.

use rivulet_commands::Command;
use rivulet_commands::fail::{Fail, NOT_INTEGER, SYNTAX};
use rivulet_engine::asker::Asker;
use rivulet_engine::blocked::BlockedOn;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::{Kind, ReplyMode, Wishes};
use rivulet_engine::tracking::tracker::Tracker;
use rivulet_net::Stream;
use rivulet_resp::Args;

use crate::commands::client_filter::{Filter, Known, View};
use crate::commands::connection::check_client_name;
use crate::front::clients::Client;
use crate::lifecycle::pauses::PauseWhy;
use crate::node::Node;

/// The lines of CLIENT HELP.
const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Whether what the next command reads is tracked, in the modes OPTIN and OPTOUT.",
    "GETNAME",
    "    The name of this connection.",
    "GETREDIR",
    "    The id of the connection that gets what this one is to be told of its keys.",
    "ID",
    "    The id of this connection.",
    "INFO",
    "    A line about this connection.",
    "KILL <ip:port>",
    "    Close that connection.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close connections that fit, but for this one if it does not say SKIPME NO.",
    "LIST [<option> <value> [<option> <value> [...]]]",
    "    A line about each connection that fits. Options here and there:",
    "    ADDR <ip:port>, LADDR <ip:port>, IP <ip>, TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER <name>, ID <id> [<id> ...], NAME <name>,",
    "    FLAGS <letters>, LIB-NAME <name>, LIB-VER <version>, DB <number>, CAPA <letters>; all of them also with NOT- before their name.",
    "    MAXAGE <seconds> (as old or older), IDLE <seconds> (as long or longer), SKIPME (YES|NO).",
    "CAPA <capability> [<capability> ...]",
    "    What this client can do: REDIRECT.",
    "NO-EVICT (ON|OFF)",
    "    Keep this connection when memory for clients is short.",
    "NO-TOUCH (ON|OFF)",
    "    Leave no mark on when keys were used.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Stop commands (those that write, or all) for so many milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Which replies to send.",
    "SETINFO (LIB-NAME <name>|LIB-VER <version>)",
    "    Which library this client uses.",
    "SETNAME <name>",
    "    Name this connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
    "    Tell this connection which of the keys that it has read change.",
    "TRACKINGINFO",
    "    How this connection is told of keys that change.",
    "UNBLOCK <id> [TIMEOUT|ERROR]",
    "    End the wait of a blocked connection.",
    "UNPAUSE",
    "    End the pause.",
];

/// CLIENT LIST's line about a client, in the form of Redis 7.4.
pub fn line(node: &Node, client: &Client) -> String {
    let now_ms = node.now_ms();
    let fd = client.connection.stream.as_ref().and_then(Stream::descriptor).map_or(-1, i64::from);
    let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
    let multi = client.session.multi.as_ref().map_or(-1, |m| m.queued.len() as i64);
    let events = format!(
        "{}{}",
        if client.connection.watching.read { "r" } else { "" },
        if client.connection.watching.write { "w" } else { "" }
    );
    let command = client.session.last_command.map_or("NULL", |command| command.full_name);
    let library = client.session.library.as_deref();
    let (obl, oll, omem) = client.connection.outbox.output.shape();
    format!(
        "id={} addr={} laddr={} fd={fd} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={multi} watch={} qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={events} cmd={command} user={} redir={} resp={} lib-name={} lib-ver={}",
        client.id,
        client.connection.peer.address,
        client.connection.peer.local_address,
        String::from_utf8_lossy(&client.session.name),
        seconds(client.connection.created_ms),
        seconds(client.connection.last_active_ms),
        flags(client),
        client.session.db,
        client.session.subscriptions.channels.len(),
        client.session.subscriptions.patterns.len(),
        client.session.subscriptions.shard_channels.len(),
        client.session.watches.keys.len(),
        client.connection.input.waiting_bytes(),
        client.connection.input.bytes.capacity() - client.connection.input.bytes.len(),
        client.connection.input.args_memory + client.connection.input.decoder.arguments_len(),
        client.session.multi.as_ref().map_or(0, |m| m.memory_bytes),
        client.connection.outbox.output.bytes.capacity(),
        client.connection.outbox.output.bytes.capacity(),
        obl,
        oll,
        omem,
        client.memory_bytes(),
        String::from_utf8_lossy(&client.session.login.user.name),
        Tracker::redirect_shown(client.session.tracking.as_deref()),
        if client.session.resp3 { 3 } else { 2 },
        String::from_utf8_lossy(library.map_or(&[], |library| &library.name)),
        String::from_utf8_lossy(library.map_or(&[], |library| &library.version)),
    )
}

/// The letters of CLIENT LIST's flags.
pub fn flags(client: &Client) -> String {
    let mut flags = String::new();
    let mut add = |on: bool, letter: char| {
        if on {
            flags.push(letter);
        }
    };
    add(client.is_replica() && !client.session.monitor, 'S');
    add(client.session.monitor, 'O');
    add(client.is_master(), 'M');
    add(!client.session.subscriptions.is_empty(), 'P');
    add(client.session.multi.is_some(), 'x');
    add(client.session.blocked.is_some(), 'b');
    let tracker = client.session.tracking.as_deref();
    add(tracker.is_some(), 't');
    add(tracker.is_some_and(|tracker| tracker.is_redirect_broken), 'R');
    add(tracker.is_some_and(Tracker::is_broadcast), 'B');
    add(client.session.watches.broken, 'd');
    add(client.connection.close_after_reply, 'c');
    add(client.connection.closing, 'A');
    add(client.connection.peer.is_unix, 'U');
    add(client.session.wishes().reads_here, 'r');
    add(client.no_evict, 'e');
    add(client.session.wishes().no_touch, 'T');
    add(!client.connection.outbox.hold.is_empty(), 'h');
    if flags.is_empty() {
        flags.push('N');
    }
    flags
}

fn on_or_off(word: &[u8]) -> Result<bool, Fail> {
    match word.to_ascii_lowercase().as_slice() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(SYNTAX),
    }
}

impl Node {
    pub fn client_command(
        &mut self,
        by: &mut Asker<'_>,
        command: &'static Command,
        args: Args<'_>,
    ) -> Result<(), Fail> {
        let id = by.id;
        // For the line about the client itself.
        let client = self.clients.at(id);
        client.session.last_command = Some(command);
        client.connection.input.executing_bytes = args.wire().map_or(0, <[u8]>::len);
        client.connection.input.args_memory = args.iter().map(<[u8]>::len).sum();
        let result = self.client_subcommand(by, command, args);
        let client = self.clients.at(id);
        (client.connection.input.executing_bytes, client.connection.input.args_memory) = (0, 0);
        result
    }

    fn client_subcommand(&mut self, by: &mut Asker<'_>, command: &'static Command, args: Args<'_>) -> Result<(), Fail> {
        match command.name {
            "id" => by.reply.int(by.id as i64),
            "info" => {
                let line = self.with_whole_outbox(by, |node, id| node.client_line(id)) + "\n";
                by.reply.verbatim("txt", line.as_bytes());
            }
            "list" => {
                let text = self.with_whole_outbox(by, |node, id| node.client_list(id, args))?;
                by.reply.verbatim("txt", text.as_bytes());
            }
            "kill" => self.client_kill(by, args)?,
            "setname" => {
                check_client_name(args.at(2))?;
                self.clients.at(by.id).session.name = args.at(2).to_vec();
                by.reply.ok();
            }
            "getname" => {
                let name = &self.clients.at(by.id).session.name;
                if name.is_empty() { by.reply.null() } else { by.reply.bulk(name) }
            }
            "reply" => self.client_reply(by, args)?,
            "no-evict" => {
                self.clients.at(by.id).no_evict = on_or_off(args.at(2))?;
                by.reply.ok();
            }
            "no-touch" => {
                let session = &mut self.clients.at(by.id).session;
                session.set_wishes(Wishes { no_touch: on_or_off(args.at(2))?, ..session.wishes() });
                by.reply.ok();
            }
            "capa" => {
                // Capabilities that are not known are passed over: later clients may have them.
                let redirect = (2..args.len()).any(|i| args.is(i, "redirect"));
                let session = &mut self.clients.at(by.id).session;
                let wishes = session.wishes();
                session.set_wishes(Wishes { redirect: wishes.redirect || redirect, ..wishes });
                by.reply.ok();
            }
            "setinfo" => self.client_setinfo(by, args)?,
            "pause" => self.client_pause(by, args)?,
            "unpause" => {
                self.end_pause(PauseWhy::Client);
                by.reply.ok();
            }
            "unblock" => self.client_unblock(by, args)?,
            "getredir" => self.client_getredir(by),
            "caching" => self.client_caching(by, args)?,
            "tracking" => self.client_tracking(by, args)?,
            "trackinginfo" => self.client_trackinginfo(by),
            _ => self.help(by, "CLIENT", HELP),
        }
        Ok(())
    }

    fn client_reply(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let mode = match args.at(2).to_ascii_lowercase().as_slice() {
            b"on" => ReplyMode::On,
            b"off" => ReplyMode::Off,
            b"skip" => ReplyMode::SkipNext,
            _ => return Err(SYNTAX),
        };
        let session = &mut self.clients.at(by.id).session;
        // Skipping is of no meaning while nothing is sent at all.
        if !(mode == ReplyMode::SkipNext && session.replies.mode == ReplyMode::Off) {
            session.replies.mode = mode;
        }
        if mode == ReplyMode::On {
            by.reply.ok();
        }
        Ok(())
    }

    fn client_setinfo(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let (name, value) = (args.at(2), args.at(3));
        let is_name = args.is(2, "lib-name");
        if !is_name && !args.is(2, "lib-ver") {
            return Err(Fail::bytes([b"ERR Unrecognized option '", name, b"'"].concat()));
        }
        if !value.iter().all(u8::is_ascii_graphic) {
            let reason = b" cannot contain spaces, newlines or special characters.";
            return Err(Fail::bytes([b"ERR ", name, reason].concat()));
        }
        let library = self.clients.at(by.id).session.library.get_or_insert_default();
        *(if is_name { &mut library.name } else { &mut library.version }) = value.to_vec();
        by.reply.ok();
        Ok(())
    }

    /// READONLY and READWRITE: without a cluster they are for those whom a replica tells where the master is (CLIENT CAPA redirect), as in Valkey.
    pub fn reads_here(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let session = &mut self.clients.at(by.id).session;
        let wishes = session.wishes();
        if !wishes.redirect {
            return Err(rivulet_commands::cluster::DISABLED);
        }
        session.set_wishes(Wishes { reads_here: args.is(0, "readonly"), ..wishes });
        by.reply.ok();
        Ok(())
    }

    fn client_list(&self, me: ClientId, args: Args<'_>) -> Result<String, Fail> {
        let filter = Filter::parse(args, false, Fail::new("ERR Invalid client ID"), self.known_to_filters())?;
        let view = View { me, now_ms: self.now_ms() };
        let mut text = String::new();
        for id in filter.ids().map_or_else(|| self.clients.ids(), <[ClientId]>::to_vec) {
            if let Some(client) = self.clients.get(id).filter(|client| filter.fits(client, view)) {
                text += &line(self, client);
                text.push('\n');
            }
        }
        Ok(text)
    }

    /// What the words of filters are understood by.
    fn known_to_filters(&self) -> Known<'_> {
        Known { users: &self.acl.users, databases: self.config.databases as usize }
    }

    fn client_kill(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        const WRONG_ID: Fail = Fail::new("ERR client-id should be greater than 0");
        let id = by.id;
        let old_form = args.len() == 3;
        let filter = match old_form {
            true => Filter::of_address(args.at(2)),
            false => Filter::parse(args, true, WRONG_ID, self.known_to_filters())?,
        };
        if filter.ids().is_some_and(|ids| ids.contains(&0)) {
            return Err(WRONG_ID);
        }
        let view = View { me: id, now_ms: self.now_ms() };
        let fits = |c: &&Client| filter.fits(c, view) && !c.connection.closing;
        let mut killed: Vec<(ClientId, Kind)> = match filter.ids() {
            Some(ids) => {
                ids.iter().filter_map(|id| self.clients.get(*id)).filter(fits).map(|c| (c.id, c.session.kind)).collect()
            }
            None => self.clients.iter().filter(fits).map(|c| (c.id, c.session.kind)).collect(),
        };
        killed.sort_unstable_by_key(|(id, _)| *id);
        killed.dedup();
        for &(victim, kind) in &killed {
            if kind == Kind::Master {
                self.reconnect_master();
            } else if victim == id {
                self.clients.at(id).connection.close_after_reply = true;
            } else {
                self.free_client(victim);
            }
        }
        match (old_form, killed.is_empty()) {
            (true, true) => Err(Fail::new("ERR No such client")),
            (true, false) => {
                by.reply.ok();
                Ok(())
            }
            (false, _) => {
                by.reply.int(killed.len() as i64);
                Ok(())
            }
        }
    }

    fn client_pause(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let writes_only = match args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
            None => false,
            Some(b"write") => true,
            Some(b"all") => false,
            Some(_) => return Err(Fail::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        };
        let until_ms = self.deadline_of(args.at(2))?.unwrap_or(self.now_ms());
        self.end_pauses_if_due();
        self.life.pauses.begin(PauseWhy::Client, until_ms, writes_only);
        by.reply.ok();
        Ok(())
    }

    fn client_unblock(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let with_error = match args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"timeout") => false,
            Some(b"error") => true,
            Some(_) => return Err(Fail::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        };
        let wanted = rivulet_commands::parse::int(args.at(2)).map_err(|_| NOT_INTEGER)? as ClientId;
        let can =
            self.clients.get(wanted).and_then(|c| c.session.blocked.as_deref()).is_some_and(|b| {
                matches!(b.reason, BlockedOn::Keys { .. } | BlockedOn::Acks { .. } | BlockedOn::Verify)
            });
        if can && with_error {
            self.unblock_with_error(wanted, b"UNBLOCKED client unblocked via CLIENT UNBLOCK");
        } else if can {
            self.unblock_as_timed_out(wanted);
        }
        by.reply.int(i64::from(can));
        Ok(())
    }
}
