//! What a Linux terminal does, case by case; and that no bytes break it.

use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;

/// A terminal and what it showed.
struct Seat {
    tty: Tty,
    screen: Screen,
    signals: Vec<Signal>,
}

struct Screen {
    bytes: Vec<u8>,
    room: usize,
}

impl Output for Screen {
    fn room(&self) -> usize {
        self.room - self.bytes.len()
    }

    fn put(&mut self, byte: u8) {
        if self.bytes.len() < self.room {
            self.bytes.push(byte);
        }
    }

    fn discard(&mut self) {
        self.bytes.clear();
    }
}

impl Seat {
    fn new() -> Seat {
        Seat { tty: Tty::new(), screen: Screen { bytes: Vec::new(), room: 100_000 }, signals: Vec::new() }
    }

    fn with(change: impl FnOnce(&mut Termios)) -> Seat {
        let mut seat = Seat::new();
        seat.set(change);
        seat
    }

    fn set(&mut self, change: impl FnOnce(&mut Termios)) {
        let mut termios = *self.tty.termios();
        change(&mut termios);
        self.tty.set_termios(termios);
    }

    fn raw() -> Seat {
        Seat::with(Termios::make_raw)
    }

    fn types(&mut self, bytes: &[u8]) -> &mut Seat {
        for &byte in bytes {
            self.signals.extend(self.tty.input(byte, 0, &mut self.screen));
        }
        self
    }

    fn reads(&mut self, most: usize) -> Result<Vec<u8>, Option<u64>> {
        self.reads_at(most, Wait::Since(0), 0)
    }

    fn reads_at(&mut self, most: usize, wait: Wait, now: u64) -> Result<Vec<u8>, Option<u64>> {
        let mut out = vec![0; most];
        match self.tty.read(&mut out, wait, now) {
            Read::Bytes(length) => Ok(out[..length].to_vec()),
            Read::WouldBlock { deadline } => Err(deadline),
        }
    }

    fn shows(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.screen.bytes)).into_owned()
    }

    fn writes(&mut self, bytes: &[u8]) -> usize {
        self.tty.write(bytes, 0, &mut self.screen)
    }
}

fn line(typed: &[u8]) -> (Vec<u8>, String) {
    let mut seat = Seat::new();
    seat.types(typed);
    (seat.reads(5000).unwrap(), seat.shows())
}

#[test]
fn termios_has_the_kernels_layout() {
    assert_eq!(size_of::<Termios>(), 36);
    assert_eq!(size_of::<WindowSize>(), 8);
    let bytes = Termios::default();
    assert_eq!(bytes.as_bytes()[..4], [0x00, 0x45, 0, 0]);
    assert_eq!(bytes.as_bytes()[12..16], [0x3b, 0x8a, 0, 0]);
    assert_eq!(bytes.as_bytes()[17..24], [3, 0x1c, 0x7f, 0x15, 4, 0, 1]);
}

#[test]
fn a_line_waits_for_its_end() {
    let mut seat = Seat::new();
    seat.types(b"ls -l");
    assert_eq!(seat.reads(100), Err(None));
    assert!(!seat.tty.is_readable());
    assert_eq!(seat.tty.available(), 0);
    seat.types(b"\r");
    assert!(seat.tty.is_readable());
    assert_eq!(seat.tty.available(), 6);
    assert_eq!(seat.reads(100), Ok(b"ls -l\n".to_vec()));
    assert_eq!(seat.shows(), "ls -l\r\n");
    assert_eq!(seat.reads(100), Err(None));
}

#[test]
fn a_reader_gets_one_line_and_the_rest_later() {
    let mut seat = Seat::new();
    seat.types(b"one\ntwo\n");
    assert_eq!(seat.reads(2), Ok(b"on".to_vec()));
    assert_eq!(seat.reads(100), Ok(b"e\n".to_vec()));
    assert_eq!(seat.reads(0), Ok(vec![]));
    assert_eq!(seat.reads(100), Ok(b"two\n".to_vec()));
}

