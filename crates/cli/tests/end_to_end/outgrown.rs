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
    let writer = "(setsid sh -c 'i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); echo $i >/data/counter || echo failed >>/tmp/failed; done; touch /tmp/ended' >/dev/null 2>&1 &)";
    service.shell("demo", writer);
    let moved = service.json(&["bucket", "migrate", "data"]);
    service.shell("demo", "touch /tmp/stop");
    assert_eq!((&moved["result"], &moved["kept"]), (&"switched".into(), &"data-moved".into()), "{moved}");
    assert_eq!(moved["target"], "outer/team/data/");
    assert!(moved["doneObjects"].as_u64() >= Some(51), "{moved}");
    service.wait_until("the writer ends", |service| {
        service.run(&["sandbox", "exec", "demo", "--", "test", "-e", "/tmp/ended"]).status.success()
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

/// The number of the gateway's process.
fn gateway(service: &Service) -> u32 {
    let record = std::fs::read_to_string(service.path("run/gateway.json")).expect("the record");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    u32::try_from(record["pid"].as_u64().expect("a pid")).expect("a pid")
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

#[test]
fn a_move_goes_on_after_its_process_was_killed() {
    let other = Other::start();
    let mut service = Service::start();
    service.ok(&["sandbox", "grant", "demo", "data", "--create"]);
    let put = "cd /tmp && for i in $(seq 1500); do echo $i >f$i; done; curl -s --parallel --parallel-max 16 -T 'f[1-1500]' http://s3.internal/data/";
    service.shell("demo", put);
    assert_eq!(bucket_of(&service, "data")["objects"], 1500);
    service.restart_with(&other.settings());
    let begun = service.http("POST", "/v1/buckets/data/migration", Some("{}"));
    assert_eq!(begun.0, 202, "{}", begun.1);
    let status = |service: &Service| -> Value {
        let (_, body) = service.http("GET", "/v1/buckets/data/migration", None);
        serde_json::from_str(&body).unwrap_or_default()
    };
    service.wait_until("something is copied", |service| status(service)["doneObjects"].as_u64() >= Some(20));
    // The other store stops answering, so that the move is in its middle when its process dies.
    signal("-STOP", other.process.id());
    // A new daemon that says the same as the one before leaves the move alone.
    service.kill_daemon();
    service.start_daemon();
    let before = status(&service);
    signal("-KILL", gateway(&service));
    signal("-CONT", other.process.id());
    assert!(before["result"].is_null(), "it was over too soon: {before}");
    service.wait_until("the next one answers", |service| service.run(&["bucket", "ls"]).status.success());
    assert_eq!(bucket_of(&service, "data")["place"], "embedded");
    let moved = service.json(&["bucket", "migrate", "data", "--delete-source"]);
    assert_eq!(moved["result"], "switched", "{moved}");
    assert!(moved["foundObjects"].as_u64() >= Some(20), "{moved}");
    let info = bucket_of(&service, "data");
    assert_eq!((&info["place"], &info["objects"]), (&"remote".into(), &1500.into()), "{info}");
    assert_eq!(service.json(&["bucket", "ls"]).as_array().map(Vec::len), Some(1));
    assert_eq!(service.shell("demo", "curl -s http://s3.internal/data/f1234"), "1234\n");
}

/// Bytes that a process held at most.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the kernel tells it");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

/// Half a gigabyte goes to another server and back through the gateway, which holds a small part of it.
#[test]
fn bodies_are_streamed() {
    let other = Other::start();
    let service = Service::start();
    let (id, secret) = &other.keys;
    let request = serde_json::json!({
        "bucket": "outer", "endpoint": other.endpoint,
        "credentials": { "accessKeyId": id, "secretAccessKey": secret },
    });
    let (status, body) = service.http("POST", "/v1/sandboxes/demo/grants", Some(&request.to_string()));
    assert!(status < 300, "{body}");
    let before = peak(gateway(&service));
    let there = "truncate -s 512M /tmp/large && curl -sf -T /tmp/large http://s3.internal/outer/large && rm /tmp/large";
    service.shell("demo", there);
    let back = "curl -sf http://s3.internal/outer/large | wc -c";
    assert_eq!(service.shell("demo", back), format!("{}\n", 512 << 20));
    let grown = peak(gateway(&service)) - before;
    assert!(grown < 64 << 20, "the gateway grew by {grown} bytes");
}

#[test]
fn grants_survive_the_daemon_and_the_gateway_together() {
    let other = Other::start();
    let mut service = Service::start();
    service.ok(&["sandbox", "grant", "demo", "near", "--create"]);
    let (id, secret) = &other.keys;
    let request = serde_json::json!({
        "bucket": "outer", "endpoint": other.endpoint, "prefix": "/in/",
        "credentials": { "accessKeyId": id, "secretAccessKey": secret },
    });
    let (status, body) = service.http("POST", "/v1/sandboxes/demo/grants", Some(&request.to_string()));
    assert!(status < 300, "{body}");
    let revoked = service.ok(&["sandbox", "grant", "demo", "third", "--create"]);
    service.ok(&["sandbox", "revoke", "demo", revoked.trim()]);
    let code = |path: &str| {
        format!("curl -s -o /dev/null -w '%{{http_code}}' -T /etc/hostname http://s3.internal/{path}")
    };
    assert_eq!(service.shell("demo", &code("outer/in/a")), "200");
    let pid = gateway(&service);
    service.kill_daemon();
    signal("-KILL", pid);
    service.start_daemon();
    for (path, expected) in
        [("outer/in/b", "200"), ("near/c", "200"), ("outer/outside", "403"), ("third/d", "403")]
    {
        assert_eq!(service.shell("demo", &code(path)), expected, "{path}");
    }
    assert_eq!(service.json(&["sandbox", "grants", "demo"]).as_array().map(Vec::len), Some(2));
    assert_eq!(other.http("GET", "/outer/in/b").0, 200);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(service.path("data/state.db")).expect("a file").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_endpoint_of_the_service_speaks_https() {
    let mut service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "data", "/data", "--create"]);
    let certify = |service: &Service| {
        let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=sandkeep \
                         -addext subjectAltName=IP:127.0.0.1 -out c.pem -keyout k.pem";
        let made = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(service.folder.path())
            .output();
        assert!(made.expect("openssl runs").status.success());
    };
    certify(&service);
    service.restart_with("s3_tls_certificate = 'c.pem'\ns3_tls_key = 'k.pem'\n");
    let reached = |service: &Service, scheme: &str| {
        let url = service.endpoint().replace("http:", scheme);
        let certificate = service.path("c.pem");
        let answer = Command::new("curl").args(["-s", "--cacert"]).arg(certificate).arg(url).output();
        String::from_utf8_lossy(&answer.expect("curl runs").stdout).contains("AccessDenied")
    };
    assert!(reached(&service, "https:") && !reached(&service, "http:"));
    let (_, info) = service.http("GET", "/v1/info", None);
    assert!(info.contains(&service.endpoint().replace("http:", "https:")), "{info}");
    // The mount from before goes on, and new ones are made; also by the address that everyone knows.
    service.shell("demo", "echo secure >/data/a");
    service.ok(&["sandbox", "mount", "second", "data", "/data"]);
    assert_eq!(service.shell("second", "cat /data/a"), "secure\n");
    signal("-KILL", gateway(&service));
    service.wait_until("the next one answers", |service| reached(service, "https:"));
    service.shell("demo", "echo again >/data/a");
    certify(&service);
    assert!(reached(&service, "https:"), "the new certificate is used");
    service.restart_with("");
    assert!(reached(&service, "http:"));
    assert_eq!(service.shell("demo", "cat /data/a"), "again\n");
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
    kill(gateway(&service));
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
