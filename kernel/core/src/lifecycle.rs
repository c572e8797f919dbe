//! How objects begin and end: threads, processes, and what a last capability takes with it.
//!
//! What must always hold: a thread is destroyed by its owner, with no endpoint's lock held; a process is dead when its threads are gone and its table is
//! closed; whoever waits for that is woken once. Ending is done in pieces, at kernel entries, by whichever CPU comes by.

use crate::cell::Cancel;
use crate::cpu::{Cpu, LEFT_STATE, NO_STATE};
use crate::endpoint::Endpoint;
use crate::hw::{Backing, Frame, Hardware};
use crate::id::Id;
use crate::kernel::Kernel;
use crate::location::Location;
use crate::object::{After, Answer};
use crate::process::{Process, State};
use crate::registry::Registry;
use crate::table::{Cap, Kind};
use crate::thread::{Thread, Wait};
use crate::threads::{NONE, Won, pending};
use core::sync::atomic::Ordering;
use sal_abi::Error;
use sal_abi::boot::DeathKind;

impl<H: Hardware> Kernel<H> {
    /// Ends a thread of this CPU that is in no queue: its caller learns it, its process may be over.
    pub(crate) fn destroy_thread(&self, cpu: &mut Cpu<H>, index: u32) {
        self.drop_caller(cpu, index);
        let Some(t) = self.threads.own(&mut cpu.hold, index) else {
            return;
        };
        let (process, serves, page, guest) = (t.process, t.serves, t.page, t.guest_space);
        let position = t.frame.position();
        let fpu_page = t.fpu_page;
        if fpu_page != NO_STATE && fpu_page == cpu.fpu {
            cpu.fpu = LEFT_STATE;
        }
        let sequence = t.sequence;
        *t = Thread { sequence, ..Thread::default() };
        if let Some(mut at) = self.endpoints.lock(Id::from_raw(serves)) {
            at.remove_server(index);
        }
        let mut registry = self.registry.lock();
        if let Some(slot) = self.processes.slot(process) {
            slot.was_killed_at(position);
        }
        let space = self.processes.slot(process).map_or(0, |p| p.space.load(Ordering::Relaxed));
        registry.vm.unpin(page, fpu_page, space);
        if guest != 0 {
            registry.vm.drop_space(guest);
        }
        self.unlink_thread(process, index);
        self.free_thread(cpu, &mut registry, index, sequence);
        self.thread_gone(cpu, &mut registry, process);
    }

    fn free_thread(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, index: u32, sequence: u32) {
        let Some(slot) = self.threads.slot(index) else {
            return;
        };
        slot.pending.store(0, Ordering::Relaxed);
        slot.boost.store(0, Ordering::Relaxed);
        slot.generation.fetch_add(1, Ordering::AcqRel);
        self.threads.leave(&mut cpu.hold, index, Location::Free, sequence);
        registry.threads.give(self.threads.region(), index);
    }

    fn unlink_thread(&self, process: u32, index: u32) {
        let Some(slot) = self.processes.slot(process) else {
            return;
        };
        let Some(after) = self.threads.slot(index).map(|s| s.sibling.load(Ordering::Relaxed)) else {
            return;
        };
        let mut here = slot.first_thread.load(Ordering::Relaxed);
        if here == index {
            slot.first_thread.store(after, Ordering::Relaxed);
            return;
        }
        while let Some(s) = self.threads.slot(here) {
            let next = s.sibling.load(Ordering::Relaxed);
            if next == index {
                s.sibling.store(after, Ordering::Relaxed);
                return;
            }
            here = next;
        }
    }

    /// One thread fewer: the last one of a process ends it.
    fn thread_gone(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, process: u32) {
        let Some(slot) = self.processes.slot(process) else {
            return;
        };
        if slot.alive.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if slot.state() == State::Alive {
            slot.set_state(State::Dying);
        }
        self.start_reaping(cpu, registry, process);
    }

