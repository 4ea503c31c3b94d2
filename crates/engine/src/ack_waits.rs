//! WAIT and WAITAOF: clients that wait until an offset of theirs is where they want it, on replicas or on disks.
//!
//! They are ordered by what they want and by offset, so an acknowledgement finds those that it serves without looking at the others.

use std::collections::BTreeSet;
use std::ops::Bound;

use rivulet_resp::Reply;

use crate::blocked::Wish;
use crate::client_id::ClientId;

/// How far a node and its replicas are.
pub struct Progress {
    /// What each replica has acknowledged, and has on its disk: the highest offset first.
    acked: Vec<u64>,
    fsynced: Vec<u64>,
    /// What is durable here, if anything is.
    local: Option<u64>,
}

/// How many of the offsets, the highest first, are at least this one.
fn count_from(offsets: &[u64], offset: u64) -> usize {
    offsets.partition_point(|o| *o >= offset)
}

impl Progress {
    /// What replicas have acknowledged, and have on their disks, the highest offset first; what is durable here.
    pub fn new(acked: Vec<u64>, fsynced: Vec<u64>, local: Option<u64>) -> Progress {
        Progress { acked, fsynced, local }
    }

    /// The highest offset that is where it is wished to be.
    pub fn reach(&self, wish: Wish) -> Option<u64> {
        let on = |offsets: &[u64], replicas: usize| match replicas.checked_sub(1) {
            Some(last) => offsets.get(last).copied(),
            None => Some(u64::MAX),
        };
        match wish {
            Wish::Acked { replicas } => on(&self.acked, replicas),
            Wish::Durable { local: false, replicas } => on(&self.fsynced, replicas),
            Wish::Durable { local: true, replicas } => Some(on(&self.fsynced, replicas)?.min(self.local?)),
        }
    }

    /// The reply of WAIT and WAITAOF: where an offset is.
    pub fn tell(&self, reply: &mut Reply<'_>, wish: Wish, offset: u64) {
        match wish {
            Wish::Acked { .. } => reply.int(count_from(&self.acked, offset) as i64),
            Wish::Durable { .. } => {
                reply.array(2);
                reply.int(i64::from(self.local.is_some_and(|local| local >= offset)));
                reply.int(count_from(&self.fsynced, offset) as i64);
            }
        }
    }
}

/// Who waits.
#[derive(Default)]
pub struct AckWaits(BTreeSet<(Wish, u64, ClientId)>);

impl AckWaits {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn insert(&mut self, wish: Wish, offset: u64, id: ClientId) {
        self.0.insert((wish, offset, id));
    }

    pub fn remove(&mut self, wish: Wish, offset: u64, id: ClientId) {
        self.0.remove(&(wish, offset, id));
    }

    /// Those whose wish is fulfilled: what lies between them and the next wish is not looked at.
    pub fn served(&self, progress: &Progress) -> Vec<(Wish, u64, ClientId)> {
        let mut served = Vec::new();
        let mut next = self.0.first();
        while let Some(&(wish, ..)) = next {
            if let Some(reach) = progress.reach(wish) {
                served.extend(self.0.range((wish, 0, 0)..=(wish, reach, ClientId::MAX)).copied());
            }
            let beyond = (wish, u64::MAX, ClientId::MAX);
            next = self.0.range((Bound::Excluded(beyond), Bound::Unbounded)).next();
        }
        served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress { acked: vec![90, 70, 70, 10], fsynced: vec![60, 20], local: Some(40) }
    }

    #[test]
    fn those_are_served_whose_offset_is_there() {
        let acked = |replicas| Wish::Acked { replicas };
        let durable = |local, replicas| Wish::Durable { local, replicas };
        for (wish, reach) in [
            (acked(0), Some(u64::MAX)),
            (acked(1), Some(90)),
            (acked(3), Some(70)),
            (acked(4), Some(10)),
            (acked(5), None),
            (durable(false, 1), Some(60)),
            (durable(true, 1), Some(40)),
            (durable(true, 2), Some(20)),
            (durable(true, 0), Some(40)),
            (durable(false, 3), None),
        ] {
            assert_eq!(progress().reach(wish), reach, "{wish:?}");
            let mut waits = AckWaits::default();
            for (id, offset) in [(1, 5), (2, 10), (3, 40), (4, 60), (5, 70), (6, 71), (7, 90), (8, 91)] {
                waits.insert(wish, offset, id);
                // Another wish beside it, which is not fulfilled.
                waits.insert(acked(100), offset, id);
            }
            let served: Vec<u64> = waits.served(&progress()).iter().map(|(_, offset, _)| *offset).collect();
            let wanted: Vec<u64> =
                [5, 10, 40, 60, 70, 71, 90, 91].into_iter().filter(|o| reach.is_some_and(|r| *o <= r)).collect();
            assert_eq!(served, wanted, "{wish:?}");
        }
        assert_eq!([91, 90, 70, 5].map(|offset| count_from(&progress().acked, offset)), [0, 1, 3, 4]);
    }

    #[test]
    fn who_gives_up_is_forgotten() {
        let mut waits = AckWaits::default();
        let wish = Wish::Acked { replicas: 1 };
        waits.insert(wish, 5, 1);
        waits.insert(wish, 5, 2);
        waits.remove(wish, 5, 1);
        assert_eq!(waits.served(&progress()), [(wish, 5, 2)]);
        waits.remove(wish, 5, 2);
        assert!(waits.is_empty());
    }
}
