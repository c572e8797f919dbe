//! The message rules of docs/abi.md, one by one.

use sal_abi::message::{Arrival, Kind as Arrived};
use sal_abi::op::{Op, flags};
use sal_abi::{CapArg, Error, Handle, Loan, MessagePage, Rights};
use sal_kernel_core::cpu::LEFT_STATE;
use sal_kernel_core::create::NewThread;
use sal_kernel_core::location::Location;
use sal_kernel_core::step::Event;
use sal_kernel_core::table::{Cap, Kind};
use sal_model::emu::{all, new_thread};
use sal_model::world::{World, with_caps, with_deadline};
use std::mem::offset_of;

/// A server process (0) with an endpoint, and a client process (1) that may call it.
struct Pair {
    w: World,
    server: u32,
    client: u32,
    at: Handle,
    to: Handle,
}

const BADGE: u64 = 0xbad6e;

fn pair(cpus: u32) -> Pair {
    let mut w = World::new(cpus);
    let (server, client) = (w.process([0, 0]), w.process([0, 0]));
    let at = w.make_endpoint(server);
    let object = w.object(server, at);
    let to = w.endow(client, Cap { badge: BADGE, ..all(Kind::Endpoint, object) });
    Pair { w, server, client, at, to }
}

fn status(kind: Arrived, loans: usize, caps: usize) -> Result<u64, Error> {
    Ok(Arrival::new(kind, loans, caps).0)
}

/// A server of priority 5 that receives, then a client of priority `client` that runs.
fn served(cpus: u32, client: u8) -> (Pair, u32, u32) {
    let mut p = pair(cpus);
    let s = p.w.thread(p.server, 5, Some(0));
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
    let c = p.w.thread(p.client, client, Some(0));
    (p, s, c)
}

#[test]
fn a_call_reaches_a_waiting_server_and_its_answer_the_caller() {
    let (mut p, s, c) = served(1, 3);
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[1, 2, 3, 4, 5, 6, 7, 8]), None);
    assert_eq!(p.w.current(0), Some(s), "a direct switch");
    assert_eq!(p.w.at(c), Location::Served(s));
    let got = p.w.outcome(s);
    assert_eq!((got.status, got.badge, got.words), (status(Arrived::Message, 0, 0), BADGE, [1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(p.w.call(s, Op::ReplyReceive, p.at.0, &[9, 8, 7, 6, 5, 4, 3, 2]), None);
    assert_eq!(p.w.current(0), Some(c));
    let got = p.w.outcome(c);
    assert_eq!((got.status, got.badge, got.words), (Ok(0), 0, [9, 8, 7, 6, 5, 4, 3, 2]));
}

#[test]
fn callers_wait_by_priority_and_first_come_first_within_one() {
    let mut p = pair(2);
    let s = p.w.thread(p.server, 9, Some(0));
    let made: Vec<u32> = [3, 7, 3, 7]
        .into_iter()
        .map(|priority| {
            let c = p.w.thread(p.client, priority, Some(1));
            assert_eq!(p.w.call(c, Op::Call, p.to.0, &[u64::from(c)]), None);
            c
        })
        .collect();
    p.w.settle();
    for n in [1, 3, 0, 2] {
        let got = p.w.call(s, Op::ReplyReceive, p.at.0, &[]).expect("a caller is queued");
        assert_eq!(got.words[0], u64::from(made[n]));
    }
}

#[test]
fn equal_callers_are_served_in_the_order_of_their_calls() {
    let mut p = pair(2);
    let s = p.w.thread(p.server, 9, Some(0));
    let c: Vec<u32> = (0..3).map(|_| p.w.thread(p.client, 4, Some(1))).collect();
    for c in &c {
        assert_eq!(p.w.call(*c, Op::Call, p.to.0, &[u64::from(*c)]), None);
    }
    p.w.settle();
    for c in &c {
        let got = p.w.call(s, Op::ReplyReceive, p.at.0, &[]).expect("a caller is queued");
        assert_eq!(got.words[0], u64::from(*c));
    }
}

#[test]
fn a_server_of_own_priority_is_not_held_up_by_a_hog_above_its_caller() {
    for (own_priority, runs_first) in [(true, "server"), (false, "hog")] {
        let mut p = pair(1);
        let s = p.w.new_thread(NewThread { own_priority, ..new_thread(p.server, 0, 5, Some(0)) });
        assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
        let c = p.w.thread(p.client, 1, Some(0));
        assert_eq!(p.w.call(c, Op::Call, p.to.0, &[]), None);
        assert_eq!(p.w.priority(s), if own_priority { 5 } else { 1 });
        let hog = p.w.thread(p.client, 3, Some(0));
        let expected = if runs_first == "server" { s } else { hog };
        assert_eq!(p.w.current(0), Some(expected), "{runs_first}");
    }
}

#[test]
fn a_server_of_own_priority_still_inherits_a_higher_one() {
    let mut p = pair(1);
    let s = p.w.new_thread(NewThread { own_priority: true, ..new_thread(p.server, 0, 5, Some(0)) });
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
    let c = p.w.thread(p.client, 9, Some(0));
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[]), None);
    assert_eq!(p.w.priority(s), 9);
}

