//! Reading the file: header, table, modules.

use crate::bytes::{array, range, u32_at, u64_at};
use crate::{CRC, Error, MAX_MODULES, Name, PAGE, Program, Symbols, VERSION, page_up};
use core::fmt;

pub(crate) const MAGIC: &[u8; 8] = b"SALIMAGE";
pub(crate) const HEADER: usize = 64;
pub(crate) const ENTRY: usize = 64;
/// Where the head's own checksum stands.
pub(crate) const HEAD_CRC: usize = 32;

/// What a module is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
#[repr(u32)]
pub enum Kind {
    /// A native program, ready to load: [`Program`].
    Program = 1,
    /// The manifest in its compact form.
    Manifest = 2,
    /// A tar archive: the root file system.
    RamDisk = 3,
    /// Addresses and names of all programs' functions: [`Symbols`].
    Symbols = 4,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        [Kind::Program, Kind::Manifest, Kind::RamDisk, Kind::Symbols].into_iter().find(|k| *k as u32 == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Program => "program",
            Kind::Manifest => "manifest",
            Kind::RamDisk => "RAM disk",
            Kind::Symbols => "symbols",
        })
    }
}

/// One module of an open image.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Its name; unique within its kind.
    pub name: Name,
    /// What it is.
    pub kind: Kind,
    /// Where it starts in the file, in bytes; a multiple of [`PAGE`].
    pub offset: u64,
    /// Its bytes, without padding.
    pub bytes: &'a [u8],
    padded: &'a [u8],
    crc: u32,
}

impl Module<'_> {
    /// Do its bytes (and the padding after them) match its checksum?
    pub fn check(&self) -> Result<(), Error> {
        if CRC.checksum(self.padded) == self.crc { Ok(()) } else { Err(Error::Damaged(self.name)) }
    }
}

/// An image whose header and table have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    modules: usize,
}

impl<'a> Image<'a> {
    /// Checks the header and the table, not the modules' contents ([`Image::check`] does). Bytes after the image's end are ignored:
    /// a boot loader hands over whole pages.
    pub fn open(bytes: &'a [u8]) -> Result<Image<'a>, Error> {
        let (modules, head) = read_header(bytes)?;
        let total = u64_at(bytes, 16).ok_or(Error::NotAnImage)?;
        let bytes = range(bytes, 0, total).ok_or(Error::Truncated(total, bytes.len() as u64))?;
        let image = Image { bytes, modules };
        image.check_table(head)?;
        Ok(image)
    }

    /// The table's entries in order, each valid and where the last one ended, the last one ending with the file.
    fn check_table(&self, head: u64) -> Result<(), Error> {
        let mut next = head;
        for index in 0..self.modules {
            let module = self.entry(index)?;
            if module.offset != next {
                return Err(Error::Table("modules do not follow each other"));
            }
            next += module.padded.len() as u64;
            for earlier in 0..index {
                let earlier = self.entry(earlier)?;
                if earlier.name == module.name && earlier.kind == module.kind {
                    return Err(Error::Table("two modules of one kind and name"));
                }
            }
        }
        if next == self.bytes.len() as u64 { Ok(()) } else { Err(Error::Table("modules do not fill the file")) }
    }

    fn entry(&self, index: usize) -> Result<Module<'a>, Error> {
        let entry = range(self.bytes, (HEADER + index * ENTRY) as u64, ENTRY as u64);
        let entry = entry.ok_or(Error::Table("an entry outside the head"))?;
        let name = array(entry, 0).and_then(Name::from_field).ok_or(Error::Table("a bad name"))?;
        let kind = u32_at(entry, 32).and_then(Kind::from_number).ok_or(Error::Table("an unknown kind"))?;
        let field = |at| u64_at(entry, at).ok_or(Error::Table("an entry cut short"));
        let (offset, length) = (field(40)?, field(48)?);
        let crc = u32_at(entry, 36).ok_or(Error::Table("an entry cut short"))?;
        let outside = Error::Table("a module outside the file");
        let padded = range(self.bytes, offset, page_up(length).ok_or(outside)?).ok_or(outside)?;
        let bytes = range(padded, 0, length).ok_or(outside)?;
        Ok(Module { name, kind, offset, bytes, padded, crc })
    }

    /// Checks every module's contents.
    pub fn check(&self) -> Result<(), Error> {
        self.modules().try_for_each(|module| module.check())
    }

    /// All modules, in the order of the file.
    pub fn modules(&self) -> impl Iterator<Item = Module<'a>> + use<'a> {
        let image = *self;
        // `open` has decoded every entry, so none is skipped here.
        (0..image.modules).filter_map(move |index| image.entry(index).ok())
    }

    /// The module of that kind and name; its contents are not checked.
    pub fn find(&self, kind: Kind, name: &str) -> Result<Module<'a>, Error> {
        let name = Name::new(name).ok_or(Error::BadName)?;
        self.modules().find(|m| m.kind == kind && m.name == name).ok_or(Error::Missing(kind, name))
    }

    /// The program of that name, its checksum and all its tables checked.
    pub fn program(&self, name: &str) -> Result<Program<'a>, Error> {
        let module = self.find(Kind::Program, name)?;
        module.check()?;
        Program::open(module.bytes)
    }

    /// All programs' symbols, the module's checksum checked.
    pub fn symbols(&self) -> Result<Symbols<'a>, Error> {
        let module = self.find(Kind::Symbols, crate::SYMBOLS)?;
        module.check()?;
        Symbols::open(module.bytes)
    }

    /// The image's own length in bytes: a multiple of [`PAGE`].
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Has it no modules?
    pub fn is_empty(&self) -> bool {
        self.modules == 0
    }
}

/// Checks the head; returns (number of modules, length of the head in bytes).
fn read_header(bytes: &[u8]) -> Result<(usize, u64), Error> {
    if array(bytes, 0).as_ref() != Some(MAGIC) {
        return Err(Error::NotAnImage);
    }
    let short = Error::Truncated(HEADER as u64, bytes.len() as u64);
    let version = u32_at(bytes, 8).ok_or(short)?;
    if version != VERSION {
        return Err(Error::Version(version));
    }
    let modules = u32_at(bytes, 12).ok_or(short)? as usize;
    let head = u64_at(bytes, 24).ok_or(short)?;
    let crc = u32_at(bytes, HEAD_CRC).ok_or(short)?;
    if modules > MAX_MODULES || page_up((HEADER + modules * ENTRY) as u64) != Some(head) {
        return Err(Error::Table("the head's length does not fit the number of modules"));
    }
    let covered = range(bytes, 0, head).ok_or(Error::Truncated(head, bytes.len() as u64))?;
    if head_crc(covered) != Some(crc) {
        return Err(Error::Head);
    }
    Ok((modules, head))
}

/// The checksum of a head, with its own field as zero.
pub(crate) fn head_crc(head: &[u8]) -> Option<u32> {
    let mut digest = CRC.digest();
    digest.update(head.get(..HEAD_CRC)?);
    digest.update(&[0; 4]);
    digest.update(head.get(HEAD_CRC + 4..)?);
    Some(digest.finalize())
}

const _: () = assert!(PAGE as usize >= HEADER + ENTRY);
