//! The fixed tree of /proc: names, rights, links.
//!
//! A node is a small value; its name, parent, type and inode number follow from it, so nothing of /proc is stored. A
//! process's nodes vanish with the process: every use asks [`crate::ProcSource`] anew.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::node::{FileType, Place};
use crate::procfs::{ProcFile, ProcOwner};
use crate::tmpfs::permits;
use crate::types::{Ctx, Fd, Stat};
use crate::vfs::Vfs;
use alloc::format;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use rustc_hash::FxHasher;

/// A node of /proc. Indices are positions in `SYSTEM` and `TASK`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum ProcNode {
    /// /proc
    Root,
    /// A file or directory that belongs to no process.
    System(u16),
    /// /proc/self
    SelfLink,
    /// /proc/thread-self
    ThreadSelf,
    /// /proc/mounts
    MountsLink,
    /// /proc/PID
    Process(u32),
    /// /proc/PID/task
    Tasks(u32),
    /// /proc/PID/task/TID
    Task(u32, u32),
    /// /proc/PID/NAME; the thread is the process unless it was reached through `task`.
    TaskFile { pid: u32, tid: u32, file: u8 },
    /// /proc/PID/exe, cwd, root
    TaskLink { pid: u32, link: TaskLink },
    /// /proc/PID/fd
    Fds(u32),
    /// /proc/PID/fd/N
    FdLink(u32, Fd),
}

/// The links of a process that lead to a place itself, not to a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum TaskLink {
    Exe,
    Cwd,
    Root,
}

/// Where a link goes.
pub(crate) enum Link {
    /// On with these bytes.
    Text(Vec<u8>),
    /// There, whatever its name is.
    Place(Place),
}

/// Path below /proc and permission bits; a directory's end with a slash.
const SYSTEM: &[(&str, u32)] = &[
    ("cmdline", 0o444),
    ("cpuinfo", 0o444),
    ("devices", 0o444),
    ("filesystems", 0o444),
    ("interrupts", 0o444),
    ("loadavg", 0o444),
    ("meminfo", 0o444),
    ("net/", 0o555),
    ("net/dev", 0o444),
    ("net/route", 0o444),
    ("net/tcp", 0o444),
    ("net/udp", 0o444),
    ("net/unix", 0o444),
    ("partitions", 0o444),
    ("stat", 0o444),
    ("swaps", 0o444),
    ("sys/", 0o555),
    ("sys/fs/", 0o555),
    ("sys/fs/file-max", 0o444),
    ("sys/fs/file-nr", 0o444),
    ("sys/fs/nr_open", 0o444),
    ("sys/fs/pipe-max-size", 0o444),
    ("sys/kernel/", 0o555),
    ("sys/kernel/domainname", 0o444),
    ("sys/kernel/hostname", 0o444),
    ("sys/kernel/ngroups_max", 0o444),
    ("sys/kernel/osrelease", 0o444),
    ("sys/kernel/ostype", 0o444),
    ("sys/kernel/pid_max", 0o444),
    ("sys/kernel/random/", 0o555),
    ("sys/kernel/random/boot_id", 0o444),
    ("sys/kernel/random/uuid", 0o444),
    ("sys/kernel/threads-max", 0o444),
    ("sys/kernel/version", 0o444),
    ("sys/vm/", 0o555),
    ("sys/vm/overcommit_memory", 0o444),
    ("uptime", 0o444),
    ("version", 0o444),
    ("vmstat", 0o444),
];

/// Files of a process (and of each thread) and their permission bits.
const TASK: &[(&str, u32)] = &[
    ("auxv", 0o400),
    ("cgroup", 0o444),
    ("cmdline", 0o444),
    ("comm", 0o444),
    ("environ", 0o400),
    ("io", 0o400),
    ("limits", 0o444),
    ("maps", 0o444),
    ("mountinfo", 0o444),
    ("mounts", 0o444),
    ("oom_score", 0o444),
    ("oom_score_adj", 0o444),
    ("smaps", 0o444),
    ("stat", 0o444),
    ("statm", 0o444),
    ("status", 0o444),
    ("wchan", 0o444),
];

