//! Files behind a mounted prefix: `/svc`, and whatever a server mounts.
//!
//! Paths are relative to the mount, without a leading slash; the mount's root is the empty path. File numbers are the server's and outlive it.
//! Modes, flags, types and error numbers are Linux's, so that the personality passes them on.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longest path in bytes.
pub const PATH_MOST: usize = 4096;

/// Flags of `read` and `write`.
pub mod flags {
    /// Answer `Again` instead of waiting.
    pub const NONBLOCK: u32 = 1;
    /// Write at the file's end, wherever that is.
    pub const APPEND: u32 = 2;
    /// The offset does not count: the file is a stream.
    pub const STREAM: u32 = 4;
    /// Follow a symbolic link at the path's end.
    pub const FOLLOW: u32 = 8;
    /// `unlink`: the path is a directory.
    pub const DIRECTORY: u32 = 16;
}

/// Attributes of a file, as they lie in memory (little-endian). Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Attributes {
    /// Number of the file on its server.
    pub inode: u64,
    /// Type and permissions, as in stat(2).
    pub mode: u32,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub device: u64,
    /// Bytes.
    pub size: u64,
    /// Units of 512 bytes on the disk.
    pub blocks: u64,
    /// Last access.
    pub accessed: i64,
    /// Last change of the contents.
    pub modified: i64,
    /// Last change of the attributes.
    pub changed: i64,
}

/// Bytes of an entry of `entries` before its name.
pub const ENTRY_HEAD: usize = 20;

/// One entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Number of the file.
    pub inode: u64,
    /// The cookie from which the next entry is read.
    pub next: u64,
    /// `DT_*` of readdir(3).
    pub kind: u8,
    /// Name, at most 255 bytes, without a slash.
    pub name: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Writes the entry at `at`; where the next one starts, or `None` if there is no room (or the name is too long).
    pub fn put(&self, buffer: &mut [u8], at: usize) -> Option<usize> {
        let length = u16::try_from(self.name.len()).ok()?;
        let end = at.checked_add(ENTRY_HEAD)?.checked_add(self.name.len())?;
        let place = buffer.get_mut(at..end)?;
        let (head, name) = place.split_at_mut_checked(ENTRY_HEAD)?;
        let fields = [&self.inode.to_le_bytes()[..], &self.next.to_le_bytes(), &length.to_le_bytes(), &[self.kind, 0]];
        head.iter_mut().zip(fields.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        name.copy_from_slice(self.name);
        Some(end)
    }

    /// Reads the entry at `at`, and where the next one starts; `None` at the end, or if there is none.
    pub fn get(buffer: &'a [u8], at: usize) -> Option<(Entry<'a>, usize)> {
        let head = buffer.get(at..at.checked_add(ENTRY_HEAD)?)?;
        let word = |from: usize| Some(u64::from_le_bytes(head.get(from..from + 8)?.try_into().ok()?));
        let length = usize::from(u16::from_le_bytes(head.get(16..18)?.try_into().ok()?));
        let end = at + ENTRY_HEAD + length;
        let name = buffer.get(at + ENTRY_HEAD..end)?;
        Some((Entry { inode: word(0)?, next: word(8)?, kind: *head.get(18)?, name }, end))
    }
}

