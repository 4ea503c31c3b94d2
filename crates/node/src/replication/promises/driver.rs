//! REPLICATION FENCE, MEMBERS and their kin: promises are made, written and kept.

use std::path::{Path, PathBuf};

use rivulet_commands::fail::Fail;
use rivulet_engine::asker::Asker;
use rivulet_engine::session::Kind;
use rivulet_host::fs::{self, File};
use rivulet_replication::history::Kinship;
use rivulet_replication::position::ReplId;
use rivulet_replication::promises::{EPOCH_MAX, Ended, ListId, Promises, Term, TermId};
use rivulet_resp::Args;

use super::{Kept, parse, to_bytes};
use crate::log;
use crate::node::Node;
use crate::replication::Promoter;
use crate::system::os_error;

/// What could not be written is tried again after so long.
const REFUSED_MS: u64 = 1000;

/// How a file begins from which the promises have gone.
const MOVED: &str = "rivulet-failover-moved";

fn mark(to: &Path) -> Vec<u8> {
    format!("{MOVED} {}\n", to.display()).into_bytes()
}

fn is_moved(bytes: &[u8]) -> bool {
    bytes.starts_with(MOVED.as_bytes())
}

fn whole(path: PathBuf) -> PathBuf {
    fs::canonicalize(&path).unwrap_or(path)
}

fn epoch_of(arg: &[u8]) -> Result<u64, Fail> {
    let number = rivulet_commands::parse::int(arg)?;
    let epoch = u64::try_from(number).map_err(|_| Fail::new("ERR epoch can't be negative"))?;
    if epoch > EPOCH_MAX {
        return Err(Fail::new("ERR epoch is out of range"));
    }
    Ok(epoch)
}

fn id_of(arg: &[u8]) -> Result<ReplId, Fail> {
    ReplId::parse(arg).ok_or(Fail::new("ERR an id must be forty hexadecimal digits"))
}

fn list_of(arg: &[u8]) -> Result<ListId, Fail> {
    let list = str::from_utf8(arg).ok().and_then(|text| text.parse::<ListId>().ok());
    let list = list.filter(|list| list.epoch <= EPOCH_MAX && list.number <= EPOCH_MAX);
    list.ok_or(Fail::new("ERR a list is named by an epoch and a number, as 5.2, or 5.2,open"))
}

impl Node {
    fn promises_path(&self) -> PathBuf {
        format!("failover-{}.state", self.config.main_port()).into()
    }

