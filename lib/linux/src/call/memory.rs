//! Mappings.

use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::exec::object_of;
use crate::mm::{Growth, Label, MapRequest, Object, Place};
use crate::platform::{Backing, Protection};
use crate::step::{DONE, Outcome};
use crate::user::PAGE;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general as g;
use sal_vfs::MapTarget;

fn protection(bits: u64) -> Result<Protection, Errno> {
    let known = (g::PROT_READ | g::PROT_WRITE | g::PROT_EXEC | g::PROT_SEM) as u64;
    if bits & !known != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Protection::from_bits_truncate(bits as u8))
}

pub(super) fn mmap(ctx: &mut Ctx, [address, length, prot, flags, fd, offset]: Args) -> Answer {
    let flags = flags as u32;
    if length == 0 || offset % PAGE != 0 {
        return Err(Errno::EINVAL);
    }
    let wanted = protection(prot & !((g::PROT_GROWSDOWN | g::PROT_GROWSUP) as u64))?;
    let shared = match flags & g::MAP_TYPE {
        g::MAP_PRIVATE => false,
        g::MAP_SHARED | g::MAP_SHARED_VALIDATE => true,
        _ => return Err(Errno::EINVAL),
    };
    let place = if flags & g::MAP_FIXED_NOREPLACE != 0 {
        Place::FixedNoReplace(address)
    } else if flags & g::MAP_FIXED != 0 {
        Place::Fixed(address)
    } else {
        Place::Hint(address)
    };
    let (backing, label, allowed) = if flags & g::MAP_ANONYMOUS != 0 {
        anonymous(ctx, shared, length)?
    } else {
        file(ctx, fd as i32, prot as u32, shared, (offset, length))?
    };
    let limit = ctx.group()?.limit(g::RLIMIT_AS);
    commit_check(ctx, &backing, wanted, length)?;
    let request = MapRequest { place, length, protection: wanted, allowed, backing, label };
    let (mm, platform) = ctx.mm_mut()?;
    let mapped = mm.map(request, limit, platform);
    ctx.sweep_objects();
    Ok(Outcome::Value(mapped?))
}

type Below = (Backing, Label, Protection);

fn anonymous(ctx: &mut Ctx, shared: bool, length: u64) -> Result<Below, Errno> {
    if !shared {
        return Ok((Backing::Anonymous, Label::None, Protection::all()));
    }
    let length = crate::mm::pages(length).ok_or(Errno::ENOMEM)?;
    let object = ctx.platform.shared_create(length)?;
    let known =
        Arc::new(Object { id: object, place: None, path: b"/dev/zero (deleted)".to_vec(), device: 0, inode: 0 });
    ctx.os.objects.insert(object, known.clone());
    Ok((Backing::Shared { object, offset: 0 }, Label::Object(known), Protection::all()))
}

fn file(ctx: &mut Ctx, fd: i32, prot: u32, shared: bool, (offset, length): (u64, u64)) -> Result<Below, Errno> {
    offset.checked_add(length).ok_or(Errno::EOVERFLOW)?;
    let found = ctx.files(&[], 0, |vfs, c, _| {
        let target = vfs.map_target(c, fd, prot, shared)?;
        let writable = shared && vfs.get_status_flags(c, fd)? & g::O_ACCMODE == g::O_RDWR;
        let stat = match vfs.fstat(c, fd) {
            Ok(sal_vfs::Outcome::Done(stat)) => Some(stat),
            _ => None,
        };
        let path: Vec<u8> = match target {
            MapTarget::Contents { place } => vfs.path_of(c, place).unwrap_or_default(),
            MapTarget::Zero => Vec::new(),
        };
        Ok((target, writable, stat, path))
    })?;
    let (target, writable, stat, path) = found.map_err(|e: sal_vfs::Errno| Errno::from(e))?;
    let place = match target {
        MapTarget::Zero => return anonymous(ctx, shared, length),
        MapTarget::Contents { place } => place,
    };
    let (object, _) = object_of(ctx.os, ctx.vfs, place, path, stat)?;
    let id = object.id;
    let backing = if shared { Backing::Shared { object: id, offset } } else { Backing::Private { object: id, offset } };
    let mut allowed = Protection::all();
    allowed.set(Protection::WRITE, !shared || writable);
    Ok((backing, Label::Object(object), allowed))
}

/// A writable private mapping larger than all memory is refused, as Linux's heuristic does.
fn commit_check(ctx: &mut Ctx, backing: &Backing, wanted: Protection, length: u64) -> Result<(), Errno> {
    let private = !matches!(backing, Backing::Shared { .. });
    if private && wanted.contains(Protection::WRITE) && length > ctx.platform.memory().total {
        return Err(Errno::ENOMEM);
    }
    Ok(())
}

pub(super) fn munmap(ctx: &mut Ctx, [address, length, ..]: Args) -> Answer {
    let (mm, platform) = ctx.mm_mut()?;
    mm.unmap(address, length, platform)?;
    ctx.sweep_objects();
    DONE
}

