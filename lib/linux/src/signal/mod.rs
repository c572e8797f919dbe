//! Signals, the data: sets, what is pending, what is done. signal(7), sigaction(2).

pub mod deliver;
pub mod frame;
pub mod send;

use alloc::vec::Vec;
use linux_raw_sys::general as g;

/// A set of signals: bit n-1 is signal n.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SigSet(pub u64);

impl SigSet {
    /// Those that cannot be blocked, caught or ignored.
    pub const UNBLOCKABLE: SigSet = SigSet(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1));

    /// Just this one.
    pub const fn of(signal: u8) -> SigSet {
        SigSet(1u64 << ((signal.wrapping_sub(1)) & 63))
    }

    /// Is it in?
    pub const fn has(self, signal: u8) -> bool {
        self.0 & SigSet::of(signal).0 != 0
    }

    /// With all of `other`.
    pub const fn or(self, other: SigSet) -> SigSet {
        SigSet(self.0 | other.0)
    }

    /// Without those of `other`.
    pub const fn without(self, other: SigSet) -> SigSet {
        SigSet(self.0 & !other.0)
    }

    /// Is nothing in it?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As a program sets its mask: without those that cannot be blocked.
    pub const fn blockable(self) -> SigSet {
        self.without(SigSet::UNBLOCKABLE)
    }
}

macro_rules! signals {
    ($($name:ident)*) => { $(#[doc = concat!("`", stringify!($name), "`, see signal(7).")] pub const $name: u8 = g::$name as u8;)* };
}

signals! {
    SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM
    SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGSYS
}
/// Real-time signals start here.
pub const SIGRTMIN: u8 = 32;
/// The last signal.
pub const SIGMAX: u8 = 64;

/// SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU.
pub const STOPS: SigSet =
    SigSet(SigSet::of(SIGSTOP).0 | SigSet::of(SIGTSTP).0 | SigSet::of(SIGTTIN).0 | SigSet::of(SIGTTOU).0);

/// Raised by the thread's own instructions: delivered before others.
pub const SYNCHRONOUS: SigSet = SigSet(
    SigSet::of(SIGSEGV).0
        | SigSet::of(SIGBUS).0
        | SigSet::of(SIGILL).0
        | SigSet::of(SIGTRAP).0
        | SigSet::of(SIGFPE).0
        | SigSet::of(SIGSYS).0,
);

/// What a signal does when nothing was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultAction {
    /// The process ends.
    Terminate,
    /// Nothing.
    Ignore,
    /// The process stops.
    Stop,
}

/// signal(7), "Standard signals".
pub const fn default_action(signal: u8) -> DefaultAction {
    match signal {
        SIGCHLD | SIGURG | SIGWINCH | SIGCONT => DefaultAction::Ignore,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => DefaultAction::Stop,
        _ => DefaultAction::Terminate,
    }
}

/// `siginfo_t`, without its trailing zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SigInfo {
    /// `si_signo`
    pub signal: u8,
    /// `si_errno`
    pub errno: i32,
    /// `si_code`
    pub code: i32,
    /// The union at offset 16.
    pub fields: [u64; 4],
}

/// `SI_USER`, `SI_QUEUE`, `SI_TKILL`, `SI_KERNEL`, and the `CLD_*`, `SEGV_*`, `BUS_*`, `ILL_*`, `FPE_*`, `TRAP_*` codes
/// in use (asm-generic/siginfo.h).
#[allow(missing_docs, reason = "the names are the header's")]
pub mod code {
    pub const USER: i32 = 0;
    pub const QUEUE: i32 = -1;
    pub const TKILL: i32 = -6;
    pub const KERNEL: i32 = 0x80;
    pub const CLD_EXITED: i32 = 1;
    pub const CLD_KILLED: i32 = 2;
    pub const CLD_STOPPED: i32 = 5;
    pub const CLD_CONTINUED: i32 = 6;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub const BUS_ADRALN: i32 = 1;
    pub const BUS_ADRERR: i32 = 2;
    pub const ILL_ILLOPN: i32 = 2;
    pub const FPE_INTDIV: i32 = 1;
    pub const FPE_FLTINV: i32 = 7;
    pub const TRAP_BRKPT: i32 = 1;
}

/// Bytes of `siginfo_t`.
pub const SIGINFO_BYTES: usize = 128;

impl SigInfo {
    /// From a process: `kill`, `tgkill`.
    pub fn from_user(signal: u8, code: i32, pid: u32, uid: u32) -> SigInfo {
        SigInfo { signal, errno: 0, code, fields: [pid as u64 | (uid as u64) << 32, 0, 0, 0] }
    }

    /// From the kernel.
    pub fn from_kernel(signal: u8) -> SigInfo {
        SigInfo { signal, errno: 0, code: code::KERNEL, fields: [0; 4] }
    }