    fn start_reaping(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, process: u32) {
        use crate::free::Link;
        if let Some(slot) = self.processes.slot(process) {
            slot.link().store(registry.reaping.unwrap_or(NONE), Ordering::Relaxed);
            registry.reaping = Some(process);
        }
        cpu.resched = true;
        self.reaping.store(true, Ordering::Release);
    }

    /// Does a piece of the work that ended processes left; true if there is more.
    pub(crate) fn reap(&self, cpu: &mut Cpu<H>) -> bool {
        use crate::free::Link;
        let mut registry = self.registry.lock();
        let Some(process) = registry.reaping else {
            let more = registry.vm.reap();
            self.reaping.store(more, Ordering::Release);
            return more;
        };
        if !self.close_table_piece(cpu, &mut registry, process) {
            return true;
        }
        let Some(slot) = self.processes.slot(process) else {
            return false;
        };
        let next = slot.link().load(Ordering::Relaxed);
        registry.reaping = (next != NONE).then_some(next);
        slot.set_state(State::Dead);
        let [notification, bits] = [0, 1].map(|n| slot.death.get(n).map_or(0, |d| d.load(Ordering::Relaxed)));
        self.wake_waiters(cpu, process);
        if slot.refs.load(Ordering::Relaxed) == 0 {
            self.free_process(&mut registry, process);
        }
        drop(registry);
        self.notify(cpu, notification, bits);
        true
    }

    fn free_process(&self, registry: &mut Registry<H::Vm>, process: u32) {
        let Some(slot) = self.processes.slot(process) else {
            return;
        };
        slot.generation.fetch_add(1, Ordering::AcqRel);
        slot.set_state(State::Free);
        registry.vm.drop_space(slot.space.load(Ordering::Relaxed));
        registry.processes.give(self.processes.region(), process);
    }

    /// Ends a process: marks it and pokes its threads. `position`: instruction, stack and frame pointer, fault address.
    pub(crate) fn kill(&self, cpu: &mut Cpu<H>, process: u32, reason: u64, position: [u64; 4]) {
        let Some(slot) = self.processes.slot(process) else {
            return;
        };
        let mut registry = self.registry.lock();
        if slot.state() != State::Alive {
            return;
        }
        slot.set_state(State::Dying);
        slot.reason.store(reason, Ordering::Relaxed);
        for (place, value) in slot.position.iter().zip(position) {
            place.store(value, Ordering::Relaxed);
        }
        if slot.alive.load(Ordering::Acquire) == 0 {
            self.start_reaping(cpu, &mut registry, process);
            return;
        }
        drop(registry);
        self.poke_all(cpu, process);
    }

    /// Asks every thread of a dying process to end.
    ///
    /// The list is read without the lock between two threads: it only shrinks now, and a thread that went is skipped by its pending word.
    fn poke_all(&self, cpu: &mut Cpu<H>, process: u32) {
        let mut here = self.next_to_kill(process);
        while here != NONE {
            self.poke(cpu, here, pending::KILL);
            here = self.next_to_kill(process);
        }
    }

    /// A thread of the process that was not asked to end yet.
    fn next_to_kill(&self, process: u32) -> u32 {
        let _registry = self.registry.lock();
        let Some(slot) = self.processes.slot(process) else {
            return NONE;
        };
        let mut here = slot.first_thread.load(Ordering::Relaxed);
        while let Some(s) = self.threads.slot(here) {
            if s.pending.load(Ordering::Acquire) & pending::KILL == 0 {
                return here;
            }
            here = s.sibling.load(Ordering::Relaxed);
        }
        NONE
    }

