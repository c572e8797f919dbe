//! Translation by page tables alone, without a lock: the only thing that may run beside changes on another CPU.
//!
//! The frame found stays what it is until this CPU leaves the kernel (quarantine). A change of the tables that runs at the same time
//! may or may not be seen: as if the access had come just before it, since the changer's caller waits for this CPU's acknowledgement.

use crate::tables::slot;
use crate::{Access, Decoded, Frame, PAGE, PageFormat, Ram, Who};

/// Where an access by user code at `address` under `root` would go: frame and byte offset; `None`: it would fault.
#[inline]
pub fn translate<R: Ram, F: PageFormat>(ram: &R, root: Frame, address: u64, access: Access) -> Option<(Frame, usize)> {
    let mut table = root;
    for level in (1..F::LEVELS).rev() {
        match F::decode(level, ram.read(table, slot(address, level))) {
            Decoded::Node(next) => table = next,
            // Large pages are the kernel's own: never a user's.
            Decoded::Absent | Decoded::Leaf(_) => return None,
        }
    }
    match F::decode(0, ram.read(table, slot(address, 0))) {
        Decoded::Leaf(leaf) if leaf.who == Who::User && leaf.rights.has(access.right()) => {
            Some((leaf.frame, (address % PAGE) as usize))
        }
        _ => None,
    }
}
