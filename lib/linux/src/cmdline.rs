//! The machine's command line, as the host tool writes it: words `key=value` separated by spaces; in a value `%` and two
//! hexadecimal digits stand for a byte. `arg=` once for each argument of the first program, `env=NAME=value` once for each
//! variable of its environment, `time=` the wall clock at the start (seconds since 1970). Other words are others' business.
//! Must hold: any bytes are a command line.

use alloc::vec::Vec;

/// What it says to the personality.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments; empty: the manifest's.
    pub command: Vec<Vec<u8>>,
    /// `NAME=value`
    pub environment: Vec<Vec<u8>>,
    /// Seconds since 1970.
    pub time: Option<u64>,
}

impl CommandLine {
    /// Reads it, up to a zero byte.
    pub fn read(text: &[u8]) -> CommandLine {
        let text = text.split(|b| *b == 0).next().unwrap_or_default();
        let mut line = CommandLine::default();
        for word in text.split(|b| b.is_ascii_whitespace()) {
            if let Some(value) = word.strip_prefix(b"arg=") {
                line.command.push(unquote(value));
            } else if let Some(value) = word.strip_prefix(b"env=") {
                line.environment.push(unquote(value));
            } else if let Some(value) = word.strip_prefix(b"time=") {
                line.time = core::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
            }
        }
        line
    }

    /// The value of a variable.
    pub fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        self.environment.iter().find_map(|v| v.strip_prefix(name)?.strip_prefix(b"="))
    }

    /// Adds `NAME=value` unless the name is there.
    pub fn default_variable(&mut self, name: &[u8], value: &[u8]) {
        if self.variable(name).is_none() {
            self.environment.push([name, b"=", value].concat());
        }
    }
}

/// Bytes for their `%` forms; a `%` without two digits stands for itself.
fn unquote(value: &[u8]) -> Vec<u8> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        match rest {
            [b'%', a, b, tail @ ..] if digit(*a).is_some() && digit(*b).is_some() => {
                out.push(digit(*a).unwrap_or(0) << 4 | digit(*b).unwrap_or(0));
                rest = tail;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_tool_writes_comes_out() {
        let text = b"console=streams arg=sh arg=-c arg=echo%20%22%c3%a4%20%25%22%3b%20exit%203 arg= env=TERM%3dxterm time=12\0junk";
        let mut line = CommandLine::read(text);
        assert_eq!(line.command, [&b"sh"[..], b"-c", "echo \"\u{e4} %\"; exit 3".as_bytes(), b""]);
        assert_eq!(line.variable(b"TERM"), Some(&b"xterm"[..]));
        assert_eq!(line.time, Some(12));
        line.default_variable(b"TERM", b"dumb");
        line.default_variable(b"HOME", b"/root");
        assert_eq!(line.environment, [&b"TERM=xterm"[..], b"HOME=/root"]);
    }

    #[test]
    fn any_bytes_are_a_command_line() {
        let line = CommandLine::read(b"arg=% arg=%4 arg=%4z arg=%%41 time=x");
        assert_eq!(line.command, [&b"%"[..], b"%4", b"%4z", b"%A"]);
        assert_eq!(line.time, None);
    }
}
