//! Which memory object is whose, and what it is charged: the memory server as a value in a vault.
//!
//! What must always hold here: the pages of all objects together never exceed the limit given with a request, so that a page that is touched later
//! can always be paid; an object's number is never given to another while any client could still name it (row and generation); an answer is
//! recorded under the same commit as its effect. A capability is a number here, kept in a table that outlives the server before it is committed.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod ledger;
#[cfg(test)]
mod tests;

pub use ledger::{Account, CLIENTS, Client, Error, Ledger, OBJECTS, Object, VAULT_VERSION, Vault};
