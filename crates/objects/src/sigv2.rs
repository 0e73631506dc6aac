//! AWS Signature Version 2, the server's end, only for what others may be given: presigned links and forms. boto3 and
//! aws-cli still make these with it for servers that are not Amazon's, unless they are told otherwise.
//!
//! Such a signature covers less than one of version 4, so less is accepted with it: no parameter that it leaves out
//! (see [`LinkClaim::verify`]), and no link that holds longer than seven days. Headers cannot be signed with it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::sigv4::{SignedRequest, VerifyError, decode_query};
use crate::{AccessKeyId, SecretKey};

/// The longest that a link may hold, as with version 4.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The parameters that make a link.
const OWN: [&str; 3] = ["AWSAccessKeyId", "Expires", "Signature"];

/// Headers that the signature covers, and that may stand in the query as well.
const REPEATED: [&str; 2] = ["content-md5", "content-type"];

/// Parameters that the signature covers.
const COVERED: [&str; 33] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Who a presigned link claims to come from.
#[derive(Clone, Debug)]
pub struct LinkClaim {
    /// Whose secret must have signed it.
    pub access_key_id: AccessKeyId,
    /// As sent, in seconds since 1970.
    expires: u64,
    /// Base64.
    signature: String,
}

impl LinkClaim {
    /// Reads the parameters of a link; none if the request has none of them.
    pub fn of(request: &SignedRequest<'_>) -> Result<Option<Self>, VerifyError> {
        if !request.raw_query.contains("AWSAccessKeyId=") {
            return Ok(None);
        }
        let malformed = |what| VerifyError::MalformedQuery { what };
        if request.headers.contains_key(http::header::AUTHORIZATION) {
            return Err(malformed("only one of header and query may sign the request"));
        }
        let fields = decode_query(request.raw_query);
        let field = |wanted: &str| {
            let mut values = fields.iter().filter(|(name, _)| name == wanted.as_bytes());
            let value = values.next().and_then(|(_, value)| std::str::from_utf8(value).ok());
            value.filter(|_| values.next().is_none())
        };
        let needed = |name: &str| {
            field(name).ok_or(malformed("AWSAccessKeyId, Expires and Signature belong together"))
        };
        let expires = needed("Expires")?;
        let expires = Some(expires).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        Ok(Some(Self {
            access_key_id: AccessKeyId(needed("AWSAccessKeyId")?.to_owned()),
            expires: expires
                .and_then(|text| text.parse().ok())
                .ok_or(malformed("Expires is not a number"))?,
            signature: needed("Signature")?.to_owned(),
        }))
    }

    /// Refuses links that have expired, and those that hold for too long.
    pub fn check_time(&self, now: SystemTime) -> Result<(), VerifyError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires = Duration::from_secs(self.expires);
        if now > expires {
            return Err(VerifyError::Expired);
        }
        if expires - now > LONGEST {
            return Err(VerifyError::MalformedQuery { what: "Expires must be within seven days" });
        }
        Ok(())
    }

    /// Checks the signature with the secret of [`Self::access_key_id`], and that it covers every parameter: with
    /// others, whoever got the link could change what it does. `bucket` is the one that the host names, if it does.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        bucket: Option<&str>,
        secret: &SecretKey,
    ) -> Result<(), VerifyError> {
        let parameters = decode_query(request.raw_query);
        let known = |name: &[u8]| COVERED.iter().chain(&OWN).any(|known| known.as_bytes() == name);
        // boto3 repeats these headers, which are signed, in the query.
        let repeats = |name: &[u8], value: &[u8]| {
            let header = std::str::from_utf8(name).ok().filter(|name| REPEATED.contains(name));
            header.and_then(|name| request.header(name)).is_some_and(|sent| sent.as_bytes() == value)
        };
        let stray = |(name, value): &&(Vec<u8>, Vec<u8>)| !known(name) && !repeats(name, value);
        if let Some((name, _)) = parameters.iter().find(stray) {
            let name = format!("parameter {}", String::from_utf8_lossy(name));
            return Err(VerifyError::UnsignedHeader { name });
        }
        let text = self.string_to_sign(request, bucket, &parameters);
        if matches(secret, &text, &self.signature) {
            return Ok(());
        }
        Err(VerifyError::SignatureMismatch { string_to_sign: text })
    }

    fn string_to_sign(
        &self,
        request: &SignedRequest<'_>,
        bucket: Option<&str>,
        parameters: &[(Vec<u8>, Vec<u8>)],
    ) -> String {
        let header = |name: &str| request.header(name).unwrap_or_default();
        let mut text = format!(
            "{}\n{}\n{}\n{}\n",
            request.method,
            header("content-md5"),
            header("content-type"),
            self.expires
        );
        text.push_str(&amazon_headers(request.headers));
        if let Some(bucket) = bucket {
            text.extend(["/", bucket]);
        }
        text.push_str(request.raw_path);
        text.push_str(&sub_resources(parameters));
        text
    }
}

