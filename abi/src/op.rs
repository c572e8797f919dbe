//! Operations: the number in the low byte of the operation register, and what each takes and gives.
//!
//! Notation: `a0` is the first argument register, `w0..w7` the words; `-> s` the status, `b` the second result register.

macro_rules! ops {
    ($($(#[doc = $doc:literal])* $name:ident = $n:literal,)*) => {
        /// A kernel call.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Op { $($(#[doc = $doc])* $name = $n,)* }

        impl Op {
            /// Every operation there is.
            pub const ALL: &'static [Op] = &[$(Op::$name),*];

            /// From its number.
            #[inline(always)]
            pub const fn from_number(n: u8) -> Option<Op> {
                match n { $($n => Some(Op::$name),)* _ => None }
            }

            /// Its name, as in the documents.
            pub const fn name(self) -> &'static str {
                match self { $(Op::$name => stringify!($name),)* }
            }
        }
    };
}

ops! {
    /// `a0` endpoint (SEND), words: the message. -> reply's kind and counts; words: the reply.
    Call = 0,
    /// Answers the caller in service (if it still waits), then receives as `Receive`. `a0` endpoint (RECEIVE), words: the reply.
    ReplyReceive = 1,
    /// `a0` endpoint (RECEIVE). -> kind and counts, `b` badge, words: the message.
    Receive = 2,
    /// `a0` a Reply, or 0 for the caller in service; words: the reply. `Vacant` if nobody waits there any more.
    Reply = 3,
    /// `a0` an empty Reply: the caller in service moves there.
    Keep = 4,
    /// `a0` notification (SEND), `w0` bits.
    Notify = 5,
    /// `a0` a Reply or 0; `w0` loan number, `w1` offset, `w2` own address, `w3` length. -> bytes copied from the client.
    LoanRead = 6,
    /// As `LoanRead`, to the client.
    LoanWrite = 7,
    /// Lets others of the same priority run.
    Yield = 8,
    /// `a0` thread (MANAGE): ends its blocked call, or its next one, with `Interrupted`.
    Interrupt = 9,
    /// `a0` endpoint (MANAGE), `w0` code, 0 to mend.
    Fail = 10,
    /// -> nanoseconds since boot.
    Clock = 11,

    /// `a0` any handle. Closes it.
    Close = 16,
    /// `a0` handle, `w0` rights mask, `w1` badge (endpoints with BADGE; 0 keeps). -> `b` the derived handle.
    Derive = 17,
    /// `a0` handle: everything derived from it is closed, everywhere.
    Revoke = 18,
    /// `a0` process (MANAGE), `w0` handle of one's own, `w1` rights mask, `w2` badge or 0. -> `b` the handle in that process's table.
    Grant = 19,
    /// `a0` process (MANAGE), `w0` a handle in its table, `w1` rights mask, `w2` 1: theirs is closed (a move). -> `b` a handle of one's own to the same object.
    Take = 20,
    /// `a0` any handle. -> kind, `b` badge, `w0` rights, `w1` a number that is equal for equal objects.
    Identify = 21,

    /// `a0` budget (SPEND), `w0` frames. -> `b` a new budget funded by a transfer.
    BudgetCreate = 24,
    /// `a0` budget (MANAGE). -> `w0` frames left, `w1` frames that it was given, `w2` objects charged.
    BudgetInfo = 25,
    /// `a0` budget (SPEND) that gives, `w0` budget (MANAGE) that gets, `w1` frames.
    BudgetTransfer = 26,

    /// `a0` budget. -> `b` endpoint, all rights.
    EndpointCreate = 32,
    /// `a0` budget, `w0` endpoint (RECEIVE) it is bound to, `w1` badge that the receiver sees. -> `b` notification.
    NotificationCreate = 33,
    /// `a0` budget. -> `b` an empty Reply.
    ReplyCreate = 34,
    /// `a0` endpoint. -> `w0` callers queued, `w1` callers in service, `w2` nanoseconds since the oldest of both called, `w3` servers receiving.
    EndpointInfo = 35,

    /// `a0` budget, `w0` native space (MANAGE), `w1` notification raised at its death or 0, `w2` bits, `w3` 1: a vault's table, no threads. -> `b` process.
    ProcessCreate = 40,
    /// `a0` process (MANAGE), `w0` reason. Ends it; returns when no CPU runs it any more.
    Kill = 41,
    /// `a0` process (READ). -> state (`boot::ProcessState`), `w0` reason, `w1` rip, `w2` rsp, `w3` rbp, `w4` fault address, `w5` nanoseconds of CPU used, `w6` threads alive.
    ProcessInfo = 42,
    /// `a0` reason: ends the calling process.
    Exit = 43,

    /// `a0` process (MANAGE), `w0` entry, `w1` stack pointer, `w2` argument, `w3` message page's address in the process's space (mapped by the caller; pinned), `w4` priority, `w5` CPU or -1, `w6` flags ([`thread`]). -> `b` thread, not yet started.
    ThreadCreate = 48,
    /// `a0` thread (MANAGE).
    ThreadStart = 49,
    /// `a0` thread (MANAGE), `w0` priority, `w1` CPU or -1.
    ThreadSchedule = 50,
    /// Ends the calling thread.
    ThreadExit = 51,
    /// `a0` thread (READ). -> state, `w0` CPU, `w1` priority, `w2` nanoseconds of CPU used.
    ThreadInfo = 52,

    /// `a0` budget, `w0` 0 native or 1 guest. -> `b` space.
    SpaceCreate = 56,
    /// `a0` space (MANAGE), `w0` address, `w1` length, `w2` memory, `w3` offset, `w4` rights, `w5` upper memory of a private mapping or 0 (its offset is `w6`).
    Map = 57,
    /// `a0` space (MANAGE), `w0` address, `w1` length. Returns when every CPU has forgotten it.
    Unmap = 58,
    /// `a0` space (MANAGE), `w0` address, `w1` length, `w2` rights.
    Protect = 59,
    /// `a0` space (READ), `w0` address, `w1` own address, `w2` length. -> bytes copied.
    SpaceRead = 60,
    /// `a0` space (READ). -> `w0` pages mapped, `w1` page-table frames, `w2` mappings.
    SpaceInfo = 61,

    /// `a0` budget, `w0` bytes. -> `b` zero-fill memory.
    MemoryCreate = 64,
    /// `a0` budget, `w0` bytes, `w1` endpoint of the pager, `w2` badge that it sees. -> `b` memory.
    MemoryPaged = 65,
    /// `a0` memory (MANAGE), `w0` new length in bytes: frames beyond are given back.
    MemoryResize = 66,
    /// `a0` memory (READ), `w0` offset, `w1` own address, `w2` length. -> bytes copied; missing pages read as zero in zero-fill memory.
    MemoryRead = 67,
    /// `a0` memory (WRITE), `w0` offset, `w1` own address, `w2` length. -> bytes copied.
    MemoryWrite = 68,
    /// `a0` source (READ), `w0` offset, `w1` length, `w2` destination (WRITE), `w3` offset. Copy on write. -> bytes done; call again for the rest.
    MemoryClone = 69,
    /// `a0` memory (WRITE), `w0` offset, `w1` length: gives the frames back. -> bytes done.
    MemoryDiscard = 70,
    /// `a0` memory (MANAGE), `w0` offset, `w1` source memory (READ, WRITE), `w2` offset: the pager supplies one page, which the source loses.
    MemorySupply = 71,
    /// `a0` memory (MANAGE), `w0` offset: the pager refuses a page; who waits for it gets the fault.
    MemoryRefuse = 72,
    /// `a0` memory. -> `w0` length, `w1` frames present.
    MemoryInfo = 73,

    /// Runs the guest until it stops. -> `guest::Exit`, `w0..w2` its details.
    GuestEnter = 80,
    /// `a0` guest space (MANAGE): the calling thread's guest half from now on; 0 for none.
    GuestAttach = 81,
    /// `a0` thread (MANAGE). Sticky.
    GuestKick = 82,
    /// Writes the guest's FPU state to the message page (`w0` 0) or loads it from there (`w0` 1).
    GuestFpu = 83,

    /// `a0` ports (READ), `w0` port, `w1` bytes 1, 2, 4. -> `w0` value.
    PortIn = 88,
    /// `a0` ports (WRITE), `w0` port, `w1` bytes, `w2` value.
    PortOut = 89,
    /// `a0` ports (WRITE), `w0` port, `w1` own address, `w2` length: writes bytes. -> how many.
    PortOutString = 90,
    /// `a0` ports (MANAGE), `w0` first port, `w1` count. -> `b` narrower ports.
    PortsNarrow = 91,
    /// `a0` interrupt (MANAGE), `w0` line. -> `b` interrupt for that line alone.
    InterruptNarrow = 92,
    /// `a0` interrupt, `w0` notification (SEND), `w1` bits: raised and masked at each interrupt.
    InterruptBind = 93,
    /// `a0` interrupt: unmasks it.
    InterruptAck = 94,

    /// `a0` log (WRITE), `w0` own address, `w1` length: a line for the kernel's log.
    LogWrite = 96,
    /// `a0` log (READ), `w0` own address, `w1` length, `w2` position. -> bytes copied, `w0` next position. From position -1: nothing, and the position up to which the kernel wrote to the UART by itself.
    LogRead = 97,
    /// `a0` log (MANAGE), `w0` status: ends the machine.
    PowerOff = 98,
    /// `a0` log (READ). -> `w0` frames free, `w1` frames in all, `w2` CPUs, `w3` instructions or ticks per microsecond.
    MachineInfo = 99,
}

/// Flags of `ThreadCreate`.
pub mod thread {
    /// It has FPU state of its own.
    pub const FPU: u64 = 1;
    /// It serves at its own priority at least, not at its caller's (QNX calls such a channel one of fixed priority): for a server that must
    /// get its turns whoever calls it.
    pub const OWN_PRIORITY: u64 = 2;
    /// Every bit that means something; another is `BadArgument`.
    pub const VALID: u64 = FPU | OWN_PRIORITY;
}

/// Flags of the message operations, above the operation's number.
pub mod flags {
    /// The message page's deadline counts.
    pub const DEADLINE: u64 = 1 << 8;
    /// Number of loans (0..=4) at this bit.
    pub const LOANS_SHIFT: u32 = 16;
    /// Number of capabilities sent (0..=4) at this bit.
    pub const CAPS_SHIFT: u32 = 20;
    /// Number of capabilities accepted (0..=4) at this bit: by a receive, or by a call for its reply.
    pub const ACCEPT_SHIFT: u32 = 24;
    /// Width of the three counts.
    pub const COUNT_MASK: u64 = 7;
    /// Every bit that means something; another is `BadCall`.
    pub const VALID: u64 = 0xff | DEADLINE | 7 << LOANS_SHIFT | 7 << CAPS_SHIFT | 7 << ACCEPT_SHIFT;
    /// Bits that take the message off the fast path.
    pub const SLOW: u64 = VALID & !0xff;
}