#[test]
fn a_queued_caller_lends_its_priority_at_once_and_along_a_chain() {
    let mut w = World::new(1);
    let p = w.process([0, 0]);
    let a = w.make_endpoint(p);
    let b = w.make_endpoint(p);
    let c = w.make_endpoint(p);
    let bottom = w.thread(p, 1, Some(0));
    // `bottom` serves c; `middle` serves b and calls c; `top` serves a and calls b; each receives once to be known as a server.
    let n = w.make_notification(p, c, 0);
    w.call(bottom, Op::Notify, n.0, &[1]);
    assert!(w.call(bottom, Op::Receive, c.0, &[]).is_some());
    let middle = w.thread(p, 2, Some(0));
    let n = w.make_notification(p, b, 0);
    w.call(middle, Op::Notify, n.0, &[1]);
    assert!(w.call(middle, Op::Receive, b.0, &[]).is_some());
    assert_eq!(w.call(middle, Op::Call, c.0, &[]), None);
    assert_eq!(w.priority(bottom), 2);
    let top = w.thread(p, 3, Some(0));
    let n = w.make_notification(p, a, 0);
    w.call(top, Op::Notify, n.0, &[1]);
    assert!(w.call(top, Op::Receive, a.0, &[]).is_some());
    assert_eq!(w.call(top, Op::Call, b.0, &[]), None);
    assert_eq!((w.priority(middle), w.priority(bottom)), (3, 3));
    let client = w.thread(p, 9, Some(0));
    assert_eq!(w.call(client, Op::Call, a.0, &[]), None);
    assert_eq!((w.priority(top), w.priority(middle), w.priority(bottom)), (9, 9, 9));
    assert_eq!(w.current(0), Some(bottom));
}

#[test]
fn a_boost_reaches_a_server_that_waits_for_an_answer_when_it_gets_it() {
    let mut w = World::new(1);
    let p = w.process([0, 0]);
    let (a, b) = (w.make_endpoint(p), w.make_endpoint(p));
    let low = w.thread(p, 1, Some(0));
    assert_eq!(w.call(low, Op::Receive, b.0, &[]), None);
    let server = w.thread(p, 2, Some(0));
    let n = w.make_notification(p, a, 0);
    w.call(server, Op::Notify, n.0, &[1]);
    assert!(w.call(server, Op::Receive, a.0, &[]).is_some());
    assert_eq!(w.call(server, Op::Call, b.0, &[]), None);
    let client = w.thread(p, 9, Some(0));
    assert_eq!(w.call(client, Op::Call, a.0, &[]), None);
    assert_eq!((w.current(0), w.priority(low)), (Some(low), 9));
    let rival = w.thread(p, 5, Some(0));
    assert_eq!(w.call(low, Op::ReplyReceive, b.0, &[]), None);
    assert_eq!((w.current(0), w.priority(server)), (Some(server), 9), "not {rival}");
}

#[test]
fn a_server_that_calls_its_own_endpoint_waits_like_anybody() {
    let mut p = pair(1);
    let s = p.w.thread(p.server, 5, Some(0));
    let n = p.w.make_notification(p.server, p.at, 0);
    p.w.call(s, Op::Notify, n.0, &[1]);
    assert!(p.w.call(s, Op::Receive, p.at.0, &[]).is_some());
    assert_eq!(p.w.call(s, Op::Call, p.at.0, &[]), None);
    assert_eq!(p.w.at(s), Location::Queued(0));
}

#[test]
fn notifications_come_at_once_or_before_callers_and_are_cleared() {
    let mut p = pair(1);
    let n = p.w.make_notification(p.server, p.at, 42);
    let s = p.w.thread(p.server, 5, Some(0));
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
    let object = p.w.object(p.server, n);
    let n_client = p.w.endow(p.client, all(Kind::Notification, object));
    let c = p.w.thread(p.client, 7, Some(0));
    assert!(p.w.call(c, Op::Notify, n_client.0, &[4]).is_some());
    let got = p.w.outcome(s);
    assert_eq!((got.status, got.badge, got.words[0]), (status(Arrived::Notified, 0, 0), 42, 4));
    for bits in [1, 2] {
        assert!(p.w.call(c, Op::Notify, n_client.0, &[bits]).is_some());
    }
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[11]), None);
    let got = p.w.call(s, Op::ReplyReceive, p.at.0, &[]).expect("bits");
    assert_eq!((got.status, got.words[0]), (status(Arrived::Notified, 0, 0), 3));
    assert_eq!(p.w.priority(s), 7, "the caller that waits lends its priority still");
    let got = p.w.call(s, Op::ReplyReceive, p.at.0, &[]).expect("a caller");
    assert_eq!((got.status, got.words[0]), (status(Arrived::Message, 0, 0), 11));
}

#[test]
fn a_server_that_takes_bits_gives_way_to_who_ranks_above_it() {
    let mut p = pair(2);
    let n = p.w.make_notification(p.server, p.at, 1);
    let s = p.w.thread(p.server, 5, Some(0));
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
    let c = p.w.thread(p.client, 9, Some(1));
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[]), None);
    p.w.settle();
    let other = p.w.thread(p.client, 7, Some(0));
    assert_eq!((p.w.current(0), p.w.priority(s)), (Some(s), 9), "at its caller's priority");
    assert!(p.w.call(s, Op::Notify, n.0, &[1]).is_some());
    assert!(p.w.call(s, Op::ReplyReceive, p.at.0, &[]).is_some());
    assert_eq!((p.w.current(0), p.w.priority(s)), (Some(other), 5));
}

