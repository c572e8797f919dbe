//! A bug of the kernel: say where, then end the machine.

use core::panic::PanicInfo;
use sal_arch_x86_64::{machine, uart};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    uart::last_words(format_args!("salamandra: kernel bug: {info}"));
    machine::end(machine::End::Bug)
}
