//! What of the stream is given to the writer, and what the writer and the reader have done.

use rivulet_aof::files::{Directory, Segment};
use rivulet_aof::identity::Role;
use rivulet_aof::op::FileOp;
use rivulet_aof::recover;
use rivulet_config::AppendFsync;
use rivulet_engine::client_id::ClientId;
use rivulet_engine::session::Kind;
use rivulet_host::fs;
use rivulet_replication::history::History;
use rivulet_replication::log::OnDisk;
use rivulet_replication::position::ReplId;

use super::BacklogLock;
use super::reader;
use super::reader::{LogReader, Wanted};
use super::writer::{LogWriter, Token};
use crate::lifecycle::pauses::PauseWhy;
use crate::log;
use crate::node::Node;
use crate::persist::aof::NotWhole;
use crate::system::os_error;

/// With so much waiting to be written, a backlog that is only for replicas is given up.
const BACKLOG_QUEUE_MAX: usize = 64 << 20;

/// Writes wait so long before the queue is looked at again.
const CONGESTION_PAUSE_MS: u64 = 50;

/// A backlog that is only for replicas is written in pieces of the window's size, within these.
const BACKLOG_PIECE_BYTES_MIN: u64 = 64 << 10;

const BACKLOG_PIECE_BYTES_MAX: u64 = 1 << 20;

/// The writer is given so many bytes before the turn of the loop ends.
const HANDED_BYTES: u64 = 64 << 10;

const BACKLOG_RETRY_MS: u64 = 60_000;

impl Node {
    pub fn log_role(&self) -> Role {
        if self.is_replica() { Role::Replica } else { Role::Master }
    }

    /// The writer, which is started when it is first needed.
    pub fn start_log_writer(&mut self, end: u64) {
        let disk = &mut self.persist.log;
        disk.handed = end;
        match &mut disk.writer {
            Some(writer) => writer.rebase(end),
            None => {
                let mut writer = LogWriter::start(end, self.front.waker.clone());
                writer.set_policy(self.config.appendfsync);
                disk.writer = Some(writer);
            }
        }
    }

    /// As before, for bytes from `end` on. Files that end there are gone on with by the writer that wrote them, and may not have written all of it.
    pub fn go_on_with_log_writer(&mut self, end: u64) {
        let disk = &self.persist.log;
        if disk.writer.is_none() || disk.handed != end || disk.files.end_offset() != Some(end) {
            self.start_log_writer(end);
        }
    }

    /// Append-only files are begun: their bytes go through a tail.
    pub fn open_tail(&self) {
        let disk = &self.persist.log;
        if let (Some(writer), Some(path)) = (&disk.writer, disk.files.tail_path()) {
            writer.open_tail(path);
        }
    }

    // ---- what is written ----

    /// Before the loop sleeps: the stream's new bytes go to the writer, and the log learns what is on disk.
    pub fn log_before_sleep(&mut self) {
        self.poll_log_writer();
        if self.persist.log.files.is_backlog() {
            self.drive_backlog();
        }
        self.hand_over_due();
        if !self.persist.log.files.is_backlog() {
            self.rotate_segment_if_full();
        }
        self.tell_what_is_on_disk();
        if self.persist.log.writer.is_some() {
            // A disk that can't keep up slows down those who write, not the memory of all.
            self.ops.stats.peaks.log_queue = self.ops.stats.peaks.log_queue.max(self.persist.log.queued_bytes());
            self.follow_disk();
            // A replica's stream waits by itself.
            let has_writers = !self.is_replica() || !self.config.replica_read_only;
            // A backlog that is only for replicas keeps nobody waiting.
            let waits = has_writers && !self.persist.log.files.is_backlog();
            if waits && self.persist.log.is_congested(self.config.log_queue_limit) && !self.is_paused() {
                let until_ms = self.now_ms() + CONGESTION_PAUSE_MS;
                self.life.pauses.begin(PauseWhy::Congestion, until_ms, true);
            }
        }
    }

