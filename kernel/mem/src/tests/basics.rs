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
        World {
            vm: machine(frames),
            money: Budgets(vec![Budget { limit, used: 0 }; 2]),
        }
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
        self.vm
            .space_create(&mut self.money, A, SpaceKind::Guest)
            .unwrap()
    }

    fn map(&mut self, space: SpaceId, address: u64, pages: u64, memory: (MemoryId, u64), rights: Rights) {
        let request = MapRequest {
            address,
            length: pages * PAGE,
            rights,
            lower: memory,
            upper: None,
        };
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
    assert_eq!(
        w.vm.fault(&mut w.money, s, 0x40_0000, Access::Execute),
        Outcome::Denied
    );
    assert_eq!(
        w.vm.fault(&mut w.money, s, 0x3f_ffff, Access::Read),
        Outcome::NotMapped
    );
}
