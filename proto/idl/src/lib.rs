//! One definition per interface: [`interface!`] makes from it the operation numbers, the client stub, the server trait with its dispatcher, and
//! the documentation text.
//!
//! What must always hold here: the dispatcher never panics and never lets a malformed message through (unknown operation, wrong number of
//! loans or capabilities, a word out of its type's range, a set bit in an unused word): the server's methods see typed arguments only. Nothing
//! here calls the kernel: clients are generic over a [`Transport`], servers reach loans through [`Attachments`], so both run on the host.
//!
//! # On the wire
//! Request: word 0 is the [`Header`], words 1.. the arguments in their order, the rest zero; loans: first those that are read, then those
//! that are written; capabilities in their order. Reply: word 0 is the [`Status`], words 1.. the results, or with [`Status::Absent`] the
//! loan's number and the offset of the missing byte.
#![no_std]
#![forbid(unsafe_code)]

pub mod client;
pub mod header;
mod interface;
pub mod loopback;
pub mod server;
pub mod word;

pub use client::{Failure, Lend, ReadLend, Request, Transport, TransportError, WriteLend};
pub use header::{Header, Status};
pub use sal_abi as abi;
pub use server::{Attachments, Call, Give, LoanError, Mode, Outcome, ReadLoan, Response, Stop, WriteLoan};
pub use word::Word;

/// An operation, for documentation and for tests that go through all of them.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Argument words.
    pub arguments: &'static [&'static str],
    /// Buffers lent for the server to read.
    pub reads: &'static [&'static str],
    /// Buffers lent for the server to write.
    pub writes: &'static [&'static str],
    /// Capabilities given to the server.
    pub gives: &'static [&'static str],
    /// Result words.
    pub returns: &'static [&'static str],
    /// Capabilities that come back.
    pub takes: &'static [&'static str],
}
