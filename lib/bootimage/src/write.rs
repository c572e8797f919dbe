//! Writing an image, and the modules that have a format of their own. Same contents, same bytes: nothing depends on the clock, on
//! hashing or on the order in which modules were added.

use crate::image::{ENTRY, HEAD_CRC, HEADER, MAGIC, head_crc};
use crate::{CRC, Error, Kind, MAX_MODULES, Name, PAGE, Program, VERSION, page_up, program};
use alloc::string::String;
use alloc::vec::Vec;
use sal_abi::Rights;

/// In which order the modules lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// By name, then kind.
    Sorted,
    /// Shuffled by this seed: for tests that nothing relies on the order.
    Shuffled(u64),
}

/// Collects modules, then makes the file.
#[derive(Default, Debug)]
pub struct ImageWriter {
    modules: Vec<(Name, Kind, Vec<u8>)>,
}

impl ImageWriter {
    /// Without modules.
    pub fn new() -> ImageWriter {
        ImageWriter::default()
    }

    /// Adds a module; its kind and name must be new.
    pub fn add(&mut self, kind: Kind, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let name = Name::new(name).ok_or(Error::BadName)?;
        if self.modules.iter().any(|(n, k, _)| *n == name && *k == kind) {
            return Err(Error::Write("two modules of one kind and name"));
        }
        if self.modules.len() == MAX_MODULES {
            return Err(Error::Write("too many modules"));
        }
        self.modules.push((name, kind, bytes));
        Ok(())
    }

    /// The file.
    pub fn finish(mut self, order: Order) -> Vec<u8> {
        self.modules.sort_by_key(|(name, kind, _)| (*name, *kind));
        if let Order::Shuffled(seed) = order {
            shuffle(&mut self.modules, seed);
        }
        let mut table = Vec::new();
        let head = pad(HEADER + self.modules.len() * ENTRY);
        let mut file = alloc::vec![0; head];
        for (name, kind, bytes) in &self.modules {
            let offset = file.len();
            file.extend_from_slice(bytes);
            file.resize(pad(file.len()), 0);
            table.extend_from_slice(name.field());
            table.extend_from_slice(&(*kind as u32).to_le_bytes());
            table.extend_from_slice(&CRC.checksum(&file[offset..]).to_le_bytes());
            for number in [offset as u64, bytes.len() as u64, 0] {
                table.extend_from_slice(&number.to_le_bytes());
            }
        }
        self.write_head(&mut file, head, &table);
        file
    }

