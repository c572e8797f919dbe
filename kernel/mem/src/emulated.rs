//! An emulated machine for host tests: RAM in a vector, a page format of its own, stores in vectors.

use crate::{
    Budget, Cache, Decoded, ENTRIES, Frame, FrameRange, Layout, Leaf, Machine, Memory, PAGE, PageFormat, Ram, Slot,
    Space, Store, Vm, Who, Window,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sal_abi::Rights;
use std::vec::Vec;

/// Frames of the emulated machine.
#[derive(Debug)]
pub struct EmulatedRam {
    words: Vec<AtomicU64>,
}

impl EmulatedRam {
    /// A machine with that many frames, numbered from 0, full of rubbish.
    pub fn new(frames: u32) -> EmulatedRam {
        let words = (0..frames as usize * ENTRIES).map(|_| AtomicU64::new(0xdead_beef_dead_beef)).collect();
        EmulatedRam { words }
    }

    fn word(&self, frame: Frame, index: usize) -> Option<&AtomicU64> {
        self.words.get(frame.0 as usize * ENTRIES + index)
    }

    fn byte(&self, frame: Frame, at: usize) -> u8 {
        self.read(frame, at / 8).to_le_bytes()[at % 8]
    }

    fn set_byte(&self, frame: Frame, at: usize, byte: u8) {
        let mut bytes = self.read(frame, at / 8).to_le_bytes();
        bytes[at % 8] = byte;
        self.write(frame, at / 8, u64::from_le_bytes(bytes));
    }
}

impl Clone for EmulatedRam {
    fn clone(&self) -> Self {
        EmulatedRam { words: self.words.iter().map(|w| AtomicU64::new(w.load(Relaxed))).collect() }
    }
}

impl Ram for EmulatedRam {
    fn read(&self, frame: Frame, index: usize) -> u64 {
        self.word(frame, index).map_or(0, |w| w.load(Relaxed))
    }

    fn write(&self, frame: Frame, index: usize, value: u64) {
        if let Some(word) = self.word(frame, index) {
            word.store(value, Relaxed);
        }
    }

    fn zero(&self, frame: Frame) {
        for i in 0..ENTRIES {
            self.write(frame, i, 0);
        }
    }

    fn copy_frame(&self, from: Frame, to: Frame) {
        for i in 0..ENTRIES {
            self.write(to, i, self.read(from, i));
        }
    }

    fn copy(&self, from: (Frame, usize), to: (Frame, usize), length: usize) {
        let bytes: Vec<u8> = (0..length).map(|i| self.byte(from.0, from.1 + i)).collect();
        self.store(to.0, to.1, &bytes);
    }

    fn load(&self, frame: Frame, offset: usize, bytes: &mut [u8]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = self.byte(frame, offset + i);
        }
    }

    fn store(&self, frame: Frame, offset: usize, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate() {
            self.set_byte(frame, offset + i, *byte);
        }
    }
}

/// A page format of four levels that no processor has.
#[derive(Clone, Copy, Debug)]
pub struct ToyFormat;

const NODE: u64 = 1 << 63;
const LEAF: u64 = 1 << 62;
const KERNEL: u64 = 1 << 61;
const DEVICE: u64 = 1 << 60;

impl PageFormat for ToyFormat {
    const LEVELS: u32 = 4;

    fn leaf(leaf: Leaf) -> u64 {
        let mut word = LEAF | u64::from(leaf.rights.0) << 32 | u64::from(leaf.frame.0);
        if leaf.who == Who::Kernel {
            word |= KERNEL;
        }
        if leaf.cache == Cache::Device {
            word |= DEVICE;
        }
        word
    }

    fn node(frame: Frame) -> u64 {
        NODE | u64::from(frame.0)
    }

    fn decode(_: u32, word: u64) -> Decoded {
        if word & NODE != 0 {
            return Decoded::Node(Frame(word as u32));
        }
        if word & LEAF == 0 {
            return Decoded::Absent;
        }
        Decoded::Leaf(Leaf {
            frame: Frame(word as u32),
            rights: Rights((word >> 32) as u32 & 0xfff),
            who: if word & KERNEL != 0 { Who::Kernel } else { Who::User },
            cache: if word & DEVICE != 0 { Cache::Device } else { Cache::Normal },
        })
    }
}

/// A store in a vector; takes a frame for every 16 slots, as a real one would.
#[derive(Clone, Debug)]
pub struct VecStore<S> {
    slots: Vec<S>,
    room: usize,
}

impl<S> Default for VecStore<S> {
    fn default() -> Self {
        VecStore { slots: Vec::new(), room: 0 }
    }
}

impl<S> Store<S> for VecStore<S> {
    fn count(&self) -> u32 {
        self.slots.len() as u32
    }

    fn get(&self, index: u32) -> Option<&S> {
        self.slots.get(index as usize)
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut S> {
        self.slots.get_mut(index as usize)
    }

    fn grow(&mut self, _: Frame) -> bool {
        self.room += 16;
        true
    }

    fn push(&mut self, slot: S) -> bool {
        if self.slots.len() >= self.room {
            return false;
        }
        self.slots.push(slot);
        true
    }
}

/// The emulated machine.
#[derive(Clone, Copy, Debug)]
pub struct Emulated;

impl Machine for Emulated {
    type Ram = EmulatedRam;
    type Format = ToyFormat;
    type Memories = VecStore<Slot<Memory>>;
    type Spaces = VecStore<Slot<Space>>;
    type Budgets = VecStore<Slot<Budget>>;
}

/// Guest half and native window as on x86_64.
pub const LAYOUT: Layout = Layout {
    guest: Window { start: 0, end: 1 << 47 },
    native: Window { start: 0xffff_8000_0000_0000, end: 0xffff_8080_0000_0000 },
};

/// The frame of the emulated root template: its last word is a kernel leaf.
pub const TEMPLATE: Frame = Frame(1);

/// A machine of `frames` frames (at least 8): 1 is the template, 2 and 3 belong to nobody (a fixed memory), the rest is free.
///
/// # Panics
/// With fewer frames.
pub fn machine(frames: u32) -> Vm<Emulated> {
    assert!(frames >= 8, "an emulated machine needs 8 frames");
    let ram = EmulatedRam::new(frames);
    ram.zero(TEMPLATE);
    let kernel = Leaf { frame: Frame(0), rights: Rights::READ, who: Who::Kernel, cache: Cache::Normal };
    ram.write(TEMPLATE, ENTRIES - 1, ToyFormat::leaf(kernel));
    let map = [FrameRange { start: 4, end: frames }];
    let stores = (VecStore::default(), VecStore::default(), VecStore::default());
    Vm::new(ram, &map, stores, LAYOUT, TEMPLATE).expect("room for the metadata")
}

/// Bytes in a page, as a length of slices.
pub const PAGE_BYTES: usize = PAGE as usize;
