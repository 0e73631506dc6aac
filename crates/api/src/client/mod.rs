//! A typed client of our routes.

mod backups;
mod calls;
mod connection;
mod events;
mod terminal;

use url::Url;

pub use events::EventStream;
pub use terminal::{TerminalConnection, TerminalFrame};

use crate::ClientError;
use connection::Connection;

/// Port of a server that is not told another one.
pub const DEFAULT_ADDRESS: &str = "http://127.0.0.1:8787";

/// Calls a server. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// For the server at `address` (`http://HOST:PORT`), with its bearer key if it has one. Connects at the first call.
    pub fn new(address: &Url, key: Option<&str>) -> Result<Self, ClientError> {
        Ok(Self { connection: Connection::new(address, key)? })
    }

    /// Where it calls: scheme, host and port.
    pub fn address(&self) -> &str {
        self.connection.address()
    }
}
