//! What can go wrong with a sandbox.

use std::io;

/// A sandbox operation that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host lacks something; the text says what and `doctor` how to get it.
    #[error("this host cannot run sandboxes: {what}")]
    Unsupported {
        /// What is missing.
        what: String,
    },
    /// The sandbox has ended.
    #[error("the sandbox has ended")]
    Gone,
    /// A step of the start failed; nothing is left of it.
    #[error("cannot start the sandbox: {step}")]
    Start {
        /// Which step.
        step: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The agent did not understand or did not answer.
    #[error("the agent does not answer as it should: {what}")]
    Agent {
        /// What happened.
        what: String,
    },
    /// A path inside the sandbox: what open(2) and the like say of it.
    #[error("{path:?}")]
    Path {
        /// The path as the caller gave it.
        path: String,
        /// The system's error: NotFound, IsADirectory, ReadOnlyFilesystem, ...
        #[source]
        source: io::Error,
    },
    /// The mount is in use.
    #[error("{path:?} is in use")]
    Busy {
        /// The mount point.
        path: String,
        /// Who uses it.
        holders: Vec<crate::Holder>,
    },
    /// A session of this id lives already.
    #[error("a session of this id exists already")]
    SessionExists,
    /// No process of this id is remembered.
    #[error("there is no process of this id")]
    NoSuchProcess,
    /// A process of this id runs already.
    #[error("a process of this id runs already")]
    ProcessExists,
    /// A limit of the sandbox is reached.
    #[error("the sandbox has {limit} {what} already, which is the limit")]
    TooMany {
        /// Sessions, processes or terminals.
        what: String,
        /// How many may be.
        limit: usize,
    },
    /// A system call of ours failed.
    #[error("{what}")]
    System {
        /// Which.
        what: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// A system call that failed, and what it was for; becomes [`Error::Start`] or [`Error::System`] at the wall.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) source: io::Error,
}

impl Failure {
    pub(crate) fn starting(self) -> Error {
        Error::Start { step: self.what, source: self.source }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::System { what: failure.what, source: failure.source }
    }
}

/// Names the purpose of a system call at the place where it is made.
pub(crate) trait Doing<T> {
    /// The failure with its purpose.
    fn doing(self, what: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|source| Failure { what: what.into(), source: source.into() })
    }
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        Self { what: "start a thread".into(), source }
    }
}
