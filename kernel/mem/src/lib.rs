//! Frames, page tables, memory objects and mappings as a value.
//!
//! [`Vm`] is the whole of it: a frame allocator, the `Memory` objects (sparse arrays of pages), the `Space` objects (page tables and
//! mapping records). Budgets pay for all of it. The machine comes in as [`Ram`] (words and copies of frames) and [`PageFormat`] (what a
//! page-table word looks like); so the host tests it with an emulated machine (feature `emulated`).
//!
//! What must always hold here (`Vm::check` verifies it):
//! - no unsafe, no allocation: everything that grows lives in frames that were charged to a budget first;
//! - a data frame's count is the number of memory entries that hold it; it can be written through a page table only while that is 1;
//! - every page-table leaf lies in a mapping record and shows what the record's memories hold; tables and nodes count their live words;
//! - every reference to a data frame, every node, table and record frame is charged to one budget. So a shared frame is paid by each
//!   of its holders, breaking the sharing costs nothing more, and frames in use never exceed what was charged;
//! - a freed frame waits in quarantine, see [`Vm::advance`];
//! - an operation that returns an error has changed nothing that can be seen;
//! - one call's work is bounded ([`WORK`]); longer operations say how far they came and are repeated by the caller.
//!
//! The caller serialises all `&mut` calls (the registry lock); [`walk::translate`] alone may run beside them.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "emulated"))]
extern crate std;

mod arena;
mod budget;
#[cfg(any(test, feature = "emulated"))]
mod check;
mod copy;
mod discard;
#[cfg(any(test, feature = "emulated"))]
pub mod emulated;
mod error;
mod fault;
mod format;
mod frames;
mod index;
mod lifetime;
mod map;
mod memory;
mod pool;
mod protect;
mod radix;
mod ram;
mod reach;
mod records;
mod share;
mod space;
mod supply;
mod tables;
#[cfg(test)]
mod tests;
mod vm;
pub mod walk;

pub use arena::{Arena, Id, Slot, Store};
pub use budget::{Budget, BudgetId};
pub use copy::Side;
pub use error::Error;
pub use fault::{Access, Outcome, PagerAsk};
pub use format::{Cache, Decoded, Leaf, PageFormat, Who};
pub use frames::{FrameRange, Frames, MAX_RANGES, Use};
pub use map::MapRequest;
pub use memory::{Kind, Memory, MemoryId};
pub use ram::{ENTRIES, Frame, PAGE, Ram};
pub use space::{Layout, Space, SpaceId, SpaceKind, Window};
pub use vm::{Machine, Object, Shootdown, Vm, WORK};