#[test]
fn a_deadline_covers_queue_and_service_and_the_late_answer_goes_nowhere() {
    let (mut p, s, c) = served(1, 3);
    p.w.set_deadline(c, 100);
    assert_eq!(p.w.call_flags(c, with_deadline(Op::Call), p.to.0, &[1]), None);
    p.w.timer(0, 99);
    assert_eq!(p.w.at(c), Location::Served(s));
    p.w.timer(0, 100);
    let got = p.w.outcome(c);
    assert_eq!((got.status, got.words), (Err(Error::DeadlinePassed), [0; 8]));
    let got = p.w.call(s, Op::Reply, 0, &[7]).expect("it does not wait");
    assert_eq!(got.status, Err(Error::Vacant));
    assert_eq!(p.w.call(s, Op::ReplyReceive, p.at.0, &[7]), None);
    assert_eq!(p.w.current(0), Some(c));
    assert_eq!(p.w.outcome(c).words, [0; 8]);
    // In the queue: the server is busy with another caller.
    let d = p.w.thread(p.client, 9, Some(0));
    assert_eq!(p.w.call(d, Op::Call, p.to.0, &[]), None);
    let e = p.w.thread(p.client, 10, Some(0));
    p.w.set_deadline(e, 200);
    assert_eq!(p.w.call_flags(e, with_deadline(Op::Call), p.to.0, &[1]), None);
    assert_eq!(p.w.at(e), Location::Queued(0));
    p.w.timer(0, 200);
    assert_eq!(p.w.outcome(e).status, Err(Error::DeadlinePassed));
    assert_eq!(p.w.at(d), Location::Served(s));
}

#[test]
fn a_receive_with_a_deadline_ends_too() {
    let mut p = pair(1);
    let s = p.w.thread(p.server, 5, Some(0));
    p.w.set_deadline(s, 50);
    assert_eq!(p.w.call_flags(s, with_deadline(Op::Receive), p.at.0, &[]), None);
    p.w.timer(0, 50);
    assert_eq!(p.w.outcome(s).status, Err(Error::DeadlinePassed));
}

#[test]
fn a_deadline_of_a_wait_that_is_over_hits_no_later_wait_not_even_of_the_slots_next_thread() {
    let (mut p, s, c) = served(1, 3);
    p.w.set_deadline(c, 1_000);
    assert_eq!(p.w.call_flags(c, with_deadline(Op::Call), p.to.0, &[]), None);
    assert_eq!(p.w.call(s, Op::ReplyReceive, p.at.0, &[]), None);
    assert_eq!(p.w.call(c, Op::ThreadExit, 0, &[]), None);
    let client = p.w.process([0, 0]);
    let object = p.w.object(p.server, p.at);
    let to = p.w.endow(client, all(Kind::Endpoint, object));
    let d = p.w.thread(client, 3, Some(0));
    assert_eq!(c, d, "the slot is used again");
    assert_eq!(p.w.call(d, Op::Call, to.0, &[]), None);
    p.w.timer(0, 1_000);
    assert_eq!(p.w.at(d), Location::Served(s));
}

#[test]
fn an_interrupt_ends_a_wait_or_the_next_one() {
    let (mut p, s, c) = served(1, 3);
    let boss = p.w.process([0, 0]);
    let (h_s, h_c) = (p.w.thread_cap(boss, s), p.w.thread_cap(boss, c));
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[5]), None);
    let b = p.w.thread(boss, 20, Some(0));
    assert_eq!(p.w.call(b, Op::Interrupt, h_c.0, &[]).map(|o| o.status), Some(Ok(0)));
    let got = p.w.outcome(c);
    assert_eq!((got.status, got.words), (Err(Error::Interrupted), [0; 8]));
    // Sticky: neither waits now.
    for h in [h_c, h_s] {
        assert!(p.w.call(b, Op::Interrupt, h.0, &[]).is_some());
    }
    p.w.call(b, Op::ThreadExit, 0, &[]);
    // Both are at 3 now: the server was lent that.
    for _ in 0..2 {
        let t = p.w.current(0).expect("somebody runs");
        let (op, h) = if t == s { (Op::Receive, p.at) } else { (Op::Call, p.to) };
        assert_eq!(p.w.call(t, op, h.0, &[]).map(|o| o.status), Some(Err(Error::Interrupted)));
        assert_eq!(p.w.current(0), Some(t));
        assert_eq!(p.w.call(t, op, h.0, &[]), None, "once");
    }
}

#[test]
fn an_error_reaches_who_made_the_call_though_another_thread_becomes_ready() {
    let (mut p, s, c) = served(1, 9);
    let boss = p.w.process([0, 0]);
    let (h, own) = (p.w.thread_cap(boss, s), p.w.thread_cap(p.server, s));
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[5]), None);
    assert!(p.w.call(s, Op::ThreadSchedule, own.0, &[3, u64::MAX]).is_some());
    assert_eq!(p.w.priority(s), 9, "lent");
    let b = p.w.thread(boss, 20, Some(0));
    assert!(p.w.call(b, Op::Interrupt, h.0, &[]).is_some());
    p.w.call(b, Op::ThreadExit, 0, &[]);
    assert_eq!(p.w.current(0), Some(s));
    // The receive drops the caller, who ranks above, and fails.
    p.w.call(s, Op::Receive, p.at.0, &[]);
    assert_eq!(p.w.outcome(c).status, Err(Error::ServerDied));
    assert_eq!(p.w.outcome(s).status, Err(Error::Interrupted));
    assert_eq!(p.w.current(0), Some(c));
}

#[test]
fn a_failed_endpoint_refuses_queue_and_calls_until_mended() {
    let mut p = pair(1);
    let s = p.w.thread(p.server, 1, Some(0));
    let c = p.w.thread(p.client, 5, Some(0));
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[1, 2]), None);
    assert!(p.w.call(s, Op::Fail, p.at.0, &[0x77]).is_some());
    let failed = p.w.outcome(c);
    assert_eq!((failed.status, failed.badge, failed.words), (Err(Error::EndpointFailed), 0x77, [0; 8]));
    let again = p.w.call(c, Op::Call, p.to.0, &[1, 2]).expect("it does not wait");
    assert_eq!((again.status, again.badge, again.words), (Err(Error::EndpointFailed), 0x77, [0; 8]));
    let object = p.w.object(p.server, p.at);
    let manage = p.w.endow(p.client, all(Kind::Endpoint, object));
    assert!(p.w.call(c, Op::Fail, manage.0, &[0]).is_some());
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[]), None);
}

