//! The endpoint for those who hold keys.

use std::net::SocketAddr;
use std::sync::Arc;

use sandkeep_objects::ObjectService;
use tokio::net::TcpListener;

use crate::connections::Connections;
use crate::door::Door;
use crate::keys::LiveKeys;
use crate::operations::Endpoint;
use crate::tls::Tls;
use crate::{Error, KeyRing, TlsFiles};

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 4096;

/// Settings of an endpoint.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Where to listen; port 0 picks one.
    pub listen: SocketAddr,
    /// Regions that signatures may name; `auto` and `us-east-1` always may. Buckets are said to be in the first.
    pub regions: Vec<String>,
    /// Accepted key pairs.
    pub keys: KeyRing,
    /// Certificate and key; none: plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// A running endpoint. Dropping it ends it at once.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    connections: Connections,
}

impl Gateway {
    /// Starts listening and serving on the current tokio runtime.
    pub async fn start(settings: GatewaySettings, service: Arc<dyn ObjectService>) -> Result<Self, Error> {
        let tls = settings.tls.map(Tls::load).transpose()?.map(Arc::new);
        let refused = |source| Error::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let door = Door::Keys { service, keys: LiveKeys::new(settings.keys) };
        let endpoint = Arc::new(Endpoint { door, regions: settings.regions, line: None, throttle: None });
        Ok(Self { address, connections: Connections::start(listener, CONNECTIONS, endpoint, tls) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets requests in progress finish for at most ten seconds, and returns.
    pub async fn stop(self) {
        self.connections.stop().await;
    }
}
