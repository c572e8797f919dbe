//! Extent trees. Source: `ifork.rst`, "Extent Tree".
//!
//! What must always hold: each level is one lower than its parent's, and at most [`MAX_DEPTH`] levels are read; so a
//! tree that leads back into itself ends too.

use crate::blocks::{Blocks, Disk};
use crate::bytes;
use crate::checksum;
use crate::inode::Inode;
use crate::map::{Span, Target, must_lie_inside};
use crate::stop::{Fault, Part, Site, Stop};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

const MAGIC: u16 = 0xf30a;
/// Levels below the root: four blocks of 1 KiB map all that an inode can have, and the kernel takes no tree of more than five.
const MAX_DEPTH: u16 = 5;
/// Longer extents are unwritten ones, by this much shorter.
const MAX_WRITTEN: u16 = 0x8000;

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    magic: U16,
    entries: U16,
    max: U16,
    depth: U16,
    generation: U32,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Index {
    logical: U32,
    child_low: U32,
    child_high: U16,
    unused: U16,
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Extent {
    logical: U32,
    length: U16,
    start_high: U16,
    start_low: U32,
}

/// Header and entries are of one size: a node is a list of twelve-byte records.
const ENTRY: usize = size_of::<Header>();
const _: () = assert!(size_of::<Index>() == ENTRY && size_of::<Extent>() == ENTRY);

/// The blocks that a node speaks for: from where it was reached to `end`, exclusively.
#[derive(Clone, Copy)]
struct Bounds {
    wanted: u32,
    end: u64,
}

enum Step {
    Found(Span),
    Down { block: u64, end: u64 },
}

impl Extent {
    fn start(&self) -> u64 {
        u64::from(self.start_high.get()) << 32 | u64::from(self.start_low.get())
    }

    fn blocks(&self) -> u16 {
        let length = self.length.get();
        if self.is_unwritten() { length - MAX_WRITTEN } else { length }
    }

    fn is_unwritten(&self) -> bool {
        self.length.get() > MAX_WRITTEN
    }
}

/// What the tree says of block `wanted` of the file and those after it.
pub(crate) fn span<B: Blocks>(disk: &mut Disk<'_, B>, inode: &Inode, wanted: u32) -> Result<Span, Stop> {
    let fs = disk.fs;
    let root = header(&inode.root, inode.site())?;
    let mut depth = root.depth.get();
    inode.site().must(depth <= MAX_DEPTH, Fault::Depth)?;
    let (mut site, mut bounds) = (inode.site(), Bounds { wanted, end: 1 << 32 });
    let mut step = look(&inode.root, site, depth, bounds)?;
    while let Step::Down { block, end } = step {
        // A step down is only made from a depth above 0.
        depth = depth.saturating_sub(1);
        site = inode.part(Part::ExtentBlock, block);
        bounds.end = end;
        must_lie_inside(fs, site, block, 1)?;
        let seed = fs.inode_seed(inode.number, inode.generation);
        let node = disk.read(site)?;
        verify(node, site, seed)?;
        step = look(node, site, depth, bounds)?;
    }
    match step {
        Step::Found(span) => {
            if let Target::Blocks(first) = span.target {
                must_lie_inside(fs, site, first, u32::try_from(span.length).unwrap_or(u32::MAX))?;
            }
            Ok(span)
        }
        Step::Down { .. } => Err(site.fault(Fault::Depth)),
    }
}

/// The checksum follows the last entry that there is room for.
fn verify(node: &[u8], site: Site, seed: Option<u32>) -> Result<(), Stop> {
    let Some(seed) = seed else { return Ok(()) };
    let at = ENTRY * (1 + usize::from(header(node, site)?.max.get()));
    let covered = node.get(..at).ok_or(site.fault(Fault::Count))?;
    let sum = bytes::record::<U32>(node, at).ok_or(site.fault(Fault::NoTail))?;
    site.must(checksum::crc32c(seed, &[covered]) == sum.get(), Fault::Checksum)
}

fn header(node: &[u8], site: Site) -> Result<&Header, Stop> {
    let header = bytes::record::<Header>(node, 0).ok_or(site.fault(Fault::Length))?;
    site.must(header.magic.get() == MAGIC, Fault::Magic)?;
    let max = usize::from(header.max.get());
    site.must(header.entries <= header.max && (1 + max) * ENTRY <= node.len(), Fault::Count)?;
    Ok(header)
}

/// One step: the answer, or the child that has it.
fn look(node: &[u8], site: Site, depth: u16, bounds: Bounds) -> Result<Step, Stop> {
    let header = header(node, site)?;
    site.must(header.depth.get() == depth, Fault::Depth)?;
    let entries = usize::from(header.entries.get());
    match depth {
        0 => {
            let extents = bytes::records::<Extent>(node, ENTRY, entries).ok_or(site.fault(Fault::Count))?;
            leaf(extents, site, bounds).map(Step::Found)
        }
        _ => {
            let children = bytes::records::<Index>(node, ENTRY, entries).ok_or(site.fault(Fault::Count))?;
            branch(children, site, bounds)
        }
    }
}

/// The last child that starts at or before the wanted block. Before the first there is a hole.
fn branch(children: &[Index], site: Site, bounds: Bounds) -> Result<Step, Stop> {
    let after = children.partition_point(|child| child.logical.get() <= bounds.wanted);
    let end = children.get(after).map_or(bounds.end, |next| u64::from(next.logical.get()));
    site.must(end > u64::from(bounds.wanted) && end <= bounds.end, Fault::Order)?;
    match after.checked_sub(1).and_then(|at| children.get(at)) {
        None => Ok(Step::Found(hole(bounds.wanted, end))),
        Some(child) => {
            site.must(child.logical.get() <= bounds.wanted, Fault::Order)?;
            let block = u64::from(child.child_high.get()) << 32 | u64::from(child.child_low.get());
            Ok(Step::Down { block, end })
        }
    }
}

/// The extent that covers the wanted block, or the hole before the next.
fn leaf(extents: &[Extent], site: Site, bounds: Bounds) -> Result<Span, Stop> {
    let wanted = u64::from(bounds.wanted);
    let after = extents.partition_point(|extent| extent.logical.get() <= bounds.wanted);
    let end = extents.get(after).map_or(bounds.end, |next| u64::from(next.logical.get()));
    site.must(end > wanted && end <= bounds.end, Fault::Order)?;
    let Some(extent) = after.checked_sub(1).and_then(|at| extents.get(at)) else {
        return Ok(hole(bounds.wanted, end));
    };
    let start = u64::from(extent.logical.get());
    let extent_end = start + u64::from(extent.blocks());
    site.must(extent.blocks() > 0, Fault::Length)?;
    site.must(start <= wanted && extent_end <= end, Fault::Order)?;
    if wanted >= extent_end {
        return Ok(hole(bounds.wanted, end));
    }
    let target = match extent.is_unwritten() {
        true => Target::Unwritten,
        false => Target::Blocks(extent.start() + (wanted - start)),
    };
    Ok(Span { length: extent_end - wanted, target })
}

fn hole(wanted: u32, end: u64) -> Span {
    Span { length: end - u64::from(wanted), target: Target::Hole }
}
