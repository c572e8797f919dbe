//! Verifies every invariant of a [`Vm`]: tests run it after each step.

use crate::memory::Layered;
use crate::radix::Entry;
use crate::reach::{displacement, next_field};
use crate::records::{Field, Record, RecordRef};
use crate::tables::span;
use crate::{
    BudgetId, Decoded, ENTRIES, Frame, Kind, Leaf, Machine, Memory, MemoryId, PAGE, PageFormat, Ram, Space, SpaceId,
    SpaceKind, Use, Vm,
};
use sal_abi::Rights;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::String;
use std::vec::Vec;

type Verdict = Result<(), String>;

/// Fails with a text unless the condition holds.
macro_rules! hold {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(format!($($text)*));
        }
    };
}

/// What the walk has seen so far.
#[derive(Default)]
struct Seen {
    data: BTreeMap<Frame, u32>,
    nodes: BTreeSet<Frame>,
    tables: BTreeSet<Frame>,
    records: BTreeSet<Frame>,
    /// Records by memory.
    users: BTreeMap<u64, BTreeSet<u64>>,
}

impl<M: Machine> Vm<M> {
    /// Verifies every invariant.
    ///
    /// # Errors
    /// What doesn't hold, in words.
    pub fn check(&self) -> Result<(), String> {
        let mut seen = Seen::default();
        for id in self.memories.ids() {
            self.check_tree(id, &mut seen)?;
        }
        for (&frame, &holders) in &seen.data {
            let count = self.pool.frames.count(&self.pool.ram, frame);
            hold!(count == holders, "{frame:?} says {count} holders, has {holders}");
            hold!(holders == 1 || self.pool.frames.pins(&self.pool.ram, frame) == 0, "{frame:?} is pinned and shared");
        }
        for id in self.spaces.ids() {
            self.check_records(id, &mut seen)?;
            self.check_space(id, &mut seen)?;
        }
        for id in self.memories.ids() {
            self.check_list(id, &seen)?;
        }
        self.check_frames(&seen)
    }

    /// What a budget must have been charged for memories and spaces: pins and frames of the kernel's come on top.
    pub fn charged(&self, budget: BudgetId) -> u64 {
        let memories = self.memories.ids().into_iter().filter_map(|id| self.memories.get(id));
        let spaces = self.spaces.ids().into_iter().filter_map(|id| self.spaces.get(id));
        let of_memory = |m: &Memory| m.tree.present + m.tree.nodes;
        let of_space = |s: &Space| s.tables + s.index.frames + s.slab.frames;
        memories.filter(|m| m.budget == budget).map(of_memory).sum::<u64>()
            + spaces.filter(|s| s.budget == budget).map(of_space).sum::<u64>()
    }

    fn check_tree(&self, id: MemoryId, seen: &mut Seen) -> Verdict {
        let memory = self.memories.get(id).ok_or("no such memory")?;
        let (mut nodes, mut entries) = (Vec::new(), Vec::new());
        memory.tree.walk(&self.pool.ram, &mut |n, _| nodes.push(n), &mut |p, e| entries.push((p, e)));
        for &node in &nodes {
            self.check_counted(node, Use::Node)?;
            hold!(seen.nodes.insert(node), "node {node:?} used twice");
        }
        let mut present = 0;
        for &(page, entry) in &entries {
            hold!(memory.tree.peek(&self.pool.ram, page) == entry, "{id:?} page {page}: look-up differs from walk");
            if let Entry::Present(frame) = entry {
                hold!(memory.reaches(page) || memory.closed, "{id:?} has page {page} beyond its length");
                hold!(
                    self.pool.frames.usage(&self.pool.ram, frame) == Use::Data,
                    "{id:?} page {page}: {frame:?} isn't data"
                );
                *seen.data.entry(frame).or_default() += 1;
                present += 1;
            }
        }
        hold!(memory.tree.nodes == nodes.len() as u64, "{id:?} counts {} nodes", memory.tree.nodes);
        hold!(memory.tree.present == present, "{id:?} counts {} pages", memory.tree.present);
        Ok(())
    }

    /// A node or table: its use, and its count of live words, which is never 0.
    fn check_counted(&self, frame: Frame, usage: Use) -> Verdict {
        let live = (0..ENTRIES).filter(|&i| self.pool.ram.read(frame, i) != 0).count() as u32;
        let count = self.pool.frames.count(&self.pool.ram, frame);
        let found = self.pool.frames.usage(&self.pool.ram, frame);
        hold!(found == usage, "{frame:?} is {found:?}, not {usage:?}");
        hold!(count == live && live != 0, "{usage:?} {frame:?} counts {count}, has {live}");
        Ok(())
    }

