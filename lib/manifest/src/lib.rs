//! The manifest: what runs, with what, who may call whom.
//!
//! A person writes `system/NAME.toml`; the host tool reads and checks it ([`text`], feature `std`) and puts the compact form
//! ([`compact`]) into the boot image; the supervisor decodes that. What must always hold here:
//!
//! - a service gets exactly what its entry says and nothing else (no ambient authority);
//! - a [`Manifest`] made by [`text::read`] has passed every check, so the supervisor never finds a name that doesn't exist;
//! - services stand in start order: whom a service waits for stands before it.
//!
//! ## Keys of a `[service.NAME]` table
//! | key | is | default |
//! |---|---|---|
//! | `program` | module of the boot image | needed |
//! | `priority` | 0..255, higher is more urgent; the supervisor's is the highest | needed |
//! | `memory_kib` | budget of everything that it uses | needed |
//! | `rest_percent` | of what the machine has beyond `machine.memory_kib` | 0 |
//! | `vault_kib` | memory that outlives it | 0 |
//! | `threads`, `cpu` | how many; where the first one runs | 1, any |
//! | `wired` | its pages are filled at the start | false |
//! | `endpoint` | others can call it | false |
//! | `log` | `none`, `write`, `read` (and write), `power` (and end the machine) | none |
//! | `ports`, `interrupts` | `["0x3f8-0x3ff"]`, `[4]` | none |
//! | `modules` | modules of the boot image that it may read | none |
//! | `uses` | services that it calls; `"NAME:transfer"`: it may pass the capability on | none |
//! | `paged_by` | a service whose pages it touches: it waits for that one as for a callee | none |
//! | `mounts` | prefixes under which `names` finds it | none |
//! | `heartbeat` | `{ turn_ms = 10, missed = 3 }` or `{ off = true }` | as shown |
//! | `restart` | `{ policy = "always", backoff_ms = 1, backoff_most_ms = 1000, limit = 10 }`, or policy `never`, `ends-machine` | as shown |
//!
//! ## Names in the start-up page
//! What every service has: `self`, `space`, `budget`, and `log`, `endpoint`, `vault` if its entry says so, `heartbeat` (a notification
//! to the supervisor) unless its heartbeat is off. Of its entry: [`grant::ports`], [`grant::interrupt`], [`grant::module`], a used
//! service under its name; for `names`, every mounted prefix under the prefix itself.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

pub mod compact;
pub mod grant;
#[cfg(feature = "std")]
pub mod text;

pub use compact::{Broken, Header, decode, encode};

/// Name of the service that starts, watches and restarts the others. The root task starts it.
pub const SUPERVISOR: &str = "supervisor";
/// Name of the service that keeps the table of mounted prefixes: it alone gets the endpoints behind `mounts`.
pub const NAMES: &str = "names";
/// Services that a manifest can have: the estate and the supervisor's state are fixed tables.
pub const SERVICES: usize = 16;
/// Name of the root task in messages about the wait-for graph.
pub const ROOT: &str = "root";

/// Everything that one boot image runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the machine must have.
    pub machine: Machine,
    /// What runs first on top of the services.
    pub boot: Boot,
    /// The root task.
    pub root: Root,
    /// The services, in start order.
    pub services: Vec<Service>,
}

/// What the machine must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Least RAM, KiB: all budgets together fit in it.
    pub memory_kib: u32,
    /// What firmware, kernel and boot image take of it, KiB.
    pub reserved_kib: u32,
}

/// What runs first on top of the services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Path and arguments that the Linux personality runs as process 1, unless the machine's command line names others.
    pub command: Vec<String>,
    /// What the console is for it.
    pub console: ConsoleMode,
}

/// What the console is for the first program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsoleMode {
    /// A terminal with line discipline.
    Terminal,
    /// Three byte streams: stdin, stdout, stderr.
    Streams,
}

/// The root task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Module of the boot image.
    pub program: String,
    /// Its own tables, KiB.
    pub memory_kib: u32,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// By which all others name it.
    pub name: String,
    /// Module of the boot image that it runs.
    pub program: String,
    /// 0..=255, higher is more urgent.
    pub priority: u8,
    /// Threads that it may have (for the budget's reserve; the first included).
    pub threads: u16,
    /// The CPU that its first thread stays on, or any.
    pub cpu: Option<u8>,
    /// Everything that it and its image's writable part use, KiB. Transferred once; a restart spends the same budget again.
    pub memory_kib: u32,
    /// Of the memory that the machine has beyond `machine.memory_kib`, percent.
    pub rest_percent: u8,
    /// Memory that outlives it, KiB; 0: no vault.
    pub vault_kib: u32,
    /// Its pages are filled at the start, so that it never faults.
    pub wired: bool,
    /// Has it an endpoint that others can call?
    pub endpoint: bool,
    /// How a hang is noticed.
    pub heartbeat: Heartbeat,
    /// What follows its death.
    pub restart: Restart,
    /// What it may do with the kernel's log.
    pub log: LogAccess,
    /// I/O port ranges.
    pub ports: Vec<PortRange>,
    /// Interrupt lines.
    pub interrupts: Vec<u8>,
    /// Modules of the boot image that it may read.
    pub modules: Vec<String>,
    /// Whom it may call.
    pub uses: Vec<Use>,
    /// Prefixes under which [`NAMES`] finds its endpoint.
    pub mounts: Vec<String>,
}

/// How a hang is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heartbeat {
    /// It isn't.
    Off,
    /// `missed` turns of `turn_ms` milliseconds of its own CPU time without an answer are a hang.
    Turns {
        /// Length of a turn, milliseconds.
        turn_ms: u16,
        /// Turns.
        missed: u8,
    },
}

/// What follows a service's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// It is started again.
    Always {
        /// Wait after the first death without progress, milliseconds; it doubles with each.
        backoff_ms: u16,
        /// It never waits longer, milliseconds.
        backoff_most_ms: u16,
        /// So many deaths without progress make it `failed`.
        limit: u8,
    },
    /// It is `failed`: its callers get an error.
    Never,
    /// Its end ends the machine, with its exit reason as status.
    EndsMachine,
}

/// What a service may do with the kernel's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogAccess {
    /// Nothing.
    None,
    /// Write lines.
    Write,
    /// Write lines and read the ring.
    Read,
    /// And end the machine.
    Power,
}

/// A range of I/O ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// How many.
    pub count: u16,
}

/// A capability to another service's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Index in [`Manifest::services`] of the service called. The grant's name in the start-up page is that service's name.
    pub service: u16,
    /// May it pass the capability on in a message?
    pub transfer: bool,
}

impl Manifest {
    /// The service of that name, and its index.
    pub fn find(&self, name: &str) -> Option<(usize, &Service)> {
        self.services.iter().enumerate().find(|(_, s)| s.name == name)
    }
}
