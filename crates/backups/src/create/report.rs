//! What goes wrong with single files without failing the backup.

use std::collections::HashMap;

use crate::selection::Rule;
use crate::{LeftOut, LeftOutPath, Skipped};

/// Listed in the manifest at most; the rest is counted.
const MAX_LISTED: usize = 1000;
/// Rules that the manifest names; what further ones leave out counts for the last.
const MAX_RULES: usize = 1000;
/// Paths that a dry run lists; the rest is counted.
const MAX_LEFT_OUT_LISTED: usize = 10_000;

/// Collects what the manifest tells about losses.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) skipped: Vec<Skipped>,
    pub(super) skipped_count: u64,
    rules: HashMap<Rule, usize>,
    left_out: Vec<LeftOut>,
    /// What is left out, where a dry run wants to know.
    listed: Option<Vec<LeftOutPath>>,
}

/// How much a name stands for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    /// Everything but directories.
    pub(super) files: u64,
    /// Bytes of regular files.
    pub(super) bytes: u64,
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
    /// A report that lists what is left out.
    pub(super) fn listing() -> Self {
        Self { listed: Some(Vec::new()), ..Self::default() }
    }

    /// Notes a name that is left out, with all below it.
    pub(super) fn leave_out(&mut self, rule: Rule, path: &[u8], is_directory: bool, weight: Weight) {
        let index = self.rule(rule);
        let total = &mut self.left_out[index];
        total.names += 1;
        total.files += weight.files;
        total.bytes += weight.bytes;
        let Some(listed) = self.listed.as_mut().filter(|listed| listed.len() < MAX_LEFT_OUT_LISTED) else {
            return;
        };
        let mut path = String::from_utf8_lossy(path).into_owned();
        if is_directory {
            path.push('/');
        }
        listed.push(LeftOutPath { path, rule: index, files: weight.files, bytes: weight.bytes });
    }

    fn rule(&mut self, rule: Rule) -> usize {
        if let Some(index) = self.rules.get(&rule) {
            return *index;
        }
        if self.left_out.len() == MAX_RULES {
            return MAX_RULES - 1;
        }
        self.left_out.push(LeftOut::by(&rule));
        self.rules.insert(rule, self.left_out.len() - 1);
        self.left_out.len() - 1
    }

    /// What was left out, by rule.
    pub(super) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The paths left out, where they were asked for.
    pub(super) fn take_listed(&mut self) -> Vec<LeftOutPath> {
        self.listed.take().unwrap_or_default()
    }

    pub(super) fn skip(&mut self, path: &[u8], reason: Reason) {
        self.skipped_count += 1;
        if self.skipped.len() < MAX_LISTED {
            let path = String::from_utf8_lossy(path).into_owned();
            self.skipped.push(Skipped { path, reason: reason.as_str().to_owned() });
        }
    }
}
