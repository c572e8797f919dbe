//! Each operation by itself.

use crate::emulated::{Emulated, machine};
use crate::*;
use sal_abi::Rights;

const A: BudgetId = BudgetId::new(1, 0);
const RW: Rights = Rights(4 | 8);

/// A machine, and a budget.
struct World {
    vm: Vm<Emulated>,
}

impl World {
    fn new() -> World {
        World::with(512, 400)
    }

    fn with(frames: u32, limit: u64) -> World {
        let mut vm = machine(frames);
        assert_eq!(vm.budget_create(BudgetId::NONE, limit), Ok(A));
        vm.add_name(Object::Budget(A));
        World { vm }
    }

    fn ok(&self) {
        self.vm.check().unwrap();
        assert_eq!(self.vm.budget(A).unwrap().used, self.vm.charged(A));
    }

    fn memory(&mut self, pages: u64) -> MemoryId {
        self.vm.memory_create(A, Kind::ZeroFill, pages * PAGE).unwrap()
    }

    fn guest(&mut self) -> SpaceId {
        self.vm.space_create(A, SpaceKind::Guest).unwrap()
    }

    fn map(&mut self, space: SpaceId, address: u64, pages: u64, memory: (MemoryId, u64), rights: Rights) {
        let request = MapRequest { address, length: pages * PAGE, rights, lower: memory, upper: None };
        self.vm.map(space, &request).unwrap();
        self.ok();
    }

    fn poke(&mut self, space: SpaceId, address: u64, value: u64) -> Result<(), Outcome> {
        let found = self.vm.resolve(space, address, Access::Write);
        self.ok();
        let (frame, offset) = found?;
        self.vm.ram().write(frame, offset / 8, value);
        Ok(())
    }

    fn peek(&mut self, space: SpaceId, address: u64) -> Result<u64, Outcome> {
        let found = self.vm.resolve(space, address, Access::Read);
        self.ok();
        found.map(|(frame, offset)| self.vm.ram().read(frame, offset / 8))
    }
}

#[test]
fn zero_fill_is_filled_once_and_keeps_what_is_written() {
    let mut w = World::new();
    let (m, s) = (w.memory(100), w.guest());
    w.map(s, 0x40_0000, 100, (m, 0), RW);
    assert_eq!(w.peek(s, 0x40_0008), Ok(0));
    w.poke(s, 0x40_0008, 7).unwrap();
    assert_eq!(w.peek(s, 0x40_0008), Ok(7));
    assert_eq!(w.vm.memory(m).unwrap().tree.present, 1);
    assert_eq!(w.vm.fault(s, 0x40_0000, Access::Execute), Err(Outcome::Denied));
    assert_eq!(w.vm.fault(s, 0x3f_ffff, Access::Read), Err(Outcome::NotMapped));
}

#[test]
fn a_thousand_mappings_come_and_go_in_any_order() {
    let mut w = World::new();
    let (m, s) = (w.memory(1 << 20), w.guest());
    let order = |i: u64| i * 389 % 1000;
    for i in (0..1000).map(order) {
        let address = 0x40_0000 + i * 2 * PAGE;
        let request = MapRequest { address, length: PAGE, rights: RW, lower: (m, address), upper: None };
        w.vm.map(s, &request).unwrap();
        if i % 50 == 0 {
            w.ok();
            w.poke(s, address, i + 1).unwrap();
        }
    }
    assert_eq!(w.vm.space(s).unwrap().index.records, 1000);
    w.ok();
    for i in (0..1000).map(|i| order(i * 7 % 1000)) {
        let address = 0x40_0000 + i * 2 * PAGE;
        if i % 50 == 0 {
            assert_eq!(w.peek(s, address), Ok(i + 1));
        }
        assert_eq!(w.vm.unmap(s, address, PAGE).unwrap(), PAGE);
        assert_eq!(w.peek(s, address), Err(Outcome::NotMapped));
    }
    let space = w.vm.space(s).unwrap();
    assert_eq!((space.info(), space.slab.frames + space.index.frames), ([0, 2, 0], 0));
}

#[test]
fn long_operations_end_piece_by_piece() {
    let mut w = World::with(12_000, 11_000);
    let (m, s, copy) = (w.memory(1 << 20), w.guest(), w.memory(1 << 20));
    w.map(s, 0x40_0000, 4000, (m, 0), RW);
    for page in 0..4000 {
        let outcome = w.vm.fault(s, 0x40_0000 + page * PAGE, Access::Write);
        assert_eq!(outcome, Ok(()));
    }
    let (mut done, mut calls) = (0, 0);
    while done < 4000 * PAGE {
        let rest = 4000 * PAGE - done;
        done += w.vm.clone_range((m, done), rest, (copy, done)).unwrap();
        calls += 1;
    }
    w.ok();
    assert!(calls > 2);
    let mut done = 0;
    while done < 4000 * PAGE {
        let piece = w.vm.unmap(s, 0x40_0000 + done, 4000 * PAGE - done).unwrap();
        assert_eq!(w.vm.take_shootdown(), Shootdown::All);
        assert!(piece <= WORK * PAGE);
        done += piece;
        w.ok();
    }
    while !w.vm.resize(m, 0).unwrap() {}
    w.ok();
    assert_eq!(w.vm.memory(m).unwrap().tree.present, 0);
    assert_eq!(w.vm.memory(copy).unwrap().tree.present, 4000);
}