const LINKS: &[(&str, TaskLink)] = &[("cwd", TaskLink::Cwd), ("exe", TaskLink::Exe), ("root", TaskLink::Root)];

/// Cookies of the listing of /proc itself: processes come behind everything fixed, in the order of their ids.
const PID_COOKIES: u64 = 1 << 20;

impl ProcNode {
    pub(crate) fn is_dir(self) -> bool {
        self.kind() == FileType::Directory
    }

    pub(crate) fn kind(self) -> FileType {
        match self {
            ProcNode::Root | ProcNode::Process(_) | ProcNode::Tasks(_) | ProcNode::Task(..) | ProcNode::Fds(_) => {
                FileType::Directory
            }
            ProcNode::System(i) if system(i).0.ends_with('/') => FileType::Directory,
            ProcNode::System(_) | ProcNode::TaskFile { .. } => FileType::Regular,
            _ => FileType::Symlink,
        }
    }

    pub(crate) fn parent(self) -> ProcNode {
        match self {
            ProcNode::System(i) => {
                let path = system(i).0.trim_end_matches('/');
                let end = path.rfind('/').map_or(0, |p| p + 1);
                let parent = path.get(..end).unwrap_or("");
                SYSTEM.iter().position(|s| s.0 == parent).map_or(ProcNode::Root, |p| ProcNode::System(p as u16))
            }
            ProcNode::Tasks(pid) | ProcNode::Fds(pid) | ProcNode::TaskLink { pid, .. } => ProcNode::Process(pid),
            ProcNode::TaskFile { pid, .. } => ProcNode::Process(pid),
            ProcNode::Task(pid, _) => ProcNode::Tasks(pid),
            ProcNode::FdLink(pid, _) => ProcNode::Fds(pid),
            _ => ProcNode::Root,
        }
    }

    /// The same number for the same node, always.
    pub(crate) fn ino(self) -> u64 {
        let mut hasher = FxHasher::default();
        self.hash(&mut hasher);
        match self {
            ProcNode::Root => 1,
            _ => (hasher.finish() >> 16) | 2,
        }
    }

    fn pid(self) -> Option<u32> {
        match self {
            ProcNode::Process(pid) | ProcNode::Tasks(pid) | ProcNode::Task(pid, _) => Some(pid),
            ProcNode::TaskFile { pid, .. } | ProcNode::TaskLink { pid, .. } => Some(pid),
            ProcNode::Fds(pid) | ProcNode::FdLink(pid, _) => Some(pid),
            _ => None,
        }
    }

    fn perm(self) -> u32 {
        match self {
            ProcNode::System(i) => system(i).1,
            ProcNode::TaskFile { file, .. } => TASK.get(file as usize).map_or(0, |f| f.1),
            ProcNode::Fds(_) => 0o500,
            _ if self.is_dir() => 0o555,
            _ => 0o777,
        }
    }

    /// Its name in its parent.
    pub(crate) fn name(self) -> Vec<u8> {
        let text = match self {
            ProcNode::Root => "",
            ProcNode::System(i) => system(i).0.trim_end_matches('/').rsplit('/').next().unwrap_or(""),
            ProcNode::SelfLink => "self",
            ProcNode::ThreadSelf => "thread-self",
            ProcNode::MountsLink => "mounts",
            ProcNode::Tasks(_) => "task",
            ProcNode::Fds(_) => "fd",
            ProcNode::TaskFile { file, .. } => TASK.get(file as usize).map_or("", |f| f.0),
            ProcNode::TaskLink { link, .. } => LINKS.iter().find(|l| l.1 == link).map_or("", |l| l.0),
            ProcNode::Process(n) | ProcNode::Task(_, n) => return format!("{n}").into_bytes(),
            ProcNode::FdLink(_, fd) => return format!("{fd}").into_bytes(),
        };
        text.as_bytes().to_vec()
    }

