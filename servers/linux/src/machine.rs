//! What the core asks of the machine below, over kernel calls.

use crate::shared::Shared;
use crate::spaces::Spaces;
use crate::task::{self, Beginning};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sal_abi::boot::Startup;
use sal_abi::x86_64::GuestRegisters;
use sal_abi::{Error, Handle};
use sal_linux_core::mm::Area;
use sal_linux_core::{Errno, MemoryFigures, ObjectId, Platform, PowerState, Protection, SpaceId, TaskId};
use sal_rt::guest::{self, FpuLayout};
use sal_rt::handle::{Endpoint, Memory, Notification, Thread};
use sal_rt::{clock, log, thread};
use sal_sys::{capability, memory, process};

/// Priority of the threads that run guests, and of the door: the same, since they share a lock.
pub(crate) const PRIORITY: u8 = 100;

/// Where a thread waits to be woken. Used by one thread after the other: a bit that is left over is a wake for nothing.
pub(crate) struct Seat {
    endpoint: Endpoint,
    bell: Notification,
}

/// The thread of a task.
struct Occupant {
    task: TaskId,
    seat: Seat,
    thread: Thread,
}

/// The machine.
pub(crate) struct Machine {
    /// Set as soon as there is something that threads can share.
    pub(crate) shared: Option<&'static Shared>,
    pub(crate) spaces: Spaces,
    programs: Handle,
    objects: BTreeMap<u64, Memory>,
    /// By task.
    occupants: Vec<Option<Occupant>>,
    seats: Vec<Seat>,
    random: ChaCha8Rng,
    realtime: u64,
    fpu: FpuLayout,
    cpus: u32,
    hwcap: u64,
    cpu_name: String,
    /// System calls whose absence was logged.
    pub(crate) reported: BTreeSet<usize>,
    /// How often calls were missing, as the supervisor knows it: by number, and in all.
    pub(crate) told: BTreeMap<usize, u64>,
    pub(crate) told_total: u64,
}

fn again(_: Error) -> Errno {
    Errno::EAGAIN
}

/// The processor's own name, from its leaves 0x8000_0002 to 0x8000_0004.
fn brand() -> String {
    const FIRST: u32 = 0x8000_0002;
    let [most, ..] = guest::cpuid(0x8000_0000, 0);
    if most < FIRST + 2 {
        return String::from("x86_64");
    }
    let bytes: Vec<u8> = (FIRST..FIRST + 3)
        .flat_map(|leaf| guest::cpuid(leaf, 0))
        .flat_map(u32::to_le_bytes)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from(String::from_utf8_lossy(&bytes).trim())
}

impl Machine {
    /// `programs`: the budget of guests' memory and of files.
    pub(crate) fn new(startup: &Startup, programs: Handle) -> Machine {
        let mut seed = [0; 32];
        for (place, word) in seed.chunks_exact_mut(8).zip(startup.entropy) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let [_, _, _, features] = guest::cpuid(1, 0);
        Machine {
            shared: None,
            spaces: Spaces::new(programs),
            programs,
            objects: BTreeMap::new(),
            occupants: Vec::new(),
            seats: Vec::new(),
            random: ChaCha8Rng::from_seed(seed),
            realtime: 0,
            fpu: guest::fpu_layout(),
            cpus: startup.cpus as u32,
            hwcap: u64::from(features),
            cpu_name: brand(),
            reported: BTreeSet::new(),
            told: BTreeMap::new(),
            told_total: 0,
        }
    }

    /// The task's thread ends: under the same lock as the step that said so. Its number may be another's from now on.
    pub(crate) fn leave(&mut self, task: TaskId) {
        let place = self.occupants.get_mut(task.index());
        if let Some(occupant) = place.and_then(|place| place.take_if(|occupant| occupant.task == task)) {
            self.seats.push(occupant.seat);
        }
    }

    fn occupant(&self, task: TaskId) -> Option<&Occupant> {
        self.occupants.get(task.index())?.as_ref().filter(|occupant| occupant.task == task)
    }

