//! The machine below: spaces of pages, files, and a record of what the platform was told.

use super::PAGE;
use sal_abi::x86_64::GuestRegisters;
use sal_linux_core::mm::Area;
use sal_linux_core::{
    Backing, Errno, MemoryFigures, ObjectId, Platform, PowerState, Protection, SpaceId, TaskId, UserMemory,
};
use sal_vfs::{Capacity, ContentId, Contents, Dest, Extent, HeapContents, SliceDest, SliceSource, Source};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// File bytes that both the file system and the emulated page tables reach.
#[derive(Clone)]
pub struct SharedContents(pub Arc<Mutex<HeapContents>>);

type F<T> = Result<T, sal_vfs::Errno>;

impl Contents for SharedContents {
    fn create(&mut self) -> F<ContentId> {
        self.0.lock().unwrap().create()
    }
    fn destroy(&mut self, id: ContentId) {
        self.0.lock().unwrap().destroy(id);
    }
    fn resize(&mut self, id: ContentId, old: u64, size: u64) -> F<()> {
        self.0.lock().unwrap().resize(id, old, size)
    }
    fn read(&mut self, id: ContentId, offset: u64, len: usize, to: &mut dyn Dest) -> F<usize> {
        self.0.lock().unwrap().read(id, offset, len, to)
    }
    fn write(&mut self, id: ContentId, offset: u64, len: usize, from: &mut dyn Source) -> F<usize> {
        self.0.lock().unwrap().write(id, offset, len, from)
    }
    fn punch(&mut self, id: ContentId, offset: u64, len: u64) -> F<()> {
        self.0.lock().unwrap().punch(id, offset, len)
    }
    fn reserve(&mut self, id: ContentId, offset: u64, len: u64) -> F<()> {
        self.0.lock().unwrap().reserve(id, offset, len)
    }
    fn allocated(&self, id: ContentId) -> u64 {
        self.0.lock().unwrap().allocated(id)
    }
    fn seek(&self, id: ContentId, offset: u64, what: Extent) -> Option<u64> {
        self.0.lock().unwrap().seek(id, offset, what)
    }
    fn capacity(&self) -> Capacity {
        self.0.lock().unwrap().capacity()
    }
}

#[derive(Clone, Default)]
pub struct Space {
    /// Mappings by page.
    pub map: BTreeMap<u64, (Protection, Backing)>,
    /// The space's own pages.
    pub own: BTreeMap<u64, Vec<u8>>,
}

#[derive(Default)]
pub struct Machine {
    pub now: u64,
    pub spaces: BTreeMap<u32, Space>,
    pub shared: BTreeMap<u64, BTreeMap<u64, Vec<u8>>>,
    pub next: u32,
    pub spawned: Vec<(TaskId, SpaceId, GuestRegisters)>,
    pub switched: Vec<(TaskId, SpaceId)>,
    pub woken: Vec<TaskId>,
    pub kicked: Vec<TaskId>,
    pub interrupted: Vec<TaskId>,
    pub alarm: Option<u64>,
    pub power: Option<PowerState>,
    pub fpu: Vec<u8>,
    pub seed: u64,
    pub refuse_spawn: bool,
}

/// The machine as platform and as memory.
#[derive(Clone)]
pub struct Fake {
    pub m: Rc<RefCell<Machine>>,
    pub files: SharedContents,
}

fn shift(backing: Backing, by: u64) -> Backing {
    match backing {
        Backing::Anonymous => Backing::Anonymous,
        Backing::Private { object, offset } => Backing::Private { object, offset: offset + by },
        Backing::Shared { object, offset } => Backing::Shared { object, offset: offset + by },
    }
}

impl Fake {
    fn page(&self, space: SpaceId, page: u64) -> Vec<u8> {
        let m = self.m.borrow();
        let space = &m.spaces[&space.0];
        if let Some((_, Backing::Shared { object: ObjectId::Shared(id), offset })) = space.map.get(&page) {
            return m.shared[id].get(offset).cloned().unwrap_or(vec![0; PAGE as usize]);
        }
        if let Some((_, Backing::Shared { object: ObjectId::File(id), offset })) = space.map.get(&page) {
            return self.file_page(*id, *offset);
        }
        if let Some(own) = space.own.get(&page) {
            return own.clone();
        }
        match space.map.get(&page) {
            Some((_, Backing::Private { object: ObjectId::File(id), offset })) => self.file_page(*id, *offset),
            _ => vec![0; PAGE as usize],
        }
    }

    fn file_page(&self, id: ContentId, offset: u64) -> Vec<u8> {
        let mut bytes = vec![0; PAGE as usize];
        let mut to = SliceDest::new(&mut bytes);
        self.files.clone().read(id, offset, PAGE as usize, &mut to).unwrap();
        bytes
    }

