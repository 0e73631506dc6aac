//! User namespaces that only carry an id map: each sandbox has its own block of host ids.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use crate::sys::processes::with_new_user_namespace;

/// Ids of one sandbox.
pub(crate) const BLOCK_SIZE: u32 = 65_536;

/// Above what distributions hand out as sub-ids (100000 and on), and a multiple of the block size.
const FIRST_BASE: u32 = 524_288;

/// More sandboxes than one host will run.
const BLOCKS: u32 = 32_768;

/// The lowest block that is not taken.
pub(crate) fn free_block(is_taken: impl Fn(u32) -> bool) -> Option<u32> {
    (0..BLOCKS).map(|index| FIRST_BASE + index * BLOCK_SIZE).find(|base| !is_taken(*base))
}

/// A namespace that maps `0..65536` inside to the block on the host. Host ids outside the block do not exist in it.
pub(crate) fn namespace_of(base: u32) -> io::Result<OwnedFd> {
    with_new_user_namespace(|holder| {
        let map = format!("0 {base} {BLOCK_SIZE}\n");
        // Written by us, not by the holder: its own view of /proc could name another process by the same number.
        std::fs::write(format!("/proc/{holder}/uid_map"), &map)?;
        std::fs::write(format!("/proc/{holder}/gid_map"), &map)?;
        Ok(File::open(format!("/proc/{holder}/ns/user"))?.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_block_is_given() {
        let check = |taken: &[u32], expected| assert_eq!(free_block(|base| taken.contains(&base)), expected);
        check(&[], Some(524_288));
        check(&[524_288, 589_824], Some(655_360));
        check(&[589_824], Some(524_288));
        assert_eq!(free_block(|_| true), None);
    }
}
