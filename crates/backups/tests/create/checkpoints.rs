//! Backups that begin with the archive of an earlier one: they hold what a full one holds, and send little.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use sandkeep_backups::{BackupId, CreateOptions, Manifest, Overlay, Source};
use sandkeep_objects::{ObjectStore, PutRequest, WriteConditions};
use uuid::Uuid;

use crate::archive::{create_into, download, empty_bucket, fast_directory, noise, options, source};
use crate::description::{assert_same, describe};
use crate::edits::{Edit, edit};
use crate::kernel::MountNamespace;
use crate::scripted::Scripted;

/// Enough for data that the server copies: two parts are more than 10 MiB.
const LARGE: usize = 14 << 20;

/// Backups of one directory, which know of each other.
struct Series {
    store: Arc<dyn ObjectStore>,
    record: tempfile::TempDir,
}

impl Series {
    async fn new() -> Self {
        Self::on(empty_bucket().await)
    }

    fn on(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, record: tempfile::tempdir().unwrap() }
    }

    fn options(&self) -> CreateOptions {
        CreateOptions {
            id: BackupId::new(Uuid::new_v4()),
            // A file that was changed in the last seconds is not trusted.
            now: SystemTime::now() + Duration::from_secs(10),
            record: Some(self.record.path().join("record")),
            ..options()
        }
    }

    async fn back_up(&self, source: Source) -> Manifest {
        create_into(&self.store, source, self.options()).await.unwrap()
    }

    async fn back_up_fully(&self, source: Source) -> Manifest {
        create_into(&self.store, source, CreateOptions { record: None, ..self.options() }).await.unwrap()
    }

    /// Fails unless two backups hold the same, as `unsquashfs` sees it.
    async fn assert_same(&self, one: &Manifest, other: &Manifest) {
        let one = download(&self.store, one.id.archive_key(""), one.clone()).await;
        let other = download(&self.store, other.id.archive_key(""), other.clone()).await;
        assert_same(&describe(&other.extract()), &describe(&one.extract()));
    }
}

