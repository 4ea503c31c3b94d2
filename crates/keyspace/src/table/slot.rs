//! A slot: eight bytes that have an entry's address, a mark, and as many bits of its key's hash as there is room for.
//!
//! How many bits an address needs depends on the machine, so the packing has that as a parameter. It is drawn in `docs/keyspace.md`.

use crate::entry::{ADDRESS_BITS, Entry};

/// Bits of the hash, below the segment's depth, that decide the bucket.
pub(super) const LOCAL_BITS: u32 = 16;

/// Slots with addresses of `BITS` bits, of which the lowest three are always 0.
pub(super) struct Packing<const BITS: u32>;

/// The packing of this machine.
pub(super) type Slots = Packing<ADDRESS_BITS>;

impl<const BITS: u32> Packing<BITS> {
    /// Slot 0 of a bucket carries it when an entry whose search passes here lies further right.
    pub(super) const SPILLED: u64 = 1 << (BITS - 3);
    pub(super) const ADDRESS: u64 = Self::SPILLED - 1;
    pub(super) const TAG_SHIFT: u32 = BITS - 2;
    /// A tag's window moves each time the depth has grown by this much.
    pub(super) const WINDOW_STEP: u32 = 64 - Self::TAG_SHIFT - LOCAL_BITS + 1;

    /// The bits of the hash that a slot of a segment of this depth keeps.
    #[inline]
    pub(super) fn tag(hash: u64, depth: u8) -> u64 {
        (hash << (u32::from(depth) - u32::from(depth) % Self::WINDOW_STEP)) >> Self::TAG_SHIFT
    }

    /// [`local`] of the slot's hash. The depth is that with which the slot was made, or a greater one of the same window.
    #[inline]
    pub(super) fn local_of(slot: u64, depth: u8) -> u64 {
        ((slot >> Self::TAG_SHIFT) >> (Self::WINDOW_STEP - 1 - (u32::from(depth) % Self::WINDOW_STEP)))
            & ((1 << LOCAL_BITS) - 1)
    }

    #[inline]
    pub(super) fn pack(address: u64, hash: u64, depth: u8) -> u64 {
        (Self::tag(hash, depth) << Self::TAG_SHIFT) | (address >> 3)
    }

    /// The address in a slot; 0 is none.
    #[inline]
    pub(super) fn address(slot: u64) -> u64 {
        (slot & Self::ADDRESS) << 3
    }
}

pub(super) const SPILLED: u64 = Slots::SPILLED;
pub(super) const ADDRESS: u64 = Slots::ADDRESS;
pub(super) const TAG_SHIFT: u32 = Slots::TAG_SHIFT;
pub(super) const WINDOW_STEP: u32 = Slots::WINDOW_STEP;
const _: () = assert!(WINDOW_STEP >= 1, "the tag has the bits of the bucket");

/// How a segment finds the bucket of a hash.
#[inline]
pub(super) fn local(hash: u64, depth: u8) -> u64 {
    (hash << depth) >> (64 - LOCAL_BITS)
}

#[inline]
pub(super) fn tag(hash: u64, depth: u8) -> u64 {
    Slots::tag(hash, depth)
}

#[inline]
pub(super) fn local_of_slot(slot: u64, depth: u8) -> u64 {
    Slots::local_of(slot, depth)
}

#[inline]
pub(super) fn entry_of_slot(slot: u64) -> Entry {
    // SAFETY: a slot with an address holds one of an entry that the table owns.
    unsafe { Entry::from_address(Slots::address(slot)) }
}

#[inline]
pub(super) fn slot_of(entry: Entry, hash: u64, depth: u8) -> u64 {
    Slots::pack(entry.address(), hash, depth)
}

/// The slot with another entry of the same key.
#[inline]
pub(crate) fn with_entry(slot: u64, entry: Entry) -> u64 {
    (slot & !ADDRESS) | (entry.address() >> 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const BITS: u32>() {
        let mut rng = fastrand::Rng::with_seed(31);
        let highest = (1u64 << BITS) - 8;
        let addresses =
            [8, 1 << 46, 1 << (BITS - 1), highest].into_iter().chain((0..1000).map(|_| rng.u64(1..=highest) & !7));
        let mut hashes = fastrand::Rng::with_seed(32);
        for address in addresses.filter(|&a| a != 0) {
            let hash = hashes.u64(..);
            for depth in 0..40u8 {
                let slot = Packing::<BITS>::pack(address, hash, depth);
                assert_eq!(Packing::<BITS>::address(slot), address);
                assert_eq!(slot & Packing::<BITS>::SPILLED, 0, "no address reaches the mark");
                assert_eq!(Packing::<BITS>::address(slot | Packing::<BITS>::SPILLED), address);
                assert_eq!(slot >> Packing::<BITS>::TAG_SHIFT, Packing::<BITS>::tag(hash, depth));
                let window_end =
                    depth - depth % Packing::<BITS>::WINDOW_STEP as u8 + Packing::<BITS>::WINDOW_STEP as u8;
                for later in depth..window_end {
                    assert_eq!(Packing::<BITS>::local_of(slot, later), local(hash, later), "{BITS} {depth} {later}");
                }
            }
        }
    }

    #[test]
    fn slots_keep_address_and_hash_at_each_width() {
        check::<47>();
        check::<48>();
        check::<49>();
    }

    #[test]
    fn a_tag_has_as_many_bits_as_the_machine_leaves() {
        assert_eq!((Packing::<47>::TAG_SHIFT, Packing::<47>::WINDOW_STEP), (45, 4));
        assert_eq!((Packing::<48>::TAG_SHIFT, Packing::<48>::WINDOW_STEP), (46, 3));
    }
}
