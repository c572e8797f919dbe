//! Making objects: a slot, and a first capability with all rights in the maker's table.

use crate::hw::{Frame, Hardware};
use crate::id::Id;
use crate::kernel::Kernel;
use crate::location::Location;
use crate::object::{Answer, Args};
use crate::process::{Process, State};
use crate::registry::Registry;
use crate::table::{Cap, Kind};
use crate::thread::Thread;
use crate::threads::NONE;
use core::sync::atomic::Ordering;
use sal_abi::{Error, Handle, Rights};

/// What a new thread is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewThread {
    /// Index of its process.
    pub process: u32,
    /// Where it starts.
    pub entry: u64,
    /// Its stack pointer.
    pub stack: u64,
    /// Its first argument.
    pub argument: u64,
    /// Address of its message page, its second argument.
    pub page_address: u64,
    /// The frame of memory of its message page, pinned.
    pub page: u32,
    /// Root of its space.
    pub root: u64,
    /// Priority.
    pub priority: u8,
    /// CPU, or any.
    pub cpu: Option<u32>,
    /// The frame of memory for its FPU state; 0: it has none.
    pub fpu_page: u32,
    /// It serves at its own priority at least.
    pub own_priority: bool,
}

impl<H: Hardware> Kernel<H> {
    /// The caller may spend that budget.
    fn may_spend(&self, args: &Args) -> Result<(), Error> {
        self.need(args.process, args.handle(), Kind::Budget, Rights::SPEND).map(|_| ())
    }

    fn first_cap(
        &self,
        registry: &mut Registry<H::Vm>,
        process: u32,
        kind: Kind,
        object: u64,
    ) -> Result<Handle, Error> {
        let cap = Cap { kind, rights: Rights::ALL, object, badge: 0 };
        self.install(registry, process, cap, None)
    }

    /// An endpoint: all rights, in the caller's table.
    ///
    /// # Errors
    /// As `docs/abi.md` says.
    pub fn endpoint_create(&self, args: &Args) -> Result<Answer, Error> {
        self.may_spend(args)?;
        let mut registry = self.registry.lock();
        let region = self.endpoints.region();
        let index = registry.endpoints.take(region).ok_or(Error::NoBudget)?;
        let generation = region.get(index).map_or(0, |s| s.open());
        let id: Id<()> = Id::new(generation, index);
        self.first_cap(&mut registry, args.process, Kind::Endpoint, id.raw())
            .inspect_err(|_| registry.endpoints.give(region, index))
            .map(Answer::handle)
    }

    /// A notification, bound to an endpoint.
    ///
    /// # Errors
    /// As `docs/abi.md` says.
    pub fn notification_create(&self, args: &Args) -> Result<Answer, Error> {
        self.may_spend(args)?;
        let at = self.need(args.process, Handle(args.word(0)), Kind::Endpoint, Rights::RECEIVE)?;
        let mut registry = self.registry.lock();
        let region = self.notifications.region();
        let index = registry.notifications.take(region).ok_or(Error::NoBudget)?;
        let id = self.notifications.open(index, at.object, args.word(1)).ok_or(Error::NoBudget)?;
        self.first_cap(&mut registry, args.process, Kind::Notification, id.raw())
            .inspect_err(|_| registry.notifications.give(region, index))
            .map(Answer::handle)
    }

    /// An empty Reply object.
    ///
    /// # Errors
    /// As `docs/abi.md` says.
    pub fn reply_create(&self, args: &Args) -> Result<Answer, Error> {
        self.may_spend(args)?;
        let mut registry = self.registry.lock();
        let region = self.replies.region();
        let index = registry.replies.take(region).ok_or(Error::NoBudget)?;
        let id = self.replies.open(index).ok_or(Error::NoBudget)?;
        self.first_cap(&mut registry, args.process, Kind::Reply, id.raw())
            .inspect_err(|_| registry.replies.give(region, index))
            .map(Answer::handle)
    }

