//! Every interleaving of a small world, breadth first: the shortest way to a broken rule is found first.
//!
//! A [`Scene`] says what there is and what each thread may do whenever it runs. The actors beside the kernel remember whom each server serves, so that
//! an answer that reaches the wrong thread is noticed, not only a list that is linked wrongly.

use crate::emu::all;
use crate::world::{Print, World};
use sal_abi::message::{Arrival, Kind as Arrived};
use sal_abi::op::{Op, flags};
use sal_abi::{Error, Handle, Words};
use sal_kernel_core::emulated::Machine;
use sal_kernel_core::location::Location;
use sal_kernel_core::process::State;
use sal_kernel_core::step::Event;
use sal_kernel_core::thread::Wait;
use sal_kernel_core::threads::NONE;
use std::collections::HashSet;
use std::sync::atomic::Ordering;

/// Words of an answer start with this plus the caller's number.
const ANSWER: u64 = 1000;
/// How far in the future a deadline is.
const DEADLINE: u64 = 1_000;

/// Something that a thread may do when it runs.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Operation and flags.
    pub operation: u64,
    /// Which of its process's handles the call names; `None` for handle 0.
    pub on: Option<usize>,
    /// Words; of calls, receives and replies the explorer sets them itself.
    pub words: [u64; 2],
}

impl Choice {
    /// An operation on a handle.
    pub const fn on(op: Op, handle: usize) -> Choice {
        Choice { operation: op as u64, on: Some(handle), words: [0; 2] }
    }

    /// An operation on nothing.
    pub const fn plain(op: Op) -> Choice {
        Choice { operation: op as u64, on: None, words: [0; 2] }
    }

    /// With words.
    pub const fn words(self, words: [u64; 2]) -> Choice {
        Choice { words, ..self }
    }

    /// With the flag `DEADLINE`.
    pub const fn deadline(self) -> Choice {
        Choice { operation: self.operation | flags::DEADLINE, ..self }
    }

    fn op(&self) -> Op {
        Op::from_number(self.operation as u8).expect("an operation")
    }
}

/// A thread to be: its process, priority, CPU, and what it may do.
#[derive(Clone, Debug)]
pub struct Role {
    /// Index in the scene's processes.
    pub process: usize,
    /// Its priority.
    pub priority: u8,
    /// Its CPU, or any.
    pub cpu: Option<u32>,
    /// What it may do whenever it runs.
    pub menu: Vec<Choice>,
}

/// A world and what may happen in it.
pub struct Scene {
    /// For reports.
    pub name: &'static str,
    /// Processors.
    pub cpus: u32,
    /// The threads; thread slots are given out in this order.
    pub roles: Vec<Role>,
    /// Makes objects and capabilities in a world that has `processes` processes; returns each process's handles.
    pub furnish: fn(&mut World, &[u32]) -> Vec<Vec<Handle>>,
    /// Processes that start again after they died: a new process, endowed by `furnish_again`, a new thread for its role.
    pub restarts: Option<fn(&mut World, u32) -> Vec<Handle>>,
    /// The end of a time slice is an event.
    pub slices: bool,
    /// Interrupt line 1 is an event.
    pub line: bool,
    /// Servers copy from what their callers lent: a copy begins and ends, and the other CPUs go on in between.
    pub copies: bool,
    /// More states than this are a failure of the scene.
    pub limit: usize,
}

/// What the explorer knows of a thread besides the kernel.
#[derive(Clone, Debug, Default)]
struct Actor {
    /// The thread it is now.
    thread: u32,
    /// The call that it is in.
    issued: Option<usize>,
    /// Whom it serves with its built-in reply.
    serving: Option<u32>,
    alive: bool,
}

/// A world with actors.
struct Node {
    world: World,
    actors: Vec<Actor>,
    /// Whom each Reply object keeps.
    kept: Vec<Option<u32>>,
    processes: Vec<u32>,
    handles: Vec<Vec<Handle>>,
    /// Whose memory each CPU walks, in the kernel.
    copying: Vec<Option<u32>>,
}

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Happening {
    /// The running thread of a CPU makes its n-th choice.
    Choose(usize, usize),
    /// The running thread of a CPU repeats its call.
    Repeat(usize),
    /// A CPU's interrupt by another arrives.
    Post(usize),
    /// A time slice ends.
    Slice(usize),
    /// A deadline passes.
    Deadline(usize),
    /// Interrupt line 1.
    Line(usize),
    /// A dead process starts again.
    Restart(usize),
    /// The running thread copies from what its caller lent.
    CopyBegins(usize),
    /// It has copied.
    CopyEnds(usize),
}

