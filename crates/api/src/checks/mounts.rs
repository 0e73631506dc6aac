//! What is mounted, and where.

use url::Url;

use super::paths::{MAX_PATH_BYTES, normalize};
use crate::{ErrorCode, InvalidInput};

const BUCKET_NAME_LENGTHS: std::ops::RangeInclusive<usize> = 1..=63;
/// The sandbox itself lives from these.
const UNMOUNTABLE: [&str; 3] = ["/proc", "/sys", "/dev"];

fn refuse<T>(message: String) -> Result<T, InvalidInput> {
    Err(InvalidInput::new(ErrorCode::InvalidMountConfig, message))
}

/// `prefix`: starts with a slash.
pub fn mount_prefix(prefix: &str) -> Result<(), InvalidInput> {
    if prefix.starts_with('/') { Ok(()) } else { refuse(format!("Prefix must start with '/': \"{prefix}\"")) }
}

/// Bucket of an endpoint mount: `/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/`.
pub fn bucket_name(name: &str) -> Result<(), InvalidInput> {
    no_colon(name)?;
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let inner = |b: u8| edge(b) || b == b'.' || b == b'-';
    let bytes = name.as_bytes();
    let valid = BUCKET_NAME_LENGTHS.contains(&bytes.len())
        && edge(bytes[0])
        && edge(bytes[bytes.len() - 1])
        && bytes.iter().all(|&b| inner(b));
    if valid {
        return Ok(());
    }
    refuse(format!(
        "Invalid bucket name: \"{name}\". Bucket names have 1-63 characters: lower-case letters, digits, dots and \
         hyphens, with a letter or digit at both ends."
    ))
}

/// Binding of a binding mount: `/^[A-Za-z_][A-Za-z0-9_]*$/`.
pub fn binding_name(name: &str) -> Result<(), InvalidInput> {
    no_colon(name)?;
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let bytes = name.as_bytes();
    let valid =
        bytes.first().is_some_and(|&b| first(b)) && bytes.iter().all(|&b| first(b) || b.is_ascii_digit());
    if valid {
        return Ok(());
    }
    refuse(format!(
        "Invalid R2 binding name: \"{name}\". Without an endpoint the bucket is the name of a binding, such as \
         MY_BUCKET."
    ))
}

fn no_colon(name: &str) -> Result<(), InvalidInput> {
    let Some((bucket, prefix)) = name.split_once(':') else { return Ok(()) };
    let prefix = prefix.trim_start_matches('/');
    refuse(format!(
        "Bucket name cannot contain ':'. To mount a prefix, use the prefix option: \
         mountBucket(\"{bucket}\", mountPath, {{ prefix: \"/{prefix}\" }})"
    ))
}

/// Where to mount: absolute, a path that can be, and not one the sandbox lives from. Gives it normalised.
pub fn mount_path(path: &str) -> Result<String, InvalidInput> {
    if !path.starts_with('/') {
        return refuse(format!("Mount path must be absolute (start with '/'): \"{path}\""));
    }
    if path.contains('\0') || path.len() > MAX_PATH_BYTES {
        return refuse("Mount path must not contain null bytes nor be longer than 4096 bytes".into());
    }
    let path = normalize(path);
    let lives_from =
        |vital: &str| path == vital || path.strip_prefix(vital).is_some_and(|r| r.starts_with('/'));
    if path == "/" || UNMOUNTABLE.iter().any(|vital| lives_from(vital)) {
        return refuse(format!("Mount path must not be \"{path}\": the sandbox itself needs it"));
    }
    Ok(path)
}

/// The endpoint of an endpoint mount: an http or https URL of a host.
pub fn endpoint(text: &str) -> Result<Url, InvalidInput> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => refuse(format!("Invalid endpoint URL: \"{text}\". An endpoint is an http or https URL.")),
    }
}
