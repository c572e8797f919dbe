//! What the boot loader says, as one value, whichever loader it was.
//!
//! Pure: physical memory is a function from (address, length) to bytes, so tests feed it rubbish. Lengths and counts in memory are never
//! trusted; what doesn't parse is an error that says what and where.

mod multiboot2;
mod pvh;

use arrayvec::{ArrayString, ArrayVec};
use core::fmt;

/// `eax` at the kernel's entry by multiboot2.
const MULTIBOOT2_TAG: u32 = 0x36d7_6289;
/// Put in `eax` by our own PVH entry.
pub const PVH_TAG: u32 = 0x5056_4821;

/// Physical memory: `length` bytes at `address`, if all of them can be read.
pub type Physical<'a> = dyn Fn(u64, usize) -> Option<&'a [u8]> + 'a;

/// Physical addresses from `start` up to `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
}

impl Span {
    /// Bytes in it.
    pub const fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Of at most `length` bytes, cut at the end of the address space.
    pub const fn sized(start: u64, length: u64) -> Span {
        Span { start, end: start.saturating_add(length) }
    }
}

/// What a range of physical memory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Free RAM.
    Free,
    /// RAM with ACPI's tables.
    Acpi,
    /// Anything else: leave it alone.
    Reserved,
}

/// Ranges of memory that are understood.
pub const RANGES: usize = 128;

/// What the boot loader says.
#[derive(Debug)]
pub struct BootInfo {
    /// Memory as the firmware sees it, unsorted.
    pub ranges: ArrayVec<(Span, Use), RANGES>,
    /// The boot image (the first module).
    pub module: Option<Span>,
    /// The kernel's command line.
    pub cmdline: ArrayString<1024>,
    /// Physical address of ACPI's root pointer.
    pub rsdp: Option<u64>,
}

impl BootInfo {
    /// Nothing said.
    pub const EMPTY: BootInfo =
        BootInfo { ranges: ArrayVec::new_const(), module: None, cmdline: ArrayString::new_const(), rsdp: None };

    /// Is `word` one of the command line's words?
    pub fn has_word(&self, word: &str) -> bool {
        self.cmdline.split_ascii_whitespace().any(|w| w == word)
    }

    /// Adds an entry of a memory map as E820 has it, which both protocols use: start, length, kind.
    fn add_range(&mut self, entry: &[u8]) -> Result<(), BadBoot> {
        let field = |offset| u64_at(entry, offset).unwrap_or(0);
        let span = Span::sized(field(0), field(8));
        let usage = match u32_at(entry, 16) {
            Some(1) => Use::Free,
            Some(3) => Use::Acpi,
            _ => Use::Reserved,
        };
        if span.length() == 0 {
            return Ok(());
        }
        self.ranges.try_push((span, usage)).map_err(|_| BadBoot { what: "more memory ranges than 128", at: span.start })
    }

    fn set_cmdline(&mut self, text: &[u8], at: u64) -> Result<(), BadBoot> {
        let text = core::str::from_utf8(text).map_err(|_| BadBoot { what: "command line is not UTF-8", at })?;
        self.cmdline =
            ArrayString::from(text).map_err(|_| BadBoot { what: "command line is longer than 1024 bytes", at })?;
        Ok(())
    }
}

/// Why the boot information can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadBoot {
    /// What is wrong.
    pub what: &'static str,
    /// The physical address where it was found.
    pub at: u64,
}

impl fmt::Display for BadBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot information at {:#x}: {}", self.at, self.what)
    }
}

/// Reads what the loader left into `info`: `tag` and `address` are `eax` and `ebx` at the entry.
///
/// # Errors
/// `BadBoot` if the loader is unknown, or its information doesn't parse.
pub fn parse(info: &mut BootInfo, tag: u32, address: u64, memory: &Physical<'_>) -> Result<(), BadBoot> {
    match tag {
        PVH_TAG => pvh::parse(info, address, memory)?,
        MULTIBOOT2_TAG => multiboot2::parse(info, address, memory)?,
        _ => return Err(BadBoot { what: "the loader speaks neither PVH nor multiboot2", at: address }),
    }
    if info.ranges.is_empty() { Err(BadBoot { what: "the loader gives no memory map", at: address }) } else { Ok(()) }
}

/// Little-endian fields of a byte string.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// See [`u32_at`].
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}
