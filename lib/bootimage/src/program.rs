//! Reading a program module.
//!
//! [`Program::open`] checks everything that a loader relies on, so that the loader itself has nothing left to check: segments ascend,
//! do not overlap and lie within the span; the entry lies in an executable one; relocated places lie, whole, in the file part of one.

use crate::bytes::{array, range, u16_at, u32_at, u64_at};
use crate::{Error, PAGE, page_up};
use sal_abi::Rights;

pub(crate) const MAGIC: &[u8; 8] = b"SALPROG1";
pub(crate) const HEADER: usize = 64;
pub(crate) const SEGMENT: usize = 40;

/// The machine number of x86_64, as in ELF (`EM_X86_64`).
pub const MACHINE_X86_64: u16 = 62;

/// A part of a program with rights of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// Where it starts, in bytes from the image's first; a multiple of [`PAGE`].
    pub address: u64,
    /// Its size in memory in bytes; a multiple of [`PAGE`]. What `bytes` doesn't fill is zero.
    pub size: u64,
    /// Where its contents start in the module, in bytes; a multiple of [`PAGE`].
    pub offset: u64,
    /// Its contents; not longer than `size`. The rest of their last page in the module is zero.
    pub bytes: &'a [u8],
    /// `READ`, `WRITE`, `EXECUTE` as its mapping is to have them.
    pub rights: Rights,
}

/// A program, checked, ready to be loaded at any page.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The machine that it is for: [`MACHINE_X86_64`].
    pub machine: u16,
    /// The first instruction, in bytes from the image's first.
    pub entry: u64,
    /// How much address space the image takes, in bytes; a multiple of [`PAGE`].
    pub span: u64,
    module: &'a [u8],
    segments: usize,
    places: &'a [[u8; 8]],
}

impl<'a> Program<'a> {
    /// Opens a program module and checks all of its tables.
    pub fn open(module: &'a [u8]) -> Result<Program<'a>, Error> {
        let short = Error::Program("its header is cut short");
        if array(module, 0).as_ref() != Some(MAGIC) {
            return Err(Error::Program("no SALPROG1 at its start"));
        }
        let segments = usize::from(u16_at(module, 10).ok_or(short)?);
        let relocations = u64::from(u32_at(module, 12).ok_or(short)?);
        let start = (HEADER + segments * SEGMENT) as u64;
        let places = range(module, start, relocations * 8).ok_or(Error::Program("its relocations are cut short"))?;
        let program = Program {
            machine: u16_at(module, 8).ok_or(short)?,
            entry: u64_at(module, 16).ok_or(short)?,
            span: u64_at(module, 24).ok_or(short)?,
            module,
            segments,
            places: places.as_chunks().0,
        };
        program.check_segments()?;
        program.check_places()?;
        Ok(program)
    }

    fn segment(&self, index: usize) -> Result<Segment<'a>, Error> {
        let short = Error::Program("its segments are cut short");
        let entry = range(self.module, (HEADER + index * SEGMENT) as u64, SEGMENT as u64).ok_or(short)?;
        let field = |at| u64_at(entry, at).ok_or(short);
        let (offset, length) = (field(16)?, field(24)?);
        let outside = Error::Program("a segment outside the module");
        Ok(Segment {
            address: field(0)?,
            size: field(8)?,
            offset,
            bytes: range(self.module, offset, length).ok_or(outside)?,
            rights: Rights(u32_at(entry, 32).ok_or(short)?),
        })
    }

    fn check_segments(&self) -> Result<(), Error> {
        let (mut free, mut entered) = (0, false);
        for index in 0..self.segments {
            let segment = self.segment(index)?;
            let end = check_segment(&segment, free)?;
            if end > self.span {
                return Err(Error::Program("a segment outside the span"));
            }
            let within = (segment.address..end).contains(&self.entry);
            entered |= within && segment.rights.has(Rights::EXECUTE);
            free = end;
        }
        if self.span != free {
            return Err(Error::Program("its span is not where its segments end"));
        }
        if entered { Ok(()) } else { Err(Error::Program("its entry is in no executable segment")) }
    }

    fn check_places(&self) -> Result<(), Error> {
        let mut places = self.relocations().peekable();
        for index in 0..self.segments {
            let segment = self.segment(index)?;
            let filled = segment.address..segment.address + segment.bytes.len() as u64;
            while let Some(place) = places.next_if(|place| filled.contains(place)) {
                let last = place.checked_add(8).is_some_and(|end| end <= filled.end);
                if !last || place % 8 != 0 {
                    return Err(Error::Program("a relocation that is not 8 whole, aligned bytes"));
                }
                if places.peek().is_some_and(|next| *next <= place) {
                    return Err(Error::Program("relocations do not ascend"));
                }
            }
        }
        if places.next().is_none() { Ok(()) } else { Err(Error::Program("a relocation outside the segments")) }
    }

    /// Its segments by address.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let program = *self;
        // `open` has decoded every segment, so none is skipped here.
        (0..program.segments).filter_map(move |index| program.segment(index).ok())
    }

    /// The places to relocate, ascending, in bytes from the image's first: to the u64 at each the image's address is added.
    pub fn relocations(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.places.iter().map(|place| u64::from_le_bytes(*place))
    }

    /// Relocates a piece of the image that has been copied into `piece`, for an image whose first byte will be at `base`. The piece
    /// starts `start` bytes into the image; `start` and the piece's length are multiples of 8. Relocating one twice is the caller's bug.
    pub fn relocate(&self, piece: &mut [u8], start: u64, base: u64) {
        let first = self.places.partition_point(|place| u64::from_le_bytes(*place) < start);
        for place in self.places.get(first..).unwrap_or(&[]) {
            let Some(at) = u64::from_le_bytes(*place).checked_sub(start).and_then(|at| usize::try_from(at).ok()) else {
                return;
            };
            let Some(word) = piece.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<8>()) else {
                return;
            };
            *word = u64::from_le_bytes(*word).wrapping_add(base).to_le_bytes();
        }
    }

    /// Has the range of image bytes `start .. end` any place to relocate? If not, it can be mapped as it lies in the module.
    pub fn has_relocations(&self, start: u64, end: u64) -> bool {
        let first = self.places.partition_point(|place| u64::from_le_bytes(*place) < start);
        self.places.get(first).is_some_and(|place| u64::from_le_bytes(*place) < end)
    }
}

/// Checks one segment by itself and against the end of the one before; returns its own end.
fn check_segment(segment: &Segment<'_>, free: u64) -> Result<u64, Error> {
    let aligned = [segment.address, segment.size, segment.offset].iter().all(|n| n % PAGE == 0);
    if !aligned {
        return Err(Error::Program("a segment that is not on page boundaries"));
    }
    if segment.address < free {
        return Err(Error::Program("segments overlap or do not ascend"));
    }
    if page_up(segment.bytes.len() as u64).is_none_or(|filled| filled > segment.size) {
        return Err(Error::Program("a segment with more contents than memory"));
    }
    if !Rights::READ.or(Rights::WRITE).or(Rights::EXECUTE).has(segment.rights) {
        return Err(Error::Program("a segment with unknown rights"));
    }
    if segment.rights.has(Rights::WRITE.or(Rights::EXECUTE)) {
        return Err(Error::Program("a segment that can be both written and executed"));
    }
    segment.address.checked_add(segment.size).ok_or(Error::Program("a segment outside the span"))
}
