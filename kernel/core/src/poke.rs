//! Changing a thread that is somewhere else: interrupt, deadline, boost, kick, kill.
//!
//! What must always hold: a request sticks in the thread's pending word before anybody looks where the thread is, so wherever it goes
//! meanwhile, its next owner finds it; a wait is ended only by whoever won the thread from its queue or cell, for that wait's number.

use crate::cell::{Cancel, Cell, Held};
use crate::cpu::Cpu;
use crate::endpoint::SERVERS;
use crate::hw::Hardware;
use crate::kernel::Kernel;
use crate::location::{Location, Word};
use crate::threads::{NONE, pending};
use core::sync::atomic::Ordering;
use sal_abi::Error;

/// How many servers of servers a boost follows.
const CHAIN: usize = 8;
/// Nanoseconds after which a deadline is tried again that met its thread on the way from the queue into service.
const RETRY: u64 = 1_000_000;

impl<H: Hardware> Kernel<H> {
    /// Asks for a change of a thread: carries it out if the thread is here or waits somewhere, else asks its CPU.
    pub(crate) fn poke(&self, cpu: &mut Cpu<H>, index: u32, what: u32) {
        if let Some(slot) = self.threads.slot(index) {
            slot.pending.fetch_or(what, Ordering::AcqRel);
            self.see(cpu, index);
        }
    }

    /// Looks at a thread with something pending, wherever it is.
    pub(crate) fn see(&self, cpu: &mut Cpu<H>, index: u32) {
        let me = cpu.number();
        let Some(slot) = self.threads.slot(index) else { return };
        let word = slot.location();
        match word.at() {
            Location::Cpu(n) if n == me => self.act(cpu, index),
            Location::Cpu(n) | Location::Mail(n) => {
                if let Some(post) = self.posts.get(n as usize) {
                    post.poke(index, slot);
                    self.hw.interrupt_cpu(n as usize);
                }
            }
            Location::Queued(_) | Location::Receiving(_) | Location::Served(_) | Location::Kept(_) => {
                self.act_on_waiting(cpu, index, word);
            }
            Location::Parked => self.act_on_parked(cpu, index),
            Location::Free => {}
        }
    }

    /// Carries out what is pending for a thread of this CPU.
    fn act(&self, cpu: &mut Cpu<H>, index: u32) {
        let Some(slot) = self.threads.slot(index) else { return };
        let asked = slot.pending.load(Ordering::Acquire);
        if asked & pending::KILL != 0 {
            self.take_from_cpu(cpu, index);
            self.destroy_thread(cpu, index);
            return;
        }
        if asked & pending::BOOST != 0 {
            slot.pending.fetch_and(!pending::BOOST, Ordering::AcqRel);
            let boost = slot.boost.load(Ordering::Acquire);
            self.raise_here(cpu, index, boost);
        }
        if asked & pending::KICK != 0 {
            self.kick_here(cpu, index);
        }
    }

    /// Makes a guest that runs (or is ready to run) here return to its personality. Otherwise the kick waits for the next `GuestEnter`.
    fn kick_here(&self, cpu: &mut Cpu<H>, index: u32) {
        let Some(t) = self.threads.own(&mut cpu.hold, index) else { return };
        if !t.in_guest {
            return;
        }
        if let Some(slot) = self.threads.slot(index) {
            slot.pending.fetch_and(!pending::KICK, Ordering::AcqRel);
        }
        crate::guest::leave(t, sal_abi::x86_64::Exit::Kicked, [0; 3]);
    }

    /// Carries out what is pending for a thread that waits: a kill or an interrupt ends its wait, a boost goes on to whom it waits for.
    fn act_on_waiting(&self, cpu: &mut Cpu<H>, index: u32, word: Word) {
        let Some(slot) = self.threads.slot(index) else { return };
        let asked = slot.pending.load(Ordering::Acquire);
        if asked & (pending::KILL | pending::INTERRUPT) != 0 {
            if !self.end_wait(cpu, index, word, Error::Interrupted) {
                self.follow(cpu, index, word);
            }
        } else if asked & pending::BOOST != 0 {
            self.raise_waiting(cpu, index, word, slot.boost.load(Ordering::Acquire), 0);
        }
    }

    /// A wait could not be ended because another CPU has just won the thread: looks where that CPU takes it.
    ///
    /// Whoever wins a thread names itself in the location a few instructions later, with interrupts off; so this ends. A copy under way is not
    /// waited for: who copies finds the mark.
    fn follow(&self, cpu: &mut Cpu<H>, index: u32, word: Word) {
        let Some(slot) = self.threads.slot(index) else { return };
        while slot.location() == word {
            if self.is_in_cell(index, word) {
                return;
            }
            core::hint::spin_loop();
        }
        self.see(cpu, index);
    }

