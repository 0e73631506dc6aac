//! What can go wrong before requests flow.

use rustix::io::Errno;

/// A connection that could not be made or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `/dev/fuse` is missing or may not be opened.
    #[error("cannot open /dev/fuse")]
    Device(#[source] Errno),
    /// The kernel has no fsopen(2): it is older than 5.2.
    #[error("the kernel lacks the mount interface of Linux 5.2 (fsopen)")]
    OldMountInterface,
    /// A step of mounting failed.
    #[error("cannot mount: {step}")]
    Mount {
        /// System call or option.
        step: &'static str,
        /// The system's error.
        #[source]
        source: Errno,
    },
    /// The kernel speaks a protocol that we do not.
    #[error("the kernel speaks FUSE {major}.{minor}; 7.31 or newer is needed")]
    OldProtocol {
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// The first request was not FUSE_INIT, or not one we can read.
    #[error("the connection does not begin with FUSE_INIT")]
    NoInit,
    /// The device does not answer.
    #[error("the connection ended before it was agreed on")]
    Init(#[source] Errno),
    /// The agreement allows larger requests than our buffers hold.
    #[error("the connection's requests of {max_write} bytes are too large")]
    LargeRequests {
        /// What was agreed on.
        max_write: u32,
    },
    /// Threads or descriptors could not be had.
    #[error("cannot serve: {step}")]
    Serve {
        /// System call.
        step: &'static str,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The connection ended while it was being handed over.
    #[error("the connection has ended")]
    Ended,
}
