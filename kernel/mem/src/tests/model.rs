//! Random operations against a naive model: maps of page contents, a list of mappings.
//!
//! After each step `check()` holds, budgets have paid for what there is, and every page of every memory is what the model says; an
//! operation that ended with an error must have left it so. Budgets are small, so that they run out all the time.

use crate::emulated::{Emulated, machine};
use crate::radix::Entry;
use crate::*;
use proptest::prelude::*;
use sal_abi::Rights;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::vec;
use std::vec::Vec;

const GUEST_PAGES: [u64; 6] = [0x400, 0x410, 0x5f0, 0x200 * 0x200 - 8, 0x7_ffff_ffb0, 0x7_ffff_ff00];
const MEMORY_PAGES: [u64; 6] = [0, 3, 500, 520, (1 << 18) - 5, 1 << 34];
const NATIVE: u64 = 0xffff_8000_0000_0000;
const LONGEST: u64 = 24;

#[derive(Clone, Debug)]
struct ModelMemory {
    id: MemoryId,
    kind: Kind,
    length: u64,
    pages: BTreeMap<u64, u64>,
    asked: BTreeSet<u64>,
    closed: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct ModelMapping {
    space: SpaceId,
    start: u64,
    end: u64,
    rights: Rights,
    lower: (MemoryId, u64),
    upper: Option<(MemoryId, u64)>,
}

/// What an access must end with; `Page`: whose page is then accessed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    Page(MemoryId, u64),
    NotMapped,
    Denied,
    PastEnd,
    Ask(MemoryId, u64, bool),
}

type Step = (u8, u16, u16, u16, u16);

struct World {
    vm: Vm<Emulated>,
    memories: Vec<ModelMemory>,
    spaces: Vec<(SpaceId, SpaceKind)>,
    mappings: Vec<ModelMapping>,
    pins: Vec<(Frame, BudgetId)>,
    counter: u64,
    /// How often each kind of step did something, and failed for lack of frames.
    short: u64,
}

fn pick(n: u16, bases: &[u64]) -> u64 {
    bases[n as usize % bases.len()] + u64::from(n) / bases.len() as u64 % 20
}

fn budget(n: u16) -> BudgetId {
    BudgetId::new(1, u32::from(n % 2))
}

fn rights(n: u16) -> Rights {
    [0u32, 4, 4 | 8, 4 | 8 | 16, 4 | 16].map(Rights)[n as usize % 5]
}

impl World {
    fn new(frames: u32, limit: u64) -> World {
        let vm = machine(frames);
        let mut world =
            World { vm, memories: vec![], spaces: vec![], mappings: vec![], pins: vec![], counter: 0, short: 0 };
        for n in 0..2 {
            assert_eq!(world.vm.budget_create(BudgetId::NONE, limit), Ok(budget(n)));
            world.vm.add_name(Object::Budget(budget(n)));
        }
        let kind = Kind::Fixed { first: Frame(2), cache: Cache::Normal };
        let id = world.vm.memory_create(budget(0), kind, 2 * PAGE).unwrap();
        let pages = (0..2).map(|p| (p, world.vm.ram().read(Frame(2 + p as u32), 0))).collect();
        world.memories.push(ModelMemory { id, kind, length: 2, pages, asked: BTreeSet::new(), closed: false });
        world
    }

    fn at(&mut self, id: MemoryId) -> &mut ModelMemory {
        self.memories.iter_mut().find(|m| m.id == id).expect("a memory of the model")
    }

    fn open(&self, n: u16) -> Option<MemoryId> {
        let open: Vec<_> = self.memories.iter().filter(|m| !m.closed).collect();
        (!open.is_empty()).then(|| open[n as usize % open.len()].id)
    }

    fn space(&self, n: u16) -> Option<(SpaceId, SpaceKind)> {
        (!self.spaces.is_empty()).then(|| self.spaces[n as usize % self.spaces.len()])
    }

