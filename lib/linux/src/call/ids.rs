//! Users, groups, capabilities, process groups, sessions.

use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::step::{DONE, Outcome};
use crate::task::{ALL_CAPS, Credentials, GroupId};
use alloc::vec::Vec;

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
/// `-1`: leave as it is.
const KEEP: u32 = u32::MAX;

/// Changes the caller's credentials; capabilities and the file system's view follow. credentials(7), capabilities(7).
fn change(ctx: &mut Ctx, edit: impl FnOnce(&mut Credentials) -> Result<(), Errno>) -> Result<(), Errno> {
    let task = ctx.me_mut()?;
    let mut new = task.credentials.clone();
    edit(&mut new)?;
    let (old_ids, ids) = (task.credentials.uid, new.uid);
    let is_root = |ids: [u32; 4]| ids.iter().take(3).any(|u| *u == 0);
    let [_, permitted, inheritable] = new.caps;
    let [_, effective_uid, ..] = ids;
    new.caps = if is_root(old_ids) && !is_root(ids) && !new.keep_caps {
        [0, 0, inheritable]
    } else if effective_uid != 0 && old_ids[1] == 0 {
        [0, permitted, inheritable]
    } else if effective_uid == 0 && old_ids[1] != 0 {
        [permitted, permitted, inheritable]
    } else {
        new.caps
    };
    task.files.cred = sal_vfs::Cred { uid: new.uid[3], gid: new.gid[3], groups: new.groups.clone() };
    task.credentials = new;
    Ok(())
}

/// The three ids that a program sees.
fn first_three(ids: [u32; 4]) -> [u32; 3] {
    let [a, b, c, _] = ids;
    [a, b, c]
}

/// setresuid and setresgid on one set of ids.
fn set_three(ids: &mut [u32; 4], new: [u32; 3], privileged: bool) -> Result<(), Errno> {
    let old = first_three(*ids);
    if !privileged && new.iter().any(|n| *n != KEEP && !old.contains(n)) {
        return Err(Errno::EPERM);
    }
    for (place, value) in ids.iter_mut().zip(new) {
        if value != KEEP {
            *place = value;
        }
    }
    ids[3] = ids[1];
    Ok(())
}

/// setuid and setgid.
fn set_one(ids: &mut [u32; 4], new: u32, privileged: bool) -> Result<(), Errno> {
    if new == KEEP {
        return Err(Errno::EINVAL);
    }
    if privileged {
        *ids = [new; 4];
        return Ok(());
    }
    let [real, _, saved, _] = *ids;
    if new != real && new != saved {
        return Err(Errno::EPERM);
    }
    (ids[1], ids[3]) = (new, new);
    Ok(())
}

/// setreuid and setregid.
fn set_two(ids: &mut [u32; 4], real: u32, effective: u32, privileged: bool) -> Result<(), Errno> {
    let [old_real, old_effective, saved, _] = *ids;
    let real_ok = real == KEEP || real == old_real || real == old_effective;
    let effective_ok = effective == KEEP || [old_real, old_effective, saved].contains(&effective);
    if !(privileged || real_ok && effective_ok) {
        return Err(Errno::EPERM);
    }
    if real != KEEP {
        ids[0] = real;
    }
    if effective != KEEP {
        ids[1] = effective;
    }
    if real != KEEP || effective != KEEP && effective != old_real {
        ids[2] = ids[1];
    }
    ids[3] = ids[1];
    Ok(())
}

macro_rules! getters {
    ($($name:ident = $field:ident[$index:literal];)*) => {$(
        pub(super) fn $name(ctx: &mut Ctx, _: Args) -> Answer {
            Ok(Outcome::Value(ctx.me()?.credentials.$field[$index] as u64))
        }
    )*};
}

getters! {
    getuid = uid[0];
    geteuid = uid[1];
    getgid = gid[0];
    getegid = gid[1];
}

fn put_three(ctx: &mut Ctx, ids: [u32; 4], to: [u64; 3]) -> Answer {
    for (at, id) in to.into_iter().zip(ids) {
        ctx.mem.put_u32(at, id)?;
    }
    DONE
}

pub(super) fn getresuid(ctx: &mut Ctx, [a, b, c, ..]: Args) -> Answer {
    let ids = ctx.me()?.credentials.uid;
    put_three(ctx, ids, [a, b, c])
}

pub(super) fn getresgid(ctx: &mut Ctx, [a, b, c, ..]: Args) -> Answer {
    let ids = ctx.me()?.credentials.gid;
    put_three(ctx, ids, [a, b, c])
}

