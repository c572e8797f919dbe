//! Inodes as plain data, and places: a node as seen through a mount.
//!
//! An inode lives as long as a name, an open description, a mount, a working directory or a mapping refers to it:
//! `nlink` counts names, `pins` all the rest. When both are 0 it is freed with its contents.

use crate::contents::ContentId;
use crate::dir::Directory;
use crate::mount::{MountId, RemoteNodeId, SuperId};
use crate::pipe::PipeId;
use crate::procfs_tree::ProcNode;
use crate::types::Time;
use alloc::boxed::Box;
use linux_raw_sys::general as sys;
use sal_arena::Id;

/// Names an inode.
pub type InodeId = Id<Inode>;

/// What a name or a descriptor refers to: a node, and the mount through which it was reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    pub(crate) mount: MountId,
    pub(crate) node: Node,
}

/// A node of some file system.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Node {
    /// An inode in memory: tmpfs, /dev, pipes.
    Inode(InodeId),
    /// Made up on the spot from the table of /proc.
    Proc(ProcNode),
    /// A file of a prefix that is served elsewhere.
    Remote(RemoteNodeId),
}

impl Place {
    /// The inode, if it is one in memory.
    #[inline]
    pub(crate) fn inode(self) -> Option<InodeId> {
        match self.node {
            Node::Inode(id) => Some(id),
            _ => None,
        }
    }
}

/// Type of a file, from the high bits of its mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum FileType {
    Regular,
    Directory,
    Symlink,
    Fifo,
    CharDevice,
    BlockDevice,
    Socket,
}

impl FileType {
    /// From `st_mode`; `None` if the bits name no type.
    pub const fn of_mode(mode: u32) -> Option<FileType> {
        Some(match mode & sys::S_IFMT {
            sys::S_IFREG => FileType::Regular,
            sys::S_IFDIR => FileType::Directory,
            sys::S_IFLNK => FileType::Symlink,
            sys::S_IFIFO => FileType::Fifo,
            sys::S_IFCHR => FileType::CharDevice,
            sys::S_IFBLK => FileType::BlockDevice,
            sys::S_IFSOCK => FileType::Socket,
            _ => return None,
        })
    }

    /// The bits for `st_mode`.
    pub const fn bits(self) -> u32 {
        match self {
            FileType::Regular => sys::S_IFREG,
            FileType::Directory => sys::S_IFDIR,
            FileType::Symlink => sys::S_IFLNK,
            FileType::Fifo => sys::S_IFIFO,
            FileType::CharDevice => sys::S_IFCHR,
            FileType::BlockDevice => sys::S_IFBLK,
            FileType::Socket => sys::S_IFSOCK,
        }
    }

    /// `DT_*` of a directory entry.
    pub const fn entry_type(self) -> u8 {
        (self.bits() >> 12) as u8
    }
}

/// One file of a file system in memory.
#[derive(Clone, Debug)]
pub struct Inode {
    pub(crate) sb: SuperId,
    pub(crate) ino: u64,
    /// Permission bits and set-id, sticky; the type is `body`'s.
    pub(crate) perm: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) nlink: u32,
    pub(crate) pins: u32,
    pub(crate) size: u64,
    pub(crate) atime: Time,
    pub(crate) mtime: Time,
    pub(crate) ctime: Time,
    pub(crate) btime: Time,
    /// A mount covers it: looked up in the mount table only then.
    pub(crate) covered: bool,
    /// Record or flock locks may exist.
    pub(crate) locked: bool,
    /// `O_TMPFILE` without `O_EXCL`: it may get its first name.
    pub(crate) linkable: bool,
    pub(crate) body: Body,
}

/// What kind of file it is, and what that kind holds.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Dir {
        entries: Box<Directory>,
        parent: InodeId,
    },
    File(ContentId),
    Symlink(Box<[u8]>),
    /// The pipe exists while somebody has it open.
    Fifo(Option<PipeId>),
    Device {
        kind: FileType,
        rdev: u64,
    },
    Socket,
}

impl Inode {
    /// Its type.
    pub(crate) fn kind(&self) -> FileType {
        match &self.body {
            Body::Dir { .. } => FileType::Directory,
            Body::File(_) => FileType::Regular,
            Body::Symlink(_) => FileType::Symlink,
            Body::Fifo(_) => FileType::Fifo,
            Body::Device { kind, .. } => *kind,
            Body::Socket => FileType::Socket,
        }
    }

    /// Type and permission bits.
    pub(crate) fn mode(&self) -> u32 {
        self.kind().bits() | self.perm
    }

    /// Whether it is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.body, Body::Dir { .. })
    }
}
