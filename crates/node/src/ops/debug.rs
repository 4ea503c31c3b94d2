//! DEBUG: tools for tests and diagnosis.

use std::time::Duration;

use rivulet_commands::fail::{Fail, NO_SUCH_KEY};
use rivulet_commands::parse;
use rivulet_engine::asker::Asker;
use rivulet_keyspace::value::StrBuf;
use rivulet_keyspace::{Deadline, EntryRef, Value};
use rivulet_rdb::dump;
use rivulet_rdb::write::{Version, Writer};
use rivulet_resp::{Args, OwnedArgs, Reply};

use crate::node::Node;
use crate::ops::ReplPause;
use crate::ops::digest;
use crate::process::crash;
use crate::{clock, log};

/// The lines of DEBUG HELP.
const HELP: &[&str] = &[
    "ASSERT",
    "    Crash by an assertion that does not hold.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    CONFIG REWRITE with every directive.",
    "DIGEST",
    "    A digest of all data.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Digests of values.",
    "HTSTATS <dbid>",
    "    Figures about the tables of a database.",
    "HTSTATS-KEY <key>",
    "    Figures about the table of a value.",
    "LOADAOF",
    "    Load the append-only files anew.",
    "LOG <message>",
    "    Write to the log.",
    "OBJECT <key>",
    "    Facts about a value.",
    "PANIC",
    "    Crash by a panic.",
    "PAUSE-CRON <0|1>",
    "    Stop the periodic tasks.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Make keys.",
    "PROTOCOL <type>",
    "    A reply of that type.",
    "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
    "    Save and load.",
    "REPL-PAUSE <clear|after-fork|before-rdb-channel|on-streaming-repl-buf>",
    "    Stop the process at that step of a full sync.",
    "REPLICATE <command> [<arg> ...]",
    "    Send a command to the replicas only.",
    "SEGFAULT",
    "    Crash by a write to memory that is not to be written.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether keys are expired before they are looked for.",
    "SLEEP <seconds>",
    "    Do nothing for so long.",
];

const UNKNOWN_TYPE: &str = "ERR Wrong protocol type name. Please use one of the following: string|integer|double|null|array|set|map|attrib|push|verbatim|true|false";

impl Node {
    pub fn debug_command(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let word = args.at(1).to_ascii_lowercase();
        match (word.as_slice(), args.len()) {
            // These answer for themselves; the others with OK.
            (b"help", _) => self.help(by, "DEBUG", HELP),
            (b"digest", 2) => by.reply.simple(&digest::hex(&digest::of_keyspace(&self.engine.keyspace))),
            (b"digest-value", _) => self.debug_digest_value(by, args),
            (b"object", 3..) => self.debug_object(by, args)?,
            (b"protocol", 3) => debug_protocol(by, args)?,
            (b"htstats", 3) => self.debug_htstats(by, args)?,
            (b"htstats-key", 3) => self.debug_htstats_key(by, args)?,
            (b"segfault", _) => crash::fault(),
            (b"panic", _) => panic!("Panic called at Unix time {}", self.unix_ms() / 1000),
            (b"assert", _) => assert!(args.len() < 2),
            (word, _) => {
                self.debug_action(by, word, args)?;
                by.reply.ok();
            }
        }
        Ok(())
    }

