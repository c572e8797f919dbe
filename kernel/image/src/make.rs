//! Makes the core: sizes its arenas by the machine's memory and carves them from the largest free range.
#![allow(unsafe_code)]

use crate::frame::Frame;
use crate::hardware::{Hw, Pages};
use arrayvec::ArrayVec;
use core::ptr::NonNull;
use sal_arch_x86_64::Machine;
use sal_arch_x86_64::arena::Region as Arena;
use sal_arch_x86_64::bootinfo::Span;
use sal_arch_x86_64::layout::PHYSMAP;
use sal_arch_x86_64::paging::LAYOUT;
use sal_arch_x86_64::physmap::{Carver, PhysicalMemory};
use sal_kernel_core::region::Region;
use sal_kernel_core::threads::Hold;
use sal_kernel_core::timer::Entry;
use sal_kernel_core::{Kernel, KernelParts};
use sal_kernel_mem::{Frame as Page, FrameRange, MAX_RANGES, PAGE, Vm};

/// Why the core can't be made.
#[derive(Debug)]
pub(crate) enum NoKernel {
    /// Not enough memory: this many bytes are missing in the largest free range.
    Memory,
    /// No address or frame for an arena.
    Arena,
    /// The frames can't even hold their own metadata.
    Frames,
}

/// Budgets that there may be.
const BUDGETS: u64 = 512;

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

/// The core, with `cpus` CPUs, and what each CPU's own state is made of.
pub(crate) fn kernel(
    found: &'static Machine,
    cpus: usize,
    give: &mut dyn FnMut(Hold, &'static mut [Entry]),
) -> Result<&'static Kernel<Hw>, NoKernel> {
    // SAFETY: once, by the owner of the machine's free memory.
    let (ram, mut carver) = unsafe { (PhysicalMemory::new(found), Carver::new(found)) };
    let free: u64 = found.free.iter().map(|s| s.length()).sum();
    // A machine of 32 MiB has 256 threads, one of 512 MiB or more has 4,096.
    let threads = (free >> 17).clamp(128, 4096) as u32;
    states(&mut carver, threads, cpus, give)?;
    let parts = parts(&mut carver, threads)?;
    let place = carve::<Kernel<Hw>>(&mut carver, 1)?;
    let memory = memory(found, ram, carver, threads)?;
    // SAFETY: carved for the kernel alone, mapped for ever.
    unsafe {
        place.write(Kernel::new(Hw { found, ram }, parts, memory));
        Ok(place.as_ref())
    }
}

/// What the CPUs' own states are made of.
fn states(
    carver: &mut Carver,
    threads: u32,
    cpus: usize,
    give: &mut dyn FnMut(Hold, &'static mut [Entry]),
) -> Result<(), NoKernel> {
    for n in 0..cpus {
        let timers = slice::<Entry>(carver, threads as usize)?;
        // SAFETY: one per CPU, given to that CPU.
        give(unsafe { Hold::new(n as u32) }, timers);
    }
    Ok(())
}

/// The objects that there may be.
#[inline(never)]
fn parts(carver: &mut Carver, threads: u32) -> Result<KernelParts<Frame>, NoKernel> {
    let mut endpoints = 0;
    Ok(KernelParts {
        threads: region(carver, threads, Default::default)?,
        endpoints: region(carver, threads * 2, || {
            endpoints += 1;
            sal_kernel_core::endpoint::Slot::free(endpoints - 1)
        })?,
        notifications: region(carver, threads * 2, Default::default)?,
        replies: region(carver, threads * 2, Default::default)?,
        processes: region(carver, threads / 2, Default::default)?,
        slots: region(carver, threads * 16, Default::default)?,
    })
}

/// Memory's own state. The carver is done then: what is left of its range is the allocator's, with the others.
#[inline(never)]
fn memory(
    found: &'static Machine,
    ram: PhysicalMemory,
    mut carver: Carver,
    threads: u32,
) -> Result<Vm<Pages>, NoKernel> {
    let threads = u64::from(threads);
    let (root, full) = (found.root, |_| NoKernel::Arena);
    let memories = Arena::reserve(&mut carver, root, threads * 8 * 256).map_err(full)?;
    let spaces = Arena::reserve(&mut carver, root, threads * 2 * 256).map_err(full)?;
    let budgets = Arena::reserve(&mut carver, root, BUDGETS * 64).map_err(full)?;
    let largest = found.free.iter().copied().max_by_key(|s| s.length());
    let pages = |span: Span| FrameRange { start: (span.start / PAGE) as u32, end: (span.end / PAGE) as u32 };
    let spans = found.free.iter().map(|span| if Some(*span) == largest { carver.rest() } else { *span });
    let ranges: ArrayVec<FrameRange, MAX_RANGES> = spans.map(pages).take(MAX_RANGES).collect();
    let template = Page((found.root / PAGE) as u32);
    Vm::new(ram, &ranges, (memories, spaces, budgets), LAYOUT, template).map_err(|_| NoKernel::Frames)
}
