//! The daemon's own life: everything is started in order, served until a signal, and ended in reverse.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use sandkeep_api::PruneRequest;
use sandkeep_gateway::KeyRing;
use sandkeep_objects::Credentials;
use sandkeep_sandboxes::{Runtime, RuntimeSettings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::StartError;
use crate::grants::{self, GatewayControl, Limits};
use crate::http;
use crate::roles::{self, GatewayRole};
use crate::services::{Parts, Services};
use crate::settings::Settings;
use crate::state::State;
use crate::supervision::{Gateway, GatewayPlan};
use crate::volumes::{Volumes, VolumesSettings};

/// The pair of the key file that is the daemon's own grant.
const INTERNAL_KEY: &str = "internal";
const PRIVATE: u32 = 0o700;
const STICKY: u32 = 0o1000;
/// How long answers in progress may take after the sandboxes are gone.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Where a daemon that has started can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The API.
    pub address: SocketAddr,
    /// The S3 endpoint.
    pub s3_address: SocketAddr,
    /// Whether that speaks HTTPS.
    pub s3_tls: bool,
}

/// Serves until `shutdown` is ready, then ends everything: sandboxes with their files uploaded, volumes, gateway.
/// `ready` learns the addresses.
pub async fn run(
    settings: Settings,
    ready: impl FnOnce(&Started),
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    roles::keep_memory_private();
    let daemon = Daemon::start(settings).await?;
    ready(&daemon.started);
    daemon.serve_until(shutdown).await;
    Ok(())
}

/// Ready at SIGTERM or SIGINT, from the call on.
pub fn termination() -> Result<impl Future<Output = ()>, StartError> {
    let refused = |source| StartError::System { what: "to announce signals", source };
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

struct Daemon {
    started: Started,
    services: Arc<Services>,
    volumes: Volumes,
    gateway: Gateway,
    listener: TcpListener,
    _locks: [File; 2],
}

impl Daemon {
    async fn start(settings: Settings) -> Result<Self, StartError> {
        let locks = prepare(&settings)?;
        let address = settings.listen;
        let refused = |source| StartError::Listen { address, source };
        // First of all, so that a taken address leaves nothing to be ended.
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let gateway = Gateway::start(gateway_plan(&settings)?).await?;
        let s3_tls = settings.s3_tls.is_some();
        let started = Started { address, s3_address: gateway.address(), s3_tls };
        let (services, volumes) = match start_services(settings, &gateway).await {
            Ok(parts) => parts,
            Err(error) => {
                gateway.stop().await;
                return Err(error);
            }
        };
        tokio::spawn(publish_again(Arc::clone(&services), gateway.restarts()));
        if services.settings.prune_expired {
            tokio::spawn(prune_expired(Arc::clone(&services)));
        }
        info!(api = %started.address, s3 = %started.s3_address, "ready");
        Ok(Self { started, services, volumes, gateway, listener, _locks: locks })
    }

    async fn serve_until(self, shutdown: impl Future<Output = ()>) {
        let closing = CancellationToken::new();
        let router = http::router(Arc::clone(&self.services));
        let server = tokio::spawn(serve(self.listener, router, closing.clone()));
        shutdown.await;
        info!("stopping");
        closing.cancel();
        self.services.shut_down().await;
        if tokio::time::timeout(CLOSE_LIMIT, server).await.is_err() {
            warn!("connections were still open");
        }
        if let Err(error) = self.volumes.stop().await {
            warn!(%error, "the volumes did not end cleanly");
        }
        self.gateway.stop().await;
    }
}

/// A gateway that was started anew serves nothing in sandboxes yet. Ends with the gateway's supervision.
async fn publish_again(services: Arc<Services>, mut restarts: watch::Receiver<()>) {
    while restarts.changed().await.is_ok() {
        services.publish_all().await;
    }
}

async fn serve(listener: TcpListener, router: Router, closing: CancellationToken) {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            warn!(%error, "cannot switch delays off for a connection");
        }
    });
    let served = axum::serve(listener, router).with_graceful_shutdown(closing.cancelled_owned()).await;
    if let Err(error) = served {
        warn!(%error, "serving ended");
    }
}

/// Makes the directories and takes the locks of those that only one daemon may use.
fn prepare(settings: &Settings) -> Result<[File; 2], StartError> {
    for directory in [&settings.data, &settings.run] {
        private_directory(directory)?;
    }
    for name in ["s3", "cache", "sandboxes"] {
        private_directory(&settings.data.join(name))?;
    }
    private_directory(&settings.run.join("sandboxes"))?;
    // Two names, because both may be one directory.
    Ok([lock(&settings.data, "daemon.lock")?, lock(&settings.run, "run.lock")?])
}