#[test]
fn erase_takes_back_a_character() {
    assert_eq!(line(b"ab\x7fc\n"), (b"ac\n".to_vec(), "ab\x08 \x08c\r\n".into()));
    assert_eq!(line(b"\x7f\x7fx\n"), (b"x\n".to_vec(), "x\r\n".into()));
}

#[test]
fn erase_takes_back_what_a_control_character_shows() {
    let (bytes, shown) = line(b"a\x01\x7f\n");
    assert_eq!(bytes, b"a\n");
    assert_eq!(shown, "a^A\x08 \x08\x08 \x08\r\n");
}

#[test]
fn erase_takes_back_a_whole_utf8_character() {
    assert_eq!(line("aü€\x7f\x7f\n".as_bytes()), (b"a\n".to_vec(), "aü€\x08 \x08\x08 \x08\r\n".into()));
    let mut seat = Seat::with(|termios| termios.iflag &= !iflag::IUTF8);
    seat.types("ü\x7f\n".as_bytes());
    assert_eq!(seat.reads(9), Ok(vec![0xc3, b'\n']));
}

#[test]
fn erase_goes_back_over_a_tab() {
    let (bytes, shown) = line(b"ab\tc\x7f\x7fd\n");
    assert_eq!(bytes, b"abd\n");
    assert_eq!(shown, "ab\tc\x08 \x08\x08\x08\x08\x08\x08\x08d\r\n");
    let mut seat = Seat::new();
    seat.writes(b"prompt$");
    seat.shows();
    seat.types(b"\t\x7f");
    assert_eq!(seat.shows(), "\t\x08");
}

#[test]
fn werase_takes_a_word_and_what_follows_it() {
    assert_eq!(line(b"one two, \x17x\n").0, b"one x\n");
    assert_eq!(line("naïve grün \x17\n".as_bytes()).0, "naïve \n".as_bytes());
}

#[test]
fn kill_shows_as_its_flags_say() {
    assert_eq!(line(b"abc\x15x\n"), (b"x\n".to_vec(), "abc\x08 \x08\x08 \x08\x08 \x08x\r\n".into()));
    let mut seat = Seat::with(|termios| termios.lflag &= !lflag::ECHOKE);
    seat.types(b"abc\x15x\n");
    assert_eq!(seat.shows(), "abc^U\r\nx\r\n");
    assert_eq!(seat.reads(9), Ok(b"x\n".to_vec()));
    let mut seat = Seat::with(|termios| termios.lflag &= !lflag::ECHO);
    seat.types(b"abc\x15x\n");
    assert_eq!(seat.shows(), "");
    assert_eq!(seat.reads(9), Ok(b"x\n".to_vec()));
}

#[test]
fn without_echoe_the_erase_character_is_echoed() {
    let mut seat = Seat::with(|termios| termios.lflag &= !lflag::ECHOE);
    seat.types(b"ab\x7f\n");
    assert_eq!(seat.shows(), "ab^?\r\n");
    assert_eq!(seat.reads(9), Ok(b"a\n".to_vec()));
}

#[test]
fn echoprt_shows_what_is_erased_between_slashes() {
    let mut seat = Seat::with(|termios| termios.lflag |= lflag::ECHOPRT);
    seat.types(b"abc\x7f\x7fx\n");
    assert_eq!(seat.shows(), "abc\\cb/x\r\n");
    assert_eq!(seat.reads(9), Ok(b"ax\n".to_vec()));
}

#[test]
fn editing_stays_in_the_line() {
    assert_eq!(line(b"a\x16\n\x7f\x7f\x7fb\n").0, b"b\n");
    let mut seat = Seat::new();
    seat.types(b"done\n\x7f\x15\x17x\n");
    assert_eq!(seat.reads(9), Ok(b"done\n".to_vec()));
    assert_eq!(seat.reads(9), Ok(b"x\n".to_vec()));
}

