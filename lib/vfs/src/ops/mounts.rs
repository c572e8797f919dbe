//! Mounting.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::mount::MountKind;
use crate::remote::ServerId;
use crate::types::{Ctx, Try};
use crate::vfs::Vfs;

impl<C: Contents> Vfs<C> {
    /// mount(2): `kind` over the directory `path`; `source` is what /proc/mounts shows.
    #[allow(unused_variables)]
    pub fn mount(&mut self, ctx: &Ctx, source: &[u8], path: &[u8], kind: MountKind) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// umount2(2): `EBUSY` while something is open there.
    #[allow(unused_variables)]
    pub fn umount(&mut self, ctx: &Ctx, path: &[u8], flags: u32) -> Try<()> {
        Err(Errno::ENOSYS)
    }

    /// A prefix got another server (its restart, or a rebinding): mounts of `old` go to `new`.
    #[allow(unused_variables)]
    pub fn rebind(&mut self, old: ServerId, new: ServerId) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    /// Fills the root from a tar archive (ustar, GNU long names, pax). An error says what is wrong and where.
    #[allow(unused_variables)]
    pub fn load_tar(&mut self, ctx: &Ctx, archive: &[u8]) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}
