//! Whether a program was killed because the sandbox's memory was used up: the kernel only says how often that happened.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Above what the kernel writes there.
const REPORT_BYTES: usize = 1024;

/// Counts processes of a sandbox that were killed for its memory limit.
#[derive(Debug)]
pub(crate) struct MemoryKills {
    report: File,
    /// Bytes.
    limit: u64,
}

/// The count at a moment. Who was killed since is not known, so only one that died of SIGKILL is told.
#[derive(Clone, Debug)]
pub(crate) struct KillsBefore {
    kills: Arc<MemoryKills>,
    count: u64,
}

impl MemoryKills {
    /// The report of a memory control group: `memory.events` (version 2) or `memory.oom_control` (version 1).
    pub(crate) fn open(report: &Path, limit: u64) -> Option<Arc<Self>> {
        Some(Arc::new(Self { report: File::open(report).ok()?, limit }))
    }

    fn count(&self) -> u64 {
        let mut text = [0; REPORT_BYTES];
        let length = self.report.read_at(&mut text, 0).unwrap_or_default();
        count_in(&String::from_utf8_lossy(text.get(..length).unwrap_or_default()))
    }

    pub(crate) fn now(self: &Arc<Self>) -> KillsBefore {
        KillsBefore { kills: Arc::clone(self), count: self.count() }
    }
}

impl KillsBefore {
    /// What to tell whoever died of SIGKILL, if the memory was used up since.
    pub(crate) fn explanation(&self) -> Option<String> {
        let limit = self.kills.limit >> 20;
        let line = || format!("Killed: the sandbox has used up its memory (limit {limit} MiB)\n");
        (self.kills.count() > self.count).then(line)
    }
}

/// Line `oom_kill N`.
fn count_in(report: &str) -> u64 {
    let number = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
    report.lines().find_map(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        assert_eq!(count_in("low 0\nhigh 1\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n"), 2);
        assert_eq!(count_in("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), 7);
        assert_eq!(count_in(""), 0);
    }
}
