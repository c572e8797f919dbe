//! Signals, job control, sleeping and polling.

mod support;
use sal_linux_core::job::TtyEvent;
use sal_linux_core::{Config, Errno, PowerState, RemoteRequest, RemoteResult, TaskId};
use support::*;

const SIGINT: u64 = 2;
const SIGKILL: u64 = 9;
const SIGUSR1: u64 = 10;
const SIGSEGV: u64 = 11;
const SIGUSR2: u64 = 12;
const SIGALRM: u64 = 14;
const SIGTERM: u64 = 15;
const SIGCONT: u64 = 18;
const SIGTSTP: u64 = 20;
const HANDLER: u64 = 0x40_0500;
const SA_SIGINFO: u64 = 4;
const SA_RESTART: u64 = 0x1000_0000;
const SA_ONSTACK: u64 = 0x0800_0000;
const SA_NODEFER: u64 = 0x4000_0000;
const SA_RESETHAND: u64 = 0x8000_0000;

fn errno(e: Errno) -> i64 {
    e.to_result() as i64
}

/// What the handler's `ret` and the restorer do.
fn sigreturn(w: &mut World, t: TaskId) {
    w.thread(t).regs.rsp += 8;
    w.try_call(t, nr::RT_SIGRETURN, &[]);
}

fn kill(w: &mut World, from: TaskId, pid: u64, signal: u64) -> i64 {
    w.call(from, nr::KILL, &[pid, signal])
}

#[test]
fn a_handler_runs_on_a_frame_and_its_return_restores_everything() {
    let mut w = World::new();
    let t = w.init;
    w.on_signal(t, SIGUSR1, HANDLER, SA_SIGINFO, 1 << (SIGUSR2 - 1));
    let before = {
        let r = &mut w.thread(t).regs;
        (r.rbx, r.r12, r.r15, r.rbp) = (0xb, 12, 15, 0xbb);
        r.rflags |= 0x400;
        *r
    };
    assert_eq!(w.try_call(t, nr::KILL, &[1, SIGUSR1]), Some(0));
    let r = w.thread(t).regs;
    assert_eq!((r.rip, r.rdi, r.rsp % 16), (HANDLER, SIGUSR1, 8), "as after a call instruction");
    assert_eq!(r.rflags & 0x400, 0, "the direction flag is clear");
    assert_eq!(w.word(t, r.rsp), 0x40_1000, "returns to the restorer");
    assert!(r.rsp + 440 < before.rsp - 128, "the red zone is kept");
    assert_eq!((w.u32(t, r.rsi), w.u32(t, r.rsi + 8), w.u32(t, r.rsi + 16)), (SIGUSR1 as u32, 0, 1));
    let fpu = w.word(t, r.rdx + 40 + 184);
    assert_eq!(fpu % 64, 0);
    assert_eq!(w.u32(t, fpu + 464), 0x4650_5853);
    assert_eq!(w.u32(t, fpu + 832), 0x4650_5845);
    assert_eq!(w.word(t, r.rdx), 7, "uc_flags");
    let mask = w.scratch(0);
    w.call(t, nr::RT_SIGPROCMASK, &[0, 0, mask, 8]);
    assert_eq!(w.word(t, mask), 1 << (SIGUSR1 - 1) | 1 << (SIGUSR2 - 1));
    w.fake.m.borrow_mut().fpu = vec![0; 832];
    w.thread(t).regs.rbx = 99;
    w.thread(t).regs.rsp = r.rsp;
    sigreturn(&mut w, t);
    let after = w.thread(t).regs;
    assert_eq!((after.rax, after.rbx, after.r12, after.r15, after.rbp), (0, 0xb, 12, 15, 0xbb));
    assert_eq!((after.rsp, after.rip, after.rflags), (before.rsp, before.rip + 2, before.rflags));
    assert_eq!(w.fake.m.borrow().fpu[0], 0x5a);
    w.call(t, nr::RT_SIGPROCMASK, &[0, 0, mask, 8]);
    assert_eq!(w.word(t, mask), 0);
}

