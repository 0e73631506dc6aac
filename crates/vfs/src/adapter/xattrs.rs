//! Extended attributes: sizes are asked for first, and small buffers are refused, see getxattr(2).

use sandkeep_fuse::abi;

use super::Call;
use super::answer::Answer;
use super::run::Outcome;
use crate::{Errno, SetXattrFlags};

impl Call {
    pub(super) fn get_xattr(self, name: &[u8], size: u32) {
        let name = name.to_vec();
        self.reading(move |on| async move { sized(on.filesystem.get_xattr(on.inode, &name).await?, size) });
    }

    pub(super) fn list_xattrs(self, size: u32) {
        self.reading(move |on| async move {
            let names = on.filesystem.list_xattrs(on.inode).await?;
            let terminated = names.into_iter().flat_map(|name| name.into_iter().chain([0]));
            sized(terminated.collect(), size)
        });
    }

    pub(super) fn set_xattr(self, name: &[u8], value: &[u8], raw: u32) {
        let (name, value) = (name.to_vec(), value.to_vec());
        let has = |flag: i32| raw & flag as u32 != 0;
        let flags = SetXattrFlags { create: has(libc::XATTR_CREATE), replace: has(libc::XATTR_REPLACE) };
        self.changing(move |on| async move {
            Ok(on.filesystem.set_xattr(on.inode, &name, &value, flags).await?.into())
        });
    }

    pub(super) fn remove_xattr(self, name: &[u8]) {
        let name = name.to_vec();
        self.changing(|on| async move { Ok(on.filesystem.remove_xattr(on.inode, &name).await?.into()) });
    }
}

/// A buffer of size 0 asks for the length.
fn sized(value: Vec<u8>, size: u32) -> Outcome {
    if size == 0 {
        let out = abi::GetxattrOut { size: value.len() as u32, padding: 0 };
        return Ok(Answer::Bytes(out.to_bytes().to_vec()));
    }
    if value.len() > size as usize { Err(Errno::ERANGE) } else { Ok(Answer::Bytes(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_probed_and_kept_to() {
        assert!(matches!(sized(vec![1; 5], 0), Ok(Answer::Bytes(out)) if out == [5, 0, 0, 0, 0, 0, 0, 0]));
        assert!(matches!(sized(vec![1; 5], 4), Err(Errno::ERANGE)));
        assert!(matches!(sized(vec![1; 5], 5), Ok(Answer::Bytes(out)) if out == [1; 5]));
    }
}