    fn address(kind: SpaceKind, n: u16) -> u64 {
        let page = pick(n, &GUEST_PAGES) * PAGE;
        if kind == SpaceKind::Native { NATIVE + page % (1 << 39) } else { page }
    }

    /// An error is one of those expected (then nothing may have changed), or a shortage.
    fn failed(&mut self, e: Error, expected: bool) {
        let short = matches!(e, Error::NoBudget | Error::NoFrames);
        assert!(short || expected, "unexpected {e:?}");
        self.short += u64::from(short);
    }

    fn step(&mut self, step: Step) {
        let (op, a, b, c, d) = step;
        match op % 24 {
            0 => self.create_memory(a, b, c),
            1 => self.create_space(a, b),
            2..=4 => self.map(a, b, c, d),
            5 => self.unmap(a, b, c),
            6 => self.protect(a, b, c, d),
            7..=11 => self.touch(a, b, Access::Write),
            12 | 13 => self.touch(a, b, if c.is_multiple_of(4) { Access::Execute } else { Access::Read }),
            14 | 15 => self.clone_range(a, b, c, d),
            16 => self.discard(a, b, c),
            17 => self.resize(a, b),
            18 => self.supply(a, b, d),
            19 => self.refuse(a, b),
            20 => self.write_memory(a, b),
            21 => self.pin(a, b, c),
            22 => self.close(a, b),
            _ => self.vm.advance(),
        }
        self.compare();
    }

    fn create_memory(&mut self, a: u16, b: u16, c: u16) {
        if self.memories.len() > 8 {
            return;
        }
        let kind = match a % 3 {
            0 => Kind::Paged { endpoint: u64::from(b), badge: 9 },
            _ => Kind::ZeroFill,
        };
        let length = [(1 << 34) + 30, 600, 5, 1][c as usize % 4];
        match self.vm.memory_create(budget(b), kind, length * PAGE) {
            Ok(id) => self.memories.push(ModelMemory {
                id,
                kind,
                length,
                pages: BTreeMap::new(),
                asked: BTreeSet::new(),
                closed: false,
            }),
            Err(e) => self.failed(e, false),
        }
    }

    fn create_space(&mut self, a: u16, b: u16) {
        if self.spaces.len() > 3 {
            return;
        }
        let kind = if a.is_multiple_of(3) { SpaceKind::Native } else { SpaceKind::Guest };
        match self.vm.space_create(budget(b), kind) {
            Ok(id) => self.spaces.push((id, kind)),
            Err(e) => self.failed(e, false),
        }
    }

    fn map(&mut self, a: u16, b: u16, c: u16, d: u16) {
        let (Some((space, kind)), Some(lower)) = (self.space(a), self.open(a / 4)) else {
            return;
        };
        let start = World::address(kind, b);
        let length = (u64::from(c) % LONGEST + 1) * PAGE;
        let lower = (lower, pick(d, &MEMORY_PAGES) * PAGE);
        let upper = self.open(d / 8).filter(|_| c.is_multiple_of(3));
        // Half of the private mappings have the upper at offset = address.
        let upper =
            upper.map(|u| (u, if d.is_multiple_of(2) { start % (1 << 47) } else { pick(c, &MEMORY_PAGES) * PAGE }));
        let request = MapRequest { address: start, length, rights: rights(a / 16 + d / 16), lower, upper };
        let end = start + length;
        let taken = self.mappings.iter().any(|m| m.space == space && m.start < end && start < m.end);
        let bad = upper.is_some_and(|(u, _)| u == lower.0 || self.at(u).kind != Kind::ZeroFill);
        match self.vm.map(space, &request) {
            Ok(()) => {
                assert!(!taken && !bad);
                self.mappings.push(ModelMapping { space, start, end, rights: request.rights, lower, upper });
            }
            Err(e) => self.failed(e, taken || bad),
        }
    }

