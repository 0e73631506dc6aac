//! What browsers may do with a bucket on behalf of pages: the rules, the question before a request, and the headers
//! of its answer.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use sandkeep_objects::{BucketName, CorsRule, ObjectService};
use serde::Deserialize;

use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::headers::text;
use crate::reply::{self, Reply, add_header};
use crate::target::Target;
use crate::xml::Xml;

/// Rules at most, as on S3.
const LIMIT: usize = 100;

/// Methods that a rule may allow.
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "CORSConfiguration")]
struct Configuration {
    #[serde(rename = "@xmlns", default)]
    _namespace: String,
    #[serde(rename = "CORSRule", default)]
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "ID")]
    id: Option<String>,
    #[serde(rename = "AllowedOrigin", default)]
    origins: Vec<String>,
    #[serde(rename = "AllowedMethod", default)]
    methods: Vec<String>,
    #[serde(rename = "AllowedHeader", default)]
    headers: Vec<String>,
    #[serde(rename = "ExposeHeader", default)]
    exposed: Vec<String>,
    #[serde(rename = "MaxAgeSeconds")]
    max_age_seconds: Option<u32>,
}

/// `PUT /BUCKET?cors`
pub(super) async fn put_cors(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    let body = call.document(super::DOCUMENT_LIMIT).await?;
    call.service.set_cors(bucket, parse(&body)?).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `GET /BUCKET?cors`
pub(super) async fn get_cors(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    let rules = call.service.cors(bucket).await?;
    if rules.is_empty() {
        let message = "The CORS configuration does not exist";
        return Err(Fault::new(StatusCode::NOT_FOUND, "NoSuchCORSConfiguration", message));
    }
    let mut document = Xml::document("CORSConfiguration");
    for rule in &rules {
        document.element("CORSRule", |entry| describe(entry, rule));
    }
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// `DELETE /BUCKET?cors`
pub(super) async fn delete_cors(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.set_cors(bucket, Vec::new()).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `OPTIONS`: asked by browsers, which have no key. A bucket that does not exist is one without rules.
pub(super) async fn preflight(service: &dyn ObjectService, parts: &Parts) -> Outcome<Reply> {
    let bad = |message: &str| Fault::bad("BadRequest", message);
    let origin = text(&parts.headers, ORIGIN)?
        .ok_or_else(|| bad("Insufficient information. Origin request header needed."))?;
    let method = text(&parts.headers, ACCESS_CONTROL_REQUEST_METHOD)?
        .filter(|method| METHODS.contains(method))
        .ok_or_else(|| bad("Invalid Access-Control-Request-Method"))?;
    let headers = text(&parts.headers, ACCESS_CONTROL_REQUEST_HEADERS)?.unwrap_or_default();
    let rules = match bucket_of(&parts.headers, parts.uri.path()) {
        Some(bucket) => service.cors(&bucket).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let names = || headers.split(',').map(str::trim).filter(|name| !name.is_empty());
    let Some(rule) = rules.iter().find(|rule| rule.allows(origin, method, names())) else {
        let message = "CORSResponse: This CORS request is not allowed.";
        return Err(Fault::new(StatusCode::FORBIDDEN, "AccessForbidden", message));
    };
    let mut reply = reply::empty(StatusCode::OK);
    allow(&mut reply, rule, origin);
    if !headers.is_empty() {
        add_header(&mut reply, ACCESS_CONTROL_ALLOW_HEADERS, &headers.to_ascii_lowercase());
    }
    if let Some(seconds) = rule.max_age_seconds {
        add_header(&mut reply, ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
    }
    Ok(reply)
}

/// What a browser asks for beside a request.
pub(super) struct Asked {
    origin: String,
    bucket: BucketName,
    method: Method,
}

impl Asked {
    /// Nothing if the request does not come from a page.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        let origin = parts.headers.get(ORIGIN)?.to_str().ok()?.to_owned();
        let bucket = bucket_of(&parts.headers, parts.uri.path())?;
        Some(Self { origin, bucket, method: parts.method.clone() })
    }

    /// Lets the page see the answer, also a refusal, if a rule says so.
    pub(super) async fn answer(self, service: &dyn ObjectService, reply: &mut Reply) {
        // A bucket whose rules cannot be read has none; the request itself was answered already.
        let rules = service.cors(&self.bucket).await.unwrap_or_default();
        let none = std::iter::empty;
        if let Some(rule) = rules.iter().find(|rule| rule.allows(&self.origin, self.method.as_str(), none()))
        {
            allow(reply, rule, &self.origin);
        }
    }
}

fn bucket_of(headers: &HeaderMap, path: &str) -> Option<BucketName> {
    match Target::of(headers, path).ok()? {
        Target::Service => None,
        Target::Bucket(bucket) | Target::Object(bucket, _) => Some(bucket),
    }
}

fn allow(reply: &mut Reply, rule: &CorsRule, origin: &str) {
    if rule.is_for_all_origins() {
        add_header(reply, ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    } else {
        add_header(reply, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        add_header(reply, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    add_header(reply, ACCESS_CONTROL_ALLOW_METHODS, &rule.methods.join(", "));
    if !rule.exposed.is_empty() {
        add_header(reply, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.exposed.join(", "));
    }
    add_header(reply, VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
}

pub(super) fn parse(body: &[u8]) -> Outcome<Vec<CorsRule>> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::malformed_xml())?;
    let parsed: Configuration = quick_xml::de::from_str(text).map_err(|_| Fault::malformed_xml())?;
    if parsed.rules.is_empty() || parsed.rules.len() > LIMIT {
        return Err(Fault::malformed_xml());
    }
    parsed.rules.into_iter().map(Rule::checked).collect()
}

impl Rule {
    fn checked(self) -> Outcome<CorsRule> {
        if self.origins.is_empty() || self.methods.is_empty() {
            return Err(Fault::malformed_xml());
        }
        if let Some(method) = self.methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
            let message =
                format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}");
            return Err(Fault::invalid_request(message));
        }
        if let Some(many) =
            self.origins.iter().chain(&self.headers).find(|pattern| pattern.matches('*').count() > 1)
        {
            return Err(Fault::invalid_request(format!("{many} can not have more than one wildcard.")));
        }
        let Self { id, origins, methods, headers, exposed, max_age_seconds } = self;
        Ok(CorsRule { id, origins, methods, headers, exposed, max_age_seconds })
    }
}

fn describe(entry: &mut Xml, rule: &CorsRule) {
    entry.optional("ID", rule.id.as_deref());
    let lists = [
        ("AllowedOrigin", &rule.origins),
        ("AllowedMethod", &rule.methods),
        ("AllowedHeader", &rule.headers),
        ("ExposeHeader", &rule.exposed),
    ];
    for (name, values) in lists {
        for value in values {
            entry.text(name, value);
        }
    }
    entry.optional("MaxAgeSeconds", rule.max_age_seconds.map(|seconds| seconds.to_string()).as_deref());
}
