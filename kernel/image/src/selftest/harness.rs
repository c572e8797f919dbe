//! Lets a test run user mode as if it were a function: [`go`] returns at the next trap.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use sal_arch_x86_64::{Machine, percpu, trap};

/// What trapped: the arguments of `kernel_entry`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Event {
    pub(super) event: u64,
    pub(super) error: u64,
    pub(super) address: u64,
}

static RUNNING: AtomicBool = AtomicBool::new(false);
static SAVED_STACK: AtomicU64 = AtomicU64::new(0);
static LAST: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

global_asm!(
    "selftest_go:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rip + {SAVED}], rsp",
    "jmp {RESUME}",
    "selftest_back:",
    "mov rsp, [rip + {SAVED}]",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    SAVED = sym SAVED_STACK,
    RESUME = sym trap::resume,
);

unsafe extern "C" {
    fn selftest_go();
    fn selftest_back() -> !;
}

/// Runs user mode (or idles, with no frame) until something traps.
pub(super) fn go() -> Event {
    RUNNING.store(true, Ordering::Relaxed);
    // SAFETY: `trapped` comes back here with the same stack and callee-saved registers.
    unsafe { selftest_go() };
    let [event, error, address] = LAST.each_ref().map(|w| w.load(Ordering::Relaxed));
    Event { event, error, address }
}

/// The boot CPU's part of `kernel_entry`: back to the test that runs, if one does.
pub(super) fn trapped(event: u64, error: u64, address: u64) {
    if percpu::index() != 0 || !RUNNING.swap(false, Ordering::Relaxed) {
        return;
    }
    for (slot, value) in LAST.iter().zip([event, error, address]) {
        slot.store(value, Ordering::Relaxed);
    }
    // SAFETY: `go` waits on its own stack.
    unsafe { selftest_back() }
}

const STACK: usize = 32768;
#[repr(C, align(16))]
struct OwnStack([u8; STACK]);
static mut OWN_STACK: OwnStack = OwnStack([0; STACK]);

/// Calls `test` on a stack that no trap uses.
pub(super) fn on_own_stack(found: &'static Machine, cpus: usize, test: fn(&'static Machine, usize) -> !) -> ! {
    // SAFETY: the boot CPU alone comes here, once; `test` never returns.
    unsafe {
        let top = (&raw mut OWN_STACK).cast::<u8>().add(STACK);
        asm!("mov rsp, {}", "xor ebp, ebp", "call {}", "ud2", in(reg) top, in(reg) test, in("rdi") found, in("rsi") cpus, options(noreturn));
    }
}
