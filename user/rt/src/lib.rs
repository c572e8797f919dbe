//! Start-up, heap, owned handles, server loop, client retry.
#![no_std]