/// How much there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: usize,
    /// Steps to the farthest state.
    pub depth: usize,
}

/// Explores a scene to its end.
///
/// # Panics
/// When a rule breaks: with the rule and the shortest way to it.
pub fn explore(scene: &Scene) -> Size {
    match search(scene) {
        Ok(size) => {
            println!("{}: {} states, {} transitions, depth {}", scene.name, size.states, size.transitions, size.depth);
            size
        }
        Err(report) => panic!("{report}"),
    }
}

/// Explores a scene to its end, or to the first broken rule.
///
/// # Errors
/// The rule and the shortest way to it.
pub fn search(scene: &Scene) -> Result<Size, String> {
    let mut first = Node::new(scene);
    let mut seen = HashSet::from([first.fingerprint()]);
    let mut trail: Vec<(u32, Happening)> = vec![(0, Happening::Post(0))];
    let mut level = vec![(first, 0u32)];
    let (mut transitions, mut depth) = (0, 0);
    while !level.is_empty() {
        let mut next = Vec::new();
        for (mut node, number) in level {
            for what in node.happenings(scene) {
                transitions += 1;
                let mut after = node.duplicate();
                if let Err(rule) = after.happen(scene, what) {
                    trail.push((number, what));
                    return Err(report(scene, &trail, &rule));
                }
                if seen.insert(after.fingerprint()) {
                    trail.push((number, what));
                    next.push((after, trail.len() as u32 - 1));
                }
            }
        }
        if seen.len() > scene.limit {
            return Err(format!("{}: more than {} states at depth {depth}", scene.name, scene.limit));
        }
        depth += usize::from(!next.is_empty());
        level = next;
    }
    Ok(Size { states: seen.len(), transitions, depth })
}

fn report(scene: &Scene, trail: &[(u32, Happening)], rule: &str) -> String {
    let mut steps = Vec::new();
    let mut here = trail.len() - 1;
    while here != 0 {
        let (before, what) = trail[here];
        steps.push(what);
        here = before as usize;
    }
    steps.reverse();
    let mut node = Node::new(scene);
    let mut text = format!("{}: {rule}\n", scene.name);
    for what in steps {
        text.push_str(&node.describe(scene, what));
        let result = node.happen(scene, what);
        text.push_str(&node.after(&result));
    }
    text
}

impl Node {
    fn new(scene: &Scene) -> Node {
        let mut world = World::new(scene.cpus);
        let count = scene.roles.iter().map(|r| r.process + 1).max().unwrap_or(0);
        let processes: Vec<u32> = (0..count).map(|_| world.process([0, 0])).collect();
        let actors = scene
            .roles
            .iter()
            .map(|role| Actor {
                thread: world.thread(processes[role.process], role.priority, role.cpu),
                alive: true,
                ..Actor::default()
            })
            .collect();
        let handles = (scene.furnish)(&mut world, &processes);
        // Threads that were handed over at their start.
        world.settle();
        Node { world, actors, kept: vec![None; 2], processes, handles, copying: vec![None; scene.cpus as usize] }
    }

    fn duplicate(&mut self) -> Node {
        Node {
            world: self.world.duplicate(),
            actors: self.actors.clone(),
            kept: self.kept.clone(),
            processes: self.processes.clone(),
            handles: self.handles.clone(),
            copying: self.copying.clone(),
        }
    }

