//! A console, a driver and a host, of which console and driver die at any store; and the console's own rules.

use std::boxed::Box;
use std::collections::VecDeque;
use std::string::String;
use std::vec;
use std::vec::Vec;

use sal_link::{Channel, Control, Link, Role, Terminal};
use sal_tty::iflag;
use sal_vault::Fault;
use sal_vault::store::kill;
use zerocopy::{FromZeros, IntoBytes};

use super::*;
use crate::state::OUTS;

const OWNER: u32 = 4;

/// A small seeded generator (xorshift), so that every run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

/// What a client got of its request.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Got {
    Done(i64, Vec<u8>),
    Pending,
}

/// Console, driver, line, host; with death of the first two at random stores, if `deadly`.
struct World {
    vault: Box<Vault>,
    uart: Box<Link>,
    host: Box<Link>,
    to_uart: VecDeque<u8>,
    random: Random,
    deadly: bool,
    deaths: [usize; 2],
    now: u64,
}

fn boxed(role: Role, session: u32) -> Box<Link> {
    let mut link = Link::new_box_zeroed().unwrap();
    link.start(role, session, 1000);
    link
}

impl World {
    fn new(seed: u64, deadly: bool) -> World {
        let mut vault = Vault::new_box_zeroed().unwrap();
        vault.adopt(OWNER).unwrap();
        World {
            vault,
            uart: boxed(Role::Caller, 5),
            host: boxed(Role::Listener, 6),
            to_uart: VecDeque::new(),
            random: Random(seed * 2 + 1),
            deadly,
            deaths: [0, 0],
            now: 0,
        }
    }

    fn life(&mut self) -> u64 {
        // Mostly a few stores, sometimes so many that the whole call goes through.
        match self.deadly {
            true => [9, 60, 60, 60, 5000][self.random.below(5) as usize],
            false => u64::MAX - 1,
        }
    }

