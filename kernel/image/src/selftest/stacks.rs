//! The kernel's own mappings: guard pages under its stacks, rights of its image.

use super::world::World;
use sal_abi::Rights;
use sal_arch_x86_64::layout::{self, PAGE, STACK_PAGES};
use sal_arch_x86_64::{Machine, log, paging, start};
use sal_kernel_mem::{Decoded, Frame, Leaf};

pub(super) fn guards_are_unmapped(world: &mut World, found: &Machine) {
    for cpu in 0..found.cpu_ids.len() {
        for which in 0..STACK_PAGES.len() {
            let (bottom, top) = layout::stack(cpu, which);
            assert_eq!(
                world.entry(found.root, bottom - PAGE),
                Decoded::Absent,
                "guard below stack {which} of CPU {cpu}"
            );
            for page in (bottom..top).step_by(PAGE as usize) {
                let Decoded::Leaf(leaf) = world.entry(found.root, page) else { panic!("no stack page") };
                assert_eq!(Leaf { frame: Frame::NONE, ..leaf }, paging::DATA);
            }
        }
    }
    log!("selftest: guard pages lie under every kernel stack");
}

/// Each part of the image has its rights, and no other mapping gives more.
pub(super) fn the_image_is_never_writable_and_executable(world: &mut World, found: &Machine) {
    for (span, leaf) in start::image().into_iter().zip([paging::CODE, paging::CONSTANT, paging::DATA]) {
        for page in (span.start..span.end).step_by(PAGE as usize) {
            let expected = Decoded::Leaf(Leaf { frame: paging::frame(page), ..leaf });
            assert_eq!(world.entry(found.root, layout::IMAGE + page), expected);
            let constant = !leaf.rights.has(Rights::WRITE);
            assert!(!constant || world.entry(found.root, layout::PHYSMAP + page) == Decoded::Absent, "{page:#x} twice");
        }
    }
    log!("selftest: the image is never writable and executable");
}

/// Calls itself until the stack is used up: must end as a bug that names the guard page.
pub(super) fn overflow() {
    log!("selftest: running over the end of the kernel stack");
    log!("selftest: {} calls came back: the guard page is missing", deeper(1));
}

#[expect(unconditional_recursion, reason = "this is the test")]
#[inline(never)]
fn deeper(calls: u64) -> u64 {
    let here = core::hint::black_box([calls; 32]);
    deeper(calls + 1) + here.iter().sum::<u64>()
}
