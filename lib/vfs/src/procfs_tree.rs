//! The fixed table of /proc.
/// A node of /proc.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum ProcNode {
    /// /proc itself.
    Root,
}
