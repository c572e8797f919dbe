//! Kills from outside the machine: QEMU's debug server stops it at a random instruction of the victim, and the victim goes on where it
//! can't: at address 0, at one that is none, in the kernel, in its own stack.
//!
//! Nothing in the machine helps. The victim is known by its code: at a system call from the native window, the page that the call returns
//! to is compared with the pages of the victim's program in the boot image, which gives the base of this incarnation. Then breakpoints
//! stand at random instructions of the program, few or many; the first that the victim comes to is where it dies: in a request, a commit,
//! a heartbeat, or, before its first wait for a message, an adoption. No request meets two deaths in a row, or it would be poison, rightly:
//! after it has begun to wait an incarnation is left alone for some messages, among which is what its predecessor left. Nothing is stepped: QEMU translates all code anew when stepping
//! begins and ends, and services that get slower by that much look hung.

use super::pipeline::{self, Killer};
use super::{Lab, Verdict};
use crate::bundle::Bundle;
use crate::cli::Run;
use crate::elf;
use crate::gdb::Debugger;
use crate::test::cases::{Case, text};
use crate::test::linux::options;
use crate::test::services::{SYSTEM, in_test_system};
use anyhow::{Context, Result, bail, ensure};
use iced_x86::{Decoder, DecoderOptions};
use sal_abi::x86_64::{NATIVE_END, NATIVE_START};
use sal_abi::{Op, Rights};
use sal_bootimage::{Image, PAGE, Program};
use std::collections::{BTreeSet, HashMap};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::Duration;

/// Kills in the ordinary run, and in the long one.
const KILLS: u32 = 4;
const MANY: u32 = 20;

/// Bytes of standard input. Few: while the machine is stopped the host sends again what is not acknowledged, and each byte of that is two
/// system calls of the driver's to look at.
const INPUT: usize = 600;

/// Seconds that a machine may take, and how many more per kill.
const LIMIT: u64 = 120;
const LIMIT_PER_KILL: u64 = 20;

/// So many breakpoints are set at least, and how many times that number may be doubled. The programs have some ten thousand instructions,
/// an idle one uses a hundred; QEMU looks through all breakpoints at every jump, so more of them make the machine slow.
const FEWEST: usize = 16;
const DOUBLED: u64 = 6;

/// How often other instructions are chosen before the victim counts as one that does not run.
const ROUNDS: u32 = 100;

/// How long the victim may take to come to one of them; then others are chosen.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the machine runs to get off a breakpoint.
const BREATH: Duration = Duration::from_millis(1);

/// Most milliseconds between two kills. A service that made no progress (some 60 ms) between ten deaths is given up: half of the pauses
/// are longer than that.
const PAUSE_MS: u64 = 150;

/// The kernel's entry for system calls, and the length of its first instruction (`swapgs`).
const GATE: &str = "trap_syscall";
const GATE_LENGTH: u64 = 3;

/// Messages that an incarnation gets before it may die: more than there are clients.
const MESSAGES: u32 = 8;

/// One death in so many is to be one in an adoption, if the victim is met there.
const ADOPTIONS: u64 = 3;

/// Breakpoints for an adoption: it is short.
const IN_ADOPTION: usize = 512;

/// System calls that are looked at without a pause, and at most.
const CALLS_AT_ONCE: u32 = 200;
const CALLS_MOST: u32 = 20_000;

/// How often it is looked whether a Linux program runs already.
const GLANCE: Duration = Duration::from_millis(20);

/// QEMU's numbers of registers.
const RAX: u32 = 0;
const RCX: u32 = 2;
const RSP: u32 = 7;
const RIP: u32 = 16;
const CS: u32 = 18;

