//! `wrangler.json`, `wrangler.jsonc`, `wrangler.toml` and `.dev.vars`: the part of them that concerns storage.
//!
//! `vars` and `r2_buckets` are not inherited by `[env.NAME]`.
//! <https://developers.cloudflare.com/workers/wrangler/configuration/#non-inheritable-keys>

use std::collections::BTreeMap;
use std::path::Path;

use sandkeep_objects::BucketName;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::file::{invalid, read};
use super::{Binding, Remote, Variables};
use crate::error::SettingsError;

/// What a file says for one environment.
#[derive(Debug, Default)]
pub(super) struct WranglerFile {
    section: Section,
    account: Option<String>,
    secrets: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    account_id: Option<String>,
    env: BTreeMap<String, Section>,
    #[serde(flatten)]
    section: Section,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Section {
    account_id: Option<String>,
    vars: BTreeMap<String, Value>,
    r2_buckets: Vec<R2Bucket>,
}

#[derive(Debug, Deserialize)]
struct R2Bucket {
    binding: String,
    bucket_name: Option<String>,
    jurisdiction: Option<String>,
    #[serde(default)]
    remote: bool,
}

impl WranglerFile {
    /// Reads a file and the secrets beside it.
    pub(super) fn load(path: &Path, environment: Option<&str>) -> Result<Self, SettingsError> {
        let mut document = parse(path)?;
        let account = document.account_id.take();
        let section = match environment {
            None => document.section,
            Some(name) => document
                .env
                .remove(name)
                .ok_or_else(|| invalid(path, &format!("there is no section env.{name}")))?,
        };
        let account = section.account_id.clone().or(account);
        Ok(Self { account, secrets: secrets(path, environment)?, section })
    }

    /// `vars`, overlaid by `.dev.vars`.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let vars = self.section.vars.iter().map(|(name, value)| (name.clone(), text(value)));
        let account = self.account.iter().map(|id| ("WRANGLER_ACCOUNT_ID".to_owned(), id.clone()));
        account.chain(vars).chain(self.secrets.clone()).collect()
    }

    pub(super) fn bindings(&self, variables: &Variables) -> Result<BTreeMap<String, Binding>, SettingsError> {
        let named = |bucket: &R2Bucket| Ok((bucket.binding.clone(), bucket.resolve(variables)?));
        self.section.r2_buckets.iter().map(named).collect()
    }
}

impl R2Bucket {
    /// An embedded bucket, or with `remote: true` that of the account.
    fn resolve(&self, variables: &Variables) -> Result<Binding, SettingsError> {
        let default_name = || self.binding.to_lowercase().replace('_', "-");
        let name = self.bucket_name.clone().unwrap_or_else(default_name);
        let invalid_name = || SettingsError::InvalidValue {
            name: format!("bucket_name of {}", self.binding),
            value: name.clone(),
        };
        let bucket: BucketName = name.parse().map_err(|_| invalid_name())?;
        let remote = if self.remote { Some(self.account_endpoint(variables)?) } else { None };
        Ok(Binding { bucket, remote })
    }

    fn account_endpoint(&self, variables: &Variables) -> Result<Remote, SettingsError> {
        let names = ["CLOUDFLARE_R2_ACCOUNT_ID", "CLOUDFLARE_ACCOUNT_ID", "WRANGLER_ACCOUNT_ID"];
        let account = names.iter().find_map(|name| variables.get(name));
        let account =
            account.ok_or_else(|| SettingsError::AccountNeeded { binding: self.binding.clone() })?;
        let jurisdiction = self.jurisdiction.as_ref().map(|name| format!(".{name}")).unwrap_or_default();
        let url = format!("https://{account}{jurisdiction}.r2.cloudflarestorage.com");
        let endpoint = Url::parse(&url).map_err(|_| SettingsError::InvalidValue {
            name: "account id".to_owned(),
            value: account.to_owned(),
        })?;
        Ok(Remote { endpoint, region: None, credentials: None })
    }
}

fn parse(path: &Path) -> Result<Document, SettingsError> {
    let text = read(path)?;
    if path.extension().is_some_and(|extension| extension == "toml") {
        return toml::from_str(&text).map_err(|error| invalid(path, &error));
    }
    jsonc_parser::parse_to_serde_value(&text, &jsonc_parser::ParseOptions::default())
        .map_err(|error| invalid(path, &error))
}

/// `.dev.vars.NAME` takes the place of `.dev.vars` where it exists.
fn secrets(path: &Path, environment: Option<&str>) -> Result<BTreeMap<String, String>, SettingsError> {
    let of_environment = environment.map(|name| path.with_file_name(format!(".dev.vars.{name}")));
    let candidates = of_environment.into_iter().chain([path.with_file_name(".dev.vars")]);
    match candidates.into_iter().find(|candidate| candidate.exists()) {
        Some(file) => Ok(read(&file)?.lines().filter_map(assignment).collect()),
        None => Ok(BTreeMap::new()),
    }
}

/// `NAME=value`, `NAME="value"`, `export NAME='value'`.
fn assignment(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    let value = value.trim();
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some((name.trim().to_owned(), quoted.unwrap_or(value).to_owned()))
}