    fn poll_log_writer(&mut self) {
        let Some(writer) = &self.persist.log.writer else { return };
        let results = writer.results();
        if !self.engine.blocking.acks.is_empty() {
            self.serve_acks();
            if let Some(writer) = &self.persist.log.writer {
                writer.watch();
            }
        }
        for (token, result) in results {
            match token {
                Token::Rewrite { number } => self.rewrite_files_changed(number, result),
                Token::History => self.history_changed(result),
                Token::FirstFile { number } => self.first_file_begun(number, result),
                Token::Ids => self.persist.log.ids_due -= 1,
                Token::Backlog => {
                    if let Err(text) = result {
                        log::warning!("Can't keep the replication backlog on disk: {text}");
                        self.give_up_backlog();
                    }
                }
            }
        }
        while let Some(piece) = self.persist.log.reader.as_ref().and_then(LogReader::poll) {
            self.piece_read(piece);
        }
        if !self.persist.log.untold.is_empty() && !self.persist.log.lacks_ids() {
            std::mem::take(&mut self.persist.log.untold).into_iter().for_each(|id| self.flush_replica(id));
        }
    }

    /// Hands what is due: with append-only files all, otherwise what is about to leave the memory window.
    fn hand_over_due(&mut self) {
        if !self.persist.log.files.is_open() {
            return;
        }
        let end = self.replication.offset();
        let until = if self.persist.log.files.is_backlog() {
            self.backlog_due()
        } else {
            self.annotate_time();
            end
        };
        self.hand_over(until);
    }

    /// Up to where the stream has left the memory window, in whole pieces from the beginning of the segment on: few large writes cost the system
    /// a fraction of many small ones.
    fn backlog_due(&self) -> u64 {
        let log = &self.replication.log;
        let left = log.end_offset().saturating_sub(log.size());
        let start = self.persist.log.files.segments().last().map_or(left, |segment| segment.start);
        let piece = log.size().clamp(BACKLOG_PIECE_BYTES_MIN, BACKLOG_PIECE_BYTES_MAX).next_power_of_two();
        start + left.saturating_sub(start) / piece * piece
    }

    /// Within a turn of the loop: append-only files are given what has come together.
    #[inline]
    pub fn hand_over_if_much(&mut self) {
        let end = self.replication.offset();
        if self.persist.log.safe != u64::MAX && end - self.persist.log.handed.min(end) >= HANDED_BYTES {
            self.hand_over_due();
        }
    }

    /// Gives the writer the stream up to `until`.
    pub fn hand_over(&mut self, until: u64) {
        let disk = &mut self.persist.log;
        let (Some(writer), true) = (&mut disk.writer, disk.files.is_open()) else { return };
        let count = until.saturating_sub(disk.handed);
        if count == 0 {
            return;
        }
        let shared = if disk.files.is_backlog() { self.replication.log.share(disk.handed, until) } else { None };
        match (shared, self.replication.log.read(disk.handed, count as usize)) {
            (Some(parts), _) => writer.share(parts, until),
            (None, Ok(slices)) => writer.append(slices, until),
            (None, Err(error)) => {
                // The window is held for the writer, so this can't be; if it is, no file may claim to go on without a gap.
                log::warning!("The log lacks bytes from {} on that should be written: {error:?}", disk.handed);
                return self.log_reset();
            }
        }
        disk.files.appended(count);
        disk.handed = until;
    }

    /// Bytes that are executed at a restart, but are not the stream's, with the line that says so.
    pub fn hand_over_own(&mut self, bytes: &[u8]) {
        self.hand_over(self.replication.offset());
        self.append_own(bytes);
    }

    /// Adds bytes that are not the stream's to the file.
    pub fn append_own(&mut self, bytes: &[u8]) {
        let disk = &mut self.persist.log;
        let (Some(writer), true) = (&mut disk.writer, disk.files.is_open()) else { return };
        if let Some(change) = disk.files.mark(bytes.len() as u64) {
            writer.change(change, None);
        }
        writer.append(std::iter::once(bytes), disk.handed);
    }

    fn rotate_segment_if_full(&mut self) {
        let end = self.replication.offset();
        if self.persist.log.files.is_full() && self.persist.log.handed == end {
            let change = self.persist.log.files.rotate(end);
            self.persist.log.change(change, None);
            self.segment_began();
        }
    }

    /// A segment that is replayed by itself begins with a SELECT: on a master in the stream, on a replica beside it.
    pub fn segment_began(&mut self) {
        if !self.is_replica() {
            self.replication.encoder.force_select();
        } else if let Some(db) = self.replication.encoder.db() {
            let mut select = Vec::new();
            rivulet_replication::stream::encode_command(&["SELECT", &db.to_string()], &mut select);
            self.write_own(&select);
        }
    }

