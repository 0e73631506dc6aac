//! The router, called without a socket and without a kernel: everything that is decided before a sandbox is needed.

mod access;
mod bodies;
mod bridge;
mod conformance;
mod ours;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use sandkeep_backups::{Manifest, Preview, Progress};
use sandkeep_objects::{
    BucketName, MemoryService, MigrationOptions, MigrationStatus, ObjectService, S3Settings,
};
use sandkeep_sandboxes::{Sandbox, SandboxName, SandboxSpec};
use sandkeep_vfs::MountOptions;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::router;
use crate::error::ServiceError;
use crate::grants::{BucketStatus, GrantsById};
use crate::services::{
    EmbeddedStore, Parts, ServeBuckets, ServeGrants, ServeVolumes, Services, StartSandboxes,
};
use crate::settings::{PartialSettings, Settings, Surroundings};
use crate::state::State;
use crate::volumes::{
    BackupJob, BackupVolume, BucketVolume, FreezeSandbox, VolumeError, VolumeId, VolumeMount, VolumeStatus,
};

/// A bridge id.
const ID: &str = "abc234";

/// A host that cannot run sandboxes.
#[derive(Debug)]
struct NoSandboxes;

#[async_trait]
impl StartSandboxes for NoSandboxes {
    async fn create(&self, _: &SandboxName, _: &SandboxSpec) -> Result<Sandbox, sandkeep_sandboxes::Error> {
        Err(sandkeep_sandboxes::Error::Unsupported { what: "this is a test".into() })
    }

    async fn adopt(&self) -> Result<Vec<Sandbox>, sandkeep_sandboxes::Error> {
        Ok(Vec::new())
    }
}

/// A keeper that is never reached.
#[derive(Debug)]
struct NoVolumes;

#[async_trait]
impl ServeVolumes for NoVolumes {
    async fn mount_bucket(&self, _: BucketVolume, _: MountOptions) -> Result<VolumeMount, VolumeError> {
        Err(VolumeError::plain("this is a test"))
    }

    async fn mount_backup(&self, _: BackupVolume, _: MountOptions) -> Result<VolumeMount, VolumeError> {
        Err(VolumeError::plain("this is a test"))
    }

    async fn end(&self, _: &VolumeId, _: Duration) -> Result<(), VolumeError> {
        Ok(())
    }

    async fn abort(&self, _: &VolumeId) -> Result<(), VolumeError> {
        Ok(())
    }

    async fn list(&self) -> Result<Vec<VolumeStatus>, VolumeError> {
        Ok(Vec::new())
    }

    async fn create_backup(
        &self,
        _: BackupJob,
        _: Vec<OwnedFd>,
        _: mpsc::Sender<Progress>,
        _: &dyn FreezeSandbox,
    ) -> Result<Manifest, VolumeError> {
        Err(VolumeError::plain("this is a test"))
    }

    async fn preview_backup(&self, _: BackupJob, _: OwnedFd) -> Result<Preview, VolumeError> {
        Err(VolumeError::plain("this is a test"))
    }

    async fn extract_backup(&self, _: BackupVolume, _: OwnedFd) -> Result<(), VolumeError> {
        Err(VolumeError::plain("this is a test"))
    }
}

/// A gateway that is never reached.
#[derive(Debug)]
struct NoEndpoints;

#[async_trait]
impl ServeGrants for NoEndpoints {
    async fn serve(&self, _: &Sandbox, _: GrantsById) -> Result<(), VolumeError> {
        Err(VolumeError::plain("this is a test"))
    }

    async fn close(&self, _: &SandboxName) -> Result<(), VolumeError> {
        Ok(())
    }

    async fn list(&self) -> Result<BTreeMap<String, GrantsById>, VolumeError> {
        Ok(BTreeMap::new())
    }
}

/// Buckets in memory, which never move.
#[derive(Debug)]
struct MemoryBuckets(MemoryService);

