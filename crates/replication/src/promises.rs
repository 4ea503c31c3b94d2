//! What a node has promised to leaders of failovers, and who may acknowledge its writes: docs/failover.md, "Epochs, fences and members".
//!
//! These are decisions and a text; whoever holds them writes the text to a disk before he acts on them.

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter, Write};
use std::str::FromStr;

use crate::position::ReplId;

/// So many members are kept.
pub const MEMBERS_MAX: usize = 1000;
/// The largest term that is taken from others: there is always one after it. A Sentinel has the same bound.
pub const EPOCH_MAX: u64 = 1 << 62;
const FIRST_LINE: &str = "rivulet-failover 1";

/// What must outlive a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promises {
    /// Who this node is, whatever its address and however often it was started.
    pub node_id: ReplId,
    /// The term in which it is, or was last, a master by a leader's word; 0: never.
    pub epoch: u64,
    /// The highest term that it knows, and its leader, if that one has said so: masters of older ones are acknowledged nothing.
    promised: u64,
    leader: Option<ReplId>,
    /// All nodes of the set, as the leader has told them; none as long as no leader has.
    members: Vec<ReplId>,
    /// Which of the set's lists that is.
    list: ListId,
    /// The terms that its data went through, oldest first; none where they came from nobody whose word counts.
    terms: Vec<Term>,
    /// The term that its replicas are told while it is a master by a user's word: its own data prove nothing.
    by_user: Option<Term>,
    /// It followed a master that was started again, and could not prove that it had all, from this offset on: what its data have beyond it proves nothing.
    doubtful_from: Option<u64>,
    /// It was ended in order here, with nothing missing, and was not started since.
    ended: Option<Ended>,
}

/// Where a node stood when it was ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its history.
    pub id: ReplId,
    pub offset: u64,
    pub is_replica: bool,
    /// The inode of the file that says so: in a copy of it, it is another one's end.
    pub inode: u64,
}

/// More lists than any master makes in an epoch.
const HANDED_OVER: u64 = 1 << 20;

/// Which list of members, of all that a set has had: of two the later one is the greater. As text `5.2`; `5.3,open` is not settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListId {
    /// That of the master that has taken it, or shall take it.
    pub epoch: u64,
    /// Its how manieth list in that epoch this is; 0 is what its leader tells before there is one, and, with epoch 0, any list without a number.
    pub number: u64,
    /// The master has it, and as many as acknowledge a write have all that was released before, so that it takes the place of all lists before it. One that
    /// is open may be only wanted, and what else is wanted under the same number may come to be, too.
    pub is_settled: bool,
}

impl ListId {
    /// The list that may follow on this one, for a master of this epoch.
    pub fn next(self, epoch: u64) -> ListId {
        match self.epoch < epoch {
            true => ListId { epoch, number: 1, is_settled: false },
            false => ListId { epoch: self.epoch, number: self.number.saturating_add(1), is_settled: false },
        }
    }

    /// The list with which a node becomes a master of this epoch. Where there were others in it before, it may not have heard of all of their lists: its
    /// own come after these.
    fn of_new_master(self, epoch: u64) -> ListId {
        match self.epoch < epoch || self.number == 0 {
            true => self.next(epoch),
            false => ListId { number: self.number.saturating_add(HANDED_OVER), is_settled: false, ..self },
        }
    }

    fn is_same_number(self, other: ListId) -> bool {
        (self.epoch, self.number) == (other.epoch, other.number)
    }
}

impl Display for ListId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.epoch, self.number, if self.is_settled { "" } else { ",open" })
    }
}

impl FromStr for ListId {
    type Err = ();

    fn from_str(text: &str) -> Result<ListId, ()> {
        let (text, is_settled) = text.strip_suffix(",open").map_or((text, true), |text| (text, false));
        let (epoch, number) = text.split_once('.').ok_or(())?;
        let number_of = |text: &str| text.parse().map_err(|_| ());
        Ok(ListId { epoch: number_of(epoch)?, number: number_of(number)?, is_settled })
    }
}

/// Which term: of two the later one is the greater. As text `5`, or `5.2`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TermId {
    pub epoch: u64,
    /// How often its master was started again in that epoch and has proven that it lacks nothing. What others still have from before such a start, and did
    /// not show, was acknowledged by nobody.
    pub start: u64,
}

