//! What the two ends of a link say to each other outside the stream: requests and replies, both ways.
//!
//! Only words and numbers here; what they lead to is decided in [`crate::psync`], [`crate::session`] and
//! [`crate::replica`].

use crate::history::{Ancestor, History};
use crate::position::{Position, ReplId};
use crate::stream::encode_command;

pub const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
pub const SYNTAX_ERROR: &str = "ERR syntax error";
/// The code of a refusal because a node would become a replica of itself, directly or through others.
pub const LOOP_CODE: &str = "LOOP";

/// A host name or address longer than this is refused.
const HOST_BYTES_MAX: usize = 255;

/// `PSYNC <id> <offset> [FAILOVER]`, as the master reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PsyncRequest {
    pub id: AskedId,
    /// The number of the byte that the replica wants next: one more than the bytes it has.
    pub asked: i64,
    /// Its master hands over to the node that it asks (rule 38).
    pub failover: bool,
}

/// The history that a replica wants to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedId {
    /// `?`: none, it wants a full sync.
    Any,
    Id(ReplId),
    /// Nothing that could be an id.
    Other(String),
}

impl PsyncRequest {
    /// The arguments after the word PSYNC. The error is the text to reply.
    pub fn parse(args: &[&[u8]]) -> Result<PsyncRequest, &'static str> {
        let [id, offset, more @ ..] = args else { return Err("ERR wrong number of arguments for 'psync' command") };
        let id = match ReplId::parse(id) {
            Some(id) => AskedId::Id(id),
            None if id.first() == Some(&b'?') => AskedId::Any,
            None => AskedId::Other(String::from_utf8_lossy(id).into_owned()),
        };
        let failover = more.first().is_some_and(|word| word.eq_ignore_ascii_case(b"failover"));
        Ok(PsyncRequest { id, asked: parse_integer(offset).ok_or(NOT_AN_INTEGER)?, failover })
    }
}

/// One option of a REPLCONF, as the master (or, for `GetAck`, the replica) reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replconf {
    ListeningPort(u16),
    IpAddress(String),
    CapaEof,
    CapaPsync2,
    /// Valkey's: a full sync over two channels.
    CapaDualChannel,
    /// Redis 8's: the same.
    CapaRdbChannel,
    /// Rivulet's own: it can go on to acknowledge by itself (`stream::GETACK_ALWAYS`).
    CapaAcks,
    /// Rivulet's own: it was started again, and may lack what it acknowledged before.
    CapaUncertain,
    /// A capability that is not made use of.
    CapaOther,
    Version(Version),
    Ack {
        offset: u64,
        fsynced: Option<u64>,
    },
    /// An ACK that can't be read: it gets no reply, as any ACK.
    BadAck,
    /// `always`: it goes on by itself.
    GetAck {
        always: bool,
    },
    RdbOnly(bool),
    /// This connection is the one for the snapshot of a full sync over two channels.
    RdbChannel(bool),
    /// On the connection for the snapshot: the id of the other one (Redis 8).
    MainClient(u64),
    /// On the main connection: the id of the one for the snapshot (Valkey).
    RdbClient(u64),
    /// The snapshot shall hold functions only, or nothing at all.
    RdbFilter {
        functions: bool,
    },
    /// Rivulet's own: the run id of the node that speaks.
    RunId(ReplId),
    /// Rivulet's own: the run ids of all nodes below the one that speaks. It gets no reply.
    Below(Vec<ReplId>),
    /// Rivulet's own: a secret of a node below, which goes up from link to link. Who gets its own back is below itself. It gets no reply.
    Probe(ReplId),
    /// Rivulet's own: the id of the node that speaks, which outlives its restarts.
    NodeId(ReplId),
}

/// A version of a server, as `REPLCONF version` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl Version {
    fn parse(text: &[u8]) -> Option<Version> {
        let mut parts = str::from_utf8(text).ok()?.splitn(3, '.').map(|part| part.parse().ok());
        Some(Version { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? })
    }
}