    /// Writes commands that are not the stream's to the append-only file.
    pub fn write_own(&mut self, commands: &[u8]) {
        let mut bytes = Vec::new();
        rivulet_aof::annotation::Annotation::Own(commands.len() as u64).append_to(&mut bytes);
        bytes.extend_from_slice(commands);
        self.hand_over_own(&bytes);
    }

    fn tell_what_is_on_disk(&mut self) {
        let disk = &self.persist.log;
        let files = &disk.files;
        let first_in_memory = self.replication.log.first_offset();
        // Files that are closed serve who stands in them, as long as no byte is missing between them and the memory.
        let serves_closed =
            |written: u64| first_in_memory.is_some_and(|first| written >= first) && self.stands_in_files();
        let written = |writer: &LogWriter, last: &Segment| writer.written_before().min(last.end);
        let serving = disk
            .writer
            .as_ref()
            .zip(files.segments().last())
            .filter(|(writer, last)| files.is_open() || serves_closed(written(writer, last)));
        let on_disk = serving.map(|(writer, last)| {
            let written = written(writer, last);
            // Without a base a restart does not begin with these files: what is in them proves nothing.
            let gates = files.is_aof() && !files.is_waiting_for_base() && writer.failure().is_none();
            let durable = self.kept_by(writer).unwrap_or(written);
            let first = files.first_offset().unwrap_or(last.start);
            OnDisk { first, written, send_before: gates.then_some(durable) }
        });
        self.replication.log.set_on_disk(on_disk);
        // A backlog that is only for replicas keeps nobody waiting.
        if let Some(writer) = &self.persist.log.writer
            && self.persist.log.files.is_aof()
            && self.kept_by(writer).is_none_or(|kept| kept < self.persist.log.handed)
            && (!self.replication.master.is_empty() || !self.front.held.is_empty() || self.tells_what_is_durable())
        {
            writer.watch();
        }
    }

    /// The node's ids or its role have changed: what is written from now on belongs to the new history.
    pub fn log_history_changed(&mut self) {
        self.hand_over(self.replication.offset());
        let role = self.log_role();
        let disk = &mut self.persist.log;
        if let Some(change) = disk.files.set_history(&self.replication.history, role) {
            disk.ids_due += usize::from(disk.writer.is_some() && disk.files.is_aof());
            disk.change(change, disk.files.is_aof().then_some(Token::Ids));
        }
    }

    /// Nothing goes to a replica that would tell it of ids which a kill takes from this node (rule 41): they are told when they are on disk.
    #[inline]
    pub fn withholds_ids(&mut self, id: ClientId) -> bool {
        let withheld = self.persist.log.ids_due > 0
            && self.clients.get(id).is_some_and(|client| client.session.kind == Kind::Replica)
            && self.persist.log.lacks_ids();
        if withheld && !self.persist.log.untold.contains(&id) {
            self.persist.log.untold.push(id);
        }
        withheld
    }

    /// Other data have taken the place of the old, and the stream is at another place.
    pub fn log_reset(&mut self) {
        // What is being written down are the old data.
        self.cancel_rewrite();
        self.persist.log.safe = u64::MAX;
        for client in self.clients.iter_mut() {
            client.session.written_offset = 0;
            client.connection.outbox.hold.forget_offsets();
        }
        let role = self.log_role();
        let change = self.persist.log.files.reset(&self.replication.history, role);
        let end = self.replication.offset();
        let disk = &mut self.persist.log;
        disk.change(change, None);
        disk.handed = end;
        if let Some(writer) = &mut disk.writer {
            writer.rebase(end);
        }
        // It begins with the next run of the periodic tasks: what comes next may be another reset.
        self.persist.aof.rewrite_scheduled |= disk.files.is_aof();
    }

    /// There is something that the writer has not been given.
    pub fn has_unwritten(&self) -> bool {
        self.replication.offset() > self.persist.log.handed
    }

    // ---- the backlog without append-only files ----

    /// An attached replica needs what has left the memory.
    fn stands_in_files(&self) -> bool {
        let log = &self.replication.log;
        log.held_from().zip(log.first_offset()).is_some_and(|(needed, first)| needed < first)
    }

