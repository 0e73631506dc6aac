//! Why the daemon does not start, and why an operation of a service did not succeed.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sandkeep_api::{InvalidInput, SandboxId};
use sandkeep_sandboxes::SessionLoss;

use crate::volumes::VolumeError;

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The process does not know where it is.
    #[error("cannot find out about this process")]
    Surroundings {
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file that was named, or found, cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file says something that cannot be.
    #[error("{}: {what}", path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What, and where in it.
        what: String,
    },
    /// A value that cannot be.
    #[error("{value:?} is not a possible value of {name}")]
    InvalidValue {
        /// Which setting.
        name: String,
        /// What it says.
        value: String,
    },
    /// One of `access_key_id` and `secret_access_key` is missing.
    #[error("[{table}] needs access_key_id and secret_access_key, or neither")]
    HalfKeyPair {
        /// Which table or binding.
        table: String,
    },
    /// Credentials are given in more than one way.
    #[error(
        "[{table}] gives credentials in two ways: use one of keys, credentials_file and credentials_command"
    )]
    TwoCredentials {
        /// Which table or binding.
        table: String,
    },
    /// A table lacks something that the rest of it needs.
    #[error("[{table}] needs {what}")]
    Missing {
        /// Which table.
        table: String,
        /// What it lacks.
        what: &'static str,
    },
    /// `remote: true` needs an account.
    #[error("the remote binding {binding} needs CLOUDFLARE_ACCOUNT_ID")]
    AccountNeeded {
        /// Which binding.
        binding: String,
    },
    /// Others than this host could call without a key.
    #[error("refusing to listen on {listen} without an API key: set SANDBOX_API_KEY, or listen on 127.0.0.1")]
    KeyNeeded {
        /// The address.
        listen: SocketAddr,
    },
}