/// The options after the word REPLCONF, in order: those before an error count. The error is the text to reply.
pub fn replconf_options<'a>(args: &'a [&'a [u8]]) -> impl Iterator<Item = Result<Replconf, String>> + 'a {
    let odd = (!args.len().is_multiple_of(2)).then(|| Err(SYNTAX_ERROR.to_string()));
    let pairs = if odd.is_some() { &[] } else { args };
    odd.into_iter().chain(pairs.chunks_exact(2).map(move |pair| {
        let fack = match pairs {
            [_, _, word, value, ..] if word.eq_ignore_ascii_case(b"fack") => parse_offset(value),
            _ => None,
        };
        replconf_option(pair[0], pair[1], fack)
    }))
}

fn replconf_option(name: &[u8], value: &[u8], fack: Option<u64>) -> Result<Replconf, String> {
    let integer = |range: std::ops::RangeInclusive<i64>| {
        parse_integer(value).filter(|n| range.contains(n)).ok_or_else(|| NOT_AN_INTEGER.to_string())
    };
    Ok(match name.to_ascii_lowercase().as_slice() {
        b"listening-port" => Replconf::ListeningPort(integer(0..=65535)? as u16),
        b"ip-address" => match str::from_utf8(value) {
            _ if value.len() > HOST_BYTES_MAX => {
                let bytes = value.len();
                return Err(format!("ERR REPLCONF ip-address provided by replica instance is too long: {bytes} bytes"));
            }
            Ok(host) => Replconf::IpAddress(host.to_string()),
            Err(_) => return Err("ERR REPLCONF ip-address provided by replica instance is not text".to_string()),
        },
        b"capa" if value.eq_ignore_ascii_case(b"eof") => Replconf::CapaEof,
        b"capa" if value.eq_ignore_ascii_case(b"psync2") => Replconf::CapaPsync2,
        b"capa" if value.eq_ignore_ascii_case(b"dual-channel") => Replconf::CapaDualChannel,
        b"capa" if value.eq_ignore_ascii_case(b"rdb-channel-repl") => Replconf::CapaRdbChannel,
        b"capa" if value.eq_ignore_ascii_case(b"rivulet-acks") => Replconf::CapaAcks,
        b"capa" if value.eq_ignore_ascii_case(b"rivulet-uncertain") => Replconf::CapaUncertain,
        b"capa" => Replconf::CapaOther,
        b"version" => Replconf::Version(
            Version::parse(value)
                .ok_or_else(|| format!("ERR Unrecognized version format: {}", String::from_utf8_lossy(value)))?,
        ),
        b"ack" => match parse_offset(value) {
            Some(offset) => Replconf::Ack { offset, fsynced: fack },
            None => Replconf::BadAck,
        },
        b"getack" => Replconf::GetAck { always: value.eq_ignore_ascii_case(b"always") },
        b"rdb-only" => Replconf::RdbOnly(flag(value)?),
        b"rdb-channel" => Replconf::RdbChannel(flag(value)?),
        b"main-ch-client-id" => Replconf::MainClient(integer(0..=i64::MAX)? as u64),
        b"set-rdb-client-id" => Replconf::RdbClient(integer(0..=i64::MAX)? as u64),
        b"rdb-filter-only" => {
            let mut functions = false;
            for word in value.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()) {
                if !word.eq_ignore_ascii_case(b"functions") {
                    let word = String::from_utf8_lossy(word);
                    return Err(format!("ERR Unsupported rdb-filter-only option: {word}"));
                }
                functions = true;
            }
            Replconf::RdbFilter { functions }
        }
        b"rivulet-runid" => Replconf::RunId(
            ReplId::parse(value).ok_or_else(|| "ERR rivulet-runid must be forty hexadecimal digits".to_string())?,
        ),
        b"rivulet-below" => Replconf::Below(value.split(|byte| *byte == b',').filter_map(ReplId::parse).collect()),
        b"rivulet-probe" => Replconf::Probe(
            ReplId::parse(value).ok_or_else(|| "ERR rivulet-probe must be forty hexadecimal digits".to_string())?,
        ),
        b"node-id" => Replconf::NodeId(
            ReplId::parse(value).ok_or_else(|| "ERR node-id must be forty hexadecimal digits".to_string())?,
        ),
        _ => return Err(format!("ERR Unrecognized REPLCONF option: {}", String::from_utf8_lossy(name))),
    })
}

