//! execve: finds, checks and loads a program into a fresh address space. Must hold: until everything is loaded the
//! caller is as it was.

pub(crate) mod elf;
mod load;
mod stack;

pub(crate) use load::{Loaded, Program, Request, head, interpreter_name, load, object_of, read_image};

use crate::errno::Errno;
use alloc::vec::Vec;

/// `BINPRM_BUF_SIZE`: a script's first line, and an ELF header, lie in so many bytes.
pub(crate) const HEAD: usize = 256;

/// `#!` lines that may follow one another.
pub(crate) const SCRIPT_DEPTH: usize = 5;

/// An interpreter and its optional one argument.
pub(crate) type Script = (Vec<u8>, Option<Vec<u8>>);

/// Takes a `#!` line apart: interpreter and its optional one argument. `None`: not a script. `ENOEXEC`: a bad one.
pub(crate) fn script(head: &[u8]) -> Result<Option<Script>, Errno> {
    let Some(line) = head.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let ended = line.iter().position(|b| *b == b'\n');
    let line = line.get(..ended.unwrap_or(line.len())).unwrap_or_default();
    let is_blank = |b: &u8| *b == b' ' || *b == b'\t' || *b == 0;
    let start = line.iter().position(|b| !is_blank(b)).ok_or(Errno::ENOEXEC)?;
    let line = line.get(start..).unwrap_or_default();
    let Some(end) = line.iter().position(is_blank) else {
        // The interpreter's name itself may be cut: refused, as on Linux.
        return if ended.is_none() { Err(Errno::ENOEXEC) } else { Ok(Some((line.to_vec(), None))) };
    };
    let rest = line.get(end..).unwrap_or_default();
    let first = rest.iter().position(|b| !is_blank(b));
    let last = rest.iter().rposition(|b| !is_blank(b));
    let argument = first.zip(last).and_then(|(f, l)| rest.get(f..=l)).map(<[u8]>::to_vec);
    Ok(Some((line.get(..end).unwrap_or_default().to_vec(), argument)))
}