pub(super) fn mprotect(ctx: &mut Ctx, [address, length, prot, ..]: Args) -> Answer {
    let wanted = protection(prot & !((g::PROT_GROWSDOWN | g::PROT_GROWSUP) as u64))?;
    let (mm, platform) = ctx.mm_mut()?;
    mm.protect(address, length, wanted, platform)?;
    DONE
}

pub(super) fn mremap(ctx: &mut Ctx, [address, old, new, flags, to, _]: Args) -> Answer {
    let growth = match flags as u32 {
        0 => Growth::InPlace,
        g::MREMAP_MAYMOVE => Growth::MayMove,
        f if f == g::MREMAP_MAYMOVE | g::MREMAP_FIXED => Growth::Fixed(to),
        _ => return Err(Errno::EINVAL),
    };
    let limit = ctx.group()?.limit(g::RLIMIT_AS);
    let (mm, platform) = ctx.mm_mut()?;
    let at = mm.remap(address, old, new, growth, limit, platform)?;
    ctx.sweep_objects();
    Ok(Outcome::Value(at))
}

pub(super) fn brk(ctx: &mut Ctx, [end, ..]: Args) -> Answer {
    let group = ctx.group()?;
    let (data, all) = (group.limit(g::RLIMIT_DATA), group.limit(g::RLIMIT_AS));
    let total = ctx.platform.memory().total;
    let (mm, platform) = ctx.mm_mut()?;
    if end.saturating_sub(mm.brk) > total {
        return Ok(Outcome::Value(mm.brk));
    }
    Ok(Outcome::Value(mm.set_brk(end, data, all, platform)))
}

pub(super) fn madvise(ctx: &mut Ctx, [address, length, advice, ..]: Args) -> Answer {
    if address % PAGE != 0 {
        return Err(Errno::EINVAL);
    }
    if length == 0 {
        return DONE;
    }
    let (mm, platform) = ctx.mm_mut()?;
    match advice as u32 {
        // MADV_FREE may lose the pages at any time: now is a time.
        g::MADV_DONTNEED | g::MADV_FREE => mm.discard(address, length, platform)?,
        g::MADV_NORMAL
        | g::MADV_RANDOM
        | g::MADV_SEQUENTIAL
        | g::MADV_WILLNEED
        | g::MADV_HUGEPAGE
        | g::MADV_NOHUGEPAGE
        | g::MADV_DONTDUMP
        | g::MADV_DODUMP
        | g::MADV_MERGEABLE
        | g::MADV_UNMERGEABLE
        | g::MADV_COLD
        | g::MADV_PAGEOUT => {
            let end = mm.range(address, length)?;
            if !mm.areas.covers(address, end) {
                return Err(Errno::ENOMEM);
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    DONE
}

/// Shared pages are the file's own pages: there is nothing to bring together.
pub(super) fn msync(ctx: &mut Ctx, [address, length, flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    if flags & !(g::MS_ASYNC | g::MS_SYNC | g::MS_INVALIDATE) != 0
        || flags & g::MS_ASYNC != 0 && flags & g::MS_SYNC != 0
    {
        return Err(Errno::EINVAL);
    }
    check_mapped(ctx, address, length)
}

fn check_mapped(ctx: &mut Ctx, address: u64, length: u64) -> Answer {
    if length == 0 {
        return DONE;
    }
    let mm = ctx.mm()?;
    let start = address / PAGE * PAGE;
    let end = mm.range(start, length.saturating_add(address - start)).map_err(|_| Errno::ENOMEM)?;
    if mm.areas.covers(start, end) { DONE } else { Err(Errno::ENOMEM) }
}

/// Nothing is ever paged out: memory is locked as it is.
pub(super) fn mlock(ctx: &mut Ctx, [address, length, ..]: Args) -> Answer {
    check_mapped(ctx, address, length)
}

pub(super) fn munlock(ctx: &mut Ctx, [address, length, ..]: Args) -> Answer {
    check_mapped(ctx, address, length)
}

pub(super) fn mlockall(_: &mut Ctx, [flags, ..]: Args) -> Answer {
    let known = (g::MCL_CURRENT | g::MCL_FUTURE | g::MCL_ONFAULT) as u64;
    if flags == 0 || flags & !known != 0 { Err(Errno::EINVAL) } else { DONE }
}

pub(super) fn munlockall(_: &mut Ctx, _: Args) -> Answer {
    DONE
}

/// Which pages are there is not known here: mapped ones are said to be.
pub(super) fn mincore(ctx: &mut Ctx, [address, length, at, ..]: Args) -> Answer {
    if address % PAGE != 0 {
        return Err(Errno::EINVAL);
    }
    check_mapped(ctx, address, length)?;
    let pages = length.div_ceil(PAGE);
    for page in 0..pages {
        ctx.mem.write(at.wrapping_add(page), &[1])?;
    }
    DONE
}

/// Only the question which commands there are: none.
pub(super) fn membarrier(_: &mut Ctx, [command, ..]: Args) -> Answer {
    if command == 0 { DONE } else { Err(Errno::EINVAL) }
}
