//! Whether a key may make a request: a pure function over what the request was parsed to.
//!
//! The operations use the same parsed values, so nothing can be judged as one thing and done as another. The keys
//! that a bulk deletion names are in its body and are judged one by one where it is read.

use sandkeep_objects::{BucketName, ObjectKey};

use crate::access::{Access, AccessMode};
use crate::fault::{Fault, Outcome};
use crate::query::Query;
use crate::route::Operation;
use crate::target::Target;

/// A request as far as access depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requested<'r> {
    pub(crate) operation: Operation,
    pub(crate) target: &'r Target,
    pub(crate) query: &'r Query,
    /// What it copies from.
    pub(crate) source: Option<&'r (BucketName, ObjectKey)>,
}

/// Refuses what the key may not do.
pub(crate) fn authorize(access: &Access, requested: Requested<'_>) -> Outcome<()> {
    let reads = requested.operation.only_reads();
    if access.mode == AccessMode::ReadOnly && !reads {
        return Err(Fault::access_denied("Access Denied: this key may only read"));
    }
    let target = match requested.target {
        // The answer contains only the buckets that the key may see.
        Target::Service => true,
        Target::Bucket(bucket) => may_use_bucket(access, bucket, requested),
        Target::Object(bucket, key) => {
            let granting = requested.operation == Operation::PutObjectAcl && access.places.is_some();
            !granting && access.reaches_key(bucket, key.as_bytes())
        }
    };
    let source = requested.source.is_none_or(|(bucket, key)| access.reaches_key(bucket, key.as_bytes()));
    if target && source { Ok(()) } else { Err(Fault::access_denied("Access Denied")) }
}

