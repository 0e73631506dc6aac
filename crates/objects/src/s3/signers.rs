//! What signs requests at this moment: credentials that may change, and the region that the server wants.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Mutex;

use super::sourced::{Sourced, from_command, from_file};
use crate::sigv4::Signer;
use crate::{CredentialSource, Credentials, Error, Result};

/// Credentials of a command are replaced this long before they expire, or in the last quarter of a shorter life.
const BEFORE_EXPIRY: Duration = Duration::from_secs(300);
/// A source that fails while the old credentials still hold is asked again after this.
const RETRY: Duration = Duration::from_secs(10);
/// A file is looked at this often.
const FILE_AGE: Duration = Duration::from_secs(1);

/// Tells whether a file is another one: length, time of change, number.
type Stamp = (u64, Option<SystemTime>, u64);

/// Gives signers.
#[derive(Debug)]
pub(super) struct Signers {
    source: Option<CredentialSource>,
    region: RwLock<String>,
    current: RwLock<Option<Current>>,
    /// Held while the source is asked, so that it is asked once.
    asking: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Current {
    credentials: Credentials,
    signer: Arc<Signer>,
    /// Until then nobody asks again.
    fresh_until: Option<Instant>,
    expires: Option<SystemTime>,
    stamp: Option<Stamp>,
}

impl Signers {
    pub(super) fn new(source: Option<CredentialSource>, region: String) -> Self {
        let current = match &source {
            Some(CredentialSource::Static(credentials)) => Some(Current {
                credentials: credentials.clone(),
                signer: Arc::new(Signer::new(credentials.clone(), region.clone())),
                fresh_until: None,
                expires: None,
                stamp: None,
            }),
            _ => None,
        };
        Self { source, region: RwLock::new(region), current: RwLock::new(current), asking: Mutex::default() }
    }

    /// Whether asking again may give other credentials.
    pub(super) fn can_change(&self) -> bool {
        !matches!(self.source, None | Some(CredentialSource::Static(_)))
    }

    /// What signs now; none: requests are anonymous.
    pub(super) async fn signer(&self) -> Result<Option<Arc<Signer>>> {
        if !self.can_change() {
            return Ok(self.held().map(|current| current.signer));
        }
        if let Some(fresh) = self.held().filter(Current::is_fresh) {
            return Ok(Some(fresh.signer));
        }
        let _asking = self.asking.lock().await;
        match self.held() {
            Some(fresh) if fresh.is_fresh() => Ok(Some(fresh.signer)),
            held => self.renewed(held).await.map(|current| Some(current.signer)),
        }
    }

    /// Signs for another region from now on.
    pub(super) fn switch_region(&self, region: String) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &mut *current {
            current.signer = Arc::new(Signer::new(current.credentials.clone(), region.clone()));
        }
        *self.region.write().unwrap_or_else(PoisonError::into_inner) = region;
    }

    /// The server refuses what is held: the source is asked with the next request.
    pub(super) fn distrust(&self) {
        if self.can_change() {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn held(&self) -> Option<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn renewed(&self, held: Option<Current>) -> Result<Current> {
        match self.ask(held.as_ref()).await {
            Ok(current) => Ok(self.hold(current)),
            Err(error) => match held.filter(Current::still_holds) {
                Some(held) => {
                    tracing::warn!(%error, "the credentials from before are used on");
                    Ok(self.hold(Current { fresh_until: Some(Instant::now() + RETRY), ..held }))
                }
                None => Err(error),
            },
        }
    }

    fn hold(&self, current: Current) -> Current {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
        current
    }

    async fn ask(&self, held: Option<&Current>) -> Result<Current> {
        match &self.source {
            Some(CredentialSource::File(path)) => self.ask_file(path, held).await,
            Some(CredentialSource::Command(line)) => {
                let sourced = from_command(line).await?;
                let fresh_until = sourced.expires.and_then(fresh_until);
                Ok(self.current_of(sourced, fresh_until, None))
            }
            Some(CredentialSource::Static(_)) | None => {
                Err(Error::NoCredentials { what: "there is nothing to ask".to_owned() })
            }
        }
    }

    async fn ask_file(&self, path: &Path, held: Option<&Current>) -> Result<Current> {
        let stamp = stamp(path);
        let fresh_until = Some(Instant::now() + FILE_AGE);
        if let Some(held) = held.filter(|held| stamp.is_some() && held.stamp == stamp) {
            return Ok(Current { fresh_until, ..held.clone() });
        }
        Ok(self.current_of(from_file(path).await?, fresh_until, stamp))
    }

    fn current_of(&self, sourced: Sourced, fresh_until: Option<Instant>, stamp: Option<Stamp>) -> Current {
        let Sourced { credentials, expires } = sourced;
        let region = self.region.read().unwrap_or_else(PoisonError::into_inner).clone();
        let signer = Arc::new(Signer::new(credentials.clone(), region));
        Current { credentials, signer, fresh_until, expires, stamp }
    }
}

impl Current {
    fn is_fresh(&self) -> bool {
        self.fresh_until.is_none_or(|until| Instant::now() < until)
    }

    fn still_holds(&self) -> bool {
        self.expires.is_none_or(|expires| SystemTime::now() < expires)
    }
}

/// None for what expires so far away that no clock says when. What has expired already is asked for again at once.
fn fresh_until(expires: SystemTime) -> Option<Instant> {
    let left = expires.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left - BEFORE_EXPIRY.min(left / 4))
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok(), metadata.ino()))
}
