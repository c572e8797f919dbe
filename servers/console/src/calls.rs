//! The interface's operations, now and for callers that waited.

use sal_abi::message::LOANS;
use sal_console_core::{Client, Outcome, Refusal, Request, Wait};
use sal_console_core::{Stream as Output, WindowSize};
use sal_idl::header::client_key;
use sal_idl::{Call, ReadLoan, Response, Stop, WriteLoan};
use sal_proto::console::{self, Error, Kind, Stream, events, exit, flags, info, ioctl, poll, read, watch, write};
use sal_rt::clock;
use sal_rt::server::{InService, answer_kept};
use zerocopy::IntoBytes;

use crate::ioctl::Command;
use crate::run::Server;
use crate::waiting::Kept;

/// Most bytes that one write takes from its caller.
const PIECE: usize = 1024;

/// How often the driver is asked, at the machine's end, whether the host has everything.
const DRAIN_NS: u64 = 2_000_000;

/// What a caller wants, complete with what it gave but its buffers' contents.
#[derive(Clone, Copy)]
pub(crate) enum What {
    Read { to: WriteLoan, wait: Wait },
    Write { stream: Output, from: ReadLoan, wait: Wait },
    Ioctl(Command),
    Events,
    Exit(u8),
}

/// How one attempt went.
pub(crate) enum Attempt {
    /// Answered, with this result.
    Done(i64),
    NotYet {
        deadline: Option<u64>,
    },
}

type Answer<T> = Result<T, Stop<Error>>;

impl Server {
    fn client(&self, call: &Call<'_>) -> Client {
        // Keys carry the badge in their upper half (`client_key`).
        let badge = client_key(call.badge, 0) >> 32;
        self.console.client(call.header.slot, call.header.sequence, |key| key >> 32 == badge)
    }

    /// Serves a request, or keeps its caller. The result is the core's.
    fn perform(&mut self, call: &mut Call<'_>, what: What) -> Answer<i64> {
        let client = self.client(call);
        self.waiting.forget(client);
        match self.attempt(call, client, what)? {
            Attempt::Done(result) => Ok(result),
            Attempt::NotYet { .. } if what.wait() == Wait::No => Err(Error::WouldBlock.into()),
            Attempt::NotYet { deadline } => {
                let mut lent = [0; LOANS];
                for (loan, length) in lent.iter_mut().enumerate() {
                    *length = call.attachments().lent(loan);
                }
                let kept = Kept { header: call.header, badge: call.badge, client, what, lent, deadline };
                self.waiting.keep(call, kept).map_err(|_| Error::NoSlot)?;
                Err(Stop::Kept)
            }
        }
    }

    /// One attempt, for a caller in service or a kept one.
    fn attempt(&mut self, call: &mut Call<'_>, client: Client, what: What) -> Answer<Attempt> {
        let now = clock::now();
        let mut buffer = [0; PIECE];
        let request = match what {
            What::Read { to, wait } => Request::Read { most: to.length as usize, wait },
            What::Write { stream, from, .. } => {
                let length = from.length.min(PIECE as u64) as usize;
                let bytes = buffer.get_mut(..length).unwrap_or_default();
                call.read(from, 0, bytes)?;
                Request::Write { stream, bytes }
            }
            What::Ioctl(command) => command.request(),
            What::Events => Request::TakeEvents,
            What::Exit(status) => Request::Exit(status),
        };
        match self.console.serve(client, request, now) {
            Outcome::Pending { deadline } => Ok(Attempt::NotYet { deadline }),
            Outcome::Done { answer, data } => {
                let [result, ..] = answer;
                let result = checked(result as i64)?;
                if let What::Read { to, .. } = what {
                    call.write(to, 0, data)?;
                }
                if let What::Ioctl(command) = what {
                    return Ok(Attempt::Done(command.give(call, &answer)?));
                }
                // The machine ends after this answer: the host must have everything by then.
                if matches!(what, What::Exit(_)) && !self.line.is_drained(&self.console) {
                    let deadline = Some(now.saturating_add(DRAIN_NS));
                    return Ok(Attempt::NotYet { deadline });
                }
                Ok(Attempt::Done(result))
            }
        }
    }

    /// Tries every kept caller again. Says whether one was answered.
    pub(crate) fn answer_waiting(&mut self) -> bool {
        let mut answered = false;
        for index in 0..self.waiting.places.len() {
            let Some((reply, kept)) =
                self.waiting.places.get(index).and_then(|place| Some((place.reply(), place.kept?)))
            else {
                continue;
            };
            let mut service = InService::kept(reply, kept.lent);
            let mut call = Call::new(kept.header, kept.badge, &mut service);
            let response = match self.attempt(&mut call, kept.client, kept.what) {
                Ok(Attempt::Done(result)) => Some(kept.what.response(result)),
                Ok(Attempt::NotYet { deadline }) => {
                    self.set_deadline(index, deadline);
                    continue;
                }
                Err(Stop::Error(error)) => Some(error.response()),
                Err(Stop::Loan(sal_idl::LoanError::Absent { loan, offset })) => Some(Response::absent(loan, offset)),
                // Nobody waits there any more, or it lent what it said it didn't.
                Err(Stop::Loan(_) | Stop::Kept) => None,
            };
            let response = response.unwrap_or(Response::status(sal_idl::Status::Malformed));
            let _ = answer_kept(reply, &response);
            if let Some(place) = self.waiting.places.get_mut(index) {
                place.kept = None;
            }
            answered = true;
        }
        answered
    }

