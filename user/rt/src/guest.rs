//! Reaching the memory of the guest that the calling thread has attached.
//!
//! An absent page is brought by the kernel; a refused access ends the copy at the fixup address (`docs/abi.md`, "Guests"). Guest memory is never
//! the target of a Rust reference: other threads of the guest write it at any time.

use crate::handle;
use sal_abi::x86_64::{FPU_BYTES, GUEST_END, GuestRegisters};
use sal_abi::{Error, Handle, MessagePage, Rights};
use sal_sys::guest::{FpuMove, Stopped};
use sal_sys::memory::{self, Half, Mapping};

/// Offset of the fixup address in the message page.
const FIXUP: usize = core::mem::offset_of!(MessagePage, fixup);

/// Copies from the guest. Bytes copied: fewer than asked for if the guest's memory ends or is refused there.
pub fn copy_in(to: &mut [u8], from: u64) -> usize {
    let length = reachable(from, to.len());
    // SAFETY: `length` bytes of `to` are writable; the source is in the guest half.
    length - unsafe { copy(to.as_mut_ptr(), from as *const u8, length) }
}

/// Copies to the guest. Bytes copied, as [`copy_in`].
pub fn copy_out(to: u64, from: &[u8]) -> usize {
    let length = reachable(to, from.len());
    // SAFETY: `length` bytes of `from` are readable; the target is in the guest half, where no Rust object lives.
    length - unsafe { copy(to as *mut u8, from.as_ptr(), length) }
}

/// How much of a range lies in the guest half.
fn reachable(address: u64, length: usize) -> usize {
    length.min(usize::try_from(GUEST_END.saturating_sub(address)).unwrap_or(0))
}

/// Copies bytes until done or until an access to the guest half is refused; bytes left.
///
/// # Safety
/// `from` is readable and `to` writable for `length` bytes, or in the guest half.
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) -> usize {
    // SAFETY: the caller's promise, for the words and for what is left of it.
    unsafe {
        let done = length / 8 * 8 - 8 * copy_words(to, from, length / 8);
        // After a refused word this finds the very byte.
        copy_bytes(to.wrapping_add(done), from.wrapping_add(done), length - done)
    }
}

macro_rules! copy_by {
    ($name:ident, $instruction:literal, $unit:literal) => {
        #[doc = concat!("Copies ", $unit, " until done or refused; how many are left. The fixup address counts only inside.")]
        ///
        /// # Safety
        /// As for [`copy`].
        unsafe fn $name(to: *mut u8, from: *const u8, count: usize) -> usize {
            let left: usize;
            // SAFETY: promised by the caller; at the fixup the registers are those of the refused access, so `rcx` counts what is left.
            unsafe {
                core::arch::asm!(
                    "lea {label}, [rip + 2f]",
                    "mov qword ptr [{page} + {fixup}], {label}",
                    $instruction,
                    "2:",
                    "mov qword ptr [{page} + {fixup}], 0",
                    label = out(reg) _,
                    page = in(reg) sal_sys::page::pointer(),
                    fixup = const FIXUP,
                    inout("rcx") count => left,
                    inout("rdi") to => _,
                    inout("rsi") from => _,
                    options(nostack, preserves_flags)
                )
            }
            left
        }
    };
}

copy_by!(copy_bytes, "rep movsb", "bytes");
copy_by!(copy_words, "rep movsq", "eight bytes at a time");

/// Brings a guest page in by touching it, for reading or for writing. `false` if the access is refused.
pub fn touch(address: u64, access: Access) -> bool {
    let mut byte = [0];
    if copy_in(&mut byte, address) != 1 {
        return false;
    }
    match access {
        Access::Read => true,
        Access::Write => touch_write(address),
    }
}

/// What a touched page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read.
    Read,
    /// To be written.
    Write,
}

