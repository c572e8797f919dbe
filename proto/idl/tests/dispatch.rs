//! One made-up interface with every kind of clause: client and server agree, and no message that is not well-formed reaches the server.

use proptest::prelude::*;
use sal_idl::abi::message::{Arrival, CAPS, Kind};
use sal_idl::abi::{Handle, Rights, Words};
use sal_idl::loopback::{Carried, Loopback};
use sal_idl::{Attachments, Call, Failure, Give, Header, Lend, Outcome, ReadLend, Response, Status, Stop, WriteLend};

mod sample {
    //! The interface under test.
    sal_idl::interface! {
        /// A sample.
        interface "sample" version 3;
        /// Its errors.
        errors {
            /// Too big.
            TooBig = 7,
        }
        /// Nothing goes in or out.
        1 nothing();
        /// All clauses.
        2 everything(small: u8, signed: i32, flag: bool) reads(from) writes(to) gives(cap) returns(sum: u64, back: bool) takes(gift, other);
        /// As many words as fit.
        40000 wide(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64) returns(h: u64);
        /// Keeps its caller.
        5 wait(place: u64);
        /// Its argument is an error when it is big.
        6 limited(n: u16) gives(cap);
    }
}

/// Counts what reached it.
#[derive(Default)]
struct Sample {
    served: usize,
    remembered: Option<(u32, Response)>,
    last: u32,
}

impl sample::Server for Sample {
    fn recall(&mut self, call: &Call<'_>) -> Option<Response> {
        self.last = call.header.sequence;
        self.remembered.filter(|(sequence, _)| *sequence == call.header.sequence).map(|(_, response)| response)
    }

    fn open_slot(&mut self, key: u64) -> Option<u16> {
        self.served += 1;
        Some(key as u16)
    }

    fn nothing(
        &mut self,
        _: &mut Call<'_>,
        _: sample::nothing::Arguments,
    ) -> Result<sample::nothing::Results, Stop<sample::Error>> {
        self.served += 1;
        Ok(sample::nothing::Results {})
    }

    fn everything(
        &mut self,
        call: &mut Call<'_>,
        a: sample::everything::Arguments,
    ) -> Result<sample::everything::Results, Stop<sample::Error>> {
        self.served += 1;
        let mut bytes = [0; 16];
        let length = a.from.length.min(16) as usize;
        call.read(a.from, 0, &mut bytes[..length])?;
        let sum = bytes.iter().map(|b| u64::from(*b)).sum::<u64>() + u64::from(a.small);
        let sum = sum.wrapping_add_signed(i64::from(a.signed));
        bytes.reverse();
        call.write(a.to, 0, &bytes[..a.to.length.min(16) as usize])?;
        let results = sample::everything::Results {
            sum,
            back: !a.flag,
            gift: Give::copy(a.cap, Rights::READ),
            other: Give::moved(Handle(77)),
        };
        self.remembered = Some((call.header.sequence, results.response()));
        Ok(results)
    }

    fn wide(
        &mut self,
        _: &mut Call<'_>,
        a: sample::wide::Arguments,
    ) -> Result<sample::wide::Results, Stop<sample::Error>> {
        self.served += 1;
        Ok(sample::wide::Results { h: a.a ^ a.b ^ a.c ^ a.d ^ a.e ^ a.f ^ a.g })
    }

    fn wait(
        &mut self,
        call: &mut Call<'_>,
        a: sample::wait::Arguments,
    ) -> Result<sample::wait::Results, Stop<sample::Error>> {
        self.served += 1;
        call.keep(Handle(a.place)).unwrap();
        Err(Stop::Kept)
    }

    fn limited(
        &mut self,
        _: &mut Call<'_>,
        a: sample::limited::Arguments,
    ) -> Result<sample::limited::Results, Stop<sample::Error>> {
        self.served += 1;
        if a.n > 9 { Err(sample::Error::TooBig.into()) } else { Ok(sample::limited::Results {}) }
    }
}

