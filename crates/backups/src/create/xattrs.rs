//! Extended attributes of a name, read without opening it.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::{Errno, Result};

use super::attributes::Owners;
use crate::squashfs::writer::is_storable;

/// The kernel's limits for a value and for all names of a file, XATTR_SIZE_MAX and XATTR_LIST_MAX.
const MAX_XATTR_BYTES: usize = 65_536;
/// overlayfs's own marks. They mean nothing outside of the layer that they were read from.
const OVERLAY_PREFIX: &[u8] = b"trusted.overlay.";
const ACL_PREFIX: &[u8] = b"system.posix_acl_";
const CAPABILITY: &[u8] = b"security.capability";

/// Reads attributes into buffers that it keeps.
pub(super) struct XattrReader {
    owners: Owners,
    names: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct XattrsFound {
    /// Those that the archive holds: (full name, value).
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// There is a POSIX ACL, which the archive does not hold.
    pub(super) has_acl: bool,
}

impl XattrReader {
    pub(super) fn new(owners: Owners) -> Self {
        Self { owners, names: vec![0; MAX_XATTR_BYTES], value: vec![0; MAX_XATTR_BYTES] }
    }

    /// Goes through /proc, because opening a pipe or device for fgetxattr(2) has effects, and the newer
    /// getxattrat(2) needs Linux 6.13.
    pub(super) fn read(&mut self, directory: &OwnedFd, name: &[u8]) -> Result<XattrsFound> {
        let path = [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name].concat();
        let length = match llistxattr(&path, &mut self.names) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => 0,
            other => other?,
        };
        let mut found = XattrsFound::default();
        for name in self.names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            found.has_acl |= name.starts_with(ACL_PREFIX);
            if !is_storable(name) || name.starts_with(OVERLAY_PREFIX) {
                continue;
            }
            match lgetxattr(&path, name, &mut self.value) {
                Ok(length) => found.attributes.push((name.to_vec(), self.value[..length].to_vec())),
                // Removed meanwhile, or listed by a filesystem that has no values.
                Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error),
            }
        }
        for (name, value) in &mut found.attributes {
            if name == CAPABILITY {
                *value = self.owners.capability(std::mem::take(value));
            }
        }
        Ok(found)
    }
}
