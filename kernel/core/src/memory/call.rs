//! The calls on memories and spaces.

use super::MemoryHardware;
use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::object::{After, Answer, Args};
use crate::table::{Cap, Kind};
use sal_abi::{Error, Handle, Op, Rights};
use sal_kernel_mem::{Done, MapRequest, MemoryId, Progress, Shootdown, SpaceId, SupplyMode};

/// Bytes that one call on ports or the log copies.
const BYTES: usize = 256;

/// A call about memory, ports, the log or the machine.
///
/// # Errors
/// As docs/abi.md says; `BadCall` for a number that no call has.
pub fn memory_call<H: MemoryHardware>(
    kernel: &Kernel<H>,
    cpu: &mut Cpu<H>,
    op: Op,
    args: &Args,
) -> Result<After, Error> {
    match op {
        Op::BudgetCreate => kernel.budget_create(args),
        Op::BudgetInfo => kernel.budget_info(args),
        Op::BudgetTransfer => kernel.budget_transfer(args),
        Op::SpaceCreate => kernel.space_create(cpu, args),
        Op::ProcessCreate => kernel.process_create(args),
        Op::ThreadCreate => kernel.thread_create(cpu, args),
        Op::MemoryCreate => kernel.memory_create(args),
        Op::MemoryPaged => kernel.memory_paged(args),
        Op::Map => kernel.map(cpu, args),
        Op::Unmap => kernel.unmap(cpu, args),
        Op::Protect => kernel.protect(cpu, args),
        Op::SpaceRead => kernel.space_read(cpu, args),
        Op::SpaceInfo => kernel.space_info(args),
        Op::MemoryResize => kernel.memory_resize(cpu, args),
        Op::MemoryRead => kernel.memory_read(cpu, args),
        Op::MemoryWrite => kernel.memory_write(cpu, args),
        Op::MemoryClone => kernel.memory_clone(cpu, args),
        Op::MemoryDiscard => kernel.memory_discard(cpu, args),
        Op::MemorySupply => kernel.memory_supply(cpu, args),
        Op::MemoryRefuse => kernel.memory_refuse(args),
        Op::MemoryInfo => kernel.memory_info(args),
        Op::GuestAttach => kernel.guest_attach(cpu, args),
        Op::GuestFpu => kernel.guest_fpu(cpu, args),
        Op::LoanRead => kernel.loan_copy(cpu, args, Rights::READ),
        Op::LoanWrite => kernel.loan_copy(cpu, args, Rights::WRITE),
        Op::PortIn => kernel.port_in(args),
        Op::PortOut => kernel.port_out(args),
        Op::PortOutString => kernel.port_out_string(cpu, args),
        Op::LogWrite => kernel.log_write(cpu, args),
        Op::LogRead => kernel.log_read(cpu, args),
        Op::PowerOff => kernel.power_off(args),
        Op::MachineInfo => kernel.machine_info(args),
        _ => Err(Error::BadCall),
    }
}

fn give(answer: Answer) -> Result<After, Error> {
    Ok(After::Return(answer))
}

impl<H: MemoryHardware> Kernel<H> {
    pub(super) fn memory_cap(&self, args: &Args, handle: Handle, rights: Rights) -> Result<MemoryId, Error> {
        let cap = self.need(args.process, handle, Kind::Memory, rights)?;
        Ok(MemoryId::from_word(cap.object))
    }

    pub(super) fn space_cap(&self, args: &Args, handle: Handle, rights: Rights) -> Result<SpaceId, Error> {
        let cap = self.need(args.process, handle, Kind::Space, rights)?;
        Ok(SpaceId::from_word(cap.object))
    }

    /// The calling process's native space.
    pub(super) fn own_space(&self, args: &Args) -> Result<SpaceId, Error> {
        let slot = self.processes.slot(args.process).ok_or(Error::BadCall)?;
        Ok(SpaceId::from_word(slot.space.load(core::sync::atomic::Ordering::Relaxed)))
    }

    /// An answer that waits for other CPUs if they may remember what has changed.
    fn after_shot(
        &self,
        cpu: &Cpu<H>,
        answer: Answer,
        what: Shootdown,
        roots: Option<[u64; 2]>,
    ) -> Result<After, Error> {
        match self.shoot(cpu, what, roots) {
            Some(shot) => Ok(After::ReturnAcknowledged(answer, shot)),
            None => give(answer),
        }
    }

    /// Bytes done, after a shootdown on every CPU.
    fn done(&self, cpu: &Cpu<H>, done: Done) -> Result<After, Error> {
        self.after_shot(cpu, Answer::status(done.bytes), done.shootdown, None)
    }

