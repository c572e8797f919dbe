//! The arena of threads: who may touch a thread is decided here, once, by its location word.
//!
//! Soundness, in numbered conditions:
//! 1. A `&mut Thread` is made only from (a) a CPU's [`Hold`], for a thread whose location is that CPU; (b) an endpoint's locked body, for a
//!    thread that waits there; (c) a [`Held`] cell, for the caller in it; (d) the registry's lock, for a parked thread.
//! 2. Each of those tokens exists once: a CPU has one `Hold`, an endpoint one body behind its lock, a cell is held once, the registry has one lock.
//! 3. The location changes only by the token holder it names, or by whoever holds a [`Won`], which only queues and cells make when
//!    they let go of the thread. So no two tokens reach one thread.
//! 4. The borrow of a token lasts as long as the `&mut Thread`, so one token makes one at a time (or two different ones, by `pair`).
#![allow(unsafe_code)]

use crate::cell::{Cell, Held};
use crate::endpoint::Body;
use crate::hw::Frame;
use crate::location::{Location, Word};
use crate::objects::{Head, Object, Objects};
use crate::region::Region;
use crate::registry::Token;
use crate::thread::Thread;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use sal_abi::Error;
use sal_kernel_mem::Id;

/// No thread, in a link.
pub const NONE: u32 = u32::MAX;

/// A link to a thread (or to another slot) that leads nowhere at first.
#[derive(Debug)]
pub struct Link(AtomicU32);

impl Default for Link {
    fn default() -> Self {
        Link(AtomicU32::new(NONE))
    }
}

impl core::ops::Deref for Link {
    type Target = AtomicU32;

    #[inline(always)]
    fn deref(&self) -> &AtomicU32 {
        &self.0
    }
}

impl Link {
    /// A copy, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn duplicate(&self) -> Link {
        Link(crate::emulated::copy_u32(self))
    }
}

/// One CPU's right to its own threads.
#[derive(Debug)]
pub struct Hold {
    cpu: u32,
    /// The low half of the location word of a thread on this CPU.
    mark: u32,
}

impl Hold {
    /// The token of CPU `cpu`.
    ///
    /// # Safety
    /// Made once per CPU and kernel, and used by that CPU alone.
    pub const unsafe fn new(cpu: u32) -> Hold {
        Hold { cpu, mark: Word::new(Location::Cpu(cpu), 0).0 as u32 }
    }

    /// Which CPU.
    #[inline(always)]
    pub fn cpu(&self) -> u32 {
        self.cpu
    }
}

/// A thread taken out of a queue or a cell: its finder may, and must, put it somewhere.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a thread that was won and put nowhere is lost"]
pub struct Won {
    index: u32,
}

impl Won {
    #[inline(always)]
    /// By whoever took it out.
    pub(crate) fn taken(index: u32) -> Won {
        Won { index }
    }

    /// Which thread.
    #[inline(always)]
    pub fn index(&self) -> u32 {
        self.index
    }
}

/// Changes asked of a thread by others; its owner carries them out.
pub mod pending {
    /// End it.
    pub const KILL: u32 = 1;
    /// End its blocked call, or the next one.
    pub const INTERRUPT: u32 = 2;
    /// Leave the guest, or the next one.
    pub const KICK: u32 = 4;
    /// Look at its boost.
    pub const BOOST: u32 = 8;
}

/// A thread's slot: what anybody may read, and the body that only its owner touches.
#[derive(Default)]
pub struct Slot<F> {
    head: Head,
    location: AtomicU64,
    /// The built-in reply: who waits for this thread's answer.
    pub(crate) cell: Cell,
    /// See [`pending`].
    pub(crate) pending: AtomicU32,
    /// Priority lent by callers that wait for this thread's endpoint.
    pub(crate) boost: AtomicU8,
    /// Link in a mailbox: threads handed over.
    pub(crate) mail_next: Link,
    /// Link in a mailbox: pokes.
    pub(crate) poke_next: Link,
    pub(crate) poked: AtomicBool,
    /// Next thread of its process; under the registry's lock.
    pub(crate) sibling: Link,
    body: UnsafeCell<Thread<F>>,
}