#[async_trait]
impl ServeBuckets for MemoryBuckets {
    async fn buckets(&self) -> Result<Vec<BucketStatus>, ServiceError> {
        let mut all = Vec::new();
        for info in self.0.list_buckets().await.map_err(ServiceError::Store)? {
            all.push(self.bucket(&info.name).await?);
        }
        Ok(all)
    }

    async fn bucket(&self, name: &BucketName) -> Result<BucketStatus, ServiceError> {
        let info = self.0.head_bucket(name).await.map_err(ServiceError::Store)?;
        let usage = self.0.usage(name).await.map_err(ServiceError::Store)?;
        Ok(BucketStatus { name: info.name, created: info.created, embedded: true, usage })
    }

    async fn migrate(&self, _: &BucketName, _: MigrationOptions) -> Result<MigrationStatus, ServiceError> {
        Err(ServiceError::Task)
    }

    async fn migration(&self, _: &BucketName) -> Result<Option<MigrationStatus>, ServiceError> {
        Ok(None)
    }

    async fn cancel_migration(&self, _: &BucketName) -> Result<Option<MigrationStatus>, ServiceError> {
        Ok(None)
    }
}

/// A daemon without sandboxes.
struct TestDaemon {
    router: Router,
    _directory: TempDir,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    text: String,
}

impl TestDaemon {
    /// Without a key and without settings.
    fn new() -> Self {
        Self::with(&[], &[])
    }

    /// With files in its working directory and variables in its environment.
    fn with(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a scratch directory");
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).expect("a scratch file");
        }
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let around = Surroundings {
            environment: environment.collect(),
            directory: directory.path().to_owned(),
            root: true,
            program: "/nowhere".into(),
        };
        let flags = PartialSettings { data: Some(directory.path().to_owned()), ..PartialSettings::default() };
        let settings = Settings::resolve(flags, &around).expect("the settings are valid");
        let endpoint = "http://127.0.0.1:9000".parse().expect("a URL");
        let memory = MemoryService::new();
        let parts = Parts {
            settings: Arc::new(settings),
            store: EmbeddedStore {
                settings: S3Settings::new(endpoint, None),
                service: Arc::new(memory.clone()),
                address: ([127, 0, 0, 1], 9000).into(),
                tls: false,
            },
            runtime: Arc::new(NoSandboxes),
            volumes: Arc::new(NoVolumes),
            endpoints: Arc::new(NoEndpoints),
            buckets: Arc::new(MemoryBuckets(memory)),
            state: State::open(&directory.path().join("state.db")).expect("the state opens"),
        };
        Self { router: router(Services::new(parts)), _directory: directory }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router always answers");
        let status = response.status();
        assert!(response.headers().contains_key("x-request-id"));
        let body = response.into_body().collect().await.expect("the body is whole").to_bytes();
        Answer { status, text: String::from_utf8_lossy(&body).into_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &body.to_string()).await
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned()));
        self.send(request.expect("a valid request")).await
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// Asserts an error of our routes.
    #[track_caller]
    fn is_ours(&self, status: u16, code: &str, part: &str) {
        let body = self.json();
        let context = format!("{self:?}");
        assert_eq!(self.status.as_u16(), status, "{context}");
        assert_eq!(body["code"], code, "{context}");
        assert_eq!(body["httpStatus"], status, "{context}");
        assert!(body["timestamp"].is_string() && body["context"].is_object(), "{context}");
        assert!(body["message"].as_str().expect("a message").contains(part), "{context}");
    }

    /// Asserts an error of the bridge's routes.
    #[track_caller]
    fn is_bridge(&self, status: u16, code: &str, part: &str) {
        let body = self.json();
        let context = format!("{self:?}");
        assert_eq!(self.status.as_u16(), status, "{context}");
        assert_eq!(body["code"], code, "{context}");
        assert!(body["error"].as_str().expect("a text").contains(part), "{context}");
    }
}
