//! Creating, finding again and listing sandboxes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::{Doing, Failure};
use crate::init::Plan;
use crate::overlay::UpperLayer;
use crate::record::{Places, Record, Running};
use crate::sandbox::{Inner, blocking};
use crate::skeleton::{Skeleton, private_paths};
use crate::sys::processes::Process;
use crate::sys::sockets;
use crate::{Error, Features, Sandbox, SandboxName, SandboxSpec, cgroup, files, launch, record, userns};

/// Where things are and what to start.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// Upper layers, skeleton and records: on a disk, not on overlayfs. Mode 0700.
    pub state: PathBuf,
    /// Sockets of agents. Mode 0700.
    pub run: PathBuf,
    /// This program, to be started as `program init_arguments..` as pid 1 of a sandbox; it must call [`crate::Runtime::init_main`].
    pub program: PathBuf,
    /// Arguments that make `program` call `init_main`.
    pub init_arguments: Vec<String>,
}

/// Creates and keeps sandboxes.
#[derive(Debug)]
pub struct Runtime {
    shared: Arc<Shared>,
    skeleton: Skeleton,
    /// Paths of the host's programs that others may not read.
    hidden: Vec<OsString>,
}

/// What a runtime and its sandboxes have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: RuntimeSettings,
    pub(crate) features: Features,
    run: OwnedFd,
    slots: Mutex<HashMap<SandboxName, Slot>>,
}

/// A name that is taken.
#[derive(Debug)]
struct Slot {
    id_base: u32,
    /// None while it starts, and for those that an earlier daemon left and nobody asked for yet.
    sandbox: Weak<Inner>,
    is_starting: bool,
}

impl Runtime {
    /// Checks the host, makes the skeleton of the base `host` if it is missing, and removes what crashed starts left.
    pub async fn start(settings: RuntimeSettings) -> Result<Self, Error> {
        blocking(move || Self::start_blocking(settings, Features::probe())).await
    }

    /// [`Self::start`] with features found before; what is said not to be there is not used.
    pub async fn start_with(settings: RuntimeSettings, features: Features) -> Result<Self, Error> {
        blocking(move || Self::start_blocking(settings, features)).await
    }

    fn start_blocking(settings: RuntimeSettings, features: Features) -> Result<Self, Error> {
        if let Some(what) = features.missing() {
            return Err(Error::Unsupported { what });
        }
        let shared = Shared::open(settings, features)?;
        let state = &shared.settings.state;
        let skeleton = Skeleton::ensure(state).doing("make the skeleton")?;
        let mut hidden = private_paths(Path::new("/usr"));
        skeleton.trees.iter().for_each(|tree| hidden.extend(private_paths(tree)));
        for record in shared.records()? {
            match record {
                Found::Record(record) if record.running.is_some() => {
                    shared.reserve(&record.name, Some(record.id_base), false)?;
                }
                Found::Record(record) => shared.remove_remains(&record)?,
                Found::Directory(path) => {
                    crate::remove::remove_tree(&path).doing("remove what a crashed start left")?;
                }
            }
        }
        if shared.slots().is_empty() {
            skeleton.remove_others(state).doing("remove old skeletons")?;
        }
        Ok(Self { shared: Arc::new(shared), skeleton, hidden })
    }

    /// What the host offers, as found at the start.
    pub fn features(&self) -> &Features {
        &self.shared.features
    }

    /// Starts a sandbox; on failure nothing is left. `Start` with AlreadyExists if the name is in use.
    pub async fn create(&self, name: &SandboxName, spec: &SandboxSpec) -> Result<Sandbox, Error> {
        let id_base = self.shared.reserve(name, None, true)?;
        let (shared, name, spec) = (Arc::clone(&self.shared), name.clone(), spec.clone());
        let plan = self.plan(&name, &spec, id_base);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A task of its own: it ends in order also if the caller gives up in the middle.
        tokio::spawn(async move {
            let created = start_sandbox(&shared, &name, &spec, plan).await;
            if created.is_err() {
                shared.release(&name);
            }
            if let Err(Ok(unwanted)) = sender.send(created)
                && let Err(error) = unwanted.destroy().await
            {
                tracing::warn!(%error, "an unwanted sandbox is left");
            }
        });
        receiver.await.unwrap_or_else(|_| Err(Error::Gone))
    }

