//! State that outlives a server: records that are whole or were never written.
#![no_std]
