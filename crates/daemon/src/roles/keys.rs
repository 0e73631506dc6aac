//! The key pairs of an endpoint, as the command line changes them: in the file, which a running endpoint follows.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandkeep_gateway::{Access, AccessKey, AccessMode, Error, KeyRing, Place};
use serde::Serialize;

use crate::volumes::VolumeError;

/// A pair that is to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// `BUCKET` or `BUCKET/PREFIX`; none: everywhere.
    pub places: Vec<String>,
    /// Refuses every change.
    pub read_only: bool,
    /// From now until it is refused; none: never.
    pub valid_for: Option<Duration>,
}

/// A pair without its secret.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyInfo {
    /// What people call it.
    pub name: String,
    /// Its public half.
    pub access_key_id: String,
    /// Where it reaches; none: everywhere.
    pub places: Option<Vec<String>>,
    /// Whether it refuses every change.
    pub read_only: bool,
    /// Seconds since 1970 after which it is refused.
    pub expires: Option<u64>,
}

/// Makes a pair; the secret is returned this once.
pub fn create_key(file: &Path, new: &NewKey) -> Result<(KeyInfo, String), VolumeError> {
    let place = |text: &String| text.parse::<Place>().map_err(|error| invalid(text, &error));
    let places = new.places.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let access = Access {
        places: Some(places).filter(|places| !places.is_empty()),
        mode: if new.read_only { AccessMode::ReadOnly } else { AccessMode::ReadWrite },
        expires: new.valid_for.map(|valid| since_epoch(SystemTime::now() + valid)),
    };
    let key = KeyRing::create(file, &new.name, access).map_err(|error| failed(&error))?;
    let secret = key.credentials.secret_access_key.expose().to_owned();
    Ok((info(&key), secret))
}

/// All pairs, the service's own one (`internal`) included.
pub fn list_keys(file: &Path) -> Result<Vec<KeyInfo>, VolumeError> {
    let keys = KeyRing::load_or_create(file, None).map_err(|error| failed(&error))?;
    Ok(keys.keys().iter().map(info).collect())
}

/// Takes a pair away.
pub fn remove_key(file: &Path, name: &str) -> Result<(), VolumeError> {
    KeyRing::remove(file, name).map_err(|error| failed(&error))
}

fn info(key: &AccessKey) -> KeyInfo {
    let places = key.access.places.as_ref();
    KeyInfo {
        name: key.name.clone(),
        access_key_id: key.credentials.access_key_id.0.clone(),
        places: places.map(|places| places.iter().map(ToString::to_string).collect()),
        read_only: key.access.mode == AccessMode::ReadOnly,
        expires: key.access.expires,
    }
}

fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn invalid(text: &str, error: &dyn std::error::Error) -> VolumeError {
    VolumeError::failed(&format!("{text:?} is not BUCKET or BUCKET/PREFIX"), error)
}

fn failed(error: &Error) -> VolumeError {
    VolumeError::failed("cannot change the keys", error)
}
