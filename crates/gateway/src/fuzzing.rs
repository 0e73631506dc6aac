//! What the fuzzer calls (the folder `fuzz`): parsers of the endpoint, each with what must hold whatever it is given.
//! Only there with the feature `fuzzing`; no part of the interface.

use http::{HeaderMap, HeaderValue, Method};
use sandkeep_objects::sigv4::decode_path;

use crate::access::{Access, AccessMode};
use crate::authorize::{Requested, authorize};
use crate::fault::Outcome;
use crate::forms::{Fields, Form, Policy, boundary_of, content_length};
use crate::operations::{copy_source, parse_documents};
use crate::payload::{Piece, Unframer};
use crate::query::Query;
use crate::route::{Operation, route};
use crate::target::{Target, bucket_of_host};

/// A host, a line break and a path. The object that is found is the one that the path says, byte by byte.
///
/// # Panics
/// If it is not.
pub fn target(input: &str) {
    let (host, path) = input.split_once('\n').unwrap_or(("", input));
    let mut headers = HeaderMap::new();
    let Ok(host) = HeaderValue::from_str(host) else { return };
    headers.insert(http::header::HOST, host);
    let Ok(Target::Object(bucket, key)) = Target::of(&headers, path) else { return };
    let raw = path.strip_prefix('/').unwrap_or(path);
    let (name, key_text) = match bucket_of_host(&headers) {
        Some(name) => (name.as_str().as_bytes().to_vec(), raw),
        None => raw.split_once('/').map(|(name, key)| (decoded(name), key)).expect("a bucket and a key"),
    };
    assert_eq!(bucket.as_str().as_bytes(), name);
    assert_eq!(key.as_bytes(), decoded(key_text));
}

/// A query. Parsing it finds what any reader of `name=value` would find, and routing refuses what is there twice.
///
/// # Panics
/// If it does not.
pub fn query(raw: &str) {
    let query = Query::parse(raw);
    let mut names: Vec<String> = query.names().collect();
    for name in &names {
        let _ = (query.text(name), query.has(name));
    }
    let _ = query.number::<u32>("partNumber");
    names.sort_unstable();
    let doubled = names.windows(2).any(|pair| pair[0] == pair[1]);
    for path in ["/", "/b", "/b/k"] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE] {
            let target = Target::of(&HeaderMap::new(), path).expect("a target");
            let routed = route(&method, &target, &query, &HeaderMap::new());
            assert!(!(doubled && routed.is_ok()), "doubled parameters were let through");
        }
    }
    let _ = query.into_texts();
}

/// A document of a client. It is parsed or refused.
pub fn document(bytes: &[u8]) {
    parse_documents(bytes);
}

/// A chunked body behind a byte that says in which pieces it arrives: that makes no difference.
///
/// # Panics
/// If it does.
pub fn chunks(bytes: &[u8]) {
    let Some((size, body)) = bytes.split_first() else { return };
    let whole = unframe(body, body.len().max(1)).map_err(|fault| fault.code);
    let cut = unframe(body, usize::from(*size).max(1)).map_err(|fault| fault.code);
    assert_eq!(whole, cut);
}

/// Content, signatures and trailer.
type Unframed = (Vec<u8>, Vec<Option<String>>, Vec<(String, String)>);

/// Content behind the last piece may be refused sooner or later, but not sometimes.
fn unframe(body: &[u8], size: usize) -> Outcome<Option<Unframed>> {
    let (mut unframer, mut content, mut signatures, mut trailer) =
        (Unframer::default(), Vec::new(), Vec::new(), None);
    for bytes in body.chunks(size) {
        unframer.feed(bytes);
        while let Some(piece) = unframer.next()? {
            match piece {
                Piece::Chunk { signature, .. } => signatures.push(signature),
                Piece::Content(bytes) => content.extend_from_slice(&bytes),
                Piece::End(lines) => trailer = Some(lines),
            }
        }
    }
    Ok(trailer.map(|trailer| (content, signatures, trailer)))
}

