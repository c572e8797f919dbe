//! Extended attributes: behind the inode's fields, and in a block of their own. Source: `attributes.rst`.
//!
//! What must always hold: an entry is looked at only if it lies within the bytes for attributes, and each is at least
//! sixteen bytes long; a value is handed out only if it lies there too.

use crate::acl;
use crate::blocks::{Blocks, Disk};
use crate::bytes;
use crate::checksum;
use crate::filesystem::FileSystem;
use crate::inode::{self, Inode};
use crate::stop::{Fault, Part, Site, Stop};
use alloc::vec::Vec;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

const MAGIC: u32 = 0xea02_0000;
const CHECKSUM_AT: usize = 16;

/// A namespace by its number: what its names start with.
const NAMESPACES: [(u8, &[u8]); 8] = [
    (0, b""),
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
    (7, b"system."),
    (8, b"system.richacl"),
];

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    magic: U32,
    references: U32,
    blocks: U32,
    hash: U32,
    checksum: U32,
    reserved: [U32; 3],
}

#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Entry {
    name_length: u8,
    namespace: u8,
    value_at: U16,
    value_inode: U32,
    value_size: U32,
    hash: U32,
}

/// Where attributes are: the bytes they lie in, where among them entries start, and from where values are counted.
struct Area<'a> {
    bytes: &'a [u8],
    entries_at: usize,
    site: Site,
}

/// An attribute as it lies in its area.
struct Attribute<'a> {
    namespace: u8,
    name: &'a [u8],
    value: &'a [u8],
}

impl FileSystem {
    /// The value of an attribute of this full name (`user.comment`), in the form that `getxattr` gives it; none if there
    /// is none. At most a block's worth.
    pub fn xattr<B: Blocks>(&self, blocks: &mut B, inode: &Inode, name: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
        let mut value = None;
        self.each_attribute(blocks, inode, &mut |attribute, site| {
            if value.is_none() && attribute.is_named(name) {
                value = Some(attribute.user_value().ok_or(site.fault(Fault::Value))?);
            }
            Ok(())
        })?;
        Ok(value)
    }

    /// The full names of all attributes, a 0 after each, as `listxattr` gives them.
    pub fn xattr_names<B: Blocks>(&self, blocks: &mut B, inode: &Inode) -> Result<Vec<u8>, Stop> {
        let mut names = Vec::new();
        self.each_attribute(blocks, inode, &mut |attribute, _| {
            if let Some(prefix) = attribute.prefix() {
                names.extend_from_slice(prefix);
                names.extend_from_slice(attribute.name);
                names.push(0);
            }
            Ok(())
        })?;
        Ok(names)
    }

    fn each_attribute<B: Blocks>(
        &self,
        blocks: &mut B,
        inode: &Inode,
        see: &mut dyn FnMut(Attribute<'_>, Site) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut disk = Disk::new(self, blocks);
        let site = inode::place(&mut disk, inode.number)?;
        let record = inode::record(&mut disk, inode.number, site)?;
        if let Some(bytes) = in_inode(record) {
            Area { bytes, entries_at: 0, site }.each(see)?;
        }
        if inode.xattr_block == 0 {
            return Ok(());
        }
        let site = inode.part(Part::XattrBlock, inode.xattr_block);
        let bytes = disk.read(site)?;
        self.check_block(bytes, site)?;
        Area { bytes, entries_at: size_of::<Header>(), site }.each(see)
    }

    fn check_block(&self, bytes: &[u8], site: Site) -> Result<(), Stop> {
        let header = bytes::record::<Header>(bytes, 0).ok_or(site.fault(Fault::Length))?;
        if let Some(seed) = self.layout().seed {
            let seed = checksum::crc32c(seed, &[&site.block.to_le_bytes()]);
            let sum = checksum::crc32c_blanked::<4>(seed, bytes, CHECKSUM_AT);
            site.must(sum == header.checksum.get(), Fault::Checksum)?;
        }
        site.must(header.magic.get() == MAGIC && header.blocks.get() == 1, Fault::Magic)
    }
}

/// The bytes for attributes behind an inode's fields, if they are in use.
fn in_inode(record: &[u8]) -> Option<&[u8]> {
    let rest = record.get(inode::used_size(record)..)?;
    let magic = bytes::record::<U32>(rest, 0)?;
    if magic.get() == MAGIC { rest.get(4..) } else { None }
}

impl<'a> Area<'a> {
    /// All attributes, up to the first four bytes of zero.
    fn each(&self, see: &mut dyn FnMut(Attribute<'_>, Site) -> Result<(), Stop>) -> Result<(), Stop> {
        let mut at = self.entries_at;
        while bytes::record::<U32>(self.bytes, at).is_some_and(|word| word.get() != 0) {
            let entry = bytes::record::<Entry>(self.bytes, at).ok_or(self.site.fault(Fault::Value))?;
            let attribute = self.attribute(entry, at).ok_or(self.site.fault(Fault::Value))?;
            at += size_of::<Entry>() + attribute.name.len().next_multiple_of(4);
            see(attribute, self.site)?;
        }
        Ok(())
    }

    fn attribute(&self, entry: &Entry, at: usize) -> Option<Attribute<'a>> {
        let name_at = at + size_of::<Entry>();
        let name = self.bytes.get(name_at..name_at + usize::from(entry.name_length))?;
        if name.contains(&0) || (name.is_empty() && entry.namespace == 0) {
            return None;
        }
        let value_at = usize::from(entry.value_at.get());
        let size = usize::try_from(entry.value_size.get()).ok()?;
        // A value in an inode of its own needs a feature that is refused.
        let value = if size == 0 { &[] } else { self.bytes.get(value_at..value_at.checked_add(size)?)? };
        (entry.value_inode.get() == 0).then_some(Attribute { namespace: entry.namespace, name, value })
    }
}

impl Attribute<'_> {
    /// What the name starts with; none for one that isn't the user's to see.
    fn prefix(&self) -> Option<&'static [u8]> {
        let hidden = self.namespace == 7 && self.name == b"data";
        NAMESPACES.iter().find(|(number, _)| *number == self.namespace && !hidden).map(|(_, prefix)| *prefix)
    }

    fn is_named(&self, full: &[u8]) -> bool {
        self.prefix().and_then(|prefix| full.strip_prefix(prefix)) == Some(self.name)
    }

    /// The value as users see it: access lists have a shorter form on the disk.
    fn user_value(&self) -> Option<Vec<u8>> {
        match self.namespace {
            2 | 3 => acl::expand(self.value),
            _ => Some(self.value.to_vec()),
        }
    }
}
