//! What one sandbox may reach through its own endpoint: data, and the judgement of its requests.
//!
//! A request of a sandbox is not forwarded but understood, judged, and made anew by the store it names: nothing that
//! was not parsed reaches an origin, and nothing that an origin said besides the parsed answer reaches the sandbox.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use http::Method;
use http::request::Parts;
use sandkeep_objects::sigv4::PayloadHash;
use sandkeep_objects::{
    BucketInfo, BucketName, Error, ObjectService, ObjectStore, Result as StoreResult, S3Client, S3Settings,
};
use serde::{Deserialize, Serialize};

use crate::access::{Access, AccessMode, Place};
use crate::authentication::Authenticated;
use crate::authorize::{Requested, authorize};
use crate::fault::{Fault, Outcome};
use crate::route::Operation;

/// Something a sandbox may reach. Holds credentials: never log it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The bucket, under its own name.
    pub bucket: BucketName,
    /// Only the key of this name and those below it; empty: all. No slash at its ends.
    pub prefix: String,
    /// Every change is refused.
    pub read_only: bool,
    /// From then on it grants nothing.
    pub expires: Option<SystemTime>,
    /// Where the bucket is.
    pub origin: Origin,
}

/// Where a granted bucket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// In the store of the process that serves.
    Embedded,
    /// Elsewhere, with these credentials.
    Remote(Box<S3Settings>),
}

/// The grants of one sandbox, ready to serve.
#[derive(Debug)]
pub(crate) struct Grants {
    grants: Vec<Opened>,
    embedded: Arc<dyn ObjectService>,
}

#[derive(Clone, Debug)]
struct Opened {
    grant: Grant,
    service: Arc<dyn ObjectService>,
}

impl Grants {
    pub(crate) fn none(embedded: Arc<dyn ObjectService>) -> Self {
        Self { grants: Vec::new(), embedded }
    }

    /// These instead, with the connections that are open to origins of both. Fails if an origin cannot be one, or if
    /// one bucket would be in two places: a name must mean the same for whoever judges and whoever acts.
    pub(crate) fn replaced(&self, grants: Vec<Grant>) -> StoreResult<Self> {
        let mut next = Self::none(Arc::clone(&self.embedded));
        for grant in grants {
            if next.of_bucket(&grant.bucket).is_some_and(|known| known.grant.origin != grant.origin) {
                return Err(Error::Unsupported { what: "one bucket name for two places" });
            }
            let service = self.service(&next, &grant.origin)?;
            next.grants.push(Opened { grant, service });
        }
        Ok(next)
    }

    pub(crate) fn all(&self) -> Vec<Grant> {
        self.grants.iter().map(|opened| opened.grant.clone()).collect()
    }

    fn service(&self, next: &Self, origin: &Origin) -> StoreResult<Arc<dyn ObjectService>> {
        let mut known = next.grants.iter().chain(&self.grants);
        match (known.find(|opened| opened.grant.origin == *origin), origin) {
            (Some(opened), _) => Ok(Arc::clone(&opened.service)),
            (None, Origin::Embedded) => Ok(Arc::clone(&self.embedded)),
            (None, Origin::Remote(settings)) => Ok(Arc::new(S3Client::new((**settings).clone())?)),
        }
    }

