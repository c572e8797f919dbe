//! The boot image: one file with every program, the manifest, the RAM disk and the symbols.
//!
//! All numbers are little-endian; offsets count bytes from the start of what holds them. Readers borrow from the bytes, allocate
//! nothing and never panic: whatever is wrong is an [`Error`] of one line.
//!
//! # The file
//! ```text
//! 0   magic "SALIMAGE"                 8    version u32            12  modules u32
//! 16  total length u64                 24   head length u64        32  crc32c of the head u32
//! 36  zero, up to 64
//! 64  table: one 64-byte entry per module
//!       0 name, zero-padded [32]       32  kind u32   36 crc32c u32   40 offset u64   48 length u64   56 zero u64
//! ..  zero, up to the head's end (a multiple of 4096); then the modules, each padded with zeros to a multiple of 4096
//! ```
//! The head (header, table and padding) has a checksum, counted with the checksum's own field as zero; each module's checksum covers
//! its padding too. The table is in the order of the offsets and the modules follow each other without a gap: so every byte of the
//! file is under exactly one checksum, and a flipped bit anywhere is found. The order of the modules is free: they are found by kind
//! and name, and no two have both in common.
//!
//! # A program ([`Program`])
//! ```text
//! 0   magic "SALPROG1"                 8    machine u16 (as in ELF)   10  segments u16   12  relocations u32
//! 16  entry u64                        24   span u64                  32  zero, up to 64
//! 64  segments, 40 bytes each:  0 address u64   8 memory size u64   16 file offset u64   24 file size u64   32 rights u32   36 zero
//! ..  relocations: u64 each, ascending: places (offsets in the image, multiples of 8) whose u64 holds an image-relative address
//! ```
//! Addresses count from the image's first byte. A segment's address, memory size and file offset are multiples of 4096, and the file
//! bytes after its file size up to the page's end are zero: a segment without relocations can be mapped as it lies.
//!
//! # Symbols ([`Symbols`])
//! ```text
//! 0   magic "SALSYMS1"                 8    programs u32              12  symbols u32
//! 16  programs, 40 bytes each:  0 name, zero-padded [32]   32 first symbol u32   36 number of symbols u32
//! ..  symbols, 16 bytes each, by address within a program:  0 address u64   8 offset of the name u32   12 length of the name u32
//! ..  names, UTF-8, to the module's end
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "write"))]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod bytes;
mod error;
mod image;
mod name;
mod program;
mod symbols;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "write"))]
mod write;

pub use error::Error;
pub use image::{Image, Kind, Module};
pub use name::Name;
pub use program::{MACHINE_X86_64, Program, Segment};
pub use symbols::Symbols;
#[cfg(any(test, feature = "write"))]
pub use write::{ImageWriter, Order, ProgramParts, SegmentParts, symbols};

/// Modules and segments start at multiples of this, in bytes.
pub const PAGE: u64 = 4096;

/// The format's version.
pub const VERSION: u32 = 1;

/// Modules that an image can hold.
pub const MAX_MODULES: usize = 512;

/// The name of the manifest module ([`Kind::Manifest`]).
pub const MANIFEST: &str = "manifest";

/// The name of the RAM disk module ([`Kind::RamDisk`]): a tar archive of the root file system.
pub const RAM_DISK: &str = "ramdisk";

/// The name of the symbol module ([`Kind::Symbols`]).
pub const SYMBOLS: &str = "symbols";

/// The program name under which the kernel's symbols stand in [`Symbols`]; they are absolute addresses.
pub const KERNEL: &str = "kernel";

/// CRC-32C (Castagnoli), sixteen bytes a step: the checksum of everything in the image.
static CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

/// `value` rounded up to the next multiple of [`PAGE`]; none if that overflows.
fn page_up(value: u64) -> Option<u64> {
    value.checked_next_multiple_of(PAGE)
}
