//! Sessions with a guest that is a thread: the other end of the link over two pipes, with the kernel's raw text in between.

use super::*;
use std::io::{PipeReader, PipeWriter};

/// The guest's side of the line.
struct Guest {
    link: Link,
    to: PipeWriter,
    arrived: Receiver<Vec<u8>>,
    started: Instant,
}

impl Guest {
    fn new(mut from: PipeReader, to: PipeWriter) -> Guest {
        let (sender, arrived) = channel();
        thread::spawn(move || {
            let mut piece = [0; 700];
            while let Ok(length @ 1..) = from.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Guest { link: Link::new(Role::Caller, 7, 5_000), to, arrived, started: Instant::now() }
    }

    /// One turn: sends what there is to send, takes what has come.
    fn turn(&mut self) {
        self.link.poll(self.started.elapsed().as_micros() as u64);
        let mut piece = [0; 1000];
        let length = self.link.pull(&mut piece);
        self.to.write_all(&piece[..length]).unwrap();
        if let Ok(bytes) = self.arrived.recv_timeout(Duration::from_millis(1)) {
            self.link.push(&bytes, |byte| panic!("the host sent {byte:#x} outside a frame"));
        }
    }

    fn say(&mut self, channel: Channel, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.link.send(channel, bytes)..];
            self.turn();
        }
    }

    fn control(&mut self, message: Control) {
        while !self.link.send_control(message) {
            self.turn();
        }
    }

    fn settle(&mut self) {
        while Channel::ALL.iter().any(|channel| self.link.unacknowledged(*channel) > 0) {
            self.turn();
        }
    }
}

/// Talks with a guest that does `act`; returns how it ended, standard output, standard error and the log.
fn talk(input: &[u8], timeout: Option<Duration>, act: fn(Guest)) -> (End, Vec<u8>, Vec<u8>, Log) {
    let (host_from, guest_to) = std::io::pipe().unwrap();
    let (guest_from, host_to) = std::io::pipe().unwrap();
    let guest = thread::spawn(move || act(Guest::new(guest_from, guest_to)));
    let (mut output, mut error, mut log) = (Vec::new(), Vec::new(), Log::default());
    let streams = Streams {
        console: Console::Streams,
        input: Some(Box::new(std::io::Cursor::new(input.to_vec()))),
        output: &mut output,
        error: &mut error,
        signals: Signals::Ignored,
        timeout,
    };
    let end = converse((host_to, host_from), streams, &mut log).unwrap();
    if timeout.is_none() {
        guest.join().unwrap();
    }
    (end, output, error, log)
}

/// A guest that sends its standard input back and ends with status 5.
fn echo(mut guest: Guest) {
    guest.to.write_all(b"salamandra 0.1\nready\n").unwrap();
    let (mut end, mut hello) = (None, None);
    let mut piece = [0; 900];
    loop {
        guest.turn();
        match guest.link.receive_control() {
            Some(Control::Hello(terminal)) => hello = Some(terminal),
            Some(Control::EndOfStream { channel: Channel::Stdin, at }) => end = Some(at),
            _ => {}
        }
        let length = guest.link.receive(Channel::Stdin, &mut piece);
        guest.say(Channel::Stdout, &piece[..length]);
        if end.is_some_and(|at| guest.link.is_read_to(Channel::Stdin, at)) {
            break;
        }
    }
    assert_eq!(hello, Some(Terminal::Pipes));
    guest.say(Channel::Stderr, b"done\n");
    guest.say(Channel::Log, b"console: bye\n");
    guest.control(Control::ExitStatus(5));
    guest.control(Control::PowerOff);
    guest.settle();
    guest.to.write_all(b"\x1b[0mpower off\n").unwrap();
}

#[test]
fn every_byte_comes_back_in_order_and_the_status_with_it() {
    let mut input = (0..100_000u32).flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    input.extend(0..=255);
    let (end, output, error, log) = talk(&input, None, echo);
    assert_eq!(end, End::Silence(Some(5)));
    assert!(output == input, "{} of {} bytes, or other ones", output.len(), input.len());
    assert_eq!(error, b"done\n");
    let lines = log.last(9);
    assert_eq!(lines[..2], ["salamandra 0.1", "ready"]);
    assert!(lines.contains(&"console: bye") && lines.contains(&"\x1b[0mpower off"), "{lines:?}");
}

#[test]
fn no_input_is_an_end_of_input() {
    let (end, output, ..) = talk(b"", None, echo);
    assert_eq!((end, output.len()), (End::Silence(Some(5)), 0));
}

#[test]
fn a_silent_machine_times_out() {
    let silent = |guest: Guest| {
        let _ = guest.arrived.recv();
    };
    let (end, ..) = talk(b"x", Some(Duration::from_millis(50)), silent);
    assert_eq!(end, End::Stopped(Outcome::TimedOut(0)));
}

#[test]
fn a_machine_that_ends_without_a_word_has_no_status() {
    let (end, output, _, log) = talk(b"x", None, |mut guest| guest.to.write_all(b"PANIC: no").unwrap());
    assert_eq!((end, output.len()), (End::Silence(None), 0));
    assert_eq!(log.last(1), ["PANIC: no"]);
}

#[test]
fn last_words_are_told_from_a_frame_that_was_cut_off() {
    assert!(super::is_text("kernel bug: Überlauf\r\n\tat 0xffff\x1b[0m\n".as_bytes()));
    assert!(!super::is_text(b"\x04\x00\x10\x00stats\xf5\x01"));
    assert!(!super::is_text(b"abc\0def"));
}
