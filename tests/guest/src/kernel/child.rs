//! Children: this program again, in an address space of its own.

use crate::harness::Step;
use crate::roles::Role;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};
use sal_bootimage::Image;
use sal_load::{Random, Row, Running, Spec, What};
use sal_rt::abi::boot::{ProcessState, Startup};
use sal_rt::abi::{Handle, PAGE, Rights};
use sal_rt::{Grants, start::own};
use sal_sys::process::ProcessInfo;
use sal_sys::{capability, memory, process};

/// Name of the grant that says which role a child plays: number of the role, and an argument.
pub(crate) const ROLE: &str = "role";

/// Priority of a child's first thread, below the root task's.
pub(crate) const PRIORITY: u8 = 100;

/// Frames of a child's budget, if nothing else is said.
const FRAMES: u64 = 1024;

/// What a child is to be.
pub(crate) struct Plan<'a> {
    role: Role,
    argument: u64,
    rows: &'a [Row],
    frames: u64,
    notice: (Handle, u64),
    priority: u8,
}

impl<'a> Plan<'a> {
    /// A child of that role, with these capabilities.
    pub(crate) fn new(role: Role, rows: &'a [Row]) -> Plan<'a> {
        Plan { role, argument: 0, rows, frames: FRAMES, notice: (Handle::NONE, 0), priority: PRIORITY }
    }

    /// A number for the role.
    pub(crate) fn argument(self, argument: u64) -> Plan<'a> {
        Plan { argument, ..self }
    }

    /// Frames that it may spend.
    pub(crate) fn frames(self, frames: u64) -> Plan<'a> {
        Plan { frames, ..self }
    }

    /// Raised at its death.
    pub(crate) fn notice(self, notification: Handle, bits: u64) -> Plan<'a> {
        Plan { notice: (notification, bits), ..self }
    }

    /// Priority of its first thread.
    #[allow(dead_code, reason = "the benchmark, which shares this file, sets it")]
    pub(crate) fn priority(self, priority: u8) -> Plan<'a> {
        Plan { priority, ..self }
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Result<Child, String> {
        let startup = own::startup().ok_or("no start-up page")?;
        let (image, image_memory) = boot_image(startup)?;
        let budget = capability::budget_create(own::budget(), self.frames).step("the child's budget")?;
        let spec = Spec {
            image: &image,
            image_memory,
            program: "root",
            budget,
            notice: self.notice.0,
            death_bits: self.notice.1,
            own_priority: false,
            priority: self.priority,
            wired: false,
            incarnation: 1,
            clock: [startup.ticks_per_us, startup.tick_zero, startup.cpus],
        };
        let spend = Rights::SPEND.or(Rights::READ).or(Rights::MANAGE).or(Rights::TRANSFER);
        let own_rows = [
            Row::new(ROLE, What::Numbers(self.role as u64, self.argument)),
            Row::new("budget", What::Capability(budget, spend, 0)),
            Row::new("log", What::Capability(own::log(), Rights::WRITE, 0)),
        ];
        let rows = own_rows.iter().chain(self.rows);
        let running = sal_load::spawn(&spec, rows, &mut Random(seed())).step("a child")?;
        Ok(Child { running, budget })
    }
}

/// The boot image and the memory that it lies in.
#[allow(unsafe_code, reason = "it reads the boot image where the kernel mapped it")]
fn boot_image(startup: &'static Startup) -> Result<(Image<'static>, Handle), String> {
    let grant = Grants(startup).need("image");
    let length = memory::memory_info(grant.handle).step("the boot image's length")?.length as usize;
    // SAFETY: the kernel mapped the whole memory there, read-only, for the root task's whole life; nobody can write it.
    let bytes = unsafe { core::slice::from_raw_parts(grant.address as *const u8, length) };
    Ok((Image::open(bytes).step("the boot image")?, grant.handle))
}

/// A seed for a load address: another one each time.
fn seed() -> u64 {
    static TURN: AtomicU64 = AtomicU64::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    own::startup().map_or(0, |startup| startup.entropy.iter().fold(turn, |a, b| a.rotate_left(17) ^ b))
}

/// A process. Dropping it kills it.
pub(crate) struct Child {
    pub(crate) running: Running,
    pub(crate) budget: Handle,
}

impl Child {
    /// Its state.
    pub(crate) fn info(&self) -> Result<ProcessInfo, String> {
        process::process_info(self.running.process).step("process info")
    }

    /// Is it gone?
    pub(crate) fn is_dead(&self) -> Result<bool, String> {
        Ok(self.info()?.state == ProcessState::Dead as u64)
    }

    /// Ends it.
    pub(crate) fn kill(&self, reason: u64) -> Result<(), String> {
        process::kill(self.running.process, reason).step("kill")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.running.clear();
        let _ = sal_load::settle(self.budget);
        let _ = capability::close(self.budget);
    }
}

/// A row for a capability.
pub(crate) fn give(name: &str, handle: Handle, rights: Rights) -> Row {
    Row::new(name, What::Capability(handle, rights, 0))
}

/// Bytes in so many pages.
pub(crate) const fn pages(count: u64) -> u64 {
    count * PAGE
}
