//! How objects begin and end: threads, processes, and what a last capability takes with it.
//!
//! What must always hold: a thread is destroyed by its owner, with no endpoint's lock held; a process is dead when its threads are gone and its table is
//! closed; whoever waits for that is woken once. Ending is done in pieces, at kernel entries, by whichever CPU comes by.

use crate::cell::Cancel;
use crate::cpu::{Cpu, LEFT_STATE, NO_STATE};
use crate::endpoint::SERVERS;
use crate::hw::{Backing, Frame, Hardware};
use crate::kernel::Kernel;
use crate::location::Location;
use crate::object::After;
use crate::objects::{Head, Object};
use crate::process::{self, State, get};
use crate::registry::Registry;
use crate::table::{Cap, Kind};
use crate::thread::{Thread, Wait};
use crate::threads::{NONE, Won, pending};
use core::sync::atomic::Ordering;
use sal_abi::Error;
use sal_abi::boot::DeathKind;
use sal_kernel_mem::Id;

impl<H: Hardware> Kernel<H> {
    /// Ends a thread of this CPU that is in no queue: its caller learns it, its process may be over.
    pub(crate) fn destroy_thread(&self, cpu: &mut Cpu<H>, index: u32) {
        self.drop_caller(cpu, index);
        let Some(t) = self.threads.own(&mut cpu.hold, index) else { return };
        let (process, serves, page, guest) = (t.process, t.serves, t.page, t.guest_space);
        let position = t.frame.position();
        let (fpu_page, sequence) = (t.fpu_page, t.sequence);
        if fpu_page != NO_STATE && fpu_page == cpu.fpu {
            cpu.fpu = LEFT_STATE;
        }
        *t = Thread { sequence, ..Thread::default() };
        if let Some(mut at) = self.endpoints.lock(Id::from_word(serves)) {
            at.remove_server(index);
        }
        let mut registry = self.registry.lock();
        let Some(owner) = self.processes.slot(process) else { return };
        owner.was_killed_at(position);
        registry.vm.unpin(page, fpu_page, owner.space.load(Ordering::Relaxed));
        self.drop_memory(&mut registry, Kind::Space, guest);
        self.threads.unlink(&owner.first_thread, |slot| &slot.sibling, index);
        self.threads.end(&mut registry.token, &mut cpu.hold, index, sequence);
        self.thread_gone(cpu, &mut registry, process);
    }

    /// One thread fewer: the last one of a process ends it.
    fn thread_gone(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, process: u32) {
        let Some(slot) = self.processes.slot(process) else { return };
        if slot.alive.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if slot.state() == State::Alive {
            slot.set_state(State::Dying);
        }
        self.start_reaping(cpu, registry, process);
    }

    fn start_reaping(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, process: u32) {
        if let Some(slot) = self.processes.slot(process) {
            let next = core::mem::replace(&mut registry.reaping, process);
            slot.head().link.store(next, Ordering::Relaxed);
        }
        cpu.resched = true;
        self.reaping.store(true, Ordering::Release);
    }

    /// Does a piece of the work that ended processes left; true if there is more.
    pub(crate) fn reap(&self, cpu: &mut Cpu<H>) -> bool {
        let mut registry = self.registry.lock();
        let process = registry.reaping;
        let Some(slot) = self.processes.slot(process) else {
            let more = registry.vm.reap();
            self.reaping.store(more, Ordering::Release);
            return more;
        };
        if !self.close_table_piece(cpu, &mut registry, process) {
            return true;
        }
        registry.reaping = slot.head().link.load(Ordering::Relaxed);
        slot.set_state(State::Dead);
        let [notification, bits] = get(&slot.death);
        self.threads.drain(
            &slot.waiters,
            |slot| &slot.mail_next,
            |won| {
                let index = self.threads.adopt(&cpu.hold, won);
                self.make_ready(cpu, index);
            },
        );
        if slot.head().refs.load(Ordering::Relaxed) == 0 {
            self.free_process(&mut registry, process);
        }
        drop(registry);
        self.notify(cpu, notification, bits);
        true
    }

    fn free_process(&self, registry: &mut Registry<H::Vm>, process: u32) {
        let Some(slot) = self.processes.slot(process) else { return };
        slot.set_state(State::Free);
        self.drop_memory(registry, Kind::Space, slot.space.load(Ordering::Relaxed));
        self.processes.end(&mut registry.token, process);
    }

    /// Ends a process: marks it and pokes its threads. `position`: instruction, stack and frame pointer, fault address.
    pub(crate) fn kill(&self, cpu: &mut Cpu<H>, process: u32, reason: u64, position: [u64; 4]) {
        let Some(slot) = self.processes.slot(process) else { return };
        let mut registry = self.registry.lock();
        if slot.state() != State::Alive {
            return;
        }
        slot.set_state(State::Dying);
        slot.set_end(reason, position);
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
        while let Some(index) = self.next_to_kill(process) {
            self.poke(cpu, index, pending::KILL);
        }
    }

    /// A thread of the process that was not asked to end yet.
    fn next_to_kill(&self, process: u32) -> Option<u32> {
        let _registry = self.registry.lock();
        let mut here = self.processes.slot(process)?.first_thread.load(Ordering::Relaxed);
        loop {
            let slot = self.threads.slot(here)?;
            if slot.pending.load(Ordering::Acquire) & pending::KILL == 0 {
                return Some(here);
            }
            here = slot.sibling.load(Ordering::Relaxed);
        }
    }

