//! Exhaustive exploration of the kernel core.
