//! Spaces, mappings, memory objects.

use crate::raw::{syscall4, syscall8};
use sal_abi::{Error, Handle, Op, Rights};

/// Which half of an address space a `Space` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Servers.
    Native = 0,
    /// Foreign programs.
    Guest = 1,
}

/// A new address space.
///
/// # Errors
/// `NoBudget`, `TableFull`.
pub fn space_create(budget: Handle, half: Half) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::SpaceCreate, budget.0, [half as u64, 0, 0, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// A mapping to make.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// Page-aligned.
    pub address: u64,
    /// Bytes, whole pages.
    pub length: u64,
    /// What is mapped.
    pub memory: Handle,
    /// From this byte of it on, page-aligned.
    pub offset: u64,
    /// `READ`, `WRITE`, `EXECUTE`.
    pub rights: Rights,
    /// For a private mapping: the memory that gets what is written, and the offset in it.
    pub upper: Option<(Handle, u64)>,
}

/// Maps. A place that is taken is refused, so no live reference changes its meaning.
///
/// # Errors
/// `Occupied`, `BadArgument`, `BadAddress`, `NoRight`, `NoBudget`.
pub fn map(space: Handle, m: &Mapping) -> Result<(), Error> {
    let (upper, upper_offset) = m.upper.unwrap_or((Handle::NONE, 0));
    let words = [m.address, m.length, m.memory.0, m.offset, u64::from(m.rights.0), upper.0, upper_offset, 0];
    // SAFETY: only places where nothing was mapped change.
    unsafe { syscall8(Op::Map as u64, space.0, &words) }.status().map(drop)
}

/// Takes mappings away; returns when every CPU has forgotten them.
///
/// # Errors
/// `BadArgument`, `NoRight`.
///
/// # Safety
/// If `space` is one's own: no reference into the range is alive.
pub unsafe fn unmap(space: Handle, address: u64, length: u64) -> Result<(), Error> {
    // SAFETY: promised by the caller.
    whole(length, |done| unsafe { syscall4(Op::Unmap, space.0, [address + done, length - done, 0, 0]) })
}

/// Repeats a call that does a bounded piece at a time, until all of `length` is done.
fn whole(length: u64, mut piece: impl FnMut(u64) -> crate::raw::Raw) -> Result<(), Error> {
    let mut done = 0;
    while done < length {
        done += piece(done).status()?.min(length - done);
    }
    Ok(())
}

/// Changes the rights of what is mapped.
///
/// # Errors
/// `Vacant`, `BadArgument`, `NoRight`.
///
/// # Safety
/// If `space` is one's own: no reference that the new rights forbid is alive in the range.
pub unsafe fn protect(space: Handle, address: u64, length: u64, rights: Rights) -> Result<(), Error> {
    // SAFETY: promised by the caller.
    whole(length, |done| unsafe {
        syscall4(Op::Protect, space.0, [address + done, length - done, u64::from(rights.0), 0])
    })
}

/// Copies out of an address space, a dead process's included. Bytes copied.
///
/// # Errors
/// `Absent`, `BadAddress`, `NoRight`.
pub fn space_read(space: Handle, address: u64, to: &mut [u8]) -> Result<usize, Error> {
    let words = [address, to.as_mut_ptr() as u64, to.len() as u64, 0];
    // SAFETY: the kernel writes at most `to.len()` bytes at `to`.
    unsafe { syscall4(Op::SpaceRead, space.0, words) }.status().map(|n| n as usize)
}

/// State of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceInfo {
    /// Pages mapped.
    pub pages: u64,
    /// Frames of page tables.
    pub tables: u64,
    /// Mappings.
    pub mappings: u64,
}

/// Reads the state of an address space.
///
/// # Errors
/// `NoRight`.
pub fn space_info(space: Handle) -> Result<SpaceInfo, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::SpaceInfo, space.0, [0; 4]) };
    let [pages, tables, mappings, ..] = raw.words;
    raw.status().map(|_| SpaceInfo { pages, tables, mappings })
}

