//! Calls, receives, replies.
//!
//! What must always hold: checks come first and change nothing; the words of a message go from the sender's frame to the receiver's
//! once; a caller in service is in exactly one reply cell; a thread blocks only by leaving its CPU for a queue, a cell or a receiver stack.

use crate::cpu::Cpu;
use crate::endpoint::{self, Body};
use crate::hw::{Frame, Hardware};
use crate::kernel::Kernel;
use crate::location::Location;
use crate::objects::Object;
use crate::page;
use crate::reply;
use crate::table::Kind;
use crate::thread::{Thread, Wait};
use crate::threads::{NONE, Won, pending};
use core::sync::atomic::Ordering;
use sal_abi::message::{Arrival, Kind as Arrived};
use sal_abi::op::flags;
use sal_abi::{Error, Handle, Rights};
use sal_kernel_mem::Id;
use spin::MutexGuard;

/// An endpoint's lock, held.
type Locked<'a> = MutexGuard<'a, Body>;

impl<H: Hardware> Kernel<H> {
    /// The operation of the running thread, its process, and the handle that it names first.
    #[inline(always)]
    fn asked(&self, cpu: &mut Cpu<H>) -> Result<(u64, u32, Handle), Error> {
        let t = self.current(cpu)?;
        Ok((t.frame.operation(), t.process, Handle(t.frame.argument())))
    }

    /// `Call`: hands the message to an idle receiver and switches to it, or queues.
    #[inline(never)]
    pub(crate) fn call(&self, cpu: &mut Cpu<H>) -> Result<(), Error> {
        let me = cpu.current;
        let (operation, process, handle) = self.asked(cpu)?;
        let (endpoint, badge) = self.endpoint(process, handle, Rights::SEND)?;
        self.prepare(cpu, operation, Wait::Call)?;
        let t = self.current(cpu)?;
        (t.badge, t.wait) = (badge, Wait::Call);
        t.sequence = t.sequence.wrapping_add(1);
        if operation & flags::DEADLINE != 0 {
            self.arm(cpu, me)?;
        }
        let sent = self.send(cpu, me, endpoint);
        if sent.is_err()
            && let Ok(t) = self.current(cpu)
        {
            t.wait = Wait::None;
        }
        sent
    }

    /// Sends the prepared message of `me`, a running thread of this CPU, to an endpoint.
    #[inline(always)]
    pub(crate) fn send(&self, cpu: &mut Cpu<H>, me: u32, endpoint: Id<endpoint::Slot>) -> Result<(), Error> {
        let mut at = self.endpoints.lock(endpoint).ok_or(Error::BadHandle)?;
        if at.failed != 0 {
            let code = at.failed;
            self.current(cpu)?.frame.set_badge(code);
            return Err(Error::EndpointFailed);
        }
        match at.first_receiver() {
            Some(receiver) => {
                self.check_caps(cpu, me, &mut at, receiver)?;
                let Some(won) = at.pop_receiver(&self.threads) else { return Err(Error::BadCall) };
                // Under the lock: a canceller that locks next must not find a location that says it still waits.
                let receiver = self.threads.adopt(&cpu.hold, won);
                drop(at);
                self.deliver(cpu, me, receiver)?;
                self.run_receiver(cpu, receiver);
            }
            None => {
                self.queue(cpu, me, at);
                self.run_next(cpu);
            }
        }
        Ok(())
    }

    /// Refuses a message with more capabilities than the waiting receiver accepts.
    #[inline(always)]
    fn check_caps(&self, cpu: &mut Cpu<H>, me: u32, at: &mut Locked<'_>, receiver: u32) -> Result<(), Error> {
        let count = self.threads.own(&mut cpu.hold, me).ok_or(Error::BadCall)?.cap_count;
        if count == 0 {
            return Ok(());
        }
        let accept = self.threads.waiting(at, receiver).map_or(0, |r| r.accept);
        if count > accept { Err(Error::NotAccepted) } else { Ok(()) }
    }

