//! Bytes that no client sends, each refused without damage and with the next request served.

use std::time::{Duration, SystemTime};

use sandkeep_objects::sigv4::Signer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{Fixture, get, put};
use crate::raw::Raw;

/// The key that every attack aims at.
const VICTIM: &str = "victim";

async fn with_victim() -> Fixture {
    let fixture = Fixture::new().await;
    put(&*fixture.store, VICTIM, "untouched").await;
    fixture
}

/// Whatever comes back before the connection ends.
async fn exchange(fixture: &Fixture, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(fixture.host()).await.expect("connect");
    // The endpoint may refuse and close before everything is sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Nothing changed, and the endpoint goes on.
async fn unharmed(fixture: &Fixture, attack: &str) {
    assert_eq!(fixture.stored_keys().await, [VICTIM], "{attack}");
    assert_eq!(get(&*fixture.store, VICTIM).await, b"untouched", "{attack}");
    Raw::new(fixture, "GET /bucket/victim").send().await.check(200, "");
}

/// A signed request as text, up to and without the empty line.
fn signed_head(fixture: &Fixture, line: &str) -> String {
    let head = Raw::new(fixture, line).sign().0.text();
    head.trim_end_matches("\r\n").to_owned() + "\r\n"
}

#[tokio::test]
async fn requests_with_two_meanings_are_refused() {
    let fixture = with_victim().await;
    let put = signed_head(&fixture, "PUT /bucket/victim");
    let without_length = put.replace("content-length: 0\r\n", "");
    let smuggled = signed_head(&fixture, "DELETE /bucket/victim");
    let attacks = [
        (
            "both lengths",
            format!("{without_length}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "both lengths, the other way round",
            format!("{without_length}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunks without a length",
            format!("{without_length}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
        ),
        (
            "no host",
            put.lines()
                .filter(|line| !line.starts_with("host:"))
                .map(|line| format!("{line}\r\n"))
                .collect::<String>()
                + "\r\n",
        ),
        ("bucket of dots", put.replacen("/bucket/victim", "/../victim", 1) + "\r\n"),
        ("encoded bucket of dots", put.replacen("/bucket/victim", "/%2e%2e/victim", 1) + "\r\n"),
        ("NUL in bucket", put.replacen("/bucket/victim", "/bucket%00/victim", 1) + "\r\n"),
        ("slash in bucket", put.replacen("/bucket/victim", "/bucket%2Fvictim/x", 1) + "\r\n"),
        ("backslashes", put.replacen("/bucket/victim", "/..\\..\\bucket/victim", 1) + "\r\n"),
        ("two lengths", format!("{without_length}content-length: 4\r\ncontent-length: 5\r\n\r\nabcde")),
        ("odd encoding", format!("{without_length}transfer-encoding: chunked, identity\r\n\r\nabc")),
        ("negative length", format!("{without_length}content-length: -1\r\n\r\nabc")),
        ("huge length", format!("{without_length}content-length: 99999999999999999999\r\n\r\nabc")),
        ("second host", format!("{put}host: other\r\n\r\n")),
        ("second date", format!("{put}x-amz-date: 20200101T000000Z\r\n\r\n")),
        ("second hash", format!("{put}x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n\r\n")),
        ("second signature", format!("{put}authorization: AWS4-HMAC-SHA256 Credential=a\r\n\r\n")),
        ("folded header", format!("{put}x-amz-meta-a: b\r\n c: d\r\n\r\n")),
        ("space before colon", format!("{put}x-amz-meta-a : b\r\n\r\n")),
        ("NUL in header", format!("{put}x-amz-meta-a: \0\r\n\r\n")),
        ("bare line feeds", format!("{}\n", put.replace("\r\n", "\n").replacen("PUT", "DELETE", 1))),
        ("NUL in target", put.replacen("/bucket/victim", "/bucket/vic\0tim", 1) + "\r\n"),
        ("space in target", put.replacen("/bucket/victim", "/bucket/vic tim", 1) + "\r\n"),
        ("another object", put.replacen("/bucket/victim", "/bucket/other", 1) + "\r\n"),
        ("no version", put.replacen(" HTTP/1.1", "", 1) + "\r\n"),
        (
            "request in a refused body",
            format!(
                "{}content-length: {}\r\n\r\n{smuggled}\r\n",
                without_length.replacen("/bucket/victim", "/bucket/%ZZ", 1),
                smuggled.len() + 2
            ),
        ),
    ];
    for (attack, bytes) in attacks {
        let answer = exchange(&fixture, bytes.as_bytes()).await;
        let first = answer.lines().next().unwrap_or_default();
        assert!(answer.is_empty() || first.starts_with("HTTP/1.1 4"), "{attack}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count().max(1), 1, "{attack}: {answer}");
        unharmed(&fixture, attack).await;
    }
}

#[tokio::test]
async fn absolute_targets_name_no_other_server() {
    let fixture = with_victim().await;
    let head = signed_head(&fixture, "GET /bucket/victim");
    let absolute = head.replacen("/bucket/victim", "http://other.example/bucket/victim", 1) + "\r\n";
    let answer = exchange(&fixture, absolute.as_bytes()).await;
    // The signature is over path and Host header, whatever stands before the path.
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 4"), "{answer}");
    unharmed(&fixture, "absolute target").await;
}

#[tokio::test]
async fn heads_without_end_are_cut_off() {
    let fixture = with_victim().await;
    let head = signed_head(&fixture, "GET /bucket/victim");
    let many: String = (0..2000).map(|number| format!("x-{number}: y\r\n")).collect();
    for (attack, bytes) in [
        ("long header", format!("{head}x-long: {}\r\n\r\n", "y".repeat(1 << 20))),
        ("many headers", format!("{head}{many}\r\n")),
        ("long target", format!("GET /bucket/{} HTTP/1.1\r\n\r\n", "y".repeat(1 << 20))),
    ] {
        let answer = exchange(&fixture, bytes.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{attack}: {answer}");
        unharmed(&fixture, attack).await;
    }
}

#[tokio::test]
async fn documents_are_small_flat_and_without_entities() {
    let fixture = with_victim().await;
    let bomb = "<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>\
                <Delete><Object><Key>&b;</Key></Object></Delete>";
    let outside = "<!DOCTYPE d [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>\
                   <Delete><Object><Key>&a;</Key></Object></Delete>";
    let deep = format!("<Delete>{}", "<a>".repeat(100_000));
    let entity = "<Delete><Object><Key>&unknown;</Key></Object></Delete>";
    let cut = "<Delete><Object><Key>victim</Key></Object>";
    for body in [bomb, outside, &deep, entity, cut, "", "\u{0}", "<Other/>"] {
        let refused = Raw::new(&fixture, "POST /bucket?delete").body(body).send().await;
        refused.check(400, "MalformedXML");
        unharmed(&fixture, body.get(..40).unwrap_or(body)).await;
    }
    let large = Raw::new(&fixture, "POST /bucket?delete").body(vec![b' '; 50 << 20]).send().await;
    large.check(400, "MaxMessageLengthExceeded");
    let part = "<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>";
    let parts = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", part.repeat(20_000));
    let complete = Raw::new(&fixture, "POST /bucket/victim?uploadId=u").body(parts);
    complete.send().await.check(400, "MalformedXML");
    let parts = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", part.repeat(100_000));
    let complete = Raw::new(&fixture, "POST /bucket/victim?uploadId=u").body(parts);
    complete.send().await.check(400, "MaxMessageLengthExceeded");
    unharmed(&fixture, "many parts").await;
}

#[tokio::test]
async fn absurd_ranges_read_the_object_or_nothing() {
    let fixture = with_victim().await;
    for (range, status) in [
        ("bytes=-18446744073709551616", 206),
        ("bytes=0-18446744073709551615", 206),
        ("bytes=18446744073709551615-", 416),
        ("bytes=18446744073709551616-18446744073709551617", 416),
        ("bytes=-0", 416),
        ("bytes=-1-2", 200),
        ("bytes=5-2", 200),
        ("bytes=0-0,0-0,0-0", 200),
    ] {
        let answer = Raw::new(&fixture, "GET /bucket/victim").header("range", range).send().await;
        assert_eq!(answer.status, status, "{range}: {answer:?}");
    }
    unharmed(&fixture, "ranges").await;
}

#[tokio::test]
async fn presigned_requests_hold_for_what_was_signed() {
    let fixture = with_victim().await;
    let signer = Signer::new(fixture.credentials(), "us-east-1");
    let presign = |extra: &str| {
        let minute = Duration::from_secs(60);
        signer.presign(
            &http::Method::GET,
            &fixture.host(),
            "/bucket/victim",
            extra,
            minute,
            SystemTime::now(),
        )
    };
    let send = |line: String| Raw::new(&fixture, &line).send_as_it_is();
    let query = presign("");
    send(format!("GET /bucket/victim?{query}")).await.check(200, "");
    for line in [
        format!("DELETE /bucket/victim?{query}"),
        format!("PUT /bucket/victim?{query}"),
        format!("GET /bucket/other?{query}"),
        format!("GET /bucket/victim?{query}&X-Amz-Expires=600"),
        format!("GET /bucket/victim?X-Amz-Date=20200101T000000Z&{query}"),
        format!("GET /bucket/victim?{query}&{query}"),
        format!("GET /bucket/victim?{}", query.replace("X-Amz-Expires=60", "X-Amz-Expires=-60")),
        format!("GET /bucket/victim?{}", query.replace("X-Amz-Expires=60", "X-Amz-Expires=99999999")),
        format!("GET /bucket/victim?{}", query.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
    ] {
        let answer = send(line.clone()).await;
        assert!((400..500).contains(&answer.status), "{line}: {answer:?}");
        unharmed(&fixture, &line).await;
    }
    let doubled = presign("partNumber=1&partNumber=2");
    send(format!("GET /bucket/victim?{doubled}")).await.check(400, "InvalidArgument");
}

#[tokio::test]
async fn clients_that_send_nothing_keep_nobody_waiting() {
    let fixture = with_victim().await;
    let half = signed_head(&fixture, "PUT /bucket/victim").replace("content-length: 0", "content-length: 9");
    let mut idle = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(fixture.host()).await.expect("connect");
        // Nothing at all, half a head, or half a body.
        let sent = [String::new(), half[..40].to_owned(), format!("{half}\r\nabc")];
        stream.write_all(sent[number % 3].as_bytes()).await.expect("send");
        idle.push(stream);
    }
    unharmed(&fixture, "idle connections").await;
    drop(idle);
    unharmed(&fixture, "half bodies").await;
}
