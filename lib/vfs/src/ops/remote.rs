//! Finishing what a server answered.

use crate::contents::Contents;
use crate::contents::Dest;
use crate::errno::Errno;
use crate::remote::{Completed, RemoteOp, RemoteResult};
use crate::types::{Ctx, Outcome};
use crate::vfs::Vfs;

/// How an operation goes on after the answer.
#[derive(Debug)]
pub(crate) enum Then {}

impl<C: Contents> Vfs<C> {
    /// Finishes `op` with the server's answer. `to`: the program's buffer for getdents (reads went there directly).
    #[allow(unused_variables)]
    pub fn complete(
        &mut self,
        ctx: &Ctx,
        op: RemoteOp,
        answer: RemoteResult,
        to: Option<&mut dyn Dest>,
    ) -> Result<Outcome<Completed>, Errno> {
        Err(Errno::ENOSYS)
    }
}
