//! What one guest system call costs below the kernel core: into the personality and back into the guest. Instructions under
//! `-icount shift=0`; ticks of the time-stamp counter elsewhere.

use super::harness::go;
use super::world::World;
use core::sync::atomic::{AtomicU64, Ordering};
use sal_abi::x86_64::{Exit, GuestRegisters};
use sal_arch_x86_64::{guest, log, tlb, trap};

unsafe extern "C" {
    static program_enter: u8;
    static program_loop: u8;
}

const TURNS: u64 = 1000;
const INVALID_OPCODE: u64 = 6;

/// Native root (0: the bench is not running), guest root, guest block.
static ROOTS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// The least handler there can be: a guest's system call goes to the thread, the thread's goes into the guest. Says if it was one.
#[inline(always)]
pub(super) fn handled(event: u64) -> bool {
    let [native, root, block] = ROOTS.each_ref().map(|w| w.load(Ordering::Relaxed));
    if native == 0 || event != trap::SYSCALL {
        return false;
    }
    // SAFETY: the bench set the roots and the block, and made its thread current.
    unsafe {
        if guest::inside() {
            (*guest::leave()).rax = Exit::Syscall as u64;
            tlb::load_root(native);
        } else if guest::enter(block as *mut GuestRegisters).is_ok() {
            tlb::load_root(root);
        }
    }
    true
}

pub(super) fn guest_round_trip(world: &mut World) {
    world.native(&raw const program_enter);
    world.guest(&raw const program_loop).rbx = TURNS;
    for (slot, value) in ROOTS.iter().zip([world.native_root, world.guest_root, world.block as u64]) {
        slot.store(value, Ordering::Relaxed);
    }
    assert_eq!(go().event, INVALID_OPCODE, "the guest has finished");
    ROOTS[0].store(0, Ordering::Relaxed);
    assert!(guest::inside());
    // SAFETY: a guest runs, stopped.
    let per_turn = unsafe {
        guest::leave();
        (*world.block).rax / TURNS
    };
    log!(
        "selftest: guest system call to the personality and back: {per_turn} ticks, 6 of them in user mode, 2 root loads"
    );
}
