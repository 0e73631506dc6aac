//! What the signer of a form allows to be in it.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::Fields;
use crate::fault::{Fault, Outcome};

/// Fields that no condition has to name.
const FREE: [&str; 5] = ["awsaccesskeyid", "file", "policy", "signature", "x-amz-signature"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    expiration: String,
    conditions: Vec<Value>,
}

/// A policy that was read.
#[derive(Debug)]
pub(crate) struct Policy {
    expiration: SystemTime,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
enum Condition {
    Equals(String, String),
    StartsWith(String, String),
    Length(u64, u64),
}

impl Policy {
    /// Reads the field `policy`.
    pub(crate) fn parse(encoded: &str) -> Outcome<Self> {
        let invalid = |what: &str| Fault::bad("InvalidPolicyDocument", format!("Invalid Policy: {what}"));
        let json = STANDARD.decode(encoded).map_err(|_| invalid("Invalid Base64."))?;
        let document: Document = serde_json::from_slice(&json).map_err(|_| invalid("Invalid JSON."))?;
        let conditions = document.conditions.iter().map(|value| Condition::of(value).map_err(invalid));
        Ok(Self {
            expiration: parse_time(&document.expiration)
                .ok_or_else(|| invalid("Invalid 'expiration' value"))?,
            conditions: conditions.collect::<Outcome<_>>()?,
        })
    }

    /// Refuses a form that the policy does not describe in whole.
    pub(crate) fn check(&self, fields: &Fields, now: SystemTime) -> Outcome<()> {
        if now >= self.expiration {
            return Err(Fault::access_denied("Invalid according to Policy: Policy expired."));
        }
        for condition in &self.conditions {
            if !condition.holds(fields) {
                let message = format!("Invalid according to Policy: Policy Condition failed: {condition:?}");
                return Err(Fault::access_denied(message));
            }
        }
        let named = |name: &str| self.conditions.iter().any(|condition| condition.names(name));
        // A checksum only says what the file must be.
        let free = |name: &str| {
            FREE.contains(&name)
                || ["x-ignore-", "x-amz-checksum-"].iter().any(|start| name.starts_with(start))
        };
        match fields.iter().find(|(name, _)| !free(name) && !named(name)) {
            Some((name, _)) => {
                let message = format!("Invalid according to Policy: Extra input fields: {name}");
                Err(Fault::access_denied(message))
            }
            None => Ok(()),
        }
    }

    /// Refuses a file of another length than allowed.
    pub(crate) fn check_length(&self, length: u64) -> Outcome<()> {
        for condition in &self.conditions {
            match condition {
                Condition::Length(least, _) if length < *least => {
                    let message = "Your proposed upload is smaller than the minimum allowed size";
                    return Err(Fault::bad("EntityTooSmall", message));
                }
                Condition::Length(_, most) if length > *most => return Err(Fault::too_large(*most)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// As S3 wants it: `2026-01-31T23:59:59Z`, perhaps with a fraction.
fn parse_time(text: &str) -> Option<SystemTime> {
    let shaped = text.as_bytes().get(10) == Some(&b'T') && text.ends_with('Z');
    let instant: jiff::Timestamp = text.parse().ok().filter(|_| shaped)?;
    instant.try_into().ok()
}

impl Condition {
    fn of(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::Object(pairs) => {
                let mut pairs = pairs.iter();
                let (Some((name, value)), None) = (pairs.next(), pairs.next()) else {
                    return Err("Simple conditions must have exactly one property.");
                };
                Self::equals(name, value)
            }
            Value::Array(parts) => Self::of_list(parts),
            _ => Err("A condition is neither an object nor a list."),
        }
    }

    fn equals(name: &str, value: &Value) -> Result<Self, &'static str> {
        let value = value.as_str().ok_or("A value is not text.")?;
        Ok(Self::Equals(name.to_ascii_lowercase(), value.to_owned()))
    }

    fn of_list(parts: &[Value]) -> Result<Self, &'static str> {
        let [operator, first, second] = parts else { return Err("A condition has not three parts.") };
        let operator = operator.as_str().unwrap_or_default().to_ascii_lowercase();
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        if operator == "content-length-range" {
            let (least, most) = (number(first), number(second));
            return least
                .zip(most)
                .map(|(least, most)| Self::Length(least, most))
                .ok_or("A length is no number.");
        }
        let name =
            first.as_str().and_then(|name| name.strip_prefix('$')).ok_or("A field has no dollar sign.")?;
        let (name, value) =
            (name.to_ascii_lowercase(), second.as_str().ok_or("A value is not text.")?.to_owned());
        match operator.as_str() {
            "eq" => Ok(Self::Equals(name, value)),
            "starts-with" => Ok(Self::StartsWith(name, value)),
            _ => Err("A condition has an unknown operator."),
        }
    }

    fn names(&self, field: &str) -> bool {
        match self {
            Self::Equals(name, _) | Self::StartsWith(name, _) => name == field,
            Self::Length(..) => false,
        }
    }

    fn holds(&self, fields: &Fields) -> bool {
        match self {
            Self::Equals(name, value) => fields.get(name) == Some(value),
            Self::StartsWith(name, start) if start.is_empty() => {
                fields.get(name).is_some() || name == "content-type"
            }
            Self::StartsWith(name, start) => fields.get(name).is_some_and(|value| value.starts_with(start)),
            // Judged when the length is known.
            Self::Length(..) => true,
        }
    }
}