    /// Does `work` in the console, once; `None`: it died in it, and a successor has adopted.
    fn console<R>(&mut self, work: impl FnOnce(&mut Console<'_>) -> R) -> Option<R> {
        let life = self.life();
        let stores = self.random.below(life);
        let stores = if self.deadly { stores } else { u64::MAX - 1 };
        let vault = &mut self.vault;
        let result = kill::after(stores, || work(&mut vault.adopt(OWNER).unwrap()));
        self.deaths[0] += usize::from(result.is_none());
        result
    }

    /// The same in the driver.
    fn driver<R>(&mut self, work: impl FnOnce(&mut Link) -> R) -> Option<R> {
        let life = self.life();
        let stores = self.random.below(life);
        let stores = if self.deadly { stores } else { u64::MAX - 1 };
        let uart = &mut self.uart;
        let result = kill::after(stores, || work(uart));
        if result.is_none() {
            self.deaths[1] += 1;
            while kill::after(self.random.below(80), || self.uart.adopt()).is_none() {
                self.deaths[1] += 1;
            }
        }
        result
    }

    /// A client's request: repeated until some console has lived long enough to answer.
    fn request(&mut self, client: Client, request: Request<'_>) -> Got {
        let now = self.now;
        loop {
            let got = self.console(|console| match console.serve(client, request, now) {
                Outcome::Done { answer, data } => Got::Done(answer[0] as i64, data.to_vec()),
                Outcome::Pending { .. } => Got::Pending,
            });
            match got {
                None => continue,
                // The reply may be lost with the console that died right after its commit.
                Some(Got::Done(..)) if self.deadly && self.random.below(4) == 0 => self.deaths[0] += 1,
                Some(got) => return got,
            }
        }
    }

    /// What the console does with its driver. Whoever dies, the next round goes on.
    fn pump(&mut self) -> Option<()> {
        for channel in OUTS {
            while let Some(offer) = self.console(|console| console.offer(channel))? {
                let sent = self.driver(|uart| uart.send_at(channel, offer.epoch, offer.at, offer.bytes()))?;
                match sent {
                    Ok(number) if number == offer.at => break,
                    Ok(number) => self.console(|console| console.accepted(channel, number))?,
                    Err(_) => return self.new_session(),
                }
            }
        }
        for channel in [Channel::Control, Channel::Stdin] {
            self.fetch(channel)?;
        }
        Some(())
    }

    fn fetch(&mut self, channel: Channel) -> Option<()> {
        while let Some(want) = self.console(|console| console.wants(channel))? {
            let mut bytes = vec![0; 400];
            let got = self.driver(|uart| uart.receive_at(channel, want.epoch, want.at, &mut bytes))?;
            let Ok(length) = got else {
                return self.new_session();
            };
            let now = self.now;
            if self.console(|console| console.input(want, &bytes[..length], now))? == 0 {
                break;
            }
        }
        Some(())
    }

    fn new_session(&mut self) -> Option<()> {
        let epoch = self.uart.epoch();
        self.console(|console| console.session_changed(epoch))
    }

    fn line(&mut self) {
        let now = self.now;
        self.driver(|uart| uart.poll(now));
        self.host.poll(now);
        let mut bytes = [0; 600];
        let out = self.driver(|uart| uart.pull(&mut bytes)).unwrap_or(0);
        self.host.push(&bytes[..out], |_| {});
        let back = self.host.pull(&mut bytes);
        self.to_uart.extend(&bytes[..back]);
        while !self.to_uart.is_empty() {
            let length = self.to_uart.len().min(16);
            let piece: Vec<u8> = self.to_uart.drain(..length).collect();
            self.driver(|uart| uart.push(&piece, |_| {}));
        }
    }

    fn step(&mut self) {
        self.now += 100;
        self.pump();
        self.line();
    }

    fn settle(&mut self) {
        for _ in 0..60 {
            self.step();
        }
    }

    fn open(&mut self, key: u64) -> User {
        loop {
            if let Some(slot) = self.console(|console| console.open(key)) {
                return User { client: Client { key, slot: slot.unwrap(), sequence: 1 } };
            }
        }
    }

    fn hears(&mut self, channel: Channel) -> Vec<u8> {
        let mut bytes = vec![0; 9000];
        let length = self.host.receive(channel, &mut bytes);
        bytes.truncate(length);
        bytes
    }
}

/// A client thread.
struct User {
    client: Client,
}

impl User {
    fn asks(&mut self, world: &mut World, request: Request<'_>) -> Got {
        let got = world.request(self.client, request);
        if got != Got::Pending {
            self.client.sequence += 1;
        }
        got
    }

    fn does(&mut self, world: &mut World, request: Request<'_>) -> i64 {
        match self.asks(world, request) {
            Got::Done(result, _) => result,
            Got::Pending => panic!("{request:?} waits"),
        }
    }

    fn writes(&mut self, world: &mut World, bytes: &[u8]) -> i64 {
        self.does(world, Request::Write { stream: Stream::Out, bytes })
    }

