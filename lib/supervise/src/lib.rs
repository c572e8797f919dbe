//! The supervisor as a value: events in, estate calls out, no clock, no I/O, no allocation.
//!
//! # Rules
//! 1. **Start by need.** Entries are described and granted for all services first (their endpoints then exist, so nobody waits for
//!    anybody), then spawned in the manifest's order, in which whom a service waits for stands before it.
//! 2. **The state is the intent.** Which estate call comes next is a function of the [`State`] alone ([`Supervisor::next`]). The state is
//!    committed before the call is made and after its answer is known. Every call names the incarnation it means and can be repeated. So
//!    a supervisor that dies anywhere is continued by its successor, which only looks once at every service that should run.
//! 3. **Death** is inspected (reason, registers, backtrace), recorded, and followed by what the manifest says: start again, `failed`,
//!    or the machine's end.
//! 4. **Back-off counts deaths without progress.** [`PROGRESS_BEATS`] answered heartbeats are progress and clear the count. Ordered kills
//!    don't count. At the manifest's limit the service is `failed`: its endpoint is failed, so that callers get an error.
//! 5. **A hang is a matter of the service's own turns.** A heartbeat that stays unanswered while the service uses the CPU time of the
//!    manifest's turns is a hang. Who got no CPU has missed nothing, however long the wall clock ran; and at most one turn counts per tick,
//!    so that a machine that was stopped takes nobody's turns.
//! 6. **Stuck is a hang too**: its thread is blocked, not at its endpoint, callers queue, everything that it calls is well, and all this for
//!    [`STUCK_TICKS`] of the supervisor's own ticks.
//! 7. **Ticks are counted, not read.** At most one per wake-up. A machine that was stopped for an hour is one tick older.
//! 8. **Poison.** The request in service at two deaths in a row by the service's own fault is named to the next incarnation, which
//!    answers it with an error instead of serving it.
//!    A request without a number can't be told from the next of its kind, and is never suspected.
//! 9. **The supervisor itself** is healed by the root task, which tells the successor how its predecessor died. An order to kill it is
//!    carried out at most once.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod backtrace;
pub mod control;
pub mod files;
mod heartbeat;
pub mod state;
mod supervisor;
pub mod world;

pub use control::Command;
pub use state::State;
pub use supervisor::{Call, Event, Predecessor, Supervisor};
pub use world::World;

/// Length of a tick, nanoseconds: a turn of the default heartbeat, so a hang is seen in the first tick after it became one.
pub const TICK_NS: u64 = 10_000_000;

/// So many answered heartbeats are progress: a service that lived for 50 ms has got through its adoption and idles or serves.
pub const PROGRESS_BEATS: u8 = 5;

/// One second of ticks. A call downwards that takes longer, while everything below answers its heartbeats, won't end by itself.
pub const STUCK_TICKS: u16 = 100;

pub use sal_manifest::SERVICES;

/// Index of the supervisor itself in manifest and estate.
pub const ITSELF: usize = 0;

/// What the supervisor tells a service by a notification: how that looks is the interface's affair (`sal_proto::service::signal`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Answer, which is a heartbeat.
    Ping,
    /// Spin for ever: for tests of the heartbeat.
    Hang,
    /// Take no further call.
    Pause,
    /// Go on.
    Resume,
}

/// Reasons of the kills that the supervisor orders (the detail of `DeathKind::Killed`).
pub mod kill_reason {
    /// Somebody wrote `kill` or `restart`.
    pub const ORDERED: u64 = 1;
    /// It missed its heartbeats.
    pub const HANG: u64 = 2;
    /// It is stuck in a call.
    pub const STUCK: u64 = 3;
}

/// Code with which callers of a failed service's endpoint are answered.
pub const FAILED_CODE: u64 = 1;
