//! The frame on the program's stack that a handler runs on: `struct rt_sigframe` of x86_64, byte for byte.
//!
//! From the stack pointer up: return address (the restorer), `struct ucontext`, `siginfo_t`; above, aligned to 64, the
//! FPU state in XSAVE standard format with the marks that say so (asm/sigcontext.h).

use super::{AltStack, SIGINFO_BYTES, SigAction, SigInfo, SigSet};
use crate::ctx::Ctx;
use crate::errno::Errno;
use alloc::vec;
use alloc::vec::Vec;
use linux_raw_sys::general as g;
use sal_abi::x86_64::{GUEST_END, GuestRegisters};

/// Below the stack pointer, the program's own.
const RED_ZONE: u64 = 128;
/// Words of `struct ucontext`: flags, link, stack (3), `sigcontext` (32), mask.
const UCONTEXT_WORDS: usize = 5 + 32 + 1;
/// Where `sigcontext` starts in it.
const CONTEXT: usize = 5;
/// Where the FPU pointer is in it.
const FPU_POINTER: usize = CONTEXT + 23;
/// Where the mask is in it.
const MASK: usize = CONTEXT + 32;
/// `FP_XSTATE_MAGIC1`, at byte 464 of the FXSAVE area.
const MAGIC1: u32 = 0x4650_5853;
/// `FP_XSTATE_MAGIC2`, behind the state.
const MAGIC2: u32 = 0x4650_5845;
/// `struct _fpx_sw_bytes` is here in the FXSAVE area.
const SOFTWARE: usize = 464;
/// Bytes of the FXSAVE area.
const FXSAVE: usize = 512;
/// `UC_FP_XSTATE`, `UC_SIGCONTEXT_SS`, `UC_STRICT_RESTORE_SS`
const UC_FP_XSTATE: u64 = 1;
const UC_SS: u64 = 2 | 4;
/// User code and stack segments of Linux x86_64: cs, gs, fs, ss.
const SEGMENTS: u64 = 0x33 | 0x2b << 48;
/// Flags that a program may set: CF PF AF ZF SF TF DF OF RF AC.
const FLAGS: u64 = 0x0005_0dd5;
/// Flags cleared for a handler: TF, DF, RF.
const HANDLER_CLEARS: u64 = 0x100 | 0x400 | 0x1_0000;
/// Always set: reserved bit 1 and IF.
const ALWAYS: u64 = 0x202;

/// Writes the frame and points the registers at the handler.
pub fn push(ctx: &mut Ctx, info: &SigInfo, action: &SigAction) -> Result<(), Errno> {
    let task = ctx.me()?;
    let (stack, mask) = (task.alt_stack, task.saved_mask.unwrap_or(task.blocked));
    let top = stack_top(ctx.regs.rsp, &stack, action);
    let (fpu, fpu_at) = fpu_area(ctx, top);
    let size = 8 + UCONTEXT_WORDS as u64 * 8 + SIGINFO_BYTES as u64;
    let frame = (fpu_at.wrapping_sub(size) & !15).wrapping_sub(8);
    let on_alternate = action.has(g::SA_ONSTACK) && stack.size != 0;
    if on_alternate && frame < stack.base {
        return Err(Errno::EFAULT);
    }
    let context = context_words(ctx, &stack, mask, fpu_at, fpu.len() > FXSAVE);
    ctx.mem.write(fpu_at, &fpu)?;
    ctx.mem.put_u64(frame, action.restorer)?;
    ctx.mem.put_words(frame + 8, &context)?;
    let info_at = frame + 8 + UCONTEXT_WORDS as u64 * 8;
    ctx.mem.write(info_at, &info.to_bytes())?;
    enter(ctx, info.signal, action, frame, info_at)
}

fn enter(ctx: &mut Ctx, signal: u8, action: &SigAction, frame: u64, info_at: u64) -> Result<(), Errno> {
    let regs = &mut *ctx.regs;
    regs.rdi = signal as u64;
    regs.rsi = info_at;
    regs.rdx = frame + 8;
    regs.rax = 0;
    regs.rip = action.handler;
    regs.rsp = frame;
    regs.rflags = regs.rflags & !HANDLER_CLEARS | ALWAYS;
    let task = ctx.me_mut()?;
    task.saved_mask = None;
    let mut mask = task.blocked.or(action.mask);
    if !action.has(g::SA_NODEFER) {
        mask = mask.or(SigSet::of(signal));
    }
    task.blocked = mask.blockable();
    if task.alt_stack.flags & g::SS_AUTODISARM != 0 {
        task.alt_stack = AltStack::default();
    }
    Ok(())
}

fn stack_top(sp: u64, stack: &AltStack, action: &SigAction) -> u64 {
    if action.has(g::SA_ONSTACK) && stack.size != 0 && !stack.holds(sp) {
        stack.base.wrapping_add(stack.size)
    } else {
        sp.wrapping_sub(RED_ZONE)
    }
}

