//! Which source wins, and what the files may say.

use std::fs;

use super::*;

fn around(directory: &Path, environment: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        directory: directory.to_owned(),
        root: true,
        program: "/usr/bin/sandkeep".into(),
    }
}

fn resolve(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let directory = tempfile::tempdir().expect("a scratch directory");
    for (name, content) in files {
        fs::write(directory.path().join(name), content).expect("a scratch file");
    }
    let env =
        environment.iter().find(|(name, _)| *name == "SANDKEEP_ENV").map(|(_, value)| (*value).to_owned());
    let flags = PartialSettings { env, ..PartialSettings::default() };
    Settings::resolve(flags, &around(directory.path(), environment))
}

#[test]
fn flags_beat_environment_beats_file_beats_default() {
    let file = ("sandkeep.toml", "listen = '127.0.0.1:1'\ns3_listen = '127.0.0.1:2'\n");
    let settings = resolve(&[file], &[("SANDKEEP_LISTEN", "127.0.0.1:3")]).expect("valid");
    assert_eq!(settings.listen.port(), 3);
    assert_eq!(settings.s3_listen.port(), 2);
    assert_eq!(settings.data, Path::new("/var/lib/sandkeep"));
    let flags = PartialSettings { listen: Some(([127, 0, 0, 1], 4).into()), ..PartialSettings::default() };
    let settings = Settings::resolve(flags, &around(Path::new("/"), &[("SANDKEEP_LISTEN", "127.0.0.1:3")]));
    assert_eq!(settings.expect("valid").listen.port(), 4);
}

#[test]
fn without_a_key_only_loopback_is_served() {
    let open = ("SANDKEEP_LISTEN", "0.0.0.0:8787");
    let error = resolve(&[], &[open]).expect_err("refused");
    assert!(error.to_string().contains("SANDBOX_API_KEY"), "{error}");
    let settings = resolve(&[], &[open, ("SANDBOX_API_KEY", "secret")]).expect("allowed");
    assert!(settings.api_key.as_ref().is_some_and(|key| key.matches(b"secret") && !key.matches(b"Secret")));
    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn bindings_come_from_both_files() {
    let wrangler = r#"{
        // a comment
        "vars": {"R2_ACCESS_KEY_ID": "from-vars", "CLOUDFLARE_ACCOUNT_ID": "abc", "OTHER": 5},
        "r2_buckets": [
            {"binding": "DATA_BUCKET", "bucket_name": "my-data-bucket"},
            {"binding": "FAR", "bucket_name": "far", "remote": true, "jurisdiction": "eu"},
        ],
        "env": {"staging": {"r2_buckets": [{"binding": "DATA_BUCKET", "bucket_name": "staging"}]}},
    }"#;
    let own =
        "[bindings]\nMINE = 'mine'\nS3 = { bucket = 'b', endpoint = 'https://s3.us-west-2.amazonaws.com' }\n";
    let vars = (".dev.vars", "# secrets\nR2_SECRET_ACCESS_KEY=\"shh\"\n");
    let files = [("wrangler.jsonc", wrangler), ("sandkeep.toml", own), vars];
    let settings = resolve(&files, &[("R2_ACCESS_KEY_ID", "from-environment")]).expect("valid");
    let names: Vec<&str> = settings.bindings.keys().map(String::as_str).collect();
    assert_eq!(names, ["DATA_BUCKET", "FAR", "MINE", "S3"]);
    let far = settings.bindings["FAR"].remote.as_ref().expect("remote");
    assert_eq!(far.endpoint.as_str(), "https://abc.eu.r2.cloudflarestorage.com/");
    assert_eq!(settings.variables.get("R2_ACCESS_KEY_ID"), Some("from-environment"));
    assert_eq!(settings.variables.get("R2_SECRET_ACCESS_KEY"), Some("shh"));
    assert!(!format!("{settings:?}").contains("shh"));

    let staging = resolve(&files[..1], &[("SANDKEEP_ENV", "staging")]).expect("valid");
    assert_eq!(staging.bindings["DATA_BUCKET"].bucket.as_str(), "staging");
    assert_eq!(staging.bindings.len(), 1);
}

#[test]
fn wrangler_toml_is_read_too() {
    let wrangler =
        "[[r2_buckets]]\nbinding = \"MY_BUCKET\"\nbucket_name = \"my-r2-bucket\"\n[vars]\nA = \"b\"\n";
    let settings = resolve(&[("wrangler.toml", wrangler)], &[]).expect("valid");
    assert_eq!(
        settings.bindings["MY_BUCKET"],
        Binding { bucket: "my-r2-bucket".parse().expect("valid"), remote: None }
    );
}

