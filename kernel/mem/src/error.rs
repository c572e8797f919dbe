//! Why an operation on memory did not do what was asked.

/// Each has changed nothing that can be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The id names no object (any more).
    Stale,
    /// The budget that would pay is spent.
    NoBudget,
    /// The budgets allow it, but the free frames are still in quarantine: repeat after [`crate::Vm::advance`]. For a program it is `NoBudget`.
    NoFrames,
    /// No room for another object or mapping record.
    Full,
    /// Unaligned, out of range, or of the wrong kind.
    BadArgument,
    /// Something is there already.
    Occupied,
    /// Nothing is there.
    Vacant,
    /// The page is missing, and its pager has to bring it.
    Absent,
    /// The address is not mapped so.
    BadAddress,
}

impl From<Error> for sal_abi::Error {
    fn from(e: Error) -> sal_abi::Error {
        match e {
            Error::Stale => sal_abi::Error::BadHandle,
            Error::NoBudget | Error::NoFrames => sal_abi::Error::NoBudget,
            Error::Full => sal_abi::Error::TableFull,
            Error::BadArgument => sal_abi::Error::BadArgument,
            Error::Occupied => sal_abi::Error::Occupied,
            Error::Vacant => sal_abi::Error::Vacant,
            Error::Absent => sal_abi::Error::Absent,
            Error::BadAddress => sal_abi::Error::BadAddress,
        }
    }
}
