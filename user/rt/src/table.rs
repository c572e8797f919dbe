//! Capabilities that outlive an incarnation: they lie in the vault's table (the grant `table`), found again by a word in the vault.
//!
//! What must hold: the word is stored after the capability is in the table, so a word other than 0 always names one.

use crate::start::own;
use sal_abi::{Error, Handle, Rights};
use sal_sys::{capability, ipc};

/// The vault's table; `NONE` for a program without a vault.
fn table() -> Handle {
    own::startup().map_or(Handle::NONE, |startup| crate::Grants(startup).find("table"))
}

/// Puts `handle` into the table, for the successor. What to store in the vault; `None`: the kernel refused.
pub fn keep(handle: Handle, rights: Rights) -> Option<u64> {
    capability::grant(table(), handle, rights, 0).ok().map(|theirs| theirs.0)
}

/// Takes what a predecessor kept under `word` of the vault. `None` if that is 0 or names nothing.
pub fn find(word: u64, rights: Rights) -> Option<Handle> {
    match word {
        0 => None,
        word => capability::take(table(), Handle(word), rights).ok(),
    }
}

/// A notification that arrives at `endpoint` with `badge`, the same in every incarnation: made once, then found under `word` of the vault, which
/// `store` sets. Whoever was given it raises it for the successor too.
///
/// # Errors
/// The kernel's, where it could not be made.
pub fn notification(word: u64, endpoint: Handle, badge: u64, store: impl FnOnce(u64)) -> Result<Handle, Error> {
    let rights = Rights::SEND.or(Rights::TRANSFER);
    if let Some(found) = find(word, rights) {
        return Ok(found);
    }
    let made = ipc::notification_create(own::budget(), endpoint, badge)?;
    if let Some(kept) = keep(made, rights) {
        store(kept);
    }
    Ok(made)
}
