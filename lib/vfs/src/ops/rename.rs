//! renameat2.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::name::Name;
use crate::node::{Body, InodeId};
use crate::ops::remote::Then;
use crate::remote::Request;
use crate::room;
use crate::tmpfs::WRITE;
use crate::types::{Ctx, Fd, Outcome, Try};
use crate::vfs::Vfs;
use crate::walk::{Follow, Last, Spot, Walked};
use linux_raw_sys::general as sys;

/// A name in a directory, and what it stands for.
struct Side {
    dir: InodeId,
    name: Name,
    inode: Option<InodeId>,
}

impl<C: Contents> Vfs<C> {
    /// renameat2(2); `RENAME_NOREPLACE`, `RENAME_EXCHANGE`.
    pub fn rename(&mut self, ctx: &Ctx, fromfd: Fd, from: &[u8], tofd: Fd, to: &[u8], flags: u32) -> Try<()> {
        let both = sys::RENAME_NOREPLACE | sys::RENAME_EXCHANGE;
        if flags & !both != 0 || flags & both == both {
            return Err(Errno::EINVAL);
        }
        let old = self.walk(ctx, fromfd, from, Follow::Name)?;
        let new = self.walk(ctx, tofd, to, Follow::Name)?;
        match (old, new) {
            (Walked::Local(old), Walked::Local(new)) => self.rename_local(ctx, &old, &new, flags).map(Outcome::Done),
            (Walked::Remote(old), Walked::Remote(new)) if old.mount == new.mount => {
                if old.path.is_empty() || new.path.is_empty() {
                    return Err(Errno::EBUSY);
                }
                let request = Request::Rename { from: old.path.clone(), to: new.path, flags };
                self.forward(&old, request, Then::Plain(None))
            }
            _ => Err(Errno::EXDEV),
        }
    }

    fn rename_local(&mut self, ctx: &Ctx, old: &Spot, new: &Spot, flags: u32) -> Result<(), Errno> {
        let exchange = flags & sys::RENAME_EXCHANGE != 0;
        if old.dir.mount != new.dir.mount {
            return Err(Errno::EXDEV);
        }
        match (&old.last, &new.last) {
            (Last::Name(_), Last::Name(_)) => {}
            (Last::Name(_), _) if flags & sys::RENAME_NOREPLACE != 0 => return Err(Errno::EEXIST),
            _ => return Err(Errno::EBUSY),
        }
        let (from, to) = (self.side(old)?, self.side(new)?);
        let moving = from.inode.ok_or(Errno::ENOENT)?;
        if flags & sys::RENAME_NOREPLACE != 0 && to.inode.is_some() {
            return Err(Errno::EEXIST);
        }
        if exchange && to.inode.is_none() {
            return Err(Errno::ENOENT);
        }
        self.check_slashes(old, new, moving, if exchange { to.inode } else { None })?;
        self.check_circles(&from, &to, moving, exchange)?;
        if to.inode == Some(moving) {
            // Two names of one file, or the same name twice: nothing to do, says rename(2).
            return Ok(());
        }
        self.check_rights(ctx, &from, &to, moving)?;
        match to.inode {
            Some(other) if exchange => self.exchange(ctx, &from, &to, moving, other),
            Some(victim) => {
                self.check_replace(moving, victim)?;
                self.move_over(ctx, &from, to, moving, victim)
            }
            None => self.move_to(ctx, &from, to, moving),
        }
    }

    fn side(&self, spot: &Spot) -> Result<Side, Errno> {
        let Last::Name(name) = &spot.last else {
            return Err(Errno::EBUSY);
        };
        let dir = spot.dir_inode().map_err(|_| Errno::EPERM)?;
        Ok(Side { dir, name: name.clone(), inode: self.entries(dir)?.get(name.bytes()) })
    }

    /// A slash behind a name means that a directory is moved.
    fn check_slashes(&self, old: &Spot, new: &Spot, moving: InodeId, other: Option<InodeId>) -> Result<(), Errno> {
        if !self.inode(moving)?.is_dir() && (old.slash || (new.slash && other.is_none())) {
            return Err(Errno::ENOTDIR);
        }
        match other {
            Some(other) if new.slash && !self.inode(other)?.is_dir() => Err(Errno::ENOTDIR),
            _ => Ok(()),
        }
    }