    /// Cuts the model's mappings at both ends of a range. -> those inside.
    fn cut(&mut self, space: SpaceId, start: u64, end: u64) -> Vec<usize> {
        for at in [start, end] {
            let inside = |m: &ModelMapping| m.space == space && m.start < at && at < m.end;
            if let Some(i) = self.mappings.iter().position(inside) {
                let mut tail = self.mappings[i].clone();
                let skip = at - tail.start;
                tail.start = at;
                tail.lower.1 += skip;
                tail.upper = tail.upper.map(|(u, offset)| (u, offset + skip));
                self.mappings[i].end = at;
                self.mappings.push(tail);
            }
        }
        let inside = |m: &ModelMapping| m.space == space && start <= m.start && m.end <= end;
        (0..self.mappings.len()).filter(|&i| inside(&self.mappings[i])).collect()
    }

    fn unmap(&mut self, a: u16, b: u16, c: u16) {
        let Some((space, kind)) = self.space(a) else {
            return;
        };
        let start = World::address(kind, b);
        let length = (u64::from(c) % (2 * LONGEST)) * PAGE;
        match self.vm.unmap(space, start, length) {
            Ok(done) => {
                let gone = self.cut(space, start, start + done);
                let mut i = 0;
                self.mappings.retain(|_| (!gone.contains(&i), i += 1).0);
                self.sweep_closed();
            }
            Err(e) => self.failed(e, false),
        }
    }

    fn protect(&mut self, a: u16, b: u16, c: u16, d: u16) {
        let Some((space, kind)) = self.space(a) else {
            return;
        };
        let start = World::address(kind, b);
        let length = (u64::from(c) % (2 * LONGEST)) * PAGE;
        match self.vm.protect(space, start, length, rights(d)) {
            Ok(done) => {
                for i in self.cut(space, start, start + done) {
                    self.mappings[i].rights = rights(d);
                }
            }
            Err(e) => self.failed(e, false),
        }
    }

    /// What an access ends with, and what it changes in the model if frames suffice.
    fn expect(&self, space: SpaceId, address: u64, access: Access) -> Expect {
        let found = self.mappings.iter().find(|m| m.space == space && m.start <= address && address < m.end);
        let Some(m) = found else { return Expect::NotMapped };
        if !m.rights.has(access.right()) {
            return Expect::Denied;
        }
        let page = |offset: u64| (offset + address - m.start) / PAGE;
        let memory = |id: MemoryId| self.memories.iter().find(|m| m.id == id).unwrap();
        let missing = |id: MemoryId, page: u64| {
            let memory = memory(id);
            if page >= memory.length {
                return Some(Expect::PastEnd);
            }
            let ask = matches!(memory.kind, Kind::Paged { .. }) && !memory.pages.contains_key(&page);
            ask.then(|| Expect::Ask(id, page, !memory.asked.contains(&page)))
        };
        let (lower, lower_page) = (m.lower.0, page(m.lower.1));
        let Some((upper, offset)) = m.upper else {
            return missing(lower, lower_page).unwrap_or(Expect::Page(lower, lower_page));
        };
        let (upper_page, upper_memory) = (page(offset), memory(upper));
        if upper_memory.pages.contains_key(&upper_page) {
            return Expect::Page(upper, upper_page);
        }
        if access == Access::Write {
            if upper_page >= upper_memory.length {
                return Expect::PastEnd;
            }
            return missing(lower, lower_page).unwrap_or(Expect::Page(upper, upper_page));
        }
        missing(lower, lower_page).unwrap_or(Expect::Page(lower, lower_page))
    }

    /// The content that a page gets when a write makes it present.
    fn below(&self, space: SpaceId, address: u64) -> u64 {
        let m = self.mappings.iter().find(|m| m.space == space && m.start <= address && address < m.end).unwrap();
        let page = (m.lower.1 + address - m.start) / PAGE;
        let lower = self.memories.iter().find(|x| x.id == m.lower.0).unwrap();
        lower.pages.get(&page).copied().unwrap_or(0)
    }