/// The daemon could not be started, or not be ended cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A directory cannot be made or used.
    #[error("cannot use the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Another daemon uses the data directory.
    #[error("another daemon uses {}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The S3 endpoint does not come up.
    #[error("cannot start the S3 endpoint on {address}: {what}")]
    Gateway {
        /// Where it should listen.
        address: SocketAddr,
        /// What happened.
        what: String,
    },
    /// The keys of the S3 endpoint.
    #[error("cannot use the keys of the S3 endpoint")]
    Keys(#[source] sandkeep_gateway::Error),
    /// The state of an earlier daemon.
    #[error("cannot use the state in {}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// The database's error.
        #[source]
        source: rusqlite::Error,
    },
    /// The host cannot run sandboxes.
    #[error("cannot run sandboxes")]
    Runtime(#[source] sandkeep_sandboxes::Error),
    /// The keeper does not come up.
    #[error("cannot start the keeper of volumes")]
    Volumes(#[source] VolumeError),
    /// A bucket of the settings cannot be made.
    #[error("cannot create the bucket {bucket}")]
    Bucket {
        /// Which.
        bucket: String,
        /// The store's error.
        #[source]
        source: Box<ServiceError>,
    },
    /// What an earlier daemon left cannot be found again.
    #[error("cannot find the sandboxes of an earlier start again")]
    Recovery(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No signals, no clock, no threads.
    #[error("the system refuses {what}")]
    System {
        /// What.
        what: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// An operation of a service that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The caller asked for something that cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    /// Not built yet.
    #[error("{what} is not supported yet")]
    NotSupported {
        /// Option or feature.
        what: String,
    },
    /// The sandbox ended while the operation ran.
    #[error("the sandbox ended while the operation ran")]
    Interrupted,
    /// The daemon is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// No sandbox of this id runs.
    #[error("no sandbox {id:?} is running")]
    SandboxNotFound {
        /// Which.
        id: SandboxId,
    },
    /// The sandbox did not start.
    #[error("cannot start the sandbox")]
    Start(#[source] sandkeep_sandboxes::Error),
    /// The sandbox did not end.
    #[error("cannot end the sandbox")]
    Destroy(#[source] sandkeep_sandboxes::Error),
    /// The command did not start.
    #[error("cannot run the command")]
    Exec(#[source] sandkeep_sandboxes::Error),
    /// The command's output was lost or too much.
    #[error("{what}")]
    Output {
        /// What happened.
        what: &'static str,
    },
    /// A session of this id lives already.
    #[error("session '{id}' already exists")]
    SessionExists {
        /// Which.
        id: String,
    },
    /// The command ended the session's shell.
    #[error("session '{id}' was terminated: its shell exited (exit code: {code})")]
    SessionTerminated {
        /// Which.
        id: String,
        /// The shell's.
        code: i32,
    },
    /// The session was deleted meanwhile.
    #[error("session '{id}' was destroyed while the command ran")]
    SessionDestroyed {
        /// Which.
        id: String,
    },
    /// A session's command was given up, and goes on.
    #[error("Command timeout after {}ms{}", after.as_millis(), if *has_begun { "" } else { " (earlier commands of the session still run)" })]
    CommandTimeout {
        /// How long it was waited for.
        after: Duration,
        /// False: it never ran.
        has_begun: bool,
    },
    /// The shell of a session cannot be used.
    #[error("the shell of session '{id}' cannot be used")]
    SessionRefused {
        /// Which.
        id: String,
    },
    /// No process of this id is remembered.
    #[error("process '{id}' not found")]
    ProcessNotFound {
        /// Which.
        id: String,
    },
    /// A process of this id runs already.
    #[error("process '{id}' runs already")]
    ProcessExists {
        /// Which.
        id: String,
    },
    /// What was waited for did not come in time.
    #[error("process '{id}' did not become ready within {}ms: {condition}", after.as_millis())]
    ProcessTimeout {
        /// Which.
        id: String,
        /// What was waited for.
        condition: String,
        /// How long.
        after: Duration,
    },
    /// The process ended before what was waited for came.
    #[error("process '{id}' exited with code {code} before it was ready: {condition}")]
    ProcessExited {
        /// Which.
        id: String,
        /// What was waited for.
        condition: String,
        /// Its exit code.
        code: i32,
    },
    /// A limit of the sandbox is reached.
    #[error("the sandbox has {limit} {what} already, which is the limit")]
    TooMany {
        /// Sessions, processes or terminals.
        what: String,
        /// How many may be.
        limit: usize,
    },
    /// A file operation.
    #[error("{path}")]
    File {
        /// The path inside.
        path: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Something that a file operation starts from is not there.
    #[error("{what} not found: {path}")]
    Missing {
        /// `Source file` or `Directory`.
        what: &'static str,
        /// Its path.
        path: String,
    },
    /// A file above the limit.
    #[error("{path} has {size} bytes, more than the limit of {limit}")]
    FileTooLarge {
        /// The path inside.
        path: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The sandbox's agent failed.
    #[error("the sandbox does not work as it should")]
    Agent(#[source] sandkeep_sandboxes::Error),
    /// The bucket was not mounted.
    #[error("mount failed: {reason}")]
    Mount {
        /// Why.
        reason: String,
    },
    /// The bucket was not granted.
    #[error("cannot grant this: {reason}")]
    Grant {
        /// Why.
        reason: String,
    },
    /// The sandbox has no such grant of its own.
    #[error("grant {id} not found")]
    GrantNotFound {
        /// Which.
        id: String,
    },
    /// The mount was not taken away.
    #[error("cannot unmount {path}: {reason}")]
    Unmount {
        /// Where.
        path: String,
        /// Why.
        reason: String,
    },
    /// The backup was not made.
    #[error("backup failed: {reason}")]
    BackupCreate {
        /// Why.
        reason: String,
    },
    /// The backup was not restored.
    #[error("restore failed: {reason}")]
    BackupRestore {
        /// Which.
        id: String,
        /// Why.
        reason: String,
    },
    /// No such backup.
    #[error("backup {id} not found")]
    BackupNotFound {
        /// Which.
        id: String,
    },
    /// Its time to live has elapsed.
    #[error("backup {id} expired at {expired_at}")]
    BackupExpired {
        /// Which.
        id: String,
        /// When.
        expired_at: String,
    },
    /// The embedded store, or the bucket of backups.
    #[error("cannot use the store")]
    Store(#[source] sandkeep_objects::Error),
    /// The daemon's own records.
    #[error("cannot record the change")]
    State(#[source] rusqlite::Error),
    /// A task of ours ended without an answer.
    #[error("an internal task failed")]
    Task,
}

impl ServiceError {
    /// Why a session's command has no exit code.
    pub(crate) fn lost(id: String, loss: SessionLoss) -> Self {
        match loss {
            SessionLoss::Terminated { code } => Self::SessionTerminated { id, code },
            SessionLoss::Destroyed => Self::SessionDestroyed { id },
            SessionLoss::TimedOut { after, has_begun } => Self::CommandTimeout { after, has_begun },
            SessionLoss::Refused => Self::SessionRefused { id },
        }
    }

    /// What the agent refuses, about a session, process or terminal of that id.
    pub(crate) fn of_agent(id: &str, error: sandkeep_sandboxes::Error) -> Self {
        use sandkeep_sandboxes::Error;
        let id = id.to_owned();
        match error {
            Error::SessionExists => Self::SessionExists { id },
            Error::NoSuchProcess => Self::ProcessNotFound { id },
            Error::ProcessExists => Self::ProcessExists { id },
            Error::TooMany { what, limit } => Self::TooMany { what, limit },
            Error::Gone => Self::Interrupted,
            other => Self::Agent(other),
        }
    }
}
