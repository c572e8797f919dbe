//! File systems and where they are mounted.

use crate::arena::Id;
use crate::node::{Node, Place};
use crate::remote::ServerId;
use alloc::vec::Vec;

/// Names a mount.
pub type MountId = Id<Mount>;
/// Names a file system.
pub type SuperId = Id<Super>;

/// What to mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MountKind {
    /// A new, empty tmpfs.
    Tmpfs,
    /// A new tmpfs with the device nodes of /dev.
    Dev,
    /// /proc.
    Proc,
    /// A prefix that a server serves.
    Remote(ServerId),
}

impl MountKind {
    /// The type's name in /proc/mounts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            MountKind::Tmpfs => "tmpfs",
            MountKind::Dev => "devtmpfs",
            MountKind::Proc => "proc",
            MountKind::Remote(_) => "remote",
        }
    }
}

/// One file system.
#[derive(Clone, Debug)]
pub struct Super {
    pub(crate) kind: MountKind,
    /// `st_dev`.
    pub(crate) dev: u64,
    /// The next inode number.
    pub(crate) next_ino: u64,
    /// Inodes that exist.
    pub(crate) inodes: u64,
}

/// One file system at one place.
#[derive(Clone, Debug)]
pub struct Mount {
    pub(crate) sb: SuperId,
    pub(crate) root: Node,
    /// The directory that it covers; `None` for the root.
    pub(crate) point: Option<Place>,
    /// What /proc/mounts shows as the device.
    pub(crate) source: Vec<u8>,
}
