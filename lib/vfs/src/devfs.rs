//! /dev: a tmpfs with the usual nodes, and the devices that need no driver.

use crate::contents::{Contents, Dest, Source};
use crate::errno::Errno;
use crate::file::{Device, What};
use crate::mount::SuperId;
use crate::name::Name;
use crate::node::{Body, FileType, InodeId};
use crate::types::{Cred, Time, major, makedev, minor};
use crate::vfs::Vfs;
use linux_raw_sys::general as sys;

/// Name, permission bits, major, minor: numbers of Linux's devices.txt.
const NODES: &[(&[u8], u32, u32, u32)] = &[
    (b"null", 0o666, 1, 3),
    (b"zero", 0o666, 1, 5),
    (b"full", 0o666, 1, 7),
    (b"random", 0o666, 1, 8),
    (b"urandom", 0o666, 1, 9),
    (b"tty", 0o666, 5, 0),
    (b"console", 0o600, 5, 1),
];

const LINKS: &[(&[u8], &[u8])] = &[
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
];

/// Name and permission bits.
const DIRS: &[(&[u8], u32)] = &[(b"pts", 0o755), (b"shm", sys::S_ISVTX | 0o777)];

/// What opening a device node leads to; `ENXIO` if no driver has it.
pub(crate) fn device(kind: FileType, rdev: u64) -> Result<What, Errno> {
    if kind != FileType::CharDevice {
        return Err(Errno::ENXIO);
    }
    Ok(match (major(rdev), minor(rdev)) {
        (1, 3) => What::Device(Device::Null),
        (1, 5) => What::Device(Device::Zero),
        (1, 7) => What::Device(Device::Full),
        (1, 8 | 9) => What::Device(Device::Random),
        (4 | 5 | 136, _) => What::Terminal { rdev },
        _ => return Err(Errno::ENXIO),
    })
}

impl<C: Contents> Vfs<C> {
    /// Makes the nodes, links and directories of /dev in its root.
    pub(crate) fn fill_dev(&mut self, sb: SuperId, root: InodeId, now: Time) -> Result<(), Errno> {
        for &(name, perm, major, minor) in NODES {
            let body = Body::Device { kind: FileType::CharDevice, rdev: makedev(major, minor) };
            self.dev_entry(sb, root, name, body, perm, now)?;
        }
        for &(name, target) in LINKS {
            self.dev_entry(sb, root, name, Body::Symlink(target.into()), 0o777, now)?;
        }
        for &(name, perm) in DIRS {
            let dir = self.new_directory(sb, Some(root), perm, &Cred::root(), now)?;
            self.add_name(root, Name::new(name)?, dir, now)?;
            self.inode_mut(root)?.nlink += 1;
        }
        Ok(())
    }

    fn dev_entry(
        &mut self,
        sb: SuperId,
        root: InodeId,
        name: &[u8],
        body: Body,
        perm: u32,
        now: Time,
    ) -> Result<(), Errno> {
        let id = self.new_inode(sb, body, perm, (0, 0), now)?;
        self.inode_mut(id)?.nlink = 1;
        self.add_name(root, Name::new(name)?, id, now)
    }

    pub(crate) fn read_device(&mut self, device: Device, to: &mut dyn Dest) -> Result<usize, Errno> {
        match device {
            Device::Null => Ok(0),
            Device::Zero | Device::Full => to.put_zeros(to.room()),
            Device::Random => self.random(to),
        }
    }

    pub(crate) fn write_device(&mut self, device: Device, from: &mut dyn Source) -> Result<usize, Errno> {
        match device {
            Device::Full if from.left() > 0 => Err(Errno::ENOSPC),
            // What is written to /dev/random is not trusted to be random: it is dropped, as null and zero do.
            _ => Ok(from.left()),
        }
    }
}
