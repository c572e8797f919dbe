//! The one door: an event comes in, the CPU's current thread is decided when it returns.
//!
//! What must always hold afterwards: `cpu.current` may run, nobody ready ranks above it, or nobody is ready and it is [`NONE`].

use crate::cpu::Cpu;
use crate::hw::{Frame, Hardware};
use crate::kernel::{Kernel, SLICE, fail};
use crate::threads::NONE;
use core::sync::atomic::Ordering;
use sal_abi::x86_64::Exit;
use sal_abi::{Error, Handle, Op};

/// Pieces of reaping done at one kernel entry.
const REAP: u32 = 4;

/// What made a CPU enter the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The running thread's system call (its own, not its guest's).
    Call,
    /// The running guest's system call.
    GuestCall,
    /// The timer.
    Timer,
    /// Another CPU has posted something.
    Post,
    /// An interrupt line.
    Line(u32),
}

impl<H: Hardware> Kernel<H> {
    /// Handles an event. What is not about memory is decided here; `None` says so of the rest.
    #[inline(always)]
    pub fn step(&self, cpu: &mut Cpu<H>, event: Event) {
        match event {
            Event::Call => self.message_call(cpu),
            Event::GuestCall => self.guest_exit(cpu, Exit::Syscall, [0; 3]),
            Event::Timer => self.tick(cpu),
            Event::Post => self.post(cpu),
            Event::Line(line) => self.line(cpu, line),
        }
    }

    /// The operations of the message path; others go to [`Kernel::object_call`].
    #[inline(always)]
    fn message_call(&self, cpu: &mut Cpu<H>) {
        let Some(me) = self.threads.find(cpu.current) else { return };
        let Some(t) = self.threads.own_found(&mut cpu.hold, me) else { return };
        let operation = t.frame.operation();
        let named = (t.process, Handle(t.frame.argument()));
        let serves = t.serves;
        if operation == Op::Call as u64 && self.fast_call(cpu, me, named).is_some() {
            return;
        }
        if operation == Op::ReplyReceive as u64
            && let Some(result) = self.fast_reply_receive(cpu, me, named, serves)
        {
            return if let Err(error) = result {
                self.refuse(cpu, error)
            };
        }
        self.general_call(cpu, operation);
    }

    /// The general way of every call.
    #[inline(never)]
    fn general_call(&self, cpu: &mut Cpu<H>, operation: u64) {
        let result = match Op::from_number(operation as u8) {
            Some(Op::Call) => self.call(cpu),
            Some(Op::ReplyReceive) => self.reply_receive(cpu),
            Some(Op::GuestEnter) => self.guest_enter(cpu),
            Some(Op::Notify) => self.notify_call(cpu),
            Some(op) => self.other_call(cpu, op),
            None => Err(Error::BadCall),
        };
        if let Err(error) = result {
            self.refuse(cpu, error);
        }
    }

    #[inline(never)]
    fn other_call(&self, cpu: &mut Cpu<H>, op: Op) -> Result<(), Error> {
        let result = match op {
            Op::Receive => self.receive(cpu),
            Op::Reply => self.reply(cpu),
            Op::Keep => self.keep(cpu),
            Op::Yield => self.yield_call(cpu),
            _ => self.object_call(cpu, op),
        };
        // An error is written to the caller's registers first: `refuse` settles after that.
        if result.is_ok() {
            self.settle(cpu);
        }
        result
    }

    /// The running thread's call returns an error.
    #[cold]
    fn refuse(&self, cpu: &mut Cpu<H>, error: Error) {
        let Ok(t) = self.current(cpu) else { return };
        t.wait = crate::thread::Wait::None;
        if error == Error::EndpointFailed {
            // The code is in the badge register already.
            t.frame.set_status(error.status());
            t.frame.set_words([0; sal_abi::WORDS]);
        } else {
            fail(t, error, 0);
        }
        // A receive that failed has given its lent priority back.
        cpu.resched = true;
        self.settle(cpu);
    }

    fn yield_call(&self, cpu: &mut Cpu<H>) -> Result<(), Error> {
        self.succeed(cpu)?;
        self.rotate(cpu);
        Ok(())
    }

    /// The timer: deadlines, and the end of a time slice.
    fn tick(&self, cpu: &mut Cpu<H>) {
        cpu.retime = true;
        self.acknowledge(cpu);
        self.account(cpu);
        self.expire(cpu);
        if cpu.accounted >= cpu.slice_end {
            self.rotate(cpu);
            cpu.slice_end = cpu.accounted.saturating_add(SLICE);
        }
        self.settle(cpu);
    }

    /// Other CPUs have posted something.
    fn post(&self, cpu: &mut Cpu<H>) {
        self.acknowledge(cpu);
        self.read_post(cpu);
        self.settle(cpu);
    }

    /// An interrupt line: masked until acknowledged.
    fn line(&self, cpu: &mut Cpu<H>, line: u32) {
        self.hw.set_line(line, false);
        let (notification, bits) = self.lines.bound(line);
        self.notify(cpu, notification, bits);
        self.settle(cpu);
    }

    /// After anything but the message path: ended processes are taken apart, and the right thread runs.
    pub(crate) fn settle(&self, cpu: &mut Cpu<H>) {
        if self.reaping.load(Ordering::Acquire) && (0..REAP).all(|_| self.reap(cpu)) {
            self.hw.interrupt_cpu(cpu.number() as usize);
        }
        if cpu.resched || cpu.current == NONE {
            self.schedule(cpu);
        }
        if let Some(post) = self.posts.get(cpu.number() as usize) {
            post.idle.store(cpu.current == NONE, Ordering::Release);
        }
    }

    /// When the timer must interrupt this CPU: its next deadline, or the end of the time slice if somebody waits for it.
    pub fn next_timer(&self, cpu: &Cpu<H>) -> u64 {
        let deadline = cpu.timers.next().unwrap_or(u64::MAX);
        if cpu.current == NONE { deadline } else { deadline.min(cpu.slice_end) }
    }
}