    fn put_page(&self, space: SpaceId, page: u64, bytes: Vec<u8>) {
        let backing = self.m.borrow().spaces[&space.0].map.get(&page).map(|p| p.1);
        match backing {
            Some(Backing::Shared { object: ObjectId::Shared(id), offset }) => {
                self.m.borrow_mut().shared.get_mut(&id).unwrap().insert(offset, bytes);
            }
            Some(Backing::Shared { object: ObjectId::File(id), offset }) => {
                self.files.clone().write(id, offset, PAGE as usize, &mut SliceSource(&bytes)).unwrap();
            }
            _ => {
                self.m.borrow_mut().spaces.get_mut(&space.0).unwrap().own.insert(page, bytes);
            }
        }
    }

    /// One access that stays in the page.
    fn access(&self, space: SpaceId, address: u64, wants: Protection) -> Result<Vec<u8>, Errno> {
        let page = address / PAGE * PAGE;
        let allowed = self.m.borrow().spaces[&space.0].map.get(&page).is_some_and(|p| p.0.contains(wants));
        if allowed { Ok(self.page(space, page)) } else { Err(Errno::EFAULT) }
    }
}

pub struct Memory<'a>(pub &'a Fake, pub SpaceId);

fn pieces(address: u64, length: usize) -> Vec<(u64, usize, usize)> {
    let mut out = vec![];
    let mut done = 0;
    while done < length {
        let at = address.wrapping_add(done as u64);
        let here = ((PAGE - at % PAGE) as usize).min(length - done);
        out.push((at, done, here));
        done += here;
    }
    out
}

impl UserMemory for Memory<'_> {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        for (at, from, n) in pieces(address, buffer.len()) {
            let page = self.0.access(self.1, at, Protection::READ)?;
            let o = (at % PAGE) as usize;
            buffer[from..from + n].copy_from_slice(&page[o..o + n]);
        }
        Ok(())
    }
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        for (at, from, n) in pieces(address, data.len()) {
            let mut page = self.0.access(self.1, at, Protection::WRITE)?;
            let o = (at % PAGE) as usize;
            page[o..o + n].copy_from_slice(&data[from..from + n]);
            self.0.put_page(self.1, at / PAGE * PAGE, page);
        }
        Ok(())
    }
    fn load_u32(&mut self, address: u64) -> Result<u32, Errno> {
        let mut b = [0; 4];
        self.read(address, &mut b)?;
        Ok(u32::from_le_bytes(b))
    }
    fn compare_exchange_u32(&mut self, address: u64, expected: u32, new: u32) -> Result<u32, Errno> {
        let old = self.load_u32(address)?;
        if old == expected {
            self.write(address, &new.to_le_bytes())?;
        }
        Ok(old)
    }
}