/// A form with the boundary `B`, or a content type, and its policy. Fields that are found stand in the form, and the
/// form means the same however much of it has arrived.
///
/// # Panics
/// If they do not.
pub fn form(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(boundary) = boundary_of(text) {
            assert!(text.contains(boundary));
        }
        if let Ok(policy) = Policy::parse(text) {
            let _ = policy.check_length(bytes.len() as u64);
            let _ = policy.check(&Fields::default(), std::time::SystemTime::UNIX_EPOCH);
        }
    }
    let Ok(Some(form)) = Form::parse(bytes, "B") else { return };
    assert!(form.file_at <= bytes.len());
    let text = String::from_utf8_lossy(bytes);
    assert!(form.fields.iter().all(|(_, value)| text.contains(value)));
    let again = Form::parse(&bytes[..form.file_at], "B");
    assert_eq!(again.ok().flatten().as_ref(), Some(&form));
    if let Some(length) = content_length(&bytes[form.file_at..], "B") {
        assert!(form.file_at + length <= bytes.len());
    }
    if let Some(Ok(policy)) = form.fields.get("policy").map(Policy::parse) {
        let allowed = policy.check(&form.fields, std::time::SystemTime::UNIX_EPOCH).is_ok();
        let extra = form.fields.iter().any(|(name, _)| name.starts_with("x-amz-meta-"));
        assert!(!(allowed && extra && !text.contains("policy")), "a field without a policy");
    }
}

/// A request of somebody who may use what is below `mine/p q`: method, host, path with query, and source of a copy, a
/// line each. Whatever is allowed lies inside.
///
/// # Panics
/// If something does not.
pub fn grants(input: &str) {
    let mut lines = input.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, host, path, source) = (line(), line(), line(), line());
    let (path, raw_query) = path.split_once('?').unwrap_or((path, ""));
    let mut headers = HeaderMap::new();
    let (Ok(method), Ok(host)) = (method.parse::<Method>(), HeaderValue::from_str(host)) else { return };
    headers.insert(http::header::HOST, host);
    if !source.is_empty() {
        let Ok(source) = HeaderValue::from_str(source) else { return };
        headers.insert("x-amz-copy-source", source);
    }
    let Ok((operation, target)) = judge(&method, &headers, path, raw_query) else { return };
    match &target {
        Target::Service => assert_eq!(operation, Operation::ListBuckets),
        Target::Bucket(bucket) => {
            assert_eq!(bucket.as_str(), "mine");
            check_bucket_operation(operation, raw_query);
        }
        Target::Object(bucket, key) => {
            assert_eq!(bucket.as_str(), "mine");
            assert!(inside(key.as_bytes()), "{key:?}");
            let sent = path.strip_prefix('/').unwrap_or(path);
            let named = if bucket_of_host(&headers).is_some() { decoded(sent) } else { behind_bucket(sent) };
            assert!(inside(&named), "the path names something else");
        }
    }
    if operation.copies() {
        let sent = decoded(
            source.strip_prefix('/').unwrap_or(source).split("?versionId=").next().unwrap_or_default(),
        );
        assert!(sent.strip_prefix(b"mine/").is_some_and(inside), "the source lies outside");
    }
}

fn judge(method: &Method, headers: &HeaderMap, path: &str, raw_query: &str) -> Outcome<(Operation, Target)> {
    let target = Target::of(headers, path)?;
    let query = Query::parse(raw_query);
    let operation = route(method, &target, &query, headers)?;
    let source = copy_source(operation, headers)?;
    let places = vec!["mine/p q".parse().expect("a place")];
    let access = Access { places: Some(places), mode: AccessMode::ReadWrite, expires: None };
    authorize(&access, Requested { operation, target: &target, query: &query, source: source.as_ref() })?;
    Ok((operation, target))
}

/// Only questions about the bucket, deletions (judged key by key) and listings of what is inside.
fn check_bucket_operation(operation: Operation, raw_query: &str) {
    match operation {
        Operation::HeadBucket
        | Operation::GetBucketLocation
        | Operation::GetBucketVersioning
        | Operation::DeleteObjects => {}
        Operation::ListObjects
        | Operation::ListObjectsV2
        | Operation::ListObjectVersions
        | Operation::ListUploads => {
            let prefixes = raw_query.split('&').filter_map(|pair| pair.split_once('='));
            let prefixes: Vec<Vec<u8>> = prefixes
                .filter(|(name, _)| decoded(&name.replace('+', " ")) == b"prefix")
                .map(|(_, value)| decoded(&value.replace('+', " ")))
                .collect();
            assert!(matches!(&prefixes[..], [prefix] if prefix.starts_with(b"p q/")), "{prefixes:?}");
        }
        other => panic!("{other:?} is allowed"),
    }
}

fn inside(key: &[u8]) -> bool {
    key == b"p q" || key.starts_with(b"p q/")
}

fn behind_bucket(path: &str) -> Vec<u8> {
    path.split_once('/').map(|(_, key)| decoded(key)).unwrap_or_default()
}

/// Bytes behind a percent sign or themselves, decoded by hand: the judge must not be its own witness.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    debug_assert_eq!(bytes, decode_path(text));
    bytes
}
