//! Each operation by itself.

use crate::emulated::{Budgets, Emulated, machine};
use crate::*;
use sal_abi::Rights;
use std::vec;

const A: BudgetId = BudgetId(0);
const RW: Rights = Rights(4 | 8);

/// A machine, and two budgets.
struct World {
    vm: Vm<Emulated>,
    money: Budgets,
}

impl World {
    fn new() -> World {
        World::with(512, 400)
    }

    fn with(frames: u32, limit: u64) -> World {
        World { vm: machine(frames), money: Budgets(vec![Budget { limit, used: 0 }; 2]) }
    }

    fn ok(&self) {
        self.vm.check().unwrap();
        for (i, budget) in self.money.0.iter().enumerate() {
            assert_eq!(budget.used, self.vm.charged(BudgetId(i as u64)), "budget {i}");
        }
    }

    fn memory(&mut self, pages: u64) -> MemoryId {
        self.vm.memory_create(A, Kind::ZeroFill, pages * PAGE).unwrap()
    }

    fn guest(&mut self) -> SpaceId {
        self.vm.space_create(&mut self.money, A, SpaceKind::Guest).unwrap()
    }

    fn map(&mut self, space: SpaceId, address: u64, pages: u64, memory: (MemoryId, u64), rights: Rights) {
        let request = MapRequest { address, length: pages * PAGE, rights, lower: memory, upper: None };
        self.vm.map(&mut self.money, space, &request).unwrap();
        self.ok();
    }

    fn poke(&mut self, space: SpaceId, address: u64, value: u64) -> Result<(), Outcome> {
        let found = self.vm.resolve(&mut self.money, space, address, Access::Write);
        self.ok();
        let (frame, offset, _) = found?;
        self.vm.ram().write(frame, offset / 8, value);
        Ok(())
    }

    fn peek(&mut self, space: SpaceId, address: u64) -> Result<u64, Outcome> {
        let found = self.vm.resolve(&mut self.money, space, address, Access::Read);
        self.ok();
        found.map(|(frame, offset, _)| self.vm.ram().read(frame, offset / 8))
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
    assert_eq!(w.vm.memory(m).unwrap().info().present, 1);
    assert_eq!(w.vm.fault(&mut w.money, s, 0x40_0000, Access::Execute), Outcome::Denied);
    assert_eq!(w.vm.fault(&mut w.money, s, 0x3f_ffff, Access::Read), Outcome::NotMapped);
}

#[test]
fn a_thousand_mappings_come_and_go_in_any_order() {
    let mut w = World::new();
    let (m, s) = (w.memory(1 << 20), w.guest());
    let order = |i: u64| i * 389 % 1000;
    for i in (0..1000).map(order) {
        let address = 0x40_0000 + i * 2 * PAGE;
        let request = MapRequest { address, length: PAGE, rights: RW, lower: (m, address), upper: None };
        w.vm.map(&mut w.money, s, &request).unwrap();
        if i % 50 == 0 {
            w.ok();
            w.poke(s, address, i + 1).unwrap();
        }
    }
    assert_eq!(w.vm.space(s).unwrap().info().mappings, 1000);
    w.ok();
    for i in (0..1000).map(|i| order(i * 7 % 1000)) {
        let address = 0x40_0000 + i * 2 * PAGE;
        if i % 50 == 0 {
            assert_eq!(w.peek(s, address), Ok(i + 1));
        }
        assert_eq!(w.vm.unmap(&mut w.money, s, address, PAGE).unwrap().bytes, PAGE);
        assert_eq!(w.peek(s, address), Err(Outcome::NotMapped));
    }
    let info = w.vm.space(s).unwrap().info();
    assert_eq!((info.mappings, info.records, info.tables, info.pages), (0, 0, 2, 0));
}

#[test]
fn long_operations_end_piece_by_piece() {
    let mut w = World::with(12_000, 11_000);
    let (m, s, copy) = (w.memory(1 << 20), w.guest(), w.memory(1 << 20));
    w.map(s, 0x40_0000, 4000, (m, 0), RW);
    for page in 0..4000 {
        let outcome = w.vm.fault(&mut w.money, s, 0x40_0000 + page * PAGE, Access::Write);
        assert_eq!(outcome, Outcome::Mapped(Shootdown::None));
    }
    let (mut done, mut calls) = (0, 0);
    while done < 4000 * PAGE {
        let rest = 4000 * PAGE - done;
        done += w.vm.clone_range(&mut w.money, (m, done), rest, (copy, done)).unwrap().bytes;
        calls += 1;
    }
    w.ok();
    assert!(calls > 2);
    let mut done = 0;
    while done < 4000 * PAGE {
        let piece = w.vm.unmap(&mut w.money, s, 0x40_0000 + done, 4000 * PAGE - done).unwrap();
        assert_eq!(piece.shootdown, Shootdown::All);
        assert!(piece.bytes <= WORK * PAGE);
        done += piece.bytes;
        w.ok();
    }
    while let Progress::More(_) = w.vm.resize(&mut w.money, m, 0).unwrap() {}
    w.ok();
    assert_eq!(w.vm.memory(m).unwrap().info().present, 0);
    assert_eq!(w.vm.memory(copy).unwrap().info().present, 4000);
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
        w.vm.clone_range(&mut w.money, (m, 0), PAGE, (copy, 0)).unwrap();
        assert_eq!(w.peek(two, 0x90_0000), Ok(round));
        if via == Access::Write {
            w.poke(one, 0x40_0000, 10 + round).unwrap();
        } else {
            w.vm.memory_write(&mut w.money, m, 0, &(10 + round).to_le_bytes()).unwrap();
        }
        assert_eq!(w.peek(two, 0x90_0000), Ok(10 + round), "round {round}");
        w.ok();
    }
}
