//! What changes the mappings: map, unmap, protect, remap, brk.

use super::{Area, Label, Mm, USER_END, USER_START, pages};
use crate::errno::Errno;
use crate::platform::{Backing, Platform, Protection};
use crate::user::PAGE;

/// Where a mapping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere, near the hint if it is free.
    Hint(u64),
    /// There; what is there goes.
    Fixed(u64),
    /// There, unless something is there: `EEXIST`.
    FixedNoReplace(u64),
}

/// What to map.
#[derive(Clone, Debug)]
pub struct MapRequest {
    /// Where.
    pub place: Place,
    /// Bytes, not zero; rounded up to pages.
    pub length: u64,
    /// Rights.
    pub protection: Protection,
    /// What `mprotect` may set later.
    pub allowed: Protection,
    /// What lies below.
    pub backing: Backing,
    /// Its name.
    pub label: Label,
}

/// What `mremap` may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Only in place.
    InPlace,
    /// Move if there is no room.
    MayMove,
    /// Move there.
    Fixed(u64),
}

impl Mm {
    /// Maps; returns the address. `limit` is `RLIMIT_AS`.
    pub fn map(&mut self, request: MapRequest, limit: u64, platform: &mut dyn Platform) -> Result<u64, Errno> {
        let length = pages(request.length).ok_or(Errno::ENOMEM)?;
        let start = self.place(request.place, length)?;
        if self.areas.total().saturating_add(length) > limit {
            return Err(Errno::ENOMEM);
        }
        if let Place::Fixed(_) = request.place {
            self.unmap(start, length, platform)?;
        }
        let area = Area {
            start,
            end: start + length,
            protection: request.protection,
            allowed: request.allowed,
            backing: request.backing,
            label: request.label,
        };
        platform.map(self.space, &area)?;
        self.areas.insert(area);
        Ok(start)
    }

    fn place(&self, place: Place, length: u64) -> Result<u64, Errno> {
        match place {
            Place::Hint(hint) => {
                let hint = hint / PAGE * PAGE;
                if hint >= USER_START
                    && hint.checked_add(length).is_some_and(|end| end <= USER_END && self.areas.is_free(hint, end))
                {
                    return Ok(hint);
                }
                self.gap(length)
            }
            Place::Fixed(at) | Place::FixedNoReplace(at) => {
                if at % PAGE != 0 {
                    return Err(Errno::EINVAL);
                }
                if at < USER_START {
                    return Err(Errno::EPERM);
                }
                let end = at.checked_add(length).filter(|e| *e <= USER_END).ok_or(Errno::ENOMEM)?;
                if matches!(place, Place::FixedNoReplace(_)) && !self.areas.is_free(at, end) {
                    return Err(Errno::EEXIST);
                }
                Ok(at)
            }
        }
    }

    fn gap(&self, length: u64) -> Result<u64, Errno> {
        let below = self.areas.gap_below(self.mmap_top, USER_START, length);
        below.or_else(|| self.areas.gap_below(USER_END, USER_START, length)).ok_or(Errno::ENOMEM)
    }

    /// Unmaps whole pages.
    pub fn unmap(&mut self, start: u64, length: u64, platform: &mut dyn Platform) -> Result<(), Errno> {
        let end = self.range(start, length)?;
        for part in self.areas.parts(start, end) {
            self.areas.remove(part.start, part.end);
            platform.unmap(self.space, part.start, part.len());
        }
        Ok(())
    }

    /// Checks a page range; returns its end.
    pub fn range(&self, start: u64, length: u64) -> Result<u64, Errno> {
        let length = pages(length).ok_or(Errno::EINVAL)?;
        if !start.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        start.checked_add(length).filter(|e| *e <= USER_END).ok_or(Errno::EINVAL)
    }