    /// A new process over a native space (a raw id), without threads; `death`: the notification raised at its death, and the bits.
    ///
    /// # Errors
    /// `NoBudget`: no slot is left.
    pub fn new_process(
        &self,
        registry: &mut Registry<H::Vm>,
        space: u64,
        death: [u64; 2],
    ) -> Result<Id<Process>, Error> {
        let region = self.processes.region();
        let index = registry.processes.take(region).ok_or(Error::NoBudget)?;
        let slot = region.get(index).ok_or(Error::NoBudget)?;
        Ok(Id::new(slot.open(space, death), index))
    }

    /// Gives a process a capability that is derived from none: for the root task, and for who makes an object.
    ///
    /// # Errors
    /// `TableFull`; `Dead`.
    pub fn endow(&self, registry: &mut Registry<H::Vm>, process: u32, cap: Cap) -> Result<Handle, Error> {
        self.install(registry, process, cap, None)
    }

    /// A new thread, parked until it is started.
    ///
    /// # Errors
    /// `NoBudget`: no slot is left; `Dead`: its process is not alive.
    pub fn new_thread(
        &self,
        registry: &mut Registry<H::Vm>,
        new: &NewThread,
        hint: u32,
    ) -> Result<Id<Thread<H::Frame>>, Error> {
        let process = self.processes.slot(new.process).ok_or(Error::Dead)?;
        if process.state() != State::Alive {
            return Err(Error::Dead);
        }
        let index = registry.threads.take(self.threads.region()).ok_or(Error::NoBudget)?;
        let slot = self.threads.slot(index).ok_or(Error::NoBudget)?;
        slot.mail_next.store(NONE, Ordering::Relaxed);
        slot.pending.store(0, Ordering::Relaxed);
        self.threads.registry_move(&mut registry.token, index, Location::Free, Location::Parked);
        let t = self.threads.parked(&mut registry.token, index).ok_or(Error::NoBudget)?;
        fill(t, new, hint);
        slot.sibling.store(process.first_thread.load(Ordering::Relaxed), Ordering::Relaxed);
        process.first_thread.store(index, Ordering::Relaxed);
        process.alive.fetch_add(1, Ordering::AcqRel);
        Ok(Id::new(slot.generation.load(Ordering::Relaxed), index))
    }
}

impl<H: Hardware> Kernel<H> {
    /// Makes a parked thread ready.
    ///
    /// # Errors
    /// `Dead`; `Occupied`: it was started already.
    pub fn start_thread(&self, cpu: &mut crate::cpu::Cpu<H>, id: Id<Thread<H::Frame>>) -> Result<(), Error> {
        let index = id.index();
        let slot = self.threads.slot(index).ok_or(Error::BadHandle)?;
        let mut registry = self.registry.lock();
        if slot.generation.load(Ordering::Acquire) != id.generation() {
            return Err(Error::Dead);
        }
        let t = self.threads.parked(&mut registry.token, index).ok_or(Error::Occupied)?;
        if t.started {
            return Err(Error::Occupied);
        }
        t.started = true;
        self.threads.adopt(&cpu.hold, crate::threads::Won::from_queue(index));
        drop(registry);
        self.make_ready(cpu, index);
        Ok(())
    }
}

fn fill<F: Frame>(t: &mut Thread<F>, new: &NewThread, hint: u32) {
    // Wait numbers go on, so that a deadline of the slot's last thread is none of this one's.
    *t = Thread { sequence: t.sequence, ..Thread::default() };
    t.frame.start(new.entry, new.stack, new.argument, new.page_address);
    t.process = new.process;
    t.page = new.page;
    t.root = new.root;
    (t.base, t.priority) = (new.priority, new.priority);
    t.floor = if new.own_priority { new.priority } else { 0 };
    (t.home, t.pinned) = (new.cpu.unwrap_or(hint), new.cpu.is_some());
    t.fpu_page = new.fpu_page;
    t.waits_for = NONE;
    t.unlink();
}
