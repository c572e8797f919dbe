//! Attributes.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::file::What;
use crate::mount::MountKind;
use crate::name::NAME_MAX;
use crate::node::{Body, FileType, Inode, InodeId, Node, Place};
use crate::ops::remote::Then;
use crate::remote::Request;
use crate::tmpfs::WRITE;
use crate::types::{Ctx, Fd, Outcome, Stat, StatFs, Time, Try};
use crate::vfs::Vfs;
use crate::walk::{Follow, Walked};
use linux_raw_sys::general as sys;

/// What utimensat does to a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetTime {
    /// `UTIME_OMIT`.
    Keep,
    /// `UTIME_NOW`, or no times given.
    Now,
    /// This one.
    At(Time),
}

/// tmpfs counts this many bytes for each name in a directory's size.
const ENTRY_BYTES: u64 = 20;
const BLOCK: u64 = 4096;
const PROC_MAGIC: u64 = 0x9fa0;
const TMPFS_MAGIC: u64 = 0x0102_1994;
const PIPEFS_MAGIC: u64 = 0x5049_5045;
const SOCKFS_MAGIC: u64 = 0x534f_434b;

impl<C: Contents> Vfs<C> {
    /// newfstatat(2), statx(2): `AT_EMPTY_PATH`, `AT_SYMLINK_NOFOLLOW`.
    pub fn stat(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32) -> Try<Stat> {
        if path.is_empty() && flags & sys::AT_EMPTY_PATH != 0 && dirfd != sys::AT_FDCWD {
            return self.fstat(ctx, dirfd);
        }
        match self.walk_at(ctx, dirfd, path, flags)? {
            Walked::Local(spot) => self.stat_place(ctx, spot.existing()?).map(Outcome::Done),
            Walked::Remote(spot) => {
                let follow = flags & sys::AT_SYMLINK_NOFOLLOW == 0;
                let request = Request::StatPath { path: spot.path.clone(), follow };
                self.forward(&spot, request, Then::Stat { mount: spot.mount, desc: None })
            }
        }
    }

    /// fstat(2).
    pub fn fstat(&mut self, ctx: &Ctx, fd: Fd) -> Try<Stat> {
        let (id, desc) = self.desc(ctx, fd)?;
        let place = desc.place;
        match (&desc.what, place.node) {
            (What::Remote { file, .. }, _) => {
                let request = Request::StatFile { file: *file };
                self.ask(id, request, Then::Stat { mount: place.mount, desc: Some(id) })
            }
            (_, Node::Remote(_)) => self.stat(ctx, fd, b".", 0),
            _ => self.stat_place(ctx, place).map(Outcome::Done),
        }
    }

    pub(crate) fn stat_place(&self, ctx: &Ctx, place: Place) -> Result<Stat, Errno> {
        match place.node {
            Node::Inode(id) => self.stat_inode(place, id),
            Node::Proc(node) => self.proc_stat(ctx, place, node),
            Node::Remote(_) => Err(Errno::EIO),
        }
    }

    fn stat_inode(&self, place: Place, id: InodeId) -> Result<Stat, Errno> {
        let inode = self.inode(id)?;
        let (size, allocated, rdev) = match &inode.body {
            Body::File(content) => (inode.size, self.contents.allocated(*content), 0),
            Body::Dir { entries, .. } => ((entries.len() as u64 + 2) * ENTRY_BYTES, 0, 0),
            Body::Device { rdev, .. } => (0, 0, *rdev),
            _ => (inode.size, 0, 0),
        };
        Ok(Stat {
            dev: self.supers.get(inode.sb).ok_or(Errno::EIO)?.dev,
            ino: inode.ino,
            mode: inode.mode(),
            nlink: inode.nlink,
            uid: inode.uid,
            gid: inode.gid,
            rdev,
            size,
            blksize: BLOCK as u32,
            blocks: allocated / 512,
            atime: inode.atime,
            mtime: inode.mtime,
            ctime: inode.ctime,
            btime: inode.btime,
            mount: place.mount.to_raw(),
        })
    }

