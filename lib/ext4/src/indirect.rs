//! Block numbers in lists of lists, as ext2 and ext3 have them. Source: `blockmap.rst`.
//!
//! These blocks have no checksum. At most three are read, whatever they hold.

use crate::blocks::{Blocks, Disk};
use crate::bytes;
use crate::inode::{Inode, ROOT_BYTES};
use crate::map::{Span, Target, must_lie_inside};
use crate::stop::{Fault, Part, Site, Stop};
use zerocopy::little_endian::U32;

/// Numbers in the inode that are blocks of the file; one each of one, two and three levels of lists follow.
const DIRECT: usize = 12;
const LISTS: usize = 3;

/// What the lists say of block `wanted` of the file and those after it.
pub(crate) fn span<B: Blocks>(disk: &mut Disk<'_, B>, inode: &Inode, wanted: u32) -> Result<Span, Stop> {
    let root = bytes::records::<U32>(&inode.root, 0, ROOT_BYTES / 4).ok_or(inode.site().fault(Fault::Length))?;
    let (direct, lists) = root.split_at_checked(DIRECT).unwrap_or((root, &[]));
    if (wanted as usize) < DIRECT {
        return run(disk, direct, wanted as usize, inode.site());
    }
    let per_block = disk.fs.block_size() as u64 / 4;
    let mut rest = u64::from(wanted) - DIRECT as u64;
    let mut covered = per_block;
    for levels in 1..=LISTS {
        if rest < covered {
            let list = lists.get(levels - 1).map_or(0, |number| number.get());
            return descend(disk, inode, list, rest, covered);
        }
        rest -= covered;
        covered *= per_block;
    }
    // Behind the last list there is nothing that a file could have.
    Ok(Span { length: u64::MAX, target: Target::Hole })
}

/// Block `rest` of those that `list` covers, `covered` in all.
fn descend<B: Blocks>(disk: &mut Disk<'_, B>, inode: &Inode, list: u32, rest: u64, covered: u64) -> Result<Span, Stop> {
    let per_block = disk.fs.block_size() as u64 / 4;
    let (mut list, mut covered, mut rest) = (u64::from(list), covered, rest);
    loop {
        if list == 0 {
            return Ok(Span { length: covered - rest, target: Target::Hole });
        }
        let site = inode.part(Part::IndirectBlock, list);
        must_lie_inside(disk.fs, site, list, 1)?;
        covered /= per_block;
        let at = (rest / covered) as usize;
        rest %= covered;
        let fs = disk.fs;
        let bytes = disk.read(site)?;
        let numbers = bytes::records::<U32>(bytes, 0, bytes.len() / 4).ok_or(site.fault(Fault::Length))?;
        if covered == 1 {
            let span = run_of(numbers, at);
            return inside(fs, site, span);
        }
        list = numbers.get(at).map_or(0, |number| u64::from(number.get()));
    }
}

fn run<B: Blocks>(disk: &Disk<'_, B>, numbers: &[U32], at: usize, site: Site) -> Result<Span, Stop> {
    inside(disk.fs, site, run_of(numbers, at))
}

fn inside(fs: &crate::FileSystem, site: Site, span: Span) -> Result<Span, Stop> {
    if let Target::Blocks(first) = span.target {
        must_lie_inside(fs, site, first, u32::try_from(span.length).unwrap_or(u32::MAX))?;
    }
    Ok(span)
}

/// How far the numbers from `at` on follow one another, or are all zero.
fn run_of(numbers: &[U32], at: usize) -> Span {
    let mut rest = numbers.iter().skip(at).map(|number| number.get());
    let Some(first) = rest.next() else { return Span { length: 1, target: Target::Hole } };
    if first == 0 {
        return Span { length: 1 + rest.take_while(|number| *number == 0).count() as u64, target: Target::Hole };
    }
    let follows = |(number, step): &(u32, u32)| first.checked_add(*step) == Some(*number);
    let length = 1 + rest.zip(1..).take_while(follows).count() as u64;
    Span { length, target: Target::Blocks(u64::from(first)) }
}
