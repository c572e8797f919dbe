//! What the host's kernel can't be asked for in a test: rights of other users, mounts, /proc, /dev, servers, locks, and
//! descriptors.

#![allow(unreachable_pub)]

mod common;

use common::*;
use sal_vfs::*;

/// Two processes, 1 and 42; 42 has the world's table and context.
struct Procs {
    files: TableId,
    fs: FsContextId,
}

impl ProcSource for Procs {
    fn next_pid(&self, after: u32) -> Option<u32> {
        [1, 42].into_iter().find(|p| *p > after)
    }
    fn next_tid(&self, pid: u32, after: u32) -> Option<u32> {
        (pid > after).then_some(pid)
    }
    fn owner(&self, pid: u32) -> Option<ProcOwner> {
        let live = pid == 42;
        [1, 42].contains(&pid).then(|| ProcOwner {
            uid: 5,
            gid: 5,
            files: live.then_some(self.files),
            fs: live.then_some(self.fs),
            exe: None,
        })
    }
    fn render(&self, file: ProcFile, out: &mut Vec<u8>) -> Result<(), Errno> {
        out.extend_from_slice(format!("{file:?}").as_bytes());
        Ok(())
    }
}

/// A call by process 42 with a /proc.
fn with_procs<T>(w: &mut World, f: impl FnOnce(&mut Vfs<HeapContents>, &Ctx) -> T) -> T {
    let procs = Procs { files: w.files, fs: w.fs };
    w.call(|v, c| f(v, &Ctx { pid: 42, tid: 42, proc: &procs, ..*c }))
}

fn mount(w: &mut World, path: &str, kind: MountKind) {
    w.mkdir(path).unwrap();
    w.call(|v, c| v.mount(c, b"none", path.as_bytes(), kind)).map(done).unwrap();
}

fn as_user<T>(w: &mut World, uid: u32, f: impl FnOnce(&mut World) -> T) -> T {
    let old = std::mem::replace(&mut w.cred, Cred { uid, gid: uid, groups: vec![100] });
    let result = f(w);
    w.cred = old;
    result
}

fn chmod(w: &mut World, path: &str, mode: u32) -> Result<(), Errno> {
    w.call(|v, c| v.chmod(c, AT_FDCWD, path.as_bytes(), mode, 0)).map(done)
}

fn chown(w: &mut World, path: &str, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
    w.call(|v, c| v.chown(c, AT_FDCWD, path.as_bytes(), uid, gid, 0)).map(done)
}

#[test]
fn rights_of_users() {
    let mut w = World::new();
    w.put("/f", b"x");
    chown(&mut w, "/f", Some(7), Some(100)).unwrap();
    // Mode, user 7 (owner), user 8 (group 100), each: may read, may write.
    for (mode, owner, group) in [(0o640, (true, true), (true, false)), (0o046, (false, false), (true, false))] {
        chmod(&mut w, "/f", mode).unwrap();
        for (uid, (r, wr)) in [(7, owner), (8, group)] {
            as_user(&mut w, uid, |w| {
                assert_eq!(w.open("/f", 0, 0).is_ok(), r, "{mode:o} {uid}");
                assert_eq!(w.open("/f", O_WRONLY, 0).is_ok(), wr, "{mode:o} {uid}");
            });
        }
    }
    as_user(&mut w, 8, |w| {
        assert_eq!(chmod(w, "/f", 0o777), Err(Errno::EPERM));
        assert_eq!(chown(w, "/f", Some(8), None), Err(Errno::EPERM));
        assert_eq!(w.mkdir("/d"), Err(Errno::EACCES));
        assert_eq!(w.unlink("/f"), Err(Errno::EACCES));
    });
    as_user(&mut w, 7, |w| {
        assert_eq!(chown(w, "/f", Some(7), Some(100)), Ok(()));
        assert_eq!(chown(w, "/f", None, Some(9)), Err(Errno::EPERM));
    });
}

