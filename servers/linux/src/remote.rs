//! Calls to other servers, made without the lock by the thread of the task that waits for the answer.

use crate::counts::{self, Told};
use crate::shared::Shared;
use crate::{files, terminal};
use sal_linux_core::{Errno, RemoteCall, RemoteRequest, RemoteResult, Server};
use sal_rt::lock;

/// Makes the call. An interrupt that came while the thread waited for a lock counts.
pub(crate) fn call(shared: &'static Shared, call: &RemoteCall) -> RemoteResult {
    // Whoever reads a served file may read what the supervisor knows of this program: it knows all of it then.
    if matches!(call.server, Server::Mounted(_)) && counts::tell(shared) == Told::Interrupted {
        return RemoteResult::Interrupted;
    }
    if lock::take_interrupt() {
        return RemoteResult::Interrupted;
    }
    match (call.server, &call.request) {
        (Server::Tty(tty), request) => terminal::call(&shared.console, tty, request, &call.buffers),
        (Server::Mounted(id), RemoteRequest::File(request)) => {
            let pool = shared.servers.lock().get(id.0 as usize).map(|mounted| mounted.pool);
            pool.map_or(RemoteResult::Failed(Errno::EIO), |pool| files::call(pool, request, &call.buffers))
        }
        (Server::Mounted(_), _) => RemoteResult::Failed(Errno::ENOTTY),
    }
}
