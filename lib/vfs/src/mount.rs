//! File systems and where they are mounted.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::node::{Node, Place};
use crate::procfs_tree::ProcNode;
use crate::remote::ServerId;
use crate::types::{Cred, Time, makedev};
use crate::vfs::Vfs;
use alloc::vec::Vec;
use sal_arena::Id;

/// Names a mount.
pub type MountId = Id<Mount>;
/// Names a file system.
pub(crate) type SuperId = Id<Super>;
/// Names a file or directory of a server, by path.
pub(crate) type RemoteNodeId = Id<RemoteNode>;

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
pub(crate) struct Super {
    pub(crate) kind: MountKind,
    /// `st_dev`.
    pub(crate) dev: u64,
    /// The next inode number.
    pub(crate) next_ino: u64,
    /// Inodes that exist.
    pub(crate) inodes: u64,
}

impl Super {
    /// A file system under an anonymous device number.
    pub(crate) fn new(kind: MountKind, minor: u32) -> Self {
        Super { kind, dev: makedev(0, minor), next_ino: 1, inodes: 0 }
    }
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

/// A file or directory of a server that something here refers to: a mount's root, a working directory, an open file.
#[derive(Clone, Debug)]
pub(crate) struct RemoteNode {
    /// Below the mount's root, no slash at either end; the root is empty.
    pub(crate) path: Vec<u8>,
    pub(crate) pins: u32,
    pub(crate) directory: bool,
}

impl<C: Contents> Vfs<C> {
    /// Makes a file system and mounts it at `point`, which the caller has checked.
    pub(crate) fn new_mount(
        &mut self,
        source: &[u8],
        kind: MountKind,
        point: Option<Place>,
        cred: &Cred,
        now: Time,
    ) -> Result<MountId, Errno> {
        let sb = self.supers.insert(Super::new(kind, self.next_minor));
        self.next_minor += 1;
        let root = match kind {
            MountKind::Tmpfs | MountKind::Dev => {
                let root = self.new_directory(sb, None, 0o755, cred, now)?;
                self.inode_mut(root)?.pins += 1;
                Node::Inode(root)
            }
            MountKind::Proc => Node::Proc(ProcNode::Root),
            MountKind::Remote(_) => {
                Node::Remote(self.remotes.insert(RemoteNode { path: Vec::new(), pins: 1, directory: true }))
            }
        };
        let mount = self.mounts.insert(Mount { sb, root, point, source: source.to_vec() });
        self.mount_order.push(mount);
        if let Some(place) = point {
            self.pin(place)?;
            if let Some(inode) = place.inode() {
                self.inode_mut(inode)?.covered = true;
            }
        }
        if kind == MountKind::Dev
            && let Node::Inode(root) = root
        {
            self.fill_dev(sb, root, now)?;
        }
        Ok(mount)
    }

    /// The root of a mount.
    pub(crate) fn mount_root(&self, mount: MountId) -> Option<Place> {
        Some(Place { mount, node: self.mounts.get(mount)?.root })
    }

    /// What covers `place`, through all that is mounted on it: the topmost root; `place` itself if nothing does.
    pub(crate) fn topmost(&self, mut place: Place) -> Place {
        loop {
            let on_it = |id: &&MountId| self.mounts.get(**id).is_some_and(|m| m.point == Some(place));
            match self.mount_order.iter().rev().find(on_it).and_then(|id| self.mount_root(*id)) {
                Some(root) => place = root,
                None => return place,
            }
        }
    }

    /// The file system of a place.
    pub(crate) fn super_of(&self, place: Place) -> Result<&Super, Errno> {
        let mount = self.mounts.get(place.mount).ok_or(Errno::ENOENT)?;
        self.supers.get(mount.sb).ok_or(Errno::ENOENT)
    }

    /// The server of a mount.
    pub(crate) fn server_of(&self, mount: MountId) -> Result<ServerId, Errno> {
        let mount = self.mounts.get(mount).ok_or(Errno::ENOENT)?;
        match self.supers.get(mount.sb).map(|s| s.kind) {
            Some(MountKind::Remote(server)) => Ok(server),
            _ => Err(Errno::EIO),
        }
    }
}
