//! Pipes and FIFOs: blocking, atomicity, ends that close, readiness, and a model.

#![allow(unreachable_pub)]

mod common;

use common::*;
use proptest::prelude::*;
use sal_vfs::*;
use std::collections::VecDeque;

fn blocks<T: std::fmt::Debug>(outcome: Try<T>) -> WaitOn {
    match outcome {
        Ok(Outcome::Block(on)) => on,
        other => panic!("should wait: {other:?}"),
    }
}

#[test]
fn an_empty_pipe_makes_readers_wait_and_a_write_wakes_them() {
    let mut w = World::new();
    let (r, wr) = w.pipe(0);
    let on = blocks(w.try_read(r, &mut [0; 4]));
    assert!(w.vfs.wait(on, TaskId(7)));
    assert!(!w.vfs.any_woken());
    assert_eq!(w.write(wr, b"hello"), Ok(5));
    assert_eq!(w.vfs.drain_woken().collect::<Vec<_>>(), [TaskId(7)]);
    assert_eq!(w.read(r, 4).unwrap(), b"hell");
    assert_eq!(w.read(r, 4).unwrap(), b"o");
}

#[test]
fn the_last_writer_gone_is_end_of_file_and_the_last_reader_gone_is_epipe() {
    let mut w = World::new();
    let (r, wr) = w.pipe(0);
    let on = blocks(w.try_read(r, &mut [0; 4]));
    w.vfs.wait(on, TaskId(1));
    w.close(wr).unwrap();
    assert_eq!(w.vfs.drain_woken().count(), 1);
    assert_eq!(w.read(r, 4).unwrap(), b"");
    let (r, wr) = w.pipe(0);
    w.close(r).unwrap();
    assert_eq!(w.write(wr, b"x"), Err(Errno::EPIPE));
}

#[test]
fn a_blocked_write_keeps_its_progress() {
    let mut w = World::new();
    let (r, wr) = w.pipe(0);
    let bytes: Vec<u8> = (0..70000u32).map(|i| i as u8).collect();
    let mut progress = Progress::default();
    let on = blocks(w.call(|v, c| v.write(c, wr, &mut SliceSource(&bytes), &mut progress)));
    assert_eq!(progress.done, 65536);
    w.vfs.wait(on, TaskId(1));
    let mut got = w.read(r, 30000).unwrap();
    assert_eq!(w.vfs.drain_woken().count(), 1);
    let rest = &bytes[progress.done..];
    let n = w.call(|v, c| v.write(c, wr, &mut SliceSource(rest), &mut progress)).map(done);
    assert_eq!(n, Ok(70000));
    got.extend(w.read(r, 1 << 20).unwrap());
    assert_eq!(got, bytes);
}

#[test]
fn small_writes_are_never_torn() {
    let mut w = World::new();
    let (r, wr) = w.pipe(O_NONBLOCK);
    assert_eq!(w.write(wr, &[1; 65536 - 100]), Ok(65536 - 100));
    assert_eq!(w.write(wr, &[2; PIPE_BUF]), Err(Errno::EAGAIN));
    assert_eq!(w.write(wr, &[2; PIPE_BUF + 1]), Ok(100));
    assert_eq!(w.write(wr, &[3; 1]), Err(Errno::EAGAIN));
    assert_eq!(w.read(r, 1 << 20).unwrap().len(), 65536);
    assert_eq!(w.read(r, 1), Err(Errno::EAGAIN));
}

#[test]
fn readiness_of_both_ends() {
    let mut w = World::new();
    let (r, wr) = w.pipe(0);
    let all = Events::IN | Events::OUT;
    let ready = |w: &mut World, fd| w.call(|v, c| v.poll(c, fd, all)).unwrap().ready;
    assert_eq!(ready(&mut w, r), Events::empty());
    assert_eq!(ready(&mut w, wr), Events::OUT);
    w.write(wr, &[0; 65536]).unwrap();
    assert_eq!(ready(&mut w, r), Events::IN);
    assert_eq!(ready(&mut w, wr), Events::empty());
    w.close(wr).unwrap();
    assert_eq!(ready(&mut w, r), Events::IN | Events::HUP);
    let (r, wr) = w.pipe(0);
    w.close(r).unwrap();
    assert_eq!(ready(&mut w, wr), Events::OUT | Events::ERR);
    assert_eq!(ready(&mut w, 99), Events::NVAL);
}