    fn plan(&self, name: &SandboxName, spec: &SandboxSpec, id_base: u32) -> Plan {
        let places = Places::new(&self.shared.settings.state, name);
        let layer = |of: &Path| {
            let name = of.file_name().unwrap_or_default().to_string_lossy();
            UpperLayer::new(places.layer(&name))
        };
        let trees = [PathBuf::from("/usr")].into_iter().chain(self.skeleton.trees.iter().cloned());
        let memory = spec.limits.memory.unwrap_or_else(cgroup::default_memory);
        let hostname = if spec.hostname.is_empty() { "sandbox".into() } else { spec.hostname.clone() };
        Plan {
            root: places.root(),
            scratch: self.shared.scratch(),
            skeleton: self.skeleton.directory.clone(),
            root_layer: UpperLayer::new(places.layer("root")),
            trees: trees.map(|tree| (tree.clone(), layer(&tree))).collect(),
            hidden: self.hidden.clone(),
            exposed: spec.expose.clone(),
            id_base,
            hostname,
            shared_memory: memory / 2,
        }
    }

    /// All sandboxes that still run, found again after a restart of the daemon; what is left of dead ones is removed.
    pub async fn adopt(&self) -> Result<Vec<Sandbox>, Error> {
        let shared = Arc::clone(&self.shared);
        let found = blocking(move || shared.records()).await?;
        let mut sandboxes = Vec::new();
        for record in found {
            if let Found::Record(record) = record {
                sandboxes.extend(self.adopt_one(record).await?);
            }
        }
        Ok(sandboxes)
    }

    async fn adopt_one(&self, record: Record) -> Result<Option<Sandbox>, Error> {
        let shared = Arc::clone(&self.shared);
        let known = shared.known(&record.name);
        if let Known::Starting = known {
            return Ok(None);
        }
        if let Known::Sandbox(sandbox) = known {
            if sandbox.is_running() {
                return Ok(Some(sandbox));
            }
            sandbox.destroy().await?;
            return Ok(None);
        }
        let alive = record.running.as_ref().and_then(|running| Some((running.clone(), running.find()?)));
        let Some((running, process)) = alive else {
            let name = record.name.clone();
            let remover = Arc::clone(&shared);
            blocking(move || remover.remove_remains(&record)).await?;
            shared.release(&name);
            return Ok(None);
        };
        let name = record.name.clone();
        // A runtime that died while it had it frozen.
        record.group.thaw().doing("thaw a sandbox")?;
        let sandbox = Sandbox::new(record, running, process, Arc::clone(&shared)).doing("open a sandbox")?;
        shared.occupy(&name, &sandbox);
        Ok(Some(sandbox))
    }

    /// The life of pid 1; never returns. `main` calls it first thing when started with `init_arguments`.
    pub fn init_main() -> ! {
        crate::init::main()
    }
}

async fn start_sandbox(
    shared: &Arc<Shared>,
    name: &SandboxName,
    spec: &SandboxSpec,
    plan: Plan,
) -> Result<Sandbox, Error> {
    let (starter, name, spec) = (Arc::clone(shared), name.clone(), spec.clone());
    let (record, running, process) = blocking(move || {
        let mut record = starter.new_record(&name, plan.id_base)?;
        starter.start_recorded(&mut record, &spec, &plan).inspect_err(|_| {
            if let Err(failure) = starter.remove_remains(&record) {
                tracing::warn!(what = failure.what, error = %failure.source, "something is left of a failed start");
            }
        })
    })
    .await?;
    reap_when_ended(&process).doing("watch pid 1").map_err(Failure::starting)?;
    let name = record.name.clone();
    let sandbox = Sandbox::new(record, running, process, Arc::clone(shared));
    let sandbox = sandbox.doing("open the sandbox").map_err(Failure::starting)?;
    shared.occupy(&name, &sandbox);
    Ok(sandbox)
}

/// Leaves no zombie behind, whether or not someone destroys the sandbox after its end.
fn reap_when_ended(process: &Process) -> io::Result<()> {
    let watched = crate::sys::watch(process.descriptor.try_clone()?)?;
    let process = Process { pid: process.pid, descriptor: process.descriptor.try_clone()? };
    tokio::spawn(async move {
        drop(watched.readable().await);
        if let Err(error) = process.reap(false) {
            tracing::debug!(%error, "pid 1 could not be reaped");
        }
    });
    Ok(())
}

/// What a directory of a sandbox turned out to be.
enum Found {
    Record(Record),
    /// Without a readable record.
    Directory(PathBuf),
}

enum Known {
    No,
    Starting,
    Sandbox(Sandbox),
}

impl Shared {
    fn open(settings: RuntimeSettings, features: Features) -> Result<Self, Failure> {
        let scratch = settings.state.join("scratch");
        for directory in [&settings.state, &settings.run, &record::sandboxes(&settings.state), &scratch] {
            make_private(directory).doing(format!("make {}", directory.display()))?;
        }
        let run = crate::overlay::open_path(&settings.run).doing("open the directory of sockets")?;
        Ok(Self { settings, features, run, slots: Mutex::default() })
    }