    /// Replicas may need what is in files. While one stands in them, these go on however little `repl-backlog-disk-size` grants, so that nothing is
    /// missing between them and the memory.
    fn needs_backlog(&self) -> bool {
        self.replication.master.expects_replicas(self.now_ms())
            && (self.config.repl_backlog_disk_size > 0 || self.stands_in_files())
    }

    /// Replicas may need what leaves the memory.
    fn wants_backlog(&self) -> bool {
        self.replication.log.is_active() && self.needs_backlog()
    }

    /// Files that replicas may need begin now, if there are none.
    pub fn begin_backlog_if_wanted(&mut self) {
        if !self.persist.log.files.is_open() && self.wants_backlog() {
            self.begin_backlog();
        }
    }

    /// Begins, goes on with or ends the backlog on disk.
    fn drive_backlog(&mut self) {
        let wanted = self.wants_backlog();
        let disk = &self.persist.log;
        match (wanted, disk.files.is_open()) {
            (true, false) if self.now_ms() >= disk.backlog_retry_ms => self.begin_backlog(),
            (true, true) if disk.writer.as_ref().is_some_and(|w| w.queued_bytes() > BACKLOG_QUEUE_MAX) => {
                log::warning!(
                    "The disk is too slow for the replication backlog: replicas are served from memory only."
                );
                if self.stands_in_files() {
                    let change = self.persist.log.files.close_backlog();
                    self.persist.log.change(change, None);
                    self.persist.log.backlog_retry_ms = self.now_ms() + BACKLOG_RETRY_MS;
                } else {
                    self.give_up_backlog();
                }
            }
            (true, true) if disk.files.is_full() => {
                let change = self.persist.log.files.rotate(self.persist.log.handed);
                self.persist.log.change(change, Some(Token::Backlog));
            }
            (false, true) => {
                let change = self.persist.log.files.drop_backlog();
                self.persist.log.change(change, None);
            }
            // What a first rewrite had begun, for one, when append-only was switched off.
            (false, false) if disk.files.has_backlog() && !self.needs_backlog() => {
                let change = self.persist.log.files.drop_backlog();
                self.persist.log.change(change, None);
            }
            _ => {}
        }
    }

    fn begin_backlog(&mut self) {
        let Some(first) = self.replication.log.first_offset() else { return };
        let lock = match self.lock_backlog() {
            Ok(directory) => directory,
            Err(text) => {
                log::warning!("Can't keep the replication backlog on disk: {text}");
                self.persist.log.backlog_retry_ms = self.now_ms() + BACKLOG_RETRY_MS;
                return;
            }
        };
        // What is on disk and reaches to the memory is gone on with.
        let from = self.persist.log.files.end_offset().filter(|end| *end >= first).unwrap_or(first);
        self.go_on_with_log_writer(from);
        recover::remove_others(&lock.path, self.persist.log.files.segments());
        let role = self.log_role();
        let history = self.replication.history.clone();
        let files = &mut self.persist.log.files;
        files.set_history(&history, role);
        let change = files.begin_backlog(lock, from);
        self.persist.log.change(change, Some(Token::Backlog));
    }

    /// The directory of the backlog, which no other server may use at the same time.
    pub fn lock_backlog(&mut self) -> Result<Directory, String> {
        if let Some(lock) = &self.persist.log.backlog_lock {
            return Ok(lock.directory.clone());
        }
        let directory = recover::open_directory(&self.backlog_directory()).map_err(|e| os_error(&e))?;
        let file = rivulet_host::fs::File::create(directory.path.join("lock")).map_err(|e| os_error(&e))?;
        file.lock().map_err(|_| format!("another server uses {}", directory.path.display()))?;
        self.persist.log.backlog_lock = Some(BacklogLock { directory: directory.clone(), _file: file });
        Ok(directory)
    }

    /// After a restart without append-only files: what the backlog directory holds of this history is served again. Answers the history with
    /// all of its ancestors.
    pub fn restore_backlog(&mut self, id: ReplId, offset: u64) -> Option<History> {
        if self.config.appendonly
            || self.config.repl_backlog_disk_size == 0
            || !rivulet_host::fs::is_directory(self.backlog_directory())
        {
            return None;
        }
        let directory = self.lock_backlog().ok()?;
        let (segments, history) = recover::find_backlog(&directory, id, offset);
        self.persist.log.files.restore_backlog(segments);
        history
    }

