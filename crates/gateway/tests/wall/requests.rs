//! Operations by our own client, and answers byte by byte where clients are picky.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use sandkeep_gateway::{Gateway, GatewaySettings, KeyRing};
use sandkeep_objects::{
    Body, BucketName, ByteRange, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload,
    DirectoryService, Error, GetRequest, ListRequest, MetadataDirective, ObjectMetadata, ObjectService,
    PutRequest, S3Client, S3Settings, WriteConditions,
};

use crate::fixture::{Fixture, bucket, get, key, put};
use crate::raw::Raw;

#[tokio::test]
async fn buckets_come_and_go() {
    let fixture = Fixture::new().await;
    let other: BucketName = "other".parse().expect("a name");
    fixture.client.create_bucket(&other).await.expect("create");
    assert!(matches!(fixture.client.create_bucket(&other).await, Err(Error::BucketExists { .. })));
    let names: Vec<String> = fixture
        .client
        .list_buckets()
        .await
        .expect("list")
        .into_iter()
        .map(|bucket| bucket.name.into())
        .collect();
    assert_eq!(names, ["bucket", "other"]);
    put(&*fixture.client.bucket(&other), "k", "text").await;
    assert!(matches!(fixture.client.delete_bucket(&other).await, Err(Error::BucketNotEmpty { .. })));
    fixture.client.bucket(&other).delete(&key("k")).await.expect("delete");
    fixture.client.delete_bucket(&other).await.expect("delete");
    assert!(matches!(fixture.client.head_bucket(&other).await, Err(Error::NoSuchBucket { .. })));
}

#[tokio::test]
async fn objects_keep_their_bytes_and_metadata() {
    let fixture = Fixture::new().await;
    let remote = fixture.remote();
    let metadata = ObjectMetadata {
        content_type: Some("text/plain".to_owned()),
        content_encoding: Some("gzip".to_owned()),
        cache_control: Some("no-cache".to_owned()),
        user: [("mode".to_owned(), "33188".to_owned())].into(),
        ..ObjectMetadata::default()
    };
    for name in ["plain", "with space", "ü+&%=?#", "a//b", "dir/", "../up"] {
        let body = Bytes::from(format!("content of {name}").repeat(5000));
        let request =
            PutRequest { key: key(name), metadata: metadata.clone(), conditions: WriteConditions::IfAbsent };
        remote.put(request.clone(), Body::Bytes(body.clone())).await.expect(name);
        assert!(matches!(
            remote.put(request, Body::Bytes(Bytes::new())).await,
            Err(Error::PreconditionFailed)
        ));
        assert_eq!(get(&*remote, name).await, body);
        assert_eq!(remote.head(&key(name), Conditions::default()).await.expect("head").metadata, metadata);
    }
    let page = remote.list(ListRequest::default()).await.expect("list");
    let names: Vec<String> = page.objects.iter().map(|object| object.key.display()).collect();
    assert_eq!(names, fixture.stored_keys().await);
    assert_eq!(names.len(), 6);
    assert!(page.objects.iter().all(|object| object.metadata.as_ref() == Some(&metadata)), "{page:?}");
}

#[tokio::test]
async fn reads_take_ranges_and_conditions() {
    let fixture = Fixture::new().await;
    let remote = fixture.remote();
    put(&*remote, "k", "0123456789").await;
    let etag = remote.head(&key("k"), Conditions::default()).await.expect("head").etag;
    let read = |range, conditions| {
        let (remote, request) = (remote.clone(), GetRequest { key: key("k"), range, conditions });
        async move {
            let body = remote.get(request).await?.body.try_collect::<Vec<Bytes>>().await?;
            Ok::<_, Error>(String::from_utf8(body.concat()).expect("text"))
        }
    };
    let bounded = |start, end| Some(ByteRange::Bounded { start, end });
    assert_eq!(read(bounded(2, 5), Conditions::default()).await.expect("a range"), "234");
    assert_eq!(read(Some(ByteRange::Last(3)), Conditions::default()).await.expect("a range"), "789");
    assert_eq!(read(Some(ByteRange::From(8)), Conditions::default()).await.expect("a range"), "89");
    let outside = read(bounded(10, 11), Conditions::default()).await;
    assert!(matches!(outside, Err(Error::InvalidRange { .. })), "{outside:?}");
    let same = Conditions { if_none_match: Some(etag.clone()), ..Conditions::default() };
    assert!(matches!(read(None, same).await, Err(Error::NotModified)));
    let other =
        Conditions { if_match: Some(sandkeep_objects::ETag("x".to_owned())), ..Conditions::default() };
    assert!(matches!(read(None, other).await, Err(Error::PreconditionFailed)));
}

