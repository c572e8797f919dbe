//! Random sequences of calls on tmpfs, held against the same calls on the host's kernel: same results, same errors.
//!
//! Both sides start in a directory deep enough that no `..` leads out of it. The host's is in /dev/shm (a tmpfs) if there
//! is one.

#![allow(unreachable_pub)]

mod common;

use common::*;
use proptest::prelude::*;
use rustix::fs as host;
use rustix::io::Errno as HostErrno;
use sal_vfs::{Errno, SetTime, SliceDest, SliceSource, Stat};
use std::os::fd::OwnedFd;

const DEPTH: usize = 50;
const SLOTS: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Open { slot: usize, path: String, flags: u32, mode: u32 },
    Close { slot: usize },
    Write { slot: usize, byte: u8, len: usize },
    Read { slot: usize, len: usize },
    PWrite { slot: usize, len: usize, offset: i64 },
    PRead { slot: usize, len: usize, offset: i64 },
    Seek { slot: usize, offset: i64, whence: u32 },
    FTruncate { slot: usize, size: i64 },
    Fallocate { slot: usize, mode: u32, offset: i64, len: i64 },
    FStat { slot: usize },
    Mkdir { path: String, mode: u32 },
    Mknod { path: String, kind: u32 },
    Rmdir { path: String },
    Unlink { path: String },
    Symlink { target: String, path: String },
    Link { from: String, to: String, follow: bool },
    Rename { from: String, to: String, flags: u32 },
    Readlink { path: String },
    Truncate { path: String, size: i64 },
    Chmod { path: String, mode: u32 },
    Stat { path: String, follow: bool },
    Access { path: String, mask: u32 },
    Utimens { path: String },
    List { path: String },
    OpenAt { dir: usize, slot: usize, path: String, flags: u32 },
    MkdirAt { dir: usize, path: String },
}

/// What a call said, in a form that both sides have.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Said {
    Done,
    Number(u64),
    Bytes(Vec<u8>),
    Names(Vec<(String, u8)>),
    Stat { kind_and_mode: u32, nlink: u64, size: u64 },
    NoSlot,
    Failed(u32),
}

fn from_host<T>(result: Result<T, HostErrno>, f: impl FnOnce(T) -> Said) -> Said {
    match result {
        Ok(value) => f(value),
        Err(e) => Said::Failed(e.raw_os_error() as u32),
    }
}

fn from_ours<T>(result: Result<T, Errno>, f: impl FnOnce(T) -> Said) -> Said {
    match result {
        Ok(value) => f(value),
        Err(e) => Said::Failed(e.raw()),
    }
}

fn host_stat(s: host::Stat) -> Said {
    let dir = s.st_mode & 0o170000 == 0o040000;
    Said::Stat { kind_and_mode: s.st_mode, nlink: s.st_nlink, size: if dir { 0 } else { s.st_size as u64 } }
}

fn our_stat(s: Stat) -> Said {
    let dir = s.mode & 0o170000 == 0o040000;
    Said::Stat { kind_and_mode: s.mode, nlink: s.nlink.into(), size: if dir { 0 } else { s.size } }
}

struct Host {
    _temp: tempfile::TempDir,
    root: OwnedFd,
    slots: Vec<Option<OwnedFd>>,
}

impl Host {
    fn new() -> Host {
        let shm = std::path::Path::new("/dev/shm");
        let temp = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
        let deep = "d/".repeat(DEPTH);
        std::fs::create_dir_all(temp.path().join(&deep)).unwrap();
        let root = host::open(temp.path().join(&deep), host::OFlags::DIRECTORY, host::Mode::empty()).unwrap();
        Host { _temp: temp, root, slots: (0..SLOTS).map(|_| None).collect() }
    }

    fn with_slot(&self, slot: usize, f: impl FnOnce(&OwnedFd) -> Said) -> Said {
        self.slots[slot].as_ref().map_or(Said::NoSlot, f)
    }

    fn list(&self, path: &str) -> Result<Said, HostErrno> {
        let flags = host::OFlags::DIRECTORY | host::OFlags::RDONLY;
        let dir = host::openat(&self.root, path, flags, host::Mode::empty())?;
        let mut names: Vec<_> = host::Dir::read_from(&dir)?
            .map(|e| e.unwrap())
            .map(|e| (e.file_name().to_str().unwrap().to_owned(), e.file_type().as_raw_mode() >> 12))
            .map(|(n, k)| (n, k as u8))
            .collect();
        names.sort();
        Ok(Said::Names(names))
    }

