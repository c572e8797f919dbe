//! Processes: fork, exec, exit, wait, threads, futexes.

mod support;
use support::*;

const SIGCHLD: u64 = 17;
const THREAD: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x80000 | 0x100000 | 0x200000;

fn errno(e: sal_linux_core::Errno) -> i64 {
    e.to_result() as i64
}
use sal_linux_core::Errno;

#[test]
fn the_first_program_starts_with_its_segments_and_its_stack() {
    let mut w = World::new();
    let t = w.init;
    let regs = w.thread(t).regs;
    assert_eq!((regs.rip, regs.rflags, regs.rsp % 16), (0x40_0100, 0x202, 0));
    assert_eq!(w.read(t, 0x40_0000, 4), b"\x7fELF");
    assert_eq!(w.read(t, 0x60_1f00, 0x80), vec![0xd1; 0x80]);
    assert_eq!(w.read(t, 0x60_1f80, 0x2f80), vec![0; 0x2f80], "the rest of the last file page is zero");
    let sp = regs.rsp;
    assert_eq!(w.word(t, sp), 2, "argc");
    let argv1 = w.word(t, sp + 16);
    assert_eq!(w.read(t, argv1, 4), b"arg\0");
    assert_eq!(w.word(t, sp + 24), 0);
    let env = w.word(t, sp + 32);
    assert_eq!(w.read(t, env, 4), b"A=1\0");
    let mut auxv = std::collections::BTreeMap::new();
    let mut at = sp + 48;
    loop {
        let (kind, value) = (w.word(t, at), w.word(t, at + 8));
        if kind == 0 {
            break;
        }
        auxv.insert(kind, value);
        at += 16;
    }
    assert_eq!((auxv[&3], auxv[&4], auxv[&5]), (0x40_0040, 56, 2), "program headers");
    assert_eq!((auxv[&6], auxv[&9], auxv[&23]), (4096, 0x40_0100, 0));
    assert_eq!(w.read(t, auxv[&31], 10), b"/bin/prog\0");
    assert!(!auxv.contains_key(&33), "there is no vdso");
    assert_ne!(w.read(t, auxv[&25], 16), vec![0; 16]);
}

#[test]
fn a_child_has_its_own_memory_and_tells_how_it_ended() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    w.write(t, at, b"parent");
    let (child, pid) = w.fork(t);
    assert_eq!(w.result(child), 0);
    assert_eq!(w.call(child, nr::GETPPID, &[]), 1);
    w.write(child, at, b"child!");
    assert_eq!(w.read(t, at, 6), b"parent");
    let status = w.scratch(1);
    assert_eq!(w.call(t, nr::WAIT4, &[-1i64 as u64, status, 1, 0]), 0, "WNOHANG");
    assert_eq!(w.try_call(t, nr::WAIT4, &[-1i64 as u64, status, 0, 0]), None);
    assert_eq!(w.try_call(child, nr::EXIT_GROUP, &[42]), None);
    assert_eq!(w.at(child), At::Gone);
    assert_eq!((w.at(t), w.result(t)), (At::Guest, pid as i64));
    assert_eq!(w.u32(t, status), 42 << 8);
    assert_eq!(w.call(t, nr::WAIT4, &[-1i64 as u64, status, 0, 0]), errno(Errno::ECHILD));
    assert_eq!(w.linux.population(), (1, 1, 1));
    assert_eq!(w.fake.m.borrow().spaces.len(), 1, "its space is gone");
}

#[test]
fn an_orphan_goes_to_init_and_a_parent_that_ignores_its_children_has_no_zombies() {
    let mut w = World::new();
    let t = w.init;
    let (child, _) = w.fork(t);
    let (grandchild, pid) = w.fork(child);
    w.try_call(child, nr::EXIT_GROUP, &[0]);
    assert_eq!(w.call(grandchild, nr::GETPPID, &[]), 1);
    w.try_call(grandchild, nr::EXIT_GROUP, &[7]);
    let status = w.scratch(1);
    assert_eq!(w.call(t, nr::WAIT4, &[pid, status, 0, 0]), pid as i64);
    assert_eq!(w.u32(t, status), 7 << 8);
    w.call(t, nr::WAIT4, &[-1i64 as u64, 0, 0, 0]);
    w.on_signal(t, SIGCHLD, 1, 0, 0);
    let (child, _) = w.fork(t);
    w.try_call(child, nr::EXIT_GROUP, &[0]);
    assert_eq!(w.linux.population(), (1, 1, 1));
    assert_eq!(w.call(t, nr::WAIT4, &[-1i64 as u64, 0, 0, 0]), errno(Errno::ECHILD));
}

