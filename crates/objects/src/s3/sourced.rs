//! Reads credentials from where they stand, once.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tokio::process::Command;

use crate::{AccessKeyId, Credentials, Error, Result, SecretKey};

/// A command that takes longer hangs.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// Bytes of a file or an output at most.
const LONGEST: u64 = 64 << 10;
/// Secrets of ours that are no business of a command.
const KEPT: [&str; 4] = [
    "SANDKEEP_S3_SECRET_ACCESS_KEY",
    "SANDKEEP_BUCKETS_SECRET_ACCESS_KEY",
    "SANDKEEP_API_KEY",
    "SANDBOX_API_KEY",
];

/// Credentials, and until when they hold.
#[derive(Clone, Debug)]
pub(super) struct Sourced {
    pub(super) credentials: Credentials,
    pub(super) expires: Option<SystemTime>,
}

/// As commands print it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: String,
    secret_access_key: SecretKey,
    session_token: Option<SecretKey>,
    expiration: Option<jiff::Timestamp>,
}

/// What a file holds.
pub(super) async fn from_file(path: &Path) -> Result<Sourced> {
    let refused = |what: String| Error::NoCredentials { what: format!("{}: {what}", path.display()) };
    let length = tokio::fs::metadata(path).await.map_err(|error| refused(error.to_string()))?.len();
    if length > LONGEST {
        return Err(refused("it is too long".to_owned()));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(|error| refused(error.to_string()))?;
    let found = if text.trim_start().starts_with('{') { printed(&text) } else { section(&text) };
    found.ok_or_else(|| refused("it holds no access key id and secret access key".to_owned()))
}

/// What a command prints. Its words go nowhere, because they may be secret.
pub(super) async fn from_command(line: &str) -> Result<Sourced> {
    // The rest of the line may hold secrets.
    let program = line.split_whitespace().next().unwrap_or_default();
    let refused = |what: String| Error::NoCredentials { what: format!("the command {program:?}: {what}") };
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    for name in KEPT {
        command.env_remove(name);
    }
    let late = |_| refused(format!("it did not end within {} seconds", COMMAND_LIMIT.as_secs()));
    let output = tokio::time::timeout(COMMAND_LIMIT, command.output()).await.map_err(late)?;
    let output = output.map_err(|error: io::Error| refused(error.to_string()))?;
    if !output.status.success() {
        return Err(refused(format!("it failed ({})", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    printed(&text)
        .ok_or_else(|| refused("it does not print AccessKeyId and SecretAccessKey as JSON".to_owned()))
}

fn printed(text: &str) -> Option<Sourced> {
    let Printed { access_key_id, secret_access_key, session_token, expiration } =
        serde_json::from_str(text).ok()?;
    let credentials =
        Credentials { access_key_id: AccessKeyId(access_key_id), secret_access_key, session_token };
    Some(Sourced { credentials, expires: expiration.and_then(|time| time.try_into().ok()) })
}

/// Section `default` of a file of AWS's tools, or what comes before any other section.
fn section(text: &str) -> Option<Sourced> {
    let wanted = if text.lines().any(|line| line.trim() == "[default]") { Some("[default]") } else { None };
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut inside = wanted.is_none();
    let mut sections = 0;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            sections += 1;
            inside = wanted.map_or(sections == 1, |wanted| line == wanted);
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| inside) else { continue };
        let value = value.trim().to_owned();
        match name.trim().to_ascii_lowercase().as_str() {
            "aws_access_key_id" => id = Some(value),
            "aws_secret_access_key" => secret = Some(value),
            "aws_session_token" => token = Some(value),
            _ => {}
        }
    }
    let session_token = token.filter(|token| !token.is_empty()).map(SecretKey::new);
    let credentials = Credentials { session_token, ..Credentials::new(id?, secret?) };
    Some(Sourced { credentials, expires: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str, Option<&str>)>) {
        let found = if text.starts_with('{') { printed(text) } else { section(text) };
        let found = found.map(|found| found.credentials);
        let found = found.as_ref().map(|found| {
            let token = found.session_token.as_ref().map(SecretKey::expose);
            (found.access_key_id.0.as_str(), found.secret_access_key.expose(), token)
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn both_forms_are_read() {
        check(
            "[x]\naws_access_key_id=no\n[default]\naws_access_key_id = a\naws_secret_access_key=b=\n",
            Some(("a", "b=", None)),
        );
        check(
            "[one]\nAWS_ACCESS_KEY_ID=a\naws_secret_access_key=b\naws_session_token=t\n[two]\naws_access_key_id=c\n",
            Some(("a", "b", Some("t"))),
        );
        check("aws_access_key_id=a\naws_secret_access_key=b\n", Some(("a", "b", None)));
        check("[default]\naws_access_key_id=a\n", None);
        check("", None);
        check(
            r#"{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "t"}"#,
            Some(("a", "b", Some("t"))),
        );
        check(r#"{"AccessKeyId": "a"}"#, None);
    }
}
