//! Reading ext2, ext3 and ext4: from disk blocks to files, as a value.
//!
//! For a server that may be killed at any moment. What must always hold:
//!
//! - **No I/O.** Metadata blocks come through [`Blocks`]; one that isn't there yet ends the operation with
//!   [`Stop::Absent`], the caller fetches it and repeats the operation as it was. Nothing is kept in between. Of file
//!   data nothing is read at all: [`FileSystem::map`] says where it lies.
//! - **The disk is an allegation.** No byte on it makes an operation panic, loop without end or allocate without bound:
//!   tree depths, list lengths and walks have limits that a sound file system never reaches, and what breaks a rule
//!   ends the operation with [`Stop::Corrupt`], which names the owner, the structure and the block.
//! - **Every checksum is verified** at every use of what it covers (`metadata_csum`, `gdt_csum`, jbd2's v2 and v3).
//! - **An unclean journal counts.** [`Mount`] replays it into a list of blocks whose newer contents lie in the journal;
//!   every read and every map goes through that list. The disk isn't written.
//! - **What isn't understood is refused by name** ([`Refusal`]); features that only forbid writing are named and read.
//!
//! A tour: [`Mount`] makes a [`FileSystem`]; [`FileSystem::inode`], [`FileSystem::lookup`], [`FileSystem::read_dir`],
//! [`FileSystem::read_link`], [`FileSystem::map`], [`FileSystem::xattr`] read it. One file of the source per structure
//! of the disk; sources are named by file and section of the Linux kernel's `Documentation/filesystems/ext4`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod acl;
mod blocks;
mod bytes;
mod checksum;
mod directory;
mod extent;
mod feature;
mod filesystem;
mod group;
mod hash;
mod htree;
mod indirect;
mod inode;
mod journal;
mod map;
mod overlay;
mod read_dir;
mod stop;
mod superblock;
mod symlink;
mod xattr;

pub use blocks::{Blocks, Unread};
pub use directory::{Entry, Flow};
pub use feature::{Compat, Incompat, RoCompat};
pub use filesystem::{FileSystem, Mount, Statfs};
pub use group::{Bitmap, Free, Group};
pub use inode::{Inode, InodeFlags, Kind, Time};
pub use map::{Run, Target};
pub use overlay::Replayed;
pub use stop::{Corrupt, Fault, Owner, Part, Refusal, Stop};
pub use superblock::{SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET};

/// What the first four bytes of a block are where [`Target::Escaped`] says so.
pub const JOURNAL_MAGIC: [u8; 4] = journal::MAGIC.to_be_bytes();
