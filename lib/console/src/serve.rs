//! Requests of clients. One function per family; each is decode, check, then one commit that cannot fail.

use sal_link::{CONTROL_LENGTH, Channel, Control};
use sal_tty::{Output, Queue, Read, Termios, Tty, Wait, WindowSize};
use sal_vault::{ANSWER_WORDS, Answer, Lookup, store};
use zerocopy::IntoBytes;

use crate::driver::OFFER;
use crate::request::{Client, Outcome, Refusal, Request, Stream, When, event, poll};
use crate::state::{Console, ECHO, Mode, READ_MOST, State};

/// What a request yields before it is recorded; `Err`: nothing changed.
type Step = Result<Answer, NotYet>;

/// Why a request is not carried out.
enum NotYet {
    /// Not yet; the deadline, if any.
    Pending(Option<u64>),
    /// Refused: nothing to record.
    Refused(Refusal),
}

impl Console<'_> {
    /// The slot of client `key` (not 0), newly opened or the one that it has. `None`: none is free.
    pub fn open(&mut self, key: u64) -> Option<u16> {
        let known = (0..crate::SLOTS as u16).find(|&slot| self.state.get().slots.key(slot) == Some(key));
        known.or_else(|| self.state.update(|state| state.slots.open(key)))
    }

    /// Frees the slots of the clients for whose key `gone` holds: nobody repeats their requests.
    pub fn close(&mut self, gone: impl Fn(u64) -> bool) {
        self.state.update(|state| state.slots.close(gone));
    }

    /// The event bits to raise upwards: those that nobody has taken, and what is ready. After adoption, and after
    /// whatever changed something.
    pub fn events(&self) -> u64 {
        let state = self.state.get();
        let ready = readiness(state);
        let mut events = state.events;
        if ready & (poll::IN | poll::HANGUP) != 0 {
            events |= event::READABLE;
        }
        if ready & (poll::OUT | poll::ERROR) != 0 {
            events |= event::WRITABLE;
        }
        events
    }

    /// The client thread that has `slot`; with key 0, which is refused, if `owns` denies that its key is the sender's.
    pub fn client(&self, slot: u16, sequence: u32, owns: impl Fn(u64) -> bool) -> Client {
        let key = self.state.get().slots.key(slot).filter(|&key| owns(key)).unwrap_or(0);
        Client { key, slot, sequence }
    }

    /// Serves a request, for the first time or again. `now` in nanoseconds. Questions need no slot.
    pub fn serve(&mut self, client: Client, request: Request<'_>, now: u64) -> Outcome<'_> {
        if let Some(step) = query(self.state.get(), request) {
            return match step {
                Ok(answer) => done(answer),
                Err(why) => why.outcome(),
            };
        }
        match self.state.get().slots.lookup(client.key, client.slot, client.sequence) {
            Lookup::Answered(answer) => self.answered(client, request, answer),
            Lookup::Stale | Lookup::Closed => done(result(Refusal::Stale as i64)),
            Lookup::New => self.serve_new(client, request, now),
        }
    }

    fn answered(&self, client: Client, request: Request<'_>, answer: Answer) -> Outcome<'_> {
        let [length, ..] = answer;
        let data = match request {
            Request::Read { .. } => self.data.get(usize::from(client.slot)),
            _ => None,
        };
        let data = data.and_then(|data| data.get(..length as usize)).unwrap_or_default();
        Outcome::Done { answer, data }
    }

    fn serve_new(&mut self, client: Client, request: Request<'_>, now: u64) -> Outcome<'_> {
        if let Request::Read { most, wait } = request {
            return self.read(client, most, wait, now);
        }
        let step: Step = self.state.try_update(|state| {
            let answer = change(state, request)?;
            state.slots.record(client.slot, client.sequence, answer);
            Ok(answer)
        });
        match step {
            Ok(answer) => done(answer),
            Err(why) => why.outcome(),
        }
    }

    /// Takes input. The bytes go to the slot's place first; the commit that consumes them makes them count.
    fn read(&mut self, client: Client, most: usize, wait: Wait, now: u64) -> Outcome<'_> {
        let mut bytes = [0; READ_MOST];
        let out = bytes.get_mut(..most.min(READ_MOST)).unwrap_or_default();
        let Some(place) = self.data.get_mut(usize::from(client.slot)) else {
            return done(result(Refusal::Stale as i64));
        };
        let step: Step = self.state.try_update(|state| {
            let length = take_input(state, out, wait, now)?;
            store::bytes(place, out.get(..length).unwrap_or_default());
            let answer = result(length as i64);
            state.slots.record(client.slot, client.sequence, answer);
            Ok(answer)
        });
        match step {
            Ok(answer) => self.answered(client, Request::Read { most, wait }, answer),
            Err(why) => why.outcome(),
        }
    }
}

impl NotYet {
    fn outcome(self) -> Outcome<'static> {
        match self {
            NotYet::Pending(deadline) => Outcome::Pending { deadline },
            NotYet::Refused(refusal) => done(result(refusal as i64)),
        }
    }
}

