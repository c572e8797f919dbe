//! What the personality asks of the machine below. The shell implements it over kernel calls; tests fake it.
//! Must hold: nothing here waits; every call is short, for it is made under the personality's lock.

use crate::errno::Errno;
use crate::mm::Area;
use crate::task::TaskId;
use bitflags::bitflags;
use sal_abi::x86_64::GuestRegisters;

/// A guest address space, named by the shell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SpaceId(pub u32);

/// Contents that can be mapped: a `Memory` object, named by who made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ObjectId {
    /// A file's pages.
    File(sal_vfs::ContentId),
    /// Shared anonymous memory; the number is from [`Platform::shared_create`].
    Shared(u64),
}

bitflags! {
    /// What a program may do with a mapping.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Protection: u8 {
        /// Loads.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXECUTE = 4;
    }
}

/// What lies under a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backing {
    /// Zero-filled, the space's own: its upper memory at offset = address.
    Anonymous,
    /// Reads see the object at `offset`; what is written goes to the space's upper memory.
    Private {
        /// What is read.
        object: ObjectId,
        /// Byte offset of the mapping's first byte, page-aligned.
        offset: u64,
    },
    /// Reads and writes go to the object at `offset`.
    Shared {
        /// What is read and written.
        object: ObjectId,
        /// Byte offset of the mapping's first byte, page-aligned.
        offset: u64,
    },
}

/// Memory figures in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryFigures {
    /// All that programs could ever have.
    pub total: u64,
    /// Not in use now.
    pub free: u64,
    /// Held by files in memory (tmpfs).
    pub files: u64,
}

/// How the machine ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PowerState {
    /// Off, with this exit status for the host.
    Off(u8),
    /// Start again.
    Restart,
    /// Stand still.
    Halt,
}

/// The machine below.
pub trait Platform {
    /// Nanoseconds since boot.
    fn now(&mut self) -> u64;
    /// Nanoseconds to add to [`now`](Platform::now) for the time since 1970.
    fn realtime_offset(&mut self) -> u64;
    /// Sets the wall clock: [`realtime_offset`](Platform::realtime_offset) is this from now on.
    fn set_realtime_offset(&mut self, offset: u64) -> Result<(), Errno>;
    /// Random bytes.
    fn random(&mut self, buffer: &mut [u8]);
    /// A line for the service's log.
    fn log(&mut self, line: &str);

    /// An empty address space; `ENOMEM`.
    fn space_create(&mut self) -> Result<SpaceId, Errno>;
    /// A copy-on-write copy of `from`, with the same mappings (`areas`, in order of address).
    fn space_fork(&mut self, from: SpaceId, areas: &mut dyn Iterator<Item = &Area>) -> Result<SpaceId, Errno>;
    /// No task uses it any more (a task that is exiting on it is still to leave it: see [`crate::Step::Exit`]).
    fn space_destroy(&mut self, space: SpaceId);
    /// Makes `area` visible. Nothing is mapped there. `ENOMEM`.
    fn map(&mut self, space: SpaceId, area: &Area) -> Result<(), Errno>;
    /// Takes away what is mapped in the range and gives the space's own pages there back.
    fn unmap(&mut self, space: SpaceId, start: u64, length: u64);
    /// Sets the rights of what is mapped in the range.
    fn protect(&mut self, space: SpaceId, start: u64, length: u64, protection: Protection);
    /// Gives the space's own pages in the range back; the next access finds the lower contents or zeros.
    fn discard(&mut self, space: SpaceId, start: u64, length: u64);
    /// Moves the space's own pages (not the mappings) from one range to another.
    fn move_pages(&mut self, space: SpaceId, from: u64, to: u64, length: u64) -> Result<(), Errno>;
    /// Writes into the space's own pages at `address`: for a space that nobody runs in yet. Whole pages that are not
    /// there are zero-filled first.
    fn space_write(&mut self, space: SpaceId, address: u64, data: &[u8]) -> Result<(), Errno>;
    /// Reads the space's own pages (anonymous memory and what was written of private mappings); what is not there reads
    /// as zero. For /proc.
    fn space_read(&mut self, space: SpaceId, address: u64, buffer: &mut [u8]) -> Result<(), Errno>;
    /// Bytes of the space's own pages that are there, as far as known.
    fn space_resident(&mut self, space: SpaceId) -> u64;
    /// A zero-filled object of `length` bytes for shared anonymous memory.
    fn shared_create(&mut self, length: u64) -> Result<ObjectId, Errno>;
    /// Nobody maps the object any more.
    fn shared_destroy(&mut self, object: ObjectId);

    /// Starts a native thread for `task`, which enters the guest with `registers` in `space`. The FPU state is a copy
    /// of `parent`'s, or the initial one.
    fn spawn(
        &mut self,
        task: TaskId,
        space: SpaceId,
        registers: &GuestRegisters,
        parent: Option<TaskId>,
    ) -> Result<(), Errno>;
    /// `task`, which calls now, runs in `space` from now on, with the initial FPU state (exec). Also
    /// for the first process, before its `spawn`.
    fn switch_space(&mut self, task: TaskId, space: SpaceId);
    /// `task` was told to block: its thread calls [`crate::Linux::resume`] soon. Sticky.
    fn wake(&mut self, task: TaskId);
    /// `task` runs in the guest (or is about to): its thread calls [`crate::Linux::kicked`] soon. Sticky.
    fn kick(&mut self, task: TaskId);
    /// `task` is in a call to another server: that call ends soon, with [`crate::RemoteResult::Interrupted`] if it was
    /// not done.
    fn interrupt(&mut self, task: TaskId);
    /// [`crate::Linux::timers_due`] is to be called at this time (`None`: never), instead of the last one told.
    fn set_alarm(&mut self, at: Option<u64>);
    /// Bytes of the FPU state (XSAVE standard format) that [`fpu_save`](Platform::fpu_save) fills; at least 512.
    fn fpu_size(&mut self) -> usize;
    /// The processor's mask of saved states (XCR0); 3 if there is no XSAVE.
    fn fpu_features(&mut self) -> u64;
    /// Copies the calling task's FPU state.
    fn fpu_save(&mut self, buffer: &mut [u8]);
    /// Replaces it; empty: the initial state, 512 bytes: x87 and SSE only. The shell's kernel calls refuse what the processor would not load: `EINVAL`.
    fn fpu_restore(&mut self, buffer: &[u8]) -> Result<(), Errno>;

    /// CPUs that run.
    fn cpus(&mut self) -> u32;
    /// The CPU on which `task`'s thread runs, or last ran.
    fn cpu(&mut self, task: TaskId) -> u32;
    /// The processor's `AT_HWCAP` (CPUID 1, EDX).
    fn hwcap(&mut self) -> u64;
    /// `model name` of /proc/cpuinfo.
    fn cpu_name(&mut self) -> &str;
    /// Memory figures.
    fn memory(&mut self) -> MemoryFigures;
    /// Processor nanoseconds that `task` used so far, in the guest and in the personality.
    fn cpu_time(&mut self, task: TaskId) -> u64;
    /// The scheduling hint of `task` changed: nice, -20..=19.
    fn set_nice(&mut self, task: TaskId, nice: i8);
    /// Ends the machine.
    fn power(&mut self, state: PowerState);
}
