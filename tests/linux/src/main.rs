//! Uses what Rust's standard library has of Linux, and says for each piece whether it worked: `check NAME ok`, or `check NAME FAILED why`.
//! The last line is `all N`, with the number of checks. It runs on any Linux; the tests run it in the machine, linked statically.

mod files;
mod processes;
mod registers;
mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// What a check says if it fails.
pub(crate) type Verdict = Result<(), String>;

/// A check and its name.
pub(crate) type Check = (&'static str, fn() -> Verdict);

/// Fails with the two values if they differ.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(have: T, want: T) -> Verdict {
    (have == want).then_some(()).ok_or_else(|| format!("{have:?}, not {want:?}"))
}

/// An I/O error as a reason.
pub(crate) fn io(error: std::io::Error) -> String {
    format!("{error}")
}

fn main() -> ExitCode {
    if let Some(role) = std::env::args().nth(1) {
        return processes::play(&role);
    }
    // A failed check tells its reason by itself.
    std::panic::set_hook(Box::new(|_| ()));
    let all = [threads::CHECKS, registers::CHECKS, files::CHECKS, processes::CHECKS].concat();
    let mut failed = 0;
    for (name, check) in &all {
        let verdict = catch_unwind(AssertUnwindSafe(check));
        match verdict.unwrap_or_else(|_| Err("it panicked".into())) {
            Ok(()) => println!("check {name} ok"),
            Err(why) => {
                failed += 1;
                println!("check {name} FAILED {why}");
            }
        }
    }
    println!("all {}", all.len());
    ExitCode::from(u8::from(failed > 0))
}