/// A new zero-fill memory of `bytes`.
///
/// # Errors
/// `NoBudget`, `TableFull`, `BadArgument`.
pub fn memory_create(budget: Handle, bytes: u64) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::MemoryCreate, budget.0, [bytes, 0, 0, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// A new memory whose missing pages are asked for at `pager`, which sees `badge`.
///
/// # Errors
/// `NoBudget`, `TableFull`, `BadArgument`, `NoRight`.
pub fn memory_paged(budget: Handle, bytes: u64, pager: Handle, badge: u64) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::MemoryPaged, budget.0, [bytes, pager.0, badge, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// Sets the length in bytes; frames beyond are given back.
///
/// # Errors
/// `NoRight`, `BadArgument`.
///
/// # Safety
/// No reference to what is cut off is alive in this program.
pub unsafe fn memory_resize(memory: Handle, bytes: u64) -> Result<(), Error> {
    // SAFETY: promised by the caller.
    unsafe { syscall4(Op::MemoryResize, memory.0, [bytes, 0, 0, 0]) }.status().map(drop)
}

/// Copies out of a memory without a mapping. Bytes copied.
///
/// # Errors
/// `Absent`, `NoRight`, `BadArgument`.
pub fn memory_read(memory: Handle, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
    let words = [offset, to.as_mut_ptr() as u64, to.len() as u64, 0];
    // SAFETY: the kernel writes at most `to.len()` bytes at `to`.
    unsafe { syscall4(Op::MemoryRead, memory.0, words) }.status().map(|n| n as usize)
}

/// Copies into a memory without a mapping. Bytes copied.
///
/// # Errors
/// `Absent`, `NoRight`, `BadArgument`, `NoBudget`.
///
/// # Safety
/// If this program has the memory mapped: no reference to those bytes is alive.
pub unsafe fn memory_write(memory: Handle, offset: u64, from: &[u8]) -> Result<usize, Error> {
    let words = [offset, from.as_ptr() as u64, from.len() as u64, 0];
    // SAFETY: the kernel reads `from`; the rest is promised by the caller.
    unsafe { syscall4(Op::MemoryWrite, memory.0, words) }.status().map(|n| n as usize)
}

/// Shares the present pages of `length` bytes copy on write. Bytes done; call again for the rest.
///
/// # Errors
/// `NoRight`, `BadArgument`, `NoBudget`.
///
/// # Safety
/// If this program has the destination mapped: no reference to those bytes is alive.
pub unsafe fn memory_clone(from: Handle, offset: u64, length: u64, to: Handle, to_offset: u64) -> Result<u64, Error> {
    // SAFETY: promised by the caller.
    unsafe { syscall4(Op::MemoryClone, from.0, [offset, length, to.0, to_offset]) }.status()
}

/// Gives the frames of a range back; they read as zero afterwards. Bytes done.
///
/// # Errors
/// `NoRight`, `BadArgument`.
///
/// # Safety
/// If this program has the memory mapped: no reference to those bytes is alive.
pub unsafe fn memory_discard(memory: Handle, offset: u64, length: u64) -> Result<u64, Error> {
    // SAFETY: promised by the caller.
    unsafe { syscall4(Op::MemoryDiscard, memory.0, [offset, length, 0, 0]) }.status()
}

/// A pager's answer: the page at `offset` is the one at `from_offset` of `from`.
///
/// # Errors
/// `Occupied`, `Vacant`, `NoRight`.
pub fn memory_supply(memory: Handle, offset: u64, from: Handle, from_offset: u64) -> Result<(), Error> {
    // SAFETY: fills a page that was missing.
    unsafe { syscall4(Op::MemorySupply, memory.0, [offset, from.0, from_offset, 0]) }.status().map(drop)
}

/// A pager's answer: there is no such page.
///
/// # Errors
/// `NoRight`.
pub fn memory_refuse(memory: Handle, offset: u64) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall4(Op::MemoryRefuse, memory.0, [offset, 0, 0, 0]) }.status().map(drop)
}

/// State of a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Bytes.
    pub length: u64,
    /// Frames present.
    pub frames: u64,
}

/// Reads the state of a memory.
///
/// # Errors
/// `BadHandle`, `WrongKind`.
pub fn memory_info(memory: Handle) -> Result<MemoryInfo, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::MemoryInfo, memory.0, [0; 4]) };
    let [length, frames, ..] = raw.words;
    raw.status().map(|_| MemoryInfo { length, frames })
}