fn done(answer: Answer) -> Outcome<'static> {
    Outcome::Done { answer, data: &[] }
}

fn result(word: i64) -> Answer {
    words(word, &[])
}

/// An answer: the result and up to 56 bytes in the words after it.
fn words(word: i64, bytes: &[u8]) -> Answer {
    let mut answer = [0; ANSWER_WORDS];
    let (first, rest) = answer.as_mut_bytes().split_at_mut(8);
    first.copy_from_slice(&word.to_le_bytes());
    for (to, from) in rest.iter_mut().zip(bytes) {
        *to = *from;
    }
    answer
}

fn take_input(state: &mut State, out: &mut [u8], wait: Wait, now: u64) -> Result<usize, NotYet> {
    let over = state.is_input_over();
    match state.tty.read(out, wait, now) {
        Read::Bytes(length) => Ok(length),
        // The last line may lack its newline; after it comes the end.
        Read::WouldBlock { .. } if over => Ok(state.tty.take_unfinished(out)),
        Read::WouldBlock { deadline } if wait != Wait::No => Err(NotYet::Pending(deadline)),
        Read::WouldBlock { .. } => Err(NotYet::Refused(Refusal::Again)),
    }
}

/// Questions, which change nothing and need no record. `None`: it isn't one.
fn query(state: &State, request: Request<'_>) -> Option<Step> {
    let step = match request {
        Request::Mode => mode(state),
        Request::GetTermios => on_tty(state).map(|tty| words(0, tty.termios().as_bytes())),
        Request::GetWindow => on_tty(state).map(|tty| words(0, tty.window_size().as_bytes())),
        Request::Available => Ok(result(state.tty.available() as i64)),
        Request::Poll => Ok(result(readiness(state) as i64)),
        Request::Drain => drained(state).map(|()| result(0)),
        _ => return None,
    };
    Some(step)
}

fn mode(state: &State) -> Step {
    match state.mode() {
        Mode::Unknown => Err(NotYet::Pending(None)),
        Mode::Pipes => Ok(result(0)),
        Mode::Tty => Ok(result(1)),
    }
}

fn on_tty(state: &State) -> Result<&Tty, NotYet> {
    match state.mode() {
        Mode::Tty => Ok(&state.tty),
        Mode::Pipes => Err(NotYet::Refused(Refusal::NotTerminal)),
        Mode::Unknown => Err(NotYet::Pending(None)),
    }
}

fn drained(state: &State) -> Result<(), NotYet> {
    let waits = [Channel::Stdout, Channel::Stderr].iter().any(|&channel| state.out(channel).len() > 0);
    if waits { Err(NotYet::Pending(None)) } else { Ok(()) }
}