    /// Believes whoever comes: only the sandbox reaches its listener. Its signature is made with keys of no meaning.
    pub(crate) fn admit(&self, parts: &Parts) -> Outcome<Authenticated> {
        let writes = !self.access(true).places.unwrap_or_default().is_empty();
        if !writes && ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method) {
            return Err(Fault::access_denied("Access Denied: nothing here may be changed"));
        }
        check_foreign_source(parts)?;
        Ok(Authenticated { payload: payload(parts)?, chunks: None, access: self.access(false) })
    }

    /// Refuses what no grant allows; else what the operation itself has to keep to.
    pub(crate) fn authorize(&self, requested: Requested<'_>) -> Outcome<Access> {
        if requested.operation == Operation::ListObjectVersions {
            // The bucket may be on a server that has versions, which nobody here asks it for.
            return Err(Fault::not_implemented("the parameter versions"));
        }
        let readable = self.access(false);
        if requested.operation.only_reads() {
            authorize(&readable, requested)?;
            return Ok(readable);
        }
        let writable = self.access(true);
        authorize(&writable, Requested { source: None, ..requested })?;
        if let (Some((bucket, key)), Some(target)) = (requested.source, requested.target.bucket()) {
            if !readable.reaches_key(bucket, key.as_bytes()) {
                return Err(Fault::access_denied("Access Denied"));
            }
            self.check_same_origin(bucket, target)?;
        }
        Ok(writable)
    }

    /// A copy is made where the target is, and there another bucket may have the source's name.
    fn check_same_origin(&self, source: &BucketName, target: &BucketName) -> Outcome<()> {
        let origin = |bucket| self.of_bucket(bucket).map(|opened| &opened.grant.origin);
        if origin(source) == origin(target) {
            return Ok(());
        }
        Err(Fault::not_implemented("A copy between buckets of different servers"))
    }

    /// What may be read, or written, at this time.
    fn access(&self, to_write: bool) -> Access {
        let now = SystemTime::now();
        let places = self.grants.iter().map(|opened| &opened.grant).filter(|grant| {
            grant.expires.is_none_or(|expires| now < expires) && !(to_write && grant.read_only)
        });
        let places = places.map(|grant| Place::below(grant.bucket.clone(), &grant.prefix)).collect();
        Access { places: Some(places), mode: AccessMode::ReadWrite, expires: None }
    }

    fn of_bucket(&self, bucket: &BucketName) -> Option<&Opened> {
        self.grants.iter().find(|opened| opened.grant.bucket == *bucket)
    }

    fn opened(&self, bucket: &BucketName) -> StoreResult<&Opened> {
        self.of_bucket(bucket).ok_or(Error::AccessDenied)
    }
}

/// Google's name for the source of a copy. Whoever sends it wants a copy, and must not get an empty object.
fn check_foreign_source(parts: &Parts) -> Outcome<()> {
    let has = |name: &str| parts.headers.contains_key(name);
    match (has("x-goog-copy-source"), has("x-amz-copy-source")) {
        (false, _) => Ok(()),
        (true, true) => Err(Fault::invalid_argument("Two sources of one copy")),
        (true, false) => Err(Fault::not_implemented("x-goog-copy-source")),
    }
}

/// What the client says of its body. The hash of a body is still compared with it.
fn payload(parts: &Parts) -> Outcome<PayloadHash> {
    let Some(value) = parts.headers.get("x-amz-content-sha256") else { return Ok(PayloadHash::Unsigned) };
    let parsed = value.to_str().ok().and_then(PayloadHash::parse);
    parsed.ok_or_else(|| Fault::invalid_argument("x-amz-content-sha256 is not a form that is supported"))
}

/// Only the granted buckets, each where it is. Buckets themselves cannot be changed.
#[async_trait]
impl ObjectService for Grants {
    async fn create_bucket(&self, _: &BucketName) -> StoreResult<()> {
        Err(Error::AccessDenied)
    }

    async fn head_bucket(&self, name: &BucketName) -> StoreResult<BucketInfo> {
        self.opened(name)?.service.head_bucket(name).await
    }

    async fn delete_bucket(&self, _: &BucketName) -> StoreResult<()> {
        Err(Error::AccessDenied)
    }

    /// Without asking the origins, which may let these credentials list nothing or too much.
    async fn list_buckets(&self) -> StoreResult<Vec<BucketInfo>> {
        let mut names: Vec<&BucketName> = self.grants.iter().map(|opened| &opened.grant.bucket).collect();
        names.sort();
        names.dedup();
        let info = |name: &BucketName| BucketInfo { name: name.clone(), created: SystemTime::UNIX_EPOCH };
        Ok(names.into_iter().map(info).collect())
    }

    fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        let service = self.of_bucket(name).map_or(&self.embedded, |opened| &opened.service);
        service.bucket(name)
    }
}
