//! The serial line, as channels of bytes (`lib/link`).

/// Bits of a watcher's notification: `READABLE << channel`, `WRITABLE << channel`.
pub mod event {
    /// There are bytes, or the end, to be read on channel 0; shifted by the channel's number.
    pub const READABLE: u64 = 1;
    /// There is room to write again on channel 0; shifted by the channel's number.
    pub const WRITABLE: u64 = 1 << 16;
}

sal_idl::interface! {
    /// Carries bytes between the machine and the host tool. Nothing is lost or doubled, whoever dies.
    interface "uart" version 1;
    /// What can go wrong.
    errors {
        /// There is no such channel, or it does not go this way.
        BadChannel = 1,
        /// This client has no slot here, or all are taken.
        NoSlot = 2,
        /// The channel was ended.
        Ended = 3,
    }
    /// Takes as many bytes as there is room for, perhaps none; never waits; *remembered*.
    1 write(channel: u8) reads(bytes) returns(count: u32);
    /// Gives as many bytes as there are, perhaps none; never waits; *remembered*. `end`: nothing follows these.
    2 read(channel: u8) writes(buffer) returns(count: u32, end: bool);
    /// Nothing follows on this channel. Repeating it is no error.
    3 end(channel: u8);
    /// Raises [`event`] bits at `notification` from now on, instead of where they were raised before. `ready`: the bits now.
    4 watch() gives(notification) returns(ready: u64);
    /// Have all bytes that were written been acknowledged by the host?
    5 drained() returns(drained: bool);
}