impl TermId {
    /// The term that begins with a failover.
    pub const fn of_epoch(epoch: u64) -> TermId {
        TermId { epoch, start: 0 }
    }
}

impl Display for TermId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.start {
            0 => write!(f, "{}", self.epoch),
            start => write!(f, "{}.{start}", self.epoch),
        }
    }
}

impl FromStr for TermId {
    type Err = ();

    fn from_str(text: &str) -> Result<TermId, ()> {
        let number = |text: &str| text.parse().map_err(|_| ());
        match text.split_once('.') {
            None => Ok(TermId::of_epoch(number(text)?)),
            Some((epoch, start)) => Ok(TermId { epoch: number(epoch)?, start: number(start)? }),
        }
    }
}

/// A term, and where it began: who has come so far with its master has all that was acknowledged in the terms before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    pub id: TermId,
    pub from: u64,
}

/// So many terms are remembered: a node that is further behind than that has no word in a choice.
const TERMS_MAX: usize = 16;

/// The term of the data of a node that stands at this offset: the latest one whose beginning it has reached. Of two nodes the one with the later term has
/// all that was acknowledged to the other one, and in one term the one that is further.
pub fn term_at(terms: &[Term], offset: u64) -> Option<TermId> {
    terms.iter().rev().find(|term| term.from <= offset).map(|term| term.id)
}

/// A leader is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A later term is known, or another leader of this one.
    Stale {
        known: u64,
    },
    /// The list differs from the present one by more than one id.
    ManyChanges,
    /// The list does not follow on the present one.
    OtherList {
        present: ListId,
    },
    NoMembers,
    TooManyMembers,
    /// This leader has not fenced it in this term.
    NotPromised,
    /// It has, but what the node told then may not be here any more.
    ToldBefore {
        epoch: u64,
    },
}

impl Refusal {
    /// The error to reply.
    pub fn reply(&self) -> String {
        match self {
            Refusal::Stale { known } => format!("STALEEPOCH {known} is known here"),
            Refusal::ManyChanges => "ERR members change by one at a time".to_string(),
            Refusal::OtherList { present } => format!("TRYAGAIN the list of members is {present} here"),
            Refusal::NoMembers => "ERR a set has members".to_string(),
            Refusal::NotPromised => "ERR this epoch was not promised to that leader".to_string(),
            Refusal::ToldBefore { epoch } => {
                format!("STALEFENCE since its fence in epoch {epoch} this node was started again, or got other data")
            }
            Refusal::TooManyMembers => format!("ERR a set has at most {MEMBERS_MAX} members"),
        }
    }
}

/// At the very offset where a term began nothing of it is there yet.
fn is_lacked(term: &Term, offset: u64, master: Option<TermId>) -> bool {
    term.from >= offset && master.is_none_or(|master| term.id > master)
}

impl Promises {
    pub fn new(node_id: ReplId) -> Promises {
        Promises {
            node_id,
            epoch: 0,
            promised: 0,
            leader: None,
            members: Vec::new(),
            list: ListId::default(),
            terms: Vec::new(),
            by_user: None,
            doubtful_from: None,
            ended: None,
        }
    }

    /// There is something in it that was promised to somebody.
    pub fn is_binding(&self) -> bool {
        self.promised > 0 || !self.members.is_empty()
    }

    /// It may have acknowledged something that counts: it is a member, or followed a master that may have counted it as one before anybody told it so.
    pub fn may_have_counted(&self) -> bool {
        !self.members.is_empty() || !self.terms.is_empty()
    }

    /// The highest term that is known here.
    pub fn known(&self) -> u64 {
        self.promised.max(self.epoch)
    }

    /// A later master than this node is, or was, has been or is being made.
    pub fn is_stale_master(&self) -> bool {
        self.promised > self.epoch
    }

    /// No master of an older term than this is acknowledged anything; `None` where none was promised.
    pub fn fence(&self) -> Option<u64> {
        (self.promised > 0).then_some(self.promised)
    }

    pub fn members(&self) -> &[ReplId] {
        &self.members
    }

    pub fn list(&self) -> ListId {
        self.list
    }

    /// Whether a node's acknowledgements count.
    pub fn counts(&self, node: Option<ReplId>) -> bool {
        self.members.is_empty() || node.is_some_and(|node| self.members.contains(&node))
    }

