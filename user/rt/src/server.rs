//! A server's loop: receive, dispatch, answer; heartbeats and orders beside it (`sal_proto::service`).
//!
//! What must always hold here: a message is answered, kept, or dropped with its caller told (`ServerDied`, which repeats); the request in service stands in
//! the message page while it is served; nothing that a client sends ends the loop.

use crate::connection::cap;
use crate::start::own;
use sal_abi::boot::ExitReason;
use sal_abi::message::{Arrival, CAPS, Kind, LOANS};
use sal_abi::{CapArg, Error, Handle, Words};
use sal_idl::{Attachments, Outcome, Response, Status};
use sal_proto::service::{self, COMMITS, PLACE, Place, REQUEST_BADGE, REQUEST_WORD, SIGNAL_BADGE, answer, signal};
use sal_sys::ipc::{self, Extras, Failed, Received};
use sal_sys::{capability, page};

/// What a server does with what arrives.
pub trait Service {
    /// Capabilities that its operations take (at most 4); 0 keeps messages on the kernel's fast path.
    const ACCEPT: usize = 0;

    /// A message; mostly `interface::dispatch(self, arrival, badge, words, attachments)`.
    fn message(&mut self, arrival: Arrival, badge: u64, words: &Words, attachments: &mut dyn Attachments) -> Outcome;

    /// Bits of a notification that was made with this badge.
    fn notified(&mut self, badge: u64, bits: u64) {
        let _ = (badge, bits);
    }

    /// When [`Service::expired`] is to be called at the latest (nanoseconds since boot), asked before each wait; `None`: never.
    fn deadline(&mut self) -> Option<u64> {
        None
    }

    /// The deadline has passed while nothing arrived.
    fn expired(&mut self) {}

    /// A fault of a memory that this endpoint pages; the answer goes to the faulting thread after the page was supplied or refused.
    fn fault(&mut self, badge: u64, words: &Words) -> Response {
        let _ = (badge, words);
        Response::status(Status::Malformed)
    }
}

/// The caller in service, seen through the kernel: its loans by the built-in reply, until it is kept.
#[derive(Debug)]
pub struct InService {
    reply: Handle,
    lent: [u64; LOANS],
    received: [Handle; CAPS],
}

impl InService {
    /// Of the message that was just received: what stands in the message page is copied, since calls of the server's own overwrite it.
    pub fn new(arrival: Arrival) -> InService {
        let mut now = InService { reply: Handle::NONE, lent: [0; LOANS], received: [Handle::NONE; CAPS] };
        now.lent.iter_mut().take(arrival.loans()).enumerate().for_each(|(i, lent)| *lent = page::lent(i));
        now.received.iter_mut().take(arrival.caps()).enumerate().for_each(|(i, handle)| *handle = page::received(i));
        now
    }

    /// Of a caller that was kept in `reply` with these buffers.
    pub const fn kept(reply: Handle, lent: [u64; LOANS]) -> InService {
        InService { reply, lent, received: [Handle::NONE; CAPS] }
    }
}

impl Attachments for InService {
    fn lent(&self, loan: usize) -> u64 {
        self.lent.get(loan).copied().unwrap_or(0)
    }

    fn read(&mut self, loan: usize, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        ipc::loan_read(self.reply, loan, offset, to)
    }

    fn write(&mut self, loan: usize, offset: u64, from: &[u8]) -> Result<usize, Error> {
        ipc::loan_write(self.reply, loan, offset, from)
    }

    fn received(&self, i: usize) -> Handle {
        self.received.get(i).copied().unwrap_or(Handle::NONE)
    }

    fn close(&mut self, handle: Handle) {
        let _ = capability::close(handle);
    }

    fn keep(&mut self, place: Handle) -> Result<(), Error> {
        ipc::keep(place)?;
        self.reply = place;
        Ok(())
    }
}

/// Answers a kept caller.
///
/// # Errors
/// `Vacant` if nobody waits there any more; `NotAccepted`.
pub fn answer_kept(place: Handle, response: &Response) -> Result<(), Error> {
    let extras = Extras::new(0, prepare(response), 0);
    ipc::reply(place, &response.words, extras)
}

/// Puts a response's capabilities into the message page; how many.
fn prepare(response: &Response) -> usize {
    let mut caps = [CapArg::default(); CAPS];
    caps.iter_mut().zip(&response.gives).for_each(|(to, give)| *to = cap(give));
    page::set_send(caps.get(..response.count).unwrap_or(&caps))
}

/// Says what this thread is at from now on, for whoever finds it dead. The server's loop does; a server with a loop of its own must.
#[inline]
pub fn is_at(place: Place) {
    page::set_user(PLACE, place as u64);
}

/// Says where this program counts its commits. Once, before the first [`is_at`].
pub fn counts_commits() {
    page::set_user(COMMITS, core::ptr::from_ref(&sal_vault::store::COMMITTING) as u64);
}

