//! One run of a machine from the host's side: bytes between its serial line (through [`sal_link`]), the streams of the tool, and the
//! log, until it ends.
//!
//! Threads only move bytes: one reads the serial line, one writes it, one reads standard input; this thread owns all state. What must
//! hold: nothing is read from standard input before the link has taken what was read before, at most one piece is on its way to the
//! serial line, and all that came from the machine is written before the end is reported.

use super::log::{Log, Source};
use super::outcome::{Outcome, SIGPIPE};
use super::qemu::Running;
use super::terminal::{self, Keys};
use crate::cmdline::Console;
use anyhow::{Context, Result, anyhow};
use sal_link::{Channel, Control, Link, Role, Terminal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long the link waits for an acknowledgement, in microseconds. A busy host may stop QEMU for as long as this without harm: what is
/// sent twice is taken once.
const RESEND_US: u64 = 200_000;

/// How long a machine may take to end after it said that it would.
const FAREWELL: Duration = Duration::from_secs(5);

/// Bytes moved at once.
const PIECE: usize = 4096;

/// Where a session's bytes go to and come from.
pub(crate) struct Streams<'a> {
    /// What the host's end is.
    pub(crate) console: Console,
    /// Standard input of the program in the machine; none: it is at its end.
    pub(crate) input: Option<Box<dyn Read + Send>>,
    /// Its standard output.
    pub(crate) output: &'a mut dyn Write,
    /// Its standard error.
    pub(crate) error: &'a mut dyn Write,
    /// Who looks at the tool's signals?
    pub(crate) signals: Signals,
    /// The session ends after so long.
    pub(crate) timeout: Option<Duration>,
}

/// Who looks at the tool's signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signals {
    /// The session: SIGINT, SIGTERM and SIGHUP end it, SIGWINCH tells the machine the terminal's size.
    Handled,
    /// Somebody else.
    Ignored,
}

enum Event {
    Serial(Vec<u8>),
    SerialEnd,
    Written,
    Input(Vec<u8>),
    InputEnd,
    Signal(i32),
}

/// Runs the machine to its end.
pub(crate) fn run(mut machine: Running, streams: Streams<'_>, log: &mut Log) -> Result<Outcome> {
    let serial = machine.serial().ok_or_else(|| anyhow!("the machine's serial line is taken"))?;
    let complaints = machine.complaints();
    let complaints = thread::spawn(move || complaints.map(|mut c| read_all(&mut c)).unwrap_or_default());
    match converse(serial, streams, log)? {
        End::Stopped(outcome) => {
            machine.kill()?;
            Ok(outcome)
        }
        End::Silence(told) => {
            let status = machine.wait()?;
            Ok(Outcome::of(status.code(), told, &complaints.join().unwrap_or_default()))
        }
    }
}

/// Why a conversation ended.
#[derive(PartialEq, Eq, Debug)]
enum End {
    /// The serial line ended; the first program's exit status, if it told one.
    Silence(Option<u8>),
    /// Something else came first.
    Stopped(Outcome),
}

/// Speaks with a machine over the two ends of its serial line until that ends, or the session does.
fn converse(
    (to, from): (impl Write + Send + 'static, impl Read + Send + 'static),
    mut streams: Streams<'_>,
    log: &mut Log,
) -> Result<End> {
    let (sender, events) = channel();
    read_serial(from, sender.clone());
    let pieces = write_serial(to, sender.clone());
    let more_input = streams.input.take().map(|input| read_input(input, sender.clone()));
    if streams.signals == Signals::Handled {
        watch_signals(sender).context("cannot watch for signals")?;
    }
    let mut session = Session::new(streams, log, pieces, more_input);
    let stopped = session.until_end(&events);
    session.log.finish();
    Ok(stopped.map_or(End::Silence(session.status), End::Stopped))
}

struct Session<'a, 's> {
    link: Link,
    log: &'a mut Log,
    streams: Streams<'s>,
    keys: Keys,
    started: Instant,
    /// Time by which it has to have ended, and why then.
    deadline: Option<(Instant, Outcome)>,
    /// Takes pieces for the serial line, one at a time.
    pieces: SyncSender<Vec<u8>>,
    writing: bool,
    /// Asks for more input; none: its end is reached, or nobody reads it.
    more_input: Option<Sender<()>>,
    /// Input that the link has not taken yet.
    input: Vec<u8>,
    end_to_send: bool,
    greeted: Option<u32>,
    status: Option<u8>,
    serial_open: bool,
}

