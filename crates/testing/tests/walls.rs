//! The walls between the crates, as ARCHITECTURE.md draws them: read from `cargo metadata` and from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Every arrow that may exist between our crates in the product; development dependencies are judged apart.
const ARROWS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("backups", &["objects", "vfs"]),
    ("bucketfs", &["objects", "vfs"]),
    ("cli", &["api", "daemon"]),
    ("daemon", &["api", "backups", "bucketfs", "gateway", "objects", "sandboxes", "vfs"]),
    ("fuse", &[]),
    ("gateway", &["objects"]),
    ("objects", &[]),
    ("sandboxes", &[]),
    ("testing", &["gateway", "objects", "vfs"]),
    ("vfs", &["fuse"]),
];

/// Libraries that only some crates may use, because using them is those crates' purpose.
const RESERVED: &[(&str, &[&str])] = &[
    ("axum", &["daemon"]),
    ("clap", &["cli"]),
    ("comfy-table", &["cli"]),
    ("indicatif", &["cli"]),
    ("libc", &["fuse", "sandboxes", "vfs"]),
    ("rusqlite", &["daemon", "objects"]),
    ("seccompiler", &["sandboxes"]),
    ("zstd", &["backups"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace exists")
}

fn dependencies(kind: Option<&str>) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().expect("an array");
        all.iter().filter(|one| one["kind"].as_str() == kind).map(|one| text(&one["name"])).collect()
    };
    metadata["packages"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|one| (short(&text(&one["name"])), of(one)))
        .collect()
}

fn short(name: &str) -> String {
    name.strip_prefix("sandkeep-").unwrap_or(name).to_owned()
}

fn ours(names: &BTreeSet<String>) -> BTreeSet<String> {
    names.iter().filter(|name| name.starts_with("sandkeep-")).map(|name| short(name)).collect()
}

#[test]
fn crates_depend_only_as_drawn() {
    let found = dependencies(None);
    let drawn: BTreeMap<String, BTreeSet<String>> = ARROWS
        .iter()
        .map(|(from, to)| ((*from).to_owned(), to.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        drawn.keys().collect::<Vec<_>>(),
        "the crates of the workspace"
    );
    for (from, to) in &found {
        let beyond: Vec<_> = ours(to).difference(&drawn[from]).cloned().collect();
        assert!(beyond.is_empty(), "{from} may not depend on {beyond:?}");
    }
}

#[test]
fn the_drawn_graph_has_no_cycle() {
    let drawn: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    fn depth(name: &str, drawn: &BTreeMap<&str, &[&str]>, steps: usize) -> usize {
        assert!(steps < drawn.len(), "a cycle through {name}");
        drawn[name].iter().map(|next| 1 + depth(next, drawn, steps + 1)).max().unwrap_or(0)
    }
    for name in drawn.keys() {
        depth(name, &drawn, 0);
    }
}

#[test]
fn testing_is_never_part_of_the_product() {
    for (from, to) in dependencies(None) {
        assert!(!ours(&to).contains("testing"), "{from} depends on testing");
    }
}

#[test]
fn reserved_libraries_stay_where_they_belong() {
    let found = dependencies(None);
    for (library, allowed) in RESERVED {
        for (from, to) in &found {
            let used = to.contains(*library);
            assert!(!used || allowed.contains(&from.as_str()), "{from} may not use {library}");
        }
    }
}

fn sources(of: &str) -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).into_iter().flatten() {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join("crates").join(of).join("src"), &mut paths);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable source");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// Lines of code of a file: neither comments nor strings that merely speak of something.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

#[test]
fn unsafe_code_lives_only_in_fuse_and_sandboxes() {
    for (name, _) in ARROWS.iter().filter(|(name, _)| !["fuse", "sandboxes"].contains(name)) {
        for (path, text) in sources(name) {
            let found =
                code_lines(&text).find(|line| line.contains("unsafe {") || line.contains("unsafe fn"));
            assert!(found.is_none(), "{}: {}", path.display(), found.unwrap_or_default());
        }
    }
}

#[test]
fn only_the_command_line_prints() {
    for (name, _) in ARROWS.iter().filter(|(name, _)| *name != "cli") {
        for (path, text) in sources(name) {
            let found = code_lines(&text).find(|line| line.contains("println!(") || line.contains("print!("));
            assert!(found.is_none(), "{}: {}", path.display(), found.unwrap_or_default());
        }
    }
}

#[test]
fn each_crate_has_one_error_file_and_each_file_says_what_it_owns() {
    for (name, _) in ARROWS {
        let all = sources(name);
        let errors = all.iter().filter(|(path, _)| path.ends_with("error.rs")).count();
        assert!(errors == 1 || *name == "testing", "{name} has {errors} files error.rs");
        for (path, text) in &all {
            assert!(text.starts_with("//!"), "{} does not start with //!", path.display());
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the workspace manifest");
    let list = manifest.split("# Others', each with its reason.").nth(1).expect("the list of dependencies");
    for line in list.lines().take_while(|line| !line.starts_with('[')).filter(|line| line.contains(" = ")) {
        assert!(line.contains(" # "), "no reason given: {line}");
    }
}

#[test]
fn no_type_with_a_plain_secret_derives_debug() {
    // A derived Debug would print it. Everywhere else secrets are `SecretKey`, which does not.
    for (name, _) in ARROWS {
        for (path, text) in sources(name) {
            let mut derived = "";
            for line in code_lines(&text) {
                match line {
                    line if line.starts_with("#[derive(") => derived = line,
                    line if line.contains("secret_access_key: String") => {
                        assert!(!derived.contains("Debug"), "{}: {line}", path.display());
                    }
                    _ => {}
                }
            }
        }
    }
}
