//! The root task: owns the estate (endpoints, vaults, budgets, processes), carries out the supervisor's few calls, heals the supervisor.
//!
//! What must always hold here: it calls nobody, allocates nothing, parses nothing but the boot image's tables; every estate call can be
//! repeated and then does nothing more; what outlives an incarnation is held here and by nobody else. Its death is a reboot. At most 500 lines.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod heal;
#[cfg(target_os = "none")]
mod raw;
#[cfg(target_os = "none")]
mod serve;

#[cfg(target_os = "none")]
sal_rt::entry!(heal::main);

#[cfg(not(target_os = "none"))]
fn main() {}
