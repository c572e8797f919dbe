//! The registry: what one lock guards, because it is not on the message path: which slots are free, derivation of capabilities, parked
//! threads, processes that are ending, memory.
//!
//! What must always hold: the lock order is registry, then endpoint; nothing that a message needs takes the registry's lock.

use crate::threads::{Link, NONE};

/// The right to touch parked threads: one, inside the registry's lock.
#[derive(Debug)]
pub struct Token {
    _one: (),
}

/// What the registry's lock guards, besides memory.
#[derive(Debug)]
pub struct Registry<V> {
    pub(crate) token: Token,
    pub(crate) chunks: Chunks,
    /// First process whose table is still to be closed, linked through the processes' slots; see `lifecycle`.
    pub(crate) reaping: u32,
    /// First thread that waits for other CPUs' acknowledgement, linked through the mail links.
    pub(crate) shot: Link,
    /// Frames freed up to the last advance may be used when every CPU has acknowledged this epoch.
    pub(crate) quarantine: u64,
    /// Memory: frames, memory objects, spaces, budgets.
    pub vm: V,
}

impl<V> Registry<V> {
    /// Nothing made yet.
    pub fn new(vm: V) -> Self {
        Registry {
            token: Token { _one: () },
            chunks: Chunks::default(),
            reaping: NONE,
            shot: Link::default(),
            quarantine: 0,
            vm,
        }
    }
}

#[cfg(not(target_os = "none"))]
impl<V: Clone> Registry<V> {
    /// A copy, for the host's tests.
    pub(crate) fn duplicate(&self) -> Self {
        Registry {
            token: Token { _one: () },
            chunks: self.chunks.clone(),
            reaping: self.reaping,
            shot: self.shot.duplicate(),
            quarantine: self.quarantine,
            vm: self.vm.clone(),
        }
    }
}

/// Chunks of capability slots: a stack of free ones through their first slot's `next` link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    /// Number + 1 of the first free chunk.
    pub(crate) free: u32,
    /// Chunks handed out so far.
    pub(crate) fresh: u32,
}
