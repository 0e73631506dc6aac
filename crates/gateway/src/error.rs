//! Why the endpoint cannot run. Errors of requests are S3's own, as XML.

use std::path::PathBuf;

/// The endpoint could not be started or kept running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A listener inside a sandbox's network cannot be served.
    #[error("cannot serve a sandbox's listener")]
    SandboxListener {
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// Something cannot be granted.
    #[error("cannot grant this")]
    Grant {
        /// What is wrong with its origin.
        #[source]
        source: sandkeep_objects::Error,
    },
    /// The key file cannot be read or written.
    #[error("cannot use the key file {path}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// The system's error, or what is wrong with the content.
        #[source]
        source: std::io::Error,
    },
    /// Certificate or key are missing, damaged, or do not belong together.
    #[error("cannot use {path} for TLS")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// Names of keys are unique.
    #[error("there is a key named {name:?} already")]
    KeyExists {
        /// The name.
        name: String,
    },
    /// Sandkeep itself uses the key.
    #[error("the key {name:?} is used by Sandkeep itself")]
    KeyNeeded {
        /// The name.
        name: String,
    },
    /// No key has that name.
    #[error("there is no key named {name:?}")]
    NoSuchKeyPair {
        /// The name.
        name: String,
    },
}
