//! Files of mounted prefixes, by `proto file`.

use crate::pool::{self, Pool};
use alloc::vec;
use alloc::vec::Vec;
use sal_idl::{Failure, ReadLend, WriteLend};
use sal_linux_core::{Errno, GuestBuffer, RemoteResult};
use sal_proto::file::{Attributes, Client, Entry, Error, PATH_MOST, flags};
use sal_rt::Connection;
use sal_vfs::{RemoteEntry, RemoteFile, Reply, Request, Stat, StatFs, Time};
use zerocopy::{FromZeros, IntoBytes};

type Answer = Result<Reply, Failure<Error>>;
type Files<'a> = Client<&'a mut Connection>;

/// Bytes of entries asked for at a time, at most.
const ENTRIES: usize = 8192;

/// Makes the call.
pub(crate) fn call(pool: &Pool, request: &Request, buffers: &[GuestBuffer]) -> RemoteResult {
    let result = pool.with(|connection| {
        let mut files = Client(connection);
        match request {
            Request::Read { .. } | Request::Write { .. } => transfer(&mut files, request, buffers),
            Request::Open { .. }
            | Request::Close { .. }
            | Request::Entries { .. }
            | Request::StatFile { .. }
            | Request::Truncate { .. }
            | Request::Sync { .. }
            | Request::Ioctl { .. } => opened(&mut files, request),
            _ => named(&mut files, request),
        }
    });
    match result {
        Ok(reply) => RemoteResult::File(reply),
        Err(failure) if pool::interrupted(&failure) => RemoteResult::Interrupted,
        Err(failure) => RemoteResult::Failed(errno(&failure)),
    }
}

/// The numbers are Linux's.
fn errno(failure: &Failure<Error>) -> Errno {
    match failure {
        Failure::Refused(error) => Errno(*error as u16),
        failure if pool::bad_buffer(failure) => Errno::EFAULT,
        _ => Errno::EIO,
    }
}

fn time(ns: i64) -> Time {
    const SECOND: i64 = 1_000_000_000;
    Time { sec: ns.div_euclid(SECOND), nsec: ns.rem_euclid(SECOND) as u32 }
}

fn stat(a: &Attributes) -> Stat {
    Stat {
        ino: a.inode,
        mode: a.mode,
        nlink: a.links,
        uid: a.uid,
        gid: a.gid,
        rdev: a.device,
        size: a.size,
        blksize: 4096,
        blocks: a.blocks,
        atime: time(a.accessed),
        mtime: time(a.modified),
        ctime: time(a.changed),
        btime: time(a.changed),
        ..Stat::default()
    }
}

fn transfer(files: &mut Files<'_>, request: &Request, buffers: &[GuestBuffer]) -> Answer {
    let Some(buffer) = buffers.first() else {
        return Ok(Reply::Count(0));
    };
    let how = |offset: Option<u64>, nonblock: bool, append: bool| {
        let set = [(offset.is_none(), flags::STREAM), (nonblock, flags::NONBLOCK), (append, flags::APPEND)];
        set.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag)
    };
    let moved = match *request {
        Request::Read { file, offset, len, nonblock } => {
            let lend = WriteLend::Guest(buffer.address, buffer.length.min(len as u64));
            files.read(file.0, offset.unwrap_or(0), how(offset, nonblock, false), lend)?.count
        }
        Request::Write { file, offset, len, nonblock, append } => {
            let lend = ReadLend::Guest(buffer.address, buffer.length.min(len as u64));
            files.write(file.0, offset.unwrap_or(0), how(offset, nonblock, append), lend)?.count
        }
        _ => 0,
    };
    Ok(Reply::Count(moved as usize))
}

