//! The short ways of the two operations that messages are made of: a call that finds its server waiting, an answer after which nobody else has called.
//!
//! What must always hold: each does exactly what the general way in `message` does, with every slot looked up once; on anything unusual it says
//! `None` and has changed nothing, or hands over to the general way at a point where that would be in the same state.

use crate::cpu::Cpu;
use crate::hw::{Frame, Hardware};
use crate::id::Id;
use crate::kernel::Kernel;
use crate::location::Location;
use crate::message::hand_words;
use crate::table::Kind;
use crate::thread::Wait;
use crate::threads::NONE;
use core::sync::atomic::Ordering;
use sal_abi::{Error, Handle, Rights};

impl<H: Hardware> Kernel<H> {
    /// Raw id and badge of the endpoint that a handle names.
    #[inline(always)]
    fn endpoint_at(&self, process: u32, handle: Handle, rights: Rights) -> Option<(u64, u64)> {
        let slot = self.processes.table(process)?.slot(&self.slots, handle.index())?;
        slot.expect(handle.generation(), Kind::Endpoint, rights)
    }

    /// A call without flags to an endpoint where one thread waits that may run here. Nothing is pending for the caller.
    #[inline(always)]
    pub(crate) fn fast_call(&self, cpu: &mut Cpu<H>) -> Option<()> {
        let here = cpu.number();
        let me = self.threads.find(cpu.current)?;
        if me.slot().pending.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let t = self.threads.own_found(&mut cpu.hold, me)?;
        let (object, badge) = self.endpoint_at(t.process, Handle(t.frame.argument()), Rights::SEND)?;
        let mut at = self.endpoints.lock(Id::from_raw(object))?;
        if at.failed != 0 {
            return None;
        }
        let receiver = self.threads.find(at.first_receiver()?)?;
        let r = self.threads.waiting_found(&mut at, receiver)?;
        if r.next != NONE || r.home != here && (r.pinned || r.fpu_page != 0) {
            return None;
        }
        let won = at.take_only_receiver(receiver.index());
        let (c, r) = self.threads.adopt_found(&mut cpu.hold, won, receiver, me)?;
        drop(at);
        (c.badge, c.wait) = (badge, Wait::Call);
        (c.loan_count, c.cap_count, c.accept) = (0, 0, 0);
        c.sequence = c.sequence.wrapping_add(1);
        hand_words(c, r);
        r.home = here;
        let sequence = c.sequence;
        receiver.slot().cell.put(me.index(), sequence);
        self.threads.leave_found(&mut cpu.hold, me, Location::Served(receiver.index()), sequence);
        self.switch_to(cpu, receiver.index());
        Some(())
    }

    /// An answer without flags to a caller that waits; then, if nothing is queued and nobody else receives, the caller goes on here.
    #[inline(always)]
    pub(crate) fn fast_reply_receive(&self, cpu: &mut Cpu<H>) -> Option<Result<(), Error>> {
        let here = cpu.number();
        let me = self.threads.find(cpu.current)?;
        if me.slot().pending.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let t = self.threads.own_found(&mut cpu.hold, me)?;
        let operation = t.frame.operation();
        let (object, _) = self.endpoint_at(t.process, Handle(t.frame.argument()), Rights::RECEIVE)?;
        if t.serves != object {
            return None;
        }
        (t.loan_count, t.cap_count, t.accept) = (0, 0, 0);
        let won = me.slot().cell.take()?;
        let caller = self.threads.find(won.index())?;
        let (t, c) = self.threads.adopt_found(&mut cpu.hold, won, caller, me)?;
        if c.wait == Wait::Fault || caller.slot().pending.load(Ordering::Relaxed) != 0 {
            self.answer(cpu, me.index(), caller.index());
            return Some(self.wait_for_message(cpu, operation, Id::from_raw(object), caller.index()));
        }
        c.frame.set_words(t.frame.words());
        c.frame.set_status(0);
        c.frame.set_badge(0);
        c.wait = Wait::None;
        let here_next = c.home == here && !cpu.ready.beats(c.priority);
        let general = |cpu: &mut Cpu<H>| {
            let id = Id::from_raw(object);
            Some(self.wait_for_message(cpu, operation, id, caller.index()))
        };
        if !here_next {
            return general(cpu);
        }
        let Some(mut at) = self.endpoints.lock(Id::from_raw(object)) else {
            return general(cpu);
        };
        if at.notified != NONE || at.first_caller().is_some() || at.first_receiver().is_some() {
            drop(at);
            return general(cpu);
        }
        let t = self.threads.own_found(&mut cpu.hold, me)?;
        t.priority = t.base;
        t.wait = Wait::Receive;
        t.unlink();
        t.sequence = t.sequence.wrapping_add(1);
        let sequence = t.sequence;
        me.slot().boost.store(0, Ordering::Relaxed);
        self.threads.leave_found(&mut cpu.hold, me, Location::Receiving(at.index()), sequence);
        at.put_only_receiver(me.index());
        drop(at);
        self.switch_to(cpu, caller.index());
        Some(Ok(()))
    }
}
