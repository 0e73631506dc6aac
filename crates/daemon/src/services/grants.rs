//! What a sandbox may reach at `http://s3.internal`: a grant for each of its mounts, and those made explicitly.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sandkeep_api::{
    ErrorCode, GrantInfo, GrantList, GrantRequest, InvalidInput, MountInfo, MountOptions, MountRequest,
    SandboxId, base32,
};
use sandkeep_gateway::{Grant, Origin};
use sandkeep_objects::BucketName;
use tracing::{info, warn};

use super::mounts::{Plan, Target};
use super::{Live, Services, names};
use crate::error::ServiceError;
use crate::grants::GrantsById;

/// Explicit grants of a sandbox at most.
const MAX_GRANTS: usize = 256;
/// Seconds that a grant may last: ten years, which no clock overflows.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 60 * 60;

impl Services {
    /// Grants a bucket to a sandbox, which is started if it does not run.
    pub(crate) async fn grant(
        self: &Arc<Self>,
        id: &SandboxId,
        request: GrantRequest,
    ) -> Result<GrantInfo, ServiceError> {
        let expires = expiry(request.expires_in)?;
        let plan = Plan::new(as_mount(request))?;
        let target = self.mount_target(&plan)?;
        let live = self.live(id).await?;
        let services = Arc::clone(self);
        // A task of its own: a caller that leaves must not leave half a grant behind.
        let granted = async move {
            let _turn = live.during(async { Ok(live.mounting.turn().await) }).await?;
            if target.create {
                services.store.ensure_bucket(&target.store.bucket).await?;
            }
            let grant = Grant { expires, ..services.grant_of(&plan, &target) };
            services.add_grant(&live, new_id(), grant).await
        };
        tokio::spawn(granted).await.map_err(|_| ServiceError::Task)?
    }

    async fn add_grant(&self, live: &Live, id: String, grant: Grant) -> Result<GrantInfo, ServiceError> {
        let refuse = |message: String| Err(InvalidInput::new(ErrorCode::InvalidMountConfig, message).into());
        let before = live.grants();
        if before.len() >= MAX_GRANTS {
            return refuse(format!("a sandbox has at most {MAX_GRANTS} grants"));
        }
        if is_elsewhere(&before, &grant) {
            return refuse(format!(
                "another bucket \"{}\" is granted already: its name would have two meanings",
                grant.bucket
            ));
        }
        let info = info(&id, &grant);
        live.change_grants(|grants| drop(grants.insert(id, grant)));
        // Recorded last: what is recorded was served, whoever dies.
        let granted = async {
            self.publish(live).await?;
            self.state.put_grants(live.id.clone(), live.grants()).await
        };
        if let Err(error) = granted.await {
            live.change_grants(|grants| *grants = before);
            return Err(error);
        }
        Ok(info)
    }

    /// What a sandbox may reach.
    pub(crate) fn grants(&self, id: &SandboxId) -> Result<GrantList, ServiceError> {
        let grants = current(self.existing(id)?.grants());
        Ok(GrantList { grants: grants.iter().map(|(id, grant)| info(id, grant)).collect() })
    }

    /// Takes an explicit grant back.
    pub(crate) async fn revoke(&self, id: &SandboxId, grant: &str) -> Result<(), ServiceError> {
        let live = self.existing(id)?;
        let _turn = live.during(async { Ok(live.mounting.turn().await) }).await?;
        let missing = || ServiceError::GrantNotFound { id: grant.to_owned() };
        if is_of_mount(grant) || !current(live.grants()).contains_key(grant) {
            return Err(missing());
        }
        self.withdraw(&live, grant).await
    }

    /// Recorded first: what was withdrawn does not come back, whoever dies.
    async fn withdraw(&self, live: &Live, grant: &str) -> Result<(), ServiceError> {
        live.change_grants(|grants| drop(grants.remove(grant)));
        self.state.put_grants(live.id.clone(), live.grants()).await?;
        self.publish(live).await
    }

    /// Grants what was mounted. A mount is useful without: what prevents the grant is logged.
    pub(super) async fn grant_mount(&self, live: &Live, path: &str, grant: Grant) {
        if let Err(error) = self.add_grant(live, path.to_owned(), grant).await {
            info!(sandbox = %live.id, path, error = %crate::volumes::chain(&error), "a mount is not at s3.internal");
        }
    }

    /// Takes the grant of a mount back.
    pub(super) async fn revoke_mount(&self, live: &Live, path: &str) {
        if !live.grants().contains_key(path) {
            return;
        }
        if let Err(error) = self.withdraw(live, path).await {
            warn!(sandbox = %live.id, path, error = %crate::volumes::chain(&error), "the grant of a mount is not withdrawn");
        }
    }