fn flag(value: &[u8]) -> Result<bool, String> {
    match parse_integer(value) {
        Some(n @ 0..=1) => Ok(n == 1),
        Some(_) => Err("ERR value is out of range, value must between 0 and 1".to_string()),
        None => Err(NOT_AN_INTEGER.to_string()),
    }
}

/// The answer to PSYNC, as the replica reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PsyncReply {
    /// Where the snapshot stands. A Rivulet tells another one, whose position is not part of its history, also up to where the two histories are one.
    FullResync(Position, Option<u64>),
    /// The id is missing when the master does not know that this replica understands a new one. A Rivulet adds the former ids that what follows was
    /// known by, each with the first byte that is not shared.
    Continue { id: Option<ReplId>, forks: Vec<Ancestor> },
    /// A full sync, whose snapshot is to be fetched over a second connection.
    TwoChannels(TwoChannels),
    /// The master can't serve now, and will later.
    TryLater,
    /// It is itself a replica of the one that asks (a Rivulet master says so).
    Loop,
    /// It knows no PSYNC, or is in trouble: old SYNC may work.
    NotSupported { unexpected: bool },
    /// It said yes in a way that can't be read.
    Malformed,
}

/// How a full sync over two channels is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TwoChannels {
    /// Valkey's way: the replica asks on the main connection for what follows the snapshot.
    DualChannel,
    /// Redis 8's: what follows comes on the main connection by itself, whose id at the master is this.
    RdbChannel { main_client: u64 },
}

impl PsyncReply {
    /// A line without its end.
    pub fn parse(line: &[u8]) -> PsyncReply {
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [b"+FULLRESYNC", id, offset, fork @ ..] => match (ReplId::parse(id), parse_offset(offset), fork) {
                (Some(id), Some(offset), []) => PsyncReply::FullResync(Position { id, offset }, None),
                (Some(id), Some(offset), [fork]) => match parse_offset(fork) {
                    None => PsyncReply::Malformed,
                    fork => PsyncReply::FullResync(Position { id, offset }, fork),
                },
                _ => PsyncReply::Malformed,
            },
            [b"+FULLRESYNC", ..] => PsyncReply::Malformed,
            [b"+CONTINUE"] => PsyncReply::Continue { id: None, forks: Vec::new() },
            [b"+CONTINUE", id, forks @ ..] => match (ReplId::parse(id), parse_forks(forks)) {
                (Some(id), Some(forks)) => PsyncReply::Continue { id: Some(id), forks },
                _ => PsyncReply::Malformed,
            },
            [b"+DUALCHANNELSYNC"] => PsyncReply::TwoChannels(TwoChannels::DualChannel),
            [b"+RDBCHANNELSYNC", client] => match parse_offset(client) {
                Some(main_client) => PsyncReply::TwoChannels(TwoChannels::RdbChannel { main_client }),
                None => PsyncReply::Malformed,
            },
            [b"+RDBCHANNELSYNC" | b"+DUALCHANNELSYNC", ..] => PsyncReply::Malformed,
            [b"-NOMASTERLINK" | b"-LOADING" | b"-BUSY", ..] => PsyncReply::TryLater,
            [first, ..] if first[1..] == *LOOP_CODE.as_bytes() => PsyncReply::Loop,
            [first, ..] => PsyncReply::NotSupported { unexpected: !first.starts_with(b"-ERR") },
            [] => PsyncReply::NotSupported { unexpected: true },
        }
    }
}