    /// statfs(2).
    pub fn statfs(&mut self, ctx: &Ctx, path: &[u8]) -> Try<StatFs> {
        match self.walk(ctx, sys::AT_FDCWD, path, Follow::Yes)? {
            Walked::Local(spot) => self.statfs_place(spot.existing()?).map(Outcome::Done),
            Walked::Remote(spot) => self.forward(&spot, Request::StatFs, Then::Plain(None)),
        }
    }

    /// fstatfs(2).
    pub fn fstatfs(&mut self, ctx: &Ctx, fd: Fd) -> Try<StatFs> {
        let (id, desc) = self.desc(ctx, fd)?;
        match desc.what {
            What::Remote { .. } => self.ask(id, Request::StatFs, Then::Plain(Some(id))),
            _ => self.statfs_place(desc.place).map(Outcome::Done),
        }
    }

    fn statfs_place(&self, place: Place) -> Result<StatFs, Errno> {
        let sb = self.super_of(place)?;
        let magic = match sb.kind {
            MountKind::Proc => PROC_MAGIC,
            _ if place.mount == self.pipe_mount => match place.inode().map(|id| self.inode(id)).transpose()? {
                Some(Inode { body: Body::Socket, .. }) => SOCKFS_MAGIC,
                _ => PIPEFS_MAGIC,
            },
            _ => TMPFS_MAGIC,
        };
        let capacity = match sb.kind {
            MountKind::Tmpfs | MountKind::Dev if magic == TMPFS_MAGIC => self.contents.capacity(),
            _ => crate::contents::Capacity::default(),
        };
        // Without a limit of their own: one per page is what tmpfs allows by default.
        let by_page = (capacity.total, capacity.total.saturating_sub(sb.inodes));
        let (files, files_free) = self.room.files().filter(|_| capacity.total > 0).unwrap_or(by_page);
        Ok(StatFs {
            kind: magic,
            bsize: BLOCK,
            blocks: capacity.total,
            bfree: capacity.free,
            bavail: capacity.free,
            files,
            ffree: files_free,
            fsid: sb.dev,
            namelen: NAME_MAX as u64,
            flags: 0x20,
        })
    }

