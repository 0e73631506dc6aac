//! A service in a folder of its own, which ends with the test, also with one that fails.

use std::fs::{File, read_to_string};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sandkeep");
/// A start that takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// The key that must never show anywhere inside a sandbox.
pub(crate) const CANARY: &str = "canary-2f7c91e0-secret";

pub(crate) struct Service {
    pub(crate) folder: TempDir,
    api: SocketAddr,
    s3: SocketAddr,
    daemon: Option<Child>,
    key: Option<&'static str>,
    /// Sockets have a place of their own.
    run: bool,
}

pub(crate) fn free_address() -> SocketAddr {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    probe.local_addr().expect("it is bound")
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    pub(crate) fn start_with(key: Option<&'static str>) -> Self {
        let folder = tempfile::Builder::new().prefix("sandkeep-test.").tempdir().expect("a folder");
        let mut service =
            Self { folder, api: free_address(), s3: free_address(), daemon: None, key, run: true };
        service.start_daemon();
        service
    }

    /// Says only where data are, in a place with a long name.
    pub(crate) fn start_by_data() -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("sandkeep-test.{}", "x".repeat(100))).tempdir();
        let (api, s3) = (free_address(), free_address());
        let mut service =
            Self { folder: folder.expect("a folder"), api, s3, daemon: None, key: None, run: false };
        service.start_daemon();
        service
    }

    pub(crate) fn start_daemon(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("serve.log")).expect("a log");
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--listen", &self.api.to_string(), "--s3-listen", &self.s3.to_string()]);
        command.arg("--data").arg(self.path("data"));
        if self.run {
            command.arg("--run").arg(self.path("run"));
        }
        command.env("CANARY_SECRET", CANARY).env_remove("SANDBOX_API_KEY").current_dir(self.folder.path());
        if let Some(key) = self.key {
            command.env("SANDBOX_API_KEY", key);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().expect("the program starts"));
        self.wait_until("the service answers", |service| service.http("GET", "/health", None).0 == 200);
    }

    /// A daemon with other settings takes over from the one that is killed.
    pub(crate) fn restart_with(&mut self, settings: &str) {
        std::fs::write(self.path("sandkeep.toml"), settings).expect("written");
        self.kill_daemon();
        self.start_daemon();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.s3)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    pub(crate) fn daemon_pid(&self) -> u32 {
        self.daemon.as_ref().expect("it runs").id()
    }

    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.kill().expect("it is ours");
        daemon.wait().expect("it is ours");
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take()?;
        terminate(daemon.id());
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = daemon.try_wait().expect("it is ours") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon.kill().expect("it is ours");
        panic!("the service did not end after SIGTERM:\n{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        let logs = ["serve.log", "run/keeper.log", "run/gateway.log"];
        logs.map(|name| format!("{name}:\n{}", read_to_string(self.path(name)).unwrap_or_default()))
            .join("\n")
    }

    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "waited in vain: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env("SANDKEEP_URL", self.url()).env_remove("SANDKEEP_API_KEY").env_remove("SANDBOX_API_KEY");
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some(key) = self.key {
            command.env("SANDKEEP_API_KEY", key);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("the program starts")
    }

    /// Runs the command line and expects success; gives its standard output.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let log = || self.log();
        assert!(output.status.success(), "{arguments:?}: {}\n{}", text(&output.stderr), log());
        text(&output.stdout)
    }

    /// Runs a shell line in a sandbox and expects success.
    #[track_caller]
    pub(crate) fn shell(&self, id: &str, line: &str) -> String {
        self.ok(&["sandbox", "exec", id, "--shell", line])
    }

    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend_from_slice(arguments);
        serde_json::from_str(&self.ok(&all)).expect("JSON")
    }

    /// A request by curl: status and body.
    pub(crate) fn http(&self, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
        let key = self.key.map(|key| format!("Authorization: Bearer {key}"));
        self.http_with(method, path, body, &key.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn http_with(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        headers: &[&str],
    ) -> (u16, String) {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "60", "--path-as-is", "-X", method, "-w", "\n%{http_code}"]);
        for header in headers {
            curl.args(["-H", header]);
        }
        if let Some(body) = body {
            curl.args(["-H", "Content-Type: application/json", "--data-binary", body]);
        }
        let output = curl.arg(format!("{}{path}", self.url())).output().expect("curl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// The key pair of the embedded endpoint.
    pub(crate) fn keys(&self) -> (String, String) {
        let keys = self.json(&["keys", "--data", &self.path("data").display().to_string()]);
        let text = |name: &str| keys[name].as_str().expect("a string").to_owned();
        (text("accessKeyId"), text("secretAccessKey"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.daemon.is_none() {
            // Killed by the test: a new one finds everything again and ends it in order.
            if !self.path("data").exists() {
                return;
            }
            self.start_daemon();
        }
        let code = self.stop();
        if !std::thread::panicking() {
            assert_eq!(code, Some(0), "{}", self.log());
            assert_eq!(left_behind(self.folder.path()), Vec::<String>::new(), "{}", self.log());
        }
    }
}

pub(crate) fn terminate(pid: u32) {
    let status = Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill runs");
    assert!(status.success());
}

pub(crate) fn kill(pid: u32) {
    let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status().expect("kill runs");
    // It may just have ended by itself.
    assert!(status.success() || !Path::new(&format!("/proc/{pid}")).exists(), "process {pid}");
}

/// Mounts and processes that still refer to the folder, and cgroups of ours that are still there.
fn left_behind(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let mounts = read_to_string("/proc/self/mountinfo").expect("it can be read");
    let mut found: Vec<String> =
        mounts.lines().filter(|line| line.contains(&folder)).map(str::to_owned).collect();
    for entry in std::fs::read_dir("/proc").expect("it can be read").flatten() {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&folder) {
            found.push(command);
        }
    }
    found
}