    /// FENCE: from now on no master of an older term is acknowledged anything, and as one this node is stale.
    ///
    /// # Errors
    /// The term is not later than the one in which this node is a master, or another leader has been promised it.
    pub fn promise(&mut self, epoch: u64, leader: ReplId) -> Result<(), Refusal> {
        let is_again = epoch == self.promised && self.leader.is_none_or(|known| known == leader);
        if epoch <= self.epoch || !(epoch > self.promised || is_again) {
            return Err(Refusal::Stale { known: self.known() });
        }
        (self.promised, self.leader) = (epoch, Some(leader));
        Ok(())
    }

    /// This node follows a master of this term. Answers whether that was news.
    pub fn follows(&mut self, epoch: u64) -> bool {
        let is_news = epoch > self.promised;
        if is_news {
            (self.promised, self.leader) = (epoch, None);
        }
        is_news
    }

    /// This node becomes a master at this offset, by the word of the leader of the term that it has promised, or of its master, which hands that term over.
    /// Answers whether that changed anything.
    pub fn promoted(&mut self, offset: u64) -> bool {
        let is_new = self.epoch != self.promised;
        self.epoch = self.promised;
        // A master counts by the list that it has, whatever is heard of others from before.
        let begins_list = !self.members.is_empty();
        if begins_list {
            self.list = self.list.of_new_master(self.epoch);
        }
        self.begins(offset) | is_new | begins_list
    }

    /// The term of its epoch begins here, unless it is in one already.
    fn begins(&mut self, offset: u64) -> bool {
        self.own().is_none() && self.enters(Term { id: TermId::of_epoch(self.epoch), from: offset })
    }

    /// This node, a master that was started again, has shown at this offset that it lacks nothing that was acknowledged. What it acknowledges from here on is
    /// of a later term, as somebody may still have what only he got before the restart.
    pub fn proves(&mut self, offset: u64) {
        let TermId { epoch, start } = self.own_term();
        self.enters(Term { id: TermId { epoch, start: start + 1 }, from: offset });
    }

    /// A user makes this node a master at this offset: nobody who counts has said that it has what was acknowledged. What its replicas acknowledge from here on is of
    /// a later term than all in that epoch that it knows.
    pub fn promoted_by_user(&mut self, offset: u64) -> bool {
        let is_new = self.epoch != self.promised || !self.terms.is_empty();
        self.epoch = self.promised;
        // Should it be made a replica again, the next list of its master takes the place of this one.
        if !self.members.is_empty() && (self.list.is_settled || self.list.epoch < self.epoch) {
            self.list = self.list.next(self.epoch);
        }
        let id = TermId { epoch: self.epoch, start: self.own_term().start + 1 };
        self.terms.clear();
        (self.by_user, self.doubtful_from) = (Some(Term { id, from: offset }), None);
        is_new
    }

    /// PROMOTE: whether this leader may make the node a master of this term. One that comes late, when another has fenced the node since, may not. `fenced_in`
    /// is the term in which it was fenced last with the data that it has, since its start: by what it told then the leader has chosen it.
    ///
    /// # Errors
    /// The term was not promised to this leader, or a later one is known; or the leader has chosen by what may be here no more.
    pub fn may_be_promoted(&self, epoch: u64, leader: ReplId, fenced_in: Option<u64>) -> Result<(), Refusal> {
        match epoch.cmp(&self.promised) {
            Ordering::Less => Err(Refusal::Stale { known: self.known() }),
            Ordering::Equal if self.leader != Some(leader) => Err(Refusal::NotPromised),
            Ordering::Equal if fenced_in == Some(epoch) => Ok(()),
            Ordering::Equal => Err(Refusal::ToldBefore { epoch }),
            Ordering::Greater => Err(Refusal::NotPromised),
        }
    }

    /// Its data go on into a term, which is later than those before. Answers whether that was news.
    pub fn enters(&mut self, term: Term) -> bool {
        if self.terms.last().is_some_and(|last| last.id >= term.id) {
            return false;
        }
        self.terms.push(term);
        (self.by_user, self.doubtful_from) = (None, None);
        let surplus = self.terms.len().saturating_sub(TERMS_MAX);
        self.terms.drain(..surplus);
        true
    }