/// Whether a form's policy, as it was sent, has this signature.
pub fn signs_policy(secret: &SecretKey, policy: &str, signature: &str) -> bool {
    matches(secret, policy, signature)
}

/// Compares without telling by its time how much is equal.
fn matches(secret: &SecretKey, text: &str, signature: &str) -> bool {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    let expected = STANDARD.encode(mac.finalize().into_bytes());
    expected.as_bytes().ct_eq(signature.as_bytes()).into()
}

/// Every `x-amz-*` header of the request.
fn amazon_headers(headers: &HeaderMap) -> String {
    let mut names: Vec<&str> =
        headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-")).collect();
    names.sort_unstable();
    let line = |name: &str| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let values: Vec<String> = values.map(|value| value.trim().to_owned()).collect();
        format!("{name}:{}\n", values.join(","))
    };
    names.into_iter().map(line).collect()
}

fn sub_resources(parameters: &[(Vec<u8>, Vec<u8>)]) -> String {
    let covered = |name: &[u8]| COVERED.iter().any(|known| known.as_bytes() == name);
    let mut pairs: Vec<_> = parameters.iter().filter(|(name, _)| covered(name)).collect();
    pairs.sort();
    let text = |(name, value): &(Vec<u8>, Vec<u8>)| {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        if value.is_empty() { name.into_owned() } else { format!("{name}={value}") }
    };
    let joined: Vec<String> = pairs.into_iter().map(text).collect();
    if joined.is_empty() { String::new() } else { format!("?{}", joined.join("&")) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// The example of the documentation, and a change of every part of it.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html#RESTAuthenticationQueryStringAuth>
    const QUERY: &str =
        "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620";

    fn check(
        method: &str,
        bucket: Option<&str>,
        path: &str,
        query: &str,
        header: Option<&'static str>,
    ) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(name) = header {
            headers.insert(name, HeaderValue::from_static("text/x"));
        }
        let request = SignedRequest { method, raw_path: path, raw_query: query, headers: &headers };
        let claim = LinkClaim::of(&request).expect("a link").expect("a link");
        let secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        claim.verify(&request, bucket, &secret).is_ok()
    }

    #[test]
    fn links_hold_for_what_was_signed() {
        let bucket = Some("johnsmith");
        assert!(check("GET", bucket, "/photos/puppy.jpg", QUERY, None));
        assert!(check("GET", None, "/johnsmith/photos/puppy.jpg", QUERY, None));
        assert!(!check("PUT", bucket, "/photos/puppy.jpg", QUERY, None));
        assert!(!check("GET", Some("other"), "/photos/puppy.jpg", QUERY, None));
        assert!(!check("GET", bucket, "/photos/other.jpg", QUERY, None));
        assert!(!check("GET", bucket, "/photos/puppy.jpg", &QUERY.replace("9620", "9621"), None));
        assert!(!check("GET", bucket, "/photos/puppy.jpg", &format!("{QUERY}&acl"), None));
        for stray in ["prefix=x", "content-type=text%2Fx", "x-amz-acl=private"] {
            assert!(!check("GET", bucket, "/photos/puppy.jpg", &format!("{QUERY}&{stray}"), None), "{stray}");
        }
        for header in ["x-amz-copy-source", "content-type", "content-md5"] {
            assert!(!check("GET", bucket, "/photos/puppy.jpg", QUERY, Some(header)), "{header}");
        }
    }

    #[test]
    fn links_end() {
        let claim = |expires: u64| LinkClaim {
            access_key_id: AccessKeyId("a".into()),
            expires,
            signature: String::new(),
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(claim(1_000_000).check_time(now), Ok(()));
        assert_eq!(claim(999_999).check_time(now), Err(VerifyError::Expired));
        for late in [1_000_000 + LONGEST.as_secs() + 1, u64::MAX] {
            assert!(matches!(claim(late).check_time(now), Err(VerifyError::MalformedQuery { .. })), "{late}");
        }
    }

    #[test]
    fn half_a_link_is_none() {
        let headers = HeaderMap::new();
        let of = |raw_query: &str| {
            LinkClaim::of(&SignedRequest { method: "GET", raw_path: "/b/k", raw_query, headers: &headers })
                .map(|claim| claim.is_some())
        };
        assert_eq!(of("prefix=x"), Ok(false));
        for query in [
            "AWSAccessKeyId=a",
            "AWSAccessKeyId=a&Expires=1",
            "AWSAccessKeyId=a&Expires=-1&Signature=s",
            "AWSAccessKeyId=a&AWSAccessKeyId=b&Expires=1&Signature=s",
            "AWSAccessKeyId=a&Expires=1&Expires=2&Signature=s",
        ] {
            assert!(of(query).is_err(), "{query}");
        }
    }
}
