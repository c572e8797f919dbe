//! Reading the symbol module.

use crate::bytes::{array, range, u32_at, u64_at};
use crate::{Error, Name};

pub(crate) const MAGIC: &[u8; 8] = b"SALSYMS1";
pub(crate) const HEADER: usize = 16;
pub(crate) const PROGRAM: usize = 40;
pub(crate) const SYMBOL: usize = 16;

/// Addresses and names of the programs' functions; addresses count in bytes from the image's first, the kernel's are absolute.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    programs: &'a [[u8; PROGRAM]],
    symbols: &'a [[u8; SYMBOL]],
    names: &'a str,
}

impl<'a> Symbols<'a> {
    /// Opens a symbol module. What stands in its tables is not checked: were it wrong, a name would be missed, nothing worse.
    pub fn open(module: &'a [u8]) -> Result<Symbols<'a>, Error> {
        if array(module, 0).as_ref() != Some(MAGIC) {
            return Err(Error::Symbols("no SALSYMS1 at its start"));
        }
        let short = Error::Symbols("its header is cut short");
        let size = |at, each: usize| u32_at(module, at).map(|count| u64::from(count) * each as u64).ok_or(short);
        let (programs, symbols) = (size(8, PROGRAM)?, size(12, SYMBOL)?);
        let start = HEADER as u64;
        let short = Error::Symbols("its tables are cut short");
        let names = module.get(HEADER..).and_then(|rest| rest.get(usize::try_from(programs + symbols).ok()?..));
        let names = core::str::from_utf8(names.ok_or(short)?);
        Ok(Symbols {
            programs: range(module, start, programs).ok_or(short)?.as_chunks().0,
            symbols: range(module, start + programs, symbols).ok_or(short)?.as_chunks().0,
            names: names.map_err(|_| Error::Symbols("its names are not UTF-8"))?,
        })
    }

    /// The symbols of one program, by address.
    fn of(&self, program: &str) -> Option<&'a [[u8; SYMBOL]]> {
        let name = Name::new(program)?;
        let entry = self.programs.iter().find(|entry| array(*entry, 0).and_then(Name::from_field) == Some(name))?;
        let first = u32_at(entry, 32)? as usize;
        self.symbols.get(first..)?.get(..u32_at(entry, 36)? as usize)
    }

    /// The last symbol of `program` at or before `address`, and how many bytes after its start `address` is. A symbol without a name stands
    /// at the program's end: from there on nothing is found.
    pub fn find(&self, program: &str, address: u64) -> Option<(&'a str, u64)> {
        let symbols = self.of(program)?;
        let after = symbols.partition_point(|symbol| u64_at(symbol, 0).is_some_and(|start| start <= address));
        let symbol = symbols.get(after.checked_sub(1)?)?;
        let start = u32_at(symbol, 8)? as usize;
        let name = self.names.get(start..start.checked_add(u32_at(symbol, 12)? as usize)?)?;
        (!name.is_empty()).then_some((name, address.checked_sub(u64_at(symbol, 0)?)?))
    }
}