    /// What it had is replaced. Answers whether that was news.
    pub fn has_other_data(&mut self) -> bool {
        let doubted = self.doubtful_from.take().is_some();
        !std::mem::take(&mut self.terms).is_empty() || doubted
    }

    /// It goes on at this offset with a master that was started again and may lack something. Answers whether that was news.
    pub fn doubts_from(&mut self, offset: u64) -> bool {
        let is_news = self.doubtful_from.is_none_or(|from| offset < from);
        if is_news {
            self.doubtful_from = Some(offset);
        }
        is_news
    }

    /// It stands at this offset with a master of this term, or of none. Later terms of which it has no byte here are of data that it has lost, or never had: what
    /// comes from that master is not theirs. Answers whether there are such.
    pub fn lacks_terms(&self, offset: u64, master: Option<TermId>) -> bool {
        self.terms.iter().any(|term| is_lacked(term, offset, master))
    }

    /// It counts with none of those any more.
    pub fn forgets_terms(&mut self, offset: u64, master: Option<TermId>) {
        self.terms.retain(|term| !is_lacked(term, offset, master));
    }

    /// Whether what comes behind this offset is doubtful already.
    pub fn is_doubtful_behind(&self, offset: u64) -> bool {
        self.doubtful_from.is_some_and(|from| from <= offset)
    }

    /// How far its data count when a master is chosen, and of which term they are there. It stands at `offset`.
    pub fn counts_to(&self, offset: u64) -> (u64, Option<TermId>) {
        let offset = self.doubtful_from.map_or(offset, |from| offset.min(from));
        (offset, term_at(&self.terms, offset))
    }

    /// The node ends, and all that it has acknowledged is in its files.
    pub fn ends(&mut self, at: Ended) {
        self.ended = Some(at);
    }

    /// The text is to be written to this file.
    pub fn is_written_to(&mut self, inode: u64) {
        if let Some(ended) = &mut self.ended {
            ended.inode = inode;
        }
    }

    /// The node was started: what follows may end otherwise.
    pub fn take_end(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The latest term of the epoch in which it is a master, or was last.
    fn own(&self) -> Option<&Term> {
        self.terms.iter().chain(&self.by_user).rfind(|term| term.id.epoch == self.epoch)
    }

    /// Its own term, if it is a master.
    pub fn own_term(&self) -> TermId {
        self.own().map_or(TermId::of_epoch(self.epoch), |term| term.id)
    }

    /// Where that began.
    pub fn began(&self) -> u64 {
        self.own().map_or(0, |term| term.from)
    }

    /// As many of the members as acknowledge a write have all that was released, on this master or before it.
    pub fn settle_list(&mut self) {
        self.list.is_settled = !self.members.is_empty();
    }

    /// MEMBERS on a replica: what is to hold when it is promoted. A list with a number takes the place of all before it. Of those that are open under one
    /// number all may come to be, until it is heard which is settled. One without a number takes nobody away.
    ///
    /// # Errors
    /// A later term is known; nobody or too many are named.
    pub fn learn_members(&mut self, epoch: u64, list: Option<ListId>, members: &[ReplId]) -> Result<(), Refusal> {
        let mut members = self.checked(epoch, members)?;
        if epoch > self.promised {
            (self.promised, self.leader) = (epoch, None);
        }
        let told = list.unwrap_or(self.list);
        if told < self.list {
            return Ok(());
        }
        let adds = told.is_same_number(self.list) && (list.is_none() || !told.is_settled);
        if adds {
            members.extend(self.members.iter().filter(|id| !members.contains(id)).copied().collect::<Vec<_>>());
            members = self.checked(epoch, &members)?;
        }
        // Who was added without a number may be counted by nobody else.
        let is_settled = told.is_settled && (list.is_some() || members == self.members);
        (self.members, self.list) = (members, ListId { is_settled, ..told });
        Ok(())
    }

    /// MEMBERS on a master that stands at `offset`: it is the one of this term, and these count.
    ///
    /// # Errors
    /// As [`Promises::learn_members`], and more than one id is another than before, or the list has a number and is not the next one.
    pub fn take_members(
        &mut self,
        epoch: u64,
        list: Option<ListId>,
        members: &[ReplId],
        offset: u64,
    ) -> Result<(), Refusal> {
        let members = self.checked(epoch, members)?;
        let is_again = members == self.members && epoch == self.epoch;
        let next = self.list.next(epoch);
        if list.is_some_and(|list| !list.is_same_number(if is_again { self.list } else { next })) {
            return Err(Refusal::OtherList { present: self.list });
        }
        let missing = |of: &[ReplId], from: &[ReplId]| of.iter().filter(|id| !from.contains(id)).count();
        if !self.members.is_empty() && missing(&members, &self.members) + missing(&self.members, &members) > 1 {
            return Err(Refusal::ManyChanges);
        }
        if !is_again {
            (self.members, self.list) = (members, next);
        }
        self.promised = self.promised.max(epoch);
        self.epoch = self.promised;
        self.begins(offset);
        Ok(())
    }

    fn checked(&self, epoch: u64, members: &[ReplId]) -> Result<Vec<ReplId>, Refusal> {
        if epoch < self.known() {
            return Err(Refusal::Stale { known: self.known() });
        }
        let mut sorted: Vec<ReplId> = members.to_vec();
        sorted.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        sorted.dedup();
        match sorted.len() {
            0 => Err(Refusal::NoMembers),
            1..=MEMBERS_MAX => Ok(sorted),
            _ => Err(Refusal::TooManyMembers),
        }
    }

    /// As lines of text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nnode {}\nepoch {}\n", self.node_id, self.epoch);
        let leader = self.leader.map_or_else(|| "-".to_string(), |leader| leader.to_string());
        writeln!(text, "promised {} {leader}", self.promised).expect("a String takes all");
        for Term { id, from } in &self.terms {
            writeln!(text, "term {id} {from}").expect("a String takes all");
        }
        if let Some(Term { id, from }) = &self.by_user {
            writeln!(text, "user-term {id} {from}").expect("a String takes all");
        }
        if let Some(from) = &self.doubtful_from {
            writeln!(text, "doubtful {from}").expect("a String takes all");
        }
        if let Some(Ended { id, offset, is_replica, inode }) = &self.ended {
            let role = if *is_replica { "replica" } else { "master" };
            writeln!(text, "ended {id} {offset} {role} {inode}").expect("a String takes all");
        }
        if self.list != ListId::default() {
            writeln!(text, "list {}", self.list).expect("a String takes all");
        }
        for member in &self.members {
            writeln!(text, "member {member}").expect("a String takes all");
        }
        text
    }

