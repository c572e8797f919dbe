//! A processor: what it alone touches ([`Cpu`]), and what others may post to it ([`Post`]).

use crate::hw::{Frame, Hardware};
use crate::ready::Ready;
use crate::threads::{Hold, Link, NONE, Slot};
use crate::timer::Timers;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Processors at most.
pub const CPUS: usize = 16;

/// FPU registers as a program that starts finds them.
pub const NO_STATE: u32 = 0;
/// FPU registers of a thread that has left this CPU, or is gone: not to be saved.
pub const LEFT_STATE: u32 = u32::MAX;

/// What one CPU alone touches.
#[derive(Debug)]
pub struct Cpu<H: Hardware> {
    /// Its right to its threads.
    pub hold: Hold,
    /// The thread that runs, or [`NONE`]: idle.
    pub current: u32,
    /// The state frame of the thread whose FPU state its registers hold: [`NO_STATE`] for the initial state, [`LEFT_STATE`] for one that is kept
    /// nowhere else any more. The image changes it when it loads a thread.
    pub fpu: u32,
    /// Threads that could run.
    pub ready: Ready,
    /// Deadlines of threads that blocked here.
    pub timers: Timers<H::Timers>,
    /// When the running thread's time slice ends.
    pub slice_end: u64,
    /// Until when CPU time has been accounted.
    pub accounted: u64,
    /// What the timer has to be set to may have changed.
    pub retime: bool,
    /// The message path asks for a look at the ready queue.
    pub resched: bool,
    /// What the running thread's call has changed and other CPUs must acknowledge before it goes on: epoch and CPUs.
    pub(crate) shot: (u64, u32),
}

impl<H: Hardware> Cpu<H> {
    /// An idle processor.
    pub fn new(hold: Hold, timers: H::Timers) -> Self {
        Cpu {
            hold,
            current: NONE,
            fpu: NO_STATE,
            ready: Ready::default(),
            timers: Timers::new(timers),
            slice_end: 0,
            accounted: 0,
            retime: true,
            resched: false,
            shot: (0, 0),
        }
    }

    /// Its number.
    #[inline(always)]
    pub fn number(&self) -> u32 {
        self.hold.cpu()
    }
}

/// What other CPUs may do to a CPU: hand threads over, poke, ask for acknowledgement.
#[derive(Debug, Default)]
pub struct Post {
    /// Threads handed over, the last first, linked through `mail_next`.
    pub(crate) mail: Link,
    /// Threads to look at, linked through `poke_next`.
    pub(crate) pokes: Link,
    /// It has nothing to run.
    pub idle: AtomicBool,
    /// It is up and takes mail.
    pub up: AtomicBool,
    /// The root that it has loaded.
    pub root: AtomicU64,
    /// The last epoch that it has acknowledged: it has left the kernel, and its TLB forgot what was unmapped before.
    pub seen: AtomicU64,
}

#[cfg(not(target_os = "none"))]
impl Post {
    pub(crate) fn duplicate(&self) -> Post {
        use crate::emulated::copy_u64;
        Post {
            mail: self.mail.duplicate(),
            pokes: self.pokes.duplicate(),
            idle: AtomicBool::new(self.idle.load(Ordering::Relaxed)),
            up: AtomicBool::new(self.up.load(Ordering::Relaxed)),
            root: copy_u64(&self.root),
            seen: copy_u64(&self.seen),
        }
    }
}

fn push(head: &Link, index: u32, link: &Link) {
    let mut old = head.load(Ordering::Relaxed);
    loop {
        link.store(old, Ordering::Relaxed);
        match head.compare_exchange_weak(old, index, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => old = now,
        }
    }
}

impl Post {
    /// Is there anything to look at?
    #[inline(always)]
    pub fn has_mail(&self) -> bool {
        self.mail.load(Ordering::Relaxed) != NONE || self.pokes.load(Ordering::Relaxed) != NONE
    }

    /// Hands a thread over: its location says `Mail` already.
    pub fn hand_over<F: Frame>(&self, index: u32, slot: &Slot<F>) {
        push(&self.mail, index, &slot.mail_next);
    }

    /// Asks it to look at a thread's pending word, unless that was asked already.
    pub fn poke<F: Frame>(&self, index: u32, slot: &Slot<F>) {
        if !slot.poked.swap(true, Ordering::AcqRel) {
            push(&self.pokes, index, &slot.poke_next);
        }
    }
}
