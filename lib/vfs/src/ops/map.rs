//! What mmap and exec need of files.

use crate::contents::{ContentId, Contents, Dest};
use crate::errno::Errno;
use crate::file::{Device, What};
use crate::node::{Body, FileType, Place};
use crate::tmpfs::EXEC;
use crate::types::{Ctx, Fd, Outcome, Try};
use crate::vfs::Vfs;
use crate::walk::Walked;
use linux_raw_sys::general as sys;

/// What stands behind a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapTarget {
    /// A file's bytes: see [`Vfs::object_of`]. `place` is pinned: give it to [`Vfs::unpin`] when the mapping is gone.
    Contents {
        /// The file.
        place: Place,
    },
    /// /dev/zero: as anonymous memory.
    Zero,
}

impl<C: Contents> Vfs<C> {
    /// mmap(2) of `fd`: checks the access mode against `PROT_*` and `MAP_SHARED`. The file is pinned until [`Vfs::unpin`].
    pub fn map_target(&mut self, ctx: &Ctx, fd: Fd, prot: u32, shared: bool) -> Result<MapTarget, Errno> {
        let (_, desc) = self.file(ctx, fd)?;
        let access = desc.flags & sys::O_ACCMODE;
        if access == sys::O_WRONLY || (shared && prot & sys::PROT_WRITE != 0 && access != sys::O_RDWR) {
            return Err(Errno::EACCES);
        }
        let place = desc.place;
        match desc.what {
            What::File => {
                self.pin(place)?;
                Ok(MapTarget::Contents { place })
            }
            What::Device(Device::Zero) => Ok(MapTarget::Zero),
            _ => Err(Errno::ENODEV),
        }
    }

    /// execve(2), execveat(2): finds a regular file that the caller may execute, pinned. (`EACCES` for a file of a server:
    /// it can't be mapped.)
    pub fn open_exec(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32) -> Try<Place> {
        let Walked::Local(spot) = self.walk_at(ctx, dirfd, path, flags)? else {
            return Err(Errno::EACCES);
        };
        let place = spot.existing()?;
        let inode = self.inode(place.inode().ok_or(Errno::EACCES)?)?;
        match inode.kind() {
            FileType::Symlink => return Err(Errno::ELOOP),
            FileType::Regular if inode.permits(ctx.cred, EXEC) => {}
            _ => return Err(Errno::EACCES),
        }
        self.pin(place)?;
        Ok(Outcome::Done(place))
    }

    /// Reads a pinned regular file: headers of a program.
    pub fn read_place(&mut self, place: Place, offset: u64, to: &mut dyn Dest) -> Result<usize, Errno> {
        let (content, size) = self.content_of(place)?;
        let want = size.saturating_sub(offset).min(to.room() as u64) as usize;
        if want == 0 { Ok(0) } else { self.contents.read(content, offset, want, to) }
    }

    /// What a mapping of a pinned regular file maps, and the file's size; pages wholly behind it are SIGBUS.
    pub fn object_of(&mut self, place: Place) -> Result<(ContentId, u64), Errno> {
        let (content, size) = self.content_of(place)?;
        Ok((self.contents.object(content, size)?, size))
    }

    /// The bytes of a pinned regular file, and its size.
    pub(crate) fn content_of(&self, place: Place) -> Result<(ContentId, u64), Errno> {
        let inode = self.inode(place.inode().ok_or(Errno::ENODEV)?)?;
        match inode.body {
            Body::File(content) => Ok((content, inode.size)),
            _ => Err(Errno::ENODEV),
        }
    }

    /// Attributes of a pinned file in memory: set-id bits for exec, device and inode for /proc/PID/maps.
    pub fn attributes(&self, ctx: &Ctx, place: Place) -> Result<crate::types::Stat, Errno> {
        self.stat_place(ctx, place)
    }
}
