//! What the tests share: a world with one process, and short calls.
#![allow(dead_code)]

use sal_vfs::*;

pub const AT_FDCWD: Fd = -100;

/// A file system, and one process in it.
pub struct World {
    pub vfs: Vfs<HeapContents>,
    pub cred: Cred,
    pub fs: FsContextId,
    pub files: TableId,
    pub pid: u32,
    pub tid: u32,
    pub nofile: u32,
    pub fsize: u64,
    pub clock: i64,
}

impl World {
    pub fn new() -> World {
        World::with_pages(1 << 16)
    }

    pub fn with_pages(pages: u64) -> World {
        let mut vfs = Vfs::new(HeapContents::new(pages), Time { sec: 1, nsec: 0 }).expect("a root");
        let fs = vfs.fs_new().expect("a context");
        let files = vfs.table_new();
        vfs.umask(fs, 0);
        World { vfs, cred: Cred::root(), fs, files, pid: 1, tid: 1, nofile: 1024, fsize: u64::MAX, clock: 1 }
    }

    /// Makes one call; the clock moves a second each time.
    pub fn call<T>(&mut self, f: impl FnOnce(&mut Vfs<HeapContents>, &Ctx) -> T) -> T {
        self.clock += 1;
        let now = Time { sec: self.clock, nsec: 5 };
        let ctx = Ctx {
            cred: &self.cred,
            fs: self.fs,
            files: self.files,
            clock: &now,
            nofile: self.nofile,
            fsize: self.fsize,
            pid: self.pid,
            tid: self.tid,
            proc: &NoProcesses,
        };
        f(&mut self.vfs, &ctx)
    }

    pub fn open(&mut self, path: &str, flags: u32, mode: u32) -> Result<Fd, Errno> {
        self.call(|v, c| v.open(c, AT_FDCWD, path.as_bytes(), flags, mode)).map(done)
    }

    pub fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        self.call(|v, c| v.close(c, fd))
    }

    pub fn mkdir(&mut self, path: &str) -> Result<(), Errno> {
        self.call(|v, c| v.mkdir(c, AT_FDCWD, path.as_bytes(), 0o777)).map(done)
    }

    pub fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        self.call(|v, c| v.unlink(c, AT_FDCWD, path.as_bytes(), 0)).map(done)
    }

    pub fn rmdir(&mut self, path: &str) -> Result<(), Errno> {
        self.call(|v, c| v.unlink(c, AT_FDCWD, path.as_bytes(), 0x200)).map(done)
    }

    pub fn symlink(&mut self, target: &str, path: &str) -> Result<(), Errno> {
        self.call(|v, c| v.symlink(c, target.as_bytes(), AT_FDCWD, path.as_bytes())).map(done)
    }

    pub fn rename(&mut self, from: &str, to: &str, flags: u32) -> Result<(), Errno> {
        self.call(|v, c| v.rename(c, AT_FDCWD, from.as_bytes(), AT_FDCWD, to.as_bytes(), flags)).map(done)
    }

    pub fn stat(&mut self, path: &str, flags: u32) -> Result<Stat, Errno> {
        self.call(|v, c| v.stat(c, AT_FDCWD, path.as_bytes(), flags)).map(done)
    }

    pub fn readlink(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        self.call(|v, c| v.readlink(c, AT_FDCWD, path.as_bytes())).map(done)
    }

    pub fn try_write(&mut self, fd: Fd, bytes: &[u8]) -> Try {
        self.call(|v, c| v.write(c, fd, &mut SliceSource(bytes), &mut Progress::default()))
    }

    pub fn write(&mut self, fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
        self.try_write(fd, bytes).map(done)
    }

    pub fn try_read(&mut self, fd: Fd, buffer: &mut [u8]) -> Try {
        self.call(|v, c| v.read(c, fd, &mut SliceDest::new(buffer)))
    }

    pub fn read(&mut self, fd: Fd, len: usize) -> Result<Vec<u8>, Errno> {
        let mut buffer = vec![0; len];
        let n = done(self.try_read(fd, &mut buffer)?);
        buffer.truncate(n);
        Ok(buffer)
    }

    pub fn put(&mut self, path: &str, bytes: &[u8]) {
        let fd = self.open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o644).expect("created");
        assert_eq!(self.write(fd, bytes), Ok(bytes.len()));
        self.close(fd).expect("closed");
    }

    pub fn get(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.open(path, 0, 0)?;
        let bytes = self.read(fd, 1 << 20);
        self.close(fd)?;
        bytes
    }

    /// One getdents64 with a buffer of this size: inode, cookie, type, name.
    pub fn getdents(&mut self, fd: Fd, len: usize) -> Result<Vec<(u64, u64, u8, String)>, Errno> {
        let mut buffer = vec![0; len];
        let n = done(self.call(|v, c| v.getdents(c, fd, &mut SliceDest::new(&mut buffer)))?);
        Ok(parse_dents(&buffer[..n]))
    }

    /// All names of a directory but `.` and `..`, sorted.
    pub fn names(&mut self, path: &str) -> Result<Vec<String>, Errno> {
        let fd = self.open(path, O_DIRECTORY, 0)?;
        let mut names = Vec::new();
        loop {
            let some = self.getdents(fd, 512)?;
            if some.is_empty() {
                break;
            }
            names.extend(some.into_iter().map(|e| e.3).filter(|n| n != "." && n != ".."));
        }
        self.close(fd)?;
        names.sort();
        Ok(names)
    }

    pub fn pipe(&mut self, flags: u32) -> (Fd, Fd) {
        self.call(|v, c| v.pipe(c, flags)).expect("a pipe")
    }
}

pub const O_WRONLY: u32 = 1;
pub const O_RDWR: u32 = 2;
pub const O_CREAT: u32 = 0o100;
pub const O_EXCL: u32 = 0o200;
pub const O_TRUNC: u32 = 0o1000;
pub const O_APPEND: u32 = 0o2000;
pub const O_NONBLOCK: u32 = 0o4000;
pub const O_DIRECTORY: u32 = 0o200000;
pub const O_NOFOLLOW: u32 = 0o400000;
pub const O_CLOEXEC: u32 = 0o2000000;
pub const O_PATH: u32 = 0o10000000;
pub const O_TMPFILE: u32 = 0o20200000;

/// The result of a call that has nothing to wait for.
#[track_caller]
pub fn done<T: std::fmt::Debug>(outcome: Outcome<T>) -> T {
    match outcome {
        Outcome::Done(value) => value,
        other => panic!("not done: {other:?}"),
    }
}

pub fn parse_dents(mut bytes: &[u8]) -> Vec<(u64, u64, u8, String)> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let len = u16::from_ne_bytes(bytes[16..18].try_into().unwrap()) as usize;
        let name = bytes[19..len].split(|b| *b == 0).next().unwrap();
        entries.push((word(0), word(8), bytes[18], String::from_utf8(name.to_vec()).unwrap()));
        bytes = &bytes[len..];
    }
    entries
}
