//! Who comes in by which way: with a key of the key file, or from inside a sandbox with its grants.

use std::sync::{Arc, PoisonError, RwLock};

use http::request::Parts;
use sandkeep_objects::ObjectService;

use crate::authentication::{Authenticated, authenticate};
use crate::authorize::{Requested, authorize};
use crate::fault::Outcome;
use crate::grants::{Grant, Grants};
use crate::keys::LiveKeys;

/// A way in.
#[derive(Debug)]
pub(crate) enum Door {
    /// For those who sign with a known key.
    Keys { service: Arc<dyn ObjectService>, keys: LiveKeys },
    /// For one sandbox; its grants change while it is open.
    Grants(RwLock<Arc<Grants>>),
}

/// [`Door::Keys`].
pub(crate) struct KeyedDoor<'a> {
    pub(crate) service: &'a dyn ObjectService,
    pub(crate) keys: &'a LiveKeys,
}

/// Someone who came in.
pub(crate) struct Admitted {
    pub(crate) authenticated: Authenticated,
    /// What they see.
    pub(crate) service: Arc<dyn ObjectService>,
    grants: Option<Arc<Grants>>,
}

impl Door {
    pub(crate) fn admit(&self, parts: &Parts, regions: &[String]) -> Outcome<Admitted> {
        match self {
            Self::Keys { service, keys } => {
                let authenticated = authenticate(parts, &keys.current(), regions)?;
                Ok(Admitted { authenticated, service: Arc::clone(service), grants: None })
            }
            Self::Grants(grants) => {
                let grants = current(grants);
                let authenticated = grants.admit(parts)?;
                let service = Arc::clone(&grants) as Arc<dyn ObjectService>;
                Ok(Admitted { authenticated, service, grants: Some(grants) })
            }
        }
    }

    /// The way in for those with keys. Browsers take only this one: with CORS and with signed forms.
    pub(crate) fn keyed(&self) -> Option<KeyedDoor<'_>> {
        match self {
            Self::Keys { service, keys } => Some(KeyedDoor { service: &**service, keys }),
            Self::Grants(_) => None,
        }
    }

    /// Grants these instead of those before; requests in progress go on with what they came in with.
    pub(crate) fn replace_grants(&self, grants: Vec<Grant>) -> sandkeep_objects::Result<()> {
        if let Self::Grants(held) = self {
            let next = Arc::new(current(held).replaced(grants)?);
            *held.write().unwrap_or_else(PoisonError::into_inner) = next;
        }
        Ok(())
    }

    pub(crate) fn grants(&self) -> Vec<Grant> {
        match self {
            Self::Keys { .. } => Vec::new(),
            Self::Grants(held) => current(held).all(),
        }
    }
}

fn current(held: &RwLock<Arc<Grants>>) -> Arc<Grants> {
    Arc::clone(&held.read().unwrap_or_else(PoisonError::into_inner))
}

impl Admitted {
    /// Refuses what may not be done; else narrows the access to what the operation has to keep to.
    pub(crate) fn authorize(&mut self, requested: Requested<'_>) -> Outcome<()> {
        self.authenticated.access = match &self.grants {
            Some(grants) => grants.authorize(requested)?,
            None => return authorize(&self.authenticated.access, requested),
        };
        Ok(())
    }
}
