//! Access keys of the endpoint, and the changes that can be made to them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use sandkeep_objects::sigv4::{Scope, SigningKey};
use sandkeep_objects::{AccessKeyId, Credentials};
use serde::{Deserialize, Serialize};

use crate::key_file::{self, Stamp};
use crate::{Access, Error};

/// The daemon's own pair.
const INTERNAL: &str = "internal";

/// A key pair the endpoint accepts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKey {
    /// What a person calls it: `default`, or `internal` for the daemon's own grant.
    pub name: String,
    /// The pair.
    #[serde(flatten)]
    pub credentials: Credentials,
    /// What it may do.
    #[serde(default)]
    pub access: Access,
}

/// All key pairs of an endpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeyRing {
    keys: Vec<AccessKey>,
    #[serde(skip)]
    origin: Option<Origin>,
    /// Shared by the requests that this ring admits, and gone with it.
    #[serde(skip)]
    derived: Arc<Derived>,
}

/// Signing keys kept at most: one for each key, day and region in use.
const DERIVED: usize = 32;

/// Signing keys that were derived before, so that a request costs one HMAC instead of five.
#[derive(Debug, Default)]
struct Derived(Mutex<Vec<(AccessKeyId, Scope, SigningKey)>>);

/// Where a ring was read from.
#[derive(Clone, Debug)]
struct Origin {
    path: PathBuf,
    stamp: Option<Stamp>,
    given: Option<Credentials>,
}

impl KeyRing {
    /// Reads the key file, or makes it at the first start with two random pairs, `default` and `internal`.
    /// `given` (from SANDKEEP_S3_ACCESS_KEY_ID / SANDKEEP_S3_SECRET_ACCESS_KEY) replaces the pair `default`.
    pub fn load_or_create(path: &Path, given: Option<Credentials>) -> Result<Self, Error> {
        let mut ring = change(path, || {
            // Before the content: a change in between is noticed later.
            let stamp = key_file::stamp(path);
            let mut ring = key_file::read_or_create(path, Self::random)?;
            ring.origin = Some(Origin { path: path.to_owned(), stamp, given: given.clone() });
            Ok(ring)
        })?;
        if let Some(credentials) = given {
            ring.keys.retain(|key| key.name != "default");
            let access = Access::default();
            ring.keys.insert(0, AccessKey { name: "default".to_owned(), credentials, access });
        }
        Ok(ring)
    }

    /// Adds a random pair to the key file and returns it. A running endpoint accepts it at once.
    ///
    /// # Errors
    /// There is a key of that name; the file cannot be changed.
    pub fn create(path: &Path, name: &str, access: Access) -> Result<AccessKey, Error> {
        let credentials = change(path, random_credentials)?;
        let key = AccessKey { name: name.to_owned(), credentials, access };
        let taken = || Error::KeyExists { name: name.to_owned() };
        let add = |ring: &mut Self| {
            let free = ring.named(name).is_none();
            if free {
                ring.keys.push(key.clone());
            }
            free
        };
        if Self::edit(path, add)? { Ok(key) } else { Err(taken()) }
    }

    /// Takes a pair out of the key file. A running endpoint refuses it at once.
    ///
    /// # Errors
    /// There is no key of that name; it is `internal`, without which mounts could not reach their buckets; the file cannot be changed.
    pub fn remove(path: &Path, name: &str) -> Result<(), Error> {
        if name == INTERNAL {
            return Err(Error::KeyNeeded { name: name.to_owned() });
        }
        let remove = |ring: &mut Self| {
            let before = ring.keys.len();
            ring.keys.retain(|key| key.name != name);
            ring.keys.len() < before
        };
        if Self::edit(path, remove)? { Ok(()) } else { Err(Error::NoSuchKeyPair { name: name.to_owned() }) }
    }

    /// The pairs.
    pub fn keys(&self) -> &[AccessKey] {
        &self.keys
    }

