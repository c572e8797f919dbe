//! Operations on names.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::name::{Name, PATH_MAX};
use crate::node::{Body, FileType, InodeId, Node, Place};
use crate::ops::remote::Then;
use crate::remote::{RemoteOp, Request, Target};
use crate::tmpfs::{NewBody, WRITE};
use crate::types::{Ctx, Fd, Outcome, Try};
use crate::vfs::Vfs;
use crate::walk::{Follow, Last, RemoteSpot, Spot, Walked};
use alloc::boxed::Box;
use alloc::vec::Vec;
use linux_raw_sys::general as sys;

impl<C: Contents> Vfs<C> {
    /// Hands an operation on a name to its server.
    pub(crate) fn forward<T>(&self, spot: &RemoteSpot, request: Request, then: Then) -> Try<T> {
        let target = Target::Server(self.server_of(spot.mount)?);
        Ok(Outcome::Remote(Box::new(RemoteOp { target, request, then })))
    }

    /// The directory and free name for something new, which the caller may make.
    fn free_name(&self, ctx: &Ctx, spot: &Spot, what: FileType) -> Result<(InodeId, Name), Errno> {
        if spot.place.is_some() {
            return Err(Errno::EEXIST);
        }
        let Last::Name(name) = &spot.last else {
            return Err(Errno::EEXIST);
        };
        if spot.slash && what != FileType::Directory {
            return Err(Errno::ENOENT);
        }
        let dir = spot.dir_inode()?;
        self.check_dir_write(ctx, dir)?;
        Ok((dir, name.clone()))
    }

