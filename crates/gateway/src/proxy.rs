//! The endpoint of one sandbox, on a listener inside its network.

use std::net::TcpListener;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, RwLock};

use sandkeep_objects::ObjectService;

use crate::Error;
use crate::connections::Connections;
use crate::door::Door;
use crate::fair::FairQueue;
use crate::grants::{Grant, Grants};
use crate::operations::Endpoint;
use crate::throttle::Throttle;

/// Connections of one sandbox at once; more wait to be accepted.
const CONNECTIONS: usize = 256;

/// Requests of one sandbox at once, unless settings say otherwise; more wait for their turn.
pub const SANDBOX_REQUESTS: NonZeroUsize = NonZeroUsize::new(32).expect("it is not zero");

/// Requests of all sandboxes at once, unless settings say otherwise.
pub const ALL_REQUESTS: NonZeroUsize = NonZeroUsize::new(128).expect("it is not zero");

/// How much one sandbox gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Requests served at once.
    pub requests: NonZeroUsize,
    /// Bytes of bodies per second, both ways together; none: as fast as they can.
    pub bandwidth: Option<NonZeroU64>,
}

/// An endpoint that answers whoever reaches its listener, for its grants only. Dropping it ends it at once.
#[derive(Debug)]
pub struct SandboxEndpoint {
    endpoint: Arc<Endpoint>,
    _connections: Connections,
}

impl SandboxEndpoint {
    /// Serves on the current tokio runtime, granting nothing yet. Requests wait with those of others in `queue`.
    pub fn start(
        listener: TcpListener,
        embedded: Arc<dyn ObjectService>,
        limits: SandboxLimits,
        queue: &FairQueue,
    ) -> Result<Self, Error> {
        let listening = |listener: TcpListener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        };
        let listener = listening(listener).map_err(|source| Error::SandboxListener { source })?;
        let door = Door::Grants(RwLock::new(Arc::new(Grants::none(embedded))));
        let line = Some(queue.line(limits.requests));
        let throttle = limits.bandwidth.map(|rate| Arc::new(Throttle::new(rate)));
        let endpoint = Arc::new(Endpoint { door, regions: Vec::new(), line, throttle });
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
