//! An endpoint over a fresh embedded store.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use sandkeep_objects::{
    Body, BucketName, Credentials, DirectoryService, GetRequest, ListRequest, ObjectKey, ObjectMetadata,
    ObjectService, ObjectStore, PutRequest, S3Client, S3Settings, WriteConditions,
};
use sandkeep_testing::gateway::TestGateway;
use tempfile::TempDir;

/// The endpoint, the store behind it, and a client in front of it.
pub(crate) struct Fixture {
    pub(crate) gateway: TestGateway,
    pub(crate) directory: TempDir,
    /// The bucket `bucket`, without the endpoint.
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) client: S3Client,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let service = DirectoryService::open(&directory.path().join("store")).await.expect("a store");
        service.create_bucket(&bucket()).await.expect("a bucket");
        let store = service.bucket(&bucket());
        let gateway = TestGateway::start(Arc::new(service)).await;
        Self::around(gateway, store, directory)
    }

    /// Around an endpoint that is there.
    pub(crate) fn around(gateway: TestGateway, store: Arc<dyn ObjectStore>, directory: TempDir) -> Self {
        let endpoint = gateway.endpoint().parse().expect("a URL");
        let client = S3Client::new(S3Settings::new(endpoint, Some(gateway.credentials().clone())));
        Self { gateway, directory, store, client: client.expect("settings") }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        self.gateway.credentials().clone()
    }

    /// `HOST:PORT`
    pub(crate) fn host(&self) -> String {
        self.gateway.endpoint().replace("http://", "")
    }

    /// The bucket through the endpoint.
    pub(crate) fn remote(&self) -> Arc<dyn ObjectStore> {
        self.client.bucket(&bucket())
    }

    /// What really is in the bucket.
    pub(crate) async fn stored_keys(&self) -> Vec<String> {
        let page = self.store.list(ListRequest::default()).await.expect("list");
        page.objects.into_iter().map(|object| object.key.display()).collect()
    }
}

pub(crate) fn bucket() -> BucketName {
    "bucket".parse().expect("a bucket name")
}

pub(crate) fn key(text: &str) -> ObjectKey {
    text.parse().expect("a key")
}

pub(crate) async fn put(store: &dyn ObjectStore, name: &str, bytes: impl Into<Bytes>) {
    let request =
        PutRequest { key: key(name), metadata: ObjectMetadata::default(), conditions: WriteConditions::None };
    store.put(request, Body::Bytes(bytes.into())).await.expect("put");
}

pub(crate) async fn get(store: &dyn ObjectStore, name: &str) -> Vec<u8> {
    let response = store.get(GetRequest::whole(key(name))).await.expect("get");
    response.body.try_collect::<Vec<Bytes>>().await.expect("the body").concat()
}