    /// What to render; `None` if it is no file.
    pub(crate) fn file(self) -> Option<ProcFile> {
        match self {
            ProcNode::System(i) => Some(ProcFile::System(system(i).0)),
            ProcNode::TaskFile { pid, tid, file } => {
                Some(ProcFile::Task { pid, tid, name: TASK.get(file as usize)?.0 })
            }
            _ => None,
        }
    }
}

fn system(index: u16) -> (&'static str, u32) {
    SYSTEM.get(index as usize).copied().unwrap_or(("", 0))
}

/// A decimal number as /proc writes it: no sign, no leading zero.
fn number(name: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(name).ok()?;
    if text.starts_with('+') || (text.starts_with('0') && text.len() > 1) {
        return None;
    }
    text.parse().ok()
}

/// The child of a fixed directory: `prefix` is its path with a slash, or empty.
fn system_child(prefix: &str, name: &[u8]) -> Option<ProcNode> {
    let is = |path: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.trim_end_matches('/').as_bytes() == name && !rest.is_empty())
    };
    SYSTEM.iter().position(|s| is(s.0)).map(|p| ProcNode::System(p as u16))
}

fn task_child(pid: u32, tid: u32, name: &[u8]) -> Option<ProcNode> {
    if let Some(file) = TASK.iter().position(|f| f.0.as_bytes() == name) {
        return Some(ProcNode::TaskFile { pid, tid, file: file as u8 });
    }
    if name == b"fd" {
        return Some(ProcNode::Fds(pid));
    }
    LINKS.iter().find(|l| l.0.as_bytes() == name).map(|l| ProcNode::TaskLink { pid, link: l.1 })
}

impl<C: Contents> Vfs<C> {
    /// The node of that name in a directory of /proc.
    pub(crate) fn proc_lookup(&self, ctx: &Ctx, dir: ProcNode, name: &[u8]) -> Option<ProcNode> {
        match dir {
            ProcNode::Root => match name {
                b"self" => Some(ProcNode::SelfLink),
                b"thread-self" => Some(ProcNode::ThreadSelf),
                b"mounts" => Some(ProcNode::MountsLink),
                _ => match number(name) {
                    Some(pid) => ctx.proc.owner(pid).map(|_| ProcNode::Process(pid)),
                    None => system_child("", name),
                },
            },
            ProcNode::System(i) => system_child(system(i).0, name),
            ProcNode::Process(pid) => {
                ctx.proc.owner(pid)?;
                if name == b"task" { Some(ProcNode::Tasks(pid)) } else { task_child(pid, pid, name) }
            }
            ProcNode::Tasks(pid) => {
                let tid = number(name)?;
                (tid > 0 && ctx.proc.next_tid(pid, tid - 1) == Some(tid)).then_some(ProcNode::Task(pid, tid))
            }
            ProcNode::Task(pid, tid) => task_child(pid, tid, name),
            ProcNode::Fds(pid) => {
                let fd = Fd::try_from(number(name)?).ok()?;
                let table = self.tables.get(ctx.proc.owner(pid)?.files?)?;
                table.get(fd).ok().map(|_| ProcNode::FdLink(pid, fd))
            }
            _ => None,
        }
    }

    fn proc_owner(&self, ctx: &Ctx, node: ProcNode) -> Result<Option<ProcOwner>, Errno> {
        match node.pid() {
            Some(pid) => ctx.proc.owner(pid).map(Some).ok_or(Errno::ESRCH),
            None => Ok(None),
        }
    }

    /// The permission check for a node of /proc.
    pub(crate) fn proc_permits(&self, ctx: &Ctx, node: ProcNode, mask: u32) -> Result<bool, Errno> {
        let (uid, gid) = self.proc_owner(ctx, node)?.map_or((0, 0), |o| (o.uid, o.gid));
        let mode = node.kind().bits() | node.perm();
        Ok(permits(ctx.cred, mask, mode, uid, gid))
    }