#[tokio::test]
async fn multipart_uploads_and_copies_work_from_end_to_end() {
    let fixture = Fixture::new().await;
    let remote = fixture.remote();
    let upload = CreateUpload { key: key("big"), metadata: ObjectMetadata::default() };
    let upload = remote.create_upload(upload).await.expect("create");
    let (first, last) = (Bytes::from(vec![b'a'; 5 << 20]), Bytes::from_static(b"the end"));
    let mut parts = Vec::new();
    for (number, body) in [(1, &first), (2, &last)] {
        let etag = remote.upload_part(&upload, number, Body::Bytes(body.clone())).await.expect("part");
        parts.push(CompletedPart { number, etag });
    }
    assert_eq!(remote.list_parts(&upload).await.expect("parts").len(), 2);
    assert_eq!(remote.list_uploads(b"b").await.expect("uploads").len(), 1);
    let done = remote.complete_upload(&upload, &parts, WriteConditions::IfAbsent).await.expect("complete");
    assert!(done.etag.0.ends_with("-2"), "{done:?}");
    assert_eq!(get(&*remote, "big").await, [&first[..], &last[..]].concat());

    let source =
        |name| CopySource { bucket: Some(bucket()), key: key(name), conditions: Conditions::default() };
    let copy = CopyRequest {
        source: source("big"),
        key: key("copy of it"),
        metadata: MetadataDirective::Copy,
        conditions: WriteConditions::None,
        checksum: None,
    };
    remote.copy(copy).await.expect("copy");
    let upload = CreateUpload { key: key("end"), metadata: ObjectMetadata::default() };
    let upload = remote.create_upload(upload).await.expect("create");
    let range = (5 << 20) + 4..(5 << 20) + 7;
    let etag = remote.upload_part_copy(&upload, 1, source("copy of it"), range).await.expect("part");
    let parts = [CompletedPart { number: 1, etag }];
    remote.complete_upload(&upload, &parts, WriteConditions::None).await.expect("complete");
    assert_eq!(get(&*remote, "end").await, b"end");
}

#[tokio::test]
async fn pages_group_and_continue() {
    let fixture = Fixture::new().await;
    for name in ["a", "b/1", "b/2", "c", "d/1", "e"] {
        put(&*fixture.store, name, "x").await;
    }
    let remote = fixture.remote();
    let mut request = ListRequest { delimiter: b"/".to_vec(), limit: 2, ..ListRequest::default() };
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = remote.list(request.clone()).await.expect("a page");
        pages += 1;
        seen.extend(page.objects.iter().map(|object| object.key.display()));
        seen.extend(page.common_prefixes.iter().map(|prefix| String::from_utf8_lossy(prefix).into_owned()));
        let Some(next) = page.next else { break };
        request.continuation = Some(next);
    }
    assert_eq!((seen.join(" "), pages), ("a b/ c d/ e".to_owned(), 3));

    let first = Raw::new(&fixture, "GET /bucket?delimiter=%2F&max-keys=2&encoding-type=url").send().await;
    assert!(first.body.contains("<NextMarker>b/</NextMarker><IsTruncated>true</IsTruncated>"), "{first:?}");
    let second = Raw::new(&fixture, "GET /bucket?delimiter=%2F&marker=b%2F&max-keys=2").send().await;
    assert!(
        second.body.contains("<Key>c</Key>") && second.body.contains("<Prefix>d/</Prefix>"),
        "{second:?}"
    );
    let none = Raw::new(&fixture, "GET /bucket?list-type=2&max-keys=0").send().await;
    assert!(none.body.contains("<KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>"), "{none:?}");
    let bad = Raw::new(&fixture, "GET /bucket?list-type=2&continuation-token=bad!").send().await;
    bad.check(400, "InvalidArgument");
}