    /// Queues a caller and lends its priority to those who serve the endpoint.
    fn queue(&self, cpu: &mut Cpu<H>, me: u32, mut at: Locked<'_>) {
        self.account(cpu);
        let now = cpu.accounted;
        let Some(t) = self.threads.own(&mut cpu.hold, me) else { return };
        t.called_at = now;
        let (sequence, priority) = (t.sequence, t.priority);
        self.threads.leave(&mut cpu.hold, me, Location::Queued(at.index()), sequence);
        at.push_caller(&self.threads, me);
        let servers = at.servers;
        // A server may wait itself, even here: the boost locks the endpoint where it does.
        drop(at);
        self.boost_all(cpu, servers, priority, 0);
    }

    /// Moves a message from caller to receiver, both of this CPU; the caller goes into the receiver's reply cell.
    #[inline(always)]
    fn deliver(&self, cpu: &mut Cpu<H>, caller: u32, receiver: u32) -> Result<(), Error> {
        let (c, r) = self.threads.pair(&mut cpu.hold, caller, receiver).ok_or(Error::BadCall)?;
        let badge = c.badge;
        hand_words(c, r, badge);
        let sequence = c.sequence;
        if c.loan_count | c.cap_count != 0 || c.wait == Wait::Fault {
            self.deliver_extras(cpu, caller, receiver);
        }
        if let Some(slot) = self.threads.slot(receiver) {
            slot.cell.put(caller, sequence);
        }
        self.threads.leave(&mut cpu.hold, caller, Location::Served(receiver), sequence);
        Ok(())
    }

    /// What a message carries besides its words: loans' lengths, capabilities, and that it is a page fault.
    #[cold]
    fn deliver_extras(&self, cpu: &mut Cpu<H>, caller: u32, receiver: u32) {
        let caps = self.move_caps(cpu, caller, receiver);
        let Some((c, r)) = self.threads.pair(&mut cpu.hold, caller, receiver) else { return };
        let kind = if c.wait == Wait::Fault { Arrived::Fault } else { Arrived::Message };
        if c.wait == Wait::Fault {
            let [offset, access] = c.fault;
            r.frame.set_words([offset, access, 0, 0, 0, 0, 0, 0]);
        }
        for (n, loan) in c.loans.iter().take(c.loan_count as usize).enumerate() {
            page::set_lent(&self.hw, r.page, n, loan.length);
        }
        r.frame.set_status(Arrival::new(kind, c.loan_count as usize, caps).0 as i64);
    }

    /// Lets a receiver run that just got a call: here and at once if it may, else where it belongs.
    #[inline(always)]
    fn run_receiver(&self, cpu: &mut Cpu<H>, receiver: u32) {
        let me = cpu.number();
        let Some(r) = self.threads.own(&mut cpu.hold, receiver) else { return };
        if r.home != me {
            if r.pinned || r.fpu_page != 0 {
                let home = r.home;
                self.hand_over(cpu, receiver, home);
                self.run_next(cpu);
                return;
            }
            r.home = me;
        }
        cpu.current = receiver;
    }

    /// `ReplyReceive`: answers the caller in service, then waits.
    #[inline(never)]
    pub(crate) fn reply_receive(&self, cpu: &mut Cpu<H>) -> Result<(), Error> {
        let me = cpu.current;
        let (operation, process, handle) = self.asked(cpu)?;
        let endpoint = self.serve(cpu, operation, (process, handle))?;
        let answered = match self.take_caller(cpu, me)? {
            Some(caller) => {
                self.answer(cpu, me, caller);
                caller
            }
            None => NONE,
        };
        self.wait_for_message(cpu, operation, endpoint, answered)
    }

    /// `Receive`: waits, answering nobody. A caller still in service would be lost: it gets `ServerDied`.
    pub(crate) fn receive(&self, cpu: &mut Cpu<H>) -> Result<(), Error> {
        let me = cpu.current;
        let (operation, process, handle) = self.asked(cpu)?;
        if operation >> flags::CAPS_SHIFT & flags::COUNT_MASK != 0 {
            return Err(Error::BadArgument);
        }
        let endpoint = self.serve(cpu, operation, (process, handle))?;
        self.drop_caller(cpu, me);
        self.wait_for_message(cpu, operation, endpoint, NONE)
    }

