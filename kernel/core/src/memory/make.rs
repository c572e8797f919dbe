//! Making budgets, spaces, processes, threads, memories.

use super::MemoryHardware;
use crate::cpu::Cpu;
use crate::create::NewThread;
use crate::hw::Backing;
use crate::kernel::Kernel;
use crate::object::{After, Args};
use crate::registry::Registry;
use crate::table::Kind;
use core::sync::atomic::Ordering;
use sal_abi::op::thread;
use sal_abi::{Error, Handle, Rights};
use sal_kernel_mem::{BudgetId, Frame, Id, Kind as MemoryKind, SpaceId, SpaceKind};

impl<H: MemoryHardware> Kernel<H> {
    fn spend(&self, args: &Args) -> Result<BudgetId, Error> {
        Ok(BudgetId::from_word(self.may_spend(args)?))
    }

    pub(super) fn budget_create(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let parent = self.spend(args)?;
        self.create(args, Kind::Budget, |registry| {
            Ok(self.with_frames(cpu, registry, |vm| vm.budget_create(parent, args.word(0)))?.word())
        })
    }

    pub(super) fn budget_info(&self, args: &Args) -> Result<After, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Budget, Rights::NONE)?;
        let registry = self.registry.lock();
        let budget = registry.vm.budget(BudgetId::from_word(cap.object)).ok_or(Error::BadHandle)?;
        Ok(After::words([budget.left(), budget.limit, budget.objects]))
    }

    pub(super) fn budget_transfer(&self, args: &Args) -> Result<After, Error> {
        let from = self.spend(args)?;
        let to = self.need(args.process, Handle(args.word(0)), Kind::Budget, Rights::MANAGE)?;
        self.registry.lock().vm.budget_transfer(from, BudgetId::from_word(to.object), args.word(1))?;
        Ok(After::OK)
    }

    pub(super) fn space_create(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let budget = self.spend(args)?;
        let kind = match args.word(0) {
            0 => SpaceKind::Native,
            1 => SpaceKind::Guest,
            _ => return Err(Error::BadArgument),
        };
        self.create(args, Kind::Space, |registry| {
            Ok(self.with_frames(cpu, registry, |vm| vm.space_create(budget, kind))?.word())
        })
    }

    pub(super) fn process_create(&self, args: &Args) -> Result<After, Error> {
        self.spend(args)?;
        let vault = args.word(3) == 1;
        let space = if vault { SpaceId::NONE } else { self.space_cap(args, Handle(args.word(0)), Rights::MANAGE)? };
        let death = self.death_argument(args)?;
        self.create(args, Kind::Process, |registry| Ok(self.new_process(registry, space.word(), death)?.word()))
    }

    pub(super) fn thread_create(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let [entry, stack, argument, page_address, priority, on, flags, _] = args.words;
        let cap = self.need(args.process, args.handle(), Kind::Process, Rights::MANAGE)?;
        let priority = u8::try_from(priority).map_err(|_| Error::BadArgument)?;
        let on = self.cpu_argument(on)?;
        if flags & !thread::VALID != 0 || !page_address.is_multiple_of(sal_abi::PAGE) {
            return Err(Error::BadArgument);
        }
        let (fpu, own_priority) = (flags & thread::FPU != 0, flags & thread::OWN_PRIORITY != 0);
        self.create(args, Kind::Thread, |registry| {
            let process = self.processes.get(Id::from_word(cap.object)).ok_or(Error::BadHandle)?;
            let space = SpaceId::from_word(process.space.load(Ordering::Relaxed));
            let (page, root, fpu_page) = self.thread_frames(cpu, registry, (space, page_address), fpu)?;
            let new = NewThread {
                process: cap.object as u32,
                entry,
                stack,
                argument,
                page_address,
                page,
                root,
                priority,
                cpu: on,
                fpu_page,
                own_priority,
            };
            let made = self.new_thread(registry, &new, cpu.number());
            Ok(made.inspect_err(|_| Backing::unpin(&mut registry.vm, page, fpu_page, space.word()))?.word())
        })
    }

    /// The frames that a thread needs: its message page, pinned; its space's root; one for its FPU state if it has one, or 0.
    fn thread_frames(
        &self,
        cpu: &mut Cpu<H>,
        registry: &mut Registry<H::Vm>,
        (space, page_address): (SpaceId, u64),
        fpu: bool,
    ) -> Result<(u32, u64, u32), Error> {
        let (page, root, state) = self.with_frames(cpu, registry, |vm| {
            let (budget, root) = vm.space(space).map(|s| (s.budget(), s.root())).ok_or(sal_kernel_mem::Error::Stale)?;
            let page = vm.pin(budget, space, page_address)?;
            if !fpu {
                return Ok((page, root, Frame::NONE));
            }
            let state = vm.take_frame(budget);
            Ok((page, root, state.inspect_err(|_| _ = vm.unpin(budget, page))?))
        })?;
        if !state.is_none() {
            self.hw.fpu_start(state.0);
        }
        Ok((page.0, root.0 as u64, state.0))
    }

    pub(super) fn memory_create(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        self.make_memory(cpu, args, MemoryKind::ZeroFill)
    }

    pub(super) fn memory_paged(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let pager = self.need(args.process, Handle(args.word(1)), Kind::Endpoint, Rights::SEND)?;
        self.make_memory(cpu, args, MemoryKind::Paged { endpoint: pager.object, badge: args.word(2) })
    }

    fn make_memory(&self, cpu: &mut Cpu<H>, args: &Args, kind: MemoryKind) -> Result<After, Error> {
        let budget = self.spend(args)?;
        self.create(args, Kind::Memory, |registry| {
            Ok(self.with_frames(cpu, registry, |vm| vm.memory_create(budget, kind, args.word(0)))?.word())
        })
    }
}
