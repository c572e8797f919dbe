//! Page tables of a space: making, changing, sweeping and freeing them.
//!
//! What must always hold: a table below the root that is not the native window's own has at least one live word (else it is freed at
//! once); both roots of a guest show the same half. Tables of the kernel's half are never touched.

use crate::pool::Pool;
use crate::space::{Space, SpaceKind};
use crate::{Decoded, ENTRIES, Error, Frame, Frames, Machine, PAGE, PageFormat, Ram, Shootdown, Use};
use sal_abi::Rights;

/// Most levels that any format has.
const MAX_LEVELS: usize = 5;

/// What to do with the leaves of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sweep {
    /// Remove them.
    Clear,
    /// Leave at most these rights.
    Restrict(Rights),
}

/// Bytes that one word of a level maps.
#[inline(always)]
pub(crate) const fn span(level: u32) -> u64 {
    PAGE << (9 * level)
}

/// The first address that the next word of a level maps.
fn after(address: u64, level: u32) -> u64 {
    (address / span(level) * span(level)).saturating_add(span(level))
}

/// Which word of its table maps an address.
#[inline(always)]
pub(crate) const fn slot(address: u64, level: u32) -> usize {
    (address / span(level)) as usize & (ENTRIES - 1)
}

impl Space {
    /// The level-0 table for an address; or the level of the table in which the way down ends.
    fn descend<M: Machine>(&self, pool: &Pool<M>, address: u64) -> Result<Frame, (Frame, u32)> {
        let mut table = self.root;
        for level in (1..M::Format::LEVELS).rev() {
            match M::Format::decode(level, pool.ram.read(table, slot(address, level))) {
                Decoded::Node(next) => table = next,
                _ => return Err((table, level)),
            }
        }
        Ok(table)
    }

    /// The level-0 table for an address, making what is missing: all or nothing.
    pub(crate) fn ensure_table<M: Machine>(&mut self, pool: &mut Pool<M>, address: u64) -> Result<Frame, Error> {
        if !self.hot_table.is_none() && address / span(1) == self.hot_table_at {
            return Ok(self.hot_table);
        }
        let table = match self.descend(pool, address) {
            Ok(table) => table,
            Err((table, level)) => self.make_tables(pool, address, table, level)?,
        };
        self.hot_table = table;
        self.hot_table_at = address / span(1);
        Ok(table)
    }

    fn make_tables<M: Machine>(
        &mut self,
        pool: &mut Pool<M>,
        address: u64,
        table: Frame,
        level: u32,
    ) -> Result<Frame, Error> {
        pool.reserve(self.budget, u64::from(level))?;
        let mut table = table;
        for level in (1..=level).rev() {
            let below = pool.take_zeroed(Use::Table)?;
            self.tables += 1;
            self.write_node::<M>(&pool.ram, (table, level), address, M::Format::node(below));
            if level + 1 < M::Format::LEVELS {
                pool.frames.count_up(&pool.ram, table);
            }
            table = below;
        }
        Ok(table)
    }

    /// Writes a word above level 0; the root's into both roots.
    fn write_node<M: Machine>(&self, ram: &M::Ram, table: (Frame, u32), address: u64, word: u64) {
        let at = slot(address, table.1);
        ram.write(table.0, at, word);
        if table.1 + 1 == M::Format::LEVELS && !self.second.is_none() {
            ram.write(self.second, at, word);
        }
    }

    /// Writes a leaf. -> what was there.
    pub(crate) fn put_leaf<R: Ram>(&mut self, ram: &R, frames: &Frames, table: Frame, address: u64, word: u64) -> u64 {
        let at = slot(address, 0);
        let old = ram.read(table, at);
        ram.write(table, at, word);
        if old == 0 {
            frames.count_up(ram, table);
            self.pages += 1;
        }
        old
    }

    /// Does something to all leaves of `from..to`, as long as `work` (in leaves or gaps looked at) lasts. -> first address not swept.
    pub(crate) fn sweep<M: Machine>(
        &mut self,
        pool: &mut Pool<M>,
        (from, to): (u64, u64),
        how: Sweep,
        work: &mut u64,
    ) -> u64 {
        let mut at = from;
        while at < to && *work > 0 {
            match self.descend(pool, at) {
                Ok(table) => {
                    let limit = at.saturating_add((*work).saturating_mul(PAGE));
                    let stop = after(at, 1).min(to).min(limit);
                    self.sweep_table(pool, table, (at, stop), how);
                    *work = work.saturating_sub((stop - at) / PAGE);
                    at = stop;
                }
                Err((_, level)) => {
                    *work -= 1;
                    at = after(at, level).min(to);
                }
            }
        }
        at
    }

    /// One table's part of a sweep.
    fn sweep_table<M: Machine>(&mut self, pool: &mut Pool<M>, table: Frame, (from, to): (u64, u64), how: Sweep) {
        let first = slot(from, 0);
        for at in first..first + ((to - from) / PAGE) as usize {
            let old = pool.ram.read(table, at);
            let new = if old == 0 { 0 } else { swept_word::<M::Format>(old, how) };
            if new == old {
                continue;
            }
            pool.forget(Shootdown::All);
            pool.ram.write(table, at, new);
            if new == 0 {
                self.pages -= 1;
                if pool.frames.count_down(&pool.ram, table) == 0 {
                    return self.prune(pool, from);
                }
            }
        }
    }

    /// Frees the empty tables on the way to an address, from the bottom.
    pub(crate) fn prune<M: Machine>(&mut self, pool: &mut Pool<M>, address: u64) {
        let mut path = [Frame::NONE; MAX_LEVELS];
        let mut table = self.root;
        for level in (1..M::Format::LEVELS).rev() {
            if let Some(step) = path.get_mut(level as usize) {
                *step = table;
            }
            match M::Format::decode(level, pool.ram.read(table, slot(address, level))) {
                Decoded::Node(next) => table = next,
                _ => return,
            }
        }
        // The native window's top table stays as long as the space: other roots show it.
        let top = if self.kind == SpaceKind::Native { M::Format::LEVELS - 1 } else { M::Format::LEVELS };
        for level in 1..top {
            let Some(&parent) = path.get(level as usize) else { return };
            if pool.frames.count(&pool.ram, table) != 0 {
                return;
            }
            self.hot_table = Frame::NONE;
            self.write_node::<M>(&pool.ram, (parent, level), address, 0);
            if level + 1 < M::Format::LEVELS {
                pool.frames.count_down(&pool.ram, parent);
            }
            self.tables -= 1;
            pool.free(table, self.budget);
            table = parent;
        }
    }
}

/// What a leaf becomes in a sweep; 0: it goes.
fn swept_word<F: PageFormat>(old: u64, how: Sweep) -> u64 {
    let Sweep::Restrict(rights) = how else { return 0 };
    match F::decode(0, old) {
        Decoded::Leaf(leaf) => {
            let left = leaf.rights.and(rights);
            match (left.has(Rights::READ), left == leaf.rights) {
                (false, _) => 0,
                (true, true) => old,
                (true, false) => F::leaf(crate::Leaf { rights: left, ..leaf }),
            }
        }
        _ => 0,
    }
}
