//! Readiness.

use crate::contents::Contents;
use crate::errno::Errno;
use crate::file::What;
use crate::remote::Target;
use crate::types::{Ctx, Fd};
use crate::vfs::Vfs;
use crate::wait::{Events, QueueId, WaitOn};
use linux_raw_sys::general as sys;

/// Whether a descriptor is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// What is ready now, of what was asked, and errors.
    pub ready: Events,
    /// Where to wait for more; `None` if it is always ready.
    pub wait: Option<WaitOn>,
    /// Only this one knows: ask it, and have it tell [`Vfs::remote_ready`].
    pub ask: Option<Target>,
}

const ALWAYS: Events = Events::IN.union(Events::OUT).union(Events::RDNORM).union(Events::WRNORM);
const UNASKED: Events = Events::ERR.union(Events::HUP).union(Events::NVAL);

impl<C: Contents> Vfs<C> {
    /// What poll(2) says of `fd`, and where to wait for `events`; a number that isn't open is `NVAL`.
    pub fn poll(&mut self, ctx: &Ctx, fd: Fd, events: Events) -> Result<Readiness, Errno> {
        let never = Readiness { ready: Events::NVAL, wait: None, ask: None };
        let Ok((_, desc)) = self.file(ctx, fd) else {
            return Ok(never);
        };
        let wants = events | UNASKED;
        let access = desc.flags & sys::O_ACCMODE;
        match &desc.what {
            What::Pipe(id) => {
                let pipe = self.pipes.get(*id).ok_or(Errno::EBADF)?;
                let mut ready = Events::empty();
                if access != sys::O_WRONLY {
                    ready |= pipe.read_ready();
                }
                if access != sys::O_RDONLY {
                    ready |= pipe.write_ready();
                }
                let wait = Some(WaitOn { queue: pipe.queue, events: wants });
                Ok(Readiness { ready: ready & wants, wait, ask: None })
            }
            What::Socket { pair, side } => {
                let (ready, queue) = self.socket_ready(*pair, *side)?;
                Ok(Readiness { ready: ready & wants, wait: Some(WaitOn { queue, events: wants }), ask: None })
            }
            What::Terminal { rdev } => Ok(self.ask_readiness(Target::Terminal { rdev: *rdev }, wants)),
            _ => Ok(Readiness { ready: ALWAYS & wants, wait: None, ask: None }),
        }
    }

    fn ask_readiness(&mut self, target: Target, events: Events) -> Readiness {
        let queue = self.remote_queue(target);
        Readiness { ready: Events::empty(), wait: Some(WaitOn { queue, events }), ask: Some(target) }
    }

    fn remote_queue(&mut self, target: Target) -> QueueId {
        if let Some((_, queue)) = self.remote_queues.iter().find(|(t, _)| *t == target) {
            return *queue;
        }
        let queue = self.waits.create();
        self.remote_queues.push((target, queue));
        queue
    }

    /// A server or the console says that a terminal or remote file may have become ready: those that wait are woken.
    pub fn remote_ready(&mut self, target: Target) {
        if let Some((_, queue)) = self.remote_queues.iter().find(|(t, _)| *t == target) {
            self.waits.wake(*queue, Events::all());
        }
    }
}
