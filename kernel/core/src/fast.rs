//! The short ways of the two operations that messages are made of: a call that finds its server waiting, an answer after which nobody else has called.
//!
//! What must always hold: each does exactly what the general way in `message` does, with every slot looked up once; on anything unusual it says
//! `None` and has changed nothing, or hands over to the general way at a point where that would be in the same state.

use crate::cpu::Cpu;
use crate::endpoint;
use crate::hw::{Frame, Hardware};
use crate::kernel::Kernel;
use crate::location::Location;
use crate::message::hand_words;
use crate::table::Kind;
use crate::thread::Wait;
use crate::threads::{Found, NONE};
use core::sync::atomic::Ordering;
use sal_abi::{Error, Handle, Op, Rights};
use sal_kernel_mem::Id;

impl<H: Hardware> Kernel<H> {
    /// Raw id and badge of the endpoint that a handle names.
    #[inline(always)]
    pub(crate) fn endpoint_at(&self, process: u32, handle: Handle, rights: Rights) -> Option<(u64, u64)> {
        let slot = self.processes.table(process)?.slot(&self.slots, handle.index())?;
        slot.expect(handle.generation(), Kind::Endpoint, rights)
    }

    /// A call without flags to an endpoint where one thread waits that may run here. `me` runs, and nothing is pending for it.
    #[inline(always)]
    pub(crate) fn fast_call(
        &self,
        cpu: &mut Cpu<H>,
        me: Found<'_, H::Frame>,
        (process, handle): (u32, Handle),
    ) -> Option<()> {
        let here = cpu.number();
        if me.slot().pending.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let (object, badge) = self.endpoint_at(process, handle, Rights::SEND)?;
        let mut at = self.endpoints.lock(Id::from_word(object))?;
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
        c.wait = Wait::Call;
        (c.loan_count, c.cap_count, c.accept) = (0, 0, 0);
        c.sequence = c.sequence.wrapping_add(1);
        hand_words(c, r, badge);
        r.home = here;
        let sequence = c.sequence;
        receiver.slot().cell.put(me.index(), sequence);
        self.threads.leave_found(&mut cpu.hold, me, Location::Served(receiver.index()), sequence);
        // A direct switch: with what is left of the time slice.
        cpu.current = receiver.index();
        Some(())
    }

    /// An answer without flags to a caller that waits, at an endpoint where nothing is queued and nobody else receives. If the caller may run here it
    /// does; else the general way goes on after the answer.
    #[inline(always)]
    pub(crate) fn fast_reply_receive(
        &self,
        cpu: &mut Cpu<H>,
        me: Found<'_, H::Frame>,
        (process, handle): (u32, Handle),
        serves: u64,
    ) -> Option<Result<(), Error>> {
        let here = cpu.number();
        let (object, _) = self.endpoint_at(process, handle, Rights::RECEIVE)?;
        if serves != object || me.slot().pending.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let mut at = self.endpoints.lock(Id::from_word(object))?;
        if at.notified != NONE || at.first_caller().is_some() || at.first_receiver().is_some() {
            return None;
        }
        let won = me.slot().cell.take()?;
        let caller = self.threads.find(won.index())?;
        let (t, c) = self.threads.adopt_found(&mut cpu.hold, won, caller, me)?;
        (t.loan_count, t.cap_count, t.accept) = (0, 0, 0);
        let unusual = c.wait == Wait::Fault || caller.slot().pending.load(Ordering::Relaxed) != 0;
        if unusual || c.home != here || cpu.ready.beats(c.priority) {
            drop(at);
            return Some(self.answer_then_wait(cpu, me.index(), caller.index(), Id::from_word(object)));
        }
        c.frame.set_words(t.frame.words());
        c.frame.set_status(0);
        c.frame.set_badge(0);
        c.wait = Wait::None;
        t.priority = t.base;
        t.wait = Wait::Receive;
        t.unlink();
        t.sequence = t.sequence.wrapping_add(1);
        let sequence = t.sequence;
        me.slot().boost.store(0, Ordering::Relaxed);
        self.threads.leave_found(&mut cpu.hold, me, Location::Receiving(at.index()), sequence);
        at.put_only_receiver(me.index());
        drop(at);
        cpu.current = caller.index();
        Some(Ok(()))
    }

    /// The general way from where the caller has been taken out of its cell.
    #[cold]
    fn answer_then_wait(
        &self,
        cpu: &mut Cpu<H>,
        me: u32,
        caller: u32,
        endpoint: Id<endpoint::Slot>,
    ) -> Result<(), Error> {
        self.answer(cpu, me, caller);
        self.wait_for_message(cpu, Op::ReplyReceive as u64, endpoint, caller)
    }
}