    /// The pair of that name.
    pub fn named(&self, name: &str) -> Option<&AccessKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The pair of that public half.
    pub(crate) fn of_id(&self, id: &AccessKeyId) -> Option<&AccessKey> {
        self.keys.iter().find(|key| key.credentials.access_key_id == *id)
    }

    /// The key of a pair for a day, region and service.
    pub(crate) fn signing_key(&self, key: &AccessKey, scope: &Scope) -> SigningKey {
        let id = &key.credentials.access_key_id;
        let mut derived = self.derived.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., known)) = derived.iter().find(|(of, at, _)| of == id && at == scope) {
            return known.clone();
        }
        let made = SigningKey::derive(&key.credentials.secret_access_key, scope);
        if derived.len() == DERIVED {
            derived.remove(0);
        }
        derived.push((id.clone(), scope.clone(), made.clone()));
        made
    }

    /// Changes the file while no other process does; nothing is written if `edit` returns false.
    fn edit(path: &Path, edit: impl FnOnce(&mut Self) -> bool) -> Result<bool, Error> {
        change(path, || {
            let mut ring: Self = key_file::read_or_create(path, Self::random)?;
            let _turn = key_file::take_turn(path)?;
            ring.keys = key_file::read(path)?.keys;
            let changed = edit(&mut ring);
            if changed {
                key_file::replace(path, &ring)?;
            }
            Ok(changed)
        })
    }

    fn random() -> io::Result<Self> {
        let key = |name: &str| {
            let credentials = random_credentials()?;
            Ok::<_, io::Error>(AccessKey { name: name.to_owned(), credentials, access: Access::default() })
        };
        Ok(Self { keys: vec![key("default")?, key(INTERNAL)?], origin: None, derived: Arc::default() })
    }

    /// The ring as its file has it now; none if that has not changed, or cannot be read.
    fn changed(&self) -> Option<Self> {
        let origin = self.origin.as_ref()?;
        if key_file::stamp(&origin.path) == origin.stamp {
            return None;
        }
        let loaded = Self::load_or_create(&origin.path, origin.given.clone());
        loaded.inspect_err(|error| tracing::warn!(%error, "the old keys stay in use")).ok()
    }
}

/// The keys of a running endpoint, which follow their file.
#[derive(Debug)]
pub(crate) struct LiveKeys(RwLock<Arc<KeyRing>>);

impl LiveKeys {
    pub(crate) fn new(ring: KeyRing) -> Self {
        Self(RwLock::new(Arc::new(ring)))
    }

    /// The keys as of now: a key that was removed is refused from the next request on.
    pub(crate) fn current(&self) -> Arc<KeyRing> {
        let known = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let Some(changed) = known.changed().map(Arc::new) else { return known };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&changed);
        changed
    }
}

/// Names the key file in a failure.
fn change<T>(path: &Path, change: impl FnOnce() -> io::Result<T>) -> Result<T, Error> {
    change().map_err(|source| Error::Keys { path: path.to_owned(), source })
}

/// As long as AWS makes them, which some clients check.
fn random_credentials() -> io::Result<Credentials> {
    let id = format!("SK{}", &BASE32_NOPAD.encode(&key_file::random::<12>()?)[..18]);
    Ok(Credentials::new(id, BASE64URL_NOPAD.encode(&key_file::random::<30>()?)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use sandkeep_objects::sigv4::Timestamp;

    use super::*;

    #[test]
    fn derived_keys_are_those_of_their_scope_and_few_are_kept() {
        let ring = KeyRing::random().expect("randomness");
        let day = |number: u32| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400) * number;
            Scope::s3(&Timestamp::new(time), "auto")
        };
        for number in (0..DERIVED as u32 + 5).chain(0..3) {
            for key in ring.keys() {
                let fresh = SigningKey::derive(&key.credentials.secret_access_key, &day(number));
                for _ in 0..2 {
                    let found = ring.signing_key(key, &day(number)).sign("text");
                    assert!(found.matches(&fresh.sign("text")), "day {number} of {}", key.name);
                }
            }
        }
        assert_eq!(ring.derived.0.lock().expect("no panic").len(), DERIVED);
    }
}
