//! A naive model, and random operations on both.
