//! The kernel's command line: words `key=value`, separated by spaces; in a value every byte but letters, digits and `-_./:,+@` stands
//! as `%` and two hexadecimal digits. Keys:
//! - `console=terminal` or `console=streams`: what the host's end is;
//! - `arg=...`, once for each: program and arguments, in order; without, the manifest's `boot.command`;
//! - `env=NAME=value` (encoded as a whole), once for each;
//! - `time=...`: the wall clock at the start, seconds since 1970.

/// What the host's end of the console is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Console {
    /// A tty.
    Terminal,
    /// Three byte streams.
    Streams,
}

/// What the machine is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CommandLine {
    /// The host's end.
    pub(crate) console: Console,
    /// Program and arguments; empty: the manifest's.
    pub(crate) command: Vec<String>,
    /// `NAME=value`.
    pub(crate) environment: Vec<String>,
    /// Seconds since 1970.
    pub(crate) time: Option<u64>,
}

impl CommandLine {
    /// As text.
    pub(crate) fn encode(&self) -> String {
        let console = match self.console {
            Console::Terminal => "console=terminal",
            Console::Streams => "console=streams",
        };
        let arguments = self.command.iter().map(|text| format!("arg={}", quote(text)));
        let environment = self.environment.iter().map(|text| format!("env={}", quote(text)));
        [console.to_string()]
            .into_iter()
            .chain(arguments)
            .chain(environment)
            .chain(self.time.map(|seconds| format!("time={seconds}")))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn quote(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:,+@".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_quotes_and_bytes_are_encoded() {
        let line = CommandLine {
            console: Console::Streams,
            command: ["sh", "-c", "echo \"ä %\"; exit 3", ""].map(String::from).to_vec(),
            environment: vec!["TERM=xterm".into()],
            time: Some(12),
        };
        assert_eq!(
            line.encode(),
            "console=streams arg=sh arg=-c arg=echo%20%22%c3%a4%20%25%22%3b%20exit%203 arg= env=TERM%3dxterm time=12"
        );
    }
}