#[test]
fn a_blocked_signal_waits_and_flags_do_what_they_say() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    w.on_signal(t, SIGUSR1, HANDLER, SA_RESETHAND | SA_NODEFER, 0);
    w.words(t, at, &[1 << (SIGUSR1 - 1)]);
    w.call(t, nr::RT_SIGPROCMASK, &[0, at, 0, 8]);
    kill(&mut w, t, 1, SIGUSR1);
    kill(&mut w, t, 1, SIGUSR1);
    assert_ne!(w.thread(t).regs.rip, HANDLER);
    w.call(t, nr::RT_SIGPROCMASK, &[1, at, 0, 8]);
    assert_eq!(w.thread(t).regs.rip, HANDLER);
    w.call(t, nr::RT_SIGPROCMASK, &[0, 0, at, 8]);
    assert_eq!(w.word(t, at), 0, "SA_NODEFER");
    w.call(t, nr::RT_SIGACTION, &[SIGUSR1, 0, at, 8]);
    assert_eq!(w.word(t, at), 0, "SA_RESETHAND");
    assert_eq!(w.call(t, nr::RT_SIGACTION, &[SIGKILL, at, 0, 8]), errno(Errno::EINVAL));
    assert_eq!(kill(&mut w, t, 1, 65), errno(Errno::EINVAL));
    assert_eq!(kill(&mut w, t, 999, 0), errno(Errno::ESRCH));
}

#[test]
fn the_alternate_stack_is_used_once_and_reported() {
    let mut w = World::new();
    let (t, at, stack) = (w.init, w.scratch(0), w.scratch(4));
    w.words(t, at, &[stack, 0, 0x4000]);
    assert_eq!(w.call(t, nr::SIGALTSTACK, &[at, 0]), 0);
    w.on_signal(t, SIGUSR1, HANDLER, SA_ONSTACK | SA_NODEFER, 0);
    let sp = w.thread(t).regs.rsp;
    kill(&mut w, t, 1, SIGUSR1);
    let first = w.thread(t).regs.rsp;
    assert!((stack..stack + 0x4000).contains(&first));
    assert_eq!(w.call(t, nr::SIGALTSTACK, &[0, at]), 0);
    assert_eq!(w.word(t, at + 8) as u32, 1, "SS_ONSTACK");
    assert_eq!(w.call(t, nr::SIGALTSTACK, &[at, 0]), errno(Errno::EPERM));
    kill(&mut w, t, 1, SIGUSR1);
    let second = w.thread(t).regs.rsp;
    assert!((stack..first).contains(&second), "nested: below the first frame");
    sigreturn(&mut w, t);
    w.thread(t).regs.rsp = first;
    sigreturn(&mut w, t);
    assert_eq!(w.thread(t).regs.rsp, sp);
}

/// A pipe: (read end, write end).
fn pipe(w: &mut World, t: TaskId) -> (u64, u64) {
    let at = w.scratch(10);
    assert_eq!(w.call(t, nr::PIPE, &[at]), 0);
    (w.u32(t, at) as u64, w.u32(t, at + 4) as u64)
}

#[test]
fn a_signal_ends_or_restarts_a_read_as_its_flags_say() {
    let mut w = World::new();
    let (t, buffer) = (w.init, w.scratch(0));
    let (child, pid) = w.fork(t);
    let (r, _) = pipe(&mut w, child);
    w.on_signal(child, SIGUSR1, HANDLER, 0, 0);
    w.on_signal(child, SIGUSR2, HANDLER, SA_RESTART, 0);
    assert_eq!(w.try_call(child, nr::READ, &[r, buffer, 10]), None);
    let rip = w.thread(child).regs.rip;
    kill(&mut w, t, pid, SIGUSR1);
    assert_eq!(w.thread(child).regs.rip, HANDLER);
    sigreturn(&mut w, child);
    assert_eq!((w.result(child), w.thread(child).regs.rip), (errno(Errno::EINTR), rip));
    assert_eq!(w.try_call(child, nr::READ, &[r, buffer, 10]), None);
    let rip = w.thread(child).regs.rip;
    kill(&mut w, t, pid, SIGUSR2);
    sigreturn(&mut w, child);
    assert_eq!(w.thread(child).regs.rip, rip - 2, "the syscall instruction again");
    assert_eq!(w.result(child), nr::READ as i64);
}

