//! No acknowledged write is lost, but where the settings or what the operator did allow it.

use std::collections::BTreeSet;

use super::Broken;
use crate::writer::{Ledger, Register, Writer};

/// Whether acknowledged writes must be there, and if not, why not.
#[derive(Debug, Default)]
pub struct Promise(Option<&'static str>);

impl Promise {
    /// From now on they need not.
    pub fn end(&mut self, why: &'static str) {
        self.0.get_or_insert(why);
    }

    pub fn holds(&self) -> bool {
        self.0.is_none()
    }

    /// A register of a writer holds this at the end.
    pub fn check(&self, writer: usize, key: usize, register: Register, value: u64) -> Result<(), Broken> {
        let name = Writer::register(writer, key);
        if value > register.sent {
            return Err(format!("{name} holds {value}, and no more than {} was sent", register.sent));
        }
        if self.holds() && value < register.acked {
            return Err(format!("{name} holds {value}, and {} was acknowledged", register.acked));
        }
        Ok(())
    }

    /// The ledger of a writer holds this at the end.
    pub fn check_ledger(&self, writer: usize, ledger: &Ledger, held: &BTreeSet<u64>) -> Result<(), Broken> {
        let name = Writer::ledger_name(writer);
        if let Some(member) = held.iter().find(|member| **member > ledger.sent) {
            return Err(format!("{name} has {member}, and no more than {} was sent", ledger.sent));
        }
        let mut lost = ledger.acked.difference(held).peekable();
        if self.holds() && lost.peek().is_some() {
            return Err(format!("{name} lacks {:?}, which were acknowledged", lost.collect::<Vec<_>>()));
        }
        Ok(())
    }
}