sal_idl::interface! {
    /// Files.
    interface "file" version 1;
    /// What can go wrong; the numbers are Linux's errno.
    errors {
        /// EPERM.
        NotPermitted = 1,
        /// ENOENT.
        NotFound = 2,
        /// EINTR.
        Interrupted = 4,
        /// EIO.
        Io = 5,
        /// ENXIO.
        NoAddress = 6,
        /// EBADF: the server has no such open file, or it was not opened for this.
        BadFile = 9,
        /// EAGAIN: it would have to wait.
        Again = 11,
        /// ENOMEM.
        NoMemory = 12,
        /// EACCES.
        Access = 13,
        /// EBUSY.
        Busy = 16,
        /// EEXIST.
        Exists = 17,
        /// EXDEV.
        CrossDevice = 18,
        /// ENODEV.
        NoDevice = 19,
        /// ENOTDIR.
        NotADirectory = 20,
        /// EISDIR.
        IsADirectory = 21,
        /// EINVAL.
        Invalid = 22,
        /// ENFILE: the server's table of open files, or of clients, is full.
        TooManyFiles = 23,
        /// ENOTTY: no such ioctl.
        NotATerminal = 25,
        /// EFBIG.
        TooBig = 27,
        /// ENOSPC.
        NoSpace = 28,
        /// ESPIPE.
        IllegalSeek = 29,
        /// EROFS.
        ReadOnly = 30,
        /// EMLINK.
        TooManyLinks = 31,
        /// EPIPE.
        BrokenPipe = 32,
        /// ENAMETOOLONG.
        NameTooLong = 36,
        /// ENOSYS: this server does not do that.
        NotSupported = 38,
        /// ENOTEMPTY.
        NotEmpty = 39,
        /// ELOOP.
        Loop = 40,
    }
    /// Opens `path` with the flags and mode of open(2); `attributes` gets [`Attributes`]. *Remembered.*
    1 open(flags: u32, mode: u32) reads(path) writes(attributes) returns(file: u64);
    /// The last descriptor of `file` is gone. Repeating it is no error.
    2 close(file: u64);
    /// Reads from `offset`; 0 is the end. *Remembered* by servers whose files are streams.
    3 read(file: u64, offset: u64, flags: u32) writes(buffer) returns(count: u32);
    /// Writes at `offset`. *Remembered* with `APPEND` or `STREAM`, and where writing is an order (`ctl`).
    4 write(file: u64, offset: u64, flags: u32) reads(bytes) returns(count: u32);
    /// [`Attributes`] of an open file.
    5 stat(file: u64) writes(attributes);
    /// [`Attributes`] by name.
    6 stat_path(flags: u32) reads(path) writes(attributes);
    /// Sets the length.
    7 truncate(file: u64, size: u64);
    /// Sets the length by name.
    8 truncate_path(size: u64) reads(path);
    /// Entries of an open directory from `cookie` (0: the start), as many as fit ([`Entry`]); `bytes` used, 0 at the end.
    9 entries(file: u64, cookie: u64) writes(buffer) returns(bytes: u32);
    /// Everything of the file is on the disk when it answers.
    10 sync(file: u64);
    /// *Remembered.*
    11 make_directory(mode: u32) reads(path);
    /// *Remembered.*
    12 make_node(mode: u32, device: u64) reads(path);
    /// *Remembered.*
    13 make_symlink() reads(path, target);
    /// *Remembered.* Flag `DIRECTORY`: rmdir(2).
    14 unlink(flags: u32) reads(path);
    /// *Remembered.* Flags of renameat2(2).
    15 rename(flags: u32) reads(from, to);
    /// *Remembered.*
    16 link() reads(from, to);
    /// Target of a symbolic link; `length` is its whole length.
    17 read_link() reads(path) writes(target) returns(length: u32);
    /// Permission bits.
    18 set_mode(mode: u32, flags: u32) reads(path);
    /// Owner and group; 0xffff_ffff leaves one as it is.
    19 set_owner(uid: u32, gid: u32, flags: u32) reads(path);
    /// access(2): mask 4 read, 2 write, 1 execute, 0 existence.
    20 access(mask: u32) reads(path);
    /// statfs(2): type, block size, blocks, free blocks, files, free files, longest name.
    21 file_system() returns(kind: u64, block: u32, blocks: u64, free: u64, files: u64, files_free: u64, name_most: u32);
    /// ioctl(2) by its Linux number; its structure goes in with `input` and comes out in `output` (either may be empty). *Remembered.*
    22 ioctl(file: u64, command: u32, argument: u64) reads(input) writes(output) returns(value: i64);
    /// What would not wait now: POLLIN 1, POLLOUT 4, POLLERR 8, POLLHUP 16.
    23 poll(file: u64) returns(ready: u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_as_they_went_in() {
        let mut buffer = [0; 64];
        let first = Entry { inode: 7, next: 1, kind: 4, name: b"uart" };
        let second = Entry { inode: u64::MAX, next: 2, kind: 8, name: b"" };
        let middle = first.put(&mut buffer, 0).unwrap();
        let end = second.put(&mut buffer, middle).unwrap();
        assert_eq!(first.put(&mut buffer, end), None);
        assert_eq!(Entry::get(&buffer[..end], 0), Some((first, middle)));
        assert_eq!(Entry::get(&buffer[..end], middle), Some((second, end)));
        assert_eq!(Entry::get(&buffer[..end], end), None);
        assert_eq!(Entry::get(&buffer[..middle - 1], 0), None);
    }
}
