//! Capabilities and budgets.

use crate::raw::{syscall1, syscall4};
use sal_abi::{Error, Handle, Op, Rights};

/// Closes a handle.
///
/// # Errors
/// `BadHandle`.
pub fn close(handle: Handle) -> Result<(), Error> {
    // SAFETY: closing a capability unmaps nothing.
    unsafe { syscall1(Op::Close, handle.0) }.status().map(drop)
}

/// A capability to the same object with fewer rights; `badge` other than 0 marks an endpoint's.
///
/// # Errors
/// `NoRight`, `TableFull`, `WrongKind`.
pub fn derive(handle: Handle, rights: Rights, badge: u64) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::Derive, handle.0, [u64::from(rights.0), badge, 0, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// Closes everything derived from `handle`, everywhere.
///
/// # Errors
/// `BadHandle`.
pub fn revoke(handle: Handle) -> Result<(), Error> {
    // SAFETY: mappings made from a capability outlive it; no memory of this program is touched.
    unsafe { syscall1(Op::Revoke, handle.0) }.status().map(drop)
}

/// Puts a capability into another process's table. The result is a handle of that table.
///
/// # Errors
/// `NoRight`, `TableFull`, `Dead`.
pub fn grant(process: Handle, own: Handle, rights: Rights, badge: u64) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::Grant, process.0, [own.0, u64::from(rights.0), badge, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// Takes a capability out of another process's table: `theirs` stays, the result is a handle of one's own to the same object.
///
/// # Errors
/// `BadHandle`, `NoRight`, `TableFull`.
pub fn take(process: Handle, theirs: Handle, rights: Rights) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::Take, process.0, [theirs.0, u64::from(rights.0), 0, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// Closes a handle of another process's table.
///
/// # Errors
/// `BadHandle`, `NoRight`, `TableFull`.
pub fn discard(process: Handle, theirs: Handle) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::Take, process.0, [theirs.0, 0, 1, 0]) };
    close(raw.status().map(|_| Handle(raw.second))?)
}

/// What a handle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Kind of object.
    pub kind: u64,
    /// Badge of the capability.
    pub badge: u64,
    /// Its rights.
    pub rights: Rights,
    /// Equal for equal objects.
    pub object: u64,
}

/// Asks what a handle names.
///
/// # Errors
/// `BadHandle`.
pub fn identify(handle: Handle) -> Result<Identity, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::Identify, handle.0, [0; 4]) };
    let [rights, object, ..] = raw.words;
    raw.status().map(|kind| Identity { kind, badge: raw.second, rights: Rights(rights as u32), object })
}

/// A new budget of `frames`, funded by `budget`.
///
/// # Errors
/// `NoBudget`, `TableFull`.
pub fn budget_create(budget: Handle, frames: u64) -> Result<Handle, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::BudgetCreate, budget.0, [frames, 0, 0, 0]) };
    raw.status().map(|_| Handle(raw.second))
}

/// State of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetInfo {
    /// Frames that may still be spent.
    pub left: u64,
    /// Frames that it was given.
    pub given: u64,
    /// Objects charged to it.
    pub objects: u64,
}

/// Reads the state of a budget.
///
/// # Errors
/// `NoRight`.
pub fn budget_info(budget: Handle) -> Result<BudgetInfo, Error> {
    // SAFETY: no memory of this program is touched.
    let raw = unsafe { syscall4(Op::BudgetInfo, budget.0, [0; 4]) };
    let [left, given, objects, ..] = raw.words;
    raw.status().map(|_| BudgetInfo { left, given, objects })
}

/// Moves `frames` from one budget to another.
///
/// # Errors
/// `NoBudget`, `NoRight`.
pub fn budget_transfer(from: Handle, to: Handle, frames: u64) -> Result<(), Error> {
    // SAFETY: no memory of this program is touched.
    unsafe { syscall4(Op::BudgetTransfer, from.0, [to.0, frames, 0, 0]) }.status().map(drop)
}