    /// Takes the caller in service of thread `me` out of its cell, if it takes the capabilities of the answer.
    #[inline(always)]
    fn take_caller(&self, cpu: &mut Cpu<H>, me: u32) -> Result<Option<u32>, Error> {
        let slot = self.threads.slot(me).ok_or(Error::BadCall)?;
        let Some(won) = slot.cell.take() else { return Ok(None) };
        let caller = self.threads.adopt(&cpu.hold, won);
        if let Err(error) = self.fits(cpu, me, caller) {
            self.put_back(cpu, caller, Location::Served(me), &slot.cell);
            return Err(error);
        }
        Ok(Some(caller))
    }

    /// Does the thread `to` accept as many capabilities as `from` sends? Both are this CPU's.
    #[inline(always)]
    fn fits(&self, cpu: &mut Cpu<H>, from: u32, to: u32) -> Result<(), Error> {
        let (f, t) = self.threads.pair(&mut cpu.hold, from, to).ok_or(Error::BadCall)?;
        if f.cap_count > t.accept { Err(Error::NotAccepted) } else { Ok(()) }
    }

    /// Puts a caller into a cell, if that is still empty. Once it is in, another CPU may take it.
    fn put_back(&self, cpu: &mut Cpu<H>, caller: u32, to: Location, cell: &crate::cell::Cell) -> bool {
        let Some(c) = self.threads.own(&mut cpu.hold, caller) else { return true };
        let sequence = c.sequence;
        if !cell.try_put(caller, sequence) {
            return false;
        }
        self.threads.leave_if_here(&mut cpu.hold, caller, to, sequence);
        true
    }

    /// A receive at the endpoint that a handle names begins: the running thread serves it from now on, and no other.
    #[inline(always)]
    fn serve(
        &self,
        cpu: &mut Cpu<H>,
        operation: u64,
        (process, handle): (u32, Handle),
    ) -> Result<Id<endpoint::Slot>, Error> {
        let (endpoint, _) = self.endpoint(process, handle, Rights::RECEIVE)?;
        self.prepare(cpu, operation, Wait::Receive)?;
        if self.current(cpu)?.serves != endpoint.word() {
            self.change_endpoint(cpu, endpoint)?;
        }
        Ok(endpoint)
    }

    #[cold]
    fn change_endpoint(&self, cpu: &mut Cpu<H>, endpoint: Id<endpoint::Slot>) -> Result<(), Error> {
        let me = cpu.current;
        self.endpoints.lock(endpoint).ok_or(Error::BadHandle)?.add_server(me);
        let before = core::mem::replace(&mut self.current(cpu)?.serves, endpoint.word());
        if let Some(mut old) = self.endpoints.lock(Id::from_word(before)) {
            old.remove_server(me);
        }
        Ok(())
    }

    /// Gives the answer of `me` to a caller, both of this CPU. The caller is ready then, but in no queue.
    #[inline]
    pub(crate) fn answer(&self, cpu: &mut Cpu<H>, me: u32, caller: u32) {
        let Some((t, c)) = self.threads.pair(&mut cpu.hold, me, caller) else { return };
        if c.wait != Wait::Fault {
            c.frame.set_words(t.frame.words());
            c.frame.set_status(0);
            c.frame.set_badge(0);
        }
        c.wait = Wait::None;
        let asked = self.threads.slot(caller).map_or(0, |s| s.pending.load(Ordering::Relaxed));
        if asked & pending::BOOST != 0 {
            lend(c, self.threads.slot(caller));
        }
        if t.cap_count != 0 {
            let caps = self.move_caps(cpu, me, caller);
            if let Some(c) = self.threads.own(&mut cpu.hold, caller) {
                c.frame.set_status(Arrival::new(Arrived::Message, 0, caps).0 as i64);
            }
        }
    }

    /// Takes the next message at `endpoint`, or waits. `answered` is a thread that was just answered and may run now.
    #[inline(never)]
    pub(crate) fn wait_for_message(
        &self,
        cpu: &mut Cpu<H>,
        operation: u64,
        endpoint: Id<endpoint::Slot>,
        answered: u32,
    ) -> Result<(), Error> {
        let me = cpu.current;
        let Some(at) = self.endpoints.lock(endpoint) else {
            self.ready_if(cpu, answered);
            return Err(Error::BadHandle);
        };
        let t = self.current(cpu)?;
        t.priority = t.base;
        if let Some(slot) = self.threads.slot(me) {
            slot.boost.store(0, Ordering::Relaxed);
        }
        if at.notified == NONE && at.first_caller().is_none() {
            return self.park(cpu, operation, at, answered);
        }
        let left = self.take_next(cpu, at);
        self.ready_if(cpu, answered);
        match left {
            None => {
                self.schedule_if_asked(cpu);
                Ok(())
            }
            // Everybody in the queue had more capabilities than this receiver accepts: they were answered, and it waits after all.
            Some(at) => self.park(cpu, operation, at, NONE),
        }
    }