#[test]
fn a_servers_death_ends_calls_in_service_and_leaves_the_queue_to_its_successor() {
    let mut p = pair(1);
    let object = p.w.object(p.server, p.at);
    let keeper = p.w.process([0, 0]);
    p.w.endow(keeper, all(Kind::Endpoint, object));
    let kill = p.w.process_cap(keeper, p.server);
    let s = p.w.thread(p.server, 5, Some(0));
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
    let d = p.w.thread(p.client, 7, Some(0));
    assert_eq!(p.w.call(d, Op::Call, p.to.0, &[1]), None);
    assert_eq!(p.w.current(0), Some(s));
    let e = p.w.thread(p.client, 8, Some(0));
    assert_eq!(p.w.call(e, Op::Call, p.to.0, &[2]), None);
    let b = p.w.thread(keeper, 20, Some(0));
    let returned = p.w.call(b, Op::Kill, kill.0, &[3]);
    p.w.settle();
    if returned.is_none() {
        assert_eq!(p.w.current(0), Some(b), "the killer goes on when the process is dead");
        assert_eq!(p.w.call(b, Op::Kill, kill.0, &[3]).map(|o| o.status), Some(Ok(0)));
    }
    assert_eq!(p.w.at(s), Location::Free);
    assert_eq!(p.w.outcome(d).status, Err(Error::ServerDied));
    assert_eq!(p.w.at(e), Location::Queued(0));
    let info = p.w.call(b, Op::ProcessInfo, kill.0, &[]).expect("an answer");
    assert_eq!((info.status, info.words[0]), (Ok(1), 1 | 3 << 8));
    let next = p.w.process([0, 0]);
    let at = p.w.endow(next, all(Kind::Endpoint, object));
    let t = p.w.thread(next, 30, Some(0));
    assert_eq!(p.w.call(t, Op::Receive, at.0, &[]).map(|o| o.words[0]), Some(2));
}

#[test]
fn a_kept_caller_is_answered_later_by_any_thread() {
    let (mut p, s, c) = served(1, 3);
    let reply = p.w.make_reply(p.server);
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[1]), None);
    assert_eq!(p.w.call(s, Op::Keep, reply.0, &[]).map(|o| o.status), Some(Ok(0)));
    assert_eq!(p.w.at(c), Location::Kept(0));
    assert_eq!(p.w.call(s, Op::Keep, reply.0, &[]).map(|o| o.status), Some(Err(Error::Occupied)));
    assert_eq!(p.w.call(s, Op::Reply, 0, &[]).map(|o| o.status), Some(Err(Error::Vacant)));
    let helper = p.w.thread(p.server, 9, Some(0));
    assert_eq!(p.w.call(helper, Op::Reply, reply.0, &[6]).map(|o| o.status), Some(Ok(0)));
    assert_eq!(p.w.outcome(c).words[0], 6);
    assert_eq!(p.w.call(helper, Op::Reply, reply.0, &[6]).map(|o| o.status), Some(Err(Error::Vacant)));
    assert_eq!(p.w.call(helper, Op::Keep, reply.0, &[]).map(|o| o.status), Some(Err(Error::Vacant)));
}

#[test]
fn closing_a_reply_or_receiving_again_ends_the_call() {
    let (mut p, s, c) = served(1, 3);
    let reply = p.w.make_reply(p.server);
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[1]), None);
    assert!(p.w.call(s, Op::Keep, reply.0, &[]).is_some());
    assert!(p.w.call(s, Op::Close, reply.0, &[]).is_some());
    assert_eq!(p.w.outcome(c).status, Err(Error::ServerDied));
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[1]), None);
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
    assert_eq!(p.w.outcome(c).status, Err(Error::ServerDied));
}

#[test]
fn the_death_of_a_caller_in_queue_or_service_leaves_nothing_behind() {
    for in_service in [true, false] {
        let mut p = pair(1);
        let boss = p.w.process([0, 0]);
        let kill = p.w.process_cap(boss, p.client);
        let s = p.w.thread(p.server, 1, Some(0));
        if in_service {
            assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
        }
        let c = p.w.thread(p.client, 3, Some(0));
        assert_eq!(p.w.call(c, Op::Call, p.to.0, &[1]), None);
        let b = p.w.thread(boss, 20, Some(0));
        p.w.call(b, Op::Kill, kill.0, &[0]);
        p.w.settle();
        assert_eq!(p.w.at(c), Location::Free);
        p.w.call(b, Op::ThreadExit, 0, &[]);
        p.w.settle();
        assert_eq!(p.w.call(s, Op::ReplyReceive, p.at.0, &[]), None, "nobody to answer, nobody queued");
    }
}