    /// `None` for anything that [`Promises::to_text`] does not write.
    pub fn parse(text: &str) -> Option<Promises> {
        let id = |text: &str| ReplId::parse(text.as_bytes());
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let node_id = id(lines.next()?.strip_prefix("node ")?)?;
        let epoch = lines.next()?.strip_prefix("epoch ")?.parse().ok()?;
        let (promised, leader) = lines.next()?.strip_prefix("promised ")?.split_once(' ')?;
        let leader = if leader == "-" { None } else { Some(id(leader)?) };
        let promised = promised.parse().ok()?;
        let mut lines = lines.peekable();
        let mut terms = Vec::new();
        let term = |text: &str| {
            let (id, from) = text.split_once(' ')?;
            Some(Term { id: id.parse().ok()?, from: from.parse().ok()? })
        };
        while let Some(line) = lines.next_if(|line| line.starts_with("term ")) {
            terms.push(term(line.strip_prefix("term ")?)?);
        }
        let by_user = match lines.next_if(|line| line.starts_with("user-term ")) {
            Some(line) => Some(term(line.strip_prefix("user-term ")?)?),
            None => None,
        };
        let doubtful_from = match lines.next_if(|line| line.starts_with("doubtful ")) {
            Some(line) => Some(line.strip_prefix("doubtful ")?.parse().ok()?),
            None => None,
        };
        let ended = match lines.next_if(|line| line.starts_with("ended ")) {
            Some(line) => Some(Ended::parse(line.strip_prefix("ended ")?)?),
            None => None,
        };
        let list = match lines.next_if(|line| line.starts_with("list ")) {
            Some(line) => line.strip_prefix("list ")?.parse().ok()?,
            None => ListId::default(),
        };
        let members = lines.map(|line| id(line.strip_prefix("member ")?)).collect::<Option<Vec<_>>>()?;
        let promises =
            Promises { node_id, epoch, promised, leader, members, list, terms, by_user, doubtful_from, ended };
        (promises.to_text() == text && promises.members.len() <= MEMBERS_MAX && epoch <= promised).then_some(promises)
    }
}

