//! The bridge's own answers. What it takes is checked by hand: [`crate::checks`].
//!
//! | route | takes | gives |
//! |---|---|---|
//! | `POST /v1/sandbox` | anything | [`Created`] |
//! | `POST /v1/sandbox/{id}/exec` | `{argv, timeout_ms?, cwd?}` | events `stdout`, `stderr` (base64), `exit` [`ExitEvent`], `error` [`StreamError`] |
//! | `GET`, `PUT /v1/sandbox/{id}/file/{path}` | raw bytes | raw bytes, [`crate::Done`] |
//! | `GET /v1/sandbox/{id}/running` | | [`Running`] |
//! | `POST /v1/sandbox/{id}/mount`, `unmount` | `{bucket, mountPath, options}`, `{mountPath}` | [`crate::Done`] |
//! | `POST /v1/sandbox/{id}/backup`, `restore` | options, [`crate::DirectoryBackup`] | [`crate::DirectoryBackup`], [`crate::RestoreResult`] |
//! | `DELETE /v1/sandbox/{id}` | | 204 |

use serde::{Deserialize, Serialize};

/// A new sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Its id.
    pub id: String,
}

/// Whether a sandbox runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// It does.
    pub running: bool,
}

/// Data of the event `exit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitEvent {
    /// As in [`crate::ExecResult`].
    pub exit_code: i32,
}

/// Data of the event `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamError {
    /// For people.
    pub error: String,
    /// `exec_error` or `exec_transport_error`.
    pub code: String,
}
