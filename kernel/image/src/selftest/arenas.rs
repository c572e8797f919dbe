//! Regions of kernel objects.

use super::world::World;
use sal_arch_x86_64::arena::Region;
use sal_arch_x86_64::layout::PAGE;
use sal_arch_x86_64::paging::TableMemory;
use sal_arch_x86_64::physmap::PhysicalMemory;
use sal_arch_x86_64::{Machine, log};
use sal_kernel_mem::{Frame, Ram, Store};

type Object = [u64; 24];

pub(super) fn regions_grow_by_frames(world: &mut World, found: &Machine) {
    // SAFETY: the tests use frames of their own alone.
    let memory = unsafe { PhysicalMemory::new(found) };
    let mut regions = [0; 2].map(|_| Region::<Object>::reserve(&mut world.frames, found.root, 3 * PAGE).expect("room"));
    for region in &mut regions {
        while region.push([u64::from(region.count()); 24]) || grow(world, region) {}
        assert_eq!(region.count(), 3 * 21, "three pages of whole objects, and no more");
    }
    for region in &mut regions {
        for i in 0..region.count() {
            assert_eq!(region.get(i), Some(&[u64::from(i); 24]));
        }
        assert_eq!(region.get(region.count()), None);
    }
    let frame = frame(world);
    memory.store(frame, 4089, b"1234567");
    let mut bytes = [9; 8];
    memory.load(frame, 4088, &mut bytes);
    assert_eq!(&bytes, b"\x001234567");
    memory.load(frame, 4089, &mut bytes);
    assert_eq!(bytes, [0; 8], "not over a frame's end");
    log!("selftest: regions of objects grow by frames");
}

fn frame(world: &mut World) -> Frame {
    Frame((world.frames.frame().expect("a frame") / PAGE) as u32)
}

fn grow(world: &mut World, region: &mut Region<Object>) -> bool {
    let frame = frame(world);
    region.grow(frame)
}
