//! Sessions of a person at a terminal: the tool runs under a pseudo-terminal, keys are typed, and the screen's text is looked at.
//!
//! Every wait is for a text, never for a time. What is typed comes back as an echo: so what is waited for stands at the start of a line.

use super::Lab;
use super::cases::{Case, text};
use super::linux::{SYSTEM, options};
use anyhow::{Context, Result, ensure};
use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Regex, Session};
use std::process::Command;
use std::time::Duration;

/// A text that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(40);

/// The shell's prompt in its root folder.
const PROMPT: &str = r"/ # ";

const ERASE: &str = "\x7f";
const INTERRUPT: &str = "\x03";
const END: &str = "\x04";
const SUSPEND: &str = "\x1a";
const ESCAPE: &str = "\x1b";

/// Characters of the screen that a failure shows.
const SHOWN: usize = 1500;

pub(super) const CASES: &[Case] = &[
    Case { name: "terminal/prompt-echo-erase", rows: &[], exists, run: |lab| run(lab, |typist| typist.editing()) },
    Case { name: "terminal/interrupt", rows: &[], exists, run: |lab| run(lab, |typist| typist.interrupt()) },
    Case { name: "terminal/job-control", rows: &[], exists, run: |lab| run(lab, |typist| typist.jobs()) },
    Case { name: "terminal/window-size", rows: &[], exists, run: |lab| run(lab, |typist| typist.window()) },
    Case { name: "terminal/vi", rows: &[], exists, run: |lab| run(lab, |typist| typist.vi()) },
    Case { name: "terminal/less", rows: &[], exists, run: |lab| run(lab, |typist| typist.less()) },
    Case { name: "terminal/end-of-file", rows: &[], exists, run: |lab| run(lab, |typist| typist.end_of_file()) },
    Case { name: "terminal/exit-status", rows: &[], exists, run: |lab| run(lab, |typist| typist.leave("exit 7\r", 7)) },
    Case { name: "terminal/poweroff", rows: &[], exists, run: |lab| run(lab, |typist| typist.leave("poweroff\r", 0)) },
    Case { name: "terminal/escape-key", rows: &[], exists, run: |lab| run(lab, |typist| typist.leave("\x01x", 0)) },
];

/// What is typed in a session.
type Act = fn(&mut Typist) -> Result<()>;

fn exists(lab: &Lab) -> bool {
    lab.has_system(SYSTEM)
}

/// Someone at a terminal.
struct Typist {
    session: OsSession,
    /// What the screen has shown.
    screen: String,
}

/// Starts a machine with a shell, waits for its prompt, and types.
fn run(lab: &Lab, act: Act) -> Result<Option<String>, String> {
    // So that no build is waited for, and none is in the way of the terminal.
    lab.bundle(&options(None, &[], 1).contents).map_err(text)?;
    let mut typist = Typist::start().map_err(text)?;
    act(&mut typist).map(|()| None).map_err(|error| format!("{}\nthe screen:\n{}", text(error), typist.shown()))
}

impl Typist {
    fn start() -> Result<Typist> {
        // By the kernel's own name for it: building the host tests may have replaced the file that this program was started from.
        let mut command = Command::new("/proc/self/exe");
        command.args(["run", "--timeout", "120"]).env("TERM", "xterm");
        let mut session = Session::spawn(command).context("cannot start a session")?;
        session.get_process_mut().set_window_size(80, 24)?;
        session.set_expect_timeout(Some(PATIENCE));
        let mut typist = Typist { session, screen: String::new() };
        typist.see(PROMPT)?;
        Ok(typist)
    }

    fn shown(&self) -> String {
        let from = self.screen.char_indices().rev().nth(SHOWN).map_or(0, |(place, _)| place);
        self.screen[from..].escape_debug().to_string().replace("\\n", "\\n\n")
    }

    fn keys(&mut self, keys: &str) -> Result<()> {
        self.session.send(keys).context("cannot type")
    }

    /// Waits until this is on the screen, behind what was seen before.
    fn see(&mut self, pattern: &str) -> Result<()> {
        match self.session.expect(Regex(pattern)) {
            Ok(found) => {
                self.screen += &String::from_utf8_lossy(found.before());
                self.screen += &String::from_utf8_lossy(found.get(0).unwrap_or_default());
                Ok(())
            }
            Err(error) => {
                let mut rest = [0; 4096];
                while let Ok(length @ 1..) = self.session.try_read(&mut rest) {
                    self.screen += &String::from_utf8_lossy(&rest[..length]);
                }
                Err(error).with_context(|| format!("no {pattern:?} came"))
            }
        }
    }

    /// Types a line and waits for what it prints, and for the prompt.
    fn line(&mut self, line: &str, prints: &str) -> Result<()> {
        self.keys(&format!("{line}\r"))?;
        self.see(prints)?;
        self.see(PROMPT)
    }