    fn check_records(&self, id: SpaceId, seen: &mut Seen) -> Verdict {
        let space = self.spaces.get(id).ok_or("no such space")?;
        let mut end = space.window.start;
        let mut frames = BTreeSet::new();
        let mut records = 0;
        let mut next = space.index.first(&self.pool.ram);
        while let Some((position, at)) = next {
            let record = Record::load(&self.pool.ram, at);
            hold!(record.space == id, "{at:?} is in the index of {id:?}, says {:?}", record.space);
            hold!(record.start >= end && record.end > record.start, "{id:?}: {record:x?} overlaps or is empty");
            hold!(record.end <= space.window.end, "{id:?}: {record:x?} leaves the window");
            let found = space.index.at_or_below(&self.pool.ram, record.start).map(|f| f.1);
            hold!(found == Some(at), "{id:?}: {record:x?} isn't found");
            seen.users.entry(record.lower.word()).or_default().insert(at.0);
            if !record.upper.is_none() {
                seen.users.entry(record.upper.word()).or_default().insert(at.0);
            }
            frames.insert(Frame((at.0 >> 8) as u32));
            end = record.end;
            records += 1;
            next = space.index.after(&self.pool.ram, position);
        }
        hold!(records == space.index.records, "{id:?} counts {} records, has {records}", space.index.records);
        hold!(space.slab.frames == frames.len() as u64, "{id:?} counts {} record frames", space.slab.frames);
        let index = space.index.nodes(&self.pool.ram);
        hold!(space.index.frames == index.len() as u64, "{id:?} counts {} index frames", space.index.frames);
        for frame in frames.into_iter().chain(index) {
            hold!(self.pool.frames.usage(&self.pool.ram, frame) == Use::Records, "{frame:?} isn't for records");
            hold!(seen.records.insert(frame), "{frame:?} is used twice");
        }
        Ok(())
    }

    fn check_space(&self, id: SpaceId, seen: &mut Seen) -> Verdict {
        let space = self.spaces.get(id).ok_or("no such space")?;
        let top = M::Format::LEVELS - 1;
        let (mut tables, mut pages) = (1 + u64::from(!space.second.is_none()), 0);
        seen.tables.extend([space.root].into_iter().chain((!space.second.is_none()).then_some(space.second)));
        for i in 0..ENTRIES {
            let word = self.pool.ram.read(space.root, i);
            let address = sign_extended(i as u64 * span(top), top);
            if !space.window.holds(address, 1) {
                hold!(word == self.pool.ram.read(self.template, i), "{id:?}: root word {i} isn't the kernel's");
                continue;
            }
            let both = space.second.is_none() || self.pool.ram.read(space.second, i) == word;
            hold!(both, "{id:?}: the roots differ at {i}");
            if let Decoded::Node(table) = M::Format::decode(top, word) {
                self.check_table((id, space), (table, top - 1), address, (&mut tables, &mut pages), seen)?;
            }
        }
        hold!(space.tables == tables, "{id:?} counts {} tables, has {tables}", space.tables);
        hold!(space.pages == pages, "{id:?} counts {} pages, has {pages}", space.pages);
        Ok(())
    }

    fn check_table(
        &self,
        (id, space): (SpaceId, &Space),
        (table, level): (Frame, u32),
        start: u64,
        (tables, pages): (&mut u64, &mut u64),
        seen: &mut Seen,
    ) -> Verdict {
        *tables += 1;
        hold!(seen.tables.insert(table), "table {table:?} used twice");
        let permanent = space.kind == SpaceKind::Native && level == M::Format::LEVELS - 2;
        if !permanent || self.pool.frames.count(&self.pool.ram, table) != 0 {
            self.check_counted(table, Use::Table)?;
        }
        for i in 0..ENTRIES {
            let address = start + i as u64 * span(level);
            match M::Format::decode(level, self.pool.ram.read(table, i)) {
                Decoded::Absent => {}
                Decoded::Node(next) => {
                    self.check_table((id, space), (next, level - 1), address, (tables, pages), seen)?;
                }
                Decoded::Leaf(leaf) => {
                    *pages += 1;
                    self.check_leaf(space, address, leaf).map_err(|e| format!("{id:?} at {address:#x}: {e}"))?;
                }
            }
        }
        Ok(())
    }