    /// Makes the answered thread ready, if there is one.
    #[inline(always)]
    fn ready_if(&self, cpu: &mut Cpu<H>, index: u32) {
        if index != NONE {
            self.make_ready(cpu, index);
        }
    }

    /// Another thread may run now.
    #[inline(always)]
    pub(crate) fn schedule_if_asked(&self, cpu: &mut Cpu<H>) {
        if cpu.resched {
            self.schedule(cpu);
        }
    }

    /// Nothing there: the running thread waits as a receiver; the answered one runs, or the next ready one.
    #[inline(always)]
    fn park(&self, cpu: &mut Cpu<H>, operation: u64, mut at: Locked<'_>, answered: u32) -> Result<(), Error> {
        let me = cpu.current;
        if let Err(error) = self.may_block(me) {
            drop(at);
            self.ready_if(cpu, answered);
            return Err(error);
        }
        let t = self.current(cpu)?;
        t.wait = Wait::Receive;
        t.sequence = t.sequence.wrapping_add(1);
        let sequence = t.sequence;
        if operation & flags::DEADLINE != 0 {
            self.arm(cpu, me)?;
        }
        if answered == NONE {
            self.account(cpu);
        }
        self.threads.leave(&mut cpu.hold, me, Location::Receiving(at.index()), sequence);
        at.push_receiver(&self.threads, me);
        drop(at);
        self.run_answered(cpu, answered);
        Ok(())
    }

    /// After a receiver has parked: the thread that it answered runs at once if nobody ranks above it.
    #[inline(always)]
    fn run_answered(&self, cpu: &mut Cpu<H>, answered: u32) {
        let me = cpu.number();
        match self.threads.own(&mut cpu.hold, answered) {
            Some(c) if c.home == me && !cpu.ready.beats(c.priority) => cpu.current = answered,
            Some(_) => {
                cpu.current = NONE;
                self.make_ready(cpu, answered);
                self.run_next(cpu);
            }
            None => self.run_next(cpu),
        }
    }

    /// A thread that was interrupted before it blocked doesn't block.
    #[inline(always)]
    pub(crate) fn may_block(&self, me: u32) -> Result<(), Error> {
        let slot = self.threads.slot(me).ok_or(Error::BadCall)?;
        if slot.pending.load(Ordering::Relaxed) & pending::INTERRUPT == 0 {
            return Ok(());
        }
        slot.pending.fetch_and(!pending::INTERRUPT, Ordering::AcqRel);
        Err(Error::Interrupted)
    }

