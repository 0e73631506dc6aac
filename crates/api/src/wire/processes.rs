//! Processes that are left to themselves.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A process to start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartProcess {
    /// A line for the shell.
    pub command: String,
    /// Its id; none: a random one. An id whose process has ended may be used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// Where; relative to the session's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Added to the session's variables; those with null are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// Milliseconds until it is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Forgotten a minute after its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_cleanup: bool,
    /// Whose variables and directory it takes over; none: the default session's, null: nobody's.
    #[serde(default, skip_serializing_if = "super::SessionChoice::is_default")]
    pub session_id: super::SessionChoice,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessStatus {
    /// It runs.
    Running,
    /// It has ended with 0.
    Completed,
    /// It has ended with something else.
    Failed,
    /// It was killed.
    Killed,
}

/// About a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessInfo {
    /// Its id.
    pub id: String,
    /// Its number in the sandbox.
    pub pid: u32,
    /// As given.
    pub command: String,
    /// What it is doing.
    pub status: ProcessStatus,
    /// When it was started.
    pub start_time: Timestamp,
    /// When it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    /// 124 after a timeout, 128 + signal if a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The session that it was started in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// Processes that are remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessList {
    /// Oldest first.
    pub processes: Vec<ProcessInfo>,
}

/// What a process wrote, as far as it is kept (512 KiB of each stream).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessLogs {
    /// Which.
    pub process_id: String,
    /// As text; what is not UTF-8 is replaced.
    pub stdout: String,
    /// As text; what is not UTF-8 is replaced.
    pub stderr: String,
}

/// What a followed process says, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProcessLogEvent {
    /// Standard output.
    Stdout {
        /// As text.
        data: String,
        /// Which process.
        process_id: String,
        /// When.
        timestamp: Timestamp,
    },
    /// Standard error.
    Stderr {
        /// As text.
        data: String,
        /// Which process.
        process_id: String,
        /// When.
        timestamp: Timestamp,
    },
    /// It has ended; nothing follows.
    Exit {
        /// As in [`ProcessInfo`].
        exit_code: i32,
        /// Which process.
        process_id: String,
        /// When.
        timestamp: Timestamp,
    },
    /// The stream was cut off; nothing follows.
    Error {
        /// Why.
        error: String,
        /// When.
        timestamp: Timestamp,
    },
}

/// How many processes something was done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessCount {
    /// How many.
    pub count: usize,
}

/// Until a text is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitForLog {
    /// The text; lines of both streams are searched, those that were written before, too.
    pub text: String,
    /// Milliseconds; none: as long as the process runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// The line that was waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Without its end.
    pub line: String,
}

/// Until a port answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitForPort {
    /// Which.
    pub port: u16,
    /// How.
    #[serde(default)]
    pub mode: PortMode,
    /// What is asked for (http); none: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Which status is an answer (http); none: 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusRange>,
    /// Milliseconds; none: as long as the process runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Milliseconds between attempts; none: 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
}

/// What counts as an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortMode {
    /// A response with the right status.
    #[default]
    Http,
    /// A connection.
    Tcp,
}

/// One status, or all from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StatusRange {
    /// Exactly this.
    One(u16),
    /// Both included.
    Between {
        /// Lowest.
        min: u16,
        /// Highest.
        max: u16,
    },
}

impl StatusRange {
    /// Whether a status is among them.
    pub fn contains(self, status: u16) -> bool {
        match self {
            Self::One(one) => status == one,
            Self::Between { min, max } => (min..=max).contains(&status),
        }
    }
}

/// Until the process ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WaitForExit {
    /// Milliseconds; none: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// The end that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessExit {
    /// As in [`ProcessInfo`].
    pub exit_code: i32,
}