#[test]
fn reprint_shows_the_line_again() {
    assert_eq!(line(b"ab\x12c\n"), (b"abc\n".to_vec(), "ab^R\r\nabc\r\n".into()));
}

#[test]
fn lnext_makes_the_next_byte_ordinary() {
    let (bytes, shown) = line(b"\x16\x03\x16\x7f\n");
    assert_eq!(bytes, b"\x03\x7f\n");
    assert_eq!(shown, "^\x08^C^\x08^?\r\n");
}

#[test]
fn end_of_file_is_not_read_but_ends_the_line() {
    assert_eq!(line(b"\x04").0, b"");
    let mut seat = Seat::new();
    seat.types(b"abc\x04");
    assert_eq!(seat.tty.available(), 3);
    assert_eq!(seat.reads(100), Ok(b"abc".to_vec()));
    assert_eq!(seat.reads(100), Err(None));
    seat.types(b"abc\x04");
    assert_eq!(seat.reads(3), Ok(b"abc".to_vec()));
    assert_eq!(seat.reads(3), Err(None));
    seat.types(b"\x04x\n");
    assert_eq!(seat.reads(3), Ok(vec![]));
    assert_eq!(seat.reads(3), Ok(b"x\n".to_vec()));
    assert_eq!(seat.shows(), "abcabcx\r\n");
}

#[test]
fn a_zero_byte_is_no_end_of_file() {
    assert_eq!(line(b"a\0b\n").0, b"a\0b\n");
}

#[test]
fn extra_ends_of_line_are_read() {
    let mut seat = Seat::with(|termios| {
        termios.cc[cc::VEOL] = b';';
        termios.cc[cc::VEOL2] = b'!';
    });
    seat.types(b"a;b!");
    assert_eq!(seat.reads(9), Ok(b"a;".to_vec()));
    assert_eq!(seat.reads(9), Ok(b"b!".to_vec()));
    assert_eq!(seat.shows(), "a;b!");
}

#[test]
fn carriage_returns_are_translated() {
    for (set, clear, typed, read) in [
        (0, 0, &b"a\r"[..], &b"a\n"[..]),
        (iflag::IGNCR, 0, b"a\r\n", b"a\n"),
        (0, iflag::ICRNL, b"a\r\n", b"a\r\n"),
        (iflag::INLCR, iflag::ICRNL, b"a\n\x04", b"a\r"),
        (iflag::ISTRIP, 0, b"\xe1\n", b"a\n"),
        (iflag::IUCLC, 0, b"LS\n", b"ls\n"),
        (iflag::PARMRK, 0, b"\xff\n", b"\xff\xff\n"),
    ] {
        let mut seat = Seat::with(|termios| {
            termios.iflag |= set;
            termios.iflag &= !clear;
        });
        seat.types(typed);
        assert_eq!(seat.reads(9), Ok(read.to_vec()), "{typed:?}");
    }
}

#[test]
fn signals_flush_and_show() {
    for (key, signal, shown) in
        [(3, Signal::Interrupt, "^C"), (0x1c, Signal::Quit, "^\\"), (0x1a, Signal::Suspend, "^Z")]
    {
        let mut seat = Seat::new();
        seat.writes(b"pending output");
        seat.types(b"line\nabc").types(&[key]);
        assert_eq!(seat.signals, vec![signal]);
        assert_eq!(seat.shows(), shown);
        assert_eq!(seat.reads(9), Err(None));
        seat.types(b"x\n");
        assert_eq!(seat.reads(9), Ok(b"x\n".to_vec()));
    }
}

#[test]
fn noflsh_keeps_what_was_typed() {
    let mut seat = Seat::with(|termios| termios.lflag |= lflag::NOFLSH);
    seat.types(b"ab\x03c\n");
    assert_eq!(seat.signals, vec![Signal::Interrupt]);
    assert_eq!(seat.reads(9), Ok(b"abc\n".to_vec()));
    assert_eq!(seat.shows(), "ab^Cc\r\n");
}