#[test]
fn pipes_block_and_wake_across_processes_and_a_broken_one_kills() {
    let mut w = World::new();
    let (t, buffer) = (w.init, w.scratch(0));
    let (r, wr) = pipe(&mut w, t);
    let (child, pid) = w.fork(t);
    w.call(child, nr::CLOSE, &[wr]);
    assert_eq!(w.try_call(child, nr::READ, &[r, buffer, 100]), None);
    w.write(t, buffer, b"through");
    assert_eq!(w.call(t, nr::WRITE, &[wr, buffer, 7]), 7);
    assert_eq!((w.at(child), w.result(child)), (At::Guest, 7));
    assert_eq!(w.read(child, buffer, 7), b"through");
    assert_eq!(w.try_call(child, nr::READ, &[r, buffer, 100]), None);
    assert_eq!(w.call(t, nr::CLOSE, &[wr]), 0);
    assert_eq!(w.result(child), 0, "end of file");
    // A full pipe: the writer gets as far as there is room, then goes on when somebody reads.
    let (r2, w2) = pipe(&mut w, child);
    let at = w.call(child, nr::MMAP, &[0, 1 << 20, 3, 0x22, u64::MAX, 0]) as u64;
    let (grandchild, _) = w.fork(child);
    assert_eq!(w.try_call(child, nr::WRITE, &[w2, at, 100_000]), None);
    w.call(grandchild, nr::CLOSE, &[w2]);
    let mut got = 0;
    while got < 100_000 {
        let n = w.call(grandchild, nr::READ, &[r2, at, 30_000]);
        assert!(n > 0);
        got += n;
    }
    assert_eq!((got, w.result(child)), (100_000, 100_000));
    w.call(child, nr::CLOSE, &[r2]);
    w.try_call(grandchild, nr::EXIT_GROUP, &[0]);
    assert_eq!(w.try_call(child, nr::WRITE, &[w2, at, 1]), None);
    assert_eq!(w.at(child), At::Gone, "SIGPIPE");
    let status = w.scratch(1);
    assert_eq!(w.call(t, nr::WAIT4, &[pid, status, 0, 0]), pid as i64);
    assert_eq!(w.u32(t, status), 13);
}

#[test]
fn suspend_and_timed_wait() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    let (child, pid) = w.fork(t);
    w.on_signal(child, SIGUSR1, HANDLER, 0, 0);
    w.words(child, at, &[1 << (SIGUSR1 - 1) | 1 << (SIGUSR2 - 1), 0, 0, 500]);
    w.call(child, nr::RT_SIGPROCMASK, &[0, at, 0, 8]);
    assert_eq!(w.try_call(child, nr::RT_SIGSUSPEND, &[at + 8, 8]), None);
    kill(&mut w, t, pid, SIGUSR1);
    assert_eq!(w.thread(child).regs.rip, HANDLER);
    sigreturn(&mut w, child);
    assert_eq!(w.result(child), errno(Errno::EINTR));
    w.call(child, nr::RT_SIGPROCMASK, &[0, 0, at + 64, 8]);
    assert_eq!(w.word(child, at + 64), 1 << (SIGUSR1 - 1) | 1 << (SIGUSR2 - 1), "the old mask is back");
    assert_eq!(w.try_call(child, nr::RT_SIGTIMEDWAIT, &[at, at + 128, at + 16, 8]), None);
    kill(&mut w, t, pid, SIGUSR2);
    assert_eq!(w.result(child), SIGUSR2 as i64);
    assert_eq!(w.u32(child, at + 128 + 16), 1, "sent by init");
    assert_eq!(w.try_call(child, nr::RT_SIGTIMEDWAIT, &[at, 0, at + 16, 8]), None);
    w.advance(500);
    assert_eq!(w.result(child), errno(Errno::EAGAIN));
}

#[test]
fn sleeps_end_in_time_and_alarms_ring() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    w.words(t, at, &[1, 5]);
    assert_eq!(w.try_call(t, nr::NANOSLEEP, &[at, at + 16]), None);
    w.advance(1_000_000_004);
    assert_ne!(w.at(t), At::Guest);
    w.advance(1);
    assert_eq!(w.result(t), 0);
    w.on_signal(t, SIGALRM, HANDLER, SA_RESTART, 0);
    assert_eq!(w.call(t, nr::ALARM, &[2]), 0);
    w.words(t, at, &[10, 0]);
    assert_eq!(w.try_call(t, nr::NANOSLEEP, &[at, at + 16]), None);
    w.advance(2_000_000_000);
    assert_eq!(w.thread(t).regs.rip, HANDLER);
    sigreturn(&mut w, t);
    assert_eq!(w.result(t), errno(Errno::EINTR), "a sleep is never restarted after a handler");
    assert_eq!((w.word(t, at + 16), w.word(t, at + 24)), (8, 0), "what was left");
    assert_eq!(w.call(t, nr::ALARM, &[0]), 0);
    w.words(t, at, &[0, 1_000_000_000]);
    assert_eq!(w.call(t, nr::NANOSLEEP, &[at, 0]), errno(Errno::EINVAL));
}

