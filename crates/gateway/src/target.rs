//! Which bucket and object a request names.

use http::HeaderMap;
use http::header::HOST;
use sandkeep_objects::sigv4::decode_path;
use sandkeep_objects::{BucketName, ObjectKey};

use crate::fault::{Fault, Outcome};

/// Hosts below which the first label is a bucket: `bucket.localhost`, and the name the endpoint has inside sandboxes.
const VIRTUAL_HOSTS: [&str; 2] = [".localhost", ".s3.internal"];

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The account.
    Service,
    /// A bucket.
    Bucket(BucketName),
    /// An object.
    Object(BucketName, ObjectKey),
}

impl Target {
    /// Reads the path as it was sent: `/bucket/../key` names the object `../key`, no file and no other bucket.
    pub(crate) fn of(headers: &HeaderMap, raw_path: &str) -> Outcome<Self> {
        let path = raw_path.strip_prefix('/').unwrap_or(raw_path);
        if let Some(bucket) = bucket_of_host(headers) {
            return Self::within(bucket, path);
        }
        if path.is_empty() {
            return Ok(Self::Service);
        }
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = String::from_utf8_lossy(&decode_path(bucket)).parse().map_err(Fault::from)?;
        Self::within(bucket, key)
    }

    /// The bucket it is about.
    pub(crate) fn bucket(&self) -> Option<&BucketName> {
        match self {
            Self::Service => None,
            Self::Bucket(bucket) | Self::Object(bucket, _) => Some(bucket),
        }
    }

    fn within(bucket: BucketName, raw_key: &str) -> Outcome<Self> {
        if raw_key.is_empty() {
            return Ok(Self::Bucket(bucket));
        }
        Ok(Self::Object(bucket, ObjectKey::new(decode_path(raw_key))?))
    }
}

/// The bucket that the host names, if it names one.
pub(crate) fn bucket_of_host(headers: &HeaderMap) -> Option<BucketName> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    VIRTUAL_HOSTS.iter().find_map(|suffix| name.strip_suffix(suffix)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn check(host: &'static str, path: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        let found = match Target::of(&headers, path) {
            Ok(Target::Service) => "service".to_owned(),
            Ok(Target::Bucket(bucket)) => format!("bucket {bucket}"),
            Ok(Target::Object(bucket, key)) => format!("bucket {bucket} key {key:?}"),
            Err(fault) => fault.code.to_owned(),
        };
        assert_eq!(found, expected, "{host} {path}");
    }

    #[test]
    fn paths_are_taken_as_sent() {
        check("127.0.0.1:9000", "/", "service");
        check("127.0.0.1:9000", "/b", "bucket b");
        check("127.0.0.1:9000", "/b/", "bucket b");
        check("127.0.0.1:9000", "/b/a//c/", r#"bucket b key "a//c/""#);
        check("127.0.0.1:9000", "/b/../../etc/passwd", r#"bucket b key "../../etc/passwd""#);
        check("127.0.0.1:9000", "/b/%2e%2e%2Fx%00", r#"bucket b key "../x\0""#);
        check("127.0.0.1:9000", "/../b/x", "InvalidBucketName");
        check("127.0.0.1:9000", "//x", "InvalidBucketName");
        check("127.0.0.1:9000", "/B/x", "InvalidBucketName");
    }

    #[test]
    fn hosts_may_name_the_bucket() {
        check("b.localhost:9000", "/", "bucket b");
        check("b.c.localhost", "/k", r#"bucket b.c key "k""#);
        check("b.s3.internal", "/k/", r#"bucket b key "k/""#);
        check("localhost:9000", "/b", "bucket b");
        check("s3.internal", "/b", "bucket b");
    }

    proptest! {
        #[test]
        fn any_path_names_what_it_says_or_nothing(path in "/?([a-cA/.%20F]|%[0-9a-fA-F]{2}|%00){0,24}", host in "[a-c.:0-9]{0,16}(\\.localhost)?") {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(&host).expect("a value"));
            if let Ok(Target::Object(bucket, key)) = Target::of(&headers, &path) {
                let raw = path.strip_prefix('/').unwrap_or(&path);
                let named = match bucket_of_host(&headers) {
                    Some(_) => decode_path(raw),
                    None => decode_path(raw.split_once('/').expect("a bucket and a key").1),
                };
                prop_assert_eq!(key.as_bytes(), &named[..]);
                prop_assert!(!bucket.as_str().contains(['/', '%']));
            }
        }
    }
}
