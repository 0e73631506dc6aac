//! Credentials from files and commands, seen by the requests that they sign.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sandkeep_objects::{
    CredentialSource, Credentials, Error, MemoryService, ObjectService, S3Client, S3Settings,
};
use sandkeep_testing::gateway::TestGateway;

struct Fixture {
    gateway: TestGateway,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let gateway = TestGateway::start(Arc::new(MemoryService::new())).await;
        Self { gateway, folder: tempfile::tempdir().expect("a folder") }
    }

    fn client(&self, source: CredentialSource) -> S3Client {
        let url = self.gateway.endpoint().parse().expect("a URL");
        let settings = S3Settings { credentials: Some(source), ..S3Settings::new(url, None) };
        S3Client::new(settings).expect("settings")
    }

    fn json(&self, credentials: &Credentials, expiration: &str) -> String {
        format!(
            r#"{{"Version": 1, "AccessKeyId": "{}", "SecretAccessKey": "{}", "Expiration": "{expiration}"}}"#,
            credentials.access_key_id.0,
            credentials.secret_access_key.expose()
        )
    }

    /// A command that counts how often it is run.
    fn command(&self, output: &str) -> CredentialSource {
        let folder = self.folder.path().display().to_string();
        fs::write(self.folder.path().join("output"), output).expect("written");
        CredentialSource::Command(format!("echo x >>'{folder}/runs'; cat '{folder}/output'"))
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.folder.path().join("runs")).unwrap_or_default().lines().count()
    }
}

fn write(path: &Path, credentials: &Credentials) {
    let text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        credentials.access_key_id.0,
        credentials.secret_access_key.expose()
    );
    // Renamed over the old one, so that no reader sees half of it.
    let draft = path.with_extension("new");
    fs::write(&draft, text).expect("written");
    fs::rename(draft, path).expect("renamed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_used_from_then_on() {
    let fixture = Fixture::new().await;
    let path = fixture.folder.path().join("credentials");
    let client = fixture.client(CredentialSource::File(path.clone()));
    let missing = client.list_buckets().await.expect_err("there is no file");
    assert!(matches!(&missing, Error::NoCredentials { what } if what.contains("credentials")), "{missing:?}");
    write(&path, &Credentials::new("unknown", "pair"));
    let refused = client.list_buckets().await.expect_err("the pair is unknown");
    assert!(matches!(refused, Error::InvalidCredentials { .. }), "{refused:?}");
    // A refusal lets the file be read again without waiting.
    write(&path, fixture.gateway.credentials());
    client.list_buckets().await.expect("the pair is known");
    fs::write(&path, "nonsense").expect("written");
    client.list_buckets().await.expect("what was there before is used on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_runs_again_when_its_answer_expires() {
    let fixture = Fixture::new().await;
    let own = fixture.gateway.credentials().clone();
    let client = fixture.client(fixture.command(&fixture.json(&own, "2099-01-01T00:00:00Z")));
    for _ in 0..5 {
        client.list_buckets().await.expect("the pair is known");
    }
    assert_eq!(fixture.runs(), 1);
    let fixture = Fixture::new().await;
    let own = fixture.gateway.credentials().clone();
    let client = fixture.client(fixture.command(&fixture.json(&own, "2001-01-01T00:00:00Z")));
    for _ in 0..3 {
        client.list_buckets().await.expect("the pair is known all the same");
    }
    assert_eq!(fixture.runs(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_ask_a_command_once() {
    let fixture = Fixture::new().await;
    let own = fixture.gateway.credentials().clone();
    let client = fixture.client(fixture.command(&fixture.json(&own, "2099-01-01T00:00:00Z")));
    let asked = (0..16).map(|_| client.list_buckets());
    for answer in futures::future::join_all(asked).await {
        answer.expect("the pair is known");
    }
    assert_eq!(fixture.runs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_says_is_in_no_error() {
    let fixture = Fixture::new().await;
    for line in
        ["echo secret-canary; echo secret-canary >&2; exit 3", "echo '{\"AccessKeyId\": \"secret-canary\"}'"]
    {
        let line = format!("{line} # ");
        let client = fixture.client(CredentialSource::Command(line.replace("canary", "$((40 + 2))")));
        let error = client.list_buckets().await.expect_err("it gives none");
        assert!(matches!(error, Error::NoCredentials { .. }), "{error:?}");
        assert!(!error.to_string().contains("secret-42"), "{error}");
    }
}