/// A command of the handshake, or an ACK, as bytes.
pub fn command<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_command(args, &mut out);
    out
}

/// `PSYNC` for what follows `position`, or for everything.
pub fn psync_command(position: Option<Position>, failover: bool) -> Vec<u8> {
    let (id, asked) = asked_words(position);
    let mut args = vec!["PSYNC", &id, &asked];
    if failover {
        args.push("FAILOVER");
    }
    command(&args)
}

/// The id and the byte number that a PSYNC for what follows `position` names.
pub fn asked_words(position: Option<Position>) -> (String, String) {
    match position {
        Some(Position { id, offset }) => (id.to_string(), (offset + 1).to_string()),
        None => ("?".to_string(), "-1".to_string()),
    }
}

/// `REPLCONF ACK <offset> [FACK <offset>]`.
pub fn ack_command(offset: u64, fsynced: Option<u64>) -> Vec<u8> {
    let mut args = vec!["REPLCONF".to_string(), "ACK".to_string(), offset.to_string()];
    if let Some(fsynced) = fsynced {
        args.extend(["FACK".to_string(), fsynced.to_string()]);
    }
    command(&args)
}

/// `+FULLRESYNC <id> <offset>`, and the fork if it is told: sent when the snapshot's offset is known.
pub fn full_resync_reply(position: Position, fork: Option<u64>) -> Vec<u8> {
    let fork = fork.map_or(String::new(), |fork| format!(" {fork}"));
    format!("+FULLRESYNC {} {}{fork}\r\n", position.id, position.offset).into_bytes()
}

/// `+CONTINUE <id>`, or without an id for a replica that would not understand a new one. A Rivulet is also told the forks that lie ahead of the byte
/// that it asked for, as `<former id>:<first byte that is not shared>`.
pub fn continue_reply(history: &History, asked: u64, psync2: bool, is_rivulet: bool) -> Vec<u8> {
    if !psync2 {
        return b"+CONTINUE\r\n".to_vec();
    }
    let mut line = format!("+CONTINUE {}", history.id());
    for Ancestor { id, asked_max } in history.ancestors().iter().filter(|fork| is_rivulet && fork.asked_max > asked) {
        line += &format!(" {id}:{asked_max}");
    }
    (line + "\r\n").into_bytes()
}

/// `<former id>:<first byte that is not shared>`, in order. `None` if they can't be read.
fn parse_forks(words: &[&[u8]]) -> Option<Vec<Ancestor>> {
    let parse = |word: &&[u8]| {
        let at = word.iter().position(|byte| *byte == b':')?;
        Some(Ancestor { id: ReplId::parse(&word[..at])?, asked_max: parse_offset(&word[at + 1..])? })
    };
    let forks: Vec<Ancestor> = words.iter().map(parse).collect::<Option<_>>()?;
    (forks.len() <= History::ANCESTORS_MAX && forks.is_sorted_by_key(|fork| fork.asked_max)).then_some(forks)
}

/// The answer to a PSYNC whose snapshot goes over a second connection.
pub fn two_channels_reply(how: TwoChannels) -> Vec<u8> {
    match how {
        TwoChannels::DualChannel => b"+DUALCHANNELSYNC\r\n".to_vec(),
        TwoChannels::RdbChannel { main_client } => format!("+RDBCHANNELSYNC {main_client}\r\n").into_bytes(),
    }
}

/// `$ENDOFF:<offset> <id> <db> <client id>`: what the snapshot is exact at, on Valkey's second connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOffset {
    pub position: Position,
    /// The database that the stream has selected there, if it has.
    pub stream_db: Option<u32>,
    /// The id of the connection that it was sent on.
    pub rdb_client: u64,
}

