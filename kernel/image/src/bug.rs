//! A bug of the kernel: say where, then end the machine.

use core::panic::PanicInfo;
use sal_arch_x86_64::bug;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    bug::panicked(info)
}
