//! Start, interrupts, calls.

use sal_abi::boot::{ExitReason, Startup};
use sal_abi::message::Arrival;
use sal_abi::{Error as KernelError, Handle, Rights, Words};
use sal_idl::{Attachments, Call, Outcome, Stop};
use sal_proto::uart::{self, Error, Server, drained, event, read, watch, write};
use sal_rt::{Grants, clock, log, server, start, table};
use sal_sys::machine::{self, Width};
use sal_uart::device::{Device, Ports};
use sal_uart::driver::{self, Driver};
use sal_uart::ship::{self, ReadLog};
use sal_uart::vault::{Shipped, Vault};
use sal_vault::store;
use zerocopy::FromBytes;

/// First port of COM1.
const COM1: u16 = 0x3f8;

/// Badge of the interrupt's notification.
const INTERRUPT: u64 = 1;

/// Bytes copied from or to a caller at a time.
const PIECE: usize = 1024;

/// The driver's core names the bits for itself; they are the interface's.
const _: () = assert!(driver::READABLE == event::READABLE && driver::WRITABLE == event::WRITABLE);

/// COM1 by its capability. A refused access would be a wrong manifest entry, which `main` has found out.
struct Com1(Handle);

impl Ports for Com1 {
    fn read(&mut self, register: u8) -> u8 {
        machine::port_in(self.0, COM1 + u16::from(register), Width::Byte).unwrap_or(0) as u8
    }

    fn write(&mut self, register: u8, value: u8) {
        let _ = machine::port_out(self.0, COM1 + u16::from(register), Width::Byte, u32::from(value));
    }

    fn write_data(&mut self, bytes: &[u8]) {
        let _ = machine::port_out_string(self.0, COM1, bytes);
    }
}

/// How long a line of the log may wait here when nothing else happens, in nanoseconds: as soon as a person notices.
const LOG_PERIOD: u64 = 50_000_000;

/// The kernel's log, by its capability.
struct KernelLog(Handle);

impl ReadLog for KernelLog {
    fn read(&mut self, position: u64, into: &mut [u8]) -> (usize, u64) {
        machine::log_read(self.0, into, position).unwrap_or((0, position))
    }
}

struct Uart {
    driver: Driver<'static, Com1>,
    interrupt: Handle,
    watcher: Handle,
    /// Where the vault says under which handle the watcher lies in its table.
    kept: &'static mut u64,
    log: KernelLog,
    shipped: &'static mut Shipped,
    /// When the log is looked at next.
    next_log: u64,
}

pub(crate) fn main(startup: &'static Startup) {
    let grants = Grants(startup);
    let endpoint = grants.need("endpoint").handle;
    let (vault, ports) = (adopted(grants, startup.entropy[0] as u32), grants.need("ports:3f8").handle);
    let Vault { watcher: kept, bound, link, log: shipped, .. } = vault;
    let interrupt = grants.need("irq:4").handle;
    bind(interrupt, endpoint, bound)
        .unwrap_or_else(|error| die(format_args!("uart: can't bind interrupt line 4: {}", error.name())));
    let driver = Driver::new(link, Device::adopt(Com1(ports)));
    let watcher = table::find(*kept, Rights::SEND).unwrap_or(Handle::NONE);
    let mut uart =
        Uart { driver, interrupt, watcher, kept, log: KernelLog(grants.need("log").handle), shipped, next_log: 0 };
    uart.interrupted();
    server::serve(endpoint, &mut uart)
}

fn die(what: core::fmt::Arguments<'_>) -> ! {
    start::die(ExitReason::MissingGrant, what)
}

