//! What can go wrong with a sandbox.

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
        source: std::io::Error,
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
        source: std::io::Error,
    },
    /// The mount is in use.
    #[error("{path:?} is in use")]
    Busy {
        /// The mount point.
        path: String,
        /// Who uses it.
        holders: Vec<crate::Holder>,
    },
    /// A system call of ours failed.
    #[error("{what}")]
    System {
        /// Which.
        what: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}
