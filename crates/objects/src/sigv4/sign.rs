//! The client's end.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::request::Parts;

use crate::Credentials;
use crate::sigv4::canonical::{canonical_path, canonical_query, canonical_request, string_to_sign};
use crate::sigv4::encoding::encode_query;
use crate::sigv4::{ALGORITHM, ChunkSigner, PayloadHash, Scope, Signature, SigningKey, Timestamp};

/// Headers that a proxy may change on the way, so that signing them would break the request.
const NEVER_SIGNED: [&str; 5] = ["authorization", "connection", "expect", "user-agent", "accept-encoding"];

/// Signs requests of one account in one region, deriving the key once a day.
pub struct Signer {
    credentials: Credentials,
    region: String,
    derived: Mutex<Option<(Scope, SigningKey)>>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("region", &self.region).finish_non_exhaustive()
    }
}

impl Signer {
    /// Signs with these credentials for this region.
    pub fn new(credentials: Credentials, region: impl Into<String>) -> Self {
        Self { credentials, region: region.into(), derived: Mutex::default() }
    }

    /// The region it signs for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Adds `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token` and `authorization`.
    ///
    /// The request must have its `host` header; all other headers that are there are signed with it. Returns what
    /// signs the chunks of a streaming body.
    pub fn sign(&self, request: &mut Parts, payload: &PayloadHash, now: SystemTime) -> ChunkSigner {
        let timestamp = Timestamp::new(now);
        self.prepare(request, payload, &timestamp);
        let signed_headers = signed_headers(request);
        let canonical = canonical_request(
            request.method.as_str(),
            &canonical_path(request.uri.path()),
            &canonical_query(request.uri.query().unwrap_or_default()),
            &request.headers,
            &signed_headers,
            payload.as_str(),
        );
        let scope = Scope::s3(&timestamp, &self.region);
        let key = self.key(&scope);
        let signature = key.sign(&string_to_sign(&timestamp, &scope, &canonical));
        let header = self.authorization(&scope, &signed_headers, &signature);
        request.headers.insert(AUTHORIZATION, header_value(&header));
        ChunkSigner::new(key, timestamp, scope, signature)
    }

    /// The query of a presigned request that holds for `expires`; append it to `path?`.
    ///
    /// `query` are other parameters, encoded. Only `host` is signed.
    pub fn presign(
        &self,
        method: &http::Method,
        host: &str,
        path: &str,
        query: &str,
        expires: Duration,
        now: SystemTime,
    ) -> String {
        let timestamp = Timestamp::new(now);
        let scope = Scope::s3(&timestamp, &self.region);
        let unsigned = join_query(query, &self.presigned_parameters(&scope, &timestamp, expires));
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::HOST, header_value(host));
        let canonical = canonical_request(
            method.as_str(),
            &canonical_path(path),
            &canonical_query(&unsigned),
            &headers,
            &["host".to_owned()],
            PayloadHash::Unsigned.as_str(),
        );
        let signature = self.key(&scope).sign(&string_to_sign(&timestamp, &scope, &canonical));
        format!("{unsigned}&X-Amz-Signature={}", signature.as_str())
    }

    fn prepare(&self, request: &mut Parts, payload: &PayloadHash, timestamp: &Timestamp) {
        let headers = &mut request.headers;
        headers.insert(HeaderName::from_static("x-amz-date"), header_value(timestamp.as_str()));
        headers.insert(HeaderName::from_static("x-amz-content-sha256"), header_value(payload.as_str()));
        if let Some(token) = &self.credentials.session_token {
            let mut value = header_value(token.expose());
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-amz-security-token"), value);
        }
    }

    fn authorization(&self, scope: &Scope, signed_headers: &[String], signature: &Signature) -> String {
        let names = signed_headers.join(";");
        let id = &self.credentials.access_key_id.0;
        format!(
            "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={}",
            signature.as_str()
        )
    }

    fn presigned_parameters(&self, scope: &Scope, timestamp: &Timestamp, expires: Duration) -> String {
        let credential = format!("{}/{scope}", self.credentials.access_key_id.0);
        let mut parameters = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={timestamp}&X-Amz-Expires={}",
            encode_query(credential.as_bytes()),
            expires.as_secs(),
        );
        if let Some(token) = &self.credentials.session_token {
            parameters.push_str("&X-Amz-Security-Token=");
            parameters.push_str(&encode_query(token.expose().as_bytes()));
        }
        parameters + "&X-Amz-SignedHeaders=host"
    }

    fn key(&self, scope: &Scope) -> SigningKey {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        match &*derived {
            Some((known, key)) if known == scope => key.clone(),
            _ => {
                let key = SigningKey::derive(&self.credentials.secret_access_key, scope);
                *derived = Some((scope.clone(), key.clone()));
                key
            }
        }
    }
}

fn signed_headers(request: &Parts) -> Vec<String> {
    let names = request.headers.keys().map(HeaderName::as_str);
    let mut signed: Vec<String> =
        names.filter(|name| !NEVER_SIGNED.contains(name)).map(str::to_owned).collect();
    signed.sort();
    signed
}

fn join_query(query: &str, parameters: &str) -> String {
    if query.is_empty() { parameters.to_owned() } else { format!("{query}&{parameters}") }
}

/// A value that came from credentials or from us. Bytes that no header can hold make the request fail at the server
/// as a wrong signature would.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static(""))
}
