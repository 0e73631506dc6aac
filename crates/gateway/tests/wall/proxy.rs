//! The endpoint of a sandbox: what its grants allow reaches the origin, everything else ends here.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use sandkeep_gateway::{
    ALL_REQUESTS, FairQueue, Grant, Origin, SANDBOX_REQUESTS, SandboxEndpoint, SandboxLimits,
};
use sandkeep_objects::{
    Credentials, ListRequest, MemoryService, ObjectService, ObjectStore, S3Client, S3Settings,
};
use sandkeep_testing::gateway::TestGateway;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::clients::{client, run};
use crate::fixture::{get, put};

/// A remote origin with the buckets `far` and `secret`, an embedded store with `near` and `hidden`, and an endpoint.
pub(crate) struct Sandbox {
    endpoint: SandboxEndpoint,
    address: SocketAddr,
    origin: TestGateway,
    far: Arc<dyn ObjectService>,
    near: Arc<dyn ObjectService>,
}

impl Sandbox {
    pub(crate) async fn new() -> Self {
        let far: Arc<dyn ObjectService> = Arc::new(MemoryService::new());
        let near: Arc<dyn ObjectService> = Arc::new(MemoryService::new());
        for (service, names) in [(&far, ["far", "secret"]), (&near, ["near", "hidden"])] {
            for name in names {
                let name = name.parse().expect("a bucket name");
                service.create_bucket(&name).await.expect("a bucket");
                put(&*service.bucket(&name), "in side/a", "inside").await;
                put(&*service.bucket(&name), "in side2/a", "outside").await;
            }
        }
        let origin = TestGateway::start(Arc::clone(&far)).await;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let queue = FairQueue::new(ALL_REQUESTS);
        let endpoint =
            SandboxEndpoint::start(listener, Arc::clone(&near), limits(), &queue).expect("it serves");
        Self { endpoint, address, origin, far, near }
    }

    pub(crate) fn far_grant(&self, prefix: &str, read_only: bool) -> Grant {
        let url = self.origin.endpoint().parse().expect("a URL");
        let settings = S3Settings::new(url, Some(self.origin.credentials().clone()));
        let origin = Origin::Remote(Box::new(settings));
        Grant { origin, read_only, ..near_grant("far", prefix) }
    }

    pub(crate) fn grant(&self, grants: Vec<Grant>) {
        self.endpoint.grant(grants).expect("they can be granted");
    }

    pub(crate) fn store(&self, bucket: &str) -> Arc<dyn ObjectStore> {
        let service = if ["far", "secret"].contains(&bucket) { &self.far } else { &self.near };
        service.bucket(&bucket.parse().expect("a bucket name"))
    }

    pub(crate) async fn keys(&self, bucket: &str) -> Vec<String> {
        let page = self.store(bucket).list(ListRequest::default()).await.expect("a list");
        page.objects.into_iter().map(|object| object.key.display()).collect()
    }