#[test]
fn sticky_and_set_id() {
    let mut w = World::new();
    w.mkdir("/tmp").unwrap();
    chmod(&mut w, "/tmp", 0o1777).unwrap();
    as_user(&mut w, 7, |w| w.put("/tmp/f", b"x"));
    as_user(&mut w, 8, |w| {
        assert_eq!(w.unlink("/tmp/f"), Err(Errno::EPERM));
        assert_eq!(w.rename("/tmp/f", "/tmp/g", 0), Err(Errno::EPERM));
    });
    as_user(&mut w, 7, |w| {
        chmod(w, "/tmp/f", 0o4755).unwrap();
        let fd = w.open("/tmp/f", O_WRONLY, 0).unwrap();
        w.write(fd, b"y").unwrap();
        assert_eq!(w.stat("/tmp/f", 0).unwrap().mode, 0o100755);
        assert_eq!(w.unlink("/tmp/f"), Ok(()));
    });
    w.mkdir("/g").unwrap();
    chown(&mut w, "/g", None, Some(55)).unwrap();
    chmod(&mut w, "/g", 0o2777).unwrap();
    w.mkdir("/g/d").unwrap();
    let s = w.stat("/g/d", 0).unwrap();
    assert_eq!((s.gid, s.mode), (55, 0o042777));
}

#[test]
fn an_unlinked_file_lives_while_it_is_open_and_its_pages_come_back() {
    let mut w = World::with_pages(100);
    let free = |w: &mut World| w.vfs.contents().capacity().free;
    let fd = w.open("/f", O_CREAT | O_RDWR, 0o600).unwrap();
    w.write(fd, &[1; 10000]).unwrap();
    w.unlink("/f").unwrap();
    assert_eq!(w.call(|v, c| v.fstat(c, fd)).map(done).unwrap().nlink, 0);
    assert_eq!(w.call(|v, c| v.lseek(c, fd, 0, 0)).map(done), Ok(0));
    assert_eq!(w.read(fd, 20000).unwrap().len(), 10000);
    assert_eq!(free(&mut w), 97);
    let MapTarget::Contents { place } = w.call(|v, c| v.map_target(c, fd, 1, false)).unwrap() else { panic!() };
    w.close(fd).unwrap();
    assert_eq!(free(&mut w), 97);
    w.vfs.unpin(place);
    assert_eq!(free(&mut w), 100);
}

#[test]
fn a_full_file_system_takes_what_fits() {
    let mut w = World::with_pages(2);
    let fd = w.open("/f", O_CREAT | O_RDWR, 0o600).unwrap();
    assert_eq!(w.write(fd, &[1; 10000]), Ok(8192));
    assert_eq!(w.write(fd, &[1; 1]), Err(Errno::ENOSPC));
    w.fsize = 100;
    let g = w.open("/f", O_RDWR | O_TRUNC, 0).unwrap();
    assert_eq!(w.write(g, &[1; 200]), Ok(100));
    assert_eq!(w.write(g, &[1; 1]), Err(Errno::EFBIG));
}

#[test]
fn a_listing_survives_what_comes_and_goes() {
    let mut w = World::new();
    w.mkdir("/d").unwrap();
    for i in 0..200 {
        w.put(&format!("/d/old{i}"), b"");
    }
    let fd = w.open("/d", O_DIRECTORY, 0).unwrap();
    let mut seen = Vec::new();
    for round in 0.. {
        let some = w.getdents(fd, 300).unwrap();
        if some.is_empty() {
            break;
        }
        seen.extend(some.into_iter().map(|e| e.3));
        // Every second of the files not reached yet goes, and new ones come.
        let victim = 199 - round * 2;
        if victim > 100 {
            w.unlink(&format!("/d/old{victim}")).unwrap();
        }
        if round < 50 {
            w.put(&format!("/d/new{round}"), b"");
            w.rename(&format!("/d/new{round}"), &format!("/d/newer{round}"), 0).unwrap();
        }
    }
    let stayed = (0..200).filter(|i| *i <= 100 || i % 2 == 0);
    for i in stayed {
        assert_eq!(seen.iter().filter(|n| **n == format!("old{i}")).count(), 1, "old{i}");
    }
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "nothing twice");
    assert_eq!(w.getdents(fd, 10).unwrap(), []);
    w.call(|v, c| v.lseek(c, fd, 0, 0)).unwrap();
    assert_eq!(w.getdents(fd, 10), Err(Errno::EINVAL));
}