    /// A start with append-only files has no use for what an earlier one without them has left. Another server may use the directory: that one's stays.
    pub fn clean_backlog_directory(&mut self) {
        if !rivulet_host::fs::is_directory(self.backlog_directory()) {
            return;
        }
        if let Ok(directory) = self.lock_backlog() {
            recover::remove_others(&directory.path, self.persist.log.files.segments());
            self.persist.log.backlog_lock = None;
        }
    }

    fn backlog_directory(&self) -> std::path::PathBuf {
        format!("replbacklog-{}", self.config.main_port()).into()
    }

    /// `dir` or the port was set: a restart looks for the backlog's directory there. Where it can't be taken along, the backlog begins anew.
    pub fn take_backlog_along(&mut self) {
        let Some(BacklogLock { directory, .. }) = &self.persist.log.backlog_lock else { return };
        let from = directory.path.clone();
        let Ok(to) = fs::canonicalize(".").map(|dir| dir.join(self.backlog_directory())) else { return };
        if from == to {
            return;
        }
        // Steps that are on their way know the name of before.
        let change = self.persist.log.files.close_backlog();
        self.persist.log.change(change, None);
        let is_idle = self.persist.log.writer.as_ref().is_none_or(LogWriter::wait_until_idle);
        let moved = match is_idle && fs::metadata(&to).is_err() {
            true => fs::rename(&from, &to).and_then(|()| recover::open_directory(&to)),
            false => Err(std::io::ErrorKind::AlreadyExists.into()),
        };
        match moved {
            Ok(directory) => {
                self.persist.log.files.move_backlog(directory.clone());
                if let Some(lock) = &mut self.persist.log.backlog_lock {
                    lock.directory = directory;
                }
            }
            Err(e) => {
                log::warning!(
                    "The replication backlog in {} can't go along to {}, and is given up: {}",
                    from.display(),
                    to.display(),
                    os_error(&e)
                );
                let change = self.persist.log.files.leave_backlog();
                self.persist.log.change(change, None);
                self.persist.log.backlog_lock = None;
            }
        }
    }

    /// What a failed fsync covered can't be read back, and only replicas were to read it: nobody knows what the files hold.
    pub fn give_up_lost_backlog(&mut self) {
        log::warning!(
            "What the failed fsync covered can't be read back. The replication backlog on disk is begun anew."
        );
        let files = &mut self.persist.log.files;
        let mut change = if files.is_aof() { files.drop_backlog() } else { files.abandon() };
        // Also a file that could not be synced when it was to be closed.
        change.ops.insert(0, FileOp::Close);
        self.persist.log.change(change, None);
        self.persist.log.backlog_retry_ms = self.now_ms() + BACKLOG_RETRY_MS;
    }

    fn give_up_backlog(&mut self) {
        let change = self.persist.log.files.drop_backlog();
        self.persist.log.make_room(&change);
        match &self.persist.log.writer {
            // Nobody waits for what the disk refuses of it, but it would keep others waiting.
            Some(writer) if change.ops.contains(&FileOp::Close) => writer.give_up(change),
            _ => self.persist.log.change(change, None),
        }
        self.persist.log.tell_lost_is_known();
        self.persist.log.backlog_retry_ms = self.now_ms() + BACKLOG_RETRY_MS;
    }

    /// Removes segments that are older than anybody may ask for.
    pub fn trim_backlog(&mut self) {
        let needed = self.replication.master.log_hold();
        let keep = self.replication.master.expects_replicas(self.now_ms());
        let limit = if keep { self.config.repl_backlog_disk_size } else { 0 };
        let change = self.persist.log.files.trim(limit, needed);
        if !change.ops.is_empty() {
            self.persist.log.make_room(&change);
            self.persist.log.change(change, None);
        }
    }

    // ---- pieces for replicas ----

    /// A replica needs what has left the memory: the next piece of it is asked for.
    pub fn read_piece(&mut self, client: ClientId, offset: u64) -> bool {
        let Some(location) = self.persist.log.files.locate(offset) else { return false };
        let reader = self.persist.log.reader.get_or_insert_with(|| LogReader::start(self.front.waker.clone()));
        reader.read(Wanted { client, offset, location });
        true
    }