impl<'a, 's> Session<'a, 's> {
    fn new(
        streams: Streams<'s>,
        log: &'a mut Log,
        pieces: SyncSender<Vec<u8>>,
        more_input: Option<Sender<()>>,
    ) -> Session<'a, 's> {
        let started = Instant::now();
        let deadline = streams.timeout.map(|limit| (started + limit, Outcome::TimedOut(limit.as_secs())));
        Session {
            // Every run has a new machine, and so a new peer: any session number will do.
            link: Link::new(Role::Listener, std::process::id(), RESEND_US),
            log,
            keys: Keys::default(),
            started,
            deadline,
            pieces,
            writing: false,
            end_to_send: more_input.is_none(),
            more_input,
            input: Vec::new(),
            greeted: None,
            status: None,
            serial_open: true,
            streams,
        }
    }

    /// Handles events until the serial line ends (none), or something else ends the session.
    fn until_end(&mut self, events: &Receiver<Event>) -> Option<Outcome> {
        while self.serial_open {
            match events.recv_timeout(self.patience()) {
                Ok(event) => {
                    if let Some(outcome) = self.event(event) {
                        return Some(outcome);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if self.deadline.as_ref().is_some_and(|(when, _)| Instant::now() >= *when) {
                return self.deadline.take().map(|(_, outcome)| outcome);
            }
            if self.turn().is_err() {
                // Nobody reads the program's output any more.
                return Some(Outcome::Signalled(SIGPIPE));
            }
        }
        None
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// How long nothing need be done.
    fn patience(&self) -> Duration {
        let link = self.link.deadline().map(|when| Duration::from_micros(when.saturating_sub(self.now())));
        let session = self.deadline.as_ref().map(|(when, _)| when.saturating_duration_since(Instant::now()));
        [link, session].into_iter().flatten().min().unwrap_or(Duration::from_secs(3600))
    }

    fn event(&mut self, event: Event) -> Option<Outcome> {
        match event {
            Event::Serial(bytes) => {
                let log = &mut *self.log;
                self.link.push(&bytes, |byte| log.push(Source::Kernel, byte));
            }
            Event::SerialEnd => {
                let mut held = Vec::new();
                self.link.flush_text(|byte| held.push(byte));
                for byte in held.iter().filter(|_| is_text(&held)) {
                    self.log.push(Source::Kernel, *byte);
                }
                self.serial_open = false;
            }
            Event::Written => self.writing = false,
            Event::Input(bytes) => return self.typed(&bytes),
            Event::InputEnd => {
                self.more_input = None;
                self.end_to_send = true;
            }
            Event::Signal(SIGWINCH) => self.tell_size(),
            Event::Signal(signal) => return Some(Outcome::Signalled(signal as u8)),
        }
        None
    }

    fn typed(&mut self, bytes: &[u8]) -> Option<Outcome> {
        if self.streams.console == Console::Streams {
            self.input.extend_from_slice(bytes);
        } else if self.keys.pass(bytes, &mut self.input) {
            return Some(Outcome::Left);
        }
        // What was all Ctrl-A leaves nothing for the link to take, and so nothing that would ask for more.
        if self.input.is_empty() {
            self.ask_for_input();
        }
        None
    }

    fn ask_for_input(&mut self) {
        if self.more_input.as_ref().is_some_and(|more| more.send(()).is_err()) {
            self.more_input = None;
        }
    }

    /// Moves what can be moved, both ways. An error: the program's output can't be written.
    fn turn(&mut self) -> std::io::Result<()> {
        self.deliver()?;
        self.control();
        self.greet();
        self.send_input();
        self.link.poll(self.now());
        self.send_piece();
        Ok(())
    }

    fn deliver(&mut self) -> std::io::Result<()> {
        let mut piece = [0; PIECE];
        for (channel, to) in [(Channel::Stdout, &mut self.streams.output), (Channel::Stderr, &mut self.streams.error)] {
            let mut moved = false;
            loop {
                let length = self.link.receive(channel, &mut piece);
                if length == 0 {
                    break;
                }
                to.write_all(&piece[..length])?;
                moved = true;
            }
            if moved {
                to.flush()?;
            }
        }
        loop {
            let length = self.link.receive(Channel::Log, &mut piece);
            piece[..length].iter().for_each(|byte| self.log.push(Source::Services, *byte));
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn control(&mut self) {
        while let Some(message) = self.link.receive_control() {
            match message {
                Control::ExitStatus(status) => self.status = Some(status),
                Control::PowerOff => {
                    let silence = Outcome::Vanished("the machine said that it would end, and did not".into());
                    let when = Instant::now() + FAREWELL;
                    if self.deadline.as_ref().is_none_or(|(until, _)| when < *until) {
                        self.deadline = Some((when, silence));
                    }
                }
                // The rest is what the host says, and what this version doesn't know.
                _ => {}
            }
        }
    }

    /// Says once to every new peer what stands at this end.
    fn greet(&mut self) {
        let epoch = self.link.epoch();
        if !self.link.is_connected() || self.greeted == Some(epoch) {
            return;
        }
        let (rows, columns) = terminal::size();
        let terminal = match self.streams.console {
            Console::Terminal => Terminal::Tty { rows, columns },
            Console::Streams => Terminal::Pipes,
        };
        if self.link.send_control(Control::Hello(terminal)) {
            self.greeted = Some(epoch);
        }
    }

    fn tell_size(&mut self) {
        if self.streams.console == Console::Terminal && self.greeted.is_some() {
            let (rows, columns) = terminal::size();
            // Without room for it now, the next change of size tells.
            let _ = self.link.send_control(Control::WindowSize { rows, columns });
        }
    }

    fn send_input(&mut self) {
        if self.greeted.is_none() {
            return;
        }
        if !self.input.is_empty() {
            let taken = self.link.send(Channel::Stdin, &self.input);
            self.input.drain(..taken);
            if self.input.is_empty() {
                self.ask_for_input();
            }
        }
        if self.end_to_send && self.input.is_empty() {
            self.end_to_send = !self.link.send_end(Channel::Stdin);
        }
    }

    fn send_piece(&mut self) {
        if self.writing {
            return;
        }
        let mut piece = [0; PIECE];
        let length = self.link.pull(&mut piece);
        // A writer that is gone means a machine that is gone: its end comes as an event.
        self.writing = length > 0 && self.pieces.send(piece[..length].to_vec()).is_ok();
    }
}

fn read_all(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    // What could be read is what there is to say.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read_serial(mut from: impl Read + Send + 'static, to: Sender<Event>) {
    thread::spawn(move || {
        let mut piece = [0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if to.send(Event::Serial(piece[..length].to_vec())).is_err() {
                return;
            }
        }
        let _ = to.send(Event::SerialEnd);
    });
}

fn write_serial(mut to: impl Write + Send + 'static, done: Sender<Event>) -> SyncSender<Vec<u8>> {
    let (sender, pieces) = sync_channel::<Vec<u8>>(1);
    thread::spawn(move || {
        for piece in pieces {
            if to.write_all(&piece).and_then(|()| to.flush()).is_err() || done.send(Event::Written).is_err() {
                return;
            }
        }
    });
    sender
}

/// Reads one piece, and another one whenever it is asked to.
fn read_input(mut from: Box<dyn Read + Send>, to: Sender<Event>) -> Sender<()> {
    let (sender, wanted) = channel();
    thread::spawn(move || {
        let mut piece = [0; PIECE];
        loop {
            let event = match from.read(&mut piece) {
                Ok(length @ 1..) => Event::Input(piece[..length].to_vec()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                _ => Event::InputEnd,
            };
            let ended = matches!(event, Event::InputEnd);
            if to.send(event).is_err() || ended || wanted.recv().is_err() {
                return;
            }
        }
    });
    sender
}

fn watch_signals(to: Sender<Event>) -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if to.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Whether bytes held at the wire's end are a kernel's last words and not a frame that the end of the machine cut off.
fn is_text(bytes: &[u8]) -> bool {
    let said = |c: char| !c.is_control() || c.is_whitespace() || c == '\x1b';
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(said))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