/// [`poll`] bits.
fn readiness(state: &State) -> u64 {
    let mut ready = 0;
    if state.tty.is_readable() || state.is_input_over() {
        ready |= poll::IN;
    }
    if state.is_input_over() {
        ready |= poll::HANGUP;
    }
    if state.mode() != Mode::Unknown {
        let has_room = |channel| state.out(channel).room() > 2 * ECHO;
        ready |= if has_room(Channel::Stdout) { poll::OUT } else { 0 };
        let error = if state.mode() == Mode::Tty { Channel::Stdout } else { Channel::Stderr };
        ready |= if has_room(error) { poll::ERROR } else { 0 };
    }
    ready
}

/// Operations with an effect, on the spare copy of the state.
fn change(state: &mut State, request: Request<'_>) -> Step {
    match request {
        Request::Write { stream, bytes } => write(state, stream, bytes),
        Request::SetTermios { termios, when } => set_termios(state, termios, when),
        Request::SetWindow(size) => set_window(state, size),
        Request::Flush(queue) => flush(state, queue),
        Request::Stop => flow(state, Tty::stop),
        Request::Start => flow(state, Tty::start),
        Request::TakeEvents => Ok(result(core::mem::take(&mut state.events) as i64)),
        Request::Exit(status) => exit(state, status),
        Request::PowerOff => control(state, &[Control::PowerOff]),
        // Questions and reads are answered before.
        _ => Err(NotYet::Refused(Refusal::Stale)),
    }
}

fn write(state: &mut State, stream: Stream, bytes: &[u8]) -> Step {
    let length = match (state.mode(), stream) {
        (_, Stream::Log) => state.out_mut(Channel::Log).write(bytes),
        (Mode::Unknown, _) => return Err(NotYet::Pending(None)),
        (Mode::Tty, _) => {
            let (tty, out) = state.tty_and(Channel::Stdout);
            tty.write(bytes, ECHO, out)
        }
        (Mode::Pipes, Stream::Out) => state.out_mut(Channel::Stdout).write(bytes),
        (Mode::Pipes, Stream::Error) => state.out_mut(Channel::Stderr).write(bytes),
    };
    if length == 0 && !bytes.is_empty() {
        return Err(NotYet::Pending(None));
    }
    state.extend_offers(OFFER);
    Ok(result(length as i64))
}

fn set_termios(state: &mut State, termios: Termios, when: When) -> Step {
    on_tty(state)?;
    if when != When::Now {
        drained(state)?;
    }
    let (tty, out) = state.tty_and(Channel::Stdout);
    if when == When::Flushed {
        tty.flush(Queue::Input, out);
    }
    tty.set_termios(termios);
    Ok(result(0))
}

fn set_window(state: &mut State, size: WindowSize) -> Step {
    on_tty(state)?;
    if state.tty.set_window_size(size) {
        state.events |= event::WINDOW;
    }
    Ok(result(0))
}

fn flush(state: &mut State, queue: Queue) -> Step {
    on_tty(state)?;
    let (tty, out) = state.tty_and(Channel::Stdout);
    tty.flush(queue, out);
    Ok(result(0))
}

fn flow(state: &mut State, act: impl Fn(&mut Tty)) -> Step {
    on_tty(state)?;
    act(&mut state.tty);
    state.extend_offers(OFFER);
    Ok(result(0))
}

/// The exit status, behind the ends of the output streams: the host reads up to there, then exits.
fn exit(state: &mut State, status: u8) -> Step {
    let end = |channel| Control::EndOfStream { channel, at: state.out(channel).written };
    let messages = [end(Channel::Stdout), end(Channel::Stderr), Control::ExitStatus(status)];
    control(state, &messages)
}

fn control(state: &mut State, messages: &[Control]) -> Step {
    let out = state.out_mut(Channel::Control);
    if out.room() < CONTROL_LENGTH * messages.len() {
        return Err(NotYet::Pending(None));
    }
    for message in messages {
        out.write(&message.encode());
    }
    state.extend_offers(OFFER);
    Ok(result(0))
}