/// Serves `endpoint` for ever.
pub fn serve<S: Service>(endpoint: Handle, service: &mut S) -> ! {
    let mut state = Loop::new();
    counts_commits();
    is_at(Place::Waiting);
    let mut next = receive(endpoint, None, bounded(service));
    loop {
        let response = match next {
            Ok(received) => state.handle(service, &received),
            Err(failed) => {
                survive(failed);
                if failed.error == Error::DeadlinePassed {
                    is_at(Place::Notice);
                    service.expired();
                }
                None
            }
        };
        is_at(Place::Waiting);
        next = receive(endpoint, response.as_ref(), bounded(service));
    }
}

/// How the next wait goes: what it accepts, and its deadline.
#[inline]
fn bounded<S: Service>(service: &mut S) -> Extras {
    match service.deadline() {
        None => Extras::accept(S::ACCEPT),
        Some(deadline) => {
            page::set_deadline(deadline);
            Extras::accept(S::ACCEPT).with_deadline()
        }
    }
}

/// Answers, if there is an answer, and waits for what comes next.
#[inline]
fn receive(endpoint: Handle, response: Option<&Response>, wait: Extras) -> Result<Received, Failed> {
    match response {
        None => ipc::receive(endpoint, wait),
        Some(response) if response.count == 0 => ipc::reply_receive(endpoint, &response.words, wait),
        Some(response) => {
            let extras = Extras::new(0, prepare(response), 0);
            if let Err(error) = ipc::reply(Handle::NONE, &response.words, extras)
                && error != Error::Vacant
            {
                // The capabilities can't go; the caller must not wait for ever.
                let _ = ipc::reply(Handle::NONE, &Response::status(Status::Malformed).words, Extras::NONE);
            }
            ipc::receive(endpoint, wait)
        }
    }
}

/// A failed receive: passing conditions go on; an endpoint that is none ends the program.
#[cold]
fn survive(failed: Failed) {
    match failed.error {
        Error::Interrupted | Error::DeadlinePassed | Error::Vacant | Error::NotAccepted | Error::Absent => {}
        error => crate::start::die(
            ExitReason::MissingGrant,
            format_args!("this server can't receive at its endpoint: {}", error.name()),
        ),
    }
}

/// Hangs, by order. A function of its own, so that the backtrace names it.
#[cold]
#[inline(never)]
fn spin_as_ordered() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// What the loop remembers.
struct Loop {
    heartbeat: Handle,
    poison: [u64; 2],
    paused: bool,
}

impl Loop {
    fn new() -> Loop {
        let startup = own::startup();
        Loop {
            heartbeat: startup.map_or(Handle::NONE, |s| crate::Grants(s).find(service::HEARTBEAT)),
            poison: startup
                .and_then(|s| crate::Grants(s).get(service::POISON))
                .map_or([0; 2], |grant| [grant.address, grant.handle.0]),
            paused: false,
        }
    }

    /// The answer to what arrived, if it takes one.
    fn handle<S: Service>(&mut self, service: &mut S, received: &Received) -> Option<Response> {
        match received.arrival.kind() {
            Kind::Message => self.message(service, received),
            Kind::Notified if received.badge == SIGNAL_BADGE => {
                self.signalled(received.words[0]);
                None
            }
            Kind::Notified => {
                is_at(Place::Notice);
                service.notified(received.badge, received.words[0]);
                None
            }
            Kind::Fault => {
                is_at(Place::Request);
                Some(service.fault(received.badge, &received.words))
            }
        }
    }

    fn message<S: Service>(&mut self, service: &mut S, received: &Received) -> Option<Response> {
        let mut attachments = InService::new(received.arrival);
        if let Some(status) = self.refusal(received) {
            sal_idl::server::close_received(received.arrival.caps(), &mut attachments);
            return Some(Response::status(status));
        }
        page::set_user(REQUEST_BADGE, received.badge);
        page::set_user(REQUEST_WORD, received.words[0]);
        is_at(Place::Request);
        let outcome = service.message(received.arrival, received.badge, &received.words, &mut attachments);
        page::set_user(REQUEST_WORD, 0);
        match outcome {
            Outcome::Reply(response) => Some(response),
            Outcome::Kept => None,
        }
    }

    /// Is the request not to be served, whatever it is?
    fn refusal(&self, received: &Received) -> Option<Status> {
        // Flags differ between a request and its repetitions.
        let flags = 0xff << 16;
        let [badge, word] = self.poison;
        let poisoned = word != 0 && badge == received.badge && word & !flags == received.words[0] & !flags;
        match (self.paused, poisoned) {
            (true, _) => Some(Status::Later),
            (false, true) => Some(Status::Poisoned),
            (false, false) => None,
        }
    }

    fn signalled(&mut self, bits: u64) {
        if bits & signal::HANG != 0 {
            spin_as_ordered();
        }
        if bits & signal::PAUSE != 0 {
            self.paused = true;
        }
        if bits & signal::RESUME != 0 {
            self.paused = false;
        }
        if bits & signal::PING != 0 && !self.heartbeat.is_none() {
            let _ = ipc::notify(self.heartbeat, answer::BEAT);
        }
    }
}
