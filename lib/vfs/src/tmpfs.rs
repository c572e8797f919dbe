//! Inodes in memory: birth, names, rights, death. What the operations are made of.
//!
//! `nlink` counts names (a directory also counts its own `.` and its children's `..`); `pins` counts everything else that
//! keeps an inode alive. Whatever lowers either calls [`Vfs::release`] afterwards.

use crate::contents::Contents;
use crate::dir::Directory;
use crate::errno::Errno;
use crate::mount::SuperId;
use crate::name::Name;
use crate::node::{Body, Inode, InodeId, Node, Place};
use crate::room;
use crate::types::{Cred, Ctx, Time};
use crate::vfs::Vfs;
use alloc::boxed::Box;
use linux_raw_sys::general as sys;

/// May read, as `R_OK`.
pub(crate) const READ: u32 = 4;
/// May write, as `W_OK`.
pub(crate) const WRITE: u32 = 2;
/// May execute or search, as `X_OK`.
pub(crate) const EXEC: u32 = 1;

const DAY: i64 = 24 * 60 * 60;

impl Inode {
    /// Whether `cred` has all of `mask`; root may anything but execute what nobody may.
    pub(crate) fn permits(&self, cred: &Cred, mask: u32) -> bool {
        permits(cred, mask, self.mode(), self.uid, self.gid)
    }

    /// Whether `cred` may do what only the owner may.
    pub(crate) fn owned_by(&self, cred: &Cred) -> bool {
        cred.uid == 0 || cred.uid == self.uid
    }

    /// The bytes changed: times, and set-id bits fall if a user did it.
    pub(crate) fn written(&mut self, cred: &Cred, now: Time) {
        self.mtime = now;
        self.ctime = now;
        if cred.uid != 0 {
            self.drop_setid();
        }
    }

    /// Clears set-user-id, and set-group-id where it isn't a mandatory-lock mark.
    pub(crate) fn drop_setid(&mut self) {
        self.perm &= !sys::S_ISUID;
        if self.perm & sys::S_IXGRP != 0 {
            self.perm &= !sys::S_ISGID;
        }
    }

    /// The bytes were read: access time, by the rule of `relatime`. `lately`: see [`Vfs::lately`].
    #[inline]
    pub(crate) fn accessed(&mut self, ctx: &Ctx, lately: Time) {
        if self.atime <= self.mtime || self.atime <= self.ctime || lately.sec - self.atime.sec >= DAY {
            self.atime = ctx.now();
        }
    }
}

/// The permission check of path_resolution(7).
pub(crate) fn permits(cred: &Cred, mask: u32, mode: u32, uid: u32, gid: u32) -> bool {
    if cred.uid == 0 {
        let directory = mode & sys::S_IFMT == sys::S_IFDIR;
        return mask & EXEC == 0 || directory || mode & 0o111 != 0;
    }
    let shift = if cred.uid == uid {
        6
    } else if cred.in_group(gid) {
        3
    } else {
        0
    };
    (mode >> shift) & mask == mask
}

impl<C: Contents> Vfs<C> {
    #[inline]
    pub(crate) fn inode(&self, id: InodeId) -> Result<&Inode, Errno> {
        self.inodes.get(id).ok_or(Errno::ENOENT)
    }