fn may_use_bucket(access: &Access, bucket: &BucketName, requested: Requested<'_>) -> bool {
    let listed = || requested.query.bytes("prefix").unwrap_or_default();
    match requested.operation {
        Operation::ListObjectVersions
        | Operation::ListObjects
        | Operation::ListObjectsV2
        | Operation::ListUploads => access.reaches_all_below(bucket, listed()),
        Operation::HeadBucket
        | Operation::GetBucketLocation
        | Operation::GetBucketVersioning
        | Operation::DeleteObjects => access.reaches_bucket(bucket),
        // Buckets themselves and their settings are for keys without bounds.
        _ => access.places.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use proptest::prelude::*;

    use super::*;
    use crate::operations::copy_source;
    use crate::route::route;

    fn access(places: &[&str], mode: AccessMode) -> Access {
        let places = places.iter().map(|place| place.parse().expect("a place")).collect();
        Access { places: Some(places), mode, expires: None }
    }

    /// The code of the refusal, by whatever stage; nothing if the request is let through.
    fn judge(access: &Access, line: &str, source: Option<&str>) -> Result<Target, &'static str> {
        let (method, path) = line.split_once(' ').expect("METHOD PATH");
        let (path, raw_query) = path.split_once('?').unwrap_or((path, ""));
        let mut headers = HeaderMap::new();
        if let Some(source) = source {
            headers.insert("x-amz-copy-source", source.parse().map_err(|_| "InvalidArgument")?);
        }
        let judged = || {
            let target = Target::of(&headers, path)?;
            let query = Query::parse(raw_query);
            let method: Method = method.parse().expect("a method");
            let operation = route(&method, &target, &query, &headers)?;
            let source = copy_source(operation, &headers)?;
            let requested = Requested { operation, target: &target, query: &query, source: source.as_ref() };
            authorize(access, requested)?;
            Ok(target)
        };
        judged().map_err(|fault: Fault| fault.code)
    }

    fn check(line: &str, allowed: bool) {
        let access = access(&["mine/p q", "whole"], AccessMode::ReadWrite);
        let found = judge(&access, line, None).map(drop);
        assert_eq!(found, if allowed { Ok(()) } else { Err("AccessDenied") }, "{line}");
    }

    #[test]
    fn a_key_with_places_reaches_nothing_else() {
        for line in [
            "GET /mine/p%20q/x",
            "PUT /mine/p%20q/../x",
            "GET /mine/p%20q",
            "DELETE /whole/x",
            "GET /",
            "HEAD /mine",
            "GET /mine?location",
            "GET /mine?list-type=2&prefix=p%20q%2F",
            "GET /mine?list-type=2&prefix=p+q/deeper&delimiter=/",
            "GET /mine?uploads&prefix=p%20q/",
            "GET /mine?versions&prefix=p%20q/",
            "GET /whole",
            "POST /mine?delete",
        ] {
            check(line, true);
        }
        for line in [
            "GET /other/x",
            "GET /mine/x",
            "GET /mine/p%20q2/x",
            "GET /mine/p%20",
            "GET /mine//p%20q/x",
            "HEAD /other",
            "PUT /mine",
            "PUT /new",
            "DELETE /mine",
            "DELETE /whole",
            "GET /mine",
            "GET /mine?list-type=2",
            "GET /mine?list-type=2&prefix=",
            "GET /mine?list-type=2&prefix=p%20q",
            "GET /mine?prefix=p%20q2/",
            "GET /mine?uploads",
            "GET /mine?versions",
            "GET /whole?acl",
        ] {
            check(line, false);
        }
    }

    #[test]
    fn doubled_parameters_are_refused_before_any_judgement() {
        let access = access(&["mine/p"], AccessMode::ReadWrite);
        let doubled = judge(&access, "GET /mine?prefix=p/&prefix=", None);
        assert_eq!(doubled.map(drop), Err("InvalidArgument"));
        let contradictory = judge(&access, "POST /mine?delete&prefix=p/", None);
        assert_eq!(contradictory.map(drop), Err("NotImplemented"));
        for line in ["PUT /mine?policy", "PUT /mine/p/x?acl", "DELETE /mine?lifecycle", "PUT /mine?cors"] {
            assert!(judge(&access, line, None).is_err(), "{line}");
        }
    }

    #[test]
    fn sources_of_copies_lie_inside_too() {
        let access = access(&["mine/p"], AccessMode::ReadWrite);
        let copy = |source| judge(&access, "PUT /mine/p/copy", Some(source)).map(drop);
        assert_eq!(copy("/mine/p/x"), Ok(()));
        assert_eq!(copy("mine%2Fp%2Fx"), Ok(()));
        for outside in ["/mine/q/x", "/other/p/x", "mine/p2", "%2Fmine/p/x", "/mine/%70%32"] {
            assert!(copy(outside).is_err(), "{outside}");
        }
    }

    #[test]
    fn keys_that_only_read_change_nothing() {
        let access = access(&["mine"], AccessMode::ReadOnly);
        for line in
            ["GET /mine/k", "HEAD /mine/k", "GET /mine", "GET /mine/k?uploadId=u", "GET /mine/k?tagging"]
        {
            assert!(judge(&access, line, None).is_ok(), "{line}");
        }
        for line in [
            "PUT /mine/k",
            "DELETE /mine/k",
            "POST /mine?delete",
            "POST /mine/k?uploads",
            "PUT /mine/k?uploadId=u&partNumber=1",
            "POST /mine/k?uploadId=u",
            "DELETE /mine/k?uploadId=u",
        ] {
            assert_eq!(judge(&access, line, None).map(drop), Err("AccessDenied"), "{line}");
        }
    }

    /// Bytes behind a percent sign or themselves, decoded by hand.
    fn decoded(text: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
        while let [first, tail @ ..] = rest {
            let hex = |at: usize| tail.get(at).and_then(|&digit| char::from(digit).to_digit(16));
            match (first, hex(0), hex(1)) {
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
        bytes
    }

    proptest! {
        #[test]
        fn whatever_is_let_through_lies_inside_the_place(
            path in "(/|)(mine|%6dine|m|other|\\.\\.)(/|%2F|//|)(p|%70|P|)(/|%2f|//|2|)[a-c./%2]{0,6}",
            source in proptest::option::of("(/|)(mine|other)(/|%2F)(p|q|%70)(/|%2F|2)[a-c./%]{0,4}"),
            method in "(GET|PUT|DELETE|HEAD)",
        ) {
            let access = access(&["mine/p"], AccessMode::ReadWrite);
            let inside = |bytes: &[u8]| bytes == b"mine/p" || bytes.starts_with(b"mine/p/");
            if let Ok(Target::Object(..)) = judge(&access, &format!("{method} {path}"), source.as_deref()) {
                let sent = decoded(path.strip_prefix('/').unwrap_or(&path));
                prop_assert!(inside(&sent), "{} let through", String::from_utf8_lossy(&sent));
                if let Some(source) = source.filter(|_| method == "PUT") {
                    let sent = decoded(source.strip_prefix('/').unwrap_or(&source));
                    prop_assert!(inside(&sent), "source {} let through", String::from_utf8_lossy(&sent));
                }
            }
        }
    }
}
