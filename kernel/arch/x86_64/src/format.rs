//! The page-table words of `kernel/mem`, in this processor's format.

use crate::paging::{self, Access};
use sal_abi::Rights;
use sal_kernel_mem::{Cache, Decoded, Frame, Layout, Leaf, PageFormat, Who, Window};

/// Four levels, as [`paging`] says.
#[derive(Clone, Copy, Debug)]
pub struct Format;

/// The two halves that programs see.
pub const LAYOUT: Layout = Layout {
    guest: Window { start: 0, end: sal_abi::x86_64::GUEST_END },
    native: Window { start: sal_abi::x86_64::NATIVE_START, end: sal_abi::x86_64::NATIVE_END },
};

fn physical(frame: Frame) -> u64 {
    u64::from(frame.0) * sal_abi::PAGE
}

fn frame(physical: u64) -> Frame {
    Frame(u32::try_from(physical / sal_abi::PAGE).unwrap_or(0))
}

impl PageFormat for Format {
    const LEVELS: u32 = paging::LEVELS;

    #[inline]
    fn leaf(leaf: Leaf) -> u64 {
        let access = Access {
            write: leaf.rights.has(Rights::WRITE),
            execute: leaf.rights.has(Rights::EXECUTE),
            user: leaf.who == Who::User,
            device: leaf.cache == Cache::Device,
        };
        match leaf.who {
            Who::User => paging::entry(physical(leaf.frame), access),
            Who::Kernel => paging::kernel_entry(physical(leaf.frame), access),
        }
    }

    #[inline]
    fn node(frame: Frame) -> u64 {
        paging::table(physical(frame))
    }

    #[inline]
    fn decode(level: u32, word: u64) -> Decoded {
        if word & paging::PRESENT == 0 {
            return Decoded::Absent;
        }
        if level > 0 && word & paging::LARGE == 0 {
            return Decoded::Node(frame(word & paging::ADDRESS));
        }
        let Some((physical, access)) = paging::decode(word) else {
            return Decoded::Absent;
        };
        let rights = [(true, Rights::READ), (access.write, Rights::WRITE), (access.execute, Rights::EXECUTE)];
        let rights = rights.iter().filter(|(has, _)| *has).fold(Rights::NONE, |all, (_, right)| all.or(*right));
        Decoded::Leaf(Leaf {
            frame: frame(physical),
            rights,
            who: if access.user { Who::User } else { Who::Kernel },
            cache: if access.device { Cache::Device } else { Cache::Normal },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_decoded_as_it_was_made() {
        let others = [Rights::READ, Rights::READ.or(Rights::WRITE), Rights::READ.or(Rights::EXECUTE)];
        for rights in others {
            for who in [Who::User, Who::Kernel] {
                for cache in [Cache::Normal, Cache::Device] {
                    let leaf = Leaf { frame: Frame(0x12345), rights, who, cache };
                    assert_eq!(Format::decode(0, Format::leaf(leaf)), Decoded::Leaf(leaf));
                }
            }
        }
    }

    #[test]
    fn a_node_is_one_above_the_last_level_only() {
        for level in 1..4 {
            assert_eq!(Format::decode(level, Format::node(Frame(77))), Decoded::Node(Frame(77)));
            assert_eq!(Format::decode(level, 0), Decoded::Absent);
        }
        let used = Format::node(Frame(77)) | paging::ACCESSED | paging::DIRTY;
        assert_eq!(Format::decode(2, used), Decoded::Node(Frame(77)));
    }
}
