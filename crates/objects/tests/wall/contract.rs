//! Every store keeps the contract.

use std::sync::Arc;

use sandkeep_objects::{
    AddressingStyle, Credentials, DirectoryService, MemoryService, MemorySettings, NestedService,
    ObjectService, PlacedService, S3Client, S3Settings, contract,
};
use sandkeep_testing::gateway::TestGateway;

#[tokio::test]
async fn in_memory() {
    let service = Arc::new(MemoryService::new());
    contract::run_service(service.clone()).await;
    contract::run_own(service).await;
}

/// With the habits of Amazon: a minimum for parts, and listings without metadata.
#[tokio::test]
async fn in_memory_as_at_amazon() {
    let settings = MemorySettings { minimum_part_bytes: 5 << 20, lists_metadata: false };
    contract::run_service(Arc::new(MemoryService::with_settings(settings))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_directory() {
    let directory = tempfile::tempdir().expect("valid in tests");
    let service = DirectoryService::open(directory.path()).await.expect("valid in tests");
    let service = Arc::new(service);
    contract::run_service(service.clone()).await;
    contract::run_own(service).await;
}

async fn through_http(credentials: impl FnOnce(&Credentials) -> S3Settings) {
    let settings = MemorySettings { minimum_part_bytes: 5 << 20, lists_metadata: true };
    let gateway = TestGateway::start(Arc::new(MemoryService::with_settings(settings))).await;
    let mut settings = credentials(gateway.credentials());
    settings.endpoint = gateway.endpoint().parse().expect("valid in tests");
    let client = Arc::new(S3Client::new(settings).expect("valid in tests"));
    contract::run_service(client.clone()).await;
    contract::run_tags(client).await;
    gateway.stop().await;
}

fn anywhere(credentials: &Credentials) -> S3Settings {
    S3Settings::new("http://localhost".parse().expect("valid in tests"), Some(credentials.clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_the_client_and_our_gateway() {
    through_http(anywhere).await;
}

/// Another region in the settings, and the style spelled out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_the_client_with_settings_given() {
    through_http(|credentials| S3Settings {
        region: Some("us-east-1".into()),
        style: Some(AddressingStyle::Path),
        ..anywhere(credentials)
    })
    .await;
}

/// All buckets in one bucket of another store, with the store's habits.
fn nested(prefix: &str) -> NestedService {
    let settings = MemorySettings { minimum_part_bytes: 5 << 20, lists_metadata: false };
    let memory = MemoryService::with_settings(settings);
    let outer = "outer".parse().expect("valid in tests");
    futures::executor::block_on(memory.create_bucket(&outer)).expect("valid in tests");
    NestedService::new(memory.bucket(&outer), prefix)
}

#[tokio::test]
async fn in_a_bucket_of_another_store() {
    contract::run_service(Arc::new(nested("team/of mine/"))).await;
    contract::run_service(Arc::new(nested(""))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_place_where_buckets_are_made() {
    for elsewhere in [None, Some(nested("p/"))] {
        let directory = tempfile::tempdir().expect("valid in tests");
        let embedded = DirectoryService::open(directory.path()).await.expect("valid in tests");
        let placed = PlacedService::new(embedded, directory.path()).await.expect("valid in tests");
        placed.set_elsewhere(elsewhere);
        contract::run_service(Arc::new(placed)).await;
    }
}
