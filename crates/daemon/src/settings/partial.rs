//! Settings as one source gives them: all of them may be missing.

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use super::{ApiKey, Surroundings};
use crate::error::SettingsError;

/// What one source (flags, environment, file) says.
#[derive(Clone, Debug, Default)]
pub struct PartialSettings {
    /// Where the API listens.
    pub listen: Option<SocketAddr>,
    /// Where the S3 endpoint listens.
    pub s3_listen: Option<SocketAddr>,
    /// Certificate of the S3 endpoint.
    pub s3_tls_certificate: Option<PathBuf>,
    /// Its private key.
    pub s3_tls_key: Option<PathBuf>,
    /// Requests to `s3.internal` at once, for each sandbox.
    pub s3_requests: Option<NonZeroUsize>,
    /// Requests to `s3.internal` at once, over all sandboxes.
    pub s3_all_requests: Option<NonZeroUsize>,
    /// Bytes per second at `s3.internal`, for each sandbox.
    pub s3_bandwidth: Option<NonZeroU64>,
    /// Where everything is kept.
    pub data: Option<PathBuf>,
    /// Where sockets are.
    pub run: Option<PathBuf>,
    /// The settings file.
    pub config: Option<PathBuf>,
    /// A wrangler file; none: one in the working directory.
    pub wrangler: Option<PathBuf>,
    /// Section `[env.NAME]` of the wrangler file.
    pub env: Option<String>,
    /// What requests must show.
    pub api_key: Option<ApiKey>,
    /// Where backups go: `s3://BUCKET[/PREFIX]`.
    pub backups_store: Option<String>,
    /// Host paths shown in sandboxes; those of all sources together.
    pub expose: Vec<PathBuf>,
    /// Instead of this program, for tests.
    pub program: Option<PathBuf>,
}

impl PartialSettings {
    /// This source, completed by a weaker one.
    pub fn or(self, weaker: Self) -> Self {
        Self {
            listen: self.listen.or(weaker.listen),
            s3_listen: self.s3_listen.or(weaker.s3_listen),
            s3_tls_certificate: self.s3_tls_certificate.or(weaker.s3_tls_certificate),
            s3_tls_key: self.s3_tls_key.or(weaker.s3_tls_key),
            s3_requests: self.s3_requests.or(weaker.s3_requests),
            s3_all_requests: self.s3_all_requests.or(weaker.s3_all_requests),
            s3_bandwidth: self.s3_bandwidth.or(weaker.s3_bandwidth),
            data: self.data.or(weaker.data),
            run: self.run.or(weaker.run),
            config: self.config.or(weaker.config),
            wrangler: self.wrangler.or(weaker.wrangler),
            env: self.env.or(weaker.env),
            api_key: self.api_key.or(weaker.api_key),
            backups_store: self.backups_store.or(weaker.backups_store),
            expose: [self.expose, weaker.expose].concat(),
            program: self.program.or(weaker.program),
        }
    }

    /// What the environment says.
    pub(super) fn from_environment(around: &Surroundings) -> Result<Self, SettingsError> {
        let path = |name| around.variable(name).map(PathBuf::from);
        let text = |name| around.variable(name).map(str::to_owned);
        let key = around.variable("SANDBOX_API_KEY").or_else(|| around.variable("SANDKEEP_API_KEY"));
        Ok(Self {
            listen: parsed(around, "SANDKEEP_LISTEN")?,
            s3_listen: parsed(around, "SANDKEEP_S3_LISTEN")?,
            s3_tls_certificate: path("SANDKEEP_S3_TLS_CERTIFICATE"),
            s3_tls_key: path("SANDKEEP_S3_TLS_KEY"),
            s3_requests: parsed(around, "SANDKEEP_S3_REQUESTS")?,
            s3_all_requests: parsed(around, "SANDKEEP_S3_ALL_REQUESTS")?,
            s3_bandwidth: parsed(around, "SANDKEEP_S3_BANDWIDTH")?,
            data: path("SANDKEEP_DATA"),
            run: path("SANDKEEP_RUN"),
            config: path("SANDKEEP_CONFIG"),
            wrangler: path("SANDKEEP_WRANGLER"),
            env: text("SANDKEEP_ENV"),
            api_key: key.map(ApiKey::new),
            backups_store: text("SANDKEEP_BACKUPS_STORE"),
            expose: around.variable("SANDKEEP_EXPOSE").map(paths).unwrap_or_default(),
            program: None,
        })
    }
}

/// As PATH separates them.
fn paths(text: &str) -> Vec<PathBuf> {
    text.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

fn parsed<T: FromStr>(around: &Surroundings, name: &'static str) -> Result<Option<T>, SettingsError> {
    let invalid = |text: &str| SettingsError::InvalidValue { name: name.to_owned(), value: text.to_owned() };
    around.variable(name).map(|text| text.parse().map_err(|_| invalid(text))).transpose()
}