    /// Attributes of a node of /proc.
    pub(crate) fn proc_stat(&self, ctx: &Ctx, place: Place, node: ProcNode) -> Result<Stat, Errno> {
        let (uid, gid) = self.proc_owner(ctx, node)?.map_or((0, 0), |o| (o.uid, o.gid));
        Ok(Stat {
            dev: self.super_of(place)?.dev,
            ino: node.ino(),
            mode: node.kind().bits() | node.perm(),
            nlink: if node.is_dir() { 2 } else { 1 },
            uid,
            gid,
            blksize: 1024,
            atime: ctx.now(),
            mtime: ctx.now(),
            ctime: ctx.now(),
            btime: ctx.now(),
            mount: place.mount.to_raw(),
            ..Stat::default()
        })
    }

    /// Where a link of /proc goes; `None` if the node is no link.
    pub(crate) fn proc_link(&self, ctx: &Ctx, node: ProcNode) -> Result<Option<Link>, Errno> {
        Ok(Some(match node {
            ProcNode::SelfLink => Link::Text(format!("{}", ctx.pid).into_bytes()),
            ProcNode::ThreadSelf => Link::Text(format!("{}/task/{}", ctx.pid, ctx.tid).into_bytes()),
            ProcNode::MountsLink => Link::Text(b"self/mounts".to_vec()),
            ProcNode::TaskLink { .. } | ProcNode::FdLink(..) => Link::Place(self.magic_link(ctx, node)?),
            _ => return Ok(None),
        }))
    }

    /// The place that a magic link means; only the owner and root may look.
    fn magic_link(&self, ctx: &Ctx, node: ProcNode) -> Result<Place, Errno> {
        let owner = self.proc_owner(ctx, node)?.ok_or(Errno::ENOENT)?;
        if ctx.cred.uid != 0 && ctx.cred.uid != owner.uid {
            return Err(Errno::EACCES);
        }
        let fs = owner.fs.and_then(|id| self.contexts.get(id));
        match node {
            ProcNode::TaskLink { link: TaskLink::Exe, .. } => owner.exe,
            ProcNode::TaskLink { link: TaskLink::Cwd, .. } => fs.map(|f| f.cwd),
            ProcNode::TaskLink { link: TaskLink::Root, .. } => fs.map(|f| f.root),
            ProcNode::FdLink(_, fd) => {
                let table = owner.files.and_then(|id| self.tables.get(id)).ok_or(Errno::ENOENT)?;
                let entry = table.get(fd).map_err(|_| Errno::ENOENT)?;
                self.descs.get(entry.desc).map(|d| d.place)
            }
            _ => None,
        }
        .ok_or(Errno::ENOENT)
    }

    /// What readlink says of a link of /proc.
    pub(crate) fn proc_readlink(&self, ctx: &Ctx, node: ProcNode) -> Result<Vec<u8>, Errno> {
        match (self.proc_link(ctx, node)?, node) {
            (Some(Link::Text(text)), _) => Ok(text),
            (Some(Link::Place(_)), ProcNode::FdLink(pid, fd)) => {
                let files = ctx.proc.owner(pid).and_then(|o| o.files).ok_or(Errno::ENOENT)?;
                self.fd_path(ctx, files, fd)
            }
            (Some(Link::Place(place)), _) => self.path_of(ctx, place),
            (None, _) => Err(Errno::EINVAL),
        }
    }

    /// The bytes of a file of /proc. Mounts are known here; the rest is asked for.
    pub(crate) fn proc_render(&self, ctx: &Ctx, file: ProcFile, out: &mut Vec<u8>) -> Result<(), Errno> {
        match file {
            ProcFile::System("filesystems") => {
                out.extend_from_slice(b"nodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tproc\n");
                Ok(())
            }
            ProcFile::Task { pid, name: "mounts", .. } => self.render_mounts(ctx, pid, out),
            ProcFile::Task { pid, name: "mountinfo", .. } => self.render_mountinfo(ctx, pid, out),
            _ => ctx.proc.render(file, out),
        }
    }

