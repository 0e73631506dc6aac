//! What a request says about its own signature, before anyone believes it.

use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, header};

use crate::AccessKeyId;
use crate::sigv4::encoding::decode_query;
use crate::sigv4::{ALGORITHM, PayloadHash, Scope, Signature, Timestamp, VerifyError};

/// The longest that a presigned request may hold: seven days.
const MAX_EXPIRES: i64 = 7 * 24 * 3600;

/// A request as the server received it.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// `GET` and so on.
    pub method: &'a str,
    /// The path as received, not decoded.
    pub raw_path: &'a str,
    /// What stands behind `?`, not decoded; empty without one.
    pub raw_query: &'a str,
    /// All headers; `host` must be among them.
    pub headers: &'a HeaderMap,
}

impl<'a> SignedRequest<'a> {
    /// Borrows from a request of the `http` crate.
    pub fn of(parts: &'a Parts) -> Self {
        Self {
            method: parts.method.as_str(),
            raw_path: parts.uri.path(),
            raw_query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Where the signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// In the `Authorization` header.
    Header,
    /// In the query, valid for this long.
    Presigned {
        /// `X-Amz-Expires`.
        expires: Duration,
    },
}

/// Who a request claims to come from.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose secret must have signed it.
    pub access_key_id: AccessKeyId,
    /// For which day, region and service.
    pub scope: Scope,
    /// When it was signed.
    pub timestamp: Timestamp,
    /// Header or query.
    pub kind: ClaimKind,
    /// Names of the headers that the signature covers, in the order given.
    pub signed_headers: Vec<String>,
    /// What is known of the body.
    pub payload: PayloadHash,
    /// `x-amz-security-token`, to be compared by a server that knows session tokens.
    pub session_token: Option<String>,
    pub(super) signature: Signature,
}

impl Claim {
    /// Reads the `Authorization` header or the presigned query; none: the request is anonymous.
    pub fn of(request: &SignedRequest<'_>) -> Result<Option<Self>, VerifyError> {
        let query = presigned_fields(request.raw_query);
        match request.headers.get(header::AUTHORIZATION) {
            Some(_) if !query.is_empty() => {
                Err(VerifyError::MalformedQuery { what: "only one of header and query may sign the request" })
            }
            Some(value) => {
                let text = value.to_str().map_err(|_| malformed("not ASCII"))?;
                Self::from_header(text, request).map(Some)
            }
            None if query.is_empty() => Ok(None),
            None => Self::from_query(&query, request).map(Some),
        }
    }

