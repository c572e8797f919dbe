//! The same bytes typed at a pseudo-terminal of the Linux that the tests run on, and at ours: the same shown, the same read.
//!
//! Left out: signals and flow control, which need a session and a second reader.
#![cfg(target_os = "linux")]

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, tcgetattr, tcsetattr};
use sal_tty::{Output, Read, Termios, Tty, Wait, cc, iflag, lflag, oflag};

/// A small seeded generator (xorshift), so that every run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn subset(&mut self, flags: &[u32]) -> u32 {
        flags.iter().filter(|_| self.below(2) == 0).sum()
    }

    /// Mostly text, with whatever is special.
    fn text(&mut self, length: usize) -> Vec<u8> {
        const SPECIAL: &[u8] = b"\n\n\r\t\t\x7f\x7f\x7f\x15\x17\x17\x12\x16\x04\x01\x1b\x08 _;,";
        const LETTERS: &str = "abcXYZ019üöé€ßΩ";
        let letters: Vec<char> = LETTERS.chars().collect();
        let mut text = Vec::new();
        while text.len() < length {
            match self.below(10) {
                0..4 => text.push(SPECIAL[self.below(SPECIAL.len() as u64) as usize]),
                4 => text.push(self.below(256) as u8),
                _ => {
                    let letter = letters[self.below(letters.len() as u64) as usize];
                    text.extend(letter.to_string().as_bytes());
                }
            }
        }
        // ^Q and ^S do nothing without IXON, and 0xff nothing without PARMRK: all bytes may stand here.
        text
    }
}

struct Screen(Vec<u8>);

impl Output for Screen {
    fn room(&self) -> usize {
        1 << 20
    }

    fn put(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn discard(&mut self) {}
}

/// Master and terminal, both non-blocking; `None` where the host has none to give.
fn pair() -> Option<(OwnedFd, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).ok()?;
    grantpt(&master).ok()?;
    unlockpt(&master).ok()?;
    let name = ptsname(&master, Vec::new()).ok()?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK;
    let terminal = rustix::fs::open(&name, flags, Mode::empty()).ok()?;
    rustix::fs::fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK).ok()?;
    Some((master, terminal))
}

fn configure(terminal: &OwnedFd, wanted: &Termios) {
    let mut modes = tcgetattr(terminal).unwrap();
    modes.input_modes = InputModes::from_bits_retain(wanted.iflag);
    modes.output_modes = OutputModes::from_bits_retain(wanted.oflag);
    modes.local_modes = LocalModes::from_bits_retain(wanted.lflag);
    for (code, place) in [
        (SpecialCodeIndex::VERASE, cc::VERASE),
        (SpecialCodeIndex::VKILL, cc::VKILL),
        (SpecialCodeIndex::VEOF, cc::VEOF),
        (SpecialCodeIndex::VEOL, cc::VEOL),
        (SpecialCodeIndex::VEOL2, cc::VEOL2),
        (SpecialCodeIndex::VREPRINT, cc::VREPRINT),
        (SpecialCodeIndex::VWERASE, cc::VWERASE),
        (SpecialCodeIndex::VLNEXT, cc::VLNEXT),
        (SpecialCodeIndex::VMIN, cc::VMIN),
        (SpecialCodeIndex::VTIME, cc::VTIME),
    ] {
        modes.special_codes[code] = wanted.cc[place];
    }
    tcsetattr(terminal, OptionalActions::Now, &modes).unwrap();
}

