//! Where things are in the kernel's half of every address space (`docs/architecture.md`, "Address space").

/// Bytes in the smallest page.
pub const PAGE: u64 = 4096;
/// All of physical memory starts here: `PHYSMAP + p` is physical address `p`.
pub const PHYSMAP: u64 = 0xffff_c000_0000_0000;
/// Physical addresses below this fit in the map, and in the numbers of frames.
pub const PHYSMAP_LIMIT: u64 = 0x1000_0000_0000;
/// Arenas of kernel objects.
pub const ARENAS: u64 = 0xffff_e000_0000_0000;
/// Root entries (512 GiB each) set aside for arenas: made once, so that they are the same in every root.
pub const ARENA_ROOTS: usize = 8;
/// The image: physical address plus this.
pub const IMAGE: u64 = 0xffff_ffff_8000_0000;
/// Stacks of the CPUs, one window each.
pub const STACKS: u64 = 0xffff_ffff_c000_0000;
/// log2 of the bytes from one CPU's stack window to the next.
pub const STACK_WINDOW_SHIFT: u32 = 17;
/// CPUs that this kernel can use; more stay halted (named on the log).
pub const MAX_CPUS: usize = 64;
/// Where the code by which other CPUs start is copied to (below 1 MiB, one page).
pub const TRAMPOLINE: u64 = 0x8000;

/// Pages of each stack in a window, bottom to top, each above an unmapped guard page: kernel, NMI, double fault, machine check.
pub const STACK_PAGES: [u64; 4] = [8, 2, 2, 2];

/// Bottom and top of stack `which` (index into [`STACK_PAGES`]) of `cpu`.
pub const fn stack(cpu: usize, which: usize) -> (u64, u64) {
    let mut bottom = STACKS + ((cpu as u64) << STACK_WINDOW_SHIFT) + PAGE;
    let mut i = 0;
    while i < which {
        bottom += (STACK_PAGES[i] + 1) * PAGE;
        i += 1;
    }
    (bottom, bottom + STACK_PAGES[which] * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_stay_in_their_window_and_never_touch() {
        for cpu in [0, 1, MAX_CPUS - 1] {
            let base = STACKS + ((cpu as u64) << STACK_WINDOW_SHIFT);
            let mut end = base;
            for (which, pages) in STACK_PAGES.iter().enumerate() {
                let (bottom, top) = stack(cpu, which);
                assert!(bottom >= end + PAGE, "a guard page lies below");
                assert_eq!(top - bottom, pages * PAGE);
                end = top;
            }
            assert!(end < base + (1 << STACK_WINDOW_SHIFT));
        }
    }
}
