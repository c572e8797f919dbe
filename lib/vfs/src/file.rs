//! Open file descriptions: what dup and fork share.

use crate::node::{InodeId, Place};
use crate::pipe::PipeId;
use crate::procfs::ProcFile;
use crate::remote::{RemoteFile, ServerId};
use crate::socket::{PairId, Side};
use alloc::vec::Vec;
use sal_arena::Id;

/// Names an open file description.
pub(crate) type DescId = Id<Description>;

/// One open of a file: offset and flags are shared by every descriptor that refers to it.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) place: Place,
    /// The directory through which it was opened: where its name is looked for.
    pub(crate) dir: Option<InodeId>,
    /// Access mode and status flags, `O_*`.
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    /// Descriptors that refer to it, and operations under way at a server.
    pub(crate) refs: u32,
    pub(crate) what: What,
}

/// What reads and writes go to.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A regular file in memory.
    File,
    /// A directory in memory, or of /proc.
    Dir,
    /// An end of a pipe.
    Pipe(PipeId),
    /// An end of a pair of sockets.
    Socket { pair: PairId, side: Side },
    /// /dev/null, /dev/zero, ...
    Device(Device),
    /// A file of /proc: its bytes as rendered at the last read from the start.
    Proc { file: ProcFile, text: Vec<u8> },
    /// A file of another server.
    Remote { server: ServerId, file: RemoteFile },
    /// A terminal.
    Terminal { rdev: u64 },
    /// `O_PATH`: nothing to read or write.
    Path,
}

/// Devices that need no driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Device {
    Null,
    Zero,
    Full,
    Random,
}