/// The vault, blank or a predecessor's.
fn adopted(grants: Grants<'static>, session: u32) -> &'static mut Vault {
    let bytes = grants.vault().unwrap_or_default();
    let length = bytes.len();
    let Ok((vault, _)) = Vault::mut_from_prefix(bytes) else {
        die(format_args!("uart: needs a vault of {} bytes, has {length}", size_of::<Vault>()));
    };
    if let Err(fault) = vault.adopt(session) {
        log::error!("uart: {fault}; what was under way is lost");
    }
    vault
}

/// Binds the line to the notification that every incarnation uses. A predecessor's binding is therefore this one's too.
fn bind(interrupt: Handle, endpoint: Handle, word: &mut u64) -> Result<(), KernelError> {
    let bound = table::notification(*word, endpoint, INTERRUPT, |kept| store::word64(word, kept))?;
    match machine::interrupt_bind(interrupt, bound, 1) {
        Err(KernelError::Occupied) => Ok(()),
        other => other,
    }
}

impl Uart {
    /// The line tells edges: it is unmasked first, then the device is served and rearmed, so that no edge is missed.
    fn interrupted(&mut self) {
        let _ = machine::interrupt_ack(self.interrupt);
        self.turn();
    }

    fn turn(&mut self) {
        let now = clock::now();
        if now >= self.next_log {
            ship::ship(&mut self.driver, self.shipped, &mut self.log);
            self.next_log = now + LOG_PERIOD;
        }
        self.driver.turn(now);
        let news = self.driver.news();
        if news != 0 && !self.watcher.is_none() {
            let _ = sal_sys::ipc::notify(self.watcher, news);
        }
    }

    /// Keeps a watcher for the successor too. The same one again changes nothing.
    fn keep(&mut self, watcher: Handle) {
        let object = |handle| sal_sys::capability::identify(handle).map(|it| it.object).ok();
        let known = !self.watcher.is_none() && object(self.watcher) == object(watcher);
        if known {
            let _ = sal_sys::capability::close(watcher);
            return;
        }
        if let Some(word) = table::keep(watcher, Rights::SEND) {
            store::word64(self.kept, word);
        }
        let old = core::mem::replace(&mut self.watcher, watcher);
        if !old.is_none() {
            let _ = sal_sys::capability::close(old);
        }
    }
}

impl server::Service for Uart {
    const ACCEPT: usize = 1;

    fn message(&mut self, arrival: Arrival, badge: u64, words: &Words, attachments: &mut dyn Attachments) -> Outcome {
        uart::dispatch(self, arrival, badge, words, attachments)
    }

    fn notified(&mut self, badge: u64, _bits: u64) {
        if badge == INTERRUPT {
            self.interrupted();
        }
    }

    fn deadline(&mut self) -> Option<u64> {
        let link = self.driver.deadline().unwrap_or(u64::MAX);
        Some(link.min(self.next_log))
    }

    fn expired(&mut self) {
        self.turn();
    }
}

impl Server for Uart {
    fn write(&mut self, call: &mut Call<'_>, a: write::Arguments) -> Result<write::Results, Stop<Error>> {
        let mut buffer = [0; PIECE];
        let length = a.bytes.length.min(PIECE as u64) as usize;
        let bytes = buffer.get_mut(..length).unwrap_or_default();
        call.read(a.bytes, 0, bytes)?;
        let next = self
            .driver
            .write(a.channel, a.epoch, a.at, bytes)
            .ok_or(Error::BadChannel)?
            .map_err(|_| Error::SessionChanged)?;
        self.turn();
        Ok(write::Results { next })
    }

    fn read(&mut self, call: &mut Call<'_>, a: read::Arguments) -> Result<read::Results, Stop<Error>> {
        let mut buffer = [0; PIECE];
        let length = a.buffer.length.min(PIECE as u64) as usize;
        let out = buffer.get_mut(..length).unwrap_or_default();
        let count = self
            .driver
            .read(a.channel, a.epoch, a.at, out)
            .ok_or(Error::BadChannel)?
            .map_err(|_| Error::SessionChanged)?;
        call.write(a.buffer, 0, buffer.get(..count).unwrap_or_default())?;
        self.turn();
        Ok(read::Results { count: count as u32 })
    }

    fn watch(&mut self, _call: &mut Call<'_>, a: watch::Arguments) -> Result<watch::Results, Stop<Error>> {
        self.keep(a.notification);
        Ok(watch::Results { ready: self.driver.ready(), epoch: self.driver.epoch() })
    }

    fn drained(&mut self, _call: &mut Call<'_>, _: drained::Arguments) -> Result<drained::Results, Stop<Error>> {
        Ok(drained::Results { drained: self.driver.is_drained() })
    }
}
