//! Processes that are left to themselves, from the daemon's side.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::calls::Call;
use crate::follow::{Followed, Follower};
use crate::ring::RingReader;
use crate::{Error, Sandbox};

/// A process to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRequest {
    /// Names it; an id whose process has ended may be used again.
    pub id: String,
    /// A line for `bash -c`.
    pub command: String,
    /// Added to the session's, or to HOME, PATH and LANG.
    pub env: BTreeMap<String, String>,
    /// Where; relative to the session's directory, or to /workspace.
    pub cwd: Option<String>,
    /// SIGTERM after it, SIGKILL five seconds later.
    pub timeout: Option<Duration>,
    /// Whose environment and directory it takes over.
    pub session: Option<String>,
    /// Forgotten some time after its end.
    pub cleans_up: bool,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessStatus {
    /// It runs.
    Running,
    /// It has ended with 0.
    Completed,
    /// It has ended with something else.
    Failed,
    /// It was killed, by us or by another signal.
    Killed,
}

/// About a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// As given.
    pub id: String,
    /// Its number inside.
    pub pid: u32,
    /// As given.
    pub command: String,
    /// As given.
    pub session: Option<String>,
    /// What it is doing.
    pub status: ProcessStatus,
    /// Milliseconds since 1970.
    pub started_at: u64,
    /// Milliseconds since 1970.
    pub ended_at: Option<u64>,
    /// As a shell has it; 124 after a timeout.
    pub exit_code: Option<i32>,
}

/// What a process writes and wrote; as much as is kept (512 KiB of each stream).
#[derive(Debug)]
pub struct ProcessLog {
    follower: Follower,
    stdout: RingReader,
    stderr: RingReader,
    info: ProcessInfo,
}

/// News of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// Bytes of standard output.
    Stdout(Vec<u8>),
    /// Bytes of standard error.
    Stderr(Vec<u8>),
    /// It has ended; nothing follows, although what it started may still write.
    Ended(ProcessInfo),
}

impl Sandbox {
    /// Starts a process that outlives its caller and the daemon. [`Error::ProcessExists`] if one of this id runs.
    pub async fn start_process(&self, request: ProcessRequest) -> Result<ProcessInfo, Error> {
        self.ask(Call::StartProcess(request)).await
    }

    /// All processes that are remembered, oldest first.
    pub async fn processes(&self) -> Result<Vec<ProcessInfo>, Error> {
        self.ask(Call::Processes).await
    }

    /// Sends a signal to a process and its group; none: SIGTERM, and SIGKILL to everything of it five seconds later.
    pub async fn kill_process(&self, id: &str, signal: Option<i32>) -> Result<ProcessInfo, Error> {
        self.ask(Call::KillProcess { id: id.into(), signal }).await
    }

    /// [`Self::kill_process`] for all that run; how many.
    pub async fn kill_processes(&self) -> Result<usize, Error> {
        self.ask(Call::KillProcesses).await
    }

    /// Forgets those that have ended; how many.
    pub async fn clean_up_processes(&self) -> Result<usize, Error> {
        self.ask(Call::CleanUpProcesses).await
    }

    /// What a process writes, from the oldest byte that is kept.
    pub async fn process_log(&self, id: &str) -> Result<ProcessLog, Error> {
        let (follower, info, descriptors) = self.follow(Call::Follow { id: id.into() }).await?;
        let broken = |error: &std::io::Error| self.agent_error(error);
        let [stdout, stderr] = <[OwnedFd; 2]>::try_from(descriptors)
            .map_err(|_| Error::Agent { what: "it sent no logs".into() })?;
        let [stdout, stderr] = [RingReader::new(stdout), RingReader::new(stderr)];
        Ok(ProcessLog {
            follower,
            stdout: stdout.map_err(|error| broken(&error))?,
            stderr: stderr.map_err(|error| broken(&error))?,
            info,
        })
    }
}

impl ProcessLog {
    /// The process, as it was when this was opened, or as it ended.
    pub fn info(&self) -> &ProcessInfo {
        &self.info
    }

    /// What can be read without waiting. None: nothing now.
    pub fn next_now(&mut self) -> Option<ProcessEvent> {
        // Without a page in reach there is nothing to say of it.
        let stdout = self.stdout.read().unwrap_or_default();
        if !stdout.is_empty() {
            return Some(ProcessEvent::Stdout(stdout));
        }
        let stderr = self.stderr.read().unwrap_or_default();
        (!stderr.is_empty()).then_some(ProcessEvent::Stderr(stderr))
    }

    /// The next news; none if the sandbox ended, or after the process's end. Safe to cancel.
    pub async fn next(&mut self) -> Option<ProcessEvent> {
        loop {
            if let Some(event) = self.next_now() {
                return Some(event);
            }
            match self.follower.next().await? {
                Followed::More => {}
                Followed::Over(over) => {
                    self.info.status = over.status;
                    self.info.exit_code = Some(over.code);
                    self.info.ended_at = Some(over.at);
                    self.follower.set_over();
                }
                Followed::End => return Some(ProcessEvent::Ended(self.info.clone())),
            }
        }
    }
}
