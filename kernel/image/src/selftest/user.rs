//! System calls, exceptions and preemption of native code.

use super::harness::{Event, go};
use super::world::{NATIVE, World, offset};
use sal_arch_x86_64::frame::Frame;
use sal_arch_x86_64::irq::{self, Interrupt};
use sal_arch_x86_64::{Machine, layout, log, time, trap};

unsafe extern "C" {
    static program_syscalls: u8;
    static program_faults: u8;
    static program_touch: u8;
    static program_spin: u8;
}

const INVALID_OPCODE: u64 = 6;
/// Error code of a page fault: user mode.
const BY_USER: u64 = 4;
const PROTECTION: u64 = 1;

pub(super) fn a_syscall_keeps_registers(world: &mut World) {
    world.native(&raw const program_syscalls);
    assert_eq!(go().event, trap::SYSCALL);
    let f = world.thread;
    let rest = [f.rbx, f.rdx, f.rsi, f.rdi, f.rbp, f.rsp, f.r8, f.r9, f.r10, f.r12, f.r13, f.r14, f.r15];
    assert_eq!((f.rax, rest), (1, [2, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16]));
    world.thread.rax = 100;
    assert_eq!(go().event, trap::SYSCALL);
    let expected =
        Frame { rax: 118, rip: f.rip + 8, rcx: f.rip + 8, rflags: world.thread.rflags, r11: world.thread.r11, ..f };
    assert_eq!(world.thread, expected);
    assert_eq!(go().event, INVALID_OPCODE);
    log!("selftest: a system call keeps registers, and its result arrives");
}

pub(super) fn exceptions_are_caught(world: &mut World) {
    world.native(&raw const program_faults);
    assert_eq!(go().event, INVALID_OPCODE);
    let at = world.thread.rip;
    world.thread.rip = at + 2;
    assert_eq!(go().event, trap::SYSCALL);
    assert_eq!(world.thread.rdi, 0x3333, "rcx and r11 survive an exception");
    for (address, error) in
        [(0x1234, BY_USER), (layout::PHYSMAP, BY_USER | PROTECTION), (layout::IMAGE + 0x20_0000, BY_USER)]
    {
        world.native(&raw const program_touch);
        world.thread.rdi = address;
        let e = go();
        let allowed = error | (e.error & PROTECTION);
        assert_eq!(e, Event { event: trap::PAGE_FAULT, error: allowed, address }, "{address:#x}");
    }
    assert_eq!(world.thread.rip, NATIVE + offset(&raw const program_touch));
    log!("selftest: exceptions in user mode are caught, kernel addresses are out of reach");
}

pub(super) fn the_timer_preempts(world: &mut World, found: &Machine) {
    world.native(&raw const program_spin);
    // On a busy host the time may be over before user mode has run an instruction: such a turn proves nothing, and doesn't count.
    let (mut turns, mut left) = (0, 1000);
    while turns < 3 {
        let before = world.thread.rbx;
        time::set_timer(Some(time::now_ns() + 1_000_000));
        assert_eq!(irq::accept(found, go().event), Interrupt::Timer);
        assert!(world.thread.rbx >= before, "it goes on where it was");
        turns += u32::from(world.thread.rbx > before);
        left -= 1;
        assert!(left > 0, "user mode makes no progress");
    }
    log!("selftest: the timer preempts user mode");
}
