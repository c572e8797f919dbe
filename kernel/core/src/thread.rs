//! A thread's body: what only its owner touches.

use crate::threads::NONE;
use sal_abi::message::{CAPS, LOANS};
use sal_abi::{CapArg, Loan};

/// What a blocked thread waits for: decides how an answer is delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Wait {
    /// Nothing: it runs or could.
    #[default]
    None,
    /// The answer to its call.
    Call,
    /// The answer to a page fault: it repeats the access, its registers stay.
    Fault,
    /// A message.
    Receive,
}

/// A thread.
#[derive(Clone, Debug, Default)]
pub struct Thread<F> {
    /// Its registers while it is not running.
    pub frame: F,
    /// Index of its process.
    pub process: u32,
    /// The frame of memory that holds its message page.
    pub page: u32,
    /// Root of its address space; with a guest attached: the root with both halves.
    pub root: u64,
    /// Root of the guest alone, or 0.
    pub guest_root: u64,
    /// Index and generation of the attached guest space, as a raw id; 0 for none.
    pub guest_space: u64,
    /// It runs its guest now (its own registers are in `frame`, the guest's in the message page).
    pub in_guest: bool,
    /// It was started.
    pub started: bool,
    /// The frame of memory for its FPU state; 0: it has none.
    pub fpu_page: u32,
    /// Its own priority.
    pub base: u8,
    /// The least that it runs at, whoever it serves: its own priority, or 0, so that it works for its callers at theirs.
    pub floor: u8,
    /// The priority that it runs at.
    pub priority: u8,
    /// The CPU that it belongs on.
    pub home: u32,
    /// It may run on `home` only.
    pub pinned: bool,
    /// Next in the queue that it is in.
    pub next: u32,
    /// Previous in the queue that it is in.
    pub prev: u32,
    /// What it waits for.
    pub wait: Wait,
    /// Number of its current wait.
    pub sequence: u32,
    /// Badge with which its message arrives.
    pub badge: u64,
    /// Buffers lent by its call.
    pub loans: [Loan; LOANS],
    /// How many.
    pub loan_count: u8,
    /// Capabilities that its message carries.
    pub caps: [CapArg; CAPS],
    /// How many.
    pub cap_count: u8,
    /// Capabilities that it accepts in the message or reply it waits for.
    pub accept: u8,
    /// When its present call was made (nanoseconds), for the endpoint's oldest unanswered call; 0 on the fast path until asked.
    pub called_at: u64,
    /// The endpoint that it last received at, as a raw id; 0 for none.
    pub serves: u64,
    /// Nanoseconds of CPU that it has used.
    pub used: u64,
    /// What it waits to be acknowledged: epoch and CPUs; 0 CPUs for nothing.
    pub shot: (u64, u32),
    /// Offset and access of its page fault, for the pager.
    pub fault: [u64; 2],
    /// Index of the process whose death it waits for.
    pub waits_for: u32,
}

impl<F> Thread<F> {
    /// The links of a thread in no queue.
    pub fn unlink(&mut self) {
        self.next = NONE;
        self.prev = NONE;
    }
}