    fn fingerprint(&mut self) -> u128 {
        let mut print = Print(self.world.fingerprint());
        for a in &self.actors {
            let serving = a.serving.map_or(0, |s| u64::from(s) + 1);
            let issued = a.issued.map_or(0, |s| s as u64 + 1);
            print.add(serving | issued << 8 | u64::from(a.alive) << 16 | u64::from(a.thread) << 24);
        }
        for k in self.kept.iter().chain(&self.copying) {
            print.add(k.map_or(0, |k| u64::from(k) + 1));
        }
        for (p, handles) in self.processes.iter().zip(&self.handles) {
            print.add(u64::from(*p));
            for h in handles {
                print.add(u64::from(self.world.cap(*p, *h).is_ok()));
            }
        }
        for n in 0..self.actors.len() {
            let at = self.actors[n].thread;
            if self.actors[n].alive {
                print.add(u64::from(self.world.registers(at).repeat));
            }
        }
        print.0
    }

    /// The actor that a thread is.
    fn actor(&self, thread: u32) -> Option<usize> {
        self.actors.iter().position(|a| a.alive && a.thread == thread)
    }

    fn happenings(&mut self, scene: &Scene) -> Vec<Happening> {
        let mut all = Vec::new();
        let interrupted = self.world.machine.kernel.hw.interrupted.load(Ordering::Acquire);
        for cpu in 0..scene.cpus as usize {
            // Interrupts are off in the kernel.
            if self.copying[cpu].is_some() {
                all.push(Happening::CopyEnds(cpu));
                continue;
            }
            let current = self.world.machine.cpus[cpu].current;
            if let Some(a) = self.actor(current) {
                if scene.copies && self.actors[a].serving.is_some() && self.actors[a].issued.is_none() {
                    all.push(Happening::CopyBegins(cpu));
                }
                if self.world.registers(current).repeat {
                    all.push(Happening::Repeat(cpu));
                } else {
                    all.extend((0..scene.roles[a].menu.len()).map(|n| Happening::Choose(cpu, n)));
                }
                if scene.slices && self.world.machine.cpus[cpu].ready.highest().is_some() {
                    all.push(Happening::Slice(cpu));
                }
            }
            if interrupted >> cpu & 1 == 1 {
                all.push(Happening::Post(cpu));
            }
            if self.deadline_ahead(cpu) {
                all.push(Happening::Deadline(cpu));
            }
        }
        if scene.line && self.copying[0].is_none() && self.world.machine.kernel.hw.open.load(Ordering::Acquire) & 2 != 0
        {
            all.push(Happening::Line(0));
        }
        if scene.restarts.is_some() {
            let dead = |p: u32| {
                let slot = self.world.machine.kernel.processes.slot(p);
                slot.is_none_or(|s| matches!(s.state(), State::Dead))
            };
            all.extend((0..self.processes.len()).filter(|p| dead(self.processes[*p])).map(Happening::Restart));
        }
        all
    }

    /// Is a deadline armed on this CPU for a wait that goes on?
    fn deadline_ahead(&mut self, cpu: usize) -> bool {
        let Machine { kernel, cpus } = &mut self.world.machine;
        kernel.counting_deadline(&cpus[cpu]).is_some()
    }

    fn happen(&mut self, scene: &Scene, what: Happening) -> Result<(), String> {
        match what {
            Happening::Choose(cpu, n) => self.choose(scene, cpu, n)?,
            Happening::Repeat(cpu) => {
                let thread = self.world.machine.cpus[cpu].current;
                let r = self.world.registers(thread);
                self.world.issue(cpu, r.operation, r.argument, r.words);
            }
            Happening::Post(cpu) => self.world.step(cpu, Event::Post),
            Happening::Slice(cpu) => {
                self.world.machine.cpus[cpu].slice_end = 0;
                self.world.step(cpu, Event::Timer);
            }
            Happening::Deadline(cpu) => self.pass_deadline(cpu),
            Happening::Line(cpu) => self.world.step(cpu, Event::Line(1)),
            Happening::Restart(p) => self.restart(scene, p),
            Happening::CopyBegins(cpu) => {
                let Machine { kernel, cpus } = &self.world.machine;
                self.copying[cpu] = kernel.begin_copy(&cpus[cpu]);
            }
            Happening::CopyEnds(cpu) => {
                self.copying[cpu] = None;
                let Machine { kernel, cpus } = &mut self.world.machine;
                kernel.finish_copy(&mut cpus[cpu]);
            }
        }
        self.lenders_wait()?;
        self.observe(scene)?;
        let Machine { kernel, cpus } = &mut self.world.machine;
        kernel.check(cpus).map_err(|b| format!("{} (index {})", b.rule, b.index))
    }

