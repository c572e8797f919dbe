//! Finishing what a server answered.

use crate::contents::{Contents, Dest};
use crate::errno::Errno;
use crate::file::{DescId, What};
use crate::mount::{MountId, RemoteNode};
use crate::node::{FileType, Node, Place};
use crate::ops::dents::{Given, give};
use crate::ops::io::moved;
use crate::remote::{Completed, RemoteEntry, RemoteOp, RemoteResult, Reply, Request, Target};
use crate::types::{Ctx, Stat};
use crate::vfs::Vfs;
use alloc::vec::Vec;
use linux_raw_sys::general as sys;

/// How an operation goes on after the answer. `desc`: a description that was kept alive for it.
#[derive(Debug)]
pub(crate) enum Then {
    /// Nobody waits for the answer.
    Nothing,
    /// The answer is the result.
    Plain(Option<DescId>),
    /// Bytes were moved; the offset too, if `offset`.
    Moved { desc: DescId, offset: bool },
    /// Attributes: the device number becomes the mount's.
    Stat { mount: MountId, desc: Option<DescId> },
    /// The file was opened: make a descriptor.
    Open { mount: MountId, path: Vec<u8>, flags: u32 },
    /// It is a directory: go there.
    Chdir { mount: MountId, path: Vec<u8> },
    /// The file's size is known: set the offset.
    SeekEnd { desc: DescId, delta: i64 },
    /// Entries of a directory.
    Entries { desc: DescId },
}

impl Then {
    fn desc(&self) -> Option<DescId> {
        match self {
            Then::Plain(desc) | Then::Stat { desc, .. } => *desc,
            Then::Moved { desc, .. } | Then::SeekEnd { desc, .. } | Then::Entries { desc } => Some(*desc),
            _ => None,
        }
    }
}

impl<C: Contents> Vfs<C> {
    /// Finishes `op` with the server's answer, once for every `Outcome::Remote` (also when the call was interrupted: then
    /// with that error). `to`: the program's buffer for getdents (reads went there directly).
    pub fn complete(
        &mut self,
        ctx: &Ctx,
        op: RemoteOp,
        answer: RemoteResult,
        to: Option<&mut dyn Dest>,
    ) -> Result<Completed, Errno> {
        let desc = op.then.desc();
        let result = match answer {
            Ok(reply) => self.finish(ctx, op.target, op.then, reply, to),
            Err(e) => Err(e),
        };
        if let Some(desc) = desc {
            self.drop_ref(desc);
        }
        result
    }

    fn finish(
        &mut self,
        ctx: &Ctx,
        target: Target,
        then: Then,
        reply: Reply,
        to: Option<&mut dyn Dest>,
    ) -> Result<Completed, Errno> {
        match (then, reply) {
            (Then::Moved { desc, offset }, Reply::Count(n)) => {
                if offset && let Some(desc) = self.descs.get_mut(desc) {
                    desc.offset += n as u64;
                }
                Ok(Completed::Number(n as i64))
            }
            (Then::Stat { mount, .. }, Reply::Attributes(stat)) => self.finish_stat(mount, stat),
            (Then::Open { mount, path, flags }, reply) => self.finish_open(ctx, target, (mount, path), flags, reply),
            (Then::Chdir { mount, path }, Reply::Attributes(stat)) => self.finish_chdir(ctx, mount, path, &stat),
            (Then::SeekEnd { desc, delta }, Reply::Attributes(stat)) => {
                let new = moved(stat.size, delta)?;
                self.descs.get_mut(desc).ok_or(Errno::EBADF)?.offset = new;
                Ok(Completed::Number(new as i64))
            }
            (Then::Entries { desc }, Reply::Entries(entries)) => self.finish_entries(desc, &entries, to),
            (Then::Plain(_), Reply::Done) => Ok(Completed::Number(0)),
            (Then::Plain(_), Reply::Number(n)) => Ok(Completed::Number(n)),
            (Then::Plain(_), Reply::Count(n)) => Ok(Completed::Number(n as i64)),
            (Then::Plain(_), Reply::Bytes(bytes)) => Ok(Completed::Bytes(bytes)),
            (Then::Plain(_), Reply::StatFs(statfs)) => Ok(Completed::StatFs(statfs)),
            // A server that answers something else than it was asked.
            _ => Err(Errno::EIO),
        }
    }

    fn finish_stat(&self, mount: MountId, stat: Stat) -> Result<Completed, Errno> {
        let m = self.mounts.get(mount).ok_or(Errno::ESTALE)?;
        let dev = self.supers.get(m.sb).ok_or(Errno::ESTALE)?.dev;
        Ok(Completed::Stat(Stat { dev, mount: mount.to_raw(), ..stat }))
    }

    fn finish_open(
        &mut self,
        ctx: &Ctx,
        target: Target,
        at: (MountId, Vec<u8>),
        flags: u32,
        reply: Reply,
    ) -> Result<Completed, Errno> {
        let (mount, path) = at;
        let (what, stat) = match (reply, target) {
            (Reply::Opened { file, stat }, Target::Server(server)) => (What::Remote { server, file }, stat),
            (Reply::Attributes(stat), _) if flags & sys::O_PATH != 0 => (What::Path, stat),
            _ => return Err(Errno::EIO),
        };
        let directory = FileType::of_mode(stat.mode) == Some(FileType::Directory);
        let opened = if let What::Remote { file, .. } = what { Some(file) } else { None };
        if flags & sys::O_DIRECTORY != 0 && !directory {
            self.closes.extend(opened.map(|file| RemoteOp {
                target,
                request: Request::Close { file },
                then: Then::Nothing,
            }));
            return Err(Errno::ENOTDIR);
        }
        let node = self.remotes.insert(RemoteNode { path, pins: 0, directory });
        let place = Place { mount, node: Node::Remote(node) };
        let desc = self.new_desc(place, None, flags, what)?;
        let fd = self.install(ctx, desc, flags & sys::O_CLOEXEC != 0)?;
        Ok(Completed::Number(fd.into()))
    }

    fn finish_chdir(&mut self, ctx: &Ctx, mount: MountId, path: Vec<u8>, stat: &Stat) -> Result<Completed, Errno> {
        if FileType::of_mode(stat.mode) != Some(FileType::Directory) {
            return Err(Errno::ENOTDIR);
        }
        let node = self.remotes.insert(RemoteNode { path, pins: 0, directory: true });
        self.set_cwd(ctx, Place { mount, node: Node::Remote(node) })?;
        Ok(Completed::Number(0))
    }

    fn finish_entries(
        &mut self,
        desc: DescId,
        entries: &[RemoteEntry],
        to: Option<&mut dyn Dest>,
    ) -> Result<Completed, Errno> {
        let to = to.ok_or(Errno::EFAULT)?;
        let room = to.room();
        for entry in entries {
            match give(to, entry.ino, entry.next, entry.kind, &entry.name)? {
                Given::Yes => self.descs.get_mut(desc).ok_or(Errno::EBADF)?.offset = entry.next,
                Given::Full => break,
            }
        }
        match room - to.room() {
            0 if !entries.is_empty() => Err(Errno::EINVAL),
            n => Ok(Completed::Number(n as i64)),
        }
    }
}
