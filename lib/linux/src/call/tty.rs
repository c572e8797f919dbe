//! ioctl: job control is answered here, the line's settings by the terminal's server, the rest by the file system.

use super::{Answer, Args};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::signal::SIGTTOU;
use crate::step::{DONE, Outcome, RemoteCall, RemoteRequest, RemoteResult, Server};
use crate::task::Progress;
use alloc::vec::Vec;

/// asm-generic/ioctls.h
mod number {
    pub(super) const TCGETS: u32 = 0x5401;
    pub(super) const TCSETS: u32 = 0x5402;
    pub(super) const TCSETSF: u32 = 0x5404;
    pub(super) const TCSBRK: u32 = 0x5409;
    pub(super) const TCXONC: u32 = 0x540a;
    pub(super) const TCFLSH: u32 = 0x540b;
    pub(super) const TIOCSCTTY: u32 = 0x540e;
    pub(super) const TIOCGPGRP: u32 = 0x540f;
    pub(super) const TIOCSPGRP: u32 = 0x5410;
    pub(super) const TIOCOUTQ: u32 = 0x5411;
    pub(super) const TIOCGWINSZ: u32 = 0x5413;
    pub(super) const TIOCSWINSZ: u32 = 0x5414;
    pub(super) const FIONREAD: u32 = 0x541b;
    pub(super) const FIONBIO: u32 = 0x5421;
    pub(super) const TIOCNOTTY: u32 = 0x5422;
    pub(super) const TCSBRKP: u32 = 0x5425;
    pub(super) const TIOCGSID: u32 = 0x5429;
    pub(super) const TCGETS2: u32 = 0x802c_542a;
    pub(super) const TCSETS2: u32 = 0x402c_542b;
    pub(super) const TCSETSF2: u32 = 0x402c_542d;
    pub(super) const FIONCLEX: u32 = 0x5450;
    pub(super) const FIOCLEX: u32 = 0x5451;
}
use number as n;

/// `TOSTOP` in `c_lflag`, and where that is.
const TOSTOP: u32 = 0x100;
const LFLAG: usize = 12;

pub(super) fn ioctl(ctx: &mut Ctx, [fd, request, argument, ..]: Args) -> Answer {
    let (fd, request) = (fd as i32, request as u32);
    match request {
        n::FIOCLEX => return set_cloexec(ctx, fd, 1),
        n::FIONCLEX => return set_cloexec(ctx, fd, 0),
        n::FIONBIO => return set_nonblock(ctx, fd, argument),
        _ => {}
    }
    let terminal = ctx.files(&[], 0, |vfs, c, _| vfs.terminal_of(c, fd))??;
    let Some(rdev) = terminal else {
        return other(ctx, fd, request, argument);
    };
    let tty = ctx.tty_number(rdev)?;
    match request {
        n::TIOCGPGRP => foreground(ctx, tty, argument),
        n::TIOCSPGRP => set_foreground(ctx, tty, argument),
        n::TIOCGSID => session(ctx, tty, argument),
        n::TIOCSCTTY => {
            let id = ctx.group_id()?;
            ctx.os.take_tty(id, tty)?;
            DONE
        }
        n::TIOCNOTTY => {
            let id = ctx.group_id()?;
            ctx.os.leave_tty(id, tty, ctx.platform)?;
            DONE
        }
        _ => line(ctx, tty, request, argument),
    }
}

fn set_cloexec(ctx: &mut Ctx, fd: i32, flag: u32) -> Answer {
    ctx.files(&[], 0, |vfs, c, _| vfs.set_fd_flags(c, fd, flag))??;
    DONE
}

fn set_nonblock(ctx: &mut Ctx, fd: i32, at: u64) -> Answer {
    let nonblock = linux_raw_sys::general::O_NONBLOCK;
    let on = ctx.mem.get_u32(at)? != 0;
    ctx.files(&[], 0, |vfs, c, _| {
        let old = vfs.get_status_flags(c, fd)?;
        vfs.set_status_flags(c, fd, if on { old | nonblock } else { old & !nonblock })
    })??;
    DONE
}