    fn run(&mut self, op: &Op) -> Said {
        use host::*;
        let r = &self.root;
        let done = |()| Said::Done;
        match op {
            Op::Open { slot, path, flags, mode } => self.open(None, *slot, path, *flags, *mode),
            Op::OpenAt { dir, slot, path, flags } => self.open(Some(*dir), *slot, path, *flags, 0o644),
            Op::Close { slot } => self.slots[*slot].take().map_or(Said::NoSlot, |_| Said::Done),
            Op::Write { slot, byte, len } => self
                .with_slot(*slot, |f| from_host(rustix::io::write(f, &vec![*byte; *len]), |n| Said::Number(n as u64))),
            Op::Read { slot, len } => self.with_slot(*slot, |f| {
                let mut b = vec![0; *len];
                from_host(rustix::io::read(f, &mut b), |n| Said::Bytes(b[..n].to_vec()))
            }),
            Op::PWrite { slot, len, offset } => self.with_slot(*slot, |f| {
                from_host(rustix::io::pwrite(f, &vec![7; *len], *offset as u64), |n| Said::Number(n as u64))
            }),
            Op::PRead { slot, len, offset } => self.with_slot(*slot, |f| {
                let mut b = vec![0; *len];
                from_host(rustix::io::pread(f, &mut b, *offset as u64), |n| Said::Bytes(b[..n].to_vec()))
            }),
            Op::Seek { slot, offset, whence } => self.with_slot(*slot, |f| {
                let from = match whence {
                    0 => SeekFrom::Start(*offset as u64),
                    1 => SeekFrom::Current(*offset),
                    2 => SeekFrom::End(*offset),
                    3 => SeekFrom::Data(*offset as u64),
                    _ => SeekFrom::Hole(*offset as u64),
                };
                from_host(seek(f, from), Said::Number)
            }),
            Op::FTruncate { slot, size } => self.with_slot(*slot, |f| from_host(ftruncate(f, *size as u64), done)),
            Op::Fallocate { slot, mode, offset, len } => self.with_slot(*slot, |f| {
                let flags = FallocateFlags::from_bits_retain(*mode);
                from_host(fallocate(f, flags, *offset as u64, *len as u64), done)
            }),
            Op::FStat { slot } => self.with_slot(*slot, |f| from_host(fstat(f), host_stat)),
            Op::Mkdir { path, mode } => from_host(mkdirat(r, path, Mode::from_raw_mode(*mode)), done),
            Op::MkdirAt { dir, path } => {
                self.with_slot(*dir, |d| from_host(mkdirat(d, path, Mode::from_raw_mode(0o755)), done))
            }
            Op::Mknod { path, kind } => {
                let kind = FileType::from_raw_mode(*kind);
                from_host(mknodat(r, path, kind, Mode::from_raw_mode(0o640), 0), done)
            }
            Op::Rmdir { path } => from_host(unlinkat(r, path, AtFlags::REMOVEDIR), done),
            Op::Unlink { path } => from_host(unlinkat(r, path, AtFlags::empty()), done),
            Op::Symlink { target, path } => from_host(symlinkat(target, r, path), done),
            Op::Link { from, to, follow } => {
                let flags = if *follow { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                from_host(linkat(r, from, r, to, flags), done)
            }
            Op::Rename { from, to, flags } => {
                from_host(renameat_with(r, from, r, to, RenameFlags::from_bits_retain(*flags)), done)
            }
            Op::Readlink { path } => from_host(readlinkat(r, path, vec![]), |t| Said::Bytes(t.into_bytes())),
            Op::Truncate { size: ..0, .. } => Said::Failed(22),
            Op::Truncate { path, size } => {
                // rustix has no truncate by path; opening it for that has the same errors, but for FIFOs and sockets.
                let flags = OFlags::WRONLY | OFlags::NONBLOCK;
                let opened = openat(r, path, flags, Mode::empty());
                if opened.as_ref().is_err_and(|e| *e == HostErrno::NXIO) {
                    return Said::Failed(22);
                }
                from_host(opened, |f| match fstat(&f) {
                    Ok(s) if s.st_mode & 0o170000 == 0o100000 => from_host(ftruncate(&f, *size as u64), done),
                    _ => Said::Failed(22),
                })
            }
            Op::Chmod { path, mode } => from_host(chmodat(r, path, Mode::from_raw_mode(*mode), AtFlags::empty()), done),
            Op::Stat { path, follow } => {
                let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                from_host(statat(r, path, flags), host_stat)
            }
            Op::Access { path, mask } => {
                from_host(accessat(r, path, Access::from_bits_retain(*mask), AtFlags::empty()), done)
            }
            Op::Utimens { path } => {
                let t = Timespec { tv_sec: 77, tv_nsec: 5 };
                let times = Timestamps { last_access: t, last_modification: t };
                from_host(utimensat(r, path, &times, AtFlags::empty()), done)
            }
            Op::List { path } => self.list(path).unwrap_or_else(|e| Said::Failed(e.raw_os_error() as u32)),
        }
    }

    fn open(&mut self, dir: Option<usize>, slot: usize, path: &str, flags: u32, mode: u32) -> Said {
        use host::{Mode, OFlags};
        let at = match dir {
            None => &self.root,
            Some(dir) => match &self.slots[dir] {
                Some(d) => d,
                None => return Said::NoSlot,
            },
        };
        let flags = OFlags::from_bits_retain(flags | O_CLOEXEC);
        match host::openat(at, path, flags, Mode::from_raw_mode(mode)) {
            Ok(fd) => {
                self.slots[slot] = Some(fd);
                Said::Done
            }
            Err(e) => Said::Failed(e.raw_os_error() as u32),
        }
    }
}

struct Ours {
    world: World,
    slots: Vec<Option<i32>>,
}

impl Ours {
    fn new() -> Ours {
        let mut world = World::new();
        // The host's process: its rights, a root like the host's tempdir.
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        for i in 1..=DEPTH {
            world.mkdir(&"/d".repeat(i)).unwrap();
            world
                .call(|v, c| v.chown(c, AT_FDCWD, "/d".repeat(i).as_bytes(), Some(uid), Some(gid), 0))
                .map(done)
                .unwrap();
        }
        world.call(|v, c| v.chdir(c, "/d".repeat(DEPTH).as_bytes())).map(done).unwrap();
        world.cred.uid = uid;
        world.cred.gid = gid;
        Ours { world, slots: vec![None; SLOTS] }
    }