#[test]
fn faults_become_signals_and_kill_if_nobody_listens() {
    let mut w = World::new();
    let t = w.init;
    let (child, pid) = w.fork(t);
    w.on_signal(child, SIGSEGV, HANDLER, SA_SIGINFO, 0);
    w.fault(child, 0x1234, 6);
    let r = w.thread(child).regs;
    assert_eq!((r.rip, w.u32(child, r.rsi + 8), w.word(child, r.rsi + 16)), (HANDLER, 1, 0x1234));
    sigreturn(&mut w, child);
    w.fault(child, 0x40_0000, 7);
    let r = w.thread(child).regs;
    assert_eq!(w.u32(child, r.rsi + 8), 2, "a store to code: SEGV_ACCERR");
    w.fault(child, 0x1234, 6);
    assert_eq!(w.at(child), At::Gone, "blocked: it kills");
    let status = w.scratch(1);
    w.call(t, nr::WAIT4, &[pid, status, 0, 0]);
    assert_eq!(w.u32(t, status), 11);
    let (child, _) = w.fork(t);
    w.fault(child, 0x60_2000, 4);
    assert_eq!(w.at(child), At::Guest, "the mappings allow it: once more");
    w.on_signal(child, SIGUSR1, HANDLER, 0, 0);
    w.thread(child).regs.rsp = 0x1000;
    kill(&mut w, t, 3, SIGUSR1);
    assert_eq!(w.at(child), At::Gone, "no stack for the frame");
}

/// A shell (session leader with the terminal) as a child of init's; and one job in its own process group.
fn job(w: &mut World) -> (TaskId, TaskId, u64) {
    let shell = w.init;
    let (job, pid) = w.fork(shell);
    assert_eq!(w.call(shell, nr::SETPGID, &[pid, pid]), 0);
    (shell, job, pid)
}

const TIOCGPGRP: u64 = 0x540f;
const TIOCSPGRP: u64 = 0x5410;

fn foreground(w: &mut World, shell: TaskId, pgid: u64) -> i64 {
    let at = w.scratch(11);
    w.write(shell, at, &(pgid as u32).to_le_bytes());
    w.call(shell, nr::IOCTL, &[0, TIOCSPGRP, at])
}

#[test]
fn control_c_goes_to_the_foreground_only() {
    let mut w = World::new();
    let (shell, job, pid) = job(&mut w);
    w.on_signal(shell, SIGINT, HANDLER, 0, 0);
    assert_eq!(foreground(&mut w, shell, pid), 0);
    let at = w.scratch(12);
    assert_eq!(w.call(job, nr::IOCTL, &[0, TIOCGPGRP, at]), 0);
    assert_eq!(w.u32(job, at), pid as u32);
    w.tty(TtyEvent::Interrupt);
    assert_eq!(w.at(job), At::Gone);
    assert_ne!(w.thread(shell).regs.rip, HANDLER);
    let status = w.scratch(1);
    assert_eq!(w.call(shell, nr::WAIT4, &[pid, status, 2, 0]), pid as i64);
    assert_eq!(w.u32(shell, status), 2);
}

