//! What is asked for, checked as far as names go.

use std::collections::BTreeMap;

use sandkeep_api::checks;
use sandkeep_api::{InvalidInput, MountCredentials, MountInfo, MountRequest};
use sandkeep_objects::Provider;
use url::Url;

use super::hints::Hints;
use crate::error::ServiceError;

/// A mount as asked for. Its endpoint and binding are looked at later, as the contract orders the checks.
#[derive(Clone, Debug)]
pub(in crate::services) struct Plan {
    /// Bucket or binding.
    pub(super) bucket: String,
    /// As given; none: a binding.
    pub(super) endpoint: Option<String>,
    /// Normalised.
    pub(in crate::services) path: String,
    /// Start of keys: empty, or ends with `/`, never starts with one.
    pub(in crate::services) prefix: String,
    /// Every change fails.
    pub(in crate::services) read_only: bool,
    /// Instead of what the endpoint says.
    pub(super) provider: Option<Provider>,
    /// Instead of the environment's.
    pub(super) credentials: Option<MountCredentials>,
    /// The caller's variables.
    pub(super) variables: BTreeMap<String, String>,
    /// From `s3fsOptions`.
    pub(super) hints: Hints,
}

impl Plan {
    /// Checks prefix, name and path, in this order, then the options.
    pub(in crate::services) fn new(request: MountRequest) -> Result<Self, ServiceError> {
        let MountRequest { bucket, mount_path, options, env } = request;
        let prefix = options.prefix.as_deref().unwrap_or("/");
        checks::mount_prefix(prefix)?;
        let endpoint = options.endpoint.filter(|_| options.local_bucket != Some(true));
        match endpoint {
            Some(_) => checks::bucket_name(&bucket)?,
            None => checks::binding_name(&bucket)?,
        }
        let path = checks::mount_path(&mount_path)?;
        let hints = Hints::parse(&options.s3fs_options, options.credential_proxy == Some(true))?;
        if !hints.without_effect.is_empty() {
            tracing::info!(bucket, options = ?hints.without_effect, "these s3fsOptions change nothing here");
        }
        Ok(Self {
            bucket,
            endpoint,
            path,
            prefix: key_prefix(prefix),
            read_only: options.read_only || hints.read_only,
            provider: options.provider.as_deref().and_then(provider),
            credentials: options.credentials,
            variables: env.unwrap_or_default().0,
            hints,
        })
    }

    /// The sandbox's own variables count where the caller gave none.
    pub(super) fn add_variables(&mut self, variables: BTreeMap<String, String>) {
        for (name, value) in variables {
            self.variables.entry(name).or_insert(value);
        }
    }

    /// What it will be when it is there; an equal one is the same mount.
    pub(super) fn info(&self) -> MountInfo {
        MountInfo {
            bucket: self.bucket.clone(),
            mount_path: self.path.clone(),
            endpoint: self.endpoint.as_deref().map(canonical),
            prefix: (!self.prefix.is_empty()).then(|| format!("/{}", self.prefix)),
            read_only: self.read_only,
        }
    }

    /// First column of the mount table, as s3fs shows it.
    pub(super) fn source(&self) -> String {
        match self.prefix.as_str() {
            "" => self.bucket.clone(),
            prefix => format!("{}:/{prefix}", self.bucket),
        }
    }

    /// The endpoint's URL.
    pub(super) fn endpoint_url(&self) -> Result<Option<Url>, InvalidInput> {
        self.endpoint.as_deref().map(checks::endpoint).transpose()
    }
}

/// `/a/b/` names the keys that start with `a/b/`.
fn key_prefix(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => String::new(),
        inner => format!("{inner}/"),
    }
}

/// Other words are hints about nothing: the endpoint says the rest.
fn provider(name: &str) -> Option<Provider> {
    match name {
        "r2" => Some(Provider::R2),
        "s3" => Some(Provider::S3),
        "gcs" => Some(Provider::Gcs),
        _ => None,
    }
}

/// Two spellings of one URL are the same endpoint.
fn canonical(endpoint: &str) -> String {
    Url::parse(endpoint)
        .map_or_else(|_| endpoint.to_owned(), |url| url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use sandkeep_api::MountOptions;

    use super::*;

    fn plan(bucket: &str, path: &str, options: MountOptions) -> Result<Plan, String> {
        let request = MountRequest { bucket: bucket.into(), mount_path: path.into(), options, env: None };
        Plan::new(request).map_err(|error| error.to_string())
    }

    fn endpoint(url: &str) -> MountOptions {
        MountOptions { endpoint: Some(url.into()), ..MountOptions::default() }
    }

    #[test]
    fn checks_come_in_the_order_of_the_contract() {
        let everything_wrong = MountOptions { prefix: Some("x".into()), ..endpoint("no url") };
        assert!(plan("a:b", "rel", everything_wrong).expect_err("refused").contains("Prefix must start"));
        assert!(plan("a:b", "rel", endpoint("no url")).expect_err("refused").contains("cannot contain ':'"));
        assert!(plan("A", "rel", endpoint("no url")).expect_err("refused").contains("Invalid bucket name"));
        assert!(
            plan("a-b", "rel", MountOptions::default()).expect_err("refused").contains("Invalid R2 binding")
        );
        assert!(plan("a", "rel", endpoint("no url")).expect_err("refused").contains("must be absolute"));
        let plan = plan("a", "/data", endpoint("no url")).expect("names are fine");
        assert!(plan.endpoint_url().expect_err("refused").message.contains("Invalid endpoint URL"));
    }

    #[test]
    fn two_spellings_of_one_mount_are_the_same() {
        let one = MountOptions { prefix: Some("/a/b".into()), ..endpoint("http://localhost:9000") };
        let other = MountOptions { prefix: Some("/a/b/".into()), ..endpoint("HTTP://LOCALHOST:9000/") };
        let (one, other) =
            (plan("b", "/data", one).expect("fine"), plan("b", "//data/", other).expect("fine"));
        assert_eq!(one.info(), other.info());
        assert_eq!(one.prefix, "a/b/");
        assert_eq!(one.source(), "b:/a/b/");
    }

    #[test]
    fn a_local_bucket_is_a_binding_even_with_an_endpoint() {
        let options = MountOptions { local_bucket: Some(true), ..endpoint("http://localhost:9000") };
        assert_eq!(plan("MY_BUCKET", "/data", options).expect("fine").endpoint, None);
    }
}
