//! What can be set, and from where: flag, then environment `SANDKEEP_<FLAG>`, then `sandkeep.toml`, then the default.

mod bindings;
mod default_store;
mod file;
mod partial;
mod secrets;
mod wrangler;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use sandkeep_gateway::{ALL_REQUESTS, SANDBOX_REQUESTS, TlsFiles};
use sandkeep_objects::{BucketName, CredentialSource};
use url::Url;

pub use bindings::{BackupLocation, Binding, DefaultStore, Remote};
pub use partial::PartialSettings;
pub use secrets::{ApiKey, Variables};

use crate::error::SettingsError;
use file::SettingsFile;
use wrangler::WranglerFile;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8787);
const DEFAULT_S3_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);
const SYSTEM_FILE: &str = "/etc/sandkeep/sandkeep.toml";

/// Everything the daemon needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where the S3 endpoint listens.
    pub s3_listen: SocketAddr,
    /// Certificate and key of the S3 endpoint; none: plain HTTP.
    pub s3_tls: Option<TlsFiles>,
    /// Other addresses under which clients know the S3 endpoint.
    pub s3_public: Vec<Url>,
    /// Requests to `s3.internal` that are served at once, for each sandbox.
    pub s3_requests: NonZeroUsize,
    /// Requests to `s3.internal` that are served at once, over all sandboxes.
    pub s3_all_requests: NonZeroUsize,
    /// Bytes per second of bodies at `s3.internal`, for each sandbox; none: without a limit.
    pub s3_bandwidth: Option<NonZeroU64>,
    /// Store, state, keys, upper layers. Mode 0700.
    pub data: PathBuf,
    /// Sockets. Mode 0700.
    pub run: PathBuf,
    /// This program: keeper, workers, gateway and pid 1 are started from it.
    pub program: PathBuf,
    /// What requests must show; none: only loopback is served.
    pub api_key: Option<ApiKey>,
    /// What binding mounts may name.
    pub bindings: BTreeMap<String, Binding>,
    /// Buckets made at the start.
    pub buckets: Vec<BucketName>,
    /// Where buckets are that are not embedded, and new ones are made; none: everything is embedded.
    pub default_store: Option<DefaultStore>,
    /// Where backups go, if it is set.
    pub backups: Option<BackupLocation>,
    /// Delete backups that have expired, every hour.
    pub prune_expired: bool,
    /// Credentials and account ids found in the environment and in wrangler's files.
    pub variables: Variables,
    /// Host paths shown in sandboxes, read-only.
    pub expose: Vec<PathBuf>,
}