#[test]
fn capabilities_are_copied_or_moved_and_refused_if_not_accepted() {
    let mut p = pair(1);
    let s = p.w.thread(p.server, 5, Some(0));
    assert_eq!(p.w.call_flags(s, with_caps(Op::Receive, 0, 1), p.at.0, &[]), None);
    let c = p.w.thread(p.client, 3, Some(0));
    let (one, two) = (p.w.make_reply(p.client), p.w.make_reply(p.client));
    let cap = |handle, moved| CapArg { handle, rights: (Rights::SEND.or(Rights::TRANSFER)).0, moved };
    p.w.set_caps(c, &[cap(one, 0), cap(two, 1)]);
    let before = p.w.fingerprint();
    let got = p.w.call_flags(c, with_caps(Op::Call, 2, 0), p.to.0, &[1]).expect("an error");
    assert_eq!((got.status, got.words), (Err(Error::NotAccepted), [0; 8]));
    p.w.set_caps(c, &[cap(two, 1)]);
    assert_eq!(p.w.call_flags(c, with_caps(Op::Call, 1, 1), p.to.0, &[1]), None);
    assert_ne!(before, p.w.fingerprint());
    assert_eq!(p.w.outcome(s).status, status(Arrived::Message, 0, 1));
    let got = p.w.received(s, 0);
    assert_eq!(
        p.w.cap(p.server, got).map(|c| (c.kind, c.rights)),
        Ok((Kind::Reply, Rights::SEND.or(Rights::TRANSFER)))
    );
    assert_eq!(p.w.cap(p.client, two), Err(Error::BadHandle), "it moved");
    assert!(p.w.cap(p.client, one).is_ok());
    // Back, in the answer: more than accepted is the server's error, and the caller waits on.
    p.w.set_caps(s, &[cap(got, 0), cap(got, 0)]);
    let refused = p.w.call_flags(s, with_caps(Op::ReplyReceive, 2, 0), p.at.0, &[]).expect("an error");
    assert_eq!(refused.status, Err(Error::NotAccepted));
    assert_eq!(p.w.at(c), Location::Served(s));
    assert_eq!(p.w.call_flags(s, with_caps(Op::ReplyReceive, 1, 0), p.at.0, &[]), None);
    assert_eq!(p.w.outcome(c).status, status(Arrived::Message, 0, 1));
    let back = p.w.received(c, 0);
    assert_eq!(p.w.cap(p.client, back).map(|c| c.kind), Ok(Kind::Reply));
}

#[test]
fn a_capability_that_may_not_be_passed_on_is_not() {
    let mut p = pair(1);
    let s = p.w.thread(p.server, 5, Some(0));
    assert_eq!(p.w.call_flags(s, with_caps(Op::Receive, 0, 1), p.at.0, &[]), None);
    let c = p.w.thread(p.client, 3, Some(0));
    let own = p.w.make_reply(p.client);
    let object = p.w.object(p.client, own);
    let kept = p.w.endow(p.client, Cap { rights: Rights::SEND, ..all(Kind::Reply, object) });
    p.w.set_caps(c, &[CapArg { handle: kept, rights: Rights::ALL.0, moved: 0 }]);
    let before = p.w.fingerprint();
    let got = p.w.call_flags(c, with_caps(Op::Call, 1, 0), p.to.0, &[1]).expect("an error");
    assert_eq!((got.status, p.w.fingerprint()), (Err(Error::NoRight), before));
    p.w.set_caps(c, &[CapArg { handle: own, rights: Rights::SEND.0, moved: 0 }]);
    assert_eq!(p.w.call_flags(c, with_caps(Op::Call, 1, 0), p.to.0, &[1]), None);
    assert_eq!(p.w.outcome(s).status, status(Arrived::Message, 0, 1));
}

#[test]
fn a_queued_caller_with_too_many_capabilities_is_refused_and_the_receiver_waits_on() {
    let mut p = pair(1);
    let s = p.w.thread(p.server, 1, Some(0));
    let c = p.w.thread(p.client, 3, Some(0));
    let one = p.w.make_reply(p.client);
    p.w.set_caps(c, &[CapArg { handle: one, rights: Rights::ALL.0, moved: 0 }]);
    assert_eq!(p.w.call_flags(c, with_caps(Op::Call, 1, 0), p.to.0, &[]), None);
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
    assert_eq!(p.w.outcome(c).status, Err(Error::NotAccepted));
    assert!(matches!(p.w.at(s), Location::Receiving(_)));
}

#[test]
fn loans_lengths_reach_the_server() {
    let (mut p, s, c) = served(1, 3);
    p.w.set_loan(c, 0, Loan { address: 0x1000, length: 77, rights: Rights::READ.0, reserved: 0 });
    p.w.set_loan(c, 1, Loan { address: 0x2000, length: 99, rights: Rights::WRITE.0, reserved: 0 });
    assert_eq!(p.w.call_flags(c, Op::Call as u64 | 2 << flags::LOANS_SHIFT, p.to.0, &[]), None);
    assert_eq!(p.w.outcome(s).status, status(Arrived::Message, 2, 0));
    let lent = offset_of!(MessagePage, lent);
    assert_eq!((p.w.page(s, lent), p.w.page(s, lent + 8)), (77, 99));
}

#[test]
fn threads_of_one_priority_take_turns_and_a_higher_one_preempts() {
    let mut w = World::new(1);
    let p = w.process([0, 0]);
    let (a, b) = (w.thread(p, 5, Some(0)), w.thread(p, 5, Some(0)));
    assert_eq!(w.current(0), Some(a));
    let end = w.machine.cpus[0].slice_end;
    w.timer(0, end);
    assert_eq!(w.current(0), Some(b));
    let end = w.machine.cpus[0].slice_end;
    w.timer(0, end - 1);
    assert_eq!(w.current(0), Some(b));
    let high = w.thread(p, 6, Some(0));
    assert_eq!(w.current(0), Some(high));
    w.call(high, Op::ThreadExit, 0, &[]);
    assert_eq!(w.current(0), Some(b), "preempted: it goes on first");
}

