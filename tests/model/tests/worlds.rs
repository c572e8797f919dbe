//! Every interleaving of small worlds.

use sal_abi::Handle;
use sal_abi::op::Op;
use sal_kernel_core::table::{Cap, Kind};
use sal_model::emu::all;
use sal_model::explore::{Choice, Role, Scene, endpoint_for_all, explore};
use sal_model::world::World;

fn role(process: usize, priority: u8, cpu: Option<u32>, menu: &[Choice]) -> Role {
    Role { process, priority, cpu, menu: menu.to_vec() }
}

const fn scene(name: &'static str, cpus: u32, furnish: fn(&mut World, &[u32]) -> Vec<Vec<Handle>>) -> Scene {
    Scene {
        name,
        cpus,
        roles: Vec::new(),
        furnish,
        restarts: None,
        slices: false,
        line: false,
        copies: false,
        limit: 400_000,
    }
}

fn one_endpoint(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    endpoint_for_all(world, processes, 1)
}

fn two_endpoints(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    endpoint_for_all(world, processes, 2)
}

/// Processors to explore with: where two make a world of many states, only if `SAL_MODEL_LONG` is set.
fn cpus_of_a_big_world() -> std::ops::RangeInclusive<u32> {
    1..=if std::env::var_os("SAL_MODEL_LONG").is_some() { 2 } else { 1 }
}

const CALL: Choice = Choice::on(Op::Call, 0);
const CALL_B: Choice = Choice::on(Op::Call, 1);
const SERVE: Choice = Choice::on(Op::ReplyReceive, 0);
const SERVE_B: Choice = Choice::on(Op::ReplyReceive, 1);
const RECEIVE: Choice = Choice::on(Op::Receive, 0);
const REPLY: Choice = Choice::plain(Op::Reply);
const YIELD: Choice = Choice::plain(Op::Yield);

#[test]
fn a_server_and_two_clients() {
    for cpus in 1..=2 {
        explore(&Scene {
            roles: vec![
                role(0, 5, None, &[SERVE, RECEIVE, REPLY, YIELD]),
                role(1, 3, None, &[CALL, CALL.deadline(), YIELD]),
                role(1, 7, None, &[CALL, YIELD]),
            ],
            slices: true,
            ..scene("server and two clients", cpus, one_endpoint)
        });
    }
}

#[test]
fn a_server_and_two_clients_of_one_priority() {
    for cpus in 1..=2 {
        explore(&Scene {
            roles: vec![
                role(0, 5, None, &[SERVE, SERVE.deadline(), REPLY]),
                role(1, 5, None, &[CALL, CALL.deadline()]),
                role(1, 5, None, &[CALL, CALL.deadline()]),
            ],
            slices: true,
            ..scene("one priority", cpus, one_endpoint)
        });
    }
}

#[test]
fn three_threads_that_call_each_other_at_two_endpoints() {
    for cpus in 1..=2 {
        explore(&Scene {
            roles: vec![
                role(0, 5, None, &[SERVE, CALL_B]),
                role(0, 4, None, &[SERVE_B, CALL]),
                role(1, 6, None, &[CALL, CALL_B]),
            ],
            ..scene("calls in a circle", cpus, two_endpoints)
        });
    }
}

#[test]
fn three_equal_threads_that_call_each_other_at_two_endpoints() {
    for cpus in cpus_of_a_big_world() {
        explore(&Scene {
            roles: vec![
                role(0, 5, None, &[SERVE, CALL_B]),
                role(0, 5, None, &[SERVE_B, SERVE, CALL]),
                role(1, 5, None, &[CALL, CALL_B.deadline()]),
            ],
            slices: true,
            ..scene("calls in a circle of one priority", cpus, two_endpoints)
        });
    }
}

fn with_notification(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    let mut handles = endpoint_for_all(world, processes, 1);
    let n = world.make_notification(processes[0], handles[0][0], 77);
    let object = world.object(processes[0], n);
    handles[0].push(n);
    handles[1].push(world.endow(processes[1], all(Kind::Notification, object)));
    world.machine.kernel.lines.bind(1, object, 8);
    world.machine.kernel.hw.open.store(2, std::sync::atomic::Ordering::Relaxed);
    handles
}

#[test]
fn notifications_lines_and_calls() {
    for cpus in 1..=2 {
        explore(&Scene {
            roles: vec![
                role(0, 5, None, &[SERVE, SERVE.deadline()]),
                role(1, 3, None, &[CALL, Choice::on(Op::Notify, 1).words([1, 0])]),
                role(1, 7, None, &[CALL, Choice::on(Op::Notify, 1).words([2, 0]), YIELD]),
            ],
            line: true,
            ..scene("notifications", cpus, with_notification)
        });
    }
}

fn with_reply(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    let mut handles = endpoint_for_all(world, processes, 1);
    handles[0].push(world.make_reply(processes[0]));
    handles
}

#[test]
fn a_reply_object_in_a_server_of_two_threads() {
    let keep = Choice::on(Op::Keep, 1);
    let answer = Choice::on(Op::Reply, 1);
    for cpus in 1..=2 {
        explore(&Scene {
            roles: vec![
                role(0, 5, Some(0), &[RECEIVE, keep, answer, Choice::on(Op::Close, 1)]),
                role(0, 5, Some(cpus - 1), &[RECEIVE, keep, answer]),
                role(1, 5, None, &[CALL, CALL.deadline()]),
            ],
            slices: true,
            ..scene("a Reply object", cpus, with_reply)
        });
    }
}

