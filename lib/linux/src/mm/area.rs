//! The ordered set of mappings. Must hold: areas are page-aligned, not empty, and do not overlap; neighbours that could
//! be one are one.

use crate::platform::{Backing, ObjectId, Protection};
use crate::user::PAGE;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a mapping is called in /proc/PID/maps.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Label {
    /// Nothing.
    #[default]
    None,
    /// `[heap]`
    Heap,
    /// `[stack]`
    Stack,
    /// An object's: a file or shared memory. Holding it keeps the object.
    Object(Arc<Object>),
}

/// An object that is mapped somewhere. The table of objects ([`crate::os::Os`]) holds one count; when it is the last,
/// the object is let go.
#[derive(Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is for the platform.
    pub id: ObjectId,
    /// The file, pinned.
    pub place: Option<sal_vfs::Place>,
    /// Absolute path at the time of mapping.
    pub path: Vec<u8>,
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// What the program may do.
    pub protection: Protection,
    /// What `mprotect` may set (a shared file opened read-only never gets `WRITE`).
    pub allowed: Protection,
    /// What lies below.
    pub backing: Backing,
    /// Its name in /proc.
    pub label: Label,
}

impl Area {
    /// Bytes.
    #[allow(clippy::len_without_is_empty, reason = "an area is never empty")]
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// `MAP_SHARED`?
    pub fn is_shared(&self) -> bool {
        matches!(self.backing, Backing::Shared { .. })
    }

    /// Byte offset in its object.
    pub fn offset(&self) -> u64 {
        match self.backing {
            Backing::Anonymous => 0,
            Backing::Private { offset, .. } | Backing::Shared { offset, .. } => offset,
        }
    }

    fn shifted(&self, by: u64) -> Backing {
        match self.backing {
            Backing::Anonymous => Backing::Anonymous,
            Backing::Private { object, offset } => Backing::Private { object, offset: offset + by },
            Backing::Shared { object, offset } => Backing::Shared { object, offset: offset + by },
        }
    }

    /// The part of it in `start..end`, which overlaps it.
    pub fn part(&self, start: u64, end: u64) -> Area {
        let start = start.max(self.start);
        Area { start, end: end.min(self.end), backing: self.shifted(start - self.start), ..self.clone() }
    }

    fn joins(&self, next: &Area) -> bool {
        self.end == next.start
            && self.protection == next.protection
            && self.allowed == next.allowed
            && self.label == next.label
            && self.shifted(self.len()) == next.backing
    }
}

/// The mappings of an address space.
#[derive(Default, Debug, Clone)]
pub struct Areas {
    map: BTreeMap<u64, Area>,
}

impl Areas {
    /// By address.
    pub fn iter(&self) -> impl Iterator<Item = &Area> {
        self.map.values()
    }

    /// The area that holds `address`.
    pub fn find(&self, address: u64) -> Option<&Area> {
        self.map.range(..=address).next_back().map(|(_, a)| a).filter(|a| address < a.end)
    }

    /// The areas that overlap `start..end`, by address, cut to it.
    pub fn parts(&self, start: u64, end: u64) -> Vec<Area> {
        let first = self.find(start).map_or(start, |a| a.start);
        self.map.range(first..end).map(|(_, a)| a.part(start, end)).collect()
    }

    /// Is every page of `start..end` in some area?
    pub fn covers(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.find(at) {
                Some(area) => at = area.end,
                None => return false,
            }
        }
        true
    }

    /// Takes `start..end` out; returns what was there, cut to it.
    pub fn remove(&mut self, start: u64, end: u64) -> Vec<Area> {
        let parts = self.parts(start, end);
        for part in &parts {
            let Some(whole) = self.find(part.start).cloned() else {
                continue;
            };
            self.map.remove(&whole.start);
            if whole.start < part.start {
                self.map.insert(whole.start, whole.part(whole.start, part.start));
            }
            if part.end < whole.end {
                self.map.insert(part.end, whole.part(part.end, whole.end));
            }
        }
        parts
    }

    /// Adds an area where nothing is, and joins it with its neighbours.
    pub fn insert(&mut self, mut area: Area) {
        if let Some((&start, before)) = self.map.range(..area.start).next_back()
            && before.joins(&area)
        {
            area = Area { start, backing: before.backing, ..area };
            self.map.remove(&start);
        }
        if let Some(after) = self.map.get(&area.end)
            && area.joins(after)
        {
            let end = after.end;
            self.map.remove(&area.end);
            area.end = end;
        }
        self.map.insert(area.start, area);
    }

    /// Bytes mapped.
    pub fn total(&self) -> u64 {
        self.map.values().map(Area::len).sum()
    }

    /// The highest free gap of `length` bytes that ends at or below `top` and starts at or above `bottom`.
    pub fn gap_below(&self, top: u64, bottom: u64, length: u64) -> Option<u64> {
        let mut end = top;
        for area in self.map.range(..top).rev().map(|(_, a)| a) {
            if area.end <= end && end - area.end >= length {
                break;
            }
            end = end.min(area.start);
        }
        end.checked_sub(length).filter(|s| *s >= bottom && *s % PAGE == 0)
    }

    /// Is nothing in `start..end`?
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.find(start).is_none() && self.map.range(start..end).next().is_none()
    }

    /// Checks what must hold; for tests.
    pub fn check(&self) -> Result<(), &'static str> {
        let mut last: Option<&Area> = None;
        for (start, area) in &self.map {
            if *start != area.start || area.start >= area.end || area.start % PAGE != 0 || area.end % PAGE != 0 {
                return Err("an area is misplaced, empty or not aligned");
            }
            if last.is_some_and(|l| l.end > area.start) {
                return Err("two areas overlap");
            }
            if last.is_some_and(|l| l.joins(area)) {
                return Err("two neighbours should be one");
            }
            last = Some(area);
        }
        Ok(())
    }
}
