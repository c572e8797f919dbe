//! A kernel on the host's heap: made, and copied, for tests and for exploring what it can do.
//!
//! What must always hold: a copy shares nothing with its original; a CPU's right to its threads is made together with its kernel.
#![allow(unsafe_code)]

extern crate std;

use crate::cpu::Cpu;
use crate::hw::Hardware;
use crate::kernel::{Kernel, KernelParts};
use crate::region::Region;
use crate::threads::Hold;
use crate::timer::Entry;
use crate::{endpoint, notification, process, reply, table, threads};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use spin::Mutex;
use std::vec;
use std::vec::Vec;

/// How many of each object there can be.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Threads.
    pub threads: u32,
    /// Endpoints.
    pub endpoints: u32,
    /// Notifications.
    pub notifications: u32,
    /// Reply objects.
    pub replies: u32,
    /// Processes.
    pub processes: u32,
    /// Chunks of capability slots.
    pub chunks: u32,
}

/// A kernel and its processors. They belong together: a processor's right to its threads holds for this kernel alone.
pub struct Machine<H: Hardware> {
    /// The kernel.
    pub kernel: Kernel<H>,
    /// Its processors, all up.
    pub cpus: Vec<Cpu<H>>,
}

pub(crate) fn copy_u32(from: &AtomicU32) -> AtomicU32 {
    AtomicU32::new(from.load(Ordering::Relaxed))
}

pub(crate) fn copy_u64(from: &AtomicU64) -> AtomicU64 {
    AtomicU64::new(from.load(Ordering::Relaxed))
}

impl<H: Hardware<Timers = Vec<Entry>>> Machine<H> {
    /// A kernel with idle processors and nothing in it.
    pub fn new(hw: H, sizes: Sizes, cpus: u32, vm: H::Vm) -> Self {
        let mut index = 0;
        let parts = KernelParts {
            threads: Region::boxed(sizes.threads, threads::Slot::default),
            endpoints: Region::boxed(sizes.endpoints, || {
                index += 1;
                endpoint::Slot::free(index - 1)
            }),
            notifications: Region::boxed(sizes.notifications, notification::Slot::default),
            replies: Region::boxed(sizes.replies, reply::Slot::default),
            processes: Region::boxed(sizes.processes, process::Slot::default),
            slots: Region::boxed(sizes.chunks * table::CHUNK, table::Slot::default),
        };
        let kernel = Kernel::new(hw, parts, vm);
        for post in kernel.posts.iter().take(cpus as usize) {
            post.up.store(true, Ordering::Relaxed);
            post.idle.store(true, Ordering::Relaxed);
        }
        // SAFETY: once per CPU of this kernel, and used by that CPU's value alone.
        let cpu = |n| Cpu::new(unsafe { Hold::new(n) }, vec![Entry::default(); sizes.threads as usize]);
        Machine { kernel, cpus: (0..cpus).map(cpu).collect() }
    }

    /// A copy that shares nothing with this one.
    pub fn duplicate(&mut self) -> Self
    where
        H: Clone,
        H::Vm: Clone,
    {
        let k = &mut self.kernel;
        let kernel = Kernel {
            hw: k.hw.clone(),
            threads: k.threads.duplicate(),
            endpoints: k.endpoints.duplicate(endpoint::Slot::duplicate),
            notifications: k.notifications.duplicate(notification::Slot::duplicate),
            replies: k.replies.duplicate(reply::Slot::duplicate),
            processes: k.processes.duplicate(process::Slot::duplicate),
            slots: k.slots.duplicate(table::Slot::duplicate),
            posts: core::array::from_fn(|n| k.posts[n].duplicate()),
            lines: k.lines.duplicate(),
            registry: Mutex::new(k.registry.get_mut().duplicate()),
            epoch: copy_u64(&k.epoch),
            shots: copy_u32(&k.shots),
            reaping: AtomicBool::new(k.reaping.load(Ordering::Relaxed)),
        };
        let cpus = self.cpus.iter().map(copy_cpu).collect();
        Machine { kernel, cpus }
    }
}

fn copy_cpu<H: Hardware<Timers = Vec<Entry>>>(cpu: &Cpu<H>) -> Cpu<H> {
    Cpu {
        // SAFETY: once for this CPU of the new kernel.
        hold: unsafe { Hold::new(cpu.number()) },
        current: cpu.current,
        fpu: cpu.fpu,
        ready: cpu.ready.clone(),
        timers: cpu.timers.clone(),
        slice_end: cpu.slice_end,
        accounted: cpu.accounted,
        retime: cpu.retime,
        resched: cpu.resched,
        shot: cpu.shot,
    }
}