#[test]
fn cpus_call_notify_answer_and_kill_each_others_threads() {
    let mut p = pair(3);
    let n = p.w.make_notification(p.server, p.at, 1);
    let n_object = p.w.object(p.server, n);
    let s = p.w.thread(p.server, 5, Some(0));
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]), None);
    let c = p.w.thread(p.client, 3, Some(1));
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[4]), None);
    assert_eq!(p.w.at(s), Location::Mail(0));
    p.w.settle();
    assert_eq!((p.w.current(0), p.w.current(1)), (Some(s), None));
    assert_eq!(p.w.call(s, Op::ReplyReceive, p.at.0, &[5]), None);
    p.w.settle();
    assert_eq!((p.w.current(1), p.w.outcome(c).words[0]), (Some(c), 5));
    let h = p.w.endow(p.client, all(Kind::Notification, n_object));
    assert!(p.w.call(c, Op::Notify, h.0, &[2]).is_some());
    p.w.settle();
    assert_eq!((p.w.current(0), p.w.outcome(s).words[0]), (Some(s), 2));
    // Kill from the third CPU: one thread runs on 0, the other on 1.
    let boss = p.w.process([0, 0]);
    let (k1, k2) = (p.w.process_cap(boss, p.server), p.w.process_cap(boss, p.client));
    let b = p.w.thread(boss, 3, Some(2));
    for (kill, victim) in [(k1, s), (k2, c)] {
        assert_eq!(p.w.call(b, Op::Kill, kill.0, &[0]), None, "not before it is off its CPU");
        p.w.settle();
        assert_eq!(p.w.at(victim), Location::Free);
        assert_eq!(p.w.call(b, Op::Kill, kill.0, &[0]).map(|o| o.status), Some(Ok(0)));
    }
}

#[test]
fn a_process_that_another_cpu_ends_does_not_come_back_from_exit() {
    let mut p = pair(2);
    let kill = p.w.process_cap(p.server, p.client);
    let s = p.w.thread(p.server, 5, Some(0));
    let c = p.w.thread(p.client, 5, Some(1));
    assert_eq!(p.w.call(s, Op::Kill, kill.0, &[0]), None);
    assert_eq!(p.w.call(c, Op::Exit, 0, &[]), None);
    assert_eq!(p.w.at(c), Location::Free);
    p.w.settle();
    assert_eq!(p.w.current(0), Some(s));
}

#[test]
fn deaths_raise_their_notification_and_wake_every_waiter() {
    let mut p = pair(2);
    let n = p.w.make_notification(p.server, p.at, 9);
    let object = p.w.object(p.server, n);
    let victim = p.w.process([object, 0x40]);
    let kills = [p.w.process_cap(p.server, victim), p.w.process_cap(p.client, victim)];
    let v = p.w.thread(victim, 5, Some(1));
    let killers = [p.w.thread(p.server, 6, Some(0)), p.w.thread(p.client, 5, Some(0))];
    for (k, h) in killers.iter().zip(kills) {
        assert_eq!(p.w.call(*k, Op::Kill, h.0, &[1]), None);
    }
    p.w.settle();
    assert_eq!(p.w.at(v), Location::Free);
    for (k, h) in killers.iter().zip(kills) {
        if *k == killers[1] {
            let got = p.w.call(killers[0], Op::Receive, p.at.0, &[]).expect("bits");
            assert_eq!((got.badge, got.words[0]), (9, 0x40));
            assert_eq!(p.w.call(killers[0], Op::Receive, p.at.0, &[]), None);
        }
        assert_eq!(p.w.call(*k, Op::Kill, h.0, &[1]).map(|o| o.status), Some(Ok(0)));
    }
}

#[test]
fn rights_shrink_badges_are_given_once_and_stale_handles_are_refused() {
    let mut p = pair(1);
    let s = p.w.thread(p.server, 5, Some(0));
    let derive = |w: &mut World, from: Handle, rights: Rights, badge: u64| {
        let got = w.call(s, Op::Derive, from.0, &[u64::from(rights.0), badge]).expect("an answer");
        got.status.map(|_| Handle(got.badge))
    };
    let badged = derive(&mut p.w, p.at, Rights::SEND.or(Rights::BADGE), 5).expect("derived");
    assert_eq!(derive(&mut p.w, badged, Rights::ALL, 6), Err(Error::NoRight), "a badge is given once");
    let child = derive(&mut p.w, badged, Rights::ALL, 0).expect("derived");
    let cap = p.w.cap(p.server, child).expect("a capability");
    assert_eq!((cap.rights, cap.badge), (Rights::SEND.or(Rights::BADGE), 5));
    assert!(p.w.call(s, Op::Close, badged.0, &[]).is_some());
    assert_eq!(p.w.call(s, Op::Close, badged.0, &[]).map(|o| o.status), Some(Err(Error::BadHandle)));
    assert!(p.w.cap(p.server, child).is_ok(), "children stay when their parent is closed");
    assert!(p.w.call(s, Op::Revoke, p.at.0, &[]).is_some());
    assert_eq!(p.w.cap(p.server, child), Err(Error::BadHandle), "and are revoked from further up");
    assert!(p.w.cap(p.server, p.at).is_ok());
}

#[test]
fn a_guest_is_entered_unless_kicked_and_a_kick_sticks() {
    let mut w = World::new(2);
    let p = w.process([0, 0]);
    let t = w.thread(p, 5, Some(0));
    let h = w.thread_cap(p, t);
    let k = w.thread(p, 5, Some(1));
    assert_eq!(w.call(t, Op::GuestEnter, 0, &[]).map(|o| o.status), Some(Err(Error::Vacant)));
    let cpu = &mut w.machine.cpus[0];
    w.machine.kernel.threads.own(&mut cpu.hold, t).expect("it runs here").guest_root = 1;
    assert!(w.call(k, Op::GuestKick, h.0, &[]).is_some());
    w.settle();
    let kicked = Ok(sal_abi::x86_64::Exit::Kicked as u64);
    assert_eq!(w.call(t, Op::GuestEnter, 0, &[]).map(|o| o.status), Some(kicked));
    w.call(t, Op::GuestEnter, 0, &[]);
    assert!(w.machine.kernel.threads.body(t).is_some_and(|t| t.in_guest));
    assert!(w.call(k, Op::GuestKick, h.0, &[]).is_some());
    w.settle();
    assert!(w.machine.kernel.threads.body(t).is_some_and(|t| !t.in_guest));
    assert_eq!(w.outcome(t).status, kicked);
    w.call(t, Op::GuestEnter, 0, &[]);
    w.step(0, Event::GuestCall);
    assert_eq!(w.outcome(t).status, Ok(sal_abi::x86_64::Exit::Syscall as u64));
}

