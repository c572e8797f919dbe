//! How metadata blocks come in: through a trait, by number, perhaps not yet.
//!
//! Every read of an operation goes through [`Disk`], which refuses numbers that the file system doesn't have, looks into
//! the replayed journal first, and names the block in whatever goes wrong.

use crate::filesystem::FileSystem;
use crate::journal;
use crate::overlay;
use crate::stop::{Fault, Site, Stop};
use alloc::vec::Vec;

/// Metadata blocks, some of which may not be there yet.
pub trait Blocks {
    /// The bytes of this block of the device; exactly as many as a block has.
    fn read(&mut self, block: u64) -> Result<&[u8], Unread>;
}

/// Why there are no bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unread {
    /// They must be fetched first.
    Absent,
    /// The device can't read them.
    Io,
}

/// The blocks of one operation.
pub(crate) struct Disk<'a, B> {
    pub(crate) fs: &'a FileSystem,
    blocks: &'a mut B,
    /// A block whose first bytes had to be changed back.
    unescaped: Vec<u8>,
}

impl<'a, B: Blocks> Disk<'a, B> {
    pub(crate) fn new(fs: &'a FileSystem, blocks: &'a mut B) -> Self {
        Disk { fs, blocks, unescaped: Vec::new() }
    }

    /// The bytes of the block that `site` names: from the journal, if it has newer ones.
    pub(crate) fn read(&mut self, site: Site) -> Result<&[u8], Stop> {
        site.must(self.fs.has_block(site.block), Fault::Outside)?;
        let Some(replayed) = overlay::find(self.fs.replayed(), site.block) else {
            return fetch(self.blocks, site.block, self.fs.block_size());
        };
        let bytes = fetch(self.blocks, replayed.journal.get(), self.fs.block_size())?;
        if !replayed.is_escaped() {
            return Ok(bytes);
        }
        self.unescaped.clear();
        self.unescaped.extend_from_slice(&journal::MAGIC.to_be_bytes());
        self.unescaped.extend(bytes.iter().skip(4));
        Ok(&self.unescaped)
    }
}

/// A block as it lies on the device. One of another length than asked for is a fault of the device.
pub(crate) fn fetch<B: Blocks>(blocks: &mut B, block: u64, length: usize) -> Result<&[u8], Stop> {
    match blocks.read(block) {
        Ok(bytes) if bytes.len() == length => Ok(bytes),
        Ok(_) | Err(Unread::Io) => Err(Stop::Io(block)),
        Err(Unread::Absent) => Err(Stop::Absent(block)),
    }
}
