//! Shootdown: nobody relies on a page-table change before every CPU that might remember the old entry has acknowledged it.
//!
//! What must always hold: an epoch is announced after the tables changed; a CPU that acknowledges it has flushed its TLB since and left the
//! kernel once, so it holds no frame it found by an older walk. Who waits is parked; nobody spins.

use crate::cpu::{CPUS, Cpu};
use crate::hw::{Backing, Hardware};
use crate::kernel::Kernel;
use crate::location::Location;
use crate::registry::Registry;
use crate::threads::NONE;
use core::sync::atomic::Ordering;
use sal_kernel_mem::Shootdown;

impl<H: Hardware> Kernel<H> {
    /// Forgets translations here and announces that to the CPUs that may remember them: those that have one of `roots` loaded, or all. Whoever
    /// relies on it waits ([`Kernel::wait_for_acknowledgement`]).
    pub(crate) fn shoot(&self, cpu: &mut Cpu<H>, what: Shootdown, roots: Option<[u64; 2]>) {
        if what == Shootdown::None {
            return;
        }
        self.hw.flush(what);
        let others = self.others(cpu, roots);
        if others == 0 {
            return;
        }
        cpu.shot = (self.epoch.fetch_add(1, Ordering::SeqCst) + 1, cpu.shot.1 | others);
        for n in (0..CPUS).filter(|n| others >> n & 1 == 1) {
            self.hw.interrupt_cpu(n);
        }
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

    /// The running thread waits until what it has changed is acknowledged; its registers are what they shall be when it goes on.
    pub(crate) fn wait_for_acknowledgement(&self, cpu: &mut Cpu<H>) {
        let shot = core::mem::take(&mut cpu.shot);
        if shot.1 == 0 {
            return;
        }
        let me = cpu.current;
        let registry = self.registry.lock();
        // Counted before it looks: a CPU that acknowledges later sees that somebody waits, one that did so before is seen here.
        self.shots.fetch_add(1, Ordering::SeqCst);
        let Some(t) = self.threads.own(&mut cpu.hold, me).filter(|_| !self.acknowledged(shot)) else {
            self.shots.fetch_sub(1, Ordering::SeqCst);
            return;
        };
        (t.shot, t.waits_for) = (shot, NONE);
        t.sequence = t.sequence.wrapping_add(1);
        let sequence = t.sequence;
        self.threads.push(&registry.shot, |slot| &slot.mail_next, me);
        self.threads.leave(&mut cpu.hold, me, Location::Parked, sequence);
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
        self.threads.drain(
            &registry.shot,
            |slot| &slot.mail_next,
            |won| {
                let index = won.index();
                let shot = self.threads.parked(&mut registry.token, index).map_or((0, 0), |t| t.shot);
                if self.acknowledged(shot) {
                    self.shots.fetch_sub(1, Ordering::SeqCst);
                    self.threads.adopt(&cpu.hold, won);
                    self.make_ready(cpu, index);
                } else {
                    self.threads.push(&registry.shot, |slot| &slot.mail_next, index);
                }
            },
        );
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
