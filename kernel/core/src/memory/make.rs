//! Making budgets, spaces, processes, threads, memories.

use super::MemoryHardware;
use crate::cpu::Cpu;
use crate::create::NewThread;
use crate::kernel::Kernel;
use crate::object::{After, Answer, Args};
use crate::registry::Registry;
use crate::table::{Cap, Kind};
use core::sync::atomic::Ordering;
use sal_abi::op::thread;
use sal_abi::{Error, Handle, Rights};
use sal_kernel_mem::{BudgetId, Kind as MemoryKind, SpaceKind};

impl<H: MemoryHardware> Kernel<H> {
    fn spend(&self, args: &Args) -> Result<BudgetId, Error> {
        Ok(BudgetId(self.need(args.process, args.handle(), Kind::Budget, Rights::SPEND)?.object))
    }

    fn made(&self, registry: &mut Registry<H::Vm>, args: &Args, kind: Kind, object: u64) -> Result<After, Error> {
        let cap = Cap { kind, rights: Rights::ALL, object, badge: 0 };
        self.endow(registry, args.process, cap).map(|h| After::Return(Answer::handle(h)))
    }

    pub(super) fn budget_create(&self, args: &Args) -> Result<After, Error> {
        let parent = self.spend(args)?;
        let mut registry = self.registry.lock();
        let budget = registry.vm.budgets.create(parent.0, args.word(0))?;
        let made = self.made(&mut registry, args, Kind::Budget, budget);
        if made.is_err() {
            registry.vm.budgets.drop_ref(budget);
        }
        made
    }

    pub(super) fn budget_info(&self, args: &Args) -> Result<After, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Budget, Rights::NONE)?;
        let (left, given) = self.registry.lock().vm.budgets.info(cap.object)?;
        Ok(After::Return(Answer::words([left, given])))
    }

    pub(super) fn budget_transfer(&self, args: &Args) -> Result<After, Error> {
        let from = self.spend(args)?;
        let to = self.need(args.process, Handle(args.word(0)), Kind::Budget, Rights::MANAGE)?;
        self.registry.lock().vm.budgets.transfer(from.0, to.object, args.word(1))?;
        Ok(After::Return(Answer::default()))
    }

    pub(super) fn space_create(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let budget = self.spend(args)?;
        let kind = match args.word(0) {
            0 => SpaceKind::Native,
            1 => SpaceKind::Guest,
            _ => return Err(Error::BadArgument),
        };
        let id = self.in_state(cpu, |s| s.vm.space_create(&mut s.budgets, budget, kind))?;
        let mut registry = self.registry.lock();
        let made = self.made(&mut registry, args, Kind::Space, id.word());
        if made.is_err() {
            registry.vm.leave_space(id);
        }
        made
    }

    pub(super) fn process_create(&self, args: &Args) -> Result<After, Error> {
        self.spend(args)?;
        let vault = args.word(3) == 1;
        let space = if vault { None } else { Some(self.space_cap(args, Handle(args.word(0)), Rights::MANAGE)?) };
        let death = match args.word(1) {
            0 => [0, 0],
            n => {
                let cap = self.need(args.process, Handle(n), Kind::Notification, Rights::SEND)?;
                [cap.object, args.word(2)]
            }
        };
        let mut registry = self.registry.lock();
        let id = self.new_process(&mut registry, space.map_or(0, |s| s.word()), death)?;
        if let Some(space) = space {
            registry.vm.add_space(space);
        }
        self.made(&mut registry, args, Kind::Process, id.raw())
    }

    pub(super) fn thread_create(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Process, Rights::MANAGE)?;
        let process = self.processes.get(crate::id::Id::from_raw(cap.object)).ok_or(Error::BadHandle)?;
        let space = sal_kernel_mem::SpaceId::from_word(process.space.load(Ordering::Relaxed));
        let priority = u8::try_from(args.word(4)).map_err(|_| Error::BadArgument)?;
        let on = self.cpu_argument(args.word(5))?;
        if args.word(6) & !thread::VALID != 0 {
            return Err(Error::BadArgument);
        }
        let page_address = args.word(3);
        if !page_address.is_multiple_of(sal_abi::PAGE) {
            return Err(Error::BadArgument);
        }
        let (page, root, fpu_page) = self.in_state(cpu, |s| {
            let budget = s.space_budget(space).ok_or(sal_kernel_mem::Error::Stale)?;
            let root = s.vm.space(space).ok_or(sal_kernel_mem::Error::Stale)?.root();
            let (frame, _) = s.vm.pin(&mut s.budgets, budget, space, page_address)?;
            if args.word(6) & thread::FPU == 0 {
                return Ok((frame.0, root.0, 0));
            }
            match s.vm.take_frame(&mut s.budgets, budget) {
                Ok(state) => Ok((frame.0, root.0, state.0)),
                Err(error) => {
                    let _ = s.vm.unpin(&mut s.budgets, budget, frame);
                    Err(error)
                }
            }
        })?;
        if fpu_page != 0 {
            self.hw.fpu_start(fpu_page);
        }
        let new = NewThread {
            process: cap.object as u32,
            entry: args.word(0),
            stack: args.word(1),
            argument: args.word(2),
            page_address,
            page,
            root: root as u64,
            priority,
            cpu: on,
            fpu_page,
            own_priority: args.word(6) & thread::OWN_PRIORITY != 0,
        };
        let mut registry = self.registry.lock();
        let made = self.new_thread(&mut registry, &new, cpu.number());
        match made {
            Ok(id) => self.made(&mut registry, args, Kind::Thread, id.raw()),
            Err(error) => {
                crate::hw::Backing::unpin(&mut registry.vm, page, fpu_page, space.word());
                Err(error)
            }
        }
    }

    pub(super) fn memory_create(&self, args: &Args) -> Result<After, Error> {
        let budget = self.spend(args)?;
        self.make_memory(args, budget, MemoryKind::ZeroFill)
    }

    pub(super) fn memory_paged(&self, args: &Args) -> Result<After, Error> {
        let budget = self.spend(args)?;
        let pager = self.need(args.process, Handle(args.word(1)), Kind::Endpoint, Rights::SEND)?;
        self.make_memory(args, budget, MemoryKind::Paged { endpoint: pager.object, badge: args.word(2) })
    }

    fn make_memory(&self, args: &Args, budget: BudgetId, kind: MemoryKind) -> Result<After, Error> {
        let mut registry = self.registry.lock();
        let id = registry.vm.vm.memory_create(budget, kind, args.word(0))?;
        let made = self.made(&mut registry, args, Kind::Memory, id.word());
        if made.is_err() {
            // It was made just now: it can't be stale.
            let _ = registry.vm.vm.memory_close(id);
        }
        made
    }
}