    fn with_slot(&mut self, slot: usize, f: impl FnOnce(&mut World, i32) -> Said) -> Said {
        match self.slots[slot] {
            Some(fd) => f(&mut self.world, fd),
            None => Said::NoSlot,
        }
    }

    fn run(&mut self, op: &Op) -> Said {
        let ok = |()| Said::Done;
        let w = &mut self.world;
        let at = AT_FDCWD;
        match op {
            Op::Open { slot, path, flags, mode } => self.open(None, *slot, path, *flags, *mode),
            Op::OpenAt { dir, slot, path, flags } => self.open(Some(*dir), *slot, path, *flags, 0o644),
            Op::Close { slot } => match self.slots[*slot].take() {
                Some(fd) => from_ours(w.close(fd), ok),
                None => Said::NoSlot,
            },
            Op::Write { slot, byte, len } => {
                self.with_slot(*slot, |w, fd| from_ours(w.write(fd, &vec![*byte; *len]), |n| Said::Number(n as u64)))
            }
            Op::Read { slot, len } => self.with_slot(*slot, |w, fd| from_ours(w.read(fd, *len), Said::Bytes)),
            Op::PWrite { slot, len, offset } => self.with_slot(*slot, |w, fd| {
                let bytes = vec![7; *len];
                let r = w.call(|v, c| v.pwrite(c, fd, &mut SliceSource(&bytes), *offset));
                from_ours(r, |n| Said::Number(done(n) as u64))
            }),
            Op::PRead { slot, len, offset } => self.with_slot(*slot, |w, fd| {
                let mut b = vec![0; *len];
                let r = w.call(|v, c| v.pread(c, fd, &mut SliceDest::new(&mut b), *offset));
                from_ours(r, |n| Said::Bytes(b[..done(n)].to_vec()))
            }),
            Op::Seek { slot, offset, whence } => self.with_slot(*slot, |w, fd| {
                from_ours(w.call(|v, c| v.lseek(c, fd, *offset, *whence)), |n| Said::Number(done(n)))
            }),
            Op::FTruncate { slot, size } => {
                self.with_slot(*slot, |w, fd| from_ours(w.call(|v, c| v.ftruncate(c, fd, *size)).map(done), ok))
            }
            Op::Fallocate { slot, mode, offset, len } => self.with_slot(*slot, |w, fd| {
                from_ours(w.call(|v, c| v.fallocate(c, fd, *mode, *offset, *len)).map(done), ok)
            }),
            Op::FStat { slot } => {
                self.with_slot(*slot, |w, fd| from_ours(w.call(|v, c| v.fstat(c, fd)).map(done), our_stat))
            }
            Op::Mkdir { path, mode } => from_ours(w.call(|v, c| v.mkdir(c, at, path.as_bytes(), *mode)).map(done), ok),
            Op::MkdirAt { dir, path } => self.with_slot(*dir, |w, fd| {
                from_ours(w.call(|v, c| v.mkdir(c, fd, path.as_bytes(), 0o755)).map(done), ok)
            }),
            Op::Mknod { path, kind } => {
                from_ours(w.call(|v, c| v.mknod(c, at, path.as_bytes(), kind | 0o640, 0)).map(done), ok)
            }
            Op::Rmdir { path } => from_ours(w.rmdir(path), ok),
            Op::Unlink { path } => from_ours(w.unlink(path), ok),
            Op::Symlink { target, path } => from_ours(w.symlink(target, path), ok),
            Op::Link { from, to, follow } => {
                let flags = if *follow { 0x400 } else { 0 };
                let r = w.call(|v, c| v.link(c, at, from.as_bytes(), at, to.as_bytes(), flags));
                from_ours(r.map(done), ok)
            }
            Op::Rename { from, to, flags } => from_ours(w.rename(from, to, *flags), ok),
            Op::Readlink { path } => from_ours(w.readlink(path), Said::Bytes),
            Op::Truncate { path, size } => {
                from_ours(w.call(|v, c| v.truncate(c, path.as_bytes(), *size)).map(done), ok)
            }
            Op::Chmod { path, mode } => {
                from_ours(w.call(|v, c| v.chmod(c, at, path.as_bytes(), *mode, 0)).map(done), ok)
            }
            Op::Stat { path, follow } => from_ours(w.stat(path, if *follow { 0 } else { 0x100 }), our_stat),
            Op::Access { path, mask } => {
                from_ours(w.call(|v, c| v.access(c, at, path.as_bytes(), *mask, 0)).map(done), ok)
            }
            Op::Utimens { path } => {
                let t = SetTime::At(sal_vfs::Time { sec: 77, nsec: 5 });
                from_ours(w.call(|v, c| v.utimens(c, at, path.as_bytes(), t, t, 0)).map(done), ok)
            }
            Op::List { path } => self.list(path).unwrap_or_else(|e| Said::Failed(e.raw())),
        }
    }

