//! Calls on objects: handles, processes, threads, endpoints, notifications. Memory's own are in `memory`.
//!
//! One signature for all: `fn(&Kernel, &mut Cpu, &Args) -> Result<Answer, Error>`; checks come first and change nothing.

use crate::cpu::Cpu;
use crate::endpoint::Endpoint;
use crate::hw::{Frame, Hardware};
use crate::id::Id;
use crate::kernel::Kernel;
use crate::location::Location;
use crate::process::State;
use crate::table::{Cap, Kind};
use crate::thread::Thread;
use crate::threads::{NONE, pending};
use core::sync::atomic::Ordering;
use sal_abi::boot::{DeathKind, ProcessState};
use sal_abi::{Error, Handle, Op, Rights, Words};

/// Slots that one call of `Revoke` empties.
const REVOKE: u32 = 64;

/// A call's arguments.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    /// The caller's process.
    pub process: u32,
    /// First argument: mostly a handle.
    pub first: u64,
    /// The words.
    pub words: Words,
}

impl Args {
    /// The handle acted on.
    pub fn handle(&self) -> Handle {
        Handle(self.first)
    }

    /// Word `n`.
    pub fn word(&self, n: usize) -> u64 {
        self.words.get(n).copied().unwrap_or(0)
    }
}

/// What a call returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status register.
    pub status: u64,
    /// Second result.
    pub second: u64,
    /// The words.
    pub words: Words,
}

impl Answer {
    /// A new handle.
    pub fn handle(h: Handle) -> Answer {
        Answer { second: h.0, ..Answer::default() }
    }

    /// A status alone.
    pub fn status(status: u64) -> Answer {
        Answer { status, ..Answer::default() }
    }

    /// Words alone.
    pub fn words<const N: usize>(some: [u64; N]) -> Answer {
        let mut words = [0; sal_abi::WORDS];
        for (place, value) in words.iter_mut().zip(some) {
            *place = value;
        }
        Answer { words, ..Answer::default() }
    }
}

/// What becomes of the caller.
pub enum After {
    /// Its call returns this.
    Return(Answer),
    /// Its call returns this when the CPUs named have acknowledged the epoch.
    ReturnAcknowledged(Answer, (u64, u32)),
    /// It was dealt with: it waits, was answered already, or is no more.
    Done,
}

impl<H: Hardware> Kernel<H> {
    /// The arguments of the running thread's call.
    pub(crate) fn args(&self, cpu: &mut Cpu<H>) -> Result<Args, Error> {
        let t = self.current(cpu)?;
        Ok(Args { process: t.process, first: t.frame.argument(), words: t.frame.words() })
    }

    /// A call on an object.
    pub(crate) fn object_call(&self, cpu: &mut Cpu<H>, op: Op) -> Result<(), Error> {
        let args = self.args(cpu)?;
        let after = match self.object_op(cpu, op, &args)? {
            Some(after) => after,
            None => self.hw.memory_call(self, cpu, op, &args)?,
        };
        let (answer, shot) = match after {
            After::Return(answer) => (answer, None),
            After::ReturnAcknowledged(answer, shot) => (answer, Some(shot)),
            After::Done => return Ok(()),
        };
        let t = self.current(cpu)?;
        t.frame.set_status(answer.status as i64);
        t.frame.set_badge(answer.second);
        t.frame.set_words(answer.words);
        if let Some(shot) = shot {
            self.wait_for_acknowledgement(cpu, shot);
        }
        Ok(())
    }