    fn from_header(text: &str, request: &SignedRequest<'_>) -> Result<Self, VerifyError> {
        let rest = text.strip_prefix(ALGORITHM).ok_or(malformed("the algorithm is not AWS4-HMAC-SHA256"))?;
        let field = |name: &str| {
            let mut fields = rest.split(',').map(str::trim).filter_map(|field| field.split_once('='));
            fields.find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let (access_key_id, scope) = field("Credential")
            .and_then(split_credential)
            .ok_or(malformed("Credential is missing or not ID/DATE/REGION/SERVICE/aws4_request"))?;
        Ok(Self {
            access_key_id,
            timestamp: header_timestamp(request)?.of_scope(&scope)?,
            scope,
            kind: ClaimKind::Header,
            signed_headers: split_names(field("SignedHeaders").ok_or(malformed("SignedHeaders is missing"))?),
            payload: header_payload(request)?,
            session_token: request.header("x-amz-security-token").map(str::to_owned),
            signature: Signature::claimed(field("Signature").ok_or(malformed("Signature is missing"))?),
        })
    }

    fn from_query(fields: &[(String, String)], request: &SignedRequest<'_>) -> Result<Self, VerifyError> {
        let field =
            |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let needed = |name: &str, what| field(name).ok_or(VerifyError::MalformedQuery { what });
        let wrong = |what| VerifyError::MalformedQuery { what };
        if needed("X-Amz-Algorithm", "X-Amz-Algorithm is missing")? != ALGORITHM {
            return Err(wrong("X-Amz-Algorithm is not AWS4-HMAC-SHA256"));
        }
        let credential = needed("X-Amz-Credential", "X-Amz-Credential is missing")?;
        let (access_key_id, scope) =
            split_credential(credential).ok_or(wrong("X-Amz-Credential is malformed"))?;
        let date = needed("X-Amz-Date", "X-Amz-Date is missing")?;
        let expires = needed("X-Amz-Expires", "X-Amz-Expires is missing")?.parse::<i64>().ok();
        let expires = expires.filter(|&seconds| seconds <= MAX_EXPIRES);
        let expires = expires.ok_or(wrong("X-Amz-Expires must be between 1 and 604800 seconds"))?;
        // What was never valid has expired.
        let expires =
            u64::try_from(expires).ok().filter(|&seconds| seconds > 0).ok_or(VerifyError::Expired)?;
        let payload = field("X-Amz-Content-Sha256").or_else(|| request.header("x-amz-content-sha256"));
        Ok(Self {
            access_key_id,
            timestamp: Timestamp::parse(date).ok_or(wrong("X-Amz-Date is malformed"))?.of_scope(&scope)?,
            scope,
            kind: ClaimKind::Presigned { expires: Duration::from_secs(expires) },
            signed_headers: split_names(needed("X-Amz-SignedHeaders", "X-Amz-SignedHeaders is missing")?),
            payload: PayloadHash::parse(payload.unwrap_or("UNSIGNED-PAYLOAD"))
                .ok_or(VerifyError::InvalidPayloadHash)?,
            session_token: field("X-Amz-Security-Token").map(str::to_owned),
            signature: Signature::claimed(needed("X-Amz-Signature", "X-Amz-Signature is missing")?),
        })
    }
}

impl Timestamp {
    fn of_scope(self, scope: &Scope) -> Result<Self, VerifyError> {
        let same_day = self.date() == scope.date();
        if same_day { Ok(self) } else { Err(malformed("the credential's date is not that of the request")) }
    }
}

fn malformed(what: &'static str) -> VerifyError {
    VerifyError::MalformedAuthorization { what }
}

/// The `X-Amz-*` parameters, if there is a signature among them.
fn presigned_fields(raw_query: &str) -> Vec<(String, String)> {
    if !raw_query.contains("X-Amz-") {
        return Vec::new();
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    let pairs = decode_query(raw_query).into_iter();
    let fields = pairs.filter_map(|(name, value)| Some((text(name)?, text(value)?)));
    let fields: Vec<_> = fields.filter(|(name, _)| name.starts_with("X-Amz-")).collect();
    let signs =
        |(name, _): &(String, String)| ["X-Amz-Algorithm", "X-Amz-Signature"].contains(&name.as_str());
    if fields.iter().any(signs) { fields } else { Vec::new() }
}

/// Splits at the fifth slash from the end: access key ids may hold slashes themselves.
fn split_credential(text: &str) -> Option<(AccessKeyId, Scope)> {
    let (at, _) = text.rmatch_indices('/').nth(3)?;
    let id = Some(&text[..at]).filter(|id| !id.is_empty())?;
    Some((AccessKeyId(id.to_owned()), Scope::parse(&text[at + 1..])?))
}

fn split_names(text: &str) -> Vec<String> {
    text.split(';').map(str::to_ascii_lowercase).collect()
}

fn header_timestamp(request: &SignedRequest<'_>) -> Result<Timestamp, VerifyError> {
    let found = match request.header("x-amz-date") {
        Some(text) => Timestamp::parse(text),
        None => request
            .header("date")
            .and_then(|text| Timestamp::parse(text).or_else(|| Timestamp::parse_http_date(text))),
    };
    found.ok_or(VerifyError::MissingDate)
}

fn header_payload(request: &SignedRequest<'_>) -> Result<PayloadHash, VerifyError> {
    match request.header("x-amz-content-sha256") {
        Some(text) => PayloadHash::parse(text).ok_or(VerifyError::InvalidPayloadHash),
        // curl before 8 leaves the header out and signs the hash of nothing; then the body must be empty.
        None => Ok(PayloadHash::of(b"")),
    }
}
