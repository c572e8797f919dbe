//! Two ends over a bad line, and one end that dies at every store.

use std::boxed::Box;
use std::collections::VecDeque;
use std::vec::Vec;
use std::{format, vec};

use sal_vault::store::kill;
use zerocopy::{FromZeros, IntoBytes};

use super::*;

/// A small seeded generator (xorshift), so that every run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

fn new(role: Role, session: u32) -> Box<Link> {
    let mut link: Box<Link> = Link::new_box_zeroed().unwrap();
    link.start(role, session, 100);
    link
}

/// The line's faults, in parts of 1,000 per byte.
#[derive(Clone, Copy, Default)]
struct Faults {
    drop: u64,
    flip: u64,
    double: u64,
    text: u64,
}

struct World {
    ends: [Box<Link>; 2],
    wires: [VecDeque<u8>; 2],
    sent: [[usize; CHANNELS]; 2],
    got: [Vec<Vec<u8>>; 2],
    data: [Vec<Vec<u8>>; 2],
    random: Random,
    faults: Faults,
    now: u64,
    text: Vec<u8>,
}

impl World {
    fn new(seed: u64, length: usize, faults: Faults) -> World {
        let mut random = Random(seed * 2 + 1);
        let mut data = || -> Vec<Vec<u8>> {
            (0..CHANNELS).map(|_| (0..length).map(|_| random.below(256) as u8).collect()).collect()
        };
        let data = [data(), data()];
        World {
            ends: [new(Role::Caller, 77), new(Role::Listener, 99)],
            wires: Default::default(),
            sent: Default::default(),
            got: [vec![Vec::new(); CHANNELS], vec![Vec::new(); CHANNELS]],
            data,
            random,
            faults,
            now: 0,
            text: Vec::new(),
        }
    }

    fn write(&mut self, end: usize) {
        for channel in Channel::ALL {
            let n = channel as usize;
            let rest = &self.data[end][n][self.sent[end][n]..];
            let piece = rest.len().min(1 + self.random.below(700) as usize);
            self.sent[end][n] += self.ends[end].send(channel, &rest[..piece]);
        }
    }

    fn read(&mut self, end: usize, skip: Option<Channel>) {
        for channel in Channel::ALL {
            if Some(channel) == skip {
                continue;
            }
            let mut out = vec![0; self.random.below(900) as usize];
            let length = self.ends[end].receive(channel, &mut out);
            self.got[end][channel as usize].extend_from_slice(&out[..length]);
        }
    }

    fn carry(&mut self, end: usize) {
        let faults = self.faults;
        for _ in 0..self.random.below(600) {
            let Some(mut byte) = self.ends[end].next_byte() else {
                break;
            };
            let dice = self.random.below(1000);
            if dice < faults.drop {
                continue;
            }
            if dice < faults.drop + faults.flip {
                byte ^= 1 << self.random.below(8);
            }
            self.wires[end].push_back(byte);
            if self.random.below(1000) < faults.double {
                self.wires[end].push_back(byte);
            }
            if self.random.below(100_000) < faults.text {
                self.wires[end].extend(b"\xfc[log] hi\n");
            }
        }
        let length = self.random.below(600).min(self.wires[end].len() as u64) as usize;
        let bytes: Vec<u8> = self.wires[end].drain(..length).collect();
        let text = &mut self.text;
        self.ends[1 - end].push(&bytes, |byte| text.push(byte));
    }

    fn step(&mut self, skip: Option<Channel>) {
        self.now += 10;
        for end in 0..2 {
            self.write(end);
            self.ends[end].poll(self.now);
            self.carry(end);
            self.read(end, skip);
        }
    }

    fn is_done(&self) -> bool {
        (0..2).all(|end| (0..CHANNELS).all(|n| self.got[1 - end][n].len() >= self.data[end][n].len()))
    }

