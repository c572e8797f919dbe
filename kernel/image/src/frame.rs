//! A thread's registers, as the core wants them.

use sal_abi::Words;
use sal_arch_x86_64::frame::{Frame as Registers, start};

/// Length of the `syscall` instruction, in bytes.
const SYSCALL_LENGTH: u64 = 2;

/// A thread's saved registers.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub(crate) struct Frame(pub(crate) Registers);

impl sal_kernel_core::Frame for Frame {
    fn operation(&self) -> u64 {
        self.0.rax
    }

    fn argument(&self) -> u64 {
        self.0.rdi
    }

    fn words(&self) -> Words {
        let r = &self.0;
        [r.rsi, r.rdx, r.r10, r.r8, r.r9, r.r12, r.r13, r.r14]
    }

    fn set_words(&mut self, words: Words) {
        let r = &mut self.0;
        [r.rsi, r.rdx, r.r10, r.r8, r.r9, r.r12, r.r13, r.r14] = words;
    }

    fn set_status(&mut self, status: i64) {
        self.0.rax = status as u64;
    }

    fn set_badge(&mut self, badge: u64) {
        self.0.rdi = badge;
    }

    /// First argument in `rdi`, message page in `rsi`.
    fn start(&mut self, entry: u64, stack: u64, argument: u64, page: u64) {
        self.0 = start(entry, stack, argument, page);
    }

    fn jump(&mut self, to: u64) {
        self.0.rip = to;
    }

    fn position(&self) -> [u64; 3] {
        [self.0.rip, self.0.rsp, self.0.rbp]
    }

    fn repeat_call(&mut self) {
        self.0.rip -= SYSCALL_LENGTH;
        self.0.rcx = self.0.rip;
    }
}
