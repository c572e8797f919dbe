//! Memory objects on account.
//!
//! The badge of the capability names the account. An object is charged with its length in whole pages, whether they are present or not; frames
//! are taken from the server's budget when they are first touched.

sal_idl::interface! {
    /// Gives out zero-fill memory objects.
    interface "memory" version 1;
    /// What can go wrong.
    errors {
        /// The account, or the server, has no room for this.
        NoMemory = 1,
        /// The account has no object of that number.
        NotFound = 2,
        /// The table of objects is full.
        Full = 3,
        /// A length of 0 or beyond the largest, or a range outside the object.
        BadLength = 4,
        /// This client has no slot here: open one first.
        NoSlot = 5,
    }
    /// A new object of at least `bytes`; *remembered*. `object` is its number for the calls below; `memory` may be read, written, executed,
    /// mapped and passed on.
    1 create(bytes: u64) returns(object: u32) takes(memory);
    /// Sets an object's length; what lies beyond is given back.
    2 resize(object: u32, bytes: u64);
    /// A new object with the contents of `object`, copy on write; *remembered*.
    3 duplicate(object: u32) returns(copy: u32) takes(memory);
    /// The account gives the object back: nobody may use it any more; its contents are gone at once, for whoever has it mapped. Repeating it is no error.
    4 release(object: u32);
    /// The capability of an object, once more.
    5 open(object: u32) returns(bytes: u64) takes(memory);
    /// The account: bytes charged and allowed; frames that the server could still give to anybody.
    6 info() returns(charged: u64, allowed: u64, frames: u64, objects: u32);
}
