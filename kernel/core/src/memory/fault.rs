//! Page faults and other exceptions of user code: repaired here, asked of a pager, handed to a guest's personality, or the end of the process.

use super::MemoryHardware;
use crate::cpu::Cpu;
use crate::hw::Frame;
use crate::kernel::Kernel;
use crate::object::Args;
use crate::page;
use crate::thread::Wait;
use core::ops::Range;
use core::sync::atomic::Ordering;
use sal_abi::Error;
use sal_abi::boot::DeathKind;
use sal_abi::x86_64::{Exit, GUEST_END};
use sal_kernel_mem::Id;
use sal_kernel_mem::{Access, Frame as Page, Outcome, PagerAsk, Ram, SpaceId};

/// A place in physical memory: frame and byte offset.
pub(super) type Place = (Page, usize);

/// A fault or exception of user code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// A page fault: address, access, the processor's error code for the personality.
    Page(u64, Access, u64),
    /// Another exception: vector, error code.
    Exception(u64, u64),
}

impl<H: MemoryHardware> Kernel<H> {
    /// Handles a trap of the running thread or of its guest.
    #[inline]
    pub fn trap(&self, cpu: &mut Cpu<H>, trap: Trap) {
        match trap {
            Trap::Page(address, access, code) => self.page_fault(cpu, address, access, code),
            Trap::Exception(vector, code) => self.exception(cpu, vector, code),
        }
        self.settle(cpu);
    }

    fn exception(&self, cpu: &mut Cpu<H>, vector: u64, code: u64) {
        let Ok(t) = self.current(cpu) else { return };
        if t.in_guest {
            crate::guest::leave(t, Exit::Exception, [vector, code, 0]);
        } else {
            self.die(cpu, DeathKind::Exception, vector, 0);
        }
    }

    fn page_fault(&self, cpu: &mut Cpu<H>, address: u64, access: Access, code: u64) {
        let Ok(t) = self.current(cpu) else { return };
        let (guest, process) = (t.guest_space, t.process);
        let space = if address < GUEST_END {
            SpaceId::from_word(guest)
        } else {
            let raw = self.processes.slot(process).map_or(0, |p| p.space.load(Ordering::Relaxed));
            SpaceId::from_word(raw)
        };
        let mut registry = self.registry.lock();
        let mut outcome = registry.vm.fault(space, address, access);
        if outcome == Err(Outcome::NoFrames) {
            // Twice: what was freed before the last advance, then what was freed since.
            self.leave_quarantine(cpu, &mut registry);
            self.leave_quarantine(cpu, &mut registry);
            outcome = registry.vm.fault(space, address, access);
        }
        let roots = registry.vm.space(space).map(|s| [s.root().0 as u64, s.attached_root().0 as u64]);
        let changed = registry.vm.take_shootdown();
        drop(registry);
        self.shoot(cpu, changed, roots.filter(|_| address < GUEST_END));
        match outcome {
            Ok(()) => self.wait_for_acknowledgement(cpu),
            Err(Outcome::NeedsPager(ask)) => self.ask_pager(cpu, &ask, access, (address, code)),
            // Other CPUs have been asked to let frames go: the access is repeated until they have.
            Err(Outcome::NoFrames) => {}
            Err(Outcome::NoBudget) => self.unrepaired(cpu, address, code, DeathKind::NoBudget),
            Err(Outcome::NotMapped | Outcome::Denied | Outcome::PastEnd) => {
                self.unrepaired(cpu, address, code, DeathKind::PageFault);
            }
        }
    }

    /// The faulting thread becomes a caller of its page's pager; the answer, whatever it says, lets it repeat the access.
    fn ask_pager(&self, cpu: &mut Cpu<H>, ask: &PagerAsk, access: Access, (address, code): (u64, u64)) {
        let me = cpu.current;
        let Ok(t) = self.current(cpu) else { return };
        (t.wait, t.badge) = (Wait::Fault, ask.badge);
        t.fault = [ask.offset, access.right().0 as u64];
        t.sequence = t.sequence.wrapping_add(1);
        (t.loan_count, t.cap_count, t.accept) = (0, 0, 0);
        if self.send(cpu, me, Id::from_word(ask.endpoint)).is_err() {
            if let Ok(t) = self.current(cpu) {
                t.wait = Wait::None;
            }
            self.unrepaired(cpu, address, code, DeathKind::PageFault);
        }
    }

    /// Nobody repairs it: a guest's is its personality's affair; a personality's own access to its guest goes on at its fixup; else the process dies.
    fn unrepaired(&self, cpu: &mut Cpu<H>, address: u64, code: u64, kind: DeathKind) {
        let Ok(t) = self.current(cpu) else { return };
        if t.in_guest {
            let spent = u64::from(kind == DeathKind::NoBudget);
            crate::guest::leave(t, Exit::PageFault, [address, code, spent]);
            return;
        }
        let fixup = if address < GUEST_END { page::fixup(&self.hw, t.page) } else { 0 };
        if fixup != 0 {
            t.frame.jump(fixup);
            return;
        }
        self.die(cpu, kind, 0, address);
    }

    /// Where an address in the calling process's own half lies, made present.
    pub(super) fn own_place(
        &self,
        cpu: &mut Cpu<H>,
        args: &Args,
        address: u64,
        access: Access,
    ) -> Result<Place, Error> {
        let space = self.own_space(args)?;
        self.in_vm(cpu, |vm| vm.resolve(space, address, access).map_err(sal_kernel_mem::Error::from))
    }

    /// Goes through `length` bytes of the calling process from `address` on, page by page: place, and which of the bytes.
    fn each_own(
        &self,
        cpu: &mut Cpu<H>,
        args: &Args,
        (address, length, access): (u64, usize, Access),
        mut piece: impl FnMut(Place, Range<usize>),
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < length {
            let at = address.checked_add(done as u64).ok_or(Error::BadAddress)?;
            let place = self.own_place(cpu, args, at, access)?;
            let end = length.min(done + sal_abi::PAGE as usize - place.1);
            piece(place, done..end);
            done = end;
        }
        Ok(())
    }

    /// Reads bytes of the calling process: as many as there is room for.
    pub(super) fn read_own(
        &self,
        cpu: &mut Cpu<H>,
        args: &Args,
        (address, length): (u64, u64),
        bytes: &mut [u8],
    ) -> Result<usize, Error> {
        let count = bytes.len().min(length as usize);
        self.each_own(cpu, args, (address, count, Access::Read), |(frame, at), piece| {
            self.hw.ram().load(frame, at, bytes.get_mut(piece).unwrap_or_default());
        })?;
        Ok(count)
    }

    /// Writes bytes of the calling process.
    pub(super) fn write_own(&self, cpu: &mut Cpu<H>, args: &Args, address: u64, bytes: &[u8]) -> Result<(), Error> {
        self.each_own(cpu, args, (address, bytes.len(), Access::Write), |(frame, at), piece| {
            self.hw.ram().store(frame, at, bytes.get(piece).unwrap_or_default());
        })
    }
}
