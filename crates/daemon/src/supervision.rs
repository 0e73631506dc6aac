//! The gateway process: found running or started, watched, and started again when it dies. It outlives the daemon.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sandkeep_objects::{AddressingStyle, Credentials, Provider, S3Client, S3Settings};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use url::Url;

use sandkeep_gateway::TlsFiles;

use crate::error::StartError;
use crate::grants;
use crate::services::EmbeddedStore;
use crate::settings::DefaultStore;
use crate::volumes::{VolumeError, channel};

/// How long a gateway may take from its start to its first answer; opening a large store after a crash takes a while.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long one that is there may take to answer.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// How long requests in progress may take at the end.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Between starts of one that keeps dying.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
const MAX_RESTART_PAUSE: Duration = Duration::from_secs(10);
const PASSED_ON: [&str; 5] =
    ["HOME", "PATH", "SANDKEEP_LOG", "SANDKEEP_S3_ACCESS_KEY_ID", "SANDKEEP_S3_SECRET_ACCESS_KEY"];

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub(crate) struct GatewayPlan {
    /// This program.
    pub(crate) program: PathBuf,
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// With which certificate; none: plain HTTP.
    pub(crate) tls: Option<TlsFiles>,
    /// Buckets and keys.
    pub(crate) data: PathBuf,
    /// Record, log and socket.
    pub(crate) run: PathBuf,
    /// The daemon's own key pair.
    pub(crate) credentials: Credentials,
    /// Where buckets are that are not embedded.
    pub(crate) elsewhere: Option<DefaultStore>,
    /// Requests of all sandboxes that it serves at once.
    pub(crate) sandbox_requests: NonZeroUsize,
}

/// What is remembered of a running one, for the next daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    pid: u32,
    address: SocketAddr,
    /// Not told by earlier versions.
    #[serde(default)]
    plain: Option<SocketAddr>,
    #[serde(default)]
    tls: Option<TlsFiles>,
    /// Not told by earlier versions, which do not understand us.
    #[serde(default)]
    data: PathBuf,
}

/// Where one listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Addresses {
    /// For everyone, as the settings say.
    address: SocketAddr,
    /// For our own processes: without HTTPS, and the same as long as any of them lives, whatever the settings say.
    plain: SocketAddr,
}

/// A running gateway under supervision.
#[derive(Debug)]
pub(crate) struct Gateway {
    plan: GatewayPlan,
    addresses: Addresses,
    stopping: CancellationToken,
    watch: tokio::task::JoinHandle<()>,
    restarts: watch::Receiver<()>,
}

/// A process that is not necessarily our child.
#[derive(Debug)]
struct Process {
    pid: u32,
    ended: AsyncFd<OwnedFd>,
}

impl Gateway {
    /// Finds the one that runs, or starts it; watches it from then on.
    pub(crate) async fn start(plan: GatewayPlan) -> Result<Self, StartError> {
        let record = plan.record();
        let (process, addresses) = match plan.find(record.as_ref()).await {
            Some(found) => found,
            None => plan.spawn_anew(record.and_then(|record| record.plain)).await?,
        };
        info!(address = %addresses.address, pid = process.pid, "the S3 endpoint answers");
        let stopping = CancellationToken::new();
        let (restarted, restarts) = watch::channel(());
        let watch = tokio::spawn(keep_running(plan.clone(), addresses, process, stopping.clone(), restarted));
        Ok(Self { plan, addresses, stopping, watch, restarts })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses.address
    }

    /// Changes when it was started again.
    pub(crate) fn restarts(&self) -> watch::Receiver<()> {
        self.restarts.clone()
    }

    /// The store behind it.
    pub(crate) fn store(&self) -> Result<EmbeddedStore, StartError> {
        let failed = |error: &dyn std::fmt::Display| self.plan.failed(error.to_string());
        let settings = self.plan.client_settings(self.addresses);
        let service = S3Client::new(settings.clone()).map_err(|error| failed(&error))?;
        let (address, tls) = (self.addresses.address, self.plan.tls.is_some());
        Ok(EmbeddedStore { settings, service: Arc::new(service), address, tls })
    }

    /// Ends it, after its requests in progress.
    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        if self.watch.await.is_err() {
            error!("the supervision of the S3 endpoint panicked");
        }
    }
}