#[test]
fn without_isig_control_c_is_a_byte() {
    let mut seat = Seat::with(|termios| termios.lflag &= !lflag::ISIG);
    seat.types(b"\x03\n");
    assert!(seat.signals.is_empty());
    assert_eq!(seat.reads(9), Ok(b"\x03\n".to_vec()));
}

#[test]
fn stop_and_start() {
    let mut seat = Seat::new();
    seat.types(b"\x13");
    assert!(seat.tty.is_stopped());
    seat.types(b"a");
    assert!(seat.tty.is_stopped());
    seat.types(b"\x11\n");
    assert!(!seat.tty.is_stopped());
    assert_eq!(seat.reads(9), Ok(b"a\n".to_vec()));
    seat.types(b"\x13\x03");
    assert!(!seat.tty.is_stopped());
    seat.set(|termios| termios.iflag |= iflag::IXANY);
    seat.types(b"\x13b");
    assert!(!seat.tty.is_stopped());
    seat.types(b"\x13");
    seat.set(|termios| termios.iflag &= !iflag::IXON);
    assert!(!seat.tty.is_stopped());
    seat.tty.stop();
    seat.types(b"\x11");
    assert!(seat.tty.is_stopped());
    seat.tty.start();
    assert!(!seat.tty.is_stopped());
}

#[test]
fn echo_off_and_echonl() {
    let mut seat = Seat::with(|termios| termios.lflag &= !lflag::ECHO);
    seat.types(b"secret\n");
    assert_eq!(seat.shows(), "");
    seat.set(|termios| termios.lflag |= lflag::ECHONL);
    seat.types(b"secret\n");
    assert_eq!(seat.shows(), "\r\n");
    assert_eq!(seat.reads(99), Ok(b"secret\n".to_vec()));
}

#[test]
fn a_long_line_keeps_room_for_its_end() {
    let mut seat = Seat::new();
    seat.types(&[b'x'; 5000]);
    assert!(seat.tty.has_input_room());
    seat.types(b"\n");
    assert!(!seat.tty.has_input_room());
    let line = seat.reads(9000).unwrap();
    assert_eq!(line.len(), BUFFER - 1);
    assert!(line.ends_with(b"x\n"));
    assert!(seat.tty.has_input_room());
    seat.types(&[b'y'; 5000]).types(b"\x15ok\n");
    assert_eq!(seat.reads(9000), Ok(b"ok\n".to_vec()));
}

#[test]
fn full_of_lines_it_takes_no_more_but_signals() {
    let mut seat = Seat::with(|termios| termios.lflag |= lflag::NOFLSH);
    for _ in 0..(BUFFER - 1) / 5 {
        seat.types(b"1234\n");
    }
    assert_eq!(seat.tty.available(), BUFFER - 1);
    assert!(!seat.tty.has_input_room());
    seat.types(b"\x03z\n");
    assert_eq!(seat.signals.len(), 1);
    for _ in 0..(BUFFER - 1) / 5 {
        assert_eq!(seat.reads(99), Ok(b"1234\n".to_vec()));
    }
    assert_eq!(seat.reads(99), Err(None));
}

#[test]
fn raw_bytes_pass_untouched() {
    let all: Vec<u8> = (0..=255).collect();
    let mut seat = Seat::raw();
    seat.types(&all);
    assert_eq!(seat.tty.available(), 256);
    assert_eq!(seat.reads(100), Ok(all[..100].to_vec()));
    assert_eq!(seat.reads(1000), Ok(all[100..].to_vec()));
    assert_eq!(seat.reads(1000), Err(None));
    assert_eq!(seat.shows(), "");
    assert_eq!(seat.writes(&all), 256);
    assert_eq!(seat.screen.bytes, all);
}

fn raw_with(min: u8, time: u8) -> Seat {
    let mut seat = Seat::raw();
    seat.set(|termios| {
        termios.cc[cc::VMIN] = min;
        termios.cc[cc::VTIME] = time;
    });
    seat
}

