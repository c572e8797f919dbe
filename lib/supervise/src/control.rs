//! Words that can be written to `/svc/NAME/ctl`.

/// What somebody wants done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Kill it, as a fault would; it comes back.
    Kill,
    /// Kill it and start it again, also when it was given up.
    Restart,
    /// Make it spin.
    Hang,
    /// Let it take no call.
    Pause,
    /// Let it go on.
    Resume,
}

impl Command {
    /// Every command, by its word.
    pub const WORDS: [(&'static str, Command); 5] = [
        ("kill", Command::Kill),
        ("restart", Command::Restart),
        ("hang", Command::Hang),
        ("pause", Command::Pause),
        ("resume", Command::Resume),
    ];

    /// From what was written: one word, blanks around it don't matter.
    pub fn parse(text: &[u8]) -> Option<Command> {
        let word = text.trim_ascii();
        Command::WORDS.into_iter().find(|(w, _)| w.as_bytes() == word).map(|(_, command)| command)
    }
}

/// A command that isn't one, or makes no sense now: `EINVAL` for whoever wrote it. The reason is in the service's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;
