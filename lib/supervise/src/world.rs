//! What the supervisor needs of the world: its vault, the root task's estate, a log.

use crate::Signal;
use crate::state::{Landing, Request, State};
use core::fmt;
use sal_abi::Error;

/// State of a service's process, and of its endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Which incarnation this is about; 0: none was ever spawned.
    pub incarnation: u32,
    /// Does it live?
    pub alive: bool,
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
    /// Is its first thread blocked (neither runs nor could)?
    pub blocked: bool,
    /// The request that it served when it died, if it did.
    pub request: Request,
    /// What it was at when it died.
    pub landing: Landing,
}

/// The world. Every call may be repeated with the same arguments and then does nothing more.
pub trait World {
    /// The state is now this. When it returns, a successor will find it so.
    fn commit(&mut self, state: &State);

    /// Creates the service's entry: budget, endpoint, vault.
    ///
    /// # Errors
    /// The estate's.
    fn describe(&mut self, service: usize) -> Result<(), Error>;

    /// Tells the entry everything that the manifest grants the service.
    ///
    /// # Errors
    /// The estate's.
    fn grant(&mut self, service: usize) -> Result<(), Error>;

    /// Spawns this incarnation unless the entry has it already. `poison`: a request that it must not serve.
    ///
    /// # Errors
    /// The estate's; then there is no living incarnation.
    fn spawn(&mut self, service: usize, incarnation: u32, poison: Request) -> Result<(), Error>;

    /// Kills this incarnation; when it returns, no CPU runs it any more.
    ///
    /// # Errors
    /// The estate's.
    fn kill(&mut self, service: usize, incarnation: u32, reason: u64) -> Result<(), Error>;

    /// State of the newest incarnation.
    ///
    /// # Errors
    /// The estate's.
    fn report(&mut self, service: usize) -> Result<Report, Error>;

    /// Reads memory of the newest incarnation, also when it is dead. Bytes read.
    fn read(&mut self, service: usize, incarnation: u32, address: u64, to: &mut [u8]) -> usize;

    /// From now on callers of its endpoint get this code; 0: they wait again.
    ///
    /// # Errors
    /// The estate's.
    fn fail(&mut self, service: usize, code: u64) -> Result<(), Error>;

    /// Tells the service that.
    fn signal(&mut self, service: usize, signal: Signal);

    /// Ends the machine.
    fn power_off(&mut self, status: u64);

    /// A line for the log.
    fn log(&mut self, line: fmt::Arguments<'_>);
}
