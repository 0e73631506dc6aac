//! Patterns against the contract's table, against fnmatch's rules, and against a model.

use proptest::prelude::*;

use super::*;

fn excluded(patterns: &[&str], path: &str) -> bool {
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    Excludes::new(&patterns).rule(&path.rsplit('/').map(str::as_bytes)).is_some()
}

#[track_caller]
fn check(pattern: &str, matched: &[&str], not_matched: &[&str]) {
    for path in matched {
        assert!(excluded(&[pattern], path), "{pattern} should exclude {path}");
    }
    for path in not_matched {
        assert!(!excluded(&[pattern], path), "{pattern} should keep {path}");
    }
}

#[test]
fn patterns_are_normalized_as_the_contract_says() {
    let table = include_str!("../../../../conformance/exclude_patterns.json");
    let table: serde_json::Value = serde_json::from_str(table).unwrap();
    for case in table["cases"].as_array().unwrap() {
        let normalized = normalize(case["input"].as_str().unwrap());
        assert_eq!(normalized.as_deref(), case["expect"].as_str(), "{case}");
    }
}

#[test]
fn patterns_match_at_any_depth_and_only_whole_names() {
    check("node_modules", &["node_modules", "a/b/node_modules"], &["node_modules2", "xnode_modules", "a"]);
    check("a/b", &["a/b", "x/a/b"], &["b", "a/x/b", "a", "a/b/c"]);
    check("**/node_modules/**/*.js", &["node_modules/x.js", "a/node_modules/x.js"], &["node_modules/a/x.js"]);
    check("*.log", &["x.log", "a/b/x.log"], &["x.logs", ".log", ".x.log"]);
}

#[test]
fn a_leading_slash_anchors() {
    check("/a", &["a"], &["x/a"]);
    check("./a/b", &["a/b"], &["x/a/b"]);
    check("/", &[], &["a"]);
    check("a/", &["a", "x/a"], &["a/b"]);
}

#[test]
fn wildcards_follow_fnmatch() {
    check("*", &["a", "x/a"], &[".a", "x/.a"]);
    check(".*", &[".a", "x/.a"], &["a"]);
    check("?x", &["ax", "üx"], &["x", ".x", "aax"]);
    check("[.]x", &[], &[".x"]);
    check("a[!b-d]", &["aa", "ae", "a."], &["ab", "ac", "a", "abb"]);
    check("a[]x]", &["a]", "ax"], &["ab"]);
    check("a[b", &["a[b"], &["ab"]);
    check("a\\*b", &["a*b"], &["axb"]);
    check("[[:digit:]_]*", &["1", "_x"], &["x1"]);
    check("a**b", &["ab", "axyb"], &["a", "b"]);
    check("x\\", &[], &["x", "x\\"]);
    check("!keep", &["!keep"], &["keep"]);
}

/// fnmatch as its manual says it, without thought for speed.
fn naive_name(pattern: &[char], name: &[char], start: bool) -> bool {
    let hidden = start && name.first() == Some(&'.');
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some('*'), _) => {
            !hidden
                && (0..=name.len())
                    .any(|skipped| naive_name(&pattern[1..], &name[skipped..], start && skipped == 0))
        }
        (Some('?'), Some(_)) => !hidden && naive_name(&pattern[1..], &name[1..], false),
        (Some(one), Some(other)) => one == other && naive_name(&pattern[1..], &name[1..], false),
        _ => false,
    }
}

fn naive(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').filter(|name| *name != "**").collect();
    let path: Vec<&str> = path.split('/').collect();
    let Some(skipped) = path.len().checked_sub(pattern.len()) else { return false };
    path[skipped..].iter().zip(&pattern).all(|(name, pattern)| {
        let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
        naive_name(&pattern, &name, true)
    })
}

proptest! {
    #[test]
    fn the_matcher_equals_the_model(
        pattern in "(\\*\\*/)?[ab.*?]{1,5}(/[ab.*?]{1,4}){0,2}",
        path in "[ab.]{1,6}(/[ab.]{1,6}){0,3}",
    ) {
        let dots = pattern.split('/').any(|name| name == ".");
        let nothing = pattern.split('/').all(|name| name == "**");
        prop_assume!(!dots && !nothing);
        prop_assert_eq!(excluded(&[&pattern], &path), naive(&pattern, &path));
    }

    #[test]
    fn any_pattern_is_harmless(pattern in "\\PC{0,20}", name in proptest::collection::vec(any::<u8>(), 1..20)) {
        Excludes::new(&[pattern]).rule(&std::iter::once(name.as_slice()));
    }
}
