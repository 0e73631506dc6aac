//! The daemon's side.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use sandkeep_sandboxes::{Sandbox, SandboxName};

use sandkeep_api::{ErrorCode, InvalidInput};
use sandkeep_objects::{BucketName, MigrationOptions, MigrationStatus};

use super::protocol::{Answer, Elsewhere, Request};
use super::{BucketStatus, GrantsById, Limits};
use crate::error::ServiceError;
use crate::services::{ServeBuckets, ServeGrants};
use crate::settings::DefaultStore;
use crate::volumes::channel::{self, AsyncChannel};
use crate::volumes::{VolumeError, chain};

/// Where `s3.internal` listens, so that its URL needs no port.
const PORT: u16 = 80;
/// A gateway that does not answer by then hangs.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Where the answer depends on another store.
const STORE_LIMIT: Duration = Duration::from_secs(120);

/// The way to the gateway process.
#[derive(Clone, Debug)]
pub(crate) struct GatewayControl {
    /// Where it takes requests.
    pub(crate) socket: PathBuf,
    /// For each sandbox.
    pub(crate) limits: Limits,
}

/// Tells the gateway at a socket where buckets are that are not embedded, and how many requests of sandboxes it serves at
/// once; it serves from then on. `limit` is how long it may take to come up.
pub(crate) async fn configure(
    socket: &Path,
    store: Option<&DefaultStore>,
    sandbox_requests: NonZeroUsize,
    limit: Duration,
) -> Result<(), VolumeError> {
    let elsewhere =
        store.cloned().map(|DefaultStore { bucket, prefix, s3 }| Elsewhere { s3, bucket, prefix });
    ask(socket, &Request::Configure { elsewhere, sandbox_requests }, None, limit).await.map(drop)
}

async fn ask(
    socket: &Path,
    request: &Request,
    listener: Option<&std::net::TcpListener>,
    limit: Duration,
) -> Result<Answer, VolumeError> {
    let asked = async {
        let channel = AsyncChannel::new(channel::connect(socket)?)?;
        let descriptors: Vec<_> = listener.iter().map(AsFd::as_fd).collect();
        channel.send(request, &descriptors).await?;
        channel.receive().await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let late = |_| VolumeError::plain("the S3 endpoint does not answer");
    let lost = |error: io::Error| VolumeError::failed("cannot talk to the S3 endpoint", &error);
    match tokio::time::timeout(limit, asked).await.map_err(late)?.map_err(lost)? {
        (Answer::Failed(what), _) => Err(VolumeError::plain(what)),
        (answer, _) => Ok(answer),
    }
}

impl GatewayControl {
    async fn ask(
        &self,
        request: &Request,
        listener: Option<&std::net::TcpListener>,
    ) -> Result<Answer, VolumeError> {
        ask(&self.socket, request, listener, ANSWER_LIMIT).await
    }

    /// About buckets: the answer may take as long as the store behind.
    async fn ask_store(&self, request: &Request) -> Result<Answer, ServiceError> {
        match ask(&self.socket, request, None, STORE_LIMIT).await {
            Ok(Answer::Refused(code, message)) => Err(InvalidInput::new(code, message).into()),
            Ok(answer) => Ok(answer),
            Err(error) => Err(InvalidInput::new(ErrorCode::BucketStoreError, error.message).into()),
        }
    }

    async fn migration_answer(&self, request: &Request) -> Result<Option<MigrationStatus>, ServiceError> {
        match self.ask_store(request).await? {
            Answer::Migration(status) => Ok(status),
            _ => Err(confused()),
        }
    }

    async fn buckets_answer(&self, request: &Request) -> Result<Vec<BucketStatus>, ServiceError> {
        match self.ask_store(request).await? {
            Answer::Buckets(buckets) => Ok(buckets),
            _ => Err(confused()),
        }
    }
}

fn confused() -> ServiceError {
    let message = "the S3 endpoint gave an answer to another question";
    InvalidInput::new(ErrorCode::BucketStoreError, message).into()
}

#[async_trait]
impl ServeBuckets for GatewayControl {
    async fn buckets(&self) -> Result<Vec<BucketStatus>, ServiceError> {
        self.buckets_answer(&Request::Buckets).await
    }

    async fn bucket(&self, name: &BucketName) -> Result<BucketStatus, ServiceError> {
        let found = self.buckets_answer(&Request::Bucket { name: name.clone() }).await?;
        found.into_iter().next().ok_or_else(confused)
    }

    async fn migrate(
        &self,
        name: &BucketName,
        options: MigrationOptions,
    ) -> Result<MigrationStatus, ServiceError> {
        let begun = self.migration_answer(&Request::Migrate { name: name.clone(), options }).await?;
        begun.ok_or_else(confused)
    }

    async fn migration(&self, name: &BucketName) -> Result<Option<MigrationStatus>, ServiceError> {
        self.migration_answer(&Request::Migration { name: name.clone() }).await
    }

    async fn cancel_migration(&self, name: &BucketName) -> Result<Option<MigrationStatus>, ServiceError> {
        self.migration_answer(&Request::CancelMigration { name: name.clone() }).await
    }
}

#[async_trait]
impl ServeGrants for GatewayControl {
    async fn serve(&self, sandbox: &Sandbox, grants: GrantsById) -> Result<(), VolumeError> {
        let name = sandbox.name().as_str().to_owned();
        let request = Request::Serve { sandbox: name, grants, limits: self.limits };
        if !matches!(self.ask(&request, None).await?, Answer::NeedsListener) {
            return Ok(());
        }
        let refused =
            |error| VolumeError::plain(format!("cannot listen on port {PORT} inside: {}", chain(&error)));
        let listener = sandbox.listen(PORT).await.map_err(refused)?;
        self.ask(&request, Some(&listener)).await.map(drop)
    }

    async fn close(&self, sandbox: &SandboxName) -> Result<(), VolumeError> {
        self.ask(&Request::Close { sandbox: sandbox.as_str().to_owned() }, None).await.map(drop)
    }

    async fn list(&self) -> Result<BTreeMap<String, GrantsById>, VolumeError> {
        match self.ask(&Request::List, None).await? {
            Answer::Served(served) => Ok(served),
            _ => Err(VolumeError::plain("the S3 endpoint gave an answer to another question")),
        }
    }
}