#[test]
fn a_fifo_waits_for_its_other_side() {
    let mut w = World::new();
    w.call(|v, c| v.mknod(c, AT_FDCWD, b"/f", 0o010666, 0)).unwrap();
    assert_eq!(w.open("/f", O_WRONLY | O_NONBLOCK, 0), Err(Errno::ENXIO));
    let on = blocks(w.call(|v, c| v.open(c, AT_FDCWD, b"/f", 0, 0)));
    w.vfs.wait(on, TaskId(1));
    w.tid = 2;
    let wr = w.open("/f", O_WRONLY, 0).unwrap();
    assert_eq!(w.vfs.drain_woken().collect::<Vec<_>>(), [TaskId(1)]);
    w.write(wr, b"x").unwrap();
    w.close(wr).unwrap();
    // The reader comes through although the writer is gone again.
    w.tid = 1;
    let r = w.open("/f", 0, 0).unwrap();
    assert_eq!(w.read(r, 4).unwrap(), b"x");
    assert_eq!(w.read(r, 4).unwrap(), b"");
}

#[test]
fn an_abandoned_open_leaves_no_reader() {
    let mut w = World::new();
    w.call(|v, c| v.mknod(c, AT_FDCWD, b"/f", 0o010666, 0)).unwrap();
    blocks(w.call(|v, c| v.open(c, AT_FDCWD, b"/f", 0, 0)));
    w.vfs.abandon_open(1);
    assert_eq!(w.open("/f", O_WRONLY | O_NONBLOCK, 0), Err(Errno::ENXIO));
}

#[test]
fn sizes() {
    let mut w = World::new();
    let (r, wr) = w.pipe(0);
    assert_eq!(w.call(|v, c| v.get_pipe_size(c, r)), Ok(65536));
    assert_eq!(w.call(|v, c| v.set_pipe_size(c, r, 5000)), Ok(8192));
    assert_eq!(w.call(|v, c| v.set_pipe_size(c, r, 1 << 21)), Err(Errno::EPERM));
    w.write(wr, &[1; 8000]).unwrap();
    assert_eq!(w.call(|v, c| v.set_pipe_size(c, r, 4096)), Err(Errno::EBUSY));
    assert_eq!(w.call(|v, c| v.bytes_available(c, r)), Ok(8000));
    assert_eq!(w.call(|v, c| v.lseek(c, r, 0, 0)).unwrap_err(), Errno::ESPIPE);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    /// What comes out is what went in, in order, never more than fits; pipe(7)'s rule says when a write may be cut.
    #[test]
    fn like_a_queue(moves in prop::collection::vec((any::<bool>(), 1usize..20000), 1..120)) {
        let mut w = World::new();
        let (r, wr) = w.pipe(O_NONBLOCK);
        let mut model = VecDeque::new();
        let mut next = 0u8;
        for (write, len) in moves {
            let free = 65536 - model.len();
            if write {
                let bytes: Vec<u8> = (0..len).map(|i| next.wrapping_add(i as u8)).collect();
                let fits = if len <= PIPE_BUF && free < len { 0 } else { free.min(len) };
                let want = if fits == 0 { Err(Errno::EAGAIN) } else { Ok(fits) };
                prop_assert_eq!(w.write(wr, &bytes), want);
                model.extend(&bytes[..fits]);
                next = next.wrapping_add(fits as u8);
            } else {
                let n = len.min(model.len());
                let want = if n == 0 { Err(Errno::EAGAIN) } else { Ok(model.drain(..n).collect::<Vec<u8>>()) };
                prop_assert_eq!(w.read(r, len), want);
            }
        }
    }
}