    fn check(&self) {
        for end in 0..2 {
            for n in 0..CHANNELS {
                let (got, data) = (&self.got[1 - end][n], &self.data[end][n]);
                assert!(data.starts_with(got), "end {end} channel {n}: wrong after {}", got.len());
            }
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step(None);
            if self.is_done() {
                return self.check();
            }
        }
        let got: Vec<_> = self.got.iter().flatten().map(Vec::len).collect();
        panic!("not done after {steps} steps: {got:?}");
    }
}

#[test]
fn clean_line_carries_everything_without_timeouts() {
    let mut world = World::new(1, 60_000, Faults::default());
    world.run(6_000);
    assert!(world.text.is_empty());
}

#[test]
fn bad_lines_lose_and_double_nothing() {
    for seed in 0..40 {
        let faults = Faults { drop: seed % 3, flip: seed % 2, double: (seed / 2) % 2, text: 20 };
        World::new(seed, 12_000, faults).run(60_000);
    }
}

#[test]
fn a_reader_that_sleeps_stops_no_other_channel() {
    let mut world = World::new(3, 40_000, Faults { drop: 1, ..Faults::default() });
    for _ in 0..20_000 {
        world.step(Some(Channel::Stdout));
    }
    world.check();
    for n in [0, 1, 3, 4] {
        assert_eq!(world.got[1][n].len(), 40_000, "channel {n}");
    }
    assert!(world.ends[1].available(Channel::Stdout) == RING);
    world.run(20_000);
}

#[test]
fn restarts_between_operations_lose_nothing() {
    for seed in 0..20 {
        let mut world = World::new(seed, 10_000, Faults { drop: 1, flip: 1, ..Faults::default() });
        for _ in 0..60_000 {
            world.step(None);
            let end = world.random.below(40) as usize;
            if end < 2 {
                world.ends[end].adopt();
            }
            if world.is_done() {
                break;
            }
        }
        assert!(world.is_done(), "seed {seed}");
        world.check();
    }
}

/// The guest's end dies inside calls, at any store; its clients repeat by byte number, as the console does.
struct Mortal {
    world: World,
    written: [u32; CHANNELS],
    consumed: [u32; CHANNELS],
    deaths: usize,
}

impl Mortal {
    /// Does `work` on the guest's end, with death at a random store and a successor, until it was done.
    fn mortal<R>(&mut self, work: impl Fn(&mut Link) -> R) -> R {
        loop {
            let stores = self.world.random.below(60);
            let link = &mut self.world.ends[0];
            if let Some(result) = kill::after(stores, || work(link)) {
                return result;
            }
            self.deaths += 1;
            while kill::after(self.world.random.below(60), || self.world.ends[0].adopt()).is_none() {
                self.deaths += 1;
            }
        }
    }

    fn step(&mut self) {
        self.world.now += 10;
        let now = self.world.now;
        for channel in Channel::ALL {
            let n = channel as usize;
            let at = self.written[n];
            let rest = &self.world.data[0][n][at as usize..];
            let piece = rest[..rest.len().min(500)].to_vec();
            self.written[n] = self.mortal(|link| link.send_at(channel, 0, at, &piece).unwrap());
            let at = self.consumed[n];
            let bytes = self.mortal(|link| {
                let mut out = vec![0; 300];
                let length = link.receive_at(channel, 0, at, &mut out).unwrap();
                out.truncate(length);
                out
            });
            self.world.got[0][n].extend_from_slice(&bytes);
            self.consumed[n] += bytes.len() as u32;
        }
        self.mortal(|link| link.poll(now));
        let bytes = self.mortal(|link| {
            let mut out = vec![0; 700];
            let length = link.pull(&mut out);
            out.truncate(length);
            out
        });
        self.world.ends[1].push(&bytes, |_| {});
        self.world.write(1);
        self.world.ends[1].poll(now);
        let mut bytes = vec![0; 700];
        let length = self.world.ends[1].pull(&mut bytes);
        // A driver that dies has taken some of the bytes out of the device: they are lost with it.
        let mut taken = length;
        while taken > 0 {
            let piece = bytes[length - taken..length - taken + taken.min(16)].to_vec();
            let stores = self.world.random.below(60);
            let link = &mut self.world.ends[0];
            if kill::after(stores, || link.push(&piece, |_| {})).is_none() {
                self.deaths += 1;
                while kill::after(self.world.random.below(60), || self.world.ends[0].adopt()).is_none() {}
            }
            taken -= piece.len();
        }
        self.world.read(1, None);
    }
}