/// One instruction that touches the guest; `$refused` is not 0 afterwards if it was refused: then execution went on behind it, at the fixup.
macro_rules! guarded {
    ($refused:ident, $instruction:literal, $($operands:tt)*) => {
        core::arch::asm!(
            "lea {label}, [rip + 2f]",
            "mov qword ptr [{page} + {fixup}], {label}",
            "mov {refused:e}, 1",
            $instruction,
            "mov {refused:e}, 0",
            "2:",
            "mov qword ptr [{page} + {fixup}], 0",
            label = out(reg) _,
            page = in(reg) sal_sys::page::pointer(),
            fixup = const FIXUP,
            refused = out(reg) $refused,
            $($operands)*,
            options(nostack)
        )
    };
}

/// Adds zero to a byte, atomically: others may be writing it. `false` if the access is refused.
pub(crate) fn touch_write(address: u64) -> bool {
    let refused: u64;
    // SAFETY: the byte keeps its value, whoever it belongs to; a refused access goes on at the fixup.
    unsafe { guarded!(refused, "lock add byte ptr [{address}], 0", address = in(reg) address) };
    refused == 0
}

/// Reads an aligned word of the guest, whole. `None` if the access is refused.
pub fn load_u32(address: u64) -> Option<u32> {
    exchange(address, None)
}

/// Atomically replaces an aligned word of the guest by `new` if it is `expected`; what was there. `None` if the access is refused.
pub fn compare_exchange_u32(address: u64, expected: u32, new: u32) -> Option<u32> {
    exchange(address, Some((expected, new)))
}

/// An atomic access to a word: a load, or a compare and exchange.
fn exchange(address: u64, change: Option<(u32, u32)>) -> Option<u32> {
    if !address.is_multiple_of(4) || address >= GUEST_END {
        return None;
    }
    let (expected, new) = change.unwrap_or_default();
    let (refused, seen): (u64, u32);
    // SAFETY: an aligned word in the guest half; a refused access goes on at the fixup.
    unsafe {
        match change {
            None => guarded!(
                refused,
                "mov {seen:e}, dword ptr [{address}]",
                address = in(reg) address,
                seen = inout(reg) 0u32 => seen
            ),
            Some(_) => guarded!(
                refused,
                "lock cmpxchg dword ptr [{address}], {new:e}",
                address = in(reg) address,
                new = in(reg) new,
                inout("eax") expected => seen
            ),
        }
    }
    (refused == 0).then_some(seen)
}

/// Word of `MessagePage::user` that is 1 once this thread's [`Guest`] was handed out.
const TAKEN_WORD: usize = 4;

/// The calling thread as one that runs a guest: its registers, which lie in the message page, and entering it. There is one per thread, and it
/// stays on it. A program that uses it leaves the guest functions of `sal_sys::page` and `sal_sys::guest` alone.
#[derive(Debug)]
pub struct Guest(core::marker::PhantomData<*mut ()>);

impl Guest {
    /// This thread's; `None` if it was taken before.
    pub fn take() -> Option<Guest> {
        if sal_sys::page::user(TAKEN_WORD) != 0 {
            return None;
        }
        sal_sys::page::set_user(TAKEN_WORD, 1);
        Some(Guest(core::marker::PhantomData))
    }

    /// The guest's registers, as it left them, and as it will find them.
    #[inline(always)]
    pub fn registers(&mut self) -> &mut GuestRegisters {
        // SAFETY: they lie in this thread's own page for as long as it lives; the kernel writes them only in `enter`, which needs `self` whole, as
        // does every other call of this: so the reference is the only one.
        unsafe { &mut (*sal_sys::page::pointer()).guest }
    }

    /// Runs the guest until it stops.
    ///
    /// # Errors
    /// `Vacant` if no guest is attached; `Interrupted`.
    #[inline(always)]
    pub fn enter(&mut self) -> Result<Stopped, Error> {
        sal_sys::guest::guest_enter()
    }
}

/// The calling thread's guest half from now on; `None` for none.
///
/// # Errors
/// `NoRight`, `WrongKind`, `NoBudget`.
pub fn attach(space: Option<&GuestSpace>) -> Result<(), Error> {
    attach_handle(space.map_or(Handle::NONE, GuestSpace::handle))
}

/// As [`attach`], by handle.
///
/// # Errors
/// As [`attach`].
pub fn attach_handle(space: Handle) -> Result<(), Error> {
    // SAFETY: nobody makes references into the guest half.
    unsafe { sal_sys::guest::guest_attach(space) }
}

