//! The serial line, as channels of bytes (`lib/link`).

/// Bits of a watcher's notification: `READABLE << channel`, `WRITABLE << channel`.
pub mod event {
    /// There are bytes to be read on channel 0; shifted by the channel's number.
    pub const READABLE: u64 = 1;
    /// There is room to write again on channel 0; shifted by the channel's number.
    pub const WRITABLE: u64 = 1 << 16;
}

sal_idl::interface! {
    /// Carries bytes between the machine and the host tool. Nothing is lost or doubled, whoever dies.
    ///
    /// Bytes have numbers: their place in the channel's stream, modulo 2^32, from 0 in each `epoch` (which grows when another host takes over). So
    /// every call can be repeated and nothing is remembered per client: one client per channel and direction.
    interface "uart" version 1;
    /// What can go wrong.
    errors {
        /// There is no such channel, or it does not go this way.
        BadChannel = 1,
        /// The epoch is another now: streams begin at 0 again. `watch` tells it.
        SessionChanged = 2,
    }
    /// The bytes from number `at` on; never waits. `next`: the number after the last one taken (bytes taken before are skipped, a gap takes none).
    1 write(channel: u8, epoch: u32, at: u32) reads(bytes) returns(next: u32);
    /// All before number `at` is done with; gives what follows, as far as there is any, and keeps it; never waits. The end of a stream is a
    /// message on channel 0.
    2 read(channel: u8, epoch: u32, at: u32) writes(buffer) returns(count: u32);
    /// Raises [`event`] bits at `notification` from now on, instead of where they were raised before. `ready`: the bits now.
    3 watch() gives(notification) returns(ready: u64, epoch: u32);
    /// Have all bytes that were written been acknowledged by the host?
    4 drained() returns(drained: bool);
}