#[test]
fn min_without_time_waits_for_so_many() {
    let mut seat = raw_with(3, 0);
    seat.types(b"ab");
    assert_eq!(seat.reads(10), Err(None));
    assert!(!seat.tty.is_readable());
    assert_eq!(seat.reads_at(10, Wait::No, 0), Ok(b"ab".to_vec()));
    seat.types(b"cd");
    assert_eq!(seat.reads(2), Ok(b"cd".to_vec()));
    assert_eq!(seat.reads_at(10, Wait::No, 0), Err(None));
}

#[test]
fn time_without_min_waits_for_one_byte() {
    let mut seat = raw_with(0, 2);
    let deadline = 1000 + 200_000_000;
    assert_eq!(seat.reads_at(10, Wait::Since(1000), 1000), Err(Some(deadline)));
    assert_eq!(seat.reads_at(10, Wait::Since(1000), deadline), Ok(vec![]));
    seat.types(b"a");
    assert_eq!(seat.reads_at(10, Wait::Since(1000), 1000), Ok(b"a".to_vec()));
}

#[test]
fn neither_min_nor_time_never_waits() {
    let mut seat = raw_with(0, 0);
    assert_eq!(seat.reads(10), Ok(vec![]));
    seat.types(b"a");
    assert_eq!(seat.reads(10), Ok(b"a".to_vec()));
}

#[test]
fn min_and_time_wait_between_bytes() {
    let mut seat = raw_with(5, 1);
    assert_eq!(seat.reads_at(10, Wait::Since(0), 5_000_000_000), Err(None));
    seat.tty.input(b'a', 1_000_000_000, &mut seat.screen);
    assert_eq!(seat.reads_at(10, Wait::Since(0), 1_050_000_000), Err(Some(1_100_000_000)));
    seat.tty.input(b'b', 1_050_000_000, &mut seat.screen);
    assert_eq!(seat.reads_at(10, Wait::Since(0), 1_100_000_000), Err(Some(1_150_000_000)));
    assert_eq!(seat.reads_at(10, Wait::Since(0), 1_150_000_000), Ok(b"ab".to_vec()));
    assert!(!seat.tty.is_readable());
}

#[test]
fn a_change_of_mode_keeps_what_was_typed() {
    let mut seat = Seat::new();
    seat.types(b"abc");
    seat.set(Termios::make_raw);
    assert_eq!(seat.reads(10), Ok(b"abc".to_vec()));
    seat.types(b"def");
    seat.set(|termios| *termios = Termios::default());
    assert_eq!(seat.reads(10), Ok(b"def".to_vec()));
    seat.types(b"x\n");
    assert_eq!(seat.reads(10), Ok(b"x\n".to_vec()));
}

#[test]
fn flush_drops_a_queue() {
    let mut seat = Seat::new();
    seat.types(b"one\ntw");
    seat.tty.flush(Queue::Input, &mut seat.screen);
    assert_eq!(seat.tty.available(), 0);
    assert_eq!(seat.shows(), "one\r\ntw");
    seat.writes(b"out");
    seat.tty.flush(Queue::Output, &mut seat.screen);
    assert_eq!(seat.shows(), "");
    seat.types(b"o\n");
    assert_eq!(seat.reads(10), Ok(b"o\n".to_vec()));
}

#[test]
fn output_is_processed() {
    for (set, clear, written, shown) in [
        (0, 0, "a\nb", "a\r\nb"),
        (0, oflag::ONLCR, "a\nb", "a\nb"),
        (0, oflag::OPOST, "a\n\tb", "a\n\tb"),
        (oflag::XTABS, 0, "ab\tc\n\td", "ab      c\r\n        d"),
        (oflag::XTABS, 0, "ü\tc", "ü       c"),
        (oflag::XTABS, 0, "abc\x08\x08\tc", "abc\x08\x08       c"),
        (oflag::OCRNL, oflag::ONLCR, "a\rb", "a\nb"),
        (oflag::ONOCR, 0, "\ra\rb", "a\rb"),
        (oflag::OLCUC, 0, "ab", "AB"),
        (oflag::ONLRET | oflag::XTABS, oflag::ONLCR, "ab\n\tc", "ab\n        c"),
    ] {
        let mut seat = Seat::with(|termios| {
            termios.oflag |= set;
            termios.oflag &= !clear;
        });
        assert_eq!(seat.writes(written.as_bytes()), written.len());
        assert_eq!(seat.shows(), shown, "{written:?}");
    }
}