#[test]
fn client_and_server_agree_on_every_clause() {
    let mut server = Sample::default();
    let transport = Loopback::new(5, 1, |a, b, w, x| sample::dispatch(&mut server, a, b, w, x));
    let mut client = sample::Client(transport);
    client.nothing().unwrap();
    let mut to = [0; 16];
    let cap = Give::copy(Handle(3), Rights::ALL);
    let reply = client.everything(200, -5, true, &[1, 2, 3], &mut to, cap).unwrap();
    assert_eq!((reply.sum, reply.back, reply.gift, reply.other), (201, false, Handle(3), Handle(77)));
    assert_eq!(to[12..], [0, 3, 2, 1]);
    assert_eq!(client.wide(1, 2, 4, 8, 16, 32, 64).unwrap().h, 127);
    assert_eq!(client.limited(10, cap), Err(Failure::Refused(sample::Error::TooBig)));
    assert!(client.limited(9, cap).is_ok());
    assert!(matches!(client.wait(9), Err(Failure::Transport(_))));
}

#[test]
fn an_answered_number_is_answered_again_without_serving() {
    let mut server = Sample::default();
    let mut send = |sequence| {
        let (mut to, from) = ([0u8; 2], [5u8]);
        let mut lends = [Lend::Read(ReadLend::from(&from)), Lend::Write(WriteLend::from(&mut to))];
        let mut carried = Carried::new(&mut lends, [Handle(9), Handle::NONE, Handle::NONE, Handle::NONE]);
        let word0 = Header { operation: 2, sequence, slot: 1, flags: 1 }.word();
        let words = [word0, 1, 2, 0, 0, 0, 0, 0];
        let outcome = sample::dispatch(&mut server, Arrival::new(Kind::Message, 2, 1), 0, &words, &mut carried);
        (outcome, carried.closed, server.served)
    };
    let (first, closed, served) = send(4);
    assert_eq!((closed, served), (0, 1));
    assert_eq!(send(4), (first, 1, 1));
    assert_eq!(send(5).2, 2);
}

#[test]
fn reserved_bits_and_wrong_counts_are_malformed() {
    let cases: &[(u64, [u64; 7], usize, usize, Status)] = &[
        (1, [0; 7], 0, 0, Status::Done),
        (1, [1, 0, 0, 0, 0, 0, 0], 0, 0, Status::Malformed),
        (1, [0, 0, 0, 0, 0, 0, 1], 0, 0, Status::Malformed),
        (1, [0; 7], 1, 0, Status::Malformed),
        (1, [0; 7], 0, 1, Status::Malformed),
        (1 | 2 << 16, [0; 7], 0, 0, Status::Malformed),
        (1 | 1 << 16, [0; 7], 0, 0, Status::Done),
        (2, [256, 0, 0, 0, 0, 0, 0], 2, 1, Status::Malformed),
        (2, [255, 1 << 31, 0, 0, 0, 0, 0], 2, 1, Status::Malformed),
        (2, [255, 0, 2, 0, 0, 0, 0], 2, 1, Status::Malformed),
        (3, [0; 7], 0, 0, Status::UnknownOperation),
        (40001, [0; 7], 0, 0, Status::UnknownOperation),
    ];
    for (word0, rest, loans, caps, expected) in cases {
        let mut words = [*word0; 8];
        words[1..].copy_from_slice(rest);
        let (response, _, closed) = send(&words, *loans, *caps);
        assert_eq!(Status::from_word(response.words[0]), Some(*expected), "{word0} {rest:?}");
        assert_eq!(closed, if *expected == Status::Done { 0 } else { *caps });
    }
}

/// Dispatches one message with `loans` buffers and `caps` handles: the answer, how often the server was reached, handles closed.
fn send(words: &Words, loans: usize, caps: usize) -> (Response, usize, usize) {
    let mut server = Sample::default();
    let (mut to, from) = ([0u8; 3], [1u8, 2, 3]);
    let mut lends = vec![Lend::Read(ReadLend::from(&from)), Lend::Write(WriteLend::from(&mut to))];
    while lends.len() < loans {
        lends.push(Lend::Read(ReadLend::from(&from)));
    }
    lends.truncate(loans);
    let mut handles = [Handle::NONE; CAPS];
    handles.iter_mut().take(caps).for_each(|handle| *handle = Handle::new(1, 1));
    let mut carried = Carried::new(&mut lends, handles);
    let outcome = sample::dispatch(&mut server, Arrival::new(Kind::Message, loans, caps), 0, words, &mut carried);
    let (closed, kept) = (carried.closed, carried.kept);
    match outcome {
        Outcome::Reply(response) => (response, server.served, closed),
        Outcome::Kept => {
            assert!(kept.is_some());
            (Response::status(Status::Done), server.served, closed)
        }
    }
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), any::<u8>().prop_map(u64::from), any::<u64>()]
}

