//! The replica's end of a link: from an address to a stream that flows, and back to it after any failure.
//!
//! The driver tells what happened and does what the actions say, in their order. The link knows the protocol and the
//! time-outs; it does not open sockets, decode snapshots, execute commands, or own the node's history and log.

mod acks;
mod config;
mod greeting;
mod loops;
mod two_channels;
mod unloadable;

use std::borrow::Cow;
use std::collections::VecDeque;

use self::acks::Acks;
pub use self::config::{LinkConfig, LoadMode, Login, Shown};
use self::two_channels::Main;
use self::unloadable::Broken;
pub use self::unloadable::Unloadable;
use crate::history::Ancestor;
use crate::messages::{LineBuffer, command};
use crate::position::{Position, ReplId};
use crate::promises::TermId;
use crate::rdb_channel::RdbChannel;
use crate::report::Report;
use crate::transfer::{Item, PayloadReader};
use crate::{Millis, whole_seconds};

/// The link of a replica to its master.
#[derive(Debug)]
pub struct ReplicaLink {
    config: LinkConfig,
    state: State,
    /// Where a partial resync would go on, while no stream flows.
    cached: Option<Position>,
    /// The position of the same data under the id before, when the id changed as the stream began. A master that is killed
    /// before its new id is durable does not know that id; the old one it knows in any case.
    before_change: Option<Position>,
    has_whole_data: bool,
    /// The run id of the master, if it told one.
    peer: Option<ReplId>,
    /// Who says to be below, directly or through others. Anybody can say that: it makes suspicious, and a probe proves it.
    below: Vec<ReplId>,
    /// Probes of nodes below, to be passed on upwards, and when they came.
    probes: Vec<(Millis, ReplId)>,
    /// When the own probe came back from below: the master is below this node.
    loop_seen_at: Option<Millis>,
    probed_at: Millis,
    fsynced: Option<u64>,
    acks: Acks,
    /// What the master told of itself in the greeting.
    master_name: MasterName,
    /// The node whose stream, in some term, was followed at this address.
    followed: Option<ReplId>,
    /// The master was started again and has less of its stream than this node: it was not followed there.
    lacks_data: bool,
    failover: bool,
    attempted_at: Option<Millis>,
    last_io: Millis,
    down_since: Option<Millis>,
    /// The second connection failed before it served for anything: the next full sync goes over one.
    one_channel: bool,
    /// The most bytes of the stream that were kept during the present full sync.
    kept_peak: usize,
    unloadable: Unloadable,
    broken: Option<Broken>,
}

/// Which node a master is, and by whose word.
#[derive(Debug, Clone, Copy, Default)]
struct MasterName {
    /// It was asked for its name, which nodes have that have promised something, and knows no such thing.
    is_foreign: bool,
    /// Nothing if it is no Rivulet.
    node: Option<ReplId>,
    /// The term in which it is a master.
    term: Option<TermId>,
    /// The offset at which that term began.
    began: u64,
    /// Where its stream ended when it said that; nothing if it did not.
    end: Option<u64>,
    /// It was started again in that term, and can't tell yet whether it has lost some of it.
    is_unproven: bool,
}

impl MasterName {
    /// The failover that made it a master; 0 if it said nothing of one.
    fn epoch(&self) -> u64 {
        self.term.unwrap_or_default().epoch
    }
}