/// The FPU state with its marks, and where it goes.
fn fpu_area(ctx: &mut Ctx, top: u64) -> (Vec<u8>, u64) {
    let size = ctx.platform.fpu_size().max(FXSAVE);
    let extended = size > FXSAVE;
    let mut area = vec![0; size + if extended { 4 } else { 0 }];
    ctx.platform.fpu_save(area.get_mut(..size).unwrap_or_default());
    let software = if extended {
        let [low, high] = [ctx.platform.fpu_features() as u32, (ctx.platform.fpu_features() >> 32) as u32];
        [MAGIC1, size as u32 + 4, low, high, size as u32]
    } else {
        [0; 5]
    };
    put_u32s(&mut area, SOFTWARE, &software);
    if extended {
        put_u32s(&mut area, size, &[MAGIC2]);
    }
    let at = top.wrapping_sub(area.len() as u64) & !63;
    (area, at)
}

fn put_u32s(area: &mut [u8], at: usize, values: &[u32]) {
    for (place, value) in area.get_mut(at..).unwrap_or_default().chunks_exact_mut(4).zip(values) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

fn context_words(ctx: &Ctx, stack: &AltStack, mask: SigSet, fpu_at: u64, extended: bool) -> [u64; UCONTEXT_WORDS] {
    let r = &*ctx.regs;
    let mut words = [0; UCONTEXT_WORDS];
    let flags = UC_SS | if extended { UC_FP_XSTATE } else { 0 };
    let head = [flags, 0, stack.base, stack.state(r.rsp) as u64, stack.size];
    let registers = [
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp,
        r.rip, r.rflags, SEGMENTS,
    ];
    for (word, value) in words.iter_mut().zip(head.into_iter().chain(registers)) {
        *word = value;
    }
    if let Some(pointer) = words.get_mut(FPU_POINTER) {
        *pointer = fpu_at;
    }
    if let Some(place) = words.get_mut(MASK) {
        *place = mask.0;
    }
    words
}

/// `rt_sigreturn`: takes everything back from the frame. `EFAULT`, `EINVAL`: the program gets SIGSEGV.
pub fn pop(ctx: &mut Ctx) -> Result<(), Errno> {
    // The handler's `ret` took the return address off.
    let context = ctx.regs.rsp;
    let words: [u64; UCONTEXT_WORDS] = ctx.mem.get_words(context)?;
    let word = |i: usize| words.get(i).copied().unwrap_or(0);
    let (registers, rip) = read_registers(&word, ctx.regs);
    if rip >= GUEST_END {
        return Err(Errno::EINVAL);
    }
    restore_fpu(ctx, word(FPU_POINTER))?;
    let fs_gs = (ctx.regs.fs_base, ctx.regs.gs_base);
    *ctx.regs = registers;
    (ctx.regs.fs_base, ctx.regs.gs_base) = fs_gs;
    let stack = AltStack { base: word(2), size: word(4), flags: word(3) as u32 & g::SS_AUTODISARM };
    let keeps = word(3) as u32 & g::SS_DISABLE == 0;
    let on_stack = ctx.me()?.alt_stack.holds(ctx.regs.rsp);
    if !on_stack {
        ctx.me_mut()?.alt_stack = if keeps { stack } else { AltStack::default() };
    }
    ctx.set_mask(SigSet(word(MASK)))
}

fn read_registers(word: &impl Fn(usize) -> u64, old: &GuestRegisters) -> (GuestRegisters, u64) {
    let c = |i: usize| word(CONTEXT + i);
    let regs = GuestRegisters {
        r8: c(0),
        r9: c(1),
        r10: c(2),
        r11: c(3),
        r12: c(4),
        r13: c(5),
        r14: c(6),
        r15: c(7),
        rdi: c(8),
        rsi: c(9),
        rbp: c(10),
        rbx: c(11),
        rdx: c(12),
        rax: c(13),
        rcx: c(14),
        rsp: c(15),
        rip: c(16),
        rflags: old.rflags & !FLAGS | c(17) & FLAGS | ALWAYS,
        ..*old
    };
    (regs, c(16))
}

fn restore_fpu(ctx: &mut Ctx, at: u64) -> Result<(), Errno> {
    let size = ctx.platform.fpu_size().max(FXSAVE);
    if at == 0 {
        return ctx.platform.fpu_restore(&[]);
    }
    if !at.is_multiple_of(64) {
        return Err(Errno::EINVAL);
    }
    let mut area = ctx.mem.get_vec(at, FXSAVE)?;
    let magic: [u8; 4] = area.get(SOFTWARE..SOFTWARE + 4).and_then(|b| b.try_into().ok()).unwrap_or_default();
    if size > FXSAVE && u32::from_le_bytes(magic) == MAGIC1 && ctx.mem.get_u32(at + size as u64) == Ok(MAGIC2) {
        area = ctx.mem.get_vec(at, size)?;
    }
    // The software bytes are not the processor's.
    if let Some(software) = area.get_mut(SOFTWARE..FXSAVE) {
        software.fill(0);
    }
    ctx.platform.fpu_restore(&area)
}