    fn piece_read(&mut self, piece: reader::Piece) {
        let Some(client) = self.clients.get_mut(piece.client) else { return };
        client.feed.piece_wanted = false;
        let disk = &self.persist.log;
        if piece.is_stale(disk.files.locate(piece.offset).as_ref(), |path| disk.may_have_come(path)) {
            // What it asks for then is read from where it is now.
            self.flush_replica(piece.client);
            return;
        }
        match piece.bytes {
            Ok(bytes) => {
                self.persist.log.read_bytes += bytes.len() as u64;
                client.feed.piece = Some(Box::new(crate::front::clients::LogPiece { offset: piece.offset, bytes }));
                self.flush_replica(piece.client);
            }
            Err(e) => {
                log::warning!(
                    "Can't read the backlog at {} for replica {}: {}",
                    piece.offset,
                    self.client_line(piece.client),
                    os_error(&e)
                );
                // It would ask for them again, and others too: what can't be read is not offered any more.
                self.persist.log.files.set_damaged(piece.offset);
                self.clients.close_soon(piece.client);
            }
        }
    }

    // ---- replies ----

    /// Looks up to where replies may tell of what is on this disk.
    pub fn look_how_safe_the_log_is(&mut self) {
        self.persist.log.safe = self.safe_offset();
    }

    /// The offset up to which bytes are as safe as `appendfsync` wants them; `None` until the writer has come to the stream's last beginning.
    fn kept_by(&self, writer: &LogWriter) -> Option<u64> {
        if self.config.appendfsync == AppendFsync::Always { writer.fsynced() } else { writer.kept() }
    }

    /// The offset up to which replies may tell of writes; no limit without append-only files.
    fn safe_offset(&self) -> u64 {
        let disk = &self.persist.log;
        if let Some(not_whole) = self.persist.aof.not_whole() {
            return self.safe_while_not_whole(not_whole);
        }
        let waits = disk.files.is_aof() && disk.files.is_open() && !disk.files.is_waiting_for_base();
        let Some(writer) = disk.writer.as_ref().filter(|_| waits) else { return u64::MAX };
        // A disk that refuses is told of by refused writes. Of those that were executed before nobody is told that they are safe.
        self.kept_by(writer).unwrap_or(0)
    }

    /// A restart begins with what those files have; other ones prove nothing before the rewrite has ended. With all that they were to have they ask for
    /// nothing more: writes are refused since.
    fn safe_while_not_whole(&self, not_whole: NotWhole) -> u64 {
        let disk = &self.persist.log;
        if disk.safe == u64::MAX {
            return u64::MAX;
        }
        let writer = disk.writer.as_ref().filter(|writer| writer.generation() == not_whole.generation);
        let kept = writer.and_then(|writer| self.kept_by(writer)).unwrap_or(disk.safe);
        if kept >= not_whole.end { u64::MAX } else { kept }
    }

    /// The master wants to be told at once of what is durable here.
    fn tells_what_is_durable(&self) -> bool {
        self.replication.link.as_ref().is_some_and(|link| link.state.acks_by_itself())
    }

    /// Up to where the stream is durable here, for WAITAOF and for the master; `None` without append-only files.
    pub fn fsynced_offset(&self) -> Option<u64> {
        let disk = &self.persist.log;
        if !disk.files.is_aof() {
            return None;
        }
        // Without a base a restart does not begin with these files.
        let proves_nothing = disk.files.is_waiting_for_base() || self.is_naming_first_base();
        Some(if proves_nothing { 0 } else { disk.writer.as_ref()?.fsynced().unwrap_or(0) })
    }

    // ---- the end ----

    /// All that is in memory goes to the files.
    pub fn flush_log_files(&mut self) {
        self.hand_over(self.replication.offset());
        if let Some(writer) = &self.persist.log.writer {
            writer.wait_until_idle();
            if let Some(text) = writer.failure().filter(|_| self.persist.log.files.is_aof()) {
                log::warning!("The last {} bytes are not in the AOF file: {text}", writer.queued_bytes());
            }
        }
    }

    /// The server ends well and nothing follows: the files say so.
    pub fn end_log_files(&mut self) {
        let end = self.replication.offset();
        self.hand_over(end);
        let change = self.persist.log.files.end_clean(end);
        self.persist.log.change(change, None);
        if let Some(writer) = &self.persist.log.writer {
            writer.close_tail();
            writer.wait_until_idle();
        }
    }
}