    /// Is the thread to end?
    fn is_killed(&self, index: u32) -> bool {
        self.threads.slot(index).is_some_and(|s| s.pending.load(Ordering::Acquire) & pending::KILL != 0)
    }

    /// The cell that a location names.
    pub(crate) fn cell_at(&self, at: Location) -> Option<&Cell> {
        match at {
            Location::Served(server) => Some(&self.threads.slot(server)?.cell),
            Location::Kept(reply) => Some(&self.replies.slot(reply)?.cell),
            _ => None,
        }
    }

    /// Is the thread still in the cell that this location names?
    fn is_in_cell(&self, index: u32, word: Word) -> bool {
        self.cell_at(word.at()).and_then(Cell::peek) == Some((index, word.sequence()))
    }

    /// Ends the copy from what a caller lent. A cancellation that came meanwhile is carried out now, with all that it is due: whoever cancelled
    /// has left it to the mark.
    pub(crate) fn end_copy(&self, cpu: &mut Cpu<H>, cell: &Cell, held: Held) {
        let Some((won, why)) = cell.release(held) else { return };
        let error = Error::from_number(i64::from(why)).unwrap_or(Error::Interrupted);
        let index = self.threads.adopt(&cpu.hold, won);
        self.end_won(cpu, index, error);
    }

    /// A thread was won from its wait: it goes on with an error, or is gone if it was killed. `Interrupted` is what an interrupt asked for.
    fn end_won(&self, cpu: &mut Cpu<H>, index: u32, error: Error) {
        if self.is_killed(index) {
            return self.destroy_thread(cpu, index);
        }
        if error == Error::Interrupted
            && let Some(slot) = self.threads.slot(index)
        {
            slot.pending.fetch_and(!pending::INTERRUPT, Ordering::AcqRel);
        }
        self.finish_with_error(cpu, index, error, 0);
    }

    /// Ends a wait with an error, if it is still that wait. The thread is ready then (or gone, if it was killed).
    pub(crate) fn end_wait(&self, cpu: &mut Cpu<H>, index: u32, word: Word, error: Error) -> bool {
        if self.win(cpu, index, word, error).is_none() {
            return false;
        }
        self.end_won(cpu, index, error);
        true
    }

    /// Wins a waiting thread from its queue or cell, if it is still in that wait.
    fn win(&self, cpu: &Cpu<H>, index: u32, word: Word, error: Error) -> Option<u32> {
        match word.at() {
            Location::Queued(e) | Location::Receiving(e) => {
                let mut at = self.endpoints.lock_index(e)?;
                if self.threads.slot(index)?.location() != word {
                    return None;
                }
                let won = at.remove(&self.threads, index)?;
                // Under the lock, so that nobody finds a location of a queue that the thread has left.
                Some(self.threads.adopt(&cpu.hold, won))
            }
            at => match self.cell_at(at)?.cancel(index, word.sequence(), error as u8) {
                Cancel::Won(won) => Some(self.threads.adopt(&cpu.hold, won)),
                Cancel::Deferred | Cancel::Gone => None,
            },
        }
    }

    /// Takes a thread of this CPU out of the ready queue, or off the processor.
    pub(crate) fn take_from_cpu(&self, cpu: &mut Cpu<H>, index: u32) {
        if cpu.current == index {
            self.account(cpu);
            cpu.current = NONE;
            cpu.resched = true;
        } else {
            cpu.ready.remove(&self.threads, &mut cpu.hold, index);
        }
    }

    /// Deadlines that have passed: the waits that they belong to end.
    pub(crate) fn expire(&self, cpu: &mut Cpu<H>) {
        let now = self.hw.now();
        while let Some((thread, sequence)) = cpu.timers.expire(now) {
            let Some(slot) = self.threads.slot(thread) else { continue };
            let word = slot.location();
            if word.sequence() == sequence
                && !self.end_wait(cpu, thread, word, Error::DeadlinePassed)
                && self.may_wait_on(cpu, thread, sequence)
            {
                cpu.timers.arm(thread, sequence, now.saturating_add(RETRY));
            }
        }
    }

    /// A wait that could not be ended may go on: another CPU was just moving the thread from the queue into service.
    fn may_wait_on(&self, cpu: &Cpu<H>, thread: u32, sequence: u32) -> bool {
        let word = self.threads.slot(thread).map(|s| s.location());
        word.is_some_and(|w| {
            w.sequence() == sequence && !matches!(w.at(), Location::Free | Location::Parked) && !w.is_on(cpu.number())
        })
    }