    /// A leaf lies in a mapping and shows what that mapping's memories hold, with no more rights than it may have.
    fn check_leaf(&self, space: &Space, address: u64, leaf: Leaf) -> Verdict {
        let (_, at) = space.find_from(&self.pool.ram, address).ok_or("a leaf without mapping")?;
        let record = Record::load(&self.pool.ram, at);
        hold!(record.start <= address, "a leaf without mapping");
        hold!(record.rights.has(leaf.rights), "a leaf has {:?}, its mapping {:?}", leaf.rights, record.rights);
        let page = |offset: u64| (offset + address - record.start) / PAGE;
        let upper = self.frame_of(record.upper, page(record.upper_offset));
        let (shown, top) = match upper {
            Some(frame) => (Some(frame), true),
            None => (self.frame_of(record.lower, page(record.lower_offset)), record.upper.is_none()),
        };
        hold!(shown == Some(leaf.frame), "shows {:?}, the memory has {shown:?}", leaf.frame);
        if leaf.rights.has(Rights::WRITE) {
            hold!(top, "a lower page can be written");
            let data = self.pool.frames.usage(&self.pool.ram, leaf.frame) == Use::Data;
            hold!(!data || self.pool.frames.count(&self.pool.ram, leaf.frame) == 1, "a shared page can be written");
        }
        Ok(())
    }

    fn frame_of(&self, id: MemoryId, page: u64) -> Option<Frame> {
        let memory = self.memories.get(id)?;
        match memory.kind {
            Kind::Fixed { first, .. } => Some(Frame(first.0 + page as u32)),
            _ => match memory.tree.peek(&self.pool.ram, page) {
                Entry::Present(frame) => Some(frame),
                _ => None,
            },
        }
    }

    fn check_list(&self, id: MemoryId, seen: &Seen) -> Verdict {
        let memory = self.memories.get(id).ok_or("no such memory")?;
        let mut listed = BTreeSet::new();
        let mut at = memory.list;
        while !at.is_none() {
            hold!(listed.insert(at.0), "{id:?}: its list runs in a circle");
            if let Layered::Uniform { space, delta } = memory.layered {
                let record = Record::load(&self.pool.ram, at);
                let place = (record.space, displacement(record.start, record.offset_of(id)));
                hold!(place == (space, delta), "{id:?}: {record:x?} isn't at the memory's one displacement");
            }
            at = RecordRef(at.get(&self.pool.ram, next_field(&self.pool.ram, at, id)));
        }
        hold!(memory.mappings == listed.len() as u64, "{id:?} counts {} mappings", memory.mappings);
        let users = seen.users.get(&id.word()).cloned().unwrap_or_default();
        hold!(users == listed, "{id:?}: its list isn't the records that use it");
        let field = |at: u64| RecordRef(at).get(&self.pool.ram, Field::Upper);
        let uppers = listed.iter().filter(|&&at| field(at) == id.word()).count() as u64;
        hold!(memory.as_upper == uppers, "{id:?} counts {} uses as upper", memory.as_upper);
        let stale = listed.iter().any(|&at| RecordRef(at).get(&self.pool.ram, Field::Space) == 0);
        hold!(!stale, "{id:?} lists a record of no space");
        hold!(!memory.closed || memory.mappings != 0 || self.is_doomed(id), "{id:?} is closed, unmapped and forgotten");
        Ok(())
    }

    fn is_doomed(&self, id: MemoryId) -> bool {
        let mut at = self.doomed.0;
        while let Some(memory) = self.memories.get(at) {
            if at == id {
                return true;
            }
            at = memory.next_doomed;
        }
        false
    }

    /// Every frame in use is one that the walk has seen, and the other way round.
    fn check_frames(&self, seen: &Seen) -> Verdict {
        let mut used = 0;
        for frame in (0..self.pool.frames.covered()).map(Frame) {
            let usage = self.pool.frames.usage(&self.pool.ram, frame);
            let known = match usage {
                Use::Unmanaged | Use::Free | Use::Quarantined => continue,
                Use::Data => seen.data.contains_key(&frame) || self.pool.frames.pins(&self.pool.ram, frame) != 0,
                Use::Table => seen.tables.contains(&frame),
                Use::Node => seen.nodes.contains(&frame),
                Use::Records => seen.records.contains(&frame),
                Use::Kernel => true,
            };
            hold!(known, "{frame:?} is in use ({usage:?}) but nobody's");
            used += 1;
        }
        hold!(used == self.pool.frames.used(), "{} frames counted as used, {used} are", self.pool.frames.used());
        self.pool.frames.check(&self.pool.ram)
    }
}

/// The canonical form of an address whose root covers `512 * span(top)` bytes.
fn sign_extended(address: u64, top: u32) -> u64 {
    let half = span(top) * (ENTRIES as u64 / 2);
    if address >= half { address.wrapping_sub(2 * half) } else { address }
}
