//! Guests: foreign code that a thread runs until it traps. Entering and leaving changes two things here, `in_guest` and the thread's own
//! registers; the machine follows when the kernel is left.

use crate::cpu::Cpu;
use crate::hw::{Frame, Hardware};
use crate::kernel::Kernel;
use crate::thread::Thread;
use crate::threads::pending;
use core::sync::atomic::Ordering;
use sal_abi::Error;
use sal_abi::x86_64::Exit;

/// The thread is its own self again: its `GuestEnter` returns.
#[inline(always)]
pub(crate) fn leave<F: Frame>(t: &mut Thread<F>, exit: Exit, [a, b, c]: [u64; 3]) {
    t.in_guest = false;
    t.frame.set_status(exit as i64);
    t.frame.set_words([a, b, c, 0, 0, 0, 0, 0]);
}

impl<H: Hardware> Kernel<H> {
    /// `GuestEnter`.
    #[inline]
    pub(crate) fn guest_enter(&self, cpu: &mut Cpu<H>) -> Result<(), Error> {
        let slot = self.threads.slot(cpu.current).ok_or(Error::BadCall)?;
        let asked = slot.pending.load(Ordering::Relaxed);
        let t = self.current(cpu)?;
        if t.guest_root == 0 {
            return Err(Error::Vacant);
        }
        if asked & pending::KICK != 0 {
            slot.pending.fetch_and(!pending::KICK, Ordering::AcqRel);
            leave(t, Exit::Kicked, [0; 3]);
            return Ok(());
        }
        t.in_guest = true;
        Ok(())
    }

    /// The guest that runs here trapped, or can't be entered.
    #[inline(always)]
    pub fn guest_exit(&self, cpu: &mut Cpu<H>, exit: Exit, words: [u64; 3]) {
        if let Ok(t) = self.current(cpu) {
            leave(t, exit, words);
        }
    }
}