    /// A caller whose memory is walked neither returns nor dies meanwhile.
    fn lenders_wait(&mut self) -> Result<(), String> {
        for (cpu, lender) in self.copying.clone().into_iter().enumerate() {
            let Some(lender) = lender else { continue };
            let by = self.world.machine.cpus[cpu].current;
            if self.world.at(lender) != Location::Served(by) || self.world.wait(lender) != Wait::Call {
                return Err(format!("thread {lender} is {:?} while CPU {cpu} copies from it", self.world.at(lender)));
            }
        }
        Ok(())
    }

    fn pass_deadline(&mut self, cpu: usize) {
        let Machine { kernel, cpus } = &mut self.world.machine;
        if let Some(at) = kernel.counting_deadline(&cpus[cpu]) {
            kernel.hw.now.store(at, Ordering::Relaxed);
        }
        // A slice's end is another event.
        self.world.machine.cpus[cpu].slice_end = u64::MAX;
        self.world.step(cpu, Event::Timer);
    }

    fn choose(&mut self, scene: &Scene, cpu: usize, n: usize) -> Result<(), String> {
        let thread = self.world.machine.cpus[cpu].current;
        let a = self.actor(thread).ok_or("a thread without a role runs")?;
        let role = &scene.roles[a];
        let choice = role.menu[n];
        let argument = choice.on.map_or(0, |h| self.handles[role.process][h].0);
        let words = self.words(a, &choice);
        if choice.operation & flags::DEADLINE != 0 {
            let now = self.world.machine.kernel.hw.now.load(Ordering::Relaxed);
            self.world.set_deadline(thread, now + DEADLINE);
        }
        self.actors[a].issued = Some(n);
        if choice.op() == Op::Receive {
            self.actors[a].serving = None;
        }
        self.world.issue(cpu, choice.operation, argument, words);
        Ok(())
    }

    /// What a message says: a call who calls, an answer who is answered.
    fn words(&self, a: usize, choice: &Choice) -> Words {
        let first = match choice.op() {
            Op::Call => u64::from(self.actors[a].thread),
            Op::ReplyReceive => self.actors[a].serving.map_or(0, |s| ANSWER + u64::from(s)),
            Op::Reply => {
                let whom = match choice.on {
                    None => self.actors[a].serving,
                    Some(_) => self.kept[choice.words[0] as usize],
                };
                whom.map_or(0, |s| ANSWER + u64::from(s))
            }
            _ => choice.words[0],
        };
        [first, choice.words[1], 0, 0, 0, 0, 0, 0]
    }

    /// Looks at every actor whose call has returned.
    fn observe(&mut self, scene: &Scene) -> Result<(), String> {
        for a in 0..self.actors.len() {
            let thread = self.actors[a].thread;
            if !self.actors[a].alive {
                continue;
            }
            let at = self.world.at(thread);
            let process = self.processes[scene.roles[a].process];
            let mine = self.world.machine.kernel.threads.body(thread).is_some_and(|t| t.process == process);
            if at == Location::Free || !mine {
                self.gone(a);
                continue;
            }
            let returned = matches!(at, Location::Cpu(_) | Location::Mail(_)) && self.world.wait(thread) == Wait::None;
            if returned
                && !self.world.registers(thread).repeat
                && let Some(n) = self.actors[a].issued.take()
            {
                self.returned(a, &scene.roles[a].menu[n])?;
            }
        }
        self.compare_cells()
    }

    fn gone(&mut self, a: usize) {
        self.actors[a].alive = false;
        self.actors[a].serving = None;
        self.actors[a].issued = None;
    }

    /// Whom the kernel knows to be in service is whom the server knows of; the kernel may know of a cancellation before.
    fn compare_cells(&self) -> Result<(), String> {
        for a in self.actors.iter().filter(|a| a.alive) {
            let caller = self.world.machine.kernel.threads.slot(a.thread).and_then(|s| s.serving());
            if caller.is_some() && a.issued.is_none() && caller != a.serving {
                return Err(format!("thread {} serves {caller:?}, but received from {:?}", a.thread, a.serving));
            }
        }
        Ok(())
    }

