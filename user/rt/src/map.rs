//! Mappings in this program's free range: who has which addresses, and memory that is unmapped when dropped.

use crate::handle;
use crate::lock::Mutex;
use crate::start::own;
use alloc::collections::BTreeMap;
use sal_abi::{Error, Handle, PAGE, Rights};
use sal_sys::memory::{self, Mapping};

/// Free ranges, start to length; filled at the first use. Neighbours are joined.
static FREE: Mutex<Option<BTreeMap<u64, u64>>> = Mutex::new(None);

/// The part of the free range that is not the heap's.
fn initial() -> BTreeMap<u64, u64> {
    let Some(startup) = own::startup() else {
        return BTreeMap::new();
    };
    let (_, start) = crate::heap::limits(startup.free_start, startup.free_end);
    let end = startup.free_end - startup.free_end % PAGE;
    BTreeMap::from([(start, end.saturating_sub(start))])
}

/// Takes `length` bytes of addresses at a multiple of `align`, both whole pages; `None` if there are none.
pub(crate) fn reserve(length: u64, align: u64) -> Option<u64> {
    let mut guard = FREE.lock();
    let free = guard.get_or_insert_with(initial);
    let fits = |start: u64, room: u64| {
        let address = start.checked_next_multiple_of(align)?;
        let end = address.checked_add(length)?;
        (end <= start + room).then_some((start, room, address))
    };
    let (start, room, address) = free.iter().find_map(|(start, room)| fits(*start, *room))?;
    free.remove(&start);
    if address > start {
        free.insert(start, address - start);
    }
    let rest = start + room - (address + length);
    if rest > 0 {
        free.insert(address + length, rest);
    }
    Some(address)
}

/// Gives addresses back.
pub(crate) fn release(address: u64, length: u64) {
    let mut guard = FREE.lock();
    let free = guard.get_or_insert_with(initial);
    let (mut start, mut room) = (address, length);
    if let Some((before, size)) = free.range(..address).next_back().map(|(b, s)| (*b, *s))
        && before + size == address
    {
        (start, room) = (before, size + length);
    }
    if let Some(size) = free.remove(&(address + length)) {
        room += size;
    }
    free.insert(start, room);
}

/// Memory mapped at a place of the run-time's choice; unmapped when dropped.
#[derive(Debug)]
pub struct Mapped {
    address: u64,
    length: u64,
}

impl Mapped {
    /// Maps `length` bytes (whole pages) of `memory` from `offset` on.
    ///
    /// # Errors
    /// The kernel's; `BadAddress` if the free range is full.
    pub fn new(memory: Handle, offset: u64, length: u64, rights: Rights) -> Result<Mapped, Error> {
        if length == 0 || !length.is_multiple_of(PAGE) {
            return Err(Error::BadArgument);
        }
        let address = reserve(length, PAGE).ok_or(Error::BadAddress)?;
        let mapping = Mapping { address, length, memory, offset, rights, upper: None };
        match memory::map(own::space(), &mapping) {
            Ok(()) => Ok(Mapped { address, length }),
            Err(error) => {
                release(address, length);
                Err(error)
            }
        }
    }

    /// Where it starts. Whoever turns this into references answers for who else has the memory mapped.
    pub fn pointer(&self) -> *mut u8 {
        self.address as *mut u8
    }

    /// First address.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Copies out; `None` outside the mapping. What others write meanwhile comes out torn, not undefined.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Option<()> {
        self.check(offset, to.len())?;
        // SAFETY: inside the mapping; the mapping lives as long as `self`. No reference to the mapped bytes is made.
        unsafe { core::ptr::copy(self.pointer().add(offset as usize), to.as_mut_ptr(), to.len()) };
        Some(())
    }

    /// Copies in; `None` outside the mapping. The mapping must be writable, or this is a fault.
    pub fn write(&self, offset: u64, from: &[u8]) -> Option<()> {
        self.check(offset, from.len())?;
        // SAFETY: as in `read`.
        unsafe { core::ptr::copy(from.as_ptr(), self.pointer().add(offset as usize), from.len()) };
        Some(())
    }

    fn check(&self, offset: u64, length: usize) -> Option<()> {
        (offset.checked_add(length as u64)? <= self.length).then_some(())
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: this module hands out no references into the mapping.
        if unsafe { memory::unmap(own::space(), self.address, self.length) }.is_ok() {
            release(self.address, self.length);
        }
    }
}

/// Memory that is this program's alone, mapped: its bytes are a slice.
#[derive(Debug)]
pub struct Exclusive {
    mapped: Mapped,
    /// Kept, so that nobody else gets at it through this program.
    _memory: handle::Memory,
}

impl Exclusive {
    /// Maps the first `length` bytes (whole pages) of `memory`, readable and writable. It must be zero-fill memory that was made for this
    /// program and that nobody else maps or writes, as long as this lives: who made it (the memory server, a budget) answers for that.
    ///
    /// # Errors
    /// As [`Mapped::new`].
    pub fn new(memory: handle::Memory, length: u64) -> Result<Exclusive, Error> {
        let mapped = Mapped::new(memory.handle(), 0, length, Rights::READ.or(Rights::WRITE))?;
        Ok(Exclusive { mapped, _memory: memory })
    }
}

impl AsRef<[u8]> for Exclusive {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the mapping has that length and lives as long as `self`; nobody else has the memory, so only a `&mut self` changes it.
        unsafe { core::slice::from_raw_parts(self.mapped.pointer(), self.mapped.length() as usize) }
    }
}

impl AsMut<[u8]> for Exclusive {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(self.mapped.pointer(), self.mapped.length() as usize) }
    }
}
