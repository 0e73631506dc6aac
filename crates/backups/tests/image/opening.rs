//! What is refused, and what opening costs.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandkeep_backups::{Image, RestoreError};
use sandkeep_objects::{DeleteOutcome, ObjectStore};

use crate::archives::{backup_of, bucket, created, id, mksquashfs, open, put, settings};
use crate::store::{Watched, unreachable};
use crate::trees::{find, noise, read};

fn archive() -> Bytes {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), "content").unwrap();
    mksquashfs(tree.path(), &[])
}

async fn refusal(store: &Arc<Watched>) -> String {
    match open(store, settings()).await.unwrap_err() {
        RestoreError::NotFound { .. } => "not found".to_owned(),
        RestoreError::Expired { expired_at, .. } => expired_at,
        RestoreError::DamagedManifest { what, .. } => format!("manifest: {what}"),
        RestoreError::DamagedArchive { what, .. } => format!("archive: {what}"),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_missing_or_does_not_fit_is_refused() {
    assert_eq!(refusal(&bucket().await).await, "not found");
    let store = backup_of(archive()).await;
    let _: DeleteOutcome = store.delete(&id().archive_key("")).await;
    assert_eq!(refusal(&store).await, "not found");
    let store = backup_of(archive()).await;
    put(&store, id().manifest_key(""), "{}".into()).await;
    assert!(refusal(&store).await.starts_with("manifest: "));
    let store = backup_of(archive()).await;
    put(&store, id().archive_key(""), Bytes::from(vec![1; archive().len()])).await;
    assert_eq!(refusal(&store).await, "archive: its ETag is not that in its manifest");
    put(&store, id().archive_key(""), "short".into()).await;
    assert!(refusal(&store).await.starts_with("archive: it has 5 bytes"));
}

#[tokio::test]
async fn what_is_no_archive_is_refused() {
    let mut cut = archive().to_vec();
    cut.truncate(600);
    let mut foreign = archive().to_vec();
    foreign[20] = 4;
    for (bytes, expected) in [
        (Bytes::from("x"), "archive: it is too short for a superblock"),
        (vec![0; 5000].into(), "archive: it does not start with a squashfs superblock"),
        (cut[..90].to_vec().into(), "archive: it is too short for a superblock"),
        (foreign.into(), "archive: it is compressed with xz, which is not supported"),
    ] {
        assert_eq!(refusal(&backup_of(bytes).await).await, expected);
    }
    assert_eq!(refusal(&backup_of(Bytes::new()).await).await, "archive: it is empty");
}

#[tokio::test]
async fn expiry_is_judged_at_the_time_given() {
    let store: Arc<dyn ObjectStore> = backup_of(archive()).await;
    let at =
        |seconds| Image::open(Arc::clone(&store), &ID, settings(), created() + Duration::from_secs(seconds));
    static ID: std::sync::LazyLock<sandkeep_backups::BackupId> = std::sync::LazyLock::new(id);
    assert_eq!(at(3540).await.unwrap().manifest().ttl, 3600.0);
    let error = at(3541).await.unwrap_err();
    assert!(
        matches!(error, RestoreError::Expired { expired_at, .. } if expired_at == "2024-05-06T08:08:09.123Z")
    );
}

#[tokio::test]
async fn a_store_that_refuses_is_told() {
    let store = backup_of(archive()).await;
    store.fail_always(Some(unreachable()));
    assert!(matches!(open(&store, settings()).await.unwrap_err(), RestoreError::Store(_)));
}

/// Three requests open an archive of any size, one more brings the first byte.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_byte_takes_four_requests() {
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    for number in 0..40 {
        fs::write(tree.path().join(format!("file {number}")), noise(1 << 20, number)).unwrap();
    }
    let store = backup_of(mksquashfs(tree.path(), &["-comp", "lz4"])).await;
    let image = open(&store, settings()).await.unwrap();
    assert_eq!(store.gets(), 3);
    let file = find(&image, "file 20").await;
    assert_eq!(store.gets(), 3);
    assert_eq!(read(&image, file, 700_000, 10).await, noise(1 << 20, 20)[700_000..700_010]);
    assert!(store.gets() <= 5, "{}", store.gets());
}
