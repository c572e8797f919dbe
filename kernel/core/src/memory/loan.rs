//! Copies from and to the buffers that a caller lent.
//!
//! What must always hold: the caller is held in its cell while its memory is walked, so it can neither end its call nor die meanwhile;
//! no page of the caller's is brought in (a missing one ends the copy: `Absent`); no lock is taken for pages that are present.

use super::MemoryHardware;
use super::fault::Place;
use crate::cell::{Cell, Held};
use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::object::{After, Args};
use sal_abi::x86_64::GUEST_END;
use sal_abi::{Error, Loan, PAGE, Rights};
use sal_kernel_mem::{Access, Frame, Machine, Ram, walk};

/// Most bytes that one call copies.
const COPY: u64 = 16 * PAGE;

impl<H: MemoryHardware> Kernel<H> {
    /// `LoanRead` (`READ`: from the client) and `LoanWrite` (`WRITE`: to the client).
    pub(super) fn loan_copy(&self, cpu: &mut Cpu<H>, args: &Args, rights: Rights) -> Result<After, Error> {
        let cell = self.reply_cell(cpu, args)?;
        let mut held = cell.hold().ok_or(Error::LoanEnded)?;
        let copied = self.copy_held(cpu, args, &mut held, rights);
        self.end_copy(cpu, cell, held);
        copied.map(After::status)
    }

    /// The cell that the call names: the built-in one, or a Reply object's.
    fn reply_cell(&self, cpu: &Cpu<H>, args: &Args) -> Result<&Cell, Error> {
        if args.first == 0 {
            return Ok(&self.threads.slot(cpu.current).ok_or(Error::BadCall)?.cell);
        }
        Ok(&self.reply_slot(args.process, args.handle())?.1.cell)
    }

    fn copy_held(&self, cpu: &mut Cpu<H>, args: &Args, held: &mut Held, rights: Rights) -> Result<u64, Error> {
        let [n, offset, own, length, ..] = args.words;
        let t = self.threads.held(held).ok_or(Error::LoanEnded)?;
        let count = t.loan_count as usize;
        let loan = *t.loans.get(n as usize).filter(|_| (n as usize) < count).ok_or(Error::OutOfLoan)?;
        let root = Frame(t.root as u32);
        check(&loan, offset, length, rights)?;
        let (client, length) = (loan.address + offset, length.min(COPY));
        let mut done = 0;
        while done < length {
            match self.copy_piece(cpu, args, (root, client + done), own.wrapping_add(done), length - done, rights) {
                Ok(bytes) => done += bytes,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Copies within one page on either side.
    fn copy_piece(
        &self,
        cpu: &mut Cpu<H>,
        args: &Args,
        (root, client): (Frame, u64),
        own: u64,
        most: u64,
        rights: Rights,
    ) -> Result<u64, Error> {
        let (theirs, mine) = match rights {
            Rights::READ => (Access::Read, Access::Write),
            _ => (Access::Write, Access::Read),
        };
        if own < GUEST_END {
            return Err(Error::BadAddress);
        }
        let far = self.translate(root, client, theirs).ok_or(Error::Absent)?;
        let own_root = Frame(self.current(cpu)?.root as u32);
        let near = match self.translate(own_root, own, mine) {
            Some(place) => place,
            None => self.own_place(cpu, args, own, mine)?,
        };
        let n = most.min(PAGE - far.1 as u64).min(PAGE - near.1 as u64);
        match rights {
            Rights::READ => self.hw.ram().copy(far, near, n as usize),
            _ => self.hw.ram().copy(near, far, n as usize),
        }
        Ok(n)
    }

    /// Where an access of user code would go, by the page tables as they are.
    fn translate(&self, root: Frame, address: u64, access: Access) -> Option<Place> {
        walk::translate::<_, <H::Pages as Machine>::Format>(self.hw.ram(), root, address, access)
    }
}

/// One byte past the loan is refused, and so is a direction that was not lent.
fn check(loan: &Loan, offset: u64, length: u64, rights: Rights) -> Result<(), Error> {
    let end = offset.checked_add(length).ok_or(Error::OutOfLoan)?;
    if end > loan.length || !Rights(loan.rights).has(rights) {
        return Err(Error::OutOfLoan);
    }
    Ok(())
}
