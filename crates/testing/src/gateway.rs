//! A real S3 endpoint on loopback for the length of a test.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use sandkeep_gateway::{Gateway, GatewaySettings, KeyRing};
use sandkeep_objects::{Credentials, ObjectService};
use tempfile::TempDir;

/// An endpoint with fresh keys; ends when dropped.
#[derive(Debug)]
pub struct TestGateway {
    gateway: Gateway,
    credentials: Credentials,
    directory: TempDir,
}

impl TestGateway {
    /// Serves `service` on a free port, on the current tokio runtime.
    ///
    /// # Panics
    /// If loopback or the temporary directory cannot be used.
    pub async fn start(service: Arc<dyn ObjectService>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let keys = KeyRing::load_or_create(&directory.path().join("keys.json"), None).expect("fresh keys");
        let credentials = keys.named("default").expect("the ring has a default pair").credentials.clone();
        let settings =
            GatewaySettings { listen: (Ipv4Addr::LOCALHOST, 0).into(), regions: Vec::new(), keys, tls: None };
        let gateway = Gateway::start(settings, service).await.expect("an endpoint on loopback");
        Self { gateway, credentials, directory }
    }

    /// Its URL, without a slash at the end.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.gateway.address())
    }

    /// Where its keys are kept.
    pub fn key_file(&self) -> PathBuf {
        self.directory.path().join("keys.json")
    }

    /// A pair it accepts.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Lets requests in progress finish.
    pub async fn stop(self) {
        self.gateway.stop().await;
    }
}
