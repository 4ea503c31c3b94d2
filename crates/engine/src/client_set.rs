//! Clients that share something, such as a channel: most often one, sometimes thousands. Who joins and leaves is found in logarithmic time.

use std::collections::BTreeSet;

use crate::client_id::ClientId;

/// Clients by id, without repetition, in the order of their ids.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientSet {
    /// Without an allocation: what most channels and watched keys have.
    One(ClientId),
    Many(BTreeSet<ClientId>),
}

impl ClientSet {
    /// Adds a client; answers whether it was not in.
    pub fn insert(&mut self, id: ClientId) -> bool {
        match self {
            ClientSet::One(one) if *one == id => false,
            ClientSet::One(one) => {
                *self = ClientSet::Many(BTreeSet::from([*one, id]));
                true
            }
            ClientSet::Many(many) => many.insert(id),
        }
    }

    /// Takes a client out; answers whether nobody is left.
    pub fn remove(&mut self, id: ClientId) -> bool {
        match self {
            ClientSet::One(one) => *one == id,
            ClientSet::Many(many) => {
                many.remove(&id);
                many.is_empty()
            }
        }
    }

    /// Keeps those of many that fit; somebody must.
    pub fn retain(&mut self, fits: impl Fn(ClientId) -> bool) {
        if let ClientSet::Many(many) = self {
            many.retain(|id| fits(*id));
        }
    }

    /// How many there are; never none.
    pub fn count(&self) -> usize {
        match self {
            ClientSet::One(_) => 1,
            ClientSet::Many(many) => many.len(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = ClientId> {
        let (one, many) = match self {
            ClientSet::One(one) => (Some(*one), None),
            ClientSet::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_many_behave_the_same() {
        let mut set = ClientSet::One(5);
        assert!(!set.insert(5) && set.count() == 1);
        assert!(set.insert(3) && !set.insert(3) && set.insert(9));
        assert_eq!((set.iter().collect::<Vec<_>>(), set.count()), (vec![3, 5, 9], 3));
        assert!(!set.remove(5) && !set.remove(7) && !set.remove(3));
        assert_eq!(set.iter().collect::<Vec<_>>(), [9]);
        assert!(set.remove(9));
        assert!(!ClientSet::One(1).remove(2) && ClientSet::One(1).remove(1));
    }
}