impl<F: Frame> Slot<F> {
    /// Whom it serves: the caller in its built-in reply.
    #[cfg(feature = "check")]
    pub fn serving(&self) -> Option<u32> {
        self.cell.peek().map(|(caller, _)| caller)
    }

    /// It is on that CPU from now on.
    #[inline(always)]
    fn arrive(&self, hold: &Hold) {
        let word = self.location().0 & !0xffff_ffff | u64::from(hold.mark);
        self.location.store(word, Ordering::Release);
    }

    /// Where the thread is now; anybody may ask, the answer may be old.
    #[inline(always)]
    pub fn location(&self) -> Word {
        Word(self.location.load(Ordering::Acquire))
    }
}

impl<F> Object for Slot<F> {
    #[inline(always)]
    fn head(&self) -> &Head {
        &self.head
    }
}

/// Which link of a thread's slot a list goes through.
pub(crate) type Through<F> = fn(&Slot<F>) -> &Link;

/// All threads.
pub struct Threads<F> {
    objects: Objects<Slot<F>>,
}

// SAFETY: the body is reached by the rules of the module head only, which give one CPU at a time access; everything else is atomic.
unsafe impl<F: Send> Sync for Threads<F> {}
// SAFETY: as above.
unsafe impl<F: Send> Send for Threads<F> {}

/// A thread's slot that was looked up once: index and slot belong together.
pub(crate) struct Found<'a, F> {
    index: u32,
    slot: &'a Slot<F>,
}

impl<F> Clone for Found<'_, F> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<F> Copy for Found<'_, F> {}

impl<'a, F> Found<'a, F> {
    /// Its number.
    #[inline(always)]
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    /// What anybody may see of it.
    #[inline(always)]
    pub(crate) fn slot(self) -> &'a Slot<F> {
        self.slot
    }
}

impl<F: Frame> Threads<F> {
    /// Over a region of free slots.
    pub fn new(region: Region<Slot<F>>) -> Self {
        Threads { objects: Objects::new(region) }
    }

    /// Slots there are.
    pub fn count(&self) -> u32 {
        self.objects.count()
    }

    /// What anybody may see of a thread.
    #[inline(always)]
    pub fn slot(&self, index: u32) -> Option<&Slot<F>> {
        self.objects.slot(index)
    }

    /// The same, if it still is the thread of that name.
    pub fn get(&self, id: Id<Slot<F>>) -> Option<&Slot<F>> {
        self.objects.get(id)
    }