    fn map(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let space = self.space_cap(args, args.handle(), Rights::MANAGE)?;
        let rights = Rights(args.word(4) as u32);
        let lower = self.memory_cap(args, Handle(args.word(2)), lower_rights(rights, args.word(5) != 0))?;
        let upper = match args.word(5) {
            0 => None,
            handle => Some((self.memory_cap(args, Handle(handle), Rights::READ.or(Rights::WRITE))?, args.word(6))),
        };
        let (address, length) = (args.word(0), args.word(1));
        let request = MapRequest { address, length, rights, lower: (lower, args.word(3)), upper };
        self.in_state(cpu, |state| state.vm.map(&mut state.budgets, space, &request))?;
        give(Answer::default())
    }

    /// Runs an operation under the registry's lock; where free frames are in quarantine only, lets them out first.
    pub(super) fn in_state<T>(
        &self,
        cpu: &Cpu<H>,
        mut f: impl FnMut(&mut super::MemoryState<H::Pages>) -> Result<T, sal_kernel_mem::Error>,
    ) -> Result<T, Error> {
        let mut registry = self.registry.lock();
        let mut result = f(&mut registry.vm);
        for _ in 0..2 {
            if !matches!(result, Err(sal_kernel_mem::Error::NoFrames)) {
                break;
            }
            self.leave_quarantine(cpu, &mut registry);
            result = f(&mut registry.vm);
        }
        result.map_err(Error::from)
    }

    fn unmap(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let space = self.space_cap(args, args.handle(), Rights::MANAGE)?;
        let (address, length) = (args.word(0), args.word(1));
        let done = self.in_state(cpu, |s| s.vm.unmap(&mut s.budgets, space, address, length))?;
        self.reap_later(cpu);
        self.done(cpu, done)
    }

    /// If something closed can be taken apart now, it is, soon.
    pub(super) fn reap_later(&self, _cpu: &mut Cpu<H>) {
        if self.registry.lock().vm.has_doomed() {
            self.reaping.store(true, core::sync::atomic::Ordering::Release);
        }
    }

    fn protect(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let space = self.space_cap(args, args.handle(), Rights::MANAGE)?;
        let (address, length, rights) = (args.word(0), args.word(1), Rights(args.word(2) as u32));
        let done = self.in_state(cpu, |s| s.vm.protect(&mut s.budgets, space, address, length, rights))?;
        self.done(cpu, done)
    }

    fn space_read(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let from = self.space_cap(args, args.handle(), Rights::READ)?;
        let to = self.own_space(args)?;
        let (address, own, length) = (args.word(0), args.word(1), args.word(2));
        let done = self.in_state(cpu, |s| s.vm.space_to_space(&mut s.budgets, (from, address), (to, own), length))?;
        self.done(cpu, done)
    }

    fn space_info(&self, args: &Args) -> Result<After, Error> {
        let space = self.space_cap(args, args.handle(), Rights::READ)?;
        let registry = self.registry.lock();
        let info = registry.vm.vm.space(space).ok_or(Error::BadHandle)?.info();
        give(Answer::words([info.pages, info.tables, info.mappings]))
    }