fn other(ctx: &mut Ctx, fd: i32, request: u32, argument: u64) -> Answer {
    if request == n::FIONREAD {
        let bytes = ctx.files(&[], 0, |vfs, c, _| vfs.bytes_available(c, fd))??;
        ctx.mem.put_u32(argument, bytes as u32)?;
        return DONE;
    }
    super::file::number(ctx, &[], |vfs, c, _| vfs.ioctl(c, fd, request, argument), |v| v as u64)
}

fn foreground(ctx: &mut Ctx, tty: u32, at: u64) -> Answer {
    if ctx.os.tty_of(ctx.group_id()?) != Some(tty) {
        return Err(Errno::ENOTTY);
    }
    let pgid = ctx.os.ttys.get(&tty).map_or(0, |t| t.foreground);
    ctx.mem.put_u32(at, pgid)?;
    DONE
}

fn set_foreground(ctx: &mut Ctx, tty: u32, at: u64) -> Answer {
    let pgid = ctx.mem.get_u32(at)?;
    if (pgid as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    ctx.os.check_background(ctx.task, tty, SIGTTOU, ctx.platform)?;
    let id = ctx.group_id()?;
    ctx.os.set_foreground(id, tty, pgid)?;
    DONE
}

fn session(ctx: &mut Ctx, tty: u32, at: u64) -> Answer {
    let sid = ctx.group()?.sid;
    if ctx.os.tty_of(ctx.group_id()?) != Some(tty) {
        return Err(Errno::ENOTTY);
    }
    ctx.mem.put_u32(at, sid)?;
    DONE
}

/// Bytes that the argument sends, and that the answer brings. `None`: not a terminal's ioctl that is known.
fn sizes(request: u32) -> Option<(usize, usize)> {
    Some(match request {
        n::TCGETS => (0, 36),
        n::TCSETS..=n::TCSETSF => (36, 0),
        n::TCGETS2 => (0, 44),
        n::TCSETS2..=n::TCSETSF2 => (44, 0),
        n::TIOCGWINSZ => (0, 8),
        n::TIOCSWINSZ => (8, 0),
        n::FIONREAD | n::TIOCOUTQ => (0, 4),
        n::TCSBRK | n::TCXONC | n::TCFLSH | n::TCSBRKP => (0, 0),
        _ => return None,
    })
}

/// Does it change the line, so that a background process may not?
fn changes(request: u32) -> bool {
    matches!(
        request,
        n::TCSETS..=n::TCSETSF | n::TCSETS2..=n::TCSETSF2 | n::TCSBRK | n::TCXONC | n::TCFLSH | n::TCSBRKP
    )
}

fn line(ctx: &mut Ctx, tty: u32, request: u32, argument: u64) -> Answer {
    let (sends, brings) = sizes(request).ok_or(Errno::ENOTTY)?;
    if let Progress::Answered(_, result) = ctx.take_progress() {
        return match result {
            RemoteResult::Bytes(value, bytes) => {
                ctx.mem.write(argument, bytes.get(..brings.min(bytes.len())).unwrap_or_default())?;
                Ok(Outcome::Value(value))
            }
            RemoteResult::Failed(error) => Err(error),
            _ => Err(Errno::EIO),
        };
    }
    if changes(request) {
        ctx.os.check_background(ctx.task, tty, SIGTTOU, ctx.platform)?;
    }
    let data = ctx.mem.get_vec(argument, sends)?;
    note_to_stop(ctx, tty, &data, request);
    ctx.me_mut()?.progress = Progress::Asked(None);
    let plain = if sends == 0 && brings == 0 { argument } else { 0 };
    Ok(Outcome::Remote(RemoteCall {
        server: Server::Tty(tty),
        request: RemoteRequest::Ioctl { request, argument: plain, data, answer: brings },
        buffers: Vec::new(),
    }))
}

/// `TOSTOP` is looked at here at each write.
fn note_to_stop(ctx: &mut Ctx, tty: u32, data: &[u8], request: u32) {
    if matches!(request, n::TCSETS..=n::TCSETSF | n::TCSETS2..=n::TCSETSF2)
        && let Some(bytes) = data.get(LFLAG..LFLAG + 4).and_then(|b| b.try_into().ok())
    {
        ctx.os.ttys.entry(tty).or_default().to_stop = u32::from_le_bytes(bytes) & TOSTOP != 0;
    }
}