#[tokio::test]
async fn answers_are_as_clients_expect_them() {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "k", "text").await;
    let missing = Raw::new(&fixture, "GET /bucket/missing").send().await;
    missing.check(404, "NoSuchKey");
    assert!(missing.body.contains("<Resource>/bucket/missing</Resource><RequestId>"), "{missing:?}");
    let head = Raw::new(&fixture, "HEAD /bucket/missing").send().await;
    assert_eq!((head.status, head.body.as_str()), (404, ""));
    let read = Raw::new(&fixture, "GET /bucket/k?response-content-type=text%2Fcsv").send().await;
    assert!(read.headers.contains("content-type: text/csv"), "{read:?}");
    assert!(read.headers.contains("etag: \"1cb251ec0d568de6a929b520c4aed8d1\""), "{read:?}");
    let range = Raw::new(&fixture, "GET /bucket/k").header("range", "bytes=1-2").send().await;
    assert_eq!((range.status, range.body.as_str()), (206, "ex"));
    assert!(range.headers.contains("content-range: bytes 1-2/4"), "{range:?}");
    let behind = Raw::new(&fixture, "GET /bucket/k").header("range", "bytes=4-").send().await;
    behind.check(416, "InvalidRange");
    assert!(behind.headers.contains("content-range: bytes */4"), "{behind:?}");
    let virtual_host = Raw::new(&fixture, "GET /k").header("host", "bucket.localhost").send().await;
    assert_eq!((virtual_host.status, virtual_host.body.as_str()), (200, "text"));
    Raw::new(&fixture, "GET /bucket?location").send().await.check(200, "");
    Raw::new(&fixture, "GET /bucket?versioning").send().await.check(200, "");
    let list = Raw::new(&fixture, "POST /bucket?delete").body(
        "<Delete><Object><Key>k</Key></Object><Object><Key>none</Key></Object>\
         <Object><Key>k</Key><VersionId>3</VersionId></Object></Delete>",
    );
    let deleted = list.send().await;
    assert!(
        deleted.body.contains("<Deleted><Key>k</Key></Deleted><Deleted><Key>none</Key></Deleted><Error>")
    );
    assert!(fixture.stored_keys().await.is_empty());
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_the_port() {
    let fixture = Fixture::new().await;
    let (answer, stream) = Raw::new(&fixture, "GET /bucket?location").sign().0.send_head_only().await;
    assert_eq!(answer.status, 200);
    let host = fixture.host();
    fixture.gateway.stop().await;
    assert!(tokio::net::TcpStream::connect(host).await.is_err());
    drop(stream);
}

/// A further region, in which buckets then are.
#[tokio::test]
async fn regions_can_be_added() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let service = DirectoryService::open(&directory.path().join("store")).await.expect("a store");
    let keys = KeyRing::load_or_create(&directory.path().join("keys.json"), None).expect("keys");
    let credentials = keys.named("default").expect("a pair").credentials.clone();
    let listen = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let settings = GatewaySettings { listen, regions: vec!["eu-central-1".to_owned()], keys, tls: None };
    let gateway = Gateway::start(settings, Arc::new(service)).await.expect("an endpoint");
    let endpoint: String = format!("http://{}", gateway.address());
    let connect = |region: &str| {
        let settings = S3Settings {
            region: Some(region.to_owned()),
            ..S3Settings::new(endpoint.parse().expect("a URL"), Some(credentials.clone()))
        };
        S3Client::new(settings).expect("settings")
    };
    for (number, region) in ["eu-central-1", "us-east-1", "auto"].into_iter().enumerate() {
        let name = format!("bucket-{number}").parse().expect("a name");
        connect(region).create_bucket(&name).await.expect(region);
    }
    // A client of another region learns which one it should be.
    let other = connect("eu-west-1");
    assert_eq!(other.list_buckets().await.expect("buckets").len(), 3);
    gateway.stop().await;
}
