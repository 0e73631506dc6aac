//! The suite on tmpfs, which judges it, and on `MemoryFs` behind FUSE.

use std::path::Path;
use std::sync::Arc;

use sandkeep_vfs::MemoryFs;
use sandkeep_vfs::conformance::{Failure, Features, Served, run};

fn check(directory: &Path, features: Features) {
    let failures = run(directory, features);
    let listed: Vec<String> =
        failures.iter().map(|Failure { case, problem }| format!("{case}: {problem}")).collect();
    assert!(listed.is_empty(), "{} cases do not hold:\n{}", listed.len(), listed.join("\n"));
}

/// Where tmpfs is: /dev/shm is one on every Linux with glibc's shm_open(3).
#[test]
fn tmpfs_passes_every_case() {
    let directory = tempfile::Builder::new().tempdir_in("/dev/shm").unwrap();
    // Other users' cases enter it.
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // Before Linux 6.6 tmpfs has no attributes of users.
    let attempt = rustix::fs::setxattr(directory.path(), "user.test", b"", rustix::fs::XattrFlags::empty());
    let xattrs = attempt != Err(rustix::io::Errno::OPNOTSUPP);
    check(directory.path(), Features { xattrs, ..Features::ALL });
}

#[test]
fn memory_fs_passes_every_case() {
    let served = Served::start(Arc::new(MemoryFs::new())).unwrap();
    check(served.directory(), Features::ALL);
    served.close().unwrap();
}
