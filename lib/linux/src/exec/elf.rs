//! Reading and checking an ELF program: everything that a file can say wrong is `ENOEXEC` before anything is mapped.
//! elf(5).

use crate::errno::Errno;
use crate::mm::USER_END;
use crate::platform::Protection;
use crate::user::PAGE;
use alloc::vec::Vec;
use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader};
use elf::segment::{ProgramHeader, SegmentTable};

/// Bytes of the file header.
pub(crate) const HEADER: usize = 64;
/// Bytes of a program header.
const PROGRAM_HEADER: usize = 56;
/// Program headers that a file may have: they fit 64 KiB, as on Linux.
const MAX_HEADERS: usize = 65536 / PROGRAM_HEADER;

/// A loadable segment; addresses are relative to the load bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// First address.
    pub address: u64,
    /// Byte offset in the file.
    pub offset: u64,
    /// Bytes from the file.
    pub file_size: u64,
    /// Bytes in memory; at least `file_size`.
    pub memory_size: u64,
    /// Rights.
    pub protection: Protection,
}

impl Segment {
    /// First page.
    pub(crate) fn start(&self) -> u64 {
        self.address / PAGE * PAGE
    }

    /// Behind the last page.
    pub(crate) fn end(&self) -> u64 {
        (self.address + self.memory_size).next_multiple_of(PAGE)
    }
}

/// What the file header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Goes anywhere (`ET_DYN`).
    pub relocatable: bool,
    /// Entry point.
    pub entry: u64,
    /// Where the program headers are in the file.
    pub table: u64,
    /// How many.
    pub count: usize,
}

/// A program that may be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// The file header.
    pub header: Header,
    /// Loadable segments, by address, not overlapping; at least one.
    pub segments: Vec<Segment>,
    /// Where the interpreter's name is in the file: offset and length with its zero byte.
    pub interpreter: Option<(u64, u64)>,
    /// Address of the program headers in memory; 0: not loaded.
    pub headers_at: u64,
}

/// Checks a file header.
pub(crate) fn header(head: &[u8]) -> Result<Header, Errno> {
    // The parser of the identification takes for granted that it is all there.
    let tail = head.get(abi::EI_NIDENT..HEADER).ok_or(Errno::ENOEXEC)?;
    let ident = elf::file::parse_ident::<LittleEndian>(head).map_err(|_| Errno::ENOEXEC)?;
    let header: FileHeader<LittleEndian> = FileHeader::parse_tail(ident, tail).map_err(|_| Errno::ENOEXEC)?;
    let good = header.class == Class::ELF64
        && header.e_machine == abi::EM_X86_64
        && matches!(header.e_type, abi::ET_EXEC | abi::ET_DYN)
        && header.e_phentsize as usize == PROGRAM_HEADER
        && (1..=MAX_HEADERS).contains(&(header.e_phnum as usize));
    if !good {
        return Err(Errno::ENOEXEC);
    }
    Ok(Header {
        relocatable: header.e_type == abi::ET_DYN,
        entry: header.e_entry,
        table: header.e_phoff,
        count: header.e_phnum as usize,
    })
}

impl Header {
    /// Bytes of the program headers.
    pub(crate) fn table_size(&self) -> usize {
        self.count * PROGRAM_HEADER
    }
}

/// Checks the program headers of a file of `size` bytes.
pub(crate) fn image(header: Header, table: &[u8], size: u64) -> Result<Image, Errno> {
    if table.len() < header.table_size() {
        return Err(Errno::ENOEXEC);
    }
    let mut segments: Vec<Segment> = Vec::new();
    let mut interpreter = None;
    let mut headers_at = 0;
    for item in SegmentTable::new(LittleEndian, Class::ELF64, table).iter() {
        match item.p_type {
            abi::PT_LOAD => {
                let segment = loadable(&item, size)?;
                if segments.last().is_some_and(|l| l.address + l.memory_size > segment.address) {
                    return Err(Errno::ENOEXEC);
                }
                if (item.p_offset..item.p_offset + item.p_filesz).contains(&header.table) {
                    headers_at = item.p_vaddr + (header.table - item.p_offset);
                }
                if segment.memory_size != 0 {
                    segments.push(segment);
                }
            }
            abi::PT_INTERP if interpreter.is_none() => interpreter = Some(interpreter_name(&item, size)?),
            _ => {}
        }
    }
    if segments.is_empty() {
        return Err(Errno::ENOEXEC);
    }
    Ok(Image { header, segments, interpreter, headers_at })
}

fn loadable(item: &ProgramHeader, size: u64) -> Result<Segment, Errno> {
    let in_file = item.p_offset.checked_add(item.p_filesz).is_some_and(|end| end <= size);
    let in_memory = item.p_vaddr.checked_add(item.p_memsz).is_some_and(|end| end <= USER_END);
    let congruent = item.p_vaddr % PAGE == item.p_offset % PAGE;
    if !in_file || !in_memory || item.p_filesz > item.p_memsz || (item.p_filesz != 0 && !congruent) {
        return Err(Errno::ENOEXEC);
    }
    let mut protection = Protection::empty();
    protection.set(Protection::READ, item.p_flags & abi::PF_R != 0);
    protection.set(Protection::WRITE, item.p_flags & abi::PF_W != 0);
    protection.set(Protection::EXECUTE, item.p_flags & abi::PF_X != 0);
    Ok(Segment {
        address: item.p_vaddr,
        offset: item.p_offset,
        file_size: item.p_filesz,
        memory_size: item.p_memsz,
        protection,
    })
}

fn interpreter_name(item: &ProgramHeader, size: u64) -> Result<(u64, u64), Errno> {
    let in_file = item.p_offset.checked_add(item.p_filesz).is_some_and(|end| end <= size);
    if !in_file || !(2..=PAGE).contains(&item.p_filesz) {
        return Err(Errno::ENOEXEC);
    }
    Ok((item.p_offset, item.p_filesz))
}

impl Image {
    /// First page and behind the last page, before the bias.
    pub(crate) fn span(&self) -> (u64, u64) {
        let start = self.segments.first().map_or(0, Segment::start);
        (start, self.segments.last().map_or(start, Segment::end))
    }
}
