//! What goes wrong with single files without failing the backup.

use crate::Skipped;

/// Listed in the manifest at most; the rest is counted.
const MAX_LISTED: usize = 1000;

/// Collects what the manifest tells about losses.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) skipped: Vec<Skipped>,
    pub(super) skipped_count: u64,
    pub(super) excluded: u64,
}

/// Why something is not in the archive, or not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Written to while it was read, at every attempt.
    Changed,
    /// Removed between the scan and the reading.
    Vanished,
    /// A mount point: archived empty.
    Mount,
    /// Archived without its POSIX ACL.
    Acl,
    /// Owned by an id outside of the sandbox's block.
    Owner,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Vanished => "vanished",
            Self::Mount => "mount",
            Self::Acl => "acl",
            Self::Owner => "owner",
        }
    }
}

impl Report {
    pub(super) fn skip(&mut self, path: &[u8], reason: Reason) {
        self.skipped_count += 1;
        if self.skipped.len() < MAX_LISTED {
            let path = String::from_utf8_lossy(path).into_owned();
            self.skipped.push(Skipped { path, reason: reason.as_str().to_owned() });
        }
    }
}
