//! Running commands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SessionChoice;

/// A command to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecRequest {
    /// With `args` a program, else a line for the shell.
    pub command: String,
    /// Arguments, verbatim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Where; none: /workspace, or where the session is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables of this command only; those with null are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// Milliseconds until it is ended; in a session until it is given up, and goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// How output travels.
    #[serde(default)]
    pub encoding: OutputEncoding,
    /// True: the answer is a stream of [`ExecEvent`].
    #[serde(default)]
    pub stream: bool,
    /// Presets what S3 tools need for `http://s3.internal`, where `env` does not say otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub s3_env: bool,
    /// In which shell; none: the default session.
    #[serde(default, skip_serializing_if = "SessionChoice::is_default")]
    pub session_id: SessionChoice,
}

/// How output travels in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputEncoding {
    /// As text; what is not UTF-8 is replaced.
    #[default]
    #[serde(alias = "utf-8")]
    Utf8,
    /// Byte-exact.
    Base64,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecResult {
    /// The exit code is 0.
    pub success: bool,
    /// 124 after a timeout, 127 if there is no such program, 128 + signal if a signal ended it.
    pub exit_code: i32,
    /// In the encoding asked for.
    pub stdout: String,
    /// In the encoding asked for.
    pub stderr: String,
    /// As given, with arguments.
    pub command: String,
    /// Milliseconds.
    pub duration: u64,
    /// When it was started.
    pub timestamp: Timestamp,
    /// The session that it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// What a streamed run says, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ExecEvent {
    /// It was started.
    Start {
        /// As given, with arguments.
        command: String,
        /// When.
        timestamp: Timestamp,
    },
    /// Standard output.
    Stdout {
        /// In the encoding asked for.
        data: String,
        /// When.
        timestamp: Timestamp,
    },
    /// Standard error.
    Stderr {
        /// In the encoding asked for.
        data: String,
        /// When.
        timestamp: Timestamp,
    },
    /// It ended; nothing follows.
    Complete {
        /// As in [`ExecResult`].
        exit_code: i32,
        /// Milliseconds.
        duration: u64,
        /// When.
        timestamp: Timestamp,
    },
    /// It was cut off; nothing follows.
    Error {
        /// Why.
        error: String,
        /// Its code, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<crate::ErrorCode>,
        /// When.
        timestamp: Timestamp,
    },
}