#[test]
fn a_full_terminal_takes_part_of_a_write() {
    let mut seat = Seat::new();
    seat.screen.room = 20;
    let taken = seat.writes(&[b'\n'; 30]);
    assert_eq!(seat.screen.bytes.len(), taken * 2);
    assert!((6..10).contains(&taken), "{taken}");
    seat.screen.room = 40;
    assert_eq!(seat.tty.write(b"x", 30, &mut seat.screen), 0);
    seat.types(b"echo");
    assert!(seat.shows().ends_with("echo"));
}

#[test]
fn window_size_tells_of_changes() {
    let mut tty = Tty::new();
    let size = WindowSize { rows: 24, columns: 80, ..WindowSize::default() };
    assert!(tty.set_window_size(size));
    assert!(!tty.set_window_size(size));
    assert_eq!(tty.window_size(), size);
}

/// Without special characters, what is read is what was typed, in lines.
fn plain_text() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![8 => 0x20u8..0x7f, 1 => Just(b'\n'), 1 => 0x80u8..=0xff], 0..3000)
}

proptest! {
    #[test]
    fn lines_arrive_as_typed(text in plain_text(), pieces in proptest::collection::vec(1usize..200, 1..50)) {
        let mut seat = Seat::new();
        let mut got = Vec::new();
        let mut pieces = pieces.iter().cycle();
        for &byte in text.iter().chain(b"\n") {
            while !seat.tty.has_input_room() || seat.tty.available() > 500 {
                got.extend(seat.reads(*pieces.next().unwrap()).unwrap());
            }
            seat.types(&[byte]);
        }
        while let Ok(bytes) = seat.reads(*pieces.next().unwrap()) {
            got.extend(bytes);
        }
        let mut whole = text.clone();
        whole.push(b'\n');
        prop_assert_eq!(got, whole);
    }

    #[test]
    fn nothing_breaks_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        flags in any::<[u32; 4]>(),
        controls in any::<[u8; NCCS]>(),
        room in 0usize..5000,
    ) {
        let mut seat = Seat::new();
        seat.screen.room = room;
        for (n, byte) in bytes.iter().enumerate() {
            seat.types(&[*byte]);
            if n % 700 == 300 {
                let [iflag, oflag, cflag, lflag] = flags.map(|flag| flag.rotate_left(n as u32));
                seat.tty.set_termios(Termios { iflag, oflag, cflag, lflag, line: 0, cc: controls });
            }
            if n % 90 == 60 {
                let _ = seat.reads_at(64, Wait::No, n as u64);
            }
            prop_assert!(seat.tty.buffered() < BUFFER);
            prop_assert!(seat.tty.available() <= seat.tty.buffered());
            let canon = seat.tty.canon.wrapping_sub(seat.tty.tail);
            prop_assert!(canon <= seat.tty.head.wrapping_sub(seat.tty.tail));
        }
        seat.tty.write(&bytes, 10, &mut seat.screen);
    }

    #[test]
    fn garbage_memory_does_not_panic(garbage in any::<u64>()) {
        let mut seat = Seat::new();
        for (place, byte) in seat.tty.as_mut_bytes().iter_mut().enumerate() {
            *byte = (garbage.wrapping_mul(place as u64 + 7) >> 32) as u8;
        }
        seat.tty.canon = seat.tty.head.wrapping_sub(garbage as u32 % 9999);
        seat.types(b"abc\x7f\x15\x12x\n");
        let _ = seat.reads(100);
        let _ = seat.tty.available();
        seat.writes(b"a\tb\n");
    }
}
