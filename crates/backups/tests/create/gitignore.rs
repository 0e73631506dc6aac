//! What git ignores is left out, exactly that, judged by git itself.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use sandkeep_backups::{CreateOptions, Preview, preview};
use tokio_util::sync::CancellationToken;

use crate::archive::{archive, empty_bucket, options, source};

fn git(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("git")
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"])
        .args(["-c", "safe.directory=*", "-c", "core.excludesFile=", "-c", "advice.addIgnoredFile=false"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn with_gitignore() -> CreateOptions {
    CreateOptions { gitignore: true, ..options() }
}

async fn previewed(directory: &Path) -> Preview {
    let store = empty_bucket().await;
    preview(store, source(directory), with_gitignore(), CancellationToken::new()).await.unwrap()
}

/// Every file and link at a path or below it, as a path below `root`. git does not tell of what is named `.git`.
fn files_at(root: &Path, path: &Path, found: &mut BTreeSet<PathBuf>) {
    let here = root.join(path);
    let kind = fs::symlink_metadata(&here).unwrap().file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(&here).unwrap() {
            files_at(root, &path.join(entry.unwrap().file_name()), found);
        }
    } else {
        found.insert(path.to_path_buf());
    }
}

/// The files that git ignores below a directory.
fn ignored_by_git(directory: &Path) -> BTreeSet<PathBuf> {
    let listed = git(directory, &["ls-files", "--others", "--ignored", "--exclude-standard", "-z"]);
    let mut found = BTreeSet::new();
    for path in listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        files_at(directory, Path::new(&OsString::from_vec(path.to_vec())), &mut found);
    }
    found
}

/// The files that a backup leaves out.
async fn left_out(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for left in previewed(directory).await.left_out {
        files_at(directory, Path::new(left.path.trim_end_matches('/')), &mut found);
    }
    found
}

#[track_caller]
fn check_against_git(directory: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found = runtime.block_on(left_out(directory));
    let expected = ignored_by_git(directory);
    let differences: Vec<_> = expected.symmetric_difference(&found).collect();
    assert!(differences.is_empty(), "git ignores {expected:?}, left out is {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_ignores_is_left_out_and_counted_by_rule() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    git(root, &["init", "-q"]);
    write(
        root,
        &[
            (".gitignore", "node_modules/\n*.log\n!keep.log\n/dist\n"),
            ("node_modules/a/index.js", "12345"),
            ("node_modules/b.js", "1"),
            ("src/a.log", "123"),
            ("src/keep.log", ""),
            ("src/.gitignore", "generated\n"),
            ("src/generated/x", "1"),
            ("src/dist/kept", ""),
            ("dist/out", "12"),
            ("tracked.log", ""),
            (".git/info/exclude", "secret\n"),
            ("secret", "1234"),
        ],
    );
    git(root, &["add", "-f", "tracked.log"]);
    let archive = archive(root, with_gitignore()).await;
    let kept: Vec<_> = archive.list().into_iter().filter(|path| !path.starts_with(".git/")).collect();
    assert_eq!(
        kept,
        [
            ".git",
            ".gitignore",
            "src",
            "src/.gitignore",
            "src/dist",
            "src/dist/kept",
            "src/keep.log",
            "tracked.log"
        ]
    );
    let manifest = &archive.manifest;
    let mut rules: Vec<_> = manifest
        .left_out
        .iter()
        .map(|rule| {
            format!("{} {} {} {}", rule.source.as_deref().unwrap(), rule.pattern, rule.files, rule.bytes)
        })
        .collect();
    rules.sort();
    assert_eq!(
        rules,
        [
            ".git/info/exclude:1 secret 1 4",
            ".gitignore:1 node_modules/ 2 6",
            ".gitignore:2 *.log 1 3",
            ".gitignore:4 /dist 1 2",
            "src/.gitignore:1 generated 1 1",
        ]
    );
    assert_eq!(manifest.excluded, 5);
    check_in_thread(root);
}

fn check_in_thread(root: &Path) {
    std::thread::scope(|scope| scope.spawn(|| check_against_git(root)).join().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_repository_nothing_is_ignored() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    write(directory.path(), &[(".gitignore", "*\n"), ("a", ""), ("b/.git/nothing", "")]);
    assert_eq!(previewed(directory.path()).await.excluded, 0);
    git(directory.path(), &["init", "-q", "--bare"]);
    assert_eq!(previewed(directory.path()).await.excluded, 0);
}

#[test]
fn a_directory_within_a_repository_obeys_the_rules_above_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    git(root, &["init", "-q"]);
    write(
        root,
        &[
            (".gitignore", "*.o\n/a/b/c\nout/\n"),
            ("a/.gitignore", "!x.o\n"),
            ("a/b/x.o", ""),
            ("a/b/y.o", ""),
            ("a/b/c/d", ""),
            ("a/b/e", ""),
            ("out/f", ""),
            ("out/tracked", ""),
            ("out/g/h", ""),
        ],
    );
    git(root, &["add", "-f", "out/tracked"]);
    for below in ["a/b", "a/b/c", "a", "out", "out/g"] {
        check_against_git(&root.join(below));
    }
}

#[test]
fn worktrees_submodules_and_nested_repositories_are_as_git_sees_them() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (main, other) = (root.join("main"), root.join("other"));
    for repository in [&main, &other] {
        fs::create_dir(repository).unwrap();
        git(repository, &["init", "-q"]);
        write(repository, &[(".gitignore", "*.o\nsub2/\nignored/\n"), ("a", "")]);
        git(repository, &["add", "."]);
        git(repository, &["commit", "-q", "-m", "x"]);
    }
    git(&main, &["submodule", "--quiet", "add", "../other", "sub"]);
    git(&main, &["worktree", "add", "-q", "../tree"]);
    for place in ["main", "main/sub", "main/ignored/nested", "main/nested", "tree"] {
        write(&root.join(place), &[("x.o", ""), ("y/z.o", ""), ("ignored/q", "")]);
    }
    for nested in ["main/ignored/nested", "main/nested"] {
        git(&root.join(nested), &["init", "-q"]);
    }
    write(&main, &[(".git/info/exclude", "/excluded\n"), ("excluded", "")]);
    write(&root.join("tree"), &[("excluded", "")]);
    for place in ["main", "main/sub", "main/nested", "tree", "tree/y"] {
        check_against_git(&root.join(place));
    }
}

#[test]
fn every_form_of_the_index_says_what_is_tracked() {
    for (name, format, setup) in [
        ("v2", "sha1", vec!["update-index", "--index-version", "2"]),
        ("v3", "sha1", vec!["update-index", "--skip-worktree", "dir/b.o"]),
        ("v4", "sha1", vec!["update-index", "--index-version", "4"]),
        ("split", "sha1", vec!["update-index", "--split-index"]),
        ("sha256", "sha256", vec!["status", "-s"]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        git(root, &["init", "-q", "--object-format", format]);
        let long = format!("dir/{}.o", "x".repeat(200));
        write(
            root,
            &[(".gitignore", "*.o\n"), ("a.o", ""), ("dir/b.o", ""), (long.as_str(), ""), ("dir/d.o", "")],
        );
        git(root, &["add", "-f", "a.o", "dir/b.o", &long]);
        git(root, &setup);
        write(root, &[("later.o", ""), ("untracked.o", "")]);
        git(root, &["add", "-f", "later.o"]);
        git(root, &["rm", "-q", "--cached", "a.o"]);
        assert_eq!(ignored_by_git(root).len(), 3, "{name}");
        check_against_git(root);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_fails_the_backup_rather_than_losing_tracked_files() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    git(root, &["init", "-q"]);
    write(root, &[(".gitignore", "*.o\n"), ("a.o", "")]);
    git(root, &["add", "-f", "a.o"]);
    let index = fs::read(root.join(".git/index")).unwrap();
    for damaged in [&index[..40], &b"DIRX"[..], &[&b"DIRC\0\0\0\x09"[..], &index[8..]].concat()] {
        fs::write(root.join(".git/index"), damaged).unwrap();
        let store = empty_bucket().await;
        let error = crate::archive::create_into(&store, source(root), with_gitignore()).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot tell what git ignores"), "{error}");
        assert!(crate::archive::left_in(&store).await.is_empty());
    }
}

#[test]
fn names_of_any_bytes_are_matched() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    git(root, &["init", "-q"]);
    fs::write(root.join(".gitignore"), b"\xff*\nx\xfe\n[\x80-\xff]z\n*\xc3\xa9\n").unwrap();
    for name in [&b"\xffa"[..], b"x\xfe", b"\x90z", b"caf\xc3\xa9", b"kept\xff", b"new\nline"] {
        fs::write(root.join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
    }
    let listed = git(root, &["ls-files", "--others", "--ignored", "--exclude-standard", "-z"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found = runtime.block_on(previewed(root));
    assert_eq!(listed.split(|byte| *byte == 0).count() - 1, 4);
    assert_eq!(found.excluded, 4);
}

#[test]
fn case_is_ignored_where_the_repository_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    git(root, &["init", "-q"]);
    write(
        root,
        &[
            (".gitignore", "*.LOG\nBuild/\n[a-c]X\n"),
            ("a.log", ""),
            ("build/x", ""),
            ("Bx", ""),
            ("t.log", ""),
        ],
    );
    git(root, &["add", "-f", "t.log"]);
    check_against_git(root);
    git(root, &["config", "core.ignoreCase", "true"]);
    assert_eq!(ignored_by_git(root).len(), 3);
    check_against_git(root);
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "ab", ".a", "a b", "b ", "#a", "!b", "A", "a*", "\\a", "[a]"])
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|names| names.join("/"))
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "*",
        "**",
        "?",
        "/",
        "[ab]",
        "[!a]",
        ".",
        "\\",
        " ",
        "!",
        "#",
        "[a-",
        "\\*",
        "[[:alpha:]]",
        "**/",
        "/**",
        "a*",
        "*b",
    ]);
    let free = prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat());
    prop_oneof![
        3 => free,
        2 => ("!?/?", path(), "/?").prop_map(|(before, path, after)| format!("{before}{path}{after}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn exactly_what_git_ignores_is_left_out(
        files in prop::collection::btree_set(path(), 1..25),
        rules in prop::collection::vec((prop::option::of(path()), prop::collection::vec(pattern(), 1..5)), 1..4),
        tracked in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        exclude in prop::collection::vec(pattern(), 0..2),
    ) {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = directory.path();
        git(root, &["init", "-q"]);
        let mut made = Vec::new();
        for path in &files {
            let parent = root.join(path).parent().unwrap().to_path_buf();
            if fs::create_dir_all(&parent).is_ok() && fs::write(root.join(path), "").is_ok() {
                made.push(path.clone());
            }
        }
        for (place, patterns) in &rules {
            let place = place.as_ref().map_or(root.to_path_buf(), |place| root.join(place));
            if place.is_dir() {
                fs::write(place.join(".gitignore"), patterns.join("\n") + "\n").unwrap();
            }
        }
        fs::write(root.join(".git/info/exclude"), exclude.join("\n")).unwrap();
        for index in tracked {
            if !made.is_empty() {
                git(root, &["--literal-pathspecs", "add", "-f", "--", index.get(&made).as_str()]);
            }
        }
        check_against_git(root);
    }
}
