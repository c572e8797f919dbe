//! The heap: `talc` over the first part of the program's free range.
//!
//! It grows by mapping further zero-fill memory behind what it has; a page costs a frame of the program's budget when it is first touched. Growth
//! is refused, and the allocation fails, while the budget could not pay for the whole request. Heap memory is never unmapped.
//!
//! The heap's lock is taken inside any other lock; nothing in here allocates or logs through the facade.

use core::alloc::Layout;
use core::ptr::NonNull;
use sal_abi::{PAGE, Rights};
use sal_sys::{capability, memory};
use talc::TalcLock;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

/// Smallest growth in bytes: also the alignment of every growth, so that heaps join.
const STEP: u64 = 256 * 1024;

/// Share of the free range that the heap may grow into; the rest is for mappings and stacks (`map`).
const SHARE: u64 = 4;

/// Where the heap may lie: from the range's start, `SHARE`th part of it.
pub(crate) fn limits(free_start: u64, free_end: u64) -> (u64, u64) {
    let start = free_start.next_multiple_of(PAGE);
    let length = free_end.saturating_sub(start) / SHARE;
    (start, start + length - length % PAGE)
}

/// What talc asks for more.
#[derive(Debug)]
struct Growing {
    /// End of the heap that can be extended, as talc gave it, and as an address.
    end: Option<(NonNull<u8>, u64)>,
}

// SAFETY: the pointer is to memory that the allocator alone owns; access goes through the lock around talc.
unsafe impl Send for Growing {}

// SAFETY: `acquire` makes kernel calls only; it never allocates.
unsafe impl Source for Growing {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let startup = crate::start::own::startup().ok_or(())?;
        let (start, limit) = limits(startup.free_start, startup.free_end);
        let from = talc.source.end.map_or(start, |(_, address)| address);
        let wanted = layout.size() as u64 + layout.align() as u64 + PAGE;
        let length = wanted.next_multiple_of(STEP).min(limit.saturating_sub(from));
        if length < wanted || !affordable(wanted) {
            return Err(());
        }
        map_at(from, length).map_err(drop)?;
        let to = from + length;
        let end = match talc.source.end {
            // SAFETY: [from, to) was mapped just now for nobody else, lies directly behind the heap, and is never unmapped.
            Some((end, _)) => Some(unsafe { talc.extend(end, to as *mut u8) }),
            // SAFETY: as above; there is no heap yet.
            None => unsafe { talc.claim(from as *mut u8, length as usize) },
        };
        talc.source.end = end.map(|end| (end, to));
        end.map(drop).ok_or(())
    }
}

/// Could the budget pay for `bytes` more?
fn affordable(bytes: u64) -> bool {
    capability::budget_info(crate::start::own::budget()).is_ok_and(|info| info.left >= bytes.div_ceil(PAGE))
}

/// Maps new zero-fill memory at a free place.
fn map_at(address: u64, length: u64) -> Result<(), sal_abi::Error> {
    let object = memory::memory_create(crate::start::own::budget(), length)?;
    let mapping = memory::Mapping {
        address,
        length,
        memory: object,
        offset: 0,
        rights: Rights::READ.or(Rights::WRITE),
        upper: None,
    };
    let mapped = memory::map(crate::start::own::space(), &mapping);
    // The mapping holds the memory; the handle is not needed any more.
    let _ = capability::close(object);
    mapped
}

#[cfg_attr(target_os = "none", global_allocator)]
#[cfg_attr(not(target_os = "none"), allow(dead_code, reason = "the host has its own allocator"))]
static HEAP: TalcLock<crate::lock::RawLock, Growing> = TalcLock::new(Growing { end: None });
