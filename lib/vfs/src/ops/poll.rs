//! Readiness.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::remote::Target;
use crate::types::{Ctx, Fd};
use crate::vfs::Vfs;
use crate::wait::{Events, WaitOn};

/// Whether a descriptor is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// What is ready now, of what was asked, and errors.
    pub ready: Events,
    /// Where to wait for more; `None` if it is always ready.
    pub wait: Option<WaitOn>,
    /// Only this one knows: ask it, and have it tell [`Vfs::remote_ready`].
    pub ask: Option<Target>,
}

impl<C: Contents> Vfs<C> {
    /// What poll(2) says of `fd`, and where to wait for `events`; a number that isn't open is `NVAL`.
    #[allow(unused_variables)]
    pub fn poll(&mut self, ctx: &Ctx, fd: Fd, events: Events) -> Result<Readiness, Errno> {
        Err(Errno::ENOSYS)
    }

    /// A server or the console says that a terminal or remote file may have become ready: those that wait are woken.
    #[allow(unused_variables)]
    pub fn remote_ready(&mut self, target: Target) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}
