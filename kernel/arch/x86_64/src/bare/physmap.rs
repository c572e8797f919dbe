//! Physical memory through the kernel's map of all RAM: what `kernel/mem` calls [`Ram`], and frames for the kernel's own tables.
//!
//! Programs may write to the same bytes at the same time, so bytes are moved by string instructions and words are relaxed atomics: no
//! reference to a frame's contents ever exists.
#![allow(unsafe_code)]

use crate::Machine;
use crate::bootinfo::Span;
use crate::layout::{PAGE, PHYSMAP};
use crate::paging::TableMemory;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use sal_kernel_mem::{ENTRIES, Frame, Ram};

/// All of physical memory.
#[derive(Clone, Copy, Debug)]
pub struct PhysicalMemory {
    /// First frame behind all RAM.
    limit: u32,
}

impl PhysicalMemory {
    /// The machine's.
    ///
    /// # Safety
    /// Once, for the owner of `machine.free`: it uses only frames from there (and page tables of roots made of them), never the image's.
    pub unsafe fn new(machine: &Machine) -> PhysicalMemory {
        let end = machine.ram.iter().map(|s| s.end / PAGE).max().unwrap_or(0);
        PhysicalMemory { limit: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    /// Where byte `offset` of `frame` is, if `length` bytes from there lie in the frame.
    #[inline(always)]
    fn bytes(&self, frame: Frame, offset: usize, length: usize) -> Option<*mut u8> {
        let inside = frame.0 < self.limit && offset <= PAGE as usize && length <= PAGE as usize - offset;
        inside.then(|| (address(frame) + offset as u64) as *mut u8)
    }

    #[inline(always)]
    fn word(&self, frame: Frame, index: usize) -> Option<&AtomicU64> {
        let inside = frame.0 < self.limit && index < ENTRIES;
        // SAFETY: RAM, mapped for ever, aligned; only ever used as an atomic.
        inside.then(|| unsafe { &*((address(frame) + 8 * index as u64) as *const AtomicU64) })
    }
}

/// Where a frame is in the physical map.
#[inline(always)]
pub fn address(frame: Frame) -> u64 {
    PHYSMAP + u64::from(frame.0) * PAGE
}

/// Moves bytes, eight at a time as far as that goes.
///
/// # Safety
/// Both are mapped for `length` bytes; `to` may be written.
unsafe fn move_bytes(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: the caller's; DF is clear in the kernel.
    unsafe {
        asm!("rep movsq", "mov ecx, {rest:e}", "rep movsb", rest = in(reg) length & 7,
            inout("rdi") to => _, inout("rsi") from => _, inout("rcx") length / 8 => _, options(nostack, preserves_flags));
    }
}

impl Ram for PhysicalMemory {
    #[inline(always)]
    fn read(&self, frame: Frame, index: usize) -> u64 {
        self.word(frame, index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn write(&self, frame: Frame, index: usize, value: u64) {
        if let Some(word) = self.word(frame, index) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn zero(&self, frame: Frame) {
        let Some(to) = self.bytes(frame, 0, PAGE as usize) else {
            return;
        };
        // SAFETY: a whole frame of RAM.
        unsafe {
            asm!("rep stosq", in("rax") 0, inout("rdi") to => _, inout("rcx") ENTRIES => _, options(nostack, preserves_flags));
        }
    }

    fn copy_frame(&self, from: Frame, to: Frame) {
        self.copy((from, 0), (to, 0), PAGE as usize);
    }

    fn copy(&self, from: (Frame, usize), to: (Frame, usize), length: usize) {
        if let (Some(from), Some(to)) = (self.bytes(from.0, from.1, length), self.bytes(to.0, to.1, length)) {
            // SAFETY: both lie in frames of RAM.
            unsafe { move_bytes(to, from, length) }
        }
    }

    fn load(&self, frame: Frame, offset: usize, bytes: &mut [u8]) {
        match self.bytes(frame, offset, bytes.len()) {
            // SAFETY: a frame of RAM; the slice is the caller's.
            Some(from) => unsafe { move_bytes(bytes.as_mut_ptr(), from, bytes.len()) },
            None => bytes.fill(0),
        }
    }

    fn store(&self, frame: Frame, offset: usize, bytes: &[u8]) {
        if let Some(to) = self.bytes(frame, offset, bytes.len()) {
            // SAFETY: as for `load`.
            unsafe { move_bytes(to, bytes.as_ptr(), bytes.len()) }
        }
    }
}

/// Takes frames off the start of a free range, for the kernel's own tables, before the frame allocator has the rest.
#[derive(Debug)]
pub struct Carver {
    /// What is left.
    pub(crate) rest: Span,
    /// Where physical memory is mapped: physical address 0, as it were.
    pub(crate) map: u64,
}

impl Carver {
    /// From the machine's largest free range. [`Carver::rest`] stands for that range afterwards.
    ///
    /// # Safety
    /// Nobody else uses the range.
    pub unsafe fn new(machine: &Machine) -> Carver {
        let rest = machine.free.iter().copied().max_by_key(|s| s.length()).unwrap_or_default();
        Carver { rest, map: PHYSMAP }
    }

    /// Without a frame: for tables that are there.
    pub(crate) fn empty() -> Carver {
        Carver { rest: Span::default(), map: PHYSMAP }
    }

    /// The range without what was taken.
    pub fn rest(&self) -> Span {
        self.rest
    }

    /// Takes `frames` frames in a row; their content is whatever it was. Physical address of the first.
    pub fn take(&mut self, frames: u64) -> Option<u64> {
        let first = self.rest.start;
        if frames * PAGE > self.rest.length() {
            return None;
        }
        self.rest.start += frames * PAGE;
        Some(first)
    }
}

impl TableMemory for Carver {
    fn read(&self, at: u64) -> u64 {
        // SAFETY: page tables are RAM, mapped; `at` comes from an entry or from `frame`.
        unsafe { (*((self.map + at) as *const AtomicU64)).load(Ordering::Relaxed) }
    }

    fn write(&mut self, at: u64, entry: u64) {
        // SAFETY: as for `read`.
        unsafe { (*((self.map + at) as *const AtomicU64)).store(entry, Ordering::Relaxed) }
    }

    fn frame(&mut self) -> Option<u64> {
        let frame = self.take(1)?;
        (frame..frame + PAGE).step_by(8).for_each(|slot| self.write(slot, 0));
        Some(frame)
    }
}
