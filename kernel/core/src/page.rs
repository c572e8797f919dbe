//! The message page, through the machine's words: user space may write it at any time, so every field is read once and checked.

use crate::hw::Hardware;
use crate::thread::{Thread, Wait};
use core::mem::offset_of;
use sal_abi::message::{CAPS, LOANS};
use sal_abi::op::flags;
use sal_abi::{CapArg, Error, Handle, Loan, MessagePage, Rights};

const fn word(offset: usize) -> usize {
    offset / 8
}

/// The deadline (absolute nanoseconds).
pub(crate) fn deadline<H: Hardware>(hw: &H, page: u32) -> u64 {
    hw.read_word(page, word(offset_of!(MessagePage, deadline)))
}

/// Where a refused guest access goes on, or 0.
pub(crate) fn fixup<H: Hardware>(hw: &H, page: u32) -> u64 {
    hw.read_word(page, word(offset_of!(MessagePage, fixup)))
}

/// Tells the receiver how long loan `n` is.
pub(crate) fn set_lent<H: Hardware>(hw: &H, page: u32, n: usize, length: u64) {
    hw.write_word(page, word(offset_of!(MessagePage, lent)) + n, length);
}

/// Tells the receiver which handle it got as number `n`.
pub(crate) fn set_received<H: Hardware>(hw: &H, page: u32, n: usize, handle: Handle) {
    hw.write_word(page, word(offset_of!(MessagePage, received)) + n, handle.0);
}

fn count(operation: u64, shift: u32) -> u8 {
    (operation >> shift & flags::COUNT_MASK) as u8
}

/// Reads what the flags announce into the thread; changes nothing if something is wrong. `may_send` says whether a capability may be passed on.
///
/// # Errors
/// `BadCall` for a reserved flag; `BadArgument` for a count over four, or loans where nothing is called; `NoRight` for a capability that may
/// not be passed on.
#[cold]
pub(crate) fn prepare<H: Hardware>(
    hw: &H,
    t: &mut Thread<H::Frame>,
    (operation, wait): (u64, Wait),
    may_send: impl Fn(Handle) -> bool,
) -> Result<(), Error> {
    if operation & !flags::VALID != 0 {
        return Err(Error::BadCall);
    }
    let (loans, caps) = (count(operation, flags::LOANS_SHIFT), count(operation, flags::CAPS_SHIFT));
    let accept = count(operation, flags::ACCEPT_SHIFT);
    if loans as usize > LOANS || caps as usize > CAPS || accept as usize > CAPS {
        return Err(Error::BadArgument);
    }
    if loans != 0 && wait != Wait::Call {
        return Err(Error::BadArgument);
    }
    let (lent, sent) = (read_loans(hw, t.page, loans)?, read_caps(hw, t.page, caps));
    if !sent.iter().take(caps as usize).all(|cap| may_send(cap.handle)) {
        return Err(Error::NoRight);
    }
    (t.loans, t.caps) = (lent, sent);
    (t.loan_count, t.cap_count, t.accept) = (loans, caps, accept);
    Ok(())
}

fn read_loans<H: Hardware>(hw: &H, page: u32, count: u8) -> Result<[Loan; LOANS], Error> {
    let mut loans = [Loan::default(); LOANS];
    for (n, loan) in loans.iter_mut().take(count as usize).enumerate() {
        let base = word(offset_of!(MessagePage, loans)) + n * word(size_of::<Loan>());
        loan.address = hw.read_word(page, base);
        loan.length = hw.read_word(page, base + 1);
        loan.rights = hw.read_word(page, base + 2) as u32 & Rights::READ.or(Rights::WRITE).0;
        loan.address.checked_add(loan.length).ok_or(Error::BadArgument)?;
    }
    Ok(loans)
}

fn read_caps<H: Hardware>(hw: &H, page: u32, count: u8) -> [CapArg; CAPS] {
    let mut caps = [CapArg::default(); CAPS];
    for (n, cap) in caps.iter_mut().take(count as usize).enumerate() {
        let base = word(offset_of!(MessagePage, send)) + n * word(size_of::<CapArg>());
        cap.handle = Handle(hw.read_word(page, base));
        let second = hw.read_word(page, base + 1);
        (cap.rights, cap.moved) = (second as u32, (second >> 32) as u32);
    }
    caps
}