#[test]
fn ending_a_sharing_is_seen_by_every_mapping() {
    let mut w = World::new();
    let (m, copy, one, two) = (w.memory(8), w.memory(8), w.guest(), w.guest());
    w.map(one, 0x40_0000, 8, (m, 0), RW);
    w.map(two, 0x90_0000, 8, (m, 0), RW);
    for (round, via) in [(1, Access::Write), (2, Access::Read)] {
        w.poke(one, 0x40_0000, round).unwrap();
        assert_eq!(w.peek(two, 0x90_0000), Ok(round));
        w.vm.clone_range((m, 0), PAGE, (copy, 0)).unwrap();
        assert_eq!(w.peek(two, 0x90_0000), Ok(round));
        if via == Access::Write {
            w.poke(one, 0x40_0000, 10 + round).unwrap();
        } else {
            w.vm.memory_write(m, 0, &(10 + round).to_le_bytes()).unwrap();
        }
        assert_eq!(w.peek(two, 0x90_0000), Ok(10 + round), "round {round}");
        w.ok();
    }
}

#[test]
fn a_copy_that_fails_says_what_must_be_forgotten() {
    let mut w = World::new();
    let (m, copy, one, two) = (w.memory(8), w.memory(8), w.guest(), w.guest());
    w.map(one, 0x40_0000, 8, (m, 0), RW);
    w.map(two, 0x90_0000, 8, (m, 0), RW);
    w.poke(one, 0x40_0000, 1).unwrap();
    w.vm.clone_range((m, 0), PAGE, (copy, 0)).unwrap();
    assert_eq!(w.peek(two, 0x90_0000), Ok(1));
    w.vm.take_shootdown();
    // The target is made its memory's own before it turns out that there is nothing to copy.
    let copied = w.vm.copy(Side::Space(one, 0x80_0000), Side::Memory(m, 0), 8);
    assert_eq!((copied, w.vm.take_shootdown()), (Err(Error::BadAddress), Shootdown::All));
    w.ok();
}

#[test]
fn a_budget_ends_with_its_last_name_and_its_last_charge() {
    let mut w = World::with(512, 100);
    let child = w.vm.budget_create(A, 40).unwrap();
    w.vm.add_name(Object::Budget(child));
    assert_eq!(w.vm.budget(A).map(|b| (b.left(), b.limit)), Some((60, 100)));
    let frame = w.vm.take_frame(child).unwrap();
    w.vm.drop_name(Object::Budget(child));
    assert_eq!(w.vm.budget(child).map(|b| (b.left(), b.limit)), Some((39, 40)));
    w.vm.give_frame(child, frame).unwrap();
    assert_eq!(w.vm.budget(child), None);
    assert_eq!(w.vm.budget(A).map(Budget::left), Some(100));
    assert_eq!(w.vm.take_frame(child), Err(Error::NoBudget), "its frames are its parent's again");
}

#[test]
fn a_budget_stays_while_a_memory_is_charged_to_it() {
    let mut w = World::with(512, 100);
    let child = w.vm.budget_create(A, 40).unwrap();
    w.vm.add_name(Object::Budget(child));
    let memory = w.vm.memory_create(child, Kind::ZeroFill, PAGE).unwrap();
    w.vm.drop_name(Object::Budget(child));
    assert_eq!(w.vm.memory_write(memory, 0, b"kept"), Ok(4));
    assert_eq!((w.vm.budget(A).unwrap().used, w.vm.budget(child).unwrap().used), (40, 1));
    w.vm.memory_close(memory).unwrap();
    while w.vm.reap() {}
    assert_eq!((w.vm.budget(A).unwrap().used, w.vm.budget(child)), (0, None));
}

#[test]
fn what_is_not_there_is_not_spent() {
    let mut w = World::with(512, 10);
    assert_eq!(w.vm.budget_create(A, 11), Err(Error::NoBudget));
    let child = w.vm.budget_create(A, 10).unwrap();
    w.vm.add_name(Object::Budget(child));
    assert_eq!(w.vm.take_frame(A), Err(Error::NoBudget));
    assert_eq!(w.vm.budget_transfer(A, child, 1), Err(Error::NoBudget));
    assert_eq!(w.vm.budget(child).map(Budget::left), Some(10));
}