    /// What others posted to this CPU: threads handed over, then pokes.
    pub(crate) fn read_post(&self, cpu: &mut Cpu<H>) {
        let Some(post) = self.posts.get(cpu.number() as usize) else { return };
        self.threads.drain(
            &post.mail,
            |slot| &slot.mail_next,
            |won| {
                let index = self.threads.adopt(&cpu.hold, won);
                self.arrived(cpu, index);
            },
        );
        let mut poke = post.pokes.swap(NONE, Ordering::Acquire);
        while let Some(slot) = self.threads.slot(poke) {
            let index = core::mem::replace(&mut poke, slot.poke_next.swap(NONE, Ordering::Relaxed));
            slot.poked.store(false, Ordering::Release);
            self.see(cpu, index);
        }
    }

    /// A thread came by mail: it is ready here now.
    fn arrived(&self, cpu: &mut Cpu<H>, index: u32) {
        let me = cpu.number();
        let Some(t) = self.threads.own(&mut cpu.hold, index) else { return };
        t.home = me;
        if self.is_killed(index) {
            self.destroy_thread(cpu, index);
        } else {
            self.make_ready(cpu, index);
        }
    }

    /// Lends a priority to the threads that serve an endpoint.
    pub(crate) fn boost_all(&self, cpu: &mut Cpu<H>, servers: [u32; SERVERS], priority: u8, depth: usize) {
        for index in servers {
            self.boost(cpu, index, priority, depth);
        }
    }

    /// Lends a thread a priority, and along the chain of calls that it waits in, `CHAIN` steps far. No endpoint's lock is held.
    fn boost(&self, cpu: &mut Cpu<H>, index: u32, priority: u8, depth: usize) {
        let Some(slot) = self.threads.slot(index) else { return };
        let word = slot.location();
        if depth > CHAIN || matches!(word.at(), Location::Receiving(_) | Location::Free) {
            return;
        }
        if slot.boost.fetch_max(priority, Ordering::AcqRel) >= priority {
            return;
        }
        slot.pending.fetch_or(pending::BOOST, Ordering::AcqRel);
        match word.at() {
            Location::Queued(_) | Location::Served(_) | Location::Kept(_) => {
                self.raise_waiting(cpu, index, word, priority, depth + 1);
            }
            _ => self.see(cpu, index),
        }
    }

    /// Raises a thread of this CPU.
    fn raise_here(&self, cpu: &mut Cpu<H>, index: u32, priority: u8) {
        let Some(t) = self.threads.own(&mut cpu.hold, index).filter(|t| t.priority < priority) else { return };
        if index == cpu.current {
            t.priority = priority;
            return;
        }
        cpu.ready.remove(&self.threads, &mut cpu.hold, index);
        if let Some(t) = self.threads.own(&mut cpu.hold, index) {
            t.priority = priority;
        }
        cpu.ready.push(&self.threads, &mut cpu.hold, index);
        self.preempt(cpu, priority);
    }

    /// A boosted thread waits itself: the boost goes on to whom it waits for. Who waits in a cell is raised when it leaves it.
    fn raise_waiting(&self, cpu: &mut Cpu<H>, index: u32, word: Word, boost: u8, depth: usize) {
        match word.at() {
            Location::Queued(e) => self.raise_queued(cpu, index, e, boost, depth),
            Location::Served(server) => self.boost(cpu, server, boost, depth),
            Location::Kept(reply) => self.raise_keepers(cpu, reply, boost, depth),
            _ => {
                // It receives: it will run at the priority of who comes.
                if let Some(slot) = self.threads.slot(index) {
                    slot.pending.fetch_and(!pending::BOOST, Ordering::AcqRel);
                }
            }
        }
    }

    /// A boosted thread waits in a queue: it moves up, and its servers are boosted.
    fn raise_queued(&self, cpu: &mut Cpu<H>, index: u32, endpoint: u32, boost: u8, depth: usize) {
        let Some(mut at) = self.endpoints.lock_index(endpoint) else { return };
        let Some(t) = self.threads.waiting(&mut at, index) else { return };
        if let Some(slot) = self.threads.slot(index) {
            slot.pending.fetch_and(!pending::BOOST, Ordering::AcqRel);
        }
        if t.priority >= boost {
            return;
        }
        t.priority = boost;
        if at.remove(&self.threads, index).is_some() {
            at.push_caller(&self.threads, index);
        }
        let servers = at.servers;
        drop(at);
        self.boost_all(cpu, servers, boost, depth);
    }

    /// A boosted thread's call is kept: whoever serves that endpoint is boosted.
    fn raise_keepers(&self, cpu: &mut Cpu<H>, reply: u32, boost: u8, depth: usize) {
        let endpoint = self.replies.slot(reply).map_or(NONE, |r| r.endpoint.load(Ordering::Relaxed));
        let servers = self.endpoints.lock_index(endpoint).map_or([NONE; SERVERS], |at| at.servers);
        self.boost_all(cpu, servers, boost, depth);
    }
}