    /// `mprotect`: `ENOMEM` if a page is not mapped (what lies before it is changed), `EACCES`.
    pub fn protect(
        &mut self,
        start: u64,
        length: u64,
        protection: Protection,
        platform: &mut dyn Platform,
    ) -> Result<(), Errno> {
        if length == 0 {
            return if start.is_multiple_of(PAGE) { Ok(()) } else { Err(Errno::EINVAL) };
        }
        let end = self.range(start, length).map_err(|e| if start.is_multiple_of(PAGE) { Errno::ENOMEM } else { e })?;
        let mut at = start;
        for part in self.areas.parts(start, end) {
            if part.start != at {
                return Err(Errno::ENOMEM);
            }
            if !part.allowed.contains(protection) {
                return Err(Errno::EACCES);
            }
            at = part.end;
            self.set_protection(part, protection, platform);
        }
        if at == end { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    fn set_protection(&mut self, part: Area, protection: Protection, platform: &mut dyn Platform) {
        if part.protection == protection {
            return;
        }
        self.areas.remove(part.start, part.end);
        platform.protect(self.space, part.start, part.len(), protection);
        self.areas.insert(Area { protection, ..part });
    }

    /// `madvise(MADV_DONTNEED)`: `ENOMEM` if a page is not mapped (the others are done).
    pub fn discard(&mut self, start: u64, length: u64, platform: &mut dyn Platform) -> Result<(), Errno> {
        if length == 0 {
            return Ok(());
        }
        let end = self.range(start, length)?;
        for part in self.areas.parts(start, end).iter().filter(|p| !p.is_shared()) {
            platform.discard(self.space, part.start, part.len());
        }
        if self.areas.covers(start, end) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// `brk`: the new end, or the old one if it can't be.
    pub fn set_brk(&mut self, brk: u64, data_limit: u64, limit: u64, platform: &mut dyn Platform) -> u64 {
        if brk < self.brk_start || brk > USER_END || brk - self.brk_start > data_limit {
            return self.brk;
        }
        let (old, new) = (self.brk.next_multiple_of(PAGE), brk.next_multiple_of(PAGE));
        let done = if new > old {
            let request = MapRequest {
                place: Place::FixedNoReplace(old),
                length: new - old,
                protection: Protection::READ | Protection::WRITE,
                allowed: Protection::all(),
                backing: Backing::Anonymous,
                label: Label::Heap,
            };
            self.map(request, limit, platform).map(|_| ())
        } else if new < old {
            self.unmap(new, old - new, platform)
        } else {
            Ok(())
        };
        if done.is_ok() {
            self.brk = brk;
        }
        self.brk
    }

    /// `mremap`: returns the address.
    pub fn remap(
        &mut self,
        start: u64,
        old: u64,
        new: u64,
        growth: Growth,
        limit: u64,
        platform: &mut dyn Platform,
    ) -> Result<u64, Errno> {
        let new = pages(new).ok_or(Errno::EINVAL)?;
        let old = pages(old).ok_or(Errno::EINVAL)?;
        let end = self.range(start, old)?;
        let area = self.areas.find(start).ok_or(Errno::EFAULT)?.part(start, end);
        if area.end < end {
            return Err(Errno::EFAULT);
        }
        if new > old && self.areas.total().saturating_add(new - old) > limit {
            return Err(Errno::ENOMEM);
        }
        if let Growth::Fixed(to) = growth {
            return self.move_fixed(area, to, new, platform);
        }
        if new <= old {
            if new < old {
                self.unmap(start + new, old - new, platform)?;
            }
            return Ok(start);
        }
        if self.grow_in_place(&area, new, platform)? {
            return Ok(start);
        }
        if growth == Growth::InPlace {
            return Err(Errno::ENOMEM);
        }
        let to = self.gap(new)?;
        self.move_area(area, to, new, platform)
    }

    fn grow_in_place(&mut self, area: &Area, new: u64, platform: &mut dyn Platform) -> Result<bool, Errno> {
        let Some(end) = area.start.checked_add(new).filter(|e| *e <= USER_END) else {
            return Ok(false);
        };
        if !self.areas.is_free(area.end, end) {
            return Ok(false);
        }
        let mut whole = area.clone();
        whole.end = end;
        let more = whole.part(area.end, end);
        platform.map(self.space, &more)?;
        self.areas.insert(more);
        Ok(true)
    }

    fn move_fixed(&mut self, area: Area, to: u64, new: u64, platform: &mut dyn Platform) -> Result<u64, Errno> {
        let to_end = self.range(to, new)?;
        if to < area.end && area.start < to_end {
            return Err(Errno::EINVAL);
        }
        if to < USER_START {
            return Err(Errno::EPERM);
        }
        self.unmap(to, new, platform)?;
        let kept = Area { end: area.end.min(area.start + new), ..area.clone() };
        if kept.end < area.end {
            self.unmap(kept.end, area.end - kept.end, platform)?;
        }
        self.move_area(kept, to, new, platform)
    }

    fn move_area(&mut self, area: Area, to: u64, new: u64, platform: &mut dyn Platform) -> Result<u64, Errno> {
        let moved = Area { start: to, end: to + new, ..area.clone() };
        platform.map(self.space, &moved)?;
        if !area.is_shared()
            && let Err(error) = platform.move_pages(self.space, area.start, to, area.len())
        {
            platform.unmap(self.space, to, new);
            return Err(error);
        }
        self.areas.insert(moved);
        self.unmap(area.start, area.len(), platform)?;
        Ok(to)
    }
}
