//! Names of grants in a start-up page, made from the manifest's entry: one rule for who gives and who asks.

use alloc::{format, string::String};

/// Bytes that a start-up page has for a name.
pub const NAME_MOST: usize = 24;
/// The notification by which a service answers the supervisor's heartbeats.
pub const HEARTBEAT: &str = "heartbeat";

/// Name of the module that is none of the boot image's: the machine's command line. Its grant `module:cmdline` is a capability to the memory
/// that holds the text, zero-terminated.
pub const COMMAND_LINE: &str = "cmdline";

/// `ports:3f8`: the range that starts at a port.
pub fn ports(first: u16) -> String {
    format!("ports:{first:x}")
}

/// `irq:4`: an interrupt line.
pub fn interrupt(line: u8) -> String {
    format!("irq:{line}")
}

/// `module:ramdisk`: a module of the boot image, read-only. Longer than a page has room for is cut; the check refuses that.
pub fn module(name: &str) -> String {
    format!("module:{name}").chars().take(NAME_MOST).collect()
}