fn opened(files: &mut Files<'_>, request: &Request) -> Answer {
    let mut a = Attributes::new_zeroed();
    match *request {
        Request::Open { ref path, flags, mode } => {
            let reply = files.open(flags, mode, path.as_slice(), a.as_mut_bytes())?;
            Ok(Reply::Opened { file: RemoteFile(reply.file), stat: stat(&a) })
        }
        Request::Close { file } => files.close(file.0).map(|_| Reply::Done),
        Request::Entries { file, cookie, max } => entries(files, file, cookie, max).map(Reply::Entries),
        Request::StatFile { file } => {
            files.stat(file.0, a.as_mut_bytes())?;
            Ok(Reply::Attributes(stat(&a)))
        }
        Request::Truncate { file, size } => files.truncate(file.0, size).map(|_| Reply::Done),
        Request::Sync { file } => files.sync(file.0).map(|_| Reply::Done),
        // Which structure its number means, nobody knows here.
        _ => Err(Failure::Refused(Error::NotATerminal)),
    }
}

fn entries(
    files: &mut Files<'_>,
    file: RemoteFile,
    cookie: u64,
    max: usize,
) -> Result<Vec<RemoteEntry>, Failure<Error>> {
    let mut buffer = vec![0; max.clamp(512, ENTRIES)];
    let bytes = files.entries(file.0, cookie, buffer.as_mut_slice())?.bytes as usize;
    let filled = buffer.get(..bytes).ok_or(Failure::BadReply)?;
    let mut list = Vec::new();
    let mut at = 0;
    while let Some((entry, next)) = Entry::get(filled, at) {
        list.push(RemoteEntry { name: entry.name.to_vec(), ino: entry.inode, kind: entry.kind, next: entry.next });
        at = next;
    }
    Ok(list)
}

/// Operations on files that aren't open.
fn named(files: &mut Files<'_>, request: &Request) -> Answer {
    let following = |follow: bool| if follow { flags::FOLLOW } else { 0 };
    match request {
        Request::StatPath { path, follow } => {
            let mut a = Attributes::new_zeroed();
            files.stat_path(following(*follow), path.as_slice(), a.as_mut_bytes())?;
            return Ok(Reply::Attributes(stat(&a)));
        }
        Request::StatFs => return file_system(files),
        Request::ReadLink { path } => return read_link(files, path),
        Request::TruncatePath { path, size } => files.truncate_path(*size, path.as_slice()).map(drop)?,
        Request::MakeDirectory { path, mode } => files.make_directory(*mode, path.as_slice()).map(drop)?,
        Request::MakeNode { path, mode, rdev } => files.make_node(*mode, *rdev, path.as_slice()).map(drop)?,
        Request::MakeSymlink { path, target } => {
            files.make_symlink(path.as_slice(), target.as_slice()).map(drop)?;
        }
        Request::Unlink { path, directory } => {
            files.unlink(if *directory { flags::DIRECTORY } else { 0 }, path.as_slice()).map(drop)?;
        }
        Request::Rename { from, to, flags } => {
            files.rename(*flags, from.as_slice(), to.as_slice()).map(drop)?;
        }
        Request::Link { from, to } => files.link(from.as_slice(), to.as_slice()).map(drop)?,
        Request::SetMode { path, mode, follow } => {
            files.set_mode(*mode, following(*follow), path.as_slice()).map(drop)?;
        }
        Request::SetOwner { path, uid, gid, follow } => {
            let same = |id: &Option<u32>| id.unwrap_or(u32::MAX);
            files.set_owner(same(uid), same(gid), following(*follow), path.as_slice()).map(drop)?;
        }
        Request::Access { path, mask } => files.access(*mask, path.as_slice()).map(drop)?,
        _ => return Err(Failure::Refused(Error::NotSupported)),
    }
    Ok(Reply::Done)
}

fn file_system(files: &mut Files<'_>) -> Answer {
    let fs = files.file_system()?;
    Ok(Reply::StatFs(StatFs {
        kind: fs.kind,
        bsize: u64::from(fs.block),
        blocks: fs.blocks,
        bfree: fs.free,
        bavail: fs.free,
        files: fs.files,
        ffree: fs.files_free,
        fsid: 0,
        namelen: u64::from(fs.name_most),
        flags: 0,
    }))
}

fn read_link(files: &mut Files<'_>, path: &[u8]) -> Answer {
    let mut target = vec![0; PATH_MOST];
    let length = files.read_link(path, target.as_mut_slice())?.length as usize;
    target.truncate(length);
    Ok(Reply::Bytes(target))
}