    fn returned(&mut self, a: usize, choice: &Choice) -> Result<(), String> {
        let thread = self.actors[a].thread;
        let outcome = self.world.outcome(thread);
        if let Err(error) = outcome.status
            && outcome.words != [0; 8]
        {
            return Err(format!("thread {thread}: words of a failed call ({error:?}) are not zero"));
        }
        match choice.op() {
            Op::Call => self.call_returned(thread, outcome.status, outcome.words[0]),
            Op::Receive | Op::ReplyReceive => self.received(a, outcome.status, outcome.words[0]),
            Op::Reply => self.replied(a, choice, outcome.status),
            Op::Keep => {
                if outcome.status.is_ok() {
                    self.kept[choice.words[0] as usize] = self.actors[a].serving.take();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn call_returned(&self, thread: u32, status: Result<u64, Error>, word: u64) -> Result<(), String> {
        match status {
            Ok(_) if word != ANSWER + u64::from(thread) => {
                Err(format!("thread {thread} got an answer that is not its own: {word}"))
            }
            Err(Error::BadCall | Error::Vacant | Error::Occupied) => Err(format!("a call can't fail with {status:?}")),
            _ => Ok(()),
        }
    }

    fn received(&mut self, a: usize, status: Result<u64, Error>, word: u64) -> Result<(), String> {
        self.actors[a].serving = None;
        if let Ok(s) = status
            && Arrival(s).kind() == Arrived::Message
        {
            self.actors[a].serving = Some(word as u32);
        }
        Ok(())
    }

    fn replied(&mut self, a: usize, choice: &Choice, status: Result<u64, Error>) -> Result<(), String> {
        let whom = match choice.on {
            None => self.actors[a].serving.take(),
            Some(_) => self.kept[choice.words[0] as usize].take(),
        };
        if status.is_ok() && whom.is_none() {
            return Err("an answer went to nobody".to_owned());
        }
        Ok(())
    }

    /// A new process in the place of a dead one, with a new thread for each of its roles.
    fn restart(&mut self, scene: &Scene, p: usize) {
        let Some(furnish) = scene.restarts else { return };
        let process = self.world.process([0, 0]);
        self.processes[p] = process;
        self.handles[p] = furnish(&mut self.world, process);
        for (role, actor) in scene.roles.iter().zip(&mut self.actors).filter(|(r, _)| r.process == p) {
            actor.thread = self.world.thread(process, role.priority, role.cpu);
            actor.alive = true;
        }
    }

    fn describe(&mut self, scene: &Scene, what: Happening) -> String {
        if let Happening::Choose(cpu, n) = what {
            let thread = self.world.machine.cpus[cpu].current;
            if let Some(a) = self.actor(thread) {
                let c = scene.roles[a].menu[n];
                let flag = if c.operation & flags::DEADLINE != 0 { " with deadline" } else { "" };
                return format!("  cpu {cpu} thread {thread}: {:?}{flag} on handle {:?} {:?}", c.op(), c.on, c.words);
            }
        }
        format!("  {what:?}")
    }

    fn after(&mut self, result: &Result<(), String>) -> String {
        let running: Vec<_> = self.world.machine.cpus.iter().map(|c| c.current).collect();
        let places: Vec<_> = self.actors.iter().map(|a| (a.thread, self.world.at(a.thread))).collect();
        let name = |t: u32| if t == NONE { "-".to_owned() } else { t.to_string() };
        let running: Vec<_> = running.into_iter().map(name).collect();
        format!("\n      runs {} | {places:?}{}\n", running.join(" "), if result.is_err() { " BROKEN" } else { "" })
    }
}

/// Handles of the usual furniture: one endpoint with all rights for everybody, as handle 0.
pub fn endpoint_for_all(world: &mut World, processes: &[u32], count: usize) -> Vec<Vec<Handle>> {
    let maker = processes[0];
    let mut handles = vec![Vec::new(); processes.len()];
    for _ in 0..count {
        let first = world.make_endpoint(maker);
        let object = world.object(maker, first);
        handles[0].push(first);
        for (p, list) in processes.iter().zip(&mut handles).skip(1) {
            list.push(world.endow(*p, all(sal_kernel_core::table::Kind::Endpoint, object)));
        }
    }
    handles
}