/// What comes until `expected` bytes are there, and what still comes shortly after; gives up after a second.
fn drain(master: &OwnedFd, expected: usize) -> Vec<u8> {
    let (mut got, end) = (Vec::new(), Instant::now() + Duration::from_secs(1));
    loop {
        let wait = if got.len() < expected { end.saturating_duration_since(Instant::now()) } else { SETTLE };
        let timeout = rustix::event::Timespec::try_from(wait).unwrap();
        let ready = poll(&mut [PollFd::new(master, PollFlags::IN)], Some(&timeout)).unwrap();
        let mut buffer = [0; 4096];
        match rustix::io::read(master, &mut buffer) {
            Ok(length) => got.extend_from_slice(&buffer[..length]),
            Err(Errno::AGAIN) if ready == 0 => return got,
            Err(Errno::AGAIN) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// How long nothing more may come before it counts as all.
const SETTLE: Duration = Duration::from_millis(5);

/// Waits until Linux has as many bytes to read as we have; gives up after a second.
fn wait_for_input(terminal: &OwnedFd, expected: usize) {
    let end = Instant::now() + Duration::from_secs(1);
    while rustix::io::ioctl_fionread(terminal).unwrap() != expected as u64 && Instant::now() < end {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn random_modes(random: &mut Random) -> Termios {
    let mut termios = Termios {
        iflag: random.subset(&[iflag::ICRNL, iflag::INLCR, iflag::IGNCR, iflag::IUTF8]),
        oflag: random.subset(&[oflag::OPOST, oflag::ONLCR, oflag::ONLRET, oflag::XTABS]),
        lflag: random.subset(&[lflag::ECHO, lflag::ECHOE, lflag::ECHOK, lflag::ECHOKE, lflag::ECHOCTL])
            | random.subset(&[lflag::ECHONL, lflag::ICANON, lflag::IEXTEN]),
        ..Termios::default()
    };
    if random.below(3) > 0 {
        // Mostly what people use.
        termios.lflag |= Termios::default().lflag & !lflag::ISIG;
        termios.oflag |= oflag::OPOST | oflag::ONLCR;
        termios.iflag |= iflag::IUTF8;
    }
    if random.below(5) == 0 {
        termios.lflag |= lflag::ECHOPRT;
    }
    if random.below(8) == 0 {
        termios.iflag |= iflag::ISTRIP;
    }
    if random.below(4) == 0 {
        termios.cc[cc::VEOL] = b';';
        termios.cc[cc::VEOL2] = b',';
    }
    termios
}

fn read_ours(tty: &mut Tty, most: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; most];
    match tty.read(&mut out, Wait::No, 0) {
        Read::Bytes(length) => Some(out[..length].to_vec()),
        Read::WouldBlock { .. } => None,
    }
}

fn read_linux(terminal: &OwnedFd, most: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; most];
    match rustix::io::read(terminal, &mut out) {
        Ok(length) => Some(out[..length].to_vec()),
        Err(Errno::AGAIN) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn typing_shows_and_reads_as_on_linux() {
    for seed in 0..200 {
        let Some((master, terminal)) = pair() else {
            return eprintln!("no pseudo-terminals here: not compared");
        };
        let mut random = Random(seed * 2 + 1);
        let termios = random_modes(&mut random);
        configure(&terminal, &termios);
        let (mut tty, mut screen) = (Tty::new(), Screen(Vec::new()));
        tty.set_termios(termios);
        let typed = random.text(60);
        for &byte in &typed {
            tty.input(byte, 0, &mut screen);
        }
        assert_eq!(rustix::io::write(&master, &typed), Ok(typed.len()));
        let case = || format!("seed {seed}, typed {:?}, {termios:?}", String::from_utf8_lossy(&typed));
        let shown = drain(&master, screen.0.len());
        assert_eq!(
            String::from_utf8_lossy(&screen.0),
            String::from_utf8_lossy(&shown),
            "ours and Linux's screen, {}",
            case()
        );
        wait_for_input(&terminal, tty.available());
        loop {
            let most = 1 + random.below(20) as usize;
            let (ours, theirs) = (read_ours(&mut tty, most), read_linux(&terminal, most));
            assert_eq!(ours, theirs, "ours and Linux's read, {}", case());
            if ours.is_none() {
                break;
            }
        }
    }
}

#[test]
fn writing_shows_as_on_linux() {
    for seed in 0..100 {
        let Some((master, terminal)) = pair() else {
            return eprintln!("no pseudo-terminals here: not compared");
        };
        let mut random = Random(seed * 2 + 1001);
        let termios = Termios {
            iflag: random.subset(&[iflag::IUTF8]),
            oflag: random.subset(&[oflag::ONLCR, oflag::OCRNL, oflag::ONOCR, oflag::ONLRET])
                | random.subset(&[oflag::XTABS, oflag::OLCUC])
                | if random.below(5) > 0 { oflag::OPOST } else { 0 },
            lflag: 0,
            ..Termios::default()
        };
        configure(&terminal, &termios);
        let (mut tty, mut screen) = (Tty::new(), Screen(Vec::new()));
        tty.set_termios(termios);
        let text = random.text(200);
        assert_eq!(tty.write(&text, 0, &mut screen), text.len());
        assert_eq!(rustix::io::write(&terminal, &text), Ok(text.len()));
        let shown = drain(&master, screen.0.len());
        assert_eq!(String::from_utf8_lossy(&screen.0), String::from_utf8_lossy(&shown), "seed {seed}, {termios:?}");
    }
}