    fn write_head(&self, file: &mut [u8], head: usize, table: &[u8]) {
        let total = file.len() as u64;
        file[..8].copy_from_slice(MAGIC);
        file[8..12].copy_from_slice(&VERSION.to_le_bytes());
        file[12..16].copy_from_slice(&(self.modules.len() as u32).to_le_bytes());
        file[16..24].copy_from_slice(&total.to_le_bytes());
        file[24..32].copy_from_slice(&(head as u64).to_le_bytes());
        file[HEADER..HEADER + table.len()].copy_from_slice(table);
        let crc = head_crc(&file[..head]).unwrap_or(0);
        file[HEAD_CRC..HEAD_CRC + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Fisher and Yates, with Knuth's MMIX generator: it need not be good, only repeatable.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for last in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        items.swap(last, (seed >> 33) as usize % (last + 1));
    }
}

/// `length` rounded up to a page. What is in memory can't overflow by this.
fn pad(length: usize) -> usize {
    length.next_multiple_of(PAGE as usize)
}

/// A segment to be written.
#[derive(Clone, Debug)]
pub struct SegmentParts {
    /// In bytes from the image's first; a multiple of [`PAGE`].
    pub address: u64,
    /// Size in memory in bytes; rounded up to pages when written.
    pub size: u64,
    /// Contents.
    pub bytes: Vec<u8>,
    /// `READ`, `WRITE`, `EXECUTE`.
    pub rights: Rights,
}

/// A program to be written.
#[derive(Clone, Debug)]
pub struct ProgramParts {
    /// [`crate::MACHINE_X86_64`].
    pub machine: u16,
    /// First instruction, in bytes from the image's first.
    pub entry: u64,
    /// By address.
    pub segments: Vec<SegmentParts>,
    /// Places that hold image-relative addresses.
    pub relocations: Vec<u64>,
}

impl ProgramParts {
    /// The module's bytes, checked as its reader checks them.
    pub fn encode(mut self) -> Result<Vec<u8>, Error> {
        self.relocations.sort_unstable();
        let segments = u16::try_from(self.segments.len()).map_err(|_| Error::Write("too many segments"))?;
        let relocations = u32::try_from(self.relocations.len()).map_err(|_| Error::Write("too many relocations"))?;
        let last = self.segments.last().ok_or(Error::Write("a program without segments"))?;
        let span = page_up(last.size).and_then(|size| last.address.checked_add(size));
        let span = span.ok_or(Error::Write("a program larger than memory"))?;
        let mut module = Vec::new();
        module.extend_from_slice(program::MAGIC);
        module.extend_from_slice(&self.machine.to_le_bytes());
        module.extend_from_slice(&segments.to_le_bytes());
        module.extend_from_slice(&relocations.to_le_bytes());
        module.extend_from_slice(&self.entry.to_le_bytes());
        module.extend_from_slice(&span.to_le_bytes());
        module.resize(program::HEADER, 0);
        self.append_tables(&mut module)?;
        for segment in &self.segments {
            module.resize(pad(module.len()), 0);
            module.extend_from_slice(&segment.bytes);
        }
        module.resize(pad(module.len()), 0);
        Program::open(&module)?;
        Ok(module)
    }

    fn append_tables(&self, module: &mut Vec<u8>) -> Result<(), Error> {
        let mut offset = pad(module.len() + self.segments.len() * program::SEGMENT + self.relocations.len() * 8);
        for segment in &self.segments {
            let size = page_up(segment.size).ok_or(Error::Write("a segment larger than memory"))?;
            for number in [segment.address, size, offset as u64, segment.bytes.len() as u64] {
                module.extend_from_slice(&number.to_le_bytes());
            }
            module.extend_from_slice(&u64::from(segment.rights.0).to_le_bytes());
            offset = pad(offset + segment.bytes.len());
        }
        for place in &self.relocations {
            module.extend_from_slice(&place.to_le_bytes());
        }
        Ok(())
    }
}

/// The symbol module from (program, its functions' (address, name) pairs) in any order; of several names for one address the first by
/// name is kept.
pub fn symbols(mut programs: Vec<(Name, Vec<(u64, String)>)>) -> Result<Vec<u8>, Error> {
    programs.sort();
    let number = |count: usize| u32::try_from(count).map_err(|_| Error::Write("too many symbols"));
    let (mut table, mut symbols, mut names) = (Vec::new(), Vec::new(), String::new());
    for (program, list) in &mut programs {
        list.sort();
        list.dedup_by_key(|(address, _)| *address);
        table.extend_from_slice(program.field());
        table.extend_from_slice(&number(symbols.len() / crate::symbols::SYMBOL)?.to_le_bytes());
        table.extend_from_slice(&number(list.len())?.to_le_bytes());
        for (address, name) in list {
            symbols.extend_from_slice(&address.to_le_bytes());
            symbols.extend_from_slice(&number(names.len())?.to_le_bytes());
            symbols.extend_from_slice(&number(name.len())?.to_le_bytes());
            names.push_str(name);
        }
    }
    let mut module = Vec::from(*crate::symbols::MAGIC);
    module.extend_from_slice(&number(programs.len())?.to_le_bytes());
    module.extend_from_slice(&number(symbols.len() / crate::symbols::SYMBOL)?.to_le_bytes());
    for part in [&table[..], &symbols, names.as_bytes()] {
        module.extend_from_slice(part);
    }
    Ok(module)
}