pub(super) const CASES: &[Case] = &[
    Case { name: "kill/outside-console", rows: &["X5", "Q8"], exists, run: |lab| outside(lab, "console") },
    Case { name: "kill/outside-uart", rows: &["X5", "Q8"], exists, run: |lab| outside(lab, "uart") },
    Case { name: "kill/outside-names", rows: &["X5", "Q8"], exists, run: |lab| outside(lab, "names") },
    Case { name: "kill/outside-supervisor", rows: &["X5", "Q8"], exists, run: |lab| outside(lab, "supervisor") },
];

fn exists(lab: &Lab) -> bool {
    lab.has_system(SYSTEM)
}

fn outside(lab: &Lab, victim: &str) -> Verdict {
    let count = if lab.long { MANY } else { KILLS };
    let seed = std::process::id();
    let places = Mutex::new(Vec::new());
    let command = pipeline::command(victim, count, seed, Killer::Outside);
    let usual = options(None, &[], LIMIT + LIMIT_PER_KILL * u64::from(count));
    // Instructions are its clock: so translating code anew, and most of the stops, take no time there.
    let options = in_test_system(Run { command, icount: true, ..usual });
    let finished = lab.debug(&options, pipeline::input(INPUT), |debugger, bundle| {
        let image = std::fs::read(&bundle.image)?;
        let mut hunt = Hunt::new(debugger, &image, victim, bundle)?;
        let mut random = Random(u64::from(seed));
        hunt.wait_for_program()?;
        for _ in 0..count {
            let place = hunt.kill(&mut random)?;
            places.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(place);
        }
        hunt.debugger.resume()
    });
    let places = places.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let landed = || format!("seed {seed}, killed at\n  {}\n", places.join("\n  "));
    let finished = finished.map_err(|error| landed() + &text(error))?;
    let told = pipeline::judge(&finished, INPUT).map_err(|why| landed() + &why)?;
    let done = told.count("restarts");
    if done != count {
        return Err(format!("{}{done} of {count} kills\n{:?}\n{}", landed(), told.stats, finished.console()));
    }
    let mut functions = places.iter().filter_map(|place| place.split('+').next()).collect::<Vec<_>>();
    functions.sort_unstable();
    functions.dedup();
    Ok(Some(format!("{} in {} functions", told.figures(done), functions.len())))
}

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % limit
    }
}

/// A machine in which one program's processes are looked for.
struct Hunt<'a> {
    debugger: Debugger<UnixStream>,
    image: Image<'a>,
    program: String,
    /// Executable pages of the program: offset in its image, contents.
    pages: Vec<(u64, Vec<u8>)>,
    /// Its instructions: offsets in its image.
    instructions: Vec<u64>,
    gate: u64,
    /// Pages of code seen in the machine, and the victim's base if it is its code.
    seen: HashMap<u64, Option<u64>>,
}