    fn set_deadline(&mut self, index: usize, deadline: Option<u64>) {
        if let Some(kept) = self.waiting.places.get_mut(index).and_then(|place| place.kept.as_mut()) {
            kept.deadline = deadline;
        }
    }
}

impl What {
    fn wait(self) -> Wait {
        match self {
            What::Read { wait, .. } | What::Write { wait, .. } => wait,
            _ => Wait::Since(0),
        }
    }

    /// The answer to a caller that waited.
    fn response(self, result: i64) -> Response {
        match self {
            What::Read { .. } => read::Results { count: result as u32 }.response(),
            What::Write { .. } => write::Results { count: result as u32 }.response(),
            What::Events => events::Results { events: result as u64 }.response(),
            What::Ioctl(_) => ioctl::Results { value: result }.response(),
            What::Exit(_) => exit::Results {}.response(),
        }
    }
}

/// The core's result, or the interface's error.
fn checked(result: i64) -> Answer<i64> {
    const STALE: i64 = Refusal::Stale as i64;
    const AGAIN: i64 = Refusal::Again as i64;
    match result {
        0.. => Ok(result),
        STALE => Err(Error::NoSlot.into()),
        AGAIN => Err(Error::WouldBlock.into()),
        _ => Err(Error::NotATerminal.into()),
    }
}

fn wait(bits: u32) -> Wait {
    if bits & flags::NONBLOCK != 0 { Wait::No } else { Wait::Since(clock::now()) }
}

impl console::Server for Server {
    fn open_slot(&mut self, key: u64) -> Option<u16> {
        self.console.open(key)
    }

    fn read(&mut self, call: &mut Call<'_>, a: read::Arguments) -> Answer<read::Results> {
        if a.stream != Stream::Input && self.console.mode() != sal_console_core::Mode::Tty {
            return Err(Error::WrongStream.into());
        }
        let what = What::Read { to: a.buffer, wait: wait(a.flags) };
        let count = self.perform(call, what)? as u32;
        Ok(read::Results { count })
    }

    fn write(&mut self, call: &mut Call<'_>, a: write::Arguments) -> Answer<write::Results> {
        let stream = match a.stream {
            Stream::Error => Output::Error,
            Stream::Input if self.console.mode() != sal_console_core::Mode::Tty => {
                return Err(Error::WrongStream.into());
            }
            _ => Output::Out,
        };
        let what = What::Write { stream, from: a.bytes, wait: wait(a.flags) };
        let count = self.perform(call, what)? as u32;
        Ok(write::Results { count })
    }

    fn poll(&mut self, _call: &mut Call<'_>, _: poll::Arguments) -> Answer<poll::Results> {
        Ok(poll::Results { ready: self.console.events() })
    }

    fn watch(&mut self, _call: &mut Call<'_>, a: watch::Arguments) -> Answer<watch::Results> {
        self.keep_watcher(a.notification);
        Ok(watch::Results { ready: self.console.events() })
    }

    fn ioctl(&mut self, call: &mut Call<'_>, a: ioctl::Arguments) -> Answer<ioctl::Results> {
        let command = Command::new(call, &a)?;
        let value = self.perform(call, What::Ioctl(command))?;
        Ok(ioctl::Results { value })
    }

    fn info(&mut self, call: &mut Call<'_>, _: info::Arguments) -> Answer<info::Results> {
        let kind = match self.console.mode() {
            sal_console_core::Mode::Unknown => Kind::Unknown,
            sal_console_core::Mode::Pipes => Kind::Streams,
            sal_console_core::Mode::Tty => Kind::Terminal,
        };
        let mut size = WindowSize::default();
        if kind == Kind::Terminal
            && let Outcome::Done { answer, .. } =
                self.console.serve(self.client(call), Request::GetWindow, clock::now())
        {
            let [_, window, ..] = answer;
            size.as_mut_bytes().copy_from_slice(&window.to_le_bytes());
        }
        Ok(info::Results { kind, rows: size.rows, columns: size.columns })
    }

    fn exit(&mut self, call: &mut Call<'_>, a: exit::Arguments) -> Answer<exit::Results> {
        self.perform(call, What::Exit(a.status))?;
        Ok(exit::Results {})
    }

    fn events(&mut self, call: &mut Call<'_>, _: events::Arguments) -> Answer<events::Results> {
        let events = self.perform(call, What::Events)? as u64;
        Ok(events::Results { events })
    }
}
