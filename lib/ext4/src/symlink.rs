//! Symbolic links. Source: `ifork.rst`, "Symbolic Links".

use crate::blocks::{Blocks, Disk};
use crate::filesystem::FileSystem;
use crate::inode::{Inode, Kind, ROOT_BYTES};
use crate::map;
use crate::stop::{Fault, Part, Stop};
use alloc::vec::Vec;

impl FileSystem {
    /// Where a symbolic link leads: 1 byte to a block's worth. A long one lies in a block, which has no checksum.
    pub fn read_link<B: Blocks>(&self, blocks: &mut B, link: &Inode) -> Result<Vec<u8>, Stop> {
        link.must_be(Kind::Symlink)?;
        link.must_be_plain()?;
        let size = usize::try_from(link.size).unwrap_or(usize::MAX);
        link.site().must(size > 0 && size <= self.block_size(), Fault::Size)?;
        if self.is_short_link(link) {
            return link.root.get(..size).map(<[u8]>::to_vec).ok_or(link.site().fault(Fault::Size));
        }
        let mut disk = Disk::new(self, blocks);
        let block = map::block(&mut disk, link, 0)?.ok_or(link.site().fault(Fault::Size))?;
        let site = link.part(Part::SymlinkBlock, block);
        Ok(disk.read(site)?.get(..size).unwrap_or_default().to_vec())
    }

    /// Is it a link whose target stands in the inode? It does if it has no blocks but that of its attributes.
    pub(crate) fn is_short_link(&self, link: &Inode) -> bool {
        let cluster = self.block_size() as u64 / 512 * u64::from(self.layout().blocks_per_cluster);
        let attributes = if link.xattr_block == 0 { 0 } else { cluster };
        link.kind() == Kind::Symlink && link.sectors.saturating_sub(attributes) == 0 && link.size < ROOT_BYTES as u64
    }
}
