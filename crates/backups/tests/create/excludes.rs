//! What patterns leave out, and that nothing else is missing.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use sandkeep_backups::CreateOptions;

use crate::archive::{archive, options};

fn with(excludes: &[&str]) -> CreateOptions {
    CreateOptions { excludes: excludes.iter().map(|pattern| (*pattern).to_owned()).collect(), ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_directories_are_left_out_with_all_below() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for path in ["node_modules/x/y.js", "src/node_modules/z", "src/a.log", "src/keep/.log", "node_modules2/a"]
    {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), path).unwrap();
    }
    let archive = archive(root, with(&["**/node_modules/**", "*.log", "**"])).await;
    assert_eq!(archive.list(), ["node_modules2", "node_modules2/a", "src", "src/keep", "src/keep/.log"]);
    assert_eq!(archive.manifest.excluded, 3);
    assert_eq!(archive.manifest.entries, 5);
}

/// Whether a path or anything above it is matched, pattern by pattern and name by name.
fn is_excluded(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let names: Vec<&str> = path.split('/').collect();
    let matches = |pattern: &str, name: &str| match pattern {
        "*" => !name.starts_with('.'),
        _ => pattern == name,
    };
    (1..=names.len()).any(|end| {
        end >= pattern.len()
            && pattern.iter().zip(&names[end - pattern.len()..end]).all(|(p, n)| matches(p, n))
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just(".a".to_owned()), Just("ab".to_owned())]
}

fn path(name: impl Strategy<Value = String>, names: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    proptest::collection::vec(name, names).prop_map(|names| names.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn exactly_what_matches_is_left_out(
        paths in proptest::collection::vec(path(name(), 1..5), 1..20),
        patterns in proptest::collection::vec(path(prop_oneof![name(), Just("*".to_owned())], 1..4), 1..3),
    ) {
        prop_assume!(!patterns.contains(&"*".to_owned()));
        let directory = tempfile::tempdir().unwrap();
        let mut expected = BTreeSet::new();
        for path in &paths {
            fs::create_dir_all(directory.path().join(path)).unwrap();
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            expected.extend(ends.map(|end| path[..end].to_owned()));
        }
        expected.retain(|path| !patterns.iter().any(|pattern| is_excluded(pattern, path)));
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listed = runtime.block_on(async { archive(directory.path(), with(&patterns)).await.list() });
        prop_assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}
