//! Mounting, and what /proc says of it.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::mount::{MountId, MountKind};
use crate::node::{Node, Place};
use crate::remote::{ServerId, Target};
use crate::types::{Ctx, Outcome, Try, major, minor};
use crate::vfs::Vfs;
use crate::walk::{Follow, Walked};
use alloc::format;
use alloc::vec::Vec;
use linux_raw_sys::general as sys;

impl<C: Contents> Vfs<C> {
    /// mount(2): `kind` over the directory `path`; `source` is what /proc/mounts shows. Root only.
    pub fn mount(&mut self, ctx: &Ctx, source: &[u8], path: &[u8], kind: MountKind) -> Try<()> {
        if ctx.cred.uid != 0 {
            return Err(Errno::EPERM);
        }
        let Walked::Local(spot) = self.walk(ctx, sys::AT_FDCWD, path, Follow::Yes)? else {
            return Err(Errno::EINVAL);
        };
        let place = spot.existing()?;
        if !self.is_dir(place) {
            return Err(Errno::ENOTDIR);
        }
        place.inode().ok_or(Errno::EINVAL)?;
        self.new_mount(source, kind, Some(place), ctx.cred, ctx.now())?;
        Ok(Outcome::Done(()))
    }

    /// umount2(2): `EBUSY` while something is open or mounted there, or someone's working directory.
    pub fn umount(&mut self, ctx: &Ctx, path: &[u8], flags: u32) -> Try<()> {
        if ctx.cred.uid != 0 {
            return Err(Errno::EPERM);
        }
        if flags & !(sys::MNT_FORCE | sys::UMOUNT_NOFOLLOW) != 0 {
            return Err(Errno::EINVAL);
        }
        let mount = match self.walk(ctx, sys::AT_FDCWD, path, Follow::Yes)? {
            Walked::Remote(spot) if spot.path.is_empty() => spot.mount,
            Walked::Local(spot) => {
                let place = spot.existing()?;
                if self.mount_root(place.mount) != Some(place) {
                    return Err(Errno::EINVAL);
                }
                place.mount
            }
            Walked::Remote(_) => return Err(Errno::EINVAL),
        };
        self.unmount(mount).map(Outcome::Done)
    }

    fn unmount(&mut self, id: MountId) -> Result<(), Errno> {
        let mount = self.mounts.get(id).ok_or(Errno::EINVAL)?;
        let (sb, root) = (mount.sb, mount.root);
        let point = mount.point.ok_or(Errno::EBUSY)?;
        if self.is_busy(id) {
            return Err(Errno::EBUSY);
        }
        self.mounts.remove(id);
        self.mount_order.retain(|m| *m != id);
        if let Some(inode) = point.inode() {
            let still = self.mounts.iter().any(|(_, m)| m.point.and_then(Place::inode) == Some(inode));
            self.inode_mut(inode)?.covered = still;
        }
        self.unpin(point);
        match root {
            Node::Inode(_) => self.destroy_tree(sb),
            Node::Remote(node) => {
                self.remotes.remove(node);
            }
            Node::Proc(_) => {}
        }
        self.supers.remove(sb);
        Ok(())
    }

    fn is_busy(&self, id: MountId) -> bool {
        let sb = self.mounts.get(id).map(|m| m.sb);
        let pinned = self.inodes.iter().any(|(inode, i)| {
            let roots = u32::from(self.mounts.get(id).is_some_and(|m| m.root == Node::Inode(inode)));
            Some(i.sb) == sb && i.pins > roots
        });
        pinned
            || self.descs.iter().any(|(_, d)| d.place.mount == id)
            || self.contexts.iter().any(|(_, c)| c.cwd.mount == id || c.root.mount == id)
            || self.mounts.iter().any(|(_, m)| m.point.is_some_and(|p| p.mount == id))
    }

    /// All inodes of a file system that nobody uses any more.
    fn destroy_tree(&mut self, sb: crate::mount::SuperId) {
        let gone: Vec<_> = self.inodes.iter().filter(|(_, i)| i.sb == sb).map(|(id, _)| id).collect();
        for id in gone {
            if let Some(inode) = self.inodes.get_mut(id) {
                (inode.nlink, inode.pins) = (0, 0);
                self.release(id);
            }
        }
    }

    /// A prefix got another server (its restart, or a rebinding): mounts and open files of `old` go to `new`.
    pub fn rebind(&mut self, old: ServerId, new: ServerId) {
        let supers: Vec<_> = self.supers.iter().map(|(id, _)| id).collect();
        for id in supers {
            if let Some(sb) = self.supers.get_mut(id)
                && sb.kind == MountKind::Remote(old)
            {
                sb.kind = MountKind::Remote(new);
            }
        }
        let descs: Vec<_> = self.descs.iter().map(|(id, _)| id).collect();
        for id in descs {
            if let Some(crate::file::What::Remote { server, .. }) = self.descs.get_mut(id).map(|d| &mut d.what)
                && *server == old
            {
                *server = new;
            }
        }
        for op in &mut self.closes {
            if op.target == Target::Server(old) {
                op.target = Target::Server(new);
            }
        }
    }

    /// Where the mounts that the caller can reach are: mount, path.
    fn visible_mounts(&self, ctx: &Ctx) -> Vec<(MountId, Vec<u8>)> {
        let path = |id: MountId| self.path_of(ctx, self.mount_root(id)?).ok();
        self.mount_order.iter().filter_map(|id| Some((*id, path(*id)?))).collect()
    }

    /// /proc/PID/mounts: fstab(5) lines.
    pub(crate) fn render_mounts(&self, ctx: &Ctx, pid: u32, out: &mut Vec<u8>) -> Result<(), Errno> {
        ctx.proc.owner(pid).ok_or(Errno::ESRCH)?;
        for (id, path) in self.visible_mounts(ctx) {
            let mount = self.mounts.get(id).ok_or(Errno::EIO)?;
            let kind = self.supers.get(mount.sb).ok_or(Errno::EIO)?.kind;
            escape(&mount.source, out);
            out.push(b' ');
            escape(&path, out);
            out.extend_from_slice(format!(" {} rw,relatime 0 0\n", kind.name()).as_bytes());
        }
        Ok(())
    }

    /// /proc/PID/mountinfo: see proc(5).
    pub(crate) fn render_mountinfo(&self, ctx: &Ctx, pid: u32, out: &mut Vec<u8>) -> Result<(), Errno> {
        ctx.proc.owner(pid).ok_or(Errno::ESRCH)?;
        for (id, path) in self.visible_mounts(ctx) {
            let mount = self.mounts.get(id).ok_or(Errno::EIO)?;
            let sb = self.supers.get(mount.sb).ok_or(Errno::EIO)?;
            let number = id.to_raw() & 0xffff_ffff;
            let parent = mount.point.map_or(number, |p| p.mount.to_raw() & 0xffff_ffff);
            let head = format!("{number} {parent} {}:{} / ", major(sb.dev), minor(sb.dev));
            out.extend_from_slice(head.as_bytes());
            escape(&path, out);
            out.extend_from_slice(format!(" rw,relatime - {} ", sb.kind.name()).as_bytes());
            escape(&mount.source, out);
            out.extend_from_slice(b" rw\n");
        }
        Ok(())
    }
}

/// Blanks and backslashes as octal, as getmntent(3) reads them.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for &b in text {
        match b {
            b' ' | b'\t' | b'\n' | b'\\' => out.extend_from_slice(format!("\\{b:03o}").as_bytes()),
            _ => out.push(b),
        }
    }
}
