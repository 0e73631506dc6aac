//! Archives out of the bucket and into it: checked, copied, exported, imported, extracted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use sandkeep_backups::{
    BackupId, Image, ImageSettings, ImportOptions, Manifest, RestoreError, copy, extract, import, inspect,
    verify,
};
use sandkeep_objects::{ObjectStore, PutRequest, WriteConditions};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::archive::{
    Reports, create_into, empty_bucket, fast_directory, left_in, noise, options, read, run, source,
};
use crate::description::{assert_same, describe};

fn tree() -> tempfile::TempDir {
    let tree = fast_directory();
    let root = tree.path();
    let long = "x".repeat(200);
    fs::create_dir_all(root.join("a").join(&long)).unwrap();
    fs::write(root.join("a").join(&long).join("ü\n"), noise(1, 300_000)).unwrap();
    fs::write(root.join("a/large"), noise(2, 20 << 20)).unwrap();
    fs::write(root.join("a/sparse"), noise(3, 10)).unwrap();
    File::options().write(true).open(root.join("a/sparse")).unwrap().set_len(3 << 20).unwrap();
    fs::hard_link(root.join("a/sparse"), root.join("link")).unwrap();
    std::os::unix::fs::symlink("y".repeat(300), root.join("symlink")).unwrap();
    run(Command::new("mkfifo").arg(root.join("fifo")));
    run(Command::new("mknod").arg(root.join("device")).args(["c", "300", "70000"]));
    run(Command::new("chown").args(["-h", "3000000:12"]).arg(root.join("a/large")));
    run(Command::new("chmod").args(["6751"]).arg(root.join("a/large")));
    run(Command::new("setfattr").args(["-n", "trusted.b", "-v", "0x00ff0a"]).arg(root.join("a/large")));
    run(Command::new("setcap").args(["cap_net_raw=ep"]).arg(root.join("link")));
    run(Command::new("touch")
        .args(["-h", "-d", "@1000000000"])
        .arg(root.join("symlink"))
        .arg(root.join("a")));
    tree
}

async fn backed_up(tree: &Path) -> (Arc<dyn ObjectStore>, Manifest) {
    let store = empty_bucket().await;
    let manifest = create_into(&store, source(tree), options()).await.unwrap();
    (store, manifest)
}

async fn image(store: &Arc<dyn ObjectStore>, id: &BackupId) -> Image {
    let settings =
        ImageSettings { key_prefix: String::new(), id_base: 0, memory_budget: 32 << 20, cache: None };
    Image::open_even_if_expired(Arc::clone(store), id, settings).await.unwrap()
}

async fn verified(store: &Arc<dyn ObjectStore>, id: &BackupId) -> Result<bool, RestoreError> {
    verify(Arc::clone(store), "", id, Arc::new(|_| ())).await.map(|verified| verified.by_hashes)
}

async fn replace(store: &Arc<dyn ObjectStore>, key: sandkeep_objects::ObjectKey, bytes: Vec<u8>) {
    let request = PutRequest { key, metadata: Default::default(), conditions: WriteConditions::None };
    store.put(request, bytes::Bytes::from(bytes).into()).await.unwrap();
}

