//! Calls on objects: handles, processes, threads, endpoints, notifications. Memory's own are in `memory`.
//!
//! One signature for all: `fn(&Kernel, &mut Cpu, &Args) -> Result<After, Error>`; checks come first and change nothing.

use crate::cpu::Cpu;
use crate::hw::{Frame, Hardware};
use crate::kernel::{Kernel, fail};
use crate::location::Location;
use crate::process::{State, get};
use crate::table::{Cap, Kind};
use crate::threads::{self, NONE, pending};
use core::sync::atomic::Ordering;
use sal_abi::boot::{DeathKind, ProcessState};
use sal_abi::{Error, Handle, Op, Rights, Words};
use sal_kernel_mem::Id;

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
#[derive(Clone, Copy, Debug)]
pub enum After {
    /// Its call returns this, when other CPUs have acknowledged what it has changed.
    Return(Answer),
    /// It was dealt with: it waits, was answered already, or is no more.
    Done,
}

impl After {
    /// It returns, with nothing to say.
    pub const OK: After = After::Return(Answer { status: 0, second: 0, words: [0; sal_abi::WORDS] });

    /// It returns a new handle.
    pub fn handle(h: Handle) -> After {
        After::Return(Answer { second: h.0, ..Answer::default() })
    }

    /// It returns a status alone.
    pub fn status(status: u64) -> After {
        After::Return(Answer { status, ..Answer::default() })
    }