/// ```text
///   ┌────────── any failure, any cut ───────────┬───────────┬─────────────┐
///   ▼                                           │           │             │
/// Waiting ─→ Connecting ─→ Greeting ─full──→ Receiving ─→ Loading ─→ Streaming
///                          ▲   ├─two channels→ Parallel ────┘  │          ▲
///                          └───┼── the stream is not yet granted          │
///                              └────────── continue ──────────────────────┘
/// ```
#[derive(Debug)]
enum State {
    Waiting {
        retry_at: Millis,
    },
    Connecting {
        deadline: Millis,
    },
    Greeting {
        deadline: Millis,
        lines: LineBuffer,
        /// The replies that are still to come, in order.
        expected: VecDeque<Expected>,
        /// The master may be below this node: until then it is not asked for anything, and the probe may come back.
        suspects_until: Option<Millis>,
    },
    Receiving {
        deadline: Millis,
        /// Where the data will stand; unknown after an old SYNC.
        target: Option<Position>,
        payload: PayloadReader,
        load: LoadMode,
        len: Option<u64>,
        read: u64,
        newline_at: Millis,
    },
    /// The snapshot comes over a connection of its own, and the stream that follows it over this one.
    Parallel {
        deadline: Millis,
        channel: RdbChannel,
        /// Where the data will stand, once the master has said it.
        target: Option<Position>,
        main: Main,
        load: LoadMode,
        len: Option<u64>,
        read: u64,
        newline_at: Millis,
    },
    Loading {
        target: Option<Position>,
        load: LoadMode,
        main: Main,
        len: u64,
        newline_at: Millis,
    },
    Streaming {
        /// How far the stream is applied; unknown after an old SYNC.
        position: Option<Position>,
        ack_at: Millis,
        deadline: Millis,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Pong,
    Auth,
    Replconf(&'static str),
    RunId,
    NodeId,
    Psync,
}

/// What the driver has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Open a connection to the configured address; then call `connected` or `disconnected`.
    Connect,
    Send(Vec<u8>),
    /// Open a second connection to the configured address; then call `channel_connected` or `channel_disconnected`.
    OpenChannel,
    SendChannel(Vec<u8>),
    CloseChannel,
    /// The stream goes on here. Tell the history, and the forks that the master told (`continue_with`; if the id changed, drop the own replicas), and
    /// create the log if it is not active.
    Continue(Position, Vec<Ancestor>),
    /// What this node has from here on is no part of the master's history: the data that are to come will not have it.
    GivesUp {
        from: u64,
    },
    /// A snapshot comes, of this length if it is known, with which the data will stand at `target`. Prepare to store
    /// it, or to load it as it comes, as `load` says.
    PayloadBegin {
        len: Option<u64>,
        target: Option<Position>,
        load: LoadMode,
    },
    Store(Cow<'a, [u8]>),
    PayloadEnd,
    /// The data is about to be replaced: drop the own replicas, free the log, and take a new random id, so that
    /// nobody can go on from what vanishes; then flush. (With `LoadMode::Beside` the loaded data is put in place now.)
    ReplaceData,
    /// Load what was stored; then call `loaded`.
    Load,
    /// The loaded data stands here: `History::adopt` and `ReplLog::reset_to`. After an old SYNC there is no position.
    Adopt(Option<Position>),
    /// Bytes of the stream: parse, execute, count in `Applied`, append what became applied to the log, and tell the
    /// link with `applied`.
    Apply(Cow<'a, [u8]>),
    /// Close the connections that are open, throw away what was received and not applied, and give up a load that is
    /// under way: what it has put in place already is emptied.
    Disconnect,
    /// The target of a FAILOVER took over, or did not.
    FailoverAnswered(bool),
    Log(Report),
}

/// How far a full sync has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncProgress {
    /// Unknown while a master sends a snapshot as it makes it.
    pub total_bytes: Option<u64>,
    pub read_bytes: u64,
    pub last_io_seconds: u64,
}

type Actions<'a, 'b> = &'a mut Vec<Action<'b>>;

const ACK_PERIOD: Millis = 1000;
const RETRY_PERIOD: Millis = 1000;
/// A probe is back by then, if there is a loop: those whose links are down pass it on when they try again.
const PROBE_PERIOD: Millis = RETRY_PERIOD + RETRY_PERIOD / 2;
/// A probe that came is passed on for so long, and a loop that was seen is believed in.
const PROBE_VALID: Millis = 3 * RETRY_PERIOD;
/// More of them are not kept: strangers may send any number.
const PROBES_MAX: usize = 64;
/// Two attempts to connect are this far apart at least, even after a failure that is retried at once.
const ATTEMPT_SPACING: Millis = 200;

impl ReplicaLink {
    /// A link that connects with the first `tick`. `cached` is the node's own id and applied offset, if it has any
    /// history (rule 10); `has_whole_data` says that its data is not half a snapshot.
    pub fn new(config: LinkConfig, cached: Option<Position>, has_whole_data: bool, now: Millis) -> ReplicaLink {
        ReplicaLink {
            config,
            state: State::Waiting { retry_at: now },
            cached,
            before_change: None,
            has_whole_data,
            peer: None,
            below: Vec::new(),
            probes: Vec::new(),
            loop_seen_at: None,
            probed_at: now,
            fsynced: None,
            acks: Acks::default(),
            master_name: MasterName::default(),
            followed: None,
            lacks_data: false,
            failover: false,
            attempted_at: None,
            last_io: now,
            down_since: None,
            one_channel: false,
            kept_peak: 0,
            unloadable: Unloadable::default(),
            broken: None,
        }
    }

    /// Time passed. To be called about every 100 ms, also while a snapshot loads.
    pub fn tick(&mut self, now: Millis, out: Actions<'_, '_>) {
        match &mut self.state {
            State::Waiting { retry_at } if now >= *retry_at => {
                log(out, Report::notice(format!("Connecting to MASTER {}", self.address())));
                self.connect(now, out);
            }
            State::Connecting { deadline } | State::Greeting { deadline, .. } if now > *deadline => {
                log(out, Report::warning("Timeout connecting to the MASTER..."));
                self.abort(now, out);
            }
            State::Greeting { suspects_until, .. } if suspects_until.is_some_and(|until| now >= until) => {
                // Nothing has come back: who says that the master is below this node is wrong, or it was so a moment ago.
                *suspects_until = None;
                self.ask_when_greeted(out);
            }
            State::Receiving { deadline, .. } | State::Parallel { deadline, .. } if now > *deadline => {
                log(
                    out,
                    Report::warning(
                        "Timeout receiving bulk data from MASTER... If the problem persists try to set the \
                         'repl-timeout' parameter in redis.conf to a larger value.",
                    ),
                );
                self.abort(now, out);
            }
            State::Streaming { deadline, .. } if now > *deadline => {
                log(out, Report::warning("MASTER timeout: no data nor PING received..."));
                self.lose_stream(now, true, out);
            }
            State::Streaming { position: Some(_), ack_at, .. } if now >= *ack_at => {
                self.send_ack(now, out);
                self.probe_if_suspicious(now, out);
            }
            State::Loading { main: Main::Asking { .. } | Main::Keeping(_), newline_at, .. }
            | State::Parallel { newline_at, .. }
            | State::Receiving { load: LoadMode::InPlace | LoadMode::Beside, len: _, newline_at, .. }
                if now >= *newline_at =>
            {
                *newline_at = now + ACK_PERIOD;
                out.push(Action::Send(b"\n".to_vec()));
            }
            _ => {}
        }
    }

    /// The connection is not read for now: that nothing comes is not the master's silence.
    pub fn unread(&mut self, now: Millis) {
        if let State::Receiving { deadline, .. } | State::Streaming { deadline, .. } = &mut self.state {
            *deadline = now + self.config.timeout;
        }
    }

    /// The connection that was asked for is open.
    pub fn connected(&mut self, now: Millis, out: Actions<'_, '_>) {
        if let State::Connecting { .. } = self.state {
            log(out, Report::notice("Non blocking connect for SYNC fired the event."));
            out.push(Action::Send(command(&["PING"])));
            self.last_io = now;
            self.state = State::Greeting {
                deadline: now + self.config.timeout,
                lines: LineBuffer::default(),
                expected: [Expected::Pong].into(),
                suspects_until: None,
            };
        }
    }

    /// The connection could not be opened, or it ended; `reason` is what the system says.
    pub fn disconnected(&mut self, now: Millis, reason: &str, out: Actions<'_, '_>) {
        match &mut self.state {
            State::Connecting { .. } => {
                log(out, Report::warning(format!("Error condition on socket for SYNC: {reason}")));
                self.state = State::Waiting { retry_at: now + RETRY_PERIOD };
            }
            State::Greeting { .. } => {
                log(out, Report::warning(format!("Failed to read response from the server: {reason}")));
                log(out, Report::warning("Master did not respond to command during SYNC handshake"));
                self.state = State::Waiting { retry_at: now + RETRY_PERIOD };
            }
            State::Receiving { .. } | State::Parallel { .. } => {
                log(out, Report::warning(format!("I/O error trying to sync with MASTER: {reason}")));
                self.abort(now, out);
            }
            // The snapshot is whole: when it is loaded, a partial resync brings the rest.
            State::Loading { main, .. } => *main = Main::Gone,
            State::Streaming { .. } => self.lose_stream(now, true, out),
            State::Waiting { .. } => {}
        }
    }

    /// Bytes came.
    pub fn received<'b>(&mut self, now: Millis, bytes: &'b [u8], out: Actions<'_, 'b>) {
        self.last_io = now;
        let alive_until = now + self.config.timeout;
        let mut input = bytes;
        loop {
            match &mut self.state {
                State::Greeting { deadline, lines, .. } => {
                    *deadline = alive_until;
                    match lines.next(&mut input) {
                        Ok(Some(line)) if line.is_empty() => {} // only keeps the link alive
                        Ok(Some(line)) => self.reply(now, &line, out),
                        Ok(None) => return,
                        Err(_) => return self.refuse(now, "The master sent a line without an end".to_string(), out),
                    }
                }
                State::Receiving { deadline, payload, .. } => {
                    *deadline = alive_until;
                    match payload.next(&mut input) {
                        Ok(Some(item)) => self.payload_item(now, item, out),
                        Ok(None) => return,
                        Err(error) => {
                            log(out, Report::warning(error.to_string()));
                            return self.abort(now, out);
                        }
                    }
                }
                State::Parallel { deadline, .. } => {
                    *deadline = alive_until;
                    return self.main_received(now, input, out);
                }
                State::Loading { .. } => return self.main_received(now, input, out),
                State::Streaming { deadline, .. } => {
                    *deadline = alive_until;
                    if !input.is_empty() {
                        out.push(Action::Apply(input.into()));
                    }
                    return;
                }
                // What a connection sent that is closed already.
                State::Waiting { .. } | State::Connecting { .. } => return,
            }
        }
    }

    /// The stream is applied up to `offset`. To be told before anything else happens to the link.
    pub fn applied(&mut self, offset: u64) {
        if let State::Streaming { position: Some(position), .. } = &mut self.state {
            position.offset = offset;
        }
    }

    /// The stream is durable up to `offset`: acknowledged as FACK to masters that know it.
    pub fn set_fsynced(&mut self, offset: Option<u64>) {
        self.fsynced = offset;
    }

    /// The data are not what the stream makes of its master's: they are fetched anew.
    pub fn resync(&mut self, now: Millis, out: Actions<'_, '_>) {
        if let State::Streaming { .. } = self.state {
            self.lose_stream(now, false, out);
        }
    }

    /// The link shall be cut and made again (`CLIENT KILL TYPE master`).
    pub fn reconnect(&mut self, now: Millis, out: Actions<'_, '_>) {
        match self.state {
            State::Streaming { .. } => self.lose_stream(now, true, out),
            State::Loading { .. } | State::Waiting { .. } => {}
            _ => self.abort(now, out),
        }
    }

    /// `REPLICAOF` names another master. What was applied so far is where the new link will go on. The driver gives it a new probe before.
    pub fn retarget(&mut self, now: Millis, host: &str, port: u16, out: Actions<'_, '_>) {
        self.leave(now, out);
        self.config.host = host.to_string();
        self.config.port = port;
        self.one_channel = false;
        self.loop_seen_at = None;
        (self.unloadable, self.broken) = (Unloadable::default(), None);
        (self.followed, self.lacks_data) = (None, false);
        self.state = State::Waiting { retry_at: now };
        self.tick(now, out);
    }

    /// The node becomes a master. A connection is closed; a snapshot that is on its way is of no use any more.
    pub fn stop(mut self, now: Millis, out: Actions<'_, '_>) {
        self.leave(now, out);
        self.discard_cached(out);
    }

    /// The next PSYNC hands the master's role over to the node that it is sent to (rule 38).
    pub fn request_failover(&mut self) {
        self.failover = true;
    }

    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// For `CONFIG SET`; address and port are changed with `retarget`.
    pub fn config_mut(&mut self) -> &mut LinkConfig {
        &mut self.config
    }

    /// ROLE's word for the state.
    pub fn role_state(&self) -> &'static str {
        match self.state {
            State::Waiting { .. } => "connect",
            State::Connecting { .. } => "connecting",
            State::Greeting { .. } => "handshake",
            State::Receiving { .. } | State::Parallel { .. } | State::Loading { .. } => "sync",
            State::Streaming { .. } => "connected",
        }
    }

