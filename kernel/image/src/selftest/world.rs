//! A little world for the tests: frames, a native root, a guest root, and the programs of `programs.s`.

use core::arch::global_asm;
use sal_abi::x86_64::{GUEST_END, GuestRegisters, NATIVE_START};
use sal_arch_x86_64::bootinfo::Span;
use sal_arch_x86_64::frame::{self, Frame};
use sal_arch_x86_64::layout::{PAGE, PHYSMAP};
use sal_arch_x86_64::paging::{self, Format, TableMemory};
use sal_arch_x86_64::physmap::Carver;
use sal_arch_x86_64::{Machine, tlb, trap};
use sal_kernel_mem::{Decoded, Leaf, PageFormat, Who};

global_asm!(include_str!("programs.s"));

unsafe extern "C" {
    static programs_start: u8;
    static programs_end: u8;
}

/// First root entry that every root shares with the kernel (256 is the native window).
const FIRST_SHARED_ROOT_ENTRY: usize = 257;
/// Where the programs are, in the native window.
pub(super) const NATIVE: u64 = NATIVE_START + 0x10_0000;
/// And in the guest half.
pub(super) const GUEST: u64 = 0x40_0000;
/// A page whose last two bytes are `syscall`, at the very end of the guest half.
pub(super) const GUEST_LAST: u64 = GUEST_END - PAGE;

/// See the module's head.
pub(super) struct World {
    pub(super) frames: Carver,
    /// Guest half and native window.
    pub(super) native_root: u64,
    /// Guest half alone.
    pub(super) guest_root: u64,
    /// The thread that runs.
    pub(super) thread: Frame,
    /// The guest's registers, as they would be in the message page.
    pub(super) block: *mut GuestRegisters,
}

impl World {
    pub(super) fn new(found: &Machine) -> World {
        // SAFETY: while tests run, nobody else has memory.
        let mut frames = unsafe { Carver::new(found) };
        let mut root = || {
            let root = frames.frame().expect("a frame");
            for i in FIRST_SHARED_ROOT_ENTRY as u64..512 {
                frames.write(root + 8 * i, frames.read(found.root + 8 * i));
            }
            root
        };
        let (native_root, guest_root) = (root(), root());
        let block = (PHYSMAP + frames.frame().expect("a frame")) as *mut GuestRegisters;
        let mut world = World { frames, native_root, guest_root, thread: Frame::default(), block };
        world.place(native_root, NATIVE, PAGE as usize - 2);
        world.place(guest_root, GUEST, PAGE as usize - 2);
        world.place(guest_root, GUEST_LAST, PAGE as usize - 2);
        for i in 0..256 {
            let entry = world.frames.read(guest_root + 8 * i);
            world.frames.write(native_root + 8 * i, entry);
        }
        world
    }

    /// Maps a page with the programs at its start and a `syscall` at `at`.
    fn place(&mut self, root: u64, address: u64, at: usize) {
        let frame = self.frames.frame().expect("a frame");
        let start = &raw const programs_start;
        let length = &raw const programs_end as usize - start as usize;
        assert!(length <= at);
        // SAFETY: a frame of our own, mapped; the programs are shorter than a page.
        unsafe {
            let page = (PHYSMAP + frame) as *mut u8;
            core::ptr::copy_nonoverlapping(start, page, length);
            page.add(at).cast::<[u8; 2]>().write_unaligned([0x0f, 0x05]);
        }
        let code = Leaf { who: Who::User, ..paging::CODE };
        paging::map(&mut self.frames, root, address, Span::sized(frame, PAGE), code, 0).expect("a mapping");
    }

    /// What the last level says of `address` in `root`.
    pub(super) fn entry(&mut self, root: u64, address: u64) -> Decoded {
        let slot = paging::descend(&mut self.frames, root, address, 0, Who::Kernel).expect("tables");
        Format::decode(0, self.frames.read(slot))
    }

    /// Makes the thread current: native code at `program`.
    pub(super) fn native(&mut self, program: *const u8) {
        self.thread = frame::start(NATIVE + offset(program), 0, 0, 0);
        // SAFETY: no guest runs; the world outlives the tests; the root has the kernel's entries.
        unsafe {
            trap::set_current(&raw mut self.thread);
            tlb::load_root(self.native_root);
        }
    }

    /// The guest's registers, set to start at `program`.
    pub(super) fn guest(&mut self, program: *const u8) -> &mut GuestRegisters {
        // SAFETY: a frame of our own; the guest doesn't run now.
        let block = unsafe { &mut *self.block };
        *block = GuestRegisters { rip: GUEST + offset(program), rflags: 2, ..GuestRegisters::default() };
        block
    }
}

/// Where a program is in its page.
pub(super) fn offset(program: *const u8) -> u64 {
    program as u64 - &raw const programs_start as u64
}
