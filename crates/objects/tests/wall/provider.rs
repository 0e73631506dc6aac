//! The project's tables about providers, as `conformance/` states them.

use std::path::Path;

use sandkeep_objects::Provider;
use sandkeep_objects::s3::{merge_options, mount_source, region_of};
use serde_json::Value;

fn cases(table: &str) -> Vec<(Value, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance").join(table);
    let table: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("the table")).expect("JSON");
    let cases = table["cases"].as_array().expect("cases");
    assert!(!cases.is_empty());
    cases.iter().map(|case| (case["input"].clone(), case["expect"].clone())).collect()
}

/// A provider that nobody knows is treated as none.
fn provider(value: &Value) -> Option<Provider> {
    value.as_str().and_then(Provider::named)
}

#[test]
fn providers_are_told_by_their_endpoint() {
    for (input, expected) in cases("provider_detection.json") {
        let found = input.as_str().and_then(|text| text.parse().ok()).and_then(|url| Provider::of(&url));
        assert_eq!(found, provider(&expected), "{input}");
    }
}

#[test]
fn options_are_merged_by_name() {
    for (input, expected) in cases("provider_options.json") {
        let user: Vec<String> = serde_json::from_value(input["user"].clone()).unwrap_or_default();
        assert_eq!(Value::from(merge_options(provider(&input["provider"]), &user)), expected, "{input}");
    }
}

#[test]
fn a_source_is_bucket_and_prefix() {
    for (input, expected) in cases("s3fs_source.json") {
        let bucket = input[0].as_str().expect("a bucket");
        assert_eq!(Value::from(mount_source(bucket, input[1].as_str())), expected, "{input}");
    }
}

#[test]
fn regions_come_from_amazons_host_names() {
    let check =
        |endpoint: &str, expected: &str| assert_eq!(region_of(&endpoint.parse().expect("a URL")), expected);
    check("https://x.r2.cloudflarestorage.com", "auto");
    check("https://s3.us-west-2.amazonaws.com", "us-west-2");
    check("https://s3-eu-west-1.amazonaws.com", "eu-west-1");
    check("https://s3.amazonaws.com", "us-east-1");
    check("https://bucket.s3.eu-central-1.amazonaws.com", "eu-central-1");
    check("http://127.0.0.1:9000", "auto");
}
