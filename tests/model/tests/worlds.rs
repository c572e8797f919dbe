//! Every interleaving of small worlds.

use sal_abi::Handle;
use sal_abi::op::Op;
use sal_kernel_core::table::Kind;
use sal_model::emu::all;
use sal_model::explore::{Choice, Role, Scene, endpoint_for_all, explore};
use sal_model::world::World;

fn role(process: usize, priority: u8, cpu: Option<u32>, menu: &[Choice]) -> Role {
    Role {
        process,
        priority,
        cpu,
        menu: menu.to_vec(),
    }
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
        limit: 400_000,
    }
}

fn one_endpoint(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    endpoint_for_all(world, processes, 1)
}

fn two_endpoints(world: &mut World, processes: &[u32]) -> Vec<Vec<Handle>> {
    endpoint_for_all(world, processes, 2)
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