    /// Takes a notification or a caller for the running thread; the endpoint, locked still, if none of those queued could be taken.
    fn take_next<'a>(&self, cpu: &mut Cpu<H>, mut at: Locked<'a>) -> Option<Locked<'a>> {
        let me = cpu.current;
        if let Some((badge, bits)) = self.notifications.pop(&mut at) {
            self.take_bits(cpu, at, badge, bits);
            return None;
        }
        while let Some(won) = at.pop_caller(&self.threads) {
            let caller = self.threads.adopt(&cpu.hold, won);
            if self.fits(cpu, caller, me).is_ok() {
                drop(at);
                // The server runs at its priority, the highest of who waits.
                if self.deliver(cpu, caller, me).is_ok() {
                    self.yield_to_higher(cpu);
                }
                return None;
            }
            self.finish_with_error(cpu, caller, Error::NotAccepted, 0);
        }
        Some(at)
    }

    /// Takes notification bits: at the running thread's own priority, or that of the callers that wait on.
    fn take_bits(&self, cpu: &mut Cpu<H>, mut at: Locked<'_>, badge: u64, bits: u64) {
        let me = cpu.current;
        let waiting = at.first_caller().and_then(|w| Some(self.threads.waiting(&mut at, w)?.priority));
        drop(at);
        let Some(t) = self.threads.own(&mut cpu.hold, me) else { return };
        deliver_bits(t, badge, bits);
        t.priority = t.priority.max(waiting.unwrap_or(0));
        self.yield_to_higher(cpu);
    }

    /// The running thread's priority has changed: somebody ready may rank above it now.
    fn yield_to_higher(&self, cpu: &mut Cpu<H>) {
        let running = self.threads.own_ref(&cpu.hold, cpu.current);
        cpu.resched |= running.is_some_and(|t| cpu.ready.beats(t.priority));
    }

    /// `Reply`: answers the caller in service, or the one kept in a Reply object.
    pub(crate) fn reply(&self, cpu: &mut Cpu<H>) -> Result<(), Error> {
        let me = cpu.current;
        let (operation, process, handle) = self.asked(cpu)?;
        self.prepare(cpu, operation, Wait::None)?;
        let caller = if handle.is_none() {
            self.take_caller(cpu, me)?.ok_or(Error::Vacant)?
        } else {
            self.take_kept(cpu, process, handle, me)?
        };
        self.answer(cpu, me, caller);
        self.succeed(cpu)?;
        self.make_ready(cpu, caller);
        self.schedule_if_asked(cpu);
        Ok(())
    }

    /// The Reply object that a handle names.
    pub(crate) fn reply_slot(&self, process: u32, handle: Handle) -> Result<(u32, &reply::Slot), Error> {
        let id = Id::from_word(self.need(process, handle, Kind::Reply, Rights::SEND)?.object);
        Ok((id.index(), self.replies.get(id).ok_or(Error::BadHandle)?))
    }

    /// Takes the caller out of a Reply object.
    fn take_kept(&self, cpu: &mut Cpu<H>, process: u32, handle: Handle, me: u32) -> Result<u32, Error> {
        let (index, slot) = self.reply_slot(process, handle)?;
        let won = slot.cell.take().ok_or(Error::Vacant)?;
        let caller = self.threads.adopt(&cpu.hold, won);
        if let Err(error) = self.fits(cpu, me, caller) {
            if !self.put_back(cpu, caller, Location::Kept(index), &slot.cell) {
                // Another thread has filled the Reply meanwhile: this caller's place is gone.
                self.finish_with_error(cpu, caller, Error::ServerDied, 0);
            }
            return Err(error);
        }
        Ok(caller)
    }

    /// `Keep`: moves the caller in service into an empty Reply object.
    pub(crate) fn keep(&self, cpu: &mut Cpu<H>) -> Result<(), Error> {
        let me = cpu.current;
        let t = self.current(cpu)?;
        let (handle, process, serves) = (Handle(t.frame.argument()), t.process, t.serves);
        let (index, kept) = self.reply_slot(process, handle)?;
        if kept.cell.is_occupied() {
            return Err(Error::Occupied);
        }
        let cell = &self.threads.slot(me).ok_or(Error::BadCall)?.cell;
        let won = cell.take().ok_or(Error::Vacant)?;
        let caller = self.threads.adopt(&cpu.hold, won);
        kept.endpoint.store(serves as u32, Ordering::Relaxed);
        if !self.put_back(cpu, caller, Location::Kept(index), &kept.cell) {
            self.put_back(cpu, caller, Location::Served(me), cell);
            return Err(Error::Occupied);
        }
        self.succeed(cpu)
    }

    /// Drops the caller in service: it learns that nobody will answer.
    pub(crate) fn drop_caller(&self, cpu: &mut Cpu<H>, me: u32) {
        if let Some(won) = self.threads.slot(me).and_then(|s| s.cell.take()) {
            self.finish_won(cpu, won, Error::ServerDied);
        }
    }

    /// Ends the wait of a won thread with an error.
    pub(crate) fn finish_won(&self, cpu: &mut Cpu<H>, won: Won, error: Error) {
        let index = self.threads.adopt(&cpu.hold, won);
        self.finish_with_error(cpu, index, error, 0);
    }

    /// The call of the running thread is done, with status 0 and nothing else.
    #[inline(always)]
    pub(crate) fn succeed(&self, cpu: &mut Cpu<H>) -> Result<(), Error> {
        self.current(cpu)?.frame.set_status(0);
        Ok(())
    }

    /// `Notify`.
    pub(crate) fn notify_call(&self, cpu: &mut Cpu<H>) -> Result<(), Error> {
        let t = self.current(cpu)?;
        let (handle, process) = (Handle(t.frame.argument()), t.process);
        let [bits, ..] = t.frame.words();
        let cap = self.need(process, handle, Kind::Notification, Rights::SEND)?;
        self.succeed(cpu)?;
        self.notify(cpu, cap.object, bits);
        self.schedule_if_asked(cpu);
        Ok(())
    }

    /// Raises bits of the notification with that raw id; a receiver that waits gets them at once. A closed one is nobody's.
    pub fn notify(&self, cpu: &mut Cpu<H>, notification: u64, bits: u64) {
        let id = Id::from_word(notification);
        let Some(slot) = self.notifications.get(id).filter(|slot| bits != 0 && slot.raise(bits)) else { return };
        let Some(mut at) = self.endpoints.lock(Id::from_word(slot.endpoint.load(Ordering::Relaxed))) else { return };
        if slot.head().generation() != id.generation() {
            // It was closed meanwhile; whoever closes it unlinks it under this lock.
            return;
        }
        self.notifications.push(&mut at, id.index());
        let Some(won) = at.pop_receiver(&self.threads) else { return };
        let receiver = self.threads.adopt(&cpu.hold, won);
        let taken = self.notifications.pop(&mut at);
        drop(at);
        if let (Some(t), Some((badge, bits))) = (self.threads.own(&mut cpu.hold, receiver), taken) {
            deliver_bits(t, badge, bits);
        }
        self.make_ready(cpu, receiver);
    }

    /// Reads what the flags announce (loans, capabilities, how many are accepted) from the message page into the thread.
    #[inline(always)]
    fn prepare(&self, cpu: &mut Cpu<H>, operation: u64, wait: Wait) -> Result<(), Error> {
        let me = cpu.current;
        if wait == Wait::Call {
            self.may_block(me)?;
        }
        let t = self.current(cpu)?;
        if operation & flags::SLOW == 0 && operation & !flags::VALID == 0 {
            (t.loan_count, t.cap_count, t.accept) = (0, 0, 0);
            return Ok(());
        }
        // What is no capability (any more) arrives as handle 0.
        let table = self.processes.table(t.process).ok_or(Error::BadCall)?;
        let kept = |handle| table.look(&self.slots, handle).is_ok_and(|cap| !cap.rights.has(Rights::TRANSFER));
        page::prepare(&self.hw, t, (operation, wait), |handle| !kept(handle))
    }

    /// Arms the deadline that the message page names, for the wait that begins.
    #[cold]
    fn arm(&self, cpu: &mut Cpu<H>, me: u32) -> Result<(), Error> {
        let t = self.current(cpu)?;
        let (at, sequence) = (page::deadline(&self.hw, t.page), t.sequence);
        cpu.timers.arm(me, sequence, at);
        cpu.retime = true;
        Ok(())
    }
}