#[test]
fn mounts_cover_and_uncover() {
    let mut w = World::new();
    w.mkdir("/m").unwrap();
    w.put("/m/below", b"");
    w.call(|v, c| v.mount(c, b"t", b"/m", MountKind::Tmpfs)).unwrap();
    w.put("/m/above", b"");
    assert_eq!(w.names("/m").unwrap(), ["above"]);
    assert_ne!(w.stat("/m", 0).unwrap().dev, w.stat("/", 0).unwrap().dev);
    assert_eq!(w.stat("/m/..", 0).unwrap().ino, w.stat("/", 0).unwrap().ino);
    assert_eq!(w.rename("/m/above", "/x", 0), Err(Errno::EXDEV));
    assert_eq!(w.rmdir("/m"), Err(Errno::EBUSY));
    let fd = w.open("/m/above", 0, 0).unwrap();
    assert_eq!(w.call(|v, c| v.umount(c, b"/m", 0)).unwrap_err(), Errno::EBUSY);
    w.close(fd).unwrap();
    w.call(|v, c| v.chdir(c, b"/m")).unwrap();
    assert_eq!(w.call(|v, c| v.getcwd(c)).unwrap(), b"/m");
    assert_eq!(w.call(|v, c| v.umount(c, b"/m", 0)).unwrap_err(), Errno::EBUSY);
    w.call(|v, c| v.chdir(c, b"/")).unwrap();
    w.call(|v, c| v.umount(c, b"/m", 0)).unwrap();
    assert_eq!(w.names("/m").unwrap(), ["below"]);
}

#[test]
fn devices() {
    let mut w = World::new();
    mount(&mut w, "/dev", MountKind::Dev);
    assert_eq!(w.get("/dev/null").unwrap(), b"");
    let zero = w.open("/dev/zero", O_RDWR, 0).unwrap();
    assert_eq!(w.read(zero, 5000).unwrap(), [0; 5000]);
    let full = w.open("/dev/full", O_RDWR, 0).unwrap();
    assert_eq!(w.write(full, b"x"), Err(Errno::ENOSPC));
    let random = w.open("/dev/urandom", 0, 0).unwrap();
    assert_ne!(w.read(random, 32).unwrap(), w.read(random, 32).unwrap());
    let tty = w.open("/dev/tty", O_RDWR, 0).unwrap();
    assert!(matches!(
        w.try_read(tty, &mut [0; 8]),
        Ok(Outcome::Remote(op)) if matches!(op.request, Request::Read { offset: None, len: 8, .. })
    ));
    assert_eq!(w.stat("/dev/shm", 0).unwrap().mode, 0o041777);
}

#[test]
fn proc_files_and_links() {
    let mut w = World::new();
    mount(&mut w, "/proc", MountKind::Proc);
    w.put("/f", b"bytes");
    let fd = w.open("/f", O_RDWR, 0).unwrap();
    let get = |w: &mut World, path: &str| {
        let fd = with_procs(w, |v, c| v.open(c, AT_FDCWD, path.as_bytes(), 0, 0)).map(done)?;
        let mut b = [0; 400];
        let n = with_procs(w, |v, c| v.read(c, fd, &mut SliceDest::new(&mut b))).map(done);
        w.close(fd)?;
        n.map(|n| String::from_utf8(b[..n].to_vec()).unwrap())
    };
    assert_eq!(get(&mut w, "/proc/uptime").unwrap(), "System(\"uptime\")");
    assert_eq!(get(&mut w, "/proc/sys/kernel/hostname").unwrap(), "System(\"sys/kernel/hostname\")");
    assert_eq!(get(&mut w, "/proc/self/stat").unwrap(), "Task { pid: 42, tid: 42, name: \"stat\" }");
    assert_eq!(
        get(&mut w, "/proc/mounts").unwrap(),
        "tmpfs / tmpfs rw,relatime 0 0\nnone /proc proc rw,relatime 0 0\n"
    );
    assert_eq!(get(&mut w, "/proc/7/stat"), Err(Errno::ENOENT));
    let link = format!("/proc/self/fd/{fd}");
    let target = with_procs(&mut w, |v, c| v.readlink(c, AT_FDCWD, link.as_bytes())).map(done);
    assert_eq!(target.unwrap(), b"/f");
    w.unlink("/f").unwrap();
    assert_eq!(get(&mut w, &link).unwrap(), "bytes");
    let cwd = with_procs(&mut w, |v, c| v.readlink(c, AT_FDCWD, b"/proc/42/cwd")).map(done);
    assert_eq!(cwd.unwrap(), b"/");
    assert!(get(&mut w, "/proc/self/cwd/proc/version").is_ok());
}

