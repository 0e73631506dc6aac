//! What ends a command, with what the user can do about it.

use std::fmt;

/// A failed command: what happened, the chain of causes included, and a remedy where we know one.
#[derive(Debug)]
pub(crate) struct Error {
    /// What happened.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// The contract's code, where the service answered with one.
    pub(crate) code: Option<String>,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Adds what was being done to an error of someone else.
pub(crate) fn while_doing<E: std::error::Error>(what: &str) -> impl FnOnce(E) -> Error {
    move |error| {
        let mut message = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Error::new(message)
    }
}

impl From<sandkeep_daemon::volumes::VolumeError> for Error {
    fn from(error: sandkeep_daemon::volumes::VolumeError) -> Self {
        use sandkeep_daemon::volumes::VolumeErrorCode;
        let hint = match error.code {
            VolumeErrorCode::NoSuchBucket => {
                Some("create it with `sandkeep bucket create`, or check its name")
            }
            VolumeErrorCode::AccessDenied => Some("check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
            VolumeErrorCode::Unreachable => Some("check --endpoint, and that the server runs"),
            VolumeErrorCode::BackupNotFound => Some("`sandkeep backup ls` lists the backups"),
            _ => None,
        };
        Self { message: error.message, hint: hint.map(str::to_owned), code: None }
    }
}
