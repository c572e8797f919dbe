//! The driver over an emulated 16550, with restarts between any two turns.

use std::boxed::Box;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use sal_link::{Channel, Link, Role};
use zerocopy::FromZeros;

use crate::device::{Device, FIFO, Ports, bit, register};
use crate::driver::{Driver, READABLE, WRITABLE};
use crate::vault::Vault;

/// The device: FIFOs of 16 bytes, an interrupt line that tells edges.
#[derive(Default)]
struct Chip {
    received: VecDeque<u8>,
    sending: VecDeque<u8>,
    interrupts: u8,
    line: bool,
    edges: usize,
}

impl Chip {
    fn update(&mut self) {
        let received = self.interrupts & bit::ON_RECEIVED != 0 && !self.received.is_empty();
        let empty = self.interrupts & bit::ON_EMPTY != 0 && self.sending.is_empty();
        let line = received || empty;
        self.edges += usize::from(line && !self.line);
        self.line = line;
    }
}

#[derive(Clone, Default)]
struct Bus(Rc<RefCell<Chip>>);

impl Ports for Bus {
    fn read(&mut self, register: u8) -> u8 {
        let mut chip = self.0.borrow_mut();
        let value = match register {
            register::DATA => chip.received.pop_front().expect("read without a byte"),
            register::LINE_STATUS => {
                let received = if chip.received.is_empty() { 0 } else { bit::RECEIVED };
                received | if chip.sending.is_empty() { bit::EMPTY } else { 0 }
            }
            other => panic!("register {other} read"),
        };
        chip.update();
        value
    }

    fn write(&mut self, register: u8, value: u8) {
        let mut chip = self.0.borrow_mut();
        match register {
            register::INTERRUPTS => chip.interrupts = value,
            register::FIFO_CONTROL => assert_eq!(value & 6, 0, "the FIFOs were emptied"),
            register::LINE_CONTROL => assert_eq!(value & 0x80, 0, "the divisor was opened"),
            register::MODEM_CONTROL => assert_eq!(value & 0x10, 0, "loop-back"),
            other => panic!("register {other} written"),
        }
        chip.update();
    }

    fn write_data(&mut self, bytes: &[u8]) {
        let mut chip = self.0.borrow_mut();
        assert!(chip.sending.is_empty() && bytes.len() <= FIFO, "the transmitter overran");
        chip.sending.extend(bytes);
        chip.update();
    }
}

/// The host's end, on the wire.
struct Host {
    link: Box<Link>,
    to_guest: VecDeque<u8>,
}

impl Host {
    fn new() -> Host {
        let mut link = Link::new_box_zeroed().unwrap();
        link.start(Role::Listener, 3, 1_000_000_000);
        Host { link, to_guest: VecDeque::new() }
    }

    fn carry(&mut self, bus: &Bus, now: u64) {
        let mut chip = bus.0.borrow_mut();
        let sent: Vec<u8> = chip.sending.drain(..).collect();
        self.link.push(&sent, |_| {});
        self.link.poll(now);
        let mut bytes = [0; 8];
        let length = self.link.pull(&mut bytes);
        self.to_guest.extend(&bytes[..length]);
        while chip.received.len() < FIFO
            && let Some(byte) = self.to_guest.pop_front()
        {
            chip.received.push_back(byte);
        }
        chip.update();
    }
}

