//! `[buckets] default`: the store where buckets are made when one machine is too small.

use sandkeep_objects::{CredentialSource, S3Settings};
use serde::Deserialize;
use url::Url;

use super::file::{Keys, prefix};
use super::{DefaultStore, Surroundings, Variables};
use crate::error::SettingsError;

/// What the file says; the environment goes before.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DefaultTable {
    endpoint: Option<Url>,
    region: Option<String>,
    bucket: Option<String>,
    prefix: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    credentials_file: Option<std::path::PathBuf>,
    credentials_command: Option<String>,
}

/// How errors name it.
const TABLE: &str = "buckets.default";

impl DefaultTable {
    /// What the environment says.
    fn from_environment(around: &Surroundings) -> Result<Self, SettingsError> {
        let text = |name: &str| around.variable(&format!("SANDKEEP_BUCKETS_{name}")).map(str::to_owned);
        let endpoint = text("ENDPOINT").map(|value| {
            let invalid = |_| SettingsError::InvalidValue {
                name: "SANDKEEP_BUCKETS_ENDPOINT".to_owned(),
                value: value.clone(),
            };
            value.parse().map_err(invalid)
        });
        Ok(Self {
            endpoint: endpoint.transpose()?,
            region: text("REGION"),
            bucket: text("BUCKET"),
            prefix: text("PREFIX"),
            access_key_id: text("ACCESS_KEY_ID"),
            secret_access_key: text("SECRET_ACCESS_KEY"),
            session_token: text("SESSION_TOKEN"),
            credentials_file: text("CREDENTIALS_FILE").map(Into::into),
            credentials_command: text("CREDENTIALS_COMMAND"),
        })
    }

    fn keys(&self) -> Keys<'_> {
        Keys {
            id: self.access_key_id.as_deref(),
            secret: self.secret_access_key.as_deref(),
            token: self.session_token.as_deref(),
            file: self.credentials_file.as_deref(),
            command: self.credentials_command.as_deref(),
        }
    }

    /// The store that both sources name, with the keys of `variables` where neither has any.
    pub(super) fn resolve(
        &self,
        around: &Surroundings,
        variables: &Variables,
    ) -> Result<Option<DefaultStore>, SettingsError> {
        let given = Self::from_environment(around)?;
        let endpoint = given.endpoint.as_ref().or(self.endpoint.as_ref());
        let bucket = given.bucket.as_ref().or(self.bucket.as_ref());
        let (endpoint, bucket) = match (endpoint, bucket) {
            (None, None) => return Ok(None),
            (Some(endpoint), Some(bucket)) => (endpoint, bucket),
            (None, Some(_)) => return Err(missing("endpoint")),
            (Some(_), None) => return Err(missing("bucket")),
        };
        let invalid =
            |_| SettingsError::InvalidValue { name: format!("{TABLE}.bucket"), value: bucket.clone() };
        let own = match given.keys().source(TABLE)? {
            Some(source) => Some(source),
            None => self.keys().source(TABLE)?,
        };
        let found = || variables.pair().map(CredentialSource::Static);
        let credentials = own.or_else(found).ok_or_else(|| missing("access_key_id"))?;
        let region = given.region.as_ref().or(self.region.as_ref()).cloned();
        let start = given.prefix.as_deref().or(self.prefix.as_deref()).unwrap_or_default();
        let s3 =
            S3Settings { region, credentials: Some(credentials), ..S3Settings::new(endpoint.clone(), None) };
        Ok(Some(DefaultStore { bucket: bucket.parse().map_err(invalid)?, prefix: prefix(start), s3 }))
    }
}

impl DefaultStore {
    /// What the environment alone says, for an endpoint without a settings file.
    pub fn from_environment(around: &Surroundings) -> Result<Option<Self>, SettingsError> {
        let variables = Variables::new(Default::default(), &around.environment);
        DefaultTable::default().resolve(around, &variables)
    }
}

fn missing(what: &'static str) -> SettingsError {
    SettingsError::Missing { table: TABLE.to_owned(), what }
}