#[test]
fn death_at_any_store_loses_nothing() {
    for seed in 0..12 {
        let world = World::new(seed, 8_000, Faults::default());
        let mut mortal = Mortal { world, written: [0; CHANNELS], consumed: [0; CHANNELS], deaths: 0 };
        let mut steps = 0;
        while !mortal.world.is_done() {
            mortal.step();
            steps += 1;
            assert!(steps < 40_000, "seed {seed}: not done");
        }
        mortal.world.check();
        assert!(mortal.deaths > 50, "only {} deaths", mortal.deaths);
    }
}

/// Carries everything both ways until both are silent.
fn settle(guest: &mut Link, host: &mut Link, text: &mut Vec<u8>) {
    for now in 0.. {
        guest.poll(now);
        host.poll(now);
        let mut bytes = vec![0; 4096];
        let out = guest.pull(&mut bytes);
        host.push(&bytes[..out], |byte| text.push(byte));
        let back = host.pull(&mut bytes);
        guest.push(&bytes[..back], |_| {});
        if out == 0 && back == 0 {
            return;
        }
        assert!(now < 1000, "never silent");
    }
}

#[test]
fn a_new_boot_is_a_new_session() {
    let (mut guest, mut host) = (new(Role::Caller, 1), new(Role::Listener, 2));
    let mut text = Vec::new();
    assert_eq!(guest.send(Channel::Stdout, b"before hello"), 12);
    settle(&mut guest, &mut host, &mut text);
    assert_eq!(host.available(Channel::Stdout), 12);
    host.send(Channel::Stdin, b"for the old guest");
    let mut guest = new(Role::Caller, 3);
    guest.send(Channel::Stdout, b"again");
    settle(&mut guest, &mut host, &mut text);
    assert_eq!(host.epoch(), 1);
    let mut out = [0; 20];
    assert_eq!(host.receive(Channel::Stdout, &mut out), 5);
    assert_eq!(&out[..5], b"again");
    assert_eq!(guest.available(Channel::Stdin), 0);
    assert_eq!(host.send_at(Channel::Stdin, 0, 0, b"x"), Err(SessionChanged));
}

#[test]
fn death_inside_a_change_of_session_is_repeated() {
    for stores in 0.. {
        let (mut guest, mut host) = (new(Role::Caller, 1), new(Role::Listener, 2));
        let mut text = Vec::new();
        guest.send(Channel::Stdout, b"old");
        settle(&mut guest, &mut host, &mut text);
        let mut other = new(Role::Caller, 5);
        other.send(Channel::Stdout, b"new");
        other.poll(0);
        let mut hello = vec![0; 400];
        let length = other.pull(&mut hello);
        let survived = kill::after(stores, || host.push(&hello[..length], |_| {})).is_some();
        host.adopt();
        settle_after(&mut other, &mut host);
        let mut out = [0; 8];
        let length = host.receive(Channel::Stdout, &mut out);
        assert_eq!(&out[..length], b"new", "died before store {stores}");
        if survived {
            assert!(stores >= 30, "only {stores} stores seen");
            return;
        }
    }
}

fn settle_after(guest: &mut Link, host: &mut Link) {
    for now in (0..3000).step_by(50) {
        guest.poll(now);
        host.poll(now);
        let mut bytes = vec![0; 4096];
        let out = guest.pull(&mut bytes);
        host.push(&bytes[..out], |_| {});
        let back = host.pull(&mut bytes);
        guest.push(&bytes[..back], |_| {});
    }
}