    fn list(&mut self, path: &str) -> Result<Said, Errno> {
        let fd = self.world.open(path, O_DIRECTORY, 0)?;
        let mut names = Vec::new();
        loop {
            let some = self.world.getdents(fd, 80)?;
            if some.is_empty() {
                break;
            }
            names.extend(some.into_iter().map(|e| (e.3, e.2)));
        }
        self.world.close(fd)?;
        names.sort();
        Ok(Said::Names(names))
    }

    fn open(&mut self, dir: Option<usize>, slot: usize, path: &str, flags: u32, mode: u32) -> Said {
        let at = match dir.map(|d| self.slots[d]) {
            None => AT_FDCWD,
            Some(Some(fd)) => fd,
            Some(None) => return Said::NoSlot,
        };
        match self.world.call(|v, c| v.open(c, at, path.as_bytes(), flags, mode)) {
            Ok(fd) => {
                if let Some(old) = self.slots[slot].replace(done(fd)) {
                    self.world.close(old).unwrap();
                }
                Said::Done
            }
            Err(e) => Said::Failed(e.raw()),
        }
    }
}

fn part() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just("a"), 8 => Just("b"), 4 => Just("c"), 1 => Just("."), 1 => Just("..")]
}

fn path() -> impl Strategy<Value = String> {
    let slash = prop_oneof![12 => Just(""), 1 => Just("/"), 1 => Just("/."), 1 => Just("//")];
    (prop::collection::vec(part(), 1..4), slash).prop_map(|(parts, slash)| parts.join("/") + slash)
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(1), Just(-1), 0i64..20000, Just(4096), Just(8192), Just(12288)]
}

fn flags() -> impl Strategy<Value = u32> {
    let access = prop_oneof![Just(0), Just(O_WRONLY), Just(O_RDWR)];
    let one = |f: u32| prop_oneof![3 => Just(0), 1 => Just(f)];
    let create = prop_oneof![2 => Just(0), 2 => Just(O_CREAT), 1 => Just(O_CREAT | O_EXCL)];
    // Without O_NONBLOCK a FIFO would wait.
    (
        access,
        create,
        one(O_TRUNC),
        one(O_APPEND),
        one(O_DIRECTORY),
        one(O_NOFOLLOW),
        prop_oneof![9 => Just(0), 1 => Just(O_PATH)],
    )
        .prop_map(|(a, b, c, d, e, f, g)| a | b | c | d | e | f | g | O_NONBLOCK)
        // Kernels differ here: ours is as those from 6.4 on.
        .prop_map(|f| if f & O_CREAT != 0 { f & !O_DIRECTORY } else { f })
}

