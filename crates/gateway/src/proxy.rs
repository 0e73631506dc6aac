//! The endpoint of one sandbox, on a listener inside its network.

use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::{Arc, RwLock};

use sandkeep_objects::ObjectService;
use tokio::sync::Semaphore;

use crate::Error;
use crate::connections::Connections;
use crate::door::Door;
use crate::grants::{Grant, Grants};
use crate::operations::Endpoint;

/// Connections of one sandbox at once; more wait to be accepted.
const CONNECTIONS: usize = 256;

/// Requests of one sandbox at once, unless settings say otherwise; more wait for their turn.
pub const SANDBOX_REQUESTS: NonZeroUsize = NonZeroUsize::new(32).expect("it is not zero");

/// An endpoint that answers whoever reaches its listener, for its grants only. Dropping it ends it at once.
#[derive(Debug)]
pub struct SandboxEndpoint {
    endpoint: Arc<Endpoint>,
    _connections: Connections,
}

impl SandboxEndpoint {
    /// Serves on the current tokio runtime, granting nothing yet. `requests` are served at once.
    pub fn start(
        listener: TcpListener,
        embedded: Arc<dyn ObjectService>,
        requests: NonZeroUsize,
    ) -> Result<Self, Error> {
        let listening = |listener: TcpListener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        };
        let listener = listening(listener).map_err(|source| Error::SandboxListener { source })?;
        let door = Door::Grants(RwLock::new(Arc::new(Grants::none(embedded))));
        let requests = Some(Arc::new(Semaphore::new(requests.get())));
        let endpoint = Arc::new(Endpoint { door, regions: Vec::new(), requests });
        let connections = Connections::start(listener, CONNECTIONS, Arc::clone(&endpoint), None);
        Ok(Self { endpoint, _connections: connections })
    }

    /// Grants these from now on and nothing else. What cannot be granted changes nothing.
    pub fn grant(&self, grants: Vec<Grant>) -> Result<(), Error> {
        self.endpoint.door.replace_grants(grants).map_err(|source| Error::Grant { source })
    }

    /// What is granted.
    pub fn grants(&self) -> Vec<Grant> {
        self.endpoint.door.grants()
    }
}
