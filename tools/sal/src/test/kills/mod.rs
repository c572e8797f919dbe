//! Services die in the middle of a pipeline, and nobody notices: not a byte of what goes through the console is lost or doubled.
//!
//! The machine's script keeps two things going: numbers in order through a pipe to standard output, and standard input into a digest. It
//! ends when the kills are done, whether somebody in the machine ordered them ([`order`]) or they came from outside ([`outside`]); what
//! came out must be exactly the numbers up to the last one, and the digest that of the input. The supervisor's own counts say that all kills
//! happened, where they landed, and how long the callers waited.

mod order;
mod outside;
mod pipeline;
mod registers;
mod still;

use super::Lab;
use super::cases::Case;
use super::lab::Finished;
use super::linux::SYSTEM;

/// All of them.
pub(super) fn cases() -> impl Iterator<Item = &'static Case> {
    order::CASES.iter().chain(outside::CASES).chain(registers::CASES).chain(still::CASES)
}

fn exists(lab: &Lab) -> bool {
    lab.has_system(SYSTEM)
}

type Verdict = Result<Option<String>, String>;