#[test]
fn an_interrupt_line_raises_its_bits_and_stays_masked_until_acknowledged() {
    let mut p = pair(1);
    let n = p.w.make_notification(p.server, p.at, 1);
    let line = p.w.endow(p.server, Cap { object: 3 | 1 << 32, ..all(Kind::Interrupt, 0) });
    let s = p.w.thread(p.server, 5, Some(0));
    assert!(p.w.call(s, Op::InterruptBind, line.0, &[n.0, 0x10]).is_some());
    let open = |w: &World| w.machine.kernel.hw.open.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(open(&p.w), 8);
    p.w.step(0, Event::Line(3));
    assert_eq!(open(&p.w), 0);
    assert_eq!(p.w.call(s, Op::Receive, p.at.0, &[]).map(|o| o.words[0]), Some(0x10));
    assert!(p.w.call(s, Op::InterruptAck, line.0, &[]).is_some());
    assert_eq!(open(&p.w), 8);
}

#[test]
fn a_thread_that_leaves_an_endpoint_is_boosted_by_its_callers_no_more() {
    let mut p = pair(2);
    let other = p.w.make_endpoint(p.server);
    let (n, m) = (p.w.make_notification(p.server, p.at, 0), p.w.make_notification(p.server, other, 0));
    let s = p.w.thread(p.server, 5, Some(0));
    for (n, at) in [(n, p.at), (m, other)] {
        p.w.call(s, Op::Notify, n.0, &[1]);
        assert!(p.w.call(s, Op::Receive, at.0, &[]).is_some());
    }
    let c = p.w.thread(p.client, 9, Some(1));
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[]), None);
    p.w.settle();
    assert_eq!(p.w.priority(s), 5);
}