impl EndOffset {
    /// A line without its end.
    pub fn parse(line: &[u8]) -> Option<EndOffset> {
        let words: Vec<&[u8]> = line.strip_prefix(b"$ENDOFF:")?.split(|byte| *byte == b' ').collect();
        let [offset, id, db, client] = words[..] else { return None };
        let position = Position { id: ReplId::parse(id)?, offset: parse_offset(offset)? };
        let stream_db = u32::try_from(parse_integer(db)?).ok();
        Some(EndOffset { position, stream_db, rdb_client: parse_offset(client)? })
    }

    pub fn line(&self) -> Vec<u8> {
        let Position { id, offset } = self.position;
        let db = self.stream_db.map_or(-1, i64::from);
        format!("$ENDOFF:{offset} {id} {db} {}\r\n", self.rdb_client).into_bytes()
    }
}

/// Lines that arrive in pieces.
#[derive(Debug, Default)]
pub struct LineBuffer {
    partial: Vec<u8>,
}

/// A line did not end where any line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineTooLong;

impl LineBuffer {
    const LINE_BYTES_MAX: usize = 4096;

    /// Takes the bytes of one line off the input; the line comes without its end. `None` needs more input.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, LineTooLong> {
        let (line, rest) = match memchr::memchr(b'\n', input) {
            Some(at) => (&input[..at], Some(&input[at + 1..])),
            None => (*input, None),
        };
        if self.partial.len() + line.len() > Self::LINE_BYTES_MAX {
            return Err(LineTooLong);
        }
        self.partial.extend_from_slice(line);
        let Some(rest) = rest else {
            *input = &[];
            return Ok(None);
        };
        *input = rest;
        if self.partial.last() == Some(&b'\r') {
            self.partial.pop();
        }
        Ok(Some(std::mem::take(&mut self.partial)))
    }
}

/// A signed decimal number in the only form that Redis takes: no sign but `-`, no leading zeros, no spaces.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && text != b"-0";
    if !canonical || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

