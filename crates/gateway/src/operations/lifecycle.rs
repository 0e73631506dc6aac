//! The rules by which a bucket lets go of what is old.

use http::StatusCode;
use sandkeep_objects::{BucketName, LifecycleRule};
use serde::Deserialize;

use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::reply::{self, Reply};
use crate::xml::Xml;

/// Rules at most, as on S3.
const LIMIT: usize = 1000;

/// Characters of an id at most.
const ID_LIMIT: usize = 255;

/// What clients send. Everything else (transitions, dates, tags, sizes, versions) is refused, not ignored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "LifecycleConfiguration")]
struct Configuration {
    #[serde(rename = "@xmlns", default)]
    _namespace: String,
    #[serde(rename = "Rule", default)]
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Rule {
    #[serde(rename = "ID", default)]
    id: String,
    status: String,
    prefix: Option<String>,
    filter: Option<Filter>,
    expiration: Option<Expiration>,
    abort_incomplete_multipart_upload: Option<Abort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Filter {
    #[serde(default)]
    prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Expiration {
    days: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Abort {
    days_after_initiation: u32,
}

/// `PUT /BUCKET?lifecycle`
pub(super) async fn put_lifecycle(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    let body = call.document(super::DOCUMENT_LIMIT).await?;
    call.service.set_lifecycle(bucket, parse(&body)?).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `GET /BUCKET?lifecycle`
pub(super) async fn get_lifecycle(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    let rules = call.service.lifecycle(bucket).await?;
    if rules.is_empty() {
        let message = "The lifecycle configuration does not exist";
        return Err(Fault::new(StatusCode::NOT_FOUND, "NoSuchLifecycleConfiguration", message));
    }
    let mut document = Xml::document("LifecycleConfiguration");
    for rule in &rules {
        document.element("Rule", |entry| describe(entry, rule));
    }
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// `DELETE /BUCKET?lifecycle`
pub(super) async fn delete_lifecycle(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.set_lifecycle(bucket, Vec::new()).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(super) fn parse(body: &[u8]) -> Outcome<Vec<LifecycleRule>> {
    let refuse = |why: String| Fault::bad("MalformedXML", format!("The lifecycle configuration: {why}"));
    let text = std::str::from_utf8(body).map_err(|_| Fault::malformed_xml())?;
    let parsed: Configuration = quick_xml::de::from_str(text).map_err(|error| refuse(error.to_string()))?;
    if parsed.rules.is_empty() || parsed.rules.len() > LIMIT {
        return Err(refuse(format!("1 to {LIMIT} rules are allowed")));
    }
    let rules = parsed.rules.into_iter().enumerate().map(|(number, rule)| rule.checked(number));
    let rules = rules.collect::<Outcome<Vec<_>>>()?;
    let mut ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Fault::invalid_argument("Rule ID must be unique. Found same ID for more than one rule"));
    }
    Ok(rules)
}

impl Rule {
    fn checked(self, number: usize) -> Outcome<LifecycleRule> {
        if self.id.chars().count() > ID_LIMIT {
            return Err(Fault::invalid_argument("ID length should not exceed allowed limit of 255"));
        }
        let enabled = match self.status.as_str() {
            "Enabled" => true,
            "Disabled" => false,
            _ => return Err(Fault::malformed_xml()),
        };
        let rule = LifecycleRule {
            id: if self.id.is_empty() { format!("rule-{}", number + 1) } else { self.id },
            plain_prefix: self.filter.is_none() && self.prefix.is_some(),
            prefix: self.filter.map(|filter| filter.prefix).or(self.prefix).unwrap_or_default(),
            enabled,
            expire_after_days: self.expiration.map(|expiration| expiration.days),
            abort_uploads_after_days: self
                .abort_incomplete_multipart_upload
                .map(|abort| abort.days_after_initiation),
        };
        let days = [rule.expire_after_days, rule.abort_uploads_after_days];
        if days.contains(&Some(0)) {
            return Err(Fault::invalid_argument("A number of days must be a positive integer"));
        }
        if days == [None, None] {
            return Err(Fault::invalid_request("At least one action needs to be specified in a rule"));
        }
        Ok(rule)
    }
}

fn describe(entry: &mut Xml, rule: &LifecycleRule) {
    entry.text("ID", &rule.id);
    if rule.plain_prefix {
        entry.text("Prefix", &rule.prefix);
    } else {
        entry.element("Filter", |filter| {
            filter.text("Prefix", &rule.prefix);
        });
    }
    entry.text("Status", if rule.enabled { "Enabled" } else { "Disabled" });
    if let Some(days) = rule.expire_after_days {
        entry.element("Expiration", |expiration| {
            expiration.text("Days", &days.to_string());
        });
    }
    if let Some(days) = rule.abort_uploads_after_days {
        entry.element("AbortIncompleteMultipartUpload", |abort| {
            abort.text("DaysAfterInitiation", &days.to_string());
        });
    }
}
