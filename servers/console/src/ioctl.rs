//! Terminal ioctls by their Linux numbers (ioctl_tty(2); asm-generic/ioctls.h).

use sal_console_core::{Queue, Request, Termios, When, WindowSize};
use sal_idl::{Call, Stop, WriteLoan};
use sal_proto::console::{Error, ioctl};
use sal_vault::Answer;
use zerocopy::{FromBytes, IntoBytes};

const TCGETS: u32 = 0x5401;
const TCSETS: u32 = 0x5402;
const TCSETSW: u32 = 0x5403;
const TCSETSF: u32 = 0x5404;
const TCSBRK: u32 = 0x5409;
const TCXONC: u32 = 0x540a;
const TCFLSH: u32 = 0x540b;
const TIOCGWINSZ: u32 = 0x5413;
const TIOCSWINSZ: u32 = 0x5414;
const FIONREAD: u32 = 0x541b;
const TCSBRKP: u32 = 0x5425;

/// An ioctl, decoded.
#[derive(Clone, Copy)]
pub(crate) struct Command {
    act: Act,
    output: WriteLoan,
}

#[derive(Clone, Copy)]
enum Act {
    GetTermios,
    SetTermios(Termios, When),
    GetWindow,
    SetWindow(WindowSize),
    Flush(Queue),
    Drain,
    Stop,
    Start,
    Available,
}

impl Command {
    /// Decodes, and copies what comes in by `input`.
    pub(crate) fn new(call: &mut Call<'_>, a: &ioctl::Arguments) -> Result<Command, Stop<Error>> {
        let act = match (a.command, a.argument) {
            (TCGETS, _) => Act::GetTermios,
            (TCSETS, _) => Act::SetTermios(input(call, a)?, When::Now),
            (TCSETSW, _) => Act::SetTermios(input(call, a)?, When::Drained),
            (TCSETSF, _) => Act::SetTermios(input(call, a)?, When::Flushed),
            (TCSBRK | TCSBRKP, _) => Act::Drain,
            (TCXONC, 0) => Act::Stop,
            (TCXONC, 1) => Act::Start,
            (TCFLSH, 0) => Act::Flush(Queue::Input),
            (TCFLSH, 1) => Act::Flush(Queue::Output),
            (TCFLSH, 2) => Act::Flush(Queue::Both),
            (TIOCGWINSZ, _) => Act::GetWindow,
            (TIOCSWINSZ, _) => Act::SetWindow(input(call, a)?),
            (FIONREAD, _) => Act::Available,
            (TCXONC | TCFLSH, _) => return Err(Error::BadArgument.into()),
            _ => return Err(Error::NotATerminal.into()),
        };
        Ok(Command { act, output: a.output })
    }

    /// What the core is asked.
    pub(crate) fn request(self) -> Request<'static> {
        match self.act {
            Act::GetTermios => Request::GetTermios,
            Act::SetTermios(termios, when) => Request::SetTermios { termios, when },
            Act::GetWindow => Request::GetWindow,
            Act::SetWindow(size) => Request::SetWindow(size),
            Act::Flush(queue) => Request::Flush(queue),
            Act::Drain => Request::Drain,
            Act::Stop => Request::Stop,
            Act::Start => Request::Start,
            Act::Available => Request::Available,
        }
    }

    /// Copies the core's answer out; the value of the ioctl.
    pub(crate) fn give(self, call: &mut Call<'_>, answer: &Answer) -> Result<i64, Stop<Error>> {
        let [result, rest @ ..] = answer;
        let value = *result as i64;
        let number = (value as u32).to_le_bytes();
        let bytes = match self.act {
            Act::GetTermios => rest.as_bytes().get(..size_of::<Termios>()),
            Act::GetWindow => rest.as_bytes().get(..size_of::<WindowSize>()),
            Act::Available => Some(number.as_slice()),
            _ => None,
        };
        let Some(bytes) = bytes else { return Ok(value) };
        // FIONREAD's number is the value as well, so its buffer may be left out.
        if self.output.length == 0 && matches!(self.act, Act::Available) {
            return Ok(value);
        }
        if self.output.length < bytes.len() as u64 {
            return Err(Error::BadArgument.into());
        }
        call.write(self.output, 0, bytes)?;
        Ok(value)
    }
}

/// The structure that comes in by the buffer `input`.
fn input<T: FromBytes + IntoBytes>(call: &mut Call<'_>, a: &ioctl::Arguments) -> Result<T, Stop<Error>> {
    let mut value = T::new_zeroed();
    if a.input.length < size_of::<T>() as u64 {
        return Err(Error::BadArgument.into());
    }
    call.read(a.input, 0, value.as_mut_bytes())?;
    Ok(value)
}
