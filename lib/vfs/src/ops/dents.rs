//! getdents64: listing directories.
//!
//! A description's offset is the cookie of the last entry given: 0 before `.`, 1 after it, 2 after `..`. Entries keep their
//! cookies for life, so a listing survives whatever is created and removed meanwhile.

use crate::contents::{Contents, Dest};
use crate::errno::Errno;
use crate::file::{DescId, What};
use crate::node::{FileType, InodeId, Node, Place};
use crate::ops::remote::Then;
use crate::procfs_tree::ProcNode;
use crate::remote::Request;
use crate::types::{Ctx, Fd, Outcome, Try};
use crate::vfs::Vfs;

/// `struct linux_dirent64` without its name.
const HEADER: usize = 19;

/// Whether an entry went out, or has to wait for the next call.
pub(crate) enum Given {
    Yes,
    Full,
}

/// Appends one record. `Full` if it doesn't fit.
pub(crate) fn give(to: &mut dyn Dest, ino: u64, cookie: u64, kind: u8, name: &[u8]) -> Result<Given, Errno> {
    let len = (HEADER + name.len() + 1).next_multiple_of(8);
    if to.room() < len {
        return Ok(Given::Full);
    }
    let mut record = [0u8; (HEADER + 256 + 8) & !7];
    let fields = [(0, &ino.to_ne_bytes()[..]), (8, &cookie.to_ne_bytes()), (16, &(len as u16).to_ne_bytes())];
    for (at, bytes) in fields.into_iter().chain([(18, &[kind][..]), (HEADER, name)]) {
        record.get_mut(at..at + bytes.len()).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(bytes);
    }
    let bytes = record.get(..len).ok_or(Errno::ENAMETOOLONG)?;
    if to.put(bytes)? < len { Err(Errno::EFAULT) } else { Ok(Given::Yes) }
}

impl<C: Contents> Vfs<C> {
    /// getdents64(2): whole `struct linux_dirent64` records into `to`; 0 at the end, `EINVAL` if not even one fits.
    pub fn getdents(&mut self, ctx: &Ctx, fd: Fd, to: &mut dyn Dest) -> Try {
        let (id, desc) = self.file(ctx, fd)?;
        let (place, cookie) = (desc.place, desc.offset);
        if let What::Remote { file, .. } = desc.what {
            let request = Request::Entries { file, cookie, max: to.room() };
            return self.ask(id, request, Then::Entries { desc: id });
        }
        if !matches!(desc.what, What::Dir) {
            return Err(Errno::ENOTDIR);
        }
        let room = to.room();
        let (last, full) = match place.node {
            Node::Inode(dir) => self.list_inode(place, dir, cookie, to)?,
            Node::Proc(node) => self.list_proc(ctx, place, node, cookie, to)?,
            Node::Remote(_) => return Err(Errno::EIO),
        };
        self.listed(ctx, id, last);
        match room - to.room() {
            0 if full => Err(Errno::EINVAL),
            n => Ok(Outcome::Done(n)),
        }
    }

    fn listed(&mut self, ctx: &Ctx, id: DescId, last: u64) {
        let Some(desc) = self.descs.get_mut(id) else {
            return;
        };
        desc.offset = last;
        if let Some(inode) = desc.place.inode().and_then(|i| self.inodes.get_mut(i)) {
            inode.accessed(ctx, self.lately);
        }
    }

    /// `.` and `..`; gives the cookie reached, and whether the buffer is full.
    fn list_dots(&self, place: Place, mut cookie: u64, to: &mut dyn Dest) -> Result<(u64, bool), Errno> {
        for (number, name) in [(1, &b"."[..]), (2, b"..")] {
            if cookie < number {
                let of = if number == 1 { place } else { self.parent(self.root, place)? };
                match give(to, self.ino_of(of), number, FileType::Directory.entry_type(), name)? {
                    Given::Yes => cookie = number,
                    Given::Full => return Ok((cookie, true)),
                }
            }
        }
        Ok((cookie, false))
    }

    fn ino_of(&self, place: Place) -> u64 {
        match place.node {
            Node::Inode(id) => self.inodes.get(id).map_or(0, |i| i.ino),
            Node::Proc(node) => node.ino(),
            Node::Remote(_) => 1,
        }
    }

    fn list_inode(&self, place: Place, dir: InodeId, cookie: u64, to: &mut dyn Dest) -> Result<(u64, bool), Errno> {
        let entries = self.entries(dir)?;
        if self.inode(dir)?.nlink == 0 {
            return Err(Errno::ENOENT);
        }
        let (mut cookie, full) = self.list_dots(place, cookie, to)?;
        if full {
            return Ok((cookie, true));
        }
        for entry in entries.after(cookie) {
            let inode = self.inode(entry.inode)?;
            match give(to, inode.ino, entry.cookie, inode.kind().entry_type(), entry.name.bytes())? {
                Given::Yes => cookie = entry.cookie,
                Given::Full => return Ok((cookie, true)),
            }
        }
        Ok((cookie, false))
    }

    fn list_proc(
        &self,
        ctx: &Ctx,
        place: Place,
        dir: ProcNode,
        cookie: u64,
        to: &mut dyn Dest,
    ) -> Result<(u64, bool), Errno> {
        let (mut cookie, full) = self.list_dots(place, cookie, to)?;
        if full {
            return Ok((cookie, true));
        }
        while let Some((next, node, name)) = self.proc_entry(ctx, dir, cookie)? {
            match give(to, node.ino(), next, node.kind().entry_type(), &name)? {
                Given::Yes => cookie = next,
                Given::Full => return Ok((cookie, true)),
            }
        }
        Ok((cookie, false))
    }
}
