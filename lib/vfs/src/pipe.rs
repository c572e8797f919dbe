//! Pipes.
use crate::arena::Id;
/// Names a pipe.
pub(crate) type PipeId = Id<Pipe>;
/// A ring of bytes between writers and readers.
#[derive(Clone, Debug)]
pub struct Pipe;