    /// An empty directory, for mounts in private namespaces.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.settings.state.join("scratch")
    }

    /// Where the agent of the sandbox with these ids listens.
    pub(crate) fn socket_path(&self, id_base: u32) -> PathBuf {
        launch::short_path(&self.run, &socket_name(id_base))
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<SandboxName, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a name and a block of ids.
    fn reserve(&self, name: &SandboxName, block: Option<u32>, is_starting: bool) -> Result<u32, Error> {
        let mut slots = self.slots();
        let refuse =
            |kind: io::ErrorKind, step: &str| Error::Start { step: step.into(), source: kind.into() };
        if slots.contains_key(name) {
            return Err(refuse(io::ErrorKind::AlreadyExists, "take the name"));
        }
        let is_taken = |base| slots.values().any(|slot| slot.id_base == base);
        let id_base = block.or_else(|| userns::free_block(is_taken));
        let id_base = id_base.ok_or_else(|| refuse(io::ErrorKind::QuotaExceeded, "take a block of ids"))?;
        slots.insert(name.clone(), Slot { id_base, sandbox: Weak::new(), is_starting });
        Ok(id_base)
    }

    fn occupy(&self, name: &SandboxName, sandbox: &Sandbox) {
        let slot =
            Slot { id_base: sandbox.id_base(), sandbox: Arc::downgrade(sandbox.inner()), is_starting: false };
        self.slots().insert(name.clone(), slot);
    }

    /// Gives the name and the block back.
    pub(crate) fn release(&self, name: &SandboxName) {
        self.slots().remove(name);
    }

    fn known(&self, name: &SandboxName) -> Known {
        match self.slots().get(name) {
            Some(slot) if slot.is_starting => Known::Starting,
            Some(slot) => {
                slot.sandbox.upgrade().map_or(Known::No, |inner| Known::Sandbox(Sandbox::of(inner)))
            }
            None => Known::No,
        }
    }

    fn records(&self) -> Result<Vec<Found>, Failure> {
        let directory = record::sandboxes(&self.settings.state);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).doing("list sandboxes")? {
            let path = entry.doing("list sandboxes")?.path();
            let record = Record::read(&Places { directory: path.clone() });
            found.push(record.map_or(Found::Directory(path), Found::Record));
        }
        Ok(found)
    }

    fn new_record(&self, name: &SandboxName, id_base: u32) -> Result<Record, Error> {
        let unique = files::random_name().doing("choose a name").map_err(Failure::starting)?;
        let group = self.features.cgroups.plan(&format!("sandkeep-{unique}"));
        Ok(Record { name: name.clone(), id_base, group, running: None })
    }

    /// Everything that needs to be undone is in the record before it is done.
    fn start_recorded(
        &self,
        record: &mut Record,
        spec: &SandboxSpec,
        plan: &Plan,
    ) -> Result<(Record, Running, Process), Error> {
        let places = Places::new(&self.settings.state, &record.name);
        crate::remove::remove_tree(&places.directory)
            .doing("make its directory")
            .map_err(Failure::starting)?;
        std::fs::create_dir_all(places.root()).doing("make its directory").map_err(Failure::starting)?;
        record.write(&places).doing("write its record").map_err(Failure::starting)?;
        self.features.cgroups.make(&record.group, &spec.limits).map_err(Failure::starting)?;
        let listener =
            self.listen(record.id_base).doing("listen for the agent").map_err(Failure::starting)?;
        let launched = launch::launch(&self.settings, plan, &record.group, listener)?;
        let running = Running::of(&launched.process, launched.own_mounts);
        let running = running.doing("look at pid 1").map_err(Failure::starting)?;
        record.running = Some(running.clone());
        record.write(&places).doing("write its record").map_err(Failure::starting)?;
        Ok((record.clone(), running, launched.process))
    }

    fn listen(&self, id_base: u32) -> io::Result<OwnedFd> {
        let path = self.socket_path(id_base);
        remove_if_there(&path)?;
        let listener = sockets::listen_at(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Ends what still runs of a sandbox and removes all that was made for it.
    pub(crate) fn remove_remains(&self, record: &Record) -> Result<(), Failure> {
        record.group.kill();
        if let Some(process) = record.running.as_ref().and_then(Running::find) {
            process.kill().doing("kill pid 1")?;
        }
        record.group.remove().doing("remove its control groups")?;
        remove_if_there(&self.socket_path(record.id_base)).doing("remove its socket")?;
        let places = Places::new(&self.settings.state, &record.name);
        crate::remove::remove_tree(&places.directory).doing("remove its directory")
    }
}

/// By ids and not by name: names may be longer than a socket's address.
fn socket_name(id_base: u32) -> String {
    format!("{id_base}.sock")
}

fn make_private(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
