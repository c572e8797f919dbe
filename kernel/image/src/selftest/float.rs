//! FPU state across save and restore.

use super::harness::go;
use super::world::World;
use sal_arch_x86_64::{fpu, log, trap};

unsafe extern "C" {
    static program_float: u8;
}

/// Where XMM0 is in the state.
const XMM0: usize = 160;
/// Where the word is that says which components are not initial.
const PRESENT: usize = 512;
const SSE: u8 = 2;

#[inline(never)]
pub(super) fn state_is_kept(world: &mut World) {
    let mut state = fpu::INITIAL;
    state.0[XMM0..XMM0 + 8].copy_from_slice(&0x1122_3344_5566_7788u64.to_le_bytes());
    state.0[PRESENT] = SSE;
    // SAFETY: an initial state with one register set.
    unsafe { fpu::restore(&state) };
    world.native(&raw const program_float);
    world.thread.rsi = 0x99aa;
    assert_eq!(go().event, trap::SYSCALL);
    assert_eq!(world.thread.rdi, 0x1122_3344_5566_7788);
    fpu::save(&mut state);
    assert_eq!(state.0[XMM0..XMM0 + 8], 0x99aau64.to_le_bytes());
    state.0.fill(0xff);
    fpu::sanitise(&mut state, fpu::components());
    // SAFETY: sanitised; it must not fault.
    unsafe { fpu::restore(&state) };
    // SAFETY: as made by the kernel.
    unsafe { fpu::restore(&fpu::INITIAL) };
    fpu::save(&mut state);
    assert_eq!(state.0[XMM0..XMM0 + 16], [0; 16]);
    log!("selftest: FPU state is kept, rubbish is made loadable, components {:#x}", fpu::components());
}