#[test]
fn vfork_lends_the_memory_until_the_child_ends() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    w.write(t, at, &[0; 8]);
    assert_eq!(w.try_call(t, nr::VFORK, &[]), None);
    let child = w.newest();
    w.write(child, at, b"shared");
    w.try_call(child, nr::EXIT, &[0]);
    assert!(w.result(t) > 1);
    assert_eq!(w.read(t, at, 6), b"shared");
    assert_eq!(w.try_call(t, nr::VFORK, &[]), None);
    let child = w.newest();
    let path = w.scratch(1);
    w.string(child, path, "/bin/prog");
    w.call(child, nr::EXECVE, &[path, 0, 0]);
    assert_eq!(w.at(t), At::Guest, "exec lets the parent go on");
    assert_eq!(w.linux.population(), (2, 3, 2), "two processes and a zombie");
}

fn thread(w: &mut World, t: sal_linux_core::TaskId, tid_at: u64) -> (sal_linux_core::TaskId, i64) {
    let stack = w.scratch(20);
    let tid = w.call(t, nr::CLONE, &[THREAD | 0x1000000, stack, tid_at, tid_at, 0x1234_5000]);
    assert!(tid > 0, "{tid}");
    let id = w.newest();
    assert_eq!(w.thread(id).regs.rsp, stack);
    assert_eq!(w.thread(id).regs.fs_base, 0x1234_5000);
    (id, tid)
}

#[test]
fn threads_share_memory_and_their_end_wakes_who_joins() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    w.write(t, at, &[0; 8]);
    let (other, tid) = thread(&mut w, t, at);
    assert_eq!(w.u32(t, at) as i64, tid);
    assert_eq!((w.call(other, nr::GETPID, &[]), w.call(other, nr::GETTID, &[])), (1, tid));
    assert_eq!(w.try_call(t, nr::FUTEX, &[at, 0, tid as u64, 0]), None, "joining");
    w.try_call(other, nr::EXIT, &[0]);
    assert_eq!((w.at(t), w.result(t)), (At::Guest, 0));
    assert_eq!(w.u32(t, at), 0);
}

#[test]
fn exit_group_and_exec_end_the_other_threads() {
    let mut w = World::new();
    let t = w.init;
    let (child, pid) = w.fork(t);
    let at = w.scratch(0);
    w.write(child, at, &[0; 8]);
    let (second, _) = thread(&mut w, child, at);
    let (third, _) = thread(&mut w, child, at);
    w.write(third, at, &[0; 8]);
    assert_eq!(w.try_call(third, nr::FUTEX, &[at, 0, 0, 0]), None);
    let path = w.scratch(1);
    w.string(second, path, "/bin/prog");
    assert!(w.try_call(second, nr::EXECVE, &[path, 0, 0]).is_some(), "the others ended at once");
    assert_eq!((w.at(child), w.at(third)), (At::Gone, At::Gone));
    assert_eq!(w.call(second, nr::GETTID, &[]), pid as i64, "exec gives the process's number to its caller");
    let (fourth, _) = thread(&mut w, second, at);
    w.try_call(fourth, nr::EXIT_GROUP, &[3]);
    assert_eq!(w.at(second), At::Gone);
    let status = w.scratch(2);
    assert_eq!(w.call(t, nr::WAIT4, &[pid, status, 0, 0]), pid as i64);
    assert_eq!(w.u32(t, status), 3 << 8);
}