    /// The calls that have nothing to do with memory; `None` for the others.
    fn object_op(&self, cpu: &mut Cpu<H>, op: Op, args: &Args) -> Result<Option<After>, Error> {
        let answer = match op {
            Op::Clock => Answer::status(self.hw.now()),
            Op::Close => self.close(cpu, args)?,
            Op::Derive => self.derive(args)?,
            Op::Revoke => return self.revoke(cpu, args).map(Some),
            Op::Grant => self.grant(args)?,
            Op::Take => self.take(cpu, args)?,
            Op::Identify => self.identify(args)?,
            Op::Interrupt => self.interrupt(cpu, args)?,
            Op::GuestKick => self.guest_kick(cpu, args)?,
            Op::Fail => self.fail_endpoint(cpu, args)?,
            Op::EndpointInfo => self.endpoint_info(args)?,
            Op::Kill => return self.kill_call(cpu, args).map(Some),
            Op::Exit => return Ok(Some(self.exit(cpu, args))),
            Op::ProcessInfo => self.process_info(args)?,
            Op::ThreadStart => self.thread_start(cpu, args)?,
            Op::ThreadExit => return Ok(Some(self.thread_exit(cpu))),
            Op::ThreadSchedule => return self.thread_schedule(cpu, args).map(Some),
            Op::ThreadInfo => self.thread_info(cpu, args)?,
            Op::InterruptNarrow => self.interrupt_narrow(args)?,
            Op::InterruptBind => self.interrupt_bind(args)?,
            Op::InterruptAck => self.interrupt_ack(args)?,
            Op::PortsNarrow => self.ports_narrow(args)?,
            Op::EndpointCreate => self.endpoint_create(args)?,
            Op::NotificationCreate => self.notification_create(args)?,
            Op::ReplyCreate => self.reply_create(args)?,
            _ => return Ok(None),
        };
        Ok(Some(After::Return(answer)))
    }

    fn close(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<Answer, Error> {
        let mut registry = self.registry.lock();
        let global = self.global(args.process, args.handle())?;
        self.close_slot(cpu, &mut registry, global);
        Ok(Answer::default())
    }

    fn derive(&self, args: &Args) -> Result<Answer, Error> {
        let mut registry = self.registry.lock();
        let from = (args.process, args.handle());
        self.copy_cap(&mut registry, from, args.process, Rights(args.word(0) as u32), args.word(1)).map(Answer::handle)
    }

    /// In pieces: while something derived is left, the call runs again.
    fn revoke(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let mut registry = self.registry.lock();
        let global = self.global(args.process, args.handle())?;
        let done = self.revoke_slot(cpu, &mut registry, global, REVOKE);
        drop(registry);
        if done {
            return Ok(After::Return(Answer::default()));
        }
        self.current(cpu)?.frame.repeat_call();
        Ok(After::Done)
    }

    fn grant(&self, args: &Args) -> Result<Answer, Error> {
        let target = self.need(args.process, args.handle(), Kind::Process, Rights::MANAGE)?;
        let target = self.process_index(&target)?;
        let mut registry = self.registry.lock();
        let from = (args.process, Handle(args.word(0)));
        let mask = Rights(args.word(1) as u32);
        self.copy_cap(&mut registry, from, target, mask, args.word(2)).map(Answer::handle)
    }

    /// A copy (`w2` 0), or the capability itself (`w2` 1).
    fn take(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<Answer, Error> {
        let source = self.need(args.process, args.handle(), Kind::Process, Rights::MANAGE)?;
        let source = self.process_index(&source)?;
        let theirs = Handle(args.word(0));
        let mut registry = self.registry.lock();
        let mask = Rights(args.word(1) as u32);
        let own = self.copy_cap(&mut registry, (source, theirs), args.process, mask, 0)?;
        if args.word(2) == 1 {
            let global = self.global(source, theirs)?;
            self.close_slot(cpu, &mut registry, global);
        }
        Ok(Answer::handle(own))
    }

    /// The slot of a process that a capability names and that still is that process.
    fn process_index(&self, cap: &Cap) -> Result<u32, Error> {
        let id = Id::from_raw(cap.object);
        self.processes.get(id).ok_or(Error::BadHandle)?;
        Ok(id.index())
    }

    fn identify(&self, args: &Args) -> Result<Answer, Error> {
        let table = self.processes.table(args.process).ok_or(Error::BadHandle)?;
        let cap = table.look(&self.slots, args.handle())?;
        let words = [cap.rights.0 as u64, cap.object, 0, 0, 0, 0, 0, 0];
        Ok(Answer { status: cap.kind as u64, second: cap.badge, words })
    }

    /// The thread that a capability names and that still is that thread.
    fn thread_index(&self, args: &Args, rights: Rights) -> Result<u32, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Thread, rights)?;
        let id: Id<Thread<H::Frame>> = Id::from_raw(cap.object);
        let slot = self.threads.slot(id.index()).ok_or(Error::BadHandle)?;
        if slot.generation.load(Ordering::Acquire) != id.generation() {
            return Err(Error::Dead);
        }
        Ok(id.index())
    }

