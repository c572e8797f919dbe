//! Guests: enter, stop, and registers that mean harm.

use super::harness::{Event, go};
use super::world::{GUEST, GUEST_LAST, World, offset};
use sal_abi::x86_64::{GUEST_END, GuestRegisters};
use sal_arch_x86_64::layout::{IMAGE, PAGE};
use sal_arch_x86_64::{guest, log, tlb, trap};

unsafe extern "C" {
    static program_syscalls: u8;
    static program_touch: u8;
    static program_flags: u8;
}

/// What the way out makes of a rip that the processor would choke on in the kernel. A fault taken in user mode instead (QEMU's own emulation
/// is so lenient) shows by its address: CR2, left by an earlier page fault.
const BAD_RIP: Event = Event { event: 13, error: 0, address: 0 };

/// Enters the guest with the registers in the block and runs it until it traps.
fn run(world: &mut World) -> Event {
    // SAFETY: the block is a pinned frame; both roots are whole.
    unsafe {
        guest::enter(world.block).expect("good segment bases");
        tlb::load_root(world.guest_root);
    }
    let event = go();
    assert!(guest::inside());
    event
}

fn leave(world: &World) {
    // SAFETY: a guest runs.
    unsafe {
        guest::leave();
        tlb::load_root(world.native_root);
    }
}

pub(super) fn a_guest_runs_and_stops(world: &mut World) {
    world.native(&raw const program_syscalls);
    world.thread.fs_base = 0;
    trap::load_fs_base(0x5000);
    *world.guest(&raw const program_syscalls) =
        GuestRegisters { fs_base: 0x7000, gs_base: 0x8000, ..*world.guest(&raw const program_syscalls) };
    assert_eq!(run(world).event, trap::SYSCALL);
    assert_eq!(trap::read_fs_base(), 0x7000);
    leave(world);
    assert_eq!(trap::read_fs_base(), 0x5000);
    // SAFETY: the guest doesn't run now.
    let block = unsafe { &mut *world.block };
    assert_eq!((block.rax, block.r15, block.fs_base, block.gs_base), (1, 16, 0x7000, 0x8000));
    assert_eq!(world.thread.rax, 0, "the thread's own registers are not the guest's");
    block.rax = 200;
    assert_eq!(go().event, trap::SYSCALL, "the thread itself runs");
    assert_eq!((world.thread.rax, guest::inside()), (1, false));
    assert_eq!(run(world).event, trap::SYSCALL);
    leave(world);
    // SAFETY: as above.
    assert_eq!(unsafe { (*world.block).rax }, 218);
    log!("selftest: a guest runs, stops and goes on; its thread too");
}

pub(super) fn hostile_registers_do_no_harm(world: &mut World) {
    world.native(&raw const program_syscalls);
    world.guest(&raw const program_touch).rip = 1 << 47;
    assert_eq!(run(world), BAD_RIP, "no canonical address");
    leave(world);
    world.guest(&raw const program_touch).rip = IMAGE + 0x20_0000;
    assert_eq!(run(world).event, trap::PAGE_FAULT, "kernel code");
    leave(world);
    world.guest(&raw const program_flags).rflags = !0x100;
    assert_eq!(
        run(world).event,
        trap::PAGE_FAULT,
        "its stack is not there; it ran with the flags, without the ones it may not have"
    );
    leave(world);
    // SAFETY: the guest doesn't run now.
    let flags = unsafe { (*world.block).rflags };
    assert_eq!(flags & 0x0003_7200, 0x200, "IF is on; IOPL, NT, RF, VM are off: {flags:#x}");
    world.guest(&raw const program_flags).rip = GUEST_LAST + PAGE - 2;
    assert_eq!(run(world).event, trap::SYSCALL, "a system call by the last two bytes of the guest half");
    assert_eq!(go(), BAD_RIP, "can't go on behind it");
    leave(world);
    for (fs, gs) in [(GUEST_END, 0), (0, u64::MAX)] {
        let block = world.guest(&raw const program_touch);
        (block.fs_base, block.gs_base) = (fs, gs);
        // SAFETY: as in `run`.
        assert_eq!(unsafe { guest::enter(world.block) }, Err(guest::BadBase));
        assert!(!guest::inside());
    }
    assert_eq!(world.guest(&raw const program_touch).rip, GUEST + offset(&raw const program_touch));
    log!("selftest: hostile guest registers do no harm");
}
