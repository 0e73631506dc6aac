//! What can be set, and from where: flag, then environment `SANDKEEP_<FLAG>`, then `sandkeep.toml`, then the default.

mod bindings;
mod file;
mod partial;
mod secrets;
mod wrangler;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use sandkeep_gateway::SANDBOX_REQUESTS;
use sandkeep_objects::BucketName;
use url::Url;

pub use bindings::{BackupLocation, Binding, Remote};
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
    /// Other addresses under which clients know the S3 endpoint.
    pub s3_public: Vec<Url>,
    /// Requests to `s3.internal` that are served at once, for each sandbox.
    pub s3_requests: NonZeroUsize,
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
    /// Embedded buckets made at the start.
    pub buckets: Vec<BucketName>,
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
            s3_public: file.s3_public.clone(),
            s3_requests: given.s3_requests.unwrap_or(SANDBOX_REQUESTS),
            data,
            run,
            program: given.program.unwrap_or_else(|| around.program.clone()),
            api_key: given.api_key,
            bindings: wrangler.bindings(&variables)?.into_iter().chain(file.bindings()?).collect(),
            buckets: file.buckets(),
            backups: file.backups(given.backups_store.as_deref())?,
            prune_expired: file.prunes_expired(),
            variables,
            expose: given.expose,
        };
        settings.check_exposure()?;
        Ok(settings)
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
