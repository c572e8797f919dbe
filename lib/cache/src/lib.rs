//! The page cache of the memory server as a value: file objects, the work handed out to file systems, read-ahead, eviction.
//!
//! Inputs are the calls of a thin server ([`Cache::attach`], [`Cache::object`], [`Cache::fault`], [`Cache::take_work`], [`Cache::filled`],
//! [`Cache::pressure`], ...); what follows comes as [`Effect`]s, which the shell performs while the call runs, each after the commit that it
//! follows from. A page's contents never pass through here.
//!
//! What must hold, wherever the server dies: a page that was supplied stays, unless it was evicted; a page that is present holds what its file held
//! under its present length; a thread that faults is answered, or its fault is raised again; a staging page belongs to one work item; every
//! effect may be performed twice, and a successor performs those again that the vault can't tell to be done.
//!
//! **Sizes.** [`vault_bytes`] gives the vault's: 48 bytes an object. The tables that don't outlive the server ([`Tables`]) take 32 bytes a frame. Nothing
//! grows; a full table is a refusal. Adoption takes the time of the objects and of the pages present.
//!
//! **What a hit costs, and hides.** A hit on a present page sends no message, so the cache knows when a page came, not when it was used. The order of eviction
//! suffers for that (see `evict.rs`), and read-ahead needs a page held back per reader (see `readahead.rs`): one fault more per 32 pages.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod adopt;
mod cache;
mod effects;
mod evict;
mod faults;
mod index;
mod landing;
mod objects;
mod readahead;
mod systems;
#[cfg(test)]
mod tests;
mod vault;
mod work;

pub use adopt::Adoption;
pub use cache::{Cache, Error, ObjectId, PAGE, PIECE, Tables, Usage, Volatile, WINDOW};
pub use effects::{Effect, Failed, Shell, System, Token, Verdict, Work};
pub use evict::Record;
pub use faults::Waiter;
pub use landing::{Filled, Status};
pub use objects::File;
pub use systems::{Request, STAGING, Taker};
pub use vault::{SYSTEMS, VAULT_VERSION, WORK, vault_bytes};
pub use work::Pending;