impl<'a> Hunt<'a> {
    fn new(debugger: Debugger<UnixStream>, image: &'a [u8], victim: &str, bundle: &Bundle) -> Result<Hunt<'a>> {
        let image = Image::open(image)?;
        let (_, service) = bundle.manifest.find(victim).context("the manifest has no such service")?;
        let program = image.program(&service.program)?;
        let code = program.segments().filter(|segment| segment.rights.has(Rights::EXECUTE));
        let pages = code.flat_map(|segment| {
            let pages = segment.bytes.chunks(PAGE as usize).enumerate();
            pages.map(move |(i, bytes)| {
                let mut page = bytes.to_vec();
                page.resize(PAGE as usize, 0);
                (segment.address + i as u64 * PAGE, page)
            })
        });
        let functions = elf::symbols(&std::fs::read(&bundle.kernel)?)?;
        let gate = functions.into_iter().find(|(_, name)| name == GATE);
        let (gate, _) = gate.with_context(|| format!("the kernel has no function {GATE}"))?;
        Ok(Hunt {
            debugger,
            instructions: instructions(&program),
            pages: pages.collect(),
            program: service.program.clone(),
            gate,
            seen: HashMap::new(),
            image,
        })
    }

    /// Lets the machine run until a Linux program does.
    fn wait_for_program(&mut self) -> Result<()> {
        loop {
            self.run_for(GLANCE)?;
            if self.in_user_mode()? && self.debugger.register(RIP)? < NATIVE_START {
                return Ok(());
            }
        }
    }

    fn in_user_mode(&mut self) -> Result<bool> {
        Ok(self.debugger.register(CS)? & 3 == 3)
    }

    /// Lets the machine run for so long.
    fn run_for(&mut self, time: Duration) -> Result<()> {
        self.debugger.resume()?;
        std::thread::sleep(time);
        self.debugger.stop().map(drop)
    }

    /// Lets the machine run to a system call of the victim's; its base. What arrives from the host meanwhile makes more and more calls of
    /// the driver: after some of these the machine runs freely for a moment.
    fn until_call(&mut self, random: &mut Random) -> Result<u64> {
        for call in 1..=CALLS_MOST {
            if call % CALLS_AT_ONCE == 0 {
                self.run_for(Duration::from_millis(5 + random.below(30)))?;
            }
            self.run_to(self.gate)?;
            if let Some(base) = self.base_of_caller()? {
                return Ok(base);
            }
            // Past the breakpoint by another one.
            self.run_to(self.gate + GATE_LENGTH)?;
        }
        bail!("no system call of the victim's among {CALLS_MOST}")
    }

    /// Lets the machine run to that instruction.
    fn run_to(&mut self, address: u64) -> Result<()> {
        self.run_to_any(&BTreeSet::from([address])).map(drop)
    }

    /// The victim's base, if its code is at this address.
    fn base(&mut self, address: u64) -> Result<Option<u64>> {
        if !(NATIVE_START..NATIVE_END).contains(&address) {
            return Ok(None);
        }
        let page = address - address % PAGE;
        if let Some(known) = self.seen.get(&page) {
            return Ok(*known);
        }
        // The server's packets hold half a page.
        let half = PAGE as usize / 2;
        let mut bytes = self.debugger.read(page, half)?;
        bytes.extend(self.debugger.read(page + PAGE / 2, half)?);
        let found = self.pages.iter().find(|(_, code)| *code == bytes).map(|(offset, _)| page - offset);
        self.seen.insert(page, found);
        Ok(found)
    }

    /// Does the machine stand where a program begins to wait for a message?
    fn waits(&mut self) -> Result<bool> {
        let operation = self.debugger.register(RAX)? & 0xff;
        Ok([Op::Receive, Op::ReplyReceive].iter().any(|op| *op as u64 == operation))
    }

    /// Kills the victim, in its adoption or after a random pause; the function in which it was.
    fn kill(&mut self, random: &mut Random) -> Result<String> {
        let early = if random.below(ADOPTIONS) == 0 { self.ambush_in_adoption(random)? } else { None };
        let (base, rip) = match early {
            Some(met) => met,
            None => self.ambush_at_work(random)?,
        };
        ensure!(self.in_user_mode()?, "the victim is not in user mode at {rip:#x}");
        let nowhere = match random.below(4) {
            0 => 0,
            1 => 1 << 63,
            2 => self.gate,
            _ => self.debugger.register(RSP)?,
        };
        self.debugger.set_register(RIP, nowhere)?;
        let offset = rip - base;
        let symbols = self.image.symbols()?;
        let (function, within) = symbols.find(&self.program, offset).unwrap_or(("?", offset));
        Ok(format!("{function}+{within:#x}, went on at {nowhere:#x}"))
    }

    /// Meets the victim before it first waits for a message, if its start can still be seen: its base, and where it is.
    fn ambush_in_adoption(&mut self, random: &mut Random) -> Result<Option<(u64, u64)>> {
        let base = self.until_call(random)?;
        let chosen = self.choose(base, IN_ADOPTION, random);
        for _ in 0..CALLS_AT_ONCE {
            if self.waits()? && self.base_of_caller()? == Some(base) {
                return Ok(None);
            }
            self.run_to(self.gate + GATE_LENGTH)?;
            let places = chosen.iter().copied().chain([self.gate]).collect::<BTreeSet<_>>();
            let rip = self.run_to_any(&places)?;
            if chosen.contains(&rip) {
                return Ok(Some((base, rip)));
            }
        }
        Ok(None)
    }

    fn base_of_caller(&mut self) -> Result<Option<u64>> {
        let caller = self.debugger.register(RCX)?;
        self.base(caller)
    }

    /// Lets the machine run to one of these instructions; which one.
    fn run_to_any(&mut self, places: &BTreeSet<u64>) -> Result<u64> {
        let met = self.meet(places, |debugger| debugger.resume_until_stop().map(Some))?;
        met.context("the machine does not stop")
    }

    /// Lets the machine run to one of these instructions, for [`PATIENCE`] at most; which one.
    fn run_until_any(&mut self, places: &BTreeSet<u64>) -> Result<Option<u64>> {
        self.meet(places, |debugger| debugger.resume_for(PATIENCE))
    }

    /// Sets breakpoints at these instructions while the machine runs; at which it stopped, if it did by itself.
    fn meet(
        &mut self,
        places: &BTreeSet<u64>,
        run: impl FnOnce(&mut Debugger<UnixStream>) -> Result<Option<String>>,
    ) -> Result<Option<u64>> {
        places.iter().try_for_each(|address| self.debugger.set_breakpoint(*address))?;
        let stopped = run(&mut self.debugger)?;
        places.iter().try_for_each(|address| self.debugger.remove_breakpoint(*address))?;
        let Some(stopped) = stopped else { return Ok(None) };
        let rip = self.debugger.register(RIP)?;
        ensure!(places.contains(&rip), "the machine stopped at {rip:#x}: {stopped}");
        Ok(Some(rip))
    }

    /// Meets the victim after a random pause and some messages.
    fn ambush_at_work(&mut self, random: &mut Random) -> Result<(u64, u64)> {
        self.run_for(Duration::from_millis(random.below(PAUSE_MS)))?;
        let mut base = self.until_call(random)?;
        while !self.waits()? {
            self.run_to(self.gate + GATE_LENGTH)?;
            base = self.until_call(random)?;
        }
        let waits = BTreeSet::from([self.debugger.register(RCX)?]);
        for _ in 0..MESSAGES {
            // It may wait in another place; it has had time for many messages then.
            if self.run_until_any(&waits)?.is_none() {
                break;
            }
            self.run_for(BREATH)?;
        }
        Ok((base, self.ambush(base, random)?))
    }

    /// Instructions of the victim's chosen at random.
    fn choose(&self, base: u64, count: usize, random: &mut Random) -> BTreeSet<u64> {
        let choose = |_| self.instructions.get(random.below(self.instructions.len() as u64) as usize);
        (0..count).filter_map(choose).map(|offset| base + offset).collect()
    }

    /// Lets the machine run until the victim comes to one of some instructions chosen at random; which one.
    fn ambush(&mut self, base: u64, random: &mut Random) -> Result<u64> {
        for _ in 0..ROUNDS {
            let count = FEWEST << random.below(DOUBLED);
            let chosen = self.choose(base, count, random);
            if let Some(rip) = self.run_until_any(&chosen)? {
                return Ok(rip);
            }
        }
        bail!("the victim came to none of the instructions chosen in {ROUNDS} rounds")
    }
}

/// Where the instructions of a program's code start. Between functions lies padding, which is code too.
fn instructions(program: &Program<'_>) -> Vec<u64> {
    let code = program.segments().filter(|segment| segment.rights.has(Rights::EXECUTE));
    let decoded = code.flat_map(|segment| {
        let decoder = Decoder::with_ip(64, segment.bytes, segment.address, DecoderOptions::NONE);
        decoder.into_iter().filter(|instruction| !instruction.is_invalid()).map(|instruction| instruction.ip())
    });
    decoded.collect()
}
