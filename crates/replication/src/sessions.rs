//! The replicas of a node: in the order in which they came, and each found by its key without a search.

use std::collections::{BTreeMap, HashMap};

use crate::session::{ReplicaKey, Session};

#[derive(Debug, Default)]
pub struct Sessions {
    by_arrival: BTreeMap<u64, (ReplicaKey, Session)>,
    arrivals: HashMap<ReplicaKey, u64>,
    arrived: u64,
    /// How many were looked at one by one.
    #[cfg(test)]
    pub visits: std::cell::Cell<usize>,
}

impl Sessions {
    /// The youngest.
    pub fn push(&mut self, key: ReplicaKey, session: Session) {
        self.arrived += 1;
        self.by_arrival.insert(self.arrived, (key, session));
        self.arrivals.insert(key, self.arrived);
    }

    pub fn remove(&mut self, key: ReplicaKey) -> Option<Session> {
        let arrival = self.arrivals.remove(&key)?;
        self.by_arrival.remove(&arrival).map(|(_, session)| session)
    }

    pub fn get(&self, key: ReplicaKey) -> Option<&Session> {
        self.by_arrival.get(self.arrivals.get(&key)?).map(|(_, session)| session)
    }

    pub fn get_mut(&mut self, key: ReplicaKey) -> Option<&mut Session> {
        self.by_arrival.get_mut(self.arrivals.get(&key)?).map(|(_, session)| session)
    }

    pub fn is_empty(&self) -> bool {
        self.by_arrival.is_empty()
    }

    /// The oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaKey, &Session)> {
        self.by_arrival.values().map(|(key, session)| {
            #[cfg(test)]
            self.visits.update(|visits| visits + 1);
            (*key, session)
        })
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ReplicaKey, &mut Session)> {
        self.by_arrival.values_mut().map(|(key, session)| (*key, session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Announced;

    #[test]
    fn they_are_found_by_key_and_stand_in_the_order_of_their_coming() {
        let mut sessions = Sessions::default();
        for (key, cursor) in [(7, 70), (3, 30), (9, 90)] {
            sessions.push(key, Session::continuing(Announced::default(), "h".to_string(), cursor, 0));
        }
        assert_eq!(sessions.get(3).map(Session::cursor), Some(30));
        assert_eq!(sessions.iter().map(|(key, _)| key).collect::<Vec<_>>(), [7, 3, 9]);
        assert_eq!(sessions.remove(7).map(|session| session.cursor()), Some(70));
        assert!(sessions.get(7).is_none() && sessions.remove(7).is_none());
        assert_eq!(sessions.iter().map(|(key, _)| key).collect::<Vec<_>>(), [3, 9]);
        sessions.get_mut(9).expect("it is there").sent(5);
        assert_eq!(sessions.iter_mut().map(|(_, session)| session.cursor()).max(), Some(95));
    }
}