    /// mkdirat(2); `mode` before the umask.
    pub fn mkdir(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], mode: u32) -> Try<()> {
        let perm = mode & 0o1777 & !self.umask_of(ctx);
        match self.walk(ctx, dirfd, path, Follow::Name)? {
            Walked::Local(spot) => {
                let (dir, name) = self.free_name(ctx, &spot, FileType::Directory)?;
                self.create_directory_in(ctx, dir, name, perm)?;
                Ok(Outcome::Done(()))
            }
            Walked::Remote(spot) if spot.path.is_empty() => Err(Errno::EEXIST),
            Walked::Remote(spot) => {
                let request = Request::MakeDirectory { path: spot.path.clone(), mode: perm };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }

    /// mknodat(2); type 0 is a regular file. Device nodes are root's to make.
    pub fn mknod(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], mode: u32, rdev: u64) -> Try<()> {
        let kind = match mode & sys::S_IFMT {
            0 => FileType::Regular,
            _ => FileType::of_mode(mode).ok_or(Errno::EINVAL)?,
        };
        let body = match kind {
            FileType::Regular => NewBody::File,
            FileType::Fifo => NewBody::Other(Body::Fifo(None)),
            FileType::Socket => NewBody::Other(Body::Socket),
            FileType::Directory => return Err(Errno::EPERM),
            FileType::Symlink => return Err(Errno::EINVAL),
            FileType::CharDevice | FileType::BlockDevice => NewBody::Other(Body::Device { kind, rdev }),
        };
        let device = matches!(kind, FileType::CharDevice | FileType::BlockDevice);
        let perm = mode & 0o7777 & !self.umask_of(ctx);
        match self.walk(ctx, dirfd, path, Follow::Name)? {
            Walked::Local(spot) => {
                let (dir, name) = self.free_name(ctx, &spot, kind)?;
                if device && ctx.cred.uid != 0 {
                    return Err(Errno::EPERM);
                }
                self.create_in(ctx, dir, name, body, perm)?;
                Ok(Outcome::Done(()))
            }
            Walked::Remote(spot) => {
                let request = Request::MakeNode { path: spot.path.clone(), mode: kind.bits() | perm, rdev };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }

    /// symlinkat(2).
    pub fn symlink(&mut self, ctx: &Ctx, target: &[u8], dirfd: Fd, path: &[u8]) -> Try<()> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if target.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        match self.walk(ctx, dirfd, path, Follow::Name)? {
            Walked::Local(spot) => {
                let (dir, name) = self.free_name(ctx, &spot, FileType::Symlink)?;
                self.create_in(ctx, dir, name, NewBody::Symlink(target), 0o777)?;
                Ok(Outcome::Done(()))
            }
            Walked::Remote(spot) => {
                let request = Request::MakeSymlink { path: spot.path.clone(), target: target.to_vec() };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }

    /// readlinkat(2): the whole target; the caller cuts it to his buffer. The empty path means a link that was opened
    /// with `O_PATH | O_NOFOLLOW`.
    pub fn readlink(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8]) -> Try<Vec<u8>> {
        let flags = sys::AT_EMPTY_PATH | sys::AT_SYMLINK_NOFOLLOW;
        match self.walk_at(ctx, dirfd, path, flags)? {
            Walked::Local(spot) => {
                let missing = if path.is_empty() { Errno::ENOENT } else { Errno::EINVAL };
                match spot.existing()?.node {
                    Node::Inode(id) => match &self.inode(id)?.body {
                        Body::Symlink(target) => Ok(Outcome::Done(target.to_vec())),
                        _ => Err(missing),
                    },
                    Node::Proc(node) => self.proc_readlink(ctx, node).map(Outcome::Done),
                    Node::Remote(_) => Err(Errno::EINVAL),
                }
            }
            Walked::Remote(spot) => {
                let request = Request::ReadLink { path: spot.path.clone() };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }

    /// linkat(2); `flags`: `AT_SYMLINK_FOLLOW`, `AT_EMPTY_PATH`.
    pub fn link(&mut self, ctx: &Ctx, fromfd: Fd, from: &[u8], tofd: Fd, to: &[u8], flags: u32) -> Try<()> {
        if flags & !(sys::AT_SYMLINK_FOLLOW | sys::AT_EMPTY_PATH) != 0 {
            return Err(Errno::EINVAL);
        }
        let nofollow = if flags & sys::AT_SYMLINK_FOLLOW != 0 { 0 } else { sys::AT_SYMLINK_NOFOLLOW };
        let old = self.walk_at(ctx, fromfd, from, flags & sys::AT_EMPTY_PATH | nofollow)?;
        if let Walked::Local(spot) = &old {
            spot.existing()?;
        }
        match (old, self.walk(ctx, tofd, to, Follow::Name)?) {
            (Walked::Local(old), Walked::Local(new)) => {
                let place = old.existing()?;
                let (dir, name) = self.free_name(ctx, &new, FileType::Regular)?;
                self.link_inode(ctx, place, new.dir, dir, name).map(Outcome::Done)
            }
            (Walked::Remote(old), Walked::Remote(new)) if old.mount == new.mount => {
                let request = Request::Link { from: old.path.clone(), to: new.path };
                self.forward(&old, request, Then::Plain(None))
            }
            _ => Err(Errno::EXDEV),
        }
    }

    fn link_inode(&mut self, ctx: &Ctx, place: Place, at: Place, dir: InodeId, name: Name) -> Result<(), Errno> {
        let Node::Inode(id) = place.node else {
            return Err(Errno::EXDEV);
        };
        if place.mount != at.mount {
            return Err(Errno::EXDEV);
        }
        let inode = self.inode_mut(id)?;
        if inode.is_dir() {
            return Err(Errno::EPERM);
        }
        if inode.nlink == 0 && !inode.linkable {
            return Err(Errno::ENOENT);
        }
        if inode.nlink == u32::MAX {
            return Err(Errno::EMLINK);
        }
        self.room.check(crate::room::of_name(&name))?;
        let inode = self.inode_mut(id)?;
        inode.nlink += 1;
        inode.linkable = false;
        inode.ctime = ctx.now();
        self.add_name(dir, name, id, ctx.now())
    }

    /// unlinkat(2); `AT_REMOVEDIR`: rmdir(2).
    pub fn unlink(&mut self, ctx: &Ctx, dirfd: Fd, path: &[u8], flags: u32) -> Try<()> {
        if flags & !sys::AT_REMOVEDIR != 0 {
            return Err(Errno::EINVAL);
        }
        let directory = flags & sys::AT_REMOVEDIR != 0;
        match self.walk(ctx, dirfd, path, Follow::Name)? {
            Walked::Local(spot) if directory => self.remove_directory(ctx, &spot).map(Outcome::Done),
            Walked::Local(spot) => self.remove_file(ctx, &spot).map(Outcome::Done),
            Walked::Remote(spot) if spot.path.is_empty() => Err(if directory { Errno::EBUSY } else { Errno::EISDIR }),
            Walked::Remote(spot) => {
                let request = Request::Unlink { path: spot.path.clone(), directory };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }

    fn remove_file(&mut self, ctx: &Ctx, spot: &Spot) -> Result<(), Errno> {
        let Last::Name(name) = &spot.last else {
            return Err(Errno::EISDIR);
        };
        let place = spot.existing()?;
        let dir = spot.dir_inode().map_err(|_| Errno::EPERM)?;
        if spot.slash {
            return Err(if self.is_dir(place) { Errno::EISDIR } else { Errno::ENOTDIR });
        }
        let id = self.entries(dir)?.get(name.bytes()).ok_or(Errno::ENOENT)?;
        self.check_removal(ctx, dir, id)?;
        if self.inode(id)?.is_dir() {
            return Err(Errno::EISDIR);
        }
        self.remove_name(dir, name)?;
        self.touch_dir(dir, ctx.now())?;
        self.lost_name(dir, id, ctx.now())
    }

    fn remove_directory(&mut self, ctx: &Ctx, spot: &Spot) -> Result<(), Errno> {
        let name = match &spot.last {
            Last::Name(name) => name,
            Last::Dot => return Err(Errno::EINVAL),
            Last::DotDot => return Err(Errno::ENOTEMPTY),
            Last::Root | Last::Jump => return Err(Errno::EBUSY),
        };
        spot.existing()?;
        let dir = spot.dir_inode().map_err(|_| Errno::EPERM)?;
        let id = self.entries(dir)?.get(name.bytes()).ok_or(Errno::ENOENT)?;
        self.check_removal(ctx, dir, id)?;
        let victim = self.inode(id)?;
        if !victim.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if victim.covered {
            return Err(Errno::EBUSY);
        }
        if self.entries(id)?.len() > 0 {
            return Err(Errno::ENOTEMPTY);
        }
        self.remove_name(dir, name)?;
        self.touch_dir(dir, ctx.now())?;
        self.lost_name(dir, id, ctx.now())
    }

    /// truncate(2).
    pub fn truncate(&mut self, ctx: &Ctx, path: &[u8], size: i64) -> Try<()> {
        let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
        match self.walk(ctx, sys::AT_FDCWD, path, Follow::Yes)? {
            Walked::Local(spot) => {
                let id = spot.existing()?.inode().ok_or(Errno::EACCES)?;
                let inode = self.inode(id)?;
                match inode.kind() {
                    FileType::Directory => return Err(Errno::EISDIR),
                    FileType::Regular => {}
                    _ => return Err(Errno::EINVAL),
                }
                if !inode.permits(ctx.cred, WRITE) {
                    return Err(Errno::EACCES);
                }
                self.truncate_inode(ctx, id, size).map(Outcome::Done)
            }
            Walked::Remote(spot) => {
                let request = Request::TruncatePath { path: spot.path.clone(), size };
                self.forward(&spot, request, Then::Plain(None))
            }
        }
    }

    /// chdir(2).
    pub fn chdir(&mut self, ctx: &Ctx, path: &[u8]) -> Try<()> {
        match self.walk(ctx, sys::AT_FDCWD, path, Follow::Yes)? {
            Walked::Local(spot) => self.set_cwd(ctx, spot.existing()?).map(Outcome::Done),
            Walked::Remote(spot) => {
                let request = Request::StatPath { path: spot.path.clone(), follow: true };
                let then = Then::Chdir { mount: spot.mount, path: spot.path.clone() };
                self.forward(&spot, request, then)
            }
        }
    }

    /// fchdir(2).
    pub fn fchdir(&mut self, ctx: &Ctx, fd: Fd) -> Result<(), Errno> {
        let place = self.desc(ctx, fd)?.1.place;
        self.set_cwd(ctx, place)
    }

    pub(crate) fn set_cwd(&mut self, ctx: &Ctx, place: Place) -> Result<(), Errno> {
        self.check_search(ctx, place)?;
        self.pin(place)?;
        let fs = self.contexts.get_mut(ctx.fs).ok_or(Errno::ENOENT)?;
        let old = core::mem::replace(&mut fs.cwd, place);
        self.unpin(old);
        Ok(())
    }

    /// chroot(2): root only.
    pub fn chroot(&mut self, ctx: &Ctx, path: &[u8]) -> Try<()> {
        let Walked::Local(spot) = self.walk(ctx, sys::AT_FDCWD, path, Follow::Yes)? else {
            return Err(Errno::EPERM);
        };
        let place = spot.existing()?;
        self.check_search(ctx, place)?;
        if ctx.cred.uid != 0 {
            return Err(Errno::EPERM);
        }
        self.pin(place)?;
        let fs = self.contexts.get_mut(ctx.fs).ok_or(Errno::ENOENT)?;
        let old = core::mem::replace(&mut fs.root, place);
        self.unpin(old);
        Ok(Outcome::Done(()))
    }

    /// getcwd(2) without the NUL; `(unreachable)` in front if it is outside the root, `ENOENT` if it was removed.
    pub fn getcwd(&self, ctx: &Ctx) -> Result<Vec<u8>, Errno> {
        let cwd = self.contexts.get(ctx.fs).ok_or(Errno::ENOENT)?.cwd;
        if cwd.inode().is_some_and(|id| self.inodes.get(id).is_some_and(|i| i.nlink == 0)) {
            return Err(Errno::ENOENT);
        }
        self.path_of(ctx, cwd)
    }

    /// The path of a place as the caller sees it; ` (deleted)` behind it if it has no name.
    pub fn path_of(&self, ctx: &Ctx, place: Place) -> Result<Vec<u8>, Errno> {
        self.path_from(ctx, place, None)
    }

    /// As `path_of`; a file's name is looked for in `dir` first, then everywhere.
    pub(crate) fn path_from(&self, ctx: &Ctx, place: Place, dir: Option<InodeId>) -> Result<Vec<u8>, Errno> {
        let root = self.contexts.get(ctx.fs).ok_or(Errno::ENOENT)?.root;
        if place.mount == self.pipe_mount {
            let inode = self.inode(place.inode().ok_or(Errno::EIO)?)?;
            let what = if inode.kind() == FileType::Socket { "socket" } else { "pipe" };
            return Ok(alloc::format!("{what}:[{}]", inode.ino).into_bytes());
        }
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut deleted = false;
        let mut at = place;
        if let Node::Inode(id) = place.node
            && !self.inode(id)?.is_dir()
        {
            match dir.filter(|d| self.has_child(*d, id)).or_else(|| self.find_parent(id)) {
                Some(parent) => {
                    parts.extend(self.entries(parent)?.name_of(id).map(|n| n.bytes().to_vec()));
                    at = Place { mount: place.mount, node: Node::Inode(parent) };
                }
                None => {
                    let ino = self.inode(id)?.ino;
                    return Ok(alloc::format!("/#{ino} (deleted)").into_bytes());
                }
            }
        }
        let mut reached = false;
        while !reached {
            match self.step_up(root, &mut at)? {
                Up::Root => reached = true,
                Up::Name(name) => parts.push(name),
                Up::Over => {}
                Up::Nameless => {
                    deleted = true;
                    reached = true;
                }
            }
        }
        let mut path = Vec::new();
        for part in parts.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        if deleted {
            path.extend_from_slice(b" (deleted)");
        }
        Ok(path)
    }

    fn has_child(&self, dir: InodeId, id: InodeId) -> bool {
        self.entries(dir).is_ok_and(|e| e.name_of(id).is_some())
    }

    /// A directory with a name of this file: all are searched, since a file doesn't know its names.
    fn find_parent(&self, id: InodeId) -> Option<InodeId> {
        if self.inodes.get(id)?.nlink == 0 {
            return None;
        }
        self.inodes.iter().map(|(d, _)| d).find(|d| self.has_child(*d, id))
    }

    /// One step towards the root; `at` moves to the parent.
    fn step_up(&self, root: Place, at: &mut Place) -> Result<Up, Errno> {
        if *at == root {
            return Ok(Up::Root);
        }
        let mount = self.mounts.get(at.mount).ok_or(Errno::ENOENT)?;
        if mount.root == at.node {
            return Ok(match mount.point {
                Some(point) => {
                    *at = point;
                    Up::Over
                }
                None => Up::Root,
            });
        }
        let child = at.node;
        match child {
            Node::Inode(id) => {
                let Body::Dir { parent, .. } = self.inode(id)?.body else {
                    return Err(Errno::ENOTDIR);
                };
                at.node = Node::Inode(parent);
                let name = self.inodes.get(parent).and_then(|_| self.entries(parent).ok()?.name_of(id));
                Ok(name.map_or(Up::Nameless, |n| Up::Name(n.bytes().to_vec())))
            }
            Node::Proc(node) => {
                at.node = Node::Proc(node.parent());
                Ok(Up::Name(node.name()))
            }
            Node::Remote(id) => {
                at.node = mount.root;
                Ok(Up::Name(self.remotes.get(id).ok_or(Errno::ENOENT)?.path.clone()))
            }
        }
    }
}

enum Up {
    Root,
    Name(Vec<u8>),
    Over,
    Nameless,
}
