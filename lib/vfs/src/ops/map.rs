//! What mmap and exec need of files.

use crate::contents::Contents;
use crate::contents::{ContentId, Dest};
use crate::errno::Errno;
use crate::node::Place;
use crate::types::{Ctx, Fd, Try};
use crate::vfs::Vfs;
use alloc::vec::Vec;

/// What stands behind a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapTarget {
    /// A file's bytes. `place` is pinned: give it to [`Vfs::unpin`] when the mapping is gone.
    Contents {
        /// The bytes.
        content: ContentId,
        /// Bytes of the file now; pages wholly behind it are SIGBUS.
        size: u64,
        /// The file.
        place: Place,
    },
    /// /dev/zero: as anonymous memory.
    Zero,
}

impl<C: Contents> Vfs<C> {
    /// mmap(2) of `fd`: checks the access mode against `PROT_*` and `MAP_SHARED`. The file is pinned until [`Vfs::unpin`].
    #[allow(unused_variables)]
    pub fn map_target(&mut self, ctx: &Ctx, fd: Fd, prot: u32, shared: bool) -> Result<MapTarget, Errno> {
        Err(Errno::ENOSYS)
    }

    /// execve(2), execveat(2): finds a regular file that the caller may execute, pinned.
    #[allow(unused_variables)]
    pub fn open_exec(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32) -> Try<Place> {
        Err(Errno::ENOSYS)
    }

    /// Reads a pinned regular file: headers of a program.
    #[allow(unused_variables)]
    pub fn read_place(&mut self, place: Place, offset: u64, to: &mut dyn Dest) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// The bytes of a pinned regular file, and its size.
    #[allow(unused_variables)]
    pub fn content_of(&self, place: Place) -> Result<(ContentId, u64), Errno> {
        Err(Errno::ENOSYS)
    }

    /// One more user of a pinned file (fork copies mappings).
    #[allow(unused_variables)]
    pub fn pin(&mut self, place: Place) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// The path of a place as the caller sees it; ` (deleted)` behind it if it has no name.
    #[allow(unused_variables)]
    pub fn path_of(&self, ctx: &Ctx, place: Place) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOSYS)
    }

    /// A mapping or program image is gone.
    pub fn unpin(&mut self, place: Place) {
        let _ = place;
    }
}
