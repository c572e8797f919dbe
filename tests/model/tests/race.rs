//! Real threads as CPUs: what happens between two steps, and inside them. After a storm of calls, kills, interrupts, deadlines and notifications the
//! machine is let come to rest, and everything that must hold is looked at; a thread that was lost would be nowhere.

use sal_abi::op::{Op, flags};
use sal_abi::{Handle, Rights};
use sal_kernel_core::cpu::Cpu;
use sal_kernel_core::emulated::{Machine, Sizes};
use sal_kernel_core::hw::Hardware;
use sal_kernel_core::kernel::Kernel;
use sal_kernel_core::step::Event;
use sal_kernel_core::table::{Cap, Kind};
use sal_kernel_core::threads::NONE;
use sal_model::emu::{Emu, all};
use sal_model::world::World;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const THREADS: u32 = 8;

/// A small generator of numbers, seeded: the storm differs by how the CPUs meet, not by chance alone.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

struct Objects {
    endpoints: [Handle; 2],
    notification: Handle,
    replies: [Handle; 2],
    threads: Vec<Handle>,
}

/// One thing that the running thread does.
fn act(kernel: &Kernel<Emu>, cpu: &mut Cpu<Emu>, o: &Objects, numbers: &mut Numbers) {
    let me = cpu.current;
    let endpoint = o.endpoints[numbers.below(2) as usize];
    let reply = o.replies[numbers.below(2) as usize];
    let (operation, argument) = match numbers.below(20) {
        0..5 => (Op::Call as u64, endpoint),
        5..7 => (Op::Call as u64 | flags::DEADLINE, endpoint),
        7..12 => (Op::ReplyReceive as u64, endpoint),
        12 => (Op::Receive as u64 | flags::DEADLINE, endpoint),
        13 => (Op::Reply as u64, Handle::NONE),
        14 => (Op::Reply as u64, reply),
        15 => (Op::Keep as u64, reply),
        16 | 17 => (Op::Notify as u64, o.notification),
        18 => (Op::Interrupt as u64, o.threads[numbers.below(THREADS.into()) as usize]),
        _ => (Op::Yield as u64, Handle::NONE),
    };
    let soon = kernel.hw.now.load(Ordering::Relaxed) + numbers.below(3_000);
    let Some(t) = kernel.threads.own(&mut cpu.hold, me) else {
        return;
    };
    kernel.hw.write_word(t.page, 0, soon);
    // Half of the threads always come back from a wait, so that somebody is left to interrupt the others.
    let waits = matches!(Op::from_number(operation as u8), Some(Op::Call | Op::ReplyReceive | Op::Receive));
    let operation = if waits && me.is_multiple_of(2) { operation | flags::DEADLINE } else { operation };
    (t.frame.operation, t.frame.argument, t.frame.words) = (operation, argument.0, [1, 0, 0, 0, 0, 0, 0, 0]);
    kernel.step(cpu, Event::Call);
}

/// Runs a CPU until told to stop.
fn run(kernel: &Kernel<Emu>, cpu: &mut Cpu<Emu>, o: &Objects, seed: u64, stop: &AtomicBool, steps: &AtomicU64) {
    let mut numbers = Numbers(seed);
    let me = cpu.number();
    while !stop.load(Ordering::Relaxed) {
        if kernel.hw.interrupted.fetch_and(!(1 << me), Ordering::AcqRel) >> me & 1 == 1 {
            kernel.step(cpu, Event::Post);
        }
        let now = kernel.hw.now.fetch_add(20, Ordering::Relaxed);
        if numbers.below(8) == 0 || now >= kernel.next_timer(cpu) {
            kernel.step(cpu, Event::Timer);
        }
        if cpu.current == NONE {
            // All may wait: a line wakes one up.
            kernel.step(cpu, Event::Line(1));
        } else {
            act(kernel, cpu, o, &mut numbers);
        }
        steps.fetch_add(1, Ordering::Relaxed);
    }
}

fn furnish(w: &mut World) -> (u32, Objects) {
    let p = w.process([0, 0]);
    let endpoints = [w.make_endpoint(p), w.make_endpoint(p)];
    let notification = w.make_notification(p, endpoints[0], 1);
    let object = w.object(p, notification);
    w.machine.kernel.lines.bind(1, object, 2);
    let replies = [w.make_reply(p), w.make_reply(p)];
    let threads = (0..THREADS).map(|_| w.thread(p, 5, None)).collect::<Vec<_>>();
    let threads = threads.into_iter().map(|t| w.thread_cap(p, t)).collect();
    (p, Objects { endpoints, notification, replies, threads })
}

fn storm(seed: u64, length: Duration) -> u64 {
    let sizes = Sizes { threads: THREADS + 1, ..sal_model::world::SMALL };
    let mut w = World::sized(3, sizes);
    let (victim, objects) = furnish(&mut w);
    w.settle();
    let (stop, steps) = (AtomicBool::new(false), AtomicU64::new(0));
    let Machine { kernel, cpus } = &mut w.machine;
    std::thread::scope(|scope| {
        for (n, cpu) in cpus.iter_mut().take(2).enumerate() {
            let (kernel, objects, stop, steps) = (&*kernel, &objects, &stop, &steps);
            let seed = seed.wrapping_mul(2 * n as u64 + 7) | 1;
            scope.spawn(move || run(kernel, cpu, objects, seed, stop, steps));
        }
        let end = Instant::now() + length;
        while Instant::now() < end {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    w.settle();
    w.verify();
    // Nobody was lost: all of them can be ended.
    let boss = w.process([0, 0]);
    let kill = w.process_cap(boss, victim);
    let endow = Cap { rights: Rights::NONE, ..all(Kind::Log, 0) };
    w.endow(boss, endow);
    let b = w.thread(boss, 200, Some(2));
    w.settle();
    w.call(b, Op::Kill, kill.0, &[0]);
    w.settle();
    assert_eq!(w.current(2), Some(b), "the killer goes on");
    assert_eq!(w.call(b, Op::Kill, kill.0, &[0]).map(|o| o.status), Some(Ok(0)));
    steps.load(Ordering::Relaxed)
}

#[test]
fn two_cpus_at_once_lose_no_thread() {
    let long = std::env::var_os("SAL_MODEL_LONG").is_some();
    let (rounds, length) = if long { (200, Duration::from_millis(500)) } else { (20, Duration::from_millis(60)) };
    let steps: u64 = (1..=rounds).map(|n| storm(n * 0x9e37_79b9, length)).sum();
    println!("{steps} steps on two CPUs");
    assert!(steps > 1000);
}
