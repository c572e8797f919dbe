//! Connections to one server, lent to whoever makes a call: as many as there ever were calls at the same time.

use alloc::vec::Vec;
use sal_abi::Handle;
use sal_idl::Failure;
use sal_idl::header::SEQUENCES;
use sal_rt::Mutex;
use sal_rt::connection::{Connection, fresh_key};

/// The connections that nobody uses now.
pub(crate) struct Pool {
    endpoint: Handle,
    free: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(crate) const fn new(endpoint: Handle) -> Pool {
        Pool { endpoint, free: Mutex::new(Vec::new()) }
    }

    /// Makes a call, or several.
    ///
    /// # Errors
    /// Opening a further slot failed, in the way of the interface's other calls.
    pub(crate) fn with<R, E>(
        &self,
        call: impl FnOnce(&mut Connection) -> Result<R, Failure<E>>,
    ) -> Result<R, Failure<E>> {
        let free = self.free.lock().pop();
        let mut connection = match free {
            Some(connection) => connection,
            None => self.open()?,
        };
        let result = call(&mut connection);
        self.free.lock().push(connection);
        result
    }

    fn open<E>(&self) -> Result<Connection, Failure<E>> {
        match Connection::open(self.endpoint, fresh_key()) {
            Ok(connection) => Ok(connection),
            Err(Failure::UnknownOperation) => Ok(Connection::plain(self.endpoint)),
            Err(Failure::Transport(error)) => Err(Failure::Transport(error)),
            Err(Failure::Poisoned) => Err(Failure::Poisoned),
            Err(_) => Err(Failure::BadReply),
        }
    }
}

/// So that the next request has the number of the last one.
pub(crate) fn repeat(connection: &mut Connection) {
    let (slot, sequence) = connection.position();
    if sequence != 0 {
        let before = if sequence == 1 { SEQUENCES - 1 } else { sequence - 1 };
        *connection = Connection::resume(connection.endpoint(), slot, before);
    }
}

/// Did an interrupt end the call?
pub(crate) fn interrupted<E>(failure: &Failure<E>) -> bool {
    matches!(failure, Failure::Transport(error) if error.error == sal_abi::Error::Interrupted)
}

/// Was a buffer of the program's not there?
pub(crate) fn bad_buffer<E>(failure: &Failure<E>) -> bool {
    matches!(failure, Failure::Transport(error) if error.error == sal_abi::Error::BadAddress)
}