pub(super) fn setuid(ctx: &mut Ctx, [id, ..]: Args) -> Answer {
    let privileged = ctx.me()?.credentials.can(CAP_SETUID);
    change(ctx, |c| set_one(&mut c.uid, id as u32, privileged))?;
    DONE
}

pub(super) fn setgid(ctx: &mut Ctx, [id, ..]: Args) -> Answer {
    let privileged = ctx.me()?.credentials.can(CAP_SETGID);
    change(ctx, |c| set_one(&mut c.gid, id as u32, privileged))?;
    DONE
}

pub(super) fn setreuid(ctx: &mut Ctx, [real, effective, ..]: Args) -> Answer {
    let privileged = ctx.me()?.credentials.can(CAP_SETUID);
    change(ctx, |c| set_two(&mut c.uid, real as u32, effective as u32, privileged))?;
    DONE
}

pub(super) fn setregid(ctx: &mut Ctx, [real, effective, ..]: Args) -> Answer {
    let privileged = ctx.me()?.credentials.can(CAP_SETGID);
    change(ctx, |c| set_two(&mut c.gid, real as u32, effective as u32, privileged))?;
    DONE
}

pub(super) fn setresuid(ctx: &mut Ctx, [a, b, c, ..]: Args) -> Answer {
    let privileged = ctx.me()?.credentials.can(CAP_SETUID);
    change(ctx, |cred| set_three(&mut cred.uid, [a as u32, b as u32, c as u32], privileged))?;
    DONE
}

pub(super) fn setresgid(ctx: &mut Ctx, [a, b, c, ..]: Args) -> Answer {
    let privileged = ctx.me()?.credentials.can(CAP_SETGID);
    change(ctx, |cred| set_three(&mut cred.gid, [a as u32, b as u32, c as u32], privileged))?;
    DONE
}

/// The file system's id: returns the old one, whether or not it was changed.
fn set_file_id(ids: &mut [u32; 4], new: u32, privileged: bool) {
    if new != KEEP && (privileged || ids.contains(&new)) {
        ids[3] = new;
    }
}

pub(super) fn setfsuid(ctx: &mut Ctx, [id, ..]: Args) -> Answer {
    let credentials = &ctx.me()?.credentials;
    let (old, privileged) = (credentials.uid[3], credentials.can(CAP_SETUID));
    change(ctx, |c| {
        set_file_id(&mut c.uid, id as u32, privileged);
        Ok(())
    })?;
    Ok(Outcome::Value(old as u64))
}

pub(super) fn setfsgid(ctx: &mut Ctx, [id, ..]: Args) -> Answer {
    let credentials = &ctx.me()?.credentials;
    let (old, privileged) = (credentials.gid[3], credentials.can(CAP_SETGID));
    change(ctx, |c| {
        set_file_id(&mut c.gid, id as u32, privileged);
        Ok(())
    })?;
    Ok(Outcome::Value(old as u64))
}

/// Supplementary groups at most.
const NGROUPS_MAX: u64 = 65536;

pub(super) fn getgroups(ctx: &mut Ctx, [size, at, ..]: Args) -> Answer {
    let groups = ctx.me()?.credentials.groups.clone();
    if (size as i32) < 0 || size != 0 && groups.len() as u64 > size {
        return Err(Errno::EINVAL);
    }
    if size != 0 {
        let bytes: Vec<u8> = groups.iter().flat_map(|g| g.to_le_bytes()).collect();
        ctx.mem.write(at, &bytes)?;
    }
    Ok(Outcome::Value(groups.len() as u64))
}

pub(super) fn setgroups(ctx: &mut Ctx, [count, at, ..]: Args) -> Answer {
    if !ctx.me()?.credentials.can(CAP_SETGID) {
        return Err(Errno::EPERM);
    }
    if count > NGROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let bytes = ctx.mem.get_vec(at, count as usize * 4)?;
    let groups = bytes.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap_or_default())).collect();
    change(ctx, |c| {
        c.groups = groups;
        Ok(())
    })?;
    DONE
}

/// `_LINUX_CAPABILITY_VERSION_3`, and the two before it that use as many words or half of them.
const CAP_V3: u32 = 0x2008_0522;
const CAP_V2: u32 = 0x2007_1026;
const CAP_V1: u32 = 0x1998_0330;

/// Version of the header at `at`: how many words each set has; an unknown one is answered with the one wanted.
fn cap_words(ctx: &mut Ctx, at: u64) -> Result<usize, Errno> {
    match ctx.mem.get_u32(at)? {
        CAP_V1 => Ok(1),
        CAP_V2 | CAP_V3 => Ok(2),
        _ => {
            ctx.mem.put_u32(at, CAP_V3)?;
            Err(Errno::EINVAL)
        }
    }
}