/// Waits for the end of the process and starts the next one at the same address, until it is to stop.
async fn keep_running(
    plan: GatewayPlan,
    addresses: Addresses,
    mut process: Process,
    stopping: CancellationToken,
    restarted: watch::Sender<()>,
) {
    let mut pause = RESTART_PAUSE;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return plan.end(&process).await,
            () = process.ended() => warn!(pid = process.pid, "the S3 endpoint died; starting it again"),
        }
        process = loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            match plan.spawn(addresses).await {
                Ok((process, _)) => break process,
                Err(error) => {
                    error!(error = %crate::volumes::chain(&error), "the S3 endpoint does not start");
                }
            }
            pause = (pause * 2).min(MAX_RESTART_PAUSE);
        };
        pause = RESTART_PAUSE;
        restarted.send_replace(());
    }
}

impl GatewayPlan {
    fn failed(&self, what: String) -> StartError {
        StartError::Gateway { address: self.listen, what }
    }

    fn record_file(&self) -> PathBuf {
        self.run.join("gateway.json")
    }

    fn log_file(&self) -> PathBuf {
        self.run.join("gateway.log")
    }

    fn record(&self) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.record_file()).ok()?).ok()
    }

    /// Starts one where our processes look for it, if there are any.
    async fn spawn_anew(&self, plain: Option<SocketAddr>) -> Result<(Process, Addresses), StartError> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let at = |plain| Addresses { address: self.listen, plain };
        match plain {
            // Somebody else may have taken the port since then.
            Some(plain) => match self.spawn(at(plain)).await {
                Err(_) => self.spawn(at(any)).await,
                spawned => spawned,
            },
            None => self.spawn(at(any)).await,
        }
    }

    fn client_settings(&self, addresses: Addresses) -> S3Settings {
        let endpoint = Url::parse(&format!("http://{}", addresses.plain)).expect("an address makes a URL");
        // Buckets may lie behind a store with habits: whoever cuts objects into parts keeps to them.
        let elsewhere = self.elsewhere.as_ref().map(|store| &store.s3);
        let provider = elsewhere.and_then(|s3| s3.provider.or_else(|| Provider::of(&s3.endpoint)));
        let provider = provider.filter(|provider| matches!(provider, Provider::R2 | Provider::Gcs));
        S3Settings {
            provider,
            style: Some(AddressingStyle::Path),
            ..S3Settings::new(endpoint, Some(self.credentials.clone()))
        }
    }

    /// The one that an earlier daemon left, if it answers to our key where we want it.
    async fn find(&self, record: Option<&Record>) -> Option<(Process, Addresses)> {
        let record = record?;
        let same_address = self.listen.port() == 0 || record.address == self.listen;
        let same = same_address && record.data == self.data && record.tls == self.tls;
        let process = Process::open(record.pid).ok()?;
        if let Some(plain) = record.plain.filter(|_| same)
            && self.configure(PROBE_LIMIT).await.is_ok()
        {
            return Some((process, Addresses { address: record.address, plain }));
        }
        // Its process id may be someone else's by now: only one that runs our program is ended.
        if process.runs(&self.program) {
            info!(pid = record.pid, "ends an S3 endpoint that is not where it should be");
            self.end(&process).await;
        }
        None
    }

    /// Tells it what only we know. It serves from then on.
    async fn configure(&self, limit: Duration) -> Result<(), VolumeError> {
        let socket = grants::socket(&self.run);
        grants::configure(&socket, self.elsewhere.as_ref(), self.sandbox_requests, limit).await
    }

    /// Starts one in a process group of its own, with the socket on which it takes requests as its input; it says on its standard output where it listens.
    async fn spawn(&self, addresses: Addresses) -> Result<(Process, Addresses), StartError> {
        let failed = |error: io::Error| self.failed(error.to_string());
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).map_err(failed)?;
        let requests = channel::listen(&grants::socket(&self.run)).map_err(failed)?;
        let passed_on = PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new(&self.program);
        command.args(["s3", "--internal", "--json", "--listen", &addresses.address.to_string(), "--data"]);
        command.arg(&self.data);
        if let Some(TlsFiles { certificate, key }) = &self.tls {
            command.arg("--tls-certificate").arg(certificate).arg("--tls-key").arg(key);
        }
        command.args(["--plain", &addresses.plain.to_string()]);
        let mut child = command
            .env_clear()
            .envs(passed_on)
            .process_group(0)
            .stdin(Stdio::from(requests))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        let pid = child.id().ok_or_else(|| self.failed("it ended at once".to_owned()))?;
        let stdout = child.stdout.take().ok_or_else(|| self.failed("it has no output".to_owned()))?;
        let process = Process::open(pid).map_err(failed)?;
        let mut lines = BufReader::new(stdout).lines();
        // One that ends closes the socket and its output, so that neither is waited for in vain.
        let announced = async {
            self.configure(START_LIMIT).await.ok()?;
            lines.next_line().await.ok().flatten()
        };
        let announced = tokio::time::timeout(START_LIMIT, announced).await;
        // Reaped when it ends, whenever that is.
        tokio::spawn(async move { child.wait().await });
        let line = announced.ok().flatten();
        let Some(addresses) = line.as_deref().and_then(announced_addresses) else {
            process.signal(Signal::KILL);
            return Err(self.failed(self.last_words()));
        };
        let Addresses { address, plain } = addresses;
        let (tls, data) = (self.tls.clone(), self.data.clone());
        self.remember(&Record { pid, address, plain: Some(plain), tls, data }).map_err(failed)?;
        Ok((process, addresses))
    }

    fn remember(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        let draft = self.record_file().with_extension("new");
        fs::write(&draft, text)?;
        fs::rename(draft, self.record_file())
    }

    /// What it logged last, as the reason why it did not start.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("it did not say where it listens").to_owned()
    }

    async fn end(&self, process: &Process) {
        process.signal(Signal::TERM);
        if tokio::time::timeout(STOP_LIMIT, process.ended()).await.is_err() {
            warn!(pid = process.pid, "the S3 endpoint does not end: killing it");
            process.signal(Signal::KILL);
            process.ended().await;
        }
        for file in [self.record_file(), grants::socket(&self.run)] {
            if let Err(error) = fs::remove_file(&file) {
                warn!(file = %file.display(), %error, "cannot remove what the S3 endpoint left");
            }
        }
    }
}

