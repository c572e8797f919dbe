//! Shootdown: nobody relies on a page-table change before every CPU that might remember the old entry has acknowledged it.
//!
//! What must always hold: an epoch is announced after the tables changed; a CPU that acknowledges it has flushed its TLB since and left the
//! kernel once, so it holds no frame it found by an older walk. Who waits is parked; nobody spins.

use crate::cpu::{CPUS, Cpu};
use crate::hw::{Backing, Hardware};
use crate::kernel::Kernel;
use crate::location::Location;
use crate::registry::Registry;
use crate::threads::{NONE, Won};
use core::sync::atomic::Ordering;
use sal_kernel_mem::Shootdown;

impl<H: Hardware> Kernel<H> {
    /// Forgets translations here and announces that to the CPUs that may remember them: those that have one of `roots` loaded, or all.
    /// Returns what to wait for, if somebody has to.
    pub(crate) fn shoot(&self, cpu: &Cpu<H>, what: Shootdown, roots: Option<[u64; 2]>) -> Option<(u64, u32)> {
        if what == Shootdown::None {
            return None;
        }
        self.hw.flush(what);
        let others = self.others(cpu, roots);
        if others == 0 {
            return None;
        }
        let epoch = self.epoch.fetch_add(1, Ordering::SeqCst) + 1;
        for n in (0..CPUS).filter(|n| others >> n & 1 == 1) {
            self.hw.interrupt_cpu(n);
        }
        Some((epoch, others))
    }

    /// CPUs besides this one that are up and may have translations of these roots.
    fn others(&self, cpu: &Cpu<H>, roots: Option<[u64; 2]>) -> u32 {
        let me = cpu.number() as usize;
        let concerned = |n: usize| {
            let Some(post) = self.posts.get(n) else { return false };
            let root = post.root.load(Ordering::SeqCst);
            n != me && post.up.load(Ordering::Relaxed) && roots.is_none_or(|r| r.contains(&root))
        };
        (0..CPUS).filter(|n| concerned(*n)).fold(0, |mask, n| mask | 1 << n)
    }

    /// The running thread waits for acknowledgements; its registers are what they shall be when it goes on.
    pub(crate) fn wait_for_acknowledgement(&self, cpu: &mut Cpu<H>, shot: (u64, u32)) {
        let me = cpu.current;
        let mut registry = self.registry.lock();
        if self.acknowledged(shot) {
            return;
        }
        let Some(t) = self.threads.own(&mut cpu.hold, me) else { return };
        t.shot = shot;
        t.waits_for = NONE;
        t.sequence = t.sequence.wrapping_add(1);
        let sequence = t.sequence;
        if let Some(slot) = self.threads.slot(me) {
            slot.mail_next.store(registry.shot, Ordering::Relaxed);
        }
        registry.shot = me;
        self.threads.leave(&mut cpu.hold, me, Location::Parked, sequence);
        self.shots.fetch_add(1, Ordering::SeqCst);
        drop(registry);
        self.run_next(cpu);
    }

    fn acknowledged(&self, (epoch, mask): (u64, u32)) -> bool {
        (0..CPUS)
            .filter(|n| mask >> n & 1 == 1)
            .all(|n| self.posts.get(n).is_none_or(|p| p.seen.load(Ordering::SeqCst) >= epoch))
    }

    /// This CPU has just entered the kernel: it acknowledges what was announced, and lets go whoever waited for it alone.
    pub(crate) fn acknowledge(&self, cpu: &mut Cpu<H>) {
        let Some(post) = self.posts.get(cpu.number() as usize) else { return };
        let epoch = self.epoch.load(Ordering::SeqCst);
        if post.seen.load(Ordering::Relaxed) != epoch {
            self.hw.flush(Shootdown::All);
            post.seen.store(epoch, Ordering::SeqCst);
        }
        if self.shots.load(Ordering::SeqCst) != 0 {
            let mut registry = self.registry.lock();
            self.release_shots(cpu, &mut registry);
        }
    }

    fn release_shots(&self, cpu: &mut Cpu<H>, registry: &mut Registry<H::Vm>) {
        let mut here = core::mem::replace(&mut registry.shot, NONE);
        while let Some(slot) = self.threads.slot(here) {
            let index = here;
            here = slot.mail_next.swap(NONE, Ordering::Relaxed);
            let Some(shot) = self.threads.parked(&mut registry.token, index).map(|t| t.shot) else { continue };
            if self.acknowledged(shot) {
                self.shots.fetch_sub(1, Ordering::SeqCst);
                self.threads.adopt(&cpu.hold, Won::from_queue(index));
                self.make_ready(cpu, index);
            } else {
                slot.mail_next.store(registry.shot, Ordering::Relaxed);
                registry.shot = index;
            }
        }
    }

    /// Takes a thread that is to die out of the list of those who wait for acknowledgements; false if it isn't there.
    pub(crate) fn unlink_shot(&self, registry: &mut Registry<H::Vm>, index: u32) -> bool {
        let mut here = core::mem::replace(&mut registry.shot, NONE);
        let mut found = false;
        while let Some(slot) = self.threads.slot(here) {
            let this = here;
            here = slot.mail_next.swap(NONE, Ordering::Relaxed);
            if this == index {
                found = true;
                self.shots.fetch_sub(1, Ordering::SeqCst);
            } else {
                slot.mail_next.store(registry.shot, Ordering::Relaxed);
                registry.shot = this;
            }
        }
        found
    }

    /// Lets frames out of quarantine, if every CPU has left the kernel and forgotten since they were freed.
    pub(crate) fn leave_quarantine(&self, cpu: &Cpu<H>, registry: &mut Registry<H::Vm>) {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let me = cpu.number() as usize;
        let up = |n: &usize| *n != me && self.posts.get(*n).is_some_and(|p| p.up.load(Ordering::Relaxed));
        let behind = (0..CPUS)
            .filter(up)
            .any(|n| self.posts.get(n).is_some_and(|p| p.seen.load(Ordering::SeqCst) < registry.quarantine));
        if behind {
            (0..CPUS).filter(up).for_each(|n| self.hw.interrupt_cpu(n));
            return;
        }
        self.hw.flush(Shootdown::All);
        registry.vm.advance();
        registry.quarantine = self.epoch.fetch_max(epoch + 1, Ordering::SeqCst).max(epoch + 1);
    }
}
