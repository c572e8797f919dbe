//! The user's terminal: raw mode while a session lasts, its size, and the keys that leave the machine.

use anyhow::{Context, Result};
use rustix::termios::{self, OptionalActions, Termios};
use std::io::IsTerminal;

/// What is printed at the start of an interactive session.
pub(crate) const HOW_TO_LEAVE: &str = "to end the machine: `exit` or `poweroff` in its shell, or Ctrl-A x here";

/// The terminal in raw mode. Dropping it restores the terminal.
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Is there a terminal at both ends?
    pub(crate) fn possible() -> bool {
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
    }

    /// Switches the terminal to raw mode.
    pub(crate) fn enter() -> Result<RawMode> {
        let before = termios::tcgetattr(rustix::stdio::stdin()).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw).context("cannot set the terminal")?;
        Ok(RawMode { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to restore.
        let _ = termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}

/// The terminal's size in character cells: (rows, columns). One that doesn't know its size is 24 x 80.
pub(crate) fn size() -> (u16, u16) {
    match termios::tcgetwinsize(rustix::stdio::stdin()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    }
}

/// Finds Ctrl-A x in what is typed. Ctrl-A twice sends one Ctrl-A.
#[derive(Default)]
pub(crate) struct Keys {
    escaped: bool,
}

/// The escape key: Ctrl-A.
const ESCAPE: u8 = 1;

impl Keys {
    /// Passes typed bytes on to `out`; true if the user wants to leave.
    pub(crate) fn pass(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        for &byte in typed {
            match (std::mem::take(&mut self.escaped), byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, b'x' | b'X') => return true,
                (true, ESCAPE) | (false, _) => out.push(byte),
                (true, _) => out.extend([ESCAPE, byte]),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ctrl_a_x_leaves() {
        let (mut keys, mut out) = (Keys::default(), Vec::new());
        assert!(!keys.pass(b"ax\x01", &mut out));
        assert!(!keys.pass(b"\x01x\x01b", &mut out));
        assert_eq!(out, b"ax\x01x\x01b");
        assert!(keys.pass(b"q\x01xz", &mut out));
    }
}
