//! What a call comes to: for the shell ([`Step`]), and inside ([`Outcome`]).

use crate::errno::Errno;
use crate::files::GuestBuffer;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What the shell does next with the task that made the call.
#[derive(Debug)]
pub enum Step {
    /// Enter the guest; the registers are as they should be.
    Return,
    /// Wait until [`crate::Platform::wake`] names the task, or until the deadline; then call [`crate::Linux::resume`].
    Block(Wait),
    /// As `Return`, after other threads of the same priority had their turn.
    Yield,
    /// Make this call to another server without the lock, then call [`crate::Linux::complete`].
    Remote(RemoteCall),
    /// The task is gone: its native thread ends (leaving the guest space first), and never names the task again.
    Exit,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wait {
    /// Nanoseconds since boot; `None`: for ever.
    pub deadline: Option<u64>,
}

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// The server of a mounted prefix.
    Mounted(sal_vfs::ServerId),
    /// A terminal; 0 is the console.
    Tty(u32),
}

/// A call to another server.
#[derive(Debug, PartialEq, Eq)]
pub struct RemoteCall {
    /// Whom to ask.
    pub server: Server,
    /// What.
    pub request: RemoteRequest,
    /// The program's buffers for a read or write, lent in place, at most four.
    pub buffers: Vec<GuestBuffer>,
}

impl RemoteCall {
    /// What the file system wants closed at a server.
    pub(crate) fn of_close(op: &sal_vfs::RemoteOp) -> Option<RemoteCall> {
        let sal_vfs::Target::Server(id) = op.target else {
            return None;
        };
        let request = RemoteRequest::File(Box::new(op.request.clone()));
        Some(RemoteCall { server: Server::Mounted(id), request, buffers: Vec::new() })
    }
}

/// What another server is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum RemoteRequest {
    /// A file operation; reads and writes move bytes between the server and [`RemoteCall::buffers`].
    File(Box<sal_vfs::Request>),
    /// An ioctl that the terminal itself answers (`TCGETS`, `TCSETS*`, `TIOCGWINSZ`, `TIOCSWINSZ`, `FIONREAD`,
    /// `TCFLSH`, ...): the answer's bytes come back in [`RemoteResult::Bytes`].
    Ioctl {
        /// The ioctl's number.
        request: u32,
        /// The argument itself, for those that pass no pointer.
        argument: u64,
        /// The structure that the argument points to, for those that send one.
        data: Vec<u8>,
        /// Bytes that the answer carries.
        answer: usize,
    },
    /// Which of `events` (`POLLIN`, `POLLOUT`) hold now ([`sal_vfs::Reply::Number`])? And once, when more of them do,
    /// have [`crate::Linux::tty_event`] called with [`crate::job::TtyEvent::Ready`].
    Poll {
        /// `POLL*` bits.
        events: u16,
    },
}

/// The answer of another server.
#[derive(Debug, PartialEq, Eq)]
pub enum RemoteResult {
    /// To a file operation or a poll.
    File(sal_vfs::Reply),
    /// To an ioctl: its result and the structure.
    Bytes(u64, Vec<u8>),
    /// The server said no; `EIO` when it is gone for good.
    Failed(Errno),
    /// [`crate::Platform::interrupt`] ended it before anything was done.
    Interrupted,
}

/// What a handler comes to.
#[derive(Debug)]
pub enum Outcome {
    /// The call's result.
    Value(u64),
    /// Zero, after others had their turn.
    Yield,
    /// Registered on its wait condition; call the handler again when woken.
    Block(Wait),
    /// The handler is called again with the answer in its `Progress`.
    Remote(RemoteCall),
    /// The registers are set whole: `rt_sigreturn`, `execve`.
    Registers,
    /// The task is dead.
    Exit,
}

/// Zero: success of most calls.
pub(crate) const DONE: Result<Outcome, Errno> = Ok(Outcome::Value(0));
