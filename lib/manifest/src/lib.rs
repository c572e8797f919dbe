//! The manifest: what runs, with what, who may call whom.
#![no_std]
