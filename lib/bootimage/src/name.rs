//! The name of a module.

use core::fmt;

/// Bytes that a name may have.
const LENGTH: usize = 31;

/// A module's name: 1 to 31 bytes of UTF-8 without zero bytes, padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; LENGTH + 1]);

impl Name {
    /// From text; none if it is empty, too long or has a zero byte.
    pub fn new(text: &str) -> Option<Name> {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.contains(&0) {
            return None;
        }
        let mut name = [0; LENGTH + 1];
        name.get_mut(..LENGTH)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Name(name))
    }

    /// From the field of a table entry; none if it is no name, or has bytes after its end.
    pub(crate) fn from_field(field: [u8; LENGTH + 1]) -> Option<Name> {
        let end = field.iter().position(|b| *b == 0)?;
        let text = core::str::from_utf8(field.get(..end)?).ok()?;
        Name::new(text).filter(|name| name.0 == field)
    }

    /// The field of a table entry.
    #[cfg(any(test, feature = "write"))]
    pub(crate) fn field(&self) -> &[u8; LENGTH + 1] {
        &self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(LENGTH);
        self.0.get(..end).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