    /// The first entry of a directory of /proc behind `cookie`: cookie, node, name.
    pub(crate) fn proc_entry(
        &self,
        ctx: &Ctx,
        dir: ProcNode,
        cookie: u64,
    ) -> Result<Option<(u64, ProcNode, Vec<u8>)>, Errno> {
        let owner = self.proc_owner(ctx, dir)?;
        let number = |n: u64| format!("{n}").into_bytes();
        Ok(match dir {
            ProcNode::Root => fixed_root_entry(cookie).or_else(|| {
                let pid = ctx.proc.next_pid(cookie.saturating_sub(PID_COOKIES) as u32)?;
                Some((PID_COOKIES + u64::from(pid), ProcNode::Process(pid), number(pid.into())))
            }),
            ProcNode::System(i) => system_entry(system(i).0, cookie),
            ProcNode::Process(pid) => task_entry(pid, pid, Some("task"), cookie),
            ProcNode::Task(pid, tid) => task_entry(pid, tid, None, cookie),
            ProcNode::Tasks(pid) => ctx
                .proc
                .next_tid(pid, cookie.saturating_sub(2) as u32)
                .map(|tid| (u64::from(tid) + 2, ProcNode::Task(pid, tid), number(tid.into()))),
            ProcNode::Fds(pid) => owner
                .and_then(|o| self.tables.get(o.files?))
                .and_then(|t| t.iter_from(cookie.saturating_sub(2) as usize).next())
                .map(|(fd, _)| (fd as u64 + 3, ProcNode::FdLink(pid, fd), number(fd as u64))),
            _ => return Err(Errno::ENOTDIR),
        })
    }
}

type ProcEntry = Option<(u64, ProcNode, Vec<u8>)>;

/// Cookies behind `.` (1) and `..` (2).
fn nth(cookie: u64) -> usize {
    cookie.saturating_sub(2) as usize
}

fn fixed_root_entry(cookie: u64) -> ProcEntry {
    const LINKS: [(&str, ProcNode); 3] =
        [("self", ProcNode::SelfLink), ("thread-self", ProcNode::ThreadSelf), ("mounts", ProcNode::MountsLink)];
    if let Some((name, node)) = LINKS.get(nth(cookie)) {
        return Some((cookie.max(2) + 1, *node, name.as_bytes().to_vec()));
    }
    let shift = LINKS.len() as u64;
    system_entry("", cookie.saturating_sub(shift)).map(|(c, node, name)| (c + shift, node, name))
}

fn system_entry(prefix: &str, cookie: u64) -> ProcEntry {
    let mut index = nth(cookie);
    loop {
        let path = SYSTEM.get(index)?.0;
        if let Some(rest) = path.strip_prefix(prefix) {
            let name = rest.trim_end_matches('/');
            if !name.is_empty() && !name.contains('/') {
                return Some((index as u64 + 3, ProcNode::System(index as u16), name.as_bytes().to_vec()));
            }
        }
        index += 1;
    }
}

/// `threads`: the name of the directory of threads, which only a process has.
fn task_entry(pid: u32, tid: u32, threads: Option<&'static str>, cookie: u64) -> ProcEntry {
    let index = nth(cookie);
    let extra = index.checked_sub(TASK.len());
    let (node, name) = match extra {
        None => (ProcNode::TaskFile { pid, tid, file: index as u8 }, TASK.get(index)?.0),
        Some(0) => (ProcNode::Fds(pid), "fd"),
        Some(n @ 1..=3) => {
            let (name, link) = LINKS.get(n - 1)?;
            (ProcNode::TaskLink { pid, link: *link }, *name)
        }
        Some(4) => (ProcNode::Tasks(pid), threads?),
        _ => return None,
    };
    Some((index as u64 + 3, node, name.as_bytes().to_vec()))
}