    /// At the start, before anything is loaded or anybody is followed.
    ///
    /// # Errors
    /// There is a file, and it can't be read: something was promised, and it is not known what.
    pub fn load_promises(&mut self) -> Result<(), String> {
        let path = self.promises_path();
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(|e| format!("Can't read {}: {}", path.display(), os_error(&e)))?,
        };
        if is_moved(&bytes) {
            let there = String::from_utf8_lossy(&bytes[MOVED.len()..]);
            return Err(format!(
                "What this node has promised went to {} with CONFIG SET: start it with the configuration that it had then. If another node is to be started here, remove {}.",
                there.trim(),
                path.display()
            ));
        }
        let mut promises = parse(&bytes).ok_or_else(|| {
            format!(
                "{} is damaged: what this node promised to the leader of a failover can't be told. If it holds a replica's data, remove the file; never do so while it may be a master.",
                path.display()
            )
        })?;
        // What it acknowledged, and may have lost, its members know.
        let is_bound = !promises.members().is_empty();
        self.replication.synchronous.started(is_bound && self.config.replicaof.is_none());
        let is_replica = self.config.replicaof.is_some();
        self.replication.synchronous.is_certain = !(is_bound || is_replica && promises.may_have_counted());
        self.replication.synchronous.acknowledged_in = Some(TermId { epoch: promises.known(), start: u64::MAX });
        let is_of_this_file = |ended: &Ended| fs::metadata(&path).is_ok_and(|file| file.inode == ended.inode);
        let end = promises.take_end();
        let ends_elsewhere = end.as_ref().is_some_and(|end| !is_of_this_file(end));
        if ends_elsewhere {
            log::warning!("{} is a copy: that the node was ended in order is not counted.", path.display());
        }
        // It stays in the file while the data load: nothing is acknowledged before they are here.
        let (file, end) = (whole(path), end.map(|end| (end, ends_elsewhere)));
        self.replication.kept = Kept { promises, is_durable: true, file, refused_ms: None, end };
        Ok(())
    }

    /// The data are here: if they are all that there was when this node was ended in order, nothing is missing. That is true of this start alone, as what is
    /// acknowledged from now on may get lost: so the file is to say it no more.
    ///
    /// # Errors
    /// The file can't be changed.
    pub(crate) fn look_at_end_before(&mut self) -> Result<(), String> {
        let end = self.replication.kept.end.take();
        let mut promises = self.replication.kept.promises.clone();
        if let Some((Ended { id, offset, is_replica, .. }, is_anothers)) = end {
            let r = &self.replication;
            let has_all = r.offset() >= offset && matches!(r.history.kinship(id, offset as i64 + 1), Kinship::Shared);
            if has_all && !is_anothers && is_replica == self.is_replica() {
                log::notice!("This node was ended in order at offset {offset}, and has all that it had then.");
                self.replication.synchronous.started(false);
                self.replication.synchronous.is_certain = true;
            }
        }
        // What a master writes before it has proven that it lacks nothing may take the place of what others have acknowledged: what it has now is what counts,
        // also if it is started again before that.
        let doubts =
            self.replication.synchronous.has_been_unproven() && promises.doubts_from(self.replication.offset());
        if end.is_some() || doubts { self.keep_promises(promises) } else { Ok(()) }
    }

    /// The node has ended well, and its files are closed: the next start need not ask others whether something is missing.
    pub(crate) fn keep_end(&mut self) {
        let synchronous = &self.replication.synchronous;
        let lacks_nothing = synchronous.is_certain && !synchronous.has_been_unproven() && !self.is_loading();
        let is_bound = self.replication.kept.promises.may_have_counted();
        if !lacks_nothing || !is_bound || !self.replication.kept.is_durable {
            return;
        }
        let mut promises = self.replication.kept.promises.clone();
        if fs::read(self.promises_path()).ok() != Some(to_bytes(&promises)) {
            // The port is free already: another process that was started here may have promised something since.
            return log::warning!(
                "The promises were changed by another process: that this one was ended in order is not kept."
            );
        }
        let (id, offset) = (self.replication.history.id(), self.replication.offset());
        promises.ends(Ended { id, offset, is_replica: self.is_replica(), inode: 0 });
        if let Err(text) = self.keep_promises(promises) {
            log::warning!("That this node was ended in order is not kept: {text}");
        }
    }

    /// Writes promises down; they hold once that has succeeded, and not before.
    fn keep_promises(&mut self, mut promises: Promises) -> Result<(), String> {
        let path = self.promises_path();
        self.check_place(&path)?;
        let temporary = path.with_extension("state.tmp");
        let mut write = || {
            let file = File::create(&temporary)?;
            promises.is_written_to(file.metadata()?.inode);
            file.write_all_at(&to_bytes(&promises), 0)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            fs::sync_directory_of(&path)
        };
        write().map_err(|e| format!("{} can't be written: {}", path.display(), os_error(&e)))?;
        let (node_id, terms) = (promises.node_id, promises.terms().to_vec());
        let end = self.replication.kept.end.take();
        let kept = Kept { promises, is_durable: true, file: whole(path), refused_ms: None, end };
        let before = std::mem::replace(&mut self.replication.kept, kept);
        let fence = self.replication.kept.promises.fence();
        if let Some(link) = &mut self.replication.link {
            if fence != before.promises.fence() || before.refused_ms.is_some() {
                link.state.set_fence(fence);
            }
            let config = link.state.config_mut();
            (config.node_id, config.terms) = (Some(node_id), terms);
            if !before.is_durable && link.state.is_up() {
                // In this greeting the master is told who this is: as a member, it counts from then on.
                link.makes_anew = true;
            }
        }
        Ok(())
    }

    /// Replies may wait for replicas here, now or one day: others must know this node again after a restart.
    pub fn keep_node_id(&mut self) {
        if self.config.synchronous_replicas == 0 || self.replication.kept.is_durable {
            return;
        }
        if let Err(text) = self.keep_promises(self.replication.kept.promises.clone()) {
            log::warning!("The node's id does not outlive a restart: {text}");
        }
    }

    /// `dir` or the port has changed: the promises go with it.
    ///
    /// # Errors
    /// They can't be written there.
    pub fn take_promises_along(&mut self) -> Result<(), String> {
        if !self.replication.kept.is_durable {
            return Ok(());
        }
        let before = self.replication.kept.file.clone();
        let returns = fs::read(self.promises_path()).is_ok_and(|there| there == mark(&before));
        self.keep_promises(self.replication.kept.promises.clone())?;
        let now = &self.replication.kept.file;
        if before == *now || !before.is_absolute() {
            return Ok(());
        }
        // A server that is started there would take itself for this node, and know nothing of what this one promises from now on; or for a new one, that
        // never acknowledged anything.
        let left = match returns {
            true => fs::remove_file(&before),
            false => fs::write(&before, mark(now)),
        };
        if let Err(e) = left.and_then(|()| fs::sync_directory_of(&before)) {
            log::warning!("{} can't be marked as moved: {}", before.display(), os_error(&e));
        }
        Ok(())
    }

    /// What stands where the promises are to go for the first time must be nobody else's.
    fn check_place(&self, path: &Path) -> Result<(), String> {
        if whole(path.to_path_buf()) == self.replication.kept.file {
            return Ok(());
        }
        let is_free = match fs::read(path) {
            Err(e) => e.kind() == std::io::ErrorKind::NotFound,
            Ok(there) => {
                let own = self.replication.kept.promises.node_id;
                is_moved(&there) || parse(&there).is_some_and(|promises| promises.node_id == own)
            }
        };
        match is_free {
            true => Ok(()),
            false => Err(format!("{} holds what another node has promised", path.display())),
        }
    }

    /// The replica's end, before it acknowledges, and now and then: the term of whom it follows, and its data with it. As long as that can't be written
    /// down, nothing is acknowledged.
    pub fn learn_of_master(&mut self) {
        let (fence, offset) = (self.replication.kept.promises.fence(), self.replication.offset());
        let now = self.now_ms();
        let Some(link) = &mut self.replication.link else { return };
        let refused_ms = self.replication.kept.refused_ms;
        if refused_ms.is_some_and(|ms| now < ms.saturating_add(REFUSED_MS)) {
            return;
        }
        if refused_ms.is_some() {
            // What could not be written down then is tried again now, or as soon as it is known whom this node follows.
            link.state.set_fence(fence);
        }
        let (Some(epoch), term) = (link.state.master_epoch(), link.state.follows_in()) else { return };
        let was_refused = self.replication.kept.refused_ms.take().is_some();
        let known = &self.replication.kept.promises;
        let last = known.terms().last().map(|last| last.id);
        let has_come = link.state.master_end().is_some_and(|end| offset >= end);
        // It never acknowledged anything in a term that is news, and what it did before its master has: who has come to where that term began has all of it.
        let acknowledged_in = self.replication.synchronous.acknowledged_in;
        let is_news =
            term.is_some_and(|term| acknowledged_in.is_some_and(|in_term| in_term < term.id) && offset >= term.from);
        // What a server of another kind hears from here counts for nobody.
        let is_free = link.state.is_masters_kind_foreign() && known.members().is_empty();
        if term.is_some() && has_come || is_news || is_free {
            // What a restart may have taken is here again, from one who has all.
            self.replication.synchronous.started(false);
            self.replication.synchronous.is_certain = true;
        }
        let enters = term.filter(|term| last.is_none_or(|last| last < term.id) && self.replication.kept.is_durable);
        let doubts = link.state.follows_unproven() && known.may_have_counted() && !known.is_doubtful_behind(offset);
        let master_term = link.state.master_term();
        let lacks_terms = known.lacks_terms(offset, master_term);
        if known.fence().unwrap_or(0) >= epoch && enters.is_none() && !doubts && !lacks_terms && !was_refused {
            return;
        }
        let mut promises = known.clone();
        if doubts {
            promises.doubts_from(offset);
        }
        if lacks_terms {
            promises.forgets_terms(offset, master_term);
        }
        if doubts || lacks_terms {
            // What is applied from here on must not count for more than it is, also while that can't be written down.
            self.replication.kept.promises = promises.clone();
        }
        promises.follows(epoch);
        if let Some(Term { id, from }) = enters {
            // A full sync brings all that its master has, wherever its term began.
            let from = if last.is_none() { from.min(offset) } else { from };
            promises.enters(Term { id, from });
        }
        if let Err(text) = self.keep_promises(promises) {
            if let Some(link) = &mut self.replication.link {
                link.state.set_fence(Some(u64::MAX));
            }
            self.replication.kept.refused_ms = Some(now);
            if refused_ms.is_none() {
                log::warning!(
                    "Nothing is acknowledged, as it is not kept whom this node follows, and in which term: {text}"
                );
            }
        }
    }

    /// The data here are replaced: they are nobody's until a master that has proven that it lacks nothing is followed.
    pub fn has_other_data(&mut self) {
        self.replication.synchronous.fenced_in = None;
        let promises = &self.replication.kept.promises;
        if promises.may_have_counted() {
            // What it acknowledged is gone, whatever comes in its place.
            let last = promises.terms().last().map(|term| term.id).max(Some(promises.own_term()));
            let synchronous = &mut self.replication.synchronous;
            synchronous.acknowledged_in = synchronous.acknowledged_in.max(last);
            synchronous.is_certain = false;
        }
        let mut promises = self.replication.kept.promises.clone();
        if promises.has_other_data()
            && let Err(text) = self.keep_promises(promises.clone())
        {
            log::warning!("That other data are here is not kept: {text}");
            self.replication.kept.promises = promises;
        }
    }

    /// This node becomes a master.
    pub fn promoted_by(&mut self, by: Promoter) {
        if by == Promoter::Again {
            // Of the term that it had: if it was fenced meanwhile, it is stale.
            return;
        }
        self.replication.synchronous.started(false);
        self.replication.synchronous.is_certain = true;
        let mut promises = self.replication.kept.promises.clone();
        let is_new = match by {
            Promoter::User => promises.promoted_by_user(self.replication.offset()),
            _ => promises.promoted(self.replication.offset()),
        };
        if is_new
            && self.replication.kept.is_durable
            && let Err(text) = self.keep_promises(promises.clone())
        {
            // The term itself was promised durably: after a restart it is one that this node is too old for, which loses nothing.
            log::warning!("The term of this master is not kept: {text}");
            self.replication.kept.promises = promises;
        }
    }

    /// REPLICAOF NO ONE on a stale master: whoever says that knows better than its leader.
    pub fn is_master_again(&mut self) {
        if self.replication.kept.promises.is_stale_master() {
            log::warning!("This stale master is a master again, by REPLICAOF NO ONE.");
            self.promoted_by(Promoter::User);
            // They acknowledge nothing to the one that it was.
            self.drop_replicas();
        } else if self.is_unproven() {
            self.is_proven("REPLICAOF NO ONE: what this master has is all that there is");
        }
    }

    /// This master, which was started again, lacks nothing.
    pub fn begin_term_of_start(&mut self) -> Result<(), String> {
        let mut promises = self.replication.kept.promises.clone();
        promises.proves(self.replication.offset());
        self.keep_promises(promises)
    }

    /// REPLICATION PROMOTE: as REPLICAOF NO ONE, for a leader that says which epoch it means. One that another has overtaken makes no second master.
    pub fn promote_in_epoch(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let (epoch, leader) = (epoch_of(args.at(2))?, id_of(args.at(3))?);
        let fenced_in = self.replication.synchronous.fenced_in;
        let may = self.replication.kept.promises.may_be_promoted(epoch, leader, fenced_in);
        may.map_err(|refusal| Fail::text(refusal.reply()))?;
        if !self.replication.failover.is_idle() {
            return Err(Fail::new("ERR PROMOTE not allowed while failing over."));
        }
        if self.is_replica() {
            self.promote(Promoter::Leader);
            log::notice!("MASTER MODE enabled (by Sentinel {leader}, in epoch {epoch})");
        } else if self.is_stale_master() {
            self.promoted_by(Promoter::Leader);
            self.drop_replicas();
        }
        by.reply.ok();
        Ok(())
    }

    /// REPLICATION FENCE: no master of an older term is acknowledged anything by this node, and as one it is stale. The answer says where it stands.
    pub fn fence(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let (epoch, leader) = (epoch_of(args.at(2))?, id_of(args.at(3))?);
        let mut promises = self.replication.kept.promises.clone();
        promises.promise(epoch, leader).map_err(|refusal| Fail::text(refusal.reply()))?;
        if promises != self.replication.kept.promises || !self.replication.kept.is_durable {
            self.keep_promises(promises).map_err(|text| Fail::text(format!("ERR {text}")))?;
            log::warning!("Fenced in epoch {epoch} by Sentinel {leader}, at offset {}.", self.replication.offset());
            if !self.is_replica() {
                self.became_stale(by.id);
            }
        }
        self.replication.synchronous.fenced_in = Some(epoch);
        self.tell_standing(by);
        Ok(())
    }

    /// A later master is being made: clients shall look where it is, and no reply that waits is sent.
    fn became_stale(&mut self, teller: rivulet_engine::client_id::ClientId) {
        let is_users = |kind| matches!(kind, Kind::Normal | Kind::Pubsub);
        let users: Vec<_> = self
            .clients
            .shown()
            .filter(|c| is_users(c.session.kind) && c.id != teller)
            .map(|client| client.id)
            .collect();
        log::warning!("This master is stale: it takes no more writes, and disconnects {} clients.", users.len());
        users.into_iter().for_each(|id| self.clients.close_soon(id));
        self.abandon_migrations();
        self.close_who_waits_for_replicas();
    }

    fn tell_standing(&mut self, by: &mut Asker<'_>) {
        let promises = &self.replication.kept.promises;
        let role = if self.is_replica() { "replica" } else { "master" };
        let reply = &mut by.reply;
        reply.map(10);
        reply.bulk(b"node_id");
        reply.bulk(promises.node_id.as_str().as_bytes());
        reply.bulk(b"role");
        reply.bulk(role.as_bytes());
        reply.bulk(b"epoch");
        reply.int(promises.known() as i64);
        reply.bulk(b"offset");
        // What a master has written that may lack something does not count.
        let (offset, term) = promises.counts_to(self.replication.offset());
        reply.int(offset as i64);
        // What it would wait for as a master: who fences goes by the smallest.
        reply.bulk(b"synchronous_replicas");
        reply.int(self.config.synchronous_replicas as i64);
        // Who followed the master of the latest term has what was acknowledged there, however far others have come elsewhere.
        reply.bulk(b"data_epoch");
        reply.int(term.map_or(-1, |term| term.epoch as i64));
        reply.bulk(b"data_start");
        reply.int(term.map_or(0, |term| term.start as i64));
        // Whether it may have lost something of that in a restart.
        reply.bulk(b"certain");
        reply.int(i64::from(self.replication.synchronous.is_certain));
        reply.bulk(b"members");
        reply.array(promises.members().len());
        promises.members().iter().for_each(|id| reply.bulk(id.as_str().as_bytes()));
        reply.bulk(b"members_list");
        reply.bulk(promises.list().to_string().as_bytes());
    }

    /// REPLICATION MEMBERS: a master counts only these from now on, a replica keeps them for the day on which it is one.
    pub fn members(&mut self, by: &mut Asker<'_>, args: Args<'_>) -> Result<(), Fail> {
        let epoch = epoch_of(args.at(2))?;
        let (list, skipped) = match args.at(3).eq_ignore_ascii_case(b"LIST") && args.len() > 5 {
            true => (Some(list_of(args.at(4))?), 5),
            false => (None, 3),
        };
        let members = args.iter().skip(skipped).map(id_of).collect::<Result<Vec<_>, _>>()?;
        let before = &self.replication.kept.promises;
        let mut promises = before.clone();
        let taken = match self.is_replica() {
            true => promises.learn_members(epoch, list, &members),
            false => promises.take_members(epoch, list, &members, self.replication.offset()),
        };
        taken.map_err(|refusal| Fail::text(refusal.reply()))?;
        let grows = !before.members().is_empty() && before.members().iter().all(|id| promises.members().contains(id));
        if !self.is_replica() {
            match self.check_quorum_of(&promises) {
                Ok(()) if !self.is_unproven() => promises.settle_list(),
                checked if !grows => checked?,
                _ => {}
            }
        }
        let (is_new_term, is_new) = (promises.epoch != before.epoch, promises != *before);
        let (others, count) = (promises.members() != before.members(), promises.members().len());
        if is_new {
            self.keep_promises(promises).map_err(|text| Fail::text(format!("ERR {text}")))?;
        }
        if others {
            log::notice!("Epoch {epoch} has {count} members.");
        }
        if is_new_term && !self.is_replica() {
            // They learn the term when they come again.
            self.replication.synchronous.started(false);
            self.drop_replicas();
        }
        by.reply.ok();
        Ok(())
    }

    /// What replies told of so far must be on enough of those who count from now on.
    fn check_quorum_of(&self, promises: &Promises) -> Result<(), Fail> {
        let released = self.replication.synchronous.released_so_far();
        let has = self.quorum_of_present(promises);
        match self.front.held.marks && has < released {
            true => Err(Fail::text(format!(
                "TRYAGAIN {released} is not on {} of these members yet",
                self.config.synchronous_replicas
            ))),
            false => Ok(()),
        }
    }
}