    /// What a mount or an explicit grant allows.
    pub(super) fn grant_of(&self, plan: &Plan, target: &Target) -> Grant {
        let (s3, own) = (&target.store.s3, &self.store.settings);
        let embedded = s3.endpoint == own.endpoint && s3.credentials == own.credentials;
        Grant {
            bucket: target.store.bucket.clone(),
            prefix: plan.prefix.trim_end_matches('/').to_owned(),
            read_only: plan.read_only,
            expires: None,
            origin: if embedded { Origin::Embedded } else { Origin::Remote(Box::new(s3.clone())) },
        }
    }

    /// Tells the gateway what the sandbox may reach from now on.
    async fn publish(&self, live: &Live) -> Result<(), ServiceError> {
        let grants = current(live.grants());
        live.change_grants(|held| held.clone_from(&grants));
        let buckets: BTreeSet<BucketName> = grants.values().map(|grant| grant.bucket.clone()).collect();
        let served = self.endpoints.serve(&live.sandbox, grants).await;
        served.map_err(|error| ServiceError::Grant { reason: error.message })?;
        names::tell(live, &buckets).await;
        Ok(())
    }

    /// The same for all sandboxes, after the gateway was started anew.
    pub(crate) async fn publish_all(&self) {
        for live in self.registry.all() {
            let _turn = live.mounting.turn().await;
            if live.is_over() || live.grants().is_empty() {
                continue;
            }
            if let Err(error) = self.publish(&live).await {
                warn!(sandbox = %live.id, error = %crate::volumes::chain(&error), "s3.internal does not answer");
            }
        }
    }

    /// Takes over what the gateway serves, or, where it died too, what is recorded; without the grants of mounts that
    /// are gone.
    pub(super) async fn adopt_grants(&self, live: &Live, served: Option<GrantsById>) {
        let mounts: Vec<MountInfo> = live.mounts().into_iter().map(|mount| mount.info).collect();
        let known = match served {
            Some(served) => Ok(served),
            None => self.state.grants(live.id.clone()).await,
        };
        let known = known.unwrap_or_else(|error| {
            warn!(sandbox = %live.id, error = %crate::volumes::chain(&error), "the grants of a sandbox are lost");
            GrantsById::new()
        });
        if known.is_empty() {
            return;
        }
        live.change_grants(|grants| {
            *grants = known;
            grants.retain(|id, _| !is_of_mount(id) || mounts.iter().any(|info| info.mount_path == *id));
        });
        if let Err(error) = self.publish(live).await {
            warn!(sandbox = %live.id, error = %crate::volumes::chain(&error), "s3.internal does not answer");
        }
    }

    /// Nothing serves a sandbox that has ended.
    pub(super) async fn close_endpoint(&self, live: &Live) {
        if !live.was_granted() {
            return;
        }
        if let Err(error) = self.endpoints.close(live.sandbox.name()).await {
            warn!(sandbox = %live.id, %error, "the endpoint of a sandbox is not closed");
        }
    }
}

/// Those that have not expired.
fn current(mut grants: GrantsById) -> GrantsById {
    let now = SystemTime::now();
    grants.retain(|_, grant| grant.expires.is_none_or(|expires| now < expires));
    grants
}

/// Ids of mounts are their paths, which start with a slash; others never do.
fn is_of_mount(id: &str) -> bool {
    id.starts_with('/')
}

/// Whether the name of its bucket means another one already.
fn is_elsewhere(grants: &GrantsById, grant: &Grant) -> bool {
    grants.values().any(|known| known.bucket == grant.bucket && known.origin != grant.origin)
}

fn as_mount(request: GrantRequest) -> MountRequest {
    let GrantRequest { bucket, endpoint, provider, credentials, prefix, read_only, expires_in: _, env } =
        request;
    let options =
        MountOptions { endpoint, provider, credentials, prefix, read_only, ..MountOptions::default() };
    // Any path is fine: nothing is mounted.
    MountRequest { bucket, mount_path: "/grant".to_owned(), options, env }
}

fn expiry(seconds: Option<u64>) -> Result<Option<SystemTime>, InvalidInput> {
    match seconds {
        None => Ok(None),
        Some(seconds @ 1..=MAX_SECONDS) => Ok(Some(SystemTime::now() + Duration::from_secs(seconds))),
        Some(_) => {
            let message = format!("expiresIn must be between 1 and {MAX_SECONDS} seconds");
            Err(InvalidInput::new(ErrorCode::ValidationFailed, message))
        }
    }
}

fn info(id: &str, grant: &Grant) -> GrantInfo {
    GrantInfo {
        id: id.to_owned(),
        bucket: grant.bucket.as_str().to_owned(),
        prefix: (!grant.prefix.is_empty()).then(|| format!("/{}/", grant.prefix)),
        read_only: grant.read_only,
        expires_at: grant.expires.and_then(|expires| expires.try_into().ok()),
    }
}

fn new_id() -> String {
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("the kernel always has random bytes after its start");
    base32(&random)
}
