//! Who looks at all servers of a set, all the time: those at the same place hold the same, and each can read what its master sends.

use crate::invariants::position::Positions;
use crate::invariants::{Broken, garbled};
use crate::network::HostId;
use crate::observer::Observer;
use crate::schedule::Schedule;

/// Each server is looked at so often.
const PERIOD_US: u64 = 400_000;

pub struct Watch {
    observers: Vec<Observer>,
    positions: Positions,
    /// The first that was seen and must not be.
    broken: Option<Broken>,
}

impl Watch {
    /// From this machine, at the servers on so many first ones.
    pub fn new(host: HostId, servers: usize) -> Watch {
        let observers = (0..servers).map(|server| Observer::new(host, server)).collect();
        Watch { observers, positions: Positions::default(), broken: None }
    }

    pub fn tick(&mut self, schedule: &mut Schedule) {
        if let Err(broken) = self.look(schedule) {
            self.broken.get_or_insert(broken);
        }
    }

    fn look(&mut self, schedule: &mut Schedule) -> Result<(), Broken> {
        for observer in &mut self.observers {
            if let Some(sight) = observer.tick(&schedule.shared, PERIOD_US) {
                self.positions.saw(&sight)?;
            }
        }
        garbled::check(schedule.shared.garbled.take(), false)?;
        schedule.broken.take().map_or(Ok(()), Err)
    }

    /// What was seen since this was asked last.
    ///
    /// # Errors
    /// What was broken.
    pub fn check(&mut self) -> Result<(), Broken> {
        self.broken.take().map_or(Ok(()), Err)
    }
}
