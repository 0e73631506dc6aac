//! Listening and the life of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use sandkeep_objects::ObjectService;

use crate::{Error, KeyRing};

/// Settings of an endpoint.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Where to listen; port 0 picks one.
    pub listen: SocketAddr,
    /// Regions that signatures may name; `auto` and `us-east-1` always may.
    pub regions: Vec<String>,
    /// Accepted key pairs.
    pub keys: KeyRing,
}

/// A running endpoint.
#[derive(Debug)]
pub struct Gateway {}

impl Gateway {
    /// Starts listening and serving on the current tokio runtime.
    pub async fn start(settings: GatewaySettings, service: Arc<dyn ObjectService>) -> Result<Self, Error> {
        todo!()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        todo!()
    }

    /// Stops accepting, lets requests in progress finish for at most ten seconds, and returns.
    pub async fn stop(self) {
        todo!()
    }
}