#[test]
fn time_is_booked_to_who_used_it() {
    let mut p = pair(1);
    let c = p.w.thread(p.client, 5, Some(0));
    let start = p.w.machine.cpus[0].accounted;
    p.w.machine.kernel.hw.now.store(start + 700, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(p.w.call(c, Op::Call, p.to.0, &[]), None);
    assert_eq!(p.w.machine.kernel.processes.slot(p.client).map(|s| s.time()), Some(700));
}

#[test]
fn a_thread_that_is_given_another_cpu_goes_there() {
    let mut w = World::new(2);
    let p = w.process([0, 0]);
    let t = w.thread(p, 5, Some(0));
    let h = w.thread_cap(p, t);
    w.call(t, Op::ThreadSchedule, h.0, &[6, 1]);
    w.settle();
    assert_eq!((w.current(0), w.current(1)), (None, Some(t)));
    let other = w.thread(p, 4, Some(1));
    assert!(w.call(t, Op::ThreadSchedule, h.0, &[3, 1]).is_some());
    assert_eq!(w.current(1), Some(other), "it ranks below now");
}

/// The FPU registers of a thread that runs are in its CPU until that leaves the kernel: another CPU that is given the thread before must find them.
#[test]
fn a_thread_takes_its_fpu_state_along_to_another_cpu() {
    const STATE: u32 = 7;
    let mut w = World::new(2);
    let p = w.process([0, 0]);
    let t = w.thread_with_fpu(p, 5, Some(0), STATE);
    let h = w.thread_cap(p, t);
    w.machine.cpus[0].fpu = STATE;
    w.call(t, Op::ThreadSchedule, h.0, &[5, 0]);
    assert_eq!((w.saved_fpu(), w.machine.cpus[0].fpu), (0, STATE), "it stays");
    w.call(t, Op::ThreadSchedule, h.0, &[5, 1]);
    assert_eq!((w.saved_fpu(), w.machine.cpus[0].fpu), (1 << STATE, LEFT_STATE));
    w.settle();
    assert_eq!(w.current(1), Some(t));
}

#[test]
fn a_thread_that_is_woken_where_it_just_ran_takes_its_fpu_state_along() {
    const STATE: u32 = 7;
    let mut w = World::new(2);
    let (boss, victim) = (w.process([0, 0]), w.process([0, 0]));
    let kill = w.process_cap(boss, victim);
    let k = w.thread_with_fpu(boss, 9, None, STATE);
    w.thread(victim, 3, Some(0));
    w.thread(boss, 3, Some(0));
    w.machine.cpus[0].fpu = STATE;
    assert_eq!(w.current(0), Some(k));
    assert_eq!(w.call(k, Op::Kill, kill.0, &[0]), None, "the victim ends at once, and the other CPU is idle");
    assert_eq!((w.saved_fpu(), w.machine.cpus[0].fpu), (1 << STATE, LEFT_STATE));
    w.settle();
    assert_eq!(w.current(1), Some(k));
}

#[test]
fn the_fpu_state_of_a_thread_that_is_gone_is_not_saved() {
    const STATE: u32 = 7;
    let mut w = World::new(1);
    let p = w.process([0, 0]);
    let t = w.thread_with_fpu(p, 5, Some(0), STATE);
    w.machine.cpus[0].fpu = STATE;
    w.call(t, Op::ThreadExit, 0, &[]);
    assert_eq!((w.saved_fpu(), w.machine.cpus[0].fpu), (0, LEFT_STATE), "its frame is somebody else's soon");
}

/// Every operation with every wrong first argument, and with wrong words, leaves the state as it was.
#[test]
fn an_error_changed_nothing() {
    let mut p = pair(1);
    let s = p.w.thread(p.server, 5, Some(0));
    let object = p.w.object(p.server, p.at);
    let weak = p.w.endow(p.server, Cap { rights: Rights::NONE, ..all(Kind::Endpoint, object) });
    let log = p.w.endow(p.server, Cap { rights: Rights::NONE, ..all(Kind::Log, 0) });
    let thread = p.w.thread_cap(p.server, s);
    let process = p.w.process_cap(p.server, p.client);
    let stale = Handle::new(99, p.at.index());
    let (mut errors, mut tried) = (0, 0);
    for op in Op::ALL {
        for first in [0, stale.0, u64::MAX, weak.0, log.0, thread.0, process.0, p.at.0] {
            for words in [[0; 4], [u64::MAX; 4], [stale.0, u64::MAX, 7, 0], [300, 99, 0, 0]] {
                for flag in [0, 1 << 30, 5 << flags::CAPS_SHIFT, 5 << flags::LOANS_SHIFT] {
                    let mut w = p.w.duplicate();
                    let before = w.fingerprint();
                    let got = w.call_flags(s, *op as u64 | flag, first, &words);
                    tried += 1;
                    let Some(Err(error)) = got.as_ref().map(|o| o.status) else {
                        continue;
                    };
                    errors += 1;
                    let got = got.expect("it returned");
                    assert_eq!(got.words, [0; 8], "{op:?} {error:?}");
                    assert_eq!(w.fingerprint(), before, "{op:?} {first:#x} {words:?} {flag:#x}: {error:?}");
                }
            }
        }
    }
    assert!(errors > tried / 2, "{errors} of {tried}");
}

#[test]
fn a_table_grows_only_when_it_is_full() {
    let mut w = World::new(1);
    let p = w.process([0, 0]);
    let t = w.thread(p, 5, None);
    let own = w.process_cap(p, p);
    let chunks = |w: &World| {
        let table = w.machine.kernel.processes.table(p).expect("a table");
        (0..sal_kernel_core::table::CHUNKS).filter(|n| table.chunk(*n).is_some()).count()
    };
    for _ in 0..500 {
        let made = w.call(t, Op::Derive, own.0, &[0, 0]).expect("a handle");
        assert!(w.call(t, Op::Close, made.badge, &[]).is_some());
    }
    assert_eq!(chunks(&w), 1);
    let mut made = 0;
    while w.call(t, Op::Derive, own.0, &[0, 0]).is_some_and(|o| o.status.is_ok()) {
        made += 1;
    }
    assert_eq!((made, chunks(&w)), (5 * 64 - 1, 5), "all slots that there are");
}

#[test]
fn what_finds_no_room_in_its_makers_table_was_not_made() {
    let mut w = World::new(1);
    let p = w.process([0, 0]);
    let t = w.thread(p, 5, None);
    let at = w.make_endpoint(p);
    let (budget, own) = (w.endow(p, all(Kind::Budget, 0)), w.process_cap(p, p));
    let mut last = Handle::NONE;
    while let Some(Ok(_)) = w.call(t, Op::Derive, own.0, &[0, 0]).map(|o| o.status) {
        last = Handle(w.outcome(t).badge);
    }
    let makers = [
        (Op::EndpointCreate, budget, [0; 5]),
        (Op::NotificationCreate, budget, [at.0, 0, 0, 0, 0]),
        (Op::ReplyCreate, budget, [0; 5]),
        (Op::ProcessCreate, budget, [0; 5]),
        (Op::ThreadCreate, own, [0, 0, 0, 1, 5]),
    ];
    let before = w.fingerprint();
    for (op, first, words) in makers {
        for _ in 0..10 {
            assert_eq!(w.call(t, op, first.0, &words).map(|o| o.status), Some(Err(Error::NoBudget)), "{op:?}");
            assert_eq!(w.fingerprint(), before, "{op:?} left something");
        }
    }
    for (op, first, words) in makers {
        assert!(w.call(t, Op::Close, last.0, &[]).is_some());
        let made = w.call(t, op, first.0, &words).expect("it returned");
        assert!(made.status.is_ok(), "{op:?} {made:?}");
        last = Handle(made.badge);
    }
}

#[test]
fn take_copies_or_moves() {
    let mut p = pair(1);
    let s = p.w.thread(p.server, 5, Some(0));
    let theirs = p.w.process_cap(p.server, p.client);
    let copy = p.w.call(s, Op::Take, theirs.0, &[p.to.0, u64::MAX]).expect("a handle");
    assert!(copy.status.is_ok() && p.w.cap(p.client, p.to).is_ok());
    let moved = p.w.call(s, Op::Take, theirs.0, &[p.to.0, u64::MAX, 1]).expect("a handle");
    assert_eq!(moved.status, Ok(0));
    assert_eq!(p.w.cap(p.client, p.to), Err(Error::BadHandle));
    assert!(p.w.cap(p.server, Handle(moved.badge)).is_ok());
}

#[test]
fn an_error_is_not_written_to_a_thread_that_reaping_wakes() {
    let mut w = World::sized(1, sal_kernel_core::emulated::Sizes { chunks: 12, ..sal_model::world::SMALL });
    let (boss, low, victim) = (w.process([0, 0]), w.process([0, 0]), w.process([0, 0]));
    let kill = w.process_cap(boss, victim);
    for _ in 0..64 * 8 {
        w.endow(victim, all(Kind::Log, 0));
    }
    w.thread(victim, 3, None);
    let (k, l) = (w.thread(boss, 9, None), w.thread(low, 3, None));
    assert_eq!(w.call(k, Op::Kill, kill.0, &[0]), None);
    assert_eq!(w.current(0), Some(l), "the victim's table is closed in pieces");
    let before = w.registers(k);
    while w.current(0) == Some(l) {
        w.call(l, Op::Close, 77, &[]);
        assert_eq!(w.outcome(l).status, Err(Error::BadHandle));
    }
    assert_eq!(w.current(0), Some(k));
    assert_eq!(w.registers(k), before);
}
