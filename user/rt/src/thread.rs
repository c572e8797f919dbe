//! Threads: an area (message page, hole, stack) each, laid out as `abi::boot::THREAD_AREA` says.
//!
//! The area of a thread that has ended is used again. A thread's last two instructions are the store that says *nobody runs on this area any more*
//! and the kernel call that ends it; between them it touches neither stack nor message page.

use crate::lock::Mutex;
use crate::start::own;
use crate::{handle, map};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use sal_abi::boot::{AREA_MESSAGE_PAGE, AREA_STACK, THREAD_AREA, first_stack_pointer};
use sal_abi::{Error, Handle, MessagePage, Op, PAGE, Rights};
use sal_sys::memory::{self, Mapping};
use sal_sys::process::{self, ThreadStart};

/// Word of `MessagePage::user` that is 1 once nobody runs on the area any more.
const LEFT_WORD: usize = 31;

/// Areas whose threads are about to end, or have.
static RETIRED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// How a thread is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// 0..=255.
    pub priority: u8,
    /// Which CPU, or any.
    pub cpu: Option<u16>,
    /// Has it FPU state (for a guest)? Native code uses none.
    pub fpu: bool,
}

/// What a thread runs.
type Work = Box<dyn FnOnce() + Send>;

/// Starts a thread that runs `work` and ends. The result is its handle; dropping that does not end it.
///
/// # Errors
/// The kernel's; then `work` does not run.
pub fn spawn(options: Options, work: impl FnOnce() + Send + 'static) -> Result<handle::Thread, Error> {
    let area = take_area()?;
    let work: Box<Work> = Box::new(Box::new(work));
    let argument = Box::into_raw(work);
    let start = ThreadStart {
        entry: thread_entry as *const () as u64,
        stack: first_stack_pointer(area),
        argument: argument as u64,
        message_page: area + AREA_MESSAGE_PAGE,
        priority: u64::from(options.priority),
        cpu: options.cpu.map(u64::from),
        flags: if options.fpu { sal_abi::op::thread::FPU } else { 0 },
    };
    // SAFETY: the stack is this thread's own, the entry takes exactly this argument.
    let created = unsafe { process::thread_create(own::process(), &start) };
    let started = created.map(handle::Thread::own).and_then(|thread| {
        process::thread_start(thread.handle())?;
        Ok(thread)
    });
    if started.is_err() {
        // SAFETY: the thread does not run, so the box is still this function's.
        drop(unsafe { Box::from_raw(argument) });
        left(area).store(1, Ordering::Release);
        RETIRED.lock().push(area);
    }
    started
}

/// First function of a thread.
extern "C" fn thread_entry(argument: *mut Work) -> ! {
    // SAFETY: `spawn` made it from a box for this thread alone.
    let work = unsafe { Box::from_raw(argument) };
    work();
    exit()
}

/// Ends the calling thread, which must be one that [`spawn`] started; what is on its stack is not dropped.
pub fn exit() -> ! {
    crate::clock::forget_sleep();
    let area = sal_sys::raw::stack_pointer() & !(THREAD_AREA - 1);
    RETIRED.lock().push(area);
    // SAFETY: after the store nothing of this area is used: the registers are loaded before it, and `ThreadExit` does not return.
    unsafe {
        core::arch::asm!(
            "mov qword ptr [{left}], 1",
            "2: mov eax, {exit}",
            "xor edi, edi",
            "syscall",
            "jmp 2b",
            left = in(reg) left(area).as_ptr(),
            exit = const Op::ThreadExit as u32,
            options(noreturn, nostack)
        )
    }
}

/// The area's word that says whether anybody still runs on it.
fn left(area: u64) -> &'static AtomicU64 {
    let page = (area + AREA_MESSAGE_PAGE) as *mut MessagePage;
    // SAFETY: areas are mapped for good; this word is accessed atomically only, except by its own thread's `page` functions, which don't use it.
    unsafe { AtomicU64::from_ptr((&raw mut (*page).user).cast::<u64>().add(LEFT_WORD)) }
}

/// An area that nobody runs on: an old one, or a new one.
fn take_area() -> Result<u64, Error> {
    let mut retired = RETIRED.lock();
    let free = retired.iter().position(|area| left(*area).load(Ordering::Acquire) == 1);
    let area = free.map(|i| retired.swap_remove(i));
    drop(retired);
    match area {
        Some(area) => {
            let page = (area + AREA_MESSAGE_PAGE) as *mut MessagePage;
            // SAFETY: nobody runs on the area, and it was just taken off the list. All zeros is a valid message page.
            unsafe { page.write_bytes(0, 1) };
            Ok(area)
        }
        None => new_area(),
    }
}

/// Maps a new area.
fn new_area() -> Result<u64, Error> {
    let area = map::reserve(THREAD_AREA, THREAD_AREA).ok_or(Error::BadAddress)?;
    let mapped = handle::Memory::create(THREAD_AREA).and_then(|memory| map_area(area, memory.handle()));
    if mapped.is_err() {
        map::release(area, THREAD_AREA);
    }
    mapped.map(|()| area)
}

/// Maps message page and stack, with the hole between them.
fn map_area(area: u64, object: Handle) -> Result<(), Error> {
    let part = |offset: u64, length: u64| Mapping {
        address: area + offset,
        length,
        memory: object,
        offset,
        rights: Rights::READ.or(Rights::WRITE),
        upper: None,
    };
    memory::map(own::space(), &part(AREA_MESSAGE_PAGE, PAGE))?;
    memory::map(own::space(), &part(AREA_STACK, THREAD_AREA - AREA_STACK)).inspect_err(|_| {
        // SAFETY: the page was mapped just now and nobody has a reference to it.
        let _ = unsafe { memory::unmap(own::space(), area + AREA_MESSAGE_PAGE, PAGE) };
    })
}
