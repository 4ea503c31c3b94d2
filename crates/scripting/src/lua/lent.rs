//! The host of a run, lent to the native functions that the script calls.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::host::Host;

/// A place for the host, filled for the time of a run.
#[derive(Default)]
pub(crate) struct Lent(Cell<Option<NonNull<dyn Host>>>);

// SAFETY: it is empty but during `lend`, which a moved value can't be in.
unsafe impl Send for Lent {}

impl Lent {
    /// Runs `f`, in which [`Lent::with`] finds the host.
    pub(crate) fn lend<R>(&self, host: &mut dyn Host, f: impl FnOnce() -> R) -> R {
        struct Clear<'a>(&'a Lent, Option<NonNull<dyn Host>>);
        impl Drop for Clear<'_> {
            fn drop(&mut self) {
                self.0.0.set(self.1);
            }
        }
        // SAFETY: only the lifetime changes; `Clear` takes the pointer back before the borrow ends, also when `f` panics.
        let erased = unsafe { std::mem::transmute::<&mut dyn Host, &'static mut dyn Host>(host) };
        let _clear = Clear(self, self.0.replace(Some(NonNull::from(erased))));
        f()
    }

    /// Uses the host, if one is lent; while it is used it can't be had a second time.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut dyn Host) -> R) -> Option<R> {
        struct Back<'a>(&'a Lent, NonNull<dyn Host>);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.0.set(Some(self.1));
            }
        }
        let mut host = self.0.take()?;
        let _back = Back(self, host);
        // SAFETY: `lend` borrows the host for longer than this, and nobody else has the pointer: it was taken out of the cell.
        Some(f(unsafe { host.as_mut() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MapHost;

    #[test]
    fn a_host_is_there_during_the_run_and_once() {
        let lent = Lent::default();
        assert!(lent.with(|_| ()).is_none());
        let mut host = MapHost::default();
        lent.lend(&mut host, || {
            assert_eq!(lent.with(|_| lent.with(|_| ()).is_none()), Some(true));
            assert!(lent.with(|_| ()).is_some());
        });
        assert!(lent.with(|_| ()).is_none());
    }
}
