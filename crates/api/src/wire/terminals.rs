//! Terminals over WebSocket: binary frames are the terminal's bytes in both directions, text frames these messages.

use serde::{Deserialize, Serialize};

/// What a client says in text frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum TerminalControl {
    /// The window has another size.
    Resize {
        /// Width in characters.
        cols: u16,
        /// Height in characters.
        rows: u16,
    },
}

/// What the server says in text frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum TerminalNotice {
    /// What was shown before has been sent.
    Ready,
    /// The shell has ended; the connection is closed.
    Exit {
        /// As a shell has it.
        code: i32,
        /// The signal that ended it, by name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<String>,
    },
    /// Something that the client said, or the terminal, is not as it should be.
    Error {
        /// Why.
        message: String,
    },
}