    /// The running thread waits until a process is dead; then its system call runs again.
    pub(crate) fn wait_for_death(&self, cpu: &mut Cpu<H>, id: Id<process::Slot>) -> Result<After, Error> {
        let me = cpu.current;
        let registry = self.registry.lock();
        let slot = self.processes.get(id).ok_or(Error::BadHandle)?;
        if slot.state() == State::Dead {
            return Ok(After::OK);
        }
        let t = self.threads.own(&mut cpu.hold, me).ok_or(Error::BadCall)?;
        t.frame.repeat_call();
        t.wait = Wait::None;
        t.waits_for = id.index();
        t.sequence = t.sequence.wrapping_add(1);
        let sequence = t.sequence;
        self.threads.push(&slot.waiters, |slot| &slot.mail_next, me);
        self.threads.leave(&mut cpu.hold, me, Location::Parked, sequence);
        drop(registry);
        self.run_next(cpu);
        Ok(After::Done)
    }

    /// Something is pending for a parked thread: a kill takes it out of what it waits for.
    pub(crate) fn act_on_parked(&self, cpu: &mut Cpu<H>, index: u32) {
        let mut registry = self.registry.lock();
        let Some(slot) = self.threads.slot(index) else { return };
        if slot.pending.load(Ordering::Acquire) & pending::KILL == 0 {
            return;
        }
        let Some(waits_for) = self.threads.parked(&mut registry.token, index).map(|t| t.waits_for) else {
            drop(registry);
            return self.see(cpu, index);
        };
        if self.threads.unlink(&registry.shot, |slot| &slot.mail_next, index) {
            self.shots.fetch_sub(1, Ordering::SeqCst);
        } else if let Some(process) = self.processes.slot(waits_for) {
            self.threads.unlink(&process.waiters, |slot| &slot.mail_next, index);
        }
        self.threads.adopt(&cpu.hold, Won::taken(index));
        drop(registry);
        self.destroy_thread(cpu, index);
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

    /// The head of the object that a capability names, if it counts its names there.
    fn counted(&self, cap: &Cap) -> Option<&Head> {
        let index = cap.object as u32;
        match cap.kind {
            Kind::Endpoint => self.endpoints.slot(index).map(Object::head),
            Kind::Notification => self.notifications.slot(index).map(Object::head),
            Kind::Reply => self.replies.slot(index).map(Object::head),
            Kind::Process => self.processes.slot(index).map(Object::head),
            _ => None,
        }
    }

    /// A capability more for an object.
    pub(crate) fn add_ref(&self, registry: &mut Registry<H::Vm>, cap: &Cap) {
        match self.counted(cap) {
            Some(head) => _ = head.refs.fetch_add(1, Ordering::AcqRel),
            None => registry.vm.add_ref(cap.kind, cap.object),
        }
    }

    /// A capability fewer: the last one ends an endpoint, a notification, a Reply, memory; a process only when it is dead.
    pub(crate) fn drop_ref(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, cap: &Cap) {
        let Some(head) = self.counted(cap) else { return self.drop_memory(registry, cap.kind, cap.object) };
        if head.refs.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let index = cap.object as u32;
        match cap.kind {
            Kind::Endpoint => self.end_endpoint(cpu, registry, index),
            Kind::Notification => self.end_notification(registry, index),
            Kind::Reply => self.end_reply(cpu, registry, index),
            _ if self.processes.slot(index).is_some_and(|p| p.state() == State::Dead) => {
                self.free_process(registry, index);
            }
            _ => {}
        }
    }

    /// Somebody fewer names a memory, space or budget (a raw id).
    pub(crate) fn drop_memory(&self, registry: &mut Registry<H::Vm>, kind: Kind, object: u64) {
        registry.vm.drop_ref(kind, object);
        if registry.vm.has_doomed() {
            self.reaping.store(true, Ordering::Release);
        }
    }

    fn end_endpoint(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, index: u32) {
        let Some(mut at) = self.endpoints.lock_index(index) else { return };
        self.endpoints.end(&mut registry.token, index);
        while let Some(won) = at.pop_caller(&self.threads) {
            self.finish_won(cpu, won, Error::Dead);
        }
        while let Some(won) = at.pop_receiver(&self.threads) {
            self.finish_won(cpu, won, Error::BadHandle);
        }
        while self.notifications.pop(&mut at).is_some() {}
        (at.failed, at.servers) = (0, [NONE; SERVERS]);
    }

    fn end_notification(&self, registry: &mut Registry<H::Vm>, index: u32) {
        let Some(slot) = self.notifications.slot(index) else { return };
        self.notifications.end(&mut registry.token, index);
        if let Some(mut at) = self.endpoints.lock(Id::from_word(slot.endpoint.load(Ordering::Relaxed))) {
            self.notifications.unlink(&mut at, index);
        }
    }

    fn end_reply(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>, index: u32) {
        let Some(slot) = self.replies.slot(index) else { return };
        self.replies.end(&mut registry.token, index);
        // As a cancellation, not as an answer: if another thread copies from the caller right now, it will carry it out.
        if let Some((caller, sequence)) = slot.cell.peek()
            && let Cancel::Won(won) = slot.cell.cancel(caller, sequence, Error::ServerDied as u8)
        {
            self.finish_won(cpu, won, Error::ServerDied);
        }
    }
}