/// Damages the archive in the bucket, and says in the manifest that this is the right one.
async fn damage(store: &Arc<dyn ObjectStore>, manifest: &Manifest, at: usize) {
    let key = manifest.id.archive_key("");
    let mut bytes = read(store, key.clone()).await;
    bytes[at] ^= 1;
    replace(store, key.clone(), bytes).await;
    let etag = store.head(&key, Default::default()).await.unwrap().etag;
    let other = Manifest { archive_etag: Some(etag.0), ..manifest.clone() };
    replace(store, manifest.id.manifest_key(""), serde_json::to_vec(&other).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_flipped_bit_is_found_anywhere() {
    let tree = tree();
    let (store, manifest) = backed_up(tree.path()).await;
    assert!(verified(&store, &manifest.id).await.unwrap());
    for at in [0, 200, 9 << 20, manifest.size_bytes as usize - 1] {
        damage(&store, &manifest, at).await;
        let error = verified(&store, &manifest.id).await.unwrap_err();
        assert!(matches!(error, RestoreError::DamagedArchive { .. }), "{error}");
        damage(&store, &manifest, at).await;
    }
    let lying = Manifest { integrity: None, ..manifest.clone() };
    replace(&store, manifest.id.manifest_key(""), serde_json::to_vec(&lying).unwrap()).await;
    let error = verified(&store, &manifest.id).await.unwrap_err();
    assert!(error.to_string().contains("ETag"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_hashes_is_unpacked_to_check_it() {
    let tree = fast_directory();
    fs::write(tree.path().join("text"), "some text ".repeat(50_000)).unwrap();
    let (store, manifest) = backed_up(tree.path()).await;
    let bare = Manifest { integrity: None, ..manifest };
    replace(&store, bare.id.manifest_key(""), serde_json::to_vec(&bare).unwrap()).await;
    assert!(!verified(&store, &bare.id).await.unwrap());
    damage(&store, &bare, 120).await;
    let error = verified(&store, &bare.id).await.unwrap_err();
    assert!(error.to_string().contains("text"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_the_same_backup_elsewhere_or_nothing() {
    let tree = tree();
    let (store, manifest) = backed_up(tree.path()).await;
    let other = empty_bucket().await;
    let copied = copy(Arc::clone(&store), "", &manifest.id, Arc::clone(&other), "p/").await.unwrap();
    assert_eq!(copied, inspect(Arc::clone(&other), "p/", &manifest.id).await.unwrap());
    assert!(
        read(&store, manifest.id.archive_key("")).await == read(&other, manifest.id.archive_key("p/")).await
    );
    assert_eq!(copied.integrity, manifest.integrity);
    assert!(verify(Arc::clone(&other), "p/", &manifest.id, Arc::new(|_| ())).await.unwrap().by_hashes);
    damage(&store, &manifest, 10 << 20).await;
    let third = empty_bucket().await;
    let refused = copy(store, "", &manifest.id, Arc::clone(&third), "").await;
    assert!(refused.is_err());
    assert!(left_in(&third).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_tar_is_what_tar_would_have_made() {
    let tree = tree();
    let (store, manifest) = backed_up(tree.path()).await;
    let mut stream = image(&store, &manifest.id).await.into_tar();
    let target = fast_directory();
    let file = target.path().join("export.tar");
    let mut bytes = Vec::new();
    while let Some(piece) = stream.recv().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    fs::write(&file, bytes).unwrap();
    let out = target.path().join("out");
    fs::create_dir(&out).unwrap();
    run(Command::new("tar")
        .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
        .arg(&file)
        .arg("-C")
        .arg(&out));
    assert_same(&describe(tree.path()), &describe(&out));
}

async fn extracted(store: &Arc<dyn ObjectStore>, id: &BackupId, into: &Path) -> PathBuf {
    let target = into.join("extracted");
    fs::create_dir(&target).unwrap();
    let image = Arc::new(image(store, id).await);
    let directory = File::open(&target).unwrap().into();
    extract(image, directory, Arc::new(Reports::default()), CancellationToken::new()).await.unwrap();
    target
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extracted_directory_is_the_one_that_was_backed_up() {
    let tree = tree();
    let (store, manifest) = backed_up(tree.path()).await;
    let scratch = fast_directory();
    let target = extracted(&store, &manifest.id, scratch.path()).await;
    assert_same(&describe(tree.path()), &describe(&target));
    let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(target.join("a/sparse")).unwrap());
    assert!(blocks * 512 < 1 << 20, "holes stay holes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_mksquashfs_becomes_a_backup() {
    let tree = tree();
    let scratch = fast_directory();
    for (number, arguments) in
        [&["-comp", "gzip"][..], &["-comp", "zstd", "-b", "1M"], &["-comp", "lz4", "-no-exports"]]
            .into_iter()
            .enumerate()
    {
        let file = scratch.path().join(format!("{number}.sqsh"));
        let status = Command::new("mksquashfs")
            .arg(tree.path())
            .arg(&file)
            .args(["-quiet", "-no-progress"])
            .args(arguments)
            .status();
        assert!(status.unwrap().success());
        let store = empty_bucket().await;
        let manifest =
            import(Arc::clone(&store), File::open(&file).unwrap(), import_options()).await.unwrap();
        assert!(verified(&store, &manifest.id).await.unwrap());
        assert_eq!(manifest.entries as usize, describe(tree.path()).len() - 1);
        let place = scratch.path().join(number.to_string());
        fs::create_dir(&place).unwrap();
        assert_same(&describe(tree.path()), &describe(&extracted(&store, &manifest.id, &place).await));
    }
}

fn import_options() -> ImportOptions {
    ImportOptions {
        id: BackupId::new(Uuid::new_v4()),
        now: SystemTime::now(),
        key_prefix: String::new(),
        dir: "/workspace".to_owned(),
        name: None,
        ttl: 3600.0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_archive_is_refused_and_leaves_nothing() {
    let tree = fast_directory();
    fs::write(tree.path().join("file"), noise(1, 300_000)).unwrap();
    let (store, manifest) = backed_up(tree.path()).await;
    let whole = read(&store, manifest.id.archive_key("")).await;
    let scratch = fast_directory();
    let cut = whole[..whole.len() - 8192].to_vec();
    for (number, bytes) in [Vec::new(), b"hsqs".to_vec(), vec![0; 5000], cut].into_iter().enumerate() {
        let file = scratch.path().join(number.to_string());
        fs::write(&file, bytes).unwrap();
        let store = empty_bucket().await;
        let refused = import(Arc::clone(&store), File::open(&file).unwrap(), import_options()).await;
        assert!(matches!(refused, Err(RestoreError::DamagedArchive { .. })), "{number}");
        assert!(left_in(&store).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_can_begin_with_an_imported_archive_of_the_same_form() {
    let tree = tree();
    let scratch = fast_directory();
    let file = scratch.path().join("archive");
    let status = Command::new("mksquashfs")
        .arg(tree.path())
        .arg(&file)
        .args(["-quiet", "-no-progress", "-comp", "lz4"])
        .status();
    assert!(status.unwrap().success());
    let store = empty_bucket().await;
    let base = import(Arc::clone(&store), File::open(&file).unwrap(), import_options()).await.unwrap();
    crate::checkpoints::check_over(&store, &base, tree.path()).await;
}