/// `echo f | cat /dev/fd/0`: the writer may have gone long before the reader opens its end once more.
#[test]
fn a_pipe_opened_through_proc_waits_for_nobody() {
    let mut w = World::new();
    mount(&mut w, "/proc", MountKind::Proc);
    let (reader, writer) = w.pipe(0);
    w.write(writer, b"f").unwrap();
    w.close(writer).unwrap();
    let link = format!("/proc/self/fd/{reader}");
    let again = with_procs(&mut w, |v, c| v.open(c, AT_FDCWD, link.as_bytes(), 0, 0)).map(done);
    assert_eq!(w.read(again.unwrap(), 4).unwrap(), b"f");
    assert_eq!(w.read(again.unwrap(), 4).unwrap(), b"");
}

#[test]
fn proc_listings_name_what_can_be_opened() {
    let mut w = World::new();
    mount(&mut w, "/proc", MountKind::Proc);
    w.pipe(0);
    for dir in
        ["/proc", "/proc/42", "/proc/42/task", "/proc/42/task/42", "/proc/42/fd", "/proc/sys", "/proc/sys/kernel"]
    {
        let fd = with_procs(&mut w, |v, c| v.open(c, AT_FDCWD, dir.as_bytes(), O_DIRECTORY, 0)).map(done).unwrap();
        let mut names = Vec::new();
        loop {
            let mut b = [0; 64];
            let n = with_procs(&mut w, |v, c| v.getdents(c, fd, &mut SliceDest::new(&mut b))).map(done).unwrap();
            if n == 0 {
                break;
            }
            names.extend(parse_dents(&b[..n]));
        }
        assert!(names.len() > 2, "{dir}");
        for (ino, _, kind, name) in names {
            let path = format!("{dir}/{name}");
            let s = with_procs(&mut w, |v, c| v.stat(c, AT_FDCWD, path.as_bytes(), 0x100)).map(done);
            let s = s.unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!((s.mode >> 12) as u8, kind, "{path}");
            if name != ".." {
                assert_eq!(s.ino, ino, "{path}");
            }
        }
        w.close(fd).unwrap();
    }
}

fn remote<T: std::fmt::Debug>(outcome: Try<T>) -> RemoteOp {
    match outcome {
        Ok(Outcome::Remote(op)) => *op,
        other => panic!("should ask: {other:?}"),
    }
}

#[test]
fn a_served_prefix() {
    let mut w = World::new();
    let server = ServerId(9);
    mount(&mut w, "/svc", MountKind::Remote(server));
    let op = remote(w.call(|v, c| v.open(c, AT_FDCWD, b"/svc/./x/../console/ctl", O_RDWR, 0)));
    assert_eq!(op.target, Target::Server(server));
    assert!(matches!(&op.request, Request::Open { path, .. } if path == b"console/ctl"));
    let file = RemoteFile(3);
    let stat = Stat { mode: 0o100644, size: 10, ..Stat::default() };
    let fd = w.call(|v, c| v.complete(c, op, Ok(Reply::Opened { file, stat }), None)).unwrap();
    let Completed::Number(fd) = fd else { panic!() };
    let fd = fd as Fd;
    for offset in [0, 4] {
        let op = remote(w.try_read(fd, &mut [0; 4]));
        assert_eq!(op.request, Request::Read { file, offset: Some(offset), len: 4, nonblock: false });
        let n = w.call(|v, c| v.complete(c, op, Ok(Reply::Count(4)), None));
        assert_eq!(n, Ok(Completed::Number(4)));
    }
    // Closed while a call is under way: the server hears of it when the answer is in.
    let op = remote(w.try_write(fd, b"kill"));
    w.close(fd).unwrap();
    assert_eq!(w.vfs.drain_closes().count(), 0);
    assert_eq!(w.call(|v, c| v.complete(c, op, Err(Errno::EINTR), None)), Err(Errno::EINTR));
    let closes: Vec<_> = w.vfs.drain_closes().map(|o| o.request).collect();
    assert_eq!(closes, [Request::Close { file }]);
}