/// Process 0 serves, 1 calls, 2 may kill, interrupt and fail.
fn with_power(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    let mut handles = endpoint_for_all(world, processes, 1);
    handles[2].push(world.process_cap(processes[2], processes[0]));
    handles[2].push(world.thread_cap(processes[2], 1));
    handles
}

#[test]
fn a_server_is_killed_at_any_moment_and_its_process_ends() {
    let kill = Choice::on(Op::Kill, 1);
    for cpus in 1..=2 {
        explore(&Scene {
            roles: vec![
                role(0, 5, None, &[SERVE, REPLY, Choice::plain(Op::Exit)]),
                role(1, 5, None, &[CALL, CALL.deadline()]),
                role(2, 5, None, &[kill, CALL]),
            ],
            slices: true,
            ..scene("kill a server", cpus, with_power)
        });
    }
}

#[test]
fn a_client_is_interrupted_at_any_moment_and_its_endpoint_fails_and_is_mended() {
    let interrupt = Choice::on(Op::Interrupt, 2);
    let fail = Choice::on(Op::Fail, 0);
    for cpus in cpus_of_a_big_world() {
        explore(&Scene {
            roles: vec![
                role(0, 5, None, &[SERVE, REPLY]),
                role(1, 5, None, &[CALL]),
                role(2, 5, None, &[interrupt, fail.words([7, 0]), fail, CALL]),
            ],
            slices: true,
            ..scene("interrupt and fail", cpus, with_power)
        });
    }
}

/// As [`with_power`], and process 2 may kill the client's process too.
fn with_all_power(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    let mut handles = with_power(world, processes);
    handles[2].push(world.process_cap(processes[2], processes[1]));
    handles
}

#[test]
fn a_server_copies_from_a_loan_while_the_call_is_cancelled_on_another_cpu() {
    let interrupt = Choice::on(Op::Interrupt, 2);
    let (kill_server, kill_client) = (Choice::on(Op::Kill, 1), Choice::on(Op::Kill, 3));
    for menu in [&[interrupt, kill_client][..], &[kill_server], &[kill_client, kill_server, interrupt, CALL]] {
        explore(&Scene {
            roles: vec![
                role(0, 5, Some(0), &[SERVE, REPLY]),
                role(1, 5, Some(1), &[CALL, CALL.deadline()]),
                role(2, 5, Some(1), &[menu, &[YIELD]].concat()),
                role(1, 5, Some(1), &[CALL]),
            ],
            slices: true,
            copies: true,
            ..scene("lending", 2, with_all_power)
        });
    }
}

/// Process 0 serves an endpoint that process 2 keeps; 1 calls; 2 kills.
fn with_keeper(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    let keeper = world.make_endpoint(processes[2]);
    let object = world.object(processes[2], keeper);
    let server = world.endow(processes[0], all(Kind::Endpoint, object));
    let client = world.endow(processes[1], all(Kind::Endpoint, object));
    let kill = world.process_cap(processes[2], processes[0]);
    let kill_client = world.process_cap(processes[2], processes[1]);
    vec![vec![server], vec![client], vec![keeper, kill, kill_client]]
}

fn again(world: &mut World, process: u32) -> Vec<Handle> {
    vec![world.endow(process, Cap { object: 1 << 32, ..all(Kind::Endpoint, 0) })]
}

#[test]
fn a_server_ends_itself_and_starts_again_on_its_endpoint() {
    for cpus in 1..=2 {
        explore(&Scene {
            roles: vec![
                role(0, 5, None, &[SERVE, Choice::plain(Op::Exit)]),
                role(1, 5, None, &[CALL, CALL.deadline()]),
                role(2, 4, None, &[CALL, YIELD]),
            ],
            restarts: Some(again),
            slices: true,
            ..scene("a server starts again", cpus, with_keeper)
        });
    }
}

#[test]
fn a_client_and_a_server_are_killed_from_a_third_cpu() {
    explore(&Scene {
        roles: vec![
            role(0, 5, Some(0), &[SERVE, RECEIVE]),
            role(1, 5, Some(1), &[CALL, CALL.deadline()]),
            role(2, 5, Some(2), &[Choice::on(Op::Kill, 1), Choice::on(Op::Kill, 2), CALL]),
        ],
        ..scene("kills across three CPUs", 3, with_keeper)
    });
}

/// As `with_notification`, and everybody may close and derive.
fn with_handles(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    let mut handles = with_notification(world, processes);
    handles[0].push(world.make_reply(processes[0]));
    handles
}

#[test]
fn endpoints_notifications_and_replies_are_closed_while_they_are_used() {
    for cpus in cpus_of_a_big_world() {
        explore(&Scene {
            roles: vec![
                role(
                    0,
                    5,
                    None,
                    &[RECEIVE, Choice::on(Op::Keep, 2), Choice::on(Op::Close, 2), Choice::on(Op::Close, 1)],
                ),
                role(1, 5, None, &[CALL, Choice::on(Op::Notify, 1).words([1, 0]), Choice::on(Op::Close, 1)]),
                role(1, 5, None, &[CALL, Choice::on(Op::Close, 0)]),
            ],
            slices: true,
            line: true,
            ..scene("closing", cpus, with_handles)
        });
    }
}
