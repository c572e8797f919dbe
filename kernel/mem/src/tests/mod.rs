//! Tests of the whole: one file per family of operations, and a random one against a model.

mod basics;
mod model;
