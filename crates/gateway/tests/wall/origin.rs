//! What a remote origin gets to see of a sandbox, and the sandbox of the origin: one that records every request, and
//! answers as badly as it can.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use sandkeep_gateway::{ALL_REQUESTS, FairQueue, Grant, Origin, SandboxEndpoint};
use sandkeep_objects::{Credentials, MemoryService, S3Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::proxy::{limits, near_grant};

pub(crate) const ACCESS_KEY: &str = "AKIDCANARYREALKEY";
const SECRET: &str = "canary-real-secret";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Everything that arrived, and what is answered: status, and body with `{canary}` for what it knows of the request.
#[derive(Clone, Debug)]
struct Behaviour {
    seen: Arc<Mutex<Vec<Seen>>>,
    status: StatusCode,
    body: &'static str,
}

/// Ends with its runtime.
async fn origin(behaviour: Behaviour) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let behaviour = behaviour.clone();
            let service = service_fn(move |request| {
                let behaviour = behaviour.clone();
                async move { Ok::<_, Infallible>(behave(&behaviour, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            drop(tokio::spawn(connection.serve_connection(TokioIo::new(stream), service)));
        }
    });
    address
}

async fn behave(behaviour: &Behaviour, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let canary = format!("{} http://{}/ canary-of-the-origin", text("authorization"), text("host"));
    behaviour.seen.lock().expect("not poisoned").push(Seen {
        method: parts.method,
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let header = canary.replace('\n', " ");
    let mut answer = Response::builder()
        .status(behaviour.status)
        .header("etag", "\"0123456789abcdef0123456789abcdef\"")
        .header("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
    for name in
        ["server", "x-amz-id-2", "x-amz-request-id", "location", "www-authenticate", "x-canary", "via"]
    {
        answer = answer.header(name, &header);
    }
    answer.body(Full::new(behaviour.body.replace("{canary}", &canary).into())).expect("an answer")
}

pub(crate) struct Fixture {
    _endpoint: SandboxEndpoint,
    address: SocketAddr,
    pub(crate) origin: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fixture {
    pub(crate) async fn new(status: u16, body: &'static str) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let status = StatusCode::from_u16(status).expect("a status");
        let origin = origin(Behaviour { seen: Arc::clone(&seen), status, body }).await;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let queue = FairQueue::new(ALL_REQUESTS);
        let endpoint = SandboxEndpoint::start(listener, Arc::new(MemoryService::new()), limits(), &queue);
        let endpoint = endpoint.expect("it serves");
        let url = format!("http://{origin}").parse().expect("a URL");
        let settings = S3Settings::new(url, Some(Credentials::new(ACCESS_KEY, SECRET)));
        let grant = Grant { origin: Origin::Remote(Box::new(settings)), ..near_grant("far", "in side") };
        endpoint.grant(vec![grant]).expect("granted");
        Self { _endpoint: endpoint, address, origin, seen }
    }

    pub(crate) async fn send(&self, line: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: s3.internal\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("send");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[track_caller]
    fn check(&self, line: &str, answer: &str) {
        let origin = self.origin.to_string();
        for hidden in [ACCESS_KEY, SECRET, &origin, "Signature=", "canary"] {
            assert!(!answer.contains(hidden), "{line}: {hidden} shows in {answer}");
        }
    }
}

const LINES: [&str; 14] = [
    "GET /far/in%20side/a",
    "HEAD /far/in%20side/a",
    "PUT /far/in%20side/a",
    "DELETE /far/in%20side/a",
    "GET /far?list-type=2&prefix=in%20side/",
    "GET /far?prefix=in%20side/&delimiter=/",
    "GET /far?uploads&prefix=in%20side/",
    "POST /far/in%20side/a?uploads",
    "PUT /far/in%20side/a?uploadId=u&partNumber=1",
    "GET /far/in%20side/a?uploadId=u",
    "DELETE /far/in%20side/a?uploadId=u",
    "HEAD /far",
    "GET /far?location",
    "GET /far/in%20side/a?tagging",
];

const COMPLETION: &str = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"e\"</ETag></Part></CompleteMultipartUpload>";
const DELETION: &str =
    "<Delete><Object><Key>in side/a</Key></Object><Object><Key>in side/b</Key></Object></Delete>";

async fn show_nothing(status: u16, body: &'static str) {
    let fixture = Fixture::new(status, body).await;
    // What an object holds is the sandbox's, whatever it is.
    for line in LINES.into_iter().filter(|line| status != 200 || *line != LINES[0]) {
        let answer = fixture.send(line, "", "").await;
        fixture.check(line, &answer);
    }
    let completed = fixture.send("POST /far/in%20side/a?uploadId=u", "", COMPLETION).await;
    fixture.check("completion", &completed);
    let deleted = fixture.send("POST /far?delete", "", DELETION).await;
    fixture.check("deletion", &deleted);
    let source = "x-amz-copy-source: /far/in%20side/b\r\n";
    let copied = fixture.send("PUT /far/in%20side/a", source, "").await;
    fixture.check("copy", &copied);
    // It was asked at all.
    assert!(fixture.seen.lock().expect("not poisoned").len() >= LINES.len());
}

#[tokio::test]
async fn errors_of_an_origin_tell_nothing_of_it() {
    for code in ["AccessDenied", "SignatureDoesNotMatch", "InvalidArgument", "NoSuchKey", "PermanentRedirect"]
    {
        let body: &'static str = Box::leak(
            format!(
                "<Error><Code>{code}</Code><Message>{{canary}}</Message><AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId>\
                 <Endpoint>{{canary}}</Endpoint><StringToSign>{{canary}}</StringToSign><HostId>{{canary}}</HostId>\
                 <Key>{{canary}}</Key><BucketName>{{canary}}</BucketName></Error>"
            )
            .into_boxed_str(),
        );
        for status in [400, 403, 404, 409, 301] {
            show_nothing(status, body).await;
        }
    }
    // Codes that are no codes, and no document at all.
    show_nothing(400, "<Error><Code>{canary}</Code><Message>{canary}</Message></Error>").await;
    show_nothing(404, "{canary}").await;
    show_nothing(200, "<Error><Code>{canary}</Code><Message>{canary}</Message></Error>").await;
}

#[tokio::test]
async fn successes_of_an_origin_tell_nothing_of_it() {
    show_nothing(
        200,
        "<CompleteMultipartUploadResult><Location>{canary}</Location><Bucket>{canary}</Bucket><Key>{canary}</Key>\
         <ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>",
    )
    .await;
    show_nothing(
        200,
        "<ListBucketResult><Name>{canary}</Name><Prefix>{canary}</Prefix><IsTruncated>false</IsTruncated><Contents>\
         <Key>in side/a</Key><LastModified>2015-10-21T07:28:00Z</LastModified><ETag>\"e\"</ETag><Size>1</Size>\
         <Owner><ID>{canary}</ID><DisplayName>{canary}</DisplayName></Owner><StorageClass>{canary}</StorageClass>\
         </Contents></ListBucketResult>",
    )
    .await;
    show_nothing(
        200,
        "<DeleteResult><Error><Key>in side/a</Key><Code>{canary}</Code><Message>{canary}</Message></Error></DeleteResult>",
    )
    .await;
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| digit.try_into().ok())
}

/// Bytes behind a percent sign or themselves, decoded by hand.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, behind @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0));
                rest = behind;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

fn inside(key: &[u8]) -> bool {
    key == b"in side" || key.starts_with(b"in side/")
}

/// Whether everything that a request to the origin names lies inside of the grant, by a reading of its own.
fn lies_inside(seen: &Seen) -> bool {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let parameters: Vec<(&str, Vec<u8>)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name, decoded(&value.replace('+', " "))))
        .collect();
    let known = [
        "list-type",
        "prefix",
        "delimiter",
        "encoding-type",
        "max-keys",
        "start-after",
        "marker",
        "continuation-token",
        "metadata",
        "uploads",
        "uploadId",
        "partNumber",
        "part-number-marker",
        "key-marker",
        "upload-id-marker",
        "delete",
        "tagging",
        "location",
    ];
    if parameters.iter().any(|(name, _)| !known.contains(name)) {
        return false;
    }
    let source = seen.headers.get("x-amz-copy-source").map(|value| decoded(value.to_str().unwrap_or("")));
    let source_inside = source.is_none_or(|source| source.strip_prefix(b"/far/").is_some_and(inside));
    let keys: Vec<&str> =
        seen.body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()).collect();
    let keys_inside = keys.iter().all(|key| inside(key.as_bytes()));
    let target = match path.strip_prefix("/far").map(|rest| rest.strip_prefix('/')) {
        Some(Some(key)) if !key.is_empty() => inside(&decoded(key)),
        Some(_) => {
            let prefix = parameters.iter().find(|(name, _)| *name == "prefix");
            let lists = prefix.is_some_and(|(_, prefix)| prefix.starts_with(b"in side/"));
            let deletes = seen.method == Method::POST && query.starts_with("delete") && !keys.is_empty();
            let asks = seen.method == Method::HEAD && query.is_empty();
            lists || deletes || asks || (seen.method == Method::GET && query.starts_with("location"))
        }
        None => false,
    };
    source_inside && keys_inside && target
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever is sent, the origin sees nothing that names a key outside.
    #[test]
    fn whatever_the_origin_sees_lies_inside(
        requests in proptest::collection::vec((
            "(GET|HEAD|PUT|DELETE|POST)",
            "/(far|%66ar|secret|far/\\.\\.|FAR)(/|%2F|//|)(in%20side|in%20side|in\\+side|in%20side2|%69n%20side|)(/|%2f|//|2|)[a-c./%2]{0,6}",
            "(|\\?delete|\\?acl|\\?uploads|\\?uploads&prefix=in%20side/|\\?list-type=2&prefix=in%20side/|\\?prefix=in\\+side%2f&marker=x|\\?list-type=2&prefix=in%20side/&prefix=|\\?prefix=in%20side2/|\\?partNumber=1&uploadId=x|\\?uploadId=x|\\?uploadId=x&uploadId=y|\\?key=in%20side/&key=|\\?delete&prefix=in%20side/|\\?policy|\\?versionId=null|\\?tagging)",
            proptest::option::of("(/|)(far|secret|%66ar)(/|%2F)(in%20side|in side|in%20side2|)(/|%2f|)[a-c.%2]{0,4}(|\\?versionId=null)"),
            proptest::collection::vec("(in side|in side2|secret|\\.\\./in side|)(/|&#47;|)[a-c.]{0,3}", 0..3),
        ), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let fixture = Fixture::new(200, "<Result><ETag>\"e\"</ETag><UploadId>u</UploadId></Result>").await;
            for (method, path, query, source, keys) in requests {
                let header = source.map(|source| format!("x-amz-copy-source: {source}\r\n")).unwrap_or_default();
                let objects: String = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
                let body = if method == "POST" { format!("<Delete>{objects}</Delete>") } else { String::new() };
                fixture.send(&format!("{method} {path}{query}"), &header, &body).await;
            }
            for seen in fixture.seen.lock().expect("not poisoned").iter() {
                assert!(lies_inside(seen), "{seen:?}");
            }
        });
    }
}
