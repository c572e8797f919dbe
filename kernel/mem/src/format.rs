//! What a page-table word looks like: the architecture's room supplies it.

use crate::Frame;
use sal_abi::Rights;

/// Who may use a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// Programs (and the kernel).
    User,
    /// The kernel alone.
    Kernel,
}

/// How accesses through a leaf are cached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cache {
    /// Ordinary memory.
    Normal,
    /// Registers of a device: not cached, in order.
    Device,
}

/// A page-table word that maps a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// What it maps.
    pub frame: Frame,
    /// READ, WRITE, EXECUTE; a leaf is always readable.
    pub rights: Rights,
    /// Who may use it.
    pub who: Who,
    /// How it is cached.
    pub cache: Cache,
}

/// A page-table word, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// Nothing there.
    Absent,
    /// The table of the next level down.
    Node(Frame),
    /// A mapped page (or a large one, which only kernel halves have).
    Leaf(Leaf),
}

/// Page tables of 512 words per level, 4 KiB leaves at level 0.
pub trait PageFormat {
    /// How many levels: the root table is level `LEVELS - 1`.
    const LEVELS: u32;
    /// The word for a leaf at level 0. Never 0.
    fn leaf(leaf: Leaf) -> u64;
    /// The word that points to a table of user pages. Never 0.
    fn node(frame: Frame) -> u64;
    /// What a word found in a table of this level says. 0 is `Absent`.
    fn decode(level: u32, word: u64) -> Decoded;
}