/// Copies the thread's guest FPU state (XSAVE standard format) to `to`, as much as fits.
///
/// # Errors
/// `NotSupported` if the thread has none.
pub fn fpu_save(to: &mut [u8]) -> Result<(), Error> {
    sal_sys::guest::guest_fpu(FpuMove::Save)?;
    let length = to.len().min(FPU_BYTES);
    // SAFETY: the state lies in this thread's own page; `to` is elsewhere.
    unsafe { core::ptr::copy_nonoverlapping(fpu(), to.as_mut_ptr(), length) };
    Ok(())
}

/// Gives the thread a guest FPU state; what `from` lacks is zero.
///
/// # Errors
/// `NotSupported` if the thread has none; `BadArgument` if the processor would refuse it.
pub fn fpu_load(from: &[u8]) -> Result<(), Error> {
    let length = from.len().min(FPU_BYTES);
    // SAFETY: the place is in this thread's own page, nobody has a reference to it.
    unsafe {
        core::ptr::copy_nonoverlapping(from.as_ptr(), fpu(), length);
        fpu().add(length).write_bytes(0, FPU_BYTES - length);
    }
    sal_sys::guest::guest_fpu(FpuMove::Load)
}

/// Where the state lies.
fn fpu() -> *mut u8 {
    // SAFETY: computes an address inside this thread's own page.
    unsafe { (&raw mut (*sal_sys::page::pointer()).fpu).cast() }
}

/// What the processor saves of the FPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FpuLayout {
    /// Bytes in XSAVE standard format, at least 512.
    pub size: usize,
    /// XCR0; 3 without XSAVE.
    pub features: u64,
}

/// Asks the processor what it saves.
pub fn fpu_layout() -> FpuLayout {
    const OSXSAVE: u32 = 1 << 27;
    if cpuid(1, 0)[2] & OSXSAVE == 0 {
        return FpuLayout { size: 512, features: 3 };
    }
    let (low, high): (u32, u32);
    // SAFETY: OSXSAVE says that user code may read XCR0.
    unsafe { core::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack)) };
    FpuLayout {
        size: (cpuid(13, 0)[1] as usize).clamp(512, FPU_BYTES),
        features: u64::from(high) << 32 | u64::from(low),
    }
}

/// The processor's answer (eax, ebx, ecx, edx) to a question about itself.
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let (a, b, c, d): (u32, u64, u32, u32);
    // SAFETY: `cpuid` has no effect but on these registers; `rbx`, which the compiler keeps for itself, is restored.
    unsafe {
        core::arch::asm!(
            "mov {keep}, rbx",
            "cpuid",
            "xchg {keep}, rbx",
            keep = out(reg) b,
            inout("eax") leaf => a,
            inout("ecx") subleaf => c,
            out("edx") d,
            options(nomem, nostack)
        );
    }
    [a, b as u32, c, d]
}

/// A guest's address space. Nothing in it is ever reached by a Rust reference, so changing it is safe.
#[derive(Debug)]
pub struct GuestSpace(handle::Space);

impl GuestSpace {
    /// An empty one, paid by `budget`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(budget: Handle) -> Result<GuestSpace, Error> {
        let made = memory::space_create(budget, Half::Guest)?;
        Ok(GuestSpace(handle::Space::own(made)))
    }

    /// Its handle, which stays owned.
    pub fn handle(&self) -> Handle {
        self.0.handle()
    }

    /// Maps where nothing is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn map(&self, mapping: &Mapping) -> Result<(), Error> {
        memory::map(self.handle(), mapping)
    }

    /// Takes away what is mapped in the range.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unmap(&self, address: u64, length: u64) -> Result<(), Error> {
        // SAFETY: it is a guest space.
        unsafe { memory::unmap(self.handle(), address, length) }
    }

    /// Gives what is mapped in the range other rights.
    ///
    /// # Errors
    /// The kernel's.
    pub fn protect(&self, address: u64, length: u64, rights: Rights) -> Result<(), Error> {
        // SAFETY: it is a guest space.
        unsafe { memory::protect(self.handle(), address, length, rights) }
    }
}