impl Platform for Fake {
    fn now(&mut self) -> u64 {
        self.m.borrow().now
    }
    fn realtime_offset(&mut self) -> u64 {
        1_700_000_000_000_000_000
    }
    fn set_realtime_offset(&mut self, _: u64) -> Result<(), Errno> {
        Ok(())
    }
    fn random(&mut self, buffer: &mut [u8]) {
        let mut m = self.m.borrow_mut();
        for b in buffer {
            m.seed = m.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *b = (m.seed >> 33) as u8;
        }
    }
    fn log(&mut self, _: &str) {}
    fn space_create(&mut self) -> Result<SpaceId, Errno> {
        let mut m = self.m.borrow_mut();
        m.next += 1;
        let id = m.next;
        m.spaces.insert(id, Space::default());
        Ok(SpaceId(id))
    }
    fn space_fork(&mut self, from: SpaceId, areas: &mut dyn Iterator<Item = &Area>) -> Result<SpaceId, Errno> {
        let to = self.space_create()?;
        let own = self.m.borrow().spaces[&from.0].own.clone();
        self.m.borrow_mut().spaces.get_mut(&to.0).unwrap().own = own;
        for area in areas {
            self.map(to, area)?;
        }
        Ok(to)
    }
    fn space_destroy(&mut self, space: SpaceId) {
        assert!(self.m.borrow_mut().spaces.remove(&space.0).is_some(), "a space is destroyed once");
    }
    fn map(&mut self, space: SpaceId, area: &Area) -> Result<(), Errno> {
        if area.len() > 64 << 20 {
            return Err(Errno::ENOMEM);
        }
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for page in (area.start..area.end).step_by(PAGE as usize) {
            let old = space.map.insert(page, (area.protection, shift(area.backing, page - area.start)));
            assert!(old.is_none(), "something is mapped at {page:x}");
        }
        Ok(())
    }
    fn unmap(&mut self, space: SpaceId, start: u64, length: u64) {
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for page in (start..start + length).step_by(PAGE as usize) {
            assert!(space.map.remove(&page).is_some(), "nothing is mapped at {page:x}");
            space.own.remove(&page);
        }
    }
    fn protect(&mut self, space: SpaceId, start: u64, length: u64, protection: Protection) {
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for page in (start..start + length).step_by(PAGE as usize) {
            space.map.get_mut(&page).expect("mapped").0 = protection;
        }
    }
    fn discard(&mut self, space: SpaceId, start: u64, length: u64) {
        let mut m = self.m.borrow_mut();
        m.spaces.get_mut(&space.0).unwrap().own.retain(|p, _| !(start..start + length).contains(p));
    }
    fn move_pages(&mut self, space: SpaceId, from: u64, to: u64, length: u64) -> Result<(), Errno> {
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for page in (0..length).step_by(PAGE as usize) {
            if let Some(bytes) = space.own.remove(&(from + page)) {
                space.own.insert(to + page, bytes);
            }
        }
        Ok(())
    }
    fn space_write(&mut self, space: SpaceId, address: u64, data: &[u8]) -> Result<(), Errno> {
        let mut m = self.m.borrow_mut();
        let space = m.spaces.get_mut(&space.0).unwrap();
        for (at, from, n) in pieces(address, data.len()) {
            let page = space.own.entry(at / PAGE * PAGE).or_insert(vec![0; PAGE as usize]);
            let o = (at % PAGE) as usize;
            page[o..o + n].copy_from_slice(&data[from..from + n]);
        }
        Ok(())
    }
    fn space_read(&mut self, space: SpaceId, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        for (at, from, n) in pieces(address, buffer.len()) {
            let page = self.page(space, at / PAGE * PAGE);
            let o = (at % PAGE) as usize;
            buffer[from..from + n].copy_from_slice(&page[o..o + n]);
        }
        Ok(())
    }
    fn space_resident(&mut self, space: SpaceId) -> u64 {
        self.m.borrow().spaces.get(&space.0).map_or(0, |s| s.own.len() as u64 * PAGE)
    }
    fn shared_create(&mut self, _: u64) -> Result<ObjectId, Errno> {
        let mut m = self.m.borrow_mut();
        m.next += 1;
        let id = m.next as u64;
        m.shared.insert(id, BTreeMap::new());
        Ok(ObjectId::Shared(id))
    }
    fn shared_destroy(&mut self, object: ObjectId) {
        let ObjectId::Shared(id) = object else { panic!("a file") };
        assert!(self.m.borrow_mut().shared.remove(&id).is_some());
    }
    fn spawn(&mut self, task: TaskId, space: SpaceId, r: &GuestRegisters, _: Option<TaskId>) -> Result<(), Errno> {
        let mut m = self.m.borrow_mut();
        if m.refuse_spawn {
            return Err(Errno::EAGAIN);
        }
        m.spawned.push((task, space, *r));
        Ok(())
    }
    fn switch_space(&mut self, task: TaskId, space: SpaceId) {
        self.m.borrow_mut().switched.push((task, space));
    }
    fn wake(&mut self, task: TaskId) {
        self.m.borrow_mut().woken.push(task);
    }
    fn kick(&mut self, task: TaskId) {
        self.m.borrow_mut().kicked.push(task);
    }
    fn interrupt(&mut self, task: TaskId) {
        self.m.borrow_mut().interrupted.push(task);
    }
    fn set_alarm(&mut self, at: Option<u64>) {
        self.m.borrow_mut().alarm = at;
    }
    fn fpu_size(&mut self) -> usize {
        832
    }
    fn fpu_features(&mut self) -> u64 {
        7
    }
    fn fpu_save(&mut self, buffer: &mut [u8]) {
        let m = self.m.borrow();
        for (to, from) in buffer.iter_mut().zip(&m.fpu) {
            *to = *from;
        }
    }
    fn fpu_restore(&mut self, buffer: &[u8]) -> Result<(), Errno> {
        self.m.borrow_mut().fpu = buffer.to_vec();
        Ok(())
    }
    fn cpus(&mut self) -> u32 {
        2
    }
    fn cpu(&mut self, _: TaskId) -> u32 {
        1
    }
    fn hwcap(&mut self) -> u64 {
        0x1f8b_fbff
    }
    fn cpu_name(&mut self) -> &str {
        "emulated"
    }
    fn memory(&mut self) -> MemoryFigures {
        MemoryFigures { total: 1 << 30, free: 1 << 29, files: 1 << 20 }
    }
    fn cpu_time(&mut self, _: TaskId) -> u64 {
        30_000_000
    }
    fn set_nice(&mut self, _: TaskId, _: i8) {}
    fn power(&mut self, state: PowerState) {
        self.m.borrow_mut().power = Some(state);
    }
}