    fn interrupt(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<Answer, Error> {
        let index = self.thread_index(args, Rights::MANAGE)?;
        self.poke(cpu, index, pending::INTERRUPT);
        Ok(Answer::default())
    }

    fn guest_kick(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<Answer, Error> {
        let index = self.thread_index(args, Rights::MANAGE)?;
        self.poke(cpu, index, pending::KICK);
        Ok(Answer::default())
    }

    fn fail_endpoint(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<Answer, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Endpoint, Rights::MANAGE)?;
        let mut at = self.endpoints.lock(Id::from_raw(cap.object)).ok_or(Error::BadHandle)?;
        let code = args.word(0);
        at.failed = code;
        while code != 0
            && let Some(won) = at.pop_caller(&self.threads)
        {
            let index = self.threads.adopt(&cpu.hold, won);
            self.finish_with_error(cpu, index, Error::EndpointFailed, code);
        }
        Ok(Answer::default())
    }

    fn endpoint_info(&self, args: &Args) -> Result<Answer, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Endpoint, Rights::NONE)?;
        let id: Id<Endpoint> = Id::from_raw(cap.object);
        let now = self.hw.now();
        let mut at = self.endpoints.lock(id).ok_or(Error::BadHandle)?;
        let (queued, oldest) = at.queued(&self.threads);
        let served = at.servers.iter().filter(|s| self.threads.slot(**s).is_some_and(|s| s.cell.is_occupied())).count();
        let age = oldest.map_or(0, |at| now.saturating_sub(at));
        let idle = u64::from(at.first_receiver().is_some());
        Ok(Answer::words([queued, served as u64, age, idle]))
    }

    fn kill_call(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Process, Rights::MANAGE)?;
        let id = Id::from_raw(cap.object);
        let slot = self.processes.get(id).ok_or(Error::BadHandle)?;
        if slot.state() == State::Dead {
            return Ok(After::Return(Answer::default()));
        }
        self.kill(cpu, id.index(), DeathKind::Killed as u64 | args.word(0) << 8, [0; 4]);
        if cpu.current == NONE {
            return Ok(After::Done);
        }
        self.wait_for_death(cpu, id)
    }

    fn exit(&self, cpu: &mut Cpu<H>, args: &Args) -> After {
        self.die(cpu, DeathKind::Exited, args.first, 0);
        After::Done
    }

    fn process_info(&self, args: &Args) -> Result<Answer, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Process, Rights::READ)?;
        let slot = self.processes.get(Id::from_raw(cap.object)).ok_or(Error::BadHandle)?;
        let state = if slot.state() == State::Dead { ProcessState::Dead } else { ProcessState::Alive };
        let [rip, rsp, rbp, address] =
            [0, 1, 2, 3].map(|n| slot.position.get(n).map_or(0, |p| p.load(Ordering::Relaxed)));
        let (reason, threads) = (slot.reason.load(Ordering::Relaxed), slot.alive.load(Ordering::Relaxed));
        let words = [reason, rip, rsp, rbp, address, slot.time(), threads as u64, 0];
        Ok(Answer { status: state as u64, second: 0, words })
    }

    /// Puts a thread that was made under the registry's lock on its CPU.
    fn thread_start(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<Answer, Error> {
        let index = self.thread_index(args, Rights::MANAGE)?;
        let generation = self.threads.slot(index).map_or(0, |s| s.generation.load(Ordering::Acquire));
        self.start_thread(cpu, Id::new(generation, index))?;
        Ok(Answer::default())
    }

    fn thread_exit(&self, cpu: &mut Cpu<H>) -> After {
        let index = cpu.current;
        self.take_from_cpu(cpu, index);
        self.destroy_thread(cpu, index);
        After::Done
    }

    /// Changes a thread's priority or CPU: of one that runs here, or was not started.
    fn thread_schedule(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let index = self.thread_index(args, Rights::MANAGE)?;
        let priority = u8::try_from(args.word(0)).map_err(|_| Error::BadArgument)?;
        let on = self.cpu_argument(args.word(1))?;
        let mut registry = self.registry.lock();
        let parked = self.threads.parked(&mut registry.token, index);
        let t = match parked {
            Some(t) => t,
            None if cpu.current == index => self.threads.own(&mut cpu.hold, index).ok_or(Error::Occupied)?,
            None => return Err(Error::Occupied),
        };
        let slot = self.threads.slot(index);
        let boost = slot.map_or(0, |s| s.boost.load(Ordering::Acquire));
        // While it serves somebody it keeps what that caller lent.
        let lent = if slot.is_some_and(|s| s.cell.is_occupied()) { t.priority } else { boost };
        (t.base, t.priority, t.pinned) = (priority, priority.max(lent), on.is_some());
        t.floor = if t.floor == 0 { 0 } else { priority };
        t.home = on.unwrap_or(t.home);
        let home = t.home;
        drop(registry);
        if cpu.current != index {
            return Ok(After::Return(Answer::default()));
        }
        cpu.resched = true;
        if on.is_none() || home == cpu.number() {
            return Ok(After::Return(Answer::default()));
        }
        self.succeed(cpu)?;
        self.take_from_cpu(cpu, index);
        self.hand_over(cpu, index, home);
        Ok(After::Done)
    }

    /// A CPU argument: a number that is up, or -1 for any.
    pub(crate) fn cpu_argument(&self, word: u64) -> Result<Option<u32>, Error> {
        if word == u64::MAX {
            return Ok(None);
        }
        let up = self.posts.get(word as usize).is_some_and(|p| p.up.load(Ordering::Relaxed));
        if up { Ok(Some(word as u32)) } else { Err(Error::BadArgument) }
    }

    fn thread_info(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<Answer, Error> {
        let index = self.thread_index(args, Rights::READ)?;
        let slot = self.threads.slot(index).ok_or(Error::BadHandle)?;
        let state = match slot.location().at() {
            Location::Cpu(_) | Location::Mail(_) => 0,
            Location::Queued(_) | Location::Served(_) | Location::Kept(_) => 1,
            Location::Receiving(_) => 2,
            Location::Parked | Location::Free => 3,
        };
        let mine = self.threads.own_ref(&cpu.hold, index);
        let (home, priority, used) = mine.map_or((u64::MAX, 0, 0), |t| (t.home as u64, t.priority as u64, t.used));
        Ok(Answer { status: state, ..Answer::words([home, priority, used]) })
    }

    fn interrupt_narrow(&self, args: &Args) -> Result<Answer, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Interrupt, Rights::MANAGE)?;
        let line = args.word(0);
        let (first, count) = (cap.object & 0xffff_ffff, cap.object >> 32);
        if line < first || line >= first + count {
            return Err(Error::BadArgument);
        }
        self.narrower(args, Cap { object: line | 1 << 32, ..cap })
    }

    fn ports_narrow(&self, args: &Args) -> Result<Answer, Error> {
        let cap = self.need(args.process, args.handle(), Kind::IoPorts, Rights::MANAGE)?;
        let (port, many) = (args.word(0), args.word(1));
        let (first, count) = (cap.object & 0xffff_ffff, cap.object >> 32);
        let end = port.checked_add(many).ok_or(Error::BadArgument)?;
        if many == 0 || port < first || end > first + count {
            return Err(Error::BadArgument);
        }
        self.narrower(args, Cap { object: port | many << 32, ..cap })
    }

    fn narrower(&self, args: &Args, cap: Cap) -> Result<Answer, Error> {
        let mut registry = self.registry.lock();
        let parent = self.global(args.process, args.handle())?;
        self.install(&mut registry, args.process, cap, Some(parent)).map(Answer::handle)
    }

    /// The line of an interrupt capability for one line.
    fn one_line(&self, args: &Args) -> Result<u32, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Interrupt, Rights::NONE)?;
        if cap.object >> 32 == 1 { Ok(cap.object as u32) } else { Err(Error::BadArgument) }
    }

    fn interrupt_bind(&self, args: &Args) -> Result<Answer, Error> {
        let line = self.one_line(args)?;
        let notification = self.need(args.process, Handle(args.word(0)), Kind::Notification, Rights::SEND)?;
        self.lines.bind(line, notification.object, args.word(1));
        self.hw.set_line(line, true);
        Ok(Answer::default())
    }

    fn interrupt_ack(&self, args: &Args) -> Result<Answer, Error> {
        let line = self.one_line(args)?;
        self.hw.set_line(line, true);
        Ok(Answer::default())
    }
}
