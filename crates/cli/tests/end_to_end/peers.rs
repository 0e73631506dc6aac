//! Buckets that move to S3 servers of others. They are large, so that these tests run when asked for: `scripts/test all`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::service::Service;

/// A server that ends with its input.
struct Peer {
    told: Value,
    process: Child,
    _folder: TempDir,
}

impl Peer {
    fn start(kind: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("sandkeep-peer.").tempdir().expect("a folder");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/end_to_end/peers.py");
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/s3-peers/bin");
        let path = std::env::var("PATH").unwrap_or_default();
        let clients = std::env::var("SANDKEEP_TEST_CLIENTS").unwrap_or_default();
        let mut process = Command::new("python3")
            .args([script, kind])
            .arg(folder.path())
            .env("PATH", format!("{own}:{clients}:{path}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line).expect("a line");
        let told = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{kind} does not start"));
        Self { told, process, _folder: folder }
    }

    fn told(&self, name: &str) -> &str {
        self.told[name].as_str().expect("a string")
    }

    fn settings(&self) -> String {
        format!(
            "[buckets]\ndefault = {{ endpoint = '{}', bucket = 'outer', access_key_id = '{}', secret_access_key = '{}' }}\n\
             [bindings]\nOUTER = {{ bucket = 'outer', endpoint = '{0}', access_key_id = '{1}', secret_access_key = '{2}' }}\n",
            self.told("endpoint"),
            self.told("key"),
            self.told("secret")
        )
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

/// Objects of every kind, moved there, and used there by all who use buckets.
fn takes_over(kind: &str, tags: bool) {
    let peer = Peer::start(kind);
    let mut service = Service::start();
    let made = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "--aws-sigv4"])
        .arg(format!("aws:amz:{}:s3", if kind == "garage" { "garage" } else { "us-east-1" }))
        .args(["--user", &format!("{}:{}", peer.told("key"), peer.told("secret"))])
        .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", &format!("{}/outer", peer.told("endpoint"))])
        .output()
        .expect("curl runs");
    assert_eq!(made.stdout, b"200");
    service.ok(&["sandbox", "mount", "demo", "data", "/data", "--create"]);
    service.shell(
        "demo",
        "mkdir /data/d && for i in $(seq 40); do echo $i >/data/d/$i; done; chmod 751 /data/d/7",
    );
    service.shell(
        "demo",
        "head -c 40000000 /dev/urandom >/data/large; : >/data/empty; echo x >'/data/a b+c%\u{e9}'",
    );
    if tags {
        let put = "curl -sf -X PUT -d '<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>'";
        service.ok(&["sandbox", "grant", "demo", "plain", "--create"]);
        service.shell(
            "demo",
            "head -c 9000000 /dev/urandom >/tmp/f && curl -sf -T /tmp/f http://s3.internal/data/tagged",
        );
        let keys = service.keys();
        let tagged = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "{put} --aws-sigv4 aws:amz:us-east-1:s3 --user {}:{} -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' '{}/data/tagged?tagging='",
                keys.0, keys.1, service.endpoint()
            ))
            .status()
            .expect("curl runs");
        assert!(tagged.success());
    }
    let sums = "cd /data && find . -type f -print0 | sort -z | xargs -0 md5sum; stat -c %a d/7";
    let before = service.shell("demo", sums);
    service.restart_with(&peer.settings());
    let moved = service.json(&["bucket", "migrate", "data", "--delete-source"]);
    assert_eq!(moved["result"], "switched", "{moved}");
    assert_eq!(service.shell("demo", sums), before);
    service.ok(&["sandbox", "mount", "second", "data", "/data"]);
    assert_eq!(service.shell("second", sums), before);
    service.shell("second", "cd /data && mv d e && rm e/1 && head -c 30000000 /dev/zero >zeros && cp zeros copy && echo more >>copy");
    assert_eq!(
        service.shell("second", "cd /data && ls e | wc -l; stat -c %s zeros copy"),
        "39\n30000000\n30000005\n"
    );
    assert_eq!(
        service.shell("second", "curl -s http://s3.internal/data/e/2; curl -s http://data.s3.internal/e/3"),
        "2\n3\n"
    );
    service.shell("second", "mkdir -p /workspace/w; echo saved >/workspace/w/f");
    let id = service.ok(&["backup", "create", "--sandbox", "second", "/workspace/w"]);
    service.ok(&["backup", "restore", "--sandbox", "third", id.trim()]);
    assert_eq!(service.shell("third", "cat /workspace/w/f"), "saved\n");
    service.ok(&["sandbox", "mount", "third", "OUTER", "/data", "--binding"]);
    assert_eq!(service.shell("third", "cat /data/data/e/5"), "5\n");
    for id in ["demo", "second", "third"] {
        service.ok(&["sandbox", "rm", id]);
    }
    service.ok(&["bucket", "rm", "--force", "data"]);
    assert!(!service.ok(&["bucket", "ls"]).contains(" data "));
}

#[test]
#[ignore = "needs moto_server"]
fn moto_takes_over() {
    takes_over("moto", true);
}

#[test]
#[ignore = "needs garage: scripts/setup s3-peers"]
fn garage_takes_over() {
    takes_over("garage", false);
}

#[test]
#[ignore = "needs radosgw and ceph: scripts/setup s3-peers"]
fn radosgw_takes_over() {
    takes_over("radosgw", true);
}