/// The message's words, badge and plain status.
#[inline(always)]
pub(crate) fn hand_words<F: Frame>(c: &mut Thread<F>, r: &mut Thread<F>, badge: u64) {
    r.frame.set_words(c.frame.words());
    r.frame.set_badge(badge);
    r.frame.set_status(Arrival::new(Arrived::Message, 0, 0).0 as i64);
    r.wait = Wait::None;
    r.priority = c.priority.max(r.floor);
}

/// A boost that came while the thread waited in a cell, where nobody may touch it.
#[cold]
pub(crate) fn lend<F: Frame>(t: &mut Thread<F>, slot: Option<&crate::threads::Slot<F>>) {
    if let Some(slot) = slot {
        slot.pending.fetch_and(!pending::BOOST, Ordering::AcqRel);
        t.priority = t.priority.max(slot.boost.load(Ordering::Acquire));
    }
}

/// Notification bits, in word 0.
fn deliver_bits<F: Frame>(t: &mut Thread<F>, badge: u64, bits: u64) {
    t.frame.set_words([bits, 0, 0, 0, 0, 0, 0, 0]);
    t.frame.set_badge(badge);
    t.frame.set_status(Arrival::new(Arrived::Notified, 0, 0).0 as i64);
    t.wait = Wait::None;
    t.priority = t.base;
}