    fn touch(&mut self, a: u16, b: u16, access: Access) {
        let Some((space, kind)) = self.space(a) else {
            return;
        };
        // Mostly at a mapping.
        let mapped: Vec<_> = self.mappings.iter().filter(|m| m.space == space).collect();
        let address = if mapped.is_empty() || b.is_multiple_of(8) {
            World::address(kind, b)
        } else {
            let m = mapped[b as usize / 8 % mapped.len()];
            m.start + u64::from(b) / 64 * PAGE % (m.end - m.start)
        };
        let expect = self.expect(space, address, access);
        let result = self.vm.resolve(space, address, access);
        match (result, expect) {
            (Ok((frame, _)), Expect::Page(id, page)) => {
                let below = self.below(space, address);
                let value = *self.at(id).pages.entry(page).or_insert(below);
                assert_eq!(self.vm.ram().read(frame, 0), value, "{access:?} at {address:#x}");
                if access == Access::Write {
                    self.counter += 1;
                    let value = self.counter;
                    self.vm.ram().write(frame, 0, value);
                    self.at(id).pages.insert(page, value);
                }
            }
            (Err(Outcome::NeedsPager(ask)), Expect::Ask(id, page, first)) => {
                assert_eq!((ask.memory, ask.offset, ask.first), (id, page * PAGE, first));
                self.at(id).asked.insert(page);
            }
            (Err(Outcome::NoBudget | Outcome::NoFrames), _) => self.short += 1,
            (Err(Outcome::NotMapped), Expect::NotMapped) => {}
            (Err(Outcome::Denied), Expect::Denied) => {}
            (Err(Outcome::PastEnd), Expect::PastEnd) => {}
            (result, expect) => panic!("{access:?} at {address:#x}: {result:?}, not {expect:?}"),
        }
    }

    fn clone_range(&mut self, a: u16, b: u16, c: u16, d: u16) {
        let (Some(from), Some(to)) = (self.open(a), self.open(a / 16)) else {
            return;
        };
        let (first, target) = (pick(b, &MEMORY_PAGES), pick(if c.is_multiple_of(2) { b } else { d }, &MEMORY_PAGES));
        let pages = if c.is_multiple_of(5) { 1 << 18 } else { u64::from(c) % 40 };
        let overlap = from == to && first < target + pages && target < first + pages;
        let destination = self.at(to).clone();
        let bad = overlap || target + pages > destination.length || matches!(destination.kind, Kind::Fixed { .. });
        let result = self.vm.clone_range((from, first * PAGE), pages * PAGE, (to, target * PAGE));
        match result {
            Ok(done) => {
                assert!(!bad);
                let range = first..first + done / PAGE;
                let copied: Vec<_> = self.at(from).pages.range(range).map(|(&p, &v)| (p, v)).collect();
                for (page, value) in copied {
                    self.at(to).pages.insert(page - first + target, value);
                    self.at(to).asked.remove(&(page - first + target));
                }
            }
            Err(e) => self.failed(e, bad),
        }
    }

    fn discard(&mut self, a: u16, b: u16, c: u16) {
        let Some(id) = self.open(a) else { return };
        let first = pick(b, &MEMORY_PAGES);
        let pages = if c.is_multiple_of(5) { 1 << 35 } else { u64::from(c) % 40 };
        let fixed = matches!(self.at(id).kind, Kind::Fixed { .. });
        match self.vm.discard(id, first * PAGE, pages * PAGE) {
            Ok(done) => {
                let end = first + done / PAGE;
                self.at(id).pages.retain(|p, _| *p < first || *p >= end);
            }
            Err(e) => self.failed(e, fixed),
        }
    }

    fn resize(&mut self, a: u16, b: u16) {
        let Some(id) = self.open(a) else { return };
        let length = pick(b, &MEMORY_PAGES) + 20;
        let fixed = matches!(self.at(id).kind, Kind::Fixed { .. });
        loop {
            match self.vm.resize(id, length * PAGE) {
                Ok(false) => {}
                Ok(true) => {
                    let memory = self.at(id);
                    memory.length = length;
                    memory.pages.retain(|p, _| *p < length);
                    memory.asked.retain(|p| *p < length);
                    return;
                }
                Err(e) => return self.failed(e, fixed),
            }
        }
    }