    /// The running thread waits until a process is dead; then its system call runs again.
    pub(crate) fn wait_for_death(&self, cpu: &mut Cpu<H>, id: Id<Process>) -> Result<After, Error> {
        let me = cpu.current;
        let registry = self.registry.lock();
        let slot = self.processes.get(id).ok_or(Error::BadHandle)?;
        if slot.state() == State::Dead {
            return Ok(After::Return(Answer::default()));
        }
        let t = self.threads.own(&mut cpu.hold, me).ok_or(Error::BadCall)?;
        t.frame.repeat_call();
        t.wait = Wait::None;
        t.waits_for = id.index();
        t.sequence = t.sequence.wrapping_add(1);
        let sequence = t.sequence;
        let first = slot.waiters.load(Ordering::Relaxed);
        if let Some(mine) = self.threads.slot(me) {
            mine.mail_next.store(first, Ordering::Relaxed);
        }
        self.threads.leave(&mut cpu.hold, me, Location::Parked, sequence);
        slot.waiters.store(me, Ordering::Relaxed);
        drop(registry);
        self.run_next(cpu);
        Ok(After::Done)
    }

    fn wake_waiters(&self, cpu: &mut Cpu<H>, process: u32) {
        let Some(slot) = self.processes.slot(process) else {
            return;
        };
        let mut here = slot.waiters.swap(NONE, Ordering::Relaxed);
        while let Some(s) = self.threads.slot(here) {
            let index = here;
            here = s.mail_next.swap(NONE, Ordering::Relaxed);
            self.threads.adopt(&cpu.hold, Won::from_queue(index));
            self.make_ready(cpu, index);
        }
    }

    /// Something is pending for a parked thread: a kill takes it out of what it waits for.
    pub(crate) fn act_on_parked(&self, cpu: &mut Cpu<H>, index: u32) {
        let mut registry = self.registry.lock();
        let Some(slot) = self.threads.slot(index) else {
            return;
        };
        if slot.pending.load(Ordering::Acquire) & pending::KILL == 0 {
            return;
        }
        let Some(waits_for) = self.threads.parked(&mut registry.token, index).map(|t| t.waits_for) else {
            drop(registry);
            return self.see(cpu, index);
        };
        if !self.unlink_shot(&mut registry, index)
            && let Some(process) = self.processes.slot(waits_for)
        {
            self.unlink_waiter(process, index);
        }
        self.threads.adopt(&cpu.hold, Won::from_queue(index));
        drop(registry);
        self.destroy_thread(cpu, index);
    }

    fn unlink_waiter(&self, process: &crate::process::Slot, index: u32) {
        let Some(after) = self.threads.slot(index).map(|s| s.mail_next.swap(NONE, Ordering::Relaxed)) else {
            return;
        };
        let mut here = process.waiters.load(Ordering::Relaxed);
        if here == index {
            process.waiters.store(after, Ordering::Relaxed);
            return;
        }
        while let Some(s) = self.threads.slot(here) {
            let next = s.mail_next.load(Ordering::Relaxed);
            if next == index {
                s.mail_next.store(after, Ordering::Relaxed);
                return;
            }
            here = next;
        }
    }

    /// The running thread did what can't be allowed: its process dies of it.
    pub(crate) fn die(&self, cpu: &mut Cpu<H>, kind: DeathKind, detail: u64, address: u64) {
        let Ok(t) = self.current(cpu) else { return };
        let [rip, rsp, rbp] = t.frame.position();
        let process = t.process;
        let me = cpu.current;
        self.kill(cpu, process, kind as u64 | detail << 8, [rip, rsp, rbp, address]);
        if cpu.current == me {
            // Another CPU ends the process already; this thread doesn't go on until it is told.
            self.take_from_cpu(cpu, me);
            self.destroy_thread(cpu, me);
        }
    }

    /// A capability more for an object.
    pub(crate) fn add_ref(&self, registry: &mut Registry<H::Vm>, cap: &Cap) {
        match cap.kind {
            Kind::Endpoint => count(self.endpoints.region().get(index(cap)).map(|s| &s.refs), 1),
            Kind::Notification => count(self.notifications.region().get(index(cap)).map(|s| &s.refs), 1),
            Kind::Reply => count(self.replies.slot(index(cap)).map(|s| &s.refs), 1),
            Kind::Process => count(self.processes.slot(index(cap)).map(|s| &s.refs), 1),
            Kind::Memory | Kind::Space | Kind::Budget => {
                registry.vm.add_ref(cap);
                0
            }
            Kind::Thread | Kind::Interrupt | Kind::IoPorts | Kind::Log => 0,
        };
    }

