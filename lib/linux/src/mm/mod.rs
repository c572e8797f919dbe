//! Address spaces: which mappings there are. Page contents are the kernel's. Must hold: what `areas` says is what the
//! platform was told.

mod area;
mod change;
mod fault;

pub use area::{Area, Areas, Label, Object};
pub use change::{Growth, MapRequest, Place};
pub use fault::{Verdict, verdict};

use crate::errno::Errno;
use crate::platform::{Platform, SpaceId};
use crate::user::PAGE;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Programs' addresses are below this: the last page stays free, as on Linux.
pub const USER_END: u64 = sal_abi::x86_64::GUEST_END - PAGE;
/// Programs' addresses are at or above this (`vm.mmap_min_addr`).
pub const USER_START: u64 = 0x1_0000;

/// Where exec put things, for /proc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// First byte of the lowest executable segment, and behind it.
    pub code: (u64, u64),
    /// The stack pointer at start.
    pub stack: u64,
    /// The argument strings, and behind them.
    pub arguments: (u64, u64),
    /// The environment strings, and behind them.
    pub environment: (u64, u64),
    /// The auxiliary vector as the program got it.
    pub auxiliary: Vec<u8>,
}

/// An address space.
pub struct Mm {
    /// The platform's name for it.
    pub space: SpaceId,
    /// The mappings.
    pub areas: Areas,
    /// Tasks that use it.
    pub users: u32,
    /// Where the heap starts.
    pub brk_start: u64,
    /// Where it ends (bytes, not pages).
    pub brk: u64,
    /// `mmap` looks below this.
    pub mmap_top: u64,
    /// Where exec put things.
    pub layout: Layout,
    /// The program's file.
    pub executable: Option<Arc<Object>>,
    /// Largest resident size seen, bytes.
    pub peak: u64,
}

impl Mm {
    /// Without mappings.
    pub fn new(space: SpaceId) -> Mm {
        Mm {
            space,
            areas: Areas::default(),
            users: 1,
            brk_start: 0,
            brk: 0,
            mmap_top: USER_END,
            layout: Layout::default(),
            executable: None,
            peak: 0,
        }
    }

    /// A copy-on-write copy.
    pub fn fork(&self, platform: &mut dyn Platform) -> Result<Mm, Errno> {
        let space = platform.space_fork(self.space, &mut self.areas.iter())?;
        Ok(Mm {
            space,
            areas: self.areas.clone(),
            users: 1,
            layout: self.layout.clone(),
            executable: self.executable.clone(),
            ..*self
        })
    }
}

/// `length` rounded up to pages; `None` on overflow or zero.
pub fn pages(length: u64) -> Option<u64> {
    length.checked_next_multiple_of(PAGE).filter(|l| *l != 0)
}
