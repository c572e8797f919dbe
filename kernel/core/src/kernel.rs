//! The kernel as a value.

use crate::cpu::{CPUS, Cpu, LEFT_STATE, NO_STATE, Post};
use crate::hw::{Frame, Hardware};
use crate::line::Lines;
use crate::location::Location;
use crate::message::lend;
use crate::objects::Objects;
use crate::region::Region;
use crate::registry::Registry;
use crate::table::{Cap, Kind, Slots};
use crate::thread::{Thread, Wait};
use crate::threads::{NONE, Threads, pending};
use crate::{endpoint, notification, process, reply, threads};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use sal_abi::{Error, Handle, Rights};
use sal_kernel_mem::Id;
use spin::Mutex;

/// Everything that the kernel knows.
pub struct Kernel<H: Hardware> {
    /// The machine.
    pub hw: H,
    /// Threads.
    pub threads: Threads<H::Frame>,
    /// Endpoints.
    pub endpoints: Objects<endpoint::Slot>,
    /// Notifications.
    pub notifications: Objects<notification::Slot>,
    /// Reply objects.
    pub replies: Objects<reply::Slot>,
    /// Processes and their capability tables.
    pub processes: Objects<process::Slot>,
    /// Capability slots of all tables.
    pub slots: Slots,
    /// What CPUs post to each other.
    pub posts: [Post; CPUS],
    /// Interrupt lines and whom they notify.
    pub lines: Lines,
    /// Everything that is not on the message path.
    pub registry: Mutex<Registry<H::Vm>>,
    /// The last shootdown announced.
    pub(crate) epoch: AtomicU64,
    /// Threads that wait for acknowledgements.
    pub(crate) shots: AtomicU32,
    /// A process is to be reaped.
    pub(crate) reaping: AtomicBool,
}

/// Nanoseconds that a thread may run while others of its priority wait.
pub const SLICE: u64 = 5_000_000;

/// The arenas that a kernel is made of.
pub struct KernelParts<F> {
    /// Threads.
    pub threads: Region<threads::Slot<F>>,
    /// Endpoints.
    pub endpoints: Region<endpoint::Slot>,
    /// Notifications.
    pub notifications: Region<notification::Slot>,
    /// Reply objects.
    pub replies: Region<reply::Slot>,
    /// Processes.
    pub processes: Region<process::Slot>,
    /// Capability slots.
    pub slots: Slots,
}

impl<H: Hardware> Kernel<H> {
    /// A kernel in which nothing runs.
    pub fn new(hw: H, parts: KernelParts<H::Frame>, vm: H::Vm) -> Self {
        Kernel {
            hw,
            threads: Threads::new(parts.threads),
            endpoints: Objects::new(parts.endpoints),
            notifications: Objects::new(parts.notifications),
            replies: Objects::new(parts.replies),
            processes: Objects::new(parts.processes),
            slots: parts.slots,
            posts: core::array::from_fn(|_| Post::default()),
            lines: Lines::default(),
            registry: Mutex::new(Registry::new(vm)),
            epoch: AtomicU64::new(0),
            shots: AtomicU32::new(0),
            reaping: AtomicBool::new(false),
        }
    }

    /// The thread that runs on this CPU.
    #[inline(always)]
    pub(crate) fn current<'a>(&'a self, cpu: &'a mut Cpu<H>) -> Result<&'a mut Thread<H::Frame>, Error> {
        self.threads.own(&mut cpu.hold, cpu.current).ok_or(Error::BadCall)
    }

    /// A capability of process `process`, of one kind and with some rights.
    ///
    /// # Errors
    /// `BadHandle`, `WrongKind`, `NoRight`.
    #[inline]
    pub fn need(&self, process: u32, handle: Handle, kind: Kind, rights: Rights) -> Result<Cap, Error> {
        let table = self.processes.table(process).ok_or(Error::BadHandle)?;
        table.need(&self.slots, handle, kind, rights)
    }

    /// The endpoint (and badge) that a handle of this process names, on the message path.
    #[inline(always)]
    pub(crate) fn endpoint(
        &self,
        process: u32,
        handle: Handle,
        rights: Rights,
    ) -> Result<(Id<endpoint::Slot>, u64), Error> {
        if let Some((object, badge)) = self.endpoint_at(process, handle, rights) {
            return Ok((Id::from_word(object), badge));
        }
        let cap = self.need(process, handle, Kind::Endpoint, rights)?;
        Ok((Id::from_word(cap.object), cap.badge))
    }