    /// It returns words alone.
    pub fn words<const N: usize>(words: [u64; N]) -> After {
        After::Return(Answer::words(words))
    }
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
        let result = self.object_op(cpu, op, &args);
        let changed = cpu.shot.1 != 0;
        if let Ok(After::Done) = result {
            return Ok(());
        }
        let t = self.current(cpu)?;
        match result {
            Ok(After::Return(answer)) => {
                t.frame.set_status(answer.status as i64);
                t.frame.set_badge(answer.second);
                t.frame.set_words(answer.words);
            }
            Err(error) if changed => fail(t, error, 0),
            other => return other.map(|_| ()),
        }
        self.wait_for_acknowledgement(cpu);
        Ok(())
    }

    #[inline(always)]
    fn object_op(&self, cpu: &mut Cpu<H>, op: Op, args: &Args) -> Result<After, Error> {
        match op {
            Op::Clock => Ok(After::status(self.hw.now())),
            Op::Close => self.close(cpu, args),
            Op::Derive => self.derive(args),
            Op::Revoke => self.revoke(cpu, args),
            Op::Grant => self.grant(args),
            Op::Take => self.take(cpu, args),
            Op::Identify => self.identify(args),
            Op::Interrupt => self.ask_thread(cpu, args, pending::INTERRUPT),
            Op::GuestKick => self.ask_thread(cpu, args, pending::KICK),
            Op::Fail => self.fail_endpoint(cpu, args),
            Op::EndpointInfo => self.endpoint_info(args),
            Op::Kill => self.kill_call(cpu, args),
            Op::Exit => Ok(self.exit(cpu, args)),
            Op::ProcessInfo => self.process_info(args),
            Op::ThreadStart => self.thread_start(cpu, args),
            Op::ThreadExit => Ok(self.thread_exit(cpu)),
            Op::ThreadSchedule => self.thread_schedule(cpu, args),
            Op::ThreadInfo => self.thread_info(cpu, args),
            Op::InterruptNarrow => self.interrupt_narrow(args),
            Op::InterruptBind => self.interrupt_bind(args),
            Op::InterruptAck => self.interrupt_ack(args),
            Op::PortsNarrow => self.ports_narrow(args),
            Op::EndpointCreate => self.endpoint_create(args),
            Op::NotificationCreate => self.notification_create(args),
            Op::ReplyCreate => self.reply_create(args),
            _ => self.hw.memory_call(self, cpu, op, args),
        }
    }

    fn close(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let mut registry = self.registry.lock();
        let global = self.global(args.process, args.handle())?;
        self.close_slot(cpu, &mut registry, global);
        Ok(After::OK)
    }

    fn derive(&self, args: &Args) -> Result<After, Error> {
        let mut registry = self.registry.lock();
        let from = (args.process, args.handle());
        self.copy_cap(&mut registry, from, args.process, Rights(args.word(0) as u32), args.word(1)).map(After::handle)
    }

    /// In pieces: while something derived is left, the call runs again.
    fn revoke(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let mut registry = self.registry.lock();
        let global = self.global(args.process, args.handle())?;
        let done = self.revoke_slot(cpu, &mut registry, global, REVOKE);
        drop(registry);
        if !done {
            self.current(cpu)?.frame.repeat_call();
        }
        Ok(if done { After::OK } else { After::Done })
    }

    fn grant(&self, args: &Args) -> Result<After, Error> {
        let target = self.need(args.process, args.handle(), Kind::Process, Rights::MANAGE)?;
        let target = self.process_index(&target)?;
        let mut registry = self.registry.lock();
        let from = (args.process, Handle(args.word(0)));
        let mask = Rights(args.word(1) as u32);
        self.copy_cap(&mut registry, from, target, mask, args.word(2)).map(After::handle)
    }

    /// A copy (`w2` 0), or the capability itself (`w2` 1).
    fn take(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
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
        Ok(After::handle(own))
    }

    /// The slot of a process that a capability names and that still is that process.
    fn process_index(&self, cap: &Cap) -> Result<u32, Error> {
        let id = Id::from_word(cap.object);
        self.processes.get(id).ok_or(Error::BadHandle)?;
        Ok(id.index())
    }

    fn identify(&self, args: &Args) -> Result<After, Error> {
        let table = self.processes.table(args.process).ok_or(Error::BadHandle)?;
        let cap = table.look(&self.slots, args.handle())?;
        let words = Answer::words([cap.rights.0 as u64, cap.object]);
        Ok(After::Return(Answer { status: cap.kind as u64, second: cap.badge, ..words }))
    }

    /// The thread that a capability names and that still is that thread.
    fn thread_id(&self, args: &Args, rights: Rights) -> Result<Id<threads::Slot<H::Frame>>, Error> {
        let id = Id::from_word(self.need(args.process, args.handle(), Kind::Thread, rights)?.object);
        self.threads.get(id).map(|_| id).ok_or(Error::Dead)
    }

    fn ask_thread(&self, cpu: &mut Cpu<H>, args: &Args, what: u32) -> Result<After, Error> {
        let index = self.thread_id(args, Rights::MANAGE)?.index();
        self.poke(cpu, index, what);
        Ok(After::OK)
    }

    fn fail_endpoint(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Endpoint, Rights::MANAGE)?;
        let mut at = self.endpoints.lock(Id::from_word(cap.object)).ok_or(Error::BadHandle)?;
        let code = args.word(0);
        at.failed = code;
        while code != 0
            && let Some(won) = at.pop_caller(&self.threads)
        {
            let index = self.threads.adopt(&cpu.hold, won);
            self.finish_with_error(cpu, index, Error::EndpointFailed, code);
        }
        Ok(After::OK)
    }

    fn endpoint_info(&self, args: &Args) -> Result<After, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Endpoint, Rights::NONE)?;
        let now = self.hw.now();
        let mut at = self.endpoints.lock(Id::from_word(cap.object)).ok_or(Error::BadHandle)?;
        let (queued, oldest) = at.queued(&self.threads);
        let served = at.servers.iter().filter(|s| self.threads.slot(**s).is_some_and(|s| s.cell.is_occupied())).count();
        let age = oldest.map_or(0, |at| now.saturating_sub(at));
        let idle = u64::from(at.first_receiver().is_some());
        Ok(After::words([queued, served as u64, age, idle]))
    }

    fn kill_call(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Process, Rights::MANAGE)?;
        let id = Id::from_word(cap.object);
        let slot = self.processes.get(id).ok_or(Error::BadHandle)?;
        if slot.state() == State::Dead {
            return Ok(After::OK);
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

    fn process_info(&self, args: &Args) -> Result<After, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Process, Rights::READ)?;
        let slot = self.processes.get(Id::from_word(cap.object)).ok_or(Error::BadHandle)?;
        let state = if slot.state() == State::Dead { ProcessState::Dead } else { ProcessState::Alive };
        let [rip, rsp, rbp, address] = get(&slot.position);
        let (reason, threads) = (slot.reason.load(Ordering::Relaxed), slot.alive.load(Ordering::Relaxed));
        let words = Answer::words([reason, rip, rsp, rbp, address, slot.time(), threads as u64]);
        Ok(After::Return(Answer { status: state as u64, ..words }))
    }

    /// Puts a thread that was made under the registry's lock on its CPU.
    fn thread_start(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let id = self.thread_id(args, Rights::MANAGE)?;
        self.start_thread(cpu, id)?;
        Ok(After::OK)
    }

    fn thread_exit(&self, cpu: &mut Cpu<H>) -> After {
        let index = cpu.current;
        self.take_from_cpu(cpu, index);
        self.destroy_thread(cpu, index);
        After::Done
    }

    /// Changes a thread's priority or CPU: of one that runs here, or was not started.
    fn thread_schedule(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let index = self.thread_id(args, Rights::MANAGE)?.index();
        let priority = u8::try_from(args.word(0)).map_err(|_| Error::BadArgument)?;
        let on = self.cpu_argument(args.word(1))?;
        let mut registry = self.registry.lock();
        let running = if cpu.current == index { self.threads.own(&mut cpu.hold, index) } else { None };
        let t = running.or(self.threads.parked(&mut registry.token, index)).ok_or(Error::Occupied)?;
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
            return Ok(After::OK);
        }
        cpu.resched = true;
        if on.is_none() || home == cpu.number() {
            return Ok(After::OK);
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

    fn thread_info(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let index = self.thread_id(args, Rights::READ)?.index();
        let slot = self.threads.slot(index).ok_or(Error::BadHandle)?;
        let state = match slot.location().at() {
            Location::Cpu(_) | Location::Mail(_) => 0,
            Location::Queued(_) | Location::Served(_) | Location::Kept(_) => 1,
            Location::Receiving(_) => 2,
            Location::Parked | Location::Free => 3,
        };
        let mine = self.threads.own_ref(&cpu.hold, index);
        let (home, priority, used) = mine.map_or((u64::MAX, 0, 0), |t| (t.home as u64, t.priority as u64, t.used));
        Ok(After::Return(Answer { status: state, ..Answer::words([home, priority, used]) }))
    }

    fn interrupt_narrow(&self, args: &Args) -> Result<After, Error> {
        self.narrow(args, Kind::Interrupt, 1)
    }

    fn ports_narrow(&self, args: &Args) -> Result<After, Error> {
        self.narrow(args, Kind::IoPorts, args.word(1))
    }

    /// A capability for `count` lines or ports from `w0` on, of those that the one named first is for.
    fn narrow(&self, args: &Args, kind: Kind, count: u64) -> Result<After, Error> {
        let cap = self.need(args.process, args.handle(), kind, Rights::MANAGE)?;
        let first = args.word(0);
        if count == 0 || !cap.covers(first, count) {
            return Err(Error::BadArgument);
        }
        let mut registry = self.registry.lock();
        let parent = self.global(args.process, args.handle())?;
        let narrower = Cap { object: first | count << 32, ..cap };
        self.install(&mut registry, args.process, narrower, Some(parent)).map(After::handle)
    }

    /// The line of an interrupt capability for one line.
    fn one_line(&self, args: &Args) -> Result<u32, Error> {
        let cap = self.need(args.process, args.handle(), Kind::Interrupt, Rights::NONE)?;
        if cap.object >> 32 == 1 { Ok(cap.object as u32) } else { Err(Error::BadArgument) }
    }

    fn interrupt_bind(&self, args: &Args) -> Result<After, Error> {
        let line = self.one_line(args)?;
        let notification = self.need(args.process, Handle(args.word(0)), Kind::Notification, Rights::SEND)?;
        self.lines.bind(line, notification.object, args.word(1));
        self.hw.set_line(line, true);
        Ok(After::OK)
    }

    fn interrupt_ack(&self, args: &Args) -> Result<After, Error> {
        let line = self.one_line(args)?;
        self.hw.set_line(line, true);
        Ok(After::OK)
    }
}