    /// Subcommands that do something and have nothing to tell.
    fn debug_action(&mut self, by: &Asker<'_>, word: &[u8], args: Args<'_>) -> Result<(), Fail> {
        let db = self.clients.at(by.id).session.db;
        match (word, args.len()) {
            (b"sleep", 3) => {
                let seconds = parse::float(args.at(2))?;
                clock::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 1e6)));
            }
            (b"set-active-expire", 3) => self.ops.debug.active_expire = switch(args, 2)?,
            (b"pause-cron", 3) => self.ops.debug.pause_cron = switch(args, 2)?,
            (b"set-skip-checksum-validation", 3) => {
                self.ops.debug.skip_checksum = switch(args, 2)?;
                self.take_settings();
            }
            (b"quicklist-packed-threshold", 3) => {}
            (b"set-disable-deny-scripts", 3) => self.ops.debug.scripts_may_all = switch(args, 2)?,
            (b"aof-flush-sleep", 3) => self.debug_aof_flush_sleep(parse::int(args.at(2))?),
            (b"loadaof", 2) => {
                self.load_aof_now()?;
                log::warning!("Append Only File loaded by DEBUG LOADAOF");
            }
            (b"replybuffer", 4) => {
                if args.is(2, "resizing") {
                    self.ops.debug.reply_buffer_resizing = switch(args, 3)?;
                }
            }
            (b"config-rewrite-force-all", 2) => self.rewrite_config(true)?,
            (b"repl-pause", 3) => self.ops.debug.repl_pause = step_to_pause_at(args.at(2))?,
            (b"log", 3) => log::warning!("DEBUG LOG: {}", String::from_utf8_lossy(args.at(2))),
            (b"populate", 3..=5) => self.populate(db, args)?,
            (b"reload", _) => self.debug_reload(args)?,
            (b"replicate", 3..) => {
                if self.wants_stream() {
                    let words = args.iter().skip(2).collect::<Vec<_>>();
                    self.engine.unit.commands.push((db, OwnedArgs::new(words.into_iter())));
                }
            }
            _ => return Err(unknown(args.at(1))),
        }
        Ok(())
    }

    fn debug_digest_value(&mut self, by: &mut Asker<'_>, args: Args<'_>) {
        let db = self.engine.keyspace.db(self.clients.at(by.id).session.db);
        let reply = &mut by.reply;
        reply.array(args.len() - 2);
        for key in args.iter().skip(2) {
            reply.simple(&digest::hex(&digest::of_value(db.find(db.key(key)))));
        }
    }

    fn debug_object(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let db = self.engine.keyspace.db(self.clients.at(by.id).session.db);
        let line = describe(db.find(db.key(args.at(2))).ok_or(NO_SUCH_KEY)?, self.unix_ms());
        by.reply.simple(&line);
        Ok(())
    }

    fn debug_htstats(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let index = usize::try_from(parse::int(args.at(2))?)
            .ok()
            .filter(|&i| i < self.engine.keyspace.databases())
            .ok_or(Fail::new("ERR Out of range database"))?;
        let db = self.engine.keyspace.db(index);
        let text = format!(
            "[Dictionary HT]\nHash table 0 stats (main hash table):\n table size: {}\n number of elements: {}\n[Expires HT]\n number of elements: {}\n",
            db.slots(),
            db.len(),
            db.expires_len()
        );
        by.reply.verbatim("txt", text.as_bytes());
        Ok(())
    }

    fn debug_htstats_key(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let db = self.engine.keyspace.db(self.clients.at(by.id).session.db);
        let entry = db.find(db.key(args.at(2))).ok_or(NO_SUCH_KEY)?;
        let text = format!("encoding: {}\n heap bytes: {}\n", entry.encoding(), entry.heap_bytes());
        by.reply.verbatim("txt", text.as_bytes());
        Ok(())
    }

    /// Lets the log writer sleep for so many microseconds before each write.
    fn debug_aof_flush_sleep(&mut self, us: i64) {
        if let Some(writer) = &self.persist.log.writer {
            writer.set_sleep(us.max(0) as u64);
        }
    }

    fn populate(&mut self, index: usize, args: Args<'_>) -> Result<(), Fail> {
        let keys = parse::int(args.at(2))?;
        if keys < 0 {
            return Err(Fail::new("ERR value is out of range, must be positive"));
        }
        let prefix = args.get(3).unwrap_or(b"key").to_vec();
        let size = args.get(4).map_or(Ok(0), parse::int)?.max(0) as usize;
        let clock = rivulet_commands::ctx::lru_clock(self.unix_ms());
        let db = self.engine.keyspace.db_mut(index);
        for i in 0..keys {
            let mut name = prefix.clone();
            name.extend(format!(":{i}").bytes());
            let key = db.key(&name);
            if db.find(key).is_some() {
                continue;
            }
            let mut value = format!("value:{i}").into_bytes();
            if size > 0 {
                value.resize(size, 0);
            }
            if value.len() <= 20 || size <= 64 {
                db.set_string(key, &value, Deadline::Keep, clock);
            } else {
                db.insert(key, Value::Str(StrBuf::Bytes(value)), None, clock);
            }
        }
        Ok(())
    }

    fn debug_reload(&mut self, args: Args<'_>) -> Result<(), Fail> {
        let (mut save, mut flush, mut merge) = (true, true, false);
        for word in args.iter().skip(2) {
            match word.to_ascii_lowercase().as_slice() {
                b"nosave" => save = false,
                b"noflush" => flush = false,
                b"merge" => merge = true,
                _ => return Err(Fail::new("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")),
            }
        }
        if merge && flush {
            flush = false;
        }
        self.refuse_second_load()?;
        self.cancel_rewrite();
        self.cancel_snapshot();
        if save && self.save_now().is_err() {
            return Err(Fail::new("ERR Error trying to load the RDB dump, check server logs."));
        }
        if flush {
            self.empty_all(false);
            self.scripts.forget_libraries();
        }
        let path = self.rdb_path();
        if let Err(text) = self.load_now(path, merge) {
            log::warning!("{text}");
            return Err(Fail::new("ERR Error trying to load the RDB dump, check server logs."));
        }
        log::warning!("DB reloaded by DEBUG RELOAD");
        Ok(())
    }
}

