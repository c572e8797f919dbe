//! Making objects: a slot, and a first capability with all rights in the maker's table.

use crate::cpu::Cpu;
use crate::hw::{Backing, Frame, Hardware};
use crate::kernel::Kernel;
use crate::object::{After, Args};
use crate::process::{self, State};
use crate::registry::Registry;
use crate::table::{Cap, Kind};
use crate::thread::Thread;
use crate::threads::{self, NONE, Won};
use core::sync::atomic::Ordering;
use sal_abi::{Error, Handle, Rights};
use sal_kernel_mem::Id;

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
    /// The budget (a raw id) that the caller names first, and may spend.
    pub(crate) fn may_spend(&self, args: &Args) -> Result<u64, Error> {
        Ok(self.need(args.process, args.handle(), Kind::Budget, Rights::SPEND)?.object)
    }

    /// Makes an object (its raw id), and its first capability, with all rights, in the caller's table. Room there is found first: nothing that
    /// was made stays behind without a name.
    ///
    /// # Errors
    /// `TableFull`; `Dead`; those of `make`.
    pub fn create(
        &self,
        args: &Args,
        kind: Kind,
        make: impl FnOnce(&mut Registry<H::Vm>) -> Result<u64, Error>,
    ) -> Result<After, Error> {
        let mut registry = self.registry.lock();
        let place = self.room(&mut registry, args.process)?;
        let object = make(&mut registry)?;
        Ok(After::handle(self.put(&mut registry, place, Cap { kind, rights: Rights::ALL, object, badge: 0 }, None)))
    }

    /// An endpoint: all rights, in the caller's table.
    ///
    /// # Errors
    /// As `docs/abi.md` says.
    pub fn endpoint_create(&self, args: &Args) -> Result<After, Error> {
        self.may_spend(args)?;
        self.create(args, Kind::Endpoint, |registry| Ok(self.endpoints.make(&mut registry.token)?.0.word()))
    }

    /// A notification, bound to an endpoint.
    ///
    /// # Errors
    /// As `docs/abi.md` says.
    pub fn notification_create(&self, args: &Args) -> Result<After, Error> {
        self.may_spend(args)?;
        let at = self.need(args.process, Handle(args.word(0)), Kind::Endpoint, Rights::RECEIVE)?;
        self.create(args, Kind::Notification, |registry| {
            let (id, slot) = self.notifications.make(&mut registry.token)?;
            slot.open(at.object, args.word(1));
            Ok(id.word())
        })
    }

    /// An empty Reply object.
    ///
    /// # Errors
    /// As `docs/abi.md` says.
    pub fn reply_create(&self, args: &Args) -> Result<After, Error> {
        self.may_spend(args)?;
        self.create(args, Kind::Reply, |registry| {
            let (id, slot) = self.replies.make(&mut registry.token)?;
            slot.endpoint.store(NONE, Ordering::Relaxed);
            Ok(id.word())
        })
    }

    /// The notification raised at the death of a process that is made (`w1`, or none) and the bits (`w2`).
    ///
    /// # Errors
    /// `BadHandle`, `WrongKind`, `NoRight`.
    pub fn death_argument(&self, args: &Args) -> Result<[u64; 2], Error> {
        match args.word(1) {
            0 => Ok([0, 0]),
            handle => {
                let cap = self.need(args.process, Handle(handle), Kind::Notification, Rights::SEND)?;
                Ok([cap.object, args.word(2)])
            }
        }
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
    ) -> Result<Id<process::Slot>, Error> {
        let (id, slot) = self.processes.make(&mut registry.token)?;
        slot.open(space, death);
        registry.vm.add_ref(Kind::Space, space);
        Ok(id)
    }

    /// Gives a process a capability that is derived from none: for the root task.
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
    ) -> Result<Id<threads::Slot<H::Frame>>, Error> {
        let process = self.processes.slot(new.process).filter(|p| p.state() == State::Alive).ok_or(Error::Dead)?;
        let id = self.threads.make(&mut registry.token)?;
        let t = self.threads.parked(&mut registry.token, id.index()).ok_or(Error::NoBudget)?;
        fill(t, new, hint);
        self.threads.push(&process.first_thread, |slot| &slot.sibling, id.index());
        process.alive.fetch_add(1, Ordering::AcqRel);
        Ok(id)
    }

    /// Makes a parked thread ready.
    ///
    /// # Errors
    /// `Dead`; `Occupied`: it was started already.
    pub fn start_thread(&self, cpu: &mut Cpu<H>, id: Id<threads::Slot<H::Frame>>) -> Result<(), Error> {
        let index = id.index();
        let mut registry = self.registry.lock();
        self.threads.get(id).ok_or(Error::Dead)?;
        let t = self.threads.parked(&mut registry.token, index).filter(|t| !t.started).ok_or(Error::Occupied)?;
        t.started = true;
        self.threads.adopt(&cpu.hold, Won::taken(index));
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