/// `{"endpoint": "http://ADDRESS", "plain": "http://ADDRESS"}`.
fn announced_addresses(line: &str) -> Option<Addresses> {
    #[derive(Deserialize)]
    struct Announcement {
        endpoint: String,
        plain: String,
    }
    let address = |url: &str| url.split_once("://")?.1.parse().ok();
    let announcement: Announcement = serde_json::from_str(line).ok()?;
    Some(Addresses { address: address(&announcement.endpoint)?, plain: address(&announcement.plain)? })
}

impl Process {
    fn open(pid: u32) -> io::Result<Self> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let raw = raw.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let descriptor = pidfd_open(raw, PidfdFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that change their descriptor; OwnedFd does not"
        )]
        let ended = AsyncFd::new(descriptor)?;
        Ok(Self { pid, ended })
    }

    /// Returns when it has ended: a pidfd becomes readable then.
    async fn ended(&self) {
        if let Err(error) = self.ended.readable().await {
            warn!(pid = self.pid, %error, "cannot wait for a process");
        }
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) = pidfd_send_signal(self.ended.get_ref(), signal) {
            info!(pid = self.pid, %error, "the process has ended already");
        }
    }

    fn runs(&self, program: &std::path::Path) -> bool {
        fs::read_link(format!("/proc/{}/exe", self.pid)).is_ok_and(|executable| executable == program)
    }
}

#[cfg(test)]
mod tests {
    use super::{Addresses, announced_addresses};

    #[test]
    fn the_address_is_read_from_what_the_gateway_says() {
        let local = |port| ([127, 0, 0, 1], port).into();
        let both =
            announced_addresses(r#"{"endpoint":"https://127.0.0.1:9000","plain":"http://127.0.0.1:9001"}"#);
        assert_eq!(both, Some(Addresses { address: local(9000), plain: local(9001) }));
        assert_eq!(announced_addresses("S3 endpoint on http://127.0.0.1:9000"), None);
    }
}