#[test]
fn text_between_and_inside_frames_comes_out_whole() {
    let (mut guest, mut host) = (new(Role::Caller, 1), new(Role::Listener, 2));
    let mut text = Vec::new();
    host.push(b"kernel: hello\n", |byte| text.push(byte));
    settle(&mut guest, &mut host, &mut text);
    guest.send(Channel::Stdout, &[b'x'; 200]);
    let mut frame = [0; 400];
    let length = guest.pull(&mut frame);
    host.push(&frame[..100], |byte| text.push(byte));
    host.push(b"\xfckernel: line\n", |byte| text.push(byte));
    host.push(b"\xfckernel: line 2\n", |byte| text.push(byte));
    host.push(&frame[100..length], |byte| text.push(byte));
    host.push(b"kernel: unmarked\n", |byte| text.push(byte));
    settle(&mut guest, &mut host, &mut text);
    assert_eq!(
        text,
        b"kernel: hello\nkernel: line\nkernel: line 2\nkernel: unmarked\n",
        "{}",
        std::string::String::from_utf8_lossy(&text)
    );
    assert_eq!(host.available(Channel::Stdout), 200);
}

#[test]
fn a_frame_that_never_ends_is_text() {
    let mut host = new(Role::Listener, 2);
    let mut text = Vec::new();
    let panic = format!("panic: {}", "very long ".repeat(100));
    host.push(&[START], |byte| text.push(byte));
    host.push(panic.as_bytes(), |byte| text.push(byte));
    host.flush_text(|byte| text.push(byte));
    assert_eq!(text, panic.as_bytes());
}

#[test]
fn garbage_never_panics_and_never_delivers() {
    let mut random = Random(99);
    let mut host = new(Role::Listener, 2);
    for _ in 0..400_000 {
        let byte = match random.below(5) {
            0 => [START, END, ESCAPE, TEXT][random.below(4) as usize],
            _ => random.below(256) as u8,
        };
        host.push(&[byte], |_| {});
    }
    assert!(!host.is_connected());
    // Nor does a link whose every byte is garbage.
    for byte in host.as_mut_bytes() {
        *byte = random.below(256) as u8;
    }
    host.adopt();
    host.poll(5);
    host.send(Channel::Log, &[1; 100]);
    host.receive(Channel::Stdin, &mut [0; 100]);
    host.pull(&mut [0; 1000]);
}

#[test]
fn a_listener_is_silent_until_called() {
    let mut host = new(Role::Listener, 2);
    host.send(Channel::Stdin, b"early");
    for now in (0..10_000).step_by(100) {
        host.poll(now);
        assert_eq!(host.next_byte(), None);
    }
}

#[test]
fn control_messages_travel() {
    let (mut guest, mut host) = (new(Role::Caller, 1), new(Role::Listener, 2));
    let messages = [
        Control::Hello(Terminal::Pipes),
        Control::Hello(Terminal::Tty { rows: 24, columns: 80 }),
        Control::WindowSize { rows: 50, columns: 132 },
        Control::EndOfStream { channel: Channel::Stdin, at: 0xfa_f9_fb },
        Control::ExitStatus(130),
        Control::PowerOff,
        Control::Stop,
    ];
    for message in messages {
        assert!(host.send_control(message));
    }
    settle(&mut guest, &mut host, &mut Vec::new());
    for message in messages {
        assert_eq!(guest.receive_control(), Some(message));
    }
    assert_eq!(guest.receive_control(), None);
}

#[test]
fn the_end_of_a_stream_is_known_by_its_number() {
    let (mut guest, mut host) = (new(Role::Caller, 1), new(Role::Listener, 2));
    settle(&mut guest, &mut host, &mut Vec::new());
    host.send(Channel::Stdin, b"abc");
    assert!(host.send_end(Channel::Stdin));
    settle(&mut guest, &mut host, &mut Vec::new());
    let Some(Control::EndOfStream { channel, at }) = guest.receive_control() else { panic!() };
    assert!(!guest.is_read_to(channel, at));
    guest.receive(channel, &mut [0; 10]);
    assert!(guest.is_read_to(channel, at));
}