    #[inline]
    pub(crate) fn inode_mut(&mut self, id: InodeId) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(id).ok_or(Errno::ENOENT)
    }

    /// The entries of a directory; `ENOTDIR` for anything else.
    pub(crate) fn entries(&self, dir: InodeId) -> Result<&Directory, Errno> {
        match &self.inode(dir)?.body {
            Body::Dir { entries, .. } => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(crate) fn entries_mut(&mut self, dir: InodeId) -> Result<&mut Directory, Errno> {
        match &mut self.inode_mut(dir)?.body {
            Body::Dir { entries, .. } => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// A new inode without a name.
    pub(crate) fn new_inode(
        &mut self,
        sb: SuperId,
        body: Body,
        perm: u32,
        owner: (u32, u32),
        now: Time,
    ) -> Result<InodeId, Errno> {
        let s = self.supers.get_mut(sb).ok_or(Errno::ENOENT)?;
        let ino = s.next_ino;
        s.next_ino += 1;
        s.inodes += 1;
        self.room.charge(room::of_body(&body));
        let size = if let Body::Symlink(target) = &body { target.len() as u64 } else { 0 };
        Ok(self.inodes.insert(Inode {
            sb,
            ino,
            perm,
            uid: owner.0,
            gid: owner.1,
            nlink: 0,
            pins: 0,
            size,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            covered: false,
            locked: false,
            linkable: false,
            body,
        }))
    }

    /// A new, empty directory without a name; `parent` `None`: its own parent (a root).
    pub(crate) fn new_directory(
        &mut self,
        sb: SuperId,
        parent: Option<InodeId>,
        perm: u32,
        cred: &Cred,
        now: Time,
    ) -> Result<InodeId, Errno> {
        let nobody = InodeId::from_raw(0);
        let body = Body::Dir { entries: Box::default(), parent: parent.unwrap_or(nobody) };
        let id = self.new_inode(sb, body, perm, (cred.uid, cred.gid), now)?;
        let inode = self.inode_mut(id)?;
        inode.nlink = 2;
        if parent.is_none()
            && let Body::Dir { parent, .. } = &mut inode.body
        {
            *parent = id;
        }
        Ok(id)
    }

    /// May the caller add or remove names in `dir`? `ENOENT` if the directory itself was removed.
    pub(crate) fn check_dir_write(&self, ctx: &Ctx, dir: InodeId) -> Result<(), Errno> {
        let inode = self.inode(dir)?;
        if !inode.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if !inode.permits(ctx.cred, WRITE | EXEC) {
            return Err(Errno::EACCES);
        }
        if inode.nlink == 0 { Err(Errno::ENOENT) } else { Ok(()) }
    }

    /// May the caller remove `victim` from `dir`? Write permission, and the sticky bit's rule.
    pub(crate) fn check_removal(&self, ctx: &Ctx, dir: InodeId, victim: InodeId) -> Result<(), Errno> {
        self.check_dir_write(ctx, dir)?;
        let (dir, victim) = (self.inode(dir)?, self.inode(victim)?);
        let sticky = dir.perm & sys::S_ISVTX != 0;
        if sticky && !dir.owned_by(ctx.cred) && !victim.owned_by(ctx.cred) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    /// Group and permission bits of something new in `dir`: a set-group-id directory hands its group down.
    fn inherit(&self, ctx: &Ctx, dir: InodeId, perm: u32, directory: bool) -> Result<(u32, u32), Errno> {
        let parent = self.inode(dir)?;
        if parent.perm & sys::S_ISGID == 0 {
            return Ok((ctx.cred.gid, perm));
        }
        Ok((parent.gid, if directory { perm | sys::S_ISGID } else { perm }))
    }

    /// Makes a file, device, FIFO or link named `name` in `dir`. The caller has checked that he may and that the name
    /// is free. `perm` is as it shall be.
    pub(crate) fn create_in(
        &mut self,
        ctx: &Ctx,
        dir: InodeId,
        name: Name,
        body: NewBody<'_>,
        perm: u32,
    ) -> Result<InodeId, Errno> {
        let (gid, perm) = self.inherit(ctx, dir, perm, false)?;
        let sb = self.inode(dir)?.sb;
        self.room.check(room::INODE + body.length() + room::of_name(&name))?;
        let body = self.make_body(body)?;
        let id = self.new_inode(sb, body, perm, (ctx.cred.uid, gid), ctx.now())?;
        self.inode_mut(id)?.nlink = 1;
        self.add_name(dir, name, id, ctx.now())?;
        Ok(id)
    }

    /// A file that has no name (`O_TMPFILE`).
    pub(crate) fn create_unnamed(&mut self, ctx: &Ctx, dir: InodeId, perm: u32) -> Result<InodeId, Errno> {
        let (gid, perm) = self.inherit(ctx, dir, perm, false)?;
        let sb = self.inode(dir)?.sb;
        self.room.check(room::INODE)?;
        let body = self.make_body(NewBody::File)?;
        self.new_inode(sb, body, perm, (ctx.cred.uid, gid), ctx.now())
    }

    fn make_body(&mut self, body: NewBody<'_>) -> Result<Body, Errno> {
        Ok(match body {
            NewBody::File => Body::File(self.contents.create()?),
            NewBody::Symlink(target) => Body::Symlink(target.into()),
            NewBody::Other(body) => body,
        })
    }

    /// Makes a directory; as `create_in`.
    pub(crate) fn create_directory_in(
        &mut self,
        ctx: &Ctx,
        dir: InodeId,
        name: Name,
        perm: u32,
    ) -> Result<InodeId, Errno> {
        let (gid, perm) = self.inherit(ctx, dir, perm, true)?;
        let sb = self.inode(dir)?.sb;
        self.room.check(room::INODE + room::of_name(&name))?;
        let id = self.new_directory(sb, Some(dir), perm, ctx.cred, ctx.now())?;
        self.inode_mut(id)?.gid = gid;
        self.add_name(dir, name, id, ctx.now())?;
        self.inode_mut(dir)?.nlink += 1;
        Ok(id)
    }

    /// Enters a name; times of the directory follow.
    pub(crate) fn add_name(&mut self, dir: InodeId, name: Name, id: InodeId, now: Time) -> Result<(), Errno> {
        let bytes = room::of_name(&name);
        self.entries_mut(dir)?.insert(name, id)?;
        self.room.charge(bytes);
        self.touch_dir(dir, now)
    }

    /// Takes a name out of a directory, if it is there. What it stood for is the caller's business, as are the times.
    pub(crate) fn remove_name(&mut self, dir: InodeId, name: &Name) -> Result<(), Errno> {
        if let Some(gone) = self.entries_mut(dir)?.remove(name.bytes()) {
            self.room.refund(room::of_name(&gone.name));
        }
        Ok(())
    }

    /// The directory's entries changed.
    pub(crate) fn touch_dir(&mut self, dir: InodeId, now: Time) -> Result<(), Errno> {
        let dir = self.inode_mut(dir)?;
        dir.mtime = now;
        dir.ctime = now;
        Ok(())
    }

    /// A name of `id` is gone: one link less, or an empty directory's last ones.
    pub(crate) fn lost_name(&mut self, dir: InodeId, id: InodeId, now: Time) -> Result<(), Errno> {
        let inode = self.inode_mut(id)?;
        inode.ctime = now;
        let directory = inode.is_dir();
        inode.nlink = if directory { 0 } else { inode.nlink.saturating_sub(1) };
        if directory {
            let parent = self.inode_mut(dir)?;
            parent.nlink = parent.nlink.saturating_sub(1);
        }
        self.release(id);
        Ok(())
    }

    /// Frees the inode if nothing refers to it any more.
    pub(crate) fn release(&mut self, id: InodeId) {
        if self.inodes.get(id).is_none_or(|i| i.nlink > 0 || i.pins > 0) {
            return;
        }
        let Some(gone) = self.inodes.remove(id) else {
            return;
        };
        self.room.refund(room::of_body(&gone.body));
        if let Some(sb) = self.supers.get_mut(gone.sb) {
            sb.inodes = sb.inodes.saturating_sub(1);
        }
        if let Body::File(content) = gone.body {
            self.contents.destroy(content);
        }
        if gone.locked {
            self.locks.forget(id, &mut self.waits);
        }
    }

    /// Gives a file another size. Rights and limits are checked by the caller.
    pub(crate) fn set_size(&mut self, id: InodeId, size: u64, cred: &Cred, now: Time) -> Result<(), Errno> {
        let inode = self.inodes.get_mut(id).ok_or(Errno::ENOENT)?;
        let Body::File(content) = inode.body else {
            return Err(Errno::EINVAL);
        };
        if size != inode.size {
            self.contents.resize(content, inode.size, size)?;
        }
        inode.size = size;
        inode.written(cred, now);
        Ok(())
    }

    /// One more reason to keep what is at `place`.
    pub fn pin(&mut self, place: Place) -> Result<(), Errno> {
        match place.node {
            Node::Inode(id) => self.inode_mut(id)?.pins += 1,
            Node::Remote(id) => self.remotes.get_mut(id).ok_or(Errno::ENOENT)?.pins += 1,
            Node::Proc(_) => {}
        }
        Ok(())
    }

    /// A mapping, program image or other pin is gone.
    pub fn unpin(&mut self, place: Place) {
        match place.node {
            Node::Inode(id) => {
                if let Some(inode) = self.inodes.get_mut(id) {
                    inode.pins = inode.pins.saturating_sub(1);
                    self.release(id);
                }
            }
            Node::Remote(id) => {
                if let Some(node) = self.remotes.get_mut(id) {
                    node.pins = node.pins.saturating_sub(1);
                    if node.pins == 0 {
                        self.remotes.remove(id);
                    }
                }
            }
            Node::Proc(_) => {}
        }
    }
}

/// What to make.
#[derive(Debug)]
pub(crate) enum NewBody<'a> {
    /// An empty regular file.
    File,
    /// A symbolic link.
    Symlink(&'a [u8]),
    /// Whatever needs no room.
    Other(Body),
}

impl NewBody<'_> {
    /// Bytes beside the inode.
    fn length(&self) -> u64 {
        match self {
            NewBody::Symlink(target) => target.len() as u64,
            _ => 0,
        }
    }
}
