//! File names: short ones inline, so that a path walk and a directory allocate nothing for them.

use crate::errno::Errno;
use alloc::boxed::Box;
use core::fmt;

/// Longest name of one directory entry, in bytes.
pub const NAME_MAX: usize = 255;
/// Longest path, with its NUL.
pub const PATH_MAX: usize = 4096;
const INLINE: usize = 22;

/// The name of a directory entry: 1 to 255 bytes without `/` and NUL; not `.` and `..`.
#[derive(Clone)]
pub(crate) struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Short(u8, [u8; INLINE]),
    Long(Box<[u8]>),
}

impl Name {
    /// `ENAMETOOLONG` over 255 bytes.
    pub(crate) fn new(bytes: &[u8]) -> Result<Name, Errno> {
        if bytes.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let mut short = [0; INLINE];
        Ok(Name(match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Repr::Short(bytes.len() as u8, short)
            }
            None => Repr::Long(bytes.into()),
        }))
    }

    /// Bytes that it takes beside itself.
    pub(crate) fn heap(&self) -> usize {
        match &self.0 {
            Repr::Short(..) => 0,
            Repr::Long(bytes) => bytes.len() + 16,
        }
    }

    /// Its bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(len, bytes) => bytes.get(..*len as usize).unwrap_or(&[]),
            Repr::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.bytes() == other.bytes()
    }
}
impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes().escape_ascii())
    }
}