    /// A thread of this CPU, in no queue, can run: here, or where it belongs.
    pub(crate) fn make_ready(&self, cpu: &mut Cpu<H>, index: u32) {
        let me = cpu.number();
        let Some(t) = self.threads.own(&mut cpu.hold, index) else { return };
        let slot = self.threads.slot(index);
        if slot.is_some_and(|s| s.pending.load(Ordering::Relaxed) & pending::BOOST != 0) {
            lend(t, slot);
        }
        let (home, priority, pinned) = (t.home, t.priority, t.pinned);
        if home != me {
            return self.hand_over(cpu, index, home);
        }
        if !pinned && let Some(other) = self.idle_cpu(cpu) {
            return self.hand_over(cpu, index, other);
        }
        cpu.ready.push(&self.threads, &mut cpu.hold, index);
        self.preempt(cpu, priority);
    }

    /// Somebody of that priority is ready now: who runs may have to stop.
    pub(crate) fn preempt(&self, cpu: &mut Cpu<H>, priority: u8) {
        let running = self.threads.own_ref(&cpu.hold, cpu.current).map(|t| t.priority);
        cpu.resched |= running.is_none_or(|r| priority > r);
    }

    /// Another CPU that has nothing to do while this one is busy.
    fn idle_cpu(&self, cpu: &Cpu<H>) -> Option<u32> {
        if cpu.current == NONE {
            return None;
        }
        let idle = |p: &Post| p.up.load(Ordering::Relaxed) && p.idle.load(Ordering::Relaxed) && !p.has_mail();
        let found = (0..).zip(&self.posts).find(|(n, post)| *n != cpu.number() && idle(post));
        found.map(|(n, _)| n)
    }

    /// Gives a thread of this CPU to another one, which may run it at once: before this CPU loads another, which is when it saves FPU registers.
    pub(crate) fn hand_over(&self, cpu: &mut Cpu<H>, index: u32, to: u32) {
        let state = self.threads.own_ref(&cpu.hold, index).map_or(NO_STATE, |t| t.fpu_page);
        if state != NO_STATE && state == cpu.fpu {
            self.hw.save_fpu(state);
            cpu.fpu = LEFT_STATE;
        }
        let (Some(slot), Some(post)) = (self.threads.slot(index), self.posts.get(to as usize)) else { return };
        let sequence = slot.location().sequence();
        if self.threads.leave(&mut cpu.hold, index, Location::Mail(to), sequence) {
            post.hand_over(index, slot);
            self.hw.interrupt_cpu(to as usize);
        }
    }

    /// Chooses who runs next: the current thread if it still may and nobody ranks above it.
    pub fn schedule(&self, cpu: &mut Cpu<H>) {
        cpu.resched = false;
        let running = self.threads.own_ref(&cpu.hold, cpu.current).map(|t| t.priority);
        if let Some(priority) = running {
            if !cpu.ready.beats(priority) {
                return;
            }
            let index = cpu.current;
            cpu.ready.push_front(&self.threads, &mut cpu.hold, index);
        }
        self.run_next(cpu);
    }

    /// The running thread is gone or queued: takes the next one.
    pub(crate) fn run_next(&self, cpu: &mut Cpu<H>) {
        self.account(cpu);
        let next = cpu.ready.pop(&self.threads, &mut cpu.hold).unwrap_or(NONE);
        cpu.current = next;
        if next == NONE
            && let Some(post) = self.posts.get(cpu.number() as usize)
        {
            post.idle.store(true, Ordering::Release);
        }
        cpu.slice_end = cpu.accounted.saturating_add(SLICE);
        cpu.retime = true;
    }

    /// Books the time since the last look to whoever runs.
    pub(crate) fn account(&self, cpu: &mut Cpu<H>) {
        let now = self.hw.now();
        let spent = now.saturating_sub(cpu.accounted);
        cpu.accounted = now;
        if let Some(t) = self.threads.own(&mut cpu.hold, cpu.current) {
            t.used += spent;
            let process = t.process;
            self.processes.add_time(process, spent);
        }
    }

    /// The running thread goes behind those of its priority.
    pub(crate) fn rotate(&self, cpu: &mut Cpu<H>) {
        let index = cpu.current;
        if self.threads.own_ref(&cpu.hold, index).is_some() {
            cpu.ready.push(&self.threads, &mut cpu.hold, index);
            self.run_next(cpu);
        }
    }

    /// Ends a wait with an error: the thread is this CPU's, out of every queue, and becomes ready.
    pub(crate) fn finish_with_error(&self, cpu: &mut Cpu<H>, index: u32, error: Error, code: u64) {
        let Some(t) = self.threads.own(&mut cpu.hold, index) else { return };
        fail(t, error, code);
        t.wait = Wait::None;
        self.make_ready(cpu, index);
    }
}

/// Delivers an error to a thread that waited. Who waits for a page raises its fault again instead.
pub(crate) fn fail<F: Frame>(t: &mut Thread<F>, error: Error, code: u64) {
    if t.wait == Wait::Fault {
        return;
    }
    t.frame.set_status(error.status());
    t.frame.set_badge(code);
    t.frame.set_words([0; sal_abi::WORDS]);
}
