//! The run-time tested on the machine, as the root task of a boot image of its own: heap, mappings, threads, a contended lock, a served interface with
//! loans and capabilities, sleep. Logs one line per part, and ends the machine in order (QEMU status 33) if all hold; a part that fails panics.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod program {
    extern crate alloc;

    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use core::sync::atomic::{AtomicU64, Ordering};
    use sal_idl::{Attachments, Call, Give, Outcome, Stop};
    use sal_rt::abi::boot::Startup;
    use sal_rt::abi::message::Arrival;
    use sal_rt::abi::{Handle, Rights, Words};
    use sal_rt::handle::{Endpoint, Memory, Notification};
    use sal_rt::map::Mapped;
    use sal_rt::server::Service;
    use sal_rt::thread::{Options, spawn};
    use sal_rt::{Connection, Mutex, clock, log};

    sal_rt::entry!(main);

    mod sums {
        //! The interface that is served.
        sal_idl::interface! {
            /// Adds numbers.
            interface "sums" version 1;
            /// What can go wrong.
            errors {
                /// There is nothing to add.
                Empty = 1,
            }
            /// Adds the lent bytes, writes them back each plus one, and gives the capability back.
            1 add(to: u64) reads(bytes) writes(back) gives(cap) returns(sum: u64) takes(again);
            /// Dies as a server does (its thread ends), once.
            2 stumble() returns(count: u64);
        }
    }

    /// What threads are made with here.
    const OPTIONS: Options = Options { priority: 100, cpu: None, fpu: false };

    struct Sums;

    impl sums::Server for Sums {
        fn add(
            &mut self,
            call: &mut Call<'_>,
            a: sums::add::Arguments,
        ) -> Result<sums::add::Results, Stop<sums::Error>> {
            let mut bytes = alloc::vec![0; a.bytes.length as usize];
            call.read(a.bytes, 0, &mut bytes)?;
            if bytes.is_empty() {
                return Err(sums::Error::Empty.into());
            }
            let sum = a.to + bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
            call.write(a.back, 0, &bytes)?;
            Ok(sums::add::Results { sum, again: Give::moved(a.cap) })
        }

        fn stumble(
            &mut self,
            _: &mut Call<'_>,
            _: sums::stumble::Arguments,
        ) -> Result<sums::stumble::Results, Stop<sums::Error>> {
            static COUNT: AtomicU64 = AtomicU64::new(0);
            match COUNT.fetch_add(1, Ordering::Relaxed) {
                0 => sal_rt::thread::exit(),
                count => Ok(sums::stumble::Results { count }),
            }
        }
    }

    impl Service for Sums {
        const ACCEPT: usize = 1;

        fn message(
            &mut self,
            arrival: Arrival,
            badge: u64,
            words: &Words,
            attachments: &mut dyn Attachments,
        ) -> Outcome {
            sums::dispatch(self, arrival, badge, words, attachments)
        }
    }

    fn main(_: &'static Startup) {
        heap();
        mapping();
        lock();
        service();
        sleep();
        log::info!("selftest: all passed");
        let _ = sal_rt::sys::machine::power_off(sal_rt::start::own::log(), 0);
    }

    fn heap() {
        let mut all = Vec::new();
        for i in 0..200usize {
            all.push(alloc::vec![i as u8; i * 37]);
        }
        all.retain(|part| part.len() % 2 == 0);
        assert!(all.iter().all(|part| part.iter().all(|byte| usize::from(*byte) * 37 == part.len())));
        log::info!("selftest: heap");
    }

    fn mapping() {
        let memory = Memory::create(64 * 1024).unwrap();
        let rights = Rights::READ.or(Rights::WRITE);
        let one = Mapped::new(memory.handle(), 0, 64 * 1024, rights).unwrap();
        let two = Mapped::new(memory.handle(), 4096, 4096, Rights::READ).unwrap();
        one.write(5000, b"salamandra").unwrap();
        let mut seen = [0; 10];
        two.read(5000 - 4096, &mut seen).unwrap();
        assert_eq!(&seen, b"salamandra");
        let copy = Memory::create(64 * 1024).unwrap();
        copy.clone_from(&memory, 64 * 1024).unwrap();
        one.write(5000, b"lizard").unwrap();
        let three = Mapped::new(copy.handle(), 0, 64 * 1024, Rights::READ).unwrap();
        three.read(5000, &mut seen).unwrap();
        assert_eq!(&seen, b"salamandra");
        log::info!("selftest: mappings, copy on write");
    }

    fn lock() {
        const THREADS: u64 = 4;
        const TURNS: u64 = 500;
        let endpoint = Endpoint::create().unwrap();
        let shared = Arc::new((Mutex::new(0u64), Notification::create(endpoint.handle(), 7).unwrap()));
        for i in 0..THREADS {
            let mine = Arc::clone(&shared);
            spawn(OPTIONS, move || {
                for _ in 0..TURNS {
                    let mut count = mine.0.lock();
                    let seen = *count;
                    sal_rt::sys::process::yield_now();
                    *count = seen + 1;
                }
                mine.1.raise(1 << i).unwrap();
            })
            .unwrap();
        }
        let mut done = 0;
        while done != (1 << THREADS) - 1 {
            let received = sal_rt::sys::ipc::receive(endpoint.handle(), Default::default()).unwrap();
            assert_eq!(received.badge, 7);
            done |= received.words[0];
        }
        assert_eq!(*shared.0.lock(), THREADS * TURNS);
        log::info!("selftest: threads, a contended lock");
    }

    fn serve(endpoint: Handle) {
        spawn(OPTIONS, move || sal_rt::server::serve(endpoint, &mut Sums)).unwrap();
    }

    fn service() {
        let endpoint = Endpoint::create().unwrap();
        serve(endpoint.handle());
        let mut client = sums::Client(Connection::plain(endpoint.handle()));
        let memory = Memory::create(4096).unwrap();
        let mut back = [0; 300];
        let cap = Give::copy(memory.handle(), Rights::READ.or(Rights::TRANSFER));
        for _ in 0..100 {
            let reply = client.add(5, &[1u8; 300], &mut back, cap).unwrap();
            assert_eq!((reply.sum, back[299]), (305, 2));
            let again = Memory::own(reply.again);
            assert_eq!(again.length(), Ok(4096));
        }
        // A page of the lent buffer that was never touched: the stub brings it in and repeats.
        let fresh = Memory::create(4096).unwrap();
        let place = Mapped::new(fresh.handle(), 0, 4096, Rights::READ.or(Rights::WRITE)).unwrap();
        #[allow(unsafe_code, reason = "a buffer that is absent can't be had from the heap for sure")]
        // SAFETY: mapped for writing, for this function alone.
        let absent = unsafe { core::slice::from_raw_parts_mut(place.pointer(), 4096) };
        assert_eq!(client.add(0, &[7; 3], &mut *absent, cap).map(|reply| reply.sum), Ok(21));
        assert_eq!(absent.first(), Some(&8));
        log::info!("selftest: a served interface, loans, capabilities, an absent page");
        let keeper = endpoint.handle();
        let _ = spawn(OPTIONS, move || {
            let _ = clock::sleep_until(clock::now() + 2_000_000);
            serve(keeper);
        })
        .unwrap();
        assert_eq!(client.stumble().map(|reply| reply.count), Ok(1));
        log::info!("selftest: the server died, the request was repeated to its successor");
        core::mem::forget(endpoint);
    }

    fn sleep() {
        let start = clock::now();
        clock::sleep_until(start + 3_000_000).unwrap();
        assert!(clock::now() >= start + 3_000_000);
        log::info!("selftest: sleep, {} us late", (clock::now() - start - 3_000_000) / 1000);
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
