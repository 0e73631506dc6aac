//! Files inside a sandbox. Contents travel as raw bodies, not in JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A file was written or deleted, or a directory made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileWritten {
    /// Always true.
    pub success: bool,
    /// The path, absolute.
    pub path: String,
    /// When.
    pub timestamp: Timestamp,
}

/// Whether something is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileExists {
    /// Always true.
    pub success: bool,
    /// It is.
    pub exists: bool,
    /// The path, absolute.
    pub path: String,
    /// When.
    pub timestamp: Timestamp,
}

/// Gives a file or directory another path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoveFile {
    /// The new path; a file that is there is replaced.
    pub destination: String,
}

/// A file or directory has another path now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileMoved {
    /// Always true.
    pub success: bool,
    /// Where it was, absolute.
    pub path: String,
    /// Where it is, absolute.
    pub new_path: String,
    /// When.
    pub timestamp: Timestamp,
}

/// What a streamed file says, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FileStreamEvent {
    /// What it is.
    Metadata {
        /// Such as `image/png`.
        mime_type: String,
        /// Bytes when it was opened.
        size: u64,
        /// Not text in UTF-8.
        is_binary: bool,
        /// Of the chunks: `utf-8`, or `base64` of a binary file.
        encoding: String,
    },
    /// At most 65,535 bytes of it; text ends at character boundaries.
    Chunk {
        /// In the encoding announced.
        data: String,
    },
    /// That was all; nothing follows.
    Complete {
        /// Bytes.
        bytes_read: u64,
    },
    /// It cannot be read any further; nothing follows.
    Error {
        /// Why.
        error: String,
    },
}

/// Makes a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MakeDirectory {
    /// Also its parents, and no error if it is there.
    pub recursive: bool,
}

/// What a directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryListing {
    /// Always true.
    pub success: bool,
    /// The path, absolute.
    pub path: String,
    /// By relative path.
    pub files: Vec<FileEntry>,
    /// How many.
    pub count: usize,
    /// When.
    pub timestamp: Timestamp,
}

/// Something in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Last part of the path.
    pub name: String,
    /// From the root.
    pub absolute_path: String,
    /// From the directory listed.
    pub relative_path: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified_at: Timestamp,
    /// Such as `rwxr-xr-x`.
    pub mode: String,
    /// Of the owner.
    pub permissions: FilePermissions,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Regular.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Fifo, socket, device.
    Other,
}

/// What the owner may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilePermissions {
    /// Read.
    pub readable: bool,
    /// Write.
    pub writable: bool,
    /// Execute or enter.
    pub executable: bool,
}
