//! Bodies of the bridge's routes: fields are checked by hand, because it ignores what it does not know.

use std::time::Duration;

use serde_json::{Map, Value};

use super::session_id;
use super::{normalize, workspace_path};
use crate::{BridgeCode, MountOptions, MountRequest, SessionRequest};

/// A checked exec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeExec {
    /// Program and arguments; at least one.
    pub argv: Vec<String>,
    /// Limit of the run.
    pub timeout: Option<Duration>,
    /// Inside /workspace.
    pub cwd: Option<String>,
}

/// A checked mount: [`MountRequest`], with the bridge's freedom of prefixes settled.
pub type BridgeMount = MountRequest;

type Refusal = (BridgeCode, String);

fn invalid<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err((BridgeCode::InvalidRequest, message.into()))
}

fn fields(body: &Value) -> Result<&Map<String, Value>, Refusal> {
    body.as_object().ok_or_else(|| (BridgeCode::InvalidRequest, "the body must be a JSON object".to_owned()))
}

/// Checks the body of an exec.
pub fn bridge_exec(body: &Value) -> Result<BridgeExec, Refusal> {
    let body = fields(body)?;
    Ok(BridgeExec {
        argv: argv(body.get("argv"))?,
        timeout: timeout(body.get("timeout_ms"))?,
        cwd: cwd(body.get("cwd"))?,
    })
}

fn argv(value: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let Some(list) = value.and_then(Value::as_array).filter(|list| !list.is_empty()) else {
        return invalid("argv must be a non-empty array");
    };
    let strings: Option<Vec<String>> = list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    match strings {
        None => invalid("argv must contain strings only"),
        Some(argv) if argv.iter().any(|argument| argument.contains('\0')) => {
            invalid("argv must not contain null bytes")
        }
        Some(argv) => Ok(argv),
    }
}

fn timeout(value: Option<&Value>) -> Result<Option<Duration>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().map(|ms| Duration::try_from_secs_f64(ms / 1000.0)) {
            Some(Ok(timeout)) => Ok(Some(timeout)),
            _ => invalid("timeout_ms must be a number of milliseconds"),
        },
    }
}

fn cwd(value: Option<&Value>) -> Result<Option<String>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(cwd)) => match workspace_path(cwd) {
            Some(path) if !path.contains('\0') => Ok(Some(path)),
            _ => {
                Err((BridgeCode::OutsideWorkspace, "cwd must resolve to a location within /workspace".into()))
            }
        },
        Some(_) => invalid("cwd must be a string"),
    }
}

/// Checks the body of a session.
pub fn bridge_session(body: &Value) -> Result<SessionRequest, Refusal> {
    const FIELDS: [&str; 4] = ["id", "cwd", "env", "commandTimeoutMs"];
    let mut fields = fields(body)?.clone();
    fields.retain(|name, value| FIELDS.contains(&name.as_str()) && !value.is_null());
    let request: SessionRequest = serde_json::from_value(Value::Object(fields))
        .map_err(|error| (BridgeCode::InvalidRequest, format!("session: {error}")))?;
    match &request.id {
        Some(id) if session_id(id).is_err() => invalid("Invalid session ID format"),
        _ => Ok(request),
    }
}

/// Checks the body of a mount; what is in `options` is checked by the mount itself.
pub fn bridge_mount(body: &Value) -> Result<BridgeMount, Refusal> {
    let body = fields(body)?;
    let name = body.get("bucket").or_else(|| body.get("binding"));
    let bucket = text(name, "bucket must be a non-empty string")?;
    let mount_path = absolute(body)?;
    let options = options(body.get("options"))?;
    Ok(MountRequest { bucket, mount_path, options, env: None })
}

/// Checks the body of an unmount and gives the path, normalised.
pub fn bridge_unmount(body: &Value) -> Result<String, Refusal> {
    let path = normalize(&absolute(fields(body)?)?);
    if path == "/" { invalid("mountPath must not resolve to / (filesystem root)") } else { Ok(path) }
}

fn text(value: Option<&Value>, message: &str) -> Result<String, Refusal> {
    match value.and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => invalid(message),
    }
}

fn absolute(body: &Map<String, Value>) -> Result<String, Refusal> {
    let path = text(body.get("mountPath"), "mountPath must be a non-empty string")?;
    if path.starts_with('/') {
        Ok(path)
    } else {
        invalid("mountPath must be an absolute path (start with /)")
    }
}

fn options(value: Option<&Value>) -> Result<MountOptions, Refusal> {
    let mut fields = match value {
        None => Map::new(),
        Some(Value::Object(fields)) => fields.clone(),
        Some(_) => return invalid("options must be an object"),
    };
    if fields.get("endpoint").is_some_and(|endpoint| !endpoint.is_string()) {
        return invalid("options.endpoint must be a string when provided");
    }
    fields.retain(|name, value| MountOptions::FIELDS.contains(&name.as_str()) && !value.is_null());
    // An empty endpoint means a binding, as the SDK's callers test it for truth.
    fields.retain(|name, value| name != "endpoint" || value.as_str() != Some(""));
    let mut options: MountOptions = serde_json::from_value(Value::Object(fields))
        .map_err(|error| (BridgeCode::InvalidRequest, format!("options: {error}")))?;
    options.prefix = options.prefix.map(with_leading_slash);
    Ok(options)
}

/// Clients of the bridge send prefixes with and without a leading slash.
fn with_leading_slash(prefix: String) -> String {
    if prefix.starts_with('/') { prefix } else { format!("/{prefix}") }
}
