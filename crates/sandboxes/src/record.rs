//! What is written down about a sandbox, so that the next daemon finds it or removes what is left of it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::SandboxName;
use crate::cgroup::Group;
use crate::sys::processes::Process;

/// A sandbox on disk: `state/sandboxes/NAME/record.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: SandboxName,
    pub(crate) id_base: u32,
    pub(crate) group: Group,
    /// None while it starts.
    pub(crate) running: Option<Running>,
}

/// How to find its pid 1, and what belongs to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) pid: i32,
    /// Clock ticks after boot: together with the boot it tells a process from a later one of the same number.
    pub(crate) start_time: u64,
    pub(crate) boot: String,
    /// Ids of the mounts it was born with, which nobody may detach.
    pub(crate) own_mounts: Vec<u64>,
}

/// The places of one sandbox below the state directory.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) directory: PathBuf,
}

impl Places {
    pub(crate) fn new(state: &Path, name: &SandboxName) -> Self {
        Self { directory: sandboxes(state).join(name.as_str()) }
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.directory.join("record.json")
    }

    /// Where init mounts the root before it pivots into it.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// Upper layers of the root and of /usr.
    pub(crate) fn layer(&self, of: &str) -> PathBuf {
        self.directory.join("layers").join(of)
    }

    /// Upper layers of [`crate::Sandbox::overlay`].
    pub(crate) fn overlays(&self) -> PathBuf {
        self.directory.join("overlays")
    }
}

/// The directory of all sandboxes.
pub(crate) fn sandboxes(state: &Path) -> PathBuf {
    state.join("sandboxes")
}

impl Record {
    /// Replaces the file whole, so that a crash leaves the old or the new one.
    pub(crate) fn write(&self, places: &Places) -> io::Result<()> {
        let temporary = places.directory.join("record.json.new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(temporary, places.record())
    }

    /// None if there is none, or none that can be read: then only the directory is left to remove.
    pub(crate) fn read(places: &Places) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(places.record()).ok()?).ok()
    }
}

impl Running {
    pub(crate) fn of(process: &Process, own_mounts: Vec<u64>) -> io::Result<Self> {
        let start_time = start_time(process.pid)?;
        Ok(Self { pid: process.pid, start_time, boot: boot()?, own_mounts })
    }

    /// The process, if it still is the same one.
    pub(crate) fn find(&self) -> Option<Process> {
        if boot().ok()? != self.boot {
            return None;
        }
        let number = rustix::process::Pid::from_raw(self.pid)?;
        let descriptor = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()).ok()?;
        // Asked after the descriptor was opened: if it is the same process now, the descriptor is its.
        let same = start_time(self.pid).ok()? == self.start_time;
        let process = Process { pid: self.pid, descriptor };
        (same && !process.has_ended()).then_some(process)
    }
}

fn boot() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn start_time(pid: i32) -> io::Result<u64> {
    /// Field 22 of proc_pid_stat(5); the name (field 2) may contain spaces and ends with the last parenthesis.
    const AFTER_NAME: usize = 22 - 3;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = after_name.split_whitespace().nth(AFTER_NAME);
    field.and_then(|text| text.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