    /// faccessat2(2): `mask` of `R_OK`, `W_OK`, `X_OK`. The caller puts the real ids in `ctx.cred` unless `AT_EACCESS`.
    pub fn access(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], mask: u32, flags: u32) -> Try<()> {
        if mask & !7 != 0 {
            return Err(Errno::EINVAL);
        }
        match self.walk_at(ctx, dirfd, path, flags)? {
            Walked::Local(spot) => {
                let may = match spot.existing()?.node {
                    Node::Inode(id) => self.inode(id)?.permits(ctx.cred, mask),
                    Node::Proc(node) => self.proc_permits(ctx, node, mask)?,
                    Node::Remote(_) => true,
                };
                if may { Ok(Outcome::Done(())) } else { Err(Errno::EACCES) }
            }
            Walked::Remote(spot) => {
                let request = Request::Access { path: spot.path.clone(), mask };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }

    /// The inode whose attributes are to change; nodes of /proc keep theirs.
    fn to_change(&self, place: Place) -> Result<InodeId, Errno> {
        place.inode().ok_or(Errno::EPERM)
    }

    /// fchmodat2(2), and fchmod(2) by `AT_EMPTY_PATH`.
    pub fn chmod(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], mode: u32, flags: u32) -> Try<()> {
        let mode = mode & 0o7777;
        match self.walk_at(ctx, dirfd, path, flags)? {
            Walked::Local(spot) => {
                let id = self.to_change(spot.existing()?)?;
                let inode = self.inode_mut(id)?;
                if inode.kind() == FileType::Symlink {
                    return Err(Errno::EOPNOTSUPP);
                }
                if !inode.owned_by(ctx.cred) {
                    return Err(Errno::EPERM);
                }
                inode.perm = mode;
                if ctx.cred.uid != 0 && !ctx.cred.in_group(inode.gid) {
                    inode.perm &= !sys::S_ISGID;
                }
                inode.ctime = ctx.now();
                Ok(Outcome::Done(()))
            }
            Walked::Remote(spot) => {
                let follow = flags & sys::AT_SYMLINK_NOFOLLOW == 0;
                let request = Request::SetMode { path: spot.path.clone(), mode, follow };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }

    /// fchownat(2), and fchown(2) by `AT_EMPTY_PATH`; `None` keeps.
    pub fn chown(
        &mut self,
        ctx: &Ctx,
        dirfd: Fd,
        path: &[u8],
        uid: Option<u32>,
        gid: Option<u32>,
        flags: u32,
    ) -> Try<()> {
        match self.walk_at(ctx, dirfd, path, flags)? {
            Walked::Local(spot) => {
                let id = self.to_change(spot.existing()?)?;
                self.chown_inode(ctx, id, uid, gid).map(Outcome::Done)
            }
            Walked::Remote(spot) => {
                let follow = flags & sys::AT_SYMLINK_NOFOLLOW == 0;
                let request = Request::SetOwner { path: spot.path.clone(), uid, gid, follow };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }

    fn chown_inode(&mut self, ctx: &Ctx, id: InodeId, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        let inode = self.inode_mut(id)?;
        let cred = ctx.cred;
        if cred.uid != 0 {
            let owner = cred.uid == inode.uid;
            let uid_ok = uid.is_none_or(|u| owner && u == inode.uid);
            let gid_ok = gid.is_none_or(|g| owner && (g == inode.gid || cred.in_group(g)));
            if !uid_ok || !gid_ok {
                return Err(Errno::EPERM);
            }
        }
        inode.uid = uid.unwrap_or(inode.uid);
        inode.gid = gid.unwrap_or(inode.gid);
        if !inode.is_dir() {
            inode.drop_setid();
        }
        inode.ctime = ctx.now();
        Ok(())
    }

    /// utimensat(2): access and modification time; the empty path is the descriptor itself.
    pub fn utimens(
        &mut self,
        ctx: &Ctx,
        dirfd: Fd,
        path: &[u8],
        atime: SetTime,
        mtime: SetTime,
        flags: u32,
    ) -> Try<()> {
        match self.walk_at(ctx, dirfd, path, flags | sys::AT_EMPTY_PATH)? {
            Walked::Local(spot) => {
                let place = spot.existing()?;
                let now = ctx.now();
                let id = self.to_change(place)?;
                let inode = self.inode_mut(id)?;
                check_utimens(inode.owned_by(ctx.cred), inode.permits(ctx.cred, WRITE), atime, mtime)?;
                for (time, set) in [(&mut inode.atime, atime), (&mut inode.mtime, mtime)] {
                    match set {
                        SetTime::Keep => {}
                        SetTime::Now => *time = now,
                        SetTime::At(t) => *time = t,
                    }
                }
                if (atime, mtime) != (SetTime::Keep, SetTime::Keep) {
                    inode.ctime = now;
                }
                Ok(Outcome::Done(()))
            }
            // A server keeps its own times: setting them is accepted and dropped if the file is there.
            Walked::Remote(spot) => {
                let request = Request::Access { path: spot.path.clone(), mask: 0 };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }
}

/// utimensat(2), "Permissions requirements".
fn check_utimens(owner: bool, writes: bool, atime: SetTime, mtime: SetTime) -> Result<(), Errno> {
    let bad = |t: SetTime| matches!(t, SetTime::At(time) if time.nsec >= 1_000_000_000);
    if bad(atime) || bad(mtime) {
        return Err(Errno::EINVAL);
    }
    match (atime, mtime) {
        (SetTime::Keep, SetTime::Keep) => Ok(()),
        (SetTime::Now, SetTime::Now) if owner || writes => Ok(()),
        (SetTime::Now, SetTime::Now) => Err(Errno::EACCES),
        _ if owner => Ok(()),
        _ => Err(Errno::EPERM),
    }
}