#[test]
fn a_working_directory_on_a_server() {
    let mut w = World::new();
    mount(&mut w, "/svc", MountKind::Remote(ServerId(9)));
    w.put("/f", b"here");
    let op = remote(w.call(|v, c| v.chdir(c, b"/svc/console")));
    let stat = Stat { mode: 0o040755, ..Stat::default() };
    w.call(|v, c| v.complete(c, op, Ok(Reply::Attributes(stat)), None)).unwrap();
    assert_eq!(w.call(|v, c| v.getcwd(c)).unwrap(), b"/svc/console");
    let op = remote(w.call(|v, c| v.open(c, AT_FDCWD, b"../uart/ctl", 0, 0)));
    assert!(matches!(&op.request, Request::Open { path, .. } if path == b"uart/ctl"));
    assert_eq!(w.get("../../f").unwrap(), b"here");
    assert_eq!(w.rename("/f", "/svc/f", 0), Err(Errno::EXDEV));
}

#[test]
fn descriptors() {
    let mut w = World::new();
    w.nofile = 6;
    w.put("/f", b"0123456789");
    let fd = w.open("/f", O_CLOEXEC, 0).unwrap();
    assert_eq!(fd, 0);
    let copy = w.call(|v, c| v.dup(c, fd, 3, false)).unwrap();
    assert_eq!(copy, 3);
    assert_eq!(w.read(fd, 4).unwrap(), b"0123");
    assert_eq!(w.read(copy, 4).unwrap(), b"4567", "dup shares the offset");
    assert_eq!(w.call(|v, c| v.dup2(c, fd, 6)), Err(Errno::EBADF));
    assert_eq!(w.call(|v, c| v.dup3(c, fd, fd, 0)), Err(Errno::EINVAL));
    assert_eq!(w.call(|v, c| v.dup2(c, fd, 5)), Ok(5));
    assert_eq!(w.call(|v, c| v.get_fd_flags(c, fd)), Ok(1));
    assert_eq!(w.call(|v, c| v.get_fd_flags(c, 5)), Ok(0));
    let child = w.vfs.table_fork(w.files).unwrap();
    w.vfs.table_exec(child, 2);
    assert_eq!(w.vfs.table_fds(child).collect::<Vec<_>>(), [3, 5]);
    w.vfs.table_release(child, 2);
    assert_eq!(w.vfs.table_fds(w.files).collect::<Vec<_>>(), [0, 3, 5]);
    for want in [1, 2, 4] {
        assert_eq!(w.open("/f", 0, 0), Ok(want));
    }
    assert_eq!(w.open("/f", 0, 0), Err(Errno::EMFILE));
    assert_eq!(w.open("/new", O_CREAT, 0), Err(Errno::EMFILE));
    assert_eq!(w.stat("/new", 0), Err(Errno::ENOENT), "an error changes nothing");
    w.call(|v, c| v.close_range(c, 1, 4, 0)).unwrap();
    assert_eq!(w.vfs.table_fds(w.files).collect::<Vec<_>>(), [0, 5]);
    assert_eq!(w.close(1), Err(Errno::EBADF));
}

#[test]
fn record_locks() {
    let mut w = World::new();
    w.put("/f", b"0123456789");
    let fd = w.open("/f", O_RDWR, 0).unwrap();
    let lock = |kind, start, len| Flock { kind, whence: 0, start, len, pid: 0 };
    let write = Some(LockKind::Write);
    let set = |w: &mut World, pid, l: Flock, wait| {
        w.pid = pid;
        w.call(|v, c| v.set_lock(c, fd, &l, wait))
    };
    set(&mut w, 1, lock(write, 0, 10), false).map(done).unwrap();
    set(&mut w, 1, lock(None, 3, 4), false).map(done).unwrap();
    set(&mut w, 2, lock(write, 3, 4), false).map(done).unwrap();
    assert_eq!(set(&mut w, 2, lock(write, 2, 2), false).unwrap_err(), Errno::EAGAIN);
    let found = w.call(|v, c| v.get_lock(c, fd, &lock(write, 0, 0))).unwrap();
    assert_eq!((found.pid, found.start, found.len), (1, 0, 3));
    let Ok(Outcome::Block(on)) = set(&mut w, 2, lock(write, 8, 1), true) else { panic!() };
    w.vfs.wait(on, TaskId(2));
    assert_eq!(set(&mut w, 1, lock(write, 4, 1), true).unwrap_err(), Errno::EDEADLK);
    w.pid = 1;
    w.close(fd).unwrap();
    assert_eq!(w.vfs.drain_woken().collect::<Vec<_>>(), [TaskId(2)], "closing drops the process's locks");
}

