//! What an answer promises, seen through the endpoint.

use std::sync::Arc;
use std::time::Duration;

use sandkeep_objects::{BucketName, DirectoryService, ObjectService};
use sandkeep_testing::gateway::TestGateway;
use tempfile::TempDir;

use crate::fixture::{Fixture, get};
use crate::raw::Raw;

/// A small filesystem of its own.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(directory.path());
        assert!(mount.status().expect("mount").success(), "tests run as root");
        Self(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_everything_earlier_stays() {
    let disk = SmallDisk::mount();
    let service = DirectoryService::open(&disk.0.path().join("store")).await.expect("a store");
    let name: BucketName = "bucket".parse().expect("a name");
    service.create_bucket(&name).await.expect("a bucket");
    let store = service.bucket(&name);
    let gateway = TestGateway::start(Arc::new(service)).await;
    let fixture = Fixture::around(gateway, store, tempfile::tempdir().expect("temporary directory"));
    let content = |number: usize| vec![number as u8; 400_000];
    let put =
        |number: usize| Raw::new(&fixture, &format!("PUT /bucket/{number:02}")).body(content(number)).send();
    let mut stored = 0;
    let refused = loop {
        let answer = put(stored).await;
        if answer.status != 200 {
            break answer;
        }
        stored += 1;
    };
    refused.check(507, "InsufficientStorage");
    assert!(stored > 5, "{stored}");
    for number in 0..stored {
        assert_eq!(get(&*fixture.store, &format!("{number:02}")).await, content(number));
    }
    assert_eq!(fixture.stored_keys().await.len(), stored);
    // Nothing is in the way of deletions, and once they have made room it goes on as before.
    let kept = stored / 2;
    for number in kept..stored {
        Raw::new(&fixture, &format!("DELETE /bucket/{number:02}")).send().await.check(204, "");
    }
    let resumed = async {
        // The room comes a moment after the answer: files are deleted behind it.
        while put(99).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), resumed).await.expect("there is room again");
    for number in (0..kept).chain([99]) {
        assert_eq!(get(&*fixture.store, &format!("{number:02}")).await, content(number));
    }
    assert_eq!(fixture.stored_keys().await.len(), kept + 1);
}