#[test]
fn a_job_stops_is_reported_and_goes_on() {
    let mut w = World::new();
    let (shell, job, pid) = job(&mut w);
    let (status, at) = (w.scratch(1), w.scratch(0));
    foreground(&mut w, shell, pid);
    w.words(job, at, &[5, 0]);
    assert_eq!(w.try_call(job, nr::NANOSLEEP, &[at, 0]), None);
    assert_eq!(w.try_call(shell, nr::WAIT4, &[-1i64 as u64, status, 2, 0]), None);
    w.tty(TtyEvent::Suspend);
    assert_eq!(w.at(job), At::Blocked(None));
    assert_eq!((w.result(shell), w.u32(shell, status)), (pid as i64, SIGTSTP as u32 * 256 + 0x7f));
    assert_eq!(w.call(shell, nr::WAIT4, &[-1i64 as u64, status, 3, 0]), 0, "told once");
    assert!(w.cat(shell, &format!("/proc/{pid}/stat")).contains(") T "));
    w.advance(2_000_000_000);
    kill(&mut w, shell, -(pid as i64) as u64, SIGCONT);
    assert_eq!(w.at(job), At::Blocked(Some(5_000_000_000)), "the sleep goes on to its old end");
    assert_eq!(w.call(shell, nr::WAIT4, &[-1i64 as u64, status, 8 | 1, 0]), pid as i64);
    assert_eq!(w.u32(shell, status), 0xffff);
    w.advance(3_000_000_000);
    assert_eq!((w.at(job), w.result(job)), (At::Guest, 0));
    kill(&mut w, shell, pid, 19);
    assert_eq!(w.at(job), At::Blocked(None));
    kill(&mut w, shell, pid, SIGTERM);
    assert_eq!(w.at(job), At::Blocked(None), "a stopped process notices later");
    kill(&mut w, shell, pid, SIGKILL);
    assert_eq!(w.at(job), At::Gone, "but not SIGKILL");
}

#[test]
fn a_background_reader_stops_and_a_foreground_one_is_served() {
    let mut w = World::new();
    let (shell, job, pid) = job(&mut w);
    let (status, at) = (w.scratch(1), w.scratch(0));
    assert_eq!(w.try_call(job, nr::READ, &[0, at, 10]), None);
    assert_eq!(w.at(job), At::Blocked(None));
    assert_eq!(w.call(shell, nr::WAIT4, &[pid, status, 2, 0]), pid as i64);
    assert_eq!(w.u32(shell, status), 21 * 256 + 0x7f, "SIGTTIN");
    foreground(&mut w, shell, pid);
    kill(&mut w, shell, pid, SIGCONT);
    assert_eq!(w.at(job), At::Remote, "the read was made again");
    let call = w.thread(job).remote.take().unwrap();
    assert_eq!((call.buffers[0].address, call.buffers[0].length), (at, 10));
    w.complete(job, RemoteResult::File(sal_vfs::Reply::Count(4)));
    assert_eq!((w.at(job), w.result(job)), (At::Guest, 4));
    assert_eq!(w.try_call(job, nr::READ, &[0, at, 10]), None);
    w.tty(TtyEvent::Suspend);
    assert_eq!(w.at(job), At::Blocked(None), "the terminal's call was interrupted, the job stopped");
}

#[test]
fn a_terminal_is_polled_at_its_server_and_readiness_is_not_lost() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    w.words(t, at, &[1 << 32]);
    assert_eq!(w.try_call(t, nr::POLL, &[at, 1, 1000]), None);
    assert!(matches!(w.thread(t).remote.take().unwrap().request, RemoteRequest::Poll { events: 1 }));
    // Input comes between the server's answer and the wait.
    w.tty(TtyEvent::Ready);
    w.complete(t, RemoteResult::File(sal_vfs::Reply::Number(0)));
    assert_eq!(w.at(t), At::Remote, "asked again");
    w.complete(t, RemoteResult::File(sal_vfs::Reply::Number(0)));
    assert_eq!(w.at(t), At::Blocked(Some(1_000_000_000)));
    w.tty(TtyEvent::Ready);
    assert_eq!(w.at(t), At::Remote);
    w.complete(t, RemoteResult::File(sal_vfs::Reply::Number(1)));
    assert_eq!((w.at(t), w.result(t)), (At::Guest, 1));
    assert_eq!(w.word(t, at), 1 << 32 | 1 << 48);
}

#[test]
fn poll_and_select_wait_for_pipes_and_for_time() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    let (r, wr) = pipe(&mut w, t);
    let (child, _) = w.fork(t);
    w.words(t, at, &[r | 1 << 32]);
    assert_eq!(w.call(t, nr::POLL, &[at, 1, 0]), 0);
    assert_eq!(w.try_call(t, nr::POLL, &[at, 1, 10]), None);
    w.advance(10_000_000);
    assert_eq!(w.result(t), 0);
    assert_eq!(w.try_call(t, nr::POLL, &[at, 1, -1i64 as u64]), None);
    assert_eq!(w.call(child, nr::WRITE, &[wr, at, 1]), 1);
    assert_eq!((w.result(t), w.word(t, at) >> 48), (1, 1));
    w.words(t, at, &[1 << r | 1 << wr, 1 << wr]);
    assert_eq!(w.call(t, nr::SELECT, &[wr + 1, at, at + 8, 0, 0]), 2);
    assert_eq!((w.word(t, at), w.word(t, at + 8)), (1 << r, 1 << wr));
    w.words(t, at, &[1 << 50]);
    assert_eq!(w.call(t, nr::SELECT, &[51, at, 0, 0, 0]), errno(Errno::EBADF));
}