    fn seat(&mut self) -> Result<Seat, Error> {
        if let Some(seat) = self.seats.pop() {
            return Ok(seat);
        }
        let endpoint = Endpoint::create()?;
        let bell = Notification::create(endpoint.handle(), 0)?;
        Ok(Seat { endpoint, bell })
    }

    /// The kernel refused what the core counts on: nothing can be done but to say so.
    fn refused(&self, what: &str, result: Result<(), Error>) {
        if let Err(error) = result {
            log::error!("{what}: {}", error.name());
        }
    }

    fn parents_fpu(&self) -> Result<Vec<u8>, Errno> {
        let mut state = vec![0; self.fpu.size];
        guest::fpu_save(&mut state).map_err(again)?;
        Ok(state)
    }
}

/// The state in which the processor starts: x87 control word, MXCSR.
fn initial_fpu() -> [u8; 512] {
    let mut state = [0; 512];
    for (place, word) in [(0, 0x37f_u32), (24, 0x1f80)] {
        if let Some(bytes) = state.get_mut(place..place + 4) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
    state
}

impl Platform for Machine {
    fn now(&mut self) -> u64 {
        clock::now()
    }

    fn realtime_offset(&mut self) -> u64 {
        self.realtime
    }

    fn set_realtime_offset(&mut self, offset: u64) -> Result<(), Errno> {
        self.realtime = offset;
        Ok(())
    }

    fn random(&mut self, buffer: &mut [u8]) {
        self.random.fill_bytes(buffer);
    }

    fn log(&mut self, line: &str) {
        log::info!("{line}");
    }

    fn space_create(&mut self) -> Result<SpaceId, Errno> {
        self.spaces.create()
    }

    fn space_fork(&mut self, from: SpaceId, areas: &mut dyn Iterator<Item = &Area>) -> Result<SpaceId, Errno> {
        self.spaces.fork(from, areas)
    }

    fn space_destroy(&mut self, space: SpaceId) {
        self.spaces.destroy(space);
    }

    fn map(&mut self, space: SpaceId, area: &Area) -> Result<(), Errno> {
        self.spaces.map(space, area)
    }

    fn unmap(&mut self, space: SpaceId, start: u64, length: u64) {
        let result = self.spaces.unmap(space, start, length);
        self.refused("unmapping", result);
    }

    fn protect(&mut self, space: SpaceId, start: u64, length: u64, protection: Protection) {
        let result = self.spaces.protect(space, start, length, protection);
        self.refused("protecting", result);
    }

    fn discard(&mut self, space: SpaceId, start: u64, length: u64) {
        let result = self.spaces.discard(space, start, length);
        self.refused("discarding", result);
    }

    fn move_pages(&mut self, space: SpaceId, from: u64, to: u64, length: u64) -> Result<(), Errno> {
        self.spaces.move_pages(space, from, to, length)
    }

    fn space_write(&mut self, space: SpaceId, address: u64, data: &[u8]) -> Result<(), Errno> {
        self.spaces.write(space, address, data)
    }

    fn space_read(&mut self, space: SpaceId, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        self.spaces.read(space, address, buffer)
    }

    fn space_resident(&mut self, space: SpaceId) -> u64 {
        self.spaces.resident(space)
    }

    fn shared_create(&mut self, length: u64) -> Result<ObjectId, Errno> {
        let made = memory::memory_create(self.programs, length).map_err(|_| Errno::ENOMEM)?;
        self.objects.insert(made.0, Memory::own(made));
        Ok(ObjectId::Shared(made.0))
    }

    fn shared_destroy(&mut self, object: ObjectId) {
        if let ObjectId::Shared(number) = object {
            self.objects.remove(&number);
        }
    }

    fn spawn(
        &mut self,
        task: TaskId,
        space: SpaceId,
        registers: &GuestRegisters,
        parent: Option<TaskId>,
    ) -> Result<(), Errno> {
        let shared = self.shared.ok_or(Errno::EAGAIN)?;
        let fpu = parent.map(|_| self.parents_fpu()).transpose()?;
        let seat = self.seat().map_err(again)?;
        let beginning = Beginning {
            task,
            space: self.spaces.get(space)?.space.handle(),
            bell: seat.endpoint.handle(),
            registers: *registers,
            fpu,
        };
        let options = thread::Options { priority: PRIORITY, cpu: None, fpu: true };
        // The thread's first act is to wait for the lock that is held here: so it finds itself in the table.
        let thread = thread::spawn(options, move || task::live(shared, beginning)).map_err(again)?;
        let index = task.index();
        if self.occupants.len() <= index {
            self.occupants.resize_with(index + 1, || None);
        }
        if let Some(place) = self.occupants.get_mut(index) {
            *place = Some(Occupant { task, seat, thread });
        }
        Ok(())
    }

    fn switch_space(&mut self, task: TaskId, space: SpaceId) {
        // The first process is made by a thread that is not its own.
        if self.occupant(task).is_none() {
            return;
        }
        if let Ok(room) = self.spaces.get(space) {
            let attached = guest::attach(Some(&room.space));
            self.refused("entering a program's memory", attached);
        }
        let _ = self.fpu_restore(&[]);
    }

    fn wake(&mut self, task: TaskId) {
        if let Some(occupant) = self.occupant(task) {
            let _ = occupant.seat.bell.raise(1);
        }
    }

    fn kick(&mut self, task: TaskId) {
        if let Some(occupant) = self.occupant(task) {
            let _ = occupant.thread.kick();
        }
    }

    fn interrupt(&mut self, task: TaskId) {
        if let Some(occupant) = self.occupant(task) {
            let _ = occupant.thread.interrupt();
        }
    }

    fn set_alarm(&mut self, at: Option<u64>) {
        let Some(shared) = self.shared else { return };
        let at = at.unwrap_or(u64::MAX);
        // A later time needs no wake: the door finds nothing due, and looks again.
        if at < shared.alarm.swap(at, Ordering::AcqRel) {
            shared.ring();
        }
    }

    fn fpu_size(&mut self) -> usize {
        self.fpu.size
    }

    fn fpu_features(&mut self) -> u64 {
        self.fpu.features
    }

    fn fpu_save(&mut self, buffer: &mut [u8]) {
        let saved = guest::fpu_save(buffer);
        self.refused("saving the FPU state", saved);
    }

    fn fpu_restore(&mut self, buffer: &[u8]) -> Result<(), Errno> {
        let initial = initial_fpu();
        let state = if buffer.is_empty() { &initial } else { buffer };
        guest::fpu_load(state).map_err(|_| Errno::EINVAL)
    }

    fn cpus(&mut self) -> u32 {
        self.cpus
    }

    fn cpu(&mut self, task: TaskId) -> u32 {
        let info = self.occupant(task).and_then(|o| process::thread_info(o.thread.handle()).ok());
        info.map_or(0, |info| info.cpu as u32)
    }

    fn hwcap(&mut self) -> u64 {
        self.hwcap
    }

    fn cpu_name(&mut self) -> &str {
        &self.cpu_name
    }

    fn memory(&mut self) -> MemoryFigures {
        let Ok(info) = capability::budget_info(self.programs) else {
            return MemoryFigures::default();
        };
        MemoryFigures { total: info.given * sal_abi::PAGE, free: info.left * sal_abi::PAGE, files: 0 }
    }

    fn cpu_time(&mut self, task: TaskId) -> u64 {
        let info = self.occupant(task).and_then(|o| process::thread_info(o.thread.handle()).ok());
        info.map_or(0, |info| info.used)
    }

    /// All threads share the lock, so all have the same priority.
    fn set_nice(&mut self, _: TaskId, _: i8) {}

    fn power(&mut self, state: PowerState) {
        let status = match state {
            PowerState::Off(status) => status,
            PowerState::Restart | PowerState::Halt => 0,
        };
        if let Some(shared) = self.shared {
            shared.end(status);
        }
    }
}
