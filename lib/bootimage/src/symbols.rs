//! Reading a symbol module.

use crate::Error;
use crate::bytes::{array, range, u32_at, u64_at};

pub(crate) const MAGIC: &[u8; 8] = b"SALSYMS1";
pub(crate) const HEADER: usize = 16;
pub(crate) const SYMBOL: usize = 16;

/// Addresses and names of a program's functions, by address; for a program, in bytes from the image's first.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    table: &'a [[u8; SYMBOL]],
    names: &'a str,
}

impl<'a> Symbols<'a> {
    /// Opens a symbol module. The order of the addresses is not checked: were it wrong, a name would be missed, nothing worse.
    pub fn open(module: &'a [u8]) -> Result<Symbols<'a>, Error> {
        if array(module, 0).as_ref() != Some(MAGIC) {
            return Err(Error::Symbols("no SALSYMS1 at its start"));
        }
        let short = Error::Symbols("its header is cut short");
        let count = u64::from(u32_at(module, 8).ok_or(short)?);
        let length = u64::from(u32_at(module, 12).ok_or(short)?);
        let size = count * SYMBOL as u64;
        let table = range(module, HEADER as u64, size).ok_or(Error::Symbols("its table is cut short"))?;
        let names =
            range(module, HEADER as u64 + size, length).ok_or(Error::Symbols("its names are cut short"))?;
        let names = core::str::from_utf8(names).map_err(|_| Error::Symbols("its names are not UTF-8"))?;
        Ok(Symbols {
            table: table.as_chunks().0,
            names,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The last symbol at or before `address`, and how many bytes after its start `address` is.
    pub fn find(&self, address: u64) -> Option<(&'a str, u64)> {
        let after = self
            .table
            .partition_point(|symbol| u64_at(symbol, 0).is_some_and(|start| start <= address));
        let symbol = self.table.get(after.checked_sub(1)?)?;
        let start = u32_at(symbol, 8)? as usize;
        let name = self
            .names
            .get(start..start.checked_add(u32_at(symbol, 12)? as usize)?)?;
        Some((name, address.checked_sub(u64_at(symbol, 0)?)?))
    }
}