    /// A slot, for several uses.
    #[inline(always)]
    pub(crate) fn find(&self, index: u32) -> Option<Found<'_, F>> {
        Some(Found { index, slot: self.slot(index)? })
    }

    /// A thread on the CPU whose token this is.
    #[inline(always)]
    pub fn own<'a>(&'a self, hold: &'a mut Hold, index: u32) -> Option<&'a mut Thread<F>> {
        self.own_found(hold, self.find(index)?)
    }

    /// As [`Threads::own`].
    #[inline(always)]
    pub(crate) fn own_found<'a>(&'a self, hold: &'a mut Hold, at: Found<'a, F>) -> Option<&'a mut Thread<F>> {
        if at.slot.location().0 as u32 != hold.mark {
            return None;
        }
        // SAFETY: conditions 1a, 2 and 4 of the module head.
        Some(unsafe { &mut *at.slot.body.get() })
    }

    /// As [`Threads::own`], to read.
    #[inline(always)]
    pub fn own_ref<'a>(&'a self, hold: &'a Hold, index: u32) -> Option<&'a Thread<F>> {
        let slot = self.slot(index).filter(|slot| slot.location().0 as u32 == hold.mark)?;
        // SAFETY: conditions 1a and 2; the shared borrow of the token excludes `own`.
        Some(unsafe { &*slot.body.get() })
    }

    /// Two different threads on this CPU.
    #[inline(always)]
    pub fn pair<'a>(&'a self, hold: &'a mut Hold, a: u32, b: u32) -> Option<(&'a mut Thread<F>, &'a mut Thread<F>)> {
        let (a, b) = (self.find(a)?, self.find(b)?);
        let here = |at: Found<'_, F>| at.slot.location().0 as u32 == hold.mark;
        if a.index == b.index || !here(a) || !here(b) {
            return None;
        }
        // SAFETY: conditions 1a, 2 and 4; a and b are different slots.
        Some(unsafe { (&mut *a.slot.body.get(), &mut *b.slot.body.get()) })
    }

    /// A thread that waits at the endpoint whose locked body this is.
    #[inline(always)]
    pub fn waiting<'a>(&'a self, at: &'a mut Body, index: u32) -> Option<&'a mut Thread<F>> {
        let slot = self.slot(index)?;
        match slot.location().at() {
            Location::Queued(e) | Location::Receiving(e) if e == at.index() => {
                // SAFETY: conditions 1b, 2 and 4.
                Some(unsafe { &mut *slot.body.get() })
            }
            _ => None,
        }
    }

    /// As [`Threads::waiting`], of a receiver.
    #[inline(always)]
    pub(crate) fn waiting_found<'a>(&'a self, at: &'a mut Body, one: Found<'a, F>) -> Option<&'a mut Thread<F>> {
        let want = Word::new(Location::Receiving(at.index()), 0).0 as u32;
        if one.slot.location().0 as u32 != want {
            return None;
        }
        // SAFETY: conditions 1b, 2 and 4.
        Some(unsafe { &mut *one.slot.body.get() })
    }

    /// The caller that is held for a copy.
    pub fn held<'a>(&'a self, held: &'a mut Held) -> Option<&'a mut Thread<F>> {
        let slot = self.slot(held.index())?;
        // SAFETY: conditions 1c, 2 and 4.
        Some(unsafe { &mut *slot.body.get() })
    }

    /// A thread parked under the registry's lock, whose token `registry` is.
    pub fn parked<'a>(&'a self, registry: &'a mut Token, index: u32) -> Option<&'a mut Thread<F>> {
        let _ = registry;
        let slot = self.slot(index).filter(|slot| slot.location().at() == Location::Parked)?;
        // SAFETY: conditions 1d, 2 and 4.
        Some(unsafe { &mut *slot.body.get() })
    }

    /// Any thread's body, while nobody steps: the exclusive borrow says so.
    pub fn body(&mut self, index: u32) -> Option<&Thread<F>> {
        let slot = self.slot(index)?;
        // SAFETY: `&mut self` excludes every token's use: tokens reach a thread through `&self` only.
        Some(unsafe { &*slot.body.get() })
    }

    /// A copy of all threads, for the host's tests.
    #[cfg(not(target_os = "none"))]
    pub fn duplicate(&mut self) -> Self {
        use crate::emulated::{copy_u32, copy_u64};
        let objects = self.objects.duplicate(|s| Slot {
            head: s.head.duplicate(),
            location: copy_u64(&s.location),
            cell: s.cell.duplicate(),
            pending: copy_u32(&s.pending),
            boost: AtomicU8::new(s.boost.load(Ordering::Relaxed)),
            mail_next: s.mail_next.duplicate(),
            poke_next: s.poke_next.duplicate(),
            poked: AtomicBool::new(s.poked.load(Ordering::Relaxed)),
            sibling: s.sibling.duplicate(),
            // SAFETY: as in `body`.
            body: UnsafeCell::new(unsafe { (*s.body.get()).clone() }),
        });
        Threads { objects }
    }

    /// Makes a won thread this CPU's own.
    #[inline(always)]
    pub fn adopt(&self, hold: &Hold, won: Won) -> u32 {
        if let Some(slot) = self.slot(won.index) {
            slot.arrive(hold);
        }
        won.index
    }

    /// Makes a won thread this CPU's own, and gives it together with `with`, another thread of this CPU: (`with`, won).
    #[inline(always)]
    pub(crate) fn adopt_found<'a>(
        &'a self,
        hold: &'a mut Hold,
        won: Won,
        at: Found<'a, F>,
        with: Found<'a, F>,
    ) -> Option<(&'a mut Thread<F>, &'a mut Thread<F>)> {
        if won.index != at.index || with.index == at.index || with.slot.location().0 as u32 != hold.mark {
            return None;
        }
        at.slot.arrive(hold);
        // SAFETY: conditions 1a, 2 and 4: `with` is on this CPU, and the won one since the store; they are different slots.
        Some(unsafe { (&mut *with.slot.body.get(), &mut *at.slot.body.get()) })
    }

    /// Moves a thread of this CPU elsewhere, as wait number `sequence`. From now on it is not this CPU's any more.
    ///
    /// The caller links it into the queue or cell that `to` names before anybody can find it there: under the endpoint's lock, or
    /// by filling the cell afterwards.
    #[inline(always)]
    pub fn leave(&self, hold: &mut Hold, index: u32, to: Location, sequence: u32) -> bool {
        self.find(index).is_some_and(|at| self.leave_found(hold, at, to, sequence))
    }

    /// As [`Threads::leave`].
    #[inline(always)]
    pub(crate) fn leave_found(&self, hold: &mut Hold, at: Found<'_, F>, to: Location, sequence: u32) -> bool {
        let here = at.slot.location().0 as u32 == hold.mark;
        if here {
            at.slot.location.store(Word::new(to, sequence).0, Ordering::Release);
        }
        here
    }

    /// As `leave`, for a thread that was put into a shared cell before: unless another CPU has taken it out of there already.
    pub fn leave_if_here(&self, hold: &mut Hold, index: u32, to: Location, sequence: u32) -> bool {
        let Some(slot) = self.slot(index) else { return false };
        let here = Word::new(Location::Cpu(hold.cpu), slot.location().sequence());
        let there = Word::new(to, sequence);
        slot.location.compare_exchange(here.0, there.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// A new thread, parked.
    ///
    /// # Errors
    /// `NoBudget`: no slot is left.
    pub(crate) fn make(&self, registry: &mut Token) -> Result<Id<Slot<F>>, Error> {
        let (id, slot) = self.objects.make(registry)?;
        // Somebody may have asked the slot's last thread for something while it ended.
        slot.pending.store(0, Ordering::Relaxed);
        slot.location.store(Word::new(Location::Parked, slot.location().sequence()).0, Ordering::Release);
        Ok(id)
    }

    /// Ends a thread of this CPU that is in no queue; wait numbers go on from `sequence`.
    pub(crate) fn end(&self, registry: &mut Token, hold: &mut Hold, index: u32, sequence: u32) {
        let Some(slot) = self.slot(index) else { return };
        slot.pending.store(0, Ordering::Relaxed);
        slot.boost.store(0, Ordering::Relaxed);
        self.leave(hold, index, Location::Free, sequence);
        self.objects.end(registry, index);
    }

    /// Puts a thread in front of a list. Under the registry's lock.
    pub(crate) fn push(&self, head: &Link, link: Through<F>, index: u32) {
        if let Some(slot) = self.slot(index) {
            link(slot).store(head.swap(index, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Takes a thread out of a list; false if it isn't there. Under the registry's lock.
    pub(crate) fn unlink(&self, head: &Link, link: Through<F>, index: u32) -> bool {
        let mut place = head;
        while let Some(slot) = self.slot(place.load(Ordering::Relaxed)) {
            if place.load(Ordering::Relaxed) == index {
                place.store(link(slot).swap(NONE, Ordering::Relaxed), Ordering::Relaxed);
                return true;
            }
            place = link(slot);
        }
        false
    }

    /// Takes all threads of a list, which others may be posting to, one after the other.
    pub(crate) fn drain(&self, head: &Link, link: Through<F>, mut each: impl FnMut(Won)) {
        let mut next = head.swap(NONE, Ordering::Acquire);
        while let Some(slot) = self.slot(next) {
            let index = core::mem::replace(&mut next, link(slot).swap(NONE, Ordering::Relaxed));
            each(Won { index });
        }
    }
}
