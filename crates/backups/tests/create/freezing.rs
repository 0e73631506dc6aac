//! Files are taken while nothing runs, if they are few: what happens afterwards is not in the backup.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sandkeep_backups::{Freezer, Manifest, Source};

use crate::archive::{create_into, download, empty_bucket, fast_directory, noise, options, source};
use crate::description::{assert_same, describe};

/// Stops nothing, but changes everything as soon as it lets go.
#[derive(Debug)]
struct ChangesAfterwards {
    root: PathBuf,
    stops: bool,
    holds: bool,
    frozen: AtomicUsize,
}

impl Freezer for ChangesAfterwards {
    fn freeze(&self) -> bool {
        self.frozen.fetch_add(1, Ordering::SeqCst);
        self.stops
    }

    fn thaw(&self) -> bool {
        for name in ["small", "large", "sparse"] {
            fs::write(self.root.join(name), "changed").unwrap();
        }
        fs::remove_file(self.root.join("gone")).unwrap();
        self.holds
    }
}

fn tree() -> tempfile::TempDir {
    let tree = fast_directory();
    let root = tree.path();
    fs::write(root.join("small"), noise(1, 1000)).unwrap();
    fs::write(root.join("large"), noise(2, 1_000_003)).unwrap();
    fs::write(root.join("copy"), noise(2, 1_000_003)).unwrap();
    fs::write(root.join("gone"), noise(3, 200_000)).unwrap();
    fs::write(root.join("sparse"), noise(4, 10)).unwrap();
    fs::File::options().write(true).open(root.join("sparse")).unwrap().set_len(2 << 20).unwrap();
    tree
}

fn freezer(root: &Path, stops: bool, holds: bool) -> Arc<ChangesAfterwards> {
    Arc::new(ChangesAfterwards { root: root.to_path_buf(), stops, holds, frozen: AtomicUsize::new(0) })
}

async fn made(root: &Path, freezer: Arc<ChangesAfterwards>) -> Manifest {
    let source = Source { freezer: Some(freezer), ..source(root) };
    create_into(&empty_bucket().await, source, options()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_when_everything_stood_still_is_in_the_backup() {
    let tree = tree();
    let expected = describe(tree.path());
    let (store, freezer) = (empty_bucket().await, freezer(tree.path(), true, true));
    let source = Source { freezer: Some(freezer.clone()), ..source(tree.path()) };
    let manifest = create_into(&store, source, options()).await.unwrap();
    assert_eq!((manifest.consistency.as_deref(), manifest.skipped_count), (Some("frozen"), 0));
    assert_eq!(freezer.frozen.load(Ordering::SeqCst), 1);
    assert_ne!(describe(tree.path()), expected);
    let archive = download(&store, manifest.id.archive_key(""), manifest).await;
    assert_same(&expected, &describe(&archive.extract()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_could_not_stop_what_runs_says_so() {
    for (stops, holds) in [(false, false), (true, false)] {
        let tree = tree();
        let manifest = made(tree.path(), freezer(tree.path(), stops, holds)).await;
        assert_eq!(manifest.consistency.as_deref(), Some("fuzzy"), "{stops} {holds}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stopped_for_much() {
    let tree = tree();
    fs::write(tree.path().join("much"), noise(5, 50 << 20)).unwrap();
    let freezer = freezer(tree.path(), true, true);
    let manifest = made(tree.path(), Arc::clone(&freezer)).await;
    assert_eq!(manifest.consistency.as_deref(), Some("fuzzy"));
    assert_eq!(freezer.frozen.load(Ordering::SeqCst), 0);
}
