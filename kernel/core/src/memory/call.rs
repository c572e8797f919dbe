//! The calls on memories and spaces.

use super::MemoryHardware;
use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::object::{After, Answer, Args};
use crate::table::Kind;
use core::sync::atomic::Ordering;
use sal_abi::{Error, Handle, Op, Rights};
use sal_kernel_mem::{Access, MapRequest, MemoryId, Side, SpaceId};

/// Bytes that one call on ports or the log copies.
const BYTES: usize = 256;

/// A call about memory, ports, the log or the machine.
///
/// # Errors
/// As docs/abi.md says; `BadCall` for a number that no call has.
#[inline(never)]
pub fn memory_call<H: MemoryHardware>(
    kernel: &Kernel<H>,
    cpu: &mut Cpu<H>,
    op: Op,
    args: &Args,
) -> Result<After, Error> {
    match op {
        Op::BudgetCreate => kernel.budget_create(cpu, args),
        Op::BudgetInfo => kernel.budget_info(args),
        Op::BudgetTransfer => kernel.budget_transfer(args),
        Op::SpaceCreate => kernel.space_create(cpu, args),
        Op::ProcessCreate => kernel.process_create(args),
        Op::ThreadCreate => kernel.thread_create(cpu, args),
        Op::MemoryCreate => kernel.memory_create(cpu, args),
        Op::MemoryPaged => kernel.memory_paged(cpu, args),
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
        Op::MemoryRefuse => kernel.memory_refuse(cpu, args),
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
        Ok(SpaceId::from_word(slot.space.load(Ordering::Relaxed)))
    }

    fn map(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let space = self.space_cap(args, args.handle(), Rights::MANAGE)?;
        let [address, length, lower, offset, rights, upper, upper_offset, _] = args.words;
        let rights = Rights(rights as u32);
        let lower = self.memory_cap(args, Handle(lower), lower_rights(rights, upper != 0))?;
        let upper = match upper {
            0 => None,
            handle => Some((self.memory_cap(args, Handle(handle), Rights::READ.or(Rights::WRITE))?, upper_offset)),
        };
        let request = MapRequest { address, length, rights, lower: (lower, offset), upper };
        self.in_vm(cpu, |vm| vm.map(space, &request))?;
        Ok(After::OK)
    }

    fn unmap(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let space = self.space_cap(args, args.handle(), Rights::MANAGE)?;
        self.in_vm(cpu, |vm| vm.unmap(space, args.word(0), args.word(1))).map(After::status)
    }

    fn protect(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let space = self.space_cap(args, args.handle(), Rights::MANAGE)?;
        let rights = Rights(args.word(2) as u32);
        self.in_vm(cpu, |vm| vm.protect(space, args.word(0), args.word(1), rights)).map(After::status)
    }

    /// Copies `w2` bytes between an object, from `w0` on, and the caller's own memory, from `w1` on.
    fn copy_own(
        &self,
        cpu: &mut Cpu<H>,
        args: &Args,
        object: impl Fn(u64) -> Side,
        to: Access,
    ) -> Result<After, Error> {
        let (object, own) = (object(args.word(0)), Side::Space(self.own_space(args)?, args.word(1)));
        let (from, to) = if to == Access::Write { (own, object) } else { (object, own) };
        self.in_vm(cpu, |vm| vm.copy(from, to, args.word(2))).map(After::status)
    }

    fn space_read(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let space = self.space_cap(args, args.handle(), Rights::READ)?;
        self.copy_own(cpu, args, |address| Side::Space(space, address), Access::Read)
    }

    fn memory_read(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::READ)?;
        self.copy_own(cpu, args, |offset| Side::Memory(memory, offset), Access::Read)
    }

    fn memory_write(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::WRITE)?;
        self.copy_own(cpu, args, |offset| Side::Memory(memory, offset), Access::Write)
    }

    fn space_info(&self, args: &Args) -> Result<After, Error> {
        let space = self.space_cap(args, args.handle(), Rights::READ)?;
        self.registry.lock().vm.space(space).map(|space| After::words(space.info())).ok_or(Error::BadHandle)
    }

    fn memory_info(&self, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::NONE)?;
        self.registry.lock().vm.memory(memory).map(|memory| After::words(memory.info())).ok_or(Error::BadHandle)
    }

    /// Status 1: call again for the rest.
    fn memory_resize(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::MANAGE)?;
        let over = self.in_vm(cpu, |vm| vm.resize(memory, args.word(0)))?;
        Ok(After::status(u64::from(!over)))
    }

    fn memory_clone(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let [offset, length, to, at, ..] = args.words;
        let from = self.memory_cap(args, args.handle(), Rights::READ)?;
        let to = self.memory_cap(args, Handle(to), Rights::WRITE)?;
        self.in_vm(cpu, |vm| vm.clone_range((from, offset), length, (to, at))).map(After::status)
    }

    fn memory_discard(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::WRITE)?;
        self.in_vm(cpu, |vm| vm.discard(memory, args.word(0), args.word(1))).map(After::status)
    }

    fn memory_supply(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let [offset, from, source, ..] = args.words;
        let to = self.memory_cap(args, args.handle(), Rights::MANAGE)?;
        let from = self.memory_cap(args, Handle(from), Rights::READ.or(Rights::WRITE))?;
        self.in_vm(cpu, |vm| vm.supply((to, offset), (from, source)))?;
        Ok(After::OK)
    }

    fn memory_refuse(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let memory = self.memory_cap(args, args.handle(), Rights::MANAGE)?;
        self.in_vm(cpu, |vm| vm.refuse(memory, args.word(0)))?;
        Ok(After::OK)
    }

    /// The ports of a capability, if it has those asked for.
    fn ports(&self, args: &Args, rights: Rights, port: u64, width: u64) -> Result<u16, Error> {
        let cap = self.need(args.process, args.handle(), Kind::IoPorts, rights)?;
        if !cap.covers(port, width) {
            return Err(Error::BadArgument);
        }
        u16::try_from(port).map_err(|_| Error::BadArgument)
    }

    fn port_in(&self, args: &Args) -> Result<After, Error> {
        let port = self.ports(args, Rights::READ, args.word(0), args.word(1))?;
        let value = self.hw.port_in(port, args.word(1)).ok_or(Error::BadArgument)?;
        Ok(After::words([value]))
    }

    fn port_out(&self, args: &Args) -> Result<After, Error> {
        let port = self.ports(args, Rights::WRITE, args.word(0), args.word(1))?;
        self.hw.port_out(port, args.word(1), args.word(2)).ok_or(Error::BadArgument)?;
        Ok(After::OK)
    }

    fn port_out_string(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let port = self.ports(args, Rights::WRITE, args.word(0), 1)?;
        let mut bytes = [0; BYTES];
        let count = self.read_own(cpu, args, (args.word(1), args.word(2)), &mut bytes)?;
        for byte in bytes.iter().take(count) {
            self.hw.port_out(port, 1, *byte as u64).ok_or(Error::BadArgument)?;
        }
        Ok(After::status(count as u64))
    }

    fn log_write(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        self.need(args.process, args.handle(), Kind::Log, Rights::WRITE)?;
        let mut bytes = [0; BYTES];
        let count = self.read_own(cpu, args, (args.word(0), args.word(1)), &mut bytes)?;
        self.hw.log(bytes.get(..count).unwrap_or_default());
        Ok(After::status(count as u64))
    }

    fn log_read(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        self.need(args.process, args.handle(), Kind::Log, Rights::READ)?;
        let mut bytes = [0; BYTES];
        let most = (args.word(1) as usize).min(BYTES);
        let (count, next) = self.hw.log_read(args.word(2), bytes.get_mut(..most).unwrap_or_default());
        self.write_own(cpu, args, args.word(0), bytes.get(..count).unwrap_or_default())?;
        Ok(After::Return(Answer { status: count as u64, ..Answer::words([next]) }))
    }

    fn power_off(&self, args: &Args) -> Result<After, Error> {
        self.need(args.process, args.handle(), Kind::Log, Rights::MANAGE)?;
        self.hw.power_off(args.word(0))
    }

    fn machine_info(&self, args: &Args) -> Result<After, Error> {
        self.need(args.process, args.handle(), Kind::Log, Rights::READ)?;
        let registry = self.registry.lock();
        let frames = registry.vm.frames();
        let cpus = self.posts.iter().filter(|p| p.up.load(Ordering::Relaxed)).count();
        let (ticks, _) = self.hw.ticks();
        Ok(After::words([frames.available() + frames.quarantined(), frames.total(), cpus as u64, ticks]))
    }
}

/// What the capability for a mapping's lower memory must allow: a private mapping only reads it.
fn lower_rights(rights: Rights, private: bool) -> Rights {
    if private { Rights::READ.or(rights.and(Rights::EXECUTE)) } else { rights.or(Rights::READ) }
}
