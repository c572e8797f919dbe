//! Linux error numbers by name.
//!
//! The numbers come from the kernel's own headers (`linux-raw-sys`); this type keeps a number from being taken for a
//! result. It is shared with the personality: a system call's failure is an `Errno` from bottom to top.

use core::fmt;

/// A Linux error number, 1 to 4095. Shown by its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($name:ident),* $(,)?) => {
        /// One constant per error, named as in errno(3).
        #[allow(missing_docs)]
        impl Errno {
            $(pub const $name: Errno = Errno(linux_raw_sys::errno::$name as u16);)*

            /// The name as in errno(3), or `E?` for a number without one.
            pub const fn name(self) -> &'static str {
                $(if self.0 == Self::$name.0 { return stringify!($name); })*
                "E?"
            }
        }
    };
}

errnos! {
    EPERM, ENOENT, ESRCH, EINTR, EIO, ENXIO, E2BIG, ENOEXEC, EBADF, ECHILD, EAGAIN, ENOMEM, EACCES, EFAULT, ENOTBLK,
    EBUSY, EEXIST, EXDEV, ENODEV, ENOTDIR, EISDIR, EINVAL, ENFILE, EMFILE, ENOTTY, ETXTBSY, EFBIG, ENOSPC, ESPIPE,
    EROFS, EMLINK, EPIPE, EDOM, ERANGE, EDEADLK, ENAMETOOLONG, ENOLCK, ENOSYS, ENOTEMPTY, ELOOP, ENOMSG, EIDRM,
    ENODATA, ETIME, EPROTO, EBADMSG, EOVERFLOW, ELIBBAD, EILSEQ, EUSERS, ENOTSOCK, EDESTADDRREQ, EMSGSIZE, EPROTOTYPE,
    ENOPROTOOPT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EOPNOTSUPP, EPFNOSUPPORT, EAFNOSUPPORT, EADDRINUSE, EADDRNOTAVAIL,
    ENETDOWN, ENETUNREACH, ENETRESET, ECONNABORTED, ECONNRESET, ENOBUFS, EISCONN, ENOTCONN, ESHUTDOWN, ETIMEDOUT,
    ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, EALREADY, EINPROGRESS, ESTALE, EDQUOT, ENOMEDIUM, ECANCELED, EOWNERDEAD,
    ENOTRECOVERABLE,
}

impl Errno {
    /// The error with this number; `None` outside 1..=4095.
    pub const fn from_raw(number: u32) -> Option<Errno> {
        if number >= 1 && number <= 4095 { Some(Errno(number as u16)) } else { None }
    }

    /// The number, as in errno(3).
    pub const fn raw(self) -> u32 {
        self.0 as u32
    }

    /// What a system call returns for it: the negated number.
    pub const fn result(self) -> i64 {
        -(self.0 as i64)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