    fn memory_resize(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::MANAGE)?;
        let progress = self.in_state(cpu, |s| s.vm.resize(&mut s.budgets, memory, args.word(0)))?;
        let (more, what) = match progress {
            Progress::Done(what) => (0, what),
            Progress::More(what) => (1, what),
        };
        self.after_shot(cpu, Answer::status(more), what, None)
    }

    fn memory_read(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::READ)?;
        let to = self.own_space(args)?;
        let (offset, own, length) = (args.word(0), args.word(1), args.word(2));
        let done = self.in_state(cpu, |s| s.vm.memory_to_space(&mut s.budgets, (memory, offset), (to, own), length))?;
        self.done(cpu, done)
    }

    fn memory_write(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::WRITE)?;
        let from = self.own_space(args)?;
        let (offset, own, length) = (args.word(0), args.word(1), args.word(2));
        let done =
            self.in_state(cpu, |s| s.vm.space_to_memory(&mut s.budgets, (from, own), (memory, offset), length))?;
        self.done(cpu, done)
    }

    fn memory_clone(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let from = self.memory_cap(args, args.handle(), Rights::READ)?;
        let to = self.memory_cap(args, Handle(args.word(2)), Rights::WRITE)?;
        let (offset, length, at) = (args.word(0), args.word(1), args.word(3));
        let done = self.in_state(cpu, |s| s.vm.clone_range(&mut s.budgets, (from, offset), length, (to, at)))?;
        self.done(cpu, done)
    }

    fn memory_discard(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::WRITE)?;
        let (offset, length) = (args.word(0), args.word(1));
        let done = self.in_state(cpu, |s| s.vm.discard(&mut s.budgets, memory, offset, length))?;
        self.done(cpu, done)
    }

    fn memory_supply(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let to = self.memory_cap(args, args.handle(), Rights::MANAGE)?;
        let from = self.memory_cap(args, Handle(args.word(1)), Rights::READ.or(Rights::WRITE))?;
        let (offset, source) = (args.word(0), args.word(2));
        let what =
            self.in_state(cpu, |s| s.vm.supply(&mut s.budgets, (to, offset), (from, source), SupplyMode::Move))?;
        self.after_shot(cpu, Answer::default(), what, None)
    }

    fn memory_refuse(&self, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::MANAGE)?;
        let mut registry = self.registry.lock();
        let state = &mut registry.vm;
        state.vm.refuse(&mut state.budgets, memory, args.word(0))?;
        give(Answer::default())
    }

    fn memory_info(&self, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::NONE)?;
        let registry = self.registry.lock();
        let info = registry.vm.vm.memory(memory).ok_or(Error::BadHandle)?.info();
        give(Answer::words([info.length, info.present]))
    }

    /// The ports of a capability, if it has those asked for.
    fn ports(&self, args: &Args, rights: Rights, port: u64, width: u64) -> Result<u16, Error> {
        let Cap { object, .. } = self.need(args.process, args.handle(), Kind::IoPorts, rights)?;
        let (first, end) = (object & 0xffff_ffff, (object & 0xffff_ffff) + (object >> 32));
        if port < first || port.checked_add(width).is_none_or(|last| last > end) {
            return Err(Error::BadArgument);
        }
        u16::try_from(port).map_err(|_| Error::BadArgument)
    }

    fn port_in(&self, args: &Args) -> Result<After, Error> {
        let port = self.ports(args, Rights::READ, args.word(0), args.word(1))?;
        let value = self.hw.port_in(port, args.word(1)).ok_or(Error::BadArgument)?;
        give(Answer::words([value]))
    }

    fn port_out(&self, args: &Args) -> Result<After, Error> {
        let port = self.ports(args, Rights::WRITE, args.word(0), args.word(1))?;
        self.hw.port_out(port, args.word(1), args.word(2)).ok_or(Error::BadArgument)?;
        give(Answer::default())
    }

    fn port_out_string(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let port = self.ports(args, Rights::WRITE, args.word(0), 1)?;
        let mut bytes = [0; BYTES];
        let count = self.read_own(cpu, args, (args.word(1), args.word(2)), &mut bytes)?;
        for byte in bytes.iter().take(count) {
            self.hw.port_out(port, 1, *byte as u64).ok_or(Error::BadArgument)?;
        }
        give(Answer::status(count as u64))
    }

    fn log_write(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        self.need(args.process, args.handle(), Kind::Log, Rights::WRITE)?;
        let mut bytes = [0; BYTES];
        let count = self.read_own(cpu, args, (args.word(0), args.word(1)), &mut bytes)?;
        self.hw.log(bytes.get(..count).unwrap_or_default());
        give(Answer::status(count as u64))
    }

    fn log_read(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        self.need(args.process, args.handle(), Kind::Log, Rights::READ)?;
        let mut bytes = [0; BYTES];
        let most = (args.word(1) as usize).min(BYTES);
        let (count, next) = self.hw.log_read(args.word(2), bytes.get_mut(..most).unwrap_or_default());
        self.write_own(cpu, args, args.word(0), bytes.get(..count).unwrap_or_default())?;
        give(Answer { status: count as u64, ..Answer::words([next]) })
    }

    fn power_off(&self, args: &Args) -> Result<After, Error> {
        self.need(args.process, args.handle(), Kind::Log, Rights::MANAGE)?;
        self.hw.power_off(args.word(0))
    }

    fn machine_info(&self, args: &Args) -> Result<After, Error> {
        self.need(args.process, args.handle(), Kind::Log, Rights::READ)?;
        let registry = self.registry.lock();
        let frames = registry.vm.vm.frames();
        let cpus = self.posts.iter().filter(|p| p.up.load(core::sync::atomic::Ordering::Relaxed)).count();
        let (ticks, _) = self.hw.ticks();
        give(Answer::words([frames.available() + frames.quarantined(), frames.total(), cpus as u64, ticks]))
    }
}

/// What the capability for a mapping's lower memory must allow: a private mapping only reads it.
fn lower_rights(rights: Rights, private: bool) -> Rights {
    if private { Rights::READ.or(rights.and(Rights::EXECUTE)) } else { rights.or(Rights::READ) }
}
