//! The gateway: the S3 endpoint over the embedded store, which it alone owns.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use sandkeep_gateway::TlsFiles;
use sandkeep_gateway::{Gateway, GatewaySettings, KeyRing};
use sandkeep_objects::{
    Credentials, DirectoryService, Expired, FsckReport, NestedService, ObjectService, PlacedService, S3Client,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::process;
use crate::grants;
use crate::settings::DefaultStore;
use crate::volumes::VolumeError;

/// Rules count in days.
const LIFECYCLE_INTERVAL: Duration = Duration::from_secs(3600);

/// How a gateway runs.
#[derive(Clone, Debug)]
pub struct GatewayRole {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Directory of the store and its keys.
    pub data: PathBuf,
    /// Certificate and key; none: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// A second listener, for processes of this host that need no certificate.
    pub plain: Option<SocketAddr>,
    /// Where buckets are that are not embedded. One that the daemon started is told by it.
    pub elsewhere: Option<DefaultStore>,
    /// Regions that requests may be signed for, besides `auto` and `us-east-1`; buckets are in the first.
    pub regions: Vec<String>,
    /// Replaces the generated default pair.
    pub given: Option<Credentials>,
    /// Started by the daemon: leaves its terminal and survives it, and takes requests for sandboxes on its input.
    pub detached: bool,
}

impl GatewayRole {
    /// Where a data directory keeps its key pairs.
    pub fn key_file(data: &Path) -> PathBuf {
        data.join("keys.json")
    }
}

/// Where a gateway listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// For everyone.
    pub address: SocketAddr,
    /// [`GatewayRole::plain`].
    pub plain: Option<SocketAddr>,
}

/// Serves until SIGTERM or SIGINT. `ready` learns the addresses listened on.
pub async fn run_gateway(role: GatewayRole, ready: impl FnOnce(Listening)) -> Result<(), VolumeError> {
    process::keep_memory_private();
    if role.detached {
        process::detach_from_terminal();
    }
    let cannot = |what: &'static str| move |error: io::Error| VolumeError::failed(what, &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot("cannot wait for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot("cannot wait for signals"))?;
    let store = |error: sandkeep_objects::Error| VolumeError::from(&error);
    let embedded = DirectoryService::open(&role.data).await.map_err(store)?;
    let service = PlacedService::new(embedded, &role.data).await.map_err(store)?;
    service.set_elsewhere(role.elsewhere.as_ref().map(open_elsewhere).transpose().map_err(store)?);
    let failed = |error: sandkeep_gateway::Error| VolumeError::failed("cannot start the S3 endpoint", &error);
    let keys = KeyRing::load_or_create(&GatewayRole::key_file(&role.data), role.given).map_err(failed)?;
    let plain = role.plain.map(|listen| GatewaySettings {
        listen,
        regions: role.regions.clone(),
        keys: keys.clone(),
        tls: None,
    });
    let settings = GatewaySettings { listen: role.listen, regions: role.regions, keys, tls: role.tls };
    if role.detached {
        let requests = io::stdin().as_fd().try_clone_to_owned().map_err(cannot("cannot take requests"))?;
        let mut configured =
            grants::serve(requests, service.clone()).map_err(cannot("cannot take requests"))?;
        // Until then nobody knows which buckets there are.
        if configured.wait_for(|configured| *configured).await.is_err() {
            return Err(VolumeError::plain("the daemon does not say where buckets are"));
        }
    }
    let lifecycle = tokio::spawn(follow_lifecycle_rules(service.clone()));
    let service: Arc<dyn ObjectService> = Arc::new(service);
    let gateway = Gateway::start(settings, Arc::clone(&service)).await.map_err(failed)?;
    let plain = match plain {
        Some(settings) => Some(Gateway::start(settings, service).await.map_err(failed)?),
        None => None,
    };
    ready(Listening { address: gateway.address(), plain: plain.as_ref().map(Gateway::address) });
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    lifecycle.abort();
    gateway.stop().await;
    if let Some(plain) = plain {
        plain.stop().await;
    }
    Ok(())
}

fn open_elsewhere(store: &DefaultStore) -> Result<NestedService, sandkeep_objects::Error> {
    let client = S3Client::new(store.s3.clone())?;
    Ok(NestedService::new(client.bucket(&store.bucket), &store.prefix))
}

/// Lets go of what the buckets' lifecycle rules no longer keep, at the start and then every hour.
async fn follow_lifecycle_rules(store: PlacedService) {
    let mut hours = tokio::time::interval(LIFECYCLE_INTERVAL);
    loop {
        hours.tick().await;
        match store.expire(SystemTime::now()).await {
            Ok(Expired { objects: 0, uploads: 0 }) => {}
            Ok(Expired { objects, uploads }) => info!(objects, uploads, "lifecycle rules removed"),
            Err(error) => warn!(%error, "the lifecycle rules could not be followed"),
        }
    }
}

/// Reads everything in a store that no endpoint serves, and compares it with its checksums.
pub async fn check_store(data: &Path) -> Result<FsckReport, VolumeError> {
    let service = DirectoryService::open(data).await.map_err(|error| VolumeError::from(&error))?;
    service.fsck().await.map_err(|error| VolumeError::from(&error))
}

/// The pair that SANDKEEP_S3_ACCESS_KEY_ID and SANDKEEP_S3_SECRET_ACCESS_KEY give, if both do.
pub fn credentials_from_environment() -> Option<Credentials> {
    let value = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let id = value("SANDKEEP_S3_ACCESS_KEY_ID")?;
    Some(Credentials::new(id, value("SANDKEEP_S3_SECRET_ACCESS_KEY")?))
}

/// Id and secret of the pair meant for people, from a key file.
pub fn default_key(file: &Path) -> Result<(String, String), VolumeError> {
    let keys = KeyRing::load_or_create(file, None)
        .map_err(|error| VolumeError::failed("cannot read the keys", &error))?;
    let key =
        keys.named("default").ok_or_else(|| VolumeError::plain("the key file has no pair named default"))?;
    let credentials = &key.credentials;
    Ok((credentials.access_key_id.0.clone(), credentials.secret_access_key.expose().to_owned()))
}
