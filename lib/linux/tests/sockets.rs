//! Socket pairs through the system calls: blocking over fork, signals, messages.

mod support;
use sal_linux_core::{Errno, TaskId};
use support::*;

const AF_UNIX: u64 = 1;
const STREAM: u64 = 1;
const DATAGRAM: u64 = 2;
const SEQPACKET: u64 = 5;
const CLOEXEC: u64 = 0o2000000;
const NONBLOCK: u64 = 0o4000;
const NOSIGNAL: u64 = 0x4000;
const SIGPIPE: u64 = 13;
const HANDLER: u64 = 0x40_0500;

fn errno(e: Errno) -> i64 {
    e.to_result() as i64
}

fn pair(w: &mut World, t: TaskId, kind: u64) -> [u64; 2] {
    let at = w.scratch(0);
    assert_eq!(w.call(t, nr::SOCKETPAIR, &[AF_UNIX, kind, 0, at]), 0);
    [w.u32(t, at) as u64, w.u32(t, at + 4) as u64]
}

/// The string, and where it is.
fn text(w: &mut World, t: TaskId, text: &str) -> (u64, u64) {
    let at = w.scratch(1);
    (w.string(t, at, text), text.len() as u64)
}

/// What Rust's `Command` does: a child says over the pair why it can't exec, or its exec closes it.
#[test]
fn a_parent_reads_from_a_child_what_went_wrong_or_the_end() {
    for says in [true, false] {
        let mut w = World::new();
        let t = w.init;
        let [input, output] = pair(&mut w, t, SEQPACKET | CLOEXEC);
        let (child, _) = w.fork(t);
        assert_eq!(w.call(t, nr::CLOSE, &[output]), 0);
        let at = w.scratch(2);
        assert_eq!(w.try_call(t, nr::READ, &[input, at, 8]), None, "the child has not said anything");
        if says {
            let (words, _) = text(&mut w, child, "8 bytes.");
            assert_eq!(w.call(child, nr::WRITE, &[output, words, 8]), 8);
            assert_eq!((w.at(t), w.result(t)), (At::Guest, 8));
            assert_eq!(w.read(t, at, 8), b"8 bytes.");
        } else {
            let at = w.scratch(3);
            let path = w.string(child, at, "/bin/prog");
            w.words(child, at + 64, &[path, 0]);
            w.try_call(child, nr::EXECVE, &[path, at + 64, 0]);
            assert_eq!((w.at(t), w.result(t)), (At::Guest, 0));
        }
    }
}

#[test]
fn kinds_families_and_flags_are_checked() {
    let mut w = World::new();
    let t = w.init;
    let at = w.scratch(0);
    let mut make = |family, kind, protocol, at| w.call(t, nr::SOCKETPAIR, &[family, kind, protocol, at]);
    assert_eq!(make(2, STREAM, 0, at), errno(Errno::EAFNOSUPPORT));
    assert_eq!(make(AF_UNIX, 4, 0, at), errno(Errno::ESOCKTNOSUPPORT));
    assert_eq!(make(AF_UNIX, STREAM, 6, at), errno(Errno::EPROTONOSUPPORT));
    assert_eq!(make(AF_UNIX, STREAM | 0x100, 0, at), errno(Errno::EINVAL));
    assert_eq!(make(AF_UNIX, STREAM, 0, 8), errno(Errno::EFAULT));
    assert_eq!(make(AF_UNIX, STREAM | NONBLOCK, 1, at), 0);
    let [a, b] = [w.u32(t, at) as u64, w.u32(t, at + 4) as u64];
    assert_eq!([a, b], [3, 4], "the pair that faulted is closed");
    assert_eq!(w.call(t, nr::READ, &[a, at, 1]), errno(Errno::EAGAIN));
}

#[test]
fn a_broken_stream_signals_and_broken_packets_do_not() {
    let mut w = World::new();
    let t = w.init;
    w.on_signal(t, SIGPIPE, HANDLER, 0, 0);
    let (at, len) = text(&mut w, t, "lost");
    for kind in [STREAM, SEQPACKET] {
        let [a, b] = pair(&mut w, t, kind);
        assert_eq!(w.call(t, nr::CLOSE, &[b]), 0);
        assert_eq!(w.call(t, nr::SENDTO, &[a, at, len, NOSIGNAL, 0, 0]), errno(Errno::EPIPE));
        assert_ne!(w.thread(t).regs.rip, HANDLER);
        w.call(t, nr::WRITE, &[a, at, len]);
        let signalled = w.thread(t).regs.rip == HANDLER;
        assert_eq!(signalled, kind == STREAM);
        if signalled {
            w.thread(t).regs.rsp += 8;
            w.try_call(t, nr::RT_SIGRETURN, &[]);
        }
        assert_eq!(w.result(t), errno(Errno::EPIPE));
    }
}

