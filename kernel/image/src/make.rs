//! Makes the core: sizes its arenas by the machine's memory and carves them from the largest free range.
#![allow(unsafe_code)]

use crate::hardware::Hw;
use core::ptr::NonNull;
use sal_arch_x86_64::arena::Region as Arena;
use sal_arch_x86_64::format::LAYOUT;
use sal_arch_x86_64::layout::PHYSMAP;
use sal_arch_x86_64::physmap::{Carver, PhysicalMemory};
use sal_arch_x86_64::{Machine, paging::MapError};
use sal_kernel_core::region::Region;
use sal_kernel_core::threads::Hold;
use sal_kernel_core::timer::Entry;
use sal_kernel_core::{Cpu, Kernel, KernelParts};
use sal_kernel_mem::{Frame, FrameRange, PAGE, Vm};

/// Why the core can't be made.
#[derive(Debug)]
pub(crate) enum NoKernel {
    /// Not enough memory: this many bytes are missing in the largest free range.
    Memory,
    /// No address or frame for an arena.
    Arena(MapError),
    /// The frames can't even hold their own metadata.
    Frames,
}

/// Budgets that there may be.
const BUDGETS: u64 = 512;

/// How many of each there may be.
struct Sizes {
    threads: u32,
    memories: u64,
    spaces: u64,
}

impl Sizes {
    /// By the bytes of free memory: a machine of 32 MiB has 256 threads, one of 512 MiB or more has 4,096.
    fn of(bytes: u64) -> Sizes {
        let threads = (bytes >> 17).clamp(128, 4096) as u32;
        Sizes { threads, memories: threads as u64 * 8, spaces: threads as u64 * 2 }
    }
}

/// Memory for `count` values of `T` in a row, from the range that the carver holds.
fn carve<T>(carver: &mut Carver, count: usize) -> Result<NonNull<T>, NoKernel> {
    let frames = (count * size_of::<T>()).div_ceil(PAGE as usize).max(1);
    let first = carver.take(frames as u64).ok_or(NoKernel::Memory)?;
    NonNull::new((PHYSMAP + first) as *mut T).ok_or(NoKernel::Memory)
}

/// A region of `count` slots.
fn region<S>(carver: &mut Carver, count: u32, make: impl FnMut() -> S) -> Result<Region<S>, NoKernel> {
    let base = carve::<S>(carver, count as usize)?;
    // SAFETY: carved for this region alone, mapped for ever; nobody else has the region yet.
    let mut region = unsafe { Region::at(base, count) };
    // SAFETY: as above.
    unsafe { region.grow(count, make) };
    Ok(region)
}

/// A slice of `count` values.
fn slice<T: Default>(carver: &mut Carver, count: usize) -> Result<&'static mut [T], NoKernel> {
    let base = carve::<T>(carver, count)?;
    for n in 0..count {
        // SAFETY: carved for this slice alone, mapped for ever.
        unsafe { base.add(n).write(T::default()) };
    }
    // SAFETY: all of it was written just now.
    Ok(unsafe { core::slice::from_raw_parts_mut(base.as_ptr(), count) })
}

/// The core and the CPUs' own states, with `cpus` CPUs.
#[inline(never)]
pub(crate) fn kernel(
    found: &'static Machine,
    cpus: usize,
    give: &mut dyn FnMut(usize, Cpu<Hw>),
) -> Result<&'static Kernel<Hw>, NoKernel> {
    // SAFETY: once, by the owner of the machine's free memory.
    let (ram, mut carver) = unsafe { (PhysicalMemory::new(found), Carver::new(found)) };
    let largest = found.free.iter().copied().max_by_key(|s| s.length());
    let sizes = Sizes::of(found.free.iter().map(|s| s.length()).sum());
    for n in 0..cpus {
        let timers = slice::<Entry>(&mut carver, sizes.threads as usize)?;
        // SAFETY: one per CPU, given to that CPU.
        give(n, Cpu::new(unsafe { Hold::new(n as u32) }, timers));
    }
    let memories = Arena::reserve(&mut carver, ram, found.root, sizes.memories * 256).map_err(NoKernel::Arena)?;
    let spaces = Arena::reserve(&mut carver, ram, found.root, sizes.spaces * 256).map_err(NoKernel::Arena)?;
    let budgets = Arena::reserve(&mut carver, ram, found.root, BUDGETS * 64).map_err(NoKernel::Arena)?;
    let mut endpoints = 0;
    let parts = KernelParts {
        threads: region(&mut carver, sizes.threads, Default::default)?,
        endpoints: region(&mut carver, sizes.threads * 2, || {
            endpoints += 1;
            sal_kernel_core::endpoint::Slot::free(endpoints - 1)
        })?,
        notifications: region(&mut carver, sizes.threads * 2, Default::default)?,
        replies: region(&mut carver, sizes.threads * 2, Default::default)?,
        processes: region(&mut carver, sizes.threads / 2, Default::default)?,
        slots: region(&mut carver, sizes.threads * 16, Default::default)?,
    };
    let place = carve::<Kernel<Hw>>(&mut carver, 1)?;
    // The carver is done: what is left of its range is the allocator's, with the others.
    let carved = carver.rest();
    drop(carver);
    let mut ranges = [FrameRange { start: 0, end: 0 }; sal_kernel_mem::MAX_RANGES];
    let mut count = 0;
    for span in &found.free {
        let span = if Some(*span) == largest { carved } else { *span };
        if let Some(range) = ranges.get_mut(count) {
            *range = FrameRange { start: (span.start / PAGE) as u32, end: (span.end / PAGE) as u32 };
            count += 1;
        }
    }
    let template = Frame((found.root / PAGE) as u32);
    let stores = (memories, spaces, budgets);
    let vm = Vm::new(ram, ranges.get(..count).unwrap_or_default(), stores, LAYOUT, template);
    let kernel = Kernel::new(Hw { found, ram }, parts, vm.map_err(|_| NoKernel::Frames)?);
    // SAFETY: carved for the kernel alone, mapped for ever.
    unsafe {
        place.write(kernel);
        Ok(place.as_ref())
    }
}
