//! One definition per interface: client, dispatch and documentation.
#![no_std]