#[test]
fn mistakes_are_named() {
    for (file, text) in [
        (("sandkeep.toml", "listen = 'x'"), "listen"),
        (("sandkeep.toml", "[[bucket]]\nname = 'A'"), "bucket name"),
        (("sandkeep.toml", "[backups]\nstore = 'bucket'"), "backups.store"),
        (("sandkeep.toml", "[bindings]\nB = {bucket='b', endpoint='http://h', access_key_id='x'}"), "B"),
        (("wrangler.json", "{"), "wrangler.json"),
    ] {
        let error = resolve(&[file], &[]).expect_err("refused").to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn the_store_of_backups_is_a_bucket_and_a_prefix() {
    let settings = resolve(&[("sandkeep.toml", "[backups]\nstore = 's3://kept/a/b/'")], &[]).expect("valid");
    let location = settings.backups.expect("set");
    assert_eq!((location.bucket.as_str(), location.prefix.as_str()), ("kept", "a/b/"));
}

#[test]
fn buckets_may_lie_in_another_store() {
    use sandkeep_objects::{CredentialSource, Credentials};
    assert_eq!(resolve(&[], &[]).expect("valid").default_store, None);
    let table = "[buckets]\ndefault = { endpoint = 'https://s3.example.org', bucket = 'big', prefix = '/team/a/', access_key_id = 'i', secret_access_key = 'shh' }\n";
    let file = ("sandkeep.toml", table);
    let settings = resolve(&[file], &[]).expect("valid");
    assert!(!format!("{settings:?}").contains("shh"));
    let store = settings.default_store.expect("set");
    assert_eq!((store.bucket.as_str(), store.prefix.as_str()), ("big", "team/a/"));
    assert_eq!(store.s3.credentials, Some(Credentials::new("i", "shh").into()));

    let environment = [("SANDKEEP_BUCKETS_BUCKET", "other"), ("SANDKEEP_BUCKETS_CREDENTIALS_FILE", "keys")];
    let store = resolve(&[file], &environment).expect("valid").default_store.expect("set");
    assert_eq!(store.bucket.as_str(), "other");
    let Some(CredentialSource::File(path)) = &store.s3.credentials else { panic!("{store:?}") };
    assert!(path.is_absolute() && path.ends_with("keys"), "{path:?}");

    let alone = [
        ("SANDKEEP_BUCKETS_ENDPOINT", "https://s3.example.org"),
        ("SANDKEEP_BUCKETS_BUCKET", "big"),
        ("AWS_ACCESS_KEY_ID", "of"),
        ("AWS_SECRET_ACCESS_KEY", "aws"),
    ];
    let store = resolve(&[], &alone).expect("valid").default_store.expect("set");
    assert_eq!(
        (store.prefix.as_str(), store.s3.credentials),
        ("", Some(Credentials::new("of", "aws").into()))
    );
    for (table, part) in [
        ("{ endpoint = 'https://h' }", "needs bucket"),
        ("{ bucket = 'b' }", "needs endpoint"),
        ("{ endpoint = 'https://h', bucket = 'b' }", "needs access_key_id"),
        (
            "{ endpoint = 'https://h', bucket = 'B', access_key_id = 'i', secret_access_key = 's' }",
            "buckets.default.bucket",
        ),
        ("{ endpoint = 'https://h', bucket = 'b', access_key_id = 'i' }", "or neither"),
        (
            "{ endpoint = 'https://h', bucket = 'b', credentials_file = 'f', credentials_command = 'c' }",
            "two ways",
        ),
        ("{ endpoint = 'https://h', bucket = 'b', unknown = 1 }", "unknown"),
    ] {
        let text = format!("[buckets]\ndefault = {table}\n");
        let error = resolve(&[("sandkeep.toml", &text)], &[]).expect_err("refused").to_string();
        assert!(error.contains(part), "{table}: {error}");
    }
}

#[test]
fn a_certificate_needs_its_key() {
    let settings = resolve(&[], &[("SANDKEEP_S3_TLS_CERTIFICATE", "c"), ("SANDKEEP_S3_TLS_KEY", "/k")]);
    let files = settings.expect("valid").s3_tls.expect("set");
    assert!(files.certificate.is_absolute() && files.key == Path::new("/k"));
    let error = resolve(&[("sandkeep.toml", "s3_tls_key = 'k'")], &[]).expect_err("refused").to_string();
    assert!(error.contains("s3_tls_certificate"), "{error}");
    let limits = "s3_requests = 4\ns3_all_requests = 9\ns3_bandwidth = 1000000\n";
    let settings = resolve(&[("sandkeep.toml", limits)], &[("SANDKEEP_S3_BANDWIDTH", "5")]).expect("valid");
    assert_eq!((settings.s3_requests.get(), settings.s3_all_requests.get()), (4, 9));
    assert_eq!(settings.s3_bandwidth.map(std::num::NonZero::get), Some(5));
}
