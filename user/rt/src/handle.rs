//! Owned handles: dropping one closes it.
//!
//! A handle that was granted at the start is owned by nobody and lives as long as the program: use it as a plain [`Handle`].

use crate::start::own;
use sal_abi::{Error, Handle, Rights};
use sal_sys::ipc::EndpointInfo;
use sal_sys::{capability, ipc, memory, process};

macro_rules! owned {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, PartialEq, Eq)]
        pub struct $name(Handle);

        impl $name {
            /// Takes over a handle to such an object; it is closed when the value is dropped.
            pub const fn own(handle: Handle) -> $name {
                $name(handle)
            }

            /// The handle, which stays owned.
            pub const fn handle(&self) -> Handle {
                self.0
            }

            /// The handle, which is the caller's to close.
            pub fn into_handle(self) -> Handle {
                let handle = self.0;
                core::mem::forget(self);
                handle
            }

            /// A further capability with at most these rights.
            ///
            /// # Errors
            /// The kernel's.
            pub fn derive(&self, rights: Rights) -> Result<$name, Error> {
                capability::derive(self.0, rights, 0).map($name)
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if !self.0.is_none() {
                    let _ = capability::close(self.0);
                }
            }
        }
    )*};
}

owned! {
    /// Where calls and notifications are received.
    Endpoint,
    /// Bits that stay set until received.
    Notification,
    /// A place for a kept caller.
    Reply,
    /// A sparse array of pages.
    Memory,
    /// An address space.
    Space,
    /// A process.
    Process,
    /// A thread.
    Thread,
    /// Frames that may be spent.
    Budget,
}

impl Endpoint {
    /// A new one, paid by this program.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create() -> Result<Endpoint, Error> {
        ipc::endpoint_create(own::budget()).map(Endpoint)
    }

    /// A capability to call it, whose messages arrive with `badge`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn badged(&self, rights: Rights, badge: u64) -> Result<Endpoint, Error> {
        capability::derive(self.0, rights, badge).map(Endpoint)
    }

    /// Its state.
    ///
    /// # Errors
    /// The kernel's.
    pub fn info(&self) -> Result<EndpointInfo, Error> {
        ipc::endpoint_info(self.0)
    }
}

impl Notification {
    /// A new one, bound to `endpoint`, whose receiver sees `badge`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(endpoint: Handle, badge: u64) -> Result<Notification, Error> {
        ipc::notification_create(own::budget(), endpoint, badge).map(Notification)
    }

    /// Raises bits.
    ///
    /// # Errors
    /// The kernel's.
    pub fn raise(&self, bits: u64) -> Result<(), Error> {
        ipc::notify(self.0, bits)
    }
}

impl Reply {
    /// A new empty one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create() -> Result<Reply, Error> {
        ipc::reply_create(own::budget()).map(Reply)
    }
}

impl Memory {
    /// New zero-fill memory, paid by this program.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(bytes: u64) -> Result<Memory, Error> {
        memory::memory_create(own::budget(), bytes).map(Memory)
    }

    /// Sets its length; frames beyond are given back. Mappings beyond fault from then on: whoever made references from a mapping's pointer
    /// answers for them ([`crate::map::Mapped`] makes none).
    ///
    /// # Errors
    /// The kernel's.
    pub fn resize(&self, bytes: u64) -> Result<(), Error> {
        // SAFETY: this crate makes no references into memory that is reached through this type.
        unsafe { memory::memory_resize(self.0, bytes) }
    }

    /// Gives all its frames back: it reads as zero afterwards. As to references, see [`Memory::resize`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn discard(&self) -> Result<(), Error> {
        let length = self.length()?;
        // SAFETY: as in `resize`.
        pieces(length, |done| unsafe { memory::memory_discard(self.0, done, length - done) })
    }

    /// Gives the frames of a range (whole pages) back. As to references, see [`Memory::resize`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn discard_range(&self, offset: u64, length: u64) -> Result<(), Error> {
        // SAFETY: as in `resize`.
        pieces(length, |done| unsafe { memory::memory_discard(self.0, offset + done, length - done) })
    }

    /// The present pages of `from` in a range come to `to_offset` here, copy on write; others here stay. As to references, see
    /// [`Memory::resize`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn clone_range(&self, from: &Memory, offset: u64, length: u64, to_offset: u64) -> Result<(), Error> {
        // SAFETY: as in `resize`.
        pieces(length, |done| unsafe {
            memory::memory_clone(from.0, offset + done, length - done, self.0, to_offset + done)
        })
    }

    /// Copies bytes out; missing pages read as zero. All of `to`, or an error.
    ///
    /// # Errors
    /// The kernel's; `BadArgument` past the memory's length.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), Error> {
        let mut rest = to;
        let mut at = offset;
        while !rest.is_empty() {
            let n = memory::memory_read(self.0, at, rest)?;
            rest = rest.get_mut(n..).filter(|_| n != 0).ok_or(Error::BadArgument)?;
            at += n as u64;
        }
        Ok(())
    }

    /// Copies bytes in. How many before the error: all of `from`, unless pages can't be had. As to references, see [`Memory::resize`].
    ///
    /// # Errors
    /// The kernel's, if not one byte could be copied.
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<usize, Error> {
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            // SAFETY: as in `resize`.
            match unsafe { memory::memory_write(self.0, offset + done as u64, rest) } {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Frames that it has.
    ///
    /// # Errors
    /// The kernel's.
    pub fn frames(&self) -> Result<u64, Error> {
        memory::memory_info(self.0).map(|info| info.frames)
    }

    /// Becomes a copy of the first `length` bytes of `from`, copy on write. As to references, see [`Memory::resize`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn clone_from(&self, from: &Memory, length: u64) -> Result<(), Error> {
        // SAFETY: as in `resize`.
        pieces(length, |done| unsafe { memory::memory_clone(from.0, done, length - done, self.0, done) })
    }

    /// Length in bytes.
    ///
    /// # Errors
    /// The kernel's.
    pub fn length(&self) -> Result<u64, Error> {
        memory::memory_info(self.0).map(|info| info.length)
    }
}

impl Thread {
    /// Ends its blocked call, or its next one, with `Interrupted`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn interrupt(&self) -> Result<(), Error> {
        process::interrupt(self.0)
    }

    /// Its guest leaves, or does not enter, once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kick(&self) -> Result<(), Error> {
        sal_sys::guest::guest_kick(self.0)
    }
}

/// Repeats a long operation until all of `length` is done.
fn pieces(length: u64, mut piece: impl FnMut(u64) -> Result<u64, Error>) -> Result<(), Error> {
    let mut done = 0;
    while done < length {
        match piece(done)? {
            0 => return Err(Error::BadArgument),
            bytes => done += bytes,
        }
    }
    Ok(())
}