/// Carries `length` bytes each way, the driver replaced every `life` interrupts; returns how many drivers there were.
fn carry(length: usize, life: usize) -> usize {
    let (bus, mut host) = (Bus::default(), Host::new());
    let mut vault = Vault::new_box_zeroed().unwrap();
    let data: Vec<u8> = (0..length).map(|n| (n * 7 + n / 251) as u8).collect();
    let (mut written, mut typed) = (0u32, 0);
    let (mut got, mut heard) = (Vec::new(), Vec::new());
    let mut now = 0;
    for drivers in 1.. {
        assert!(drivers < 40_000, "{} {}", got.len(), heard.len());
        vault.adopt(9).unwrap();
        let mut driver = Driver::new(&mut vault.link, Device::adopt(bus.clone()));
        driver.turn(now);
        for _ in 0..life {
            now += 1_000_000;
            let edges = std::mem::take(&mut bus.0.borrow_mut().edges);
            if edges > 0 || driver.deadline().is_some_and(|at| at <= now) {
                driver.turn(now);
            }
            if driver.ready() & (WRITABLE << 2) != 0 && (written as usize) < length {
                let end = length.min(written as usize + 300);
                written = driver.write(2, 0, written, &data[written as usize..end]).unwrap().unwrap();
                driver.turn(now);
            }
            if driver.ready() & (READABLE << 1) != 0 {
                let mut out = vec![0; 200];
                let count = driver.read(1, 0, got.len() as u32, &mut out).unwrap().unwrap();
                got.extend_from_slice(&out[..count]);
                driver.turn(now);
            }
            host.carry(&bus, now);
            typed += host.link.send(Channel::Stdin, &data[typed..length.min(typed + 100)]);
            let mut out = [0; 500];
            let count = host.link.receive(Channel::Stdout, &mut out);
            heard.extend_from_slice(&out[..count]);
        }
        if got.len() == length && heard.len() == length {
            assert!(got == data && heard == data);
            return drivers;
        }
    }
    unreachable!()
}

#[test]
fn bytes_pass_by_interrupts_alone() {
    carry(20_000, 100_000);
}

#[test]
fn restarts_lose_nothing() {
    assert!(carry(6_000, 150) > 5);
    assert!(carry(3_000, 40) > 20);
}

#[test]
fn a_watcher_is_told_of_changes_once() {
    let (bus, mut host) = (Bus::default(), Host::new());
    let mut link = Link::new_box_zeroed().unwrap();
    link.start(Role::Caller, 1, 1_000_000_000);
    let mut driver = Driver::new(&mut link, Device::adopt(bus.clone()));
    assert_eq!(driver.news(), WRITABLE * 0b11101);
    assert_eq!(driver.news(), 0);
    host.link.send(Channel::Stdin, b"x");
    for now in 0..100 {
        driver.turn(now);
        host.carry(&bus, now);
    }
    driver.turn(100);
    assert_eq!(driver.news(), READABLE << 1);
    assert_eq!(driver.news(), 0);
    assert!(driver.write(1, 0, 0, b"x").is_none() && driver.read(2, 0, 0, &mut [0]).is_none());
}

/// What comes between an answer "nothing there" and the next look is news, though the same was news before.
#[test]
fn what_comes_behind_an_empty_read_is_told_again() {
    let (bus, mut host) = (Bus::default(), Host::new());
    let mut link = Link::new_box_zeroed().unwrap();
    link.start(Role::Caller, 1, 1_000_000_000);
    let mut driver = Driver::new(&mut link, Device::adopt(bus.clone()));
    let mut carry = |driver: &mut Driver<'_, Bus>, byte: &[u8], from: u64| {
        host.link.send(Channel::Stdin, byte);
        for now in from..from + 100 {
            host.carry(&bus, now);
            driver.turn(now);
        }
    };
    carry(&mut driver, b"x", 0);
    assert_ne!(driver.news() & (READABLE << 1), 0);
    let mut out = [0; 8];
    assert_eq!(driver.read(1, 0, 0, &mut out).unwrap(), Ok(1));
    assert_eq!(driver.read(1, 0, 1, &mut out).unwrap(), Ok(0));
    carry(&mut driver, b"y", 100);
    assert_eq!(driver.news() & (READABLE << 1), READABLE << 1);
}

#[test]
fn the_vault_fits_its_manifest_entry() {
    assert!(size_of::<Vault>() <= 64 * 1024, "{}", size_of::<Vault>());
}
