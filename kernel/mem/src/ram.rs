//! Physical memory as the machine supplies it.

/// Bytes in a frame.
pub const PAGE: u64 = sal_abi::PAGE;

/// 64-bit words in a frame: entries of a page table or of a node.
pub const ENTRIES: usize = 512;

/// The number of a physical frame (address / 4096).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Frame(pub u32);

impl Frame {
    /// Frame 0: never allocated, so it can stand for "none".
    pub const NONE: Frame = Frame(0);

    /// Is this no frame?
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The words and bytes of physical frames.
///
/// Words are read and written with the effect of relaxed atomics: other CPUs walk page tables meanwhile; that is why `&self` writes.
/// A frame number or offset that the machine doesn't have is a bug of the caller: reads give 0, writes do nothing.
pub trait Ram {
    /// Word `index` (0..512) of a frame.
    fn read(&self, frame: Frame, index: usize) -> u64;
    /// Writes word `index` (0..512) of a frame.
    fn write(&self, frame: Frame, index: usize, value: u64);
    /// Fills a frame with zeroes.
    fn zero(&self, frame: Frame);
    /// Copies a whole frame.
    fn copy_frame(&self, from: Frame, to: Frame);
    /// Copies `length` bytes between (frame, byte offset) places; neither crosses its frame's end.
    fn copy(&self, from: (Frame, usize), to: (Frame, usize), length: usize);
    /// Copies bytes out of a frame, from byte `offset`; doesn't cross the frame's end.
    fn load(&self, frame: Frame, offset: usize, bytes: &mut [u8]);
    /// Copies bytes into a frame, to byte `offset`; doesn't cross the frame's end.
    fn store(&self, frame: Frame, offset: usize, bytes: &[u8]);
}
