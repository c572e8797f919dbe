//! Linux files: tmpfs, pipes, descriptors, paths, as a value.
#![no_std]
