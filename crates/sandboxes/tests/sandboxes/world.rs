//! A runtime of its own for each test, which is gone without a trace afterwards, whatever happens.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use sandkeep_sandboxes::{
    Command, ExecEvent, ExecRequest, Execution, ExitStatus, Runtime, RuntimeSettings, Sandbox, SandboxName,
    SandboxSpec, SessionLoss,
};

/// What a finished run gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) status: ExitStatus,
}

impl Output {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }
}

/// A runtime in a directory of its own. Dropping it kills what still runs and removes what is left.
pub(crate) struct World {
    directory: PathBuf,
    pub(crate) runtime: Option<Runtime>,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// One for all tests that run at the same time and do not need their own: a start looks at all of /usr.
static SHARED: tokio::sync::Mutex<Weak<World>> = tokio::sync::Mutex::const_new(Weak::new());

impl World {
    /// A world that others use as well; gone after the last of them.
    pub(crate) async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(world) = shared.upgrade() {
            return world;
        }
        let world = Arc::new(Self::new().await);
        *shared = Arc::downgrade(&world);
        world
    }

    pub(crate) async fn new() -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(format!("/var/tmp/sandkeep-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut world = Self { directory, runtime: None };
        world.restart().await;
        world
    }

    pub(crate) fn settings(&self) -> RuntimeSettings {
        RuntimeSettings {
            state: self.state(),
            run: self.directory.join("run"),
            program: env!("CARGO_BIN_EXE_sandbox-init").into(),
            init_arguments: vec!["init".into()],
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// As if the daemon had died and come back.
    pub(crate) async fn restart(&mut self) {
        drop(self.runtime.take());
        self.runtime = Some(Runtime::start(self.settings()).await.unwrap());
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    pub(crate) async fn sandbox(&self) -> Sandbox {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        self.create(&format!("test-{number}"), &SandboxSpec::default()).await
    }

    pub(crate) async fn create(&self, name: &str, spec: &SandboxSpec) -> Sandbox {
        self.runtime().create(&name_of(name), spec).await.unwrap()
    }

    /// Directories of sandboxes and sockets that exist.
    pub(crate) fn remains(&self) -> Vec<PathBuf> {
        let list = |directory: PathBuf| std::fs::read_dir(directory).into_iter().flatten().flatten();
        let sandboxes = list(self.state().join("sandboxes"));
        sandboxes.chain(list(self.directory.join("run"))).map(|entry| entry.path()).collect()
    }

    /// Control groups named in the records of living sandboxes.
    pub(crate) fn groups(&self, name: &str) -> Vec<PathBuf> {
        let record = self.state().join("sandboxes").join(name).join("record.json");
        let text = std::fs::read_to_string(record).unwrap_or_default();
        let quoted = text.split('"').filter(|part| part.starts_with("/sys/fs/cgroup"));
        quoted.map(PathBuf::from).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.runtime.take());
        if self.remains().is_empty() {
            let removed = std::fs::remove_dir_all(&self.directory);
            return assert!(std::thread::panicking() || removed.is_ok(), "{removed:?}");
        }
        let settings = self.settings();
        // On a thread, since a test may panic inside its own async runtime.
        let cleaner = std::thread::spawn(move || {
            let tokio = tokio::runtime::Runtime::new().unwrap();
            tokio.block_on(async {
                let runtime = Runtime::start(settings).await.unwrap();
                for sandbox in runtime.adopt().await.unwrap() {
                    sandbox.destroy().await.unwrap();
                }
            });
        });
        let cleaned = cleaner.join();
        let removed = std::fs::remove_dir_all(&self.directory);
        if !std::thread::panicking() {
            cleaned.unwrap();
            removed.unwrap();
        }
    }
}

pub(crate) fn name_of(name: &str) -> SandboxName {
    SandboxName::new(name).unwrap()
}

pub(crate) fn shell(line: &str) -> ExecRequest {
    request(Command::Shell(line.into()))
}

pub(crate) fn argv(arguments: &[&[u8]]) -> ExecRequest {
    request(Command::Argv(arguments.iter().map(|argument| argument.to_vec()).collect()))
}

fn request(command: Command) -> ExecRequest {
    ExecRequest { command, cwd: None, env: Vec::new(), timeout: None }
}

pub(crate) async fn run(sandbox: &Sandbox, request: ExecRequest) -> Output {
    finish(sandbox.exec(request).await.unwrap()).await.expect("it is no session's command")
}

/// The whole of a run that ends with an exit code; or why it has none.
pub(crate) async fn finish(mut execution: Execution) -> Result<Output, SessionLoss> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match execution.next().await.expect("the run ends with an exit") {
            ExecEvent::Stdout(bytes) => stdout.extend(bytes),
            ExecEvent::Stderr(bytes) => stderr.extend(bytes),
            ExecEvent::Exit(status) => {
                assert_eq!(execution.next().await, None);
                return Ok(Output { stdout, stderr, status });
            }
            ExecEvent::Lost(loss) => {
                assert_eq!(execution.next().await, None);
                return Err(loss);
            }
        }
    }
}

/// Standard output of a line that must succeed.
pub(crate) async fn sh(sandbox: &Sandbox, line: &str) -> String {
    let output = run(sandbox, shell(line)).await;
    assert_eq!(output.status.code, 0, "{line}: {} {}", output.text(), output.errors());
    output.text()
}

/// Exit code of a line.
pub(crate) async fn code(sandbox: &Sandbox, line: &str) -> i32 {
    run(sandbox, shell(line)).await.status.code
}

/// Waits for something that another process is about to do.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("it never came true");
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