/// Argument `i` as a switch: any integer but 0 is on.
fn switch(args: Args<'_>, i: usize) -> Result<bool, Fail> {
    Ok(parse::int(args.at(i))? != 0)
}

fn step_to_pause_at(word: &[u8]) -> Result<Option<ReplPause>, Fail> {
    match word.to_ascii_lowercase().as_slice() {
        b"clear" => Ok(None),
        b"after-fork" => Ok(Some(ReplPause::AfterFork)),
        b"before-rdb-channel" => Ok(Some(ReplPause::BeforeRdbChannel)),
        b"on-streaming-repl-buf" => Ok(Some(ReplPause::OnStreamingReplBuf)),
        _ => Err(unknown(b"repl-pause")),
    }
}

fn unknown(word: &[u8]) -> Fail {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend(&word[..word.len().min(128)]);
    text.extend(b"'. Try DEBUG HELP.");
    Fail::bytes(text)
}

fn debug_protocol(by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
    let reply = &mut by.reply;
    match args.at(2).to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(3141.0 / 1000.0),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|i| reply.int(i));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|i| reply.int(i));
        }
        b"map" => {
            reply.map(3);
            for i in 0..3 {
                reply.int(i);
                reply.boolean(i == 1);
            }
        }
        b"attrib" => reply_with_attribute(reply)?,
        b"push" if !reply.is_resp3() => return Err(Fail::new("ERR RESP2 is not supported by this command")),
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        _ => return Err(Fail::new(UNKNOWN_TYPE)),
    }
    Ok(())
}

fn reply_with_attribute(reply: &mut Reply<'_>) -> Result<(), Fail> {
    if !reply.is_resp3() {
        return Err(Fail::new("ERR Attributes are not supported with RESP2"));
    }
    reply.attribute(1);
    reply.bulk(b"key-popularity");
    reply.array(2);
    reply.bulk(b"key:123");
    reply.int(90);
    reply.bulk(b"Some real reply following the attribute");
    Ok(())
}

/// DEBUG OBJECT's line.
fn describe(entry: EntryRef<'_>, now_ms: u64) -> String {
    let mut payload = Vec::new();
    dump::dump(&mut Writer::new(Version::DEFAULT, true), entry.value().as_ref(), &mut payload);
    let idle = rivulet_commands::ctx::lru_clock(now_ms).wrapping_sub(entry.clock()) & 0xff_ffff;
    let mut line = format!(
        "Value at:0x{:x} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{idle}",
        entry.address(),
        entry.encoding(),
        payload.len().saturating_sub(11),
        entry.clock()
    );
    if let Some(list) = entry.collection::<rivulet_keyspace::List>() {
        let nodes = list.nodes().count();
        let average = list.len() as f64 / nodes.max(1) as f64;
        line += &format!(
            " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:-2 ql_compressed:0 ql_uncompressed_size:{}",
            payload.len()
        );
    }
    line
}
