//! Error numbers, and the restart codes that never reach a program.

use linux_raw_sys::errno as e;

/// A Linux error number (positive), or a restart code (512 and above, internal).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Errno(pub u16);

impl Errno {
    /// The call is repeated after a handler with `SA_RESTART` or no handler; else `EINTR`.
    pub const RESTART_SYS: Errno = Errno(512);
    /// The call is always repeated.
    pub const RESTART_NO_INTR: Errno = Errno(513);
    /// The call is repeated only if no handler ran; else `EINTR`.
    pub const RESTART_NO_HAND: Errno = Errno(514);
    /// As `RESTART_NO_HAND`; the repeated call goes on with the saved deadline (`restart_syscall`).
    pub const RESTART_BLOCK: Errno = Errno(516);

    /// As a system call returns it: minus the number.
    #[inline(always)]
    pub const fn to_result(self) -> u64 {
        (self.0 as i64).wrapping_neg() as u64
    }

    /// Is it one of the restart codes?
    pub const fn is_restart(self) -> bool {
        self.0 >= 512
    }
}

macro_rules! errnos {
    ($($name:ident)*) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`, see errno(3).")]
            pub const $name: Errno = Errno(e::$name as u16);)*
        }
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV ENODEV
    ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK
    ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENODATA EOVERFLOW ENOTSOCK EAFNOSUPPORT EOPNOTSUPP ETIMEDOUT ESTALE
    ELIBBAD EPROTONOSUPPORT ESOCKTNOSUPPORT ENOPROTOOPT EISCONN ECONNREFUSED
}
