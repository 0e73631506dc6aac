//! Where backups are: setting > R2 variables > the embedded store.

use std::sync::Arc;

use sandkeep_api::{ErrorCode, InvalidInput};
use sandkeep_objects::{BucketName, Credentials, ObjectService, ObjectStore, S3Client, S3Settings};
use url::Url;

use crate::error::ServiceError;
use crate::services::Services;
use crate::settings::{BackupLocation, Binding, Variables};
use crate::volumes::StoreSpec;

const BINDING: &str = "BACKUP_BUCKET";
const DEFAULT_BUCKET: &str = "sandkeep-backups";

/// A bucket, and the start of all keys in it.
#[derive(Debug)]
pub(super) struct Place {
    /// How a worker reaches it.
    pub(super) store: StoreSpec,
    /// Empty, or ends with `/`.
    pub(super) prefix: String,
    /// Ours: made on demand.
    pub(super) embedded: bool,
}

impl Services {
    /// Where backups go. `local_bucket`: through the binding, whatever the variables say.
    pub(super) fn backup_place(&self, local_bucket: bool) -> Result<Place, ServiceError> {
        let variables = &self.settings.variables;
        if let Some(location) = &self.settings.backups {
            return self.configured(location, variables);
        }
        match account(variables)? {
            Some(store) if !local_bucket => Ok(Place { store, prefix: String::new(), embedded: false }),
            _ => self.bound(variables),
        }
    }

    fn configured(&self, location: &BackupLocation, variables: &Variables) -> Result<Place, ServiceError> {
        let binding = Binding { bucket: location.bucket.clone(), remote: location.remote.clone() };
        let store = self.binding_store(&binding, variables)?;
        Ok(Place { store, prefix: location.prefix.clone(), embedded: location.remote.is_none() })
    }

    fn bound(&self, variables: &Variables) -> Result<Place, ServiceError> {
        let unnamed =
            || Binding { bucket: DEFAULT_BUCKET.parse().expect("a valid bucket name"), remote: None };
        let binding = self.settings.bindings.get(BINDING).cloned().unwrap_or_else(unnamed);
        let store = self.binding_store(&binding, variables)?;
        Ok(Place { store, prefix: String::new(), embedded: binding.remote.is_none() })
    }

    /// The daemon's own way to a place.
    pub(super) fn open_place(&self, place: &Place) -> Result<Arc<dyn ObjectStore>, ServiceError> {
        if place.embedded {
            return Ok(self.store.service.bucket(&place.store.bucket));
        }
        let client = S3Client::new(place.store.s3.clone()).map_err(ServiceError::Store)?;
        Ok(client.bucket(&place.store.bucket))
    }
}

/// The account that the variables name: none without any key; half of it is an error that names the rest.
fn account(variables: &Variables) -> Result<Option<StoreSpec>, InvalidInput> {
    let (id, secret) = (variables.get("R2_ACCESS_KEY_ID"), variables.get("R2_SECRET_ACCESS_KEY"));
    if id.is_none() && secret.is_none() {
        return Ok(None);
    }
    let names = ["CLOUDFLARE_R2_ACCOUNT_ID", "CLOUDFLARE_ACCOUNT_ID", "WRANGLER_ACCOUNT_ID"];
    let account = names.iter().find_map(|name| variables.get(name));
    let endpoint = variables.get("BACKUP_BUCKET_ENDPOINT");
    let bucket = variables.get("BACKUP_BUCKET_NAME");
    match (id, secret, endpoint.or(account), bucket) {
        (Some(id), Some(secret), Some(_), Some(bucket)) => {
            let usual = || format!("https://{}.r2.cloudflarestorage.com", account.unwrap_or_default());
            let endpoint = origin(&endpoint.map_or_else(usual, str::to_owned))?;
            let s3 = S3Settings::new(endpoint, Some(Credentials::new(id, secret)));
            Ok(Some(StoreSpec { s3, bucket: bucket_name(bucket)? }))
        }
        (id, secret, account, bucket) => Err(missing(&[
            ("R2_ACCESS_KEY_ID", id.is_some()),
            ("R2_SECRET_ACCESS_KEY", secret.is_some()),
            ("CLOUDFLARE_R2_ACCOUNT_ID or CLOUDFLARE_ACCOUNT_ID", account.is_some()),
            ("BACKUP_BUCKET_NAME", bucket.is_some()),
        ])),
    }
}

fn missing(variables: &[(&str, bool)]) -> InvalidInput {
    let missing: Vec<&str> = variables.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    config(format!("Backups are not configured: missing {}", missing.join(", ")))
}

fn origin(text: &str) -> Result<Url, InvalidInput> {
    let invalid = || config(format!("BACKUP_BUCKET_ENDPOINT must be an https origin: {text:?}"));
    let url = Url::parse(text).map_err(|_| invalid())?;
    let plain =
        url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if url.scheme() == "https" && url.has_host() && plain { Ok(url) } else { Err(invalid()) }
}

fn bucket_name(text: &str) -> Result<BucketName, InvalidInput> {
    text.parse().map_err(|_| config(format!("BACKUP_BUCKET_NAME is not a bucket name: {text:?}")))
}

fn config(message: String) -> InvalidInput {
    InvalidInput::new(ErrorCode::InvalidBackupConfig, message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn account_of(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = account(&Variables::new(variables, &BTreeMap::new())).map_err(|error| error.message)?;
        Ok(found.map(|store| format!("{} {}", store.s3.endpoint, store.bucket)))
    }

    const KEYS: [(&str, &str); 2] = [("R2_ACCESS_KEY_ID", "id"), ("R2_SECRET_ACCESS_KEY", "secret")];

    #[test]
    fn the_account_is_whole_or_named_as_incomplete() {
        assert_eq!(account_of(&[("CLOUDFLARE_ACCOUNT_ID", "abc")]), Ok(None));
        let whole = [KEYS[0], KEYS[1], ("CLOUDFLARE_ACCOUNT_ID", "abc"), ("BACKUP_BUCKET_NAME", "b")];
        assert_eq!(account_of(&whole), Ok(Some("https://abc.r2.cloudflarestorage.com/ b".into())));
        let error = account_of(&KEYS[..1]).expect_err("half a pair");
        assert!(error.contains("R2_SECRET_ACCESS_KEY") && !error.contains("R2_ACCESS_KEY_ID"), "{error}");
        let error = account_of(&KEYS).expect_err("no bucket");
        assert!(error.contains("CLOUDFLARE_ACCOUNT_ID") && error.contains("BACKUP_BUCKET_NAME"), "{error}");
    }

    #[test]
    fn the_endpoint_is_an_https_origin() {
        let with = |endpoint| {
            account_of(&[KEYS[0], KEYS[1], ("BACKUP_BUCKET_NAME", "b"), ("BACKUP_BUCKET_ENDPOINT", endpoint)])
        };
        assert_eq!(with("https://s3.example.org"), Ok(Some("https://s3.example.org/ b".into())));
        for endpoint in ["http://s3.example.org", "https://s3.example.org/x", "s3.example.org"] {
            with(endpoint).expect_err(endpoint);
        }
    }
}