    /// A capability fewer: the last one ends an endpoint, a notification, a Reply; a process only when it is dead.
    pub(crate) fn drop_ref(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, cap: &Cap) {
        let minus = u32::MAX;
        match cap.kind {
            Kind::Endpoint => {
                if count(self.endpoints.region().get(index(cap)).map(|s| &s.refs), minus) == 1 {
                    self.end_endpoint(cpu, registry, Id::from_raw(cap.object));
                }
            }
            Kind::Notification => {
                if count(self.notifications.region().get(index(cap)).map(|s| &s.refs), minus) == 1 {
                    self.end_notification(registry, cap.object);
                }
            }
            Kind::Reply => {
                if count(self.replies.slot(index(cap)).map(|s| &s.refs), minus) == 1 {
                    self.end_reply(cpu, registry, index(cap));
                }
            }
            Kind::Process => {
                let left = count(self.processes.slot(index(cap)).map(|s| &s.refs), minus);
                let dead = self.processes.slot(index(cap)).is_some_and(|s| s.state() == State::Dead);
                if left == 1 && dead {
                    self.free_process(registry, index(cap));
                }
            }
            Kind::Memory | Kind::Space | Kind::Budget => {
                registry.vm.drop_ref(cap);
                if registry.vm.has_doomed() {
                    self.reaping.store(true, Ordering::Release);
                }
            }
            Kind::Thread | Kind::Interrupt | Kind::IoPorts | Kind::Log => {}
        }
    }

    fn end_endpoint(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, id: Id<Endpoint>) {
        if let Some(mut at) = self.endpoints.lock(id) {
            at.close();
            while let Some(won) = at.pop_caller(&self.threads) {
                self.finish_won(cpu, won, Error::Dead);
            }
            while let Some(won) = at.pop_receiver(&self.threads) {
                self.finish_won(cpu, won, Error::BadHandle);
            }
            while self.notifications.pop(&mut at).is_some() {}
        }
        registry.endpoints.give(self.endpoints.region(), id.index());
    }

    fn end_notification(&self, registry: &mut Registry<H::Vm>, raw: u64) {
        let id: Id<crate::notification::Notification> = Id::from_raw(raw);
        let Some(slot) = self.notifications.get(id) else {
            return;
        };
        let endpoint = Id::from_raw(slot.endpoint.load(Ordering::Relaxed));
        slot.generation.fetch_add(1, Ordering::AcqRel);
        if let Some(mut at) = self.endpoints.lock(endpoint) {
            self.notifications.unlink(&mut at, id.index());
        }
        registry.notifications.give(self.notifications.region(), id.index());
    }

    fn end_reply(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, index: u32) {
        let Some(slot) = self.replies.slot(index) else {
            return;
        };
        slot.generation.fetch_add(1, Ordering::AcqRel);
        // As a cancellation, not as an answer: if another thread copies from the caller right now, it will carry it out.
        if let Some((caller, sequence)) = slot.cell.peek()
            && let Cancel::Won(won) = slot.cell.cancel(caller, sequence, Error::ServerDied as u8)
        {
            self.finish_won(cpu, won, Error::ServerDied);
        }
        registry.replies.give(self.replies.region(), index);
    }
}

fn index(cap: &Cap) -> u32 {
    cap.object as u32
}

/// Adds to a count (wrapping); returns what it was.
fn count(refs: Option<&core::sync::atomic::AtomicU32>, add: u32) -> u32 {
    refs.map_or(0, |r| r.fetch_add(add, Ordering::AcqRel))
}
