//! Threads and what they wait with.

use crate::{Check, Verdict, same};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel, sync_channel};
use std::sync::{Arc, Barrier, Condvar, Mutex, Once, OnceLock, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

pub(crate) const CHECKS: &[Check] = &[
    ("threads/join", join),
    ("threads/scope", scope),
    ("threads/many", many),
    ("threads/local", local),
    ("threads/panic", panic),
    ("threads/park", park),
    ("threads/channel", channels),
    ("threads/rendezvous", rendezvous),
    ("threads/receive-timeout", receive_timeout),
    ("threads/mutex", mutex),
    ("threads/condvar", condvar),
    ("threads/barrier", barrier),
    ("threads/read-write-lock", read_write_lock),
    ("threads/once", once),
    ("threads/stack", stack),
    ("time/instant", instant),
    ("time/sleep", sleep),
    ("time/system", system),
    ("memory/large", large),
    ("memory/floats-across-threads", floats),
    ("memory/random-keys", random_keys),
];

const THREADS: u64 = 8;

fn join() -> Verdict {
    let workers = (0..THREADS).map(|n| thread::spawn(move || n * n));
    let all = workers.collect::<Vec<_>>().into_iter();
    same(all.map(|worker| worker.join().unwrap_or(0)).sum(), (0..THREADS).map(|n| n * n).sum::<u64>())
}

fn scope() -> Verdict {
    let numbers = (0..1000u64).collect::<Vec<_>>();
    let sum = AtomicU64::new(0);
    thread::scope(|scope| {
        for piece in numbers.chunks(100) {
            let sum = &sum;
            scope.spawn(move || sum.fetch_add(piece.iter().sum(), Ordering::Relaxed));
        }
    });
    same(sum.into_inner(), 499_500)
}

/// Threads come and go: what the system keeps of each is given back.
fn many() -> Verdict {
    let mut sum = 0;
    for n in 0..200 {
        sum += thread::spawn(move || n).join().map_err(|_| "panicked")?;
    }
    same(sum, 19_900)
}

fn local() -> Verdict {
    thread_local!(static OWN: Cell<u32> = const { Cell::new(1) });
    OWN.set(2);
    let other = thread::spawn(|| OWN.get()).join().map_err(|_| "panicked")?;
    same((OWN.get(), other), (2, 1))
}

fn panic() -> Verdict {
    let result = thread::spawn(|| panic!("on purpose")).join();
    same(result.is_err(), true)
}

fn park() -> Verdict {
    let parked = thread::spawn(|| {
        thread::park();
        7
    });
    parked.thread().unpark();
    same(parked.join().map_err(|_| "panicked")?, 7)
}

fn channels() -> Verdict {
    let (sender, receiver) = channel();
    for n in 0..THREADS {
        let sender = sender.clone();
        thread::spawn(move || (0..500).try_for_each(|m| sender.send(n * 500 + m)));
    }
    drop(sender);
    let mut all = receiver.iter().collect::<Vec<_>>();
    all.sort_unstable();
    same(all, (0..THREADS * 500).collect())
}

fn rendezvous() -> Verdict {
    let (ping, pings) = sync_channel(0);
    let (pong, pongs) = sync_channel(0);
    let echo = thread::spawn(move || pings.iter().try_for_each(|n: u32| pong.send(n + 1)));
    let mut last = 0;
    for n in 0..300 {
        ping.send(n).map_err(|_| "nobody receives")?;
        last = pongs.recv().map_err(|_| "nobody answers")?;
    }
    drop(ping);
    let _ = echo.join();
    same(last, 300)
}

fn receive_timeout() -> Verdict {
    let (sender, receiver) = channel::<u8>();
    let start = Instant::now();
    let result = receiver.recv_timeout(Duration::from_millis(50));
    drop(sender);
    same(result, Err(RecvTimeoutError::Timeout))?;
    same(start.elapsed() >= Duration::from_millis(50), true)
}

fn mutex() -> Verdict {
    let counter = Arc::new(Mutex::new(0u64));
    let work = |counter: Arc<Mutex<u64>>| {
        for _ in 0..2000 {
            *counter.lock().unwrap() += 1;
        }
    };
    let workers = (0..THREADS).map(|_| {
        thread::spawn({
            let counter = counter.clone();
            move || work(counter)
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.join().map_err(|_| "panicked")?;
    }
    same(*counter.lock().unwrap(), THREADS * 2000)
}

fn condvar() -> Verdict {
    let shared = Arc::new((Mutex::new(0u32), Condvar::new()));
    let other = shared.clone();
    let setter = thread::spawn(move || {
        for _ in 0..100 {
            *other.0.lock().unwrap() += 1;
            other.1.notify_one();
        }
    });
    let guard = shared.1.wait_while(shared.0.lock().unwrap(), |n| *n < 100).unwrap();
    same(*guard, 100)?;
    drop(guard);
    setter.join().map_err(|_| "panicked".into())
}

fn barrier() -> Verdict {
    let barrier = Barrier::new(THREADS as usize);
    let leaders = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..20 {
                    leaders.fetch_add(u64::from(barrier.wait().is_leader()), Ordering::Relaxed);
                }
            });
        }
    });
    same(leaders.into_inner(), 20)
}

