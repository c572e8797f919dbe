//! Vector registers are a thread's own: they hold what it put there, whatever its system calls do, whoever runs in between, whichever server dies.
#![allow(unsafe_code)]

use crate::{Check, Verdict};
use std::arch::asm;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const CHECKS: &[Check] = &[
    ("registers/yield", || threads(|n| turns(n, 1000, 1, &YIELD))),
    ("registers/preempted", || threads(|n| turns(n, 40, 1_000_000, &YIELD))),
    ("registers/sleep", || {
        threads(|n| turns(n, 50, 1, &Call { number: NANOSLEEP, arguments: [NAP.as_ptr() as u64, 0, 0] }))
    }),
    ("registers/pipe", pipe),
];

const THREADS: u64 = 6;
const WRITE: u64 = 1;
const SCHED_YIELD: u64 = 24;
const NANOSLEEP: u64 = 35;
/// Seconds and nanoseconds.
static NAP: [u64; 2] = [0, 200_000];

/// A system call.
struct Call {
    number: u64,
    arguments: [u64; 3],
}

const YIELD: Call = Call { number: SCHED_YIELD, arguments: [0; 3] };

/// Registers `ymm0` to `ymm15`; where the processor has no AVX, the lower halves are `xmm0` to `xmm15` and the upper ones stay.
type Vectors = [[u64; 4]; 16];

/// Loads all vector registers and MXCSR, counts `spin` down, makes the system call, and stores what the registers hold then; the call's result.
macro_rules! round {
    ($move:literal $register:literal $vectors:ident $mxcsr:ident $spin:ident $call:ident $($n:literal)*) => {
        // SAFETY: it touches the two values, and the callers' system calls none of this program's memory but what they name.
        unsafe {
            let result: i64;
            asm!(
                "ldmxcsr [r14]",
                $(concat!($move, " ", $register, $n, ", [r13 + 32*", $n, "]"),)*
                "2: dec r12",
                "jnz 2b",
                "syscall",
                $(concat!($move, " [r13 + 32*", $n, "], ", $register, $n),)*
                "stmxcsr [r14]",
                in("r13") &raw mut *$vectors,
                in("r14") &raw mut *$mxcsr,
                inout("r12") $spin => _,
                inout("rax") $call.number => result,
                in("rdi") $call.arguments[0],
                in("rsi") $call.arguments[1],
                in("rdx") $call.arguments[2],
                clobber_abi("sysv64"),
            );
            result
        }
    };
}

#[inline(never)]
fn round(vectors: &mut Vectors, mxcsr: &mut u32, spin: u64, call: &Call) -> i64 {
    if std::is_x86_feature_detected!("avx") {
        round!("vmovdqu" "ymm" vectors mxcsr spin call 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    } else {
        round!("movdqu" "xmm" vectors mxcsr spin call 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    }
}

/// What thread `n` has in its registers at a turn: no two of its words, turns or neighbours look alike.
fn pattern(n: u64, turn: u64) -> Vectors {
    let word = |register: usize, lane: usize| {
        (n << 48 | turn << 16 | (register as u64) << 8 | lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    std::array::from_fn(|register| std::array::from_fn(|lane| word(register, lane)))
}

/// All exceptions masked, and the rounding that belongs to thread `n`.
fn rounding(n: u64) -> u32 {
    0x1f80 | (n as u32 & 3) << 13
}

/// One turn of a thread: what the call said, if the registers are as they were.
fn turn(n: u64, turn: u64, spin: u64, call: &Call) -> Result<u64, String> {
    let (wanted, mut vectors, mut mxcsr) = (pattern(n, turn), pattern(n, turn), rounding(n));
    let result = round(&mut vectors, &mut mxcsr, spin, call);
    if mxcsr != rounding(n) {
        return Err(format!("thread {n} turn {turn}: MXCSR {mxcsr:#x}, not {:#x}", rounding(n)));
    }
    match (0..16).find(|register| vectors[*register] != wanted[*register]) {
        Some(r) => Err(format!("thread {n} turn {turn}: register {r} {:x?}, not {:x?}", vectors[r], wanted[r])),
        None => u64::try_from(result).map_err(|_| format!("thread {n} turn {turn}: the call failed with {result}")),
    }
}

fn turns(n: u64, count: u64, spin: u64, call: &Call) -> Verdict {
    (0..count).try_for_each(|number| turn(n, number, spin, call).map(|_| ()))
}

/// Runs `body` on several threads at once.
fn threads(body: impl Fn(u64) -> Verdict + Sync) -> Verdict {
    thread::scope(|scope| {
        let body = &body;
        let all = (0..THREADS).map(|n| scope.spawn(move || body(n))).collect::<Vec<_>>();
        all.into_iter().try_for_each(|thread| thread.join().map_err(|_| "it panicked")?)
    })
}

/// Writers that block: the reader is slow.
fn pipe() -> Verdict {
    let (mut reader, writer) = std::io::pipe().map_err(crate::io)?;
    let drain = thread::spawn(move || {
        let mut buffer = [0; 300];
        while reader.read(&mut buffer).is_ok_and(|count| count > 0) {
            thread::sleep(Duration::from_micros(100));
        }
    });
    let block = [7u8; 4096];
    let call =
        Call { number: WRITE, arguments: [writer.as_raw_fd() as u64, block.as_ptr() as u64, block.len() as u64] };
    let verdict = threads(|n| turns(n, 10, 1, &call));
    drop(writer);
    drain.join().map_err(|_| "the reader panicked")?;
    verdict
}

/// Writes lines to standard output while `/tmp/going` is there, with full registers; says how many bytes on standard error. For the tests that kill
/// the servers on the way.
pub(crate) fn write_lines() -> Verdict {
    let going = AtomicBool::new(true);
    let line = b"0123456789\n";
    let call = Call { number: WRITE, arguments: [1, line.as_ptr() as u64, line.len() as u64] };
    thread::scope(|scope| {
        scope.spawn(|| {
            while Path::new("/tmp/going").exists() {
                thread::sleep(Duration::from_millis(20));
            }
            going.store(false, Ordering::Relaxed);
        });
        threads(|n| {
            let mut bytes = 0;
            for number in (0..).take_while(|_| going.load(Ordering::Relaxed)) {
                bytes += turn(n, number, 1, &call)?;
            }
            writeln!(std::io::stderr(), "bytes {bytes}").map_err(crate::io)
        })
    })
}
