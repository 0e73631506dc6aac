//! A service whose buckets are in another store, and how they get there.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::service::{PROGRAM, Service, free_address, kill};

/// A second endpoint, which knows nothing of the first.
pub(crate) struct Other {
    endpoint: String,
    keys: (String, String),
    process: Child,
    _folder: TempDir,
}

impl Other {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("sandkeep-other.").tempdir().expect("a folder");
        let address = free_address().to_string();
        let mut process = Command::new(PROGRAM)
            .args(["--json", "s3", "--listen", &address, "--data"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it says where it listens");
        let keys = Command::new(PROGRAM).args(["--json", "keys", "--data"]).arg(folder.path()).output();
        let keys: Value = serde_json::from_slice(&keys.expect("it runs").stdout).expect("JSON");
        let text = |name: &str| keys[name].as_str().expect("a string").to_owned();
        let keys = (text("accessKeyId"), text("secretAccessKey"));
        let other = Self { endpoint: format!("http://{address}"), keys, process, _folder: folder };
        assert_eq!(other.http("PUT", "/outer").0, 200);
        other
    }

    /// A signed request: status and body.
    pub(crate) fn http(&self, method: &str, path: &str) -> (u16, String) {
        let (id, secret) = &self.keys;
        let output = Command::new("curl")
            .args(["-s", "--max-time", "60", "-X", method, "-w", "\n%{http_code}", "--aws-sigv4"])
            .args(["aws:amz:us-east-1:s3", "--user", &format!("{id}:{secret}")])
            .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", &format!("{}{path}", self.endpoint)])
            .output()
            .expect("curl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// Settings that name it.
    pub(crate) fn settings(&self) -> String {
        let (id, secret) = &self.keys;
        format!(
            "[buckets]\ndefault = {{ endpoint = '{}', bucket = 'outer', prefix = 'team', access_key_id = '{id}', secret_access_key = '{secret}' }}\n",
            self.endpoint
        )
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        kill(self.process.id());
        drop(self.process.wait());
    }
}

fn bucket_of(service: &Service, name: &str) -> Value {
    let all = service.json(&["bucket", "ls"]);
    let found = all.as_array().and_then(|all| all.iter().find(|bucket| bucket["name"] == name));
    found.cloned().unwrap_or(Value::Null)
}

#[test]
fn a_bucket_moves_while_it_is_mounted() {
    let other = Other::start();
    let mut service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "data", "/data", "--create"]);
    // Whoever says --create twice means that it is there.
    service.ok(&["sandbox", "mount", "second", "data", "/data", "--create"]);
    service.shell(
        "demo",
        "mkdir /data/d; for i in $(seq 50); do echo $i >/data/d/$i; done; chmod 750 /data/d/7",
    );
    let early = service.run(&["bucket", "migrate", "data"]);
    let early = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(early.contains("[buckets] default") && early.contains("hint"), "{early}");

    service.restart_with(&other.settings());
    let writer = "(setsid sh -c 'i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); echo $i >/data/counter || echo failed >>/tmp/failed; done' >/dev/null 2>&1 &)";
    service.shell("demo", writer);
    let moved = service.json(&["bucket", "migrate", "data"]);
    service.shell("demo", "touch /tmp/stop");
    assert_eq!((&moved["result"], &moved["kept"]), (&"switched".into(), &"data-moved".into()), "{moved}");
    assert_eq!(moved["target"], "outer/team/data/");
    assert!(moved["doneObjects"].as_u64() >= Some(51), "{moved}");
    service.wait_until("the writer ends", |service| {
        service.shell("demo", "pgrep -f /tmp/stop || true").trim().is_empty()
    });
    assert_eq!(service.shell("demo", "cat /tmp/failed 2>/dev/null || true"), "");
    let last = service.shell("demo", "cat /data/counter");
    assert_eq!(service.shell("second", "sleep 1.1; cat /data/counter"), last);
    assert_eq!(other.http("GET", "/outer/team/data/counter"), (200, last));
    assert_eq!(service.shell("demo", "cat /data/d/* | sort -n | tail -1; stat -c %a /data/d/7"), "50\n750\n");
    assert_eq!(bucket_of(&service, "data")["place"], "remote");
    assert_eq!(bucket_of(&service, "data-moved")["place"], "embedded");
    let refused = service.run(&["bucket", "rm", "data-moved"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("--force data-moved"), "{text}");
    service.ok(&["bucket", "rm", "--force", "data-moved"]);
    assert_eq!(bucket_of(&service, "data-moved"), Value::Null);
    let again = service.run(&["bucket", "migrate", "data"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("already"), "{again:?}");
}

#[test]
fn everything_works_with_buckets_in_another_store() {
    let other = Other::start();
    let mut service = Service::start();
    service.restart_with(&other.settings());
    service.ok(&["sandbox", "mount", "demo", "data", "/data", "--create"]);
    service.shell(
        "demo",
        "mkdir /data/sub; echo kept >/data/sub/file; mkdir -p /workspace/w; echo saved >/workspace/w/f",
    );
    assert_eq!(other.http("GET", "/outer/team/data/sub/file"), (200, "kept\n".to_owned()));
    let info = bucket_of(&service, "data");
    assert_eq!((&info["place"], &info["objects"]), (&"remote".into(), &2.into()), "{info}");
    // S3 inside, with the bucket before the host's name as well.
    let get = "curl -s http://s3.internal/data/sub/file; curl -s http://data.s3.internal/sub/file";
    assert_eq!(service.shell("demo", get), "kept\nkept\n");
    let id = service.ok(&["backup", "create", "--sandbox", "demo", "/workspace/w"]);
    assert_eq!(bucket_of(&service, "sandkeep-backups")["place"], "remote");
    service.ok(&["backup", "restore", "--sandbox", "second", id.trim()]);
    assert_eq!(service.shell("second", "cat /workspace/w/f"), "saved\n");
    service.ok(&["bucket", "lifecycle", "data", "--expire-prefix", "old/", "--days", "3"]);
    assert_eq!(service.json(&["bucket", "lifecycle", "data"])[0]["expireAfterDays"], 3);
    // The gateway dies and comes back knowing where buckets are.
    let record = std::fs::read_to_string(service.path("run/gateway.json")).expect("the record");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    kill(u32::try_from(record["pid"].as_u64().expect("a pid")).expect("a pid"));
    service.wait_until("the next one answers", |service| {
        service.run(&["bucket", "ls"]).status.success() && bucket_of(service, "data")["place"] == "remote"
    });
    assert_eq!(service.shell("demo", "cat /data/sub/file"), "kept\n");
    service.ok(&["sandbox", "rm", "demo"]);
    service.ok(&["bucket", "rm", "--force", "data"]);
    assert_eq!(other.http("GET", "/outer/team/data/sub/file").0, 404);
    let (_, secret) = &other.keys;
    assert!(!service.log().contains(secret.as_str()));
}

#[test]
fn credentials_of_the_other_store_may_come_from_a_command() {
    let other = Other::start();
    let mut service = Service::start();
    let (id, secret) = &other.keys;
    let json = format!("{{\"Version\": 1, \"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \"{secret}\"}}");
    std::fs::write(service.path("keys"), json).expect("written");
    let settings = |how: &str| {
        format!(
            "[buckets]\ndefault = {{ endpoint = '{0}', bucket = 'outer', {how} }}\n[bindings]\nREMOTE = {{ bucket = 'outer', endpoint = '{0}', {how} }}\n",
            other.endpoint
        )
    };
    for how in ["credentials_command = 'cat ../keys 2>/dev/null || cat keys'", "credentials_file = 'keys'"] {
        let how = how.replace("../keys", &service.path("keys").display().to_string());
        service.restart_with(&settings(&how));
        let name = format!("made-{}", how.len());
        service.ok(&["bucket", "create", &name]);
        assert_eq!(bucket_of(&service, &name)["place"], "remote");
    }
    service.ok(&["sandbox", "mount", "demo", "REMOTE", "/data", "--binding"]);
    assert_eq!(service.shell("demo", "ls -A /data"), ".sandkeep\n");
    let get = "curl -s -o /dev/null -w '%{http_code}' http://s3.internal/outer/.sandkeep/buckets/none";
    assert_eq!(service.shell("demo", get), "404");
}

#[test]
fn rules_are_shown_changed_and_taken_away() {
    let service = Service::start();
    service.ok(&["bucket", "create", "data"]);
    assert_eq!(service.ok(&["bucket", "lifecycle", "data"]), "nothing in data goes by itself\n");
    let set = ["bucket", "lifecycle", "data", "--expire-prefix", "logs/", "--days", "7"];
    assert!(service.ok(&set).contains("7 days"));
    service.ok(&["bucket", "lifecycle", "data", "--abort-incomplete-days", "2"]);
    service.ok(&["bucket", "lifecycle", "data", "--expire-prefix", "logs/", "--days", "9"]);
    let rules = service.json(&["bucket", "lifecycle", "data"]);
    assert_eq!(rules.as_array().map(Vec::len), Some(2), "{rules}");
    let (status, body) = service.http("GET", "/v1/buckets/data/lifecycle", None);
    assert!(status == 200 && body.contains(r#""expireAfterDays":9"#), "{body}");
    service.ok(&["bucket", "lifecycle", "data", "--expire-prefix", "logs/", "--rm"]);
    let missing = service.run(&["bucket", "lifecycle", "data", "--expire-prefix", "logs/", "--rm"]);
    assert!(!missing.status.success());
    service.ok(&["bucket", "lifecycle", "data", "--rm"]);
    assert_eq!(service.json(&["bucket", "lifecycle", "data"]), serde_json::json!([]));
    for rules in [
        r#"{"rules": [{"id": "a", "expireAfterDays": 0}]}"#,
        r#"{"rules": [{"id": "a"}]}"#,
        r#"{"rules": [{"id": "", "expireAfterDays": 1}]}"#,
        r#"{"rules": [{"id": "a", "expireAfterDays": 1}, {"id": "a", "expireAfterDays": 2}]}"#,
        r#"{"rules": [{"id": "a", "expireAfterDays": 1, "unknown": 1}]}"#,
        r#"{"rules": 3}"#,
    ] {
        let (status, body) = service.http("PUT", "/v1/buckets/data/lifecycle", Some(rules));
        assert!(status == 400 && body.contains("VALIDATION_FAILED"), "{rules}: {body}");
    }
    let (status, _) = service.http("GET", "/v1/buckets/missing/lifecycle", None);
    assert_eq!(status, 404);
    for query in ["?force=maybe", "?forced=true", "?force=true&force=true"] {
        assert_eq!(service.http("DELETE", &format!("/v1/buckets/data{query}"), None).0, 400, "{query}");
    }
}