fn word0() -> impl Strategy<Value = u64> {
    let operation = prop_oneof![0..8u64, Just(40000), any::<u16>().prop_map(u64::from)];
    let flags = prop_oneof![Just(0u64), Just(1), any::<u8>().prop_map(u64::from)];
    prop_oneof![
        (operation, flags, any::<u16>(), 0..1u64 << 24).prop_map(|(operation, flags, slot, sequence)| {
            operation | flags << 16 | u64::from(slot) << 24 | sequence << 40
        }),
        any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// M15: whatever arrives, the dispatcher answers, reaches the server only with a message of its own shape, and leaks no handle.
    #[test]
    fn random_messages_are_answered_or_refused(
        first in word0(), rest in prop::array::uniform7(word()), loans in 0..=4usize, caps in 0..=4usize,
    ) {
        let mut words = [first; 8];
        words[1..].copy_from_slice(&rest);
        let (response, served, closed) = send(&words, loans, caps);
        let status = Status::from_word(response.words[0]).unwrap();
        if first as u16 == 0 {
            let fits = loans + caps == 0 && first >> 16 & 0xfe == 0;
            let fits = fits && rest[0] != 0 && rest[0] <= u64::from(u32::MAX) && rest[1..].iter().all(|w| *w == 0);
            prop_assert_eq!(status, if fits { Status::Done } else { Status::Malformed });
            prop_assert_eq!((served, closed), if fits { (1, 0) } else { (0, caps) });
            return Ok(());
        }
        let shape = sample::OPERATIONS.iter().find(|o| o.number == first as u16);
        let fits = shape.is_some_and(|o| {
            loans == o.reads.len() + o.writes.len()
                && caps == o.gives.len()
                && first >> 16 & 0xfe == 0
                && rest[o.arguments.len()..].iter().all(|w| *w == 0)
        });
        match status {
            Status::Done => prop_assert!(fits && served == 1 && closed == 0),
            Status::UnknownOperation => prop_assert!(shape.is_none() && served == 0 && closed == caps),
            Status::Malformed => prop_assert!(shape.is_some() && served == 0 && closed == caps),
            Status::Error(7) => prop_assert!(fits && served == 1 && closed == caps),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    /// Random replies never make a client panic.
    #[test]
    fn random_replies_are_understood_or_refused(words in prop::array::uniform8(word()), count in 0..=4usize) {
        struct Liar(Words, usize);
        impl sal_idl::Transport for Liar {
            fn exchange(
                &mut self,
                _: &mut sal_idl::Request<'_, '_>,
            ) -> Result<sal_idl::client::Received, sal_idl::TransportError> {
                Ok(sal_idl::client::Received { words: self.0, handles: [Handle(4); CAPS], count: self.1 })
            }
        }
        let mut client = sample::Client(Liar(words, count));
        let answer = client.everything(1, 2, true, &[0], &mut [0], Give::copy(Handle(1), Rights::ALL));
        let good = words[0] == 0 && count == 2 && words[2] <= 1;
        prop_assert_eq!(answer.is_ok(), good);
    }

    #[test]
    fn a_header_keeps_its_fields(operation: u16, flags: u8, slot: u16, sequence in 0..1u32 << 24) {
        let header = Header { operation, flags, slot, sequence };
        prop_assert_eq!(Header::from_word(header.word()), header);
    }
}

#[test]
fn a_short_loan_is_malformed_not_a_panic() {
    let mut server = Sample::default();
    let mut lends = [Lend::Write(WriteLend::Own(&mut [])), Lend::Read(ReadLend::Own(&[1]))];
    let mut carried = Carried::new(&mut lends, [Handle(1); CAPS]);
    carried.read(0, 0, &mut [0]).unwrap_err();
    let words = [2, 0, 0, 0, 0, 0, 0, 0];
    let outcome = sample::dispatch(&mut server, Arrival::new(Kind::Message, 2, 1), 0, &words, &mut carried);
    assert_eq!(outcome, Outcome::Reply(Response::status(Status::Malformed)));
}