#[test]
fn flocks_belong_to_the_description() {
    let mut w = World::new();
    w.put("/f", b"");
    let (a, b) = (w.open("/f", 0, 0).unwrap(), w.open("/f", 0, 0).unwrap());
    let copy = w.call(|v, c| v.dup(c, a, 0, false)).unwrap();
    let flock = |w: &mut World, fd, kind, wait| w.call(|v, c| v.flock(c, fd, kind, wait));
    flock(&mut w, a, Some(LockKind::Write), false).unwrap();
    flock(&mut w, copy, Some(LockKind::Write), false).map(done).unwrap();
    assert_eq!(flock(&mut w, b, Some(LockKind::Read), false).unwrap_err(), Errno::EAGAIN);
    let Ok(Outcome::Block(on)) = flock(&mut w, b, Some(LockKind::Read), true) else { panic!() };
    w.vfs.wait(on, TaskId(3));
    w.close(a).unwrap();
    assert!(!w.vfs.any_woken());
    w.close(copy).unwrap();
    assert_eq!(w.vfs.drain_woken().count(), 1);
    flock(&mut w, b, Some(LockKind::Read), true).map(done).unwrap();
}

#[test]
fn odd_paths() {
    let mut w = World::new();
    w.mkdir("/d").unwrap();
    w.symlink("/loop", "/loop").unwrap();
    w.symlink("/d", "/l").unwrap();
    let name = |n| "n".repeat(n);
    let deep = "/d/..".repeat(900);
    for (path, want) in [
        ("", Err(Errno::ENOENT)),
        ("/loop", Err(Errno::ELOOP)),
        ("/l/", Ok(())),
        ("//d//.//", Ok(())),
        ("/../../d", Ok(())),
        ("/d/../d/../d", Ok(())),
        (&*format!("/{}", name(255)), Err(Errno::ENOENT)),
        (&format!("/{}", name(256)), Err(Errno::ENAMETOOLONG)),
        (&deep, Err(Errno::ENAMETOOLONG)),
        (&deep[..4095], Ok(())),
    ] {
        assert_eq!(w.stat(path, 0).map(|_| ()), want, "{path:.40}");
    }
    for i in 0..41 {
        let target = if i == 0 { "/d".into() } else { format!("/chain{}", i - 1) };
        w.symlink(&target, &format!("/chain{i}")).unwrap();
    }
    assert!(w.stat("/chain39", 0).is_ok(), "40 links");
    assert_eq!(w.stat("/chain40", 0), Err(Errno::ELOOP));
}

#[test]
fn a_root_can_not_be_left() {
    let mut w = World::new();
    w.mkdir("/jail").unwrap();
    w.mkdir("/jail/d").unwrap();
    w.put("/secret", b"");
    w.symlink("/secret", "/jail/l").unwrap();
    w.call(|v, c| v.chroot(c, b"/jail")).unwrap();
    w.call(|v, c| v.chdir(c, b"/")).unwrap();
    for path in ["/../secret", "d/../../secret", "/l"] {
        assert_eq!(w.stat(path, 0), Err(Errno::ENOENT), "{path}");
    }
    assert_eq!(w.call(|v, c| v.getcwd(c)).unwrap(), b"/");
}

#[test]
fn unnamed_files_get_a_name() {
    let mut w = World::new();
    w.mkdir("/d").unwrap();
    let fd = w.open("/d", O_TMPFILE | O_RDWR, 0o600).unwrap();
    w.write(fd, b"x").unwrap();
    assert_eq!(w.names("/d").unwrap(), [""; 0]);
    w.call(|v, c| v.link(c, fd, b"", AT_FDCWD, b"/d/f", 0x1000)).unwrap();
    assert_eq!(w.get("/d/f").unwrap(), b"x");
    assert_eq!(w.open("/d", O_TMPFILE, 0o600), Err(Errno::EINVAL));
    let gone = w.open("/d/f", 0, 0).unwrap();
    w.unlink("/d/f").unwrap();
    let never = w.open("/d", O_TMPFILE | O_EXCL | O_RDWR, 0o600).unwrap();
    for fd in [gone, never] {
        let r = w.call(|v, c| v.link(c, fd, b"", AT_FDCWD, b"/d/g", 0x1000));
        assert_eq!(r.unwrap_err(), Errno::ENOENT);
    }
}