    /// A fault at an address.
    pub fn fault(signal: u8, code: i32, address: u64) -> SigInfo {
        SigInfo { signal, errno: 0, code, fields: [address, 0, 0, 0] }
    }

    /// A child's change.
    pub fn child(code: i32, pid: u32, uid: u32, status: i32, cpu_ticks: u64) -> SigInfo {
        let fields = [pid as u64 | (uid as u64) << 32, status as u32 as u64, cpu_ticks, 0];
        SigInfo { signal: SIGCHLD, errno: 0, code, fields }
    }

    /// Sender's process id (kill, child).
    pub fn pid(&self) -> u32 {
        self.fields.first().map_or(0, |f| *f as u32)
    }

    /// As in memory.
    pub fn to_bytes(&self) -> [u8; SIGINFO_BYTES] {
        let mut words = [0u64; SIGINFO_BYTES / 8];
        let head = [self.signal as u64 | (self.errno as u32 as u64) << 32, self.code as u32 as u64];
        for (word, value) in words.iter_mut().zip(head.iter().chain(&self.fields)) {
            *word = *value;
        }
        let mut bytes = [0; SIGINFO_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// From memory (`rt_sigqueueinfo`), for `signal`.
    pub fn from_words(signal: u8, words: [u64; 6]) -> SigInfo {
        let [head, code, a, b, c, d] = words;
        SigInfo { signal, errno: (head >> 32) as i32, code: code as i32, fields: [a, b, c, d] }
    }
}

/// Signals that wait for delivery.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Which.
    pub set: SigSet,
    queue: Vec<SigInfo>,
}

/// `RLIMIT_SIGPENDING` as it is counted: per queue.
const QUEUE_LIMIT: usize = 1024;

impl Pending {
    /// Adds one. A standard signal that is there already is dropped; a full queue refuses real-time ones (`false`).
    pub fn push(&mut self, info: SigInfo) -> bool {
        if info.signal < SIGRTMIN && self.set.has(info.signal) {
            return true;
        }
        if self.queue.len() >= QUEUE_LIMIT && info.signal >= SIGRTMIN {
            return false;
        }
        self.set = self.set.or(SigSet::of(info.signal));
        self.queue.push(info);
        true
    }

    /// Takes the next one that is not in `blocked`: faults first, then by number, FIFO within one.
    pub fn take(&mut self, blocked: SigSet) -> Option<SigInfo> {
        let ready = self.set.without(blocked);
        if ready.is_empty() {
            return None;
        }
        let first = if ready.0 & SYNCHRONOUS.0 != 0 { ready.0 & SYNCHRONOUS.0 } else { ready.0 };
        let signal = first.trailing_zeros() as u8 + 1;
        let index = self.queue.iter().position(|i| i.signal == signal);
        let info = index.map_or(SigInfo::from_kernel(signal), |i| self.queue.remove(i));
        if !self.queue.iter().any(|i| i.signal == signal) {
            self.set = self.set.without(SigSet::of(signal));
        }
        Some(info)
    }

    /// Drops those in `set`.
    pub fn discard(&mut self, set: SigSet) {
        if self.set.0 & set.0 != 0 {
            self.queue.retain(|i| !set.has(i.signal));
            self.set = self.set.without(set);
        }
    }
}

/// What a signal does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SigAction {
    /// `SIG_DFL` (0), `SIG_IGN` (1) or the handler's address.
    pub handler: u64,
    /// `SA_*`
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Blocked while the handler runs.
    pub mask: SigSet,
}

/// `SIG_DFL`
pub const SIG_DFL: u64 = 0;
/// `SIG_IGN`
pub const SIG_IGN: u64 = 1;

impl SigAction {
    /// Has it this `SA_*` flag?
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag as u64 != 0
    }

    /// Is `signal` thrown away?
    pub const fn ignores(&self, signal: u8) -> bool {
        self.handler == SIG_IGN || self.handler == SIG_DFL && matches!(default_action(signal), DefaultAction::Ignore)
    }
}

/// The alternate stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AltStack {
    /// Lowest address.
    pub base: u64,
    /// Bytes; 0: none.
    pub size: u64,
    /// `SS_AUTODISARM` or 0.
    pub flags: u32,
}

impl Default for AltStack {
    fn default() -> Self {
        AltStack { base: 0, size: 0, flags: g::SS_DISABLE }
    }
}

impl AltStack {
    /// Is the stack pointer on it?
    pub const fn holds(&self, sp: u64) -> bool {
        self.size != 0 && sp > self.base && sp - self.base <= self.size && self.flags & g::SS_AUTODISARM == 0
    }

    /// `ss_flags` as a program sees it.
    pub const fn state(&self, sp: u64) -> u32 {
        if self.size == 0 {
            g::SS_DISABLE
        } else if self.holds(sp) {
            g::SS_ONSTACK | self.flags
        } else {
            self.flags
        }
    }
}
