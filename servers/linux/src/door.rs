//! The first thread, once all is started: terminal events, new mounts, timers, the end.

use crate::mounts::Names;
use crate::shared::{Core, Shared};
use core::sync::atomic::Ordering;
use sal_abi::message::Arrival;
use sal_abi::{Handle, Rights, Words};
use sal_idl::{Attachments, Give, Outcome, Response, Status};
use sal_linux_core::job::{STREAM_MAJOR, TtyEvent};
use sal_proto::console::{self, event};
use sal_proto::supervisor;
use sal_rt::server::Service;
use sal_rt::{Connection, log};

/// Badges of the notifications that arrive here.
pub(crate) mod badge {
    /// The console's.
    pub(crate) const CONSOLE: u64 = 1;
    /// The name server's.
    pub(crate) const NAMES: u64 = 2;
    /// This program's own threads'.
    pub(crate) const OWN: u64 = 3;
}

/// Terminals and streams that one console stands for.
const TTYS: core::ops::RangeInclusive<u32> = 0..=3;
const _: () = assert!(STREAM_MAJOR == 4);

/// Status of a machine that the host asked to end: as by SIGTERM.
const STOPPED: u8 = 128 + 15;

/// What the first thread needs.
pub(crate) struct Door {
    pub(crate) shared: &'static Shared,
    pub(crate) console: console::Client<Connection>,
    pub(crate) names: Option<Names>,
}

impl Door {
    /// Has the console tell of what happens, and looks at what has.
    pub(crate) fn watch(&mut self, bell: Handle) {
        match self.console.watch(Give::copy(bell, Rights::SEND)) {
            Ok(reply) => self.terminal(reply.ready),
            Err(failure) => log::error!("the console does not tell of events: {failure:?}"),
        }
    }

    fn terminal(&mut self, bits: u64) {
        let ready = event::READABLE | event::WRITABLE;
        let mut happened = 0;
        if bits & !ready != 0 {
            match self.console.events() {
                Ok(reply) => happened = reply.events,
                Err(failure) => log::error!("the console's events are lost: {failure:?}"),
            }
        }
        let mut core = self.shared.core.lock();
        let Core { linux, machine } = &mut *core;
        let signals = [
            (event::INTERRUPT, TtyEvent::Interrupt),
            (event::QUIT, TtyEvent::Quit),
            (event::SUSPEND, TtyEvent::Suspend),
            (event::WINDOW, TtyEvent::Resized),
            (event::HANGUP, TtyEvent::HangUp),
        ];
        for (_, event) in signals.iter().filter(|(bit, _)| happened & bit != 0) {
            linux.tty_event(0, *event, machine);
        }
        if bits & (ready | event::HANGUP) != 0 {
            TTYS.for_each(|tty| linux.tty_event(tty, TtyEvent::Ready, machine));
        }
        drop(core);
        if happened & event::STOP != 0 {
            self.shared.end(STOPPED);
        }
    }

    /// The last act: the host gets all output and the status, then the machine ends.
    fn finish(&mut self, status: u8) {
        // The host has learnt the status, so for it the machine ends in order.
        let rest = match self.console.exit(status) {
            Ok(_) => 0,
            Err(failure) => {
                log::error!("the exit status {status} can't be told: {failure:?}");
                status
            }
        };
        let mut supervisor = supervisor::Client(Connection::plain(self.shared.supervisor));
        if let Err(failure) = supervisor.power_off(rest) {
            log::error!("the machine does not end: {failure:?}");
        }
    }
}

impl Service for Door {
    /// Nobody calls the personality yet.
    fn message(&mut self, arrival: Arrival, _: u64, _: &Words, attachments: &mut dyn Attachments) -> Outcome {
        sal_idl::server::close_received(arrival.caps(), attachments);
        Outcome::Reply(Response::status(Status::UnknownOperation))
    }

    fn notified(&mut self, from: u64, bits: u64) {
        match from {
            badge::CONSOLE => self.terminal(bits),
            badge::NAMES => {
                if let Some(names) = &mut self.names {
                    names.refresh(self.shared);
                }
            }
            _ => {}
        }
        if let Some(status) = self.shared.ending() {
            self.finish(status);
        }
    }

    fn deadline(&mut self) -> Option<u64> {
        Some(self.shared.alarm.load(Ordering::Acquire)).filter(|at| *at != u64::MAX)
    }

    fn expired(&mut self) {
        let mut core = self.shared.core.lock();
        let Core { linux, machine } = &mut *core;
        linux.timers_due(machine);
    }
}
