//! Path prefixes and who serves them.
//!
//! A prefix is an absolute path without `.`, `..`, empty components or a slash at its end; `/` alone is the root. The longest prefix of whole components
//! wins: `/dev/console` is served by `/dev/console`, not by `/dev`; `/device` is not below `/dev`.

/// Longest path in bytes.
pub const PATH_MOST: usize = 256;

/// Bytes of an entry of `list` before the prefix itself: generation (8, little-endian), length of the prefix (2).
pub const ENTRY_HEAD: usize = 10;

/// Bit that a watcher's notification gets at each change.
pub const CHANGED: u64 = 1;

sal_idl::interface! {
    /// Who serves which path.
    interface "names" version 1;
    /// What can go wrong.
    errors {
        /// No prefix covers this path, or none is mounted there.
        NotFound = 1,
        /// Something is mounted at exactly this prefix.
        Occupied = 2,
        /// Not a path as above, or too long.
        BadPath = 3,
        /// The table is full.
        Full = 4,
        /// The prefix was mounted again since (its generation is another).
        Changed = 5,
    }
    /// Mounts `server` at `prefix`. Repeating it with the same server is no error. `generation` grows with every change of the table.
    1 mount() reads(prefix) gives(server) returns(generation: u64);
    /// Lets `prefix` lead to another server from now on (mounts it if nothing is mounted there). Who resolved it before keeps what it got.
    2 rebind() reads(prefix) gives(server) returns(generation: u64);
    /// Takes `prefix` away, if its generation is the one named (0: whatever it is). Repeating it is no error once it is gone: `NotFound`.
    3 unmount(generation: u64) reads(prefix);
    /// Finds who serves `path`: the server (to be called only), how many bytes of `path` the prefix covers (its following slash included), and the prefix's
    /// generation.
    4 resolve() reads(path) returns(covered: u32, generation: u64) takes(server);
    /// Entries from number `from` on, as many as fit in `entries`: each is a head ([`ENTRY_HEAD`]) and the prefix. `count` entries; `bytes` used; a
    /// `count` of 0 is the end. `generation`: the table's; if it differs between two calls, begin again.
    5 list(from: u32) writes(entries) returns(count: u32, bytes: u32, generation: u64);
    /// Raises [`CHANGED`] at `notification` after every change from now on, until it is told another one (one per badge). `generation`: the table's.
    6 watch() gives(notification) returns(generation: u64);
}
