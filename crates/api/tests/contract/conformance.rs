//! Every row of every table whose check lives in this crate.

use std::path::Path;

use sandkeep_api::checks::{self, BackupOptions, CompressionFormat, RestoreHandle};
use sandkeep_api::{InvalidInput, base32};
use serde_json::{Map, Value, json};

fn table(name: &str) -> Vec<(Value, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../conformance/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let table: Value = serde_json::from_str(&text).expect("the table is JSON");
    let rows = table["cases"].as_array().expect("the table has cases");
    rows.iter().map(|row| (row["input"].clone(), row["expect"].clone())).collect()
}

/// Runs a table whose rows expect `{"ok": ..}` or `{"error": class, "code", "messageHas"}`.
fn check_refusals(name: &str, check: impl Fn(&Value) -> Result<Value, InvalidInput>) {
    for (input, expected) in table(name) {
        match check(&input) {
            Ok(value) => assert!(
                expected["ok"] == value || expected["ok"] == json!(true),
                "{name} {input}: got {value}, expected {expected}"
            ),
            Err(error) => {
                assert_eq!(error.code.class_name(), expected["error"], "{name} {input}: {error}");
                assert_eq!(error.code.as_str(), expected["code"], "{name} {input}");
                let part = expected["messageHas"].as_str().expect("a text");
                assert!(error.message.contains(part), "{name} {input}: {error} lacks {part:?}");
            }
        }
    }
}

/// Runs a table whose rows expect a plain value.
fn check_values(name: &str, check: impl Fn(&Value) -> Value) {
    for (input, expected) in table(name) {
        assert_eq!(check(&input), expected, "{name} {input}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("the input is a text")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("the input is an object")
}

#[test]
fn sandbox_ids_of_the_sdk() {
    check_refusals("sdk_sandbox_id", |id| checks::sdk_sandbox_id(text(id)).map(|()| id.clone()));
}

#[test]
fn sandbox_ids_of_the_bridge() {
    check_values("bridge_sandbox_id", |id| json!(checks::bridge_sandbox_id(text(id)).is_ok()));
}

#[test]
fn session_ids() {
    check_values("session_id", |id| checks::session_id(text(id)).map_or(Value::Null, |()| id.clone()));
}

#[test]
fn workspace_paths() {
    check_values("workspace_path", |path| json!(checks::workspace_path(text(path))));
}

#[test]
fn bucket_names() {
    check_refusals("bucket_name", |name| checks::bucket_name(text(name)).map(|()| json!(true)));
}

#[test]
fn binding_names() {
    check_refusals("binding_name", |name| checks::binding_name(text(name)).map(|()| json!(true)));
}

#[test]
fn mount_prefixes() {
    check_refusals("mount_prefix", |prefix| checks::mount_prefix(text(prefix)).map(|()| json!(true)));
}

#[test]
fn ports() {
    check_values("port", |port| json!(checks::is_usable_port(port.as_f64().expect("a number"))));
}

#[test]
fn base32_ids() {
    check_values("base32", |hex| {
        let bytes = data_encoding::HEXLOWER.decode(text(hex).as_bytes()).expect("the input is hex");
        json!(base32(&bytes))
    });
}

/// Two deliberate differences from the table: upstream's default format is lz4, ours is the server's (zstd); and the
/// excludes stay as given here, because `sandkeep-backups` normalises them (`exclude_patterns.json` is tested there).
#[test]
fn backup_options() {
    check_refusals("backup_options", |input| {
        let options = checks::backup_options(object(input))?;
        let excludes_differ = input["excludes"] == json!(["**/x", "**", "a/**"]);
        Ok(resolved(&options, excludes_differ.then(|| json!(["x", "a"]))))
    });
}

fn resolved(options: &BackupOptions, excludes: Option<Value>) -> Value {
    let format = match options.compression.format {
        Some(CompressionFormat::Gzip) => "gzip",
        Some(CompressionFormat::Zstd | CompressionFormat::ZstdLevel(_)) => "zstd",
        Some(CompressionFormat::None) => "none",
        None | Some(CompressionFormat::Lz4) => "lz4",
    };
    json!({
        "dir": options.dir,
        "name": options.name,
        "ttl": number(options.ttl),
        "gitignore": options.gitignore,
        "excludes": excludes.unwrap_or_else(|| json!(options.excludes)),
        "compression": {"format": format, "threads": options.compression.threads},
        "multipart": options.multipart,
    })
}

/// JSON tells 1 from 1.0.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

#[test]
fn formats_of_ours_are_taken_too() {
    for (format, expected) in [
        ("none", Some(CompressionFormat::None)),
        ("zstd:19", Some(CompressionFormat::ZstdLevel(19))),
    ] {
        let input = json!({"dir": "/workspace", "compression": {"format": format}});
        assert_eq!(checks::backup_options(object(&input)).expect("valid").compression.format, expected);
    }
    for format in ["zstd:0", "zstd:23", "zstd:", "zstd:x", "xz"] {
        let input = json!({"dir": "/workspace", "compression": {"format": format}});
        let error = checks::backup_options(object(&input)).expect_err(format);
        assert_eq!(error.code.as_str(), "INVALID_BACKUP_CONFIG");
    }
}

#[test]
fn handles_of_local_backups_are_extracted_unless_they_say_otherwise() {
    let id = "0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e";
    for (fields, expected) in [
        (json!({}), false),
        (json!({"localBucket": true}), true),
        (json!({"localBucket": true, "eager": false}), false),
        (json!({"eager": true}), true),
    ] {
        let mut input = json!({"id": id, "dir": "/workspace"});
        input.as_object_mut().expect("an object").extend(object(&fields).clone());
        assert_eq!(checks::restore_handle(object(&input)).expect("valid").eager, expected, "{fields}");
    }
}

#[test]
fn restore_handles() {
    check_refusals("restore_handle", |input| {
        let RestoreHandle { id, dir, .. } = checks::restore_handle(object(input))?;
        Ok(json!({"id": id, "dir": dir}))
    });
}

#[test]
fn mount_paths_that_cannot_be() {
    for path in ["data", "", "/", "/..", "/proc", "/dev/shm", "/a\0b"] {
        let error = checks::mount_path(path).expect_err(path);
        assert_eq!(error.code.as_str(), "INVALID_MOUNT_CONFIG", "{path}");
    }
    assert_eq!(checks::mount_path("/mnt//my data/./x/").expect("a path"), "/mnt/my data/x");
    assert_eq!(checks::mount_path("/development").expect("a path"), "/development");
}