#[test]
fn futexes_wait_wake_time_out_and_move() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    w.words(t, at, &[0; 16]);
    let (a, _) = thread(&mut w, t, at + 64);
    let (b, _) = thread(&mut w, t, at + 68);
    assert_eq!(w.call(a, nr::FUTEX, &[at, 128, 1, 0]), errno(Errno::EAGAIN));
    assert_eq!(w.try_call(a, nr::FUTEX, &[at, 128, 0, 0]), None);
    assert_eq!(w.try_call(b, nr::FUTEX, &[at, 128, 0, 0]), None);
    assert_eq!(w.call(t, nr::FUTEX, &[at, 128 + 1, 1, 0]), 1);
    assert_eq!((w.at(a), w.at(b)), (At::Guest, At::Blocked(None)), "first come, first served");
    assert_eq!(w.call(t, nr::FUTEX, &[at, 128 + 4, 0, 1, at + 8, 0]), 1, "CMP_REQUEUE");
    assert_eq!(w.call(t, nr::FUTEX, &[at, 128 + 1, 9, 0]), 0);
    assert_eq!(w.call(t, nr::FUTEX, &[at + 8, 128 + 1, 9, 0]), 1);
    w.words(t, at + 128, &[0, 1000]);
    assert_eq!(w.try_call(a, nr::FUTEX, &[at, 128, 0, at + 128]), None);
    w.advance(999);
    assert_ne!(w.at(a), At::Guest);
    w.advance(1);
    assert_eq!(w.result(a), errno(Errno::ETIMEDOUT));
    assert_eq!(w.call(t, nr::FUTEX, &[at, 128 + 1, 9, 0]), 0, "nobody is left in the queue");
    assert_eq!(w.try_call(a, nr::FUTEX, &[at, 128 + 9, 0, 0, 0, 2]), None);
    assert_eq!(w.call(t, nr::FUTEX, &[at, 128 + 10, 9, 0, 0, 1]), 0, "other bits");
    assert_eq!(w.call(t, nr::FUTEX, &[at, 128 + 10, 9, 0, 0, 3]), 1);
    assert_eq!(w.try_call(a, nr::FUTEX, &[at, 128, 0, 0]), None);
    // WAKE_OP: *second += 5, wake one at first, and at second if its old value was 0.
    let code = 1 << 28 | 5 << 12;
    assert_eq!(w.call(t, nr::FUTEX, &[at, 128 + 5, 1, 1, at + 8, code]), 1);
    assert_eq!(w.u32(t, at + 8), 5);
}

#[test]
fn a_shared_futex_crosses_processes() {
    let mut w = World::new();
    let t = w.init;
    let at = w.call(t, nr::MMAP, &[0, 4096, 3, 0x21, u64::MAX, 0]) as u64;
    let (child, _) = w.fork(t);
    assert_eq!(w.try_call(child, nr::FUTEX, &[at, 0, 0, 0]), None);
    w.write(t, at + 8, b"seen");
    assert_eq!(w.read(child, at + 8, 4), b"seen");
    assert_eq!(w.call(t, nr::FUTEX, &[at, 1, 1, 0]), 1);
    assert_eq!(w.at(child), At::Guest);
    w.try_call(child, nr::EXIT_GROUP, &[0]);
    assert_eq!(w.fake.m.borrow().shared.len(), 1);
    assert_eq!(w.call(t, nr::MUNMAP, &[at, 4096]), 0);
    assert_eq!(w.fake.m.borrow().shared.len(), 0, "the object goes with its last mapping");
}

#[test]
fn a_robust_mutex_of_a_dead_thread_says_so() {
    let mut w = World::new();
    let (t, at) = (w.init, w.scratch(0));
    w.words(t, at, &[0; 32]);
    let (a, tid) = thread(&mut w, t, at + 200);
    let (head, node) = (at, at + 64);
    w.words(a, head, &[node, 16, 0]);
    w.words(a, node, &[head, 0, tid as u64 | 0x8000_0000]);
    assert_eq!(w.call(a, nr::SET_ROBUST_LIST, &[head, 24]), 0);
    assert_eq!(w.try_call(t, nr::FUTEX, &[node + 16, 0, tid as u64 | 0x8000_0000, 0]), None);
    w.try_call(a, nr::EXIT, &[0]);
    assert_eq!(w.u32(t, node + 16), 0xc000_0000);
    assert_eq!((w.at(t), w.result(t)), (At::Guest, 0));
}

