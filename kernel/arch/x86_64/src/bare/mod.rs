//! What runs on the bare machine alone: registers, instructions, devices.

pub mod apic;
pub mod arena;
pub mod bug;
pub mod cpu;
pub mod guest;
pub mod irq;
pub mod machine;
pub mod percpu;
pub mod physmap;
pub mod port;
pub mod smp;
pub mod start;
pub mod time;
pub mod tlb;
pub mod trap;
pub mod uart;

pub use start::Machine;
