//! Attaching a guest's half to a thread, and its FPU state.

use super::MemoryHardware;
use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::object::{After, Args};
use crate::table::Kind;
use sal_abi::{Error, Rights};
use sal_kernel_mem::Object;

impl<H: MemoryHardware> Kernel<H> {
    /// `GuestAttach`: from now on the calling thread sees that guest's half, or none.
    ///
    /// The window is shown before the thread gets the root, and a guest space belongs to one personality: attached from another process it
    /// would show that one's window, so it is refused while a thread has it.
    pub(super) fn guest_attach(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let native = self.own_space(args)?;
        let guest = match args.first {
            0 => None,
            _ => Some(self.space_cap(args, args.handle(), Rights::MANAGE)?),
        };
        let mut registry = self.registry.lock();
        let vm = &mut registry.vm;
        let (root, guest_root) = match guest {
            Some(id) => {
                vm.attach(id, Some(native))?;
                let space = vm.space(id).ok_or(Error::BadHandle)?;
                (space.attached_root().0 as u64, space.root().0 as u64)
            }
            None => (vm.space(native).ok_or(Error::BadHandle)?.root().0 as u64, 0),
        };
        if let Some(id) = guest {
            vm.add_name(Object::Space(id));
        }
        let t = self.current(cpu)?;
        let old = core::mem::replace(&mut t.guest_space, guest.map_or(0, |g| g.word()));
        (t.root, t.guest_root) = (root, guest_root);
        self.drop_memory(&mut registry, Kind::Space, old);
        Ok(After::OK)
    }

    /// `GuestFpu`.
    pub(super) fn guest_fpu(&self, cpu: &mut Cpu<H>, args: &Args) -> Result<After, Error> {
        let t = self.current(cpu)?;
        if t.fpu_page == 0 {
            return Err(Error::NotSupported);
        }
        self.hw.fpu(t.page, t.fpu_page, args.word(0) == 1);
        Ok(After::OK)
    }
}