    fn supply(&mut self, a: u16, b: u16, d: u16) {
        let (Some(to), Some(from)) = (self.open(a), self.open(a / 16)) else {
            return;
        };
        let asked = self.at(to).asked.iter().next().copied();
        let to_page = asked.filter(|_| !b.is_multiple_of(4)).unwrap_or_else(|| pick(b, &MEMORY_PAGES));
        let held = self.at(from).pages.keys().nth(d as usize % 5).copied();
        let from_page = held.unwrap_or_else(|| pick(d, &MEMORY_PAGES));
        let value = self.at(from).pages.get(&from_page).copied();
        let fixed = matches!(self.at(from).kind, Kind::Fixed { .. });
        let target = self.at(to);
        let bad = fixed
            || value.is_none()
            || target.pages.contains_key(&to_page)
            || to_page >= target.length
            || matches!(target.kind, Kind::Fixed { .. });
        match self.vm.supply((to, to_page * PAGE), (from, from_page * PAGE)) {
            Ok(_) => {
                assert!(!bad);
                self.at(from).pages.remove(&from_page);
                self.at(to).pages.insert(to_page, value.unwrap());
                self.at(to).asked.remove(&to_page);
            }
            Err(e) => self.failed(e, bad),
        }
    }

    fn refuse(&mut self, a: u16, b: u16) {
        let Some(id) = self.open(a) else { return };
        let page = self.at(id).asked.iter().next().copied().unwrap_or(u64::from(b));
        let asked = self.at(id).asked.contains(&page);
        match self.vm.refuse(id, page * PAGE) {
            Ok(()) => assert!(self.at(id).asked.remove(&page)),
            Err(e) => {
                assert!(!asked && e == Error::Vacant, "{e:?}");
            }
        }
    }

    /// Writes one word without a mapping, and reads it back.
    fn write_memory(&mut self, a: u16, b: u16) {
        let Some(id) = self.open(a) else { return };
        let page = pick(b, &MEMORY_PAGES);
        self.counter += 1;
        let value = self.counter;
        let memory = self.at(id).clone();
        let missing = matches!(memory.kind, Kind::Paged { .. }) && !memory.pages.contains_key(&page);
        match self.vm.memory_write(id, page * PAGE, &value.to_le_bytes()) {
            Ok(0) => assert!(page >= memory.length),
            Ok(_) => {
                self.at(id).pages.insert(page, value);
                let (frame, at) = self.vm.place(Side::Memory(id, page * PAGE), 0, Access::Read).unwrap();
                assert_eq!(self.vm.ram().read(frame, at / 8), value);
            }
            Err(Error::Absent) => {
                assert!(missing);
                self.at(id).asked.insert(page);
            }
            Err(e) => self.failed(e, false),
        }
    }

    /// Pins a mapped page, or lets one go.
    fn pin(&mut self, a: u16, b: u16, c: u16) {
        if c.is_multiple_of(3) && !self.pins.is_empty() {
            let (frame, payer) = self.pins.swap_remove(c as usize % self.pins.len());
            return self.vm.unpin(payer, frame).unwrap();
        }
        let Some((space, _)) = self.space(a) else { return };
        let mapped: Vec<_> = self.mappings.iter().filter(|m| m.space == space).collect();
        let Some(address) = mapped.get(b as usize % mapped.len().max(1)).map(|m| m.start) else {
            return;
        };
        let expect = self.expect(space, address, Access::Write);
        match self.vm.pin(budget(c), space, address) {
            Ok(frame) => {
                let below = self.below(space, address);
                let Expect::Page(id, page) = expect else { panic!("pinned, not {expect:?}") };
                self.at(id).pages.entry(page).or_insert(below);
                self.pins.push((frame, budget(c)));
            }
            Err(Error::Absent) => {
                let Expect::Ask(id, page, _) = expect else { panic!("asked, not {expect:?}") };
                self.at(id).asked.insert(page);
            }
            Err(e) => self.failed(e, true),
        }
    }