    /// Status and everything that came back.
    pub(crate) async fn send(&self, line: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: s3.internal\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("send");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        self.check_secrets(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{line}: {answer}")), answer)
    }

    fn check_secrets(&self, answer: &str) {
        let Credentials { access_key_id, secret_access_key, .. } = self.origin.credentials();
        let address = self.origin.endpoint().replace("http://", "");
        for hidden in [&access_key_id.0, secret_access_key.expose(), address.as_str()] {
            assert!(!answer.contains(hidden), "{hidden} shows: {answer}");
        }
    }

    /// A client that finds the endpoint as one in a sandbox does.
    fn command(&self, program: &str, folder: &TempDir) -> Command {
        let mut command = Command::new(client(program));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.path())
            .env("LANG", "C.UTF-8")
            .env("AWS_ACCESS_KEY_ID", "sandbox")
            .env("AWS_SECRET_ACCESS_KEY", "sandbox")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .current_dir(folder.path())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn check(&self, line: &str, status: u16) {
        let (found, answer) = self.send(line, "", "").await;
        assert_eq!(found, status, "{line}: {answer}");
    }

    async fn check_copy(&self, target: &str, header: &str, status: u16) {
        let (found, answer) = self.send(&format!("PUT {target}"), &format!("{header}\r\n"), "").await;
        assert_eq!(found, status, "{target} from {header}: {answer}");
    }
}

pub(crate) fn limits() -> SandboxLimits {
    SandboxLimits { requests: SANDBOX_REQUESTS, bandwidth: None }
}

pub(crate) fn near_grant(bucket: &str, prefix: &str) -> Grant {
    Grant {
        bucket: bucket.parse().expect("a bucket name"),
        prefix: prefix.to_owned(),
        read_only: false,
        expires: None,
        origin: Origin::Embedded,
    }
}

#[tokio::test]
async fn nothing_but_the_grants_can_be_reached() {
    let sandbox = Sandbox::new().await;
    sandbox.check("GET /far/in%20side/a", 403).await;
    sandbox.grant(vec![sandbox.far_grant("in side", false), near_grant("near", "in side")]);
    for bucket in ["far", "near"] {
        for (line, status) in [
            ("GET /B/in%20side/a", 200),
            ("HEAD /B/in%20side/a", 200),
            ("HEAD /B", 200),
            ("GET /B?location", 200),
            ("GET /B?list-type=2&prefix=in%20side/", 200),
            ("GET /B?list-type=2&prefix=in+side%2F&delimiter=/", 200),
            ("PUT /B/in%20side/new", 200),
            ("PUT /B/in%20side/dir/", 200),
            ("HEAD /B/in%20side/dir/", 200),
            ("PUT /B/in%20side", 200),
            ("DELETE /B/in%20side/new", 204),
            ("GET /B/in%20side/missing", 404),
            ("GET /B/in%20side2/a", 403),
            ("GET /B//in%20side/a", 403),
            ("GET /B/in%20side%32/a", 403),
            ("PUT /B/in%20side/../../x", 200),
            ("PUT /B/outside", 403),
            ("DELETE /B", 403),
            ("PUT /B", 403),
            ("GET /B", 403),
            ("GET /B?list-type=2", 403),
            ("GET /B?prefix=in%20side", 403),
            ("GET /B?prefix=in%20side2/", 403),
            ("GET /B?prefix=in%20side/&prefix=", 400),
            ("POST /B?delete&prefix=in%20side/", 501),
            ("POST /B/in%20side/a?delete", 501),
            ("GET /B?policy", 501),
            ("PUT /B?policy", 501),
            ("DELETE /B?policy", 501),
            ("GET /B?acl", 403),
            ("PUT /B?acl", 403),
            ("PUT /B/in%20side/a?acl", 403),
            ("GET /B?lifecycle", 403),
            ("PUT /B?lifecycle", 403),
            ("DELETE /B?lifecycle", 403),
            ("PUT /B?cors", 403),
            ("GET /B?cors", 403),
            ("DELETE /B?cors", 403),
            ("OPTIONS /B/in%20side/a", 405),
            ("GET /B?uploads", 403),
            ("GET /B?versions&prefix=in%20side/", 501),
        ] {
            sandbox.check(&line.replace("/B", &format!("/{bucket}")), status).await;
        }
    }
    for line in
        ["GET /secret/in%20side/a", "GET /hidden/in%20side/a", "PUT /secret/x", "HEAD /hidden", "PUT /new"]
    {
        sandbox.check(line, 403).await;
    }
    for bucket in ["secret", "hidden"] {
        assert_eq!(sandbox.keys(bucket).await, ["in side/a", "in side2/a"]);
    }
    let (_, buckets) = sandbox.send("GET /", "", "").await;
    let names: Vec<_> = buckets.split("<Name>").skip(1).map(|rest| rest.split('<').next()).collect();
    assert_eq!(names, [Some("far"), Some("near")]);
}

#[tokio::test]
async fn keys_are_bytes_at_the_origin() {
    let sandbox = Sandbox::new().await;
    sandbox.grant(vec![sandbox.far_grant("p", false)]);
    for key in ["p/../x", "p/%2e%2e/y", "p//z", "p/a%20b%2Bc+d", "p/%00"] {
        sandbox.check(&format!("PUT /far/{key}"), 200).await;
        sandbox.check(&format!("GET /far/{key}"), 200).await;
    }
    let stored = sandbox.keys("far").await;
    for key in ["p/../x", "p/../y", "p//z", "p/a b+c+d"] {
        assert!(stored.iter().any(|known| known == key), "{key} in {stored:?}");
    }
}

#[tokio::test]
async fn sources_of_copies_lie_inside_too() {
    let sandbox = Sandbox::new().await;
    let locked = Grant { read_only: true, ..near_grant("hidden", "in side") };
    sandbox.grant(vec![sandbox.far_grant("in side", false), near_grant("near", "in side"), locked]);
    for bucket in ["far", "near"] {
        let target = format!("/{bucket}/in%20side/copy");
        let inside = format!("x-amz-copy-source: /{bucket}/in%20side/a");
        sandbox.check_copy(&target, &inside, 200).await;
        for (header, status) in [
            (format!("x-amz-copy-source: /{bucket}/in%20side2/a"), 403),
            (format!("x-amz-copy-source: {bucket}%2Fin%20side2%2Fa"), 403),
            (format!("x-amz-copy-source: /{bucket}/in%20side/a?versionId=null"), 200),
            ("x-amz-copy-source: /secret/in%20side/a".to_owned(), 403),
            ("x-amz-copy-source: nothing".to_owned(), 400),
            (format!("{inside}\r\n{inside}"), 400),
            (inside.replace("amz", "goog"), 501),
            (format!("{inside}\r\nx-goog-copy-source: /{bucket}/in%20side/a"), 400),
        ] {
            sandbox.check_copy(&target, &header, status).await;
        }
        sandbox.check_copy(&format!("/{bucket}/outside"), &inside, 403).await;
    }
    // Read here, written there; and not where the name would mean another bucket.
    sandbox.check_copy("/near/in%20side/copy", "x-amz-copy-source: /hidden/in%20side/a", 200).await;
    sandbox.check_copy("/hidden/in%20side/copy", "x-amz-copy-source: /near/in%20side/a", 403).await;
    sandbox.check_copy("/far/in%20side/copy", "x-amz-copy-source: /near/in%20side/a", 501).await;
}

#[tokio::test]
async fn read_only_grants_change_nothing() {
    let sandbox = Sandbox::new().await;
    sandbox.grant(vec![sandbox.far_grant("", true)]);
    for line in ["GET /far/in%20side/a", "GET /far", "HEAD /far"] {
        sandbox.check(line, 200).await;
    }
    for line in [
        "PUT /far/x",
        "DELETE /far/in%20side/a",
        "POST /far?delete",
        "POST /far/x?uploads",
        "PUT /far?policy",
        "DELETE /far",
        "PATCH /far/x",
    ] {
        sandbox.check(line, 403).await;
    }
    assert_eq!(sandbox.keys("far").await, ["in side/a", "in side2/a"]);
}

#[tokio::test]
async fn grants_end_and_are_replaced_while_it_serves() {
    let sandbox = Sandbox::new().await;
    let over = SystemTime::now() - Duration::from_secs(1);
    let later = SystemTime::now() + Duration::from_secs(3600);
    sandbox.grant(vec![Grant { expires: Some(over), ..near_grant("near", "") }]);
    sandbox.check("GET /near/in%20side/a", 403).await;
    sandbox.grant(vec![Grant { expires: Some(later), ..near_grant("near", "") }]);
    sandbox.check("GET /near/in%20side/a", 200).await;
    sandbox.grant(Vec::new());
    sandbox.check("GET /near/in%20side/a", 403).await;
    let contradictory = vec![
        Grant { bucket: "far".parse().expect("a name"), ..near_grant("far", "") },
        sandbox.far_grant("", false),
    ];
    assert!(sandbox.endpoint.grant(contradictory).is_err());
}

#[tokio::test]
async fn what_an_origin_says_of_itself_stays_outside() {
    let sandbox = Sandbox::new().await;
    let wrong = Credentials::new("AKIDWRONG", "canary");
    let grant = |settings: S3Settings| {
        let origin = Origin::Remote(Box::new(settings));
        Grant { origin, ..near_grant("far", "") }
    };
    sandbox
        .grant(vec![grant(S3Settings::new(sandbox.origin.endpoint().parse().expect("a URL"), Some(wrong)))]);
    let (status, answer) = sandbox.send("GET /far/x", "", "").await;
    assert_eq!(status, 500, "{answer}");
    assert!(!answer.contains("AKIDWRONG") && !answer.contains("canary"), "{answer}");
    sandbox.grant(vec![grant(S3Settings::new("http://localhost:1".parse().expect("a URL"), None))]);
    let (status, answer) = sandbox.send("GET /far/x", "", "").await;
    assert!(status >= 500 && !answer.contains("localhost"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_not_what_was_said_is_not_stored() {
    let sandbox = Sandbox::new().await;
    sandbox.grant(vec![sandbox.far_grant("", false), near_grant("near", "")]);
    let wrong = format!("x-amz-content-sha256: {}\r\n", "0".repeat(64));
    let ecdsa = "x-amz-content-sha256: STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD\r\n";
    let chunks =
        "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\nx-amz-decoded-content-length: 3\r\n";
    let body = "3;chunk-signature=00\r\nabc\r\n0;chunk-signature=00\r\n\r\n";
    for bucket in ["far", "near"] {
        assert_eq!(sandbox.send(&format!("PUT /{bucket}/bad"), &wrong, "abc").await.0, 400);
        assert_eq!(sandbox.send(&format!("PUT /{bucket}/bad"), ecdsa, "abc").await.0, 400);
        assert_eq!(sandbox.send(&format!("PUT /{bucket}/good"), chunks, body).await.0, 200);
        assert!(!sandbox.keys(bucket).await.contains(&"bad".to_owned()));
        assert_eq!(get(&*sandbox.store(bucket), "good").await, b"abc");
    }
}

/// aws-cli and boto3 with keys of no meaning: uploads in parts, listings, copies, downloads.
#[tokio::test]
async fn clients_work_with_keys_of_no_meaning() {
    let sandbox = Sandbox::new().await;
    sandbox.grant(vec![sandbox.far_grant("in side", false), near_grant("near", "")]);
    let folder = TempDir::new().expect("a folder");
    let large: Vec<u8> = (0..20_000_000_u32).map(|at| (at / 7) as u8).collect();
    std::fs::write(folder.path().join("large"), &large).expect("a file");
    for place in ["far/in side", "near"] {
        for arguments in [
            vec!["s3", "cp", "large", &format!("s3://{place}/large")],
            vec!["s3", "cp", &format!("s3://{place}/large"), &format!("s3://{place}/copy")],
            vec!["s3", "cp", &format!("s3://{place}/copy"), "back"],
            vec!["s3", "rm", "--recursive", &format!("s3://{place}/copy")],
        ] {
            run(sandbox.command("aws", &folder), arguments).await;
        }
        assert!(std::fs::read(folder.path().join("back")).expect("a file") == large);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wall/boto3_in_sandbox.py");
    for (bucket, prefix) in [("far", "in side"), ("near", "in side")] {
        sandbox.grant(vec![sandbox.far_grant("in side", false), near_grant("near", "in side")]);
        run(sandbox.command("python", &folder), [script, bucket, prefix]).await;
        assert!(sandbox.keys(bucket).await.contains(&format!("{prefix}2/a")));
    }
    assert!(get(&*sandbox.store("far"), "in side/large").await == large);
    // Our own client signs bodies and streams differently from theirs.
    let url = format!("http://{}", sandbox.address).parse().expect("a URL");
    let ours = S3Client::new(S3Settings::new(url, Some(Credentials::new("any", "thing")))).expect("settings");
    let store = ours.bucket(&"far".parse().expect("a name"));
    assert!(get(&*store, "in side/large").await == large);
}

/// As many requests as may, each with an answer that nobody reads: the next one waits until one of them is given up.
#[tokio::test]
async fn a_sandbox_has_so_many_requests_at_once() {
    let sandbox = Sandbox::new().await;
    sandbox.grant(vec![near_grant("near", "")]);
    put(&*sandbox.store("near"), "large", vec![0; 16 << 20]).await;
    let mut unread = Vec::new();
    for _ in 0..SANDBOX_REQUESTS.get() {
        let mut stream = TcpStream::connect(sandbox.address).await.expect("connect");
        stream.write_all(b"GET /near/large HTTP/1.1\r\nhost: s3.internal\r\n\r\n").await.expect("send");
        stream.read_exact(&mut [0; 12]).await.expect("a status");
        unread.push(stream);
    }
    let next = sandbox.send("HEAD /near/large", "", "");
    let mut next = std::pin::pin!(next);
    tokio::time::timeout(Duration::from_millis(100), next.as_mut()).await.expect_err("it waits");
    drop(unread.pop());
    assert_eq!(next.await.0, 200);
}

/// Two sandboxes, of which one asks for everything and reads nothing.
#[tokio::test]
async fn a_greedy_sandbox_does_not_starve_a_polite_one() {
    let near: Arc<dyn ObjectService> = Arc::new(MemoryService::new());
    near.create_bucket(&"near".parse().expect("a name")).await.expect("a bucket");
    put(&*near.bucket(&"near".parse().expect("a name")), "large", vec![0; 16 << 20]).await;
    let queue = FairQueue::new(4.try_into().expect("not zero"));
    let start = || {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let endpoint =
            SandboxEndpoint::start(listener, Arc::clone(&near), limits(), &queue).expect("it serves");
        endpoint.grant(vec![near_grant("near", "")]).expect("granted");
        (endpoint, address)
    };
    let ((_greedy, greedy), (_polite, polite)) = (start(), start());
    let request = b"GET /near/large HTTP/1.1\r\nhost: s3.internal\r\n\r\n";
    let mut unread = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(greedy).await.expect("connect");
        stream.write_all(request).await.expect("send");
        if number < 4 {
            stream.read_exact(&mut [0; 12]).await.expect("a status");
        }
        unread.push(stream);
    }
    for _ in 0..20 {
        let mut stream = TcpStream::connect(polite).await.expect("connect");
        let head = b"HEAD /near/large HTTP/1.1\r\nhost: s3.internal\r\nconnection: close\r\n\r\n";
        stream.write_all(head).await.expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    // And the greedy one has its share on: each that it gives up lets another one in.
    for given_up in 0..4 {
        drop(unread.remove(0));
        unread[3].read_exact(&mut [0; 12]).await.unwrap_or_else(|error| panic!("{given_up}: {error}"));
    }
}

#[tokio::test]
async fn names_below_the_endpoints_name_buckets() {
    let sandbox = Sandbox::new().await;
    sandbox.grant(vec![sandbox.far_grant("in side", false), near_grant("near", "in side")]);
    for (host, path, status) in [
        ("far.s3.internal", "/in%20side/a", 200),
        ("near.s3.internal:80", "/in%20side/a", 200),
        ("near.s3.internal", "/in%20side2/a", 403),
        ("secret.s3.internal", "/in%20side/a", 403),
        ("near.s3.internal", "/near/in%20side/a", 403),
        ("near.s3.internal", "/", 403),
        ("near.s3.internal", "/?list-type=2&prefix=in%20side/", 200),
    ] {
        let mut stream = TcpStream::connect(sandbox.address).await.expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}{path}: {answer}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is sent, nothing outside of the grant is changed at the origin.
    #[test]
    fn whatever_reaches_the_origin_lies_inside(
        lines in proptest::collection::vec((
            "(PUT|DELETE|POST)",
            "(/|)(far|%66ar|secret|\\.\\.|far/\\.\\./secret)(/|%2F|//|)(in%20side|in\\+side|in%20side2|)(/|%2f|//|2|)[a-c./%2]{0,6}",
            "(|\\?delete|\\?acl|\\?uploads|\\?prefix=in%20side/|\\?partNumber=1&uploadId=x|\\?key=in%20side/&key=)",
        ), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let sandbox = Sandbox::new().await;
            sandbox.grant(vec![sandbox.far_grant("in side", false)]);
            for (method, path, query) in lines {
                if path.starts_with('/') {
                    sandbox.send(&format!("{method} {path}{query}"), "", "").await;
                }
            }
            assert_eq!(sandbox.keys("secret").await, ["in side/a", "in side2/a"]);
            let far = sandbox.keys("far").await;
            assert!(far.contains(&"in side2/a".to_owned()), "{far:?}");
            let outside = |key: &&String| *key != "in side" && *key != "in side2/a" && !key.starts_with("in side/");
            assert_eq!(far.iter().find(outside), None);
        });
    }
}