pub(super) fn capget(ctx: &mut Ctx, [header, data, ..]: Args) -> Answer {
    let words = match cap_words(ctx, header) {
        Err(Errno::EINVAL) if data == 0 => return DONE,
        words => words?,
    };
    let pid = ctx.mem.get_u32(header.wrapping_add(4))?;
    let id = if pid == 0 { ctx.task } else { *ctx.os.tids.get(&pid).ok_or(Errno::ESRCH)? };
    let caps = ctx.os.tasks.get(id).ok_or(Errno::ESRCH)?.credentials.caps;
    if data == 0 {
        return DONE;
    }
    let bytes: Vec<u8> =
        (0..words).flat_map(|w| caps.map(|set| (set >> (32 * w)) as u32)).flat_map(u32::to_le_bytes).collect();
    ctx.mem.write(data, &bytes)?;
    DONE
}

pub(super) fn capset(ctx: &mut Ctx, [header, data, ..]: Args) -> Answer {
    let words = cap_words(ctx, header)?;
    let pid = ctx.mem.get_u32(header.wrapping_add(4))?;
    if pid != 0 && pid != ctx.me()?.tid {
        return Err(Errno::EPERM);
    }
    let mut sets = [0u64; 3];
    for word in 0..words {
        for (index, set) in sets.iter_mut().enumerate() {
            let at = data.wrapping_add((word * 12 + index * 4) as u64);
            *set |= (ctx.mem.get_u32(at)? as u64) << (32 * word);
        }
    }
    let [effective, permitted, inheritable] = sets.map(|s| s & ALL_CAPS);
    let [_, old_permitted, _] = ctx.me()?.credentials.caps;
    if permitted & !old_permitted != 0 || effective & !permitted != 0 {
        return Err(Errno::EPERM);
    }
    ctx.me_mut()?.credentials.caps = [effective, permitted, inheritable];
    DONE
}

fn process(ctx: &Ctx, pid: u64) -> Result<GroupId, Errno> {
    if pid == 0 { ctx.group_id() } else { ctx.os.tgids.get(&(pid as u32)).copied().ok_or(Errno::ESRCH) }
}

pub(super) fn getpgid(ctx: &mut Ctx, [pid, ..]: Args) -> Answer {
    let id = process(ctx, pid)?;
    Ok(Outcome::Value(ctx.os.groups.get(id).ok_or(Errno::ESRCH)?.pgid as u64))
}

pub(super) fn getpgrp(ctx: &mut Ctx, _: Args) -> Answer {
    Ok(Outcome::Value(ctx.group()?.pgid as u64))
}

pub(super) fn getsid(ctx: &mut Ctx, [pid, ..]: Args) -> Answer {
    let id = process(ctx, pid)?;
    Ok(Outcome::Value(ctx.os.groups.get(id).ok_or(Errno::ESRCH)?.sid as u64))
}

pub(super) fn setpgid(ctx: &mut Ctx, [pid, pgid, ..]: Args) -> Answer {
    if (pgid as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let me = ctx.group_id()?;
    let (my_sid, target) = (ctx.group()?.sid, process(ctx, pid)?);
    let group = ctx.os.groups.get(target).ok_or(Errno::ESRCH)?;
    if target != me {
        if group.parent != Some(me) {
            return Err(Errno::ESRCH);
        }
        if group.sid != my_sid {
            return Err(Errno::EPERM);
        }
        if group.execed {
            return Err(Errno::EACCES);
        }
    }
    if group.sid == group.tgid {
        return Err(Errno::EPERM);
    }
    let pgid = if pgid == 0 { group.tgid } else { pgid as u32 };
    let known = ctx.os.groups.iter().any(|(_, g)| g.pgid == pgid && g.sid == my_sid);
    if pgid != group.tgid && !known {
        return Err(Errno::EPERM);
    }
    // As on Linux, a group that this orphans is told nothing: only ends of processes do.
    ctx.os.groups.get_mut(target).ok_or(Errno::ESRCH)?.pgid = pgid;
    DONE
}

pub(super) fn setsid(ctx: &mut Ctx, _: Args) -> Answer {
    let group = ctx.group()?;
    let tgid = group.tgid;
    if group.sid == tgid || ctx.os.groups.iter().any(|(_, g)| g.pgid == tgid) {
        return Err(Errno::EPERM);
    }
    let group = ctx.group_mut()?;
    (group.sid, group.pgid) = (tgid, tgid);
    ctx.os.sessions.insert(tgid, Default::default());
    Ok(Outcome::Value(tgid as u64))
}