impl Ended {
    fn parse(text: &str) -> Option<Ended> {
        let mut words = text.split(' ');
        let mut word = || words.next();
        let (id, offset) = (ReplId::parse(word()?.as_bytes())?, word()?.parse().ok()?);
        Some(Ended { id, offset, is_replica: word()? == "replica", inode: word()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ReplId {
        ReplId::from_random(&[n; 20])
    }

    fn stale(known: u64) -> Result<(), Refusal> {
        Err(Refusal::Stale { known })
    }

    #[test]
    fn a_term_is_promised_to_one_leader() {
        let mut node = Promises::new(id(1));
        assert_eq!((node.fence(), node.is_stale_master(), node.is_binding()), (None, false, false));
        assert_eq!(node.promise(0, id(9)), stale(0));
        assert_eq!(node.promise(5, id(9)), Ok(()));
        assert_eq!(node.promise(5, id(9)), Ok(()), "an answer that was lost is given again");
        assert_eq!(node.promise(5, id(8)), stale(5));
        assert_eq!(node.promise(4, id(9)), stale(5));
        assert_eq!(node.promise(6, id(8)), Ok(()));
        assert_eq!((node.fence(), node.is_stale_master(), node.is_binding()), (Some(6), true, true));
        assert_eq!(node.may_be_promoted(5, id(9), Some(5)), stale(6), "the leader of before comes late");
        assert_eq!(node.may_be_promoted(6, id(9), Some(6)), Err(Refusal::NotPromised));
        assert_eq!(node.may_be_promoted(7, id(8), Some(7)), Err(Refusal::NotPromised));
        for told_before in [None, Some(5)] {
            assert_eq!(node.may_be_promoted(6, id(8), told_before), Err(Refusal::ToldBefore { epoch: 6 }));
        }
        assert_eq!(node.may_be_promoted(6, id(8), Some(6)), Ok(()));
        assert!(node.promoted(70) && !node.promoted(80));
        assert_eq!((node.epoch, node.is_stale_master()), (6, false));
        assert_eq!(node.promise(6, id(8)), stale(6), "what comes late does not depose the one whom it has made");
        assert_eq!(node.promise(7, id(8)), Ok(()));
        assert!(node.is_stale_master());
    }

    #[test]
    fn who_follows_a_master_promises_its_term_to_nobody_else() {
        let mut node = Promises::new(id(1));
        assert!(node.follows(3) && !node.follows(3) && !node.follows(2));
        assert_eq!(node.fence(), Some(3));
        assert_eq!(node.promise(3, id(9)), Ok(()), "its leader may not have fenced this node");
        assert_eq!(node.promise(3, id(8)), stale(3));
    }

    #[test]
    fn members_change_by_one() {
        let mut node = Promises::new(id(1));
        assert!(node.counts(None) && node.counts(Some(id(7))), "without members everybody counts");
        assert_eq!(node.take_members(2, None, &[], 50), Err(Refusal::NoMembers));
        assert_eq!(node.take_members(2, None, &[id(3), id(1), id(2), id(2)], 50), Ok(()));
        assert_eq!(node.members(), [id(1), id(2), id(3)]);
        assert!(!node.counts(None) && !node.counts(Some(id(7))) && node.counts(Some(id(2))));
        assert_eq!((node.epoch, node.fence()), (2, Some(2)));
        assert_eq!(node.take_members(2, None, &[id(1), id(2), id(4)], 50), Err(Refusal::ManyChanges));
        assert_eq!(node.take_members(3, None, &[id(1)], 50), Err(Refusal::ManyChanges));
        assert_eq!(node.take_members(2, None, &[id(1), id(2), id(3), id(4)], 50), Ok(()));
        assert_eq!(node.take_members(2, None, &[id(1), id(2), id(4)], 50), Ok(()));
        assert_eq!(node.take_members(1, None, &[id(1), id(2)], 50), stale(2));
        node.promise(4, id(9)).expect("it is later");
        assert_eq!(node.take_members(3, None, &[id(1), id(2)], 50), stale(4));
        assert!(node.is_stale_master());
        assert_eq!(node.take_members(4, None, &[id(1), id(2)], 50), Ok(()), "the leader has appointed it again");
        assert_eq!((node.epoch, node.is_stale_master()), (4, false));
        let many: Vec<ReplId> =
            (0..=MEMBERS_MAX as u32).map(|n| ReplId::parse(format!("{n:040x}").as_bytes()).expect("digits")).collect();
        assert_eq!(node.take_members(5, None, &many, 50), Err(Refusal::TooManyMembers));
    }

    #[test]
    fn a_replica_keeps_the_list_for_the_day_of_its_promotion() {
        let mut node = Promises::new(id(1));
        assert_eq!(node.learn_members(2, None, &[id(1), id(2)]), Ok(()));
        assert_eq!(node.learn_members(1, None, &[id(1)]), stale(2));
        assert_eq!(node.learn_members(3, None, &[id(1), id(4), id(5)]), Ok(()), "without a number nobody goes");
        assert_eq!((node.epoch, node.fence(), node.members().len()), (0, Some(3), 4));
        node.promise(4, id(9)).expect("it is later");
        node.promoted(70);
        assert_eq!((node.epoch, node.members().len(), node.list().to_string()), (4, 4, "4.1,open".to_string()));
        node.learn_members(4, Some(ListId { epoch: 4, number: 2, is_settled: true }), &[id(1), id(4)]).expect("a list");
        node.promoted(90);
        assert_eq!(node.list().to_string(), format!("4.{},open", 2 + HANDED_OVER), "handed over within the epoch");
        node.promoted_by_user(95);
        assert_eq!(node.list().number, 2 + HANDED_OVER, "it is open already");
    }

    #[test]
    fn of_lists_with_numbers_the_later_one_holds() {
        let list = |text: &str| Some(text.parse::<ListId>().expect("a list's number"));
        let mut node = Promises::new(id(1));
        let held = |node: &Promises| (node.list().to_string(), node.members().len());
        node.learn_members(5, list("5.2,open"), &[id(1), id(2), id(3)]).expect("it is the first");
        node.learn_members(5, list("5.2,open"), &[id(1), id(2), id(4)]).expect("it is as good");
        assert_eq!(held(&node), ("5.2,open".into(), 4), "either may come to be");
        node.learn_members(5, list("5.1"), &[id(1), id(2)]).expect("it is late, and that is all");
        assert_eq!(held(&node), ("5.2,open".into(), 4));
        node.learn_members(5, list("5.2"), &[id(1), id(2), id(4)]).expect("it is settled");
        assert_eq!(held(&node), ("5.2".into(), 3));
        node.learn_members(5, list("5.2,open"), &[id(1), id(2), id(3)]).expect("it is late");
        assert_eq!(held(&node), ("5.2".into(), 3));
        node.learn_members(5, list("5.3"), &[id(1), id(2)]).expect("one is gone");
        assert_eq!(held(&node), ("5.3".into(), 2));
        assert_eq!(Promises::parse(&node.to_text()), Some(node.clone()));

        let mut master = Promises::new(id(1));
        let three = [id(1), id(2), id(3)];
        assert_eq!(master.take_members(5, list("5.1,open"), &three, 0), Ok(()));
        assert_eq!(master.take_members(5, list("5.1,open"), &three, 0), Ok(()), "an answer that was lost");
        assert_eq!(held(&master), ("5.1,open".into(), 3));
        master.settle_list();
        assert_eq!(held(&master), ("5.1".into(), 3));
        let other = || Err(Refusal::OtherList { present: list("5.1").expect("a number") });
        assert_eq!(master.take_members(5, list("5.1,open"), &[id(1), id(2)], 0), other(), "it was another one's turn");
        assert_eq!(master.take_members(5, list("5.3,open"), &[id(1), id(2)], 0), other());
        assert_eq!(master.take_members(5, list("5.2,open"), &[id(1), id(2)], 0), Ok(()));
        assert_eq!(held(&master), ("5.2,open".into(), 2));
        assert_eq!(master.take_members(7, None, &[id(1), id(2)], 0), Ok(()));
        assert_eq!(held(&master), ("7.1,open".into(), 2), "it is appointed anew");
        for wrong in ["", "5", "5.x", "5.2,taken", "5.2,open,open"] {
            assert_eq!(wrong.parse::<ListId>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_term_of_data_counts_from_where_it_began() {
        let mut node = Promises::new(id(1));
        assert_eq!(term_at(node.terms(), 500), None);
        let term = |epoch, from| Term { id: TermId::of_epoch(epoch), from };
        assert!(node.enters(term(0, 0)) && node.enters(term(3, 1000)));
        assert!(!node.enters(term(3, 2000)) && !node.enters(term(2, 1500)), "it goes on only");
        let at = |node: &Promises, offset| term_at(node.terms(), offset).map(|term| term.to_string());
        let of = |text: &str| Some(text.to_string());
        assert_eq!([500, 999, 1000, 5000].map(|offset| at(&node, offset)), ["0", "0", "3", "3"].map(of));
        node.promise(4, id(9)).expect("it is later");
        assert!(node.promoted(1200));
        assert_eq!((node.began(), at(&node, 1200)), (1200, of("4")));
        node.proves(1300);
        assert_eq!((node.began(), at(&node, 1299), at(&node, 1300)), (1300, of("4"), of("4.1")));
        node.proves(1400);
        assert_eq!((node.own_term().to_string(), at(&node, 9000)), ("4.2".to_string(), of("4.2")));
        assert!(
            !node.enters(term(4, 1500)) && node.enters(term(5, 1500)),
            "a failover is later than all restarts before it"
        );
        let (before, mut less) = (node.terms().len(), node.clone());
        assert!(!less.lacks_terms(1501, None) && less.lacks_terms(1500, None));
        assert!(!less.lacks_terms(1000, Some(TermId::of_epoch(5))), "they are its master's");
        less.forgets_terms(1500, Some(TermId::of_epoch(4)));
        assert_eq!((before, less.terms().len(), at(&less, 9000)), (6, 5, of("4.2")), "what began there is gone");
        less.forgets_terms(999, None);
        assert_eq!(less.terms(), [term(0, 0)]);
        assert!(node.has_other_data() && !node.has_other_data());
        assert!(less.may_have_counted() && !node.may_have_counted());
        for epoch in 1..100 {
            node.enters(term(epoch, epoch * 10));
        }
        assert_eq!((node.terms().len(), at(&node, 5), at(&node, 990)), (TERMS_MAX, None, of("99")));
        assert!(node.promoted_by_user(1000) && node.terms().is_empty());
        assert_eq!(
            (node.own_term().to_string(), node.began()),
            ("4.1".to_string(), 1000),
            "what its replicas are told"
        );
        assert_eq!(node.counts_to(2000), (2000, None), "what it has itself proves nothing");
        node.take_members(4, None, &[id(1), id(2)], 1050).expect("it is the first list");
        assert_eq!((node.own_term().to_string(), node.began()), ("4.1".to_string(), 1000), "it goes on");
        node.proves(1100);
        assert_eq!((node.own_term().to_string(), node.began()), ("4.2".to_string(), 1100));
        assert!(node.doubts_from(1150) && !node.doubts_from(1200));
        assert_eq!(node.counts_to(9000), (1150, Some(TermId { epoch: 4, start: 2 })));
        assert!(node.enters(term(6, 1300)));
        assert_eq!(node.counts_to(9000), (9000, Some(TermId::of_epoch(6))), "who has proven it has all");
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let mut node = Promises::new(id(1));
        assert_eq!(Promises::parse(&node.to_text()), Some(node.clone()));
        node.take_members(2, None, &[id(1), id(2)], 50).expect("it is the first list");
        node.enters(Term { id: TermId { epoch: 9, start: 3 }, from: 77 });
        node.promise(7, id(9)).expect("it is later");
        node.doubts_from(90);
        assert_eq!(Promises::parse(&node.to_text()), Some(node.clone()));
        node.promoted_by_user(95);
        let text = node.to_text();
        assert_eq!(Promises::parse(&text), Some(node));
        for end in 0..text.len() {
            let cut = Promises::parse(&text[..end]);
            assert!(
                cut.is_none_or(|cut| cut.to_text().len() == end),
                "cut at {end}: the checksum around it finds that"
            );
        }
        for wrong in ["", "rivulet-failover 2\n", "rivulet-failover 1\nnode x\nepoch 0\npromised 0 -\n"] {
            assert_eq!(Promises::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Promises::parse(&text.replace("epoch 7", "epoch 9")), None, "a term that was never promised");
    }
}