fn large_tree() -> tempfile::TempDir {
    let tree = fast_directory();
    let root = tree.path();
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/large"), noise(1, LARGE)).unwrap();
    fs::write(root.join("a/small"), noise(2, 1000)).unwrap();
    fs::write(root.join("a/sparse"), "").unwrap();
    File::options().write(true).open(root.join("a/sparse")).unwrap().set_len(1 << 20).unwrap();
    for number in 0..200 {
        fs::write(root.join(format!("a/b/{number}")), noise(number, 3000)).unwrap();
    }
    fs::hard_link(root.join("a/small"), root.join("link")).unwrap();
    tree
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_backup_sends_what_changed_and_copies_the_rest() {
    let tree = large_tree();
    let scripted = Arc::new(Scripted::new(empty_bucket().await));
    let series = Series::on(Arc::clone(&scripted) as _);
    let first = series.back_up(source(tree.path())).await;
    fs::write(tree.path().join("a/small"), noise(3, 2000)).unwrap();
    fs::write(tree.path().join("new"), noise(4, 300_000)).unwrap();
    let second = series.back_up(source(tree.path())).await;
    assert_eq!(second.base.as_ref(), Some(&first.id));
    assert!(second.copied_bytes > LARGE as u64 / 3, "{}", second.copied_bytes);
    assert!(scripted.count("upload_part_copy") > 0);
    assert!(second.integrity.is_some() && second.size_bytes < first.size_bytes + 500_000);
    let full = series.back_up_fully(source(tree.path())).await;
    assert_eq!(
        (full.base.is_none(), full.entries, full.content_bytes),
        (true, second.entries, second.content_bytes)
    );
    series.assert_same(&second, &full).await;
    // And a third begins with the second.
    fs::remove_file(tree.path().join("new")).unwrap();
    let third = series.back_up(source(tree.path())).await;
    assert_eq!(third.base.as_ref(), Some(&second.id));
    series.assert_same(&third, &series.back_up_fully(source(tree.path())).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_backup_stands_alone() {
    let tree = large_tree();
    let series = Series::new().await;
    let first = series.back_up(source(tree.path())).await;
    let second = series.back_up(source(tree.path())).await;
    sandkeep_backups::delete(Arc::clone(&series.store), "", &first.id).await.unwrap();
    series.assert_same(&second, &series.back_up_fully(source(tree.path())).await).await;
    // What is known of a backup that is gone is not used.
    sandkeep_backups::delete(Arc::clone(&series.store), "", &second.id).await.unwrap();
    let third = series.back_up(source(tree.path())).await;
    assert_eq!((third.base, third.copied_bytes), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_copy_gets_everything() {
    let tree = large_tree();
    let inner = empty_bucket().await;
    let series = Series::on(Arc::clone(&inner));
    series.back_up(source(tree.path())).await;
    let scripted: Arc<dyn ObjectStore> = Arc::new(Scripted::failing(inner, "upload_part_copy", 0));
    let series = Series { store: scripted, ..series };
    let second = series.back_up(source(tree.path())).await;
    assert_eq!((second.base.clone(), second.copied_bytes), (None, 0));
    series.assert_same(&second, &series.back_up_fully(source(tree.path())).await).await;
    assert!(series.store.list_uploads(b"").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_which_little_is_left_is_made_anew() {
    let tree = large_tree();
    let series = Series::new().await;
    series.back_up(source(tree.path())).await;
    fs::write(tree.path().join("a/b/large"), noise(9, LARGE)).unwrap();
    let second = series.back_up(source(tree.path())).await;
    assert_eq!(second.base, None);
    assert!(second.size_bytes < LARGE as u64 * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_codec_or_a_single_request_or_a_damaged_record_starts_anew() {
    let tree = large_tree();
    let series = Series::new().await;
    series.back_up(source(tree.path())).await;
    let gzip = CreateOptions { compression: Some("gzip".parse().unwrap()), ..series.options() };
    let second = create_into(&series.store, source(tree.path()), gzip).await.unwrap();
    assert_eq!(second.base, None);
    let level = CreateOptions { compression: None, ..series.options() };
    let third = create_into(&series.store, source(tree.path()), level).await.unwrap();
    assert_eq!(third.base.as_ref(), Some(&second.id), "the codec of the last one is the default");
    let whole = CreateOptions { multipart: false, ..series.options() };
    assert_eq!(create_into(&series.store, source(tree.path()), whole).await.unwrap().base, None);
    let record = series.options().record.unwrap();
    let mut bytes = fs::read(&record).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&record, bytes).unwrap();
    assert_eq!(series.back_up(source(tree.path())).await.base, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_archive_is_not_built_upon() {
    let tree = large_tree();
    let series = Series::new().await;
    let first = series.back_up(source(tree.path())).await;
    let request = PutRequest {
        key: first.id.archive_key(""),
        metadata: Default::default(),
        conditions: WriteConditions::None,
    };
    series.store.put(request, bytes::Bytes::from_static(b"other").into()).await.unwrap();
    let second = series.back_up(source(tree.path())).await;
    assert_eq!(second.base, None);
}

/// A directory and an overlay above it, both in a mount namespace of their own.
struct Layers {
    namespace: MountNamespace,
    directory: tempfile::TempDir,
}

impl Layers {
    fn with_index(mut self, index: &str) -> Self {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let options = format!(
            "redirect_dir=on,metacopy=on,index={index},lowerdir={},upperdir={},workdir={}",
            path("lower"),
            path("layer/upper"),
            path("layer/work")
        );
        self.namespace =
            MountNamespace::with(&format!("mount -t overlay -o {options} overlay {}", path("merged")));
        self
    }

    fn merged(&self) -> PathBuf {
        self.namespace.path(&self.directory.path().join("merged"))
    }

    fn source(&self, backup: &BackupId) -> Source {
        let layer = File::open(self.directory.path().join("layer")).unwrap().into();
        let overlay = Overlay { layer, backup: backup.clone(), mounts: Vec::new() };
        Source { overlay: Some(overlay), ..source(&self.merged()) }
    }
}

/// Makes the lower directory as these edits do, backs it up, then checkpoints after each run of edits in the overlay.
async fn check_overlay(index: &str, before: &[Edit], runs: &[Vec<Edit>], is_large: bool) {
    let prepared = fast_directory();
    before.iter().for_each(|edit| edit.apply(prepared.path()));
    if is_large {
        fs::write(prepared.path().join("large"), noise(77, LARGE)).unwrap();
    }
    let series = Series::new().await;
    let base = series.back_up(source(prepared.path())).await;
    // The lower layer has to be there before it is mounted.
    let layers = Layers::prepared(prepared.path(), index);
    for run in runs {
        run.iter().for_each(|edit| edit.apply(&layers.merged()));
        let checkpoint = series.back_up(layers.source(&base.id)).await;
        let full = series.back_up_fully(source(&layers.merged())).await;
        if is_large {
            assert!(checkpoint.base.is_some() && checkpoint.copied_bytes > 0);
        }
        series.assert_same(&checkpoint, &full).await;
    }
    drop(prepared);
}

impl Layers {
    fn prepared(lower: &Path, index: &str) -> Self {
        let directory = fast_directory();
        for name in ["layer", "layer/upper", "layer/work", "merged"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(lower, directory.path().join("lower")).unwrap();
        let namespace = MountNamespace::with("true");
        Self { namespace, directory }.with_index(index)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_a_restored_directory_reads_the_upper_layer_only() {
    let write = |path: &str, seed, bytes| Edit::Write { path: path.to_owned(), seed, bytes };
    let rename = |from: &str, to: &str| Edit::Rename { from: from.to_owned(), to: to.to_owned() };
    let remove = |path: &str| Edit::Remove { path: path.to_owned() };
    let before = [
        write("a/b/c", 1, 5000),
        write("a/b/d", 2, 300_000),
        write("a/x", 3, 10),
        write("b/y", 4, 140_000),
        Edit::Link { from: "a/x".to_owned(), to: "c/x".to_owned() },
        Edit::Attribute { path: "a/x".to_owned(), value: 7 },
    ];
    let runs = [
        vec![
            rename("a", "d"),
            write("d/b/new", 5, 5000),
            Edit::Mode { path: "d/b/d".to_owned(), mode: 0o600 },
        ],
        vec![rename("d/b", "e"), remove("b"), write("b/z", 6, 100)],
        vec![rename("e/d", "f"), Edit::MakeDirectory { path: "a".to_owned() }, write("a/b/c", 7, 10)],
        vec![Edit::Append { path: "c/x".to_owned(), seed: 8, bytes: 5 }, rename("f", "a/g")],
    ];
    for index in ["off", "on"] {
        check_overlay(index, &before, &runs, true).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_changes_of_a_directory_are_in_the_next_backup(
        runs in prop::collection::vec(prop::collection::vec(edit(), 1..12), 2..5),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let tree = fast_directory();
            fs::write(tree.path().join("large"), noise(77, LARGE)).unwrap();
            let series = Series::new().await;
            for run in &runs {
                run.iter().for_each(|edit| edit.apply(tree.path()));
                let checkpoint = series.back_up(source(tree.path())).await;
                let full = series.back_up_fully(source(tree.path())).await;
                series.assert_same(&checkpoint, &full).await;
            }
        });
    }

    #[test]
    fn any_changes_of_a_restored_directory_are_in_the_next_backup(
        before in prop::collection::vec(edit(), 5..25),
        runs in prop::collection::vec(prop::collection::vec(edit(), 1..12), 1..4),
        index in prop::sample::select(vec!["off", "on"]),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check_overlay(index, &before, &runs, false));
    }
}

/// A checkpoint of an overlay over a directory that has the content of `base`.
pub(crate) async fn check_over(store: &Arc<dyn ObjectStore>, base: &Manifest, lower: &Path) {
    let series = Series::on(Arc::clone(store));
    let layers = Layers::prepared(lower, "off");
    fs::write(layers.merged().join("new"), noise(5, 5000)).unwrap();
    let checkpoint = series.back_up(layers.source(&base.id)).await;
    assert_eq!(checkpoint.base.as_ref(), Some(&base.id));
    assert!(checkpoint.copied_bytes > 0);
    let full = series.back_up_fully(source(&layers.merged())).await;
    series.assert_same(&checkpoint, &full).await;
}
