//! Access keys of the endpoint, kept in a file of mode 0600.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use sandkeep_objects::{AccessKeyId, Credentials};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A key pair the endpoint accepts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKey {
    /// What a person calls it: `default`, or `internal` for the daemon's own grant.
    pub name: String,
    /// The pair.
    #[serde(flatten)]
    pub credentials: Credentials,
}

/// All key pairs of an endpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeyRing {
    keys: Vec<AccessKey>,
}

impl KeyRing {
    /// Reads the key file, or makes it at the first start with two random pairs, `default` and `internal`.
    /// `given` (from SANDKEEP_S3_ACCESS_KEY_ID / SANDKEEP_S3_SECRET_ACCESS_KEY) replaces the pair `default`.
    pub fn load_or_create(path: &Path, given: Option<Credentials>) -> Result<Self, Error> {
        let mut ring =
            read_or_create(path).map_err(|source| Error::Keys { path: path.to_owned(), source })?;
        if let Some(credentials) = given {
            ring.keys.retain(|key| key.name != "default");
            ring.keys.insert(0, AccessKey { name: "default".to_owned(), credentials });
        }
        Ok(ring)
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

    fn random() -> io::Result<Self> {
        let key = |name: &str| {
            random_credentials().map(|credentials| AccessKey { name: name.to_owned(), credentials })
        };
        Ok(Self { keys: vec![key("default")?, key("internal")?] })
    }
}

fn read_or_create(path: &Path) -> io::Result<KeyRing> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path, &KeyRing::random()?)?;
            // Another process may have been first; then its keys are the keys.
            read(path)
        }
        other => other,
    }
}

fn read(path: &Path) -> io::Result<KeyRing> {
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the key file was readable by others");
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    serde_json::from_reader(io::BufReader::new(file))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes a complete file beside and links it to its name, which fails if there is one.
fn create(path: &Path, ring: &KeyRing) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.new", HEXLOWER.encode(&random::<8>()?)));
    let written = write(&temporary, ring).and_then(|()| match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    fs::remove_file(&temporary)?;
    written?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

fn write(path: &Path, ring: &KeyRing) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut text = serde_json::to_vec_pretty(ring)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()
}

/// As long as AWS makes them, which some clients check.
fn random_credentials() -> io::Result<Credentials> {
    let id = format!("SK{}", &BASE32_NOPAD.encode(&random::<12>()?)[..18]);
    Ok(Credentials::new(id, BASE64URL_NOPAD.encode(&random::<30>()?)))
}

fn random<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