/// What is around the process, as a value.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Whether it runs as root.
    pub root: bool,
    /// Its program.
    pub program: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Result<Self, SettingsError> {
        let unknown = |source| SettingsError::Surroundings { source };
        Ok(Self {
            environment: std::env::vars().collect(),
            directory: std::env::current_dir().map_err(unknown)?,
            root: rustix::process::geteuid().is_root(),
            program: std::env::current_exe().map_err(unknown)?,
        })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl Settings {
    /// Completes what the flags leave open, from the surroundings and the files they name.
    pub fn resolve(flags: PartialSettings, around: &Surroundings) -> Result<Self, SettingsError> {
        let given = flags.or(PartialSettings::from_environment(around)?);
        let file = SettingsFile::load(&settings_file(&given, around))?;
        let given = given.or(file.partial());
        let wrangler =
            wrangler_file(&given, around).map(|path| WranglerFile::load(&path, given.env.as_deref()));
        let wrangler = wrangler.transpose()?.unwrap_or_default();
        let variables = Variables::new(wrangler.variables(), &around.environment);
        let (data, run) = places(&given, around);
        let settings = Self {
            listen: given.listen.unwrap_or(DEFAULT_LISTEN),
            s3_listen: given.s3_listen.unwrap_or(DEFAULT_S3_LISTEN),
            s3_tls: tls(&given, around)?,
            s3_public: file.s3_public.clone(),
            s3_requests: given.s3_requests.unwrap_or(SANDBOX_REQUESTS),
            s3_all_requests: given.s3_all_requests.unwrap_or(ALL_REQUESTS),
            s3_bandwidth: given.s3_bandwidth,
            data,
            run,
            program: given.program.unwrap_or_else(|| around.program.clone()),
            api_key: given.api_key,
            bindings: wrangler.bindings(&variables)?.into_iter().chain(file.bindings()?).collect(),
            buckets: file.bucket_names(),
            default_store: file.default_store().resolve(around, &variables)?,
            backups: file.backups(given.backups_store.as_deref())?,
            prune_expired: file.prunes_expired(),
            variables,
            expose: given.expose,
        };
        settings.check_exposure()?;
        Ok(settings.with_absolute_files(&around.directory))
    }

    /// Others than this process read the files, each from a directory of its own.
    fn with_absolute_files(mut self, directory: &Path) -> Self {
        let remotes = self.bindings.values_mut().filter_map(|binding| binding.remote.as_mut());
        let remotes = remotes.chain(self.backups.as_mut().and_then(|backups| backups.remote.as_mut()));
        let sources = remotes.map(|remote| &mut remote.credentials);
        let default = self.default_store.as_mut().map(|store| &mut store.s3.credentials);
        for source in sources.chain(default).flatten() {
            if let CredentialSource::File(path) = source {
                *path = directory.join(&*path);
            }
        }
        self
    }

    /// Without a key nobody but this host may call.
    fn check_exposure(&self) -> Result<(), SettingsError> {
        if self.api_key.is_none() && !self.listen.ip().is_loopback() {
            return Err(SettingsError::KeyNeeded { listen: self.listen });
        }
        Ok(())
    }

    /// Where the gateway keeps buckets and keys.
    pub fn store_directory(&self) -> PathBuf {
        self.data.join("s3")
    }
}

/// Both files or neither, as the gateway will find them.
fn tls(given: &PartialSettings, around: &Surroundings) -> Result<Option<TlsFiles>, SettingsError> {
    let missing = |what| SettingsError::Missing { table: "serve".to_owned(), what };
    let absolute = |path: &PathBuf| around.directory.join(path);
    match (&given.s3_tls_certificate, &given.s3_tls_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(TlsFiles { certificate: absolute(certificate), key: absolute(key) }))
        }
        (None, Some(_)) => Err(missing("s3_tls_certificate")),
        (Some(_), None) => Err(missing("s3_tls_key")),
    }
}

fn settings_file(given: &PartialSettings, around: &Surroundings) -> Option<PathBuf> {
    let usual = [around.directory.join("sandkeep.toml"), PathBuf::from(SYSTEM_FILE)];
    given.config.clone().or_else(|| usual.into_iter().find(|path| path.exists()))
}

fn wrangler_file(given: &PartialSettings, around: &Surroundings) -> Option<PathBuf> {
    let usual = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"].map(|name| around.directory.join(name));
    given.wrangler.clone().or_else(|| usual.into_iter().find(|path| path.exists()))
}

/// Root uses the system's places, others those of the XDG base directory specification.
fn places(given: &PartialSettings, around: &Surroundings) -> (PathBuf, PathBuf) {
    let home = Path::new(around.variable("HOME").unwrap_or("/"));
    let data = match around.variable("XDG_DATA_HOME") {
        _ if around.root => PathBuf::from("/var/lib/sandkeep"),
        Some(directory) => Path::new(directory).join("sandkeep"),
        None => home.join(".local/share/sandkeep"),
    };
    let run = match around.variable("XDG_RUNTIME_DIR") {
        _ if around.root => PathBuf::from("/run/sandkeep"),
        Some(directory) => Path::new(directory).join("sandkeep"),
        None => data.join("run"),
    };
    let absolute = |path: &PathBuf| around.directory.join(path);
    // Whoever keeps data elsewhere may run several services: each has sockets of its own.
    let run = given.data.as_ref().map_or(run, |data| absolute(data).join("run"));
    (given.data.as_ref().map_or(data, absolute), given.run.as_ref().map_or(run, absolute))
}

#[cfg(test)]
mod tests;