    /// `master_link_status:up`.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Streaming { .. })
    }

    /// `master_sync_in_progress`.
    pub fn is_syncing(&self) -> bool {
        self.sync_progress(self.last_io).is_some()
    }

    /// The data is that of a history, not half a snapshot: others may be served from it.
    pub fn has_whole_data(&self) -> bool {
        self.has_whole_data
    }

    /// The snapshot comes over the second connection.
    pub fn has_channel(&self) -> bool {
        matches!(self.state, State::Parallel { .. })
    }

    /// The second connection is being opened.
    pub fn is_channel_connecting(&self) -> bool {
        matches!(&self.state, State::Parallel { channel, .. } if channel.is_connecting())
    }

    /// Whether there is room for more bytes on the main connection; `false` only while a snapshot comes beside it or loads,
    /// and much of the stream has come.
    pub fn wants_read(&self) -> bool {
        self.kept_bytes() < self.config.early_bytes_max
    }

    /// Bytes of the stream that wait for a snapshot to be loaded.
    pub fn kept_bytes(&self) -> usize {
        match &self.state {
            State::Parallel { main: Main::Keeping(kept), .. } | State::Loading { main: Main::Keeping(kept), .. } => {
                kept.len()
            }
            _ => 0,
        }
    }

    /// The most of them during this full sync, or the last.
    pub fn kept_bytes_peak(&self) -> usize {
        self.kept_peak
    }

    /// How far the data is, in the master's history: applied by the stream, or to go on from.
    pub fn position(&self) -> Option<Position> {
        match &self.state {
            State::Streaming { position, .. } => *position,
            _ => self.cached,
        }
    }

    /// The master's run id, if it is one that tells it.
    pub fn master_run_id(&self) -> Option<ReplId> {
        self.peer
    }

    /// `master_last_io_seconds_ago`; `None` (shown as -1) while the link is down.
    pub fn last_io_seconds(&self, now: Millis) -> Option<u64> {
        self.is_up().then(|| whole_seconds(self.last_io, now))
    }

    /// `master_link_down_since_seconds`; `None` (shown as -1) if it was never up.
    pub fn down_since_seconds(&self, now: Millis) -> Option<u64> {
        self.down_since.map(|since| whole_seconds(since, now))
    }

    /// The `master_sync_…` fields, while a full sync goes on.
    pub fn sync_progress(&self, now: Millis) -> Option<SyncProgress> {
        let last_io_seconds = whole_seconds(self.last_io, now);
        match &self.state {
            State::Receiving { len, read, .. } | State::Parallel { len, read, .. } => {
                Some(SyncProgress { total_bytes: *len, read_bytes: *read, last_io_seconds })
            }
            State::Loading { len, .. } => {
                Some(SyncProgress { total_bytes: Some(*len), read_bytes: *len, last_io_seconds })
            }
            _ => None,
        }
    }

    fn address(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }

    fn connect(&mut self, now: Millis, out: Actions<'_, '_>) {
        self.attempted_at = Some(now);
        self.last_io = now;
        self.peer = None;
        self.state = State::Connecting { deadline: now + self.config.timeout };
        out.push(Action::Connect);
        log(out, Report::notice("MASTER <-> REPLICA sync started"));
    }

    /// Connects again without waiting, unless the last attempt was a moment ago.
    fn connect_again(&mut self, now: Millis, line: String, out: Actions<'_, '_>) {
        let earliest = self.attempted_at.map_or(0, |at| at + ATTEMPT_SPACING);
        if now < earliest {
            self.state = State::Waiting { retry_at: earliest };
        } else {
            log(out, Report::notice(line));
            self.connect(now, out);
        }
    }

    /// Gives up what goes on before a stream flows, and starts over.
    fn abort(&mut self, now: Millis, out: Actions<'_, '_>) {
        out.push(Action::Disconnect);
        self.connect_again(now, format!("Reconnecting to MASTER {} after failure", self.address()), out);
    }

    /// The handshake can't go on: tries again later.
    fn refuse(&mut self, now: Millis, text: String, out: Actions<'_, '_>) {
        log(out, Report::warning(text));
        self.retry_later(now, out);
    }

    fn retry_later(&mut self, now: Millis, out: Actions<'_, '_>) {
        out.push(Action::Disconnect);
        self.state = State::Waiting { retry_at: now + RETRY_PERIOD };
    }

    /// The stream ended; it is known where, unless the master can't be trusted.
    fn lose_stream(&mut self, now: Millis, trusted: bool, out: Actions<'_, '_>) {
        self.end_stream(now, trusted, out);
        self.connect_again(now, format!("Reconnecting to MASTER {}", self.address()), out);
    }

    fn end_stream(&mut self, now: Millis, trusted: bool, out: Actions<'_, '_>) {
        out.push(Action::Disconnect);
        log(out, Report::warning("Connection with master lost."));
        let same = |position: Position| self.before_change.filter(|before| before.offset == position.offset);
        self.cached = self.position().filter(|_| trusted).map(|position| same(position).unwrap_or(position));
        if self.cached.is_some() {
            log(out, Report::notice("Caching the disconnected master state."));
        }
        self.down_since = Some(now);
        self.state = State::Waiting { retry_at: now };
    }

    /// Ends whatever goes on, keeping the position if there is one.
    fn leave(&mut self, now: Millis, out: Actions<'_, '_>) {
        match self.state {
            State::Streaming { .. } => self.end_stream(now, true, out),
            State::Waiting { .. } => {}
            _ => {
                out.push(Action::Disconnect);
                self.state = State::Waiting { retry_at: now };
            }
        }
    }

    fn discard_cached(&mut self, out: Actions<'_, '_>) {
        if self.cached.take().is_some() {
            log(out, Report::notice("Discarding previously cached master state."));
        }
    }

    fn receive(&mut self, now: Millis, target: Option<Position>) {
        self.kept_peak = 0;
        self.state = State::Receiving {
            deadline: now + self.config.timeout,
            target,
            payload: PayloadReader::default(),
            load: self.config.load,
            len: None,
            read: 0,
            newline_at: now + ACK_PERIOD,
        };
    }

    fn payload_item<'b>(&mut self, now: Millis, item: Item<'b>, out: Actions<'_, 'b>) {
        let (State::Receiving { target, load, len, read, .. } | State::Parallel { target, load, len, read, .. }) =
            &mut self.state
        else {
            return;
        };
        let (target, load) = (*target, *load);
        match item {
            Item::KeepAlive => {}
            Item::Data(data) => {
                *read += data.len() as u64;
                out.push(Action::Store(data));
            }
            Item::Begin { len: announced } => {
                *len = announced;
                let place = if load == LoadMode::AfterTransfer { "disk" } else { "parser" };
                let text = match announced {
                    Some(bytes) => {
                        format!("MASTER <-> REPLICA sync: receiving {bytes} bytes from master to {place}")
                    }
                    None => {
                        format!("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to {place}")
                    }
                };
                log(out, Report::notice(text));
                out.push(Action::PayloadBegin { len: announced, target, load });
                if load != LoadMode::AfterTransfer {
                    self.begin_load(load, out);
                }
            }
            Item::End => {
                let len = *read;
                out.push(Action::PayloadEnd);
                let main = match &mut self.state {
                    State::Parallel { main, .. } => {
                        out.push(Action::CloseChannel);
                        std::mem::replace(main, Main::Gone)
                    }
                    _ => Main::Keeping(Vec::new()),
                };
                self.state = State::Loading { target, load, main, len, newline_at: now };
                if load == LoadMode::AfterTransfer {
                    self.begin_load(load, out);
                    out.push(Action::Load);
                }
            }
        }
    }

    fn begin_load(&mut self, load: LoadMode, out: Actions<'_, '_>) {
        if load != LoadMode::Beside {
            self.set_cached_aside(out);
            self.has_whole_data = false;
            log(out, Report::notice("MASTER <-> REPLICA sync: Flushing old data"));
            out.push(Action::ReplaceData);
        }
        log(out, Report::notice("MASTER <-> REPLICA sync: Loading DB in memory"));
    }

    /// The snapshot is loaded and whole.
    fn start_stream(&mut self, now: Millis, out: Actions<'_, '_>) {
        let State::Loading { target, load, main, .. } = &mut self.state else { return };
        let (target, load, main) = (*target, *load, std::mem::replace(main, Main::Gone));
        if load == LoadMode::Beside {
            self.discard_cached(out);
            log(out, Report::notice("MASTER <-> REPLICA sync: Swapping active DB with loaded DB"));
            out.push(Action::ReplaceData);
        }
        self.has_whole_data = true;
        self.unloadable = Unloadable::default();
        out.push(Action::Adopt(target));
        // What was durable was the old data.
        self.fsynced = None;
        log(out, Report::notice("MASTER <-> REPLICA sync: Finished with success"));
        match main {
            Main::Gone => {
                self.stream(now, target);
                self.lose_stream(now, true, out);
            }
            // The master has not yet answered; when it does, this is a partial resync as any other.
            Main::Asking { lines, expected } => {
                self.cached = target;
                self.state =
                    State::Greeting { deadline: now + self.config.timeout, lines, expected, suspects_until: None };
            }
            Main::Keeping(early) => {
                self.stream(now, target);
                // A master that sends snapshots as it makes them waits for this before it goes on (rule 25).
                if let Some(Position { offset, .. }) = target {
                    out.push(Action::Send(self.first_ack(offset)));
                }
                if !early.is_empty() {
                    out.push(Action::Apply(early.into()));
                }
            }
        }
    }

    fn stream(&mut self, now: Millis, position: Option<Position>) {
        (self.cached, self.before_change) = (None, None);
        self.down_since = None;
        self.one_channel = false;
        self.unloadable = Unloadable::default();
        self.acks.stream_began();
        self.followed = self.master_name.node.filter(|_| self.master_name.term.is_some());
        self.state = State::Streaming { position, ack_at: now, deadline: now + self.config.timeout };
    }
}

fn log(out: Actions<'_, '_>, report: Report) {
    out.push(Action::Log(report));
}

#[cfg(test)]
mod tests;