fn op() -> impl Strategy<Value = Op> {
    let slot = || 0..SLOTS;
    let len = || prop_oneof![0usize..10, 4000usize..9000];
    prop_oneof![
        6 => (slot(), path(), flags(), prop_oneof![Just(0o644), Just(0o4755), Just(0)])
            .prop_map(|(slot, path, flags, mode)| Op::Open { slot, path, flags, mode }),
        1 => slot().prop_map(|slot| Op::Close { slot }),
        3 => (slot(), any::<u8>(), len()).prop_map(|(slot, byte, len)| Op::Write { slot, byte, len }),
        2 => (slot(), len()).prop_map(|(slot, len)| Op::Read { slot, len }),
        2 => (slot(), len(), offset()).prop_map(|(slot, len, offset)| Op::PWrite { slot, len, offset }),
        2 => (slot(), len(), offset()).prop_map(|(slot, len, offset)| Op::PRead { slot, len, offset }),
        3 => (slot(), offset(), 0u32..5).prop_map(|(slot, offset, whence)| Op::Seek { slot, offset, whence }),
        2 => (slot(), offset()).prop_map(|(slot, size)| Op::FTruncate { slot, size }),
        2 => (slot(), 0u32..4, offset(), offset())
            .prop_map(|(slot, mode, offset, len)| Op::Fallocate { slot, mode, offset, len }),
        2 => slot().prop_map(|slot| Op::FStat { slot }),
        6 => (path(), prop_oneof![Just(0o755), Just(0o1777), Just(0o700)])
            .prop_map(|(path, mode)| Op::Mkdir { path, mode }),
        1 => (path(), prop_oneof![Just(0o010000), Just(0o140000), Just(0o100000)])
            .prop_map(|(path, kind)| Op::Mknod { path, kind }),
        2 => path().prop_map(|path| Op::Rmdir { path }),
        2 => path().prop_map(|path| Op::Unlink { path }),
        3 => (path(), path()).prop_map(|(target, path)| Op::Symlink { target, path }),
        3 => (path(), path(), any::<bool>()).prop_map(|(from, to, follow)| Op::Link { from, to, follow }),
        6 => (path(), path(), prop_oneof![3 => Just(0), 1 => Just(1), 1 => Just(2), 1 => Just(3)])
            .prop_map(|(from, to, flags)| Op::Rename { from, to, flags }),
        1 => path().prop_map(|path| Op::Readlink { path }),
        1 => (path(), offset()).prop_map(|(path, size)| Op::Truncate { path, size }),
        1 => (path(), 0u32..0o10000).prop_map(|(path, mode)| Op::Chmod { path, mode }),
        4 => (path(), any::<bool>()).prop_map(|(path, follow)| Op::Stat { path, follow }),
        1 => (path(), 0u32..8).prop_map(|(path, mask)| Op::Access { path, mask }),
        1 => path().prop_map(|path| Op::Utimens { path }),
        3 => path().prop_map(|path| Op::List { path }),
        2 => (slot(), slot(), path(), flags())
            .prop_map(|(dir, slot, path, flags)| Op::OpenAt { dir, slot, path, flags }),
        1 => (slot(), path()).prop_map(|(dir, path)| Op::MkdirAt { dir, path }),
    ]
}

/// `std` has no umask; the host's is set once through rustix, for this test's process alone.
fn no_umask() {
    rustix::process::umask(host::Mode::empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn same_as_the_host(ops in prop::collection::vec(op(), 1..60)) {
        no_umask();
        let (mut host, mut ours) = (Host::new(), Ours::new());
        // Whether reserved pages are data or a hole, file systems disagree on: not asked once there are some.
        let mut reserved = false;
        for (i, op) in ops.iter().enumerate() {
            reserved |= matches!(op, Op::Fallocate { mode, .. } if mode & 2 == 0);
            if reserved && matches!(op, Op::Seek { whence: 3.., .. }) {
                continue;
            }
            let theirs = host.run(op);
            let said = ours.run(op);
            prop_assert_eq!(&said, &theirs, "call {} of {:#?}", i, &ops[..=i]);
        }
    }
}