fn parse_offset(text: &[u8]) -> Option<u64> {
    parse_integer(text).and_then(|n| u64::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ReplId {
        ReplId::from_random(&[n; 20])
    }

    fn options(line: &str) -> Vec<Result<Replconf, String>> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        replconf_options(&args).collect()
    }

    #[test]
    fn psync_requests() {
        let text = id(7).to_string();
        let parse = |words: &[&str]| PsyncRequest::parse(&words.iter().map(|w| w.as_bytes()).collect::<Vec<_>>());
        assert_eq!(parse(&["?", "-1"]), Ok(PsyncRequest { id: AskedId::Any, asked: -1, failover: false }));
        assert_eq!(
            parse(&[&text, "12", "failover"]),
            Ok(PsyncRequest { id: AskedId::Id(id(7)), asked: 12, failover: true })
        );
        assert_eq!(parse(&["x", "1"]).unwrap().id, AskedId::Other("x".to_string()));
        for bad in ["", "a", "01", "+1", " 1", "9223372036854775808", "-0", "1.0"] {
            assert_eq!(parse(&["?", bad]), Err(NOT_AN_INTEGER), "{bad:?}");
        }
    }

    #[test]
    fn replconf_is_read_option_by_option() {
        assert_eq!(
            options(
                "listening-port 6380 capa eof CAPA psync2 capa dual-channel capa rdb-channel-repl capa x version 7.2.4"
            ),
            [
                Ok(Replconf::ListeningPort(6380)),
                Ok(Replconf::CapaEof),
                Ok(Replconf::CapaPsync2),
                Ok(Replconf::CapaDualChannel),
                Ok(Replconf::CapaRdbChannel),
                Ok(Replconf::CapaOther),
                Ok(Replconf::Version(Version { major: 7, minor: 2, patch: 4 })),
            ]
        );
        assert_eq!(options("ack 12"), [Ok(Replconf::Ack { offset: 12, fsynced: None })]);
        assert_eq!(options("ack 12 fack 7")[0], Ok(Replconf::Ack { offset: 12, fsynced: Some(7) }));
        assert_eq!(options("ack x"), [Ok(Replconf::BadAck)]);
        assert_eq!(options("getack *"), [Ok(Replconf::GetAck { always: false })]);
        assert_eq!(
            options("rdb-only 1 rdb-channel 1 main-ch-client-id 5 set-rdb-client-id 6"),
            [
                Ok(Replconf::RdbOnly(true)),
                Ok(Replconf::RdbChannel(true)),
                Ok(Replconf::MainClient(5)),
                Ok(Replconf::RdbClient(6))
            ]
        );
        assert_eq!(options("set-rdb-client-id -1"), [Err(NOT_AN_INTEGER.to_string())]);
        assert_eq!(options("rdb-filter-only functions"), [Ok(Replconf::RdbFilter { functions: true })]);
        assert_eq!(options(&format!("rivulet-below {},{}", id(1), id(2))), [Ok(Replconf::Below(vec![id(1), id(2)]))]);
        assert_eq!(options(&format!("rivulet-probe {}", id(3))), [Ok(Replconf::Probe(id(3)))]);
    }

    #[test]
    fn replconf_errors_are_redis_texts() {
        assert_eq!(options("capa"), [Err(SYNTAX_ERROR.to_string())]);
        assert_eq!(
            options("capa eof Bla 1"),
            [Ok(Replconf::CapaEof), Err("ERR Unrecognized REPLCONF option: Bla".to_string())]
        );
        assert_eq!(options("listening-port x"), [Err(NOT_AN_INTEGER.to_string())]);
        assert_eq!(options("rdb-only 2"), [Err("ERR value is out of range, value must between 0 and 1".to_string())]);
        assert_eq!(
            options(&format!("ip-address {}", "a".repeat(256))),
            [Err("ERR REPLCONF ip-address provided by replica instance is too long: 256 bytes".to_string())]
        );
    }

    #[test]
    fn psync_replies() {
        let parse = |line: &str| PsyncReply::parse(line.as_bytes());
        let a = id(0xa);
        assert_eq!(parse(&format!("+FULLRESYNC {a} 17")), PsyncReply::FullResync(Position { id: a, offset: 17 }, None));
        assert_eq!(
            parse(&format!("+FULLRESYNC {a} 17 9")),
            PsyncReply::FullResync(Position { id: a, offset: 17 }, Some(9))
        );
        assert_eq!(parse(&format!("+FULLRESYNC {a} 17 x")), PsyncReply::Malformed);
        assert_eq!(parse(&format!("+FULLRESYNC {a} 17 9 9")), PsyncReply::Malformed);
        assert_eq!(parse("+FULLRESYNC abc 17"), PsyncReply::Malformed);
        assert_eq!(parse(&format!("+FULLRESYNC {a}")), PsyncReply::Malformed);
        assert_eq!(parse("+CONTINUE"), PsyncReply::Continue { id: None, forks: vec![] });
        assert_eq!(parse(&format!("+CONTINUE {a}")), PsyncReply::Continue { id: Some(a), forks: vec![] });
        let b = ReplId::from_random(&[9; 20]);
        let forks = vec![Ancestor { id: b, asked_max: 7 }, Ancestor { id: a, asked_max: 9 }];
        assert_eq!(parse(&format!("+CONTINUE {a} {b}:7 {a}:9")), PsyncReply::Continue { id: Some(a), forks });
        for wrong in ["x", "x:7", ":", &format!("{b}:-1"), &format!("{b}:9 {a}:7"), &format!("{b}:7 ").repeat(17)] {
            assert_eq!(parse(&format!("+CONTINUE {a} {wrong}")), PsyncReply::Malformed, "{wrong}");
        }
        let two = |how| PsyncReply::TwoChannels(how);
        assert_eq!(parse("+DUALCHANNELSYNC"), two(TwoChannels::DualChannel));
        assert_eq!(parse("+RDBCHANNELSYNC 17"), two(TwoChannels::RdbChannel { main_client: 17 }));
        for how in [TwoChannels::DualChannel, TwoChannels::RdbChannel { main_client: 3 }] {
            assert_eq!(PsyncReply::parse(two_channels_reply(how).trim_ascii_end()), two(how));
        }
        for bad in ["+RDBCHANNELSYNC", "+RDBCHANNELSYNC x", "+DUALCHANNELSYNC 1"] {
            assert_eq!(parse(bad), PsyncReply::Malformed, "{bad}");
        }
        assert_eq!(parse("-NOMASTERLINK Can't SYNC"), PsyncReply::TryLater);
        assert_eq!(parse("-LOADING x"), PsyncReply::TryLater);
        assert_eq!(parse("-BUSY a script runs"), PsyncReply::TryLater);
        assert_eq!(parse("-LOOP x"), PsyncReply::Loop);
        assert_eq!(parse("-ERR unknown command"), PsyncReply::NotSupported { unexpected: false });
        assert_eq!(parse("+OK"), PsyncReply::NotSupported { unexpected: true });
    }

    #[test]
    fn commands_and_replies() {
        let position = Position { id: ReplId::ZERO, offset: 9 };
        let zeros = "0".repeat(40);
        assert_eq!(psync_command(None, false), b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
        let expected = format!("*4\r\n$5\r\nPSYNC\r\n$40\r\n{zeros}\r\n$2\r\n10\r\n$8\r\nFAILOVER\r\n");
        assert_eq!(psync_command(Some(position), true), expected.as_bytes());
        assert_eq!(ack_command(5, None), b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n5\r\n");
        assert_eq!(
            ack_command(5, Some(3)),
            b"*5\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n5\r\n$4\r\nFACK\r\n$1\r\n3\r\n"
        );
        assert_eq!(full_resync_reply(position, None), format!("+FULLRESYNC {zeros} 9\r\n").as_bytes());
        assert_eq!(full_resync_reply(position, Some(7)), format!("+FULLRESYNC {zeros} 9 7\r\n").as_bytes());
        let mut history = History::new(ReplId::from_random(&[1; 20]));
        let former = history.id();
        history.promote(ReplId::ZERO, 9);
        assert_eq!(continue_reply(&history, 10, true, false), format!("+CONTINUE {zeros}\r\n").as_bytes());
        assert_eq!(continue_reply(&history, 10, true, true), format!("+CONTINUE {zeros}\r\n").as_bytes());
        assert_eq!(continue_reply(&history, 9, true, true), format!("+CONTINUE {zeros} {former}:10\r\n").as_bytes());
        assert_eq!(continue_reply(&history, 9, false, true), b"+CONTINUE\r\n");
    }

    #[test]
    fn lines_come_in_pieces() {
        let whole = b"+OK\r\n\n\r\n-ERR x\nrest";
        for split in 0..whole.len() {
            let mut buffer = LineBuffer::default();
            let mut lines = Vec::new();
            for mut part in [&whole[..split], &whole[split..]] {
                while let Some(line) = buffer.next(&mut part).unwrap() {
                    lines.push(line);
                }
            }
            assert_eq!(lines, [&b"+OK"[..], b"", b"", b"-ERR x"], "split at {split}");
        }
        let mut buffer = LineBuffer::default();
        assert_eq!(buffer.next(&mut &[b'x'; 5000][..]), Err(LineTooLong));
    }

    #[test]
    fn where_a_snapshot_ends() {
        for stream_db in [None, Some(0), Some(12)] {
            let end = EndOffset { position: Position { id: id(3), offset: 44 }, stream_db, rdb_client: 5 };
            assert_eq!(EndOffset::parse(end.line().trim_ascii_end()), Some(end));
        }
        let line = format!("$ENDOFF:44 {} -1 5", id(3));
        for at in 0..line.len() {
            assert_eq!(EndOffset::parse(&line.as_bytes()[..at]), None, "cut at {at}");
        }
        assert_eq!(EndOffset::parse(format!("{line} 6").as_bytes()), None);
    }
}