#[test]
fn copies_between_descriptors() {
    let mut w = World::new();
    let bytes: Vec<u8> = (0..10000u32).map(|i| i as u8).collect();
    w.put("/a", &bytes);
    let a = w.open("/a", 0, 0).unwrap();
    let b = w.open("/b", O_CREAT | O_RDWR, 0o600).unwrap();
    let n = w.call(|v, c| v.copy_file_range(c, a, None, b, None, 6000)).map(done);
    assert_eq!(n, Ok(6000));
    let (r, wr) = w.pipe(0);
    let mut offset = 6000;
    assert_eq!(w.call(|v, c| v.sendfile(c, wr, a, Some(&mut offset), 100000)).map(done), Ok(4000));
    assert_eq!(offset, 10000);
    assert_eq!(w.get("/b").unwrap(), bytes[..6000]);
    assert_eq!(w.read(r, 10000).unwrap(), bytes[6000..]);
    assert_eq!(w.read(a, 1).unwrap(), [bytes[6000]]);
}

#[test]
fn times() {
    let mut w = World::new();
    w.put("/f", b"x");
    let before = w.stat("/f", 0).unwrap();
    w.get("/f").unwrap();
    let read = w.stat("/f", 0).unwrap();
    assert!(read.atime > before.atime && read.mtime == before.mtime);
    w.get("/f").unwrap();
    assert_eq!(w.stat("/f", 0).unwrap().atime, read.atime, "relatime");
    let at = SetTime::At(Time { sec: 5, nsec: 6 });
    w.call(|v, c| v.utimens(c, AT_FDCWD, b"/f", SetTime::Keep, at, 0)).unwrap();
    let set = w.stat("/f", 0).unwrap();
    assert_eq!((set.atime, set.mtime), (read.atime, Time { sec: 5, nsec: 6 }));
    assert!(set.ctime > read.ctime);
    assert_eq!(set.btime, before.btime);
    assert_eq!(set.blocks, 8);
}

/// Inodes and names have their own limit: a clean error at it, and all of it back.
#[test]
fn files_are_bounded_by_the_room_for_inodes_and_names() {
    let mut w = World::new();
    w.vfs.limit_room(20_000);
    let mkdir = |w: &mut World, name: &str| w.call(|v, c| v.mkdir(c, AT_FDCWD, name.as_bytes(), 0o755)).map(drop);
    mkdir(&mut w, "/d").unwrap();
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let made =
            (0..1000).take_while(|n| w.open(&format!("/d/f{n}"), O_CREAT, 0o644).map(|fd| w.close(fd)).is_ok()).count();
        let long = format!("/d/{}", "n".repeat(255));
        let refused = [
            w.open("/d/more", O_CREAT, 0o644).map(drop),
            mkdir(&mut w, "/d/sub"),
            w.symlink(&"t".repeat(300), "/d/link"),
            w.call(|v, c| v.link(c, AT_FDCWD, b"/d/f0", AT_FDCWD, long.as_bytes(), 0)).map(drop),
        ];
        assert_eq!(refused, [Err(Errno::ENOSPC); 4]);
        assert_eq!(w.names("/d").unwrap().len(), made);
        assert_eq!(w.stat("/d/f0", 0).unwrap().nlink, 1, "the link that failed changed nothing");
        // What is there can be moved, and replaced.
        w.rename("/d/f0", "/d/g0", 0).unwrap();
        w.rename("/d/g0", "/d/f1", 0).unwrap();
        w.vfs.limit_room(100);
        assert_eq!(w.rename("/d/f1", &long, 0), Err(Errno::ENOSPC));
        w.vfs.limit_room(20_000);
        (1..made).for_each(|n| w.unlink(&format!("/d/f{n}")).unwrap());
        rounds.push(made);
    }
    assert!(rounds[0] > 40 && rounds.iter().all(|made| *made == rounds[0]), "{rounds:?}");
    w.rmdir("/d").unwrap();
}
