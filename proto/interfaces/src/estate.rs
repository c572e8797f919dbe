//! The root task's few calls, for the supervisor alone.
//!
//! Every call names entry and, where it matters, the incarnation that it means; all can be repeated and then do nothing more. So nothing here is
//! remembered. The root task never waits for anybody.

use sal_idl::word_enum;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

word_enum! {
    /// What a grant is. Its two numbers mean:
    pub enum GrantKind {
        /// The kernel's log; rights as given.
        Log = 0,
        /// The endpoint of entry `a`; `b`: 1 if the capability may be passed on. The badge is the grantee's entry number + 1.
        Service = 1,
        /// I/O ports from `a` to `b`, both included.
        Ports = 2,
        /// Interrupt line `a`.
        Interrupt = 3,
        /// The boot image's module that the grant's name says after `module:`, read-only, mapped. The grant's `handle` is its length in bytes: a part
        /// of the boot image has no capability of its own.
        Module = 4,
        /// The notification by which it answers heartbeats, raised at the supervisor's endpoint with the grantee's entry number as badge.
        Heartbeat = 5,
        /// The endpoint of entry `a`, with the rights to mount it: for the name server. The name is the prefix.
        Mount = 6,
    }
}

/// Flags of `describe`.
pub mod flags {
    /// Its pages are filled at the start.
    pub const WIRED: u32 = 1;
    /// It gets an endpoint that others can call.
    pub const ENDPOINT: u32 = 2;
    /// It serves at its own priority at least, whoever calls it.
    pub const OWN_PRIORITY: u32 = 4;
}

/// State of an entry's newest incarnation, as it lies in memory (little-endian).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Report {
    /// Which incarnation this is about; 0: none was ever spawned.
    pub incarnation: u32,
    /// 1 if it lives.
    pub alive: u32,
    /// `DeathKind | detail << 8`.
    pub reason: u64,
    /// Instruction pointer, stack pointer, frame pointer at its death.
    pub registers: [u64; 3],
    /// Address of the fault that killed it.
    pub fault: u64,
    /// First address of its image.
    pub image: u64,
    /// CPU time that it has used, nanoseconds.
    pub cpu_ns: u64,
    /// Callers that wait to be received.
    pub queued: u32,
    /// Threads that wait for a call.
    pub receiving: u32,
    /// Age of the oldest unanswered call, nanoseconds.
    pub oldest_ns: u64,
    /// 1 if its first thread is blocked.
    pub blocked: u32,
    /// What a dead one's first thread was at: a `service::Place`.
    pub place: u32,
    /// Badge of the request that its first thread was serving (`service::REQUEST_BADGE`).
    pub request_badge: u64,
    /// Word 0 of that request; 0 if there was none.
    pub request_word: u64,
}

sal_idl::interface! {
    /// The estate: one entry per service, by number.
    interface "estate" version 1;
    /// What can go wrong.
    errors {
        /// There is no such entry, or it was not described.
        NotFound = 1,
        /// The entry was described otherwise.
        Differs = 2,
        /// The incarnation is not the newest, or it lives already.
        WrongIncarnation = 3,
        /// Budget, handles or the table of grants are spent.
        NoResources = 4,
        /// The boot image has no such program or module.
        NoProgram = 5,
        /// A number is out of range.
        BadArgument = 6,
        /// The kernel refused; the root task's log line says what.
        Kernel = 7,
    }
    /// Makes the entry: its budget (KiB), vault (KiB) and endpoint.
    1 describe(entry: u16, memory_kib: u32, vault_kib: u32, priority: u8, threads: u16, flags: u32) reads(program);
    /// Adds a named grant to the entry, for every incarnation spawned from now on.
    2 grant(entry: u16, kind: GrantKind, a: u64, b: u64, rights: u32) reads(name);
    /// Spawns `incarnation` (the newest + 1), unless that one was spawned already. A request with this badge and word 0 is answered with an error
    /// instead of being served (0: none).
    3 spawn(entry: u16, incarnation: u32, poison_badge: u64, poison_word: u64);
    /// Kills `incarnation`; answers when no CPU runs it any more. One that is older than the newest is dead already.
    4 kill(entry: u16, incarnation: u32, reason: u64);
    /// A [`Report`] on the newest incarnation.
    5 report(entry: u16) writes(report);
    /// Reads memory of `incarnation`, also when it is dead, as long as there is no newer one.
    6 read(entry: u16, incarnation: u32, address: u64) writes(to) returns(count: u32);
    /// Callers of its endpoint get `code` from now on; 0: they wait again.
    7 fail(entry: u16, code: u64);
    /// Raises `service::signal` bits at its endpoint.
    8 signal(entry: u16, bits: u64);
    /// Ends the machine.
    9 power_off(status: u8);
}