#[test]
fn clone_refuses_what_does_not_go_together_and_leaves_nothing_behind() {
    let mut w = World::new();
    let t = w.init;
    for flags in [0x10000u64, 0x800, 0x10000 | 0x800, 0x2000_0000, 65] {
        assert_eq!(w.call(t, nr::CLONE, &[flags, 0, 0, 0, 0]), errno(Errno::EINVAL), "{flags:x}");
    }
    let at = w.scratch(0);
    w.words(t, at, &[0x100, 0, 0, 0, 17, 0x1000, 0, 0]);
    assert_eq!(w.call(t, nr::CLONE3, &[at, 64]), errno(Errno::EINVAL), "a stack without size");
    assert_eq!(w.call(t, nr::CLONE3, &[at, 63]), errno(Errno::EINVAL));
    let before = w.fake.m.borrow().spaces.len();
    w.fake.m.borrow_mut().refuse_spawn = true;
    assert_eq!(w.call(t, nr::FORK, &[]), errno(Errno::EAGAIN));
    assert_eq!((w.linux.population(), w.fake.m.borrow().spaces.len()), ((1, 1, 1), before));
    assert_eq!(w.call(t, nr::WAIT4, &[-1i64 as u64, 0, 0, 0]), errno(Errno::ECHILD));
}

#[test]
fn bad_programs_are_refused_and_the_caller_goes_on() {
    let bad = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut b = program();
        edit(&mut b);
        b
    };
    let files: Vec<(&[u8], Vec<u8>)> = vec![
        (b"/bin/prog", program()),
        (b"/bin/short", program()[..100].to_vec()),
        (b"/bin/cut", bad(&|b| b.truncate(0x1f40))),
        (b"/bin/arm", bad(&|b| put(b, 18, &183u16.to_le_bytes()))),
        (b"/bin/32", bad(&|b| b[4] = 1)),
        (b"/bin/big", bad(&|b| b[5] = 2)),
        (b"/bin/overlap", bad(&|b| put(b, 136, &0x40_0f00u64.to_le_bytes()))),
        (b"/bin/high", bad(&|b| put(b, 136, &0xffff_8000_0000_1f00u64.to_le_bytes()))),
        (b"/bin/text", b"hello\n".to_vec()),
        (b"/bin/empty", vec![]),
        (b"/bin/bang", b"#!\n".to_vec()),
    ];
    let mut w = World::with(&files, sal_linux_core::Config { randomize: false, ..Default::default() });
    let (t, at) = (w.init, w.scratch(0));
    let population = w.linux.population();
    for (path, _) in &files[1..] {
        w.string(t, at, std::str::from_utf8(path).unwrap());
        let result = w.call(t, nr::EXECVE, &[at, 0, 0]);
        assert_eq!(result, errno(Errno::ENOEXEC), "{}", String::from_utf8_lossy(path));
        assert_eq!(w.thread(t).regs.rip & !0xff, 0x40_0100);
    }
    w.string(t, at, "/bin/none");
    assert_eq!(w.call(t, nr::EXECVE, &[at, 0, 0]), errno(Errno::ENOENT));
    assert_eq!((w.linux.population(), w.fake.m.borrow().spaces.len()), (population, 1));
}

#[test]
fn damaged_headers_never_break_the_loader() {
    let mut random = Seeded(0x5eed_1234_5678_9abc);
    for round in 0..150 {
        let mut file = program();
        for _ in 0..=random.below(4) {
            let at = random.below(176) as usize;
            file[at] = random.next() as u8;
        }
        if random.below(4) == 0 {
            file.truncate(random.below(0x2000) as usize);
        }
        let files: Vec<(&[u8], Vec<u8>)> = vec![(b"/bin/prog", program()), (b"/bin/x", file)];
        let mut w = World::with(&files, sal_linux_core::Config { randomize: false, ..Default::default() });
        let (t, at) = (w.init, w.scratch(0));
        w.string(t, at, "/bin/x");
        let result = w.call(t, nr::EXECVE, &[at, 0, 0]);
        let known = [Errno::ENOEXEC, Errno::ENOMEM, Errno::ENOENT, Errno::ELIBBAD, Errno::EACCES].map(errno);
        assert!(result == 0 || known.contains(&result), "round {round}: {result}");
        assert_eq!(w.fake.m.borrow().spaces.len(), 1);
    }
}

