//! Guest address spaces: each with one zero-filled upper memory, offset = address, that gets what the program writes into its own pages.

use alloc::vec::Vec;
use sal_abi::x86_64::GUEST_END;
use sal_abi::{Error, Handle, Rights};
use sal_linux_core::mm::Area;
use sal_linux_core::{Backing, Errno, ObjectId, Protection, SpaceId};
use sal_rt::guest::GuestSpace;
use sal_rt::handle::Memory;
use sal_sys::memory::{self, Mapping};

/// One address space.
pub(crate) struct Room {
    pub(crate) space: GuestSpace,
    pub(crate) upper: Memory,
}

/// All of them; a `SpaceId` is an index.
pub(crate) struct Spaces {
    budget: Handle,
    rooms: Vec<Option<Room>>,
}

fn no_memory(_: Error) -> Errno {
    Errno::ENOMEM
}

/// As the kernel takes them: none, or READ with others.
fn rights(protection: Protection) -> Rights {
    let right = |flag, right| {
        if protection.contains(flag) { right } else { Rights::NONE }
    };
    if protection.is_empty() {
        return Rights::NONE;
    }
    Rights::READ.or(right(Protection::WRITE, Rights::WRITE)).or(right(Protection::EXECUTE, Rights::EXECUTE))
}

/// The memory behind an object: its number is the handle.
fn handle(object: ObjectId) -> Handle {
    match object {
        ObjectId::File(content) => Handle(content.0),
        ObjectId::Shared(number) => Handle(number),
    }
}

impl Room {
    fn new(budget: Handle) -> Result<Room, Error> {
        Ok(Room { space: GuestSpace::create(budget)?, upper: Memory::own(memory::memory_create(budget, GUEST_END)?) })
    }

    fn map(&self, area: &Area) -> Result<(), Error> {
        let own = (self.upper.handle(), area.start);
        let ((memory, offset), upper) = match area.backing {
            Backing::Anonymous => (own, None),
            Backing::Private { object, offset } => ((handle(object), offset), Some(own)),
            Backing::Shared { object, offset } => ((handle(object), offset), None),
        };
        self.space.map(&Mapping {
            address: area.start,
            length: area.len(),
            memory,
            offset,
            rights: rights(area.protection),
            upper,
        })
    }

    fn copy(&self, from: &Room, area: &Area) -> Result<(), Error> {
        if !area.is_shared() {
            self.upper.clone_range(&from.upper, area.start, area.len(), area.start)?;
        }
        self.map(area)
    }
}

impl Spaces {
    /// Paid by `budget`.
    pub(crate) fn new(budget: Handle) -> Spaces {
        Spaces { budget, rooms: Vec::new() }
    }

    pub(crate) fn get(&self, id: SpaceId) -> Result<&Room, Errno> {
        self.rooms.get(id.0 as usize).and_then(Option::as_ref).ok_or(Errno::ESRCH)
    }

    pub(crate) fn create(&mut self) -> Result<SpaceId, Errno> {
        let room = Room::new(self.budget).map_err(no_memory)?;
        Ok(self.insert(room))
    }

    fn insert(&mut self, room: Room) -> SpaceId {
        let free = self.rooms.iter().position(Option::is_none);
        let index = free.unwrap_or(self.rooms.len());
        match self.rooms.get_mut(index) {
            Some(place) => *place = Some(room),
            None => self.rooms.push(Some(room)),
        }
        SpaceId(index as u32)
    }

    pub(crate) fn fork(&mut self, from: SpaceId, areas: &mut dyn Iterator<Item = &Area>) -> Result<SpaceId, Errno> {
        let room = Room::new(self.budget).map_err(no_memory)?;
        let old = self.get(from)?;
        for area in areas {
            room.copy(old, area).map_err(no_memory)?;
        }
        Ok(self.insert(room))
    }

    pub(crate) fn destroy(&mut self, id: SpaceId) {
        if let Some(place) = self.rooms.get_mut(id.0 as usize) {
            *place = None;
        }
    }

    pub(crate) fn map(&mut self, id: SpaceId, area: &Area) -> Result<(), Errno> {
        self.get(id)?.map(area).map_err(no_memory)
    }

    /// Unmaps, and gives the space's own pages there back.
    pub(crate) fn unmap(&mut self, id: SpaceId, start: u64, length: u64) -> Result<(), Error> {
        let Ok(room) = self.get(id) else { return Ok(()) };
        room.space.unmap(start, length)?;
        room.upper.discard_range(start, length)
    }

    pub(crate) fn protect(
        &mut self,
        id: SpaceId,
        start: u64,
        length: u64,
        protection: Protection,
    ) -> Result<(), Error> {
        let Ok(room) = self.get(id) else { return Ok(()) };
        room.space.protect(start, length, rights(protection))
    }

    pub(crate) fn discard(&mut self, id: SpaceId, start: u64, length: u64) -> Result<(), Error> {
        let Ok(room) = self.get(id) else { return Ok(()) };
        room.upper.discard_range(start, length)
    }

    pub(crate) fn move_pages(&mut self, id: SpaceId, from: u64, to: u64, length: u64) -> Result<(), Errno> {
        let upper = &self.get(id)?.upper;
        upper.clone_range(upper, from, length, to).map_err(no_memory)?;
        upper.discard_range(from, length).map_err(no_memory)
    }

    pub(crate) fn write(&mut self, id: SpaceId, address: u64, data: &[u8]) -> Result<(), Errno> {
        let done = self.get(id)?.upper.write(address, data).map_err(no_memory)?;
        if done == data.len() { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    pub(crate) fn read(&mut self, id: SpaceId, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        self.get(id)?.upper.read(address, buffer).map_err(|_| Errno::EFAULT)
    }

    pub(crate) fn resident(&mut self, id: SpaceId) -> u64 {
        let frames = self.get(id).ok().and_then(|room| room.upper.frames().ok());
        frames.unwrap_or(0) * sal_abi::PAGE
    }
}
