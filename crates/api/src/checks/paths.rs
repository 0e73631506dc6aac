//! Paths inside a sandbox, and ports.

use crate::{ErrorCode, InvalidInput};

/// Longest path that the kernel takes (PATH_MAX).
pub const MAX_PATH_BYTES: usize = 4096;

const WORKSPACE: &str = "/workspace";
/// Taken by the SDK's control server.
const CONTROL_PORT: f64 = 3000.0;

/// A path of a file operation: not empty, no NUL, at most [`MAX_PATH_BYTES`]; relative ones are below /workspace.
pub fn file_path(path: &str) -> Result<String, InvalidInput> {
    let refuse = |reason: &str| {
        Err(InvalidInput::new(ErrorCode::ValidationFailed, format!("path {reason}")).with("field", "path"))
    };
    match path {
        "" => refuse("must not be empty"),
        _ if path.contains('\0') => refuse("must not contain null bytes"),
        _ if path.len() > MAX_PATH_BYTES => refuse("must not be longer than 4096 bytes"),
        _ if path.starts_with('/') => Ok(path.to_owned()),
        _ => Ok(format!("{WORKSPACE}/{path}")),
    }
}

/// Resolves a path against /workspace, lexically; none if it leads out of it.
pub fn workspace_path(path: &str) -> Option<String> {
    let absolute = if path.starts_with('/') { path.to_owned() } else { format!("{WORKSPACE}/{path}") };
    let resolved = normalize(&absolute);
    let inside =
        resolved == WORKSPACE || resolved.strip_prefix(WORKSPACE).is_some_and(|rest| rest.starts_with('/'));
    inside.then_some(resolved)
}

/// Resolves `.`, `..` and repeated slashes of an absolute path, lexically; no slash at the end.
pub fn normalize(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Whether a port may be exposed.
pub fn is_usable_port(port: f64) -> bool {
    port.fract() == 0.0 && (1024.0..=65535.0).contains(&port) && port != CONTROL_PORT
}