    /// A directory can't go below itself; nor can what lies above the source be replaced.
    fn check_circles(&self, from: &Side, to: &Side, moving: InodeId, exchange: bool) -> Result<(), Errno> {
        if self.is_below(to.dir, moving) {
            return Err(Errno::EINVAL);
        }
        match to.inode {
            Some(other) if other != moving && self.is_below(from.dir, other) => {
                Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY })
            }
            _ => Ok(()),
        }
    }

    /// Whether `dir` is `top` or lies below it.
    fn is_below(&self, mut dir: InodeId, top: InodeId) -> bool {
        loop {
            if dir == top {
                return true;
            }
            match self.inodes.get(dir).map(|i| &i.body) {
                Some(Body::Dir { parent, .. }) if *parent != dir => dir = *parent,
                _ => return false,
            }
        }
    }

    fn check_rights(&self, ctx: &Ctx, from: &Side, to: &Side, moving: InodeId) -> Result<(), Errno> {
        self.check_removal(ctx, from.dir, moving)?;
        match to.inode {
            Some(other) => self.check_removal(ctx, to.dir, other)?,
            None => self.check_dir_write(ctx, to.dir)?,
        }
        // Another parent means that `..` changes: that is writing to the directory.
        let inode = self.inode(moving)?;
        if inode.is_dir() && from.dir != to.dir && !inode.permits(ctx.cred, WRITE) {
            return Err(Errno::EACCES);
        }
        let covered = |id: InodeId| self.inodes.get(id).is_some_and(|i| i.covered);
        if covered(moving) || to.inode.is_some_and(covered) { Err(Errno::EBUSY) } else { Ok(()) }
    }

    fn check_replace(&self, moving: InodeId, victim: InodeId) -> Result<(), Errno> {
        match (self.inode(moving)?.is_dir(), self.inode(victim)?.is_dir()) {
            (false, true) => Err(Errno::EISDIR),
            (true, false) => Err(Errno::ENOTDIR),
            (true, true) if self.entries(victim)?.len() > 0 => Err(Errno::ENOTEMPTY),
            _ => Ok(()),
        }
    }

    fn move_to(&mut self, ctx: &Ctx, from: &Side, to: Side, moving: InodeId) -> Result<(), Errno> {
        self.room.check(room::of_name(&to.name).saturating_sub(room::of_name(&from.name)))?;
        self.add_name(to.dir, to.name, moving, ctx.now())?;
        self.left(ctx, from, to.dir, moving)
    }

    fn move_over(&mut self, ctx: &Ctx, from: &Side, to: Side, moving: InodeId, victim: InodeId) -> Result<(), Errno> {
        self.entries_mut(to.dir)?.replace(to.name.bytes(), moving).ok_or(Errno::ENOENT)?;
        self.touch_dir(to.dir, ctx.now())?;
        self.left(ctx, from, to.dir, moving)?;
        self.lost_name(to.dir, victim, ctx.now())
    }

    /// The new name is there; the old one goes, and a directory learns its new parent.
    fn left(&mut self, ctx: &Ctx, from: &Side, to: InodeId, moving: InodeId) -> Result<(), Errno> {
        self.remove_name(from.dir, &from.name)?;
        self.touch_dir(from.dir, ctx.now())?;
        self.inode_mut(moving)?.ctime = ctx.now();
        self.reparent(moving, from.dir, to)
    }

    fn reparent(&mut self, id: InodeId, from: InodeId, to: InodeId) -> Result<(), Errno> {
        if let Body::Dir { parent, .. } = &mut self.inode_mut(id)?.body
            && from != to
        {
            *parent = to;
            let old = self.inode_mut(from)?;
            old.nlink = old.nlink.saturating_sub(1);
            self.inode_mut(to)?.nlink += 1;
        }
        Ok(())
    }

    fn exchange(&mut self, ctx: &Ctx, from: &Side, to: &Side, moving: InodeId, other: InodeId) -> Result<(), Errno> {
        self.entries_mut(to.dir)?.replace(to.name.bytes(), moving);
        self.entries_mut(from.dir)?.replace(from.name.bytes(), other);
        self.touch_dir(from.dir, ctx.now())?;
        self.touch_dir(to.dir, ctx.now())?;
        self.reparent(moving, from.dir, to.dir)?;
        self.reparent(other, to.dir, from.dir)?;
        self.inode_mut(moving)?.ctime = ctx.now();
        self.inode_mut(other)?.ctime = ctx.now();
        Ok(())
    }
}
