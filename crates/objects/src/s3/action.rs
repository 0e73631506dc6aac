//! A request as an action describes it: everything but server, signature and retries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use md5::{Digest, Md5};

use crate::sigv4::{encode_path, encode_query};
use crate::{Body, BucketName, Error, ObjectKey, Result};

/// What is asked of a server.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) head: Head,
    pub(super) body: Body,
}

/// An action without its body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) bucket: Option<BucketName>,
    pub(super) key: Option<ObjectKey>,
    query: String,
    pub(super) headers: HeaderMap,
}

impl Action {
    pub(super) fn service(method: Method) -> Self {
        let head = Head { method, bucket: None, key: None, query: String::new(), headers: HeaderMap::new() };
        Self { head, body: Body::Bytes(Bytes::new()) }
    }

    pub(super) fn bucket(method: Method, bucket: &BucketName) -> Self {
        let mut action = Self::service(method);
        action.head.bucket = Some(bucket.clone());
        action
    }

    pub(super) fn object(method: Method, bucket: &BucketName, key: &ObjectKey) -> Self {
        let mut action = Self::bucket(method, bucket);
        action.head.key = Some(key.clone());
        action
    }

    /// Adds `name=value`, encoded.
    pub(super) fn query(mut self, name: &str, value: &[u8]) -> Self {
        let query = &mut self.head.query;
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        query.push_str(&encode_query(value));
        self
    }

    /// Adds a header; fails on bytes that no header can carry.
    pub(super) fn header(mut self, name: &str, value: &str) -> Result<Self> {
        let unfit = || Error::Unsupported { what: "control characters in a header" };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unfit())?;
        self.head.headers.insert(name, value);
        Ok(self)
    }

    /// A document with the digest that S3 wants for it.
    pub(super) fn checked_document(self, document: Bytes) -> Result<Self> {
        let digest = STANDARD.encode(Md5::digest(&document));
        Ok(self.header("content-md5", &digest)?.body(document))
    }

    pub(super) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }
}

impl Head {
    /// Path and query. Nothing is normalised: `a//b`, `.` and `..` stay as they are.
    pub(super) fn target(&self, bucket_in_path: bool) -> String {
        let mut target = String::from("/");
        if let Some(bucket) = self.bucket.as_ref().filter(|_| bucket_in_path) {
            target.push_str(bucket.as_str());
            if self.key.is_some() {
                target.push('/');
            }
        }
        if let Some(key) = &self.key {
            target.push_str(&encode_path(key.as_bytes()));
        }
        if !self.query.is_empty() {
            target.push('?');
            target.push_str(&self.query);
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_and_nothing_else() {
        let bucket: BucketName = "b".parse().unwrap();
        let check = |key: &[u8], expected: &str| {
            let action = Action::object(Method::GET, &bucket, &ObjectKey::new(key).unwrap());
            assert_eq!(action.head.target(true), expected);
        };
        check(b"a//b/../.", "/b/a//b/../.");
        check(b"/x", "/b//x");
        check("a b+c%?#&\u{e9}".as_bytes(), "/b/a%20b%2Bc%25%3F%23%26%C3%A9");
        check(b"\xff", "/b/%FF");
        let action = Action::bucket(Method::GET, &bucket).query("list-type", b"2").query("prefix", b"a/b c");
        assert_eq!(action.head.target(false), "/?list-type=2&prefix=a%2Fb%20c");
    }
}
