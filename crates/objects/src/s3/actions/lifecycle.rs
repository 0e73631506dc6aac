//! The rules by which a bucket lets go of what is old.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html>

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use crate::s3::action::Action;
use crate::s3::xml;
use crate::{BucketName, Error, LifecycleRule, Result};

#[derive(Deserialize)]
struct Configuration {
    #[serde(rename = "Rule", default)]
    rules: Vec<Rule>,
}

/// Anything that our rules cannot say makes the whole answer one that must not be written back.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Rule {
    #[serde(rename = "ID", default)]
    id: String,
    status: String,
    prefix: Option<String>,
    filter: Option<Filter>,
    expiration: Option<Expiration>,
    abort_incomplete_multipart_upload: Option<Abort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    #[serde(default)]
    prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Expiration {
    days: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Abort {
    days_after_initiation: u32,
}

/// A request about the rules; without any they are deleted rather than replaced.
pub(in crate::s3) fn request(method: Method, bucket: &BucketName) -> Action {
    Action::bucket(method, bucket).query("lifecycle", b"")
}

/// Replaces the rules.
pub(in crate::s3) fn replace(bucket: &BucketName, rules: &[LifecycleRule]) -> Result<Action> {
    let document = Bytes::from(document(rules));
    request(Method::PUT, bucket).checked_document(document)
}

fn document(rules: &[LifecycleRule]) -> String {
    let mut text = String::from("<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for rule in rules {
        let escape = |text: &str| quick_xml::escape::escape(text).into_owned();
        let status = if rule.enabled { "Enabled" } else { "Disabled" };
        text.push_str(&format!(
            "<Rule><ID>{}</ID>{}<Status>{status}</Status>",
            escape(&rule.id),
            prefix(rule)
        ));
        if let Some(days) = rule.expire_after_days {
            text.push_str(&format!("<Expiration><Days>{days}</Days></Expiration>"));
        }
        if let Some(days) = rule.abort_uploads_after_days {
            text.push_str(&format!(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>"
            ));
        }
        text.push_str("</Rule>");
    }
    text + "</LifecycleConfiguration>"
}

/// As it was said.
fn prefix(rule: &LifecycleRule) -> String {
    let prefix = format!("<Prefix>{}</Prefix>", quick_xml::escape::escape(&rule.prefix));
    if rule.plain_prefix { prefix } else { format!("<Filter>{prefix}</Filter>") }
}

/// The rules in the answer.
pub(in crate::s3) fn parse(body: &[u8]) -> Result<Vec<LifecycleRule>> {
    let foreign = |_| Error::Unsupported { what: "lifecycle rules of the kinds that this bucket has" };
    let document: Configuration = xml::parse(body).map_err(foreign)?;
    let rule = |rule: Rule| LifecycleRule {
        id: rule.id,
        plain_prefix: rule.filter.is_none() && rule.prefix.is_some(),
        prefix: rule.filter.map(|filter| filter.prefix).or(rule.prefix).unwrap_or_default(),
        enabled: rule.status == "Enabled",
        expire_after_days: rule.expiration.map(|expiration| expiration.days),
        abort_uploads_after_days: rule
            .abort_incomplete_multipart_upload
            .map(|abort| abort.days_after_initiation),
    };
    Ok(document.rules.into_iter().map(rule).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_come_back_as_they_were_written() {
        let rules = vec![
            LifecycleRule {
                id: "a&b".into(),
                prefix: "logs/<x>".into(),
                plain_prefix: false,
                enabled: true,
                expire_after_days: Some(3),
                abort_uploads_after_days: None,
            },
            LifecycleRule { id: "u".into(), abort_uploads_after_days: Some(1), ..LifecycleRule::default() },
        ];
        assert_eq!(parse(document(&rules).as_bytes()).expect("our own"), rules);
    }

    #[test]
    fn rules_of_other_kinds_are_not_taken_for_ours() {
        let transition = "<LifecycleConfiguration><Rule><ID>t</ID><Status>Enabled</Status><Transition>\
             <Days>3</Days><StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>";
        assert!(matches!(parse(transition.as_bytes()), Err(Error::Unsupported { .. })));
    }
}