fn read_write_lock() -> Verdict {
    let pair = RwLock::new((0u64, 0u64));
    let torn = AtomicU64::new(0);
    thread::scope(|scope| {
        for writer in 0..4 {
            let (pair, torn) = (&pair, &torn);
            scope.spawn(move || {
                for n in 0..500 {
                    if writer == 0 {
                        *pair.write().unwrap() = (n, n);
                    } else {
                        let (a, b) = *pair.read().unwrap();
                        torn.fetch_add(u64::from(a != b), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    same(torn.into_inner(), 0)
}

fn once() -> Verdict {
    static FIRST: Once = Once::new();
    static CELL: OnceLock<u64> = OnceLock::new();
    let runs = AtomicU64::new(0);
    thread::scope(|scope| {
        for n in 0..THREADS {
            let runs = &runs;
            scope.spawn(move || {
                FIRST.call_once(|| runs.store(runs.load(Ordering::Relaxed) + 1, Ordering::Relaxed));
                CELL.get_or_init(|| n);
            });
        }
    });
    same((runs.into_inner(), CELL.get().is_some()), (1, true))
}

/// A thread's own stack is as large as it asked for.
fn stack() -> Verdict {
    fn deep(n: u64) -> u64 {
        let space = std::hint::black_box([n; 128]);
        if n == 0 { space[0] } else { 1 + deep(n - 1) + space[127] - n }
    }
    let builder = thread::Builder::new().stack_size(16 << 20);
    let deep = builder.spawn(|| deep(10_000)).map_err(crate::io)?;
    same(deep.join().map_err(|_| "panicked")?, 10_000)
}

fn instant() -> Verdict {
    let mut last = Instant::now();
    for _ in 0..10_000 {
        let now = Instant::now();
        if now < last {
            return Err("the clock went back".into());
        }
        last = now;
    }
    Ok(())
}

fn sleep() -> Verdict {
    let start = Instant::now();
    thread::sleep(Duration::from_millis(30));
    let elapsed = start.elapsed();
    let right = elapsed >= Duration::from_millis(30) && elapsed < Duration::from_secs(10);
    right.then_some(()).ok_or_else(|| format!("30 ms took {elapsed:?}"))
}

fn system() -> Verdict {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // 2024-01-01: an emulated machine has the host's date.
    same(now.is_ok_and(|now| now.as_secs() > 1_704_067_200), true)
}

fn large() -> Verdict {
    let mut bytes = vec![0u8; 8 << 20];
    bytes.iter_mut().step_by(4096).enumerate().for_each(|(n, byte)| *byte = n as u8);
    let sum = bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let map = (0..20_000u32).map(|n| (n, n.to_string())).collect::<BTreeMap<_, _>>();
    same((sum, map[&19_999].as_str()), (8 * (0..256).sum::<u64>(), "19999"))
}

/// Each thread's floating-point registers are its own.
fn floats() -> Verdict {
    let series = |n: u64| (1..20_000u64).fold(n as f64, |sum, k| sum + (n as f64) / (k as f64).sqrt());
    let alone = (0..THREADS).map(series).collect::<Vec<_>>();
    let together = thread::scope(|scope| {
        let workers = (0..THREADS).map(|n| scope.spawn(move || series(n))).collect::<Vec<_>>();
        workers.into_iter().map(|worker| worker.join().unwrap_or(f64::NAN)).collect::<Vec<_>>()
    });
    same(together, alone)
}

/// A hash map takes its keys from the system's random numbers.
fn random_keys() -> Verdict {
    let map = (0..1000).map(|n| (n, n * 2)).collect::<HashMap<_, _>>();
    same(map.get(&500), Some(&1000))
}