    /// The shell's own line editing, then the terminal's.
    fn editing(&mut self) -> Result<()> {
        self.line(&format!("echo one t{ERASE}{ERASE}two"), r"\r\nonetwo\r\n")?;
        // Only when the program is there the shell has given the terminal back its line editing.
        self.keys("sh -c 'echo ready; cat'\r")?;
        self.see(r"\r\nready\r\n")?;
        self.keys(&format!("helxx{ERASE}{ERASE}lo\r"))?;
        // Two erased characters are wiped; then the line comes back, once from the echo and once from cat.
        self.see(r"helxx\x08 \x08\x08 \x08lo\r\nhello\r\n")?;
        self.keys("lost\x15kept\r")?;
        self.see(r"kept\r\nkept\r\n")?;
        self.keys(END)?;
        self.see(PROMPT)
    }

    fn interrupt(&mut self) -> Result<()> {
        // The program that is interrupted says itself that it is in the foreground.
        self.keys("sh -c 'echo started; exec sleep 100'\r")?;
        self.see(r"\r\nstarted\r\n")?;
        self.keys(INTERRUPT)?;
        self.see(PROMPT)?;
        self.line("echo status $?", r"\r\nstatus 130\r\n")?;
        // A program that handles it goes on; a pipeline dies as a whole.
        // The child says that it runs: a shell that has no child yet would start it after the key, and wait for it.
        self.keys("sh -c 'trap \"echo caught\" INT; sh -c \"echo ready; exec sleep 100\"; echo after'\r")?;
        self.see(r"\r\nready\r\n")?;
        self.keys(INTERRUPT)?;
        self.see(r"caught\r\n")?;
        self.see(PROMPT)?;
        self.keys("sh -c 'echo go; exec sleep 100' | cat | cat\r")?;
        self.see(r"\r\ngo\r\n")?;
        self.keys(INTERRUPT)?;
        self.see(PROMPT)?;
        self.line("ps | grep -c '[s]leep'", r"\r\n0\r\n")
    }

    fn jobs(&mut self) -> Result<()> {
        self.line("sleep 300 &", "")?;
        self.line("jobs", r"\r\n\[1\]\+? +Running +sleep 300")?;
        self.keys("fg\r")?;
        self.see(r"\r\nsleep 300\r\n")?;
        self.keys(SUSPEND)?;
        self.see(r"\[1\]\+? +Stopped +sleep 300")?;
        self.see(PROMPT)?;
        self.line("bg", r"\r\n\[1\]\+? sleep 300")?;
        self.line("jobs", r"\r\n\[1\]\+? +Running +sleep 300")?;
        // A background job that reads the terminal stops.
        self.line("cat &", "")?;
        self.line("sleep 0.5; jobs", r"\[2\]\+? +Stopped \(tty input\) +cat")?;
        self.line("kill %1 %2; kill -CONT %2; wait; jobs; echo left", r"\r\nleft\r\n")
    }

    fn window(&mut self) -> Result<()> {
        self.line("stty size", r"\r\n24 80\r\n")?;
        self.session.get_process_mut().set_window_size(100, 30)?;
        // The news travels beside what is typed: the shell asks until it is there.
        let asks = "until [ \"$(stty size)\" = '30 100' ]; do sleep 0.1; done; stty size";
        self.line(asks, r"\r\n30 100\r\n")?;
        self.keys("sh -c 'trap \"stty size; exit\" WINCH; echo waiting; while :; do sleep 0.1; done'\r")?;
        self.see(r"\r\nwaiting\r\n")?;
        self.session.get_process_mut().set_window_size(90, 20)?;
        self.see(r"20 90\r\n")?;
        self.see(PROMPT)
    }

    fn vi(&mut self) -> Result<()> {
        self.keys("vi /tmp/text\r")?;
        // An empty file: tildes down to the status line.
        self.see(r"~[^~]*~[^~]*~")?;
        self.see("/tmp/text")?;
        self.keys("ihello from vi")?;
        self.see("hello from vi")?;
        // Keys right behind an escape would be taken for a key's sequence.
        self.keys(ESCAPE)?;
        self.see(r"- /tmp/text \[Modified\]")?;
        self.keys(":wq\r")?;
        self.see(PROMPT)?;
        self.line("cat /tmp/text", r"\r\nhello from vi\r\n")
    }

    fn less(&mut self) -> Result<()> {
        self.keys("seq 500 | less\r")?;
        self.see(r"22\r\n[^0-9]*23\r\n")?;
        self.keys(" ")?;
        self.see(r"45\r\n[^0-9]*46\r\n")?;
        self.keys("G")?;
        self.see("500")?;
        self.keys("q")?;
        self.see(PROMPT)?;
        self.line("stty -a | grep -o ' echo '", r"\r\n echo ")
    }

    fn end_of_file(&mut self) -> Result<()> {
        self.keys("sh -c 'echo ready; cat; echo ended'\r")?;
        self.see(r"\r\nready\r\n")?;
        self.keys(END)?;
        self.see(r"ended\r\n")?;
        self.see(PROMPT)?;
        self.leave(END, 0)
    }

    /// Types the last keys: the machine must end with that status.
    fn leave(&mut self, keys: &str, status: i32) -> Result<()> {
        self.keys(keys)?;
        let rest = self.session.expect(Eof).context("the session does not end")?;
        self.screen += &String::from_utf8_lossy(rest.before());
        let ended = self.session.get_process().wait()?;
        ensure!(matches!(ended, WaitStatus::Exited(_, code) if code == status), "it ended as {ended:?}, not {status}");
        Ok(())
    }
}