/// Held as long as the file is open.
fn lock(directory: &Path, name: &str) -> Result<File, StartError> {
    let path = directory.join(name);
    let unusable = |source| StartError::Directory { path: path.clone(), source };
    let lock = File::create(&path).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Nobody else may look into a directory of ours. One that was there before stays as it is if it is shared (sticky).
fn private_directory(path: &Path) -> Result<(), StartError> {
    let unusable = |source| StartError::Directory { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(PRIVATE).create(path).map_err(unusable)?;
    let mode = fs::metadata(path).map_err(unusable)?.permissions().mode();
    if mode & STICKY == 0 && mode & 0o777 != PRIVATE {
        fs::set_permissions(path, Permissions::from_mode(PRIVATE)).map_err(unusable)?;
    }
    Ok(())
}

fn gateway_plan(settings: &Settings) -> Result<GatewayPlan, StartError> {
    Ok(GatewayPlan {
        program: settings.program.clone(),
        listen: settings.s3_listen,
        tls: settings.s3_tls.clone(),
        data: settings.store_directory(),
        run: settings.run.clone(),
        credentials: internal_credentials(&GatewayRole::key_file(&settings.store_directory()))?,
        elsewhere: settings.default_store.clone(),
        sandbox_requests: settings.s3_all_requests,
    })
}

fn internal_credentials(key_file: &Path) -> Result<Credentials, StartError> {
    let keys =
        KeyRing::load_or_create(key_file, roles::credentials_from_environment()).map_err(StartError::Keys)?;
    let key = keys.named(INTERNAL_KEY).ok_or_else(|| {
        let source = io::Error::other("there is no pair named `internal`");
        StartError::Keys(sandkeep_gateway::Error::Keys { path: key_file.to_owned(), source })
    })?;
    Ok(key.credentials.clone())
}

async fn start_services(
    settings: Settings,
    gateway: &Gateway,
) -> Result<(Arc<Services>, Volumes), StartError> {
    let runtime = Runtime::start(runtime_settings(&settings)).await.map_err(StartError::Runtime)?;
    let volumes = Volumes::start(volumes_settings(&settings)).await.map_err(StartError::Volumes)?;
    let path = settings.data.join("state.db");
    let state = State::open(&path).map_err(|source| StartError::State { path, source })?;
    let control = Arc::new(GatewayControl {
        socket: grants::socket(&settings.run),
        limits: Limits { requests: settings.s3_requests, bandwidth: settings.s3_bandwidth },
    });
    let parts = Parts {
        store: gateway.store()?,
        runtime: Arc::new(runtime),
        volumes: Arc::new(volumes.clone()),
        endpoints: Arc::clone(&control) as _,
        buckets: control,
        state,
        settings: Arc::new(settings),
    };
    let services = Services::new(parts);
    services.recover().await.map_err(|error| StartError::Recovery(Box::new(error)))?;
    for bucket in &services.settings.buckets {
        let made = services.store.ensure_bucket(bucket).await;
        made.map_err(|error| StartError::Bucket {
            bucket: bucket.as_str().to_owned(),
            source: Box::new(error),
        })?;
    }
    Ok((services, volumes))
}

fn runtime_settings(settings: &Settings) -> RuntimeSettings {
    RuntimeSettings {
        state: settings.data.join("sandboxes"),
        run: settings.run.join("sandboxes"),
        program: settings.program.clone(),
        init_arguments: vec![roles::INIT.to_owned()],
    }
}

fn volumes_settings(settings: &Settings) -> VolumesSettings {
    VolumesSettings {
        run: settings.run.clone(),
        program: settings.program.clone(),
        cache: settings.data.join("cache"),
    }
}

/// Deletes backups that have expired, now and every hour.
async fn prune_expired(services: Arc<Services>) {
    const INTERVAL: Duration = Duration::from_secs(3600);
    let request = PruneRequest { expired: true, ..PruneRequest::default() };
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        match services.prune_backups(&request).await {
            Ok(result) if result.pruned.is_empty() => {}
            Ok(result) => info!(count = result.pruned.len(), "expired backups are deleted"),
            Err(error) => warn!(%error, "expired backups are not deleted"),
        }
    }
}