#[test]
fn a_script_runs_its_interpreter() {
    let files: Vec<(&[u8], Vec<u8>)> =
        vec![(b"/bin/prog", program()), (b"/tmp/s", b"#! /bin/prog  -x y \nrest".to_vec())];
    let mut w = World::with(&files, sal_linux_core::Config { randomize: false, ..Default::default() });
    let (t, at) = (w.init, w.scratch(0));
    w.string(t, at, "/tmp/s");
    w.string(t, at + 100, "zero");
    w.string(t, at + 200, "one");
    w.words(t, at + 400, &[at + 100, at + 200, 0]);
    assert_eq!(w.call(t, nr::EXECVE, &[at, at + 400, 0]), 0);
    let sp = w.thread(t).regs.rsp;
    assert_eq!(w.word(t, sp), 4);
    let expected: [&[u8]; 4] = [b"/bin/prog\0", b"-x y\0", b"/tmp/s\0", b"one\0"];
    for (i, text) in expected.iter().enumerate() {
        let pointer = w.word(t, sp + 8 + i as u64 * 8);
        assert_eq!(&w.read(t, pointer, text.len()), text);
    }
    assert_eq!(w.cat(t, "/proc/self/comm"), "s\n");
    assert_eq!(w.cat(t, "/proc/self/cmdline"), "/bin/prog\0-x y\0/tmp/s\0one\0");
}

#[test]
fn proc_tells_about_processes() {
    let mut w = World::new();
    let t = w.init;
    let (_, pid) = w.fork(t);
    let stat = w.cat(t, "/proc/self/stat");
    assert!(stat.starts_with("1 (prog) R 0 1 1 "), "{stat}");
    assert_eq!(stat.trim_end().split(' ').count(), 52);
    let maps = w.cat(t, "/proc/1/maps");
    assert!(maps.contains("00400000-00401000") || maps.contains("400000-401000 r-xp 00000000"), "{maps}");
    assert!(maps.contains("/bin/prog\n") && maps.contains("[stack]\n"), "{maps}");
    let status = w.cat(t, &format!("/proc/{pid}/status"));
    assert!(status.contains("PPid:\t1\n") && status.contains("Threads:\t1\n"), "{status}");
    assert!(w.cat(t, "/proc/meminfo").starts_with("MemTotal:        1048576 kB\n"));
    assert!(w.cat(t, "/proc/uptime").starts_with("0.00 "));
    assert!(w.cat(t, "/proc/version").starts_with("Linux version 6.1.0-salamandra"));
    assert!(w.cat(t, "/proc/cpuinfo").contains("processor\t: 1\n"));
}

#[test]
fn unknown_calls_are_counted_by_name() {
    let mut w = World::new();
    let t = w.init;
    assert_eq!(w.call(t, nr::SOCKET, &[1, 1, 0]), errno(Errno::ENOSYS));
    assert_eq!(w.call(t, nr::SOCKET, &[1, 1, 0]), errno(Errno::ENOSYS));
    assert_eq!(w.call(t, u64::MAX, &[]), errno(Errno::ENOSYS));
    let missing: Vec<_> = w.linux.missing_calls().collect();
    assert_eq!(missing, [("socket", 41, 2), ("", 464, 1)]);
}

/// The C library asks whether it may register a restartable sequence, and does without: nothing is missing.
#[test]
fn rseq_is_refused_and_not_counted() {
    let mut w = World::new();
    let t = w.init;
    let at = w.scratch(0);
    assert_eq!(w.call(t, nr::RSEQ, &[at, 32, 0, 0x5305_3053]), errno(Errno::ENOSYS));
    assert_eq!((w.linux.missing_calls().count(), w.linux.missing_total()), (0, 0));
    w.call(t, nr::SOCKET, &[1, 1, 0]);
    assert_eq!(w.linux.missing_total(), 1);
}

#[test]
fn a_yield_lets_others_go_first() {
    let mut w = World::new();
    let t = w.init;
    assert_eq!((w.call(t, nr::SCHED_YIELD, &[]), w.thread(t).yields), (0, 1));
    assert_eq!((w.call(t, nr::GETPID, &[]), w.thread(t).yields), (1, 1));
}

#[test]
fn the_number_of_a_task_that_is_gone_names_no_other() {
    let mut w = World::new();
    let t = w.init;
    let (first, pid) = w.fork(t);
    assert_eq!(w.linux.tid(first), Some(pid as u32));
    w.try_call(first, nr::EXIT_GROUP, &[0]);
    assert!(w.call(t, nr::WAIT4, &[pid, 0, 0, 0]) > 0);
    let (second, _) = w.fork(t);
    assert_eq!((first.index(), first == second), (second.index(), false), "the slot is used again");
    assert_eq!(w.linux.tid(first), None);
}