#[test]
fn messages_say_whether_they_were_cut() {
    let mut w = World::new();
    let t = w.init;
    let [a, b] = pair(&mut w, t, DATAGRAM);
    let (words, len) = text(&mut w, t, "ten bytes!");
    let (list, message, to) = (w.scratch(2), w.scratch(3), w.scratch(4));
    w.words(t, list, &[words, 4, words + 4, len - 4]);
    w.words(t, message, &[0, 0, list, 2, 0, 0, 0]);
    assert_eq!(w.call(t, nr::SENDMSG, &[a, message, 0]), 10);
    assert_eq!(w.call(t, nr::SENDTO, &[a, words, len, 0, 0, 0]), 10);
    w.words(t, list, &[to, 3, to + 64, 4]);
    w.words(t, message, &[to + 128, 16, list, 2, 0, 99, 0xffff_ffff]);
    assert_eq!(w.call(t, nr::RECVMSG, &[b, message, 0]), 7);
    assert_eq!((w.read(t, to, 3), w.read(t, to + 64, 4)), (b"ten".to_vec(), b" byt".to_vec()));
    assert_eq!((w.u32(t, message + 8), w.word(t, message + 40)), (0, 0), "no name, no ancillary data");
    assert_eq!(w.u32(t, message + 48), 0x20, "MSG_TRUNC");
    let peek_and_length = 0x2 | 0x20;
    w.words(t, to + 200, &[16]);
    assert_eq!(w.call(t, nr::RECVFROM, &[b, to, 3, peek_and_length, to + 128, to + 200]), 10);
    assert_eq!(w.u32(t, to + 200), 0);
    assert_eq!(w.call(t, nr::RECVFROM, &[b, to, 64, 0, 0, 0]), 10, "a peek took nothing");
    w.words(t, message, &[0, 0, list, 2, to, 16, 0]);
    assert_eq!(w.call(t, nr::SENDMSG, &[a, message, 0]), errno(Errno::EOPNOTSUPP), "descriptors are not passed");
    assert_eq!(w.call(t, nr::RECVFROM, &[b, to, 64, 1, 0, 0]), errno(Errno::EOPNOTSUPP), "urgent bytes");
}

#[test]
fn options_names_and_ends() {
    let mut w = World::new();
    let t = w.init;
    let [a, b] = pair(&mut w, t, STREAM);
    let at = w.scratch(2);
    let option = |w: &mut World, which| {
        w.words(t, at, &[0, 4]);
        (w.call(t, nr::GETSOCKOPT, &[a, 1, which, at, at + 8]), w.u32(t, at), w.u32(t, at + 8))
    };
    assert_eq!(option(&mut w, 3), (0, STREAM as u32, 4));
    assert_eq!(option(&mut w, 39), (0, AF_UNIX as u32, 4));
    assert_eq!(option(&mut w, 77).0, errno(Errno::ENOPROTOOPT));
    w.words(t, at, &[u64::MAX, 110]);
    assert_eq!(w.call(t, nr::GETSOCKNAME, &[a, at, at + 8]), 0);
    assert_eq!((w.u32(t, at) as u16, w.u32(t, at + 8)), (1, 2));
    assert_eq!(w.call(t, nr::SHUTDOWN, &[a, 3]), errno(Errno::EINVAL));
    assert_eq!(w.call(t, nr::SHUTDOWN, &[a, 1]), 0);
    assert_eq!(w.call(t, nr::READ, &[b, at, 8]), 0);
    w.words(t, at, &[a | 1 << 32, 0]);
    assert_eq!(w.call(t, nr::SHUTDOWN, &[b, 1]), 0);
    assert_eq!(w.call(t, nr::POLL, &[at, 1, 0]), 1);
    assert_eq!(w.word(t, at) >> 48, 0x11, "POLLIN and POLLHUP");
    assert_eq!(w.call(t, nr::SHUTDOWN, &[0, 1]), errno(Errno::ENOTSOCK));
}
