//! Ids of sandboxes and sessions.

use crate::{ErrorCode, InvalidInput};

const SDK_ID_LENGTHS: std::ops::RangeInclusive<usize> = 1..=63;
const BRIDGE_ID_LENGTHS: std::ops::RangeInclusive<usize> = 1..=128;
const SESSION_ID_LENGTHS: std::ops::RangeInclusive<usize> = 1..=128;
const RESERVED: [&str; 7] = ["www", "api", "admin", "root", "system", "cloudflare", "workers"];

/// Ids of the SDK: nearly anything of 1 to 63 characters. JavaScript counts UTF-16 units.
pub fn sdk_sandbox_id(id: &str) -> Result<(), InvalidInput> {
    if !SDK_ID_LENGTHS.contains(&id.encode_utf16().count()) {
        return refuse(
            ErrorCode::InvalidSandboxIdLength,
            id,
            "Sandbox ID must be 1-63 characters long.".into(),
        );
    }
    if id.starts_with('-') || id.ends_with('-') {
        let message = "Sandbox ID cannot start or end with hyphens (DNS requirement).";
        return refuse(ErrorCode::InvalidSandboxIdHyphens, id, message.into());
    }
    if RESERVED.contains(&id.to_lowercase().as_str()) {
        return refuse(
            ErrorCode::ReservedSandboxId,
            id,
            format!("Reserved sandbox ID '{id}' is not allowed."),
        );
    }
    Ok(())
}

fn refuse(code: ErrorCode, id: &str, message: String) -> Result<(), InvalidInput> {
    Err(InvalidInput::new(code, message).with("sandboxId", id))
}

/// Ids of the bridge: `/^[a-z2-7]{1,128}$/`.
pub fn bridge_sandbox_id(id: &str) -> Result<(), InvalidInput> {
    let allowed = |b: u8| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b);
    if BRIDGE_ID_LENGTHS.contains(&id.len()) && id.bytes().all(allowed) {
        return Ok(());
    }
    Err(InvalidInput::new(ErrorCode::ValidationFailed, "Invalid sandbox ID format"))
}

/// Ids of sessions and processes on our routes: anything of 1 to 128 characters.
pub fn sdk_name(what: &str, id: &str) -> Result<(), InvalidInput> {
    let is_plain = !id.contains(|c: char| c.is_control());
    if SESSION_ID_LENGTHS.contains(&id.chars().count()) && is_plain {
        return Ok(());
    }
    let message = format!("{what} must have 1 to 128 characters, none of them a control character");
    Err(InvalidInput::new(ErrorCode::ValidationFailed, message))
}

/// Names of variables as shells take them: `/^[A-Za-z_][A-Za-z0-9_]*$/`.
pub fn variable_name(name: &str) -> Result<(), InvalidInput> {
    let is_start = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if is_start && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    let message =
        format!("env: {name:?} is not the name of a variable (letters, digits and _, no digit first)");
    Err(InvalidInput::new(ErrorCode::ValidationFailed, message).with("name", name))
}

/// Ids of the bridge's sessions: `/^[A-Za-z0-9._-]{1,128}$/` without `..`.
pub fn session_id(id: &str) -> Result<(), InvalidInput> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if SESSION_ID_LENGTHS.contains(&id.len()) && id.bytes().all(allowed) && !id.contains("..") {
        return Ok(());
    }
    Err(InvalidInput::new(ErrorCode::ValidationFailed, "Invalid session ID format"))
}
