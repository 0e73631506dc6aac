//! `sandkeep s3` alone, which tests kill.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use sandkeep_objects::{Credentials, ObjectService, ObjectStore};
use sandkeep_testing::acknowledged;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sandkeep");

pub(crate) struct Endpoint {
    child: Child,
    url: String,
    credentials: Credentials,
}

impl Endpoint {
    /// Serves the store in a directory, on a free port.
    pub(crate) fn start(data: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["--json", "s3", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it says where it listens");
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let url = said["endpoint"].as_str().expect("an endpoint").to_owned();
        let keys = json(&["keys", "--data"], data);
        let text = |name: &str| keys[name].as_str().expect("a string").to_owned();
        let credentials = Credentials::new(text("accessKeyId"), text("secretAccessKey"));
        Self { child, url, credentials }
    }

    pub(crate) async fn create_bucket(&self) {
        let client = acknowledged::client(&self.url, self.credentials.clone());
        client.create_bucket(&"bucket".parse().expect("a name")).await.expect("a bucket");
    }

    pub(crate) fn bucket(&self) -> Arc<dyn ObjectStore> {
        acknowledged::bucket(&self.url, self.credentials.clone())
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// SIGTERM, and the end.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().expect("kill runs").success());
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Only a failed test comes here with a server that runs.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What fsck says of a store that nobody serves, which must be good, and how many body files lie there.
pub(crate) fn check(data: &Path) {
    let report = json(&["s3", "fsck", "--data"], data);
    assert_eq!(report["damaged"], serde_json::json!([]), "{report}");
    let known = report["files"].as_u64().expect("a number");
    assert_eq!(body_files(&data.join("bodies")), known, "files that no object uses stay: {report}");
}

fn body_files(directory: &Path) -> u64 {
    let entries =
        std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { body_files(&path) } else { 1 }).sum()
}

fn json(words: &[&str], data: &Path) -> Value {
    let output =
        Command::new(PROGRAM).arg("--json").args(words).arg(data).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {errors}"))
}

/// How many rounds a long test runs.
pub(crate) fn rounds(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Waits until so many changes more were acknowledged.
pub(crate) async fn acknowledged_more(ledger: &acknowledged::Acknowledged, more: u64) {
    let until = ledger.count() + more;
    let reached = async {
        while ledger.count() < until {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), reached).await.expect("the server answers");
}
