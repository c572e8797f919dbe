//! Each CPU's side of the core: its [`Cpu`] value, and what of it the machine has loaded.
//!
//! What must always hold when the kernel is left: the root, save pointer, guest state and FPU state loaded are the current thread's.
#![allow(unsafe_code)]

use crate::hardware::Hw;
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use core::sync::atomic::Ordering;
use sal_abi::MessagePage;
use sal_abi::x86_64::Exit;
use sal_arch_x86_64::frame::Frame as Registers;
use sal_arch_x86_64::physmap;
use sal_arch_x86_64::{fpu, guest, percpu, time, tlb, trap};
use sal_kernel_core::cpu::{CPUS, LEFT_STATE, NO_STATE};
use sal_kernel_core::threads::{Hold, NONE};
use sal_kernel_core::timer::Entry;
use sal_kernel_core::{Cpu, Kernel};
use sal_kernel_mem::Frame as Page;

/// A CPU's own state.
pub(crate) struct Local {
    pub(crate) cpu: Cpu<Hw>,
    /// The thread whose state the machine has loaded, and the frame that its registers are saved to.
    thread: u32,
    frame: *mut Registers,
    /// Number of the root's frame; 0: none of a thread's.
    root: u64,
    /// When the timer is set to.
    timer: u64,
}

struct Locals([UnsafeCell<Option<Local>>; CPUS]);
// SAFETY: each CPU reaches its own entry only, by its number; the boot CPU makes them before.
unsafe impl Sync for Locals {}
static LOCALS: Locals = Locals([const { UnsafeCell::new(None) }; CPUS]);

/// Gives a CPU its state.
///
/// # Safety
/// Once per CPU, while none looks at its state.
#[inline(never)]
pub(crate) unsafe fn init(hold: Hold, timers: &'static mut [Entry]) {
    let Some(place) = LOCALS.0.get(hold.cpu() as usize) else { return };
    let cpu = Cpu::new(hold, timers);
    // SAFETY: the caller's promise.
    unsafe { *place.get() = Some(Local { cpu, thread: NONE, frame: null_mut(), root: 0, timer: u64::MAX }) };
}

/// This CPU's state.
///
/// # Safety
/// One at a time: at the kernel's entry, once.
#[inline(always)]
pub(crate) unsafe fn local() -> Option<&'static mut Local> {
    // SAFETY: this CPU's own entry; interrupts are off, and the caller asks once per entry.
    unsafe { LOCALS.0.get(percpu::index())?.get().as_mut()?.as_mut() }
}

impl Local {
    /// Loads what the core decided, as far as it isn't loaded.
    #[inline(always)]
    pub(crate) fn load(&mut self, kernel: &Kernel<Hw>) {
        let current = self.cpu.current;
        if guest::inside() {
            let stays =
                current == self.thread && kernel.threads.own_ref(&self.cpu.hold, current).is_some_and(|t| t.in_guest);
            if stays {
                return self.set_timer(kernel);
            }
            // SAFETY: a guest runs here.
            unsafe { guest::leave() };
        }
        self.load_native(kernel);
    }

    /// As `load`, where no guest runs.
    #[inline(always)]
    pub(crate) fn load_native(&mut self, kernel: &Kernel<Hw>) {
        let current = self.cpu.current;
        match kernel.threads.own(&mut self.cpu.hold, current) {
            Some(t) => {
                let (root, fpu) = (t.root, t.fpu_page);
                let guest = t.in_guest.then_some((t.page, t.guest_root));
                let frame = (&raw mut t.frame.0).cast();
                // The slot may be a new thread's since: its FPU state tells.
                if current != self.thread || frame != self.frame || fpu != self.cpu.fpu {
                    self.switch(kernel, current, frame, fpu);
                }
                match guest {
                    Some((page, guest_root)) => self.enter(kernel, page, guest_root),
                    None => self.load_root(kernel, root),
                }
            }
            None => self.idle(kernel),
        }
        self.set_timer(kernel);
    }

    #[inline(always)]
    fn load_root(&mut self, kernel: &Kernel<Hw>, root: u64) {
        if self.root == root {
            return;
        }
        self.root = root;
        if let Some(post) = kernel.posts.get(percpu::index()) {
            post.root.store(root, Ordering::SeqCst);
        }
        // SAFETY: the root of a thread's space, which lives as long as the thread; it shows the kernel's half.
        unsafe { tlb::load_root(root * sal_abi::PAGE) };
    }

    /// Another thread's registers and FPU state.
    #[inline(always)]
    fn switch(&mut self, kernel: &Kernel<Hw>, thread: u32, frame: *mut Registers, fpu_page: u32) {
        (self.thread, self.frame) = (thread, frame);
        if self.cpu.fpu != fpu_page {
            self.switch_fpu(kernel, fpu_page);
        }
        // SAFETY: no guest runs here; the frame lies in the thread's slot, which stays, and is this CPU's while the thread is.
        unsafe { trap::set_current(frame) };
    }

    /// Eagerly: whoever has no FPU state of its own finds the initial one.
    #[inline(never)]
    fn switch_fpu(&mut self, kernel: &Kernel<Hw>, to: u32) {
        // SAFETY: state frames are the kernel's: user mode can't write to them, and this CPU alone uses those of its threads. One that
        // was freed just now is in quarantine until this CPU has left the kernel.
        unsafe {
            if !matches!(self.cpu.fpu, NO_STATE | LEFT_STATE) {
                fpu::save(&mut *kernel.hw.fpu_state(self.cpu.fpu));
            }
            match to {
                NO_STATE => fpu::restore(&fpu::INITIAL),
                page => fpu::restore(&*kernel.hw.fpu_state(page)),
            }
        }
        self.cpu.fpu = to;
    }

    /// Runs the current thread's guest.
    #[inline(always)]
    fn enter(&mut self, kernel: &Kernel<Hw>, page: u32, guest_root: u64) {
        let block = (physmap::address(Page(page)) as *mut MessagePage).cast::<u8>();
        // SAFETY: the message page is pinned; the block lies in it; no guest runs here.
        let entered = unsafe { guest::enter(block.add(core::mem::offset_of!(MessagePage, guest)).cast()) };
        if entered.is_ok() {
            self.load_root(kernel, guest_root);
            return;
        }
        // A segment base outside the guest half: the general protection fault that the processor would raise.
        kernel.guest_exit(&mut self.cpu, Exit::Exception, [13, 0, 0]);
        let root = kernel.threads.own_ref(&self.cpu.hold, self.cpu.current).map_or(self.root, |t| t.root);
        self.load_root(kernel, root);
    }

    fn idle(&mut self, kernel: &Kernel<Hw>) {
        (self.thread, self.frame) = (NONE, null_mut());
        if self.cpu.fpu != NO_STATE {
            self.switch_fpu(kernel, NO_STATE);
        }
        // SAFETY: no guest runs here.
        unsafe { trap::set_current(null_mut()) };
        self.load_root(kernel, kernel.hw.found.root / sal_abi::PAGE);
    }

    #[inline(always)]
    fn set_timer(&mut self, kernel: &Kernel<Hw>) {
        if !self.cpu.retime {
            return;
        }
        self.cpu.retime = false;
        let at = kernel.next_timer(&self.cpu);
        if at != self.timer {
            self.timer = at;
            time::set_timer((at != u64::MAX).then_some(at));
        }
    }

    /// The timer has come: it is set no more.
    pub(crate) fn timer_came(&mut self) {
        self.timer = u64::MAX;
        self.cpu.retime = true;
    }
}