#[test]
fn a_session_leader_that_ends_hangs_its_foreground_up() {
    let mut w = World::new();
    let (shell, job, pid) = job(&mut w);
    foreground(&mut w, shell, pid);
    assert_eq!(w.call(job, nr::SETSID, &[]), errno(Errno::EPERM), "a group leader");
    w.on_signal(job, 1, HANDLER, 0, 0);
    let (inner, _) = w.fork(job);
    assert!(w.call(inner, nr::SETSID, &[]) > 0);
    w.try_call(shell, nr::EXIT_GROUP, &[5]);
    assert_eq!(w.linux.init_status(), Some(sal_linux_core::ExitStatus::Exited(5)));
    assert_eq!((w.at(job), w.at(inner)), (At::Gone, At::Gone), "everything ends with init");
    assert_eq!(w.linux.population().0, 0);
    assert!(w.fake.m.borrow().spaces.is_empty());
}

#[test]
fn an_orphaned_group_is_hung_up_once_it_becomes_one_and_not_when_a_member_ends() {
    const SIGHUP: u64 = 1;
    let mut w = World::new();
    let init = w.init;
    // Init's own group was orphaned from the start: when a member ends, that another one is stopped is no news.
    let (stopped, pid) = w.fork(init);
    let (other, _) = w.fork(init);
    kill(&mut w, init, pid, 19);
    w.try_call(other, nr::EXIT_GROUP, &[0]);
    assert_eq!((w.at(init), w.at(stopped)), (At::Guest, At::Blocked(None)));
    // A job's leader ties its group to the shell's session: when it has ended, its stopped child is hung up.
    let (shell, _) = w.fork(init);
    w.call(shell, nr::SETSID, &[]);
    let (job, job_pid) = w.fork(shell);
    assert_eq!(w.call(shell, nr::SETPGID, &[job_pid, job_pid]), 0);
    let (inner, inner_pid) = w.fork(job);
    w.on_signal(inner, SIGHUP, HANDLER, 0, 0);
    kill(&mut w, shell, inner_pid, 19);
    assert_eq!(w.at(inner), At::Blocked(None));
    w.try_call(job, nr::EXIT_GROUP, &[0]);
    assert_eq!((w.at(inner), w.thread(inner).regs.rip), (At::Guest, HANDLER));
}

#[test]
fn init_is_protected_if_wanted() {
    let mut w =
        World::with(&[(b"/bin/prog", program())], sal_linux_core::Config { randomize: false, ..Default::default() });
    let t = w.init;
    let (child, _) = w.fork(t);
    assert_eq!(kill(&mut w, child, 1, SIGTERM), 0);
    assert_eq!(w.at(t), At::Guest);
    w.on_signal(t, SIGTERM, HANDLER, 0, 0);
    kill(&mut w, child, 1, SIGTERM);
    assert_eq!(w.thread(t).regs.rip, HANDLER);
}

#[test]
fn init_without_a_handler_is_not_killed_and_ends_the_machine_when_asked() {
    let config = Config { protect_init: true, randomize: false, ..Config::default() };
    for (signal, then) in [
        (SIGINT, None),
        (SIGUSR1, Some(PowerState::Halt)),
        (SIGUSR2, Some(PowerState::Off(0))),
        (SIGTERM, Some(PowerState::Restart)),
    ] {
        let mut w = World::with(&[(b"/bin/prog", program())], config);
        let t = w.init;
        assert_eq!(kill(&mut w, t, 1, signal), 0);
        assert_eq!(w.fake.m.borrow().power, then, "signal {signal}");
        assert_eq!(w.linux.init_status(), None, "signal {signal}");
    }
    let mut w = World::with(&[(b"/bin/prog", program())], config);
    let t = w.init;
    w.on_signal(t, SIGUSR2, HANDLER, SA_SIGINFO, 0);
    assert_eq!(w.try_call(t, nr::KILL, &[1, SIGUSR2]), Some(0));
    assert_eq!(w.fake.m.borrow().power, None, "init has a handler of its own");
}