    /// Closes a memory, destroys a space, or takes closed memories apart.
    fn close(&mut self, a: u16, b: u16) {
        match a % 5 {
            0 => {
                let Some(id) = self.open(b) else { return };
                self.vm.memory_close(id).unwrap();
                self.at(id).closed = true;
                self.sweep_closed();
            }
            1 => {
                let Some((id, _)) = self.space(b) else { return };
                self.vm.space_close(id);
                while self.vm.reap() {
                    self.vm.check().unwrap();
                }
                self.spaces.retain(|s| s.0 != id);
                self.mappings.retain(|m| m.space != id);
                self.sweep_closed();
            }
            _ => {
                self.vm.reap();
            }
        }
    }

    /// Closed memories that nothing maps are gone.
    fn sweep_closed(&mut self) {
        let mappings = &self.mappings;
        let used = |id: MemoryId| mappings.iter().any(|m| m.lower.0 == id || m.upper.is_some_and(|u| u.0 == id));
        self.memories.retain(|m| !m.closed || used(m.id));
    }

    /// The machine is what the model says.
    fn compare(&self) {
        self.vm.check().unwrap();
        for memory in &self.memories {
            let object = self.vm.memory(memory.id).unwrap();
            let (mut pages, mut asked) = (BTreeMap::new(), BTreeSet::new());
            object.tree.walk(&self.vm.pool.ram, &mut |_, _| (), &mut |page, entry| match entry {
                Entry::Present(frame) => {
                    pages.insert(page, self.vm.ram().read(frame, 0));
                }
                _ => {
                    asked.insert(page);
                }
            });
            if matches!(memory.kind, Kind::Fixed { .. }) {
                pages = (0..2).map(|p| (p, self.vm.ram().read(Frame(2 + p as u32), 0))).collect();
            }
            assert_eq!(pages, memory.pages, "{:?}", memory.id);
            assert_eq!(asked, memory.asked, "{:?}", memory.id);
        }
        for id in [0, 1].map(budget) {
            let pins = self.pins.iter().filter(|p| p.1 == id).count() as u64;
            assert_eq!(self.vm.budget(id).unwrap().used, self.vm.charged(id) + pins, "budget {id:?}");
        }
        for &(frame, _) in &self.pins {
            assert_eq!(self.vm.frames().usage(self.vm.ram(), frame), Use::Data);
        }
    }

    /// Ends everything: nothing may stay in use.
    fn end(mut self) {
        while let Some((frame, payer)) = self.pins.pop() {
            self.vm.unpin(payer, frame).unwrap();
        }
        for (id, _) in self.spaces.clone() {
            self.vm.space_close(id);
        }
        for memory in self.memories.clone().iter().filter(|m| !m.closed) {
            self.vm.memory_close(memory.id).unwrap();
        }
        while self.vm.reap() {}
        self.vm.check().unwrap();
        for id in [0, 1].map(budget) {
            let budget = self.vm.budget(id).unwrap();
            assert_eq!((budget.used, budget.objects), (0, 0));
        }
        let arenas = (0..self.vm.frames().covered())
            .filter(|&f| self.vm.frames().usage(self.vm.ram(), Frame(f)) == Use::Kernel)
            .count() as u64;
        assert_eq!(self.vm.frames().used(), arenas);
        self.vm.advance();
        self.vm.advance();
        assert_eq!(self.vm.frames().available() + arenas, self.vm.frames().total());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_agree_with_a_naive_model(
        steps in prop::collection::vec(any::<Step>(), 1..600),
        limit in 12u64..200,
        frames in 150u32..600,
    ) {
        let mut world = World::new(frames, limit);
        for (i, step) in steps.into_iter().enumerate() {
            let text = format!("step {i}: {step:?}");
            let _ = &text;
            world.step(step);
        }
        world.end();
    }
}
