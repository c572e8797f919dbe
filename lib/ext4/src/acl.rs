//! Access lists: shorter on the disk than in `getxattr`'s form. Source: `attributes.rst`, "POSIX ACLs"; the longer form
//! in Linux's `include/uapi/linux/posix_acl_xattr.h`.

use crate::bytes;
use alloc::vec::Vec;
use zerocopy::little_endian::{U16, U32};

const DISK_VERSION: u32 = 1;
const USER_VERSION: u32 = 2;
/// Tags of entries that name a user or a group; only those have an id on the disk.
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;
/// The id of entries that name nobody.
const NOBODY: u32 = !0;

/// The list in the form that users see; none if it isn't one.
pub(crate) fn expand(disk: &[u8]) -> Option<Vec<u8>> {
    if bytes::record::<U32>(disk, 0)?.get() != DISK_VERSION {
        return None;
    }
    let mut list = USER_VERSION.to_le_bytes().to_vec();
    let mut at = 4;
    while at < disk.len() {
        let [tag, permissions] = *bytes::record::<[U16; 2]>(disk, at)?;
        at += 4;
        let id = match tag.get() {
            USER | GROUP => {
                at += 4;
                bytes::record::<U32>(disk, at - 4)?.get()
            }
            _ => NOBODY,
        };
        list.extend_from_slice(&tag.to_bytes());
        list.extend_from_slice(&permissions.to_bytes());
        list.extend_from_slice(&id.to_le_bytes());
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_entries_keep_their_id_and_others_get_none() {
        let disk = [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 4, 0, 0xe8, 3, 0, 0];
        let user = [2, 0, 0, 0, 1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 4, 0, 0xe8, 3, 0, 0];
        assert_eq!(expand(&disk), Some(user.to_vec()));
        assert_eq!(expand(&disk[..10]), None);
        assert_eq!(expand(&[9, 0, 0, 0]), None);
    }
}