    fn reads(&mut self, world: &mut World) -> Option<Vec<u8>> {
        match self.asks(world, Request::Read { most: 4096, wait: Wait::Since(0) }) {
            Got::Done(result, data) => {
                assert_eq!(result, data.len() as i64);
                Some(data)
            }
            Got::Pending => None,
        }
    }
}

/// Everything through pipes, both ways, then the exit status; returns the deaths.
fn pipes_are_exact(seed: u64, deadly: bool) -> [usize; 2] {
    let mut world = World::new(seed, deadly);
    let length = if deadly { 6_000 } else { 60_000 };
    let (input, out, error) = {
        let random = &mut world.random;
        (random.bytes(length), random.bytes(length), random.bytes(length / 2))
    };
    let (mut reader, mut writer, mut complainer) = (world.open(10), world.open(11), world.open(12));
    assert!(world.host.send_control(Control::Hello(Terminal::Pipes)));
    let (mut typed, mut written, mut complained) = (0, 0, 0);
    let (mut got, mut heard, mut heard_error) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at_end, mut ended, mut left, mut status) = (false, false, false, None);
    let mut ends = [None; 5];
    for round in 0.. {
        assert!(round < 30_000, "seed {seed}: stuck at {} {} {}", got.len(), heard.len(), heard_error.len());
        world.step();
        typed += world.host.send(Channel::Stdin, &input[typed..length.min(typed + 500)]);
        if typed == length && !ended {
            ended = world.host.send_end(Channel::Stdin);
        }
        if !at_end && let Some(data) = reader.reads(&mut world) {
            at_end = data.is_empty();
            got.extend(data);
        }
        let most = 1 + world.random.below(700) as usize;
        for (user, stream, bytes, done) in
            [(&mut writer, Stream::Out, &out, &mut written), (&mut complainer, Stream::Error, &error, &mut complained)]
        {
            let bytes = &bytes[*done..bytes.len().min(*done + most)];
            if !bytes.is_empty()
                && let Got::Done(accepted, _) = user.asks(&mut world, Request::Write { stream, bytes })
            {
                *done += accepted as usize;
            }
        }
        if at_end && written == out.len() && complained == error.len() && !left {
            left = writer.asks(&mut world, Request::Exit(42)) != Got::Pending;
        }
        heard.extend(world.hears(Channel::Stdout));
        heard_error.extend(world.hears(Channel::Stderr));
        match world.host.receive_control() {
            Some(Control::EndOfStream { channel, at }) => ends[channel as usize] = Some(at),
            Some(Control::ExitStatus(value)) => assert_eq!(status.replace(value), None, "told twice"),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
        let is_whole = |channel| ends[channel as usize].is_some_and(|at| world.host.is_read_to(channel, at));
        if status.is_some() && is_whole(Channel::Stdout) && is_whole(Channel::Stderr) {
            break;
        }
    }
    assert_eq!(status, Some(42));
    assert!(got == input && heard == out && heard_error == error, "seed {seed}: bytes differ");
    world.deaths
}

#[test]
fn pipes_carry_every_byte() {
    assert_eq!(pipes_are_exact(1, false), [0, 0]);
}

#[test]
fn pipes_carry_every_byte_through_deaths() {
    let mut deaths = [0, 0];
    for seed in 0..12 {
        let more = pipes_are_exact(seed, true);
        deaths = [deaths[0] + more[0], deaths[1] + more[1]];
    }
    assert!(deaths[0] > 1000 && deaths[1] > 300, "{deaths:?}");
}

fn terminal(deadly: bool) -> (World, User) {
    let mut world = World::new(3, deadly);
    let user = world.open(10);
    world.host.send_control(Control::Hello(Terminal::Tty { rows: 24, columns: 80 }));
    world.settle();
    (world, user)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_line_is_edited_echoed_and_read() {
    let (mut world, mut user) = terminal(false);
    assert_eq!(user.does(&mut world, Request::Mode), 1);
    assert_eq!(user.writes(&mut world, b"$ "), 2);
    assert_eq!(user.reads(&mut world), None);
    world.host.send(Channel::Stdin, b"lsx\x7f\r");
    world.settle();
    assert_eq!(user.does(&mut world, Request::Available), 3);
    assert_eq!(user.does(&mut world, Request::Poll) as u64, poll::IN | poll::OUT | poll::ERROR);
    assert_eq!(user.reads(&mut world).unwrap(), b"ls\n");
    user.does(&mut world, Request::Write { stream: Stream::Error, bytes: b"no\n" });
    world.settle();
    assert_eq!(text(world.hears(Channel::Stdout)), "$ lsx\x08 \x08\r\nno\r\n");
}

/// Every key is processed once, whoever dies: the lines, their echo, and the number of signals.
#[test]
fn typing_through_deaths_is_exact() {
    let mut deaths = 0;
    for seed in 0..6 {
        let (mut world, mut user) = terminal(true);
        world.random = Random(seed * 2 + 99);
        let mut got = Vec::new();
        let mut echo = Vec::new();
        for n in 0..40u8 {
            let line = [b'a' + n % 26, b'x', 0x7f, b'0' + n % 10, b'\r'];
            world.host.send(Channel::Stdin, &line);
            while !got.ends_with(b"\n") || got.iter().filter(|&&byte| byte == b'\n').count() <= n.into() {
                world.step();
                got.extend(user.reads(&mut world).unwrap_or_default());
            }
        }
        for _ in 0..400 {
            world.step();
            echo.extend(world.hears(Channel::Stdout));
        }
        let expected: String =
            (0..40u8).map(|n| String::from_utf8(vec![b'a' + n % 26, b'0' + n % 10, b'\n']).unwrap()).collect();
        assert_eq!(text(got), expected);
        let shown: String =
            expected.lines().map(|line| std::format!("{}x\x08 \x08{}\r\n", &line[..1], &line[1..])).collect();
        assert_eq!(text(echo), shown);
        deaths += world.deaths[0];
    }
    assert!(deaths > 500, "{deaths}");
}

#[test]
fn a_signal_is_taken_once_through_deaths() {
    for seed in 0..30 {
        let (mut world, mut user) = terminal(true);
        world.random = Random(seed * 2 + 1);
        world.host.send(Channel::Stdin, b"abc\x03");
        let mut taken = Vec::new();
        for _ in 0..300 {
            world.step();
            let events = user.does(&mut world, Request::TakeEvents) as u64;
            if events != 0 {
                taken.push(events);
            }
        }
        // The window's first size is an event as well.
        assert_eq!(taken.iter().filter(|&&events| events & event::INTERRUPT != 0).count(), 1, "{taken:?}");
        assert_eq!(taken.iter().fold(0, |all, events| all | events), event::INTERRUPT | event::WINDOW);
        assert_eq!(user.reads(&mut world), None);
    }
}

#[test]
fn control_c_drops_only_what_was_not_offered() {
    let (mut world, mut user) = terminal(false);
    let mut written = 0;
    while let Got::Done(length, _) = user.asks(&mut world, Request::Write { stream: Stream::Out, bytes: &[b'z'; 300] })
    {
        written += length as usize;
    }
    assert!(written > 1000);
    let now = world.now;
    let want = world.console(|console| console.wants(Channel::Stdin).unwrap()).unwrap();
    assert_eq!(world.console(|console| console.input(want, b"\x03", now)), Some(1));
    world.settle();
    let heard = text(world.hears(Channel::Stdout));
    // The first write was offered with its own commit, the others waited for the driver to take that.
    assert_eq!(heard, std::format!("{}^C", "z".repeat(300)));
}

#[test]
fn stopped_output_waits() {
    let (mut world, mut user) = terminal(false);
    world.host.send(Channel::Stdin, b"\x13");
    world.settle();
    user.writes(&mut world, b"later");
    world.settle();
    assert_eq!(world.console(|console| console.is_drained()), Some(false));
    assert_eq!(world.hears(Channel::Stdout), b"");
    assert_eq!(user.asks(&mut world, Request::Drain), Got::Pending);
    world.host.send(Channel::Stdin, b"\x11");
    world.settle();
    assert_eq!(world.hears(Channel::Stdout), b"later");
    assert_eq!(user.does(&mut world, Request::Drain), 0);
    assert_eq!(world.console(|console| console.is_drained()), Some(true));
}

#[test]
fn modes_and_window() {
    let (mut world, mut user) = terminal(false);
    let answer = |world: &mut World, user: &mut User, request: Request<'_>| {
        let client = user.client;
        user.client.sequence += 1;
        world.console(|console| match console.serve(client, request, 0) {
            Outcome::Done { answer, .. } => answer,
            Outcome::Pending { .. } => panic!("waits"),
        })
    };
    let window = answer(&mut world, &mut user, Request::GetWindow).unwrap();
    assert_eq!(window[1], 24 | 80 << 16);
    let modes = answer(&mut world, &mut user, Request::GetTermios).unwrap();
    assert_eq!(modes.as_bytes()[8..44], *Termios::default().as_bytes());
    let mut termios = Termios::default();
    termios.iflag &= !iflag::ICRNL;
    assert_eq!(user.does(&mut world, Request::SetTermios { termios, when: When::Flushed }), 0);
    let modes = answer(&mut world, &mut user, Request::GetTermios).unwrap();
    assert_eq!(modes.as_bytes()[8..44], *termios.as_bytes());
    assert_eq!(user.does(&mut world, Request::TakeEvents) as u64, event::WINDOW);
    world.host.send_control(Control::WindowSize { rows: 50, columns: 132 });
    world.settle();
    assert_eq!(user.does(&mut world, Request::TakeEvents) as u64, event::WINDOW);
    assert_eq!(user.does(&mut world, Request::TakeEvents), 0);
    assert_eq!(answer(&mut world, &mut user, Request::GetWindow).unwrap()[1], 50 | 132 << 16);
}

#[test]
fn pipes_are_no_terminal() {
    let mut world = World::new(1, false);
    let mut user = world.open(10);
    assert_eq!(user.asks(&mut world, Request::Mode), Got::Pending);
    world.host.send_control(Control::Hello(Terminal::Pipes));
    world.settle();
    assert_eq!(user.does(&mut world, Request::Mode), 0);
    assert_eq!(user.does(&mut world, Request::GetTermios), Refusal::NotTerminal as i64);
    let read = Request::Read { most: 5, wait: Wait::No };
    assert_eq!(user.does(&mut world, read), Refusal::Again as i64);
}

#[test]
fn a_terminal_that_goes_away_ends_input() {
    let (mut world, mut user) = terminal(false);
    world.host.send(Channel::Stdin, b"one\ntw");
    world.host.send_end(Channel::Stdin);
    world.settle();
    assert_eq!(user.does(&mut world, Request::TakeEvents) as u64, event::WINDOW | event::HANGUP);
    assert_eq!(user.reads(&mut world).unwrap(), b"one\n");
    assert_eq!(user.reads(&mut world).unwrap(), b"tw");
    assert_eq!(user.reads(&mut world).unwrap(), b"");
    assert_eq!(user.reads(&mut world).unwrap(), b"");
}

#[test]
fn a_new_host_gets_what_the_old_one_did_not_take() {
    let (mut world, mut user) = terminal(false);
    world.host.send(Channel::Stdin, b"\x13");
    world.settle();
    user.writes(&mut world, b"for whoever comes");
    world.host = boxed(Role::Caller, 9);
    world.host.send_control(Control::Hello(Terminal::Tty { rows: 30, columns: 90 }));
    world.settle();
    world.host.send(Channel::Stdin, b"\x11");
    for _ in 0..100 {
        world.step();
    }
    assert_eq!(text(world.hears(Channel::Stdout)), "for whoever comes");
}

#[test]
fn old_and_foreign_requests_are_refused() {
    let (mut world, mut user) = terminal(false);
    user.writes(&mut world, b"a");
    user.writes(&mut world, b"b");
    let mut old = User { client: Client { sequence: 1, ..user.client } };
    assert_eq!(old.writes(&mut world, b"c"), Refusal::Stale as i64);
    let mut foreign = User { client: Client { key: 99, ..user.client } };
    assert_eq!(foreign.writes(&mut world, b"c"), Refusal::Stale as i64);
    world.settle();
    assert_eq!(world.hears(Channel::Stdout), b"ab");
}

#[test]
fn a_damaged_vault_is_reported() {
    let (mut world, _) = terminal(false);
    let length = world.vault.as_bytes().len();
    let mut faults = 0;
    for place in (0..length).step_by(997) {
        world.vault.as_mut_bytes()[place] ^= 4;
        match world.vault.adopt(OWNER).map(|_| ()) {
            Ok(()) => {}
            Err(Fault::Record(_) | Fault::Header) => faults += 1,
            Err(fault) => panic!("{fault}"),
        }
        world.vault.as_mut_bytes()[place] ^= 4;
    }
    assert!(faults > 10, "{faults}");
    assert!(matches!(world.vault.adopt(OWNER + 1), Err(Fault::Owner(OWNER))));
}

#[test]
fn the_vault_fits_its_manifest_entry() {
    // The server keeps two words beside it.
    assert!(size_of::<Vault>() + 16 <= 128 * 1024, "{}", size_of::<Vault>());
}
