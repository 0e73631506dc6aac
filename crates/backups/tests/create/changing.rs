//! Files that change or vanish while they are read. The store holds the backup up in the middle of a large file, so
//! that the test knows where it is.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use sandkeep_backups::create;
use tokio_util::sync::CancellationToken;

use crate::archive::{ArchiveFile, ID, Reports, download, empty_bucket, id, noise, options, source};
use crate::scripted::Scripted;

const MIB: usize = 1024 * 1024;
/// More than what is under way at once, and more than is read a second time.
const LARGE: usize = 160 * MIB;

/// Archives `directory`, and runs `change` while the first of its large files is being read.
async fn archive_while(directory: &Path, change: impl FnOnce()) -> ArchiveFile {
    let inner = empty_bucket().await;
    let store = Arc::new(Scripted::gated(inner.clone()));
    let source = source(directory);
    let backup =
        create(store.clone(), source, options(), Arc::new(Reports::default()), CancellationToken::new());
    let backup = tokio::spawn(backup);
    // Four parts wait, so at least 32 MiB have been read, and at most 100.
    store.arrived.acquire_many(4).await.unwrap().forget();
    change();
    store.gate.as_ref().unwrap().add_permits(1000);
    let manifest = backup.await.unwrap().unwrap();
    download(&inner, id(ID).archive_key(""), manifest).await
}

fn skipped(archive: &ArchiveFile) -> Vec<(&str, &str)> {
    archive.manifest.skipped.iter().map(|one| (one.path.as_str(), one.reason.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_shrinks_is_padded_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let content = noise(1, LARGE);
    fs::write(&path, &content).unwrap();
    fs::write(directory.path().join("b"), "behind").unwrap();
    let truncate = || File::options().write(true).open(&path).unwrap().set_len(MIB as u64).unwrap();
    let archive = archive_while(directory.path(), truncate).await;
    assert_eq!(skipped(&archive), [("a", "changed")]);
    let extracted = archive.extract();
    let copy = fs::read(extracted.join("a")).unwrap();
    assert_eq!(copy.len(), LARGE);
    assert!(copy[..32 * MIB] == content[..32 * MIB] && copy[LARGE - MIB..].iter().all(|byte| *byte == 0));
    assert_eq!(fs::read(extracted.join("b")).unwrap(), b"behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_before_its_turn_is_archived_as_it_is_then() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_path_buf();
    fs::write(root.join("a"), noise(1, LARGE)).unwrap();
    for name in ["grows", "shrinks", "vanishes", "two names", "stays"] {
        fs::write(root.join(name), "as it was").unwrap();
    }
    fs::write(root.join("large vanishes"), noise(2, MIB)).unwrap();
    fs::write(root.join("copy"), noise(3, MIB)).unwrap();
    fs::write(root.join("copy of copy"), noise(3, MIB)).unwrap();
    fs::hard_link(root.join("two names"), root.join("z")).unwrap();
    let change = || {
        fs::write(root.join("grows"), noise(4, MIB)).unwrap();
        fs::write(root.join("shrinks"), "").unwrap();
        fs::write(root.join("copy"), "no copy now").unwrap();
        for name in ["vanishes", "large vanishes", "two names"] {
            fs::remove_file(root.join(name)).unwrap();
        }
    };
    let archive = archive_while(&root, change).await;
    assert_eq!(skipped(&archive), [("large vanishes", "vanished"), ("vanishes", "vanished")]);
    let extracted = archive.extract();
    for name in ["a", "grows", "shrinks", "stays", "copy", "copy of copy", "z"] {
        assert!(fs::read(extracted.join(name)).unwrap() == fs::read(root.join(name)).unwrap(), "{name}");
    }
    assert_eq!(fs::read(extracted.join("two names")).unwrap(), b"as it was");
    assert_eq!(archive.list().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_moderate_size_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    // Small enough to be written again, large enough to be in the middle when it changes.
    let path = directory.path().join("a");
    fs::write(&path, noise(1, 60 * MIB)).unwrap();
    fs::write(directory.path().join("b"), noise(2, 60 * MIB)).unwrap();
    fs::write(directory.path().join("c"), noise(2, 60 * MIB)).unwrap();
    let change = || {
        File::options().write(true).open(&path).unwrap().write_all_at(b"changed", 59 * MIB as u64).unwrap();
        let other = File::options().write(true).open(directory.path().join("b")).unwrap();
        other.write_all_at(b"changed", 1).unwrap();
    };
    let archive = archive_while(directory.path(), change).await;
    assert_eq!(skipped(&archive), []);
    let extracted = archive.extract();
    for name in ["a", "b", "c"] {
        let same = fs::read(extracted.join(name)).unwrap() == fs::read(directory.path().join(name)).unwrap();
        assert!(same, "{name}");
    }
}
